/* renew: a pool goes on with other options, or goes, while it is used. Leases that are held, and
 * those who wait, notice nothing but that their time limits are others. */
#ifndef PGWITH_POOL_RENEW_H
#define PGWITH_POOL_RENEW_H

#include "pool/pool.h"

/* Adds what only libpq knows to be wrong with the conninfo of each pool. */
void renew_check(const struct conf *, struct conf_problems *);

/* Would the servers of the pool be at another place with these options? */
bool renew_moves(const struct pool *, const struct conf_pool *);

/* The group goes on with these options, also if it was removed. At another place: no server of
 * before is leased again; those that are leased are closed when they are returned. Smaller: so are
 * as many as are too many. */
void renew_take(struct pool *group, const struct conf_pool *);

/* Nobody new comes in. */
void renew_remove(struct pool *group);

/* Has the pool, of a group that was removed, nobody who waits and no server that is at work? */
bool renew_is_idle(const struct pool *);

#endif
