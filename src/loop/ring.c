#include "loop/ring.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"

#ifdef HAVE_LIBURING

#include <liburing.h>

#define ENTRIES     512          /* requests that one system call can hand over */
#define COMPLETIONS 8192         /* results that the kernel can leave here */
#define BUFFERS     256          /* a power of 2 */
#define GROUP       0            /* of the buffers */
#define ARENA       (128 * 1024) /* bytes that are sent by one call */
#define SENDINGS    256          /* by one call */
#define FNS         8            /* different functions that requests are told to */
#define TRIAL_US    100000

/* What stands in the user data of a request: its kind, its place, and which of those that had the
 * place it is. */
enum kind { KIND_REQUEST, KIND_SENDING, KIND_CANCEL };
#define KIND_BITS  2
#define PLACE_BITS 30

#define NOBODY UINT32_MAX /* instead of a place */

enum op { OP_RECEIVE, OP_POLL };

enum state {
	FREE,
	ASKED,      /* is handed to the kernel by the next call */
	RUNNING,    /* the kernel has it */
	CANCELLING, /* ... and is told to end it; the result is still to come */
};

/* There is one for each stream: so it is small. */
struct request {
	void *arg;
	union {
		int fd;
		uint32_t next_free; /* a place, or NOBODY */
	};
	uint32_t generation;
	uint8_t fn;  /* index of the ring's fns */
	bool silent; /* nothing is told */
	uint8_t op;
	uint8_t state;
};

struct sending {
	ring_fn *fn; /* NULL: taken back */
	void *arg;
	int fd;
	uint32_t at; /* in the arena */
	uint32_t bytes;
};

struct places {
	uint32_t *list;
	size_t count;
	size_t size;
};

struct ring {
	struct io_uring uring;
	ring_fn *fns[FNS]; /* up to the first NULL */
	struct request *requests;
	uint32_t nrequests;
	uint32_t first_free;
	struct places asked;   /* requests in state ASKED */
	struct places cancels; /* requests that are to be cancelled */
	unsigned cancelling;   /* requests in that state */
	unsigned sending;      /* handed over, and not told yet */
	unsigned cancels_sent; /* whose results are to come */
	struct sending sendings[SENDINGS];
	unsigned nsendings;
	uint32_t arena_used;
	struct io_uring_buf_ring *buffers;
	uint8_t *memory; /* of the buffers */
	uint8_t arena[ARENA];
};

static void
add_place(struct places *p, uint32_t place)
{
	if (p->count == p->size) {
		p->size = p->size ? p->size * 2 : 64;
		p->list = mem_realloc(p->list, p->size * sizeof *p->list);
	}
	p->list[p->count++] = place;
}

/* ---- requests ---- */

static uint64_t
id_of(const struct ring *r, uint32_t place)
{
	return (uint64_t)r->requests[place].generation << 32 | place << KIND_BITS | KIND_REQUEST;
}

static struct request *
find(struct ring *r, ring_id id)
{
	uint32_t place = (uint32_t)id >> KIND_BITS;
	struct request *q;

	if (id == RING_NONE || place >= r->nrequests)
		return NULL;
	q = &r->requests[place];
	return q->state != FREE && q->generation == (uint32_t)(id >> 32) ? q : NULL;
}

static void
free_request(struct ring *r, struct request *q)
{
	if (q->state == CANCELLING)
		r->cancelling--;
	q->state = FREE;
	q->next_free = r->first_free;
	r->first_free = (uint32_t)(q - r->requests);
}

static void
more_requests(struct ring *r)
{
	uint32_t was = r->nrequests, n = was ? was + was / 2 : 64;

	r->requests = mem_realloc(r->requests, n * sizeof *r->requests);
	memset(r->requests + was, 0, (n - was) * sizeof *r->requests);
	for (uint32_t i = n; i-- > was;) {
		r->requests[i].next_free = r->first_free;
		r->first_free = i;
	}
	r->nrequests = n;
}

static uint8_t
index_of(struct ring *r, ring_fn *fn)
{
	for (uint8_t i = 0; i < FNS; i++) {
		if (r->fns[i] == NULL)
			r->fns[i] = fn;
		if (r->fns[i] == fn)
			return i;
	}
	log_fatal("ring", LOG_ALONE, "more functions than there is room for");
}

static ring_id
ask(struct ring *r, enum op op, int fd, ring_fn *fn, void *arg)
{
	struct request *q;
	uint32_t place, generation;

	if (r->first_free == NOBODY)
		more_requests(r);
	place = r->first_free;
	q = &r->requests[place];
	r->first_free = q->next_free;
	/* Never 0: that is no id. */
	generation = q->generation + 1 ? q->generation + 1 : 1;
	*q = (struct request){.arg = arg,
			      .fd = fd,
			      .generation = generation,
			      .fn = index_of(r, fn),
			      .op = (uint8_t)op,
			      .state = ASKED};
	add_place(&r->asked, place);
	return id_of(r, place);
}

ring_id
ring_receive(struct ring *r, int fd, ring_fn *fn, void *arg)
{
	return ask(r, OP_RECEIVE, fd, fn, arg);
}

ring_id
ring_poll(struct ring *r, int fd, ring_fn *fn, void *arg)
{
	return ask(r, OP_POLL, fd, fn, arg);
}

void
ring_cancel(struct ring *r, ring_id id)
{
	struct request *q = find(r, id);

	if (q == NULL || q->state == CANCELLING)
		return;
	/* A request that the kernel does not have yet stays in `asked`, and is told there. */
	if (q->state == RUNNING)
		add_place(&r->cancels, (uint32_t)(q - r->requests));
	q->state = CANCELLING;
	r->cancelling++;
}

void
ring_forget(struct ring *r, ring_id id)
{
	struct request *q = find(r, id);

	if (q == NULL)
		return;
	ring_cancel(r, id);
	q->silent = true;
}

void
ring_give_back(struct ring *r, int buffer)
{
	if (buffer < 0)
		return;
	io_uring_buf_ring_add(r->buffers, r->memory + (size_t)buffer * RING_BUFFER, RING_BUFFER,
			      (unsigned short)buffer, io_uring_buf_ring_mask(BUFFERS), 0);
	io_uring_buf_ring_advance(r->buffers, 1);
}

/* ---- sendings ---- */

int
ring_send(struct ring *r, int fd, const void *data, size_t bytes, ring_fn *fn, void *arg)
{
	struct sending *s;

	if (r->nsendings == SENDINGS || bytes > RING_SENT_MAX || bytes > ARENA - r->arena_used)
		return 0;
	s = &r->sendings[r->nsendings];
	*s = (struct sending){fn, arg, fd, r->arena_used, (uint32_t)bytes};
	memcpy(r->arena + s->at, data, bytes);
	r->arena_used += (uint32_t)bytes;
	return (int)++r->nsendings;
}

bool
ring_send_more(struct ring *r, int sending, const void *data, size_t bytes)
{
	struct sending *s = &r->sendings[sending - 1];

	if (s->at + s->bytes != r->arena_used || bytes > RING_SENT_MAX - s->bytes ||
	    bytes > ARENA - r->arena_used)
		return false;
	memcpy(r->arena + r->arena_used, data, bytes);
	s->bytes += (uint32_t)bytes;
	r->arena_used += (uint32_t)bytes;
	return true;
}

void
ring_unsend(struct ring *r, int sending, const uint8_t **data, size_t *bytes)
{
	struct sending *s = &r->sendings[sending - 1];

	*data = r->arena + s->at;
	*bytes = s->bytes;
	s->fn = NULL;
}

/* ---- the kernel ---- */

static void
tell_request(struct ring *r, const struct io_uring_cqe *cqe)
{
	struct request *q = find(r, cqe->user_data);
	struct ring_result result = {
	    .result = cqe->res, .buffer = -1, .more = (cqe->flags & IORING_CQE_F_MORE) != 0};
	ring_fn *fn;
	void *arg;
	bool silent;

	if (cqe->flags & IORING_CQE_F_BUFFER) {
		result.buffer = (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
		result.data = r->memory + (size_t)result.buffer * RING_BUFFER;
	}
	if (q == NULL)
		log_fatal("ring", LOG_ALONE, "a result of no request");
	fn = r->fns[q->fn];
	arg = q->arg;
	silent = q->silent;
	if (!result.more)
		free_request(r, q);
	if (silent)
		ring_give_back(r, result.buffer);
	else
		fn(arg, &result);
}

/* A request that the kernel holds in a list of what is to be done next, in the middle of two tries,
 * is not found by a cancel, and goes on: it is cancelled once more. */
static void
tell_cancel(struct ring *r, const struct io_uring_cqe *cqe)
{
	struct request *q = find(r, cqe->user_data);

	r->cancels_sent--;
	if (q && q->state == CANCELLING && (cqe->res == -ENOENT || cqe->res == -EALREADY))
		add_place(&r->cancels, (uint32_t)(q - r->requests));
}

static void
tell_sending(struct ring *r, const struct io_uring_cqe *cqe)
{
	struct sending *s = &r->sendings[(uint32_t)cqe->user_data >> KIND_BITS];
	struct ring_result result = {
	    .result = cqe->res, .buffer = -1, .data = r->arena + s->at, .wanted = s->bytes};

	r->sending--;
	s->fn(s->arg, &result);
}

/* Tells the results that are there. */
static void
tell(struct ring *r)
{
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;

	io_uring_for_each_cqe(&r->uring, head, cqe)
	{
		n++;
		if ((cqe->user_data & ((1 << KIND_BITS) - 1)) == KIND_SENDING)
			tell_sending(r, cqe);
		else if ((cqe->user_data & ((1 << KIND_BITS) - 1)) == KIND_CANCEL)
			tell_cancel(r, cqe);
		else
			tell_request(r, cqe);
	}
	io_uring_cq_advance(&r->uring, n);
}

static struct io_uring_sqe *
next_sqe(struct ring *r)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->uring);

	if (sqe == NULL) {
		io_uring_submit(&r->uring);
		sqe = io_uring_get_sqe(&r->uring);
	}
	if (sqe == NULL)
		log_fatal("ring", LOG_ALONE, "the kernel takes no requests");
	return sqe;
}

static void
hand_over_cancels(struct ring *r)
{
	for (size_t i = 0; i < r->cancels.count; i++) {
		uint64_t id = id_of(r, r->cancels.list[i]);
		struct io_uring_sqe *sqe = next_sqe(r);

		io_uring_prep_cancel64(sqe, id, 0);
		sqe->user_data = id | KIND_CANCEL;
		r->cancels_sent++;
	}
	r->cancels.count = 0;
}

/* With MSG_DONTWAIT, the kernel is done with a sending when it has taken the request: so the arena
 * is free then. */
static void
hand_over_sendings(struct ring *r)
{
	for (unsigned i = 0; i < r->nsendings; i++) {
		const struct sending *s = &r->sendings[i];
		struct io_uring_sqe *sqe;

		if (s->fn == NULL)
			continue;
		sqe = next_sqe(r);
		io_uring_prep_send(sqe, s->fd, r->arena + s->at, s->bytes,
				   MSG_NOSIGNAL | MSG_DONTWAIT);
		sqe->user_data = i << KIND_BITS | KIND_SENDING;
		r->sending++;
	}
}

static void
prepare(struct ring *r, const struct request *q, struct io_uring_sqe *sqe)
{
	switch (q->op) {
	case OP_RECEIVE:
		io_uring_prep_recv_multishot(sqe, q->fd, NULL, 0, 0);
		sqe->flags |= IOSQE_BUFFER_SELECT;
		sqe->buf_group = GROUP;
		break;
	default:
		io_uring_prep_poll_add(sqe, q->fd, POLLIN);
	}
}

/* Requests that were cancelled before the kernel had them are told now. fn() may ask for more. */
static void
hand_over_requests(struct ring *r)
{
	for (size_t i = 0; i < r->asked.count; i++) {
		uint32_t place = r->asked.list[i];
		struct request *q = &r->requests[place];

		if (q->state == CANCELLING) {
			struct ring_result result = {.result = -ECANCELED, .buffer = -1};
			ring_fn *fn = q->silent ? NULL : r->fns[q->fn];
			void *arg = q->arg;

			free_request(r, q);
			if (fn)
				fn(arg, &result);
			continue;
		}
		struct io_uring_sqe *sqe = next_sqe(r);

		prepare(r, q, sqe);
		sqe->user_data = id_of(r, place);
		q->state = RUNNING;
	}
	r->asked.count = 0;
}

/* Is the next call likely to succeed? */
static bool
passes(int error)
{
	return error == ETIME || error == EINTR || error == EAGAIN || error == EBUSY ||
	       error == ENOMEM;
}

/* One system call; then all results are told. */
static int
enter(struct ring *r, int64_t us)
{
	struct __kernel_timespec limit = {us / 1000000, us % 1000000 * 1000};
	struct io_uring_cqe *cqe;
	int e;

	/* Sendings and cancels have their results at once; they are not what is waited for. */
	if (us < 0)
		e = io_uring_submit_and_wait(&r->uring, r->sending + r->cancels_sent + 1);
	else if (us > 0)
		e = io_uring_submit_and_wait_timeout(
		    &r->uring, &cqe, r->sending + r->cancels_sent + 1, &limit, NULL);
	else
		e = io_uring_submit_and_get_events(&r->uring);
	if (e < 0 && !passes(-e)) {
		errno = -e;
		return -E_IO;
	}
	tell(r);
	return 0;
}

int
ring_wait(struct ring *r, int64_t us)
{
	int e;

	hand_over_cancels(r);
	hand_over_sendings(r);
	hand_over_requests(r);
	e = enter(r, us);
	while (e == 0 && (r->sending > 0 || io_uring_cq_has_overflow(&r->uring)))
		e = enter(r, 0);
	r->nsendings = 0;
	r->arena_used = 0;
	return e;
}

int
ring_settle(struct ring *r)
{
	int e;

	do
		e = ring_wait(r, 0);
	while (e == 0 && r->cancelling > 0);
	return e;
}

/* ---- beginning and end ---- */

static int
make_buffers(struct ring *r)
{
	struct io_uring_buf_reg reg = {.ring_entries = BUFFERS, .bgid = GROUP};
	size_t bytes = BUFFERS * sizeof(struct io_uring_buf);

	r->buffers = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
	/* All of it comes into use within moments. */
	r->memory = mmap(NULL, (size_t)BUFFERS * RING_BUFFER, PROT_READ | PROT_WRITE,
			 MAP_ANONYMOUS | MAP_PRIVATE | MAP_POPULATE, -1, 0);
	if (r->buffers == MAP_FAILED || r->memory == MAP_FAILED)
		log_fatal("ring", LOG_ALONE, "out of memory");
	io_uring_buf_ring_init(r->buffers);
	for (int i = 0; i < BUFFERS; i++)
		ring_give_back(r, i);
	reg.ring_addr = (uintptr_t)r->buffers;
	return io_uring_register_buf_ring(&r->uring, &reg, 0);
}

struct trial {
	struct ring *ring;
	int bytes;
	bool ended;
	int error;
};

static void
on_trial(void *arg, const struct ring_result *got)
{
	struct trial *t = arg;

	if (got->result > 0)
		t->bytes += got->result;
	else if (got->result == 0)
		t->ended = true;
	else
		t->error = -got->result;
	ring_give_back(t->ring, got->buffer);
}

/* Receives a byte and the end, which come at the same time. Kernels before 6.0 cannot receive so;
 * some later ones lose the end if it comes before the byte has been received. */
static bool
try_to_receive(struct ring *r, char *why, size_t why_size)
{
	struct trial t = {.ring = r};
	int fds[2], e = 0;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0) {
		snprintf(why, why_size, "%s", strerror(errno));
		return false;
	}
	ring_receive(r, fds[0], on_trial, &t);
	if (ring_wait(r, 0) < 0)
		e = errno;
	if (send(fds[1], "", 1, MSG_NOSIGNAL) == 1)
		shutdown(fds[1], SHUT_WR);
	for (int i = 0; i < 5 && !t.ended && t.error == 0 && e == 0; i++)
		if (ring_wait(r, TRIAL_US) < 0)
			e = errno;
	if (e)
		snprintf(why, why_size, "%s", strerror(e));
	else if (t.error)
		snprintf(why, why_size, "%s", strerror(t.error));
	else if (!t.ended || t.bytes != 1)
		snprintf(why, why_size, "the kernel does not tell the end of a connection");
	close(fds[0]);
	close(fds[1]);
	return t.ended && t.bytes == 1;
}

struct ring *
ring_new(char *why, size_t why_size)
{
	struct ring *r = mem_calloc(1, sizeof *r);
	struct io_uring_params params = {.flags = IORING_SETUP_DEFER_TASKRUN |
						  IORING_SETUP_SINGLE_ISSUER |
						  IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE,
					 .cq_entries = COMPLETIONS};
	int e = io_uring_queue_init_params(ENTRIES, &r->uring, &params);

	r->first_free = NOBODY;
	if (e < 0) {
		snprintf(why, why_size, "%s", strerror(-e));
		free(r);
		return NULL;
	}
	/* Spares the kernel a look at its table of files in each call. */
	io_uring_register_ring_fd(&r->uring);
	e = make_buffers(r);
	if (e < 0) {
		snprintf(why, why_size, "%s", strerror(-e));
		ring_free(r);
		return NULL;
	}
	if (!try_to_receive(r, why, why_size)) {
		ring_free(r);
		return NULL;
	}
	return r;
}

void
ring_free(struct ring *r)
{
	if (r == NULL)
		return;
	io_uring_queue_exit(&r->uring);
	munmap(r->buffers, BUFFERS * sizeof(struct io_uring_buf));
	munmap(r->memory, (size_t)BUFFERS * RING_BUFFER);
	free(r->requests);
	free(r->asked.list);
	free(r->cancels.list);
	free(r);
}

#else

/* There is never a ring: so nothing but ring_new() is called. */

struct ring *
ring_new(char *why, size_t why_size)
{
	snprintf(why, why_size, "pgwithd is built without liburing");
	return NULL;
}

void
ring_free(struct ring *r)
{
}

ring_id
ring_receive(struct ring *r, int fd, ring_fn *fn, void *arg)
{
	return RING_NONE;
}

ring_id
ring_poll(struct ring *r, int fd, ring_fn *fn, void *arg)
{
	return RING_NONE;
}

void
ring_cancel(struct ring *r, ring_id id)
{
}

void
ring_forget(struct ring *r, ring_id id)
{
}

void
ring_give_back(struct ring *r, int buffer)
{
}

int
ring_send(struct ring *r, int fd, const void *data, size_t bytes, ring_fn *fn, void *arg)
{
	return 0;
}

bool
ring_send_more(struct ring *r, int sending, const void *data, size_t bytes)
{
	return false;
}

void
ring_unsend(struct ring *r, int sending, const uint8_t **data, size_t *bytes)
{
	*data = NULL;
	*bytes = 0;
}

int
ring_wait(struct ring *r, int64_t us)
{
	return -E_IO;
}

int
ring_settle(struct ring *r)
{
	return -E_IO;
}

#endif
