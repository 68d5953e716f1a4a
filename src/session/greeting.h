/* greeting: the answer to a startup packet, ready to be sent. Programs send the same packet again
 * and again. What a packet comes to depends on its bytes, on what the pool's servers have reported,
 * and maybe on what is known of their answers to other clients. So it is worked out once, and kept
 * for the next client as long as these are the same. Only the number and the cancel key of each
 * client are put in. */
#ifndef PGWITH_SESSION_GREETING_H
#define PGWITH_SESSION_GREETING_H

#include <stddef.h>
#include <stdint.h>

#include "wire/startup.h"

#define GREETINGS_MAX 16          /* answers that are kept */
#define GREETING_MAX  (32 * 1024) /* bytes of one */
/* An answer is kept if its packet is one of the last ones of which none was kept. */
#define GREETINGS_SEEN 32

struct atoms;
struct greeting;
struct session;
struct tolds;

/* Those of all pools, the one that was used last first. All zero: there is none yet. */
struct greetings {
	struct greeting *kept[GREETINGS_MAX];
	unsigned count;
	uint64_t seen[GREETINGS_SEEN]; /* hashes of packets */
	unsigned nseen;
};

/* The client's user may come in to the pool of the session, whose parameters are fresh. Is the
 * answer to this packet kept? Then the session gets what the packet comes to (its startup
 * parameters, what it is told), as params_read(), application_take(), context_start() and
 * telling_start() would have given it, and the answer is returned. NULL: it is not kept. */
const struct greeting *greeting_take(struct session *, const struct startup *);

/* The packet was just answered, by telling_all() and without a NOTICE: keeps the answer, if it
 * would be the same for every client, and the packet has come before. */
void greeting_keep(struct session *, const struct startup *);

/* Sends it: AuthenticationOk, ParameterStatus ..., BackendKeyData, ReadyForQuery. */
void greeting_send(struct session *, const struct greeting *);

/* How many bytes of its cancel key the client knows: by its version of the protocol (PostgreSQL 18
 * documentation, 54.7, BackendKeyData). */
size_t greeting_key_bytes(const struct session *);

void greetings_clear(struct greetings *, struct tolds *, struct atoms *);

#endif
