/* formed: is a message of a client well formed? Whoever answers a message in the server's place
 * asks here first: what is malformed is the server's to refuse, in its own words. No I/O. */
#ifndef PGWITH_WIRE_FORMED_H
#define PGWITH_WIRE_FORMED_H

#include <stdbool.h>
#include <stddef.h>

/* Has the body of a Query, Parse, Bind, Describe, Execute, Close, Sync or Flush the parts that it
 * must have, and nothing behind them (PostgreSQL 15 documentation, 55.7)? True for other types. */
bool formed_well(char type, const void *body, size_t bytes);

#endif
