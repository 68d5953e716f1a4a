#include <check.h>
#include <stdlib.h>
#include <string.h>
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
imported(const char *text, const struct commands_how *how, struct conf **conf)
{
	struct conf_problems problems;
	struct pgbouncer p;
	char *out = NULL, *path;
	size_t bytes;
	FILE *f = open_memstream(&out, &bytes);

	ck_assert(pgbouncer_parse(&p, "x.ini", text));
	not_taken = 0;
	import_write(&p, NULL, how, f, &not_taken);
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
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
