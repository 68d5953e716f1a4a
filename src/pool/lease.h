/* lease: one session's temporary right to use one server. It ends exactly once: by return when the
 * server is idle and clean, otherwise by cleanup, which goes on without the session unless that
 * wants to hear of its end. */
#ifndef PGWITH_POOL_LEASE_H
#define PGWITH_POOL_LEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "pool/cleanup.h"

struct lease;
struct pool;
struct server;

/* What a session's client is given for its server's process id: numbers that no process can have
 * (Linux ends at 2^22), so that a pg_cancel_backend() of one hits nobody, below 2^31. Sessions that
 * are there at the same time have different ones. */
#define LEASE_NUMBER_FIRST UINT32_C(0x400000)
#define LEASE_NUMBERS      UINT32_C(0x7fc00000)
static inline uint32_t
lease_number(uint64_t session)
{
	return LEASE_NUMBER_FIRST + (uint32_t)(session % LEASE_NUMBERS);
}

/*	none -> waiting -> held <-> cleaning -> none
 *	  +------------------^ |
 *	         waiting       +--------------> none
 *	            +-------------------------> none
 *
 *	lease_move(): none -> held, and held -> none of the other */
enum lease_state {
	LEASE_NONE,
	LEASE_WAITING,
	LEASE_HELD,
	LEASE_CLEANING, /* lease_clean() goes on; the server is not the owner's to use */
	LEASE_NSTATES
};

/* What the owner is told. Each may end the lease. */
struct lease_ops {
	/* It was waiting and is held now. */
	void (*granted)(struct lease *);
	/* It was waiting and will not be held: time ran out, or the server cannot be reached. The
	 * lease is NONE already; `e` belongs to the caller. */
	void (*failed)(struct lease *, const struct err *e);
	/* The server has something to be read with server_read(). */
	void (*readable)(struct lease *);
	/* All that was queued for the server has gone. */
	void (*drained)(struct lease *);
	/* The server connection is gone; the lease is NONE already. `srv` shows how far it was,
	 * until the end of the turn; `why` is for people. */
	void (*lost)(struct lease *, const struct server *srv, const char *why);
	/* The cancels of a held lease that were under way have all ended. May be NULL. */
	void (*calm)(struct lease *);
	/* lease_clean() is over: the lease is HELD again if it was to be kept, otherwise NONE.
	 * `done` has all the statements, with what became of them; move them away, or they are
	 * freed behind this. `broken`: the server is gone and the lease NONE, whatever was wanted;
	 * statements that * had not been run yet have failed with 08006, or 08007 if nobody knows.
	 * Needed only by those who call lease_clean(). */
	void (*ended)(struct lease *, struct todo *done, bool broken);
	/* The held server has said this of a parameter (NULL: too much to be kept). May be NULL. */
	void (*told)(struct lease *, const char *name, const char *value);
	/* As progress.own_ended(). May be NULL. */
	void (*own_ended)(struct lease *, struct buf *out);
	/* Who holds it, for people: session 12 (app, pid 4242, 42 s, idle in transaction). */
	void (*describe)(const struct lease *, char *out, size_t out_size);
};

struct lease {
	enum lease_state state;
	const struct lease_ops *ops;
	void *owner;           /* of the ops */
	uint64_t session;      /* id of the session that it is for */
	struct pool *pool;     /* NULL while NONE */
	struct server *srv;    /* NULL unless HELD or CLEANING (at its very end maybe) */
	struct list_node node; /* in the pool's queue while WAITING */
	int64_t since_us;      /* when the state was entered */
	int64_t waited_us;     /* HELD: how long it had waited for it */
	int64_t paused_us;     /* WAITING: for so long of that its pool was paused */
	bool fresh;            /* WAITING: for a server that nobody has had */
	/* HELD: what the owner's client does there. Our own exchanges are no part of either. */
	int64_t asked_us; /* since then the server works at the client's exchange; 0: it does not */
	int64_t xact_us;  /* since then the client's transaction is open, or that exchange if it is
			     not in one; 0: nothing is */
};

void lease_init(struct lease *, const struct lease_ops *, void *owner, uint64_t session);

/* Wants a server of the pool. Returns 0: held. -E_AGAIN: waiting, granted() or failed() will be
 * called. -E_STATE: refused at once, with the reason in *e, which the caller clears. */
int lease_enter(struct lease *, struct pool *, struct err *e);

/* The same of a server that nobody has had: a new connection, for which an idle one is closed if
 * the pool is full. Others do not wait longer: it stands ahead of them, as it has had its turn. */
int lease_enter_fresh(struct lease *, struct pool *, struct err *e);

/* A held lease ends, and the server is closed: it is of no use for what its owner needs. `why` as
 * in server_close(). */
void lease_close(struct lease *, const char *why);

/* A waiting lease gives up its place. */
void lease_leave(struct lease *);

/* A held lease ends well: the server is at rest outside a transaction. If a cancel is still under
 * way, or `discard` says that session state was changed, the server goes through cleanup first. */
void lease_return(struct lease *, bool discard);

/* A held lease ends in any other way. The owner hears nothing more of it. */
void lease_end(struct lease *, enum cleanup_why);

/* A held lease ends, or pauses, in whatever state the server is: what runs is cancelled, what is
 * open is rolled back, and the statements of `todo` (NULL: none) are run one after the other, each
 * on its own. They are moved out of it.
 *
 * Without `keep`, session state is undone if `discard` says that it may have been changed, by the
 * lease or by these statements, and the server is the next one's; with `keep` it is not, and the
 * lease is HELD again, its server at rest outside a transaction, its unnamed statement gone. The
 * owner is told by ended(), maybe before this returns. CLEANUP_SCOPE_END is for a server at rest:
 * as nothing runs, nothing is cancelled. */
void lease_clean(struct lease *, enum cleanup_why, struct todo *todo, bool keep, bool discard);

/* The owner of a CLEANING lease goes away, and will not be told: cleanup goes on without it, and
 * the server is then the next one's. The lease is NONE, and its memory has to last until the end of
 * the turn. Nothing happens in another state. */
void lease_forget(struct lease *);

/* `to`, which is NONE, takes over what `from`, which is HELD, holds. The server does not notice. */
void lease_move(struct lease *to, struct lease *from);

/* HELD: a message of the client's that calls for an answer goes to the server. */
static inline void
lease_asks(struct lease *l, int64_t now_us)
{
	if (l->asked_us)
		return;
	l->asked_us = now_us;
	if (l->xact_us == 0)
		l->xact_us = now_us;
}

/* HELD: the server has said ReadyForQuery; `answers` and `rests`: what progress has counted more.
 * The statistics of the pool are told. */
void lease_heard(struct lease *, uint64_t answers, uint64_t rests);

/* HELD: an exchange of our own for a scope has ended, which began at `began_us`. It may have begun
 * or ended the scope's transaction. */
void lease_heard_own(struct lease *, int64_t began_us);

/* From the process before: a bare lease, with its times, holds this server or waits in the pool,
 * behind all others. Nobody is told. */
void lease_adopt_held(struct lease *, struct server *);
void lease_adopt_waiting(struct lease *, struct pool *);

/* The client of a held lease asks to cancel what runs now; `requester` as in server_cancel(). */
void lease_cancel(struct lease *, uint64_t requester);

/* From the pool: the waiting lease leaves the queue and gets this idle server, or the error (which
 * stays the caller's). The owner is told. */
void lease_grant(struct lease *, struct server *);
void lease_fail(struct lease *, const struct err *e);

/* From the server: it is gone; `why` as in lost(). Or its cleanup has ended well, and unless the
 * lease is kept, its `srv` is NULL now. `done`: what lease_clean() left to be run. */
void lease_lost(struct lease *, struct todo *done, const char *why);
void lease_cleaned(struct lease *, struct todo *done);

const char *lease_state_name(enum lease_state);

#endif
