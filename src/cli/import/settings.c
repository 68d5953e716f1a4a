#include "cli/import/settings.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/units.h"
#include "conf/conf.h"
#include "conf/option.h"
#include "conf/secret.h"

static const struct setting known[] = {
    /* clients */
    {"listen_addr", SETTING_NONE, NULL, NULL,
     "clients on TCP: pgwith listens on its Unix socket only; run one pgwithd beside each program "
     "and let the program say host=LISTEN"},
    {"listen_port", SETTING_SAME, "port", NULL, NULL},
    {"unix_socket_dir", SETTING_ELSEWHERE, "listen", SETTINGS_DIRECTORY, NULL},
    {"unix_socket_mode", SETTING_SAME, "socket_mode", NULL, NULL},
    {"unix_socket_group", SETTING_SAME, "socket_group", NULL, NULL},
    {"max_client_conn", SETTING_SAME, "max_clients", "100", NULL},
    {"client_login_timeout", SETTING_SECONDS, "login_timeout", "60", NULL},
    {"client_idle_timeout", SETTING_NONE, NULL, NULL,
     "idle clients cost nothing but a descriptor and stay; pgwith kill session ends one"},
    {"client_tls_", SETTING_NONE, NULL, NULL,
     "clients come over a Unix socket, which needs no TLS"},
    {"client_tls13_", SETTING_NONE, NULL, NULL,
     "clients come over a Unix socket, which needs no TLS"},
    {"ignore_startup_parameters", SETTING_NONE, NULL, NULL,
     "not needed: startup parameters follow their session from server to server"},
    {"application_name_add_host", SETTING_ELSEWHERE, NULL, NULL, NULL},
    {"track_extra_parameters", SETTING_NONE, NULL, NULL,
     "not needed: every parameter that a session sets follows it"},
    {"max_user_client_connections", SETTING_ELSEWHERE, NULL, NULL, NULL}, /* users.c */
    {"max_db_client_connections", SETTING_NONE, NULL, NULL,
     "a pool has no limit of clients: max_clients bounds all, that of a section [role NAME] or "
     "[uid NUMBER] those of a role or system user, and max_waiting the queue of each pool"},
    /* who may come in */
    {"auth_type", SETTING_ELSEWHERE, NULL, NULL, NULL},
    {"auth_file", SETTING_ELSEWHERE, NULL, NULL, NULL},
    {"auth_hba_file", SETTING_NONE, NULL, NULL,
     "pgwith reads no such file: what its lines for local say becomes auth (how clients show who "
     "they are), allow (who may be whom) and users (who may use a pool)"},
    {"auth_ident_file", SETTING_NONE, NULL, NULL, "write its pairs as allow = OSUSER:ROLE"},
    {"auth_query", SETTING_ELSEWHERE, NULL, NULL, NULL},  /* signin.c */
    {"auth_user", SETTING_ELSEWHERE, NULL, NULL, NULL},   /* signin.c */
    {"auth_dbname", SETTING_ELSEWHERE, NULL, NULL, NULL}, /* signin.c */
    {"auth_ldap_options", SETTING_SECRET, NULL, NULL,
     "pgwith asks no LDAP server: with auth = scram-sha-256 and auth_pool it asks PostgreSQL"},
    {"admin_users", SETTING_SAME, "admin_users", NULL, NULL},
    {"stats_users", SETTING_SAME, "stats_users", NULL, NULL},
    /* pools */
    {"pool_mode", SETTING_SAME, "mode", "session", NULL},
    {"default_pool_size", SETTING_SAME, "size", NULL, NULL},
    {"min_pool_size", SETTING_SAME, "min_size", NULL, NULL},
    {"reserve_pool_size", SETTING_NONE, NULL, NULL, SETTINGS_NO_RESERVE},
    {"reserve_pool_timeout", SETTING_NONE, NULL, NULL,
     "not needed: there is no reserve that would be opened after this time"},
    {"max_db_connections", SETTING_ELSEWHERE, NULL, NULL, NULL},
    {"max_user_connections", SETTING_ELSEWHERE, NULL, NULL, NULL}, /* users.c */
    {"query_wait_timeout", SETTING_SECONDS, "wait_timeout", "120", NULL},
    {"query_timeout", SETTING_SECONDS, "query_timeout", NULL, NULL},
    {"transaction_timeout", SETTING_SECONDS, "scope_deadline", NULL, NULL},
    {"idle_transaction_timeout", SETTING_SECONDS, "idle_in_scope_timeout", NULL, NULL},
    {"cancel_wait_timeout", SETTING_NONE, NULL, NULL,
     "not needed: a cancel never waits for a place"},
    {"query_wait_notify", SETTING_NONE, NULL, NULL, "pgwith clients shows who waits"},
    {"login_notify_message", SETTING_NONE, NULL, NULL,
     "no NOTICE is sent at login: ALTER ROLE or DATABASE ... SET, or what the program says itself"},
    {"max_prepared_statements", SETTING_ELSEWHERE, "max_prepared_statements", NULL, NULL},
    {"server_lifetime", SETTING_ELSEWHERE, "max_lifetime", NULL, NULL},
    {"server_idle_timeout", SETTING_SECONDS, "idle_timeout", NULL, NULL},
    {"server_connect_timeout", SETTING_SECONDS, "connect_timeout", NULL, NULL},
    {"server_login_retry", SETTING_SECONDS, "retry_delay", "15", NULL},
    {"server_check_delay", SETTING_ELSEWHERE, "check_interval", NULL, NULL},
    {"server_check_query", SETTING_ELSEWHERE, NULL, NULL, NULL},
    {"server_reset_query", SETTING_NONE, NULL, NULL,
     "not needed: what a session leaves behind is found and undone, in every mode"},
    {"server_reset_query_always", SETTING_SAME, "discard_always", NULL, NULL},
    {"server_fast_close", SETTING_NONE, NULL, NULL,
     "not needed: in mode = session, pgwith kill pool does it"},
    {"server_round_robin", SETTING_NONE, NULL, NULL,
     "the server connection used last is lent first, so that surplus ones can be closed"},
    {"disable_pqexec", SETTING_NONE, NULL, NULL,
     "simple queries are always possible; who may run what is a matter of the role"},
    {"load_balance_hosts", SETTING_ELSEWHERE, NULL, NULL, NULL}, /* databases.c */
    {"autodb_idle_timeout", SETTING_NONE, NULL, NULL, "not needed: pools cost nothing while idle"},
    {"pool_idle_timeout", SETTING_NONE, NULL, NULL,
     "not needed: the pool of a role that nobody uses goes by itself"},
    /* server connections, by libpq */
    {"server_tls_sslmode", SETTING_CONNINFO, "sslmode", NULL, NULL},
    {"server_tls_ca_file", SETTING_CONNINFO, "sslrootcert", NULL, NULL},
    {"server_tls_key_file", SETTING_CONNINFO, "sslkey", NULL, NULL},
    {"server_tls_cert_file", SETTING_CONNINFO, "sslcert", NULL, NULL},
    {"server_tls_protocols", SETTING_CONNINFO, "ssl_min_protocol_version", NULL, NULL},
    {"server_tls_", SETTING_NONE, NULL, NULL,
     "libpq takes what OpenSSL is set up for in openssl.cnf"},
    {"server_tls13_", SETTING_NONE, NULL, NULL,
     "libpq takes what OpenSSL is set up for in openssl.cnf"},
    {"tcp_keepalive", SETTING_CONNINFO, "keepalives", NULL, NULL},
    {"tcp_keepidle", SETTING_CONNINFO, "keepalives_idle", NULL, NULL},
    {"tcp_keepintvl", SETTING_CONNINFO, "keepalives_interval", NULL, NULL},
    {"tcp_keepcnt", SETTING_CONNINFO, "keepalives_count", NULL, NULL},
    {"tcp_user_timeout", SETTING_CONNINFO, "tcp_user_timeout", NULL, NULL},
    {"dns_", SETTING_NONE, NULL, NULL, "not needed: names are looked up for each new connection"},
    {"resolv_conf", SETTING_NONE, NULL, NULL, "names are looked up as the system does it"},
    /* the process */
    {"log_connections", SETTING_SAME, "log_connections", NULL, NULL},
    {"verbose", SETTING_ELSEWHERE, NULL, NULL, NULL},
    {"log_disconnections", SETTING_SAME, "log_disconnections", NULL, NULL},
    {"log_pooler_errors", SETTING_SAME, "log_pooler_errors", NULL, NULL},
    {"log_stats", SETTING_NONE, NULL, NULL, "pgwith stats shows them; --watch goes on showing"},
    {"stats_period", SETTING_NONE, NULL, NULL, "averages are those of the last minute"},
    {"logfile", SETTING_NONE, NULL, NULL,
     "the log goes to stderr: to the journal, or where the shell says"},
    {"syslog", SETTING_NONE, NULL, NULL, "the log goes to stderr, under systemd to the journal"},
    {"syslog_ident", SETTING_NONE, NULL, NULL,
     "not needed: the journal has the unit's name; SyslogIdentifier= of the unit is another one"},
    {"syslog_facility", SETTING_NONE, NULL, NULL, "SyslogFacility= of the unit of systemd"},
    {"pidfile", SETTING_NONE, NULL, NULL,
     "not needed: pgwithd runs in the foreground, under systemd"},
    {"daemon", SETTING_NONE, NULL, NULL,
     "not needed: pgwithd runs in the foreground, under systemd"},
    {"user", SETTING_NONE, NULL, NULL, "start pgwithd as that user: User= of its systemd unit"},
    {"job_name", SETTING_NONE, NULL, NULL, "not needed"},
    {"service_name", SETTING_NONE, NULL, NULL, "not needed"},
    {"conffile", SETTING_NONE, NULL, NULL, "say pgwithd -c FILE"},
    {"peer_id", SETTING_NONE, NULL, NULL,
     "not needed: each pgwithd gets the cancels of its own clients"},
    {"so_reuseport", SETTING_NONE, NULL, NULL, "one process has the socket"},
    {"listen_backlog", SETTING_NONE, NULL, NULL, "not needed: the system's maximum is taken"},
    {"suspend_timeout", SETTING_NONE, NULL, NULL, "there is no SUSPEND"},
    {"tcp_defer_accept", SETTING_NONE, NULL, NULL, "there is no TCP for clients"},
    {"tcp_socket_buffer", SETTING_NONE, NULL, NULL, "the system's size is taken"},
    {"pkt_buf", SETTING_NONE, NULL, NULL, "not needed: buffers have the size that is needed"},
    {"sbuf_loopcnt", SETTING_NONE, NULL, NULL, "not needed: the work of each turn is bounded"},
    {"max_packet_size", SETTING_NONE, NULL, NULL,
     "not needed: messages of any size pass in little memory"},
    {"scram_iterations", SETTING_NONE, NULL, NULL,
     "not needed: a verifier has its own, and for a password in clear 4096 are taken"},
};

const struct setting *
settings_table(unsigned *count)
{
	*count = sizeof known / sizeof *known;
	return known;
}

const struct setting *
settings_find(const char *name)
{
	for (unsigned i = 0; i < sizeof known / sizeof *known; i++) {
		size_t n = strlen(known[i].name);

		if (strcmp(known[i].name, name) == 0 ||
		    (known[i].name[n - 1] == '_' && strncmp(known[i].name, name, n) == 0))
			return &known[i];
	}
	return NULL;
}

const char *
settings_get(const struct import *im, const char *name)
{
	return pgbouncer_get(im->from, "pgbouncer", name);
}

/* ---- lines ---- */

void
settings_out(const struct import *im, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(im->to, fmt, ap);
	va_end(ap);
	fputc('\n', im->to);
}

char *
settings_literal(const char *value)
{
	char *text = mem_alloc(strlen(value) * 2 + 1), *to = text;

	for (; *value; value++) {
		if (value[0] == '$' && value[1] == '{')
			*to++ = '$';
		*to++ = *value;
	}
	*to = '\0';
	return text;
}

void
settings_option(const struct import *im, const char *name, const char *value, const char *why)
{
	const struct conf_option *o = option_find(name);
	struct conf_pool pool = {0};
	struct conf conf = {0};
	void *base = o->where == OPTION_POOL ? (void *)&pool : (void *)&conf;
	char *wrong = NULL, *literal = settings_literal(value);

	/* Behind a blank, a ; would begin a comment in pgwith.conf. */
	if (strstr(value, " ;") || strstr(value, "\t;") || *value == ';')
		wrong = mem_strdup("a ; behind a blank cannot be written here");
	else
		option_set(o, base, value, &wrong, NULL);
	if (wrong)
		++*im->unknown;
	if (wrong)
		settings_out(im, "; %s is left as it is: %s = %s: %s", name, why, value, wrong);
	else
		settings_out(im, "%s = %s  ; %s", name, literal, why);
	secret_free(literal);
	free(wrong);
	option_clear(o, base);
}

void
settings_seconds(const struct import *im, const char *name, const char *value, const char *why)
{
	const struct conf_option *o = option_find(name);
	char *end, text[40];
	double s = strtod(value, &end);
	int64_t us = s * UNIT_S;

	if (end == value || *end || s < 0 || s > 1e9) {
		++*im->unknown;
		settings_out(im, "; %s is left as it is: %s = %s: this is no number of seconds",
			     name, why, value);
		return;
	}
	/* PgBouncer's 0 means no limit. If pgwith's option must have a limit, the longest comes
	 * nearest. */
	if (us > o->max || (us == 0 && o->min > 0))
		us = o->max;
	else if (us < o->min)
		us = o->min;
	settings_option(im, name, units_duration_str(us, text, sizeof text), why);
}

void
settings_special(const struct import *im, const char *name, const char *value)
{
	bool zero = strtod(value, NULL) == 0;

	if (strcmp(name, "server_lifetime") == 0) {
		/* In PgBouncer, 0 means that a connection is used once; in pgwith, that it never
		 * gets too old. */
		if (zero)
			settings_option(im, "max_lifetime", "1ms",
					"server_lifetime = 0: used once");
		else
			settings_seconds(im, "max_lifetime", value, name);
	} else if (strcmp(name, "server_check_delay") == 0) {
		const char *query = settings_get(im, "server_check_query");

		if (query && *query == 0)
			settings_option(im, "check_interval", "0",
					"server_check_query is empty: never");
		else if (zero)
			settings_option(im, "check_interval", "1ms",
					"server_check_delay = 0: always");
		else
			settings_seconds(im, "check_interval", value, name);
	} else if (strcmp(name, "server_check_query") == 0) {
		if (*value == 0 && settings_get(im, "server_check_delay") == NULL)
			settings_option(im, "check_interval", "0",
					"server_check_query is empty: never");
		else
			settings_out(im,
				     "; server_check_query: not needed: an empty query is sent");
	} else if (strcmp(name, "max_prepared_statements") == 0) {
		if (zero)
			settings_out(
			    im, "; max_prepared_statements = 0: they are kept here all the same, "
				"and follow their session");
		else
			settings_option(im, name, value, name);
	} else if (strcmp(name, "application_name_add_host") == 0 && !zero) {
		settings_option(im, "application_name", "'%a - unix(%p)'",
				"application_name_add_host: a name for each client");
		settings_out(im,
			     ";   It is sent ahead of most leases, as it differs from client to "
			     "client; '%%a %%e', with the program's\n"
			     ";   name, costs less.");
	} else if (strcmp(name, "verbose") == 0 && !zero) {
		settings_option(im, "log_level", "debug", "verbose");
	}
}
