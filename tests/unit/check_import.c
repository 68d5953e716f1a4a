#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/import/import.h"
#include "cli/import/pgbouncer.h"
#include "conf/conf.h"

static unsigned not_taken; /* by the import before */

START_TEST(syntax)
{
	struct pgbouncer p;

	ck_assert(
	    pgbouncer_parse(&p, "x.ini",
			    "# comment\n  ; another\n\n[pgbouncer] \r\n"
			    "listen_port = 6432\r\npool_mode=session\npool_mode =\ttransaction \n"
			    "admin_users =\n"
			    "auth_query = SELECT 1 ; no comment # here\n"
			    "[databases]\n\"we\"\"ird db\" = host=a\n* = \nother-one.x = port=1"));
	ck_assert_str_eq(pgbouncer_get(&p, "pgbouncer", "listen_port"), "6432");
	ck_assert_str_eq(pgbouncer_get(&p, "pgbouncer", "pool_mode"), "transaction");
	ck_assert_str_eq(pgbouncer_get(&p, "pgbouncer", "admin_users"), "");
	ck_assert_str_eq(pgbouncer_get(&p, "pgbouncer", "auth_query"),
			 "SELECT 1 ; no comment # here");
	ck_assert_str_eq(pgbouncer_get(&p, "databases", "we\"ird db"), "host=a");
	ck_assert_str_eq(pgbouncer_get(&p, "databases", "*"), "");
	ck_assert_str_eq(pgbouncer_get(&p, "databases", "other-one.x"), "port=1");
	ck_assert_ptr_null(pgbouncer_get(&p, "databases", "listen_port"));
	ck_assert_uint_eq(p.list[p.count - 1].line, 13);
	pgbouncer_clear(&p);
}
END_TEST

START_TEST(syntax_errors)
{
	static const struct {
		const char *text, *problem;
	} cases[] = {
	    {"a = 1\n", "x.ini:1: a setting before any section"},
	    {"\n[pgbouncer\n", "x.ini:2: a section without ]"},
	    {"[pgbouncer]\nfoo\n", "x.ini:2: expected KEY = VALUE"},
	    {"[pgbouncer]\n= 3\n", "x.ini:2: expected KEY = VALUE"},
	    {"[databases]\n\"a = 3\n", "x.ini:2: expected KEY = VALUE"},
	    {"[databases]\na\001 = 3\n", "x.ini:2: a control character"},
	    {"%include /nowhere/at/all\n", "x.ini:1: /nowhere/at/all: cannot open: No such file or "
					   "directory"},
	};

	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct pgbouncer p;

		ck_assert(!pgbouncer_parse(&p, "x.ini", cases[i].text));
		ck_assert_str_eq(p.problem, cases[i].problem);
		pgbouncer_clear(&p);
	}
}
END_TEST

static char *
file_with(const char *text)
{
	char *path = mem_strdup("/tmp/check_import.XXXXXX");
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	return path;
}

/* A file that includes itself ends, too. */
START_TEST(includes)
{
	char *inner = file_with("user = x\n[databases]\na = dbname=b\n"), *text, *outer;
	struct pgbouncer p;

	text = mem_printf("[pgbouncer]\n%%include %s\nb = port=7\n", strrchr(inner, '/') + 1);
	ck_assert(pgbouncer_parse(&p, "/tmp/x.ini", text));
	ck_assert_str_eq(pgbouncer_get(&p, "pgbouncer", "user"), "x");
	ck_assert_str_eq(pgbouncer_get(&p, "databases", "a"), "dbname=b");
	ck_assert_str_eq(pgbouncer_get(&p, "databases", "b"), "port=7");
	pgbouncer_clear(&p);
	free(text);

	outer = file_with("");
	text = mem_printf("%%include %s\n", outer);
	ck_assert(truncate(outer, 0) == 0);
	{
		FILE *f = fopen(outer, "w");

		fputs(text, f);
		fclose(f);
	}
	ck_assert(!pgbouncer_read(&p, outer));
	ck_assert_ptr_nonnull(strstr(p.problem, "more than 10 files"));
	pgbouncer_clear(&p);
	unlink(inner);
	unlink(outer);
	free(inner);
	free(outer);
	free(text);
}
END_TEST

START_TEST(connection_strings)
{
	struct pgbouncer_pairs pairs;

	ck_assert_ptr_null(pgbouncer_connstr(
	    "  host=a,b port = 5432 password='it''s = me' empty='' connect_query='SET x = ''1''' ",
	    &pairs));
	ck_assert_uint_eq(pairs.count, 5);
	ck_assert_str_eq(pgbouncer_pair(&pairs, "host"), "a,b");
	ck_assert_str_eq(pgbouncer_pair(&pairs, "port"), "5432");
	ck_assert_str_eq(pgbouncer_pair(&pairs, "password"), "it's = me");
	ck_assert_str_eq(pgbouncer_pair(&pairs, "empty"), "");
	ck_assert_str_eq(pgbouncer_pair(&pairs, "connect_query"), "SET x = '1'");
	ck_assert_ptr_null(pgbouncer_pair(&pairs, "user"));
	pgbouncer_pairs_clear(&pairs);
	ck_assert_ptr_null(pgbouncer_connstr("", &pairs));
	ck_assert_uint_eq(pairs.count, 0);
	ck_assert_str_eq(pgbouncer_connstr("host=a port", &pairs), "expected KEY=VALUE");
	pgbouncer_pairs_clear(&pairs);
	ck_assert_str_eq(pgbouncer_connstr("a='b", &pairs), "a quote that does not end");
	pgbouncer_pairs_clear(&pairs);
	ck_assert_str_eq(pgbouncer_connstr("a='b'c", &pairs), "something behind a closing quote");
	pgbouncer_pairs_clear(&pairs);
}
END_TEST

START_TEST(auth_file)
{
	char *path =
	    file_with("\"app\" \"se\"\"cret\"\n; no\n\"half\n  \"bob\" \"\" \"x\"\nplain text\n");
	struct pgbouncer_pairs users;
	char *why;

	ck_assert_ptr_null(pgbouncer_users(path, &users));
	ck_assert_uint_eq(users.count, 2);
	ck_assert_str_eq(pgbouncer_pair(&users, "app"), "se\"cret");
	ck_assert_str_eq(pgbouncer_pair(&users, "bob"), "");
	pgbouncer_pairs_clear(&users);
	why = pgbouncer_users("/nowhere/at/all", &users);
	ck_assert_ptr_nonnull(why);
	free(why);
	unlink(path);
	free(path);
}
END_TEST

/* What import makes of a text; *conf is what pgwithd makes of that, or NULL. */
static char *
imported_with(const char *text, const struct pgbouncer_pairs *users, const struct commands_how *how,
	      struct conf **conf)
{
	struct conf_problems problems;
	struct pgbouncer p;
	char *out = NULL, *path;
	size_t bytes;
	FILE *f = open_memstream(&out, &bytes);

	ck_assert(pgbouncer_parse(&p, "x.ini", text));
	not_taken = 0;
	import_write(&p, users, how, f, &not_taken);
	fclose(f);
	pgbouncer_clear(&p);
	path = file_with(out);
	*conf = conf_load(path, &problems);
	for (unsigned i = 0; i < problems.count; i++)
		printf("# line %u: %s\n", problems.list[i].line, problems.list[i].text);
	conf_problems_clear(&problems);
	unlink(path);
	free(path);
	return out;
}

static char *
imported(const char *text, const struct commands_how *how, struct conf **conf)
{
	return imported_with(text, NULL, how, conf);
}

static const struct commands_how no_options;

/* An empty file gets PgBouncer's defaults where ours are others. */
START_TEST(defaults)
{
	struct conf *c;
	char *out = imported("[databases]\na = user=x\n", &no_options, &c);

	ck_assert_ptr_nonnull(c);
	ck_assert_str_eq(c->listen, "/tmp");
	ck_assert_int_eq(c->port, 6432);
	ck_assert_int_eq(c->max_clients, 100);
	ck_assert_int_eq(c->login_timeout_us, 60000000);
	ck_assert_int_eq(c->pools[0].mode, CONF_SESSION);
	ck_assert_int_eq(c->pools[0].size, 20);
	ck_assert_int_eq(c->pools[0].wait_timeout_us, 120000000);
	ck_assert_int_eq(c->pools[0].idle_timeout_us, 600000000);
	ck_assert_int_eq(c->pools[0].max_lifetime_us, INT64_C(3600000000));
	ck_assert_int_eq(c->pools[0].check_interval_us, 30000000);
	ck_assert_int_eq(c->pools[0].retry_delay_us, 15000000);
	ck_assert_str_eq(c->pools[0].conninfo, "host=/tmp port=5432 dbname=a user=x");
	ck_assert_str_eq(c->allow, "");
	conf_free(c);
	free(out);
}
END_TEST

START_TEST(values)
{
	struct conf *c;
	char *out =
	    imported("[databases]\n"
		     "a = host=db1 user=x password='a b''\\c' pool_size=7 pool_mode=statement "
		     "timezone='Europe/Berlin' datestyle='ISO, DMY' client_encoding=UTF8\n"
		     "b = host=/run/x port=5433 dbname=other min_pool_size=9 max_db_connections=4\n"
		     "[pgbouncer]\nserver_lifetime = 0\nserver_check_delay = 0\n"
		     "unix_socket_dir = /run/y\nunix_socket_mode = 0770\n"
		     "query_timeout = 0.5\nidle_transaction_timeout = 30\n"
		     "server_tls_sslmode = verify-full\nserver_tls_protocols = tlsv1.3,tlsv1.2\n"
		     "tcp_keepalive = 1\ntcp_keepidle = 60\ntcp_keepcnt = 0\n"
		     "auth_type = any\nclient_login_timeout = 0\nadmin_users = a, b\n"
		     "pool_mode = transaction\nlog_connections = 1\nlog_disconnections = 0\n"
		     "log_pooler_errors = 0\n",
		     &no_options, &c);

	ck_assert_ptr_nonnull(c);
	ck_assert_str_eq(
	    c->pools[0].conninfo,
	    "host=db1 port=5432 dbname=a user=x password='a b\\'\\\\c' "
	    "client_encoding=UTF8 options='-c datestyle=ISO,\\\\ DMY -c "
	    "timezone=Europe/Berlin' sslmode=verify-full ssl_min_protocol_version=TLSv1.2 "
	    "keepalives=1 keepalives_idle=60");
	ck_assert_int_eq(c->pools[0].mode, CONF_STATEMENT);
	ck_assert_int_eq(c->pools[0].size, 7);
	ck_assert_int_eq(c->pools[0].role, CONF_ROLE_FIXED);
	ck_assert_str_eq(c->pools[1].conninfo, "host=/run/x port=5433 dbname=other");
	ck_assert_int_eq(c->pools[1].mode, CONF_TRANSACTION);
	ck_assert_int_eq(c->pools[1].role, CONF_ROLE_CLIENT);
	ck_assert_int_eq(c->pools[1].size, 4);
	ck_assert_int_eq(c->pools[1].min_size, 4);
	ck_assert_int_eq(c->pools[1].max_lifetime_us, 1000);
	ck_assert_int_eq(c->pools[1].check_interval_us, 1000);
	ck_assert_int_eq(c->pools[1].query_timeout_us, 500000);
	ck_assert_int_eq(c->pools[1].idle_in_scope_timeout_us, 30000000);
	ck_assert_int_eq(c->login_timeout_us, INT64_C(3600000000));
	ck_assert_int_eq(c->socket_mode, 0770);
	ck_assert_str_eq(c->listen, "/run/y");
	ck_assert_str_eq(c->allow, "*");
	ck_assert_str_eq(c->admin_users, "a, b");
	ck_assert(c->log_connections && !c->log_disconnections && !c->log_pooler_errors);
	conf_free(c);
	free(out);
}
END_TEST

/* What cannot be is said in a comment, never in a file that is refused. */
START_TEST(what_cannot_be)
{
	struct conf *c;
	char *out =
	    imported("[databases]\n\"we ird\" = user=x\npgwith = user=x\n"
		     "semi = user=x password='a ;b'\nbroken = host\ngood = user=x\n"
		     "[users]\nbob = pool_mode=session\n"
		     "[pgbouncer]\ndefault_pool_size = 0\nmax_client_conn = many\n"
		     "query_timeout = soon\nmade_up = 1\nreserve_pool_size = 5\n"
		     "unix_socket_dir = @abstract\nadmin_users = a b\nserver_round_robin = 1\n",
		     &no_options, &c);
	static const char *const said[] = {"; database \"we ird\" cannot be a pool",
					   "; database \"pgwith\" cannot be a pool",
					   "; database \"semi\" cannot be a pool",
					   "; database \"broken\"",
					   "; size is left as it is",
					   "; max_clients is left as it is",
					   "; query_timeout is left as it is",
					   "; made_up = 1: not known",
					   "; reserve_pool_size = 5: there is no",
					   "; unix_socket_dir = @abstract",
					   "; admin_users is left as it is",
					   "; user \"bob\" of [users]",
					   "; server_round_robin = 1: "};

	ck_assert_ptr_nonnull(c);
	ck_assert_uint_eq(c->npools, 1);
	for (unsigned i = 0; i < sizeof said / sizeof *said; i++)
		ck_assert_msg(strstr(out, said[i]) != NULL, "not said: %s in\n%s", said[i], out);
	ck_assert_ptr_null(strstr(out, "a ;b"));
	conf_free(c);
	free(out);
}
END_TEST

/* What the exit status is about: settings that are not known or cannot be taken over; not those of
 * which it is known that they need nothing here. */
static const struct {
	const char *text;
	unsigned lost;
	const char *said; /* in the output, or NULL */
} losses[] = {
    {"[databases]\na = user=x\n", 0, NULL},
    {"[databases]\na = user=x\n[pgbouncer]\nreserve_pool_size = 3\npidfile = /x\n", 0, NULL},
    {"[databases]\na = user=x\n[pgbouncer]\nmade_up = 3\n", 1, "; made_up = 3: not known"},
    {"[databases]\na = user=x\n[pgbouncer]\nmade_up = 3\nother = 1\n", 2, "; other = 1: not known"},
    {"[databases]\na = user=x made_up=3\n", 1, "; made_up: not known"},
    {"[databases]\na = user=x\n[users]\nbob = made_up=s3cret pool_mode=session\n", 1,
     ";   made_up: not known"},
    {"[databases]\na = user=x\n[users]\nbob = pool_mode\n", 1, "; user \"bob\" (x.ini:4) cannot"},
    {"[databases]\na = user=x\n[pgbouncer]\nmax_client_conn = x\n", 1, "left as it is"},
    {"[databases]\na = user=x\n[pgbouncer]\nquery_timeout = x\n", 1, "left as it is"},
    {"[databases]\na = user=x\n[peers]\n1 = host=/x\n", 0, "; [peers]: not needed"},
    {"[databases]\na = user=x\n[nonsense]\n1 = host=/x\n2 = 3\n", 1, "; [nonsense]: this section"},
    {"[databases]\na = user=x\nb = host\n", 1, "; database \"b\""},
    {"[databases]\na = user=x\n\"b c\" = user=x\n", 1, "cannot be a pool"},
    /* hosts */
    {"[databases]\na = host=h1,h2 user=x\n", 0,
     "PgBouncer opens connections to the hosts in turns"},
    {"[databases]\na = host=h1,h2 user=x load_balance_hosts=round-robin\n", 0, "in turns"},
    {"[databases]\na = host=h1,h2 user=x\n[pgbouncer]\nload_balance_hosts = round-robin\n", 0,
     "in turns"},
    {"[databases]\na = host=h1 user=x\n[pgbouncer]\nserver_round_robin = 1\n", 0,
     "; server_round_robin = 1"},
    /* who comes in */
    {"[databases]\na = user=x\n[pgbouncer]\nauth_type = trust\n", 0, "users = *  ;"},
    {"[databases]\na = user=x\n[pgbouncer]\nauth_type = any\n", 0,
     "LET IN: every user of this machine"},
    {"[databases]\na = user=x\n[pgbouncer]\nauth_type = peer\n", 0, "users = *  ;"},
    {"[databases]\na = user=x\n", 0, "LET IN: root and pgwithd's own user, and into pools"},
    /* the unit */
    {"[databases]\na = user=x\n", 0, ";   PrivateTmp=no"},
    {"[databases]\na = host=h user=x\n[pgbouncer]\nunix_socket_dir = /nowhere/at/all\n", 0,
     ";   ReadWritePaths=/nowhere/at/all"},
    {"[databases]\na = host=h user=x\n[pgbouncer]\nunix_socket_dir = /nowhere/at/all\n", 0,
     ";   /nowhere/at/all: is not there"},
    {"[databases]\na = host=h user=x\n[pgbouncer]\nunix_socket_group = root\n", 0,
     ";   SupplementaryGroups=root"},
    {"[databases]\na = host=h user=x\n[pgbouncer]\nunix_socket_group = nosuchgroup\n", 0,
     "nosuchgroup: unix_socket_group is no group"},
    {"[databases]\na = host=h user=x\n[pgbouncer]\nserver_tls_key_file = /home/x/key\n", 0,
     ";   ProtectHome=read-only"},
    {"[databases]\na = host=h user=x\n[pgbouncer]\nserver_tls_ca_file = /etc/no/ca\n", 0,
     ";   /etc/no/ca: must be readable by pgwith"},
    {"[databases]\na = host=h user=x\n[pgbouncer]\nmax_client_conn = 100000\n", 0,
     ";   LimitNOFILE="},
};

START_TEST(what_is_lost)
{
	struct conf *c;
	char *out = imported(losses[_i].text, &no_options, &c);

	ck_assert_ptr_nonnull(c);
	ck_assert_msg(not_taken == losses[_i].lost, "%u of %s\n%s", not_taken, losses[_i].text,
		      out);
	ck_assert_msg(losses[_i].said == NULL || strstr(out, losses[_i].said),
		      "not said: %s in\n%s", losses[_i].said, out);
	conf_free(c);
	free(out);
}
END_TEST

/* Nothing is said of the unit where it is good as it is, and nothing of hosts that libpq would try
 * in the same order. */
START_TEST(what_needs_no_words)
{
	struct conf *c;
	char *out = imported("[databases]\na = host=h1,h2 user=x load_balance_hosts=disable\n"
			     "[pgbouncer]\nunix_socket_dir = /run/pgwith\nmax_client_conn = 1000\n",
			     &no_options, &c);

	ck_assert_ptr_nonnull(c);
	ck_assert_uint_eq(not_taken, 0);
	ck_assert_ptr_null(strstr(out, "[Service]"));
	ck_assert_ptr_null(strstr(out, "in turns"));
	conf_free(c);
	free(out);
}
END_TEST

START_TEST(fallback)
{
	struct commands_how how = {.databases = {"x", "named"}, .ndatabases = 2};
	struct conf *c;
	char *out = imported("[databases]\nnamed = user=n\n* = host=h user=u\n", &how, &c);

	ck_assert_ptr_nonnull(c);
	ck_assert_uint_eq(c->npools, 2);
	ck_assert_str_eq(conf_pool(c, "x")->conninfo, "host=h port=5432 dbname=x user=u");
	ck_assert_ptr_nonnull(strstr(conf_pool(c, "named")->conninfo, "user=n"));
	conf_free(c);
	free(out);
	out = imported("[databases]\n* = host=h user=u\n", &no_options, &c);
	ck_assert_ptr_null(c);
	ck_assert_ptr_nonnull(strstr(out, "; * : there is no fallback"));
	free(out);
}
END_TEST

/* Every option of the manual of PgBouncer 1.25 (pgbouncer.ini(5)): it is taken over, or it is said
 * that it is not needed, or what to do. */
static const struct {
	const char *section, *name, *value;
	const char *said; /* in the output; NULL: nothing needs to be said */
} manual[] = {
    /* clang-format off */
    {"pgbouncer", "logfile", "/var/log/x", "; logfile = /var/log/x: "},
    {"pgbouncer", "pidfile", "/run/x.pid", "; pidfile = /run/x.pid: "},
    {"pgbouncer", "listen_addr", "*", "; listen_addr = *: "},
    {"pgbouncer", "listen_port", "7000", "port = 7000  ; listen_port"},
    {"pgbouncer", "unix_socket_dir", "/run/y", "listen = /run/y  ; unix_socket_dir"},
    {"pgbouncer", "unix_socket_mode", "0770", "socket_mode = 0770  ; unix_socket_mode"},
    {"pgbouncer", "unix_socket_group", "root", "socket_group = root  ; unix_socket_group"},
    {"pgbouncer", "user", "nobody", "; user = nobody: "},
    {"pgbouncer", "pool_mode", "statement", "mode = statement  ; pool_mode"},
    {"pgbouncer", "max_client_conn", "333", "max_clients = 333  ; max_client_conn"},
    {"pgbouncer", "default_pool_size", "11", "size = 11  ; default_pool_size"},
    {"pgbouncer", "min_pool_size", "2", "min_size = 2  ; min_pool_size"},
    {"pgbouncer", "reserve_pool_size", "5", "; reserve_pool_size = 5: "},
    {"pgbouncer", "reserve_pool_timeout", "3", "; reserve_pool_timeout = 3: "},
    {"pgbouncer", "max_db_connections", "9", "size = 9  ; max_db_connections"},
    {"pgbouncer", "max_db_client_connections", "8", "; max_db_client_connections = 8: "},
    {"pgbouncer", "max_user_connections", "7", "size = 7  ; max_user_connections"},
    {"pgbouncer", "max_user_client_connections", "6", "[role *]\nmax_clients = 6  ; max_user_client_connections"},
    {"pgbouncer", "server_round_robin", "1", "; server_round_robin = 1: "},
    {"pgbouncer", "track_extra_parameters", "search_path", "; track_extra_parameters = search_path: "},
    {"pgbouncer", "ignore_startup_parameters", "extra_float_digits", "; ignore_startup_parameters = extra_float_digits: "},
    {"pgbouncer", "peer_id", "1", "; peer_id = 1: "},
    {"pgbouncer", "disable_pqexec", "1", "; disable_pqexec = 1: "},
    {"pgbouncer", "application_name_add_host", "1", "application_name = '%a - unix(%p)'  ; application_name_add_host"},
    {"pgbouncer", "conffile", "/etc/x", "; conffile = /etc/x: "},
    {"pgbouncer", "service_name", "x", "; service_name = x: "},
    {"pgbouncer", "job_name", "x", "; job_name = x: "},
    {"pgbouncer", "stats_period", "30", "; stats_period = 30: "},
    {"pgbouncer", "max_prepared_statements", "50", "max_prepared_statements = 50  ; max_prepared_statements"},
    {"pgbouncer", "scram_iterations", "5000", "; scram_iterations = 5000: "},
    {"pgbouncer", "auth_type", "scram-sha-256", "; auth_type = scram-sha-256: "},
    {"pgbouncer", "auth_hba_file", "/etc/hba", "; auth_hba_file = /etc/hba: "},
    {"pgbouncer", "auth_ident_file", "/etc/ident", "; auth_ident_file = /etc/ident: "},
    {"pgbouncer", "auth_file", "/nowhere/userlist", NULL},
    {"pgbouncer", "auth_user", "asker", "[pool auth]\nconninfo = host=h1 port=5432 dbname=a user=asker  ;"},
    {"pgbouncer", "auth_query", "SELECT 1", "; auth_query = SELECT 1: "},
    {"pgbouncer", "auth_dbname", "postgres", "; auth_dbname = postgres: "},
    {"pgbouncer", "auth_ldap_options", "ldapbindpasswd=s3cret", "; auth_ldap_options: "},
    {"pgbouncer", "syslog", "1", "; syslog = 1: "},
    {"pgbouncer", "syslog_ident", "x", "; syslog_ident = x: "},
    {"pgbouncer", "syslog_facility", "local0", "; syslog_facility = local0: "},
    {"pgbouncer", "log_connections", "0", "log_connections = 0  ; log_connections"},
    {"pgbouncer", "log_disconnections", "0", "log_disconnections = 0  ; log_disconnections"},
    {"pgbouncer", "log_pooler_errors", "0", "log_pooler_errors = 0  ; log_pooler_errors"},
    {"pgbouncer", "log_stats", "0", "; log_stats = 0: "},
    {"pgbouncer", "verbose", "2", "log_level = debug  ; verbose"},
    {"pgbouncer", "admin_users", "root", "admin_users = root  ; admin_users"},
    {"pgbouncer", "stats_users", "nagios", "stats_users = nagios  ; stats_users"},
    {"pgbouncer", "server_reset_query", "DISCARD ALL", "; server_reset_query = DISCARD ALL: "},
    {"pgbouncer", "server_reset_query_always", "1", "discard_always = 1  ; server_reset_query_always"},
    {"pgbouncer", "server_check_delay", "45", "check_interval = 45s  ; server_check_delay"},
    {"pgbouncer", "server_check_query", "select 1", "; server_check_query: "},
    {"pgbouncer", "server_fast_close", "1", "; server_fast_close = 1: "},
    {"pgbouncer", "server_lifetime", "1000", "max_lifetime = 1000s  ; server_lifetime"},
    {"pgbouncer", "server_idle_timeout", "100", "idle_timeout = 100s  ; server_idle_timeout"},
    {"pgbouncer", "server_connect_timeout", "5", "connect_timeout = 5s  ; server_connect_timeout"},
    {"pgbouncer", "server_login_retry", "3", "retry_delay = 3s  ; server_login_retry"},
    {"pgbouncer", "client_login_timeout", "20", "login_timeout = 20s  ; client_login_timeout"},
    {"pgbouncer", "autodb_idle_timeout", "100", "; autodb_idle_timeout = 100: "},
    {"pgbouncer", "pool_idle_timeout", "100", "; pool_idle_timeout = 100: "},
    {"pgbouncer", "dns_max_ttl", "5", "; dns_max_ttl = 5: "},
    {"pgbouncer", "dns_nxdomain_ttl", "5", "; dns_nxdomain_ttl = 5: "},
    {"pgbouncer", "dns_zone_check_period", "5", "; dns_zone_check_period = 5: "},
    {"pgbouncer", "resolv_conf", "/etc/resolv.conf", "; resolv_conf = /etc/resolv.conf: "},
    {"pgbouncer", "query_wait_notify", "3", "; query_wait_notify = 3: "},
    {"pgbouncer", "login_notify_message", "hello", "; login_notify_message = hello: "},
    {"pgbouncer", "client_tls_sslmode", "require", "; client_tls_sslmode = require: "},
    {"pgbouncer", "client_tls_key_file", "/etc/ssl/x", "; client_tls_key_file = /etc/ssl/x: "},
    {"pgbouncer", "client_tls_cert_file", "/etc/ssl/x", "; client_tls_cert_file = /etc/ssl/x: "},
    {"pgbouncer", "client_tls_ca_file", "/etc/ssl/x", "; client_tls_ca_file = /etc/ssl/x: "},
    {"pgbouncer", "client_tls_protocols", "tlsv1.3", "; client_tls_protocols = tlsv1.3: "},
    {"pgbouncer", "client_tls_ciphers", "HIGH", "; client_tls_ciphers = HIGH: "},
    {"pgbouncer", "client_tls13_ciphers", "HIGH", "; client_tls13_ciphers = HIGH: "},
    {"pgbouncer", "client_tls_ecdhcurve", "auto", "; client_tls_ecdhcurve = auto: "},
    {"pgbouncer", "client_tls_dheparams", "auto", "; client_tls_dheparams = auto: "},
    {"pgbouncer", "server_tls_sslmode", "require", "sslmode=require"},
    {"pgbouncer", "server_tls_ca_file", "/etc/ssl/x", "sslrootcert=/etc/ssl/x"},
    {"pgbouncer", "server_tls_key_file", "/etc/ssl/x", "sslkey=/etc/ssl/x"},
    {"pgbouncer", "server_tls_cert_file", "/etc/ssl/x", "sslcert=/etc/ssl/x"},
    {"pgbouncer", "server_tls_protocols", "tlsv1.3", "ssl_min_protocol_version=TLSv1.3"},
    {"pgbouncer", "server_tls_ciphers", "HIGH", "; server_tls_ciphers = HIGH: "},
    {"pgbouncer", "server_tls13_ciphers", "HIGH", "; server_tls13_ciphers = HIGH: "},
    {"pgbouncer", "query_timeout", "4", "query_timeout = 4s  ; query_timeout"},
    {"pgbouncer", "query_wait_timeout", "44", "wait_timeout = 44s  ; query_wait_timeout"},
    {"pgbouncer", "cancel_wait_timeout", "4", "; cancel_wait_timeout = 4: "},
    {"pgbouncer", "client_idle_timeout", "4", "; client_idle_timeout = 4: "},
    {"pgbouncer", "idle_transaction_timeout", "45", "idle_in_scope_timeout = 45s  ; idle_transaction_timeout"},
    {"pgbouncer", "transaction_timeout", "46", "scope_deadline = 46s  ; transaction_timeout"},
    {"pgbouncer", "suspend_timeout", "4", "; suspend_timeout = 4: "},
    {"pgbouncer", "pkt_buf", "8192", "; pkt_buf = 8192: "},
    {"pgbouncer", "max_packet_size", "100000", "; max_packet_size = 100000: "},
    {"pgbouncer", "listen_backlog", "100", "; listen_backlog = 100: "},
    {"pgbouncer", "sbuf_loopcnt", "3", "; sbuf_loopcnt = 3: "},
    {"pgbouncer", "so_reuseport", "1", "; so_reuseport = 1: "},
    {"pgbouncer", "tcp_defer_accept", "3", "; tcp_defer_accept = 3: "},
    {"pgbouncer", "tcp_socket_buffer", "4096", "; tcp_socket_buffer = 4096: "},
    {"pgbouncer", "tcp_keepalive", "1", "keepalives=1"},
    {"pgbouncer", "tcp_keepcnt", "7", "keepalives_count=7"},
    {"pgbouncer", "tcp_keepidle", "71", "keepalives_idle=71"},
    {"pgbouncer", "tcp_keepintvl", "72", "keepalives_interval=72"},
    {"pgbouncer", "tcp_user_timeout", "7300", "tcp_user_timeout=7300"},
    {"databases", "dbname", "other", "dbname=other"},
    {"databases", "host", "h", "host=h "},
    {"databases", "port", "5433", "port=5433"},
    {"databases", "user", "nobody", "user=nobody"},
    {"databases", "password", "s3cret", "password=s3cret"},
    {"databases", "auth_user", "asker", "auth_pool = auth  ; auth_query"},
    {"databases", "auth_query", "SELECT 1", NULL},
    {"databases", "auth_dbname", "postgres", NULL},
    {"databases", "pool_size", "13", "size = 13  ; pool_size"},
    {"databases", "min_pool_size", "2", "min_size = 2  ; min_pool_size"},
    {"databases", "reserve_pool_size", "5", "; reserve_pool_size: "},
    {"databases", "connect_query", "SELECT 1", "; connect_query: "},
    {"databases", "pool_mode", "statement", "mode = statement  ; pool_mode"},
    {"databases", "query_wait_timeout", "44", "wait_timeout = 44s  ; query_wait_timeout"},
    {"databases", "load_balance_hosts", "disable", NULL},
    {"databases", "max_db_connections", "9", "size = 9  ; max_db_connections"},
    {"databases", "max_db_client_connections", "8", "; max_db_client_connections: "},
    {"databases", "server_lifetime", "1000", "max_lifetime = 1000s  ; server_lifetime"},
    {"databases", "client_encoding", "UTF8", "client_encoding=UTF8"},
    {"databases", "datestyle", "ISO", "datestyle=ISO"},
    {"databases", "timezone", "UTC", "timezone=UTC"},
    {"users", "pool_size", "13", ";   pool_size = 13: "},
    {"users", "reserve_pool_size", "5", ";   reserve_pool_size = 5: "},
    {"users", "pool_mode", "statement", ";   pool_mode = statement: "},
    {"users", "max_user_connections", "7", ";   max_user_connections = 7: "},
    {"users", "query_timeout", "4", ";   query_timeout = 4: "},
    {"users", "query_wait_timeout", "44", ";   query_wait_timeout = 44: "},
    {"users", "idle_transaction_timeout", "45", ";   idle_transaction_timeout = 45: "},
    {"users", "transaction_timeout", "46", ";   transaction_timeout = 46: "},
    {"users", "client_idle_timeout", "4", ";   client_idle_timeout = 4: "},
    {"users", "max_user_client_connections", "6", "[role x]\nmax_clients = 6  ; max_user_client_connections"},
    {"peers", "host", "h", "; [peers]: not needed"},
    {"peers", "port", "5433", "; [peers]: not needed"},
    {"peers", "pool_size", "13", "; [peers]: not needed"},
    /* clang-format on */
};

START_TEST(every_option_of_the_manual)
{
	const char *section = manual[_i].section, *name = manual[_i].name;
	bool users = strcmp(section, "users") == 0, of_pool = strcmp(section, "databases") == 0;
	char *text, *out;
	struct conf *c;

	if (of_pool)
		text =
		    mem_printf("[databases]\na = host=h1 user=x %s='%s'\n", name, manual[_i].value);
	else if (users || strcmp(section, "peers") == 0)
		text = mem_printf("[databases]\na = host=h1 user=x\n[%s]\n%s = %s='%s'\n", section,
				  users ? "x" : "1", name, manual[_i].value);
	else
		text = mem_printf("[databases]\na = host=h1 user=x\n[%s]\n%s = %s\n", section, name,
				  manual[_i].value);
	out = imported(text, &no_options, &c);
	ck_assert_msg(c != NULL, "%s is refused:\n%s", name, out);
	ck_assert_msg(not_taken == 0, "%s is not known:\n%s", name, out);
	ck_assert_msg(manual[_i].said == NULL || strstr(out, manual[_i].said),
		      "not said: %s in\n%s", manual[_i].said, out);
	/* A password stands in the conninfo only. */
	ck_assert(strstr(out, "s3cret") == NULL || strcmp(name, "password") == 0);
	conf_free(c);
	free(text);
	free(out);
}
END_TEST

/* Of a database with user=, the limits of that user are those of the pool. */
START_TEST(limits_of_a_user)
{
	static const struct {
		const char *text;
		int64_t size;
	} cases[] = {
	    {"[databases]\na = user=x\n[users]\nx = pool_size=3\n", 3},
	    {"[databases]\na = user=x pool_size=9\n[users]\nx = pool_size=3\n", 3},
	    {"[databases]\na = user=x pool_size=9\n[users]\ny = pool_size=3\n", 9},
	    {"[databases]\na = user=x pool_size=9\n[users]\nx = max_user_connections=4\n", 4},
	    {"[databases]\na = user=x pool_size=3\n[users]\nx = max_user_connections=4\n", 3},
	    {"[databases]\na = user=x\n[users]\nx = max_user_connections=0 pool_size=7\n", 7},
	    {"[databases]\na = user=x\n[pgbouncer]\nmax_user_connections = 5\n", 5},
	    {"[databases]\na = user=x\n[users]\nx = max_user_connections=8\n[pgbouncer]\n"
	     "max_user_connections = 5\n",
	     8},
	    {"[databases]\na = user=x max_db_connections=2\n[users]\nx = pool_size=3\n", 2},
	    {"[databases]\na = host=h\n[users]\nx = pool_size=3 max_user_connections=2\n", 20},
	    {"[databases]\na = user=x\n[users]\nx = pool_size=many\n", 20},
	};

	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct conf *c;
		char *out = imported(cases[i].text, &no_options, &c);

		ck_assert_ptr_nonnull(c);
		ck_assert_msg(c->pools[0].size == cases[i].size, "%s: %lld", cases[i].text,
			      (long long)c->pools[0].size);
		conf_free(c);
		free(out);
	}
}
END_TEST

static char *
replaced(const char *text, const char *path)
{
	const char *at = strchr(text, '@');

	return at ? mem_printf("%.*s%s%s", (int)(at - text), text, path, at + 1) : mem_strdup(text);
}

/* Clients come in by the password that PgBouncer asks for, if pgwithd can ask for it; else nobody
 * comes in by one, and the file says what to do. @ is the auth_file. */
static const struct {
	const char *users; /* the auth_file; NULL: there is none */
	unsigned mode;
	const char *text, *auth, *pool, *query;
	unsigned lost;
	const char *said; /* or NULL */
} signins[] = {
    /* clang-format off */
    {"\"app\" \"SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=\"\n", 0640,
     "[databases]\na = host=h\n[pgbouncer]\nauth_type = scram-sha-256\nauth_file = @\n",
     "scram-sha-256", "", NULL, 0, "With a verifier PgBouncer logs in"},
    {"\"app\" \"in clear\"\n", 0600, "[databases]\na = host=h\n[pgbouncer]\nauth_file = @\n",
     "scram-sha-256", "", NULL, 0, "; auth_type = md5: the same passwords"},
    {"\"app\" \"x\"\n", 0600, "[databases]\na = host=h\n[pgbouncer]\nauth_file = @\nauth_type = plain\n",
     "scram-sha-256", "", NULL, 0, NULL},
    {"\"app\" \"md5d41d8cd98f00b204e9800998ecf8427e\"\n", 0600, "[databases]\na = host=h\n[pgbouncer]\nauth_file = @\n",
     "peer", "", NULL, 1, "line 1: role \"app\" has an md5 hash"},
    {"\"app\" \"x\"\n", 0644, "[databases]\na = host=h\n[pgbouncer]\nauth_file = @\n",
     "peer", "", NULL, 1, "open to others"},
    {"\"app\" \"x\"\n", 0600, "[databases]\na = host=h\n[pgbouncer]\nauth_file = @\nauth_type = hba\nauth_hba_file = /x\n",
     "peer", "", NULL, 0, "pgwith has no such file"},
    {"\"app\" \"x\"\n", 0600, "[databases]\na = host=h\n[pgbouncer]\nauth_file = @\nauth_type = pam\n",
     "peer", "", NULL, 0, "asks no such service"},
    {NULL, 0, "[databases]\na = host=h\n[pgbouncer]\nauth_type = scram-sha-256\n",
     "peer", "", NULL, 0, "no password is known here"},
    {NULL, 0, "[databases]\na = host=h dbname=d\nauth = host=h\n[pgbouncer]\nauth_user = asker\nauth_query = SELECT * FROM f($1)\n",
     "scram-sha-256", "auth-2", "SELECT * FROM f($1)", 0, "[pool auth-2]\nconninfo = host=h port=5432 dbname=d user=asker  ;"},
    {NULL, 0, "[databases]\na = host=h\nb = host=i user=x password=s3cret dbname=c\n[pgbouncer]\nauth_user = asker\nauth_dbname = b\n",
     "scram-sha-256", "auth", NULL, 0, "conninfo = host=i port=5432 dbname=c user=asker  ;"},
    {NULL, 0, "[databases]\na = host=h\nb = host=i\n[pgbouncer]\nauth_user = asker\n",
     "peer", "", NULL, 1, "auth_query cannot be taken over: the databases ask different servers"},
    {NULL, 0, "[databases]\na = host=h auth_user=asker\nb = host=h\n",
     "peer", "", NULL, 1, "auth_query cannot be taken over: the databases ask different servers"},
    {NULL, 0, "[databases]\na = host=h\n[pgbouncer]\nauth_user = asker\nauth_dbname = none\n",
     "peer", "", NULL, 1, "auth_dbname is no database"},
    {"\"app\" \"md5d41d8cd98f00b204e9800998ecf8427e\"\n", 0600,
     "[databases]\na = host=h\n[pgbouncer]\nauth_file = @\nauth_user = asker\n",
     "scram-sha-256", "auth", NULL, 1, "line 1: role \"app\" has an md5 hash"},
    {NULL, 0, "[databases]\na = host=h\n[pgbouncer]\nauth_user = asker\nauth_type = trust\n",
     "peer", "", NULL, 0, "; auth_user = asker: "},
    /* clang-format on */
};

START_TEST(sign_in)
{
	char *path = signins[_i].users ? file_with(signins[_i].users) : mem_strdup(""), *text, *out;
	struct pgbouncer_pairs users = {0};
	struct conf *c;

	if (*path) {
		ck_assert(chmod(path, signins[_i].mode) == 0);
		ck_assert_ptr_null(pgbouncer_users(path, &users));
	}
	text = replaced(signins[_i].text, path);
	out = imported_with(text, &users, &no_options, &c);
	ck_assert_msg(c != NULL, "refused:\n%s", out);
	ck_assert_msg(strcmp(c->auth, signins[_i].auth) == 0, "%s in\n%s", c->auth, out);
	ck_assert_str_eq(c->auth_pool, signins[_i].pool);
	if (signins[_i].query)
		ck_assert_str_eq(c->auth_query, signins[_i].query);
	ck_assert_msg(not_taken == signins[_i].lost, "%u of\n%s", not_taken, out);
	ck_assert_msg(signins[_i].said == NULL || strstr(out, signins[_i].said),
		      "not said: %s in\n%s", signins[_i].said, out);
	/* No secret of the auth_file is in it. */
	ck_assert_ptr_null(strstr(out, "in clear\""));
	ck_assert_ptr_null(strstr(out, "d41d8cd9"));
	ck_assert_ptr_null(strstr(out, "WG5d8oPm"));
	conf_free(c);
	pgbouncer_pairs_clear(&users);
	if (*path)
		unlink(path);
	free(path);
	free(text);
	free(out);
}
END_TEST

static const struct conf_limits *
limits_of(const struct conf *c, const char *role)
{
	for (unsigned i = 0; i < c->nlimits; i++)
		if (c->limits[i].party == CONF_PARTY_ROLE && strcmp(c->limits[i].name, role) == 0)
			return &c->limits[i];
	return NULL;
}

/* Limits of users: of the client's role where PgBouncer's server connections have that role, of a
 * cluster where several pools log in as one user. */
START_TEST(limits_of_roles)
{
	struct conf *c;
	char *out = imported("[databases]\na = host=h\n[users]\nbob = pool_size=3\n"
			     "eve = max_user_connections=2 max_user_client_connections=9\n"
			     "[pgbouncer]\nmax_user_connections = 7\n"
			     "max_user_client_connections = 100\n",
			     &no_options, &c);

	ck_assert_ptr_nonnull(c);
	ck_assert_int_eq(limits_of(c, "*")->max_servers, 7);
	ck_assert_int_eq(limits_of(c, "*")->max_clients, 100);
	ck_assert_int_eq(limits_of(c, "bob")->max_servers, 3);
	ck_assert_int_eq(limits_of(c, "bob")->max_clients, 100);
	ck_assert_int_eq(limits_of(c, "eve")->max_servers, 2);
	ck_assert_int_eq(limits_of(c, "eve")->max_clients, 9);
	ck_assert_uint_eq(c->nclusters, 0);
	conf_free(c);
	free(out);

	out = imported("[databases]\na = host=h user=x min_pool_size=5\nb = host=h user=x "
		       "min_pool_size=5\nc = host=h user=y\n[pgbouncer]\n"
		       "max_user_connections = 7\n",
		       &no_options, &c);
	ck_assert_msg(c != NULL, "%s", out);
	ck_assert_uint_eq(c->nclusters, 1);
	ck_assert_int_eq(c->clusters[0].server_limit, 7);
	ck_assert_str_eq(conf_pool(c, "a")->cluster, c->clusters[0].name);
	ck_assert_str_eq(conf_pool(c, "b")->cluster, c->clusters[0].name);
	ck_assert_str_eq(conf_pool(c, "c")->cluster, "");
	ck_assert_int_eq(conf_pool(c, "c")->size, 7);
	ck_assert_uint_eq(c->nlimits, 0);
	conf_free(c);
	free(out);

	/* A limit of roles would count in the pool with user=, too. */
	out = imported("[databases]\na = host=h user=x\nb = host=h\n[pgbouncer]\n"
		       "max_user_connections = 7\n",
		       &no_options, &c);
	ck_assert_ptr_nonnull(c);
	ck_assert_int_eq(limits_of(c, "*")->max_servers, 0);
	ck_assert_ptr_nonnull(strstr(out, "\n; max_servers = 7  ;"));
	ck_assert_uint_eq(not_taken, 1);
	conf_free(c);
	free(out);
}
END_TEST

/* What PgBouncer takes as it is would be a variable of the environment here. */
START_TEST(dollars)
{
	struct conf *c;
	char *out = imported("[databases]\na = user=x password='p${HOME}$$${A}$' dbname=${X:-y}\n"
			     "[pgbouncer]\nunix_socket_dir = /run/${USER}\nadmin_users = ${NONE}\n",
			     &no_options, &c);

	ck_assert_msg(c != NULL, "%s", out);
	ck_assert_ptr_nonnull(strstr(c->pools[0].conninfo, "password=p${HOME}$$${A}$"));
	ck_assert_ptr_nonnull(strstr(c->pools[0].conninfo, "dbname=${X:-y}"));
	ck_assert_str_eq(c->listen, "/run/${USER}");
	ck_assert_str_eq(c->admin_users, "${NONE}");
	conf_free(c);
	free(out);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("import");
	TCase *t = tcase_create("import");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, syntax);
	tcase_add_test(t, syntax_errors);
	tcase_add_test(t, includes);
	tcase_add_test(t, connection_strings);
	tcase_add_test(t, auth_file);
	tcase_add_test(t, defaults);
	tcase_add_test(t, values);
	tcase_add_test(t, what_cannot_be);
	tcase_add_test(t, fallback);
	tcase_add_loop_test(t, what_is_lost, 0, sizeof losses / sizeof *losses);
	tcase_add_test(t, what_needs_no_words);
	tcase_add_loop_test(t, every_option_of_the_manual, 0, sizeof manual / sizeof *manual);
	tcase_add_test(t, limits_of_a_user);
	tcase_add_test(t, dollars);
	tcase_add_loop_test(t, sign_in, 0, sizeof signins / sizeof *signins);
	tcase_add_test(t, limits_of_roles);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
