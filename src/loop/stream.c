#include "loop/stream.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"

static void on_event(struct watch *, uint32_t events);
static void on_again(evutil_socket_t, short what, void *arg);

/* Changes what is waited for. */
static void
set_watch(struct stream *st, enum stream_watch watch, bool writes)
{
	static const uint32_t events[] = {
	    [STREAM_WATCH_NOTHING] = 0,
	    [STREAM_WATCH_READ] = EPOLLIN | EPOLLRDHUP,
	    [STREAM_WATCH_EDGE] = EPOLLIN | EPOLLRDHUP | EPOLLET,
	    [STREAM_WATCH_CLOSED] = EPOLLRDHUP,
	};

	st->watch = watch;
	st->writes = writes;
	watch_set(loop_watches(st->loop), &st->watched, st->fd,
		  events[watch] | (writes ? EPOLLOUT : 0), on_event);
}

static void
watch_in_pause(struct stream *st, bool writes)
{
	set_watch(st, writes ? STREAM_WATCH_CLOSED : STREAM_WATCH_EDGE, writes);
}

void
stream_init(struct stream *st, struct loop *loop, int fd, size_t max_queue,
	    const struct stream_ops *ops, void *arg)
{
	memset(st, 0, sizeof *st);
	st->loop = loop;
	st->ops = ops;
	st->arg = arg;
	st->fd = fd;
	st->max_queue = max_queue < BUF_MAX ? (uint32_t)max_queue : BUF_MAX;
	set_watch(st, STREAM_WATCH_READ, false);
}

static struct stream_more *
need_more(struct stream *st)
{
	if (st->more == NULL) {
		st->more = mem_calloc(1, sizeof *st->more);
		buf_init(&st->more->out, st->max_queue);
	}
	return st->more;
}

/* Frees it if nothing is in it. */
static void
drop_more(struct stream *st)
{
	if (st->more == NULL || st->more->ssl || st->more->out.len > 0)
		return;
	buf_clear(&st->more->out);
	free(st->more);
	st->more = NULL;
}

/* Calls `readable` in the next turn, and not at once, so that a stream with many bytes does not
 * starve the others. */
static void
read_again(struct stream *st)
{
	static const struct timeval at_once = {0, 0};

	evtimer_add(st->more->again, &at_once);
}

void
stream_set_ssl(struct stream *st, SSL *ssl)
{
	struct stream_more *more = need_more(st);

	more->ssl = ssl;
	/* Without renegotiation, a write never has to wait for a read, for which write_queue()
	 * would spin. */
	SSL_set_options(ssl, SSL_OP_NO_RENEGOTIATION);
	/* Queued output may be sent in parts, and may move in memory between two attempts. */
	SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* One system call reads all that has come, instead of two for each record. */
	SSL_set_read_ahead(ssl, 1);
	more->again = evtimer_new(loop_base(st->loop), on_again, st);
	if (more->again == NULL)
		log_fatal("", LOG_ALONE, "cannot make an event for descriptor", LOG_WORD(st->fd));
	/* Bytes that OpenSSL has read already raise no event. */
	if (SSL_has_pending(ssl))
		read_again(st);
}

bool
stream_open(const struct stream *st)
{
	return st->fd >= 0;
}

static void
stop_writing(struct stream *st)
{
	if (!st->writes)
		return;
	if (st->watch == STREAM_WATCH_CLOSED)
		watch_in_pause(st, false);
	else
		set_watch(st, (enum stream_watch)st->watch, false);
}

int
stream_detach(struct stream *st)
{
	int fd = st->fd;

	if (fd < 0)
		return -1;
	/* Before the descriptor is closed, when its number may become another's. */
	set_watch(st, STREAM_WATCH_NOTHING, false);
	if (st->more) {
		if (st->more->again)
			event_free(st->more->again);
		st->more->ssl = NULL;
		buf_clear(&st->more->out);
		drop_more(st);
	}
	st->fd = -1;
	return fd;
}

void
stream_close(struct stream *st)
{
	int fd = stream_detach(st);

	if (fd >= 0)
		close(fd);
}

/* Clears OpenSSL's queue of errors, which all connections of a thread share: SSL_get_error() would
 * take an old error there for one of this connection. libpq leaves errors in it when a handshake
 * fails or is given up. */
static void
clear_tls_errors(void)
{
	if (ERR_peek_error() != 0)
		ERR_clear_error();
	errno = 0;
}

/* What SSL_read() or SSL_write() means by returning `n`: as stream_read() returns it. */
static ssize_t
ssl_result(struct stream *st, int n)
{
	int saved = errno, why = SSL_get_error(st->more->ssl, n);
	unsigned long reason = ERR_peek_last_error();

	ERR_clear_error();
	switch (why) {
	case SSL_ERROR_WANT_READ:
		return -E_AGAIN;
	case SSL_ERROR_WANT_WRITE:
		st->read_wants_write = true;
		return -E_AGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		/* errno is 0: the other side closed without a close_notify, as PostgreSQL does when
		 * it dies. That is an end, not an error. */
		errno = saved;
		return saved ? -E_IO : 0;
	default:
		if (ERR_GET_LIB(reason) == ERR_LIB_SSL &&
		    ERR_GET_REASON(reason) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
			return 0;
		errno = EPROTO;
		return -E_IO;
	}
}

static void
want_write(struct stream *st)
{
	if (st->writes)
		return;
	if (st->watch == STREAM_WATCH_EDGE)
		watch_in_pause(st, true);
	else
		set_watch(st, (enum stream_watch)st->watch, true);
}

static ssize_t
read_tls(struct stream *st, uint8_t *to, size_t bytes)
{
	SSL *ssl = st->more->ssl;
	size_t done = 0;
	ssize_t r;
	int n;

	st->read_wants_write = false;
	do {
		clear_tls_errors();
		n = SSL_read(ssl, to + done, (int)(bytes - done));
		if (n > 0)
			done += (size_t)n;
	} while (n > 0 && done < bytes && SSL_has_pending(ssl));
	if (n > 0) {
		if (SSL_has_pending(ssl))
			read_again(st);
		return (ssize_t)done;
	}
	r = ssl_result(st, n);
	if (st->read_wants_write) {
		/* Until the write is done, SSL_read() cannot use more bytes, and a level-triggered
		 * event would report them in every turn. */
		watch_in_pause(st, true);
	}
	if (done == 0)
		return r;
	/* The bytes are returned first; OpenSSL reports the end again at the next read. */
	if (r != -E_AGAIN)
		read_again(st);
	return (ssize_t)done;
}

ssize_t
stream_read(struct stream *st, void *to, size_t bytes)
{
	ssize_t n;

	if (st->fd < 0)
		return 0;
	if (stream_ssl(st)) {
		n = read_tls(st, to, bytes);
		if (n <= 0)
			return n;
	} else {
		do
			n = recv(st->fd, to, bytes, 0);
		while (n < 0 && errno == EINTR);
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK ? -E_AGAIN : -E_IO;
	}
	st->received += (uint64_t)n;
	return n;
}

/* Sends as much as can be sent at once. Returns how many bytes the caller need not queue: those
 * that were sent, or, if the connection is broken, all. */
static size_t
send_now(struct stream *st, const uint8_t *data, size_t bytes)
{
	SSL *ssl = stream_ssl(st);
	size_t done = 0;
	ssize_t n;

	while (done < bytes && !st->broken) {
		if (ssl) {
			clear_tls_errors();
			n = SSL_write(ssl, data + done, (int)(bytes - done));
			if (n <= 0) {
				bool reading = st->read_wants_write;
				ssize_t r = ssl_result(st, (int)n);

				st->read_wants_write = reading;
				if (r == -E_AGAIN)
					break;
				st->broken = true;
				break;
			}
		} else {
			n = send(st->fd, data + done, bytes - done, MSG_NOSIGNAL | MSG_DONTWAIT);
			if (n < 0) {
				if (errno == EINTR)
					continue;
				if (errno != EAGAIN && errno != EWOULDBLOCK)
					st->broken = true;
				break;
			}
		}
		done += (size_t)n;
		/* After a short count the socket is full: another send() would fail with EAGAIN. */
		if (ssl == NULL)
			break;
	}
	st->sent += done;
	return st->broken ? bytes : done;
}

int
stream_write(struct stream *st, const void *data, size_t bytes)
{
	struct buf *out;
	size_t done = 0;

	if (st->fd < 0 || st->broken || bytes == 0)
		return 0;
	if (stream_queued(st) == 0)
		done = send_now(st, data, bytes);
	if (done == bytes)
		return 0;
	out = &need_more(st)->out;
	buf_add(out, (const uint8_t *)data + done, bytes - done);
	if (out->failed) {
		out->failed = false;
		drop_more(st);
		return -E_TOOBIG;
	}
	want_write(st);
	return 0;
}

/* Returns true if a read has waited for this. */
static bool
write_queue(struct stream *st)
{
	struct buf *out = &st->more->out;
	bool had = out->len > 0, empty, reads = st->read_wants_write;

	if (had)
		buf_drop(out, send_now(st, buf_data(out), out->len));
	empty = out->len == 0;
	if (empty)
		stop_writing(st);
	st->read_wants_write = false;
	if (reads && !st->paused)
		set_watch(st, STREAM_WATCH_READ, st->writes);
	if (empty)
		drop_more(st);
	if (had && empty)
		st->ops->drained(st, st->arg);
	return reads;
}

/* Has the other side hung up, or is there an error? An error is not fetched here: the reader gets
 * it. */
static bool
hung_up(const struct stream *st)
{
	struct pollfd p = {.fd = st->fd, .events = POLLRDHUP};

	return poll(&p, 1, 0) == 1 && p.revents;
}

/* Bytes have come, or there is an error (`bytes`); the other side has hung up (`closed`). */
static void
handle_event(struct stream *st, bool bytes, bool closed)
{
	bool end, acts = st->ops->hangup != NULL;

	st->ended |= closed;
	if (!st->paused) {
		/* The reader gets the end, after the bytes before it. */
		st->ops->readable(st, st->arg);
		return;
	}
	end = closed || (acts && bytes && hung_up(st));
	st->ended |= end;
	if (end && acts && st->ops->hangup(st, st->arg))
		return;
	if (end || !acts) {
		/* Nobody acts upon it now, and it would be reported in every turn. stream_resume()
		 * watches again. */
		set_watch(st, STREAM_WATCH_NOTHING, st->writes);
		return;
	}
	/* Bytes in a pause: from now on, watch only for a hang-up. */
	if (st->watch == STREAM_WATCH_READ)
		watch_in_pause(st, st->writes);
}

static void
on_event(struct watch *w, uint32_t events)
{
	struct stream *st = LIST_OBJ(w, struct stream, watched);
	bool error = events & EPOLLERR || (events & EPOLLHUP && !(events & EPOLLRDHUP));
	bool bytes = error || events & EPOLLIN, closed = !error && events & EPOLLRDHUP;

	if (st->writes && (error || events & EPOLLOUT)) {
		bytes |= write_queue(st);
		loop_event_done(st->loop);
		/* The stream may have been closed, even opened anew. */
		if (!watch_is_due(w))
			return;
	}
	watch_take(loop_watches(st->loop), w);
	bytes &= st->watch == STREAM_WATCH_READ || st->watch == STREAM_WATCH_EDGE;
	closed &= st->watch != STREAM_WATCH_NOTHING;
	if (!bytes && !closed)
		return;
	handle_event(st, bytes, closed);
	loop_event_done(st->loop);
}

static void
on_again(evutil_socket_t fd, short what, void *arg)
{
	struct stream *st = arg;

	handle_event(st, false, false);
	loop_event_done(st->loop);
}

bool
stream_has_news(const struct stream *st)
{
	return st->fd >= 0 &&
	       (watch_has_news(loop_watches(st->loop), &st->watched) ||
		(st->more && st->more->again && event_pending(st->more->again, EV_TIMEOUT, NULL)));
}

void
stream_pause(struct stream *st)
{
	st->paused = true;
}

void
stream_resume(struct stream *st)
{
	if (!st->paused || st->fd < 0)
		return;
	st->paused = false;
	if (st->held || st->finished)
		return;
	if (st->watch != STREAM_WATCH_READ)
		set_watch(st, STREAM_WATCH_READ, st->writes);
	if (stream_ssl(st) && SSL_has_pending(stream_ssl(st)))
		read_again(st);
}

void
stream_finish(struct stream *st)
{
	if (st->fd < 0 || st->finished)
		return;
	st->finished = true;
	set_watch(st, STREAM_WATCH_NOTHING, st->writes);
}

int
stream_peek_last(const struct stream *st, void *to, size_t bytes)
{
	const int from_the_front = -1;
	int there = 0, at;
	ssize_t n = -1;

	if (st->fd < 0 || stream_ssl(st) || ioctl(st->fd, FIONREAD, &there) < 0 ||
	    there < (int)bytes)
		return -E_AGAIN;
	at = there - (int)bytes;
	if (setsockopt(st->fd, SOL_SOCKET, SO_PEEK_OFF, &at, sizeof at) < 0)
		return -E_AGAIN;
	n = recv(st->fd, to, bytes, MSG_PEEK | MSG_DONTWAIT);
	setsockopt(st->fd, SOL_SOCKET, SO_PEEK_OFF, &from_the_front, sizeof from_the_front);
	return n == (ssize_t)bytes ? 0 : -E_AGAIN;
}

void
stream_hold(struct stream *st)
{
	if (st->fd < 0 || st->held)
		return;
	st->held = true;
	set_watch(st, STREAM_WATCH_NOTHING, st->writes);
}

void
stream_release(struct stream *st)
{
	if (st->fd < 0 || !st->held)
		return;
	st->held = false;
	if (!st->finished)
		set_watch(st, STREAM_WATCH_READ, st->writes);
}
