'use strict';
// The package pgwith for Node.js, by client_node.py: node.js DSN NAME. What a test finds wrong it throws.
const assert = require('assert');
const vm = require('vm');
const { Client, Pool } = require('pg');
const pgwith = require('pgwith');

const [, , dsn, name] = process.argv;
const words = Object.fromEntries(dsn.split(' ').map((word) => word.replace(/'/g, '').split('=')));
const target = { host: words.host, port: +words.port, database: words.dbname, user: words.user };
const clients = [];

async function connect() {
	const c = new Client(target);
	c.on('error', () => {});
	await c.connect();
	clients.push(c);
	return c;
}

const marks = async (c) => (await c.query({ text: 'SELECT a FROM marks ORDER BY ctid', rowMode: 'array' })).rows.map((r) => r[0]);
const open = async (c) => (await c.query('SHOW SCOPES')).rows.map((r) => r.name);
const mark = (c, text) => c.query('INSERT INTO marks VALUES ($1)', [text]);

async function fails(kind, promise, code) {
	const error = await promise.then(() => null, (e) => e);
	assert.ok(error instanceof kind && error.constructor === kind, `${kind.name}: ${error && error.stack}`);
	if (code !== undefined)
		assert.strictEqual(error.code, code, error.message);
	return error;
}

const tests = {
	async success_and_error() {
		const c = await connect();
		assert.strictEqual(await pgwith.scope(c, 'a', { pool: 'db' }, async (s) => {
			assert.deepStrictEqual([s.name, s.outcome, await open(c)], ['a', 'open', ['a']]);
			await mark(c, '1');
			return 42;
		}), 42);
		const mine = new Error('mine');
		assert.strictEqual(await fails(Error, pgwith.scope(c, 'a', async () => {
			await mark(c, '2');
			throw mine;
		})), mine);
		const own = await pgwith.scope(c, 'a', async () => c.query('SELECT 1/0')).catch((e) => e);
		assert.deepStrictEqual([own.code, own instanceof pgwith.PgwithError], ['22012', false]);
		await fails(pgwith.ScopeFailed, pgwith.scope(c, 'a', async () => c.query('SELECT 1/0').catch(() => {})), '40000');
		await pgwith.scope(c, 'out', async () => {
			await pgwith.scope(c, 'try', { suppress: true }, () => c.query('SELECT 1/0'));
			await mark(c, '3');
		});
		assert.deepStrictEqual(await marks(c), ['1', '3']);
		await c.query('CREATE TABLE parent (id int PRIMARY KEY)');
		await c.query('CREATE TABLE child (id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED)');
		const refused = await fails(pgwith.CommitRefused, pgwith.scope(c, 'a', () => c.query('INSERT INTO child VALUES (1)')), '23503');
		assert.ok(refused.cause instanceof Error && !refused.retryable && refused.scope === 'a');
	},

	async quoting() {
		const c = await connect();
		for (const conforming of ['on', 'off']) {
			await c.query('SET standard_conforming_strings = ' + conforming);
			for (const text of ['a', 'A', 'a b', 'a"b', "a'b", 'a\\', "\\'; SELECT 1; --", '$q$', 'a$q', '$q$$q1$', 'lock', 'ä', '🐘', '$1', '%s', 'a\nb']) {
				await pgwith.scopes(c, [{ scope: text }, { lock: text, as: 'l' + text }, { semaphore: text, limit: 2, as: 's' + text }], async (s) => {
					assert.deepStrictEqual(await open(c), [text, 'l' + text, 's' + text]);
					assert.deepStrictEqual(s.names, [text, 'l' + text, 's' + text]);
					await s.use(text);
					await s.defer('SELECT ' + pgwith.quoteString(text));
				});
				await pgwith.lock(c, text, async () => assert.deepStrictEqual(await open(c), [text]));
			}
		}
		for (const bad of ['', 'a\0b', 5, null, undefined])
			assert.throws(() => pgwith.quoteName(bad));
		for (const bad of [{}, { scope: 'a', lock: 'b' }, { scope: 'a', limit: 2 }, { semaphore: 's' }, { scope: 'a', wait: -1 },
			{ scope: 'a', wait: NaN }, { scope: 'a', isolation: 'chaos' }, { defined: 'd', args: '42' }, 'a', null, { scope: 'a', timeout: 5 }])
			await assert.rejects(pgwith.enter(c, bad), (e) => e instanceof TypeError || e instanceof RangeError);
		assert.deepStrictEqual(await open(c), []);
	},

	async outcomes() {
		const [c, other] = [await connect(), await connect()];
		await pgwith.scopes(other, [{ lock: 'l' }, { semaphore: 's', limit: 1 }, { scope: 'a', pool: 'p2' }], async () => {
			await fails(pgwith.WaitTimeout, pgwith.lock(c, 'l', { wait: 20 }, assert.fail), '55P03');
			await fails(pgwith.WaitTimeout, pgwith.semaphore(c, 's', 1, { wait: '20ms' }, assert.fail), '55P03');
			await fails(pgwith.WaitTimeout, pgwith.scope(c, 'a', { pool: 'p2', wait: 0 }, assert.fail), '53300');
		});
		await fails(pgwith.UsageError, pgwith.scope(c, 'a', { pool: 'nowhere' }, assert.fail), '3D000');
		await fails(pgwith.UsageError, pgwith.defined(c, 'nothing', assert.fail), '42704');
		const late = await fails(pgwith.DeadlineExceeded, pgwith.scope(c, 'a', { deadline: 100 }, () => c.query('SELECT pg_sleep(20)')), '57014');
		assert.strictEqual(late.scope, 'a');
		assert.strictEqual((await fails(pgwith.DeadlineExceeded, pgwith.scope(c, 'out', { deadline: 100 }, () =>
			pgwith.scope(c, 'in', { suppress: true }, () => c.query('SELECT pg_sleep(20)'))))).scope, 'out');
		for (const error of [null, new RangeError('x')]) {
			let left;
			await fails(error ? RangeError : pgwith.UsageError, pgwith.scope(c, 'a', async (s) => {
				left = s;
				await c.query('LEAVE a');
				if (error)
					throw error;
			}));
			assert.strictEqual(left.outcome, 'unknown');
		}
		for (const sql of ['ENTER inner', 'BEGIN', "ENTER LOCK 'x'"])
			await fails(pgwith.UsageError, pgwith.scope(c, 'a', () => c.query(sql)));
		assert.deepStrictEqual(await open(c), []);
		const lost = await connect();
		await fails(pgwith.ScopeLost, pgwith.scope(lost, 'a', async () => {
			const pid = (await lost.query('SELECT pg_backend_pid() AS pid')).rows[0].pid;
			await c.query('SELECT pg_terminate_backend($1)', [pid]);
			await lost.query('SELECT 1');
			await lost.query('SELECT 1');
		}));
		await assert.rejects(lost.query('SELECT 1'));
	},

	async defer_and_use() {
		const c = await connect();
		await pgwith.scopes(c, [{ scope: 'a' }, { scope: 'b', pool: 'p2' }], async (s) => {
			await s.use('a');
			await s.defer("INSERT INTO marks VALUES ('b, at the end')");
			await mark(c, 'a');
		});
		await pgwith.scope(c, 'a', async (s) => {
			await s.defer("INSERT INTO marks VALUES ('commit')", 'commit');
			await pgwith.defer(c, "INSERT INTO marks VALUES ('rollback')", 'rollback');
			throw new Error('x');
		}).catch(() => {});
		assert.deepStrictEqual((await marks(c)).sort(), ['a', 'b, at the end', 'rollback']);
		await fails(pgwith.UsageError, pgwith.defer(c, 'SELECT 1'), '55000');
		await pgwith.defined(c, 'tagged', { args: ["it's"], as: 't' }, async () => {});
		assert.ok((await marks(c)).includes("it's"));
	},

	async disposing() {
		const c = await connect();
		const dispose = Symbol.asyncDispose || Symbol.for('Symbol.asyncDispose');
		let s = await pgwith.enter(c, { scope: 'a' }, { lock: 'l' });
		await mark(c, '1');
		await s.leave();
		await s[dispose]();
		assert.strictEqual(s.outcome, 'success');
		await fails(pgwith.UsageError, s.leave());
		s = await pgwith.enter(c, { scope: 'a' }, { lock: 'l' });
		await mark(c, '2');
		await s[dispose]();
		assert.deepStrictEqual([s.outcome, await marks(c), await open(c)], ['rolled back', ['1'], []]);
		let using;
		try {
			using = new vm.Script(`(async (pgwith, c, mark) => {
				{ await using s = await pgwith.enter(c, { scope: 'a' }); await mark(c, '3'); await s.leave(); }
				{ await using s = await pgwith.enter(c, { scope: 'a' }); await mark(c, '4'); }
				try { await using s = await pgwith.enter(c, { scope: 'a' }); await mark(c, '5'); throw new Error('x'); } catch (e) { }
			})`).runInThisContext();
		} catch (e) {
			assert.ok(e instanceof SyntaxError);
			console.log('this Node.js has no `await using`');
			return;
		}
		await using(pgwith, c, mark);
		assert.deepStrictEqual([await marks(c), await open(c)], [['1', '3'], []]);
	},

	async pools() {
		const pool = new Pool({ ...target, max: 3 });
		await fails(pgwith.UsageError, pgwith.enter(pool, { scope: 'a' }));
		await Promise.all(Array.from({ length: 20 }, async (_, n) => {
			const c = await pool.connect();
			try {
				await pgwith.scopes(c, [{ lock: 'l' }, { scope: 'a' }], () => mark(c, String(n)));
			} finally {
				c.release();
			}
		}));
		await pool.end();
		assert.strictEqual((await marks(await connect())).length, 20);
	},
};

tests[name]().then(() => Promise.all(clients.map((c) => c.end().catch(() => {})))).catch((e) => {
	console.error(e);
	process.exit(1);
});
