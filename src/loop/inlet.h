/* inlet: what the ring has received for one stream, and the stream has not read yet. It is handed
 * to the stream in the turn in which it came, from the ring's own buffer; what is not read then is
 * copied, as in a pause, and the buffer goes back to the ring. A stream at rest has no inlet, only
 * the number of its request: most streams are at rest. */
#ifndef PGWITH_LOOP_INLET_H
#define PGWITH_LOOP_INLET_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"
#include "loop/loop.h"
#include "loop/ring.h"

#define INLET_KEPT_MAX (16 * 1024) /* bytes; with more, a paused stream receives no more */

struct stream;
struct stream_more;

/* Inlets that no stream has now, to be used again: a message that comes to a stream at rest needs
 * one, and malloc(3) and free(3) for it took 300 of the 6,000 instructions of a SELECT. */
struct inlets {
	struct inlet *first;
	unsigned count; /* at most INLETS_SPARE */
};

#ifdef __SANITIZE_ADDRESS__
#define INLETS_SPARE 0 /* AddressSanitizer sees who uses one that is freed */
#else
#define INLETS_SPARE 64
#endif

void inlets_clear(struct inlets *);

struct inlet {
	struct loop_ready ready; /* calls stream_on_inlet_() */
	union {
		struct stream *stream; /* has the loop and the descriptor */
		struct inlet *next;    /* of struct inlets */
	};
	struct stream_more *more; /* of the stream, or NULL */
	ring_id request;          /* RING_NONE: nothing is received */
	const uint8_t *data;      /* in `buffer` */
	struct buf kept;          /* is read before `data` */
	int error;                /* instead of the end */
	int16_t buffer;           /* -1: none */
	uint16_t bytes;           /* of `data`, not read yet */
	bool wanted;              /* by inlet_open(); `request` may be ending all the same */
	bool full;                /* the last buffer was full: there is more to read */
	bool ended;               /* the end has come, behind the bytes */
	bool told;                /* ... and has been read */
	bool bulk;                /* much comes at once, and is read by plain reads */
	uint8_t small_reads;      /* in a row, of a stream in bulk */
};

/* From now on the stream is one that the ring receives for; it does not receive yet. */
void inlet_begin(struct stream *);
/* Ends that; what was not read is dropped. The descriptor may be closed at once. */
void inlet_end(struct stream *);

/* The inlet of the stream, which gets one if it has none. */
struct inlet *inlet_need(struct stream *);
/* Frees the inlet if the stream needs none: nothing in it is to be kept. */
void inlet_spare(struct stream *);

/* Receives from now on, or no more. What was on its way still comes. */
void inlet_open(struct stream *);
void inlet_shut(struct stream *);
/* RING_NONE: nothing is received, and nothing is on its way. */
ring_id inlet_request(const struct stream *);

/* Bytes that have come and are unread. */
static inline size_t
inlet_unread(const struct inlet *in)
{
	return in->kept.len + in->bytes;
}

/* Is there something to be read: bytes, or an end that has not been read? */
static inline bool
inlet_has(const struct inlet *in)
{
	return inlet_unread(in) > 0 || (in->ended && !in->told);
}

/* As stream_read(). */
ssize_t inlet_read(struct stream *, void *to, size_t bytes);

/* Adds bytes behind what is unread, and has fn() called. */
void inlet_add(struct stream *, const void *, size_t bytes);

/* Copies the last bytes that are unread. Returns false if there are fewer. */
bool inlet_peek_last(struct stream *, void *to, size_t bytes);

/* Copies what is unread, at the end of a callback: the ring's buffer goes back. */
void inlet_tidy(struct inlet *);

/* Of stream.c: the ring has received something, or there is more to read. */
void stream_on_inlet_(struct loop_ready *);

#endif
