/* ask: a question to the console of pgwithd, over libpq. Nothing of the environment but what the
 * caller says has a part in it: PGHOST, PGSSLMODE, PGSERVICE and the like are for other servers. */
#ifndef PGWITH_CLI_ASK_H
#define PGWITH_CLI_ASK_H

#include <stdint.h>

#include "cli/table.h"

/* What became of it; the exit statuses of pgwith. */
enum ask_status {
	ASK_GOOD = 0,
	ASK_TROUBLE = 1, /* the answer is there, and it is no good news; or it could not be done */
	ASK_USAGE = 2,   /* the question cannot be understood */
	ASK_UNREACHABLE = 3, /* nobody is there, or does not answer in time */
	ASK_REFUSED = 4,     /* the user may not ask that */
	ASK_CANCELLED =
	    5 /* it was waited for, and then cancelled: by a signal, or after the time */
};

struct ask_whom {
	const char *directory; /* of the socket */
	const char *port;
	const char *user;   /* NULL: the operating system's user */
	int64_t timeout_us; /* for login and answer each */
};

struct ask;

/* Takes out of the environment what libpq would read by itself. ask_open() does it, too. */
void ask_forget_environment(void);

/* Connects. On failure *ask is NULL and the reason is on stderr. */
enum ask_status ask_open(const struct ask_whom *, struct ask **ask);
void ask_close(struct ask *);

/* Asks with one statement. On failure *answer is NULL and the reason is on stderr; otherwise the
 * caller frees it. Notices and warnings go to stderr. */
enum ask_status ask_for(struct ask *, const char *statement, struct table **answer);

/* The same with a statement that may wait for others: for at most `limit_us` (0: however long), and
 * then, or on SIGINT or SIGTERM, it is cancelled. A second signal does not wait for that. */
enum ask_status ask_wait(struct ask *, const char *statement, int64_t limit_us,
			 struct table **answer);

/* As ask_wait(), with a statement that ends pgwithd: that it goes is a good answer. */
enum ask_status ask_end(struct ask *, const char *statement, int64_t limit_us,
			struct table **answer);

/* `text` as the console reads it back: in double quotes (a name), in single ones (a value). The
 * caller frees. */
char *ask_name(const char *text);
char *ask_value(const char *text);

#endif
