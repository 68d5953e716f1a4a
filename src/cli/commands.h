/* commands: the table of pgwith's subcommands. The summary, the help, the completions of the shells
 * and the check of the manual are made from it. */
#ifndef PGWITH_CLI_COMMANDS_H
#define PGWITH_CLI_COMMANDS_H

#include <stdbool.h>
#include <stdio.h>

#include "cli/ask.h"
#include "cli/table.h"

#define COMMANDS_DATABASES_MAX 256 /* how often --database may be given */
#define COMMANDS_WANTED_MAX    64  /* how many --lock, --semaphore, --pool and so on may be given */

/* Something that `run` is to enter. */
struct commands_wanted {
	int option; /* OPTIONS_LOCK, OPTIONS_SHARED_LOCK, OPTIONS_SEMAPHORE or OPTIONS_POOL */
	const char *text;
};

/* The options of the command line. */
struct commands_how {
	struct ask_whom whom;
	/* Which options are given: bit i is that of options_table()[i]. And whether -o is, which
	 * means --columns or --output, as the command takes it. */
	uint64_t given;
	bool given_o;
	bool timeout_given; /* --timeout was given: it limits commands that wait for others, too */
	struct table_look look;
	bool all;            /* print every column, where an aligned table has only some */
	const char *columns; /* the names of the columns to print, or NULL */
	int64_t max_wait_us; /* status: a longer wait is trouble */
	int64_t watch_us;    /* interval of --watch; 0: run once */
	/* with --watch: the time, which becomes a column of JSON and CSV; otherwise NULL */
	const char *stamp;
	bool dot;         /* of `waits`: print a graph for Graphviz */
	bool with_server; /* of `waits`: ask PostgreSQL, too */
	const char *pool; /* of `set` and `trace`: only this pool; or NULL */
	/* of `set`: only this section; or NULL */
	const char *cluster, *role, *uid, *scope;
	const char *config; /* of `doctor` and `waits`: the configuration file; or NULL */
	bool socket_given;  /* of `doctor`: the socket is given on the command line */
	/* of `import`: the file to write the passwords to; or NULL */
	const char *passfile;
	/* of `import`: databases that PgBouncer has by its fallback: each becomes a pool */
	const char *databases[COMMANDS_DATABASES_MAX];
	unsigned ndatabases;
	/* of `metrics` and `trace`: the file to write to, or NULL, which is then `columns` (-o) */
	const char *output;
	/* of `trace`: how long to record; the recording to report on, or NULL */
	int64_t seconds;
	const char *report;
	/* of `top`: the time between rounds (0: the default); to print one page only */
	int64_t interval_us;
	bool once;
	/* of `run`: what to enter, in the order of the command line */
	struct commands_wanted wanted[COMMANDS_WANTED_MAX];
	unsigned nwanted;
	const char *on;        /* of `run`: the pool whose PostgreSQL has the locks; or NULL */
	int64_t wait_us;       /* of `run`: the limit of the wait; -1: none */
	int64_t deadline_us;   /* of `run`: the limit of everything; 0: none */
	int64_t kill_after_us; /* of `run`: between SIGTERM and SIGKILL */
	int wait_status;       /* of `run`: the exit status if the wait is over */
	const char *isolation; /* of `run`: the isolation level, or NULL */
	const char *url;       /* of `run`: the variable for a connection URL, or NULL */
	bool reads_only, rolls_back, no_transaction, allows_outside, quiet;
	char **program; /* the words of the program to run, ending in NULL; or NULL */
};

/* The kind of a command's argument, for completion. */
enum commands_word {
	COMMANDS_NOTHING,
	COMMANDS_POOL,
	COMMANDS_SHOW,     /* words of the console */
	COMMANDS_KILL,     /* kind, then id or name */
	COMMANDS_OPTION,   /* of the configuration */
	COMMANDS_SHUTDOWN, /* when */
	COMMANDS_SHELL,
	COMMANDS_COMMAND,
	COMMANDS_PROGRAM,
	COMMANDS_FILE
};

struct commands_entry {
	const char *name;
	const char *arguments; /* for people; "" if there are none */
	unsigned min_args, max_args;
	enum commands_word word;
	bool local; /* needs no connection to pgwithd: `ask` is NULL */
	bool own;   /* a role that is no administrator's sees only sessions of its own */
	bool waits; /* it waits for others, without a time limit of its own */
	/* The first word behind the command is a program's name, and what follows is for that
	 * program: `program` of the command line, and no arguments. */
	bool takes_program;
	/* the exit status if the command line is wrong; 0: ASK_USAGE */
	int usage_status;
	/* the statement for the console, or its first words; NULL: `run` makes it */
	const char *statement;
	const char *columns; /* the columns of an aligned table; NULL: all */
	/* the options that it takes beside those that each command takes: long names, each with a
	 * blank behind it. --watch is not among them: every command that looks takes it */
	const char *options;
	enum ask_status (*run)(const struct commands_entry *, const struct commands_how *,
			       struct ask *ask, char **args);
	const char *help;    /* one line */
	const char *details; /* further lines, for `pgwith help NAME`; or NULL */
};

/* The table. */
const struct commands_entry *commands_table(unsigned *count);

/* The entry of that name. If there is none, NULL, and stderr says so and names the nearest one. */
const struct commands_entry *commands_find(const char *name);

/* The same, without a word on stderr. */
const struct commands_entry *commands_named(const char *name);
/* The exit status of a command line that is wrong; `entry` may be NULL. */
enum ask_status commands_usage_status(const struct commands_entry *entry);

/* Prints every subcommand with its line of help. */
void commands_list(FILE *);
/* Prints the help of one subcommand. */
void commands_help(const struct commands_entry *, FILE *);

/* Does the command take the option of that long name? */
bool commands_takes(const struct commands_entry *, const char *option);

/* Runs the command with `args` (ending in NULL); repeats it if --watch is given. Returns the exit
 * status. */
enum ask_status commands_run(const struct commands_entry *, const struct commands_how *,
			     char **args);

#endif
