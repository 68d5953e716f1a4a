/* effects: what a text does to the session that runs it and to its server, and what follows from
 * that. Whoever wants to know of a text asks here.
 *
 * A text is read twice at most. When its message is judged, effects_of_message() reads the classes
 * (wire/sqlclass.h) and the mentions (wire/sqlmention.h) of the whole text, which mostly need a
 * quick look only; if it may set parameters, effects_note_parameters() reads their names. When it
 * is executed, which for a prepared statement is later and with another message, effects_take()
 * reads which parameters it resets and which statements it deallocates, if it is of those that do
 * (resets.h, deallocate.h). */
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
	bool unsure;     /* it may be read otherwise: `set` has the bits of all readings */
};

/* What changes session state that cannot be moved: the session keeps its server. */
#define EFFECTS_PIN (HOLD_PINS_ASKED | SQLCLASS_LOAD | SQLMENTION_SEED | HOLD_PIN_SETTING)

/* Of a text that goes to the server now. If it is not certain how it is read, no scope statement is
 * seen that one of the readings does not have. */
void effects_of(const struct session *, const char *sql, size_t bytes, struct effects *);

/* Of a message that is decoded: fills in m->effects. The statements of a malformed message are none
 * that are answered here. */
void effects_of_message(const struct session *, struct message *);

/* The text of the message may set parameters: notes those that the server must be asked for by
 * their names. HOLD_PIN_SETTING is added if one cannot be known. */
void effects_note_parameters(struct session *, struct message *);

/* The same of a statement at the end of a scope. Returns its bits; `sql` has a NUL at its end. */
unsigned effects_of_deferred(struct session *, const char *sql);

/* A text of these bits goes to the server. Some of what it can do there nothing can undo (LOAD, a
 * seed of random()): then the connection is closed when the session gives it back. */
void effects_spoil(struct session *, unsigned set);

/* A text with these effects is about to be executed on the server that the session holds; `simple`:
 * it is a whole Query. `sql` may be NULL: that of a statement at the end of a scope. */
void effects_take(struct session *, unsigned set, const char *sql, size_t bytes, bool simple);

#endif
