/* direct: a connection to the PostgreSQL of a pool, made as the daemon makes its own. */
#ifndef PGWITH_CLI_DIRECT_H
#define PGWITH_CLI_DIRECT_H

#include <libpq-fe.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "conf/conf.h"

#define DIRECT_AT_ONCE 16 /* pools that are connected to side by side */

struct direct {
	/* Set by the caller, and kept by it: */
	const struct conf_pool *pool;
	const char *user;        /* the role to log in as; NULL: that of the conninfo */
	const char *application; /* application_name */
	int64_t timeout_us;      /* of connecting, if connect_timeout is not shorter; of a query */
	/* The outcome, after direct_join(): */
	PGconn *conn;     /* its status is CONNECTION_OK, or it could not be connected to */
	char *why;        /* why not; or NULL */
	char sqlstate[6]; /* SQLSTATE of that, if the server sent one; or "" */
	/* private: */
	pthread_t thread;
	bool threaded;
};

/* Begins to connect, in a thread of its own, because libpq blocks while it looks up names.
 * direct_join() waits until that has ended. */
void direct_start(struct direct *);
void direct_join(struct direct *);

/* Runs one statement that returns rows. NULL if it fails, or takes longer than the time limit: then
 * `why` (or NULL) says why. The caller frees the result by PQclear(). */
PGresult *direct_query(const struct direct *, const char *sql, char *why, size_t why_size);

/* The same for a statement with the argument $1 (`argument`; NULL: it has none). If it fails,
 * sqlstate is that of the server's error, or "". */
PGresult *direct_ask(const struct direct *, const char *sql, const char *argument, char sqlstate[6],
		     char *why, size_t why_size);

/* Closes the connection and frees what the outcome points to. */
void direct_clear(struct direct *);

#endif
