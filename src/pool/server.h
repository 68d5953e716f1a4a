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

#include "base/err.h"
#include "base/list.h"
#include "loop/stream.h"
#include "pool/cancel.h"
#include "pool/cleanup.h"
#include "pool/prepared.h"
#include "pool/progress.h"
#include "pool/resolve.h"
#include "pool/told.h"

struct keeper;
struct lease;
struct server;
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

/* How many sets of parameters are remembered. */
#define SERVER_TAKEN 16

/* Bytes towards a keeper that may be queued: the names of all its channels. */
#define SERVER_KEEPER_QUEUE_MAX (64 * 1024 * 1024)

/* Of server.sequences: no session has used sequences. */
#define SERVER_NOBODYS UINT64_MAX

/* What a keeper is told of its server. */
struct server_keeps {
	void (*logged_in)(struct server *);
	void (*readable)(struct server *);
	void (*lost)(struct server *, const char *why);
	void (*failed)(struct server *, const struct err *); /* it could not connect */
};

struct server {
	uint64_t id;
	struct pool *pool;
	enum server_state state;
	/* in lists[state]: of pool->servers, or of pool->kept if it is a keeper's; a closed one is
	 * in no list */
	struct list_node node;
	struct list *lists;
	/* while LEASED; while CLEANING, if the lease wants to hear of the end */
	struct lease *lease;
	struct stream stream; /* not open while CONNECTING */
	struct progress progress;
	struct cleanup cleanup;
	struct prepared_set prepared;
	struct told *told; /* parameters that it has reported by ParameterStatus */
	/* told_at_login: what it reported at login. own: what it reports, or would report, without
	 * a session's parameters; it may have read its configuration again since login. */
	struct told *told_at_login, *own;
	struct told *heard; /* `told` when the pool last looked at it */
	/* `context` at that time: only the address counts, it may be freed */
	const char *heard_context;
	/* the statement that set the session parameters that it has now; NULL: it has none */
	char *context;
	/* That of a joined scope's members: a member may have set parameters for its transaction
	 * that are still set. They are reset when the server is next given a session's. */
	bool lingers;
	/* The same server, while CLEANING: the lease may have set parameters, so `context` may not
	 * be all. */
	bool context_changed;
	unsigned cancels; /* CancelRequests under way */
	/* it is closed instead of becoming idle. Not a state, because the lease goes on */
	bool retiring;
	/* It is a keeper's: it is lent to nobody, and counts for no limit. `keeper` is NULL when
	 * that has given it up. */
	bool keeps;
	struct keeper *keeper;
	const struct server_keeps *keep;
	bool spoiled; /* the same, because a session has left something that nothing undoes */
	/* CONNECTING: its names are being looked up, and there is no PGconn yet */
	bool resolving;
	/* CONNECTING: it waits for its password, and there is no PGconn yet (password.h) */
	bool asking;
	bool asked_again;         /* its password was refused: the command is asked once more */
	uint64_t password_number; /* which of the passwords it has; 0: none of a command */
	int64_t since_us;         /* when the state was entered */
	int64_t connected_us;
	int64_t connected_at; /* wall clock, seconds */
	int64_t idle_us;      /* when its last lease, or its login, ended */
	int64_t used_us;      /* when bytes last came from it */
	uint16_t spread;      /* how much shorter its times are: this part of 65536 of a tenth */
	uint64_t leases;      /* leases since login */
	/* The only session that can have used sequences here since login or DISCARD ALL; 0:
	 * several; or SERVER_NOBODYS. See session/sequences.h. */
	uint64_t sequences;
	/* hashes of the sets of parameter names that it has accepted: session/context.c */
	uint64_t taken[SERVER_TAKEN];
	unsigned ntaken; /* how many, since login */
	int backend_pid;
	struct cancel_key key;
	struct cancel_place place;
	PGconn *conn; /* for login, TLS and cancel only; NULL: another process had logged in */
	struct event connect_event;
	struct conninfo_params params; /* CONNECTING: parameters that libpq was given */
};

/* Starts a connection for the pool. The pool is told by pool_server_ready() or
 * pool_server_failed(), from the loop, never within this call. */
struct server *server_open(struct pool *);

/* The same for a keeper, which is told by these functions. */
struct server *server_open_keeper(struct pool *, struct keeper *, const struct server_keeps *);
/* The keeper has given it up (srv->keeper is NULL): closes it. */
void server_end_keeper(struct server *, const char *why);
/* As server_write(), but closes nothing: false if too much is queued. */
bool server_keeper_write(struct server *, const void *, size_t bytes);
/* CONNECTING, for too long: another host is tried, or it is closed. */
void server_connect_late(struct server *);

/* CONNECTING: libpq has logged in. The server is IDLE then, and the pool is told. */
void server_logged_in(struct server *);

/* Makes the one server of the pool of a joined scope, which is idle, and as `real` is, but for
 * `context`, which is copied: the parameters that it is known to have; or NULL. Takes over `fd`. */
struct server *server_open_joined(struct pool *, const struct server *real, const char *context,
				  int fd);

/* The pool's joined.cancel() has been carried out, once. */
void server_cancelled(struct server *);

/* Closes the connection, and frees the server at the end of the turn. Tells and counts nothing. */
void server_remove(struct server *);

/* For a handover: takes over a connection of another process, under its id, in this state, at the
 * end of its list; the caller fills in the rest. Takes over `fd`. NULL if the id is in use: `fd`
 * then stays the caller's. */
struct server *server_adopt(struct pool *, uint64_t id, int fd, enum server_state, bool keeps);

/* Could another process take it over: is it logged in, without TLS, and is its cancel key known? */
bool server_can_move(const struct server *);

/* Reads once for the lease that holds the server, through progress. Returns 0 with what is for the
 * client (maybe nothing) at *data, valid until somebody else reads; -E_AGAIN; -E_CLOSED: the
 * connection is lost, and lost() has told the lease. */
int server_read(struct server *, const uint8_t **data, size_t *bytes);

/* The same, but the bytes are for no client, nor is the rest of a message of which a part has
 * come. */
int server_drop(struct server *);

/* Writes or queues bytes of the lease that holds it. Tell progress first. */
void server_write(struct server *, const void *, size_t bytes);

/* What is left of its last session that the next one could see: a static text; NULL if the next one
 * can have the server. Everything that belongs to a session, in the server or its parts, is checked
 * here. */
const char *server_remains(const struct server *);

/* The server has no lease any more: it becomes IDLE, and goes to a lease that waits. If anything of
 * its last session remains, it is closed as broken. */
void server_rest(struct server *);

/* What the lease has defined so far is there for other sessions, or may be, before the client hears
 * of it: texts are parsed anew from now on (once.h). */
void server_defined(struct server *);

/* Closes a server for what server_remains() has found: warns and counts. */
void server_unfit(struct server *, const char *why);

/* Changes the state, and moves the server to the pool's list of that state. */
void server_set_state(struct server *, enum server_state);

/* While a trace is recorded: records the server's state, and who has the server. `pool`: the pool's
 * name, if the reader may not know it yet; or NULL. */
void server_trace(const struct server *, const char *pool);

/* A time limit of the pool, made up to a tenth shorter for this server, so that not all servers
 * reach it at once. */
static inline int64_t
server_spread_us(const struct server *srv, int64_t us)
{
	return us - (int64_t)((double)us / 10 * srv->spread / 65536);
}

/* IDLE: has it sent something that has not been read yet? */
static inline bool
server_has_news(const struct server *srv)
{
	return stream_has_news(&srv->stream);
}

/* IDLE: reads what has come. Closes the server if that says that it ends. */
void server_hear(struct server *);

/* Asks PostgreSQL to cancel what this server runs, in a worker thread. When the cancel connection
 * has ended, pools->cancelled() is called with `requester`, unless that is 0. */
void server_cancel(struct server *, uint64_t requester);

/* The value that the last session has given to a parameter, up to a quote; NULL: none. `name` is
 * written as in srv->context: 'NAME',' . */
const char *server_has_set(const struct server *, const char *name);

/* The value that the server last reported of a parameter that PostgreSQL reports (TimeZone,
 * client_encoding, session_authorization, ...): at login or since, idle or leased. In a transaction
 * it is the value that the transaction has set. The name may be in any case. Valid until the server
 * is read again. NULL: it has reported nothing. */
const char *server_told(const struct server *, const char *name);

/* Has a session set the value that the idle server has of this parameter? */
bool server_was_set(const struct server *, const char *name);

/* Does it need DISCARD ALL before the next lease, whatever this lease has done? So it is if the
 * pool says so (discard_always), or if a session has set a time limit by which PostgreSQL would end
 * the idle server. */
bool server_must_discard(const struct server *);

/* LEASED -> CLEANING. The arguments are those of cleanup_start(). */
void server_clean(struct server *, enum cleanup_why, struct todo *todo, bool keep, bool discard);

/* Goes on with a cleanup; the sweep calls it for the time limits. */
void server_step(struct server *);

/* IDLE -> CHECKING: sends an empty query. */
void server_check(struct server *);

/* Closes the server, counts that, and frees it at the end of the turn. A lease that holds it is
 * told. `why` is for people and the log. */
void server_close(struct server *, const char *why);

/* CONNECTING: gives the attempt up. It does not count as failed. */
void server_give_up(struct server *, const char *why);

/* What SHOW SERVERS calls its state: idle, leased, cancelling, draining, ... */
const char *server_state_name(const struct server *);

#endif
