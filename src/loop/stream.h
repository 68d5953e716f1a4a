/* stream: one connection, by its descriptor or an SSL * over it. Every read, write and close of a
 * connection is done here, and only this module decides which events are watched.
 *
 * Writing never blocks: bytes that the kernel does not take are queued, and `drained` is called
 * when all of them have been sent. The writer looks at stream_queued() and stops the reading of the
 * side that the bytes come from.
 *
 * A pause in reading is lazy: the event is given up only when bytes do arrive in the pause, so that
 * a short pause costs no system call. A hang-up is noticed in a pause, too. */
#ifndef PGWITH_LOOP_STREAM_H
#define PGWITH_LOOP_STREAM_H

#include <stdbool.h>
#include <sys/types.h>

#include <openssl/ssl.h>

#include "base/buf.h"
#include "base/pack.h"
#include "loop/inlet.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "loop/watch.h"

struct stream;

struct stream_ops {
	/* Bytes, or the end, can be read. The callback calls stream_read(), once. */
	void (*readable)(struct stream *, void *arg);
	/* The queue has become empty. */
	void (*drained)(struct stream *, void *arg);
	/* The other side hung up while reading was paused; there may still be bytes before the end.
	 * Returns true if the owner has closed the stream; false if it wants to read on after
	 * stream_resume(), and get the end there. NULL means always false. */
	bool (*hangup)(struct stream *, void *arg);
};

/* What a stream waits for, beside being able to write. An error (ECONNRESET, for instance, after
 * the other side closed with bytes unread) counts as bytes and as room to write, whichever is
 * waited for; epoll reports it in every turn. In a pause nobody fetches it: so there epoll is told
 * to report each arrival once. But while output is queued it must report in every turn that there
 * is room: then only the end is waited for in a pause, and an error is found by writing. */
enum stream_watch {
	STREAM_WATCH_NOTHING,
	STREAM_WATCH_EDGE,   /* in a pause: the end, and each arrival of bytes once */
	STREAM_WATCH_CLOSED, /* in a pause while output is queued: the end, but no error */
	/* These three are kept when a pause begins. */
	STREAM_WATCH_READ, /* bytes and the end */
	STREAM_WATCH_RING, /* the ring receives into `inlet`; no event */
	STREAM_WATCH_BULK, /* with a ring: is read in the next turn in any case; no event */
};

/* What a stream has only under TLS, while output is queued, and behind a handover. */
struct stream_more {
	SSL *ssl; /* not owned; NULL without TLS */
	/* Reads again in the next turn, for bytes that OpenSSL has, or `unread` has. */
	struct timer again;
	struct buf out;
	/* Without a ring: what the process before had received by its ring, and not read. */
	struct buf unread;
};

struct stream {
	struct loop *loop;
	const struct stream_ops *ops;
	void *arg;
	union {
		struct stream_more *more; /* NULL: no TLS, and nothing is queued */
		ring_id request;          /* if by_ring; there is no `more` then */
		struct inlet *inlet;      /* if has_inlet, too: request and `more` are there */
	};
	struct watch watched; /* `fd` */
	int fd;               /* -1 once closed */
	uint32_t max_queue;   /* bytes */
	uint16_t sending;     /* of ring_send(), in this turn; 0: none */
	uint16_t round;       /* of loop_ready, while there is no inlet */
	uint8_t watch : 6;    /* enum stream_watch: what is waited for */
	uint8_t by_ring : 1;  /* with a ring and without TLS, while it is open */
	uint8_t has_inlet : 1;
	bool paused;       /* the owner does not want to read; a byte, as it is packed */
	bool writes : 1;   /* room is waited for, too: output is queued, or read_wants_write */
	bool held : 1;     /* by stream_hold(); independent of `paused`, which is the owner's */
	bool finished : 1; /* by stream_finish() */
	bool broken : 1;   /* writing failed: output is dropped, the reader will see the end */
	bool ended : 1;    /* the other side has closed; bytes before the end may be unread */
	bool read_wants_write : 1; /* TLS: the next read needs the descriptor writable */
	uint64_t received;         /* bytes, ever */
	uint64_t sent;             /* bytes handed to the kernel or to TLS, ever */
};

static inline struct stream_more *
stream_more(const struct stream *st)
{
	if (!st->by_ring)
		return st->more;
	return st->has_inlet ? st->inlet->more : NULL;
}

/* Takes `fd` (non-blocking) and starts reading. At most `max_queue` bytes of output are queued. */
void stream_init(struct stream *, struct loop *, int fd, size_t max_queue,
		 const struct stream_ops *, void *arg);

/* Without a ring, calls `readable` now, without an event, for a stream without TLS that has not
 * been read from. A client that has just connected has mostly sent its first bytes by then, and
 * costs a turn less. If it has not, stream_read() returns -E_AGAIN. A ring receives such bytes
 * within its next call, with all else, which costs less than a read. */
void stream_look(struct stream *);

/* All reading and writing goes through `ssl` from now on; it must outlive the stream. */
void stream_set_ssl(struct stream *, SSL *ssl);

bool stream_open(const struct stream *);

/* Both remove the events and drop the queued output. stream_detach() returns the descriptor, which
 * the caller closes; stream_close() closes it. On a closed stream nothing happens (-1). */
int stream_detach(struct stream *);
void stream_close(struct stream *);

/* Reads once; under TLS, as many records as have come. Returns the number of bytes (at least 1), 0
 * at the end, -E_AGAIN, or -E_IO with errno. */
ssize_t stream_read(struct stream *, void *to, size_t bytes);

/* Sends the bytes, at the latest at the end of this turn, and queues those that cannot be sent
 * then. Returns 0, or -E_TOOBIG if the queue would exceed its maximum; then the caller has to close
 * the stream, as a part of the bytes may have been sent. If the connection is gone, the bytes are
 * dropped and 0 is returned, because the reader will see the end. */
int stream_write(struct stream *, const void *, size_t bytes);

/* Sends at once what stream_write() has left for the end of the turn. */
void stream_flush_(struct stream *);
static inline void
stream_flush(struct stream *st)
{
	if (st->sending > 0)
		stream_flush_(st);
}

/* Were bytes queued when this turn began, or since? Costs no system call, as stream_queued() can:
 * for what is asked behind each stream_write(). */
static inline bool
stream_is_slow(const struct stream *st)
{
	const struct stream_more *more = stream_more(st);

	return more && more->out.len > 0;
}

/* Bytes that the kernel has not taken. */
static inline size_t
stream_queued(const struct stream *st)
{
	/* Sending now instead of later changes nothing else that could be seen of the stream. */
	stream_flush((struct stream *)st);
	return stream_is_slow(st) ? stream_more(st)->out.len : 0;
}

/* Has writing failed? */
static inline bool
stream_broken(const struct stream *st)
{
	stream_flush((struct stream *)st);
	return st->broken;
}

/* The output that the kernel has not taken; NULL: there is none. */
static inline struct buf *
stream_queue(const struct stream *st)
{
	return stream_more(st) ? &stream_more(st)->out : NULL;
}

/* NULL: the stream is without TLS. */
static inline SSL *
stream_ssl(const struct stream *st)
{
	return stream_more(st) ? stream_more(st)->ssl : NULL;
}

/* Has the kernel reported bytes for which `readable` is still to be called in this turn of the loop
 * (under TLS: or in the next one)? Costs no system call. */
bool stream_has_news(const struct stream *);

/* `readable` is not called until stream_resume(). */
void stream_pause(struct stream *);
void stream_resume(struct stream *);

/* Ends reading for good: neither bytes nor a hang-up are noticed any more. Output is still sent. */
void stream_finish(struct stream *);

/* Copies the last `bytes` bytes that have arrived and are unread, and leaves them unread. Returns
 * 0, or -E_AGAIN if there are fewer, or under TLS. */
int stream_peek_last(struct stream *, void *to, size_t bytes);

/* Until stream_release(), nothing is read and no hang-up is noticed, not even after
 * stream_resume(), because another process is to read on. Output is still sent. */
void stream_hold(struct stream *);
void stream_release(struct stream *);

/* Packs what has been received of a held stream and not been read, behind loop_settle(). The stream
 * of the next process reads it first. */
void stream_pack_unread(struct pack *, struct stream *);

#endif
