#include "cli/remote.h"

#include <libpq-fe.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/units.h"
#include "cli/authcheck.h"
#include "cli/cure.h"
#include "cli/direct.h"

#define TESTED_MAJOR 15 /* README.md, "Limits" */
#define OLDEST_MAJOR 14 /* that the PostgreSQL project still maintains */

/* One server, with all pools that lead to it. */
struct target {
	char *identity; /* system identifier of the cluster, and when it was started */
	char *pools;    /* their names, for people */
	const struct conf_pool **members;
	unsigned nmembers;
	long places; /* max_connections less those that are reserved */
	long others; /* connections that are none of these pools'; -1: not known */
};

struct remote {
	struct findings *findings;
	const struct conf *conf;
	const struct remote_how *how;
	struct target *targets;
	unsigned ntargets;
};

/* A pool that is being checked. */
struct look {
	struct remote *remote;
	const struct conf_pool *pool;
	char *subject;
	struct direct direct;
	PGresult *settings; /* rows of name, value, source */
};

/* ---- asking ---- */

static PGresult *
query(const struct look *l, const char *sql)
{
	return direct_query(&l->direct, sql, NULL, 0);
}

/* Asks for one value. The caller frees; NULL if there is none. */
static char *
query_value(const struct look *l, const char *sql)
{
	PGresult *r = query(l, sql);
	char *text = NULL;

	if (r && PQntuples(r) == 1 && !PQgetisnull(r, 0, 0))
		text = mem_strdup(PQgetvalue(r, 0, 0));
	PQclear(r);
	return text;
}

static long
query_number(const struct look *l, const char *sql, long otherwise)
{
	char *text = query_value(l, sql);
	long n = text ? strtol(text, NULL, 10) : otherwise;

	free(text);
	return n;
}

/* ---- settings ---- */

static int
row_of(const struct look *l, const char *name)
{
	for (int i = 0; l->settings && i < PQntuples(l->settings); i++)
		if (strcmp(PQgetvalue(l->settings, i, 0), name) == 0)
			return i;
	return -1;
}

/* The value of a setting in a new connection of the pool; `otherwise` if the server has no such
 * setting. */
static long
setting_value(const struct look *l, const char *name, long otherwise)
{
	int i = row_of(l, name);

	return i < 0 ? otherwise : strtol(PQgetvalue(l->settings, i, 1), NULL, 10);
}

static bool
is_on(const struct look *l, const char *name)
{
	int i = row_of(l, name);

	return i >= 0 && strcmp(PQgetvalue(l->settings, i, 1), "on") == 0;
}

/* Where the setting was made, for people. */
static const char *
source_of(const struct look *l, const char *name)
{
	int i = row_of(l, name);

	return i < 0 ? "" : PQgetvalue(l->settings, i, 2);
}

/* Warns of a server that ends idle connections before the pool does. */
static void
check_idle(const struct look *l)
{
	int64_t limit = setting_value(l, "idle_session_timeout", 0) * UNIT_MS;
	int64_t own = l->pool->idle_timeout_us;
	char a[32], b[32], *cure;

	if (limit == 0 || (own && own < limit && l->pool->min_size == 0))
		return;
	cure = mem_printf(
	    "ALTER ROLE \"%s\" SET idle_session_timeout = 0; idle_timeout of the pool is "
	    "for that",
	    PQuser(l->direct.conn));
	if (own && own < limit)
		findings_add(
		    l->remote->findings, FINDING_WARNING, l->subject, cure,
		    "idle_session_timeout = %s (%s) ends the %lld connections that min_size keeps",
		    units_duration_str(limit, a, sizeof a), source_of(l, "idle_session_timeout"),
		    (long long)l->pool->min_size);
	else
		findings_add(l->remote->findings, FINDING_WARNING, l->subject, cure,
			     "idle_session_timeout = %s (%s) ends idle connections before the pool "
			     "does (idle_timeout = %s): each costs a new login",
			     units_duration_str(limit, a, sizeof a),
			     source_of(l, "idle_session_timeout"),
			     own ? units_duration_str(own, b, sizeof b) : "never");
	free(cure);
}

static void
check_idle_in_transaction(const struct look *l)
{
	int64_t limit = setting_value(l, "idle_in_transaction_session_timeout", 0) * UNIT_MS;
	int64_t own = l->pool->idle_in_scope_timeout_us;
	char a[32];

	if (limit == 0 || (own && own < limit))
		return;
	findings_add(
	    l->remote->findings, FINDING_WARNING, l->subject,
	    "set idle_in_scope_timeout of the pool lower: it rolls back and keeps the connection",
	    "idle_in_transaction_session_timeout = %s (%s) closes the server connection of a "
	    "client that is slow in a transaction; the client loses its session",
	    units_duration_str(limit, a, sizeof a),
	    source_of(l, "idle_in_transaction_session_timeout"));
}

static void
check_statement_timeout(const struct look *l)
{
	int64_t limit = setting_value(l, "statement_timeout", 0) * UNIT_MS;
	const char *from = source_of(l, "statement_timeout");
	char a[32], b[32];

	if (limit == 0)
		return;
	if (l->pool->query_timeout_us && limit <= l->pool->query_timeout_us)
		findings_add(
		    l->remote->findings, FINDING_NOTE, l->subject, "leave one of them out",
		    "statement_timeout = %s (%s) comes before query_timeout = %s, which never "
		    "has anything to do",
		    units_duration_str(limit, a, sizeof a), from,
		    units_duration_str(l->pool->query_timeout_us, b, sizeof b));
	else if (limit < UNIT_S)
		findings_add(
		    l->remote->findings, FINDING_WARNING, l->subject,
		    "raise it, or set query_timeout of the pool instead",
		    "statement_timeout = %s (%s) is also for what scopes leave to be run at "
		    "their end",
		    units_duration_str(limit, a, sizeof a), from);
}

static void
check_read_only(const struct look *l, bool standby)
{
	PQconninfoOption *options;
	bool wanted = false;

	if (conf_pool_is_read_only_target(l->remote->conf, l->pool))
		return; /* transactions that only read come here from another pool */
	options = PQconninfoParse(l->pool->conninfo, NULL);
	for (PQconninfoOption *o = options; o && o->keyword; o++)
		if (o->val && strcmp(o->keyword, "target_session_attrs") == 0)
			wanted = strcmp(o->val, "any") != 0;
	PQconninfoFree(options);
	if (wanted)
		return; /* set by the conninfo itself, on purpose */
	if (standby)
		findings_add(l->remote->findings, FINDING_NOTE, l->subject,
			     "for a primary: target_session_attrs=read-write in the conninfo, with "
			     "all hosts",
			     "the server is a standby: every transaction is read-only");
	else if (is_on(l, "default_transaction_read_only"))
		findings_add(
		    l->remote->findings, FINDING_WARNING, l->subject,
		    "switch it off, or say target_session_attrs=read-only in the conninfo if it "
		    "is meant",
		    "default_transaction_read_only is on (%s): writes fail",
		    source_of(l, "default_transaction_read_only"));
}

static bool
is_local(const PGconn *conn)
{
	const char *host = PQhost(conn), *address = PQhostaddr(conn);

	return host == NULL || *host == 0 || *host == '/' || *host == '@' ||
	       strcmp(host, "localhost") == 0 || strncmp(address ? address : "", "127.", 4) == 0 ||
	       strcmp(address ? address : "", "::1") == 0;
}

/* Checks what matters only over a network. */
static void
check_network(const struct look *l)
{
	PQconninfoOption *options;
	bool watched = false;

	if (is_local(l->direct.conn))
		return;
	if (!PQsslInUse(l->direct.conn))
		findings_add(l->remote->findings, FINDING_WARNING, l->subject,
			     "sslmode=verify-full and sslrootcert in the conninfo",
			     "the connection to %s is not encrypted", PQhost(l->direct.conn));
	options = PQconninfoParse(l->pool->conninfo, NULL);
	for (PQconninfoOption *o = options; o && o->keyword; o++)
		watched |= o->val && (strcmp(o->keyword, "tcp_user_timeout") == 0 ||
				      strcmp(o->keyword, "keepalives_idle") == 0);
	PQconninfoFree(options);
	if (!watched)
		findings_add(
		    l->remote->findings, FINDING_NOTE, l->subject,
		    "tcp_user_timeout=10000 keepalives_idle=30 in the conninfo",
		    "if %s vanishes without a word, clients that wait for its answer wait as "
		    "long as the kernel does",
		    PQhost(l->direct.conn));
	if (row_of(l, "client_connection_check_interval") >= 0 &&
	    setting_value(l, "client_connection_check_interval", 0) == 0)
		findings_add(
		    l->remote->findings, FINDING_NOTE, l->subject,
		    "client_connection_check_interval = 10s in postgresql.conf",
		    "if this machine vanishes without a word, PostgreSQL goes on with what runs");
}

/* ---- places ---- */

/* Counts the connections that are none of the pools' that lead to this server. */
static long
count_others(const struct look *l)
{
	const struct table *servers = l->remote->how->servers;
	PGresult *r =
	    query(l, "SELECT pid FROM pg_stat_activity WHERE datname IS NOT NULL AND usename IS "
		     "NOT NULL AND pid <> pg_backend_pid() AND "
		     "coalesce(backend_type, 'client backend') = 'client backend'");
	long n = 0;

	if (r == NULL)
		return -1;
	for (int i = 0; i < PQntuples(r); i++) {
		bool own = false;

		for (unsigned k = 0; servers && k < table_rows(servers) && !own; k++) {
			const char *pid = table_cell(servers, k, "remote_pid");

			own = pid && strcmp(pid, PQgetvalue(r, i, 0)) == 0;
		}
		n += !own;
	}
	PQclear(r);
	return n;
}

static void
check_limit(const struct look *l, const char *what, const char *name, long limit)
{
	char *cure;

	if (limit < 0 || limit >= l->pool->size)
		return;
	cure = mem_printf("ALTER %s \"%s\" CONNECTION LIMIT %lld, or a smaller size", what, name,
			  (long long)l->pool->size);
	findings_add(l->remote->findings, FINDING_PROBLEM, l->subject, cure,
		     "size = %lld is more than the connection limit %ld of %s %s",
		     (long long)l->pool->size, limit, what, name);
	free(cure);
}

static void
add_target(const struct look *l)
{
	struct remote *r = l->remote;
	char *identity =
	    query_value(l, "SELECT (SELECT system_identifier FROM pg_control_system()) || ' ' "
			   "|| pg_postmaster_start_time()");
	struct target *t = NULL;
	char *names;

	if (identity == NULL || row_of(l, "max_connections") < 0) {
		findings_add(
		    r->findings, FINDING_NOTE, l->subject, NULL,
		    "cannot look: this server does not tell how many connections it takes");
		free(identity);
		return;
	}
	for (unsigned i = 0; i < r->ntargets; i++)
		if (strcmp(r->targets[i].identity, identity) == 0)
			t = &r->targets[i];
	if (t == NULL) {
		r->targets = mem_realloc(r->targets, (r->ntargets + 1) * sizeof *r->targets);
		t = &r->targets[r->ntargets++];
		*t = (struct target){
		    .identity = mem_strdup(identity),
		    .pools = mem_strdup(""),
		    .places = setting_value(l, "max_connections", 0) -
			      setting_value(l, "superuser_reserved_connections", 0) -
			      setting_value(l, "reserved_connections", 0),
		    .others = count_others(l),
		};
	}
	names = mem_printf("%s%s%s", t->pools, *t->pools ? ", " : "", l->pool->name);
	free(t->pools);
	t->pools = names;
	t->members = mem_realloc(t->members, (t->nmembers + 1) * sizeof *t->members);
	t->members[t->nmembers++] = l->pool;
	free(identity);
}

/* How many connections do those of the pools have at most that are in the cluster of this one? If
 * it is in none, these are its own. 0: a pool before it has told. */
static long
most_of_cluster(const struct target *t, const struct conf *conf, unsigned pool)
{
	const char *name = t->members[pool]->cluster;
	const struct conf_cluster *cluster = *name ? conf_cluster(conf, name) : NULL;
	long sizes = 0;

	if (cluster == NULL)
		return (long)t->members[pool]->size;
	for (unsigned i = 0; i < t->nmembers; i++) {
		if (strcmp(t->members[i]->cluster, name) != 0)
			continue;
		if (i < pool)
			return 0;
		sizes += (long)t->members[i]->size;
	}
	return sizes < cluster->server_limit ? sizes : (long)cluster->server_limit;
}

static void
check_target(struct findings *f, const struct target *t, const struct conf *conf, bool daemon)
{
	char *subject = mem_printf("server of %s", t->pools), *cure;
	const char *whose = daemon ? "others have" : "whoever is connected has";
	long sizes = 0;

	for (unsigned i = 0; i < t->nmembers; i++)
		sizes += most_of_cluster(t, conf, i);
	cure =
	    mem_printf("raise max_connections of PostgreSQL by %ld, lower the sizes, or give the "
		       "pools a common server_limit in a section [cluster NAME]",
		       sizes + (t->others > 0 ? t->others : 0) - t->places);
	if (sizes > t->places)
		findings_add(
		    f, FINDING_PROBLEM, subject, cure,
		    "the sizes of the pools make %ld, and max_connections leaves %ld places", sizes,
		    t->places);
	else if (t->others > 0 && sizes + t->others > t->places)
		findings_add(
		    f, FINDING_WARNING, subject, cure,
		    "the sizes of the pools make %ld, %s %ld, and max_connections leaves %ld "
		    "places",
		    sizes, whose, t->others, t->places);
	else if (t->others < 0)
		findings_add(f, FINDING_NOTE, subject, NULL,
			     "places for %ld connections; the pools take up to %ld; cannot look at "
			     "how many others have",
			     t->places, sizes);
	else
		findings_add(f, FINDING_OK, subject, NULL,
			     "places for %ld connections; the pools take up to %ld, %s %ld now",
			     t->places, sizes, whose, t->others);
	free(cure);
	free(subject);
}

/* ---- a pool ---- */

static void
check_version(const struct look *l)
{
	int version = PQserverVersion(l->direct.conn), major = version / 10000;
	const char *text = PQparameterStatus(l->direct.conn, "server_version");

	if (version == 0)
		findings_add(l->remote->findings, FINDING_NOTE, l->subject, NULL,
			     "cannot look: the server does not tell its version");
	else if (major < OLDEST_MAJOR)
		findings_add(
		    l->remote->findings, FINDING_WARNING, l->subject, "update PostgreSQL",
		    "answers; PostgreSQL %s is no longer maintained, and pgwith is not tested "
		    "with it",
		    text);
	else if (major != TESTED_MAJOR)
		findings_add(l->remote->findings, FINDING_NOTE, l->subject, NULL,
			     "answers; PostgreSQL %s (pgwith is tested with %d)", text,
			     TESTED_MAJOR);
	else
		findings_add(l->remote->findings, FINDING_OK, l->subject, NULL,
			     "answers; PostgreSQL %s, as %s%s", text, PQuser(l->direct.conn),
			     PQsslInUse(l->direct.conn) ? ", with TLS" : "");
}

static void
look_at(struct look *l)
{
	char *standby = NULL;

	check_version(l);
	l->settings = query(l, "SELECT name, reset_val, source FROM pg_settings");
	if (l->settings == NULL) {
		findings_add(l->remote->findings, FINDING_NOTE, l->subject, NULL,
			     "cannot look at the server's settings: %s",
			     PQerrorMessage(l->direct.conn));
		return;
	}
	PQclear(query(l, "SET statement_timeout = '5s'"));
	standby = query_value(l, "SELECT pg_is_in_recovery()");
	check_idle(l);
	check_idle_in_transaction(l);
	check_statement_timeout(l);
	check_read_only(l, standby && *standby == 't');
	check_network(l);
	check_limit(
	    l, "ROLE", PQuser(l->direct.conn),
	    query_number(l, "SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user", -1));
	check_limit(l, "DATABASE", PQdb(l->direct.conn),
		    query_number(l,
				 "SELECT datconnlimit FROM pg_database WHERE datname = "
				 "current_database()",
				 -1));
	add_target(l);
	authcheck_pool(l->remote->findings, l->remote->conf, l->subject, &l->direct);
	free(standby);
	PQclear(l->settings);
}

static void
start_look(struct look *l, struct remote *r, const struct conf_pool *pool, const char *client)
{
	*l = (struct look){.remote = r,
			   .pool = pool,
			   .subject = mem_printf("pool %s", pool->name),
			   .direct = {.pool = pool,
				      .user = pool->role == CONF_ROLE_CLIENT ? client : NULL,
				      .application = "pgwith doctor",
				      .timeout_us = r->how->timeout_us}};
	direct_start(&l->direct);
}

static void
finish_look(struct look *l)
{
	struct findings *f = l->remote->findings;
	bool as_client = l->pool->role == CONF_ROLE_CLIENT;

	direct_join(&l->direct);
	if (PQstatus(l->direct.conn) == CONNECTION_OK) {
		look_at(l);
		if (as_client)
			findings_add(f, FINDING_NOTE, l->subject, "--user ROLE looks as another",
				     "role = client: looked at as %s; other roles may not get in",
				     PQuser(l->direct.conn));
	} else if (as_client) {
		char *cure =
		    mem_printf("%s; --user ROLE tries as another",
			       cure_of(l->direct.sqlstate, l->direct.why ? l->direct.why : ""));

		findings_add(f, FINDING_WARNING, l->subject, cure, "role = client: as %s: %s",
			     l->direct.user ? l->direct.user : "?",
			     l->direct.why ? l->direct.why : "");
		free(cure);
	} else {
		findings_add(f, FINDING_PROBLEM, l->subject,
			     cure_of(l->direct.sqlstate, l->direct.why ? l->direct.why : ""),
			     "cannot connect: %s%s%s%s", l->direct.why ? l->direct.why : "",
			     *l->direct.sqlstate ? " (" : "", l->direct.sqlstate,
			     *l->direct.sqlstate ? ")" : "");
	}
	direct_clear(&l->direct);
	free(l->subject);
}

void
remote_check(struct findings *f, const struct conf *conf, const struct remote_how *how)
{
	struct remote r = {.findings = f, .conf = conf, .how = how};
	struct look looks[DIRECT_AT_ONCE];
	const struct passwd *pw = getpwuid(geteuid());
	const char *client = how->user ? how->user : pw ? pw->pw_name : NULL;

	for (unsigned i = 0, n; i < conf->npools; i += n) {
		for (n = 0; n < DIRECT_AT_ONCE && i + n < conf->npools; n++)
			start_look(&looks[n], &r, &conf->pools[i + n], client);
		for (unsigned k = 0; k < n; k++)
			finish_look(&looks[k]);
	}
	for (unsigned i = 0; i < r.ntargets; i++) {
		check_target(f, &r.targets[i], conf, how->servers != NULL);
		free(r.targets[i].identity);
		free(r.targets[i].pools);
		free(r.targets[i].members);
	}
	free(r.targets);
}
