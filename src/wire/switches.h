/* switches: the startup parameter `options`, a command line of PostgreSQL's (PostgreSQL 15
 * documentation, 20.1.4 and the reference page postgres; in its source pg_split_opts() and
 * process_postgres_switches()): -c name=value, --name=value, and the short switches that stand for
 * such settings. */
#ifndef PGWITH_WIRE_SWITCHES_H
#define PGWITH_WIRE_SWITCHES_H

#include <stddef.h>

#include "base/buf.h"

#define SWITCHES_HINT "Try \"postgres --help\" for more information."

/* Adds the settings, in their order, as name NUL value NUL ... to `out`; whether there are such
 * parameters is the server's to say. Returns 0; or what PostgreSQL answers by 42601, with its
 * message in `why`: -E_SYNTAX (with SWITCHES_HINT) for an argument that is none, -E_NOTFOUND for a
 * setting without a value. What stands before the mistake has been added. */
int switches_read(const char *options, struct buf *out, char *why, size_t why_size);

#endif
