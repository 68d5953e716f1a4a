/* told: sets of parameters, as a server has reported them or a client has been told of them by
 * ParameterStatus: names and values, sorted by name. A set never changes, and no two sets are
 * equal: to compare two sets, compare the pointers. NULL is the empty set. No I/O. */
#ifndef PGWITH_POOL_TOLD_H
#define PGWITH_POOL_TOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "base/hash.h"
#include "base/pack.h"

struct told {
	struct hash_node node;
	unsigned uses;
	uint32_t bytes;
	/* What each lease and each login needs: the value of application_name, or NULL; and whether
	 * in_hot_standby is "on". */
	const char *application;
	bool standby;
	uint32_t number; /* of no other set, not even of one that is gone; 0: it has none */
	/* Numbers of the two sets that it was last found to be alike with: told_note_alike(). */
	uint32_t alike_own, alike_login;
	char pairs[]; /* name NUL value NUL ..., `bytes` in all */
};

/* All sets of the daemon. */
struct tolds {
	struct hash sets;
	uint32_t last; /* the number that was given last */
};
void tolds_init(struct tolds *);
void tolds_clear(struct tolds *);

/* Adds a reference to the set; drops one. */
struct told *told_keep(struct told *);
void told_drop(struct tolds *, struct told *);

/* The value of a parameter, whose name may be in any case; NULL: it is not in the set. */
const char *told_get(const struct told *, const char *name);

/* The set with this value changed (NULL: without the parameter). Takes the caller's reference to
 * `t` and returns one to the result. The size of a set is bounded: a value that does not fit is
 * left out. */
struct told *told_with(struct tolds *, struct told *t, const char *name, const char *value);

/* The set that the server reported to libpq at login, of the parameters that PostgreSQL is known to
 * report. */
struct told *told_at_login(struct tolds *, const PGconn *);

/* Notes that this set has, for what a server says, no value that would have to be kept, where `own`
 * are the server's values now and `login` those of its login; and tells whether that was noted
 * last. So nobody has to compare the same sets for each lease. */
void told_note_alike(struct told *, const struct told *own, const struct told *login);
bool told_is_alike(const struct told *, const struct told *own, const struct told *login);

/* A number for these two sets together, which no other two ever have; 0: they have none. */
uint64_t told_pair(const struct told *, const struct told *);

/* Steps through the set: *at starts as NULL. Returns 1 with the next pair, or 0 at the end. */
int told_next(const struct told *, const char **at, const char **name, const char **value);

/* Handover. */
void told_pack(struct pack *, struct tolds *, struct told **);

#endif
