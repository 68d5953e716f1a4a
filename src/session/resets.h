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
#include "base/list.h"
#include "base/pack.h"
#include "session/message.h"
#include "session/session.h"

enum session_resets {
	RESETS_NONE,
	/* some may have been reset, or are reset by a portal that has not been executed; they are
	 * set again outside of the transaction */
	RESETS_LATER,
	RESETS_NOW /* some may have been reset, and are to be set again now */
};

/* What the client's texts have reset and set since the parameters were set again last. */
struct reset_names {
	struct buf names; /* as in resettext.h */
	/* struct reset_portal, of resets.c: those that were bound and have not been executed */
	struct list portals;
	/* progress.errors and progress.discards when the last of these texts went to the server */
	uint64_t errors, discards;
};

/* A text with these SQLCLASS_... bits goes to the server: notes what it resets. The message is the
 * Query or Parse that has the text, or the Bind: then what SET, RESET and DISCARD ALL in it reset
 * counts once the portal is executed, see resets_portal(). `flags`: of sqltext_init(). */
void resets_note(struct session *, const struct message *, unsigned set, const char *sql,
		 size_t bytes, unsigned flags);

/* A message goes to the server. If it executes a portal that resets parameters, that counts from
 * now on. If it closes the portal, or binds another of that name, that will not be executed. */
void resets_portal(struct session *, const struct message *);

/* The same as these two for a message where prepared statements are not followed (mode = session,
 * max_prepared_statements = 0): control.h keeps their texts. If a text is too long to be kept, it
 * counts when it is prepared if the statement has no name; if it has one, every Bind may execute
 * it. */
void resets_message(struct session *, const struct message *);

/* Must the message of this type wait until the startup parameters are set again? */
bool resets_hold(const struct session *, char type);

/* The server is at rest, and the lease goes on: adds SQL that sets the startup parameters again,
 * for inquiry_ask_apart(): one or more texts, each with a NUL. Returns false if there is nothing to
 * be done. */
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

/* Handover. */
void resets_pack(struct pack *, struct session *);

/* Forgets what was reset, because the lease has ended, or the startup parameters are set again. */
void resets_forget(struct session *);

#endif
