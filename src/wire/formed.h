/* formed: is a message of a client well formed? Modules that answer a message in the server's place
 * ask here first: a malformed message has to go to the server, so that the client gets the server's
 * own error. No I/O. */
#ifndef PGWITH_WIRE_FORMED_H
#define PGWITH_WIRE_FORMED_H

#include <stdbool.h>
#include <stddef.h>

/* Has the body of a Query, Parse, Bind, Describe, Execute, Close, Sync or Flush exactly the fields
 * of its format, and nothing behind them (PostgreSQL 15 documentation, 55.7)? Other types are not
 * checked: true. */
bool formed_well(char type, const void *body, size_t bytes);

#endif
