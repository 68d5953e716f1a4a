/* resets: after RESET ALL, RESET x, SET x TO DEFAULT, DISCARD ALL and the like, a parameter has the
 * value of the startup packet in PostgreSQL. Our servers do not know the session's startup packet.
 * So if the lease goes on behind such a text (mode session, pinned, in a transaction), its startup
 * parameters are set again when the text has been answered, and the client's next messages wait for
 * that. If the lease ends, context.c does it for the next one. */
#ifndef PGWITH_SESSION_RESETS_H
#define PGWITH_SESSION_RESETS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "session/message.h"
#include "session/session.h"

enum session_resets {
	RESETS_NONE,
	RESETS_LATER, /* some may have been reset; they are set again outside of the transaction */
	RESETS_NOW    /* some may have been reset, and are to be set again now */
};

/* What the client's texts have reset and set since the parameters were set again last. */
struct reset_names {
	struct buf names; /* names as in resets.c */
	/* progress.errors and progress.discards when the last of these texts went to the server */
	uint64_t errors, discards;
};

/* A text with these SQLCLASS_... bits goes to the server: notes what it resets. The message is the
 * Bind that executes it, or the Query or Parse that has it. `flags`: of sqltext_init(). */
void resets_note(struct session *, const struct message *, unsigned set, const char *sql,
		 size_t bytes, unsigned flags);

/* The same for a message with mode session, where prepared statements are not followed: a text
 * of an unnamed statement counts when it is prepared, that of a named one when it is bound
 * (control.h). If the text of a named one is not kept, every Bind may execute it. */
void resets_message(struct session *, const struct message *);

/* Must the message of this type wait until the startup parameters are set again? */
bool resets_hold(const struct session *, char type);

/* The server is at rest, and the lease goes on: adds SQL that sets the startup parameters again.
 * Returns false if there is nothing to be done. */
bool resets_sql(struct session *, struct buf *sql);

/* The server reports this value of a parameter. Is it the server's own default, because the client
 * has reset the parameter? Then the value of the startup packet is set before the client's next
 * message. */
bool resets_hide(const struct session *, const char *name, const char *value);

/* The server says that no role is set. Is that because the client has reset its role, so that the
 * one of the startup packet is in force? If the client has sent SET ROLE none, it is not. */
bool resets_role(const struct session *);

/* Is application_name among what the client's last texts outside of transactions have reset, and
 * not set after that? */
bool resets_name(const struct session *);

/* The server says that this parameter, of an extension or made up by the client (app.x), is empty.
 * Is it because the client has reset it? If a text only may have done that (a DO block, say), and
 * the client had made it empty before, it is not: the server cannot tell the one from the other. */
bool resets_emptied(const struct session *, const char *name);

/* Forgets what was reset, because the lease has ended, or the startup parameters are set again. */
void resets_forget(struct session *);

#endif
