/* server: one connection to PostgreSQL. libpq logs in; then raw bytes.
 *
 *	connecting -> idle <-> leased
 *	    |          | ^       | ^
 *	    |          v |       v |
 *	    |      checking   cleaning -> idle
 *	    v          v         v
 *	  closed <------------------- closed
 *
 * cleaning is the cleanup machine's: SHOW SERVERS gives its own states there. */
#ifndef PGWITH_POOL_SERVER_H
#define PGWITH_POOL_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <libpq-fe.h>

#include "base/list.h"
#include "loop/stream.h"
#include "pool/cancel.h"
#include "pool/cleanup.h"
#include "pool/prepared.h"
#include "pool/progress.h"
#include "pool/resolve.h"
#include "pool/told.h"

struct lease;
struct pool;

enum server_state {
	SERVER_CONNECTING,
	SERVER_IDLE,
	SERVER_LEASED,
	SERVER_CHECKING, /* idle, and asked for a sign of life */
	SERVER_CLEANING,
	SERVER_CLOSED,
	SERVER_NSTATES
};

/* Sets of parameters that are remembered. */
#define SERVER_TAKEN 16

/* server.sequences: nobody has. */
#define SERVER_NOBODYS UINT64_MAX

struct server {
	uint64_t id;
	struct pool *pool;
	enum server_state state;
	struct list_node node; /* in pool->servers[state]; a closed one is in none */
	struct lease *lease;   /* while LEASED; while CLEANING if it wants to hear of the end */
	struct stream stream;  /* not open while CONNECTING */
	struct progress progress;
	struct cleanup cleanup;
	struct prepared_set prepared;
	struct told *told; /* what it has said of its parameters by ParameterStatus */
	/* What it said at its login; and what it says, or would, without a session's parameters: it
	 * may have read its configuration since. */
	struct told *told_at_login, *own;
	struct told *heard;        /* the same when the pool last looked */
	const char *heard_context; /* context at that time, not to be read */
	char *context; /* the statement that set the parameters it has now; NULL: it has its own */
	unsigned cancels; /* CancelRequests under way */
	bool retiring;    /* is closed instead of getting idle; not a state: the lease goes on */
	bool spoiled;     /* the same: it has of a session what nothing undoes */
	bool resolving;   /* CONNECTING: names are being looked up, there is no PGconn yet */
	int64_t since_us; /* when the state was entered */
	int64_t connected_us;
	int64_t connected_at; /* wall clock, seconds */
	int64_t idle_us;      /* its last lease or its login ended */
	int64_t used_us;      /* bytes came from it */
	uint16_t spread;      /* of 65536: how much of a tenth its times are shorter */
	uint64_t leases;      /* ever */
	/* The session that alone can have used sequences on it since that state was new; 0: others
	 * too. See session/sequences.h. */
	uint64_t sequences;
	uint64_t
	    taken[SERVER_TAKEN]; /* sets of parameters that sessions have given it: session/state.c
				  */
	unsigned ntaken;         /* of them, ever */
	int backend_pid;
	struct cancel_key key;
	struct cancel_place place;
	PGconn *conn; /* login, TLS and cancel only; NULL: another process has logged in */
	struct event connect_event;
	struct conninfo_params params; /* CONNECTING: what libpq was given */
};

/* Begins to connect, in the pool's name. The pool is told by pool_server_ready() or
 * pool_server_failed(), from the loop, never from this call. */
struct server *server_open(struct pool *);

/* CONNECTING, and its host is silent: tries the others. Returns false, and nothing has changed, if
 * there is none. */
bool server_try_next(struct server *);

/* Goes on with a connection that another process had, under its id: bare, in this state, at the end
 * of its list, for the caller to fill in; takes over `fd`. Returns NULL, and `fd` is still the
 * caller's, if the id is in use. */
struct server *server_adopt(struct pool *, uint64_t id, int fd, enum server_state);

/* Could another process go on with it: is it logged in, without TLS, and is its cancel key known?
 */
bool server_can_move(const struct server *);

/* One read for the lease that holds the server, passed through progress. Returns 0 with what is for
 * the client (maybe nothing) at *data, until somebody else reads; -E_AGAIN; -E_CLOSED: the
 * connection is gone, and the lease has been told by lost(). */
int server_read(struct server *, const uint8_t **data, size_t *bytes);

/* The same, and what has come is for no client, not even the rest of a message that is half here.
 */
int server_drop(struct server *);

/* Writes or queues for the lease that holds it. Tell progress first. */
void server_write(struct server *, const void *, size_t bytes);

/* What is left of the conversation with its last session, that the next one could see: a static
 * text, or NULL if it can have the server. Whatever describes a conversation, in the server or in
 * what it consists of, is looked at here. */
const char *server_remains(const struct server *);

/* It has no lease any more: to IDLE, and to whoever waits. If anything of its last session remains,
 * it is closed as broken instead. */
void server_rest(struct server *);

/* server_remains() has found something: warns, counts and closes. */
void server_unfit(struct server *, const char *why);

/* Moves it between the states and the pool's lists. */
void server_set_state(struct server *, enum server_state);

/* A time of the pool, made shorter by up to a tenth, so that it is not over for all at once. */
static inline int64_t
server_spread_us(const struct server *srv, int64_t us)
{
	return us - (int64_t)((double)us / 10 * srv->spread / 65536);
}

/* IDLE: has something come from it that has not been read yet? */
static inline bool
server_has_news(const struct server *srv)
{
	return stream_has_news(&srv->stream);
}

/* IDLE: reads what has come. What ends the server closes it. */
void server_hear(struct server *);

/* Asks PostgreSQL to cancel what this server runs, off the loop. When the cancel connection has
 * ended, pools->cancelled() is called with `requester`, unless that is 0. */
void server_cancel(struct server *, uint64_t requester);

/* The value that the last session has given to a parameter, up to a quote; NULL: none. `name` is as
 * srv->context has it: 'NAME',' . */
const char *server_has_set(const struct server *, const char *name);

/* What the server has said last of a parameter that PostgreSQL reports (TimeZone, client_encoding,
 * session_authorization, ...): at login or since, idle or leased. In the middle of a transaction
 * that is what the transaction has set. The name may be in any case. Valid until the server is read
 * again. NULL: it has said nothing. */
const char *server_told(const struct server *, const char *name);

/* Is the value that the idle server has of this parameter one that a session has set? */
bool server_was_set(const struct server *, const char *name);

/* Does it need DISCARD ALL before the next lease, whatever this one has done? Because the pool says
 * so, or because a session has set a limit that would make PostgreSQL end the idle server. */
bool server_must_discard(const struct server *);

/* LEASED -> CLEANING. The rest as in cleanup_start(). */
void server_clean(struct server *, enum cleanup_why, struct todo *todo, bool keep, bool discard);

/* Goes on with a cleanup; from the sweep, for its time limits. */
void server_step(struct server *);

/* IDLE -> CHECKING: sends an empty query. */
void server_check(struct server *);

/* Closes it, counts why, and frees it at the end of the turn. A lease that holds it is told. `why`
 * is for people and for the log. */
void server_close(struct server *, const char *why);

/* CONNECTING: gives the attempt up, which is nobody's failure. */
void server_give_up(struct server *, const char *why);

/* The name that SHOW SERVERS gives to what it does now: idle, leased, cancelling, draining, ... */
const char *server_state_name(const struct server *);

#endif
