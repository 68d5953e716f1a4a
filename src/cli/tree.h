/* tree: SHOW WAITS for people: who holds up whom. */
#ifndef PGWITH_CLI_TREE_H
#define PGWITH_CLI_TREE_H

#include <stdio.h>

#include "cli/commands.h"
#include "cli/table.h"

/* Prints SHOW WAITS as a tree, with what SHOW CLIENTS says of those at the root. Each session that
 * waits stands once, below the longest holder of what it waits for; the other holders are roots of
 * their own. Sessions that wait for the same thing and hold up nobody are counted behind the first
 * TREE_SHOWN. No line is longer than `width` bytes (0: no limit). */
void tree_print(const struct table *waits, const struct table *clients, unsigned width, FILE *);
#define TREE_SHOWN 2

/* Prints SHOW WAITS as a directed graph in the language of Graphviz: an edge for each row. */
void tree_dot(const struct table *waits, FILE *);

/* The command `waits`. */
enum ask_status tree_run(const struct commands_entry *, const struct commands_how *, struct ask *,
			 char **args);

#endif
