/* ring: io_uring. A request is kept until the next wait; that one system call hands all new
 * requests to the kernel, and waits until one has come to something. Without liburing, or where
 * the kernel refuses, there is none: ring_new() returns NULL. */
#ifndef PGWITH_LOOP_RING_H
#define PGWITH_LOOP_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_BUFFER   4096        /* bytes that one arrival has at most */
#define RING_SENT_MAX (16 * 1024) /* bytes that ring_send() takes at once */

struct ring;

/* What a request has come to. */
struct ring_result {
	int result;          /* bytes, or what poll(2) tells; 0: the end; -errno */
	int buffer;          /* of `data`, for ring_give_back(); -1: no data */
	const uint8_t *data; /* `result` bytes that have arrived */
	size_t wanted;       /* of a sending: bytes that were to be sent */
	bool more;           /* the request goes on; without it, it is over */
};

/* Called within ring_wait() and ring_settle(). It may ask and cancel, but not wait. */
typedef void ring_fn(void *arg, const struct ring_result *);

/* A request. It is never used twice, and one that is over may be cancelled. */
typedef uint64_t ring_id;
#define RING_NONE ((ring_id)0)

/* Returns NULL, with one line of reason, if the kernel does not allow it or is too old. */
struct ring *ring_new(char *why, size_t why_size);
void ring_free(struct ring *);

/* Receives what comes, again and again, until the end, an error or ring_cancel(). Each arrival has
 * a buffer, which must be given back. -ENOBUFS: all buffers are in use, ask again. */
ring_id ring_receive(struct ring *, int fd, ring_fn *, void *arg);
/* Tells once that `fd` can be read. */
ring_id ring_poll(struct ring *, int fd, ring_fn *, void *arg);

/* Ends a request. It is told -ECANCELED, maybe after other results that were on their way. */
void ring_cancel(struct ring *, ring_id);
/* Ends a request, of which nothing is told any more. Its descriptor may be closed at once. */
void ring_forget(struct ring *, ring_id);

void ring_give_back(struct ring *, int buffer);

/* Sends a copy of the bytes within the next wait. Then fn() is told how many have been sent (or
 * -errno), with all of them as `data`. Nothing is waited for: -EAGAIN is told at once. Returns the
 * number of this sending, which is good until then; or 0, and nothing is sent, if there is no
 * room. */
int ring_send(struct ring *, int fd, const void *, size_t bytes, ring_fn *, void *arg);
/* Adds bytes to a sending. Returns false if there is no room. */
bool ring_send_more(struct ring *, int sending, const void *, size_t bytes);
/* Takes a sending back: nothing is sent or told. *data is good until the next ring_send(). */
void ring_unsend(struct ring *, int sending, const uint8_t **data, size_t *bytes);

/* Hands all requests to the kernel, waits at most `us` microseconds (0: not at all, -1: without
 * limit), and tells all results. Returns 0, or -E_IO with errno. */
int ring_wait(struct ring *, int64_t us);

/* Without waiting for anything new: tells what sendings have come to, and the ends of all requests
 * that were cancelled. */
int ring_settle(struct ring *);

#endif
