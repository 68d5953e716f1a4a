#include "admin/trace.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/trace.h"
#include "pool/server.h"
#include "session/scopes.h"

static const struct column trace_columns[] = {
    {"portion", COLUMN_BYTEA},
};
const struct show trace_show = SHOW_TABLE(trace_columns, NULL);

/* ---- what exists ----
 *
 * Thousands of sessions are told in pieces, one piece with each TRACE, because the loop stands
 * still meanwhile. Each session or server is told as it is at that moment, in the order of all
 * events, so the pieces fit to what happens between them. */

#define PIECE     500  /* sessions or servers of one piece */
#define ROOM_LEFT 1024 /* a piece ends where the ring has so little room */

static struct {
	bool due;   /* a snapshot is to be begun */
	bool begun; /* and has not ended: `sessions` and `servers` have those that are to be told */
	struct show_ids sessions, servers;
} snapshot;

static void
tell_server(const struct daemon *d, uint64_t id)
{
	const struct server *srv = idmap_get(&d->site.pools.servers, id);
	uint64_t session;

	if (srv == NULL)
		return;
	server_trace(srv, srv->pool->conf->name);
	if (srv->state != SERVER_LEASED)
		return;
	session = srv->lease ? srv->lease->session : 0;
	trace_add(TRACE_ASK, loop_now_us(d->site.loop), id, session,
		  srv->lease && srv->lease->asked_us ? 'R' : (unsigned)srv->progress.status, NULL,
		  NULL);
}

static void
tell_wait(const struct session *s, const struct lease *l, int64_t now)
{
	if (l->state == LEASE_WAITING)
		trace_add(TRACE_WAIT, now, s->id, 0, 1, l->pool->conf->name, NULL);
}

static void
tell_session(const struct daemon *d, uint64_t id)
{
	const struct session *s = idmap_get(&d->site.sessions, id);
	int64_t now = loop_now_us(d->site.loop);
	struct list_node *n;

	if (s == NULL)
		return;
	session_trace(s, true);
	tell_wait(s, &s->own->lease, now);
	if (s->rare->stack == NULL)
		return;
	LIST_EACH (n, &s->rare->stack->frames) {
		const struct scope *f = LIST_OBJ(n, struct scope, node);

		scopes_trace(s, f, f->state == SCOPE_ENTERING ? TRACE_ENTERING : TRACE_OPEN);
		tell_wait(s, &f->own.lease, now);
		if (f->hold.state == LOCK_WAITING)
			trace_add(TRACE_LOCK, now, s->id, 0, 1, f->hold.lock->name, NULL);
	}
}

static void
begin_snapshot(const struct daemon *d)
{
	struct list_node *n, *m;

	snapshot.due = false;
	snapshot.begun = true;
	show_ids_clear(&snapshot.sessions);
	show_ids_clear(&snapshot.servers);
	trace_add(TRACE_SNAPSHOT, loop_now_us(d->site.loop), 0, 0, 1, NULL, NULL);
	for (int i = 0; i < SESSION_CLOSED; i++)
		LIST_EACH (n, &d->site.in_state[i])
			show_ids_add(&snapshot.sessions, LIST_OBJ(n, struct session, node)->id);
	LIST_EACH (n, &d->site.pools.list) {
		const struct pool *pool = LIST_OBJ(n, struct pool, node);

		for (int i = 0; i < SERVER_CLOSED; i++)
			LIST_EACH (m, &pool->servers[i])
				show_ids_add(&snapshot.servers,
					     LIST_OBJ(m, struct server, node)->id);
	}
}

/* Tells ids of the list, up to the end of the piece. True if all are told. */
static bool
tell_some(const struct daemon *d, struct show_ids *ids, unsigned *piece,
	  void (*tell)(const struct daemon *, uint64_t id))
{
	for (; ids->at < ids->count; ids->at++) {
		if (*piece == 0 || trace_room() < ROOM_LEFT)
			return false;
		(*piece)--;
		tell(d, ids->list[ids->at]);
	}
	return true;
}

/* Begins a snapshot that is due, or goes on with it. A snapshot waits until the ring is half empty:
 * it would be lost, too, as long as the reader is behind. */
static void
tell_more(const struct daemon *d)
{
	unsigned piece = PIECE;

	if (snapshot.due && trace_room() >= TRACE_EVENTS / 2)
		begin_snapshot(d);
	if (!snapshot.begun || !tell_some(d, &snapshot.sessions, &piece, tell_session) ||
	    !tell_some(d, &snapshot.servers, &piece, tell_server))
		return;
	snapshot.begun = false;
	trace_add(TRACE_SNAPSHOT, loop_now_us(d->site.loop), 0, 0, 0, NULL, NULL);
}

/* ---- the command ---- */

static int
refuse_second(uint64_t reader, struct err *e)
{
	char *what = mem_printf("session %llu records already", (unsigned long long)reader);

	err_make(e, ERR_CONSOLE_STATE, what);
	free(what);
	return -E_STATE;
}

int
trace_run(const struct command_call *call, struct err *e)
{
	const struct daemon *d = call->daemon;
	struct buf portion;

	if (trace_begin(call->session->id, d->site.locks.seed)) {
		snapshot.due = true;
		snapshot.begun = false;
	} else if (trace_reader() != call->session->id) {
		return refuse_second(trace_reader(), e);
	}
	tell_more(d);
	/* If events were lost, the reader needs a new snapshot. */
	if (trace_lost_more()) {
		snapshot.due = true;
		snapshot.begun = false;
	}
	buf_init(&portion, BUF_MAX);
	trace_portion(&portion, loop_now_us(d->site.loop), snapshot.due || snapshot.begun);
	rows_begin(call->rows);
	rows_bytes(call->rows, buf_data(&portion), portion.len);
	rows_end(call->rows);
	buf_clear(&portion);
	return 0;
}

void
trace_closed(uint64_t session)
{
	if (!trace_end(session))
		return;
	show_ids_clear(&snapshot.sessions);
	show_ids_clear(&snapshot.servers);
	snapshot.due = snapshot.begun = false;
}
