/* switches: reads the startup parameter `options`, which holds command-line switches of postgres:
 * -c name=value, --name=value, and the short switches that stand for such settings. PostgreSQL 15
 * documentation, 20.1.4 and the reference page postgres; source: pg_split_opts() and
 * process_postgres_switches(). */
#ifndef PGWITH_WIRE_SWITCHES_H
#define PGWITH_WIRE_SWITCHES_H

#include <stddef.h>

#include "base/buf.h"

#define SWITCHES_HINT "Try \"postgres --help\" for more information."

/* Adds the settings to `out`, in their order, as name NUL value NUL ... Whether parameters of these
 * names exist is not checked: the server does that. Returns 0, or an error that PostgreSQL answers
 * with 42601, with PostgreSQL's message in `why`: -E_SYNTAX (HINT: SWITCHES_HINT) for an invalid
 * argument, -E_NOTFOUND for a setting without a value. Then `out` has the settings before it. */
int switches_read(const char *options, struct buf *out, char *why, size_t why_size);

#endif
