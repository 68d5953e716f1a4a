/* keeper: one connection of a pool that LISTENs for the sessions of the pool (option listen_mode),
 * so that these need no server of their own for that. It is beside the pool's size. It is opened
 * for the first LISTEN, and closed when nobody has listened for a minute. Only statements of ours
 * are sent to it. While it is closed, LISTENs wait for it: it is not opened while the pool is
 * paused or handed over, nor shortly after a failed attempt.
 *
 *	closed -> opening -> ready -> closed
 *	   ^         |         |
 *	   +---------+         +-> moving -> ready      another connection takes over: see below
 *	   ^                          |
 *	   +--------------------------+
 *
 * How a LISTEN becomes exact. PostgreSQL (15 source, commands/async.c) gives a backend the
 * notifications of all committed transactions in one order, and those that were committed and
 * signalled before a statement of the backend ahead of that statement's ReadyForQuery. So a real
 * LISTEN is sent for each LISTEN of a session, also for a channel that the keeper listens to
 * already; what comes behind its ReadyForQuery is the session's, what comes before is not. The same
 * for UNLISTEN, for which an empty statement is sent.
 *
 * Moving (RECONNECT, another conninfo, max_lifetime): the next connection LISTENs to all channels,
 * and both LISTEN to a channel with a random name, the mark. Then the next one NOTIFYs the mark.
 * Notifications have one order: so sessions get what comes from the old connection before the
 * mark, and what comes from the next one behind it. If the mark does not come to both in time,
 * they are not of the same database: the sessions that listen are ended. */
#ifndef PGWITH_POOL_KEEPER_H
#define PGWITH_POOL_KEEPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/pack.h"

struct handed_pools;
struct listener;
struct pool;
struct server;

#define KEEPER_NAME 63 /* bytes of a channel's name, at most: NAMEDATALEN - 1 */

enum keeper_state {
	KEEPER_CLOSED,
	KEEPER_OPENING, /* it connects, or is given its parameters */
	KEEPER_READY,
	KEEPER_MOVING, /* likewise, and another connection is about to take over */
	KEEPER_NSTATES
};

/* Given by whoever listens. Each may call any function below but listener_clear() of another. */
struct listener_ops {
	/* What keeper_ask() has asked for is done. `e`: NULL; or why not, and nothing has changed:
	 * PostgreSQL has refused it (`refused`), or there is no connection. */
	void (*answered)(struct listener *, const struct err *e, bool refused);
	/* A notification of a channel that it listens to, or tries: a NotificationResponse. */
	void (*notified)(struct listener *, const char *channel, size_t channel_bytes,
			 const uint8_t *message, size_t bytes);
	/* What keeper_convert() has asked for: the DataRow's body, or NULL and the error. */
	void (*converted)(struct listener *, const uint8_t *row, size_t bytes, const char *sqlstate,
			  const char *error);
	/* What keeper_sync() has asked for is done, or need not be done any more. */
	void (*synced)(struct listener *);
	/* The connection is lost, and the listener has no channel any more. */
	void (*lost)(struct listener *, const char *why);
};

/* A channel of a listener is TRIED between keeper_ask() with `try`, and listener_keep() or
 * listener_drop(). */
enum listener_has { LISTENER_NO, LISTENER_ASKED, LISTENER_TRIED, LISTENER_LISTENS };

/* One session. A member of its owner. */
struct listener {
	const struct listener_ops *ops;
	void *owner;
	struct keeper *keeper;      /* NULL: it has no channel, and has asked for none */
	struct list_node node;      /* in keeper->listeners */
	struct list channels;       /* struct subscription */
	struct request *asked;      /* by keeper_ask(), and not answered; or NULL */
	struct request *converting; /* by keeper_convert(), likewise */
	struct list_node sync;      /* in *syncing */
	struct list *syncing;       /* keeper->sync_next or sync_now; NULL: it waits for no sync */
	unsigned listens;           /* channels in LISTENS */
};

/* One connection of a keeper. */
struct keeper_line {
	struct server *srv;   /* NULL: none */
	bool ready;           /* it has its parameters */
	bool marked;          /* moving: the mark has come */
	bool broken;          /* it has not read what it was sent: the sweep closes it */
	struct buf in;        /* a part of a message */
	struct list requests; /* struct request: sent, and not answered */
	int64_t asked_us;     /* when the first of them began to be the first */
};

struct keeper {
	struct pool *pool;
	enum keeper_state state;
	struct keeper_line line[2]; /* the one in use, and the next one while MOVING */
	struct hash channels;       /* struct channel */
	struct list listeners;
	struct list waiting; /* struct request: not sent yet */
	/* Listeners that wait for all that was committed before: by the empty statement that is
	 * sent next, and by the one that is under way. */
	struct list sync_next, sync_now;
	/* Moving: notifications behind the mark, of the next line, and of the one in use, if that
	 * stays after all. */
	struct buf later, behind;
	char mark[64];
	bool told;         /* the mark is notified, since since_us */
	int64_t since_us;  /* when the state began, or the mark was notified */
	int64_t repeat_us; /* when to try again to move */
	int64_t used_us;   /* when somebody last listened */
	int64_t retry_us;  /* CLOSED: not opened before */
	unsigned attempts; /* that failed, since one of them last began to listen */
};

void listener_init(struct listener *, const struct listener_ops *, void *owner);
/* Gives up all that it has. Its owner may free it then. */
void listener_clear(struct listener *);

/* Begins to LISTEN to these channels for the listener, in one statement list: `sql` is "LISTEN a;
 * LISTEN b", `names` are the names of these channels as the server writes them, each with a NUL.
 * Without names `sql` is "", which only waits until all that was committed before has come.
 * `try`: the channels that it does not listen to already become TRIED, otherwise all LISTEN.
 * answered() is called, never within this call. The listener must not have asked for something
 * that is not answered. */
void keeper_ask(struct pool *, struct listener *, const char *sql, const char *names,
		size_t names_bytes, bool try);

/* Waits until all that was committed before this call has come: then synced() is called, never
 * within this call. The listener must have a channel, and must not wait so already. */
void keeper_sync(struct listener *);

/* Asks for one row, by which a notification is converted to another encoding. The listener must
 * have a channel. converted() is called, never within this call. */
void keeper_convert(struct listener *, const char *sql);
void keeper_convert_no_more(struct listener *);

/* Gives up what was asked: answered() is not called. Channels that were asked for are dropped. */
void listener_give_up(struct listener *);

enum listener_has listener_has(const struct listener *, const char *name, size_t bytes);
/* A TRIED channel is listened to, or one that it listens to; otherwise nothing happens. */
void listener_keep(struct listener *, const char *name, size_t bytes);
/* A channel is not listened to any more. */
void listener_drop(struct listener *, const char *name, size_t bytes);
/* The same for all of them, or only for those that are TRIED. */
void listener_drop_all(struct listener *, bool only_tried);

/* Adds the name of a channel to SQL, in quotes. */
void keeper_add_quoted(struct buf *sql, const char *name);

/* For walks: the name of the channel that is next behind the one at *at, which is NULL at first;
 * NULL at the end. */
const char *listener_next(const struct listener *, struct list_node **at);

/* RECONNECT, or another conninfo: another connection takes over. */
void keeper_move(struct pool *);
/* While the pool is paused, no connection is opened: who asks waits. One that listens stays, and is
 * closed if nobody listens. */
void keeper_pause(struct pool *);
void keeper_resume(struct pool *);
void keepers_sweep(struct pool *, int64_t now);
/* Is something under way that keepers_sweep() must look at soon? */
bool keeper_is_busy(const struct pool *);
const char *keeper_state_name(const struct pool *);

/* For the handover. Can it be handed over now? */
bool keeper_can_move_now(const struct pool *);
/* Ends what never can, but for what only opens; keeper_release() goes on with what waits. */
void keeper_hold(struct pool *);
void keeper_release(struct pool *);
/* Ends what cannot be handed over now. */
void keeper_force(struct pool *, const char *why);
/* Packs the numbers, beside the connection, which the caller has packed. */
void keeper_pack(struct pack *, struct pool *);
/* The connection of the process before, reading. */
void keeper_adopt(struct pool *, struct server *);
/* Packs the listener's channels. False, reading: the keeper was not handed over. */
bool listener_pack(struct pack *, struct listener *, struct pool *);

#endif
