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
#include "base/log.h"
#include "base/mem.h"

static void on_event(evutil_socket_t, short what, void *arg);
static void on_writable(evutil_socket_t, short what, void *arg);

/* Changes what `event` is registered for. */
static void
set_watch(struct stream *st, enum stream_watch watch)
{
	static const short what[] = {
	    [STREAM_WATCH_READ] = EV_READ | EV_CLOSED | EV_PERSIST,
	    [STREAM_WATCH_EDGE] = EV_READ | EV_CLOSED | EV_PERSIST | EV_ET,
	    [STREAM_WATCH_CLOSED] = EV_CLOSED | EV_PERSIST,
	};

	if (event_initialized(&st->event))
		event_del(&st->event);
	event_assign(&st->event, loop_base(st->loop), st->fd, what[watch], on_event, st);
	if (event_add(&st->event, NULL) < 0)
		log_fatal("", LOG_ALONE, "cannot watch descriptor", LOG_WORD(st->fd));
	st->watch = watch;
}

static void
watch_in_pause(struct stream *st)
{
	bool writes = st->more && st->more->write_event;

	set_watch(st, writes ? STREAM_WATCH_CLOSED : STREAM_WATCH_EDGE);
}

static void
watch_nothing(struct stream *st)
{
	event_del(&st->event);
	st->watch = STREAM_WATCH_NOTHING;
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
	set_watch(st, STREAM_WATCH_READ);
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
	if (st->more == NULL || st->more->ssl || st->more->write_event || st->more->out.len > 0)
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
	/* Without renegotiation, a write never has to wait for a read, for which on_writable()
	 * would spin. */
	SSL_set_options(ssl, SSL_OP_NO_RENEGOTIATION);
	/* Queued output may be sent in parts, and may move in memory between two attempts. */
	SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* One system call reads all that has come, instead of two for each record. */
	SSL_set_read_ahead(ssl, 1);
	more->again = evtimer_new(loop_base(st->loop), on_event, st);
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
	if (st->more == NULL || st->more->write_event == NULL)
		return;
	event_free(st->more->write_event);
	st->more->write_event = NULL;
	if (st->watch == STREAM_WATCH_CLOSED)
		watch_in_pause(st);
}

int
stream_detach(struct stream *st)
{
	int fd = st->fd;

	if (fd < 0)
		return -1;
	/* Events go before the descriptor is closed, when its number may become another's. */
	watch_nothing(st);
	stop_writing(st);
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
	struct stream_more *more = need_more(st);

	if (more->write_event != NULL)
		return;
	more->write_event =
	    event_new(loop_base(st->loop), st->fd, EV_WRITE | EV_PERSIST, on_writable, st);
	if (st->watch == STREAM_WATCH_EDGE)
		watch_in_pause(st);
	if (more->write_event == NULL || event_add(more->write_event, NULL) < 0)
		log_fatal("", LOG_ALONE, "cannot watch descriptor", LOG_WORD(st->fd));
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
		watch_in_pause(st);
		want_write(st);
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

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct stream *st = arg;
	struct buf *out = &st->more->out;
	bool had = out->len > 0, empty;

	if (had)
		buf_drop(out, send_now(st, buf_data(out), out->len));
	empty = out->len == 0;
	if (empty)
		stop_writing(st);
	if (st->read_wants_write) {
		st->read_wants_write = false;
		if (!st->paused)
			set_watch(st, STREAM_WATCH_READ);
		event_active(&st->event, EV_READ, 0);
	}
	if (empty)
		drop_more(st);
	if (had && empty)
		st->ops->drained(st, st->arg);
	loop_event_done(st->loop);
}

/* Has the other side hung up, or is there an error? An error is not fetched here: the reader gets
 * it. */
static bool
hung_up(const struct stream *st)
{
	struct pollfd p = {.fd = st->fd, .events = POLLRDHUP};

	return poll(&p, 1, 0) == 1 && p.revents;
}

static void
handle_event(struct stream *st, short what)
{
	bool end, acts = st->ops->hangup != NULL;

	st->ended |= (what & EV_CLOSED) != 0;
	if (!st->paused) {
		/* The reader gets the end, after the bytes before it. */
		st->ops->readable(st, st->arg);
		return;
	}
	end = what & EV_CLOSED || (acts && what & EV_READ && hung_up(st));
	st->ended |= end;
	if (end && acts && st->ops->hangup(st, st->arg))
		return;
	if (end || !acts) {
		/* Nobody acts upon it now, and a level-triggered event would report it in every
		 * turn. stream_resume() watches again. */
		watch_nothing(st);
		return;
	}
	/* Bytes in a pause: from now on, watch only for a hang-up. */
	if (st->watch == STREAM_WATCH_READ)
		watch_in_pause(st);
}

static void
on_event(evutil_socket_t fd, short what, void *arg)
{
	struct stream *st = arg;

	handle_event(st, what);
	loop_event_done(st->loop);
}

bool
stream_has_news(const struct stream *st)
{
	/* Before its first callback in a turn, libevent marks all events that are due as active. */
	return st->fd >= 0 &&
	       ((st->event.ev_evcallback.evcb_flags & EVLIST_ACTIVE) ||
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
		set_watch(st, STREAM_WATCH_READ);
	if (stream_ssl(st) && SSL_has_pending(stream_ssl(st)))
		read_again(st);
}

void
stream_finish(struct stream *st)
{
	if (st->fd < 0 || st->finished)
		return;
	st->finished = true;
	watch_nothing(st);
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
	watch_nothing(st);
}

void
stream_release(struct stream *st)
{
	if (st->fd < 0 || !st->held)
		return;
	st->held = false;
	if (!st->finished)
		set_watch(st, STREAM_WATCH_READ);
}
