/* lease: one session's temporary right to use one server. It ends exactly once: by lease_return()
 * if the server is idle and clean, otherwise by cleanup, which goes on without the session, unless
 * the session asked to hear of its end. */
#ifndef PGWITH_POOL_LEASE_H
#define PGWITH_POOL_LEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "base/trace.h"
#include "pool/cleanup.h"
#include "pool/queue.h"

struct lease;
struct pool;
struct server;

/* The number that a session's client is given for the process id of its server. It is above every
 * process id (Linux ends at 2^22), so that pg_cancel_backend() of it hits nobody, and below 2^31.
 * Sessions that exist at the same time have different numbers. */
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
 *	lease_move(to, from): `to` goes from none to held, `from` from held to none */
enum lease_state {
	LEASE_NONE,
	LEASE_WAITING,
	LEASE_HELD,
	LEASE_CLEANING, /* cleanup by lease_clean(): the owner must not use the server */
	LEASE_NSTATES
};

/* What the owner is told. Each of these functions but granted() may end the lease. */
struct lease_ops {
	/* The lease was WAITING and is HELD now. The pool may be in the middle of something: the
	 * owner neither writes to the server nor ends the lease before this has returned. */
	void (*granted)(struct lease *);
	/* The lease was WAITING and will not be held: its time ran out, or the server cannot be
	 * reached. The lease is NONE already; `e` belongs to the caller. The owner does not ask
	 * again before this has returned. */
	void (*failed)(struct lease *, const struct err *e);
	/* The server has sent something: server_read() has it. */
	void (*readable)(struct lease *);
	/* Everything that was queued for the server has been sent. */
	void (*drained)(struct lease *);
	/* The server connection is lost; the lease is NONE already. `srv` shows how far it was,
	 * until the end of the turn; `why` is for people. */
	void (*lost)(struct lease *, const struct server *srv, const char *why);
	/* All cancels of a held lease that were under way have ended. May be NULL. */
	void (*cancels_ended)(struct lease *);
	/* lease_clean() is over: the lease is HELD again if it was to be kept, otherwise NONE.
	 * `done` has all the statements, with what became of each; the owner moves them away, or
	 * they are freed after this call. `broken`: the server is lost and the lease NONE, even if
	 * it was to be kept; statements that had not been run have failed with 08006, or with 08007
	 * if nobody knows their end. Needed only by those who call lease_clean(). */
	void (*ended)(struct lease *, struct todo *done, bool broken);
	/* The held server has sent a ParameterStatus. `value` is NULL if it is too long to be kept.
	 * May be NULL. */
	void (*told)(struct lease *, const char *name, const char *value);
	/* As progress.own_ended(). May be NULL. */
	void (*own_ended)(struct lease *, struct buf *out);
	/* Which limits of roles and users hold for the owner: as parties_find(). Asked only if
	 * there are such limits. May be NULL. */
	void (*parties)(const struct lease *, struct party *of[PARTY_KINDS]);
	/* Who holds it, for people: session 12 (app, pid 4242, 42 s, idle in transaction). */
	void (*describe)(const struct lease *, char *out, size_t out_size);
};

struct lease {
	enum lease_state state;
	bool fresh; /* WAITING: for a server that nobody has had */
	bool hasty; /* WAITING: it fails as soon as no server of the pool can be reached */
	const struct lease_ops *ops;
	void *owner;       /* argument of the ops */
	uint64_t session;  /* id of the session that has the lease */
	struct pool *pool; /* NULL while NONE */
	/* NULL unless HELD or CLEANING; at the end of CLEANING it may be NULL */
	struct server *srv;
	struct list_node node; /* in pool->waiting while WAITING */
	struct turn turn;      /* its place in the order in which servers are given */
	int64_t since_us;      /* when the state was entered */
	int64_t waited_us;     /* HELD: how long it had waited for the server */
	int64_t paused_us;     /* WAITING: how long its pool was paused meanwhile */
	/* HELD: the client's exchange and transaction. Our own exchanges are no part of either. */
	int64_t asked_us; /* since when the server works at the client's exchange; 0: it does not */
	/* since when the client's transaction is open or, outside of one, the exchange goes on; 0:
	 * neither */
	int64_t xact_us;
};

void lease_init(struct lease *, const struct lease_ops *, void *owner, uint64_t session);

/* Asks for a server of the pool. Returns 0: HELD. -E_AGAIN: WAITING; granted() or failed() will be
 * called. -E_STATE: refused at once, with the reason in *e, which the caller clears. */
int lease_enter(struct lease *, struct pool *, struct err *e);

/* The same for a server that nobody has had: a new connection, for which an idle one is closed if
 * the pool is full. The lease waits at the front of the queue: it has had its turn, and others do
 * not wait longer. */
int lease_enter_fresh(struct lease *, struct pool *, struct err *e);

/* Ends a held lease and closes the server, because it is of no use to its owner. `why` as in
 * server_close(). */
void lease_close(struct lease *, const char *why);

/* Ends a waiting lease; nothing happens in another state. */
void lease_leave(struct lease *);

/* Ends a held lease whose server is at rest outside a transaction. The server goes through cleanup
 * first if a cancel is still under way, or if `discard` says that session state was changed. */
void lease_return(struct lease *, bool discard);

/* Ends a held lease in any other state of the server, by cleanup. The owner hears nothing more of
 * it. */
void lease_end(struct lease *, enum cleanup_why);

/* Ends a held lease, or with `keep` pauses it, in whatever state its server is: what runs is
 * cancelled, what is open is rolled back, and the statements of `todo` (NULL: none) are run one
 * after the other, each on its own. They are moved out of it. Without `keep`, session state is
 * undone if `discard` says that the lease or these statements may have changed it, and the server
 * goes to the next lease. With `keep`, session state stays, and the lease is HELD again: its server
 * is at rest outside a transaction, without the unnamed statement. The owner is told by ended(),
 * maybe before this function returns. CLEANUP_SCOPE_END is for a server at rest: nothing runs, so
 * nothing is cancelled. */
void lease_clean(struct lease *, enum cleanup_why, struct todo *todo, bool keep, bool discard);

/* The owner of a CLEANING lease goes away and will not be told of the end: cleanup goes on without
 * it, and the server then goes to the next lease. The lease is NONE; its memory must last until the
 * end of the turn. Nothing happens in another state. */
void lease_forget(struct lease *);

/* Moves the server of `from`, which is HELD and becomes NONE, to `to`, which is NONE and becomes
 * HELD. The server does not notice. */
void lease_move(struct lease *to, struct lease *from);

/* Of lease_asks(), while a trace is recorded. */
void lease_trace_ask(const struct lease *);

/* HELD: a message of the client's that needs an answer goes to the server. */
static inline void
lease_asks(struct lease *l, int64_t now_us)
{
	if (l->asked_us)
		return;
	l->asked_us = now_us;
	if (l->xact_us == 0)
		l->xact_us = now_us;
	if (trace_on)
		lease_trace_ask(l);
}

/* HELD: the server has sent ReadyForQuery. `answers` and `rests`: by how much those counters of
 * progress have grown. Updates the pool's statistics. */
void lease_note_ready(struct lease *, uint64_t answers, uint64_t rests);

/* HELD: an exchange of our own for a scope has ended, which began at `began_us`. It may have begun
 * or ended the scope's transaction, which the statistics count. */
void lease_note_own_ready(struct lease *, int64_t began_us);

/* For a handover: a new lease, with the times that were read, holds this server, or waits in the
 * pool behind all others. The ops are not called. */
void lease_adopt_held(struct lease *, struct server *);
void lease_adopt_waiting(struct lease *, struct pool *);

/* Cancels what a held lease's server runs, because its client asked for that; `requester` as in
 * server_cancel(). */
void lease_cancel(struct lease *, uint64_t requester);

/* Called by the pool: the waiting lease leaves the queue and gets this idle server, or the error
 * (which stays the caller's). The owner is told. */
void lease_grant(struct lease *, struct server *);
void lease_fail(struct lease *, const struct err *e);

/* Called by the server: it is lost (`why` as in lost()); or its cleanup has ended well, and `srv`
 * is NULL by now unless the lease is kept. `done`: the statements of lease_clean(). */
void lease_lost(struct lease *, struct todo *done, const char *why);
void lease_cleaned(struct lease *, struct todo *done);

const char *lease_state_name(enum lease_state);

/* Since when the session waits that has waited longest in the queue of this pool; 0: nobody waits.
 * It need not be the first: those that need a new server stand at the front. */
int64_t lease_oldest_wait(const struct pool *);

#endif
