/* tree: who holds up whom, printed as a tree, or as a graph. */
#ifndef PGWITH_CLI_TREE_H
#define PGWITH_CLI_TREE_H

#include <stdbool.h>
#include <stdio.h>

#include "cli/waitlist.h"

/* Prints the waits as a tree. Each party that waits stands once, below the longest holder of what
 * it waits for; the other holders are roots of their own. Parties that wait for the same thing and
 * hold up nobody are counted behind the first TREE_SHOWN. A circle of parties that wait for each
 * other has no root. It is said to be one, and whether it can end: of a server or semaphore there
 * may be other holders outside of it. No line is wider than `width` columns of the terminal (0: no
 * limit). `only_own`: other sessions than one's own may wait, too, and are not in the list. */
void tree_print(const struct waitlist *, bool only_own, unsigned width, FILE *);

/* PostgreSQL was not asked: if sessions at the roots may wait inside of it, prints a line that says
 * so, and how to ask. */
void tree_hint(const struct waitlist *, FILE *);
#define TREE_SHOWN 2

/* Prints a directed graph in the language of Graphviz: an edge for each wait. */
void tree_dot(const struct waitlist *, FILE *);

#endif
