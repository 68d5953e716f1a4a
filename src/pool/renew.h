/* renew: gives a pool other options, or removes it, while it is in use. Leases that are held or
 * wait notice nothing but other time limits. */
#ifndef PGWITH_POOL_RENEW_H
#define PGWITH_POOL_RENEW_H

#include "pool/pool.h"

/* Checks each pool's conninfo with libpq, and adds what is wrong. */
void renew_check(const struct conf *, struct conf_problems *);

/* Would these options lead to other servers? */
bool renew_moves(const struct pool *, const struct conf_pool *);

/* Gives the group these options, even if it had been removed. If they lead to other servers, those
 * of before are not leased again: idle ones are closed, leased ones when they are returned. If the
 * pool gets smaller, as many are closed as are too many. */
void renew_take(struct pool *group, const struct conf_pool *);

/* Removes the group: nobody new comes in. */
void renew_remove(struct pool *group);

/* Has the pool of a removed group nobody who waits, and no server at work? */
bool renew_is_idle(const struct pool *);

#endif
