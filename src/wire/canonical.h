/* canonical: what PostgreSQL makes of the values of parameters that it reports, where that can be
 * said without asking it. */
#ifndef PGWITH_WIRE_CANONICAL_H
#define PGWITH_WIRE_CANONICAL_H

/* 1, 0, or -1 if it is no boolean: as PostgreSQL's parse_bool(). */
int canonical_bool(const char *value);

#endif
