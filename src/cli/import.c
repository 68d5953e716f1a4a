#include "cli/import.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/pgbouncer.h"
#include "conf/conf.h"
#include "conf/option.h"

#define DEFAULT_DIRECTORY "/tmp" /* of PgBouncer's socket */
#define FALLBACK          "*"

struct import {
	const struct pgbouncer *from;
	const struct commands_how *how;
	struct pgbouncer_pairs users; /* of the auth_file */
	FILE *to;
	unsigned pools;
	bool fallback;
};

/* ---- what becomes of PgBouncer's settings ---- */

enum kind {
	SECONDS, /* a duration, which may have a fraction */
	NUMBER,
	TEXT,      /* as it is */
	CONNINFO,  /* into the conninfo of each pool */
	NONE,      /* no equivalent: `note` says why none is needed, or what to do */
	ELSEWHERE, /* handled with others */
};

static const struct known {
	const char *name;
	enum kind kind;
	const char *option;   /* of pgwith, or the keyword of a conninfo */
	const char *standard; /* PgBouncer's default, if that of pgwith is another */
	const char *note;
} known[] = {
    /* clients */
    {"listen_addr", NONE, NULL, NULL,
     "clients on TCP: pgwith listens on its Unix socket only; run one pgwithd beside each program "
     "and let the program say host=LISTEN"},
    {"listen_port", NUMBER, "port", NULL, NULL},
    {"unix_socket_dir", ELSEWHERE, "listen", DEFAULT_DIRECTORY, NULL},
    {"unix_socket_mode", TEXT, "socket_mode", NULL, NULL},
    {"unix_socket_group", TEXT, "socket_group", NULL, NULL},
    {"max_client_conn", NUMBER, "max_clients", "100", NULL},
    {"client_login_timeout", SECONDS, "login_timeout", "60", NULL},
    {"client_idle_timeout", NONE, NULL, NULL,
     "idle clients cost nothing but a descriptor and stay; pgwith kill session ends one"},
    {"client_tls_", NONE, NULL, NULL, "clients come over a Unix socket, which needs no TLS"},
    {"ignore_startup_parameters", NONE, NULL, NULL,
     "not needed: startup parameters follow their session from server to server"},
    {"application_name_add_host", NONE, NULL, NULL,
     "not needed: pgwith clients shows the process and the program of each"},
    {"track_extra_parameters", NONE, NULL, NULL,
     "not needed: every parameter that a session sets follows it"},
    {"max_user_client_connections", NONE, NULL, NULL, "only all clients together are bounded"},
    {"max_db_client_connections", NONE, NULL, NULL, "only all clients together are bounded"},
    /* who may come in */
    {"auth_type", ELSEWHERE, NULL, NULL, NULL},
    {"auth_file", ELSEWHERE, NULL, NULL, NULL},
    {"auth_hba_file", NONE, NULL, NULL,
     "clients are known by their user of the operating system: see allow"},
    {"auth_ident_file", NONE, NULL, NULL, "write its pairs as allow = OSUSER:ROLE"},
    {"auth_query", NONE, NULL, NULL, "clients have no passwords here: see allow"},
    {"auth_user", NONE, NULL, NULL, "clients have no passwords here: see allow"},
    {"auth_dbname", NONE, NULL, NULL, "clients have no passwords here: see allow"},
    {"auth_ldap_options", NONE, NULL, NULL, "clients have no passwords here: see allow"},
    {"admin_users", TEXT, "admin_users", NULL, NULL},
    {"stats_users", TEXT, "stats_users", NULL, NULL},
    /* pools */
    {"pool_mode", TEXT, "mode", "session", NULL},
    {"default_pool_size", NUMBER, "size", NULL, NULL},
    {"min_pool_size", NUMBER, "min_size", NULL, NULL},
    {"reserve_pool_size", NONE, NULL, NULL,
     "there is no reserve: if size is too small at times, raise size"},
    {"reserve_pool_timeout", NONE, NULL, NULL, "there is no reserve"},
    {"max_db_connections", ELSEWHERE, NULL, NULL, NULL},
    {"max_user_connections", NONE, NULL, NULL,
     "size bounds each pool; for a role, ALTER ROLE ... CONNECTION LIMIT does"},
    {"query_wait_timeout", SECONDS, "wait_timeout", "120", NULL},
    {"query_timeout", SECONDS, "query_timeout", NULL, NULL},
    {"transaction_timeout", SECONDS, "scope_deadline", NULL, NULL},
    {"idle_transaction_timeout", SECONDS, "idle_in_scope_timeout", NULL, NULL},
    {"cancel_wait_timeout", NONE, NULL, NULL, "not needed: a cancel never waits for a place"},
    {"query_wait_notify", NONE, NULL, NULL, "pgwith clients shows who waits"},
    {"max_prepared_statements", ELSEWHERE, "max_prepared_statements", NULL, NULL},
    {"server_lifetime", ELSEWHERE, "max_lifetime", NULL, NULL},
    {"server_idle_timeout", SECONDS, "idle_timeout", NULL, NULL},
    {"server_connect_timeout", SECONDS, "connect_timeout", NULL, NULL},
    {"server_login_retry", SECONDS, "retry_delay", "15", NULL},
    {"server_check_delay", ELSEWHERE, "check_interval", NULL, NULL},
    {"server_check_query", ELSEWHERE, NULL, NULL, NULL},
    {"server_reset_query", NONE, NULL, NULL,
     "not needed: what a session leaves behind is found and undone, in every mode"},
    {"server_reset_query_always", NONE, NULL, NULL, "not needed: see server_reset_query"},
    {"server_fast_close", NONE, NULL, NULL,
     "not needed: in mode = session, pgwith kill pool does it"},
    {"server_round_robin", NONE, NULL, NULL,
     "the server connection used last is lent first, so that surplus ones can be closed"},
    {"disable_pqexec", NONE, NULL, NULL,
     "simple queries are always possible; who may run what is a matter of the role"},
    {"load_balance_hosts", NONE, NULL, NULL,
     "hosts are tried in the order of the conninfo; load_balance_hosts of libpq 16 goes there"},
    {"autodb_idle_timeout", NONE, NULL, NULL, "not needed: pools cost nothing while idle"},
    /* server connections, by libpq */
    {"server_tls_sslmode", CONNINFO, "sslmode", NULL, NULL},
    {"server_tls_ca_file", CONNINFO, "sslrootcert", NULL, NULL},
    {"server_tls_key_file", CONNINFO, "sslkey", NULL, NULL},
    {"server_tls_cert_file", CONNINFO, "sslcert", NULL, NULL},
    {"server_tls_protocols", CONNINFO, "ssl_min_protocol_version", NULL, NULL},
    {"server_tls_", NONE, NULL, NULL, "libpq takes what OpenSSL is set up for in openssl.cnf"},
    {"tcp_keepalive", CONNINFO, "keepalives", NULL, NULL},
    {"tcp_keepidle", CONNINFO, "keepalives_idle", NULL, NULL},
    {"tcp_keepintvl", CONNINFO, "keepalives_interval", NULL, NULL},
    {"tcp_keepcnt", CONNINFO, "keepalives_count", NULL, NULL},
    {"tcp_user_timeout", CONNINFO, "tcp_user_timeout", NULL, NULL},
    {"dns_", NONE, NULL, NULL, "not needed: names are looked up for each new connection"},
    {"resolv_conf", NONE, NULL, NULL, "names are looked up as the system does it"},
    /* the process */
    {"log_connections", TEXT, "log_connections", NULL, NULL},
    {"verbose", ELSEWHERE, NULL, NULL, NULL},
    {"log_disconnections", NONE, NULL, NULL, "log_connections is for both"},
    {"log_pooler_errors", NONE, NULL, NULL, "see log_level"},
    {"log_stats", NONE, NULL, NULL, "pgwith stats shows them; --watch goes on showing"},
    {"stats_period", NONE, NULL, NULL, "averages are those of the last minute"},
    {"logfile", NONE, NULL, NULL,
     "the log goes to stderr: to the journal, or where the shell says"},
    {"syslog", NONE, NULL, NULL, "the log goes to stderr, under systemd to the journal"},
    {"pidfile", NONE, NULL, NULL, "not needed: pgwithd runs in the foreground, under systemd"},
    {"daemon", NONE, NULL, NULL, "not needed: pgwithd runs in the foreground, under systemd"},
    {"user", NONE, NULL, NULL, "start pgwithd as that user: User= of its systemd unit"},
    {"job_name", NONE, NULL, NULL, "not needed"},
    {"service_name", NONE, NULL, NULL, "not needed"},
    {"conffile", NONE, NULL, NULL, "say pgwithd -c FILE"},
    {"peer_id", NONE, NULL, NULL, "not needed: each pgwithd gets the cancels of its own clients"},
    {"so_reuseport", NONE, NULL, NULL, "one process has the socket"},
    {"listen_backlog", NONE, NULL, NULL, "not needed: the system's maximum is taken"},
    {"suspend_timeout", NONE, NULL, NULL, "there is no SUSPEND"},
    {"tcp_defer_accept", NONE, NULL, NULL, "there is no TCP for clients"},
    {"tcp_socket_buffer", NONE, NULL, NULL, "the system's size is taken"},
    {"pkt_buf", NONE, NULL, NULL, "not needed: buffers have the size that is needed"},
    {"sbuf_loopcnt", NONE, NULL, NULL, "not needed: the work of each turn is bounded"},
    {"max_packet_size", NONE, NULL, NULL, "not needed: messages of any size pass in little memory"},
    {"scram_iterations", NONE, NULL, NULL, "clients have no passwords here"},
};

static const struct known *
find_known(const char *name)
{
	for (unsigned i = 0; i < sizeof known / sizeof *known; i++) {
		size_t n = strlen(known[i].name);

		/* One that ends in _ is for all that begin so. */
		if (strcmp(known[i].name, name) == 0 ||
		    (known[i].name[n - 1] == '_' && strncmp(known[i].name, name, n) == 0))
			return &known[i];
	}
	return NULL;
}

static const char *
get(const struct import *im, const char *name)
{
	return pgbouncer_get(im->from, "pgbouncer", name);
}

/* ---- lines ---- */

static void out(const struct import *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void
out(const struct import *im, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(im->to, fmt, ap);
	va_end(ap);
	fputc('\n', im->to);
}

/* An option, if pgwith takes the value; else a comment that says why not. */
static void
option(const struct import *im, const char *name, const char *value, const char *why)
{
	const struct conf_option *o = option_find(name);
	struct conf_pool pool = {0};
	struct conf conf = {0};
	void *base = o->where == OPTION_POOL ? (void *)&pool : (void *)&conf;
	char *wrong = NULL;

	/* Behind a blank a ; would begin a comment. */
	if (strstr(value, " ;") || strstr(value, "\t;") || *value == ';')
		wrong = mem_strdup("a ; behind a blank cannot be written here");
	else
		option_set(o, base, value, &wrong, NULL);
	if (wrong)
		out(im, "; %s is left as it is: %s = %s: %s", name, why, value, wrong);
	else
		out(im, "%s = %s  ; %s", name, value, why);
	free(wrong);
	option_clear(o, base);
}

/* A duration of PgBouncer, within what the option takes. */
static void
seconds(const struct import *im, const char *name, const char *value, const char *why)
{
	const struct conf_option *o = option_find(name);
	char *end, text[40];
	double s = strtod(value, &end);
	int64_t us = s * UNIT_S;

	if (end == value || *end || s < 0 || s > 1e9) {
		out(im, "; %s is left as it is: %s = %s: this is no number of seconds", name, why,
		    value);
		return;
	}
	/* Where 0 means no limit and there must be one, the longest is the nearest. */
	if (us > o->max || (us == 0 && o->min > 0))
		us = o->max;
	else if (us < o->min)
		us = o->min;
	option(im, name, units_duration_str(us, text, sizeof text), why);
}

/* ---- [pgwith] ---- */

static void
directory(const struct import *im)
{
	const char *value = get(im, "unix_socket_dir");

	if (value == NULL) {
		option(im, "listen", DEFAULT_DIRECTORY, "PgBouncer's default of unix_socket_dir");
	} else if (*value != '/') {
		out(im, "; unix_socket_dir = %s: clients must say host=/run/pgwith now", value);
		out(im, "listen = /run/pgwith");
	} else {
		option(im, "listen", value, "unix_socket_dir");
	}
}

/* The names of the auth_file, between commas, each behind `front`; "" if there are none. */
static char *
role_list(const struct import *im, const char *front)
{
	char *list = mem_strdup("");

	for (unsigned i = 0; i < im->users.count; i++) {
		const char *name = im->users.list[i].key;
		char *more;

		if (*name == 0 || strpbrk(name, " \t,:;")) {
			continue;
		}
		more = mem_printf("%s%s%s%s", list, *list ? ", " : "", front, name);
		free(list);
		list = more;
	}
	return list;
}

static void
passwords(const struct import *im)
{
	unsigned stored = 0;

	for (unsigned i = 0; i < im->users.count; i++)
		stored += *im->users.list[i].value != 0;
	if (stored == 0)
		return;
	if (im->how->passfile)
		out(im, "; the passwords of its users, for PostgreSQL, are in %s",
		    im->how->passfile);
	else
		out(im,
		    ";   Its passwords are needed where PostgreSQL asks for them: pgwith import\n"
		    ";   --passfile /etc/pgwith/pgpass writes those that are stored in plain "
		    "text.");
}

static void
who_may_come(const struct import *im)
{
	const char *type = get(im, "auth_type");
	char *roles = role_list(im, "");

	if (type && strcmp(type, "any") == 0) {
		option(im, "allow", "*", "auth_type = any: everyone as anyone");
	} else if (type && strcmp(type, "trust") == 0) {
		if (*roles)
			option(im, "allow", roles,
			       "auth_type = trust: everyone as a role of auth_file");
		else
			out(im, "; auth_type = trust: everyone may come in as a role of auth_file. "
				"That is\n; allow = ROLE, ROLE");
	} else if (type && strcmp(type, "peer") == 0) {
		out(im, "; auth_type = peer: everybody may come in as the role of their own name; "
			"this is always so");
	} else {
		char *pairs = role_list(im, "OSUSER:");

		out(im,
		    "; auth_type = %s: pgwith asks for no password. It knows which user of the\n"
		    ";   operating system a client is, and lets root and its own user in as any "
		    "role, everybody\n"
		    ";   else as the role of their own name. Say who else may be whom:\n"
		    "; allow = %s",
		    type ? type : "md5 (the default)", *pairs ? pairs : "OSUSER:ROLE");
		free(pairs);
	}
	free(roles);
	passwords(im);
}

static void
by_name(const struct import *im, const struct known *k, const char *name, const char *value)
{
	if (k->kind == SECONDS)
		seconds(im, k->option, value, name);
	else if (*value)
		option(im, k->option, value, name);
}

/* Those whose values mean another thing. */
static void
special(const struct import *im, const char *name, const char *value)
{
	bool zero = strtod(value, NULL) == 0;

	if (strcmp(name, "server_lifetime") == 0) {
		/* There, 0 is: used once. Here, it would be: for ever. */
		if (zero)
			option(im, "max_lifetime", "1ms", "server_lifetime = 0: used once");
		else
			seconds(im, "max_lifetime", value, name);
	} else if (strcmp(name, "server_check_delay") == 0) {
		const char *query = get(im, "server_check_query");

		if (query && *query == 0)
			option(im, "check_interval", "0", "server_check_query is empty: never");
		else if (zero)
			option(im, "check_interval", "1ms", "server_check_delay = 0: always");
		else
			seconds(im, "check_interval", value, name);
	} else if (strcmp(name, "server_check_query") == 0) {
		if (*value == 0 && get(im, "server_check_delay") == NULL)
			option(im, "check_interval", "0", "server_check_query is empty: never");
		else
			out(im, "; server_check_query: not needed: an empty query is sent");
	} else if (strcmp(name, "max_prepared_statements") == 0) {
		if (zero)
			out(im, "; max_prepared_statements = 0: they are kept here all the same, "
				"and follow their session");
		else
			option(im, name, value, name);
	} else if (strcmp(name, "verbose") == 0 && !zero) {
		option(im, "log_level", "debug", "verbose");
	}
}

static void
setting(const struct import *im, const struct pgbouncer_setting *s)
{
	const struct known *k = find_known(s->key);

	if (k == NULL) {
		out(im, "; %s = %s: not known to pgwith import; see pgbouncer.ini(5)", s->key,
		    s->value);
		return;
	}
	switch (k->kind) {
	case SECONDS:
	case NUMBER:
	case TEXT:
		by_name(im, k, s->key, s->value);
		break;
	case NONE:
		/* An empty one asks for nothing. */
		if (*s->value)
			out(im, "; %s = %s: %s", s->key, s->value, k->note);
		break;
	case ELSEWHERE:
		special(im, s->key, s->value);
		break;
	case CONNINFO:
		break; /* connection() */
	}
}

static void
main_section(const struct import *im)
{
	out(im, "[pgwith]");
	directory(im);
	who_may_come(im);
	for (unsigned i = 0; i < im->from->count; i++) {
		const struct pgbouncer_setting *s = &im->from->list[i];

		/* Of two, the last counts. */
		if (strcmp(s->section, "pgbouncer") == 0 && get(im, s->key) == s->value)
			setting(im, s);
	}
	for (unsigned i = 0; i < sizeof known / sizeof *known; i++)
		if (known[i].standard && known[i].kind != ELSEWHERE && !get(im, known[i].name)) {
			char *why = mem_printf("PgBouncer's default of %s", known[i].name);

			if (known[i].kind == SECONDS)
				seconds(im, known[i].option, known[i].standard, why);
			else
				option(im, known[i].option, known[i].standard, why);
			free(why);
		}
}

/* ---- pools ---- */

/* PostgreSQL 15 documentation, 34.1.1.1: quotes around what is empty or has blanks, and a backslash
 * before a quote or backslash. */
static void
add_value(struct buf *b, const char *value)
{
	bool quotes = *value == 0 || strpbrk(value, " \t'\\") != NULL;

	buf_add_fmt(b, "%s", quotes ? "'" : "");
	for (; *value; value++) {
		if (*value == '\'' || *value == '\\')
			buf_add_u8(b, '\\');
		buf_add_u8(b, *value);
	}
	buf_add_fmt(b, "%s", quotes ? "'" : "");
}

static void
add_word(struct buf *b, const char *keyword, const char *value)
{
	buf_add_fmt(b, "%s%s=", b->len ? " " : "", keyword);
	add_value(b, value);
}

/* The lowest of a list of TLS versions, as libpq writes it; NULL: libpq's own default. */
static const char *
lowest_tls(const char *list)
{
	static const char *const versions[][2] = {{"tlsv1.0", "TLSv1"},
						  {"tlsv1.1", "TLSv1.1"},
						  {"tlsv1.2", "TLSv1.2"},
						  {"tlsv1.3", "TLSv1.3"}};

	if (strstr(list, "all") || strstr(list, "legacy"))
		return "TLSv1";
	for (unsigned i = 0; i < sizeof versions / sizeof *versions; i++)
		if (strstr(list, versions[i][0]))
			return versions[i][1];
	return NULL;
}

/* What [pgbouncer] says about all connections over TCP. */
static void
add_common(const struct import *im, struct buf *b)
{
	for (unsigned i = 0; i < sizeof known / sizeof *known; i++) {
		const struct known *k = &known[i];
		const char *value = get(im, k->name);

		if (k->kind != CONNINFO || value == NULL || *value == 0)
			continue;
		if (strcmp(k->option, "ssl_min_protocol_version") == 0)
			value = lowest_tls(value);
		/* There, 0 of a number is: as the system has it. */
		else if (strcmp(value, "0") == 0 && strcmp(k->option, "keepalives") != 0)
			value = NULL;
		if (value)
			add_word(b, k->option, value);
	}
}

static const struct {
	const char *key;
	const char *note; /* NULL: it has been understood elsewhere */
} pool_keys[] = {
    {"host", NULL},
    {"port", NULL},
    {"dbname", NULL},
    {"user", NULL},
    {"password", NULL},
    {"client_encoding", NULL},
    {"datestyle", NULL},
    {"timezone", NULL},
    {"application_name", NULL},
    {"pool_size", NULL},
    {"min_pool_size", NULL},
    {"max_db_connections", NULL},
    {"pool_mode", NULL},
    {"server_lifetime", NULL},
    {"query_wait_timeout", NULL},
    {"reserve_pool", "there is no reserve: if size is too small at times, raise size"},
    {"reserve_pool_size", "there is no reserve: if size is too small at times, raise size"},
    {"max_db_client_connections", "only all clients together are bounded, by max_clients"},
    {"connect_query",
     "no statement is run at connect: ALTER ROLE ... IN DATABASE ... SET does what SET would; "
     "others go into the enter of a [scope]"},
    {"auth_user", "clients have no passwords here: see allow"},
    {"auth_query", "clients have no passwords here: see allow"},
    {"auth_dbname", "clients have no passwords here: see allow"},
    {"load_balance_hosts",
     "hosts are tried in the order of the conninfo; load_balance_hosts of libpq 16 goes there"},
};

/* For people: what of a database's line has no equivalent. No values: one may be a secret. */
static void
pool_notes(const struct import *im, const struct pgbouncer_pairs *pairs)
{
	for (unsigned i = 0; i < pairs->count; i++) {
		unsigned k = 0, n = sizeof pool_keys / sizeof *pool_keys;

		while (k < n && strcmp(pool_keys[k].key, pairs->list[i].key) != 0)
			k++;
		if (k == n)
			out(im, "; %s: not known to pgwith import; see pgbouncer.ini(5)",
			    pairs->list[i].key);
		else if (pool_keys[k].note)
			out(im, "; %s: %s", pool_keys[k].key, pool_keys[k].note);
	}
}

/* datestyle and timezone have no keyword in libpq. */
static void
add_parameters(struct buf *b, const struct pgbouncer_pairs *pairs)
{
	static const char *const names[] = {"datestyle", "timezone"};
	struct buf options;

	buf_init(&options, 4096);
	for (unsigned i = 0; i < 2; i++) {
		const char *value = pgbouncer_pair(pairs, names[i]);

		if (value == NULL)
			continue;
		buf_add_fmt(&options, "%s-c %s=", options.len ? " " : "", names[i]);
		/* As the server splits options: a backslash before a blank or backslash. */
		for (; *value; value++) {
			if (*value == ' ' || *value == '\\')
				buf_add_u8(&options, '\\');
			buf_add_u8(&options, *value);
		}
	}
	if (options.len) {
		buf_add_u8(&options, 0);
		add_word(b, "options", (char *)buf_data(&options));
	}
	buf_clear(&options);
}

/* The conninfo of a pool. The caller frees. */
static char *
connection(const struct import *im, const char *name, const struct pgbouncer_pairs *pairs)
{
	static const char *const same[] = {"user", "password", "client_encoding",
					   "application_name"};
	const char *host = pgbouncer_pair(pairs, "host"), *port = pgbouncer_pair(pairs, "port");
	const char *dbname = pgbouncer_pair(pairs, "dbname"), *dir = get(im, "unix_socket_dir");
	struct buf b;
	char *text;

	buf_init(&b, CONF_VALUE_MAX);
	if (host == NULL || *host == 0)
		host = dir && *dir ? dir : DEFAULT_DIRECTORY;
	add_word(&b, "host", host);
	add_word(&b, "port", port && *port ? port : "5432");
	add_word(&b, "dbname", dbname && *dbname ? dbname : name);
	for (unsigned i = 0; i < sizeof same / sizeof *same; i++)
		if (pgbouncer_pair(pairs, same[i]))
			add_word(&b, same[i], pgbouncer_pair(pairs, same[i]));
	add_parameters(&b, pairs);
	if (*host != '/' && *host != '@')
		add_common(im, &b);
	if (im->how->passfile && pgbouncer_pair(pairs, "password") == NULL)
		add_word(&b, "passfile", im->how->passfile);
	buf_add_u8(&b, 0);
	text = mem_strdup(b.failed ? "" : (char *)buf_data(&b));
	explicit_bzero(buf_data(&b), b.len);
	buf_clear(&b);
	return text;
}

static long
number(const char *text, long otherwise)
{
	char *end;
	long n = text ? strtol(text, &end, 10) : otherwise;

	return text && (end == text || *end) ? otherwise : n;
}

static long
least(long a, long b)
{
	return b > 0 && b < a ? b : a;
}

static void
pool_sizes(const struct import *im, const struct pgbouncer_pairs *pairs, bool forced)
{
	const char *own = pgbouncer_pair(pairs, "pool_size");
	const char *own_max = pgbouncer_pair(pairs, "max_db_connections");
	const char *own_min = pgbouncer_pair(pairs, "min_pool_size");
	long common = number(get(im, "default_pool_size"), 20), size = number(own, common);
	long max = number(own_max ? own_max : get(im, "max_db_connections"), 0);
	long common_min = number(get(im, "min_pool_size"), 0), min = number(own_min, common_min);
	char text[32];

	snprintf(text, sizeof text, "%ld", least(size, max));
	if (own || least(size, max) != common)
		option(im, "size", text,
		       max && least(size, max) == max ? "max_db_connections" : "pool_size");
	if (!forced)
		out(im, "; size is for all roles together: PgBouncer gives each role as many");
	if (min > least(size, max))
		min = least(size, max);
	snprintf(text, sizeof text, "%ld", min);
	if (own_min || min != common_min)
		option(im, "min_size", text, "min_pool_size");
}

static const char *
name_problem(const char *name)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789_-.";

	if (strcmp(name, "pgwith") == 0)
		return "this name is the console's";
	if (*name == 0 || strlen(name) > CONF_NAME)
		return "a pool's name has 1 to 63 characters";
	if (name[strspn(name, letters)])
		return "a pool's name is made of letters, digits, _, - and .";
	return NULL;
}

/* What cannot be written in a file of pgwith; NULL if it can. */
static char *
conninfo_problem(const char *conninfo)
{
	struct conf_pool pool = {0};
	const struct conf_option *o = option_find("conninfo");
	char *why = NULL;

	if (strstr(conninfo, " ;") || strstr(conninfo, "\t;"))
		return mem_strdup(
		    "a ; behind a blank would begin a comment: keep that password in a passfile");
	option_set(o, &pool, conninfo, &why, NULL);
	option_clear(o, &pool);
	return why;
}

static void
pool(struct import *im, const char *name, const struct pgbouncer_pairs *pairs)
{
	const char *mode = pgbouncer_pair(pairs, "pool_mode");
	const char *wait = pgbouncer_pair(pairs, "query_wait_timeout");
	const char *lifetime = pgbouncer_pair(pairs, "server_lifetime"), *why = name_problem(name);
	bool forced = pgbouncer_pair(pairs, "user") != NULL;
	char *conninfo = connection(im, name, pairs), *wrong = conninfo_problem(conninfo);

	fputc('\n', im->to);
	if (why || wrong) {
		out(im, "; database \"%s\" cannot be a pool: %s", name, why ? why : wrong);
		if (why)
			out(im,
			    ";   Give it another name here and in the connection strings of its "
			    "clients.");
		goto done;
	}
	im->pools++;
	out(im, "[pool %s]", name);
	out(im, "conninfo = %s", conninfo);
	if (!forced)
		out(im, "role = client  ; the server sees the client's role, as there is no user=");
	if (pgbouncer_pair(pairs, "password"))
		out(im, "; with a password in it: chmod 640, or use a passfile");
	if (mode)
		option(im, "mode", mode, "pool_mode");
	pool_sizes(im, pairs, forced);
	if (wait)
		seconds(im, "wait_timeout", wait, "query_wait_timeout");
	if (lifetime)
		special(im, "server_lifetime", lifetime);
	pool_notes(im, pairs);
done:
	explicit_bzero(conninfo, strlen(conninfo));
	free(conninfo);
	free(wrong);
}

static void
database(struct import *im, const struct pgbouncer_setting *s)
{
	struct pgbouncer_pairs pairs;
	const char *why = pgbouncer_connstr(s->value, &pairs);

	if (why) {
		out(im, "\n; database \"%s\" (%s:%u) cannot be understood: %s", s->key, s->file,
		    s->line, why);
	} else if (strcmp(s->key, FALLBACK) != 0) {
		pool(im, s->key, &pairs);
	} else {
		im->fallback = true;
		out(im,
		    "\n; * : there is no fallback. Each database needs a pool of its own; pgwith "
		    "import --database NAME\n; adds one like those that PgBouncer would make.");
		for (unsigned i = 0; i < im->how->ndatabases; i++)
			if (!pgbouncer_get(im->from, "databases", im->how->databases[i]))
				pool(im, im->how->databases[i], &pairs);
	}
	pgbouncer_pairs_clear(&pairs);
}

static void
pools(struct import *im)
{
	for (unsigned i = 0; i < im->from->count; i++) {
		const struct pgbouncer_setting *s = &im->from->list[i];

		if (strcmp(s->section, "databases") == 0 &&
		    pgbouncer_get(im->from, "databases", s->key) == s->value)
			database(im, s);
	}
	for (unsigned i = 0; i < im->from->count; i++)
		if (strcmp(im->from->list[i].section, "users") == 0)
			out(im,
			    "\n; user \"%s\" of [users]: roles have no settings of their own here; "
			    "see\n"
			    ";   ALTER ROLE ... CONNECTION LIMIT, and mode and size of the pools",
			    im->from->list[i].key);
}

/* ---- passwords ---- */

static void
passfile_word(FILE *f, const char *text)
{
	for (; *text; text++)
		fprintf(f, *text == ':' || *text == '\\' ? "\\%c" : "%c", *text);
}

/* PostgreSQL 15 documentation, 34.16 The Password File. */
static enum ask_status
write_passfile(const struct import *im)
{
	const char *path = im->how->passfile;
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
	bool bad;

	if (f == NULL) {
		fprintf(stderr, "pgwith: %s: cannot make it: %s\n", path, strerror(errno));
		return ASK_USAGE;
	}
	for (unsigned i = 0; i < im->users.count; i++) {
		const struct pgbouncer_pair *u = &im->users.list[i];

		if (strncmp(u->value, "SCRAM-SHA-256$", 14) == 0 ||
		    (strncmp(u->value, "md5", 3) == 0 && strlen(u->value) == 35)) {
			fprintf(
			    stderr,
			    "pgwith: the password of \"%s\" is stored hashed, which libpq cannot "
			    "use: add it to %s\n",
			    u->key, path);
			continue;
		}
		if (*u->value == 0 || strpbrk(u->key, "\r\n") || strpbrk(u->value, "\r\n"))
			continue;
		fputs("*:*:*:", f);
		passfile_word(f, u->key);
		fputc(':', f);
		passfile_word(f, u->value);
		fputc('\n', f);
	}
	bad = ferror(f) != 0;
	if (fclose(f) != 0 || bad) {
		fprintf(stderr, "pgwith: %s: cannot write: %s\n", path, strerror(errno));
		return ASK_TROUBLE;
	}
	return ASK_GOOD;
}

/* ---- all ---- */

unsigned
import_write(const struct pgbouncer *from, const struct pgbouncer_pairs *users,
	     const struct commands_how *how, FILE *to)
{
	struct import im = {.from = from, .how = how, .to = to};

	if (users)
		im.users = *users;
	out(&im,
	    "; Made by pgwith import. What has no equivalent stands in comments; check them, then\n"
	    "; pgwithd -t. PgBouncer must be stopped before pgwithd takes its socket.");
	main_section(&im);
	pools(&im);
	return im.pools;
}

/* The auth_file, if there is one. */
static void
read_users(const struct pgbouncer *from, struct pgbouncer_pairs *users)
{
	const char *path = pgbouncer_get(from, "pgbouncer", "auth_file");
	char *why;

	*users = (struct pgbouncer_pairs){0};
	if (path == NULL || *path == 0)
		return;
	why = pgbouncer_users(path, users);
	if (why)
		fprintf(stderr, "pgwith: auth_file: %s\n", why);
	free(why);
}

enum ask_status
import_run(const struct commands_entry *entry, const struct commands_how *how, struct ask *ask,
	   char **args)
{
	struct pgbouncer from;
	struct import im = {.from = &from, .how = how};
	enum ask_status status = ASK_GOOD;

	if (!pgbouncer_read(&from, args[0])) {
		fprintf(stderr, "pgwith: %s\n", from.problem);
		pgbouncer_clear(&from);
		return ASK_USAGE;
	}
	read_users(&from, &im.users);
	if (how->passfile)
		status = write_passfile(&im);
	if (status == ASK_GOOD && import_write(&from, &im.users, how, stdout) == 0) {
		fprintf(stderr,
			"pgwith: %s makes no pool; if it has only the fallback *, name its "
			"databases: --database NAME\n",
			args[0]);
		status = ASK_TROUBLE;
	}
	pgbouncer_pairs_clear(&im.users);
	pgbouncer_clear(&from);
	return status;
}
