/* graph: pictures of one line: bars of servers, lines of the past. In block characters, or in ASCII
 * if the locale has no blocks. */
#ifndef PGWITH_CLI_TOP_GRAPH_H
#define PGWITH_CLI_TOP_GRAPH_H

#include <stddef.h>

/* The servers of a pool. The rest of `size` is not open. */
struct graph_servers {
	unsigned leased, cleaning, opening, idle, size;
};

/* "[####~+--  ]" with `cells` characters inside: leased, cleanup, opening, idle, not open. What
 * there is, has a cell. The caller frees. */
char *graph_bar(const struct graph_servers *, unsigned cells);
/* The characters of leased, cleanup, opening and idle, for the help. */
const char *graph_sign(unsigned which);

/* The last `cells` values, oldest first; the largest of them is the highest. The caller frees. */
char *graph_spark(const unsigned *values, unsigned count, unsigned cells);

/* A number a second, in at most 5 characters: 0.3, 42, 1234, 12.3k. Under 0: "". */
const char *graph_rate(double, char *out, size_t out_size);

#endif
