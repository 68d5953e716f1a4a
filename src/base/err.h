/* err: errors. Functions return 0 or one of -E_... An error that a client is told is a struct err;
 * its kind stands with SQLSTATE and message in one table, which the manual is checked against. */
#ifndef PGWITH_BASE_ERR_H
#define PGWITH_BASE_ERR_H

#include <stdbool.h>

/* Results of functions, returned negated. */
enum {
	E_SYNTAX = 1, /* a text, or bytes, cannot be understood */
	E_RANGE,      /* a value is out of bounds */
	E_STATE,      /* not possible in this state */
	E_AGAIN,      /* the call would block, or more bytes are needed */
	E_CLOSED,     /* the other side is gone */
	E_IO,         /* a system call failed; errno says why */
	E_TOOBIG,     /* something exceeds a maximum */
	E_NOTFOUND,
};

/* Every error that pgwith itself reports to a client. */
enum err_id {
	ERR_NONE,
	/* refused at login */
	ERR_PROTOCOL_VIOLATION,
	ERR_MALFORMED,
	ERR_PROTOCOL_VERSION,
	ERR_STARTUP_LAYOUT,
	ERR_NO_USER,
	ERR_NOT_ALLOWED,
	ERR_NOT_A_USER,
	ERR_ROLE_NOT_A_USER,
	ERR_USER_LOOKUP,
	ERR_NO_POOL,
	ERR_POOL_DISABLED,
	ERR_TOO_MANY_CLIENTS,
	ERR_TOO_MANY_OF_ROLE,
	ERR_TOO_MANY_OF_UID,
	ERR_REPLICATION,
	ERR_STARTUP_OPTION,
	ERR_STARTUP_VALUE,
	ERR_PASSWORD,
	ERR_PASSWORD_UNKNOWN,
	ERR_PASSWORD_TIMEOUT,
	ERR_SASL,
	ERR_SASL_UNSUPPORTED,
	/* entering */
	ERR_WAIT_TIMEOUT,
	ERR_NOT_FREE,
	ERR_QUEUE_FULL,
	ERR_SERVER_UNREACHABLE,
	ERR_NO_PASSWORD,
	ERR_CANCELED_WAITING,
	ERR_STATEMENT_KILLED,
	ERR_RESET_CANCELED,
	ERR_IN_FAILED_TRANSACTION,
	ERR_SEQUENCES,
	ERR_STATEMENT_MODE,
	ERR_PIN_OFF,
	ERR_PIN_APART,
	ERR_TRANSACTION_EXPIRED,
	/* scopes */
	ERR_SCOPE_SYNTAX,
	ERR_SCOPE_VALUE,
	ERR_SCOPE_UNSUPPORTED,
	ERR_SCOPE_TOO_LONG,
	ERR_SCOPE_TOO_MANY,
	ERR_SCOPE_NO_POOL,
	ERR_SCOPE_NOT_DEFINED,
	ERR_SCOPE_EXISTS,
	ERR_SCOPE_UNKNOWN,
	ERR_SCOPE_NONE,
	ERR_SCOPE_ORDER,
	ERR_SCOPE_NO_TRANSACTION,
	ERR_SCOPE_IN_TRANSACTION,
	ERR_SCOPE_ABORTED,
	ERR_SCOPE_END,
	ERR_SCOPE_POINT,
	ERR_SAVEPOINT_UNKNOWN,
	ERR_SCOPE_FAILED,
	ERR_SCOPE_DEADLINE,
	ERR_SCOPE_IDLE,
	ERR_SCOPE_QUERY,
	ERR_SCOPE_KILLED,
	ERR_SCOPE_LOCK_WAIT,
	ERR_SCOPE_LOCK_HELD,
	ERR_SCOPE_CANCELED,
	ERR_SCOPE_DEADLOCK,
	ERR_SCOPE_STATEMENT,
	ERR_SCOPE_SWEPT,
	/* joined scopes */
	ERR_JOINABLE_PINNED,
	ERR_JOIN_TOKEN,
	ERR_JOIN_REFUSED,
	ERR_JOIN_STATE,
	ERR_JOIN_STATEMENT,
	ERR_JOINED_ENDED,
	ERR_JOINED_LOST,
	/* while leased */
	ERR_SERVER_LOST,
	ERR_LISTEN_FAILED,
	ERR_LISTEN_LOST,
	ERR_LISTEN_SLOW,
	ERR_STARTUP_REFUSED,
	ERR_SETTINGS_REFUSED,
	ERR_SETUP_FAILED,
	ERR_MESSAGE_TOO_LONG,
	/* the end */
	ERR_SHUTDOWN,
	ERR_KILLED,
	ERR_DRAINED,
	/* console */
	ERR_CONSOLE_SYNTAX,
	ERR_CONSOLE_UNSUPPORTED,
	ERR_CONSOLE_DENIED,
	ERR_CONSOLE_OPTION,
	ERR_CONSOLE_RELOAD,
	ERR_CONSOLE_UNKNOWN,
	ERR_CONSOLE_STATE,
	ERR_CONSOLE_CANCELED,
	ERR_STATEMENT_UNKNOWN,
	ERR_STATEMENT_EXISTS,
	ERR_PORTAL_UNKNOWN,
	ERR_PORTAL_EXISTS,
	ERR_N
};

/* One row of the table. */
struct err_kind {
	const char *name;     /* as in the manual: wait_timeout */
	const char *sqlstate; /* five characters */
	bool fatal;           /* severity FATAL and the session ends; otherwise ERROR */
	const char *message;  /* printf format; a comment in err.c names the arguments */
	const char *hint;     /* what can be done about it, or NULL */
};

/* The row of an id; that of ERR_NONE has the name "none". */
const struct err_kind *err_kind(enum err_id);

/* An error with its texts, which belong to it. */
struct err {
	enum err_id id;
	char sqlstate[6]; /* the kind's; or that of a server's error which is passed on */
	char *message;
	char *detail;      /* or NULL */
	char *hint;        /* or NULL */
	unsigned position; /* of the error in the statement, in characters from 1; 0: none */
};

/* Makes *e, which is uninitialised or cleared, an error of that kind. The arguments are those of
 * the kind's message. The hint is the kind's, until err_hint(). */
void err_make(struct err *e, enum err_id, ...);
void err_detail(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void err_hint(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A deep copy. */
void err_copy(struct err *to, const struct err *from);
/* Frees the texts. *e is ERR_NONE then. */
void err_clear(struct err *e);

#endif
