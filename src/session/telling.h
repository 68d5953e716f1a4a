/* telling: what a client is told by ParameterStatus. At login it is told what the pool's servers
 * report, changed by its own startup parameters. From then on it is told whatever is different on
 * the server that it uses, because that has changed (a standby was promoted, a configuration
 * reloaded) or because the session is on another server. */
#ifndef PGWITH_SESSION_TELLING_H
#define PGWITH_SESSION_TELLING_H

#include <stdbool.h>

#include "base/buf.h"
#include "session/session.h"

/* How well it is known, without a server, what the client's startup parameters come to. */
enum telling {
	TELLING_CERTAIN,
	TELLING_LIKELY, /* a server might refuse one of them, or spell its value otherwise */
	TELLING_UNKNOWN /* it has a role of which is_superuser is not known */
};
/* At login, when the pool has had a server: works out what the client is told. */
enum telling telling_start(struct session *);

/* The server of session->hold has accepted the startup parameters. Notes that for all sessions with
 * the same ones. At login, what the server reports is what the client is told. */
void telling_learn(struct session *);

/* The client was let in, and its startup parameters are certain: does what it was told follow from
 * these and from what the pool's servers report alone, and not from what telling_learn() has
 * noted? */
bool telling_is_plain(const struct session *);

/* The server of session->hold has refused what another one accepted: forgets all that
 * telling_learn() has noted. */
void telling_unlearn(struct session *);

/* At login: adds a ParameterStatus of each parameter. */
void telling_all(struct session *, struct buf *out);

/* Adds a ParameterStatus of each parameter that is different on the server of session->hold. For
 * one that the session has just reset, the value of its login counts (resets.h). */
void telling_differences(struct session *, struct buf *out);

/* Sends them. Does nothing while the server has not got the session's parameters yet. */
void telling_send(struct session *);

/* Notes that the client has got a ParameterStatus from the server of session->hold. */
void telling_note_status(struct session *, const char *name, const char *value);

#endif
