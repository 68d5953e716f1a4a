/* asuser: does what the daemon would do, as the daemon's user: with its groups, its environment and
 * its view of the file system. */
#ifndef PGWITH_CLI_ASUSER_H
#define PGWITH_CLI_ASUSER_H

#include <stdbool.h>
#include <sys/types.h>

#include "cli/findings.h"

struct asuser {
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	int ngroups;
	pid_t pid;  /* of the daemon; 0: it does not run, or cannot be seen */
	char *name; /* of the user, or its uid in digits */
};

/* Whoever runs the process of that pid (0: not known), whose uid and gid are these. */
void asuser_of_process(struct asuser *, pid_t, uid_t, gid_t);
/* A user by name. False if there is none. */
bool asuser_of_name(struct asuser *, const char *name);
void asuser_clear(struct asuser *);

/* Are we that user already, or can we become it? */
bool asuser_possible(const struct asuser *);

/* look(findings, arg) as that user, in a process of its own unless we are the user already; what it
 * finds is added to the findings. */
void asuser_look(const struct asuser *, struct findings *,
		 void (*look)(struct findings *, void *arg), void *arg);

#endif
