/* timeline: makes segments out of the events of TRACE (base/trace.h): which server, which session
 * or which scope was how, from when to when. What had begun before the first event begins with it,
 * what goes on is cut by timeline_end(): the segments of a server cover its time without gaps, and
 * so do those of a session. What is gone is forgotten: a recording of any length takes as much
 * memory as there are servers and sessions at one time. No I/O. */
#ifndef PGWITH_CLI_TIMELINE_H
#define PGWITH_CLI_TIMELINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/trace.h"
#include "cli/label.h"

enum timeline_track { TIMELINE_SERVER, TIMELINE_SESSION, TIMELINE_SCOPE, TIMELINE_NTRACKS };

enum timeline_state {
	/* of a server */
	TIMELINE_CONNECTING,
	TIMELINE_IDLE,
	TIMELINE_CLEANUP,
	/* of a server that a session has, and of a session that has a server */
	TIMELINE_RUNNING,
	TIMELINE_IN_TRANSACTION,
	TIMELINE_HELD,  /* kept, but in no transaction */
	TIMELINE_SETUP, /* parameters, BEGIN and COMMIT of scopes */
	/* of a session */
	TIMELINE_WAITS_FOR_SERVER,
	TIMELINE_WAITS_FOR_LOCK,
	TIMELINE_OUTSIDE, /* the client has and wants nothing */
	/* of a scope */
	TIMELINE_ENTERING,
	TIMELINE_OPEN,
	TIMELINE_NSTATES
};

struct timeline_who {
	/* another one for each session, and for each name that a session has had */
	unsigned number;
	bool written; /* for whoever writes segments to a file; false at first */
	uint64_t session;
	int64_t pid;
	struct label *role, *program, *application_name; /* NULL: not known */
};

struct timeline_segment {
	enum timeline_track track;
	enum timeline_state state;
	uint64_t id; /* of the server; of the session, also for a scope */
	int64_t begin_us, end_us;
	struct timeline_who *who; /* NULL: nobody */
	/* The pool: of the server; that a session waits for, or else its own. NULL: none. */
	struct label *pool;
	struct label *own_pool; /* of a session, and of its scopes: its own; or NULL */
	struct label *scope;    /* the innermost one, or the scope itself; NULL: none */
};

struct timeline;

/* segment() is called for each segment, in the order of their ends. Its labels are those that the
 * timeline was given. */
struct timeline *timeline_new(void (*segment)(void *arg, const struct timeline_segment *),
			      void *arg);
void timeline_free(struct timeline *);

/* The program of the process `pid`, from here on. */
void timeline_program(struct timeline *, int64_t pid, struct label *program);

/* An event, with its names, which are NULL if there is none. One with a state that does not exist
 * is ignored. */
void timeline_event(struct timeline *, const struct trace_event *, struct label *name,
		    struct label *name2);

/* How many servers and sessions it remembers. */
unsigned timeline_count(const struct timeline *);

/* Ends all segments. */
void timeline_end(struct timeline *, int64_t at_us);

/* The words for people: server; idle in transaction. */
const char *timeline_track_name(enum timeline_track);
const char *timeline_state_name(enum timeline_state);

#endif
