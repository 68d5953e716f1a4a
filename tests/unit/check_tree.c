/* `pgwith waits`: the list of waits, the tree and the graph. */
#include <check.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/tree.h"
#include "cli/waitlist.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))

static struct table *waits, *clients, *servers, *locks;

static struct table *
make(const char *const *names, size_t n)
{
	struct table *t = table_new();

	for (size_t i = 0; i < n; i++)
		table_column(t, names[i], TABLE_TEXT);
	return t;
}

static void
setup(void)
{
	static const char *const of_waits[] = {"session", "pid",     "program", "application_name",
					       "role",    "kind",    "name",    "position",
					       "wait_ms", "held_by", "held_ms", "root"};
	static const char *const of_clients[] = {
	    "id", "user", "program", "remote_pid", "application_name", "state", "scopes"};
	static const char *const of_servers[] = {"database", "session", "remote_pid"};
	static const char *const of_locks[] = {"pool",
					       "server",
					       "pid",
					       "application",
					       "role",
					       "locktype",
					       "relation",
					       "wait_ms",
					       "held_ms",
					       "holder",
					       "holder_application",
					       "holder_role",
					       "holder_state"};

	waits = make(of_waits, COUNT(of_waits));
	clients = make(of_clients, COUNT(of_clients));
	servers = make(of_servers, COUNT(of_servers));
	locks = make(of_locks, COUNT(of_locks));
	table_row(clients, (const char *const[]){"1", "bob", "psql", "7", "night",
						 "idle in transaction", "a"});
}

static void
teardown(void)
{
	table_free(waits);
	table_free(clients);
	table_free(servers);
	table_free(locks);
}

/* A row of SHOW WAITS. */
static void
add_for(const char *session, const char *kind, const char *name, const char *held_by,
	const char *wait_ms)
{
	table_row(waits, (const char *const[]){session, "42", "app", "", "bob", kind, name, "1",
					       wait_ms, held_by, held_by ? "5000" : NULL, "t"});
}

static void
add(const char *session, const char *kind, const char *name, const char *held_by)
{
	add_for(session, kind, name, held_by, "1000");
}

/* A session's server. */
static void
serve(const char *pool, const char *session, const char *pid)
{
	table_row(servers, (const char *const[]){pool, session, pid});
}

/* The pool has been asked: it leads to that PostgreSQL. */
static void
asked(const char *pool, const char *server)
{
	table_row(locks, (const char *const[]){pool, server, NULL, NULL, NULL, NULL, NULL, NULL,
					       NULL, NULL, NULL, NULL, NULL});
}

/* In that PostgreSQL, process `pid` waits for `holder`. */
static void
blocks(const char *pool, const char *server, const char *pid, const char *locktype,
       const char *relation, const char *holder)
{
	table_row(locks, (const char *const[]){pool, server, pid, "psql", "eve", locktype, relation,
					       "3000", "9000", holder, "cron", "eve",
					       "idle in transaction"});
}

enum form { TREE, DOT, CSV };

/* What is printed. The caller frees. */
static char *
printed(enum form form, unsigned width)
{
	const struct table_look look = {.format = TABLE_CSV, .header = false};
	bool with_server = table_rows(locks) > 0;
	struct waitlist list;
	struct table *t;
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	ck_assert_ptr_nonnull(f);
	waitlist_make(&list, waits, clients, with_server ? servers : NULL,
		      with_server ? locks : NULL);
	if (form == TREE)
		tree_print(&list, false, width, f);
	if (form == DOT)
		tree_dot(&list, f);
	if (form == CSV) {
		t = waitlist_table(&list, waits);
		table_print(t, &look, f);
		table_free(t);
	}
	waitlist_clear(&list);
	fclose(f);
	return text;
}

static void
expect(enum form form, unsigned width, const char *wanted)
{
	char *text = printed(form, width);

	ck_assert_str_eq(text, wanted);
	free(text);
}

START_TEST(a_chain)
{
	add("3", "semaphore", "s", "2");
	add("2", "lock", "l", "1");
	expect(TREE, 0,
	       "* session 1 (psql, pid 7, night) idle in transaction\n"
	       "    holds lock l for 5.0 s: a\n"
	       "+- session 2 (app, pid 42) waits 1.0 s for lock l, held for 5.0 s\n"
	       "|  +- session 3 (app, pid 42) waits 1.0 s for semaphore s, held for 5.0 s\n");
}
END_TEST

START_TEST(many_are_counted)
{
	char id[12];

	for (int i = 10; i < 15; i++) {
		snprintf(id, sizeof id, "%d", i);
		add(id, "server", "orders", "1");
	}
	expect(TREE, 0,
	       "* session 1 (psql, pid 7, night) idle in transaction\n"
	       "    holds server of orders for 5.0 s: a\n"
	       "+- session 10 (app, pid 42) waits 1.0 s for server of orders, held for 5.0 s\n"
	       "+- session 11 (app, pid 42) waits 1.0 s for server of orders, held for 5.0 s\n"
	       "+- 3 more wait for server of orders, the longest 1.0 s\n");
}
END_TEST

/* Who holds up others is shown in any case, and is none of those that are counted. What is waited
 * for does not come in order. */
START_TEST(groups)
{
	add("10", "server", "orders", "1");
	add("11", "lock", "l", "1");
	add("12", "server", "orders", "1");
	add("13", "server", "orders", "1");
	add("14", "server", "orders", "1");
	add_for("15", "server", "orders", "1", "7000");
	add("20", "lock", "m", "14");
	expect(TREE, 0,
	       "* session 1 (psql, pid 7, night) idle in transaction\n"
	       "    holds server of orders for 5.0 s: a\n"
	       "+- session 11 (app, pid 42) waits 1.0 s for lock l, held for 5.0 s\n"
	       "+- session 10 (app, pid 42) waits 1.0 s for server of orders, held for 5.0 s\n"
	       "+- session 12 (app, pid 42) waits 1.0 s for server of orders, held for 5.0 s\n"
	       "+- session 14 (app, pid 42) waits 1.0 s for server of orders, held for 5.0 s\n"
	       "|  +- session 20 (app, pid 42) waits 1.0 s for lock m, held for 5.0 s\n"
	       "+- 2 more wait for server of orders, the longest 7.0 s\n");
}
END_TEST

/* The first in the queue names all holders: those behind the longest are roots of their own. */
START_TEST(several_holders)
{
	add("5", "server", "p", "1");
	add("5", "server", "p", "9");
	add("6", "server", "p", "1");
	expect(TREE, 0,
	       "* session 1 (psql, pid 7, night) idle in transaction\n"
	       "    holds server of p for 5.0 s: a\n"
	       "+- session 5 (app, pid 42) waits 1.0 s for server of p, held for 5.0 s\n"
	       "+- session 6 (app, pid 42) waits 1.0 s for server of p, held for 5.0 s\n"
	       "* session 9\n"
	       "    holds server of p for 5.0 s\n");
}
END_TEST

START_TEST(nobody_and_nothing)
{
	expect(TREE, 0, "nobody waits\n");
	add("2", "server", "p", NULL);
	expect(TREE, 40,
	       "* held by no session: paused, or servers\n"
	       "+- session 2 (app, pid 42) waits 1.0 s f\n");
}
END_TEST

/* A line is cut by columns of the terminal: a character of CJK has two, a combining one none. */
START_TEST(a_line_is_cut_by_columns)
{
	add("2", "lock", "\xe9\x8e\x96\xe9\x8e\x96\xe9\x8e\x96\xe9\x8e\x96", "9");
	expect(TREE, 26,
	       "* session 9\n"
	       "    holds lock \xe9\x8e\x96\xe9\x8e\x96\xe9\x8e\x96\xe9\x8e\x96 fo\n"
	       "+- session 2 (app, pid 42)\n");
	expect(TREE, 20,
	       "* session 9\n"
	       "    holds lock \xe9\x8e\x96\xe9\x8e\x96\n"
	       "+- session 2 (app, p\n");
}
END_TEST

/* A stranger may have given the name. */
START_TEST(no_control_characters)
{
	char *text;

	add("2", "lock", "\033[2Jx", "9");
	text = printed(TREE, 0);
	ck_assert_ptr_null(strchr(text, '\033'));
	ck_assert_ptr_nonnull(strstr(text, "lock \\x1b[2Jx"));
	free(text);
}
END_TEST

static void
expect_hint(const char *wanted)
{
	struct waitlist list;
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	ck_assert_ptr_nonnull(f);
	waitlist_make(&list, waits, clients, NULL, NULL);
	tree_hint(&list, f);
	waitlist_clear(&list);
	fclose(f);
	ck_assert_str_eq(text, wanted);
	free(text);
}

START_TEST(a_root_may_wait_inside_postgresql)
{
	/* It is idle in transaction. */
	add("2", "lock", "l", "1");
	add("5", "lock", "n", NULL);
	expect_hint("");
	/* Of a holder that is not seen, only of one with a server. */
	add("3", "lock", "m", "70");
	expect_hint("");
	add("4", "server", "orders", "71");
	expect_hint("session 71 may wait inside PostgreSQL: pgwith waits --with-server may show "
		    "more\n");
	/* One that runs may, whatever it holds; but not one that is not at a root. */
	add("90", "lock", "k", "91");
	add("91", "lock", "j", "92");
	table_row(clients, (const char *const[]){"92", "app", "psql", "7", "", "active", ""});
	expect_hint("session 71 and 1 more may wait inside PostgreSQL: pgwith waits --with-server "
		    "may show more\n");
}
END_TEST

START_TEST(a_circle_ends)
{
	add("4", "lock", "c", "2");
	add("2", "lock", "a", "3");
	add("3", "lock", "b", "2");
	add("7", "lock", "d", "7");
	expect(TREE, 0,
	       "* a circle: nobody of it can go on\n"
	       "+- session 3 (app, pid 42) waits 1.0 s for lock b, held for 5.0 s by session 2\n"
	       "|  +- session 2 (app, pid 42) waits 1.0 s for lock a, held for 5.0 s\n"
	       "|  |  +- session 4 (app, pid 42) waits 1.0 s for lock c, held for 5.0 s\n"
	       "* a circle: nobody of it can go on\n"
	       "+- session 7 (app, pid 42) waits 1.0 s for lock d, held for 5.0 s by session 7\n");
}
END_TEST

/* Of a server, one of the holders is enough: the other one may give its back. */
START_TEST(a_circle_with_a_way_out)
{
	add("4", "server", "p", "2");
	add("4", "server", "p", "1");
	add("2", "lock", "a", "4");
	expect(TREE, 0,
	       "* session 1 (psql, pid 7, night) idle in transaction\n"
	       "    holds server of p for 5.0 s: a\n"
	       "* a circle: it ends when a session outside of it frees what one of it waits for\n"
	       "+- session 4 (app, pid 42) waits 1.0 s for server of p, held for 5.0 s by session "
	       "2\n"
	       "|  +- session 2 (app, pid 42) waits 1.0 s for lock a, held for 5.0 s\n");
	/* The other one waits in the same circle. */
	add("1", "lock", "a", "4");
	expect(TREE, 0,
	       "* a circle: nobody of it can go on\n"
	       "+- session 4 (app, pid 42) waits 1.0 s for server of p, held for 5.0 s by session "
	       "2\n"
	       "|  +- session 2 (app, pid 42) waits 1.0 s for lock a, held for 5.0 s\n"
	       "|  +- session 1 (psql, pid 7, night) waits 1.0 s for lock a, held for 5.0 s\n");
}
END_TEST

/* Who may see only sessions of their own does not see the first in the queue, nor all holders. */
START_TEST(a_circle_of_which_not_all_is_seen)
{
	table_row(waits, (const char *const[]){"4", "42", "app", "", "bob", "semaphore", "s", "2",
					       "1000", "2", "5000", "f"});
	add("2", "lock", "a", "4");
	expect(TREE, 40,
	       "* a circle: it ends when a session outsi\n"
	       "+- session 4 (app, pid 42) waits 1.0 s f\n"
	       "|  +- session 2 (app, pid 42) waits 1.0 \n");
}
END_TEST

/* These sizes take seconds or the stack if anything is quadratic, or calls itself. */
START_TEST(a_hundred_thousand)
{
	char id[16], by[16], *text;
	unsigned lines = 0;

	for (unsigned i = 2; i < 50000; i++) {
		snprintf(id, sizeof id, "%u", i);
		snprintf(by, sizeof by, "%u", i - 1);
		add(id, "lock", "l", by);
	}
	for (unsigned i = 50000; i < 100000; i++) {
		snprintf(id, sizeof id, "%u", i);
		add(id, "server", "orders", "1");
	}
	/* Circles of two. */
	for (unsigned i = 100000; i < 120000; i++) {
		snprintf(id, sizeof id, "%u", i);
		snprintf(by, sizeof by, "%u", i ^ 1);
		add(id, "lock", "c", by);
	}
	text = printed(TREE, 80);
	for (const char *at = text; *at; at++)
		lines += *at == '\n';
	ck_assert_uint_eq(lines, 2 + 49998 + 3 + 30000);
	free(text);
}
END_TEST

START_TEST(dot_is_quoted)
{
	add("2", "lock", "a\"];x", "1");
	add("3", "server", "p", NULL);
	expect(DOT, 0,
	       "digraph waits {\n\trankdir=LR;\n"
	       "\t\"1\" [label=\"session 1 (psql, pid 7, night)\\nidle in transaction\", "
	       "style=bold, color=red];\n"
	       "\t\"2\" [label=\"session 2 (app, pid 42)\"];\n"
	       "\t\"3\" [label=\"session 3 (app, pid 42)\"];\n"
	       "\t\"2\" -> \"1\" [label=\"lock a\\\"];x\"];\n"
	       "\t\"3\" -> \"nobody\" [label=\"server p\"];\n}\n");
}
END_TEST

/* ---- with what PostgreSQL says ---- */

/* A row lock between two sessions, behind a lock of pgwith. */
START_TEST(a_row_lock)
{
	add("3", "lock", "l", "2");
	serve("p", "1", "101");
	serve("p", "2", "102");
	serve("p", NULL, "103");
	asked("p", "S");
	blocks("p", "S", "102", "transactionid", "public.accounts", "101");
	expect(TREE, 0,
	       "* session 1 (psql, pid 7, night) idle in transaction\n"
	       "    holds row of public.accounts for 9.0 s: a\n"
	       "+- session 2 waits 3.0 s for row of public.accounts, held for 9.0 s\n"
	       "|  +- session 3 (app, pid 42) waits 1.0 s for lock l, held for 5.0 s\n");
	/* Session 2 is no root any more. */
	expect(CSV, 0,
	       "3,42,app,\"\",bob,lock,l,1,1000,2,5000,f,,102,\n"
	       "2,,,\"\",,row,public.accounts,,3000,1,9000,t,102,101,night\n");
}
END_TEST

/* Processes that are no clients of pgwith, on both sides of a session. */
START_TEST(strangers)
{
	serve("p", "1", "101");
	asked("p", "S");
	blocks("p", "S", "101", "tuple", NULL, "900");
	blocks("p", "S", "901", "relation", "public.t", "101");
	blocks("p", "S", "902", "advisory", NULL, "101");
	blocks("p", "S", "900", "transactionid", NULL, "0");
	/* Nobody of these has to do with a session. */
	blocks("p", "S", "950", "transactionid", NULL, "951");
	expect(TREE, 0,
	       "* a prepared transaction (see pg_prepared_xacts) idle in transaction\n"
	       "    holds row lock in p for 9.0 s\n"
	       "+- backend 900 (cron, role eve) waits 3.0 s for row lock in "
	       "p, held for 9.0 s\n"
	       "|  +- session 1 (psql, pid 7, night) waits 3.0 s for row lock in p, held for 9.0 "
	       "s\n"
	       "|  |  +- backend 902 (psql, role eve) waits 3.0 s for "
	       "advisory lock in p, held for 9.0 s\n"
	       "|  |  +- backend 901 (psql, role eve) waits 3.0 s for table "
	       "public.t, held for 9.0 s\n");
	expect(DOT, 0,
	       "digraph waits {\n\trankdir=LR;\n"
	       "\t\"1\" [label=\"session 1 (psql, pid 7, night)\"];\n"
	       "\t\"backend 0\" [label=\"a prepared transaction (see pg_prepared_xacts)\\nidle in "
	       "transaction\", style=bold, color=red];\n"
	       "\t\"backend 900\" [label=\"backend 900 (cron, role eve)\"];\n"
	       "\t\"backend 901\" [label=\"backend 901 (psql, role eve)\"];\n"
	       "\t\"backend 902\" [label=\"backend 902 (psql, role eve)\"];\n"
	       "\t\"1\" -> \"backend 900\" [label=\"row p\"];\n"
	       "\t\"backend 900\" -> \"backend 0\" [label=\"row p\"];\n"
	       "\t\"backend 901\" -> \"1\" [label=\"relation public.t\"];\n"
	       "\t\"backend 902\" -> \"1\" [label=\"advisory p\"];\n}\n");
}
END_TEST

/* Processes of two PostgreSQL may have the same id. */
START_TEST(two_servers)
{
	serve("p", "1", "101");
	serve("q", "2", "101");
	asked("p", "S");
	asked("q", "T");
	blocks("q", "T", "101", "tuple", "public.t", "55");
	blocks("p", "S", "55", "tuple", "public.t", "101");
	expect(TREE, 0,
	       "* backend 55 (cron, role eve) idle in transaction\n"
	       "    holds row of public.t for 9.0 s\n"
	       "+- session 2 waits 3.0 s for row of public.t, held for 9.0 s\n"
	       "* session 1 (psql, pid 7, night) idle in transaction\n"
	       "    holds row of public.t for 9.0 s: a\n"
	       "+- backend 55 (psql, role eve) waits 3.0 s for row of "
	       "public.t, held for 9.0 s\n");
}
END_TEST

/* Two pools of the same PostgreSQL tell the same; a lock between their sessions. */
START_TEST(two_pools_of_one_server)
{
	serve("p", "1", "101");
	serve("q", "2", "102");
	asked("p", "S");
	blocks("p", "S", "102", "transactionid", NULL, "101");
	asked("q", "S");
	blocks("q", "S", "102", "transactionid", "public.t", "101");
	expect(TREE, 0,
	       "* session 1 (psql, pid 7, night) idle in transaction\n"
	       "    holds row of public.t for 9.0 s: a\n"
	       "+- session 2 waits 3.0 s for row of public.t, held for 9.0 s\n");
}
END_TEST

/* A deadlock that neither pgwith nor PostgreSQL sees alone. */
START_TEST(a_circle_of_both)
{
	add("2", "lock", "l", "1");
	serve("p", "1", "101");
	serve("p", "2", "102");
	asked("p", "S");
	blocks("p", "S", "101", "transactionid", "public.t", "102");
	expect(TREE, 0,
	       "* a circle: nobody of it can go on\n"
	       "+- session 2 (app, pid 42) waits 1.0 s for lock l, held for 5.0 s by session 1\n"
	       "|  +- session 1 (psql, pid 7, night) waits 3.0 s for row of public.t, held for "
	       "9.0 s\n");
	expect(CSV, 0,
	       "2,42,app,\"\",bob,lock,l,1,1000,1,5000,f,102,101,night\n"
	       "1,7,psql,night,bob,row,public.t,,3000,2,9000,f,101,102,\n");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("tree");
	TCase *tc = tcase_create("tree");
	SRunner *r;
	int failed;

	setlocale(LC_CTYPE, "C.UTF-8");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_chain);
	tcase_add_test(tc, a_root_may_wait_inside_postgresql);
	tcase_add_test(tc, many_are_counted);
	tcase_add_test(tc, groups);
	tcase_add_test(tc, several_holders);
	tcase_add_test(tc, nobody_and_nothing);
	tcase_add_test(tc, a_line_is_cut_by_columns);
	tcase_add_test(tc, no_control_characters);
	tcase_add_test(tc, a_circle_ends);
	tcase_add_test(tc, a_circle_with_a_way_out);
	tcase_add_test(tc, a_circle_of_which_not_all_is_seen);
	tcase_add_test(tc, a_hundred_thousand);
	tcase_add_test(tc, dot_is_quoted);
	tcase_add_test(tc, a_row_lock);
	tcase_add_test(tc, strangers);
	tcase_add_test(tc, two_servers);
	tcase_add_test(tc, two_pools_of_one_server);
	tcase_add_test(tc, a_circle_of_both);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
