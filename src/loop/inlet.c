#include "loop/inlet.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/mem.h"
#include "loop/stream.h"

#define KEPT_HARD_MAX (8 * 1024 * 1024) /* never reached: what one turn can bring is less */

static void on_arrival(void *arg, const struct ring_result *);

static struct ring *
ring_of(struct inlet *in)
{
	return loop_ring(in->stream->loop);
}

static void
receive(struct stream *st)
{
	ring_id id = ring_receive(loop_ring(st->loop), st->fd, on_arrival, st);

	if (st->has_inlet)
		st->inlet->request = id;
	else
		st->request = id;
}

static void
drop_buffer(struct inlet *in)
{
	if (in->buffer < 0)
		return;
	ring_give_back(ring_of(in), in->buffer);
	in->buffer = -1;
	in->bytes = 0;
}

static void __attribute__((noinline)) keep_bytes(struct inlet *in)
{
	if (in->bytes > 0)
		buf_add(&in->kept, in->data, in->bytes);
	/* Better an error of the connection than a gap in what it says. */
	if (in->kept.failed) {
		in->ended = true;
		in->error = ENOBUFS;
	}
	drop_buffer(in);
}

/* Mostly all has been read, and the buffer was given back: this is asked several times a turn. */
static inline void
keep(struct inlet *in)
{
	if (in->bytes > 0 || in->kept.failed)
		keep_bytes(in);
	else
		drop_buffer(in);
}

/* Would the same request succeed another time? */
static bool
may_try_again(int error)
{
	return error == ENOBUFS || error == EINTR || error == EAGAIN || error == ENOMEM ||
	       error == ECANCELED;
}

static void
on_arrival(void *arg, const struct ring_result *got)
{
	struct stream *st = arg;
	struct inlet *in = inlet_need(st);

	if (got->result > 0) {
		keep(in);
		in->buffer = (int16_t)got->buffer;
		in->data = got->data;
		in->bytes = (uint16_t)got->result;
		in->full = in->bytes == RING_BUFFER;
		if (in->kept.len > 0 || in->kept.failed)
			keep(in);
	} else {
		ring_give_back(ring_of(in), got->buffer);
	}
	if (!got->more)
		in->request = RING_NONE;
	if (!in->ended && got->result <= 0 && !may_try_again(-got->result)) {
		in->ended = true;
		in->error = -got->result;
	}
	if (in->request == RING_NONE && in->wanted && !in->ended)
		receive(st);
	if (inlet_has(in))
		loop_ready(st->loop, &in->ready);
	else
		inlet_spare(st);
}

void
inlet_begin(struct stream *st)
{
	st->by_ring = true;
	st->has_inlet = false;
	st->request = RING_NONE;
}

static void
init(struct inlet *in)
{
	*in = (struct inlet){.ready = {.fn = stream_on_inlet_}, .buffer = -1};
	buf_init(&in->kept, KEPT_HARD_MAX);
}

/* Returns one that is as init() makes it, but for `stream`. */
static struct inlet *
new_inlet(struct loop *loop)
{
	struct inlets *spare = loop_inlets(loop);
	struct inlet *in = spare->first;

	if (in == NULL) {
		in = mem_alloc(sizeof *in);
		init(in);
		return in;
	}
	spare->first = in->next;
	spare->count--;
	return in;
}

/* It is as init() makes it. */
static void
put_back(struct inlet *in, struct loop *loop)
{
	struct inlets *spare = loop_inlets(loop);

	if (spare->count == INLETS_SPARE) {
		free(in);
		return;
	}
	in->next = spare->first;
	spare->first = in;
	spare->count++;
}

static void
free_inlet(struct inlet *in)
{
	struct loop *loop = in->stream->loop;

	loop_not_ready(loop, &in->ready);
	drop_buffer(in);
	buf_clear(&in->kept);
	init(in);
	put_back(in, loop);
}

void
inlets_clear(struct inlets *spare)
{
	struct inlet *in;

	while ((in = spare->first) != NULL) {
		spare->first = in->next;
		free(in);
	}
	spare->count = 0;
}

void
inlet_end(struct stream *st)
{
	ring_id request = inlet_request(st);

	if (request != RING_NONE)
		ring_forget(loop_ring(st->loop), request);
	if (st->has_inlet)
		free_inlet(st->inlet);
	st->has_inlet = st->by_ring = false;
	st->more = NULL;
}

struct inlet *
inlet_need(struct stream *st)
{
	struct inlet *in;

	if (st->has_inlet)
		return st->inlet;
	in = new_inlet(st->loop);
	in->stream = st;
	in->request = st->request;
	in->wanted = st->request != RING_NONE;
	in->ready.round = st->round;
	st->inlet = in;
	st->has_inlet = true;
	return in;
}

void
inlet_spare(struct stream *st)
{
	struct inlet *in = st->inlet;

	if (!st->has_inlet || in->more || in->buffer >= 0 || in->kept.len > 0 || in->ended ||
	    in->bulk || in->wanted != (in->request != RING_NONE) || list_linked(&in->ready.node))
		return;
	st->round = in->ready.round;
	st->has_inlet = false;
	st->request = in->request;
	/* All else has been asked. */
	in->full = in->told = false;
	in->small_reads = 0;
	if (in->kept.mem)
		buf_clear(&in->kept);
	put_back(in, st->loop);
}

void
inlet_open(struct stream *st)
{
	if (st->has_inlet)
		st->inlet->wanted = true;
	if (inlet_request(st) == RING_NONE && !(st->has_inlet && st->inlet->ended))
		receive(st);
}

void
inlet_shut(struct stream *st)
{
	if (inlet_request(st) != RING_NONE)
		ring_cancel(loop_ring(st->loop), inlet_need(st)->request);
	if (st->has_inlet)
		st->inlet->wanted = false;
}

ring_id
inlet_request(const struct stream *st)
{
	return st->has_inlet ? st->inlet->request : st->request;
}

static size_t
take(uint8_t *to, size_t room, const uint8_t *from, size_t bytes)
{
	size_t n = bytes < room ? bytes : room;

	memcpy(to, from, n);
	return n;
}

ssize_t
inlet_read(struct stream *st, void *to, size_t bytes)
{
	struct inlet *in = inlet_need(st);
	size_t n = 0, m;
	ssize_t r;

	if (in->kept.len > 0) {
		n = take(to, bytes, buf_data(&in->kept), in->kept.len);
		buf_drop(&in->kept, n);
	}
	if (in->bytes > 0 && n < bytes) {
		m = take((uint8_t *)to + n, bytes - n, in->data, in->bytes);
		in->data += m;
		in->bytes -= (uint16_t)m;
		n += m;
	}
	if (n > 0 && (!in->full || in->ended || bytes - n < RING_BUFFER))
		return (ssize_t)n;
	if (n == 0 && in->ended) {
		in->told = true;
		errno = in->error;
		return in->error ? -E_IO : 0;
	}
	/* Everything that the ring has received has been read, and it receives only within
	 * ring_wait(): so what a plain read finds comes behind. */
	do
		r = recv(st->fd, (uint8_t *)to + n, bytes - n, MSG_DONTWAIT);
	while (r < 0 && errno == EINTR);
	in->full = false;
	if (r > 0)
		return (ssize_t)n + r;
	if (n > 0 && r < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
		/* The socket tells an error once. */
		in->ended = true;
		in->error = errno;
	}
	if (n > 0)
		return (ssize_t)n;
	if (r == 0)
		return 0;
	return errno == EAGAIN || errno == EWOULDBLOCK ? -E_AGAIN : -E_IO;
}

void
inlet_add(struct stream *st, const void *data, size_t bytes)
{
	struct inlet *in = inlet_need(st);

	keep(in);
	buf_add(&in->kept, data, bytes);
	loop_ready(st->loop, &in->ready);
}

bool
inlet_peek_last(struct stream *st, void *to, size_t bytes)
{
	struct inlet *in = st->inlet;

	if (!st->has_inlet)
		return false;
	keep(in);
	if (in->kept.len < bytes)
		return false;
	memcpy(to, buf_data(&in->kept) + in->kept.len - bytes, bytes);
	return true;
}

void
inlet_tidy(struct inlet *in)
{
	keep(in);
}
