/* commands: the table of pgwith's subcommands. The summary, the help, the completions of the shells
 * and the check of the manual are made from it. */
#ifndef PGWITH_CLI_COMMANDS_H
#define PGWITH_CLI_COMMANDS_H

#include <stdbool.h>
#include <stdio.h>

#include "cli/ask.h"
#include "cli/table.h"

#define COMMANDS_DATABASES_MAX 256 /* of --database */

/* What the command line says. */
struct commands_how {
	struct ask_whom whom;
	bool timeout_given; /* then it bounds what waits for others, too */
	struct table_look look;
	bool all;            /* every column, where an aligned table has only some */
	const char *columns; /* those that are wanted, or NULL */
	int64_t max_wait_us; /* status: a longer wait is trouble */
	int64_t watch_us;    /* 0: once */
	const char *stamp;  /* watched: the time, which becomes a column of JSON and CSV; or NULL */
	const char *pool;   /* set: of that pool only; or NULL */
	const char *config; /* doctor: the file; or NULL */
	bool socket_given;  /* doctor: whom is said on the command line */
	const char *passfile;                          /* import: where the passwords go; or NULL */
	const char *databases[COMMANDS_DATABASES_MAX]; /* import: pools for the fallback */
	unsigned ndatabases;
};

/* What an argument is, for completion. */
enum commands_word {
	COMMANDS_NOTHING,
	COMMANDS_POOL,
	COMMANDS_SHOW,     /* words of the console */
	COMMANDS_KILL,     /* kind, then id or name */
	COMMANDS_OPTION,   /* of the configuration */
	COMMANDS_SHUTDOWN, /* when */
	COMMANDS_SHELL,
	COMMANDS_COMMAND,
	COMMANDS_FILE
};

struct commands_entry {
	const char *name;
	const char *arguments; /* for people, "" if there are none */
	unsigned min_args, max_args;
	enum commands_word word;
	bool local;            /* needs no pgwithd: `ask` is NULL */
	bool waits;            /* for others, with no time limit of its own */
	const char *statement; /* for the console, or its first word; NULL: `run` knows */
	const char *columns;   /* of an aligned table; NULL: all */
	enum ask_status (*run)(const struct commands_entry *, const struct commands_how *,
			       struct ask *ask, char **args);
	const char *help;    /* one line */
	const char *details; /* more, for `pgwith help NAME`; or NULL */
};

/* The table. */
const struct commands_entry *commands_table(unsigned *count);

/* The entry of that name. NULL if there is none: stderr says so, and which one is near. */
const struct commands_entry *commands_find(const char *name);

/* Every subcommand with its line of help. */
void commands_list(FILE *);
/* More about one. */
void commands_help(const struct commands_entry *, FILE *);

/* Runs it, with `args` (ending in NULL), again and again if it is to be watched. Returns the exit
 * status. */
enum ask_status commands_run(const struct commands_entry *, const struct commands_how *,
			     char **args);

#endif
