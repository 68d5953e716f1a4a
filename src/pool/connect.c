#include "pool/connect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "pool/password.h"
#include "pool/pool.h"
#include "pool/probe.h"

/* PostgreSQL's config_file_error. Used for a configuration of ours that is wrong: no server could
 * be asked, and waiting does not help. */
#define CONFIGURED_WRONG "F0000"

static struct loop *
loop_of(const struct server *srv)
{
	return srv->pool->all->loop;
}

/* The server begins to connect only now: its time limit, and its place in the list, which is in
 * order of that time, go by this. */
static void
begin_now(struct server *srv)
{
	struct list *connecting = &srv->lists[SERVER_CONNECTING];

	srv->since_us = loop_now_us(loop_of(srv));
	list_remove(connecting, &srv->node);
	list_append(connecting, &srv->node);
}

/* Gives up libpq's connection; the server stays. */
static void
drop_attempt(struct server *srv)
{
	event_del(&srv->connect_event);
	PQfinish(srv->conn);
	srv->conn = NULL;
	cancel_key_drop(&srv->key);
}

/* The attempt to connect has failed. `sqlstate`: CONFIGURED_WRONG, or "" to take it from the
 * reason. */
static void
connect_failed_by(struct server *srv, enum err_id id, const char *reason, const char *sqlstate)
{
	struct pool *pool = srv->pool;
	char line[512], found[6];
	struct err e;

	/* libpq's reason has one line or more: the first one, without its end, is enough. */
	snprintf(line, sizeof line, "%.*s", (int)strcspn(reason, "\n"), reason);
	conninfo_cut_sqlstate(line, found);
	if (*sqlstate == 0)
		sqlstate = found;
	if (password_refused(srv, sqlstate)) {
		log_info("server", srv->id, "refused: the password is asked for anew",
			 LOG_TEXT("pool", pool->conf->name), LOG_QUOTED("why", line));
		drop_attempt(srv);
		conninfo_params_clear(&srv->params);
		begin_now(srv);
		connect_begin(srv);
		return;
	}
	server_remove(srv);
	pool->stats.open_fails++;
	if (srv->keeps) {
		err_make(&e, id, pool->conf->name, line);
		if (srv->keeper)
			srv->keep->failed(srv, &e);
		err_clear(&e);
		return;
	}
	pool_server_failed(pool, id, line, sqlstate);
	probe_failed(pool, sqlstate);
}

void
connect_failed(struct server *srv, const char *reason)
{
	connect_failed_by(srv, ERR_SERVER_UNREACHABLE, reason, "");
}

static void on_connect_event(evutil_socket_t, short what, void *arg);

/* libpq may close its socket and open another: the event is removed before PQconnectPoll() and made
 * anew after it. */
static void
poll_connect(struct server *srv, PostgresPollingStatusType status)
{
	char why[256];
	short what;

	/* libpq has connected its socket and sent nothing yet. */
	if (PQstatus(srv->conn) == CONNECTION_MADE &&
	    conninfo_params_check_peer(&srv->params, PQsocket(srv->conn), why, sizeof why) < 0) {
		connect_failed_by(srv, ERR_SERVER_UNREACHABLE, why, CONFIGURED_WRONG);
		return;
	}
	switch (status) {
	case PGRES_POLLING_OK:
		server_logged_in(srv);
		return;
	case PGRES_POLLING_READING:
		what = EV_READ;
		break;
	case PGRES_POLLING_WRITING:
		what = EV_WRITE;
		break;
	default:
		connect_failed(srv, PQerrorMessage(srv->conn));
		return;
	}
	event_assign(&srv->connect_event, loop_base(loop_of(srv)), PQsocket(srv->conn), what,
		     on_connect_event, srv);
	event_add(&srv->connect_event, NULL);
}

static void
on_connect_event(evutil_socket_t fd, short what, void *arg)
{
	struct server *srv = arg;

	/* The event is not persistent, so it has been removed. */
	poll_connect(srv, PQconnectPoll(srv->conn));
	loop_event_done(loop_of(srv));
}

/* Notices during login, which libpq would write to stderr. */
static void
on_notice(void *arg, const char *text)
{
	struct server *srv = arg;

	log_debug("server", srv->id, "notice", LOG_WORD_BYTES(text, strcspn(text, "\n")));
}

static void
start_connect(struct server *srv)
{
	srv->conn = PQconnectStartParams((const char *const *)srv->params.keywords,
					 (const char *const *)srv->params.values, 0);
	if (srv->conn == NULL) {
		connect_failed(srv, "out of memory");
	} else if (PQstatus(srv->conn) == CONNECTION_BAD) {
		connect_failed(srv, PQerrorMessage(srv->conn));
	} else {
		PQsetNoticeProcessor(srv->conn, on_notice, srv);
		PQsetErrorVerbosity(srv->conn, PQERRORS_VERBOSE); /* for conninfo_cut_sqlstate() */
		cancel_key_watch(&srv->key, srv->conn);
		poll_connect(srv, PGRES_POLLING_WRITING);
	}
}

static void
got_password(struct server *srv, const char *password, const char *why)
{
	if (password == NULL) {
		connect_failed_by(srv, ERR_NO_PASSWORD, why, "");
		return;
	}
	begin_now(srv);
	conninfo_params_add(&srv->params, "password", password);
	start_connect(srv);
}

/* The addresses are known. If a command tells the password, that comes first. */
static void
log_in(struct server *srv)
{
	const char *password = srv->pool->password ? password_ask(srv, got_password) : NULL;

	if (password)
		conninfo_params_add(&srv->params, "password", password);
	if (!srv->asking)
		start_connect(srv);
}

/* A name look-up in a worker thread. It has a conninfo of its own, because the pool may be freed
 * meanwhile. */
struct look_up {
	struct pools *all;
	uint64_t server;
	struct conninfo *conninfo;
	struct conninfo_params params;
	int result;
	char why[512];
};

static void
look_up_run(void *arg)
{
	struct look_up *job = arg;

	job->result = conninfo_resolve(job->conninfo, &job->params, job->why, sizeof job->why);
}

static void
look_up_done(void *arg)
{
	struct look_up *job = arg;
	struct server *srv = idmap_get(&job->all->servers, job->server);

	if (srv && srv->state == SERVER_CONNECTING && srv->resolving) {
		srv->resolving = false;
		srv->params = job->params;
		job->params = (struct conninfo_params){0};
		if (job->result < 0)
			connect_failed(srv, job->why);
		else
			log_in(srv);
	}
	conninfo_params_clear(&job->params);
	conninfo_free(job->conninfo);
	free(job);
}

static void
look_up_names(struct server *srv)
{
	struct look_up *job = mem_calloc(1, sizeof *job);

	job->conninfo = pool_conninfo(srv->pool->conf, srv->pool->role, job->why, sizeof job->why);
	if (job->conninfo == NULL) {
		/* The conninfo was right at the start: its service file has changed. */
		connect_failed_by(srv, ERR_SERVER_UNREACHABLE, job->why, CONFIGURED_WRONG);
		free(job);
		return;
	}
	job->all = srv->pool->all;
	job->server = srv->id;
	srv->resolving = true;
	/* Look-ups have a queue of their own, apart from cancels: if a host falls silent, cancels
	 * hang, and the pool must still be able to look up another host. */
	threads_submit(srv->pool->all->threads, &srv->pool->waiting, look_up_run, look_up_done,
		       job);
}

static void
connect_now(struct server *srv)
{
	char why[256] = "";

	if (conninfo_has_names(srv->pool->conninfo)) {
		look_up_names(srv);
		return;
	}
	if (conninfo_resolve(srv->pool->conninfo, &srv->params, why, sizeof why) < 0)
		connect_failed(srv, why);
	else
		log_in(srv);
}

static void
on_begin(evutil_socket_t fd, short what, void *arg)
{
	struct server *srv = arg;

	connect_now(srv);
	loop_event_done(loop_of(srv));
}

void
connect_begin(struct server *srv)
{
	/* From the loop, because connecting can fail at once, while the caller is in the middle of
	 * something. */
	evtimer_assign(&srv->connect_event, loop_base(loop_of(srv)), on_begin, srv);
	loop_activate(loop_of(srv), &srv->connect_event);
}

bool
connect_try_next(struct server *srv)
{
	struct conninfo_params *p = &srv->params;

	if (srv->conn == NULL || conninfo_params_drop(p, PQhost(srv->conn), PQhostaddr(srv->conn),
						      PQport(srv->conn)) < 0)
		return false;
	log_info("server", srv->id, "host silent", LOG_TEXT("pool", srv->pool->conf->name),
		 LOG_TEXT("host", PQhost(srv->conn)), LOG_TEXT("port", PQport(srv->conn)));
	drop_attempt(srv);
	begin_now(srv);
	start_connect(srv);
	return true;
}
