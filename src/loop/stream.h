/* stream: one descriptor, or one SSL * over it: every read, write and close of a connection.
 * Interest in events is decided here and nowhere else.
 *
 * Writing never blocks: what the kernel does not take is queued, and `drained` is called when all
 * of it has gone. Whoever writes looks at stream_queued() and stops the reading of the other side.
 *
 * Reading is paused lazily: the interest is given up only if bytes do arrive while paused, so that
 * a short pause costs no system call. A hang-up is noticed while paused. */
#ifndef PGWITH_LOOP_STREAM_H
#define PGWITH_LOOP_STREAM_H

#include <stdbool.h>
#include <sys/types.h>

#include <openssl/ssl.h>

#include "base/buf.h"
#include "loop/loop.h"

struct stream;

struct stream_ops {
	/* There is something to read, or the end. Reads with stream_read(), once. */
	void (*readable)(struct stream *, void *arg);
	/* Everything that was queued has gone. */
	void (*drained)(struct stream *, void *arg);
	/* The other side hung up while reading was paused; bytes may still be there to be read.
	 * Returns true if the owner has closed the stream, false if the end has to wait for
	 * stream_resume() like all other bytes. NULL: it always waits. */
	bool (*hangup)(struct stream *, void *arg);
};

/* An event that is for EV_CLOSED only hears nothing of an error, such as ECONNRESET from somebody
 * who closed with bytes unread, and epoll reports that for ever: libevent makes EV_READ and
 * EV_WRITE of EPOLLERR. So in a pause EV_READ is registered too, edge-triggered, as far as nothing
 * is queued: the event that writes is not edge-triggered, must not stand beside one that is, and
 * hears of errors itself. */
enum stream_watch {
	STREAM_WATCH_NOTHING,
	STREAM_WATCH_READ,   /* bytes and the end (it may be while paused) */
	STREAM_WATCH_EDGE,   /* the end; bytes only as they come */
	STREAM_WATCH_CLOSED, /* the end, but for errors */
};

struct stream {
	struct loop *loop;
	const struct stream_ops *ops;
	void *arg;
	int fd;   /* -1 once closed */
	SSL *ssl; /* not owned; NULL without TLS */
	struct event event;
	enum stream_watch watch;   /* what `event` is registered for */
	struct event *write_event; /* exists only while something is queued */
	struct event
	    *again; /* TLS: bytes are left in its buffers, of which the socket says nothing */
	struct buf out;
	bool paused;           /* the owner does not want to read */
	bool held;             /* by stream_hold(); beside `paused`, which is the owner's */
	bool finished;         /* by stream_finish() */
	bool broken;           /* writing failed: output is dropped, the reader will see the end */
	bool ended;            /* the other side has closed, behind what may still be read */
	bool read_wants_write; /* TLS: the next read needs the descriptor writable */
	uint64_t received;     /* bytes, ever */
	uint64_t sent;         /* bytes handed to the kernel or to TLS, ever */
};

/* Takes `fd` (non-blocking), and starts reading. `max_queue`: bytes of output that may be queued.
 */
void stream_init(struct stream *, struct loop *, int fd, size_t max_queue,
		 const struct stream_ops *, void *arg);

/* All reading and writing goes through `ssl` from now on; it must outlive the stream. */
void stream_set_ssl(struct stream *, SSL *ssl);

bool stream_open(const struct stream *);

/* Removes the events, forgets the output, and gives the descriptor back (the caller closes it), or
 * closes it. Nothing happens on a closed stream. */
int stream_detach(struct stream *);
void stream_close(struct stream *);

/* One read; under TLS, of as many records as there are. Returns bytes (at least 1), 0 at the end,
 * -E_AGAIN, or -E_IO with errno. */
ssize_t stream_read(struct stream *, void *to, size_t bytes);

/* Writes or queues everything. Returns 0, or -E_TOOBIG if the queue would get over its maximum
 * (nothing of this call is sent then). A connection that is gone is no error here: the reader will
 * see it. */
int stream_write(struct stream *, const void *, size_t bytes);

static inline size_t
stream_queued(const struct stream *st)
{
	return st->out.len;
}

/* Will `readable` be called in this turn of the loop, for what the kernel has reported already?
 * Costs no system call. */
bool stream_has_news(const struct stream *);

/* No `readable` until stream_resume(). */
void stream_pause(struct stream *);
void stream_resume(struct stream *);

/* The other side has said all: nothing is read any more, and its end does not matter. Output still
 * goes. */
void stream_finish(struct stream *);

/* The last bytes that have come and were not read, without taking them: 0, or -E_AGAIN if fewer are
 * there. Not under TLS. */
int stream_peek_last(const struct stream *, void *to, size_t bytes);

/* Nothing is read and no hang-up is noticed until stream_release(), whatever the owner does:
 * another process will read on. Output still goes. */
void stream_hold(struct stream *);
void stream_release(struct stream *);

#endif
