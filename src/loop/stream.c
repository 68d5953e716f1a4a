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
#include "loop/ring.h"

#define UNREAD_MAX (16 * 1024 * 1024) /* bytes that another process has received */
/* Bytes that come in a turn, with a ring: see choose_watch(). */
#define BULK_BEGINS  (16 * 1024)
#define BULK_GOES_ON (32 * 1024)
#define SMALL_READ   (4 * 1024)
#define SMALL_READS  16 /* in a row */

static void on_event(struct watch *, uint32_t events);
static void on_again(void *arg);

/* Changes what is waited for. */
static void
set_watch(struct stream *st, enum stream_watch watch, bool writes)
{
	static const uint32_t events[] = {
	    [STREAM_WATCH_NOTHING] = 0,
	    [STREAM_WATCH_READ] = EPOLLIN | EPOLLRDHUP,
	    [STREAM_WATCH_EDGE] = EPOLLIN | EPOLLRDHUP | EPOLLET,
	    [STREAM_WATCH_CLOSED] = EPOLLRDHUP,
	    [STREAM_WATCH_RING] = 0,
	    [STREAM_WATCH_BULK] = 0,
	};

	if (st->by_ring && st->watch == STREAM_WATCH_RING && watch != STREAM_WATCH_RING)
		inlet_shut(st);
	st->watch = watch;
	st->writes = writes;
	if (watch == STREAM_WATCH_RING)
		inlet_open(st);
	if (watch == STREAM_WATCH_BULK)
		loop_ready(st->loop, &inlet_need(st)->ready);
	watch_set(loop_watches(st->loop), &st->watched, st->fd,
		  events[watch] | (writes ? EPOLLOUT : 0), on_event);
}

static bool
in_bulk(const struct stream *st)
{
	return st->has_inlet && st->inlet->bulk;
}

/* Reads from now on. */
static void
watch_to_read(struct stream *st)
{
	enum stream_watch watch = STREAM_WATCH_READ;

	if (st->by_ring)
		watch = in_bulk(st) ? STREAM_WATCH_BULK : STREAM_WATCH_RING;
	set_watch(st, watch, st->writes);
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
	if (loop_ring(loop))
		inlet_begin(st);
	watch_to_read(st);
}

static void
set_more(struct stream *st, struct stream_more *more)
{
	if (st->by_ring)
		inlet_need(st)->more = more;
	else
		st->more = more;
}

static struct stream_more *
need_more(struct stream *st)
{
	struct stream_more *more = stream_more(st);

	if (more)
		return more;
	more = mem_calloc(1, sizeof *more);
	timer_init(&more->again, st->loop, on_again, st);
	buf_init(&more->out, st->max_queue);
	buf_init(&more->unread, UNREAD_MAX);
	set_more(st, more);
	return more;
}

/* Frees it if nothing is in it. */
static void
drop_more(struct stream *st)
{
	struct stream_more *more = stream_more(st);

	if (more == NULL || more->ssl || more->out.len > 0 || more->unread.len > 0)
		return;
	timer_stop(&more->again);
	buf_clear(&more->out);
	buf_clear(&more->unread);
	free(more);
	set_more(st, NULL);
}

/* What was received is not to be read any more, and nothing is received. */
static void
drop_inlet(struct stream *st)
{
	struct stream_more *more = stream_more(st);

	if (!st->by_ring)
		return;
	inlet_end(st);
	st->more = more;
}

/* Calls `readable` in the next turn, and not at once, so that a stream with many bytes does not
 * starve the others. */
static void
read_again(struct stream *st)
{
	timer_start(&stream_more(st)->again, 0);
}

/* Is there something to be read that raises no event: bytes that OpenSSL has, or the process before
 * had? */
static bool
has_unread(const struct stream *st)
{
	const struct stream_more *more = stream_more(st);

	return more && ((more->ssl && SSL_has_pending(more->ssl)) || more->unread.len > 0);
}

void
stream_set_ssl(struct stream *st, SSL *ssl)
{
	need_more(st)->ssl = ssl;
	/* OpenSSL reads and writes by itself. */
	if (st->by_ring) {
		drop_inlet(st);
		set_watch(st, STREAM_WATCH_READ, st->writes);
	}
	/* Without renegotiation, a write never has to wait for a read, for which write_queue()
	 * would spin. */
	SSL_set_options(ssl, SSL_OP_NO_RENEGOTIATION);
	/* Queued output may be sent in parts, and may move in memory between two attempts. */
	SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* One system call reads all that has come, instead of two for each record. */
	SSL_set_read_ahead(ssl, 1);
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
	stream_flush(st);
	drop_inlet(st);
	set_watch(st, STREAM_WATCH_NOTHING, false);
	if (st->more) {
		st->more->ssl = NULL;
		buf_clear(&st->more->out);
		buf_clear(&st->more->unread);
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

/* Reads what the process before had received. */
static ssize_t
read_unread(struct stream *st, uint8_t *to, size_t bytes)
{
	struct buf *unread = &stream_more(st)->unread;
	size_t n = bytes < unread->len ? bytes : unread->len;

	memcpy(to, buf_data(unread), n);
	buf_drop(unread, n);
	if (unread->len > 0)
		read_again(st);
	drop_more(st);
	return (ssize_t)n;
}

static ssize_t
read_plain(struct stream *st, uint8_t *to, size_t bytes)
{
	ssize_t n;

	do
		n = recv(st->fd, to, bytes, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? -E_AGAIN : -E_IO;
	return n;
}

ssize_t
stream_read(struct stream *st, void *to, size_t bytes)
{
	ssize_t n;

	if (st->fd < 0)
		return 0;
	if (st->by_ring)
		n = inlet_read(st, to, bytes);
	else if (st->more == NULL) /* the usual case */
		n = read_plain(st, to, bytes);
	else if (st->more->ssl)
		n = read_tls(st, to, bytes);
	else if (st->more->unread.len > 0)
		n = read_unread(st, to, bytes);
	else
		n = read_plain(st, to, bytes);
	if (n > 0)
		st->received += (uint64_t)n;
	return n;
}

/* Returns how many bytes were sent. */
static size_t
send_plain(struct stream *st, const uint8_t *data, size_t bytes)
{
	ssize_t n;

	/* After a short count the socket is full: another send() would fail with EAGAIN. */
	do
		n = send(st->fd, data, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return (size_t)n;
	if (errno != EAGAIN && errno != EWOULDBLOCK)
		st->broken = true;
	return 0;
}

static size_t
send_tls(struct stream *st, SSL *ssl, const uint8_t *data, size_t bytes)
{
	bool reading = st->read_wants_write;
	size_t done = 0;
	int n;

	while (done < bytes) {
		clear_tls_errors();
		n = SSL_write(ssl, data + done, (int)(bytes - done));
		if (n <= 0) {
			if (ssl_result(st, n) != -E_AGAIN)
				st->broken = true;
			st->read_wants_write = reading;
			break;
		}
		done += (size_t)n;
	}
	return done;
}

/* Sends as much as can be sent at once. Returns how many bytes the caller need not queue: those
 * that were sent, or, if the connection is broken, all. */
static size_t
send_now(struct stream *st, const uint8_t *data, size_t bytes)
{
	SSL *ssl = stream_ssl(st);
	size_t done;

	if (st->broken || bytes == 0)
		return bytes;
	done = ssl ? send_tls(st, ssl, data, bytes) : send_plain(st, data, bytes);
	st->sent += done;
	return st->broken ? bytes : done;
}

/* Queues bytes that cannot be sent. */
static void
queue(struct stream *st, const uint8_t *data, size_t bytes)
{
	buf_add(&need_more(st)->out, data, bytes);
	want_write(st);
}

/* The ring has sent what it could. */
static void
on_sent(void *arg, const struct ring_result *result)
{
	struct stream *st = arg;
	size_t bytes = result->wanted, done = 0;

	st->sending = 0;
	if (result->result >= 0)
		done = (size_t)result->result;
	else if (result->result != -EAGAIN && result->result != -EINTR)
		st->broken = true;
	st->sent += done;
	if (done < bytes && !st->broken)
		queue(st, result->data + done, bytes - done);
}

void
stream_flush_(struct stream *st)
{
	const uint8_t *data;
	size_t bytes, done;

	ring_unsend(loop_ring(st->loop), st->sending, &data, &bytes);
	st->sending = 0;
	done = send_now(st, data, bytes);
	if (done < bytes)
		queue(st, data + done, bytes - done);
}

/* Leaves the bytes to the ring, which sends them at the end of this turn. */
static bool
send_later(struct stream *st, const void *data, size_t bytes)
{
	struct ring *ring = loop_ring(st->loop);

	if (!st->by_ring || stream_is_slow(st) || bytes > RING_SENT_MAX ||
	    st->max_queue < RING_SENT_MAX)
		return false;
	if (st->sending > 0)
		return ring_send_more(ring, st->sending, data, bytes);
	st->sending = (uint16_t)ring_send(ring, st->fd, data, bytes, on_sent, st);
	return st->sending > 0;
}

int
stream_write(struct stream *st, const void *data, size_t bytes)
{
	struct buf *out;
	size_t done = 0;

	if (st->fd < 0 || st->broken || bytes == 0)
		return 0;
	if (send_later(st, data, bytes))
		return 0;
	stream_flush(st);
	if (!stream_is_slow(st))
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
	struct buf *out = &stream_more(st)->out;
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

/* In bulk, large plain reads cost less than the ring's small buffers. A stream of which much has
 * come is read again in the next turn, without asking whether there is more; if there is little, it
 * waits for an event; and after some small reads, it is not in bulk any more. `received`: bytes
 * that came in this turn, by whatever way. */
static void
choose_watch(struct stream *st, uint64_t received)
{
	struct inlet *in;

	if (!in_bulk(st) && received < BULK_BEGINS)
		return;
	in = inlet_need(st);
	if (received < SMALL_READ)
		in->small_reads++;
	else
		in->small_reads = 0;
	in->bulk = in->small_reads < SMALL_READS;
	if (!in->bulk)
		set_watch(st, STREAM_WATCH_RING, st->writes);
	else if (received >= BULK_GOES_ON)
		set_watch(st, STREAM_WATCH_BULK, st->writes);
	else if (st->watch != STREAM_WATCH_READ)
		set_watch(st, STREAM_WATCH_READ, st->writes);
}

/* Calls the owner, who reads. Returns false if the stream is closed. */
static bool
call_reader(struct stream *st)
{
	uint64_t before = st->received;

	/* Who reads must know whether what was written before has reached the other side. */
	stream_flush(st);
	st->ops->readable(st, st->arg);
	if (st->fd < 0)
		return false;
	/* A stream that was opened anew has read less than it had before. */
	if (!st->by_ring || st->held || st->finished || st->received < before)
		return true;
	if (!st->paused)
		choose_watch(st, st->received - before);
	else if (st->watch == STREAM_WATCH_BULK)
		/* Nothing is watched: the next turn sees to it that a hang-up is, if the pause is
		 * not over by then. */
		loop_ready(st->loop, &inlet_need(st)->ready);
	return true;
}

/* Bytes have come, or there is an error (`bytes`); the other side has hung up (`closed`). */
static void
handle_event(struct stream *st, bool bytes, bool closed)
{
	bool end, acts = st->ops->hangup != NULL;

	st->ended |= closed;
	if (!st->paused) {
		/* The reader gets the end, after the bytes before it. */
		call_reader(st);
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
on_any_event(struct stream *st, uint32_t events)
{
	bool error = events & EPOLLERR || (events & EPOLLHUP && !(events & EPOLLRDHUP));
	bool bytes = error || events & EPOLLIN, closed = !error && events & EPOLLRDHUP;

	if (st->writes && (error || events & EPOLLOUT)) {
		bytes |= write_queue(st);
		loop_event_done(st->loop);
		/* The stream may have been closed, even opened anew. */
		if (!watch_is_due(&st->watched))
			return;
	}
	watch_take(loop_watches(st->loop), &st->watched);
	bytes &= st->watch == STREAM_WATCH_READ || st->watch == STREAM_WATCH_EDGE;
	closed &= st->watch != STREAM_WATCH_NOTHING && st->watch != STREAM_WATCH_RING;
	if (!bytes && !closed)
		return;
	handle_event(st, bytes, closed);
	loop_event_done(st->loop);
}

static void
on_event(struct watch *w, uint32_t events)
{
	struct stream *st = LIST_OBJ(w, struct stream, watched);

	/* The usual case. */
	if (events == EPOLLIN && st->watch == STREAM_WATCH_READ && !st->paused) {
		watch_take(loop_watches(st->loop), w);
		call_reader(st);
		loop_event_done(st->loop);
		return;
	}
	on_any_event(st, events);
}

/* The stream is paused, and something has come by the ring. A few bytes are kept; with more, the
 * ring receives no more, and only a hang-up is watched for. */
static void
arrived_in_pause(struct stream *st)
{
	struct inlet *in = st->inlet;

	inlet_tidy(in);
	if (in->ended) {
		st->ended = true;
		in->told = true;
		if (st->ops->hangup)
			st->ops->hangup(st, st->arg);
	} else if (st->watch == STREAM_WATCH_BULK || in->kept.len > INLET_KEPT_MAX) {
		if (st->ops->hangup)
			watch_in_pause(st, st->writes);
		else
			set_watch(st, STREAM_WATCH_NOTHING, st->writes);
	}
}

void
stream_on_inlet_(struct loop_ready *ready)
{
	struct inlet *in = LIST_OBJ(ready, struct inlet, ready);
	struct stream *st = in->stream;

	if (st->finished || st->held) {
		inlet_tidy(in);
		return;
	}
	if (st->paused) {
		arrived_in_pause(st);
		return;
	}
	st->ended |= in->ended;
	/* The stream may have been opened anew. */
	if (!call_reader(st) || !st->has_inlet)
		return;
	in = st->inlet;
	inlet_tidy(in);
	if (inlet_has(in) && !st->paused && !st->held && !st->finished)
		loop_ready(st->loop, &in->ready);
	inlet_spare(st);
}

void
stream_look(struct stream *st)
{
	if (!st->by_ring)
		call_reader(st);
}

static void
on_again(void *arg)
{
	struct stream *st = arg;

	if (!st->held && !st->finished)
		handle_event(st, false, false);
}

bool
stream_has_news(const struct stream *st)
{
	const struct stream_more *more = stream_more(st);

	return st->fd >= 0 && (watch_has_news(loop_watches(st->loop), &st->watched) ||
			       (more && timer_started(&more->again)) ||
			       (st->has_inlet && list_linked(&st->inlet->ready.node)));
}

void
stream_pause(struct stream *st)
{
	st->paused = true;
}

/* What has been received in a pause and raises no event, the end too, is read in a turn to come. */
static void
look_again(struct stream *st)
{
	if (has_unread(st))
		read_again(st);
	if (st->has_inlet)
		st->inlet->told = false;
	if ((st->has_inlet && inlet_has(st->inlet)) || st->watch == STREAM_WATCH_BULK)
		loop_ready(st->loop, &inlet_need(st)->ready);
}

void
stream_resume(struct stream *st)
{
	if (!st->paused || st->fd < 0)
		return;
	st->paused = false;
	if (st->held || st->finished)
		return;
	if (st->watch < STREAM_WATCH_READ || st->watch > STREAM_WATCH_BULK)
		watch_to_read(st);
	look_again(st);
}

void
stream_finish(struct stream *st)
{
	if (st->fd < 0 || st->finished)
		return;
	st->finished = true;
	set_watch(st, STREAM_WATCH_NOTHING, st->writes);
}

/* Copies `bytes` bytes that stand in the socket behind `at` others, and leaves them there. */
static bool
peek(int fd, void *to, size_t bytes, int at)
{
	const int from_the_front = -1;
	ssize_t n;

	if (bytes == 0)
		return true;
	if (setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &at, sizeof at) < 0)
		return false;
	n = recv(fd, to, bytes, MSG_PEEK | MSG_DONTWAIT);
	setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &from_the_front, sizeof from_the_front);
	return n == (ssize_t)bytes;
}

/* Copies the last bytes that have been received and are unread. Returns false if there are
 * fewer. */
static bool
peek_received(struct stream *st, void *to, size_t bytes)
{
	const struct stream_more *more = stream_more(st);

	if (st->by_ring)
		return inlet_peek_last(st, to, bytes);
	if (more == NULL || more->unread.len < bytes)
		return false;
	memcpy(to, buf_data(&more->unread) + more->unread.len - bytes, bytes);
	return true;
}

int
stream_peek_last(struct stream *st, void *to, size_t bytes)
{
	size_t before = 0; /* bytes that are no more in the socket */
	int there = 0;

	if (st->fd < 0 || stream_ssl(st) || ioctl(st->fd, FIONREAD, &there) < 0)
		return -E_AGAIN;
	if ((size_t)there < bytes) {
		before = bytes - (size_t)there;
		if (!peek_received(st, to, before))
			return -E_AGAIN;
	}
	return peek(st->fd, (uint8_t *)to + before, bytes - before, there - (int)(bytes - before))
		   ? 0
		   : -E_AGAIN;
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
	if (st->finished)
		return;
	watch_to_read(st);
	look_again(st);
}

void
stream_pack_unread(struct pack *p, struct stream *st)
{
	struct stream_more *more = stream_more(st);
	struct buf unread;

	buf_init(&unread, UNREAD_MAX);
	if (!pack_reading(p)) {
		if (st->has_inlet)
			inlet_tidy(st->inlet);
		pack_buf(p, st->has_inlet ? &st->inlet->kept : more ? &more->unread : &unread);
		return;
	}
	pack_buf(p, &unread);
	if (unread.len > 0 && st->by_ring) {
		inlet_add(st, buf_data(&unread), unread.len);
	} else if (unread.len > 0) {
		buf_add(&need_more(st)->unread, buf_data(&unread), unread.len);
		read_again(st);
	}
	buf_clear(&unread);
}
