/* joint: the part of a joinable scope that other sessions work in. It is a pool of one server,
 * which is no PostgreSQL but one end of a socket pair; at the other end, the joint plays PostgreSQL
 * by scope/unit.h, on the server that the scope has leased. So to its members a scope is a pool:
 * they wait in its queue, their parameters and statements go with them, and a member that is gone
 * is cleaned up after as everywhere.
 *
 *	member's session -- lease -- server of the joint's pool
 *	                                |  socket pair
 *	                              joint (unit.h)
 *	                                |  lease of the scope's frame
 *	                             PostgreSQL
 *
 * The owner's own statements go the same way while the scope is open: each is a unit. */
#ifndef PGWITH_EXECUTOR_JOINT_H
#define PGWITH_EXECUTOR_JOINT_H

#include <stdbool.h>

#include "base/err.h"
#include "session/session.h"

struct joint;
struct scope;

#define JOINT_TOKEN 32 /* characters of a token: 128 random bits in hexadecimal digits */

/* The frame, a transaction, has begun and is at rest: sessions may join it from now on. The frame's
 * kind is SCOPE_JOINT until joint_give_back(). False, with *e, if that is impossible. */
bool joint_open(struct session *, struct scope *, struct err *e);

/* The scope is about to end: nobody may join it any more, and its members are told and ended.
 * `outcome`: for them, what becomes of the scope. The owner is woken when that is done. */
void joint_close(struct scope *, const char *outcome);

/* Have all members left, so that the frame's server is at rest? */
bool joint_is_closed(const struct scope *);

/* The joint is closed. If its scope was lost, so is its server: PostgreSQL rolls back. */
void joint_close_lost(struct scope *);

/* The frame is a transaction again, and the joint is gone. If it was not closed, the members are
 * ended, and the server may be in the middle of what one has asked for. */
void joint_give_back(struct scope *);

/* The pool that statements go to which would go to `pool`: that of a joint of the session's, if
 * the session has a scope on that pool, or has joined one; otherwise `pool`. */
struct pool *joint_pool(const struct session *, struct pool *);

/* Statements outside of transaction scopes would go to `pool`: returns that of the innermost joint
 * of the session's own instead, if there is one. */
struct pool *joint_current(const struct session *, struct pool *pool);

/* The pool of the scope's transaction, if `pool` is that of a joint, however deep; otherwise
 * `pool`. */
struct pool *joint_real(struct pool *pool);

/* The joint whose pool it is, or NULL. */
const struct joint *joint_of(const struct pool *);

/* Finds the scope on the session's pool that one of the tokens is of, which commas may separate;
 * the session becomes its member. False, with *e, if there is none, or the user is another. */
bool joint_join(struct session *, const char *tokens, struct err *e);

/* For people and tables. */

const char *joint_token(const struct scope *);
unsigned joint_members(const struct scope *);
/* How many sessions have ever joined it; and how many work outside that should have, with the
 * program of the first of them, or NULL: joint_outside.h. */
uint64_t joint_joins(const struct scope *);
uint64_t joint_outside(const struct scope *, const char **outsider);
/* The name of the scope that the session has joined, or NULL; and its owner's id. */
const char *joint_joined(const struct session *, uint64_t *owner);

#endif
