/* session: one client connection.
 *
 *	startup (-> lookup) -> login (-> greeting) -> idle <-> waiting -> (setup ->) active -> idle
 *	   |          |                                 ^---------------> (setup ->) active
 *	   +----------+-> idle, console <-> console_busy
 *	every state -> closing -> closed, or -> closed at once
 *
 *	active -> saving -> idle
 *	idle, active <-> scope
 *	whatever has scopes open -> leaving -> closed
 *
 * The lease is held in greeting, setup, active and saving, wanted in login and waiting, and not
 * there otherwise. */
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

struct expiry;
struct script;
struct site;
struct stack;
struct ucred;
struct work;

enum session_state {
	SESSION_STARTUP,      /* the startup packet has not come */
	SESSION_LOOKUP,       /* the operating system is asked who its user is: see admit.h */
	SESSION_LOGIN,        /* waits for a server, to know the parameters that it has there */
	SESSION_CANCEL,       /* a CancelRequest: stays until the cancel has ended */
	SESSION_IDLE,         /* holds nothing */
	SESSION_WAITING,      /* for a server */
	SESSION_GREETING,     /* leased, at login: a server is asked what it makes of its startup
			       * parameters */
	SESSION_SETUP,        /* leased: the server is given its parameters, ahead of a message */
	SESSION_ACTIVE,       /* leased */
	SESSION_SAVING,       /* leased: the server is asked for the parameters that were set */
	SESSION_SCOPE,        /* a scope is entered or exited: see scopes.h */
	SESSION_LEAVING,      /* its client is gone; its scopes are exited */
	SESSION_CONSOLE,      /* talks to the console */
	SESSION_CONSOLE_BUSY, /* the same: a command goes on, and the messages behind it wait */
	SESSION_CLOSING,      /* was told the last words; they are being written */
	SESSION_CLOSED,       /* behind all others: loops over those that are there end here */
	SESSION_NSTATES
};

/* A message up to this size goes to the server only when it is complete. */
#define SESSION_WHOLE_MAX (64 * 1024)

struct session {
	uint64_t id;
	struct site *site;
	enum session_state state;
	uint32_t drop_left;     /* bytes still to come of a message that is not wanted */
	struct list_node node;  /* in site->in_state[state]; a closed one is in none */
	int64_t since_us;       /* when the state was entered */
	struct list_node woken; /* in site->woken, or in no list */
	struct stream stream;
	struct buf in; /* bytes of the client that could not be handled yet */
	struct pool *pool;
	struct peer peer;
	struct context context;
	struct block block;
	struct activity activity;
	struct extended extended;
	struct end end;
	struct hold *hold; /* what its messages go by: its own, or that of an open scope */
	struct hold own;
	struct stack *stack;     /* of its scopes; NULL: it has never sent a scope statement */
	struct work *work;       /* that is being done about them, or NULL */
	struct script *script;   /* a text of many statements; NULL: there was none yet */
	struct expiry *expiry;   /* of what a time limit ends; NULL: none has ended anything yet */
	struct inquiry *inquiry; /* inquiry.h, which frees it; NULL: nothing is asked */
	void *console;           /* the console's */
	struct slow *slow;       /* slow.h; NULL: nobody wants to hear of long scopes */
};

/* A new client on this descriptor, which is taken over: in SESSION_STARTUP. */
struct session *session_new(struct site *, int fd, const struct ucred *peer);

/* One that another process had, under its id and in this state, at the end of its list; bare, for
 * the caller to fill in. Returns NULL, and `fd` is still the caller's, if the id is in
 * use. */
struct session *session_adopt(struct site *, uint64_t id, int fd, enum session_state);

/* A lease was just taken: forgets what was known of the server of the lease before. */
void session_begin_lease(struct session *);

/* The session with this lease_number() in its BackendKeyData, or NULL. */
struct session *session_by_number(struct site *, uint32_t number);

/* Is its client gone, or told its last words? */
static inline bool
session_gone(const struct session *s)
{
	return s->state == SESSION_CLOSED || s->state == SESSION_CLOSING ||
	       s->state == SESSION_LEAVING;
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

/* Was it closed? If it has scopes open, what goes on about them is finished, and they are exited.
 */
static inline bool
session_ends(const struct session *s)
{
	return s->end.text != NULL;
}

bool session_may_move(enum session_state from, enum session_state to);

/* Moves it between the states and the daemon's lists. */
void session_set_state(struct session *, enum session_state);

/* Something has changed that the session may go on from: it has its turn (relay/turn.h) when the
 * callback of this event has returned. A closed one has none. */
void session_wake(struct session *);

/* It waits for somebody else from now on (a server, a lock), and is not read from. If its client
 * has hung up, it is closed in the next turn of the loop. */
void session_begins_to_wait(struct session *);

/* Name for people: session 12 (app, pid 4242, 42 s, idle in transaction). */
void session_describe(const struct session *, char *out, size_t out_size);

/* The word for it: greeting and setup have one word, and so have the two of the console. */
const char *session_state_name(enum session_state);
/* The reason for people why it is pinned, or NULL. */
const char *session_pin_name(const struct session *);
/* The same of a set of bits. */
const char *session_pin_word(unsigned pinned);

#endif
