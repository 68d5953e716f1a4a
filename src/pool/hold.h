/* hold: a lease of a session, and what the session leaves in its server. A session has one of its
 * own, and so has each transaction scope that has a server of its own; session->hold is the one
 * that messages go by. */
#ifndef PGWITH_POOL_HOLD_H
#define PGWITH_POOL_HOLD_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/pack.h"
#include "pool/lease.h"
#include "wire/sqlclass.h"

/* Why a session keeps its server, beside SQLCLASS_...: a prepared statement of the protocol that it
 * may come back to. */
#define HOLD_PIN_STATEMENT (1u << 31)
/* It has set parameters whose names only the server knows. */
#define HOLD_PIN_SETTING (1u << 30)
/* Its pool has mode session. */
#define HOLD_PIN_MODE (1u << 29)

/* What a server can be asked for: those of the SQLCLASS_... bits that pin. LOAD is for good. */
#define HOLD_PINS_ASKED \
	(SQLCLASS_LISTEN | SQLCLASS_TEMP | SQLCLASS_PREPARE | SQLCLASS_HOLD | SQLCLASS_LOCK)

struct hold {
	struct lease lease;
	unsigned pinned; /* SQLCLASS_... bits and HOLD_PIN_...: why the session keeps its server; 0:
			    it does not */
	bool discard;    /* the server's session state may have been changed, though not for the
			    session to keep */
	bool changed;    /* parameters may have been set */
	bool pins_doubtful; /* what pins may be gone, or never have come to be: the server is asked
			     */
	bool discard_all_sent; /* a DISCARD ALL is under way: if it succeeds, nothing pins any more
				*/
	bool cancel_due;       /* a cancel came before the client's own statement could run */
	struct buf *deallocating; /* names, each NUL-ended, that a DEALLOCATE under way is about; or
				     NULL */
};

/* Of the lease of a session or scope. */
static inline struct hold *
hold_of(struct lease *l)
{
	return LIST_OBJ(l, struct hold, lease);
}

/* What becomes of the server when it is at rest outside a transaction. */
enum hold_verdict {
	HOLD_KEEP, /* the session keeps it */
	HOLD_ASK,  /* the server is asked what is left of the session; then it is looked at again */
	HOLD_RETURN, /* it is returned as it is */
	HOLD_DISCARD /* it is returned, and session state is undone */
};

/* `foreign`: it is a scope's, which ends, and cannot be kept by the session. */
enum hold_verdict hold_verdict(const struct hold *, bool foreign);

/* What pins in a scope's server is given up, as that is not kept. */
void hold_give_up_pins(struct hold *);

/* Frees what is not the lease. */
void hold_clear(struct hold *);

/* The same, from one process to the next. */
void hold_pack(struct pack *, struct hold *);

#endif
