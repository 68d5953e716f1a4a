/* session: one client connection.
 *
 *	startup (-> lookup) -> login (-> setup) -> idle <-> waiting -> (setup ->) active -> idle
 *	   |          |                              ^---------------> (setup ->) active
 *	   +----------+-> idle, console
 *	every state -> closing -> closed, or -> closed at once
 *
 *	active -> saving -> idle
 *	idle, active <-> scope
 *	whatever has scopes open -> leaving -> closed
 *
 * The lease is held in setup, active and saving, wanted in login and waiting, and not there
 *otherwise. */
#ifndef PGWITH_SESSION_SESSION_H
#define PGWITH_SESSION_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "loop/stream.h"
#include "pool/lease.h"
#include "pool/unnamed.h"
#include "wire/sqlclass.h"

struct site;
struct ucred;

enum session_state {
	SESSION_STARTUP, /* the startup packet has not come */
	SESSION_LOOKUP,  /* the operating system is asked who its user is: see admit.h */
	SESSION_LOGIN,   /* waits for a server, to know the parameters that it has there */
	SESSION_CANCEL,  /* a CancelRequest: stays until the cancel has ended */
	SESSION_IDLE,    /* holds nothing */
	SESSION_WAITING, /* for a server */
	SESSION_SETUP,   /* leased: a server is asked what the session's startup parameters make of
			    it,   or to become its role */
	SESSION_ACTIVE,  /* leased */
	SESSION_SAVING,  /* leased: the server is asked for the parameters that were set */
	SESSION_SCOPE,   /* a scope is entered or exited: see scopes.h */
	SESSION_LEAVING, /* its client is gone; its scopes are exited */
	SESSION_CONSOLE, /* talks to the console */
	SESSION_CLOSING, /* was told the last words; they are being written */
	SESSION_CLOSED,
	SESSION_NSTATES
};

/* A transaction that the client has begun and no server knows of yet. */
enum session_begun {
	BEGUN_NOT,
	BEGUN_YES,    /* BEGIN was answered here */
	BEGUN_FAILED, /* no server could be had for it: nothing but its end is accepted */
	BEGUN_EXPIRED /* a time limit has ended it: the same */
};

/* Bytes of a cancel key; of the protocol before 3.2 only the first four are used. */
#define SESSION_SECRET 32

/* A message up to this size goes to the server only when it is complete. */
#define SESSION_WHOLE_MAX (64 * 1024)

struct session {
	uint64_t id;
	struct site *site;
	enum session_state state;
	struct list_node node; /* in site->in_state[state]; a closed one is in none */
	struct stream stream;
	struct buf in; /* bytes of the client that could not be handled yet */
	struct pool *pool;
	struct lease *lease; /* what its messages go by: its own, or that of an open scope */
	struct lease own;
	struct scopes *scopes;          /* NULL: it has never sent a scope statement */
	uint8_t secret[SESSION_SECRET]; /* its cancel key, beside session_number() */
	uint32_t minor;                 /* protocol 3.minor that is spoken */
	bool asked_tls;                 /* it has sent an SSLRequest; */
	bool asked_gss;                 /* a GSSENCRequest: each is answered once */
	uid_t uid;
	gid_t gid;
	pid_t pid;
	struct user *user; /* what the system says of it (users.h); NULL: it was not asked */
	char *packet;      /* SESSION_LOOKUP: its startup packet */
	size_t packet_bytes;
	char *role; /* the user of its startup packet */
	/* application.h: as the startup packet has it, and as servers tell of that; the one that
	 * was set since, or NULL */
	char *application, *application_told, *application_set;
	struct told *seen_own, *seen_told; /* context.c: the server's own and the session's that
					      were last compared */
	struct told *told;    /* telling.h: what the client has been told of parameters */
	struct told *greeted; /* the same, at login: of its startup parameters, their values */
	bool unproven;        /* let in without a server's having seen its startup parameters */
	char *startup;        /* its startup parameters (params.h) while it waits to be let in */
	uint32_t startup_bytes;
	char *repeated; /* all of them, if not only the last values count; until a server has
			 * judged them */
	uint32_t repeated_bytes;
	uint32_t drop_left; /* bytes still to come of a message that is not wanted */
	uint32_t owed;      /* a Terminate waits: ReadyForQuery that were due when it came */
	bool unheard;    /* it waits, and a part of an answer came when nobody was there any more */
	char *setup;     /* SQL that gives a server its startup parameters; NULL if they are the
			    server's own */
	unsigned pinned; /* SQLCLASS_... bits and SESSION_PIN_...: why it keeps its server; 0: it
			    does not */
	bool skip_sync;  /* an error of ours in the extended protocol: dropped up to Sync. Not a
			    state: any     state between login and closing can have it */
	bool discard; /* this lease may have changed the server's session state, though not for the
		       * session to keep */
	struct buf *answer;  /* SESSION_SETUP, SESSION_SAVING: what the server said so far */
	struct names *names; /* its named prepared statements; NULL: it has had none */
	struct unnamed unnamed;
	struct buf
	    *leaving; /* names, each NUL-ended, that a DEALLOCATE under way is about; or NULL */
	char *hidden; /* names of parameters that must be asked for: name NUL ... NUL; or NULL */
	bool changed; /* this lease may have set parameters */
	bool let_in;  /* it has been answered at login; between login and here, setup is the same */
	bool undone;  /* what pins it may be gone, or never have come to be: the server is asked */
	uint8_t begun;          /* enum session_begun */
	int64_t begun_us;       /* when the BEGIN that was answered here came, or that of the
				   transaction that has failed or expired */
	int64_t begun_xact_us;  /* own.xact_us as that BEGIN went to a server */
	uint8_t asks;           /* SESSION_SETUP, SESSION_SAVING: times that the server was asked */
	uint8_t resets;         /* enum session_resets: resets.h */
	bool resets_named;      /* mode session: a named statement may reset */
	bool resets_local;      /* by SET LOCAL */
	uint64_t resets_errors; /* progress.errors as the last of them went to the server */
	bool resetting;         /* SESSION_SAVING: the server sets them again */
	struct buf *resets_names; /* which, as the texts say; or NULL */
	bool accepted;            /* a server has taken its parameters */
	bool wants_fresh; /* a server has refused its parameters: the next is to be a new one */
	bool refused;     /* so has a new one: no other is tried until they change */
	bool probes;      /* it is about to set temp_buffers: not every server takes that */
	bool cancel_due;  /* a cancel came before the client's own statement could run */
	bool unpin;       /* a DISCARD ALL is under way: if it succeeds, nothing pins any more */
	bool held;        /* console: a command goes on; the messages behind it wait. Not a state:
			     it is as much a session of the console meanwhile */
	void *console;    /* the console's */
	int64_t since_us; /* when the state was entered */
	int64_t connected_us;
	int64_t connected_at; /* wall clock, seconds */
	int64_t request_us;   /* when the client has last asked for something */
	int64_t answer_us;    /* limits: when a server last ended the answer to a statement */
	int64_t limited_us;   /* limits: when a statement was last cancelled */
	int64_t exempt_us;    /* limits: the transaction that began then is older than they are */
	int64_t alone_us;     /* limits: the statement that runs outside of a transaction was first
				 to end then; 0: it may go on */
	uint64_t alone_answers; /* progress.answers at that time */
	uint8_t alone_why;      /* enum err_id */
	int64_t heard_us;       /* limits: when `heard` was seen to grow */
	uint64_t heard;         /* limits: bytes of the client at the last look */
	uint8_t expired_by;     /* BEGUN_EXPIRED: enum err_id, what ended it */
	uint8_t mode;           /* enum conf_mode: that of its pool when it came in */
	bool pin;               /* the same */
	uint8_t ending; /* BEGUN_EXPIRED: how far its end is in the extended protocol: begin.c */
	uint64_t queries;
	uint64_t last_server;    /* id of the one that it had last, or has */
	struct control *control; /* control.h; NULL: nothing is kept there */
	struct slow *slow;       /* slow.h; NULL: nobody wants to hear of long scopes */
	uint8_t last_words;      /* enum err_id: what its end was told to be */
};

/* Why a session keeps its server, beside SQLCLASS_...: a prepared statement of the protocol that it
 * may come back to. */
#define SESSION_PIN_STATEMENT (1u << 31)
/* It has set parameters whose names only the server knows. */
#define SESSION_PIN_SETTING (1u << 30)
/* Its pool has mode session. */
#define SESSION_PIN_MODE (1u << 29)

/* What a server can be asked for: those of the SQLCLASS_... bits that pin. LOAD is for good. */
#define SESSION_PINS_ASKED \
	(SQLCLASS_LISTEN | SQLCLASS_TEMP | SQLCLASS_PREPARE | SQLCLASS_HOLD | SQLCLASS_LOCK)

/* A new client on this descriptor, which is taken over: in SESSION_STARTUP. */
struct session *session_new(struct site *, int fd, const struct ucred *peer);

/* One that another process had, under its id and in this state, at the end of its list; bare, for
 * the caller to fill in. Returns NULL, and `fd` is still the caller's, if the id is in
 * use. */
struct session *session_adopt(struct site *, uint64_t id, int fd, enum session_state);

/* The session with this lease_number() in its BackendKeyData, or NULL. */
struct session *session_by_number(struct site *, uint32_t number);

/* Is its client gone, or told its last words? */
static inline bool
session_gone(const struct session *s)
{
	return s->state == SESSION_CLOSED || s->state == SESSION_CLOSING ||
	       s->state == SESSION_LEAVING;
}

/* Moves it between the states and the daemon's lists. */
void session_set_state(struct session *, enum session_state);

/* It waits for somebody else from now on (a server, a lock), and is not read from. If its client
 * has hung up, it is closed in the next turn of the loop. */
void session_begins_to_wait(struct session *);

/* Name for people: session 12 (app, pid 4242, 42 s, idle in transaction). */
void session_describe(const struct session *, char *out, size_t out_size);

const char *session_state_name(enum session_state);
/* The reason for people why it is pinned, or NULL. */
const char *session_pin_name(const struct session *);
/* The same of a set of bits. */
const char *session_pin_word(unsigned pinned);

#endif
