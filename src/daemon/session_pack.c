#include "daemon/session_pack.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "daemon/daemon.h"
#include "executor/enter.h"
#include "pool/handover.h"
#include "relay/outbound.h"
#include "scope/handover.h"
#include "session/control.h"
#include "session/end.h"
#include "session/expiry.h"
#include "session/named.h"
#include "session/reply.h"
#include "session/script.h"
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

static void
values_pack(struct pack *p, struct session *s)
{
	PACK(p, s->peer.secret);
	PACK(p, s->peer.minor);
	PACK(p, s->peer.asked_tls);
	PACK(p, s->peer.asked_gss);
	PACK(p, s->peer.uid);
	PACK(p, s->peer.gid);
	PACK(p, s->peer.pid);
	PACK(p, s->drop_left);
	PACK(p, s->extended.skip_sync);
	PACK(p, s->context.unproven);
	block_pack(p, &s->block);
	PACK(p, s->since_us);
	PACK(p, s->peer.connected_at);
	PACK(p, s->activity.request_us);
	PACK(p, s->activity.answer_us);
	PACK(p, s->activity.limited_us);
	PACK(p, s->activity.exempt_us);
	PACK(p, s->activity.alone_us);
	PACK(p, s->activity.alone_answers);
	PACK(p, s->activity.alone_why);
	PACK(p, s->activity.received_us);
	PACK(p, s->activity.received_seen);
	PACK(p, s->context.mode);
	PACK(p, s->context.pin);
	PACK(p, s->activity.queries);
	PACK(p, s->context.last_server);
	PACK(p, s->context.accepted);
	PACK(p, s->context.resets);
	PACK(p, s->context.resets_named);
	PACK(p, s->context.resets_local);
	PACK(p, s->context.resets_errors);
	PACK(p, s->context.resets_discards);
	PACK(p, s->context.resetting);
	PACK(p, s->context.refused);
	PACK(p, s->stream.paused);
	PACK(p, s->stream.received);
	PACK(p, s->stream.sent);
}

/* A list of names: name NUL name NUL ... NUL. */
static void
list_pack(struct pack *p, char **list)
{
	uint8_t *data = (uint8_t *)*list;
	size_t bytes = 0;

	for (const char *at = *list; !pack_reading(p) && at && *at; at += strlen(at) + 1)
		bytes = (size_t)(at - *list) + strlen(at) + 2;
	pack_blob(p, &data, &bytes);
	if (pack_reading(p))
		*list = (char *)data;
}

static void
startup_pack(struct pack *p, struct session *s)
{
	uint8_t *data = (uint8_t *)s->context.startup;
	size_t bytes = s->context.startup_bytes;

	pack_blob(p, &data, &bytes);
	s->context.startup = (char *)data;
	s->context.startup_bytes = (uint32_t)bytes;
}

static void
bytes_pack(struct pack *p, struct session *s)
{
	struct buf queued;

	pack_buf(p, &s->in);
	if (!pack_reading(p)) {
		pack_buf(p, &s->stream.out);
		return;
	}
	buf_init(&queued, RECORD_MAX);
	pack_buf(p, &queued);
	if (queued.len > 0)
		stream_write(&s->stream, buf_data(&queued), queued.len);
	buf_clear(&queued);
}

static void
statements_pack(struct heritage *h, struct session *s)
{
	bool there = s->context.names != NULL;

	PACK(h->p, there);
	if (there && s->context.names == NULL) {
		s->context.names = mem_alloc(sizeof *s->context.names);
		names_init(s->context.names, &h->d->site.pools.statements);
	}
	if (there)
		names_pack(h->p, s->context.names, &h->pools.texts);
	unnamed_pack(h->p, &s->context.unnamed);
	control_pack(h->p, s);
}

static void
slow_pack(struct pack *p, struct session *s)
{
	struct slow none = {0}, *slow = &none;
	bool there = s->slow != NULL;

	PACK(p, there);
	if (!there)
		return;
	if (pack_reading(p) && s->pool && slow_wanted(s->pool))
		slow_watch(s);
	if (s->slow)
		slow = s->slow;
	PACK(p, slow->began_us);
	PACK(p, slow->granted_us);
	PACK(p, slow->statements_before);
	PACK(p, slow->errors_before);
	PACK(p, slow->statements);
}

/* ---- scopes ---- */

static void
script_and_names_pack(struct pack *p, struct session *s)
{
	named_pack(p, &s->extended.named);
	PACK(p, s->extended.boundary);
	if (pack_reading(p) && s->extended.boundary >= BOUNDARY_NSTATES)
		p->failed = true;
	script_pack(p, s);
}

/* The only work that is handed over is an ENTER that waits. Returns NULL if there is none. */
static struct work *
work_pack(struct pack *p, struct session *s)
{
	struct work *work = s->work;
	enum work_purpose purpose = work_purpose(s);
	enum work_state state = work ? work->state : WORK_NEXT;

	PACK(p, purpose);
	PACK(p, state);
	if (!pack_reading(p) || p->failed || purpose == WORK_NONE)
		return work;
	if (purpose != WORK_ENTER || state != WORK_WAIT) {
		p->failed = true;
		return NULL;
	}
	return work_adopt(s);
}

/* Makes the work that is written and read in place of one where the session has none. */
static void
no_work(struct work *none)
{
	*none = (struct work){.purpose = WORK_NONE};
	list_init(&none->run);
	buf_init(&none->failure, REPLY_ERROR_MAX);
}

/* Returns false if an ENTER waits for a scope ([scope NAME]) that the configuration does not define
 * any more. */
static bool
work_values_pack(struct pack *p, struct session *s)
{
	struct work none, *work = work_pack(p, s);
	uint32_t frame = STACK_NOWHERE;
	bool good = true;
	char *def;

	if (work == NULL) {
		no_work(&none);
		work = &none;
	}
	if (work->frame)
		frame = stack_place(s->stack, work->frame);
	def = work->def ? work->def->name : NULL;
	PACK(p, work->answer_type);
	grammar_pack(p, &work->statement);
	PACK(p, frame);
	pack_str(p, &def);
	PACK(p, work->item);
	PACK(p, work->entered);
	deferred_list_pack(p, &work->run);
	PACK(p, work->wait_us);
	PACK(p, work->contended);
	PACK(p, work->timed_out);
	PACK(p, work->rollback);
	PACK(p, work->good);
	PACK(p, work->exited);
	PACK(p, work->exit_us);
	PACK(p, work->began_us);
	pack_buf(p, &work->failure);
	if (!pack_reading(p))
		return true;
	work->frame = stack_at(s->stack, frame);
	if (def && work != &none) {
		work->def = conf_scope_keep(conf_scope(s->site->conf, def));
		good = work->def != NULL;
	}
	free(def);
	if (work == &none)
		work_clear(&none);
	else if (work->frame == NULL || work->statement == NULL ||
		 work->item >= work->statement->nitems)
		p->failed = true;
	return good;
}

/* Returns false if a frame has lost its server, its pool or its definition. */
static bool
scopes_pack(struct heritage *h, struct session *s)
{
	struct pack *p = h->p;
	bool there = s->stack != NULL, good;

	PACK(p, there);
	if (!there)
		return true;
	scopes_prepare(s);
	good = stack_pack(p, &h->pools, s->stack, &s->own.lease, &outbound_lease_ops, s, s->id);
	good &= work_values_pack(p, s);
	expiry_pack(p, s);
	script_and_names_pack(p, s);
	return good;
}

/* session->hold: the session's own, or that of a frame. */
static void
focus_pack(struct pack *p, struct session *s)
{
	uint32_t place = STACK_NOWHERE;
	struct scope *f;

	if (!pack_reading(p) && s->hold != &s->own)
		place = stack_place(s->stack, LIST_OBJ(s->hold, struct scope, own));
	PACK(p, place);
	if (!pack_reading(p) || place == STACK_NOWHERE || s->stack == NULL)
		return;
	f = stack_at(s->stack, place);
	if (f)
		s->hold = &f->own;
}

/* ---- a session ---- */

/* Returns false if the session cannot go on. */
static bool
session_pack(struct heritage *h, struct session *s)
{
	struct pack *p = h->p;
	bool had_pool = s->pool != NULL, good = true;

	values_pack(p, s);
	PACK(p, had_pool);
	s->pool = handover_pack_pool(p, &h->pools, s->pool);
	pack_str(p, &s->peer.role);
	pack_str(p, &s->context.application);
	pack_str(p, &s->context.application_told);
	pack_str(p, &s->context.application_set);
	told_pack(p, &h->d->site.pools.told, &s->context.told);
	told_pack(p, &h->d->site.pools.told, &s->context.greeted);
	pack_str(p, &s->context.parameters_sql);
	startup_pack(p, s);
	list_pack(p, &s->context.unlisted);
	bytes_pack(p, s);
	statements_pack(h, s);
	slow_pack(p, s);
	good &= handover_pack_lease(p, &h->pools, &s->own.lease);
	hold_pack(p, &s->own);
	good &= scopes_pack(h, s);
	focus_pack(p, s);
	pack_mark(p, MARK);
	return good && (s->pool || !had_pool);
}

static void
write_session(struct heritage *h, struct session *s)
{
	struct pack *all = h->p, record;
	uint64_t cookie = fdstore_cookie(s->stream.fd);
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
	PACK(all, s->state);
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
	PACK(h->p, d->site.refused);
	PACK(h->p, d->site.errors);
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

	if (s && l != &s->own.lease)
		place = stack_place(s->stack, LIST_OBJ(hold_of(l), struct scope, own));
	PACK(h->p, id);
	PACK(h->p, place);
	if (!pack_reading(h->p) || h->p->failed || pool == NULL ||
	    (s = session_by_id(h, id)) == NULL)
		return;
	f = place != STACK_NOWHERE && s->stack ? stack_at(s->stack, place) : NULL;
	l = f ? &f->own.lease : &s->own.lease;
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

	return s && s->stack ? s->stack : NULL;
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
			     s ? &s->context.unnamed : NULL, &h->pools.texts);
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
			     s ? &s->context.unnamed : NULL, &h->pools.texts);
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
	/* Whether the client is read from follows from the session's state. */
	if (s->stack)
		enter_adopted(s);
	if (s->state == SESSION_WAITING && scopes_open(s))
		waits_begin_lease(&s->site->waits, s->id, &s->own.lease);
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

/* Bytes in our own buffers raise no event, so the session is made to look at them. */
static void
resume_session(struct session *s)
{
	if (s->state != SESSION_IDLE && s->state != SESSION_ACTIVE && s->state != SESSION_CONSOLE)
		return;
	if (s->in.len > 0 || script_pending(s)) {
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
}
