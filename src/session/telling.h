/* telling: what a client has been told of parameters by ParameterStatus. At login that is what the
 * pool's servers say, with what the client's startup parameters make of it; from then on it is kept
 * true of the server that the session uses, whatever has changed there meanwhile (a standby was
 * promoted, a configuration reloaded), or on which server it goes on. */
#ifndef PGWITH_SESSION_TELLING_H
#define PGWITH_SESSION_TELLING_H

#include <stdbool.h>

#include "base/buf.h"
#include "session/session.h"

/* At login, when the pool has told something: what the client is to be told. */
enum telling {
	TELLING_CERTAIN,
	TELLING_LIKELY, /* only a server can say whether it takes a startup parameter, or how it
			   spells it */
	TELLING_UNKNOWN /* who the client is, is not known: role */
};
enum telling telling_start(struct session *);

/* The server that the session holds has taken the startup parameters: so all who have the same need
 * not ask. At login, what it says is what the client is to be told. */
void telling_learn(struct session *);

/* The values of its startup packet that were to be looked at one by one (params_read()) have been.
 */
void telling_forget_repeated(struct context *);

/* The server that the session holds has refused what others have taken: nothing is known for sure.
 */
void telling_unlearn(struct session *);

/* Adds ParameterStatus of all, at login. */
void telling_all(struct session *, struct buf *out);

/* Adds ParameterStatus of what is otherwise on the server that the session holds; what it has reset
 * there is what it was told at login (resets.h). */
void telling_differences(struct session *, struct buf *out);

/* The same, sent; nothing while a server is still to be given the session's own parameters. */
void telling_send(struct session *);

/* The client has got a ParameterStatus of the server that the session holds. */
void telling_heard(struct session *, const char *name, const char *value);

#endif
