/* effects: what an SQL text does to the session that runs it and to its server, and what follows
 * from that. All questions about texts are asked here.
 *
 * A text is read twice at most. When its message is judged, effects_of_message() reads the classes
 * (wire/sqlclass.h) and the mentions (wire/sqlmention.h) of the whole text, which mostly need a
 * quick look only; if it may set parameters, effects_note_parameters() reads their names. When it
 * is executed, which for a prepared statement is later and with another message, effects_take()
 * reads which parameters it resets (resets.h) and which statements it deallocates (deallocate.h),
 * if its class says that it may. The text of a Parse that is known to do nothing is not read
 * (standin_knows()). */
#ifndef PGWITH_SESSION_EFFECTS_H
#define PGWITH_SESSION_EFFECTS_H

#include <stdbool.h>
#include <stddef.h>

#include "pool/hold.h"
#include "wire/sqlclass.h"
#include "wire/sqlmention.h"

struct message;
struct session;

/* What a text does. */
struct effects {
	unsigned set;    /* SQLCLASS_..., SQLMENTION_..., HOLD_PIN_SETTING */
	unsigned lexing; /* how it is read: flags of sqltext_init() */
	bool unsure;     /* it may be read otherwise: then `set` has the bits of all readings */
	bool lasting;    /* every server reads it in this way, whatever has been set */
	bool single;     /* it is one statement, and begins with its first word */
};

/* These bits pin the session to its server: the text changes session state that cannot be moved. */
#define EFFECTS_PIN (HOLD_PINS_ASKED | SQLCLASS_LOAD | SQLMENTION_SEED | HOLD_PIN_SETTING)

/* Finds the effects of a text that goes to the server now. If it is not certain how the server
 * reads it, SQLCLASS_SCOPE is set only if all readings have a scope statement. */
void effects_of(const struct session *, const char *sql, size_t bytes, struct effects *);

/* Fills in m->effects of a message that is decoded. A malformed message has no statements that are
 * answered here: the server refuses it. */
void effects_of_message(struct session *, struct message *);

/* The message waits for a server, at the front of session->in: if it is a Query, keeps what its
 * text does, and the next effects_of_message() takes it from there. If the message is dropped
 * instead, effects_forget() must be called. */
void effects_keep(struct session *, const struct message *);
void effects_forget(struct session *);

/* The text of the message may set parameters: notes those that the server must be asked for by
 * their names. HOLD_PIN_SETTING is added if one cannot be known. */
void effects_note_parameters(struct session *, struct message *);

/* The same for a statement at the end of a scope; `sql` ends with a NUL. Returns its bits. */
unsigned effects_of_deferred(struct session *, const char *sql);

/* A text with these bits goes to the server. If it does something that nothing can undo (LOAD, a
 * seed of random()), the server is closed, and not lent again, when the session gives it back. */
void effects_spoil(struct session *, unsigned set);

/* mode = session: a text with these bits goes to the server, and maybe defines something. */
void effects_note_defines(struct session *, unsigned set);

/* A text with these bits is about to be executed by the server of session->hold: notes what
 * follows. The message is the Query, FunctionCall or Bind by which it is executed. Of a statement
 * at the end of a scope, message and `sql` are NULL. */
void effects_take(struct session *, const struct message *, unsigned set, const char *sql,
		  size_t bytes);

#endif
