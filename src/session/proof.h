/* proof: what a session has while its client proves a password (SESSION_PASSWORD). */
#ifndef PGWITH_SESSION_PROOF_H
#define PGWITH_SESSION_PROOF_H

#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "loop/timer.h"
#include "session/exchange.h"
#include "wire/frame.h"

struct session;

/* In a vault. */
struct proof {
	struct exchange exchange;
	struct timer delay;       /* WRONG: ends when the client is told */
	struct list_node delayed; /* WRONG: in site->delayed */
	struct session *session;
	/* What the client has sent and is not handled yet: one message, or a part of it. */
	uint8_t in[FRAME_HEADER + SCRAM_MESSAGE_MAX];
	size_t have; /* bytes of it */
};

/* Makes session->rare->proof; delay(session) is called when its timer ends. */
struct proof *proof_new(struct session *, void (*delay)(void *session));

/* The session waits for nothing of it any more: stops the timer. */
void proof_stop(struct session *);
/* Does that, overwrites it and frees it. Both do nothing if there is none. */
void proof_free(struct session *);

#endif
