/* commands: the table of pgwith's subcommands. */
#ifndef PGWITH_CLI_COMMANDS_H
#define PGWITH_CLI_COMMANDS_H

#include <stdbool.h>
#include <stdio.h>

#include "cli/ask.h"
#include "cli/table.h"

/* What the command line says. */
struct commands_how {
	struct ask_whom whom;
	enum table_format format;
	bool header;
	bool all;            /* every column, where an aligned table has only some */
	const char *columns; /* those that are wanted, or NULL */
	int64_t max_wait_us; /* status: a longer wait is trouble */
};

struct commands_entry {
	const char *name;
	const char *arguments; /* for people, "" if there are none */
	unsigned max_args;
	const char *statement; /* for the console; NULL: `run` knows */
	const char *columns;   /* of an aligned table; NULL: all */
	enum ask_status (*run)(const struct commands_entry *, const struct commands_how *,
			       char **args);
	const char *help;    /* one line */
	const char *details; /* more, for `pgwith help NAME`; or NULL */
};

/* The entry of that name. NULL if there is none: stderr says so, and which one is near. */
const struct commands_entry *commands_find(const char *name);

/* Every subcommand with its line of help. */
void commands_list(FILE *);

/* Runs it, with `args` (ending in NULL). Returns the exit status. */
enum ask_status commands_run(const struct commands_entry *, const struct commands_how *,
			     char **args);

#endif
