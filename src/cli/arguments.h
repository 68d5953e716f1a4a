/* arguments: the command line of pgwith. */
#ifndef PGWITH_CLI_ARGUMENTS_H
#define PGWITH_CLI_ARGUMENTS_H

#include <stdbool.h>
#include <stdio.h>

#include "cli/commands.h"

#define ARGUMENTS_MAX 16 /* words of the command line that are no options */

struct arguments {
	struct commands_how how;
	bool help;
	char *words[ARGUMENTS_MAX + 1]; /* ending in NULL */
	unsigned nwords;
};

/* Reads the command line. The strings that *arguments points to belong to argv and the environment.
 * Returns -1 to go on; otherwise the exit status: the version has been printed, or stderr says what
 * is wrong. */
int arguments_read(int argc, char **argv, struct arguments *);

void arguments_usage(FILE *);

#endif
