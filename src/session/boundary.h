/* boundary: in the extended protocol, a scope statement may stand behind messages that no Sync has
 * ended yet. A Sync of ours ends them, so that they are done before the scope is entered or exited.
 *
 *	none -> due        the exchange of the client's is to be ended
 *	due -> sent        the Sync has gone to the server
 *	sent -> none       what it ended is done
 *	sent -> failed     the server says an error
 *	failed -> none     it is at rest: the client's messages are dropped up to its Sync */
#ifndef PGWITH_SESSION_BOUNDARY_H
#define PGWITH_SESSION_BOUNDARY_H

struct session;

enum boundary { BOUNDARY_NONE, BOUNDARY_DUE, BOUNDARY_SENT, BOUNDARY_FAILED, BOUNDARY_NSTATES };

const char *boundary_name(enum boundary);

/* The setter of session->extended.boundary. An illegal move ends the program. */
void boundary_set(struct session *, enum boundary);

/* The server has answered with an error: if a Sync of ours has been sent, SENT -> FAILED. */
void boundary_note_error(struct session *);

#endif
