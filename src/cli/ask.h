/* ask: a question to the console of pgwithd, over libpq. Nothing of the environment but what the
 * caller says has a part in it: PGHOST, PGSSLMODE, PGSERVICE and the like are for other servers. */
#ifndef PGWITH_CLI_ASK_H
#define PGWITH_CLI_ASK_H

#include <stdint.h>

#include "cli/table.h"

/* What became of it; the exit statuses of pgwith. */
enum ask_status {
	ASK_GOOD = 0,
	ASK_TROUBLE = 1,     /* the answer is there, and it is no good news */
	ASK_USAGE = 2,       /* the question cannot be understood */
	ASK_UNREACHABLE = 3, /* nobody is there, or does not answer in time */
	ASK_REFUSED = 4      /* the user may not ask that */
};

struct ask_whom {
	const char *directory; /* of the socket */
	const char *port;
	const char *user;   /* NULL: the operating system's user */
	int64_t timeout_us; /* for login and answer each */
};

struct ask;

/* Connects. On failure *ask is NULL and the reason is on stderr. */
enum ask_status ask_open(const struct ask_whom *, struct ask **ask);
void ask_close(struct ask *);

/* Asks with one statement. On failure *answer is NULL and the reason is on stderr; otherwise the
 * caller frees it. */
enum ask_status ask_for(struct ask *, const char *statement, struct table **answer);

#endif
