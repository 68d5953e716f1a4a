/* session: one client connection.
 *
 *	startup (-> lookup) (-> password) -> login (-> greeting) -> idle
 *	   |          |            |
 *	   +----------+------------+-> idle, console <-> console_busy
 *	every state -> closing -> closed, or -> closed at once
 *
 *	idle <-> waiting -> (setup ->) active -> idle
 *	  +---------------> (setup ->) active -> saving -> idle
 *	idle, active <-> scope
 *	whatever has scopes open -> leaving -> closed
 *
 * The session holds a lease in greeting, setup, active and saving, waits for one in login and
 * waiting, and has none in the other states, but for those of its scopes. */
#ifndef PGWITH_SESSION_SESSION_H
#define PGWITH_SESSION_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "loop/stream.h"
#include "pool/hold.h"
#include "session/activity.h"
#include "session/block.h"
#include "session/context.h"
#include "session/end.h"
#include "session/extended.h"
#include "session/peer.h"
#include "wire/sqlclass.h"

struct control;
struct expiry;
struct listening;
struct proof;
struct script;
struct shown;
struct site;
struct stack;
struct ucred;
struct work;

enum session_state {
	SESSION_STARTUP,      /* the startup packet has not come yet */
	SESSION_LOOKUP,       /* the operating system is asked who its user is: see admit.h */
	SESSION_PASSWORD,     /* its client proves the password of its role: see prove.h */
	SESSION_LOGIN,        /* it waits for a server: it needs parameters from there */
	SESSION_CANCEL,       /* a CancelRequest: it stays until the cancel has ended */
	SESSION_IDLE,         /* it has no lease */
	SESSION_WAITING,      /* it waits for a server */
	SESSION_GREETING,     /* leased, at login: the server judges its startup parameters */
	SESSION_SETUP,        /* leased: the server is given its parameters, ahead of a message */
	SESSION_ACTIVE,       /* leased: messages pass */
	SESSION_SAVING,       /* leased: the server is asked what the session has set */
	SESSION_SCOPE,        /* there is a work on its scopes: see scopes.h */
	SESSION_LEAVING,      /* its client is gone, and its scopes are being ended */
	SESSION_CONSOLE,      /* it is a session of the console */
	SESSION_CONSOLE_BUSY, /* likewise: a command goes on, and the messages behind it wait */
	SESSION_CLOSING,      /* its last words are being sent */
	SESSION_CLOSED,       /* the last one: loops over the states of open sessions end here */
	SESSION_NSTATES
};

/* The states without a client, a bit each. */
#define SESSION_GONE (1u << SESSION_LEAVING | 1u << SESSION_CLOSING | 1u << SESSION_CLOSED)

/* A message up to this size goes to the server only when it is whole. */
#define SESSION_WHOLE_MAX (64 * 1024)

/* What few sessions have. Most point to rare_none, which can be read, but not written to. */
struct rare {
	struct stack *stack;     /* its scopes; NULL: it has never had one */
	struct work *work;       /* what is being done about its scopes, or NULL */
	struct script *script;   /* a text of many statements; NULL: there was none yet */
	struct expiry *expiry;   /* NULL: no time limit has ended one of its scopes yet */
	struct inquiry *inquiry; /* inquiry.h, which frees it; NULL: nothing is asked */
	void *console;           /* belongs to admin/console.c */
	struct slow *slow;       /* slow.h; NULL: slow scopes are not logged */
	struct control *control; /* control.h, which frees it; NULL: nothing is kept there */
	struct shown *shown;     /* shown.h; NULL: servers get the client's own name */
	struct proof *proof;     /* proof.h; SESSION_PASSWORD */
	/* listening.h, which frees it; NULL: it has never listened by the keeper */
	struct listening *listening;
};

extern const struct rare rare_none;

struct session {
	uint64_t id;
	struct site *site;
	uint8_t state; /* enum session_state */
	struct block block;
	uint32_t drop_left;     /* bytes still to come of a message that is dropped */
	struct list_node node;  /* in site->in_state[state]; CLOSED: in no list */
	int64_t since_us;       /* when the state was entered */
	struct list_node woken; /* in site->woken, or in no list */
	struct stream stream;
	/* Bytes of the client that could not be handled yet: session_in_none, or a buffer of its
	 * own, which session_keep() makes. */
	struct buf *in;
	struct pool *pool;
	struct peer peer;
	struct context context;
	struct activity activity;
	struct extended extended;
	struct end end;
	struct hold *hold; /* messages go by this one: its own, or that of an open scope */
	struct hold *own;  /* holds.h */
	struct rare *rare; /* rare_none, or its own, by session_rare() */
};

/* Makes the session of a new client, in SESSION_STARTUP. It owns the descriptor from then on. */
struct session *session_new(struct site *, int fd, const struct ucred *peer);

/* Bytes of a cancel key, at most: greeting_key_bytes(). */
#define SESSION_KEY 32

/* The first `bytes` bytes of the session's cancel key, beside lease_number(). It is made of the
 * session's id and of a random number of the daemon's, so that it need not be kept. */
void session_cancel_key(const struct session *, uint8_t *key, size_t bytes);

/* Makes a session that the process before had, with its id, in this state, at the end of the
 * state's list. The caller fills in the rest. Returns NULL if the id is in use: then `fd` is still
 * the caller's. */
struct session *session_adopt(struct site *, uint64_t id, int fd, enum session_state);

/* What session->in is of a session that keeps no bytes: empty. It cannot be written to. */
extern const struct buf session_in_none;

/* Returns the buffer in session->in, to add to it. */
struct buf *session_keep(struct session *);
/* Drops bytes at the front of session->in, and the buffer itself if it has no more. */
void session_drop_kept(struct session *, size_t bytes);

/* A session that has nothing yet: lets session->in, rare, own and hold point to what such sessions
 * have in common. */
void session_set_none(struct session *);

/* Returns session->rare, to be written to. */
struct rare *session_rare(struct session *);
/* Frees it if there is nothing in it. */
void session_drop_rare(struct session *);

/* A lease was taken: forgets what was known of the server of the lease before. */
void session_begin_lease(struct session *);

/* Returns the session with this lease_number() in its BackendKeyData, or NULL. */
struct session *session_by_number(struct site *, uint32_t number);

/* Has the session no client any more that anything could be said to: is it LEAVING, CLOSING or
 * CLOSED? */
static inline bool
session_gone(const struct session *s)
{
	return SESSION_GONE & 1u << s->state;
}

/* Is a server given its parameters, at login or ahead of a message? */
static inline bool
session_in_setup(const struct session *s)
{
	return s->state == SESSION_GREETING || s->state == SESSION_SETUP;
}

static inline bool
session_is_at_console(const struct session *s)
{
	return s->state == SESSION_CONSOLE || s->state == SESSION_CONSOLE_BUSY;
}

/* Has its login been answered? Of one that ends: had it been? */
bool session_was_let_in(const struct session *);

/* Was session_close() called? If it has scopes open, these are still being ended. */
static inline bool
session_ends(const struct session *s)
{
	return s->end.text != NULL;
}

bool session_may_move(enum session_state from, enum session_state to);

/* The setter: also moves it to the list of the new state. An illegal move ends the program. */
void session_set_state(struct session *, enum session_state);

/* While a trace is recorded: records who the session is, and how far. `again`: the reader may know
 * the session already, but not what has happened to it of late. */
void session_trace(const struct session *, bool again);

/* Something has changed, so that the session may be able to go on: it gets its turn (relay/turn.h)
 * when the callback of this event has returned. A closed session gets none. */
void session_wake(struct session *);

/* The session begins to wait for somebody else (a server, a lock): its client is not read from. If
 * the client has hung up, the session is closed in the next turn of the loop. */
void session_begins_to_wait(struct session *);

/* Writes what people call it: session 12 (app, pid 4242, 42 s, idle in transaction). */
void session_describe(const struct session *, char *out, size_t out_size);

/* The word for it: greeting and setup have one word, and so have the two of the console. */
const char *session_state_name(enum session_state);
/* Has its server an unnamed statement of which the text was not kept, and that no Bind has used?
 * Then the session keeps the server. With pin = off it does not. */
bool session_waits_for_bind(const struct session *);

/* The word that SHOW CLIENTS has for why it is pinned, or NULL. */
const char *session_pin_name(const struct session *);
/* The same for a set of bits of hold->pinned. */
const char *session_pin_word(unsigned pinned);

#endif
