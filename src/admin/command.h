/* command: the one table of console commands. Whatever else needs the knowledge (parsing, HELP,
 * Describe, privileges) reads it. No protocol here. */
#ifndef PGWITH_ADMIN_COMMAND_H
#define PGWITH_ADMIN_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "admin/level.h"
#include "admin/show.h"
#include "base/err.h"
#include "wire/sqltext.h"

#define COMMAND_ARGS     2  /* arguments that are kept */
#define COMMAND_ARG_MAX  63 /* bytes of one, as of any name in PostgreSQL */
#define COMMAND_ANY_ARGS ((unsigned)-1)
#define COMMAND_TEXT_MAX 1023 /* bytes of arguments that are kept as they were written */

/* What a command works on. */
struct command_call {
	struct daemon *daemon;
	struct session *session; /* whose console it is */
	enum level level;        /* its */
	const struct command_stmt *stmt;
	struct rows *rows;    /* where its rows go */
	bool *in_block;       /* the session is between BEGIN and COMMIT */
	struct show_ids *ids; /* between the calls of one that goes on */
	char **notice;        /* NULL; a command may put a notice for people here, allocated */
	struct err *warning;  /* ERR_NONE; a command may put one for people here */
};

struct command {
	const char *words;     /* upper case, one space between them */
	const char *arguments; /* for people, "" if there are none */
	unsigned min_args, max_args;
	enum level level; /* that is needed to use it */
	/* That is needed to see or touch sessions of others with it. One who has less sees and
	 * touches only his own. */
	enum level others;
	bool as_written;         /* its arguments are kept as a text */
	const char *tag;         /* of CommandComplete */
	const struct show *show; /* NULL: no rows */
	/* NULL: show. Returns 0, or -E_... with the error in *e. */
	int (*run)(const struct command_call *, struct err *e);
	/* NULL, or what is asked once in a while after run(): has what it waits for come about?
	 * Returns 0, -E_AGAIN, or -E_... with the error in *e. */
	int (*wait)(const struct command_call *, struct err *e);
	const char *help;              /* NULL: not listed */
	const char *parameter, *value; /* that drivers ask for */
};

/* One statement as the table understands it. Owns nothing. */
struct command_stmt {
	const struct command *command; /* NULL: an empty statement */
	unsigned nargs;                /* tokens behind the command's words */
	char args[COMMAND_ARGS][COMMAND_ARG_MAX + 1];
	char text[COMMAND_TEXT_MAX + 1]; /* as_written */
	/* What its one column looks like, if it shows a parameter. */
	struct column parameter;
};

/* Understands one statement and checks that a session of this level may use it, with this many
 * arguments. Returns 0; or -E_SYNTAX or -E_STATE with the error in *e. */
int command_read(const char *text, size_t bytes, enum level, struct command_stmt *, struct err *e);

/* The columns of the answer; 0 if it has no rows. */
unsigned command_columns(const struct command_stmt *, const struct column **);

/* Runs it. Returns 0, or -E_... with the error in *e. -E_AGAIN: it goes on, by command_go_on(), for
 * as often as that returns -E_AGAIN: if call->ids has any, in the next turn of the loop, since
 * there are more rows; otherwise it waits for something, and is to be asked once in a while. */
int command_run(const struct command_call *, struct err *e);
int command_go_on(const struct command_call *, struct err *e);

/* The `i`-th of the table, or NULL. */
const struct command *command_at(unsigned i);
#endif
