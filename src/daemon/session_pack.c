#include "daemon/session_pack.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "daemon/daemon.h"
#include "executor/enter.h"
#include "executor/joint_pack.h"
#include "pool/handover.h"
#include "relay/outbound.h"
#include "scope/handover.h"
#include "session/channels.h"
#include "session/context_pack.h"
#include "session/end.h"
#include "session/expiry.h"
#include "session/holds.h"
#include "session/passwords.h"
#include "session/reply.h"
#include "session/script.h"
#include "session/shown.h"
#include "session/slow.h"

#define MARK 0x73657373u
/* Bytes of one session. Most of them are queued for its client. */
#define RECORD_MAX (128 * 1024 * 1024)

/* What the functions below need to write, or to read, one daemon. */
struct heritage {
	struct pack *p; /* the whole state, or the record of one session in it */
	struct daemon *d;
	struct handed_pools pools;
	int (*client)(void *arg, uint64_t cookie);
	int (*server)(void *arg, uint64_t id);
	uint64_t *lost; /* sessions that cannot go on */
	size_t nlost;
};

/* ---- parts of a session ---- */

/* What is on its way from the client, and to it. */
static void
bytes_pack(struct pack *p, struct session *s)
{
	struct buf queued;

	PACK(p, s->stream.paused);
	PACK(p, s->stream.received);
	PACK(p, s->stream.sent);
	pack_buf(p, pack_reading(p) ? session_keep(s) : s->in);
	session_drop_kept(s, 0);
	stream_pack_unread(p, &s->stream);
	buf_init(&queued, RECORD_MAX);
	if (!pack_reading(p)) {
		pack_buf(p, stream_queue(&s->stream) ? stream_queue(&s->stream) : &queued);
		return;
	}
	pack_buf(p, &queued);
	if (queued.len > 0)
		stream_write(&s->stream, buf_data(&queued), queued.len);
	buf_clear(&queued);
}

/* Returns false if a frame has lost its server, its pool or its definition. */
static bool
scopes_pack(struct heritage *h, struct session *s)
{
	struct pack *p = h->p;
	bool there = s->rare->stack != NULL, good;

	PACK(p, there);
	if (!there)
		return true;
	scopes_prepare(s);
	good =
	    stack_pack(p, &h->pools, s->rare->stack, &s->own->lease, &outbound_lease_ops, s, s->id);
	good &= work_pack(p, s);
	expiry_pack(p, s);
	script_pack(p, s);
	return good;
}

/* ---- a session ---- */

/* Returns false if the session cannot go on. */
static bool
session_pack(struct heritage *h, struct session *s)
{
	struct pack *p = h->p;
	bool had_pool = s->pool != NULL, good = true;

	if (pack_reading(p))
		holds_need(s);
	PACK(p, had_pool);
	s->pool = handover_pack_pool(p, &h->pools, s->pool);
	PACK(p, s->since_us);
	PACK(p, s->drop_left);
	peer_pack(p, &s->peer, &s->site->atoms);
	activity_pack(p, &s->activity);
	block_pack(p, &s->block);
	context_pack(p, s, &h->pools.texts);
	extended_pack(p, &s->extended);
	bytes_pack(p, s);
	slow_pack(p, s);
	channels_pack(p, s);
	good &= handover_pack_lease(p, &h->pools, &s->own->lease);
	hold_pack(p, s->own);
	good &= scopes_pack(h, s);
	scopes_focus_pack(p, s);
	pack_mark(p, MARK);
	if (pack_reading(p))
		holds_drop(s);
	return good && (s->pool || !had_pool);
}

static void
write_session(struct heritage *h, struct session *s)
{
	struct pack *all = h->p, record;
	uint64_t cookie = fdstore_cookie(s->stream.fd);
	enum session_state state = (enum session_state)s->state;
	uint8_t *data;
	size_t bytes;
	struct buf out;

	buf_init(&out, RECORD_MAX);
	pack_writer(&record, &out);
	h->p = &record;
	session_pack(h, s);
	h->p = all;
	all->out->failed |= out.failed;
	PACK(all, s->id);
	PACK(all, cookie);
	PACK(all, state);
	data = buf_data(&out);
	bytes = out.len;
	pack_blob(all, &data, &bytes);
	buf_clear(&out);
}

static void
note_lost(struct heritage *h, uint64_t id)
{
	h->lost = mem_realloc(h->lost, (h->nlost + 1) * sizeof *h->lost);
	h->lost[h->nlost++] = id;
}

static bool
may_be_handed_over(enum session_state state)
{
	switch (state) {
	case SESSION_STARTUP:
	case SESSION_LOGIN:
	case SESSION_IDLE:
	case SESSION_WAITING:
	case SESSION_ACTIVE:
	case SESSION_SCOPE:
	case SESSION_CONSOLE:
		return true;
	default:
		return false;
	}
}

static void
read_session(struct heritage *h)
{
	struct pack *all = h->p, record;
	enum session_state state = SESSION_CLOSED;
	struct session *s;
	uint8_t *data;
	size_t bytes = 0;
	uint64_t id = 0, cookie = 0;
	int fd;

	PACK(all, id);
	PACK(all, cookie);
	PACK(all, state);
	pack_blob(all, &data, &bytes);
	if (!all->failed && !may_be_handed_over(state))
		all->failed = true;
	if (!all->failed) {
		fd = h->client(h->d, cookie);
		s = fd < 0 ? NULL : session_adopt(&h->d->site, id, fd, state);
		if (s == NULL) {
			log_warnx("session", id, "not taken over",
				  LOG_QUOTED("why", fd < 0 ? "its descriptor was not kept"
							   : "its number is in use"));
			if (fd >= 0)
				close(fd);
		} else {
			pack_reader(&record, data, bytes);
			h->p = &record;
			if (!session_pack(h, s))
				note_lost(h, id);
			h->p = all;
			all->failed |= record.failed;
		}
	}
	free(data);
}

static void
sessions_pack(struct heritage *h)
{
	struct daemon *d = h->d;
	uint32_t count = site_sessions(&d->site);
	struct list_node *n;

	PACK(h->p, d->site.sessions.last);
	PACK(h->p, d->sessions_ever);
	PACK(h->p, d->site.cancel_seed);
	PACK(h->p, d->site.refused);
	PACK(h->p, d->site.let_in);
	PACK(h->p, d->site.errors);
	passwords_pack(h->p, d->site.passwords);
	failures_pack(h->p, &d->site.failures);
	PACK(h->p, count);
	for (int i = 0; !pack_reading(h->p) && i < SESSION_CLOSED; i++)
		LIST_EACH (n, &d->site.in_state[i])
			write_session(h, LIST_OBJ(n, struct session, node));
	for (uint32_t i = 0; pack_reading(h->p) && i < count && !h->p->failed; i++)
		read_session(h);
	pack_mark(h->p, MARK);
}

/* ---- queues and locks ---- */

static struct session *
session_by_id(struct heritage *h, uint64_t id)
{
	return idmap_get(&h->d->site.sessions, id);
}

static void
waiter_pack(struct heritage *h, struct pool *pool, struct lease *l)
{
	struct session *s = l ? l->owner : NULL;
	uint64_t id = s ? s->id : 0;
	uint32_t place = STACK_NOWHERE;
	struct scope *f;

	if (s && l != &s->own->lease)
		place = stack_place(s->rare->stack, LIST_OBJ(hold_of(l), struct scope, own));
	PACK(h->p, id);
	PACK(h->p, place);
	if (!pack_reading(h->p) || h->p->failed || pool == NULL ||
	    (s = session_by_id(h, id)) == NULL)
		return;
	f = place != STACK_NOWHERE && s->rare->stack ? stack_at(s->rare->stack, place) : NULL;
	l = f ? &f->own.lease : &holds_need(s)->lease;
	if (l->state == LEASE_NONE && (f || place == STACK_NOWHERE))
		lease_adopt_waiting(l, pool);
}

static void
queues_pack(struct heritage *h)
{
	for (uint32_t i = 0; i < h->pools.count && !h->p->failed; i++) {
		struct pool *pool = h->pools.list[i];
		uint32_t count = pack_reading(h->p) ? 0 : pool->waiting.count;
		struct list_node *n = pack_reading(h->p) ? NULL : pool->waiting.head.next;

		PACK(h->p, count);
		for (uint32_t k = 0; k < count && !h->p->failed; k++) {
			waiter_pack(h, pool, n ? LIST_OBJ(n, struct lease, node) : NULL);
			if (n)
				n = n->next;
		}
	}
	pack_mark(h->p, MARK);
}

static struct stack *
stack_of(void *arg, uint64_t session)
{
	struct session *s = session_by_id(arg, session);

	return s && s->rare->stack ? s->rare->stack : NULL;
}

/* ---- joined scopes ---- */

/* Ends those who were in the pool of a scope that was not taken over. */
static void
lose_members(struct heritage *h, const struct pool *pool)
{
	struct list_node *n;

	for (int i = 0; pool && i < SESSION_CLOSED; i++)
		LIST_EACH (n, &h->d->site.in_state[i])
			if (LIST_OBJ(n, struct session, node)->pool == pool)
				note_lost(h, LIST_OBJ(n, struct session, node)->id);
}

static void
joint_pack(struct heritage *h, struct session *s, struct scope *f, struct pool *pool, int fd)
{
	struct pack *all = h->p, record;
	uint64_t id = s ? s->id : 0, cookie = fd >= 0 ? fdstore_cookie(fd) : 0;
	uint32_t place = s ? stack_place(s->rare->stack, f) : STACK_NOWHERE;
	uint8_t *data = NULL;
	size_t bytes = 0;
	struct buf out;

	buf_init(&out, RECORD_MAX);
	PACK(all, id);
	PACK(all, place);
	PACK(all, cookie);
	pool = handover_pack_pool(all, &h->pools, pool);
	if (s) {
		pack_writer(&record, &out);
		joint_pack_out(&record, f);
		all->out->failed |= out.failed;
		data = buf_data(&out);
		bytes = out.len;
	}
	pack_blob(all, &data, &bytes);
	buf_clear(&out);
	if (!pack_reading(all))
		return;
	s = session_by_id(h, id);
	f = s && s->rare->stack ? stack_at(s->rare->stack, place) : NULL;
	fd = all->failed ? -1 : h->client(h->d, cookie);
	if (f && f->kind == SCOPE_TRANSACTION && pool && fd >= 0 &&
	    f->own.lease.state == LEASE_HELD) {
		pack_reader(&record, data, bytes);
		joint_pack_in(&record, s, f, pool, fd);
		if (record.failed)
			note_lost(h, id);
	} else {
		if (fd >= 0)
			close(fd);
		if (pool)
			pool->removed = true;
		if (s)
			note_lost(h, id);
		lose_members(h, pool);
	}
	free(data);
}

static void
joints_pack(struct heritage *h)
{
	uint32_t count = h->d->site.joints.count;

	PACK(h->p, count);
	if (pack_reading(h->p)) {
		for (uint32_t i = 0; i < count && !h->p->failed; i++)
			joint_pack(h, NULL, NULL, NULL, -1);
	} else {
		struct list_node *n, *m;

		for (int i = 0; i < SESSION_CLOSED; i++)
			LIST_EACH (n, &h->d->site.in_state[i]) {
				struct session *s = LIST_OBJ(n, struct session, node);

				if (s->rare->stack == NULL)
					continue;
				LIST_EACH (m, &s->rare->stack->frames) {
					struct scope *f = LIST_OBJ(m, struct scope, node);

					if (f->kind == SCOPE_JOINT)
						joint_pack(h, s, f, joint_members_pool(f),
							   joint_fd(f));
				}
			}
	}
	pack_mark(h->p, MARK);
}

/* ---- prepared statements of leased servers, and messages about them that are on their way ---- */

static void
server_prepared_pack(struct heritage *h, struct server *srv)
{
	struct pack *all = h->p, record;
	uint64_t id = srv ? srv->id : 0;
	uint8_t *data = NULL;
	size_t bytes = 0;
	struct session *s;
	struct buf out;

	buf_init(&out, RECORD_MAX);
	PACK(all, id);
	if (srv) {
		s = srv->lease ? srv->lease->owner : NULL;
		pack_writer(&record, &out);
		tracked_pack(&record, &srv->prepared, s ? s->context.names : NULL,
			     s ? s->context.unnamed : NULL, &h->pools.texts);
		all->out->failed |= out.failed;
		data = buf_data(&out);
		bytes = out.len;
	}
	pack_blob(all, &data, &bytes);
	buf_clear(&out);
	if (!pack_reading(all))
		return;
	srv = idmap_get(&h->d->site.pools.servers, id);
	if (srv && !all->failed) {
		s = srv->lease ? srv->lease->owner : NULL;
		pack_reader(&record, data, bytes);
		tracked_pack(&record, &srv->prepared, s ? s->context.names : NULL,
			     s ? s->context.unnamed : NULL, &h->pools.texts);
		all->failed |= record.failed && s;
	}
	free(data);
}

static void
all_prepared_pack(struct heritage *h)
{
	uint32_t count = 0;
	struct list_node *n;

	for (uint32_t i = 0; !pack_reading(h->p) && i < h->pools.count; i++)
		count += h->pools.list[i]->servers[SERVER_LEASED].count;
	PACK(h->p, count);
	for (uint32_t i = 0; pack_reading(h->p) && i < count && !h->p->failed; i++)
		server_prepared_pack(h, NULL);
	for (uint32_t i = 0; !pack_reading(h->p) && i < h->pools.count; i++)
		LIST_EACH (n, &h->pools.list[i]->servers[SERVER_LEASED])
			server_prepared_pack(h, LIST_OBJ(n, struct server, node));
	pack_mark(h->p, MARK);
}

/* ---- all ---- */

static void
all_pack(struct heritage *h)
{
	const struct locks_ties ties = {stack_of, &enter_lock_ops, h};

	handover_pack_pools(h->p, &h->pools);
	sessions_pack(h);
	joints_pack(h);
	queues_pack(h);
	locks_pack(h->p, &h->d->site.locks, &ties);
	timing_pack(h->p, &h->d->site.timing);
	all_prepared_pack(h);
}

void
session_pack_all(struct pack *p, struct daemon *d)
{
	struct heritage h = {.p = p, .d = d, .pools = {.all = &d->site.pools}};

	all_pack(&h);
	handover_pools_clear(&h.pools, false);
}

/* Cleans leased servers whose sessions have not been taken over. */
static void
clean_orphans(struct daemon *d)
{
	struct list_node *n, *l, *after;

	LIST_EACH (n, &d->site.pools.list)
		LIST_EACH_SAFE (l, after, &LIST_OBJ(n, struct pool, node)->servers[SERVER_LEASED]) {
			struct server *srv = LIST_OBJ(l, struct server, node);

			if (srv->lease == NULL)
				server_clean(srv, CLEANUP_CLIENT_GONE, NULL, false, true);
		}
}

static void
complete_session(struct session *s)
{
	/* The option application_name may be another now. */
	shown_renew(s);
	/* Whether the client is read from follows from the session's state. */
	if (s->rare->stack)
		enter_adopted(s);
	if (s->state == SESSION_WAITING && scopes_open(s))
		waits_begin_lease(&s->site->waits, s->id, &s->own->lease);
	if (s->hold->lease.state == LEASE_NONE && s->state == SESSION_WAITING)
		session_set_state(s, SESSION_IDLE);
}

/* Ends the sessions that cannot go on, and tells their clients. */
static void
end_lost(struct heritage *h)
{
	struct err e;

	err_make(&e, ERR_SHUTDOWN);
	for (size_t i = 0; i < h->nlost; i++) {
		struct session *s = session_by_id(h, h->lost[i]);

		if (s)
			session_fail(s, &e);
	}
	err_clear(&e);
	free(h->lost);
}

void
session_pack_read(struct pack *p, struct daemon *d, int (*client)(void *arg, uint64_t cookie),
		  int (*server)(void *arg, uint64_t id))
{
	struct heritage h = {.p = p,
			     .d = d,
			     .pools = {.all = &d->site.pools, .take = server, .arg = d},
			     .client = client,
			     .server = server};
	struct list_node *n, *after;

	all_pack(&h);
	handover_pools_clear(&h.pools, true);
	if (p->failed) {
		free(h.lost);
		return;
	}
	for (int i = 0; i < SESSION_CLOSED; i++)
		LIST_EACH_SAFE (n, after, &d->site.in_state[i])
			complete_session(LIST_OBJ(n, struct session, node));
	clean_orphans(d);
	end_lost(&h);
}

/* Bytes in our own buffers raise no event, so the session is made to look at them. Nor does a queue
 * whose stream has taken all of it as it was unpacked: who was paused because of it goes on. */
static void
resume_session(struct session *s)
{
	struct lease *l = &s->hold->lease;

	if (l->state == LEASE_HELD && l->srv && !stream_is_slow(&s->stream))
		stream_resume(&l->srv->stream);
	if (s->state != SESSION_IDLE && s->state != SESSION_ACTIVE && s->state != SESSION_CONSOLE)
		return;
	if (s->stream.paused || s->in->len > 0 || script_pending(s) || s->rare->listening) {
		stream_resume(&s->stream);
		session_wake(s);
	}
}

void
session_pack_resume(struct daemon *d)
{
	uint64_t *ids = mem_calloc(site_sessions(&d->site) + 1, sizeof *ids);
	size_t count = 0;
	struct list_node *n;

	for (int i = 0; i < SESSION_CLOSED; i++)
		LIST_EACH (n, &d->site.in_state[i])
			ids[count++] = LIST_OBJ(n, struct session, node)->id;
	for (size_t i = 0; i < count; i++) {
		struct session *s = idmap_get(&d->site.sessions, ids[i]);

		if (s && !session_gone(s))
			resume_session(s);
	}
	free(ids);
	joints_resume(&d->site);
}
