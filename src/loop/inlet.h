/* inlet: what the ring has received for one stream, and the stream has not read yet. It is handed
 * to the stream in the turn in which it came, from the ring's own buffer; what is not read then is
 * copied, as in a pause, and the buffer goes back to the ring. */
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

struct inlet {
	struct loop_ready ready;  /* calls fn() of inlet_new() */
	struct stream *stream;    /* has the loop and the descriptor */
	struct stream_more *more; /* of the stream, or NULL */
	ring_id request;          /* RING_NONE: nothing is received */
	const uint8_t *data;      /* in `buffer` */
	struct buf kept;          /* is read before `data` */
	int error;                /* instead of the end */
	int16_t buffer;           /* -1: none */
	uint16_t bytes;           /* of `data`, not read yet */
	uint16_t sending;         /* bytes that the stream wrote in this turn; 0: none */
	bool wanted;              /* by inlet_open(); `request` may be ending all the same */
	bool full;                /* the last buffer was full: there is more to read */
	bool ended;               /* the end has come, behind the bytes */
	bool told;                /* ... and has been read */
	bool bulk;                /* much comes at once, and is read by plain reads */
	uint8_t small_reads;      /* in a row, of a stream in bulk */
};

struct inlet *inlet_new(struct stream *, void (*fn)(struct loop_ready *));
/* Ends receiving; what was not read is dropped. The descriptor may be closed at once. */
void inlet_free(struct inlet *);

/* Receives from now on, or no more. What was on its way still comes. */
void inlet_open(struct inlet *);
void inlet_shut(struct inlet *);

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
ssize_t inlet_read(struct inlet *, void *to, size_t bytes);

/* Adds bytes behind what is unread, and has fn() called. */
void inlet_add(struct inlet *, const void *, size_t bytes);

/* Copies the last bytes that are unread. Returns false if there are fewer. */
bool inlet_peek_last(struct inlet *, void *to, size_t bytes);

/* Copies what is unread, at the end of a callback: the ring's buffer goes back. */
void inlet_tidy(struct inlet *);

#endif
