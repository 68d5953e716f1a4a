/* unitcopy: which messages of a member may reach the server while it has, or may have, a COPY FROM
 * STDIN open. There PostgreSQL takes CopyData, CopyDone and CopyFail, ignores Flush and Sync, and
 * closes its connection for all others, which in a joined scope is that of all members. No I/O.
 *
 *	COPY asked for      by an Execute: until the server has answered, only what has a place in a
 *	                    COPY goes on
 *	CopyInResponse      open: anything else ends the member
 *	CopyDone, CopyFail  ending: anything else waits for the answer */
#ifndef PGWITH_SCOPE_UNITCOPY_H
#define PGWITH_SCOPE_UNITCOPY_H

#include <stdbool.h>

#include "base/pack.h"

/* Where the member's message comes. */
enum unitcopy_place {
	UNITCOPY_QUERY, /* a Query is under way */
	UNITCOPY_PART,  /* a part of a text */
	UNITCOPY_EXCHANGE,
	UNITCOPY_ELSEWHERE
};

enum unitcopy_verdict {
	UNITCOPY_ORDINARY, /* this is about no COPY */
	UNITCOPY_PASS,
	UNITCOPY_HOLD,
	UNITCOPY_SYNC, /* a Sync in a COPY of an exchange: passes, and is swallowed by the COPY */
	UNITCOPY_END   /* PostgreSQL would close its connection */
};

struct unit_copy {
	bool open;       /* the server waits for data, or for the end of it that is on its way */
	bool asked;      /* an Execute of a COPY has not been answered */
	bool flushed;    /* a Flush of ours makes it answer */
	unsigned ends;   /* CopyDone and CopyFail that it has not taken */
	unsigned syncs;  /* Sync in the COPY of a Query: swallowed, or answered if it has failed */
	unsigned strays; /* answers to these */
};

/* A Query or exchange begins. */
void unitcopy_reset(struct unit_copy *);

/* An Execute of a COPY is passed on. */
void unitcopy_ask(struct unit_copy *);

/* `failed`: the exchange has. */
enum unitcopy_verdict unitcopy_member(struct unit_copy *, enum unitcopy_place, char type,
				      bool failed);

/* A message of an exchange waits. Returns true if a Flush has to be sent, without which the server
 * might not tell of the COPY's end. */
bool unitcopy_flush(struct unit_copy *);

/* The server has opened a COPY, has completed a command (`last`: it was the last one that was
 * executed in an exchange), or tells of an error. */
void unitcopy_opened(struct unit_copy *);
void unitcopy_completed(struct unit_copy *, bool last);
void unitcopy_failed(struct unit_copy *);

/* How many ReadyForQuery the member is to be told behind that of its Query. */
unsigned unitcopy_take_strays(struct unit_copy *);

/* For the handover. */
void unitcopy_pack(struct pack *, struct unit_copy *);

#endif
