#include "pool/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/trace.h"
#include "base/units.h"
#include "pool/connect.h"
#include "pool/lease.h"
#include "pool/pool.h"
#include "wire/msg.h"

/* Bytes towards the server that may be queued: one message of 64 kB, and messages of ours. */
#define QUEUE_MAX (1024 * 1024)

#define TO(state) (1u << (state))

/* A transaction_timeout shorter than this may end the connection while our own statements run. */
#define SHORT_TRANSACTION_MS 2000

static const struct {
	const char *name;
	unsigned next;
} states[SERVER_NSTATES] = {
    [SERVER_CONNECTING] = {"connecting", TO(SERVER_IDLE) | TO(SERVER_CLOSED)},
    [SERVER_IDLE] = {"idle", TO(SERVER_LEASED) | TO(SERVER_CHECKING) | TO(SERVER_CLOSED)},
    [SERVER_LEASED] = {"leased", TO(SERVER_IDLE) | TO(SERVER_CLEANING) | TO(SERVER_CLOSED)},
    [SERVER_CHECKING] = {"checking", TO(SERVER_IDLE) | TO(SERVER_CLOSED)},
    [SERVER_CLEANING] = {"cleaning", TO(SERVER_IDLE) | TO(SERVER_LEASED) | TO(SERVER_CLOSED)},
    [SERVER_CLOSED] = {"closed", 0},
};

static void on_readable(struct stream *, void *arg);
static void on_drained(struct stream *, void *arg);
static void on_kept_readable(struct stream *, void *arg);

/* No `hangup`: the end of a server's connection is noticed by reading, after the bytes before
 * it. */
static const struct stream_ops stream_ops = {.readable = on_readable, .drained = on_drained};
/* Of a keeper. */
static const struct stream_ops kept_ops = {.readable = on_kept_readable, .drained = on_drained};

static struct loop *
loop_of(const struct server *srv)
{
	return srv->pool->all->loop;
}

const char *
server_state_name(const struct server *srv)
{
	if (srv->keeps && srv->state == SERVER_IDLE)
		return "listening";
	return srv->state == SERVER_CLEANING ? cleanup_state_name(srv->cleanup.state)
					     : states[srv->state].name;
}

void
server_trace(const struct server *srv, const char *pool)
{
	static const uint8_t as[SERVER_NSTATES] = {
	    [SERVER_CONNECTING] = TRACE_CONNECTING, [SERVER_IDLE] = TRACE_IDLE,
	    [SERVER_LEASED] = TRACE_LEASED,         [SERVER_CHECKING] = TRACE_IDLE,
	    [SERVER_CLEANING] = TRACE_CLEANING,     [SERVER_CLOSED] = TRACE_CLOSED,
	};

	trace_add(TRACE_SERVER, loop_now_us(loop_of(srv)), srv->id,
		  srv->lease ? srv->lease->session : 0, as[srv->state], pool, NULL);
}

static bool
may_move(enum server_state from, enum server_state to)
{
	return states[from].next & TO(to);
}

/* Logs a move, and ends the program if it is illegal. */
static void __attribute__((noinline, cold)) log_move(const struct server *srv, enum server_state to)
{
	if (!may_move(srv->state, to))
		log_fatal("server", srv->id, "illegal move",
			  LOG_MOVE(states[srv->state].name, states[to].name));
	log_debug("server", srv->id, "", LOG_MOVE(states[srv->state].name, states[to].name),
		  LOG_TEXT("pool", srv->pool->conf->name));
}

void
server_set_state(struct server *srv, enum server_state to)
{
	struct pool *pool = srv->pool;
	enum server_state was = srv->state;

	if (!may_move(was, to) || log_writes(LOG_DEBUG))
		log_move(srv, to);
	list_remove(&srv->lists[was], &srv->node);
	srv->state = to;
	srv->since_us = loop_now_us(loop_of(srv));
	if (trace_on && !srv->keeps)
		server_trace(srv, NULL);
	if (to == SERVER_IDLE)
		pool_heard(pool, srv);
	if (to == SERVER_IDLE && was != SERVER_CHECKING)
		list_prepend(&srv->lists[to], &srv->node);
	else if (to != SERVER_CLOSED)
		list_append(&srv->lists[to], &srv->node);
}

/* ---- the beginning and the end ---- */

static void
free_server(void *arg)
{
	struct server *srv = arg;

	prepared_clear(&srv->prepared);
	progress_clear(&srv->progress);
	told_drop(&srv->pool->all->told, srv->told);
	told_drop(&srv->pool->all->told, srv->heard);
	told_drop(&srv->pool->all->told, srv->told_at_login);
	told_drop(&srv->pool->all->told, srv->own);
	free(srv->context);
	free(srv);
}

/* PQfinish() sends Terminate. Behind half a message the server would take it for the rest of that,
 * and could execute half a statement: so our side is shut down first. `lingers`: the end of the
 * server's side is waited for. */
static void
end_stream(struct server *srv, bool lingers)
{
	static const uint8_t terminate[] = {'X', 0, 0, 0, 4};
	bool clean = progress_at_rest(&srv->progress) && stream_queued(&srv->stream) == 0;
	int fd = stream_detach(&srv->stream);

	if (!clean)
		shutdown(fd, lingers ? SHUT_WR : SHUT_RDWR);
	if (srv->conn)
		return;
	if (clean)
		send(fd, terminate, sizeof terminate, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

/* A second descriptor of the connection, by which the end of PostgreSQL's side is seen; -1: nobody
 * waits for that, or there is no connection. */
static int
second_descriptor(const struct server *srv)
{
	int fd = stream_open(&srv->stream) ? srv->stream.fd : srv->conn ? PQsocket(srv->conn) : -1;

	if (fd < 0 || srv->keeps || srv->pool->group->cluster == NULL || srv->pool->all->closing)
		return -1;
	return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

/* The descriptor belongs to libpq: the event is removed first, then PQfinish() closes it. Returns
 * second_descriptor(). */
static int
close_connection(struct server *srv)
{
	bool logged_in = stream_open(&srv->stream);
	int second = second_descriptor(srv);

	if (event_initialized(&srv->connect_event))
		event_del(&srv->connect_event);
	if (logged_in)
		end_stream(srv, second >= 0);
	PQfinish(srv->conn);
	srv->conn = NULL;
	/* In the middle of a login, PQfinish() sends nothing. */
	if (second >= 0 && !logged_in)
		shutdown(second, SHUT_WR);
	cancel_key_drop(&srv->key);
	conninfo_params_clear(&srv->params);
	return second;
}

void
server_remove(struct server *srv)
{
	struct pool *pool = srv->pool;
	int second;

	server_set_state(srv, SERVER_CLOSED);
	second = close_connection(srv);
	idmap_remove(&pool->all->servers, srv->id);
	if (!srv->keeps) {
		pool->count--;
		cluster_count_server(pool->group, -1);
		cluster_let_go(pool->group, second);
	}
	loop_defer(pool->all->loop, free_server, srv);
}

static void
open_stream(struct server *srv, int fd)
{
	stream_init(&srv->stream, loop_of(srv), fd,
		    srv->keeps ? SERVER_KEEPER_QUEUE_MAX : QUEUE_MAX,
		    srv->keeps ? &kept_ops : &stream_ops, srv);
}

void
server_logged_in(struct server *srv)
{
	struct pool *pool = srv->pool;
	struct timespec wall;
	SSL *ssl = PQsslStruct(srv->conn, "OpenSSL");

	clock_gettime(CLOCK_REALTIME, &wall);
	srv->connected_at = wall.tv_sec;
	srv->connected_us = srv->idle_us = srv->used_us = loop_now_us(loop_of(srv));
	srv->backend_pid = PQbackendPID(srv->conn);
	srv->sequences = SERVER_NOBODYS;
	srv->told = told_at_login(&srv->pool->all->told, srv->conn);
	srv->told_at_login = told_keep(srv->told);
	srv->own = told_keep(srv->told);
	cancel_key_take(&srv->key, srv->conn);
	cancel_find_dialed(&srv->place, srv->conn);
	open_stream(srv, PQsocket(srv->conn));
	if (ssl)
		stream_set_ssl(&srv->stream, ssl);
	pool->stats.opened++;
	pool_time(pool, POOL_LOGIN, srv->connected_us - srv->since_us);
	log_info("server", srv->id, "connected", LOG_TEXT("pool", pool->conf->name),
		 LOG_NUMBER("backend", srv->backend_pid),
		 LOG_NUMBER("version", PQserverVersion(srv->conn)),
		 LOG_TEXT("tls", ssl ? SSL_get_version(ssl) : "no"));
	PQsetnonblocking(srv->conn, 1);
	if (getrandom(&srv->spread, sizeof srv->spread, 0) != sizeof srv->spread)
		srv->spread = 0;
	conninfo_params_clear(&srv->params);
	server_set_state(srv, SERVER_IDLE);
	if (srv->keeps)
		srv->keep->logged_in(srv);
	else
		pool_server_connected(pool, srv);
}

static void
note_told(void *arg, const char *name, const char *value)
{
	struct server *srv = arg;
	char in_context[64];

	srv->told = told_with(&srv->pool->all->told, srv->told, name, value);
	if (srv->state == SERVER_IDLE || srv->state == SERVER_CHECKING) {
		snprintf(in_context, sizeof in_context, "'%s',", name);
		if (server_has_set(srv, in_context) == NULL)
			srv->own = told_with(&srv->pool->all->told, srv->own, name, value);
	}
	if (srv->state == SERVER_LEASED && srv->lease && srv->lease->ops->told &&
	    !progress_hides_status(&srv->progress))
		srv->lease->ops->told(srv->lease, name, value);
}

static void
own_ended(void *arg, struct buf *out)
{
	struct server *srv = arg;

	if (srv->state == SERVER_LEASED && srv->lease && srv->lease->ops->own_ended)
		srv->lease->ops->own_ended(srv->lease, out);
}

/* A client that has gone is told nothing, and what cleanup is told is no client's. */
static void
erred(void *arg)
{
	struct server *srv = arg;

	if (srv->state == SERVER_LEASED)
		pool_tally_error(&srv->pool->group->tally, srv->progress.error, 1);
}

const char *
server_told(const struct server *srv, const char *name)
{
	return told_get(srv->told, name);
}

/* A new server, without an id. */
static struct server *
make_server(struct pool *pool, enum server_state state, bool keeps)
{
	struct server *srv = mem_calloc(1, sizeof *srv);

	srv->pool = pool;
	srv->stream.fd = -1;
	srv->state = state;
	srv->since_us = loop_now_us(pool->all->loop);
	progress_init(&srv->progress);
	srv->progress.told = note_told;
	srv->progress.own_ended = own_ended;
	srv->progress.erred = erred;
	srv->progress.told_arg = srv;
	prepared_init(&srv->prepared, &pool->all->statements, &srv->progress);
	srv->keeps = keeps;
	srv->lists = keeps ? pool->kept : pool->servers;
	list_append(&srv->lists[state], &srv->node);
	if (!keeps) {
		pool->count++;
		cluster_count_server(pool->group, 1);
	}
	return srv;
}

struct server *
server_adopt(struct pool *pool, uint64_t id, int fd, enum server_state state, bool keeps)
{
	struct server *srv;

	if (id == 0 || id > pool->all->servers.last || idmap_get(&pool->all->servers, id))
		return NULL;
	srv = make_server(pool, state, keeps);
	srv->id = srv->cleanup.server = id;
	idmap_put(&pool->all->servers, id, srv);
	open_stream(srv, fd);
	return srv;
}

bool
server_can_move(const struct server *srv)
{
	return stream_open(&srv->stream) && stream_ssl(&srv->stream) == NULL &&
	       (srv->key.known || srv->pool->own_conf);
}

static struct server *
open_server(struct pool *pool, bool keeps)
{
	struct server *srv = make_server(pool, SERVER_CONNECTING, keeps);

	srv->id = srv->cleanup.server = idmap_add(&pool->all->servers, srv);
	log_debug("server", srv->id, "connecting", LOG_TEXT("pool", pool->conf->name));
	if (trace_on && !keeps)
		server_trace(srv, pool->conf->name);
	connect_begin(srv);
	return srv;
}

struct server *
server_open(struct pool *pool)
{
	return open_server(pool, false);
}

struct server *
server_open_keeper(struct pool *pool, struct keeper *k, const struct server_keeps *keep)
{
	struct server *srv = open_server(pool, true);

	srv->keeper = k;
	srv->keep = keep;
	return srv;
}

struct server *
server_open_joined(struct pool *pool, const struct server *real, const char *context, int fd)
{
	struct server *srv = make_server(pool, SERVER_IDLE, false);
	struct timespec wall;

	clock_gettime(CLOCK_REALTIME, &wall);
	srv->id = srv->cleanup.server = idmap_add(&pool->all->servers, srv);
	srv->connected_at = wall.tv_sec;
	srv->connected_us = srv->idle_us = srv->used_us = loop_now_us(loop_of(srv));
	srv->backend_pid = real->backend_pid;
	srv->told = told_keep(real->told);
	srv->told_at_login = told_keep(real->told_at_login);
	srv->own = told_keep(real->own);
	srv->context = context ? mem_strdup(context) : NULL;
	stream_init(&srv->stream, loop_of(srv), fd, QUEUE_MAX, &stream_ops, srv);
	log_debug("server", srv->id, "stands for a joined scope",
		  LOG_TEXT("pool", pool->conf->name), LOG_NUMBER("backend", srv->backend_pid));
	pool_server_connected(pool, srv);
	return srv;
}

/* ---- between two leases ---- */

/* Why the connection ended: if PostgreSQL's last message was FATAL, that is the better reason. */
static const char *
end_reason(const struct server *srv)
{
	if (srv->progress.fatal)
		return strcmp(srv->progress.error, "57P01") == 0
			   ? "terminated by the administrator (57P01)"
		       : strcmp(srv->progress.error, "57P02") == 0
			   ? "another server process crashed (57P02)"
			   : "the server ended the session with a fatal error";
	if (srv->progress.dying)
		return "all servers were ended at once";
	return "the server closed the connection";
}

/* As server_remains(), but only about the conversation, not about lease and cleanup. */
static const char *
conversation_remains(const struct server *srv)
{
	const char *why = progress_remains(&srv->progress);

	if (why)
		return why;
	if (srv->prepared.tracked.list.count > 0)
		return "it is not known what has become of a statement";
	if (srv->cancels > 0)
		return "a cancel is under way";
	if (stream_queued(&srv->stream) > 0)
		return "bytes for it are still queued";
	return NULL;
}

const char *
server_remains(const struct server *srv)
{
	const char *why = conversation_remains(srv);

	if (why)
		return why;
	if (srv->lease)
		return "it is leased";
	if (srv->cleanup.state != CLEANUP_NONE || srv->cleanup.due.list.count > 0 ||
	    srv->cleanup.done.list.count > 0)
		return "its cleanup has not ended";
	if (srv->prepared.stale || srv->prepared.decoys)
		return "statements are left that nobody knows";
	return NULL;
}

void
server_defined(struct server *srv)
{
	struct statements *all = &srv->pool->all->statements;

	if (srv->prepared.defines == 0)
		return;
	srv->pool->group->defined = ++all->tick;
	if (srv->prepared.defines & PREPARED_DEFINES)
		all->defined = all->tick;
	/* A transaction that is open goes on: others see what it has done when it ends. */
	if (srv->progress.status == 'I' && progress_at_rest(&srv->progress))
		srv->prepared.defines = 0;
}

void
server_unfit(struct server *srv, const char *why)
{
	/* A fault of pgwithd, or of the server. No client must suffer from it. */
	log_warnx("server", srv->id, "not used again", LOG_TEXT("pool", srv->pool->conf->name),
		  LOG_NUMBER("backend", srv->backend_pid), LOG_QUOTED("why", why));
	if (srv->state == SERVER_IDLE)
		srv->pool->stats.broken++;
	server_close(srv, why);
}

void
server_rest(struct server *srv)
{
	const char *why;

	/* PostgreSQL ends the connection, for some reason of its own. */
	if (srv->progress.fatal || srv->progress.dying || srv->stream.ended) {
		server_close(srv, end_reason(srv));
		return;
	}
	server_defined(srv);
	prepared_note_unwritten(&srv->prepared, srv->progress.unwritten);
	progress_renew(&srv->progress);
	prepared_renew(&srv->prepared);
	if ((why = server_remains(srv)) != NULL) {
		server_unfit(srv, why);
		return;
	}
	server_set_state(srv, SERVER_IDLE);
	pool_server_ready(srv->pool, srv);
}

/* ---- closing ---- */

/* Takes the statements of its cleanup that have ended, counts them, and warns of each that
 * failed. */
static void
take_done(struct server *srv, struct todo *done)
{
	struct pool_stats *stats = &srv->pool->stats;
	struct list_node *n;

	todo_init(done);
	todo_move(done, &srv->cleanup.done);
	stats->statements += done->list.count;
	LIST_EACH (n, &done->list) {
		const struct todo_stmt *s = LIST_OBJ(n, struct todo_stmt, node);

		if (!s->failed)
			continue;
		stats->statement_fails++;
		log_warnx("server", srv->id, "statement failed",
			  LOG_TEXT("pool", srv->pool->conf->name), LOG_QUOTED("label", s->label),
			  LOG_TEXT("sqlstate", s->sqlstate));
	}
}

/* A server of the pool is gone. In a cluster another one may be closed for those who wait: not now,
 * as the caller may be walking over servers. */
static void
fill_after(struct pool *pool)
{
	if (pool->group->cluster)
		pools_serve_soon(pool->all);
	else
		pool_fill(pool);
}

static void
log_closed(const struct server *srv, const char *why)
{
	log_info("server", srv->id, "closed", LOG_TEXT("pool", srv->pool->conf->name),
		 LOG_NUMBER("backend", srv->backend_pid), LOG_TEXT("state", server_state_name(srv)),
		 LOG_QUOTED("why", why),
		 LOG_S("age", loop_now_us(loop_of(srv)) - srv->connected_us));
}

void
server_end_keeper(struct server *srv, const char *why)
{
	if (srv->state != SERVER_CONNECTING) {
		log_closed(srv, why);
		srv->pool->stats.closed++;
	}
	server_remove(srv);
}

void
server_connect_late(struct server *srv)
{
	char text[64], limit[32];

	if (connect_try_next(srv))
		return;
	snprintf(text, sizeof text, "no answer within %s",
		 units_duration_str(srv->pool->conf->connect_timeout_us, limit, sizeof limit));
	server_close(srv, text);
}

static void
close_kept(struct server *srv, const char *why)
{
	struct keeper *k = srv->keeper;

	server_end_keeper(srv, why);
	if (k)
		srv->keep->lost(srv, why);
}

void
server_close(struct server *srv, const char *why)
{
	struct todo done;
	struct pool *pool = srv->pool;
	struct lease *lease = srv->lease;
	enum server_state was = srv->state;

	if (was == SERVER_CLOSED)
		return;
	server_defined(srv);
	if (was == SERVER_CONNECTING) {
		connect_failed(srv, why);
		return;
	}
	if (srv->keeps) {
		close_kept(srv, why);
		return;
	}
	log_closed(srv, why);
	if (was == SERVER_CLEANING)
		cleanup_abandon(&srv->cleanup, why);
	take_done(srv, &done);
	server_remove(srv);
	pool->stats.closed++;
	if (was != SERVER_IDLE)
		pool->stats.broken++;
	if (lease)
		lease_lost(lease, &done, why);
	todo_clear(&done);
	fill_after(pool);
}

void
server_give_up(struct server *srv, const char *why)
{
	struct pool *pool = srv->pool;

	/* Its keeper hears of it as of every attempt that has failed. */
	if (srv->keeps) {
		server_close(srv, why);
		return;
	}
	log_debug("server", srv->id, "given up", LOG_TEXT("pool", pool->conf->name),
		  LOG_QUOTED("why", why));
	server_remove(srv);
	fill_after(pool);
}

/* ---- cancel ---- */

struct cancel {
	struct pools *all;
	uint64_t server;
	uint64_t requester;
	PGcancel *request; /* libpq's; NULL: the next three are used */
	struct cancel_place place;
	int backend_pid;
	uint32_t key;
	bool sent;
	char why[256];
};

static void
cancel_run(void *arg)
{
	struct cancel *job = arg;

	if (job->request)
		job->sent = PQcancel(job->request, job->why, sizeof job->why);
	else
		job->sent =
		    cancel_send(&job->place, job->backend_pid, job->key, job->why, sizeof job->why);
}

void
server_cancelled(struct server *srv)
{
	srv->cancels--;
	if (srv->state == SERVER_CLEANING)
		server_step(srv);
	else if (srv->state == SERVER_LEASED && srv->cancels == 0 && srv->lease->ops->cancels_ended)
		srv->lease->ops->cancels_ended(srv->lease);
}

static void
cancel_done(void *arg)
{
	struct cancel *job = arg;
	struct server *srv = idmap_get(&job->all->servers, job->server);

	if (!job->sent)
		log_warnx("server", job->server, "cancel failed", LOG_QUOTED("why", job->why));
	if (srv)
		server_cancelled(srv);
	if (job->requester && job->all->cancelled)
		job->all->cancelled(job->all->cancelled_arg, job->requester);
	PQfreeCancel(job->request);
	free(job);
}

void
server_cancel(struct server *srv, uint64_t requester)
{
	struct cancel *job;

	if (srv->pool->joined) {
		srv->cancels++;
		srv->pool->stats.cancels++;
		stream_flush(&srv->stream);
		srv->pool->joined->cancel(srv->pool->joined->arg, srv, requester);
		return;
	}
	job = mem_calloc(1, sizeof *job);
	job->all = srv->pool->all;
	job->server = srv->id;
	job->requester = requester;
	if (srv->conn)
		job->request = PQgetCancel(srv->conn);
	job->place = srv->place;
	job->backend_pid = srv->backend_pid;
	job->key = srv->key.key;
	/* The server must have what is to be cancelled before the cancel comes. */
	stream_flush(&srv->stream);
	srv->cancels++;
	srv->pool->stats.cancels++;
	log_debug("server", srv->id, "cancel", LOG_NUMBER("backend", srv->backend_pid));
	threads_submit(srv->pool->all->threads, srv->pool, cancel_run, cancel_done, job);
}

/* ---- cleaning ---- */

/* After cleanup: takes the server from the lease, and gives it to the next one. */
static void
return_server(struct server *srv, struct lease *lease)
{
	if (lease) {
		srv->lease = NULL;
		lease->srv = NULL;
	}
	srv->idle_us = loop_now_us(loop_of(srv));
	server_rest(srv);
}

static void
cleanup_ended(struct server *srv)
{
	struct pool *pool = srv->pool;
	struct lease *lease = srv->lease;
	int64_t took = loop_now_us(loop_of(srv)) - srv->cleanup.started_us;
	const char *broken_why = srv->cleanup.broken_why;
	bool good = srv->cleanup.state == CLEANUP_DONE;
	/* Not worth a line at level info: every transaction of a session can end so. */
	bool usual = good && srv->cleanup.why == CLEANUP_RESTORE;
	struct todo done;

	progress_renew(&srv->progress);
	/* Checked also if the same lease goes on: client and server must not be out of step
	 * either. */
	if (good && (broken_why = conversation_remains(srv)) != NULL) {
		good = usual = false;
		log_warnx("server", srv->id, "cleanup has left something",
			  LOG_QUOTED("why", broken_why));
	}
	if (!usual)
		log_info("server", srv->id, "cleanup", LOG_WORD(good ? "done" : broken_why),
			 LOG_TEXT("pool", pool->conf->name),
			 LOG_NUMBER("backend", srv->backend_pid),
			 LOG_QUOTED("why", cleanup_why_name(srv->cleanup.why)),
			 LOG_NUMBER("cancels", srv->cleanup.cancels), LOG_MS("took", took));
	if (!good) {
		server_close(srv, broken_why);
		return;
	}
	if (srv->cleanup.restores > 0) {
		/* DISCARD ALL was run. */
		prepared_forget(&srv->prepared);
		free(srv->context);
		srv->context = NULL;
		srv->lingers = false;
		srv->sequences = SERVER_NOBODYS;
		told_drop(&pool->all->told, srv->own);
		srv->own = told_keep(srv->told);
	} else if (srv->cleanup.discard) {
		/* A statement of the lease's has deallocated something, and the lease goes on. */
		prepared_forget(&srv->prepared);
		srv->prepared.stale = true;
	}
	take_done(srv, &done);
	cleanup_over(&srv->cleanup);
	pool->stats.cleanups++;
	pool->stats.cleanup_us += took;
	pool_time(pool, POOL_CLEANUP, took);
	if (lease && srv->cleanup.keep) {
		server_set_state(srv, SERVER_LEASED);
	} else {
		return_server(srv, lease);
	}
	/* After the grant to the next lease, which had waited. */
	if (lease)
		lease_cleaned(lease, &done);
	todo_clear(&done);
}

void
server_step(struct server *srv)
{
	struct cleanup_do todo;
	struct buf out;

	buf_init(&out, QUEUE_MAX / 2);
	todo = cleanup_step(&srv->cleanup, &srv->progress, srv->cancels, loop_now_us(loop_of(srv)),
			    &out);
	if (out.len > 0)
		stream_write(&srv->stream, buf_data(&out), out.len);
	buf_clear(&out);
	if (todo.cancel)
		server_cancel(srv, 0);
	if (srv->cleanup.state == CLEANUP_DONE && stream_queued(&srv->stream) > 0) {
		/* Everything has been answered, but the server has not read all that we sent.
		 * on_drained() goes on. */
		if (loop_now_us(loop_of(srv)) - srv->cleanup.step_us >= srv->cleanup.limit_us / 2)
			server_close(srv, "it does not read what it was sent");
		return;
	}
	if (srv->cleanup.state == CLEANUP_DONE || srv->cleanup.state == CLEANUP_BROKEN)
		cleanup_ended(srv);
}

const char *
server_has_set(const struct server *srv, const char *name)
{
	const char *at = srv->context ? strcasestr(srv->context, name) : NULL;

	return at ? at + strlen(name) : NULL;
}

bool
server_was_set(const struct server *srv, const char *name)
{
	char text[96];

	/* Every session sets application_name. */
	if (strcmp(name, "application_name") == 0)
		return srv->heard != NULL || srv->leases > 0;
	/* is_superuser follows from the role. */
	if (strcmp(name, "is_superuser") == 0 || strcmp(name, "session_authorization") == 0)
		return server_has_set(srv, "'role',") ||
		       server_has_set(srv, "'session_authorization',");
	snprintf(text, sizeof text, "'%s',", name);
	return server_has_set(srv, text) != NULL;
}

bool
server_must_discard(const struct server *srv)
{
	const char *limit;

	if (srv->pool->conf->discard_always)
		return true;
	if (srv->context == NULL)
		return false;
	limit = server_has_set(srv, "'idle_session_timeout','");
	if (limit && strtod(limit, NULL) > 0)
		return true;
	/* It may end the connection while the next session's parameters are set. */
	limit = server_has_set(srv, "'transaction_timeout','");
	return limit && strtod(limit, NULL) > 0 && strtod(limit, NULL) < SHORT_TRANSACTION_MS;
}

void
server_clean(struct server *srv, enum cleanup_why why, struct todo *todo, bool keep, bool discard)
{
	if (why <= CLEANUP_SHUTDOWN)
		log_info("server", srv->id, "cleanup begins",
			 LOG_TEXT("pool", srv->pool->conf->name),
			 LOG_NUMBER("backend", srv->backend_pid),
			 LOG_QUOTED("why", cleanup_why_name(why)),
			 LOG_BYTES("status", &srv->progress.status, 1),
			 LOG_NUMBER("due", srv->progress.ready_due));
	discard |= server_must_discard(srv);
	server_set_state(srv, SERVER_CLEANING);
	cleanup_start(&srv->cleanup, why, todo, keep, discard, srv->pool->conf->cleanup_timeout_us,
		      loop_now_us(loop_of(srv)));
	server_step(srv);
}

void
server_check(struct server *srv)
{
	struct buf out;

	server_set_state(srv, SERVER_CHECKING);
	buf_init(&out, 64);
	progress_forget_error(&srv->progress);
	msg_query(&out, "");
	progress_sent(&srv->progress, 'Q');
	stream_write(&srv->stream, buf_data(&out), out.len);
	buf_clear(&out);
}

/* ---- bytes ---- */

/* Reads once. Returns the number of bytes, -E_AGAIN, or -E_CLOSED: the server is closed. */
static ssize_t
read_once(struct server *srv, uint8_t *to, size_t room)
{
	ssize_t n = stream_read(&srv->stream, to, room);

	if (n == -E_AGAIN)
		return n;
	if (n <= 0) {
		srv->pool->group->loss_us = loop_now_us(loop_of(srv));
		server_close(srv,
			     n == 0 || errno == ECONNRESET ? end_reason(srv) : strerror(errno));
		return -E_CLOSED;
	}
	srv->used_us = loop_now_us(loop_of(srv));
	return n;
}

static int
check_protocol(struct server *srv, int r)
{
	if (r == 0)
		return 0;
	server_close(srv, "the server sent what is no PostgreSQL protocol");
	return -E_CLOSED;
}

static int
read_and_drop(struct server *srv, uint8_t *to, size_t room)
{
	ssize_t n = read_once(srv, to, room);

	if (n < 0)
		return (int)n;
	if (check_protocol(srv, progress_dropped(&srv->progress, to, (size_t)n)) < 0)
		return -E_CLOSED;
	if (srv->progress.fatal || srv->progress.dying)
		srv->pool->group->loss_us = loop_now_us(loop_of(srv));
	return 0;
}

/* Reads, follows the protocol, and drops the bytes: they are for no client. */
int
server_drop(struct server *srv)
{
	return read_and_drop(srv, loop_scratch(loop_of(srv)), LOOP_SCRATCH);
}

int
server_read(struct server *srv, const uint8_t **data, size_t *bytes)
{
	struct buf *filtered = &srv->pool->all->filtered;
	uint8_t *scratch = loop_scratch(loop_of(srv));
	ssize_t n = read_once(srv, scratch, LOOP_SCRATCH);
	int r;

	if (n < 0)
		return (int)n;
	*data = scratch;
	*bytes = (size_t)n;
	if (!progress_filters(&srv->progress)) {
		r = progress_received(&srv->progress, scratch, (size_t)n);
		*bytes -= srv->progress.pid_cut;
		return check_protocol(srv, r);
	}
	buf_reset(filtered);
	n = progress_filter(&srv->progress, scratch, (size_t)n, filtered);
	*data = buf_data(filtered);
	*bytes = filtered->len;
	return check_protocol(srv, (int)n);
}

bool
server_keeper_write(struct server *srv, const void *data, size_t bytes)
{
	return stream_write(&srv->stream, data, bytes) == 0;
}

void
server_write(struct server *srv, const void *data, size_t bytes)
{
	if (stream_write(&srv->stream, data, bytes) < 0)
		server_close(srv, "too much is queued for the server");
}

void
server_hear(struct server *srv)
{
	/* Not the loop's scratch buffer: it may hold the bytes of a client, for which a server is
	 * looked for. */
	uint8_t bytes[4096];
	const char *why;

	/* Notices, and parameters that changed by a reload, are for nobody. A fatal error or the
	 * end closes the server; so does an answer, since nothing was asked. Read to the end: a
	 * fatal error may stand behind a notice. */
	while (srv->state == SERVER_IDLE && read_and_drop(srv, bytes, sizeof bytes) == 0) {
		pool_heard(srv->pool, srv);
		if (srv->progress.fatal || srv->progress.dying)
			server_close(srv, end_reason(srv));
		else if (srv->progress.from_have == 0 && (why = server_remains(srv)) != NULL)
			server_unfit(srv, why);
	}
}

static void
on_readable(struct stream *st, void *arg)
{
	struct server *srv = arg;

	switch (srv->state) {
	case SERVER_LEASED:
		srv->lease->ops->readable(srv->lease);
		return;
	case SERVER_CLEANING:
		if (server_drop(srv) == 0)
			server_step(srv);
		return;
	case SERVER_CHECKING:
		if (server_drop(srv) == 0 && progress_at_rest(&srv->progress))
			server_rest(srv);
		return;
	case SERVER_IDLE:
		server_hear(srv);
		return;
	default:
		return;
	}
}

static void
on_kept_readable(struct stream *st, void *arg)
{
	struct server *srv = arg;

	srv->keep->readable(srv);
}

static void
on_drained(struct stream *st, void *arg)
{
	struct server *srv = arg;

	if (srv->state == SERVER_LEASED)
		srv->lease->ops->drained(srv->lease);
	else if (srv->state == SERVER_CLEANING && srv->cleanup.state == CLEANUP_DONE)
		server_step(srv);
}
