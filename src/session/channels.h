/* channels: what a session listens to by the keeper of its pool, and how far its message is that
 * concerns this. What is done with it: listening.h.
 *
 *	quiet -> asked                      the keeper is asked; the client's message waits
 *	asked -> granted, refused, failed   it has answered
 *	granted, refused, failed -> quiet   the message has been judged by that
 *	quiet, granted -> passed            a message that matters has gone to the server; those
 *	                                    behind its exchange wait
 *	passed -> marks -> quiet            it was a LISTEN or UNLISTEN in a transaction, and the
 *	                                    server gets a mark for it
 *	passed, quiet -> looks              a transaction has ended: the server is asked what it
 *	                                    listens to
 *	looks -> clears -> quiet            it is told to listen to nothing that the keeper does
 *	passed, looks -> quiet              there is nothing more to be done */
#ifndef PGWITH_SESSION_CHANNELS_H
#define PGWITH_SESSION_CHANNELS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/pack.h"
#include "pool/keeper.h"
#include "session/deeds.h"
#include "session/session.h"

enum listening_state {
	LISTENING_QUIET,
	LISTENING_ASKED,
	LISTENING_GRANTED,
	LISTENING_REFUSED,
	LISTENING_FAILED,
	LISTENING_PASSED,
	LISTENING_MARKS,
	LISTENING_LOOKS,
	LISTENING_CLEARS,
	LISTENING_NSTATES
};

/* What a message of the client is, of which the session waits for the keeper or the server. */
enum purpose {
	ALONE,  /* a Query, carried out by the keeper */
	ENDS,   /* goes to the server; its UNLISTEN and DISCARD ALL count for the keeper, too */
	INSIDE, /* a LISTEN or UNLISTEN in a transaction */
	SINGLE, /* the same outside of one, in the extended protocol */
	COMMIT, /* of a transaction that has some INSIDE */
	AMONG   /* in a transaction, in a text with others: it pins as it does by itself */
};

/* A deed of the transaction. The server listens to a channel of ours with its number, the mark, for
 * as long as the deed has not been rolled back. */
struct marked {
	struct deed deed;
	unsigned mark;
};

struct listening {
	struct listener listener;
	enum listening_state state;
	enum purpose purpose; /* of the message that `deeds` are from */
	bool goes;            /* that message is about to go to the server */
	bool mixed;           /* behind it, in the same exchange, came another one */
	/* The message is a Bind: its portal, which counts when it is executed; or NULL. */
	char *portal;
	bool executed;    /* it was, or the message is a Query */
	unsigned done;    /* the first of the deeds: those of portals before, which were executed */
	char *later;      /* a portal that may be executed later in the transaction, or NULL */
	struct deed due;  /* what that one does */
	bool owes_ready;  /* the client's ReadyForQuery is kept back: notifying_turn() */
	bool gives_first; /* GRANTED: the message waits until what is kept has been given */
	bool synced;      /* likewise: the keeper has given all that was committed before it */
	char *clearing;   /* CLEARS: the statement, as it is sent again; or NULL */
	bool prepared;    /* a statement that LISTENs or UNLISTENs has been parsed */
	bool suspect;     /* the session's own server may listen to a channel of the keeper's */
	bool overflown;   /* there was no room in `kept` */
	bool in_the_way;  /* nor for those of all sessions, of which it has kept the most */
	size_t counted;   /* bytes of `kept` in site->kept_bytes */
	struct err failed;    /* FAILED */
	struct deeds deeds;   /* what is done when the message has succeeded */
	struct buf kept;      /* whole messages for the client, in the server's encoding */
	struct buf converted; /* the one before them, in the client's */
	struct buf part;      /* of a message of the server's that is not whole: heard.h */
	char *lost;           /* why the keeper was lost; or NULL */
	struct marked *tx;    /* the deeds of the transaction that is open */
	unsigned ntx, marks;
	unsigned attempts;  /* MARKS: how often the mark was sent */
	bool undoing;       /* MARKS: what has failed is undone */
	struct buf failure; /* MARKS: the ErrorResponse of what has failed */
	uint64_t random;    /* in the names of marks */
};

/* The setter. An illegal move ends the program. */
void channels_set_state(struct session *, enum listening_state);

/* Ends the wait for the keeper, if there is one: the client's message gets this error. A COMMIT
 * goes to the server all the same, and the session listens there itself. Returns false if it does
 * not wait. */
bool channels_give_up(struct session *, const struct err *);

/* Returns session->rare->listening, and makes it if it is not there. */
struct listening *channels_need(struct session *);

/* How many channels the session listens to by the keeper. */
unsigned channels_count(const struct session *);

/* A text with these SQLCLASS_... bits is about to be executed by the session's server. Returns them
 * without those of which the keeper relieves the server. */
unsigned channels_take(struct session *, unsigned set);

/* The deeds of the message count when this portal is executed; NULL: now. */
void channels_set_portal(struct session *, const char *portal);

/* Behind it, in the same exchange, another one is bound, with these deeds. */
void channels_add_portal(struct session *, const char *portal, struct deeds *);
/* No portal is executed any more: drops the deeds that have not been done. */
void channels_settle(struct listening *);

/* The portal of the message has not been executed, but may be, later in the transaction. Returns
 * false if that cannot be noted. */
bool channels_set_later(struct listening *);
void channels_forget_later(struct listening *);

/* The deeds of the transaction have been dealt with. */
void channels_forget_transaction(struct listening *);

/* Is there nothing in session->rare->listening, which must be there, for which it is needed? The
 * session must be IDLE. */
bool channels_unused(const struct session *);

/* The session is closed: gives up all. Then frees it. */
void channels_end(struct session *);
void channels_free(struct session *);

/* For the handover. */
void channels_pack(struct pack *, struct session *);

#endif
