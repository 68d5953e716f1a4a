/* told: what a server has said by ParameterStatus, and what a client has been told that way: names
 * and values, sorted by name. A set is never changed, and there is one of each: two sets are equal
 * if their pointers are, so a comparison costs nothing where nothing has changed. NULL is the empty
 * set. No I/O. */
#ifndef PGWITH_POOL_TOLD_H
#define PGWITH_POOL_TOLD_H

#include <stddef.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "base/hash.h"
#include "base/pack.h"

struct told {
	struct hash_node node;
	unsigned uses;
	uint32_t bytes;
	const char
	    *application; /* the value of application_name, which each lease looks at; or NULL */
	char pairs[];     /* name NUL value NUL ..., `bytes` in all */
};

/* All sets of the daemon. */
struct tolds {
	struct hash sets;
};
void tolds_init(struct tolds *);
void tolds_clear(struct tolds *);

/* One more user of the set, and one less. */
struct told *told_keep(struct told *);
void told_drop(struct tolds *, struct told *);

/* The value of a parameter, whose name may be in any case; NULL: it has not been told. */
const char *told_get(const struct told *, const char *name);

/* The set with this value (NULL: without the parameter). The caller's use of `t` becomes its use of
 * the result. A set is bounded: what does not fit is not told. */
struct told *told_with(struct tolds *, struct told *t, const char *name, const char *value);

/* What libpq has heard at login, of the parameters that PostgreSQL is known to report. */
struct told *told_at_login(struct tolds *, const PGconn *);

/* Walks: *at starts as NULL; returns 1 with the next pair, or 0 at the end. */
int told_next(const struct told *, const char **at, const char **name, const char **value);

/* From one process to the next. */
void told_pack(struct pack *, struct tolds *, struct told **);

#endif
