/* exchange: one client proves by SCRAM-SHA-256 that it knows the password of its role. The order of
 * the messages is PostgreSQL's (15 documentation, 55.2.1 and 55.3.1; libpq/auth-sasl.c): the same
 * bytes get the same answer. No I/O: relay/prove.h moves the messages.
 *
 *	       its choice, with the first message
 *	asked ------------------------------------> fetching
 *	  |  its choice alone            first message ^  |
 *	  +-------------------> chosen ----------------+  | the verifier is here, and is
 *	                                                  v answered with salt and nonce
 *	                 proved  <---- last message ---- challenged
 *	                 wrong   <----'
 *
 *	asked, chosen, challenged -> broken    the message is none of SCRAM
 *	asked, chosen, challenged -> wrong     it is too long: PostgreSQL reads it no further
 *
 * Broken gets its error at once, wrong after a while (relay/prove.h). */
#ifndef PGWITH_SESSION_EXCHANGE_H
#define PGWITH_SESSION_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "conf/verifier.h"

enum exchange_state {
	EXCHANGE_ASKED,      /* the client was told the mechanism; its choice is awaited */
	EXCHANGE_CHOSEN,     /* it has chosen; its first message is awaited */
	EXCHANGE_FETCHING,   /* its first message is here; the verifier is awaited */
	EXCHANGE_CHALLENGED, /* its last message is awaited */
	EXCHANGE_PROVED,     /* it knows the password */
	EXCHANGE_WRONG,      /* it does not */
	EXCHANGE_BROKEN,
	EXCHANGE_NSTATES
};

#define EXCHANGE_OUT_MAX 8192 /* bytes of what one call below adds to `out` */

/* It has secrets: to be in a vault (base/vault.h). */
struct exchange {
	uint8_t state;    /* enum exchange_state */
	char flag;        /* n or y: scram.h */
	uint64_t session; /* its id, for the log */
	struct verifier verifier;
	size_t nonce_bytes; /* of the client's and ours together */
	/* All are texts, as they were on the wire; the AuthMessage of RFC 5802 is made of them. */
	char bare[SCRAM_MESSAGE_MAX]; /* the client's first message, without its header */
	char nonce[SCRAM_MESSAGE_MAX + SCRAM_ENCODED(SCRAM_NONCE)];
	char challenge[2 * SCRAM_MESSAGE_MAX]; /* our first message */
};

/* Begins: ASKED. Adds AuthenticationSASL to `out`. All of `out` below: an EXCHANGE_OUT_MAX buf. */
void exchange_begin(struct exchange *, uint64_t session, struct buf *out);

/* The setter. An illegal move ends the daemon. */
void exchange_set_state(struct exchange *, enum exchange_state);
const char *exchange_state_name(enum exchange_state);

/* ASKED, CHOSEN or CHALLENGED: the client has sent this body of a message of type p. Adds to `out`
 * what the client gets. The new state tells what comes next; BROKEN: *e has the error. */
void exchange_read(struct exchange *, const uint8_t *body, size_t bytes, struct buf *out,
		   struct err *e);

/* The same states: what comes is no message of type p. -> BROKEN with the error. */
void exchange_refuse_type(struct exchange *, uint8_t type, struct err *e);
/* The same states: the message is longer than SCRAM_MESSAGE_MAX, or its length is impossible. ->
 * WRONG */
void exchange_refuse_length(struct exchange *);

/* FETCHING -> CHALLENGED: adds our first message, with a new nonce. */
void exchange_challenge(struct exchange *, const struct verifier *, struct buf *out);

#endif
