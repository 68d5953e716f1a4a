#include "session/batch.h"

#include "base/log.h"
#include "pool/lease.h"
#include "pool/server.h"
#include "session/session.h"
#include "session/site.h"

#define BYTES_MAX (4 * 1024 * 1024) /* of those that are copied */

void
batch_init(struct batch *b)
{
	*b = (struct batch){.lease = NULL};
	buf_init(&b->bytes, BYTES_MAX);
}

void
batch_clear(struct batch *b)
{
	buf_clear(&b->bytes);
	batch_init(b);
}

static bool
is_for(const struct batch *b, const struct lease *l)
{
	return b->lease == l && (l->state != LEASE_HELD || b->server == l->srv->id);
}

static void
report_bug(const struct session *s, const char *what)
{
	log_fatal("session", s->id, "broken batch", LOG_QUOTED("why", what),
		  LOG_NUMBER("bytes", s->site->batch.bytes.len + s->site->batch.passed_bytes),
		  LOG_TEXT("lease", lease_state_name(s->hold->lease.state)));
}

/* Makes the batch the session's, so that bytes can be added. */
static struct batch *
make_ours(struct session *s)
{
	struct batch *b = &s->site->batch;

	if (s->hold->lease.state != LEASE_HELD)
		report_bug(s, "bytes for a server that it does not hold");
	if (batch_is_empty(b)) {
		b->lease = &s->hold->lease;
		b->server = s->hold->lease.srv->id;
	} else if (!is_for(b, &s->hold->lease)) {
		report_bug(s, "bytes are added to those for another server");
	}
	return b;
}

static void
copy_passed(struct batch *b)
{
	buf_add(&b->bytes, b->passed, b->passed_bytes);
	b->passed_bytes = 0;
}

struct buf *
batch_for(struct session *s)
{
	struct batch *b = make_ours(s);

	copy_passed(b);
	return &b->bytes;
}

void
batch_pass(struct session *s, const uint8_t *data, size_t bytes)
{
	struct batch *b;

	if (bytes == 0)
		return;
	b = make_ours(s);
	if (b->passed_bytes > 0 && data != b->passed + b->passed_bytes)
		copy_passed(b);
	if (b->passed_bytes == 0)
		b->passed = data;
	b->passed_bytes += bytes;
}

static void
forget_bytes(struct batch *b)
{
	buf_reset(&b->bytes);
	b->passed_bytes = 0;
}

bool
batch_flush(struct session *s)
{
	struct batch *b = &s->site->batch;
	size_t passed = b->passed_bytes;

	if (batch_is_empty(b))
		return true;
	if (!is_for(b, &s->hold->lease))
		report_bug(s, "bytes for another server are to be sent");
	if (s->hold->lease.state != LEASE_HELD) {
		forget_bytes(b);
		return true;
	}
	if (b->bytes.len == 0 && !b->bytes.failed) {
		b->passed_bytes = 0;
		server_write(s->hold->lease.srv, b->passed, passed);
		return true;
	}
	copy_passed(b);
	if (b->bytes.failed) {
		forget_bytes(b);
		return false;
	}
	/* The write may end the server, and the session with it, which drops the batch then. No
	 * other session is at work meanwhile. */
	server_write(s->hold->lease.srv, buf_data(&b->bytes), b->bytes.len);
	forget_bytes(b);
	return true;
}

void
batch_drop(struct session *s)
{
	struct batch *b = &s->site->batch;

	if (batch_is_empty(b))
		return;
	if (!is_for(b, &s->hold->lease))
		report_bug(s, "bytes for another server are to be dropped");
	forget_bytes(b);
}

void
batch_end(struct session *s)
{
	struct batch *b = &s->site->batch;

	if (!batch_is_empty(b) && is_for(b, &s->hold->lease))
		batch_flush(s);
}

void
batch_check(const struct session *s)
{
	if (!batch_is_empty(&s->site->batch))
		report_bug(s, "bytes for a server are left behind");
}
