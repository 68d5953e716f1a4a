declare global {
	interface SymbolConstructor {
		readonly asyncDispose: unique symbol;
	}
}

/** Milliseconds, or a text as in pgwith.conf(5): '250ms', '5s'. */
export type Duration = number | string;
export type Isolation = 'serializable' | 'repeatable read' | 'read committed' | 'read uncommitted';
export type Value = string | number | bigint | boolean | null | undefined;

/** A Client of pg, or what the connect() of its Pool gives. */
export interface Client {
	query(text: string): Promise<unknown>;
}

export interface Limits {
	/** how long to wait for it; 0: not at all */
	wait?: Duration;
	/** how long it may last, from the asking for it */
	deadline?: Duration;
	/** errors of the database end with it */
	suppress?: boolean;
}
export interface TransactionOptions extends Limits {
	pool?: string;
	/** a transaction of its own inside of another one of that pool */
	fresh?: boolean;
	readOnly?: boolean;
	isolation?: Isolation;
}
export interface DefinedOptions extends Limits {
	args?: readonly Value[];
	as?: string;
	pool?: string;
}
export interface LockOptions extends Limits {
	shared?: boolean;
	as?: string;
	/** an advisory lock in that pool's database */
	pool?: string;
}
export interface SemaphoreOptions extends Limits {
	as?: string;
}
export type Item =
	| ({ scope: string } & TransactionOptions)
	| ({ defined: string } & DefinedOptions)
	| ({ lock: string } & LockOptions)
	| ({ semaphore: string; limit: number } & SemaphoreOptions);

/** Open scopes, one or several that were entered together. */
export class Scope {
	private constructor();
	readonly name: string;
	readonly names: string[];
	readonly outcome: 'open' | 'success' | 'rolled back' | 'lost' | 'unknown';
	/** Statements go to this scope's transaction, or to that of the one with this name, from now on. */
	use(name?: string): Promise<void>;
	/** Has a statement run when the innermost scope with a transaction is left. */
	defer(sql: string, on?: 'commit' | 'rollback'): Promise<void>;
	/** Commits; or, with an error, rolls back and throws it. */
	leave(error?: unknown): Promise<void>;
	rollback(): Promise<void>;
	/** `await using`: what has not been left by then is rolled back. */
	[Symbol.asyncDispose](): Promise<void>;
}

/** Enters the items, from left to right: for `await using`, or to be left by leave(). */
export function enter(client: Client, ...items: [Item, ...Item[]]): Promise<Scope>;

type Work<T> = (scope: Scope) => T | PromiseLike<T>;

/** Enters the items, calls work(scope), and leaves them. undefined: a scope has suppressed its error. */
export function scopes<T>(client: Client, items: readonly Item[], work: Work<T>): Promise<T | undefined>;
export function scope<T>(client: Client, name: string, work: Work<T>): Promise<T>;
export function scope<T>(client: Client, name: string, options: TransactionOptions & { suppress?: false }, work: Work<T>): Promise<T>;
export function scope<T>(client: Client, name: string, options: TransactionOptions, work: Work<T>): Promise<T | undefined>;
export function defined<T>(client: Client, name: string, work: Work<T>): Promise<T>;
export function defined<T>(client: Client, name: string, options: DefinedOptions & { suppress?: false }, work: Work<T>): Promise<T>;
export function defined<T>(client: Client, name: string, options: DefinedOptions, work: Work<T>): Promise<T | undefined>;
export function lock<T>(client: Client, name: string, work: Work<T>): Promise<T>;
export function lock<T>(client: Client, name: string, options: LockOptions & { suppress?: false }, work: Work<T>): Promise<T>;
export function lock<T>(client: Client, name: string, options: LockOptions, work: Work<T>): Promise<T | undefined>;
export function semaphore<T>(client: Client, name: string, limit: number, work: Work<T>): Promise<T>;
export function semaphore<T>(client: Client, name: string, limit: number, options: SemaphoreOptions & { suppress?: false }, work: Work<T>): Promise<T>;
export function semaphore<T>(client: Client, name: string, limit: number, options: SemaphoreOptions, work: Work<T>): Promise<T | undefined>;
export function defer(client: Client, sql: string, on?: 'commit' | 'rollback'): Promise<void>;

/** Whatever goes wrong with a scope. */
export class PgwithError extends Error {
	readonly scope?: string;
	/** the error of pg, if there is one */
	readonly cause?: unknown;
	/** SQLSTATE */
	readonly code?: string;
	readonly detail?: string;
	readonly hint?: string;
}
/** The program asks for something that is not possible there; nothing was entered. */
export class UsageError extends PgwithError {}
/** The scope could not be entered, and nothing is held. */
export class EnterError extends PgwithError {}
/** No server connection, lock or semaphore became free in time, or too many wait already. */
export class WaitTimeout extends EnterError {}
/** Sessions would wait for each other for ever. */
export class Deadlock extends EnterError {}
export class EnterCanceled extends EnterError {}
/** PostgreSQL cannot be reached. */
export class Unreachable extends EnterError {}
/** The daemon has ended the scope while it was open: it was rolled back, and the connection goes on. */
export class ScopeEnded extends PgwithError {}
export class DeadlineExceeded extends ScopeEnded {}
export class ScopeKilled extends ScopeEnded {}
/** A statement had failed in it, and the program went on: all was rolled back. */
export class ScopeFailed extends PgwithError {}
/** PostgreSQL has refused the commit, and all was rolled back. */
export class CommitRefused extends PgwithError {
	readonly retryable: boolean;
}
/** The connection was lost or had to be closed with the scope open. */
export class ScopeLost extends PgwithError {}
/** The connection was lost while the scope was committed: that may have been done or not. */
export class OutcomeUnknown extends ScopeLost {}

export function quoteName(text: string): string;
export function quoteString(text: string): string;
