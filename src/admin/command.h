/* command: the table of console commands. Parsing, HELP, Describe and the check of levels are all
 * made from it. Nothing of the protocol is here. */
#ifndef PGWITH_ADMIN_COMMAND_H
#define PGWITH_ADMIN_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "admin/level.h"
#include "admin/show.h"
#include "base/err.h"
#include "wire/sqltext.h"

#define COMMAND_ARGS     2  /* arguments that are kept */
#define COMMAND_ARG_MAX  63 /* bytes of an argument, as of any name in PostgreSQL */
#define COMMAND_ANY_ARGS ((unsigned)-1)
#define COMMAND_TEXT_MAX 1023 /* bytes of arguments that are kept as they were written */

/* What a command is called with. */
struct command_call {
	struct daemon *daemon;
	struct session *session; /* whose console it is */
	enum level level;        /* the level of that session */
	const struct command_stmt *stmt;
	struct rows *rows; /* where its rows go */
	bool *in_block;    /* the session is between BEGIN and COMMIT */
	/* what is still to be shown, between the calls of a command that goes on */
	struct show_ids *ids;
	/* *notice is NULL; a command may put an allocated text for people there */
	char **notice;
	struct err *warning; /* ERR_NONE; a command may put a warning for people here */
};

struct command {
	const char *words;     /* upper case, one space between them */
	const char *arguments; /* for people; "" if there are none */
	unsigned min_args, max_args;
	enum level level; /* level that is needed to use it */
	/* Level that is needed to see or change sessions of others with it; below it, one sees and
	 * changes only one's own. */
	enum level others;
	bool as_written;         /* its arguments are kept as one text */
	bool without_for;        /* with a FOR among its arguments it is another command */
	const char *tag;         /* tag of CommandComplete */
	const struct show *show; /* NULL: no rows */
	/* Runs it; NULL: `show` is shown. Returns 0, or -E_... with the error in *e. */
	int (*run)(const struct command_call *, struct err *e);
	/* NULL, or run() has returned -E_AGAIN with call->ids->own set: adds the next rows. Returns
	 * as that does. */
	int (*go_on)(const struct command_call *, struct err *e);
	/* NULL, or called again and again after run(): has happened what the command waits for?
	 * Returns 0, -E_AGAIN, or -E_... with the error in *e. */
	int (*wait)(const struct command_call *, struct err *e);
	const char *help;              /* NULL: not listed */
	const char *parameter, *value; /* a parameter that drivers ask for, and its value */
};

/* A statement that has been read. Owns nothing. */
struct command_stmt {
	const struct command *command; /* NULL: an empty statement */
	unsigned nargs;                /* number of tokens behind the command's words */
	char args[COMMAND_ARGS][COMMAND_ARG_MAX + 1];
	char text[COMMAND_TEXT_MAX + 1]; /* the arguments, if as_written */
	/* Its only column, if it shows a parameter. */
	struct column parameter;
};

/* Reads one statement, and checks that a session of this level may use it, and the number of its
 * arguments. Returns 0; or -E_SYNTAX or -E_STATE with the error in *e. */
int command_read(const char *text, size_t bytes, enum level, struct command_stmt *, struct err *e);

/* The columns of the answer; 0 if it has no rows. */
unsigned command_columns(const struct command_stmt *, const struct column **);

/* Runs the statement. Returns 0, or -E_... with the error in *e. -E_AGAIN: call command_go_on(), as
 * often as it returns -E_AGAIN: if show_ids_left(), in the next turn of the loop, because there are
 * more rows; otherwise once in a while, because the command waits for something. */
int command_run(const struct command_call *, struct err *e);
int command_go_on(const struct command_call *, struct err *e);

/* Row `i` of the table, or NULL. */
const struct command *command_at(unsigned i);
#endif
