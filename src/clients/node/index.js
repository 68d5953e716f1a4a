'use strict';
// Scopes of pgwithd for Node.js and its package pg. README.md says how they are used; pgwith-scopes(7) has the grammar of the
// statements that are sent here.

const asyncDispose = Symbol.asyncDispose || Symbol.for('Symbol.asyncDispose');

// ---- errors ---------------------------------------------------------------------------------------------
/** Whatever goes wrong with a scope. `cause`: the error of pg, if there is one. */
class PgwithError extends Error {
	constructor(message, { scope, cause } = {}) {
		super(message);
		this.name = this.constructor.name;
		this.scope = scope;
		if (cause !== undefined) {
			Object.defineProperty(this, 'cause', { value: cause, enumerable: false, writable: true, configurable: true });
			for (const key of ['code', 'detail', 'hint'])
				this[key] = cause[key];
		}
	}
}
class UsageError extends PgwithError {}
class EnterError extends PgwithError {}
class WaitTimeout extends EnterError {}
class Deadlock extends EnterError {}
class EnterCanceled extends EnterError {}
class Unreachable extends EnterError {}
class ScopeEnded extends PgwithError {}
class DeadlineExceeded extends ScopeEnded {}
class ScopeKilled extends ScopeEnded {}
class ScopeFailed extends PgwithError {}
class CommitRefused extends PgwithError {
	/** Can the same succeed when it is tried again? */
	get retryable() {
		return this.code === '40001' || this.code === '40P01';
	}
}
class ScopeLost extends PgwithError {}
class OutcomeUnknown extends ScopeLost {}

const ENTERING = { '40P01': Deadlock, '53300': WaitTimeout, '55P03': WaitTimeout, '57014': EnterCanceled, '08001': Unreachable,
	'57P03': Unreachable, '08006': ScopeLost, '57P01': ScopeLost };
const REFUSED = new Set(['42601', '22023', '0A000', '54000', '3D000', '42704', '42710', '55000', '25001', '25P02', '2D000', '3B001',
	'42501', '28000']);
// how pgwithd says that it has ended a scope
const ENDED = /^scope "([^]*)" was ended(?:: its deadline of |: no statement came for longer than |: a statement took longer than |( by an administrator))/;

// what LEAVE says of a scope that is not open
const NOT_OPEN = ['42704', '55000'];

/** Is it an answer of the server? pg's own errors have codes too, of the system (ECONNRESET). */
function isAnswer(error) {
	return error instanceof Error && typeof error.code === 'string' && /^[0-9A-Z]{5}$/.test(error.code) && 'severity' in error;
}

/** Does pg say so that the connection is gone? */
function isGone(error) {
	return isAnswer(error) || (error instanceof Error &&
		(error.syscall !== undefined || /^(Connection terminated|Client (was closed|has encountered a connection error))/.test(error.message)));
}

/** Whether the error says that a scope was ended: its name, and the error for it. */
function ended(error) {
	const m = isAnswer(error) && error.code === '57014' ? ENDED.exec(error.message) : null;
	if (m === null)
		return null;
	const kind = m[2] ? ScopeKilled : DeadlineExceeded;
	return { scope: m[1], error: new kind(error.message, { scope: m[1], cause: error }) };
}

// ---- text -----------------------------------------------------------------------------------------------
function checkText(text, what, empty) {
	if (typeof text !== 'string')
		throw new TypeError(`${what} is a string, not ${typeof text}`);
	if (text.includes('\0') || (!empty && text === ''))
		throw new RangeError(`${what} cannot be empty, nor have a NUL character`);
}

/** An identifier, taken as it is: in double quotes, where a backslash means nothing. */
function quoteName(text, what = 'the name of a scope') {
	checkText(text, what, false);
	return '"' + text.replace(/"/g, '""') + '"';
}

/** A string constant: between single quotes if it is plain ASCII without a backslash; else in dollar quotes, where nothing is an
 * escape, whatever standard_conforming_strings and client_encoding are. */
function quoteString(text, what = 'the value') {
	checkText(text, what, true);
	if (/^[\x01-\x5b\x5d-\x7f]*$/.test(text))
		return "'" + text.replace(/'/g, "''") + "'";
	let tag = '$q$';
	for (let n = 1; (text + tag).indexOf(tag) !== text.length; n++)
		tag = `$q${n}$`;
	return tag + text + tag;
}

/** A number is in milliseconds, as everywhere in JavaScript; a string is written as in pgwith.conf(5): '250ms', '5s'. */
function duration(value, what) {
	if (typeof value === 'string')
		return quoteString(value, what);
	if (typeof value !== 'number' || !(value >= 0 && value < 1e15))
		throw new RangeError(`${what} is a number of milliseconds, or a string as '2s': ${value}`);
	const us = Math.round(value * 1000) || (value > 0 ? 1 : 0);
	return us % 1000 === 0 ? `'${us / 1000}ms'` : `'${us}us'`;
}

function argument(value) {
	if (value === null || value === undefined)
		return 'NULL';
	if (typeof value === 'boolean')
		return value ? 'TRUE' : 'FALSE';
	if (typeof value === 'number' || typeof value === 'bigint')
		return quoteString(String(value));
	return quoteString(value, 'an argument of a scope');
}

const ISOLATION = new Set(['SERIALIZABLE', 'REPEATABLE READ', 'READ COMMITTED', 'READ UNCOMMITTED']);
const KNOWN = {
	transaction: ['pool', 'fresh', 'readOnly', 'isolation'],
	defined: ['args', 'as', 'pool'],
	lock: ['shared', 'as', 'pool'],
	semaphore: ['limit', 'as'],
};

/** One item of ENTER: its text, and the name that the open scope has. */
function compile(item) {
	if (item === null || typeof item !== 'object')
		throw new TypeError('an item is an object: { scope: name }, { lock: name }, { semaphore: name, limit } or { defined: name }');
	const kinds = ['scope', 'lock', 'semaphore', 'defined'].filter((key) => item[key] !== undefined);
	if (kinds.length !== 1)
		throw new TypeError('an item has one of scope, lock, semaphore and defined');
	const kind = kinds[0] === 'scope' ? 'transaction' : kinds[0];
	const name = item[kinds[0]];
	for (const key of Object.keys(item))
		if (key !== kinds[0] && !KNOWN[kind].includes(key) && !['wait', 'deadline', 'suppress'].includes(key) && item[key] !== undefined)
			throw new TypeError(`${key} does not go with ${kinds[0]}`);
	const words = [];
	if (kind === 'lock' || kind === 'semaphore')
		words.push(kind.toUpperCase(), quoteString(name, `the name of a ${kind}`));
	else
		words.push(quoteName(name));
	if (kind === 'semaphore') {
		if (!Number.isInteger(item.limit))
			throw new TypeError('limit is a whole number');
		words.push(`LIMIT '${item.limit}'`);
	}
	if (item.as !== undefined)
		words.push('AS', quoteName(item.as));
	if (kind === 'defined' && typeof item.args === 'string')
		throw new TypeError('args is an array of values, not one text');
	if (kind === 'defined')
		words.push('(' + Array.from(item.args || [], argument).join(', ') + ')');
	if (item.pool !== undefined)
		words.push('ON', quoteName(item.pool, 'the name of a pool'));
	if (item.fresh)
		words.push('NEW');
	if (item.shared)
		words.push('SHARED');
	if (item.readOnly !== undefined)
		words.push(item.readOnly ? 'READ ONLY' : 'READ WRITE');
	if (item.isolation !== undefined) {
		const level = String(item.isolation).toUpperCase().replace(/[-_\s]+/g, ' ');
		if (!ISOLATION.has(level))
			throw new RangeError(`no isolation level: ${item.isolation}`);
		words.push('ISOLATION LEVEL', level);
	}
	if (item.wait !== undefined)
		words.push('WAIT', duration(item.wait, 'wait'));
	if (item.deadline !== undefined)
		words.push('DEADLINE', duration(item.deadline, 'deadline'));
	if (item.suppress)
		words.push('SUPPRESS');
	return { text: words.join(' '), name: item.as !== undefined ? item.as : name, suppress: Boolean(item.suppress) };
}

// ---- scopes ---------------------------------------------------------------------------------------------
function isLost(client) {
	return Boolean(client._ending || client._ended || client._queryable === false);
}

/** What is not an answer of the server leaves the state of the connection unknown: it is closed, and the daemon does the rest. */
function close(client) {
	if (isLost(client))
		return;
	const done = client.end();
	if (done && done.catch)
		done.catch(() => {});
}

/** The names of the scopes that are open on a client. */
const openNames = new WeakMap();

function isOpen(client, name) {
	return (openNames.get(client) || []).includes(name);
}

function setLeft(client, name) {
	openNames.set(client, (openNames.get(client) || []).filter((other) => other !== name));
}

/** Open scopes, one or several that were entered together. */
class Scope {
	constructor(client, parts) {
		this._client = client;
		openNames.set(client, (openNames.get(client) || []).concat(parts.map((part) => part.name)));
		this._open = parts;
		/** names, the outermost first */
		this.names = parts.map((part) => part.name);
		/** 'open', 'success', 'rolled back', 'lost' or 'unknown' */
		this.outcome = 'open';
	}

	get name() {
		return this.names[this.names.length - 1];
	}

	/** Statements go to this scope's transaction, or to that of the one with this name, from now on. */
	async use(name = this.name) {
		await statement(this._client, 'USE ' + quoteString(name));
	}

	/** Has a statement run when the innermost scope with a transaction is left. on: 'commit' or 'rollback' for one of these only. */
	async defer(sql, on) {
		await defer(this._client, sql, on);
	}

	/** Leaves it: commits. With an error it is rolled back, and that error, or one of ours that says more, is thrown; unless the
	 * scope suppresses. */
	async leave(error) {
		const failed = arguments.length > 0;
		const left = await this._leave(failed, error);
		if (left !== null)
			throw left.error;
	}

	/** Leaves it, rolled back. */
	async rollback() {
		for (const part of this._open.splice(0).reverse()) {
			await this._rollBack(part);
			setLeft(this._client, part.name);
		}
		if (this.outcome === 'open')
			this.outcome = 'rolled back';
	}

	/** For `await using`: what has not been left by then is rolled back. */
	async [asyncDispose]() {
		if (this._open.length > 0)
			await this.rollback();
	}

	/** Leaves each, the innermost first; each sees the error that the one inside has left. */
	async _leave(failed, error) {
		if (this._open.length === 0)
			throw new UsageError('the scope has been left already', { scope: this.name });
		let now = failed ? { error } : null;
		for (const part of this._open.splice(0).reverse()) {
			now = await this._leaveOne(part, now);
			setLeft(this._client, part.name);
			if (now === null)
				continue;
			const why = ended(now.error);
			if (why !== null && why.scope === part.name)
				now = { error: why.error };
			else if (isLost(this._client) && isGone(now.error))
				now = { error: new ScopeLost(now.error.message, { scope: part.name, cause: now.error }) };
			// errors of the database, but not the end of a scope around, which is still open
			const gone = why !== null ? why.scope : now.error instanceof ScopeEnded ? now.error.scope : null;
			const theirs = (isAnswer(now.error) || (now.error instanceof PgwithError && !(now.error instanceof UsageError))) &&
				(gone === null || !isOpen(this._client, gone));
			if (part.suppress && theirs && !isLost(this._client))
				now = null;
		}
		return now;
	}

	async _leaveOne(part, now) {
		if (isLost(this._client)) {
			this.outcome = 'lost';
			return now || { error: new ScopeLost(`the connection was lost or closed with scope ${part.name} open`, { scope: part.name }) };
		}
		let failed = false;
		if (now === null) {
			try {
				await this._client.query('LEAVE ' + quoteString(part.name));
				if (this.outcome === 'open')
					this.outcome = 'success';
				return null;
			} catch (cause) {
				const about = { scope: part.name, cause };
				if (!isAnswer(cause) || isLost(this._client)) {
					close(this._client);
					this.outcome = 'unknown';
					return { error: new OutcomeUnknown(cause.message, about) };
				}
				const why = ended(cause);
				const kind = cause.code === '40000' ? ScopeFailed :
					['55000', '25001', '42704'].includes(cause.code) ? UsageError : CommitRefused;
				now = { error: why ? why.error : new kind(cause.message, about) };
				failed = !NOT_OPEN.includes(cause.code);
			}
		}
		await this._rollBack(part, failed);
		return now;
	}

	/** LEAVE ROLLBACK, and whatever was entered or begun inside before it. `failed`: behind a LEAVE that has failed; most of these
	 * have ended the scope, but not all. */
	async _rollBack(part, failed = false) {
		for (let tries = 0; tries < 1000 && !isLost(this._client); tries++) {
			try {
				await this._client.query(`LEAVE ${quoteString(part.name)} ROLLBACK`);
				this.outcome = 'rolled back';
				return;
			} catch (error) {
				if (!isAnswer(error) || isLost(this._client))
					break;
				if (error.code === '25001' || (error.code === '55000' && / is open inside it$/.test(error.message))) {
					try {
						await this._client.query(error.code === '25001' ? 'ROLLBACK' : 'LEAVE ROLLBACK');
					} catch (inner) {
						break;
					}
				} else if (NOT_OPEN.includes(error.code)) {
					// The LEAVE before has ended it, or else the program itself, which may have committed it.
					this.outcome = failed ? 'rolled back' : 'unknown';
					return;
				} else if (error.code !== '57014') {
					break;
				}
			}
		}
		close(this._client);
		this.outcome = 'lost';
	}
}

async function statement(client, sql) {
	try {
		await client.query(sql);
	} catch (cause) {
		if (!isAnswer(cause))
			throw cause;
		const why = ended(cause);
		throw why ? why.error : new UsageError(cause.message, { cause });
	}
}

/** Has a statement run when the innermost scope with a transaction is left. */
async function defer(client, sql, on) {
	if (on !== undefined && on !== null && on !== 'commit' && on !== 'rollback')
		throw new RangeError("on is 'commit' or 'rollback'");
	await statement(client, `DEFER ${on ? `ON ${on.toUpperCase()} ` : ''}${quoteString(sql, 'the statement')}`);
}

/** Enters the items, from left to right, and returns the open Scope: for `await using`, or to be left by leave(). */
async function enter(client, ...items) {
	if (!client || typeof client.query !== 'function')
		throw new TypeError('not a client of pg');
	if (typeof client.totalCount === 'number')
		throw new UsageError('a pool gives each statement to any of its connections: enter scopes on one of them, from pool.connect()');
	if (items.length === 0)
		throw new TypeError('nothing to be entered');
	const parts = items.map(compile);
	const names = parts.map((part) => part.name).join(', ');
	try {
		await client.query('ENTER ' + parts.map((part) => part.text).join(', '));
	} catch (cause) {
		const about = { scope: names, cause };
		if (!isAnswer(cause) || isLost(client)) {
			close(client);
			throw new ScopeLost(cause.message, about);
		}
		const why = ended(cause);
		if (why !== null)
			throw why.error;
		if (cause.code === '42601' && cause.message.includes('at or near "ENTER"'))
			throw Object.assign(new UsageError(cause.message, about), { hint: 'the connection does not lead to pgwithd' });
		const kind = ENTERING[cause.code] || (REFUSED.has(cause.code) ? UsageError : EnterError);
		throw new kind(cause.message, about);
	}
	return new Scope(client, parts);
}

/** Enters the items, calls work(scope), and leaves them: as an error leaves work(), rolled back. Returns what work() returns;
 * undefined if a scope has suppressed its error. */
async function within(client, items, work) {
	if (typeof work !== 'function')
		throw new TypeError('the last argument is a function');
	const scope = await enter(client, ...items);
	let value;
	try {
		value = await work(scope);
	} catch (error) {
		await scope.leave(error);
		return undefined;
	}
	await scope.leave();
	return value;
}

/** [options,] work */
function options(args) {
	return args.length === 1 ? [{}, args[0]] : [args[0] || {}, args[1]];
}

const one = (key) => async (client, name, ...args) => {
	const [given, work] = options(args);
	return within(client, [{ ...given, [key]: name }], work);
};

module.exports = {
	enter,
	scopes: within,
	scope: one('scope'),
	lock: one('lock'),
	defined: one('defined'),
	semaphore: async (client, name, limit, ...args) => {
		const [given, work] = options(args);
		return within(client, [{ ...given, semaphore: name, limit }], work);
	},
	defer,
	Scope,
	PgwithError,
	UsageError,
	EnterError,
	WaitTimeout,
	Deadlock,
	EnterCanceled,
	Unreachable,
	ScopeEnded,
	DeadlineExceeded,
	ScopeKilled,
	ScopeFailed,
	CommitRefused,
	ScopeLost,
	OutcomeUnknown,
	quoteName,
	quoteString,
};
