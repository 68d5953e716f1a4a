import pgwith from './index.js';

export const {
	enter, scopes, scope, lock, defined, semaphore, defer, Scope, PgwithError, UsageError, EnterError, WaitTimeout, Deadlock,
	EnterCanceled, Unreachable, ScopeEnded, DeadlineExceeded, ScopeKilled, ScopeFailed, CommitRefused, ScopeLost, OutcomeUnknown,
	quoteName, quoteString,
} = pgwith;
export default pgwith;
