/* context: the parameters of a session (SET), which go with it from server to server. What a
 * session has set is not guessed from its statements: after a lease in which it may have set
 * something, the server is asked. What is kept is the one statement that sets it all again:
 * context.parameters_sql. */
#ifndef PGWITH_SESSION_CONTEXT_H
#define PGWITH_SESSION_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "pool/progress.h"
#include "pool/unnamed.h"

struct control;
struct names;
struct session;
struct told;
struct tolds;

/* What a session takes with it from server to server. Strings and lists are its own, on the heap;
 * context_clear() frees them. */
struct context {
	/* The startup packet. */
	uint8_t mode;  /* enum conf_mode: that of its pool when the session came in */
	bool pin;      /* the same */
	char *startup; /* its startup parameters (params.h) while the session waits to be let in */
	uint32_t startup_bytes;
	char *repeated; /* all of them, if not only the last values count; until a server has
			 * judged them */
	uint32_t repeated_bytes;
	bool unproven; /* let in without a server's having seen its startup parameters */

	/* Parameters. */
	char *parameters_sql; /* SQL that gives a server its parameters; NULL if they are the
			       * server's own; between login and let_in, those of startup */
	char *unlisted;       /* names of parameters that must be asked for by name (unlisted.h):
			       * name NUL ... NUL; or NULL */
	bool accepted;        /* a server has taken its parameters */
	bool wants_fresh;     /* a server has refused them: the next is to be a new one */
	bool refused;         /* so has a new one: no other is tried until they change */
	bool probes;          /* the session is about to set temp_buffers: not every server takes
			       * that */

	/* application.h: as the startup packet has it, and as servers tell of that; the one that
	 * was set since, or NULL. */
	char *application, *application_told, *application_set;

	/* What was told of parameters. Each is a reference of its own. */
	struct told *told;                 /* telling.h: to the client */
	struct told *greeted;              /* the same, at login: of its startup parameters, their
					    * values */
	struct told *seen_own, *seen_told; /* context.c: the server's own and the client's that
					    * were last compared */

	/* resets.h */
	uint8_t resets;           /* enum session_resets */
	bool resets_named;        /* mode session: a named statement may reset */
	bool resets_local;        /* by SET LOCAL */
	bool resetting;           /* SESSION_SAVING: the server sets them again */
	uint64_t resets_errors;   /* progress.errors as the last of them went to the server */
	struct buf *resets_names; /* which, as the texts say; or NULL. resets_forget() frees it */

	/* Prepared statements. */
	struct names *names;     /* the named ones; NULL: the session has had none */
	struct unnamed unnamed;  /* unnamed.here is of the lease; unnamed_forget() frees its text */
	struct control *control; /* control.h, which frees it; NULL: nothing is kept there */

	uint64_t last_server; /* sequences.h: id of the server that it had last, or has */
};

/* Frees what belongs to it: control_free(), resets_forget() and names_clear() come before. */
void context_clear(struct context *, struct tolds *);

/* Adds the question for what the session has set now. `patient`: in a way that its own
 * statement_timeout does not end. */
void context_ask(const struct session *, bool patient, struct buf *sql);

/* Is the server asked as the role that it has logged in as, by SET LOCAL ROLE none? */
bool context_asks_as_login(const struct session *);

/* Takes the answer, which is made of whole messages. Returns false if it is not understood, or is
 * more than a session can keep: then nothing has changed. */
bool context_take(struct session *, const struct buf *answer);

/* The server has not told what is left of the session, or it is too much to be kept: the session
 * keeps its server. If nothing was seen that pins, and the server does not know the question
 * (SQLSTATE 42...), as what speaks the protocol need not be PostgreSQL, DISCARD ALL is enough. */
void context_untold(struct session *, const char *sqlstate);

/* Is it not sure that the server that the session holds takes its parameters? It has not had these
 * names yet; who the session is, or the one before, may not be there any more; what they name may
 * have gone (a tablespace), or be fixed (temp_buffers); or a short statement_timeout of another
 * session's would cut short what gives them. */
bool context_is_doubtful(const struct session *);

/* Adds what gives the server that the session holds its parameters, if that has others: messages of
 * our own, the last of them a Sync. Progress is told. Nothing if it has them. */
void context_apply(struct session *, struct buf *out);

/* Adds a statement of our own: Parse, Bind, Execute, without a Sync; the unnamed statement is lost.
 * Progress is told. */
void context_own(struct progress *, const char *sql, struct buf *out);

/* Has the server that the session holds other parameters than the session's? Then context_change()
 * adds SQL, without a NUL, that gives it those. */
bool context_differs(const struct session *);
void context_change(const struct session *, struct buf *sql);

/* The session's pool is about to be moved to another place, whose defaults may be others: what the
 * client was told of those of its pool goes on to hold for it. */
void context_moves(struct session *);

/* The lease begins. A server that was opened since may have other defaults (ALTER ROLE ... SET):
 * what the client was told, and relies on, goes on to hold. */
void context_keep_told(struct session *);

/* The server has what the session wants now. */
void context_applied(struct session *);
/* The same, and it has said so: it will take these parameters again. */
void context_taken(struct session *);

/* It does not take them, as it has said. May a new server? One has taken them before, or it depends
 * on what this one has done. */
bool context_may_be_taken(const struct session *);

/* No server takes what the session has set, and the client sets or resets something: who the
 * session is is given up, or if it has set nothing of that kind, all that was set. */
void context_give_in(struct session *);

/* The client's DISCARD ALL has succeeded: the session and its server are as new. */
void context_discarded(struct session *);

/* parameters_sql as it is at the beginning: the startup parameters that the pool's servers do not
 * have. */
void context_start(struct session *);

#endif
