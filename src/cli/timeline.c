#include "cli/timeline.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/idmap.h"
#include "base/list.h"
#include "base/mem.h"

#define NO_STATE TIMELINE_NSTATES /* there is no segment */

struct frame {
	struct list_node node;
	uint64_t number;
	struct label *name;
	enum timeline_state state;
	int64_t since_us;
	bool seen; /* by the last snapshot, or since then */
};

struct client {
	struct list_node node;
	struct timeline_who who;
	struct label *pool, *waited; /* waited: the pool that it waits for a server of */
	bool seen;                   /* by the last snapshot, or since then */
	bool absent;                 /* not let in yet, or gone */
	bool busy;                   /* its parameters are set, or its scopes worked on */
	int servers, locks;          /* how many it waits for */
	struct list frames;          /* struct frame, the outermost first */
	struct list backends;        /* struct backend */
	/* the open segment: */
	enum timeline_state state;
	struct label *scope, *of_pool;
	int64_t since_us;
};

struct backend {
	struct list_node node;
	uint64_t id;
	/* Who has it, or had it last, while it is cleaned; or NULL. */
	struct client *client;
	struct list_node clients; /* in client->backends */
	struct label *pool;
	enum trace_server is;
	uint8_t ask; /* R, I, T, E */
	bool seen;   /* by the last snapshot, or since then */
	/* the open segment: */
	enum timeline_state state;
	struct client *of;
	struct label *scope;
	int64_t since_us;
};

struct timeline {
	void (*segment)(void *, const struct timeline_segment *);
	void *arg;
	unsigned last_who;
	struct idmap clients, backends; /* by id */
	struct idmap programs;          /* struct label, by the id of the process */
	struct list client_list, backend_list;
};

const char *
timeline_track_name(enum timeline_track track)
{
	static const char *const names[TIMELINE_NTRACKS] = {"server", "session", "scope"};

	return names[track];
}

const char *
timeline_state_name(enum timeline_state state)
{
	static const char *const names[TIMELINE_NSTATES] = {
	    [TIMELINE_CONNECTING] = "connecting",
	    [TIMELINE_IDLE] = "idle",
	    [TIMELINE_CLEANUP] = "cleanup",
	    [TIMELINE_RUNNING] = "running",
	    [TIMELINE_IN_TRANSACTION] = "idle in transaction",
	    [TIMELINE_HELD] = "held",
	    [TIMELINE_SETUP] = "setup",
	    [TIMELINE_WAITS_FOR_SERVER] = "waiting for a server",
	    [TIMELINE_WAITS_FOR_LOCK] = "waiting for a lock",
	    [TIMELINE_OUTSIDE] = "outside",
	    [TIMELINE_ENTERING] = "entering",
	    [TIMELINE_OPEN] = "open",
	};

	return names[state];
}

/* ---- life ---- */

/* Ids are given by pgwithd, and come in any order: all count as given. */
static void
init_map(struct idmap *m)
{
	idmap_init(m);
	m->last = UINT64_MAX;
}

struct timeline *
timeline_new(void (*segment)(void *arg, const struct timeline_segment *), void *arg)
{
	struct timeline *t = mem_calloc(1, sizeof *t);

	t->segment = segment;
	t->arg = arg;
	init_map(&t->clients);
	init_map(&t->backends);
	init_map(&t->programs);
	list_init(&t->client_list);
	list_init(&t->backend_list);
	return t;
}

static void
free_frame(struct client *c, struct frame *f)
{
	list_remove(&c->frames, &f->node);
	free(f);
}

static void
set_client(struct backend *b, struct client *c)
{
	if (b->client)
		list_remove(&b->client->backends, &b->clients);
	b->client = c;
	if (c)
		list_append(&c->backends, &b->clients);
}

static void
free_client(struct timeline *t, struct client *c)
{
	while (list_first(&c->frames))
		free_frame(c, LIST_OBJ(list_first(&c->frames), struct frame, node));
	idmap_remove(&t->clients, c->who.session);
	list_remove(&t->client_list, &c->node);
	free(c);
}

static void
free_backend(struct timeline *t, struct backend *b)
{
	set_client(b, NULL);
	idmap_remove(&t->backends, b->id);
	list_remove(&t->backend_list, &b->node);
	free(b);
}

void
timeline_free(struct timeline *t)
{
	while (list_first(&t->backend_list))
		free_backend(t, LIST_OBJ(list_first(&t->backend_list), struct backend, node));
	while (list_first(&t->client_list))
		free_client(t, LIST_OBJ(list_first(&t->client_list), struct client, node));
	idmap_clear(&t->clients);
	idmap_clear(&t->backends);
	idmap_clear(&t->programs);
	free(t);
}

static struct client *
client_of(struct timeline *t, uint64_t id)
{
	struct client *c = id ? idmap_get(&t->clients, id) : NULL;

	if (c || id == 0)
		return c;
	c = mem_calloc(1, sizeof *c);
	c->who.session = id;
	c->who.number = ++t->last_who;
	c->absent = true;
	c->state = NO_STATE;
	list_init(&c->frames);
	list_init(&c->backends);
	idmap_put(&t->clients, id, c);
	list_append(&t->client_list, &c->node);
	return c;
}

static struct backend *
backend_of(struct timeline *t, uint64_t id)
{
	struct backend *b = idmap_get(&t->backends, id);

	if (b)
		return b;
	b = mem_calloc(1, sizeof *b);
	b->id = id;
	b->is = TRACE_CLOSED;
	b->ask = 'I';
	b->state = NO_STATE;
	idmap_put(&t->backends, id, b);
	list_append(&t->backend_list, &b->node);
	return b;
}

/* Frees a session that is gone, when nothing refers to it any more. */
static void
forget(struct timeline *t, struct client *c)
{
	if (c->absent && c->backends.count == 0 && c->frames.count == 0 &&
	    c->servers + c->locks == 0)
		free_client(t, c);
}

void
timeline_program(struct timeline *t, int64_t pid, struct label *program)
{
	if (pid <= 0)
		return;
	idmap_remove(&t->programs, (uint64_t)pid);
	if (program)
		idmap_put(&t->programs, (uint64_t)pid, program);
}

/* ---- how it is ---- */

static struct label *
scope_of(const struct client *c)
{
	struct list_node *n = c ? list_last(&c->frames) : NULL;

	return n ? LIST_OBJ(n, struct frame, node)->name : NULL;
}

static enum timeline_state
backend_state(const struct backend *b)
{
	const struct client *c = b->client;

	switch (b->is) {
	case TRACE_CONNECTING:
		return TIMELINE_CONNECTING;
	case TRACE_IDLE:
		return TIMELINE_IDLE;
	case TRACE_CLEANING:
		return TIMELINE_CLEANUP;
	case TRACE_CLOSED:
		return NO_STATE;
	case TRACE_LEASED:
		break;
	}
	if (b->ask == 'R')
		return TIMELINE_RUNNING;
	if (c == NULL || c->absent || (c->busy && c->servers + c->locks == 0))
		return TIMELINE_SETUP;
	return b->ask == 'I' && c->frames.count == 0 ? TIMELINE_HELD : TIMELINE_IN_TRANSACTION;
}

static enum timeline_state
client_state(const struct client *c)
{
	enum timeline_state state = TIMELINE_OUTSIDE;
	const struct list_node *n;

	if (c->absent)
		return NO_STATE;
	if (c->servers > 0)
		return TIMELINE_WAITS_FOR_SERVER;
	if (c->locks > 0)
		return TIMELINE_WAITS_FOR_LOCK;
	LIST_EACH (n, &c->backends) {
		const struct backend *b = LIST_OBJ(n, const struct backend, clients);

		if (b->is != TRACE_LEASED)
			continue;
		if (b->ask == 'R')
			return TIMELINE_RUNNING;
		if (state != TIMELINE_IN_TRANSACTION)
			state = backend_state(b);
	}
	/* Its scopes are ended while its server is cleaned, or it has no server: it is the client
	 * that waits for pgwithd, so this is not the client's own time. */
	return state == TIMELINE_OUTSIDE && c->busy ? TIMELINE_SETUP : state;
}

/* ---- segments ---- */

static void
tell(const struct timeline *t, const struct timeline_segment *s)
{
	if (s->state != NO_STATE && s->end_us > s->begin_us)
		t->segment(t->arg, s);
}

static void
end_backend(const struct timeline *t, struct backend *b, int64_t now)
{
	tell(t, &(struct timeline_segment){.track = TIMELINE_SERVER,
					   .state = b->state,
					   .id = b->id,
					   .begin_us = b->since_us,
					   .end_us = now,
					   .who = b->of ? &b->of->who : NULL,
					   .pool = b->pool,
					   .scope = b->of ? b->scope : NULL});
	b->since_us = now;
}

static void
end_client(const struct timeline *t, struct client *c, int64_t now)
{
	tell(t, &(struct timeline_segment){.track = TIMELINE_SESSION,
					   .state = c->state,
					   .id = c->who.session,
					   .begin_us = c->since_us,
					   .end_us = now,
					   .who = &c->who,
					   .pool = c->of_pool,
					   .own_pool = c->pool,
					   .scope = c->scope});
	c->since_us = now;
}

static void
end_frame(const struct timeline *t, struct client *c, struct frame *f, int64_t now)
{
	tell(t, &(struct timeline_segment){.track = TIMELINE_SCOPE,
					   .state = f->state,
					   .id = c->who.session,
					   .begin_us = f->since_us,
					   .end_us = now,
					   .who = &c->who,
					   .pool = c->pool,
					   .own_pool = c->pool,
					   .scope = f->name});
	f->since_us = now;
}

static void
backend_changed(const struct timeline *t, struct backend *b, int64_t now)
{
	enum timeline_state state = backend_state(b);
	struct client *of = state != NO_STATE && state != TIMELINE_IDLE ? b->client : NULL;
	struct label *scope = scope_of(of);

	if (b->state == state && b->of == of && b->scope == scope)
		return;
	end_backend(t, b, now);
	b->state = state;
	b->of = of;
	b->scope = scope;
}

static void
client_changed(const struct timeline *t, struct client *c, int64_t now)
{
	struct label *scope = scope_of(c), *pool;
	enum timeline_state state;
	struct list_node *n;

	LIST_EACH (n, &c->backends)
		backend_changed(t, LIST_OBJ(n, struct backend, clients), now);
	state = client_state(c);
	pool = state == TIMELINE_WAITS_FOR_SERVER && c->waited ? c->waited : c->pool;
	if (c->state == state && c->scope == scope && c->of_pool == pool)
		return;
	end_client(t, c, now);
	c->state = state;
	c->scope = scope;
	c->of_pool = pool;
}

/* ---- events ---- */

static void
on_server(struct timeline *t, struct backend *b, const struct trace_event *e, struct label *pool)
{
	struct client *before = b->client, *now_of = before;

	if (e->state > TRACE_CLOSED)
		return;
	b->is = e->state;
	if (e->other || b->is != TRACE_CLEANING)
		now_of = client_of(t, e->other);
	if (b->is != TRACE_LEASED || before != now_of)
		b->ask = 'I';
	if (now_of != before)
		set_client(b, now_of);
	if (pool)
		b->pool = pool;
	b->seen = true;
	backend_changed(t, b, e->at_us);
	if (before && before != now_of) {
		client_changed(t, before, e->at_us);
		forget(t, before);
	}
	if (now_of)
		client_changed(t, now_of, e->at_us);
	if (b->is == TRACE_CLOSED) {
		free_backend(t, b);
		if (now_of)
			forget(t, now_of);
	}
}

/* The end of an exchange may come behind that of its server, which is then not known any more. */
static void
on_ask(const struct timeline *t, const struct trace_event *e)
{
	struct backend *b = idmap_get(&t->backends, e->subject);

	if (b == NULL)
		return;
	b->ask = e->state;
	backend_changed(t, b, e->at_us);
	if (b->client)
		client_changed(t, b->client, e->at_us);
}

/* A client has another name than before: what comes is another one's in the file. */
static void
rename_client(const struct timeline *t, struct client *c, int64_t now)
{
	struct list_node *n;

	end_client(t, c, now);
	LIST_EACH (n, &c->backends) {
		struct backend *b = LIST_OBJ(n, struct backend, clients);

		if (b->of == c)
			end_backend(t, b, now);
	}
	LIST_EACH (n, &c->frames)
		end_frame(t, c, LIST_OBJ(n, struct frame, node), now);
}

static void
on_who(struct timeline *t, struct client *c, const struct trace_event *e, struct label *role,
       struct label *application_name)
{
	int64_t pid = (int64_t)e->other;
	struct label *program = pid > 0 ? idmap_get(&t->programs, e->other) : NULL;
	struct list_node *n;

	c->seen = true;
	if (e->state) {
		c->servers = c->locks = 0;
		LIST_EACH (n, &c->frames)
			LIST_OBJ(n, struct frame, node)->seen = false;
	}
	if (program == NULL)
		program = c->who.program;
	if (c->who.pid == pid && c->who.role == role && c->who.program == program &&
	    c->who.application_name == application_name)
		return;
	rename_client(t, c, e->at_us);
	if (c->who.written) {
		c->who.number = ++t->last_who;
		c->who.written = false;
	}
	c->who.pid = pid;
	c->who.role = role;
	c->who.program = program;
	c->who.application_name = application_name;
}

static void
on_session(struct timeline *t, struct client *c, const struct trace_event *e, struct label *pool)
{
	if (e->state > TRACE_WORK)
		return;
	c->absent = e->state == TRACE_ABSENT;
	c->busy = e->state == TRACE_PARAMETERS || e->state == TRACE_WORK;
	if (pool)
		c->pool = pool;
	client_changed(t, c, e->at_us);
	forget(t, c);
}

static void
on_wait(struct timeline *t, struct client *c, const struct trace_event *e, struct label *name)
{
	int *count = e->kind == TRACE_WAIT ? &c->servers : &c->locks;

	if (e->state)
		++*count;
	else if (*count > 0)
		--*count;
	if (e->kind == TRACE_WAIT && e->state)
		c->waited = name;
	client_changed(t, c, e->at_us);
	if (!e->state)
		forget(t, c);
}

static struct frame *
frame_of(const struct client *c, uint64_t number)
{
	struct list_node *n;

	LIST_EACH (n, &c->frames)
		if (LIST_OBJ(n, struct frame, node)->number == number)
			return LIST_OBJ(n, struct frame, node);
	return NULL;
}

static void
on_scope(struct timeline *t, struct client *c, const struct trace_event *e, struct label *name)
{
	enum timeline_state state = e->state == TRACE_OPEN ? TIMELINE_OPEN : TIMELINE_ENTERING;
	struct frame *f = frame_of(c, e->other);

	if (e->state > TRACE_ENDED)
		return;
	if (e->state == TRACE_ENDED) {
		if (f) {
			end_frame(t, c, f, e->at_us);
			free_frame(c, f);
		}
		client_changed(t, c, e->at_us);
		forget(t, c);
		return;
	}
	if (f == NULL) {
		f = mem_calloc(1, sizeof *f);
		f->number = e->other;
		f->name = name;
		f->state = state;
		f->since_us = e->at_us;
		list_append(&c->frames, &f->node);
	}
	f->seen = true;
	if (f->state != state)
		end_frame(t, c, f, e->at_us);
	f->state = state;
	client_changed(t, c, e->at_us);
}

/* ---- snapshots: what they do not tell has gone while events were lost ---- */

static void
unsee_all(struct timeline *t)
{
	struct list_node *n;

	LIST_EACH (n, &t->client_list)
		LIST_OBJ(n, struct client, node)->seen = false;
	LIST_EACH (n, &t->backend_list)
		LIST_OBJ(n, struct backend, node)->seen = false;
}

static void
drop_unseen_frames(struct timeline *t, struct client *c, int64_t now)
{
	struct list_node *n, *after;

	LIST_EACH_SAFE (n, after, &c->frames) {
		struct frame *f = LIST_OBJ(n, struct frame, node);

		if (f->seen && c->seen)
			continue;
		end_frame(t, c, f, now);
		free_frame(c, f);
	}
}

static void
drop_unseen(struct timeline *t, int64_t now)
{
	struct list_node *n, *after;

	LIST_EACH_SAFE (n, after, &t->backend_list) {
		struct backend *b = LIST_OBJ(n, struct backend, node);

		if (!b->seen)
			on_server(t, b,
				  &(struct trace_event){
				      .kind = TRACE_SERVER, .at_us = now, .state = TRACE_CLOSED},
				  NULL);
	}
	LIST_EACH_SAFE (n, after, &t->client_list) {
		struct client *c = LIST_OBJ(n, struct client, node);

		drop_unseen_frames(t, c, now);
		if (!c->seen) {
			c->absent = true;
			c->servers = c->locks = 0;
		}
		client_changed(t, c, now);
		forget(t, c);
	}
}

void
timeline_event(struct timeline *t, const struct trace_event *e, struct label *name,
	       struct label *name2)
{
	struct client *c;

	switch (e->kind) {
	case TRACE_SNAPSHOT:
		if (e->state)
			unsee_all(t);
		else
			drop_unseen(t, e->at_us);
		return;
	case TRACE_SERVER:
		on_server(t, backend_of(t, e->subject), e, name);
		return;
	case TRACE_ASK:
		on_ask(t, e);
		return;
	default:
		break;
	}
	c = client_of(t, e->subject);
	if (c == NULL)
		return;
	if (e->kind == TRACE_WHO)
		on_who(t, c, e, name, name2);
	else if (e->kind == TRACE_SESSION)
		on_session(t, c, e, name);
	else if (e->kind == TRACE_WAIT || e->kind == TRACE_LOCK)
		on_wait(t, c, e, name);
	else if (e->kind == TRACE_SCOPE)
		on_scope(t, c, e, name);
}

unsigned
timeline_count(const struct timeline *t)
{
	return t->client_list.count + t->backend_list.count;
}

void
timeline_end(struct timeline *t, int64_t at_us)
{
	struct list_node *n, *m;

	LIST_EACH (n, &t->backend_list) {
		struct backend *b = LIST_OBJ(n, struct backend, node);

		end_backend(t, b, at_us);
		b->state = NO_STATE;
	}
	LIST_EACH (n, &t->client_list) {
		struct client *c = LIST_OBJ(n, struct client, node);

		LIST_EACH (m, &c->frames)
			end_frame(t, c, LIST_OBJ(m, struct frame, node), at_us);
		end_client(t, c, at_us);
		c->state = NO_STATE;
	}
}
