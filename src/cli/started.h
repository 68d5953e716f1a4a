/* started: how the pgwithd that runs was started: its arguments and its environment, from /proc. */
#ifndef PGWITH_CLI_STARTED_H
#define PGWITH_CLI_STARTED_H

#include "cli/commands.h"
#include "conf/cmdline.h"

struct started {
	struct conf_input input; /* what the configuration is made of */
	struct cmdline cmdline;
	char *arguments, *environment; /* as in /proc: strings, each with its NUL */
	size_t environment_bytes;
	char **words, **variables; /* lists of them, ended by NULL */
	char *path;                /* of its file, if that was relative to its folder */
};

/* Finds out what configuration to look at: the file that `how` names; else that of the pgwithd
 * which listens at the socket of `how`, with what its command line sets; else that of
 * $PGWITH_CONFIG or the system's. The environment is that of the pgwithd, if we may read it, else
 * ours. A pgwithd of a user who may be anybody is not believed: see asuser_is_stranger(). The
 * caller clears. */
void started_find(struct started *, const struct commands_how *how);
void started_clear(struct started *);

#endif
