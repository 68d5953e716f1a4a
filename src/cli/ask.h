/* ask: sends statements to the console of pgwithd, over libpq. Of the environment libpq uses
 * nothing but what the caller passes, and PGPASSWORD and PGPASSFILE: PGHOST, PGSSLMODE, PGSERVICE
 * and the like are meant for other servers. */
#ifndef PGWITH_CLI_ASK_H
#define PGWITH_CLI_ASK_H

#include <stddef.h>
#include <stdint.h>

#include "cli/table.h"

struct ucred;

/* The outcome. These are the exit statuses of pgwith. */
enum ask_status {
	ASK_GOOD = 0,
	ASK_TROUBLE = 1,     /* there is an answer, and it is bad news; or the command failed */
	ASK_USAGE = 2,       /* the command is wrong */
	ASK_UNREACHABLE = 3, /* pgwithd cannot be reached, or does not answer in time */
	ASK_REFUSED = 4,     /* the user may not do that */
	ASK_CANCELLED = 5 /* the command waited, and was cancelled by a signal or its time limit */
};

struct ask_whom {
	const char *directory; /* of the socket */
	const char *port;
	const char *user;        /* NULL: the operating system's user */
	const char *database;    /* NULL: the console; otherwise a pool */
	const char *application; /* its application_name; NULL: pgwith */
	int64_t timeout_us;      /* time limit of the login, and of each answer */
};

struct ask;

/* Removes from the environment the variables that libpq would read, and keeps PGPASSWORD and
 * PGPASSFILE for ask_start(). ask_open() does so, too. */
void ask_forget_environment(void);

/* If interrupt_fd() was called before, SIGINT and SIGTERM end each wait for pgwithd but that of
 * ask_wait(): the status is ASK_CANCELLED, stderr says nothing, and the signal is still to be
 * taken. */

/* Connects. On failure *ask is NULL and the reason is on stderr. */
enum ask_status ask_open(const struct ask_whom *, struct ask **ask);
void ask_close(struct ask *);

/* From now on an answer is waited for no longer than that. */
void ask_limit(struct ask *, int64_t timeout_us);

/* Has the connection ended? */
bool ask_is_lost(const struct ask *);

/* The process at the other end, as the operating system names it. False if it does not tell. */
bool ask_peer(const struct ask *, struct ucred *);

/* Connects to the socket without a login. Returns 0 and the process that listens there, as the
 * operating system names it (pid 0: it does not tell), or the errno. */
int ask_listener(const struct ask_whom *, struct ucred *);

/* Is pgwithd alive? ASK_GOOD if it lets the user in, refuses that by an error of its own, or asks
 * for a password that there is not. Otherwise the reason is on stderr. */
enum ask_status ask_ping(const struct ask_whom *);

/* Sends one statement and returns its rows, which the caller frees. On failure *answer is NULL and
 * the reason is on stderr. Notices and warnings go to stderr. */
enum ask_status ask_for(struct ask *, const char *statement, struct table **answer);

/* The same for a statement whose answer is one value of type bytea: its bytes, which the caller
 * frees. NULL if the answer has another shape. After a signal the answer is waited for only
 * ASK_GRACE_US longer: what is under way is not lost. */
#define ASK_GRACE_US (1 * INT64_C(1000000))
enum ask_status ask_bytes(struct ask *, const char *statement, void **data, size_t *bytes);

/* The same as ask_for() for a statement that may wait for others. After `limit_us` (0: no limit),
 * or on SIGINT or SIGTERM, it is cancelled. A second signal ends the process. */
enum ask_status ask_wait(struct ask *, const char *statement, int64_t limit_us,
			 struct table **answer);

/* As ask_wait(), for a statement that ends pgwithd: a connection that ends is success. */
enum ask_status ask_end(struct ask *, const char *statement, int64_t limit_us,
			struct table **answer);

/* ---- for those who wait for the connection themselves, as `pgwith top` does ---- */

struct pg_conn;   /* libpq's PGconn */
struct pg_result; /* libpq's PGresult */

/* Starts a connection, as PQconnectStartParams() does; the caller ends it by PQfinish(). Prints
 * nothing. NULL: the directory of the socket cannot be one. */
struct pg_conn *ask_start(const struct ask_whom *);
/* Prints a message of libpq or pgwithd to stderr, with harmless control characters. */
void ask_say(const char *text);
/* Prints the error of a result. */
void ask_say_error(const struct pg_result *);
/* Why the login failed; *text is valid until PQfinish(), and the next call. */
enum ask_status ask_login_failure(const struct pg_conn *, const char **text);
/* What an error of that SQLSTATE means (NULL: the connection is lost). */
enum ask_status ask_status_of(const char *sqlstate);
/* The rows of a result, which the caller frees. */
struct table *ask_table(const struct pg_result *);

/* `text` quoted for the console: as a name, in double quotes, or as a value, in single quotes. The
 * caller frees. */
char *ask_name(const char *text);
char *ask_value(const char *text);

#endif
