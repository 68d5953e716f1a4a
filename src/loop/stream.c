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

static void on_event(evutil_socket_t, short what, void *arg);
static void on_writable(evutil_socket_t, short what, void *arg);

static void
listen_for(struct stream *st, enum stream_watch watch)
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
listen_for_end(struct stream *st)
{
	listen_for(st, st->write_event ? STREAM_WATCH_CLOSED : STREAM_WATCH_EDGE);
}

static void
listen_for_nothing(struct stream *st)
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
	buf_init(&st->out, max_queue);
	listen_for(st, STREAM_WATCH_READ);
}

/* In the next turn: others must get theirs, however much comes. */
static void
read_again(struct stream *st)
{
	static const struct timeval at_once = {0, 0};

	evtimer_add(st->again, &at_once);
}

void
stream_set_ssl(struct stream *st, SSL *ssl)
{
	st->ssl = ssl;
	/* A write never has to wait for a read: on_writable() would spin. */
	SSL_set_options(ssl, SSL_OP_NO_RENEGOTIATION);
	/* What is queued may move in memory, and may go in parts. */
	SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* One system call for what there is, instead of two for each record. */
	SSL_set_read_ahead(ssl, 1);
	st->again = evtimer_new(loop_base(st->loop), on_event, st);
	if (st->again == NULL)
		log_fatal("", LOG_ALONE, "cannot make an event for descriptor", LOG_WORD(st->fd));
	/* Bytes that TLS has read already raise no event. */
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
	if (st->write_event == NULL)
		return;
	event_free(st->write_event);
	st->write_event = NULL;
	if (st->watch == STREAM_WATCH_CLOSED)
		listen_for_end(st);
}

int
stream_detach(struct stream *st)
{
	int fd = st->fd;

	if (fd < 0)
		return -1;
	/* Before the descriptor is closed: afterwards its number may be another's. */
	listen_for_nothing(st);
	stop_writing(st);
	if (st->again)
		event_free(st->again);
	st->again = NULL;
	buf_clear(&st->out);
	st->fd = -1;
	st->ssl = NULL;
	return fd;
}

void
stream_close(struct stream *st)
{
	int fd = stream_detach(st);

	if (fd >= 0)
		close(fd);
}

/* SSL_get_error() looks at the thread's queue of errors before it looks at the connection, and
 * others leave theirs there: libpq does, when a handshake fails or is given up. */
static void
forget_errors(void)
{
	if (ERR_peek_error() != 0)
		ERR_clear_error();
	errno = 0;
}

static ssize_t
ssl_result(struct stream *st, int n)
{
	int saved = errno, why = SSL_get_error(st->ssl, n);
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
		/* No error: the other side closed without close_notify, as PostgreSQL does when it
		 * dies. */
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
	if (st->write_event != NULL)
		return;
	st->write_event =
	    event_new(loop_base(st->loop), st->fd, EV_WRITE | EV_PERSIST, on_writable, st);
	if (st->watch == STREAM_WATCH_EDGE)
		listen_for_end(st);
	if (st->write_event == NULL || event_add(st->write_event, NULL) < 0)
		log_fatal("", LOG_ALONE, "cannot watch descriptor", LOG_WORD(st->fd));
}

static ssize_t
read_tls(struct stream *st, uint8_t *to, size_t bytes)
{
	size_t done = 0;
	ssize_t r;
	int n;

	st->read_wants_write = false;
	do {
		forget_errors();
		n = SSL_read(st->ssl, to + done, (int)(bytes - done));
		if (n > 0)
			done += (size_t)n;
	} while (n > 0 && done < bytes && SSL_has_pending(st->ssl));
	if (n > 0) {
		if (SSL_has_pending(st->ssl))
			read_again(st);
		return (ssize_t)done;
	}
	r = ssl_result(st, n);
	if (st->read_wants_write) {
		/* More bytes are of no use before that, and would be reported again and again. */
		listen_for_end(st);
		want_write(st);
	}
	if (done == 0)
		return r;
	/* The bytes first; OpenSSL says the end again. */
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
	if (st->ssl) {
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

/* Hands over as much as goes now. Returns the bytes that went; a failure drops everything. */
static size_t
push(struct stream *st, const uint8_t *data, size_t bytes)
{
	size_t done = 0;
	ssize_t n;

	while (done < bytes && !st->broken) {
		if (st->ssl) {
			forget_errors();
			n = SSL_write(st->ssl, data + done, (int)(bytes - done));
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
		/* A short count says that the socket is full: asking again would only say so. */
		if (st->ssl == NULL)
			break;
	}
	st->sent += done;
	return st->broken ? bytes : done;
}

int
stream_write(struct stream *st, const void *data, size_t bytes)
{
	size_t done = 0;

	if (st->fd < 0 || st->broken || bytes == 0)
		return 0;
	if (st->out.len == 0)
		done = push(st, data, bytes);
	if (done == bytes)
		return 0;
	buf_add(&st->out, (const uint8_t *)data + done, bytes - done);
	if (st->out.failed) {
		st->out.failed = false;
		return -E_TOOBIG;
	}
	want_write(st);
	return 0;
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct stream *st = arg;
	bool had = st->out.len > 0;

	if (had)
		buf_drop(&st->out, push(st, buf_data(&st->out), st->out.len));
	if (st->out.len == 0)
		stop_writing(st);
	if (st->read_wants_write) {
		st->read_wants_write = false;
		if (!st->paused)
			listen_for(st, STREAM_WATCH_READ);
		event_active(&st->event, EV_READ, 0);
	}
	if (had && st->out.len == 0)
		st->ops->drained(st, st->arg);
}

/* Has the other side hung up? It may be an error that says so, which is left for the reader. */
static bool
hung_up(const struct stream *st)
{
	struct pollfd p = {.fd = st->fd, .events = POLLRDHUP};

	return poll(&p, 1, 0) == 1 && p.revents;
}

static void
on_event(evutil_socket_t fd, short what, void *arg)
{
	struct stream *st = arg;
	bool end, acts = st->ops->hangup != NULL;

	st->ended |= (what & EV_CLOSED) != 0;
	if (!st->paused) {
		/* The end comes through the reader, after the bytes before it. */
		st->ops->readable(st, st->arg);
		return;
	}
	end = what & EV_CLOSED || (acts && what & EV_READ && hung_up(st));
	st->ended |= end;
	if (end && acts && st->ops->hangup(st, st->arg))
		return;
	if (end || !acts) {
		/* Level-triggered: what nobody acts upon must not be reported again and again. */
		listen_for_nothing(st);
		return;
	}
	/* Bytes while paused: now the interest in them must go, but not that in a hang-up. */
	if (st->watch == STREAM_WATCH_READ)
		listen_for_end(st);
}

bool
stream_has_news(const struct stream *st)
{
	/* libevent puts all that the kernel has reported into its queue, before it calls anybody.
	 */
	return st->fd >= 0 && ((st->event.ev_evcallback.evcb_flags & EVLIST_ACTIVE) ||
			       (st->again && event_pending(st->again, EV_TIMEOUT, NULL)));
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
		listen_for(st, STREAM_WATCH_READ);
	if (st->ssl && SSL_has_pending(st->ssl))
		read_again(st);
}

void
stream_finish(struct stream *st)
{
	if (st->fd < 0 || st->finished)
		return;
	st->finished = true;
	listen_for_nothing(st);
}

int
stream_peek_last(const struct stream *st, void *to, size_t bytes)
{
	const int from_the_front = -1;
	int there = 0, at;
	ssize_t n = -1;

	if (st->fd < 0 || st->ssl || ioctl(st->fd, FIONREAD, &there) < 0 || there < (int)bytes)
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
	listen_for_nothing(st);
}

void
stream_release(struct stream *st)
{
	if (st->fd < 0 || !st->held)
		return;
	st->held = false;
	if (!st->finished)
		listen_for(st, STREAM_WATCH_READ);
}
