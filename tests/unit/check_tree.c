#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cli/tree.h"

static struct table *
make_waits(void)
{
	static const char *const names[] = {"session", "pid",  "program", "application_name",
					    "kind",    "name", "wait_ms", "held_by",
					    "held_ms", "root"};
	struct table *t = table_new();

	for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
		table_column(t, names[i], TABLE_TEXT);
	return t;
}

static void
add(struct table *t, const char *session, const char *kind, const char *name, const char *held_by)
{
	table_row(t, (const char *const[]){session, "42", "app", "", kind, name, "1000", held_by,
					   held_by ? "5000" : NULL, "f"});
}

static struct table *
make_clients(void)
{
	struct table *t = table_new();

	table_column(t, "id", TABLE_NUMBER);
	table_column(t, "program", TABLE_TEXT);
	table_column(t, "remote_pid", TABLE_NUMBER);
	table_column(t, "application_name", TABLE_TEXT);
	table_column(t, "state", TABLE_TEXT);
	table_column(t, "scopes", TABLE_TEXT);
	table_row(t, (const char *const[]){"1", "psql", "7", "night", "idle in transaction", "a"});
	return t;
}

/* What is printed; frees the tables. The caller frees the text. */
static char *
printed(struct table *waits, unsigned width)
{
	struct table *clients = make_clients();
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	ck_assert_ptr_nonnull(f);
	if (width == 1)
		tree_dot(waits, f);
	else
		tree_print(waits, clients, width, f);
	fclose(f);
	table_free(waits);
	table_free(clients);
	return text;
}

static void
expect(struct table *waits, unsigned width, const char *wanted)
{
	char *text = printed(waits, width);

	ck_assert_str_eq(text, wanted);
	free(text);
}

START_TEST(a_chain)
{
	struct table *t = make_waits();

	add(t, "3", "semaphore", "s", "2");
	add(t, "2", "lock", "l", "1");
	expect(t, 0,
	       "* session 1 (psql, pid 7, night) idle in transaction\n"
	       "    holds lock l for 5.0 s: a\n"
	       "+- session 2 (app, pid 42) waits 1.0 s for lock l, held for 5.0 s\n"
	       "|  +- session 3 (app, pid 42) waits 1.0 s for semaphore s, held for 5.0 s\n");
}
END_TEST

START_TEST(many_are_counted)
{
	struct table *t = make_waits();
	char id[8];

	for (int i = 10; i < 15; i++) {
		snprintf(id, sizeof id, "%d", i);
		add(t, id, "server", "orders", "1");
	}
	expect(t, 0,
	       "* session 1 (psql, pid 7, night) idle in transaction\n"
	       "    holds server of orders for 5.0 s: a\n"
	       "+- session 10 (app, pid 42) waits 1.0 s for server of orders, held for 5.0 s\n"
	       "+- session 11 (app, pid 42) waits 1.0 s for server of orders, held for 5.0 s\n"
	       "+- 3 more wait for server of orders, the longest 1.0 s\n");
}
END_TEST

START_TEST(nobody_and_nothing)
{
	struct table *t = make_waits();

	expect(make_waits(), 0, "nobody waits\n");
	add(t, "2", "server", "p", NULL);
	expect(t, 40,
	       "* held by no session: paused, or servers are being opened or cleaned up\n"
	       "+- session 2 (app, pid 42) waits 1.0 s f\n");
}
END_TEST

START_TEST(a_holder_that_is_not_seen)
{
	struct table *t = make_waits();

	add(t, "2", "server", "p", "9");
	expect(t, 0,
	       "* session 9\n"
	       "    holds server of p for 5.0 s\n"
	       "+- session 2 (app, pid 42) waits 1.0 s for server of p, held for 5.0 s\n");
}
END_TEST

START_TEST(a_circle_ends)
{
	struct table *t = make_waits();

	add(t, "2", "lock", "a", "3");
	add(t, "3", "lock", "b", "2");
	expect(t, 0,
	       "* a circle: nobody of it can go on\n"
	       "+- session 2 (app, pid 42) waits 1.0 s for lock a, held for 5.0 s\n"
	       "|  +- session 3 (app, pid 42) waits 1.0 s for lock b, held for 5.0 s\n");
}
END_TEST

START_TEST(dot_is_quoted)
{
	struct table *t = make_waits();

	add(t, "2", "lock", "a\"];x", "1");
	expect(t, 1,
	       "digraph waits {\n\trankdir=LR;\n"
	       "\t\"2\" [label=\"session 2\\napp, pid 42\"];\n"
	       "\t\"2\" -> \"1\" [label=\"lock a\\\"];x\"];\n}\n");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("tree");
	TCase *tc = tcase_create("tree");
	SRunner *r;
	int failed;

	tcase_add_test(tc, a_chain);
	tcase_add_test(tc, many_are_counted);
	tcase_add_test(tc, nobody_and_nothing);
	tcase_add_test(tc, a_holder_that_is_not_seen);
	tcase_add_test(tc, a_circle_ends);
	tcase_add_test(tc, dot_is_quoted);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
