/* block: the transaction of a session's client, as far as no server knows of it. */
#ifndef PGWITH_SESSION_BLOCK_H
#define PGWITH_SESSION_BLOCK_H

#include <stdint.h>

/* A transaction that the client has begun and no server knows of yet. */
enum session_begun {
	BEGUN_NOT,
	BEGUN_YES,    /* BEGIN was answered here */
	BEGUN_FAILED, /* no server could be had for it: nothing but its end is accepted */
	BEGUN_EXPIRED /* a time limit has ended it: the same */
};

/* Times are those of the loop, in microseconds. It owns nothing. */
struct block {
	uint8_t begun;      /* enum session_begun */
	uint8_t expired_by; /* BEGUN_EXPIRED: enum err_id, what ended it */
	uint8_t ending;   /* BEGUN_EXPIRED: how far its end is in the extended protocol: begin.c */
	int64_t begun_us; /* when the BEGIN that was answered here came, or that of the
			   * transaction that has failed or expired */
	int64_t begun_xact_us; /* own.xact_us as that BEGIN went to a server */
};

#endif
