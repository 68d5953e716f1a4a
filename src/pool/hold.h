/* hold: a lease of a session, and what the session leaves in its server. A session has one of its
 * own, and so has each transaction scope that has a server of its own; session->hold is the one
 * that messages go by. */
#ifndef PGWITH_POOL_HOLD_H
#define PGWITH_POOL_HOLD_H

#include <stdbool.h>
#include <stdint.h>

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

/* Those of them that pin nobody in a joined scope, since all its members have the same server. */
#define HOLD_OF_SCOPE (SQLCLASS_TEMP | SQLCLASS_LOCK)

#define HOLD_DEALLOCATING_MAX (64 * 1024) /* bytes of hold.deallocating */

#define HOLD_READONLY 7 /* states of enum readonly, session/readonly.h */

struct hold {
	struct lease lease;
	/* Why the session keeps its server: SQLCLASS_... bits and HOLD_PIN_...; 0: it does not. */
	unsigned pinned;
	/* The server's session state may have been changed in a way that the session does not keep:
	 * the server needs a DISCARD ALL. */
	bool discard;
	/* The session may have set parameters: the server is asked for them. */
	bool changed;
	/* A reason to be pinned may be gone, or may never have come to be: the server is asked. */
	bool pins_doubtful;
	/* A DISCARD ALL is under way: if it succeeds, nothing pins the session any more. */
	bool discard_all_sent;
	/* A cancel came before the client's own statement could run. */
	bool cancel_due;
	/* session/doing.h: the command of the last statement that was sent in this lease. */
	uint8_t command;
	/* session/readonly.h: enum readonly, how far a transaction is that only reads. */
	uint8_t readonly;
	bool apart; /* the option read_only has chosen the pool, which is not the session's own */
	bool wrote; /* the lease may have written */
	/* with `apart`: the unnamed portal has a statement that may end the transaction */
	bool ends_bound;
	/* effects_keep(): what the Query that waits for a server does, and the bytes of its text
	 * with the NUL, or 0. */
	unsigned waiting_set;
	uint32_t waiting_bytes;
	/* For the hold that is a session's own; times of the loop, in microseconds. When the BEGIN
	 * came that was answered here last (session/block.h); 0: none was. */
	int64_t begun_us;
	int64_t sent_xact_us; /* lease.xact_us when that BEGIN went to the server */
	/* The names in a DEALLOCATE that is under way, each NUL-ended; or NULL. */
	struct buf *deallocating;
	/* session/application.h: the application_name that this lease's server was given, if that
	 * is not the one that the session's next lease gets; otherwise NULL. On the heap. */
	char *named;
};

/* Returns the hold that this lease, of a session or scope, is a member of. */
static inline struct hold *
hold_of(struct lease *l)
{
	return LIST_OBJ(l, struct hold, lease);
}

/* Is its server that of the members of a joined scope? */
bool hold_is_joined(const struct hold *);

/* What becomes of the server when it is at rest outside a transaction. */
enum hold_verdict {
	HOLD_KEEP,   /* the session keeps it */
	HOLD_ASK,    /* it is asked what the session has left there, then judged again */
	HOLD_RETURN, /* it is returned as it is */
	HOLD_DISCARD /* it is returned, and cleanup sends a DISCARD ALL */
};

/* `foreign`: the server is that of a scope which ends: the session cannot keep it. */
enum hold_verdict hold_verdict(const struct hold *, bool foreign);

/* The server of a scope is about to be returned: what pins the session there is given up, and a
 * DISCARD ALL is due if there is, or may be, any. */
void hold_give_up_pins(struct hold *);

/* Frees the members that are not the lease. */
void hold_clear(struct hold *);
/* Frees hold->deallocating. */
void hold_drop_deallocating(struct hold *);

/* Packs the members that are not the lease. */
void hold_pack(struct pack *, struct hold *);

#endif
