/* asuser: calls a function as the user of the daemon, with the daemon's groups, environment and
 * view of the file system. */
#ifndef PGWITH_CLI_ASUSER_H
#define PGWITH_CLI_ASUSER_H

#include <stdbool.h>
#include <sys/types.h>

#include "cli/findings.h"
#include "cli/table.h"

struct asuser {
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	int ngroups;
	pid_t pid;  /* the daemon's; 0: it does not run, or its process cannot be read */
	char *name; /* of the user; without a name, the uid in digits */
};

/* The user of process `pid` (0: not known). `uid` and `gid` are the process's. */
void asuser_of_process(struct asuser *, pid_t, uid_t, gid_t);
/* A user by name. False if there is none. */
bool asuser_of_name(struct asuser *, const char *name);
void asuser_clear(struct asuser *);

/* Are we that user, or can we become it? */
bool asuser_possible(const struct asuser *);

/* Calls look(table, arg) as that user: in a child process, unless we are the user already, or
 * cannot become it. The rows that it adds to the table, whose columns are there, are added here.
 * False if that fails, with a reason in `why`. */
bool asuser_rows(const struct asuser *, struct table *, void (*look)(struct table *, void *arg),
		 void *arg, char *why, size_t why_size);

/* The same with findings; a failure is one, too. */
void asuser_look(const struct asuser *, struct findings *,
		 void (*look)(struct findings *, void *arg), void *arg);

/* Is it not known that the administrator has made this user the daemon's, whose socket is in
 * `directory` and whose configuration is the file `config`? Then root must not act as the user:
 * what is configured, passwords among it, would be that user's, and so would the view of the file
 * system. */
bool asuser_is_stranger(uid_t, const char *directory, const char *config);

#endif
