/* look: the commands that show tables. */
#ifndef PGWITH_CLI_LOOK_H
#define PGWITH_CLI_LOOK_H

#include "cli/commands.h"

/* Prints an answer in the form that the command line asks for. `columns`: those of an aligned
 * table. */
enum ask_status look_print(struct table *, const char *columns, const struct commands_how *);

/* Asks whether pgwithd shows this role only sessions of its own. If it does, *role is the role,
 * which the caller frees; otherwise NULL. */
enum ask_status look_limit(struct ask *, char **role);
/* Says so below the answer: on stdout if that is for people, otherwise on stderr. `role` may be
 * NULL: then nothing is said. */
void look_say_limit(const char *role, const struct commands_how *);

enum ask_status look_table(const struct commands_entry *, const struct commands_how *, struct ask *,
			   char **args);
/* The same of SHOW ERRORS: an aligned table has only the kinds that have occurred, unless --all is
 * given. */
enum ask_status look_errors(const struct commands_entry *, const struct commands_how *,
			    struct ask *, char **args);
/* Runs SHOW with the words of the command line. */
enum ask_status look_show(const struct commands_entry *, const struct commands_how *, struct ask *,
			  char **args);
/* Prints the summary. ASK_TROUBLE if a pool is in trouble. */
enum ask_status look_status(const struct commands_entry *, const struct commands_how *,
			    struct ask *, char **args);

#endif
