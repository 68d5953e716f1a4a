/* SHOW CLIENTS, SHOW SERVERS, SHOW SOCKETS and SHOW FDS: both ends of the connections. The column
 * `link` of one end has what `ptr` of the other end has. */
#include "admin/show.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/units.h"
#include "executor/executor.h"
#include "executor/joint.h"
#include "pool/gate.h"
#include "session/application.h"
#include "session/channels.h"
#include "session/doing.h"
#include "session/readonly.h"

/* ---- what both have ---- */

#define PEER_COLUMNS                                                                            \
	{"type", COLUMN_TEXT}, {"user", COLUMN_TEXT}, {"database", COLUMN_TEXT},                \
	    {"state", COLUMN_TEXT}, {"addr", COLUMN_TEXT}, {"port", COLUMN_INT},                \
	    {"local_addr", COLUMN_TEXT}, {"local_port", COLUMN_INT},                            \
	    {"connect_time", COLUMN_TEXT}, {"request_time", COLUMN_TEXT}, {"wait", COLUMN_INT}, \
	    {"wait_us", COLUMN_INT}, {"close_needed", COLUMN_INT}, {"ptr", COLUMN_TEXT},        \
	    {"link", COLUMN_TEXT}, {"remote_pid", COLUMN_INT}, {"tls", COLUMN_TEXT},            \
	{                                                                                       \
		"application_name", COLUMN_TEXT                                                 \
	}

/* `c12`, `s3`: unique, as PgBouncer's memory addresses are, but no addresses. */
static void
rows_link(struct rows *r, char kind, uint64_t id)
{
	char text[24];

	snprintf(text, sizeof text, "%c%llu", kind, (unsigned long long)id);
	rows_text(r, text);
}

/* ---- clients ---- */

static const struct column clients_columns[] = {
    PEER_COLUMNS,
    /* ours */
    {"id", COLUMN_BIGINT},
    {"uid", COLUMN_BIGINT},
    {"program", COLUMN_TEXT},
    {"pinned", COLUMN_TEXT},
    {"queries", COLUMN_BIGINT},
    {"received", COLUMN_BIGINT},
    {"sent", COLUMN_BIGINT},
    {"state_us", COLUMN_BIGINT},
    {"lease_us", COLUMN_BIGINT},
    {"scopes", COLUMN_TEXT},
    {"leases", COLUMN_INT},
    {"waits_for", COLUMN_TEXT},
    {"holds_up", COLUMN_TEXT},
    {"auth", COLUMN_TEXT},
    {"read_only", COLUMN_TEXT},
    {"listens", COLUMN_INT},
    {"joined", COLUMN_TEXT},
};

const char *
show_program(pid_t pid, char *out, size_t out_size)
{
	return peer_program(pid, out, out_size);
}

/* Since when it waits for a server or, in ENTER, for anything; 0: it does not wait. */
static int64_t
waits_since(const struct session *s)
{
	struct doing_wait w = doing_wait(s);

	return w.lease ? w.lease->since_us : w.lock ? w.lock->since_us : 0;
}

/* How many servers it holds, or are being cleaned up for it. */
static unsigned
leases_of(const struct session *s)
{
	const struct list_node *n;
	unsigned count = s->own->lease.srv != NULL;

	if (s->rare->stack)
		LIST_EACH (n, &s->rare->stack->frames)
			count += LIST_OBJ(n, const struct scope, node)->own.lease.srv != NULL;
	return count;
}

/* What it waits for, for people: pool orders, lock nightly. NULL: nothing. */
static const char *
waits_for(const struct session *s, char *out, size_t out_size)
{
	struct doing_wait w = doing_wait(s);

	if (w.lease)
		snprintf(out, out_size, "pool %s%s", w.lease->pool->conf->name,
			 gate_paused(w.lease->pool) ? ", which is paused" : "");
	else if (w.lock)
		snprintf(out, out_size, "%s %s", w.lock->lock->semaphore ? "semaphore" : "lock",
			 w.lock->lock->name);
	else
		return NULL;
	return out;
}

/* The command of an administrator that waits until this lease ends, or NULL. */
static const char *
lease_holds_up(const struct lease *l)
{
	if (l->srv == NULL)
		return NULL;
	return gate_paused(l->pool) ? "PAUSE" : l->srv->retiring ? "RECONNECT" : NULL;
}

/* The command of an administrator that waits for this session, or NULL. */
static const char *
holds_up(const struct session *s)
{
	const char *word = lease_holds_up(&s->own->lease);
	const struct list_node *n;

	if (word == NULL && s->rare->stack)
		LIST_EACH (n, &s->rare->stack->frames) {
			word = lease_holds_up(&LIST_OBJ(n, const struct scope, node)->own.lease);
			if (word)
				break;
		}
	if (word)
		return word;
	if (s->pool && gate_of(s->pool) == POOL_DRAINED)
		return "DRAIN";
	return s->site->phase != SITE_RUNNING && s->pool ? "SHUTDOWN" : NULL;
}

/* PgBouncer's columns. */
static void
client_head(const struct daemon *d, const struct session *s, struct rows *r)
{
	const struct server *srv = s->hold->lease.state == LEASE_HELD ? s->hold->lease.srv : NULL;
	int64_t wait = waits_since(s) ? loop_now_us(d->site.loop) - waits_since(s) : 0;

	rows_text(r, "C");
	rows_text(r, s->peer.role);
	rows_text(r, s->pool                    ? s->pool->conf->name
		     : session_is_at_console(s) ? CONSOLE_DATABASE
						: NULL);
	rows_text(r, s->state == SESSION_ACTIVE && srv && srv->progress.status != 'I' &&
			     progress_at_rest(&srv->progress)
			 ? "idle in transaction"
			 : session_state_name(s->state));
	rows_text(r, "unix");
	rows_number(r, d->site.conf->port);
	rows_text(r, "unix");
	rows_number(r, d->site.conf->port);
	show_time(r, s->peer.connected_at);
	show_time(r, s->activity.request_us ? show_wall(d, s->activity.request_us)
					    : s->peer.connected_at);
	rows_number(r, wait / UNIT_S);
	rows_number(r, wait % UNIT_S);
	rows_number(r, s->state == SESSION_CLOSING);
	rows_link(r, 'c', s->id);
	if (srv)
		rows_link(r, 's', srv->id);
	else
		rows_text(r, "");
	rows_number(r, s->peer.pid);
	rows_text(r, "");
	rows_text(r, application_name(s));
}

/* To which pool its next transaction goes that only reads, or has gone the one that is open; NULL:
 * its pool has no read_only. */
static const char *
where_it_reads(const struct session *s)
{
	if (s->pool == NULL || !s->pool->reads)
		return NULL;
	if (s->hold->lease.state == LEASE_HELD || s->hold->lease.state == LEASE_WAITING)
		return s->hold->lease.pool->conf->name;
	return readonly_stays_until(s) ? s->pool->conf->name : s->pool->conf->read_only;
}

/* Which scope it has joined; NULL: none. */
static const char *
where_it_works(const struct session *s, char *out, size_t out_size)
{
	uint64_t owner;
	const char *name = s->pool ? joint_joined(s, &owner) : NULL;

	if (name == NULL)
		return NULL;
	snprintf(out, out_size, "%s of session %llu", name, (unsigned long long)owner);
	return out;
}

static void
client_row(const struct daemon *d, uint64_t id, struct rows *r)
{
	const struct session *s = idmap_get(&d->site.sessions, id);
	const struct server *srv;
	int64_t now = loop_now_us(d->site.loop);
	char name[64], path[SCOPES_PATH_MAX];

	if (s == NULL)
		return;
	srv = s->hold->lease.state == LEASE_HELD ? s->hold->lease.srv : NULL;
	rows_begin(r);
	client_head(d, s, r);
	rows_number(r, (int64_t)s->id);
	rows_number(r, s->peer.uid);
	rows_text(r, show_program(s->peer.pid, name, sizeof name));
	rows_text(r, session_pin_name(s));
	rows_number(r, (int64_t)s->activity.queries);
	rows_number(r, (int64_t)s->stream.received);
	rows_number(r, (int64_t)s->stream.sent);
	rows_number(r, now - s->since_us);
	if (srv)
		rows_number(r, now - s->hold->lease.since_us);
	else
		rows_null(r);
	rows_text(r, scopes_path(s, path, sizeof path));
	rows_number(r, leases_of(s));
	rows_text(r, waits_for(s, path, sizeof path));
	rows_text(r, holds_up(s));
	rows_text(r, session_was_let_in(s) ? s->peer.marks & PEER_PROVED ? "scram-sha-256" : "peer"
					   : NULL);
	rows_text(r, where_it_reads(s));
	rows_number(r, channels_count(s));
	rows_text(r, where_it_works(s, path, sizeof path));
	rows_end(r);
}

const struct show show_clients = SHOW_LIST(clients_columns, show_list_sessions, client_row);

/* ---- servers ---- */

static const struct column servers_columns[] = {
    PEER_COLUMNS,
    /* ours */
    {"id", COLUMN_BIGINT},
    {"session", COLUMN_BIGINT},
    {"status", COLUMN_TEXT},
    {"ready_due", COLUMN_BIGINT},
    {"extended", COLUMN_BOOL},
    {"skipping", COLUMN_BOOL},
    {"copy", COLUMN_TEXT},
    {"to_left", COLUMN_BIGINT},
    {"from_left", COLUMN_BIGINT},
    {"cancels", COLUMN_INT},
    {"cleanup_why", COLUMN_TEXT},
    {"leases", COLUMN_BIGINT},
    {"received", COLUMN_BIGINT},
    {"sent", COLUMN_BIGINT},
    {"state_us", COLUMN_BIGINT},
    {"age_us", COLUMN_BIGINT},
};

/* One end of a socket: a numeric address and a port; for a Unix socket `unix` and the port that is
 * given; otherwise nothing. */
static void
rows_address(struct rows *r, int fd, bool peer, const char *unix_port)
{
	struct sockaddr_storage a;
	socklen_t length = sizeof a;
	char host[NI_MAXHOST], port[NI_MAXSERV];

	if (fd < 0 || (peer ? getpeername(fd, (struct sockaddr *)&a, &length)
			    : getsockname(fd, (struct sockaddr *)&a, &length)) < 0) {
		rows_null(r);
		rows_null(r);
		return;
	}
	if (a.ss_family == AF_UNIX) {
		rows_text(r, "unix");
		rows_number(r, unix_port ? strtol(unix_port, NULL, 10) : 0);
	} else if (getnameinfo((struct sockaddr *)&a, length, host, sizeof host, port, sizeof port,
			       NI_NUMERICHOST | NI_NUMERICSERV) == 0) {
		rows_text(r, host);
		rows_number(r, strtol(port, NULL, 10));
	} else {
		rows_null(r);
		rows_null(r);
	}
}

static void
rows_tls(struct rows *r, const struct server *srv)
{
	char text[128];
	const SSL *ssl = stream_ssl(&srv->stream);

	if (srv->state == SERVER_CONNECTING || ssl == NULL) {
		rows_text(r, "");
		return;
	}
	snprintf(text, sizeof text, "%s/%s", SSL_get_version(ssl), SSL_get_cipher_name(ssl));
	rows_text(r, text);
}

/* How far the conversation is, in both directions. */
static void
rows_progress(struct rows *r, const struct server *srv)
{
	const struct progress *p = &srv->progress;
	char status[2] = {p->status, 0};

	if (srv->state == SERVER_CONNECTING) {
		for (unsigned i = 0; i < 7; i++)
			rows_null(r);
		return;
	}
	rows_text(r, status);
	rows_number(r, p->ready_due);
	rows_bool(r, p->extended);
	rows_bool(r, p->skipping);
	rows_text(r, progress_copy_name(p));
	rows_number(r, p->to_left);
	rows_number(r, p->from_left);
}

static const struct session *
session_of(const struct server *srv)
{
	return srv->lease ? srv->lease->owner : NULL;
}

/* PgBouncer's columns. */
static void
server_head(const struct daemon *d, const struct server *srv, struct rows *r)
{
	const struct session *s = session_of(srv);
	int fd = srv->state == SERVER_CONNECTING ? -1 : srv->stream.fd;
	const char *port = srv->conn ? PQport(srv->conn) : NULL;

	rows_text(r, "S");
	rows_text(r, conninfo_get(srv->pool->conninfo, "user"));
	rows_text(r, srv->pool->conf->name);
	rows_text(r, server_state_name(srv));
	rows_address(r, fd, true, port);
	rows_address(r, fd, false, port);
	if (srv->connected_at)
		show_time(r, srv->connected_at);
	else
		rows_null(r);
	/* When it was last leased. */
	show_time(r, show_wall(d, s ? srv->lease->since_us : srv->since_us));
	rows_number(r, 0);
	rows_number(r, 0);
	rows_number(r, srv->retiring);
	rows_link(r, 's', srv->id);
	if (s)
		rows_link(r, 'c', s->id);
	else
		rows_text(r, "");
	rows_number(r, srv->backend_pid);
	rows_tls(r, srv);
	rows_text(r, s ? application_name(s) : "");
}

static void
server_row(const struct daemon *d, uint64_t id, struct rows *r)
{
	const struct server *srv = idmap_get(&d->site.pools.servers, id);
	int64_t now = loop_now_us(d->site.loop);
	const struct session *s;

	if (srv == NULL)
		return;
	s = session_of(srv);
	rows_begin(r);
	server_head(d, srv, r);
	rows_number(r, (int64_t)srv->id);
	if (s)
		rows_number(r, (int64_t)s->id);
	else
		rows_null(r);
	rows_progress(r, srv);
	rows_number(r, srv->cancels);
	rows_text(r, srv->state == SERVER_CLEANING ? cleanup_why_name(srv->cleanup.why) : NULL);
	rows_number(r, (int64_t)srv->leases);
	rows_number(r, (int64_t)srv->stream.received);
	rows_number(r, (int64_t)srv->stream.sent);
	rows_number(r, now - srv->since_us);
	if (srv->connected_us)
		rows_number(r, now - srv->connected_us);
	else
		rows_null(r);
	rows_end(r);
}

static void
list_servers(const struct daemon *d, const struct session *own, struct show_ids *ids)
{
	struct list_node *n, *m;

	LIST_EACH (n, &d->site.pools.list) {
		const struct pool *pool = LIST_OBJ(n, struct pool, node);

		for (int i = 0; i < SERVER_CLOSED; i++)
			LIST_EACH (m, &pool->servers[i]) {
				const struct server *srv = LIST_OBJ(m, struct server, node);
				const struct session *s = session_of(srv);

				if (own == NULL || (s && show_is_own(own, s)))
					show_ids_add(ids, srv->id);
			}
		for (int i = 0; i < SERVER_CLOSED && own == NULL; i++)
			LIST_EACH (m, &pool->kept[i])
				show_ids_add(ids, LIST_OBJ(m, struct server, node)->id);
	}
}

const struct show show_servers = SHOW_LIST(servers_columns, list_servers, server_row);

/* ---- sockets ---- */

static const struct column sockets_columns[] = {
    PEER_COLUMNS,
    {"recv_pos", COLUMN_INT},
    {"pkt_pos", COLUMN_INT},
    {"pkt_remain", COLUMN_INT},
    {"send_pos", COLUMN_INT},
    {"send_remain", COLUMN_INT},
    {"pkt_avail", COLUMN_INT},
    {"send_avail", COLUMN_INT},
    /* ours */
    {"fd", COLUMN_INT},
    {"received", COLUMN_BIGINT},
    {"sent", COLUMN_BIGINT},
    {"queued", COLUMN_BIGINT},
    {"kept", COLUMN_BIGINT},
    {"reading", COLUMN_BOOL},
};

/* Ids of sessions and of servers overlap: this bit says that an id is a server's. */
#define OF_SERVER (UINT64_C(1) << 63)

static void
list_both(const struct daemon *d, const struct session *own, struct show_ids *ids)
{
	unsigned clients;

	show_list_sessions(d, own, ids);
	clients = ids->count;
	list_servers(d, own, ids);
	for (unsigned i = clients; i < ids->count; i++)
		ids->list[i] |= OF_SERVER;
}

/* How much is in the buffers of a socket. PgBouncer's columns are positions in a buffer of fixed
 * size, which each socket has; ours are lengths, and 0 while nothing is kept back. */
static void
socket_row(struct rows *r, const struct stream *st, uint32_t left, size_t kept)
{
	rows_number(r, (int64_t)kept);
	rows_number(r, 0);
	rows_number(r, left);
	rows_number(r, 0);
	rows_number(r, (int64_t)stream_queued(st));
	rows_number(r, (int64_t)kept);
	rows_number(r, (int64_t)stream_queued(st));
	if (st->fd < 0)
		rows_null(r);
	else
		rows_number(r, st->fd);
	rows_number(r, (int64_t)st->received);
	rows_number(r, (int64_t)st->sent);
	rows_number(r, (int64_t)stream_queued(st));
	rows_number(r, (int64_t)kept);
	rows_bool(r, st->fd >= 0 && !st->paused);
	rows_end(r);
}

static void
either_row(const struct daemon *d, uint64_t id, struct rows *r)
{
	const struct session *s = id & OF_SERVER ? NULL : idmap_get(&d->site.sessions, id);
	const struct server *srv =
	    id & OF_SERVER ? idmap_get(&d->site.pools.servers, id & ~OF_SERVER) : NULL;

	if (s) {
		rows_begin(r);
		client_head(d, s, r);
		socket_row(r, &s->stream, s->drop_left, s->in->len);
	} else if (srv) {
		rows_begin(r);
		server_head(d, srv, r);
		socket_row(r, &srv->stream, srv->progress.from_left, 0);
	}
}

const struct show show_sockets = SHOW_LIST(sockets_columns, list_both, either_row);

/* ---- descriptors ---- */

static const struct column fds_columns[] = {
    {"fd", COLUMN_INT},
    {"task", COLUMN_TEXT},
    {"user", COLUMN_TEXT},
    {"database", COLUMN_TEXT},
    {"addr", COLUMN_TEXT},
    {"port", COLUMN_INT},
    {"cancel", COLUMN_BIGINT},
    {"link", COLUMN_INT},
    {"client_encoding", COLUMN_TEXT},
    {"std_strings", COLUMN_TEXT},
    {"datestyle", COLUMN_TEXT},
    {"timezone", COLUMN_TEXT},
    {"password", COLUMN_TEXT},
    {"scram_client_key", COLUMN_TEXT},
    {"scram_server_key", COLUMN_TEXT},
    /* ours */
    {"id", COLUMN_BIGINT},
    {"link_id", COLUMN_BIGINT},
};

/* PgBouncer hands its descriptors over by this table, with everything that its successor must know.
 * Ours is only for people: it shows no cancel keys and no passwords. */
static void
fd_row(struct rows *r, int fd, const char *task, const char *user, const char *database, int peer)
{
	rows_begin(r);
	rows_number(r, fd);
	rows_text(r, task);
	rows_text(r, user);
	rows_text(r, database);
	rows_text(r, "unix");
	rows_null(r);
	rows_null(r);
	if (peer < 0)
		rows_null(r);
	else
		rows_number(r, peer);
	for (unsigned i = 0; i < 7; i++)
		rows_null(r);
}

static void
session_fd(const struct session *s, struct rows *r)
{
	const struct server *srv = s->hold->lease.srv;

	fd_row(r, s->stream.fd, "client", s->peer.role, s->pool ? s->pool->conf->name : NULL,
	       srv ? srv->stream.fd : -1);
	rows_number(r, (int64_t)s->id);
	if (srv)
		rows_number(r, (int64_t)srv->id);
	else
		rows_null(r);
	rows_end(r);
}

static void
server_fd(const struct server *srv, int fd, struct rows *r)
{
	const struct session *s = session_of(srv);

	fd_row(r, fd, "server", conninfo_get(srv->pool->conninfo, "user"), srv->pool->conf->name,
	       s ? s->stream.fd : -1);
	rows_number(r, (int64_t)srv->id);
	if (s)
		rows_number(r, (int64_t)s->id);
	else
		rows_null(r);
	rows_end(r);
}

static void
list_fds(const struct daemon *d, const struct session *own, struct show_ids *ids)
{
	/* No session or server has the id 0: it stands for the listening socket. */
	show_ids_add(ids, 0);
	list_both(d, own, ids);
}

static void
each_fd(const struct daemon *d, uint64_t id, struct rows *r)
{
	const struct session *s = id & OF_SERVER ? NULL : idmap_get(&d->site.sessions, id);
	const struct server *srv =
	    id & OF_SERVER ? idmap_get(&d->site.pools.servers, id & ~OF_SERVER) : NULL;
	int fd = srv && srv->conn ? PQsocket(srv->conn) : -1;

	if (id == 0 && d->site.listen) {
		fd_row(r, listen_fd(d->site.listen), "pooler", NULL, NULL, -1);
		rows_null(r);
		rows_null(r);
		rows_end(r);
	} else if (s && s->stream.fd >= 0) {
		session_fd(s, r);
	} else if (fd >= 0) {
		server_fd(srv, fd, r);
	}
}

const struct show show_fds = SHOW_LIST(fds_columns, list_fds, each_fd);
