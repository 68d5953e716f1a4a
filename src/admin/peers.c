/* SHOW CLIENTS and SHOW SERVERS: both ends of the connections. The same number stands in `link` of
 * the one and in `ptr` of the other. */
#include "admin/show.h"

#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/units.h"
#include "session/scopes.h"

#define PATH_MAX_BYTES 256 /* of the names of a session's scopes */

/* ---- what both have ---- */

/* As PgBouncer writes it. `at` is seconds of the wall clock. */
static void
rows_time(struct rows *r, int64_t at)
{
	time_t t = (time_t)at;
	char text[64];
	struct tm tm;

	localtime_r(&t, &tm);
	strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %Z", &tm);
	rows_text(r, text);
}

/* When something of the loop's clock was, by the wall clock. */
static int64_t
wall(const struct daemon *d, int64_t us)
{
	return time(NULL) - (loop_now_us(d->loop) - us) / UNIT_S;
}

/* `c12`, `s3`: as unique as PgBouncer's addresses, and it gives none away. */
static void
rows_link(struct rows *r, char kind, uint64_t id)
{
	char text[24];

	snprintf(text, sizeof text, "%c%llu", kind, (unsigned long long)id);
	rows_text(r, text);
}

/* ---- clients ---- */

static const struct column clients_columns[] = {
    {"type", COLUMN_TEXT},
    {"user", COLUMN_TEXT},
    {"database", COLUMN_TEXT},
    {"state", COLUMN_TEXT},
    {"addr", COLUMN_TEXT},
    {"port", COLUMN_INT},
    {"local_addr", COLUMN_TEXT},
    {"local_port", COLUMN_INT},
    {"connect_time", COLUMN_TEXT},
    {"request_time", COLUMN_TEXT},
    {"wait", COLUMN_INT},
    {"wait_us", COLUMN_INT},
    {"close_needed", COLUMN_INT},
    {"ptr", COLUMN_TEXT},
    {"link", COLUMN_TEXT},
    {"remote_pid", COLUMN_INT},
    {"tls", COLUMN_TEXT},
    {"application_name", COLUMN_TEXT},
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
};

/* The name of the program that the process runs, or NULL if it is gone or another user's secret. */
static const char *
program(pid_t pid, char *out, size_t out_size)
{
	char path[32];
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	n = read(fd, out, out_size - 1);
	close(fd);
	if (n <= 0)
		return NULL;
	out[n] = 0;
	out[strcspn(out, "\n")] = 0;
	return out;
}

/* Since when it waits for a server, or as a scope for whatever; 0: it does not. */
static int64_t
waits_since(const struct session *s)
{
	const struct scope *f = s->scopes ? stack_innermost(&s->scopes->stack) : NULL;

	if (s->own.state == LEASE_WAITING)
		return s->own.since_us;
	if (f && f->own.state == LEASE_WAITING)
		return f->own.since_us;
	return f && f->hold.state == LOCK_WAITING ? f->hold.since_us : 0;
}

/* Servers that it holds, or that are cleaned up for it. */
static unsigned
leases_of(const struct session *s)
{
	const struct list_node *n;
	unsigned count = s->own.srv != NULL;

	if (s->scopes)
		LIST_EACH (n, &s->scopes->stack.frames)
			count += LIST_OBJ(n, const struct scope, node)->own.srv != NULL;
	return count;
}

static void
client_row(const struct daemon *d, const struct session *s, struct rows *r)
{
	const struct server *srv = s->lease->state == LEASE_HELD ? s->lease->srv : NULL;
	int64_t now = loop_now_us(d->loop), wait;
	char name[64], path[PATH_MAX_BYTES];

	wait = waits_since(s) ? now - waits_since(s) : 0;
	rows_begin(r);
	rows_text(r, "C");
	rows_text(r, s->role);
	rows_text(r, s->pool                       ? s->pool->conf->name
		     : s->state == SESSION_CONSOLE ? CONSOLE_DATABASE
						   : NULL);
	rows_text(r, session_state_name(s->state));
	rows_text(r, "unix");
	rows_number(r, d->conf->port);
	rows_text(r, "unix");
	rows_number(r, d->conf->port);
	rows_time(r, s->connected_at);
	rows_time(r, s->request_us ? wall(d, s->request_us) : s->connected_at);
	rows_number(r, wait / UNIT_S);
	rows_number(r, wait % UNIT_S);
	rows_number(r, s->state == SESSION_CLOSING);
	rows_link(r, 'c', s->id);
	if (srv)
		rows_link(r, 's', srv->id);
	else
		rows_text(r, "");
	rows_number(r, s->pid);
	rows_text(r, "");
	rows_text(r, s->application ? s->application : "");
	rows_number(r, (int64_t)s->id);
	rows_number(r, s->uid);
	rows_text(r, program(s->pid, name, sizeof name));
	rows_text(r, session_pin_name(s));
	rows_number(r, (int64_t)s->queries);
	rows_number(r, (int64_t)s->stream.received);
	rows_number(r, (int64_t)s->stream.sent);
	rows_number(r, now - s->since_us);
	if (srv)
		rows_number(r, now - s->lease->since_us);
	else
		rows_null(r);
	rows_text(r, scopes_path(s, path, sizeof path));
	rows_number(r, leases_of(s));
	rows_end(r);
}

static void
fill_clients(const struct daemon *d, struct rows *r)
{
	struct list_node *n;

	for (int i = 0; i < SESSION_CLOSED; i++)
		LIST_EACH (n, &d->in_state[i])
			client_row(d, LIST_OBJ(n, struct session, node), r);
}

const struct show show_clients = SHOW_TABLE(clients_columns, fill_clients);

/* ---- servers ---- */

static const struct column servers_columns[] = {
    {"type", COLUMN_TEXT},
    {"user", COLUMN_TEXT},
    {"database", COLUMN_TEXT},
    {"state", COLUMN_TEXT},
    {"addr", COLUMN_TEXT},
    {"port", COLUMN_INT},
    {"local_addr", COLUMN_TEXT},
    {"local_port", COLUMN_INT},
    {"connect_time", COLUMN_TEXT},
    {"request_time", COLUMN_TEXT},
    {"wait", COLUMN_INT},
    {"wait_us", COLUMN_INT},
    {"close_needed", COLUMN_INT},
    {"ptr", COLUMN_TEXT},
    {"link", COLUMN_TEXT},
    {"remote_pid", COLUMN_INT},
    {"tls", COLUMN_TEXT},
    {"application_name", COLUMN_TEXT},
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

/* One end of a socket: an address as numbers and a port; `unix` with the given port; or nothing. */
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
	const SSL *ssl = srv->stream.ssl;

	if (srv->state == SERVER_CONNECTING || ssl == NULL) {
		rows_text(r, "");
		return;
	}
	snprintf(text, sizeof text, "%s/%s", SSL_get_version(ssl), SSL_get_cipher_name(ssl));
	rows_text(r, text);
}

/* How far it is in both directions. */
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

static void
server_row(const struct daemon *d, const struct server *srv, struct rows *r)
{
	const struct session *s = srv->lease ? srv->lease->owner : NULL;
	int fd = srv->state == SERVER_CONNECTING ? -1 : srv->stream.fd;
	const char *port = srv->conn ? PQport(srv->conn) : NULL;
	int64_t now = loop_now_us(d->loop);

	rows_begin(r);
	rows_text(r, "S");
	rows_text(r, conninfo_get(srv->pool->conninfo, "user"));
	rows_text(r, srv->pool->conf->name);
	rows_text(r, server_state_name(srv));
	rows_address(r, fd, true, port);
	rows_address(r, fd, false, port);
	if (srv->connected_at)
		rows_time(r, srv->connected_at);
	else
		rows_null(r);
	/* The last time that it was lent. */
	rows_time(r, wall(d, s ? srv->lease->since_us : srv->since_us));
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
	rows_text(r, s && s->application ? s->application : "");
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
fill_servers(const struct daemon *d, struct rows *r)
{
	struct list_node *n, *m;

	LIST_EACH (n, &d->pools.list) {
		const struct pool *pool = LIST_OBJ(n, struct pool, node);

		for (int i = 0; i < SERVER_CLOSED; i++)
			LIST_EACH (m, &pool->servers[i])
				server_row(d, LIST_OBJ(m, struct server, node), r);
	}
}

const struct show show_servers = SHOW_TABLE(servers_columns, fill_servers);
