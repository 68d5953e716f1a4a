/* resets: RESET ALL, RESET x, SET x TO DEFAULT, DISCARD ALL and their like give a parameter the
 * value of the startup packet in PostgreSQL. No server knows that of the session: where its lease
 * goes on behind such a text (mode session, pinned, in a transaction), the startup parameters are
 * set again when its answer has come, and what the client sends behind it waits for that. Elsewhere
 * context.c does it for the next lease. */
#ifndef PGWITH_SESSION_RESETS_H
#define PGWITH_SESSION_RESETS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "session/message.h"
#include "session/session.h"

enum session_resets {
	RESETS_NONE,
	RESETS_LATER, /* some may have been reset; what is to be done in the transaction is done */
	RESETS_NOW    /* the same, and nothing was done yet */
};

/* A text with these SQLCLASS_... bits goes to the server, read by these flags of sqltext_init(). */
void resets_note(struct session *, unsigned set, const char *sql, size_t bytes, unsigned flags);

/* The same of a message, with mode session, where nothing is known of prepared statements: a text
 * counts when it is prepared, and once one has a name, each Bind may run it. */
void resets_message(struct session *, const struct message *);

/* The same of a message that sets no parameter beyond its transaction, but may reset one there: SET
 * LOCAL x TO DEFAULT. */
void resets_note_local(struct session *, const struct message *);

/* Must the message of this type wait until the startup parameters are set again? */
bool resets_hold(const struct session *, char type);

/* The server is at rest, and the lease goes on: adds the SQL that sets them again. Returns false if
 * there is nothing to be done. */
bool resets_sql(struct session *, struct buf *sql);

/* Is this value that the server has of a parameter its own, as a text of the client's has reset it,
 * so that the startup packet's is in force with the client's next message? */
bool resets_hide(const struct session *, const char *name, const char *value);

/* At the end of a lease the server says that it has no role: because the client has reset it, so
 * that the startup packet's is in force (not: SET ROLE none)? */
bool resets_role(const struct session *);

/* The lease has ended. */
void resets_forget(struct session *);

#endif
