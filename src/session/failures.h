/* failures: logins by password, counted: how many proved it, how many did not, and who these were,
 * by system user and role. */
#ifndef PGWITH_SESSION_FAILURES_H
#define PGWITH_SESSION_FAILURES_H

#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "base/pack.h"

#define FAILURES_MAX     100 /* rows; the one that has not failed for longest goes first */
#define FAILURES_PROGRAM 16  /* bytes of a program's name, its NUL counted: proc(5), comm */

/* Failures of one system user as one role. */
struct failure {
	struct list_node node; /* in failures->rows */
	uid_t uid;
	char *role;
	uint64_t count;
	int64_t at; /* the last one: wall clock, seconds */
	pid_t pid;  /* of that client, and its program ("": not known) */
	char program[FAILURES_PROGRAM];
};

struct failures {
	uint64_t proved;
	uint64_t wrong;
	struct list rows; /* of struct failure: the one that has failed last stands last */
};

void failures_init(struct failures *);
void failures_clear(struct failures *);

/* Counts one. `program` may be NULL. */
void failures_add(struct failures *, uid_t, const char *role, pid_t, const char *program,
		  int64_t at);

/* For the handover. */
void failures_pack(struct pack *, struct failures *);

#endif
