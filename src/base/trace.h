/* trace: events of the machines, recorded in memory while somebody records them, for a timeline.
 *
 * The setters of the states call it. While nobody records, each call is one comparison of a
 * pointer. While somebody does, an event of fixed size is put into a ring. One reader takes events
 * out of the ring, in portions. If the reader is slow and the ring is full, new events are lost and
 * counted: the daemon neither waits nor grows. No SQL text is recorded. An event has the numbers of
 * its names (of pools, roles, scopes, ...). The reader is told each name once; when it has been
 * told all events, and there are many names, they are forgotten, and get numbers anew. If more than
 * TRACE_NAMES come before that, further ones have the number 0.
 *
 * Not thread-safe: only the thread of the loop records. Nothing of a trace is handed over: if the
 * session that records is, its next portion is the first one of a new recording. */
#ifndef PGWITH_BASE_TRACE_H
#define PGWITH_BASE_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define TRACE_EVENTS  65536 /* the size of the ring; a power of two */
#define TRACE_PORTION 4096  /* events of one portion, at most: the loop stands still meanwhile */
#define TRACE_NAMES   4096
/* bytes of a name that are kept, at most, with its 0; no character of UTF-8 is cut in two */
#define TRACE_NAME 128

/* What happened. The comments tell the meaning of subject, other, state, name and name2. Numbers
 * and order are the same for pgwith, which may be of another day: whoever changes them raises
 * TRACEPACK_VERSION of tracepack.h. */
enum trace_kind {
	/* state 1: what exists is told from here on; state 0: up to here */
	TRACE_SNAPSHOT,
	/* server; session that has it, or 0; enum trace_server; pool, unless the reader knows it */
	TRACE_SERVER,
	/* server; session; 'R': an exchange runs, I, T, E: it has ended so */
	TRACE_ASK,
	/* session; pid; state; role; application_name. State 1, in a snapshot: waits and scopes of
	 * the session that the reader knows may have ended; those that go on follow */
	TRACE_WHO,
	/* session; 0; enum trace_session; pool, unless the reader knows it */
	TRACE_SESSION,
	/* session waits for a server; 0; 1: it begins, 0: it ends; pool */
	TRACE_WAIT,
	/* session waits for a lock; 0; 1: it begins, 0: it ends; lock */
	TRACE_LOCK,
	/* session; number of the scope; enum trace_scope; scope; its kind */
	TRACE_SCOPE,
	TRACE_NKINDS
};

enum trace_server { TRACE_CONNECTING, TRACE_IDLE, TRACE_LEASED, TRACE_CLEANING, TRACE_CLOSED };

enum trace_session {
	TRACE_ABSENT,     /* it needs no server for its login, and is not let in yet; or gone */
	TRACE_PRESENT,    /* idle, waiting (also at its login), or active */
	TRACE_PARAMETERS, /* its server is given its parameters, or asked for them */
	TRACE_WORK        /* its scopes are entered, exited or ended */
};

enum trace_scope { TRACE_ENTERING, TRACE_OPEN, TRACE_ENDED };

struct trace_event {
	int64_t at_us; /* the loop's clock */
	uint64_t subject, other;
	uint16_t name, name2; /* numbers of names; 0: none */
	uint8_t kind;         /* enum trace_kind */
	uint8_t state;
};

struct trace;

/* What is being recorded; NULL: nothing. Only trace_begin() and trace_end() write it. */
extern struct trace *trace_on;

/* Begins to record, for this reader (a session's id). `seed`: a secret number, so that no client
 * can make names collide. False if somebody records already. */
bool trace_begin(uint64_t reader, uint64_t seed);
/* Ends the recording of this reader and frees everything. False if this reader records nothing. */
bool trace_end(uint64_t reader);
/* Who records; 0: nobody. */
uint64_t trace_reader(void);

/* ---- the following only while trace_on is not NULL ---- */

/* Records an event. The names may be NULL. */
void trace_add(enum trace_kind, int64_t now_us, uint64_t subject, uint64_t other, unsigned state,
	       const char *name, const char *name2);

/* How many events there is room for. */
unsigned trace_room(void);
/* Have events been lost since this was last asked? */
bool trace_lost_more(void);

/* Takes the oldest events out of the ring, and adds them to `out` as a portion (tracepack.h).
 * `more`: the caller has more to tell, so that the portion is not marked with TRACEPACK_ALL. */
void trace_portion(struct buf *out, int64_t now_us, bool more);

#endif
