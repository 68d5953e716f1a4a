/* context: the parameters of a session (SET), which go with it from server to server. They are not
 * guessed from its statements: after a lease in which it may have set something, the server is
 * asked. The answer is kept as one statement that sets all again: context.parameters_sql. */
#ifndef PGWITH_SESSION_CONTEXT_H
#define PGWITH_SESSION_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "pool/progress.h"
#include "pool/unnamed.h"

struct atoms;
struct names;
struct reset_names;
struct server;
struct session;
struct told;
struct tolds;

/* What a session takes with it from server to server. The texts of its startup packet and of
 * application_name are atoms (base/atom.h). Other strings and lists are its own, on the heap.
 * context_clear() frees them. */
struct context {
	/* Small members stand together, so that there are no holes between them. */
	uint8_t mode;     /* enum conf_mode: that of its pool when the session came in */
	bool pin;         /* the option of its pool, likewise */
	bool listens;     /* LISTEN is for the keeper, if possible (listening.h); likewise */
	bool unproven;    /* it was let in before a server has judged its startup parameters */
	bool accepted;    /* a server has accepted its parameters */
	bool wants_fresh; /* a server has refused them: a new connection is tried next */
	bool refused;     /* a new one has refused them too: none is tried until they change */
	/* one of the pool of read_only has refused them: the next message goes to the own pool */
	bool refused_apart;
	bool litters; /* it may have temporary objects or advisory locks in a joined scope */
	bool probes;  /* it is about to set temp_buffers, which not every server accepts */
	/* resets.h: */
	uint8_t resets;    /* enum session_resets */
	bool resets_named; /* mode session: a named statement whose text is not kept may reset */
	bool resets_local; /* the reset was a SET LOCAL */
	/* a text in a string may have reset the role: texts in strings are not read */
	bool resets_role_unread;
	bool resetting; /* SESSION_SAVING: the server sets startup parameters again */
	/* Likewise: a part of that has failed, and is undone; by a cancel: it is tried again. */
	bool resets_undo, resets_cut_short;
	/* It has made the client's transaction fail, and the client does not know that. */
	bool resets_failed;
	uint8_t pipelined; /* standin.h: the client sends exchanges without waiting */

	/* The startup packet. */
	/* All values of startup parameters, if a server has to judge each (params_read()); NULL
	 * when one has. */
	struct buf *repeated;
	const char *startup; /* its startup parameters, as params_read() makes them; an atom */

	/* Parameters. */
	/* SQL that gives a server the session's parameters; NULL: they are the servers' own. */
	char *parameters_sql;
	/* Names of parameters that the server must be asked for by name (unlisted.h): name NUL ...
	 * NUL; or NULL. */
	char *unlisted;

	/* application.h: as in the startup packet; as servers report that; what was set since, or
	 * NULL. Atoms. */
	const char *application, *application_told, *application_set;

	/* What was told of parameters. Each is a reference of its own. */
	struct told *told;    /* telling.h: what the client has been told */
	struct told *greeted; /* what it was told at login */
	uint64_t compared;    /* told_pair() of `told` and the values of a server: compared last */

	struct reset_names *resets_names; /* resets.c; NULL: no name. resets_forget() frees it */

	/* Prepared statements. */
	struct names *names;     /* the named ones; NULL: the session has had none */
	struct unnamed *unnamed; /* NULL: it has had none of late; see unnamed_make() */

	uint64_t last_server; /* sequences.h: id of the server that it has, or had last */
};

static inline size_t
context_repeated_bytes(const struct context *c)
{
	return c->repeated ? c->repeated->len : 0;
}

static inline const char *
context_repeated(const struct context *c)
{
	return c->repeated ? (const char *)buf_data(c->repeated) : NULL;
}

/* Frees context->repeated, when a server has looked at all of it. */
void context_forget_repeated(struct context *);

/* Frees what the pointers point to. resets_forget() and names_clear() must have
 * been called before. */
void context_clear(struct context *, struct tolds *, struct atoms *);

/* May the server of session->hold refuse the session's parameters? It may if it has not had these
 * names yet; if there is a role among them, or among those that it has; if they name something that
 * can be gone (a tablespace) or fixed (temp_buffers); or if a short statement_timeout of the
 * session before could end the statement that gives them. */
bool context_is_doubtful(const struct session *);

/* If the server of session->hold has other parameters than the session, adds messages of ours that
 * give it those, the last one a Sync, to the batch, and tells progress. */
void context_apply(struct session *);

/* Adds a statement of ours: Parse, Bind, Execute, without a Sync, and tells progress. The server's
 * unnamed statement is replaced. */
void context_own(struct progress *, const char *sql, struct buf *out);

/* Has the server of session->hold other parameters than the session? Then context_change() adds
 * SQL, without a NUL, that gives it the session's. */
bool context_differs(const struct session *);
void context_change(const struct session *, struct buf *sql);

/* The session's pool is about to be moved to another server, which may have other defaults: the
 * values that the client was told at login become parameters of the session. */
void context_moves(struct session *);

/* A lease begins. If its server was opened later than the client's login, it may have other
 * defaults (ALTER ROLE ... SET): the values that the client was told, and relies on, become
 * parameters of the session. */
void context_keep_told(struct session *);

/* Notes that the server has accepted these names of parameters: it will accept them again. `sql`:
 * as parameters_sql. */
void context_note_accepted(struct server *, const char *sql);

/* The server of session->hold has been given the session's parameters. */
void context_applied(struct session *);
/* The same, and it has accepted them: it will accept these names again. */
void context_taken(struct session *);

/* The server has refused the session's parameters. May a new connection accept them? It may if a
 * server has accepted them before, or if the refusal may come from what this server has done. */
bool context_may_be_taken(const struct session *);

/* No server accepts the session's parameters, and now the client sets or resets something. Drops
 * the session's role and authorization from them; without these, all that the session has set. */
void context_give_in(struct session *);

/* The client's DISCARD ALL has succeeded: session and server have no state any more. */
void context_discarded(struct session *);

/* Sets parameters_sql to that of a new session: the startup parameters that the pool's servers do
 * not have by default. */
void context_start(struct session *);

#endif
