#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/units.h"
#include "conf/access.h"
#include "conf/auth.h"
#include "conf/conf.h"
#include "conf/option.h"
#include "conf_text.h"

START_TEST(an_empty_section_gets_the_defaults)
{
	struct conf *c = conf_good("[pool a]\nconninfo = dbname=a\n");
	const struct conf_pool *a = conf_pool(c, "a");

	ck_assert_str_eq(c->path, conf_text_path);
	ck_assert_str_eq(c->listen, "/run/pgwith");
	ck_assert_int_eq(c->port, 6432);
	ck_assert_int_eq(c->socket_mode, 0777);
	ck_assert_str_eq(c->socket_owner, "");
	ck_assert_str_eq(c->socket_group, "");
	ck_assert_int_eq(c->max_clients, 10000);
	ck_assert_int_eq(c->login_timeout_us, 15 * UNIT_S);
	ck_assert_int_eq(c->shutdown_timeout_us, 30 * UNIT_S);
	ck_assert_str_eq(c->admin_users, "");
	ck_assert_str_eq(c->stats_users, "");
	ck_assert_str_eq(c->allow, "");
	ck_assert_int_eq(c->log_level, LOG_INFO);
	ck_assert(c->log_connections);
	ck_assert_uint_eq(c->npools, 1);
	ck_assert_ptr_nonnull(a);
	ck_assert_str_eq(a->conninfo, "dbname=a");
	ck_assert_int_eq(a->size, 20);
	ck_assert_int_eq(a->min_size, 0);
	ck_assert_int_eq(a->max_waiting, 10000);
	ck_assert_int_eq(a->max_opening, 4);
	ck_assert_int_eq(a->wait_timeout_us, 30 * UNIT_S);
	ck_assert_int_eq(a->idle_timeout_us, 10 * UNIT_MIN);
	ck_assert_int_eq(a->max_lifetime_us, UNIT_H);
	ck_assert_int_eq(a->connect_timeout_us, 15 * UNIT_S);
	ck_assert_int_eq(a->check_interval_us, 30 * UNIT_S);
	ck_assert_int_eq(a->cleanup_timeout_us, 5 * UNIT_S);
	ck_assert_int_eq(a->retry_delay_us, UNIT_S);
	ck_assert_int_eq(a->scope_deadline_us, 0);
	ck_assert_int_eq(a->idle_in_scope_timeout_us, 0);
	ck_assert_int_eq(a->query_timeout_us, 0);
	ck_assert_ptr_null(conf_pool(c, "b"));
	ck_assert_ptr_null(conf_pool(c, ""));
	conf_free(c);
}
END_TEST

START_TEST(every_option_can_be_set)
{
	struct conf *c = conf_good(
	    "\xef\xbb\xbf# a comment\r\n[pgwith]\r\nlisten = /tmp/x\r\nport = 5999\r\n"
	    "socket_mode = 0660 ; for the group\nsocket_owner = root\nsocket_group = root\n"
	    "max_clients = 5\nlogin_timeout = 250ms\nshutdown_timeout = 0\n"
	    "admin_users = root, postgres\nstats_users: nagios\nallow = *\nlog_level = debug\n"
	    "log_connections = no\n\n[ pool\torders.eu-1_x ]\nconninfo=postgresql://app@db/orders\n"
	    "size=7\nmin_size=7\nmax_waiting=0\nmax_opening=2\nwait_timeout=5\nidle_timeout=0\n"
	    "max_lifetime=2h\nconnect_timeout=3s\ncheck_interval=1min\ncleanup_timeout=1.5s\n"
	    "retry_delay=0\nscope_deadline=30\nidle_in_scope_timeout=1min\nquery_timeout=250ms");
	const struct conf_pool *p = conf_pool(c, "orders.eu-1_x");
	char *socket = conf_socket(c);

	ck_assert_str_eq(socket, "/tmp/x/.s.PGSQL.5999");
	free(socket);
	ck_assert_int_eq(c->socket_mode, 0660);
	ck_assert_str_eq(c->socket_owner, "root");
	ck_assert_str_eq(c->socket_group, "root");
	ck_assert_int_eq(c->max_clients, 5);
	ck_assert_int_eq(c->login_timeout_us, 250 * UNIT_MS);
	ck_assert_int_eq(c->shutdown_timeout_us, 0);
	ck_assert_str_eq(c->admin_users, "root, postgres");
	ck_assert_str_eq(c->stats_users, "nagios");
	ck_assert_str_eq(c->allow, "*");
	ck_assert_int_eq(c->log_level, LOG_DEBUG);
	ck_assert(!c->log_connections);
	ck_assert_str_eq(p->conninfo, "postgresql://app@db/orders");
	ck_assert_int_eq(p->size, 7);
	ck_assert_int_eq(p->min_size, 7);
	ck_assert_int_eq(p->max_waiting, 0);
	ck_assert_int_eq(p->max_opening, 2);
	ck_assert_int_eq(p->wait_timeout_us, 5 * UNIT_S);
	ck_assert_int_eq(p->idle_timeout_us, 0);
	ck_assert_int_eq(p->max_lifetime_us, 2 * UNIT_H);
	ck_assert_int_eq(p->connect_timeout_us, 3 * UNIT_S);
	ck_assert_int_eq(p->check_interval_us, UNIT_MIN);
	ck_assert_int_eq(p->cleanup_timeout_us, 1500 * UNIT_MS);
	ck_assert_int_eq(p->retry_delay_us, 0);
	ck_assert_int_eq(p->scope_deadline_us, 30 * UNIT_S);
	ck_assert_int_eq(p->idle_in_scope_timeout_us, UNIT_MIN);
	ck_assert_int_eq(p->query_timeout_us, 250 * UNIT_MS);
	conf_free(c);
}
END_TEST

START_TEST(pools_inherit_from_pgwith_in_any_order)
{
	struct conf *c = conf_good(
	    "[pool a]\nsize = 3\nmin_size = 1\n[pgwith]\nconninfo = dbname=all\nsize = 9\n"
	    "wait_timeout = 2s\nmin_size = 0\n[pool b]\nconninfo = dbname=b\n");
	const struct conf_pool *a = &c->pools[0], *b = &c->pools[1];

	ck_assert_uint_eq(c->npools, 2);
	ck_assert_str_eq(a->name, "a");
	ck_assert_str_eq(a->conninfo, "dbname=all");
	ck_assert_str_eq(b->conninfo, "dbname=b");
	ck_assert_int_eq(a->size, 3);
	ck_assert_int_eq(b->size, 9);
	ck_assert_int_eq(a->min_size, 1);
	ck_assert_int_eq(a->wait_timeout_us, 2 * UNIT_S);
	ck_assert_int_eq(b->wait_timeout_us, 2 * UNIT_S);
	conf_free(c);
}
END_TEST

START_TEST(lines_may_be_long_and_may_be_continued)
{
	/* 150 to 250 bytes before the blanks, so that they fall on every place of inih's buffer. */
	for (int at = 150; at < 250; at++) {
		char *text =
		    mem_printf("[pool a]\nconninfo = user=u application_name='%0*d   x   y' "
			       "dbname=%0300d ; comment\nsize = 3\n",
			       at, 1, 2);
		char *expected =
		    mem_printf("user=u application_name='%0*d   x   y' dbname=%0300d", at, 1, 2);
		struct conf *c = conf_good(text);

		ck_assert_str_eq(c->pools[0].conninfo, expected);
		ck_assert_int_eq(c->pools[0].size, 3);
		conf_free(c);
		free(text);
		free(expected);
	}
}
END_TEST

START_TEST(indented_lines_continue)
{
	struct conf *c = conf_good(
	    "[pool a]\nconninfo = host=h\n\tuser=app ; who\n\n  # which\n    dbname=db\nsize=1\n"
	    "[pgwith]\nallow = a,\n  b,\n  c:d\nlisten =                                     "
	    "                                                                              "
	    "                                                                              "
	    "                                     /far\n");

	ck_assert_str_eq(c->pools[0].conninfo, "host=h user=app dbname=db");
	ck_assert_str_eq(c->allow, "a, b, c:d");
	ck_assert_str_eq(c->listen, "/far");
	conf_free(c);
}
END_TEST

START_TEST(a_value_can_be_as_long_as_its_line)
{
	char *text = mem_printf("[pool a]\nconninfo = dbname=%0*d\n", 8192 - 18, 1);
	struct conf *c = conf_good(text);
	struct conf_problems p;
	char *more = mem_printf("[pool a]\nconninfo = dbname=%0*d\n", 8192 - 17, 1);

	ck_assert_uint_eq(strlen(c->pools[0].conninfo), 8192 - 11);
	conf_free(c);
	ck_assert_ptr_null(conf_load_bytes(more, strlen(more), &p));
	/* The first problem is that the pool has no conninfo, then. */
	ck_assert_uint_eq(p.count, 2);
	ck_assert_uint_eq(p.list[1].line, 2);
	ck_assert_ptr_nonnull(strstr(p.list[1].text, "8193 bytes; the maximum is 8192"));
	conf_problems_clear(&p);
	free(text);
	free(more);
}
END_TEST

START_TEST(limits_that_cross_pools)
{
	struct conf *c = conf_good("[pgwith]\ncluster = main\nmax_clients = 9\n" POOL
				   "[pool b]\nconninfo=dbname=b\ncluster=\n"
				   "[cluster main]\nserver_limit = 80\n"
				   "[role app server 1]\nmax_clients = 2\nmax_servers = 3\n"
				   "[role *]\npriority = 4\n[uid 33]\nmax_servers = 5\n");
	const struct conf_limits *app = conf_limits(c, CONF_PARTY_ROLE, "app server 1");
	const struct conf_limits *each = conf_limits(c, CONF_PARTY_ROLE, "web");

	ck_assert_str_eq(c->pools[0].cluster, "main");
	ck_assert_str_eq(c->pools[1].cluster, "");
	ck_assert_int_eq(conf_cluster(c, "main")->server_limit, 80);
	ck_assert_ptr_null(conf_cluster(c, ""));
	ck_assert_int_eq(c->max_clients, 9);
	ck_assert(app->max_clients == 2 && app->max_servers == 3 && app->priority == 0);
	/* Nothing is inherited, and what is not set is no limit. */
	ck_assert(each->max_clients == 0 && each->max_servers == 0 && each->priority == 4);
	ck_assert_int_eq(conf_limits(c, CONF_PARTY_UID, "33")->max_servers, 5);
	ck_assert_ptr_null(conf_limits(c, CONF_PARTY_UID, "34"));
	ck_assert_ptr_null(conf_limits(c, CONF_PARTY_UID, "app server 1"));
	conf_free(c);
}
END_TEST

/* A file and one problem that it must give; `but` is what no problem of it may contain. */
static const struct {
	const char *text;
	unsigned line;
	const char *words;
	unsigned count; /* problems of the file; 0: any number */
	const char *but;
} broken[] = {
    {"", 0, "no pool: expected at least one section [pool NAME]", 1, NULL},
    {"# nothing\n\n", 0, "no pool", 1, NULL},
    {"[pgwith]\nport = 1\n", 0, "no pool", 1, NULL},
    {"[pgwith]\nport = x\n", 0, "no pool", 2, NULL},
    {"port = 1\n" POOL, 1, "before any section", 1, NULL},
    {"[pool a]\n", 1, "pool \"a\" has no conninfo", 1, NULL},
    {"[pool a]\nsize = 3\n[pgwith]\n", 1, "pool \"a\" has no conninfo", 1, NULL},
    {"[pool a]\nconninfo =\n", 2, "conninfo: empty; expected a libpq connection string", 1, NULL},
    {"[pool a]\nconninfo = ; none\n", 2, "conninfo: empty", 1, NULL},
    {"[pool a]\nconninfo = hots=x\n", 2, "invalid connection option \"hots\"", 1, NULL},
    {"[pool a]\nconninfo = host\n", 2, "missing \"=\" after \"host\"", 1, NULL},
    {"[pool a]\nconninfo = host='x\n", 2, "unterminated quoted string", 1, NULL},
    {"[pool a]\nconninfo = password=my secret\n", 2, "missing \"=\" after \"...\"", 1, "secret"},
    {"[pool a]\nconninfo = PASSWORD='x'geheim\n", 2, "libpq", 1, "geheim"},
    {"[pool a]\nconninfo = password=a\"b ge\"heim\n", 2, "its words may hold the password", 1,
     "heim"},
    {"[pool a]\nconninfo = postgresql://u:ge%zzheim@h/d\n", 2, "invalid percent-encoded token", 1,
     "heim"},
    {"[pool a]\nconninfo = postgresql://u:geheim@[::1/d\n", 2, "libpq", 1, "geheim"},
    {"[pool a]\nconninfo = postgresql://u:geheim@h/d?sslmod=x\n", 2, "invalid URI query parameter",
     1, "geheim"},
    {"[pool a]\nconninfo = dbname=a replication=on\n", 2, "replication cannot be set here", 1,
     NULL},
    {"[pool a]\nconninfo = dbname=a connect_timeout=3\n", 2,
     "connect_timeout cannot be set here: use the option connect_timeout of the pool", 1, NULL},
    {"[pool a]\nconninfo = postgresql:///a?gssencmode=require\n", 2,
     "gssencmode cannot be set here", 1, NULL},
    {"[pool a]\nconninfo=dbname=a\n  size=3\n", 2, "(its indented lines, to line 3, continue it)",
     1, NULL},
    {POOL "min_size = 21\n", 3, "min_size (21) is larger than size (20)", 1, NULL},
    {POOL "min_size = 5\nsize = 4\n", 4, "min_size (5) is larger than size (4)", 1, NULL},
    {"[pgwith]\nmin_size=9\n" POOL "size = 4\n", 5, "min_size (9) is larger than size (4)", 1,
     NULL},
    {POOL "min_size = 21\nsize = many\n", 4, "size: \"many\": expected an integer from 1 to 10000",
     1, NULL},
    {POOL "size = 0\n", 3, "an integer from 1 to 10000", 1, NULL},
    {POOL "size =\n", 3, "size: \"\": expected an integer", 1, NULL},
    {POOL "size = 20 # big\n", 3, "\"20 # big\"", 1, NULL},
    {POOL "max_waiting = -1\n", 3, "from 0 to 1000000", 1, NULL},
    {POOL "wait_timeout = 5 minutes\n", 3, "a duration from 0 to 365d, like 250ms, 5s, 2min or 1h",
     1, NULL},
    {POOL "cleanup_timeout = 0\n", 3, "from 1ms to 1h", 1, NULL},
    {POOL "scope_deadline = -1s\n", 3,
     "scope_deadline: \"-1s\": expected a duration from 0 to 365d", 1, NULL},
    {POOL "idle_in_scope_timeout = never\n", 3, "idle_in_scope_timeout: \"never\"", 1, NULL},
    {POOL "query_timeout = 366d\n", 3, "from 0 to 365d", 1, NULL},
    {POOL "query_timout = 1s\n", 3, "did you mean \"query_timeout\"?", 1, NULL},
    {POOL "sise = 3\n", 3, "unknown option \"sise\"; did you mean \"size\"?", 1, NULL},
    {POOL "Size = 3\n", 3, "did you mean \"size\"?", 1, NULL},
    {POOL "frobnicate = 3\n", 3, "unknown option \"frobnicate\"; see pgwith.conf(5)", 1, NULL},
    {POOL "= 3\n", 3, "unknown option \"\"", 1, NULL},
    {POOL "port = 3\n", 3, "it belongs in [pgwith]", 1, NULL},
    {POOL "size = 1\nsize = 1\n", 4, "duplicate option size: the first is on line 3", 1, NULL},
    {POOL "size 3\n", 3, "expected NAME = VALUE", 1, NULL},
    {POOL "size 3", 3, "expected NAME = VALUE", 1, NULL},
    {POOL "size = 1\n  min_size = 1\n", 4, "size (line 3) takes only one: remove the indentation",
     1, NULL},
    {POOL "[pool b]\nconninfo=dbname=b\n[pool a]\n", 5,
     "duplicate section [pool a]: the first is on line 1", 1, NULL},
    {POOL "[pgwith]\n[pgwith]\nport=no\n", 4, "duplicate section [pgwith]: the first is on line 3",
     2, NULL},
    {POOL "[pgwith]\nport = 1\n[pool b]\nconninfo=dbname=b\n[pgwith]\nport = 2\n", 8,
     "duplicate option port: the first is on line 4", 2, NULL},
    {POOL "[pgwiht]\nport = 1\nwhat = 2\n", 3, "unknown section \"pgwiht\"", 1, NULL},
    {"[pols a]\nconninfo=dbname=a\n", 1, "did you mean \"pool\"?", 1, NULL},
    {"[orders]\nconninfo=dbname=a\n", 1, "expected [pgwith], [pool NAME], [scope NAME]", 1,
     "did you mean"},
    {"[]\n" POOL, 1, "unknown section \"\"", 1, NULL},
    {"[PGWITH]\n" POOL, 1, "did you mean \"pgwith\"?", 1, NULL},
    {"[pgwith all]\n" POOL, 1, "unknown section \"pgwith all\"", 1, NULL},
    {"[pool]\nconninfo=dbname=a\n", 1, "a pool without a name", 1, NULL},
    {"[pool   ]\n" POOL, 1, "a pool without a name", 1, NULL},
    {"[pool pgwith]\nconninfo=dbname=a\n", 1, "this name is the console's", 1, NULL},
    {"[pool a b]\nconninfo=dbname=a\n", 1, "letters, digits, _, - and . only", 1, NULL},
    {"[pool a/b]\nconninfo=dbname=a\n", 1, "\"a/b\"", 1, NULL},
    {"[pool \xc3\xa4]\nconninfo=dbname=a\n", 1, "\"\\xc3\\xa4\"", 1, NULL},
    {"[pool 0123456789012345678901234567890123456789012345678901234567890123]\nconninfo=dbname=a\n",
     1, "at most 63", 1, NULL},
    {"[pool a\nconninfo=dbname=a\n", 1, "no ] at the end", 1, NULL},
    {"[pool a] ]\nconninfo=dbname=a\n", 1, "text behind the ]", 1, NULL},
    {"[pool a] size=3\n", 1, "text behind the ]", 1, NULL},
    {POOL "[pgwith]\nlisten = run\n", 4, "listen: \"run\": expected an absolute path", 1, NULL},
    {POOL "[pgwith]\nlisten =\n", 4, "expected an absolute path", 1, NULL},
    {POOL "[pgwith]\nlisten = /run # here\n", 4, "a comment behind a value begins with ;", 1, NULL},
    {POOL "[pgwith]\nport=12345\nlisten = "
	  "/123456789x123456789x123456789x123456789x123456789x123456789x123456789x123456789x1234567"
	  "89x12\n",
     5, "has 108 bytes; the system's maximum is 107", 1, NULL},
    {POOL
     "[pgwith]\nlisten = "
     "/5678901234567890123456789012345678901234567890123456789012345678901234567890123456789012"
     "/5678901234567890123456789012345678901234567890123456789012345678901234567890123456789012\n",
     4, "or more; the system's maximum is 107", 1, NULL},
    {POOL "[pgwith]\nport = http\n", 4, "port: \"http\": expected an integer from 1 to 65535", 1,
     NULL},
    {POOL "[pgwith]\nport = 0\n", 4, "from 1 to 65535", 1, NULL},
    {POOL "[pgwith]\nport = 65536\n", 4, "from 1 to 65535", 1, NULL},
    {POOL "[pgwith]\nsocket_mode = rw\n", 4, "an octal number from 0000 to 0777", 1, NULL},
    {POOL "[pgwith]\nsocket_mode = 0888\n", 4, "an octal number", 1, NULL},
    {POOL "users = a,,b\n", 3, "users: item 2, \"\": an empty item", 1, NULL},
    {POOL "users = a b\n", 3, "a blank inside a name", 1, NULL},
    {POOL "users = a:b\n", 3, "more than one colon", 1, NULL},
    {POOL "users = @\n", 3, "no group behind the @", 1, NULL},
    {POOL "users = @*\n", 3, "an asterisk stands alone", 1, NULL},
    {POOL "users = a*\n", 3, "an asterisk stands alone", 1, NULL},
    {POOL "users = role:\n", 3, "no role behind role:", 1, NULL},
    {POOL "users = role:*\n", 3, "everybody is written * alone", 1, NULL},
    {POOL "users = role:a:b\n", 3, "more than one colon", 1, NULL},
    {POOL "[pgwith]\nauth =\n", 4, "\"\": expected peer, scram-sha-256, or both", 1, NULL},
    {POOL "[pgwith]\nauth = trust\n", 4, "\"trust\": expected peer", 1, NULL},
    {POOL "[pgwith]\nauth = peer, peer\n", 4, "a method stands there twice", 1, NULL},
    {POOL "[pgwith]\nauth_console = peer,\n", 4, "\"\": expected peer", 1, NULL},
    {POOL "[pgwith]\nauth = scram-sha-256, peer\n", 4, "peer is always tried first", 1, NULL},
    {POOL "[pgwith]\nauth = scram-sha-256\n", 4, "auth: scram-sha-256 needs the passwords", 1,
     NULL},
    {POOL "[pgwith]\nauth_console = peer, scram-sha-256\n", 4, "auth_console: scram-sha-256 needs",
     1, NULL},
    {POOL "[pgwith]\nauth_file = users.txt\n", 4, "expected an absolute path", 1, NULL},
    {POOL "[pgwith]\nauth_file = /nonexistent/users.txt\n", 4,
     "auth_file: /nonexistent/users.txt: cannot open", 1, NULL},
    {POOL "[pgwith]\nauth_pool = b\n", 4, "auth_pool: there is no pool \"b\"", 1, NULL},
    {POOL "role = client\n[pgwith]\nauth_pool = a\n", 5, "auth_pool: pool \"a\" has role = client",
     1, NULL},
    {POOL "[pgwith]\nauth_delay = 2min\n", 4, "auth_delay", 1, NULL},
    {POOL "users = 4294967295\n", 3, "not a uid", 1, NULL},
    {POOL "users = 99999999999999999999\n", 3, "not a uid", 1, NULL},
    {POOL "users = @4294967295\n", 3, "not a gid", 1, NULL},
    {POOL "[pgwith]\nlog_level = loud\n", 4, "one of debug, info, warn, error", 1, NULL},
    {POOL "[pgwith]\nlog_connections = maybe\n", 4, "on or off", 1, NULL},
    {POOL "[pgwith]\nallow = a,,b\n", 4, "item 2, \"\": an empty item", 1, NULL},
    {POOL "[pgwith]\nallow = a,\n", 4, "item 2, \"\": an empty item", 1, NULL},
    {POOL "[pgwith]\nallow = ,a\n", 4, "item 1, \"\": an empty item", 1, NULL},
    {POOL "[pgwith]\nallow = www data\n", 4, "a blank inside a name", 1, NULL},
    {POOL "[pgwith]\nallow = www-data: app\n", 4, "a blank inside a name", 1, NULL},
    {POOL "[pgwith]\nallow = :app\n", 4, "no user before the colon", 1, NULL},
    {POOL "[pgwith]\nallow = www-data:\n", 4, "no role behind the colon", 1, NULL},
    {POOL "[pgwith]\nallow = a:b:c\n", 4, "more than one colon", 1, NULL},
    {POOL "[pgwith]\nallow = *:app\n", 4, "everyone is written without a user", 1, NULL},
    {POOL "[pgwith]\nallow = app*\n", 4, "an asterisk stands alone", 1, NULL},
    {POOL "[pgwith]\nallow = 4294967295:app\n", 4, "not a uid", 1, NULL},
    {POOL "[pgwith]\nadmin_users = *\n", 4, "everyone cannot be meant here", 1, NULL},
    {POOL "[pgwith]\nstats_users = a b\n", 4, "a blank inside a name", 1, NULL},
    {POOL "[pgwith]\nstats_users = a:b\n", 4, "item 1", 1, NULL},
    {POOL "[scope]\n", 3, "a scope without a name: expected [scope NAME]", 1, NULL},
    {POOL "[scope \t]\nenter = COMMIT\n", 3, "a scope without a name", 1, NULL},
    {POOL "[scopes x]\n", 3, "did you mean \"scope\"?", 1, NULL},
    {POOL "[scope lock]\n", 3,
     "a scope cannot be named \"lock\": LOCK, SEMAPHORE, ALL and ROLLBACK are words of ENTER and "
     "LEAVE",
     1, NULL},
    {POOL "[scope Semaphore]\n", 3, "cannot be named \"Semaphore\"", 1, NULL},
    {POOL "[scope ALL]\n", 3, "cannot be named \"ALL\"", 1, NULL},
    {POOL "[scope rollback]\n", 3, "cannot be named \"rollback\"", 1, NULL},
    {POOL "[scope a b]\n", 3,
     "a scope cannot be named \"a b\": expected letters, digits, _, - and . only", 1, NULL},
    {POOL "[scope 0123456789012345678901234567890123456789012345678901234567890123]\n", 3,
     "at most 63", 1, NULL},
    {POOL "[scope a]\n[scope b]\n[scope a]\n", 5,
     "duplicate section [scope a]: the first is on line 3", 1, NULL},
    {POOL "[scope a]\nsize = 3\n", 4,
     "option size is not one of a scope: it belongs in [pool NAME]", 1, NULL},
    {POOL "[scope a]\nport = 3\n", 4, "option port is not one of a scope: it belongs in [pgwith]",
     1, NULL},
    {POOL "enter = SELECT 1\n", 3, "option enter is not one of a pool: it belongs in [scope NAME]",
     1, NULL},
    {POOL "[pgwith]\ndeadline = 3\n", 4,
     "option deadline is not one of [pgwith]: it belongs in [scope NAME]", 1, NULL},
    {POOL "[scope a]\nentre = SELECT 1\n", 4, "unknown option \"entre\"; did you mean \"enter\"?",
     1, NULL},
    {POOL "[scope a]\nzise = 1\n", 4, "unknown option \"zise\"; see pgwith.conf(5)", 1, NULL},
    {POOL "read_only = a\n", 3, "read_only: pool \"a\" names itself", 1, NULL},
    {POOL "read_only = ordres\n[pool orders]\nconninfo = dbname=b\n", 3,
     "read_only: there is no pool \"ordres\"; did you mean \"orders\"?", 1, NULL},
    {"[pgwith]\nread_only = a\n" POOL, 2, "read_only: pool \"a\" names itself", 1, NULL},
    {POOL "read_only = b\nmode = session\n[pool b]\nconninfo = dbname=b\n", 3,
     "read_only: pool \"a\" has mode = session", 1, NULL},
    {POOL "read_only = b\n[pool b]\nconninfo = dbname=b\nread_only = a\n", 3,
     "read_only: pool \"a\" comes back to itself", 2, NULL},
    {POOL "[scope a]\npool = b\n", 4, "pool: there is no pool \"b\"", 1, "did you mean"},
    {"[pool orders]\nconninfo=dbname=a\n[scope a]\npool = ordres\n", 4,
     "pool: there is no pool \"ordres\"; did you mean \"orders\"?", 1, NULL},
    {"[scope a]\npool = b\n", 2, "there is no pool \"b\"", 2, NULL},
    /* A pool that was not understood may be the one. */
    {"[poool b]\nconninfo=dbname=b\n[scope a]\npool = b\n", 1, "unknown section", 1, "there is no"},
    {POOL "[scope a]\nwait = -1\n", 4,
     "wait: \"-1\": expected a duration from 0 to 365d, like 250ms, 5s, 2min or 1h", 1, NULL},
    {POOL "[scope a]\ndeadline =\n", 4, "deadline: \"\": expected a duration", 1, NULL},
    {POOL "[scope a]\nisolation = snapshot\n", 4,
     "isolation: \"snapshot\": expected one of default, serializable, repeatable read, read "
     "committed, read uncommitted",
     1, NULL},
    {POOL "[scope a]\naccess = readonly\n", 4,
     "access: \"readonly\": expected one of default, read only, read write", 1, NULL},
    {POOL "[scope a]\nsuppress = maybe\n", 4, "suppress: \"maybe\": expected on or off", 1, NULL},
    {POOL "[scope a]\nsuppress = on\n off\n", 5, "suppress (line 4) takes only one", 1, NULL},
#define ITSELF "pgwith itself begins and ends the transactions and savepoints of a scope"
    {POOL "[scope a]\nenter = BEGIN\n", 4, "enter: \"BEGIN\" cannot stand here: " ITSELF, 1, NULL},
    {POOL "[scope a]\nenter = start transaction read only\n", 4, ITSELF, 1, NULL},
    {POOL "[scope a]\non_commit = SELECT 1; COMMIT ;\n", 4,
     "on_commit: \"COMMIT\" cannot stand here: " ITSELF, 1, NULL},
    {POOL "[scope a]\non_commit =\n  SELECT 1;\n\n  # and\n  END\n  WORK;\n", 8,
     "on_commit: \"END\" cannot stand here: " ITSELF, 1, NULL},
    {POOL "[scope a]\non_rollback = ROLLBACK\n", 4, "on_rollback: \"ROLLBACK\" cannot", 1, NULL},
    {POOL "[scope a]\ncleanup = /* a */ ABORT\n", 4, "cleanup: \"ABORT\" cannot", 1, NULL},
    {POOL "[scope a]\ncleanup = SAVEPOINT x\n", 4, ITSELF, 1, NULL},
    {POOL "[scope a]\ncleanup = RELEASE x\n", 4, ITSELF, 1, NULL},
    {POOL "[scope a]\ncleanup = ROLLBACK TO x\n", 4, ITSELF, 1, NULL},
    {POOL "[scope a]\nenter = PREPARE TRANSACTION 'x'\n", 4, ITSELF, 1, NULL},
    {POOL "[scope a]\nenter = ENTER b\n", 4,
     "enter: \"ENTER b\" cannot stand here: the server does not know the statements of scopes", 1,
     NULL},
    {POOL "[scope a]\nenter = SELECT 1;exit\n", 4, "\"exit\" cannot stand here: the server", 1,
     NULL},
    {POOL "[scope a]\nenter = use b\n", 4, "\"use b\" cannot", 1, NULL},
    {POOL "[scope a]\nenter = DEFER 'SELECT 1'\n", 4, "\"DEFER 'SELECT 1'\" cannot", 1, NULL},
    {POOL "[scope a]\nenter = SHOW SCOPES\n", 4, "\"SHOW SCOPES\" cannot", 1, NULL},
    {POOL "[scope a]\nenter = COPY t FROM STDIN\n", 4,
     "enter: \"COPY t FROM STDIN\" cannot stand here: there is no client that could send or take "
     "the data",
     1, NULL},
    {POOL "[scope a]\nenter = copy t (a, b) from\n  stdin with (format csv)\n", 4, "no client", 1,
     NULL},
    {POOL "[scope a]\nenter = COPY (SELECT * FROM t) TO STDOUT\n", 4, "no client", 1, NULL},
    {POOL "[scope a]\nenter = SELECT 'a\n", 4,
     "enter: \"SELECT 'a\" cannot stand here: a quote or comment does not end", 1, NULL},
    {POOL "[scope a]\nenter = SELECT 1;\n\tSELECT 2 /* a\n", 5, "does not end", 1, NULL},
    {POOL "[scope a]\nenter = /* SELECT 2\n", 4,
     "enter: \"/* SELECT 2\" cannot stand here: a quote", 1, NULL},
    {POOL "[scope a]\nenter = SELECT $x$ a\n", 4, "does not end", 1, NULL},
    {POOL "[scope a]\nenter = SELECT $0\n", 4,
     "enter: \"SELECT $0\" cannot stand here: $0: expected $1 to $64", 1, NULL},
    {POOL "[scope a]\nenter = SELECT $65\n", 4, "$65: expected $1 to $64", 1, NULL},
    {POOL "[scope a]\nenter = SELECT $4294967297\n", 4, "$4294967297: expected $1 to $64", 1, NULL},
    {POOL "[scope a]\nenter = SET LOCAL app.x = $1\n", 4,
     "SET takes no arguments: use SELECT set_config('NAME', $1, true)", 1, NULL},
    {POOL "[scope a]\nenter = SELECT $1\ncleanup = SELECT 1;\n SELECT $3\n", 5,
     "cleanup: $3 is used, but $2 nowhere in scope \"a\"", 1, NULL},
    {POOL "[scope a]\nenter = SELECT $64\n", 4, "enter: $64 is used, but $1 nowhere in scope \"a\"",
     1, NULL},
    /* The missing one may be in what was refused. */
    {POOL "[scope a]\nenter = SELECT $1;BEGIN\ncleanup = SELECT $2\n", 4, ITSELF, 1, NULL},
    {POOL "[scope a]\nenter = SELECT $1\n  , $3\non_commit = END\nwhat = 1\n", 6, ITSELF, 2,
     "is used"},
    {POOL "cluster = mian\n[cluster main]\nserver_limit = 5\n", 3,
     "cluster: there is no section [cluster \"mian\"]; did you mean \"main\"?", 1, NULL},
    {POOL "[cluster main]\n", 3, "cluster \"main\" has no server_limit: expected one", 1, NULL},
    {POOL "[cluster main]\nserver_limit = 0\n", 4, "an integer from 1 to 100000", 1, NULL},
    {POOL "cluster = m\nmin_size = 3\n[cluster m]\nserver_limit = 2\n", 6,
     "the min_size of its pools (3 together) is more than server_limit (2)", 1, NULL},
    {POOL "cluster = m\nmin_size = 2\n[pool b]\nconninfo=dbname=b\ncluster = m\n[cluster m]\n"
	  "server_limit = 2\n",
     9, "and pool \"b\" could never have a server", 1, NULL},
    {POOL "[cluster a b]\nserver_limit = 2\n", 3, "letters, digits, _, - and . only", 1, NULL},
    {POOL "max_servers = 2\n", 3, "it belongs in [role NAME] or [uid NUMBER]", 1, NULL},
    {POOL "[role app]\nsize = 2\n", 4,
     "option size is not one of a role: it belongs in [pool NAME]", 1, NULL},
    {POOL "[role app]\nmax_clients = -1\n", 4, "an integer from 0 to 1000000", 1, NULL},
    {POOL "[role app]\npriority = 1h\n", 4, "an integer from 0 to 3600", 1, NULL},
    {POOL "[role app]\n[role app]\n", 4, "duplicate section [role app]: the first is on line 3", 1,
     NULL},
    {POOL "[uid www-data]\n", 3, "expected the number of a user", 1, NULL},
    {POOL "[uid -1]\n", 3, "expected the number of a user", 1, NULL},
    {POOL "[role]\n", 3, "a role without a name", 1, NULL},
    /* Outside of lists of statements, a ; is what it always was. */
    {POOL "[scope a]\nwait = 1s ; SELECT\nisolation = read ; only\n", 5, "isolation: \"read\"", 1,
     NULL},
    {POOL "[scope a]\nenter ; = SELECT 1\n", 4, "expected NAME = VALUE", 1, NULL},
    {POOL "\x1b[2J = 3\n", 3, "a control character (0x1b) in column 1", 1, "\x1b"},
    {POOL "size\xff = 3\n", 3, "unknown option \"size\\xff\"", 1, "\xff"},
};

START_TEST(what_is_wrong_is_named_with_its_line)
{
	struct conf_problems p;
	bool found = false;

	ck_assert_msg(conf_load_bytes(broken[_i].text, strlen(broken[_i].text), &p) == NULL,
		      "loaded:\n%s", broken[_i].text);
	for (unsigned i = 0; i < p.count; i++) {
		ck_assert_str_eq(p.list[i].file, conf_text_path);
		found |= p.list[i].line == broken[_i].line &&
			 strstr(p.list[i].text, broken[_i].words) != NULL;
		if (broken[_i].but)
			ck_assert_msg(strstr(p.list[i].text, broken[_i].but) == NULL, "%s",
				      p.list[i].text);
	}
	ck_assert_msg(found && (broken[_i].count == 0 || broken[_i].count == p.count),
		      "%u problems; first line %u: %s\nfile:\n%s", p.count,
		      p.count ? p.list[0].line : 0, p.count ? p.list[0].text : "", broken[_i].text);
	conf_problems_clear(&p);
}
END_TEST

START_TEST(all_problems_come_at_once_in_the_order_of_lines)
{
	static const char text[] =
	    "x = 1\n[pgwith]\nsize = 0\nport = no\n[pool a]\nmin_size = 1d\nbad\n[pool b]\n"
	    "conninfo = x\n[what]\n";
	static const unsigned lines[] = {1, 3, 4, 5, 6, 7, 9, 10};
	struct conf_problems p;

	ck_assert_ptr_null(conf_load_bytes(text, strlen(text), &p));
	ck_assert_uint_eq(p.count, sizeof lines / sizeof *lines);
	for (unsigned i = 0; i < p.count; i++)
		ck_assert_uint_eq(p.list[i].line, lines[i]);
	conf_problems_clear(&p);
	ck_assert_ptr_null(p.list);
}
END_TEST

START_TEST(a_file_that_cannot_be_read_says_why)
{
	struct conf_problems p;

	ck_assert_ptr_null(conf_load("/nonexistent/pgwith.conf", &p));
	ck_assert_uint_eq(p.count, 1);
	ck_assert_uint_eq(p.list[0].line, 0);
	ck_assert_str_eq(p.list[0].text, "cannot open: No such file or directory");
	conf_problems_clear(&p);
	ck_assert_ptr_null(conf_load(conf_text_dir, &p));
	ck_assert_uint_eq(p.count, 1);
	ck_assert_str_eq(p.list[0].text, "cannot read: Is a directory");
	conf_problems_clear(&p);
}
END_TEST

START_TEST(hostile_files_are_refused)
{
	static const char nul[] = "[pool a]\nconninfo=dbname=a\0 password=x\nsize\0=3\n";
	struct conf_problems p;
	size_t bytes = (1 << 20) + 1;
	char *big = mem_alloc(bytes);

	ck_assert_ptr_null(conf_load_bytes(nul, sizeof nul - 1, &p));
	ck_assert_uint_eq(p.count, 3);
	ck_assert_uint_eq(p.list[1].line, 2);
	ck_assert_str_eq(p.list[1].text, "a NUL byte (0x00) in column 18: expected a text file");
	ck_assert_uint_eq(p.list[2].line, 3);
	conf_problems_clear(&p);

	memset(big, 'x', bytes);
	ck_assert_ptr_null(conf_load_bytes(big, bytes, &p));
	ck_assert_uint_eq(p.count, 1);
	ck_assert_str_eq(p.list[0].text, "too long: the maximum is 1048576 bytes");
	conf_problems_clear(&p);
	ck_assert_ptr_null(conf_load_bytes(big, bytes - 1, &p));
	ck_assert_uint_eq(p.list[0].line, 1);
	ck_assert_ptr_nonnull(strstr(p.list[0].text, "the line has 1048576 bytes"));
	conf_problems_clear(&p);

	memset(big, '\n', bytes - 1);
	ck_assert_ptr_null(conf_load_bytes(big, bytes - 1, &p));
	ck_assert_uint_eq(p.count, 1);
	conf_problems_clear(&p);
	for (size_t i = 0; i + 1 < bytes; i += 2)
		big[i] = 'x';
	ck_assert_ptr_null(conf_load_bytes(big, bytes - 1, &p));
	ck_assert_uint_eq(p.count, CONF_PROBLEMS_MAX + 1);
	ck_assert_ptr_nonnull(
	    strstr(p.list[CONF_PROBLEMS_MAX].text, "more problems are not shown"));
	conf_problems_clear(&p);
	free(big);
}
END_TEST

/* Mutations of a good file: whatever comes, there is an answer, and it is one of the two. */
START_TEST(random_bytes_get_an_answer)
{
	static const char seed_text[] =
	    "[pgwith]\nlisten=/x\nallow=a,b:c\nport=3\n[pool a]\nconninfo=dbname=a\n"
	    "  user=b\nsize=3 ; s\n# c\n[pool b]\nconninfo=postgresql://u:p@h/d\n"
	    "[scope s]\npool=a\nenter=SELECT $1, $2 ; SELECT 'x;y' ;\n  CALL f()\nwait=1\n";
	static const char spice[] = "[]=:;#\n\n \t\r,*'\"\\%@\0\xff";
	unsigned loaded = 0;

	srand(_i + 1);
	for (unsigned round = 0; round < 300; round++) {
		char text[sizeof seed_text + 400];
		size_t n = sizeof seed_text - 1;
		struct conf_problems p;
		struct conf *c;

		memcpy(text, seed_text, n);
		for (int k = rand() % 6; k >= 0; k--) {
			size_t at = rand() % n;

			if (rand() % 8 == 0 && n < sizeof seed_text) {
				memmove(text + at + 300, text + at, n - at);
				memset(text + at, spice[rand() % sizeof spice], 300);
				n += 300;
			} else {
				text[at] = spice[rand() % sizeof spice];
			}
		}
		c = conf_load_bytes(text, n, &p);
		ck_assert_msg((c != NULL) == (p.count == 0), "seed %d round %u", _i + 1, round);
		loaded += c != NULL;
		for (unsigned i = 0; i < p.count; i++)
			for (const char *t = p.list[i].text; *t; t++)
				ck_assert_uint_ge((unsigned char)*t, ' ');
		conf_problems_clear(&p);
		conf_free(c);
	}
	ck_assert_uint_gt(loaded, 0);
}
END_TEST

START_TEST(show_config_lists_every_option_with_its_source)
{
	struct conf *c =
	    conf_good("[pgwith]\nport=7000\nsize=9\n[pool a]\nconninfo=user=u password=geheim\n"
		      "min_size=1\n[pool "
		      "b]\nconninfo=postgresql://u:geheim@h/d?sslpassword=geheim\nsize=3\n");
	unsigned n = conf_entries(c), seen = 0;
	char *source7000 = mem_printf("%s:2", conf_text_path),
	     *source9 = mem_printf("%s:3", conf_text_path);

	for (unsigned i = 0; i < n; i++) {
		struct conf_entry e;

		conf_entry(c, i, &e);
		ck_assert_ptr_null(strstr(e.value, "geheim"));
		ck_assert_int_eq(e.changeable,
				 strcmp(e.name, "listen") != 0 && strcmp(e.name, "port") != 0 &&
				     strcmp(e.name, "role") != 0 && strcmp(e.name, "io") != 0 &&
				     strncmp(e.name, "socket_", 7) != 0);
		ck_assert_uint_gt(strlen(e.help), 0);
		if (strcmp(e.name, "port") == 0) {
			ck_assert_str_eq(e.section, "pgwith");
			ck_assert_str_eq(e.value, "7000");
			ck_assert_str_eq(e.default_text, "6432");
			ck_assert_str_eq(e.source, source7000);
			seen |= 1;
		} else if (strcmp(e.name, "size") == 0 && strcmp(e.section, "pool a") == 0) {
			ck_assert_str_eq(e.value, "9");
			ck_assert_str_eq(e.source, source9);
			seen |= 2;
		} else if (strcmp(e.name, "conninfo") == 0 && strcmp(e.section, "pool a") == 0) {
			ck_assert_str_eq(e.value, "user=u password=********");
			ck_assert_ptr_null(e.default_text);
			seen |= 4;
		} else if (strcmp(e.name, "retry_delay") == 0 && strcmp(e.section, "pool b") == 0) {
			ck_assert_str_eq(e.value, "1s");
			ck_assert_str_eq(e.source, "default");
			ck_assert_uint_lt(i, n);
			seen |= 8;
		}
		conf_entry_clear(&e);
	}
	ck_assert_uint_eq(seen, 15);
	free(source7000);
	free(source9);
	conf_free(c);
}
END_TEST

static const struct {
	const char *allow;
	uid_t uid;
	const char *user;
	const char *role;
	bool expected;
} allows[] = {
    {"", 0, "root", "anyone", true},
    {"", 0, "", "anyone", true},
    {"", 500, "self", "anyone", true},
    {"", 33, "www-data", "www-data", true},
    {"", 33, "www-data", "app", false},
    {"", 33, "www-data", "www-dat", false},
    {"", 33, "", "", false},
    {"*", 33, "www-data", "postgres", true},
    {"*", 33, "", "postgres", true},
    {"app", 33, "www-data", "app", true},
    {"app", 33, "", "app", true},
    {"app", 33, "www-data", "app2", false},
    {"app", 33, "www-data", "ap", false},
    {"app", 33, "www-data", "APP", false},
    {"app", 33, "www-data", "www-data", true},
    {"x, app ,y", 33, "www-data", "app", true},
    {"www-data:app", 33, "www-data", "app", true},
    {"www-data:app", 34, "backup", "app", false},
    {"www-data:app", 33, "www-data", "other", false},
    {"www-data:app", 33, "", "app", false},
    {"www-data:*", 33, "www-data", "postgres", true},
    {"www-data:*", 34, "backup", "postgres", false},
    {"33:app", 33, "", "app", true},
    {"33:app", 34, "33", "app", false},
    {"33:*", 33, "www-data", "any", true},
    {"033:app", 33, "", "app", true},
    {"root:app", 33, "www-data", "app", false},
    {"a:b", 33, "www-data", "a:b", false},
    {"app", 33, "www-data", "*", false},
    {"app", 33, "www-data", "", false},
};

START_TEST(allow_lets_in_whom_it_names)
{
	char *text =
	    mem_printf("[pgwith]\nallow=%s\n[pool a]\nconninfo=dbname=a\n", allows[_i].allow);
	struct conf *c = conf_good(text);

	struct access_user u = {.uid = allows[_i].uid, .name = allows[_i].user};

	ck_assert_msg(
	    (access_role(c, 500, &u, allows[_i].role) == ACCESS_YES) == allows[_i].expected,
	    "allow=%s user=%s role=%s", allows[_i].allow, allows[_i].user, allows[_i].role);
	/* Without its name: the same, or it must be asked for; never more. */
	u.name = NULL;
	ck_assert(access_role(c, 500, &u, allows[_i].role) !=
		  (allows[_i].expected ? ACCESS_NO : ACCESS_YES));
	conf_free(c);
	free(text);
}
END_TEST

/* Who may use a pool. Groups that were asked for: staff, of which anna is a member, and extra, in
 * which her process runs. */
static const struct {
	const char *users, *role, *login;
	uid_t uid;
	const char *name; /* NULL: it is not known yet */
	enum access expected;
} uses[] = {
    {"", "fixed", "app", 0, NULL, ACCESS_YES},
    {"", "fixed", "app", 500, NULL, ACCESS_YES},
    {"bert", "fixed", "app", 0, NULL, ACCESS_YES},
    {"bert", "fixed", "app", 500, NULL, ACCESS_YES},
    {"", "fixed", "app", 33, NULL, ACCESS_ASK},
    {"", "fixed", "app", 33, "anna", ACCESS_NO},
    {"", "fixed", "anna", 33, "anna", ACCESS_YES},
    {"", "fixed", "ann", 33, "anna", ACCESS_NO},
    {"", "fixed", "", 33, "", ACCESS_NO},
    {"", "fixed", NULL, 33, "anna", ACCESS_NO},
    {"", "client", NULL, 33, NULL, ACCESS_YES},
    {"bert", "client", NULL, 33, "anna", ACCESS_NO},
    {"bert", "fixed", "anna", 33, "anna", ACCESS_NO},
    {"*", "fixed", "app", 33, NULL, ACCESS_YES},
    {"bert, *", "fixed", "app", 33, NULL, ACCESS_YES},
    {"33", "fixed", "app", 33, NULL, ACCESS_YES},
    {"033", "fixed", "app", 33, NULL, ACCESS_YES},
    {"33", "fixed", "app", 34, NULL, ACCESS_NO},
    {"33", "fixed", "app", 34, "33", ACCESS_NO},
    {"anna", "fixed", "app", 33, NULL, ACCESS_ASK},
    {"anna, 33", "fixed", "app", 33, NULL, ACCESS_YES},
    {" bert ,\tanna ", "fixed", "app", 33, "anna", ACCESS_YES},
    {"ANNA", "fixed", "app", 33, "anna", ACCESS_NO},
    {"anna", "fixed", "app", 33, "", ACCESS_NO},
    {"@staff", "fixed", "app", 33, NULL, ACCESS_ASK},
    {"@staff", "fixed", "app", 33, "anna", ACCESS_YES},
    {"staff", "fixed", "app", 33, "anna", ACCESS_NO},
    {"@anna", "fixed", "app", 33, "anna", ACCESS_ASK}, /* that one was not asked for */
    {"@anna, anna", "fixed", "app", 33, "anna", ACCESS_YES},
    {"@extra", "fixed", "app", 33, "anna", ACCESS_YES},
    {"@101", "fixed", "app", 33, NULL, ACCESS_YES},
    {"@none", "fixed", "app", 33, "anna", ACCESS_NO},
};

/* Roles that were proved by a password. */
static const struct {
	const char *users, *role, *login, *proved;
	bool expected;
} proofs[] = {
    {"", "fixed", "app", "app", true},
    {"", "fixed", "app", "other", false},
    {"", "fixed", NULL, "app", false},
    {"", "client", NULL, "anyone", true},
    {"*", "fixed", "app", "other", true},
    {"role:app", "fixed", "db", "app", true},
    {"role:app", "fixed", "db", "ap", false},
    {"role:app", "fixed", "db", "role:app", false},
    {"www-data, role:app , role:b", "client", NULL, "b", true},
    {"www-data, role:app", "client", NULL, "www-data", false},
    {"role:app", "fixed", "other", "other", false},
    {"@app, 33", "fixed", "app", "app", false},
};

START_TEST(users_let_in_whom_a_password_proves)
{
	char *text = mem_printf("[pool a]\nconninfo=dbname=a\nrole=%s\nusers=%s\n", proofs[_i].role,
				proofs[_i].users);
	struct conf *c = conf_good(text);

	ck_assert_int_eq(access_pool_role(&c->pools[0], proofs[_i].login, proofs[_i].proved),
			 proofs[_i].expected);
	/* An item of a role names no user of the system of that name. */
	if (strncmp(proofs[_i].users, "role:", 5) == 0) {
		struct access_user u = {.uid = 1001, .name = proofs[_i].proved};

		ck_assert_int_eq(access_pool(&c->pools[0], proofs[_i].login, 500, &u), ACCESS_NO);
	}
	conf_free(c);
	free(text);
}
END_TEST

START_TEST(methods_of_a_list)
{
	ck_assert_uint_eq(auth_methods("peer"), AUTH_PEER);
	ck_assert_uint_eq(auth_methods(" SCRAM-SHA-256 "), AUTH_SCRAM);
	ck_assert_uint_eq(auth_methods("peer,scram-sha-256"), AUTH_PEER | AUTH_SCRAM);
	ck_assert_uint_eq(auth_methods("peer , Scram-Sha-256"), AUTH_PEER | AUTH_SCRAM);
}
END_TEST

START_TEST(users_let_in_whom_they_name)
{
	char *text = mem_printf("[pool a]\nconninfo=dbname=a\nrole=%s\nusers=%s\n", uses[_i].role,
				uses[_i].users);
	struct conf *c = conf_good(text);
	const struct access_group groups[] = {
	    {"staff", 100, true}, {"extra", 101, false}, {"none", (gid_t)-1, false}};
	const gid_t gids[] = {(gid_t)33, 101};
	struct access_user u = {
	    .uid = uses[_i].uid, .name = uses[_i].name, .gids = gids, .ngids = 2};

	if (u.name) {
		u.groups = groups;
		u.ngroups = 3;
	}
	ck_assert_msg(access_pool(&c->pools[0], uses[_i].login, 500, &u) == uses[_i].expected,
		      "users=%s uid=%u", uses[_i].users, (unsigned)u.uid);
	conf_free(c);
	free(text);
}
END_TEST

/* Names that the system must be asked for are not asked for by a load. */
START_TEST(names_of_the_system_are_checked_apart)
{
	static const char *const wrong[] = {"socket_owner = no-such-user-here",
					    "socket_group = no-such-group-here"};
	struct conf_problems p = {NULL, 0};

	for (unsigned i = 0; i < 2; i++) {
		char *text = mem_printf("%s[pgwith]\n%s\n", POOL, wrong[i]);
		struct conf *c = conf_good(text);

		conf_check_names(c, &p);
		ck_assert_uint_eq(p.count, 1);
		ck_assert_uint_eq(p.list[0].line, 4);
		ck_assert_ptr_nonnull(strstr(p.list[0].text, "there is none of that name"));
		conf_problems_clear(&p);
		conf_free(c);
		free(text);
	}
}
END_TEST

/* As it is, and with every option that it shows with its default. */
START_TEST(the_sample_file_is_good)
{
	const char *srcdir = getenv("PGWITH_SRCDIR");
	char *sample = mem_printf("%s/conf/pgwith.conf", srcdir ? srcdir : ".");
	char text[32 << 10];
	FILE *f = fopen(sample, "r");
	unsigned shown = 0, count;
	struct conf *c;
	size_t n;

	ck_assert_ptr_nonnull(f);
	n = fread(text, 1, sizeof text - 1, f);
	text[n] = '\0';
	fclose(f);
	free(sample);
	c = conf_good(text);
	ck_assert_ptr_nonnull(conf_pool(c, "app"));
	conf_free(c);
	for (char *p = text; (p = strstr(p, "\n#")) != NULL; p++) {
		if ((p[2] >= 'a' && p[2] <= 'z') || p[2] == '[') {
			memmove(p + 1, p + 2, strlen(p + 2) + 1);
			shown++;
		}
	}
	c = conf_good(text);
	option_table(&count);
	/* all but conninfo, and [scope tenant], [cluster main], [role batch] */
	ck_assert_uint_eq(shown, count + 2);
	ck_assert_ptr_nonnull(conf_scope(c, "tenant"));
	ck_assert_int_eq(c->pools[0].cleanup_timeout_us, 5 * UNIT_S);
	conf_free(c);
}
END_TEST

/* The literal blocks of pgwith.conf(5), EXAMPLES, are one file. */
START_TEST(the_examples_of_the_manual_are_good)
{
	const char *srcdir = getenv("PGWITH_SRCDIR");
	char *page = mem_printf("%s/man/pgwith.conf.5", srcdir ? srcdir : ".");
	char line[512], text[16 << 10] = "";
	FILE *f = fopen(page, "r");
	bool examples = false, literal = false;
	struct conf *c;

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof line, f)) {
		if (strncmp(line, ".Bd ", 4) == 0 || strncmp(line, ".Ed", 3) == 0)
			literal = line[1] == 'B' && examples;
		else if (strncmp(line, ".Sh ", 4) == 0)
			examples = strcmp(line, ".Sh EXAMPLES\n") == 0;
		else if (strncmp(line, ".Ss ", 4) == 0)
			examples = strcmp(line, ".Ss Limits that cross pools\n") == 0 ||
				   strncmp(line, ".Ss Transactions that only read", 31) == 0;
		else if (literal)
			strncat(text, line, sizeof text - strlen(text) - 1);
	}
	fclose(f);
	free(page);
	ck_assert_ptr_null(strchr(text, '\\'));
	c = conf_good(text);
	ck_assert_uint_eq(c->npools, 6);
	ck_assert_int_eq(conf_cluster(c, "main")->server_limit, 80);
	ck_assert_int_eq(conf_limits(c, CONF_PARTY_ROLE, "batch")->max_servers, 4);
	ck_assert_str_eq(conf_pool(c, "shop")->read_only, "shop-standby");
	ck_assert_uint_eq(c->nscopes, 2);
	ck_assert_int_eq(conf_scope(c, "tenant")->wait_us, 2 * UNIT_S);
	ck_assert_uint_eq(conf_scope(c, "tenant")->enter.count, 2);
	ck_assert_uint_eq(conf_scope(c, "tenant")->nargs, 1);
	ck_assert_uint_eq(conf_scope(c, "nightly")->enter.count, 2);
	conf_free(c);
}
END_TEST

START_TEST(lists_are_exact)
{
	ck_assert(conf_listed("a", "a"));
	ck_assert(conf_listed(" x ,\tb , y", "b"));
	ck_assert(!conf_listed("", "a"));
	ck_assert(!conf_listed("", ""));
	ck_assert(!conf_listed("a,,b", ""));
	ck_assert(!conf_listed("ab", "a"));
	ck_assert(!conf_listed("a", "ab"));
	ck_assert(!conf_listed("a b", "a"));
	ck_assert(!conf_listed("a", "A"));
	ck_assert(!conf_listed("a,b", "a,b"));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("conf");
	TCase *t = tcase_create("conf");
	SRunner *r = srunner_create(s);
	int failed;

	if (!conf_text_begin())
		return EXIT_FAILURE;
	tcase_set_timeout(t, 60);
	tcase_add_test(t, an_empty_section_gets_the_defaults);
	tcase_add_test(t, every_option_can_be_set);
	tcase_add_test(t, pools_inherit_from_pgwith_in_any_order);
	tcase_add_test(t, lines_may_be_long_and_may_be_continued);
	tcase_add_test(t, indented_lines_continue);
	tcase_add_test(t, a_value_can_be_as_long_as_its_line);
	tcase_add_test(t, limits_that_cross_pools);
	tcase_add_loop_test(t, what_is_wrong_is_named_with_its_line, 0,
			    sizeof broken / sizeof *broken);
	tcase_add_test(t, all_problems_come_at_once_in_the_order_of_lines);
	tcase_add_test(t, a_file_that_cannot_be_read_says_why);
	tcase_add_test(t, hostile_files_are_refused);
	tcase_add_loop_test(t, random_bytes_get_an_answer, 0, 4);
	tcase_add_test(t, show_config_lists_every_option_with_its_source);
	tcase_add_loop_test(t, users_let_in_whom_a_password_proves, 0,
			    sizeof proofs / sizeof *proofs);
	tcase_add_test(t, methods_of_a_list);
	tcase_add_loop_test(t, allow_lets_in_whom_it_names, 0, sizeof allows / sizeof *allows);
	tcase_add_loop_test(t, users_let_in_whom_they_name, 0, sizeof uses / sizeof *uses);
	tcase_add_test(t, names_of_the_system_are_checked_apart);
	tcase_add_test(t, the_sample_file_is_good);
	tcase_add_test(t, the_examples_of_the_manual_are_good);
	tcase_add_test(t, lists_are_exact);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	conf_text_end();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
