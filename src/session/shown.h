/* shown: what a session has if the option application_name of its pool is not `client`: the
 * client's own name, and the one that servers get. application.h gives the names to servers. */
#ifndef PGWITH_SESSION_SHOWN_H
#define PGWITH_SESSION_SHOWN_H

#include <stdbool.h>

struct pack;
struct pool;
struct session;

/* What a session has if its pool's option is not `client`. */
struct shown {
	/* The client's own name of the startup packet: context->application and application_told
	 * as they would be with `client`. Atoms. */
	const char *own, *own_told;
	/* The name that servers get outside of scopes, in ASCII, as they report it; an atom. With
	 * `pool` it is only what the client is told at login. */
	const char *now;
	bool of_pool;     /* the option is `pool`: each server keeps the name of its login */
	char program[32]; /* of the client, when it came; "?": it could not be read */
};

/* Has the pool another option than `client`? */
bool shown_is_needed(const struct pool *);

/* At login, behind application_start(): makes session->rare->shown if it is needed, and lets
 * context->application and application_told be the name that servers get. */
void shown_start(struct session *);

/* The option of the session's pool may have changed: the next lease gives the name that it makes
 * now. The leases of now keep theirs. */
void shown_renew(struct session *);

/* Frees session->rare->shown. */
void shown_forget(struct session *);

/* For the handover. */
void shown_pack(struct pack *, struct session *);

#endif
