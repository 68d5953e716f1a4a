#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "pool/todo.h"
#include "wire/msg.h"

#define BYTES_MAX 4096

static struct todo_stmt *
at(const struct todo *t, unsigned i)
{
	struct list_node *n = list_first(&t->list);

	while (i-- > 0)
		n = n->next;
	return LIST_OBJ(n, struct todo_stmt, node);
}

START_TEST(everything_is_copied)
{
	char sql[] = "SELECT $1", label[] = "scope a", value[] = "x";
	const char *values[] = {value, NULL};
	struct todo t;

	todo_init(&t);
	todo_add(&t, sql, values, 2, 0, label);
	sql[0] = label[0] = value[0] = '!';
	values[0] = NULL;
	ck_assert_uint_eq(t.list.count, 1);
	ck_assert_str_eq(at(&t, 0)->sql, "SELECT $1");
	ck_assert_str_eq(at(&t, 0)->label, "scope a");
	ck_assert_uint_eq(at(&t, 0)->nvalues, 2);
	ck_assert_str_eq(at(&t, 0)->values[0], "x");
	ck_assert_ptr_null(at(&t, 0)->values[1]);
	ck_assert(!at(&t, 0)->failed);
	ck_assert_str_eq(at(&t, 0)->sqlstate, "");
	ck_assert_ptr_null(at(&t, 0)->message);
	todo_clear(&t);
	ck_assert_uint_eq(t.list.count, 0);
	todo_clear(&t);
}
END_TEST

START_TEST(moves_keep_the_order)
{
	struct todo a, b;

	todo_init(&a);
	todo_init(&b);
	todo_add(&a, "1", NULL, 0, 0, "");
	todo_add(&b, "2", NULL, 0, 0, "");
	todo_add(&b, "3", NULL, 0, 0, "");
	todo_move(&a, &b);
	todo_move(&a, &b);
	ck_assert_uint_eq(a.list.count, 3);
	ck_assert_uint_eq(b.list.count, 0);
	ck_assert_str_eq(at(&a, 0)->sql, "1");
	ck_assert_str_eq(at(&a, 1)->sql, "2");
	ck_assert_str_eq(at(&a, 2)->sql, "3");
	todo_add(&b, "4", NULL, 0, 0, "");
	todo_clear(&a);
	todo_clear(&b);
}
END_TEST

START_TEST(zeroed_memory_can_be_cleared)
{
	struct todo zero, t;

	memset(&zero, 0, sizeof zero);
	todo_clear(&zero);
	todo_init(&t);
	todo_move(&t, &zero);
	ck_assert_uint_eq(t.list.count, 0);
}
END_TEST

START_TEST(a_failure_is_noted)
{
	char text[] = "no";
	struct todo t;

	todo_init(&t);
	todo_add(&t, "1", NULL, 0, 0, "");
	todo_fail(at(&t, 0), "22012", text);
	text[0] = '!';
	ck_assert(at(&t, 0)->failed);
	ck_assert_str_eq(at(&t, 0)->sqlstate, "22012");
	ck_assert_str_eq(at(&t, 0)->message, "no");
	todo_fail(at(&t, 0), "XX000", NULL);
	ck_assert_str_eq(at(&t, 0)->sqlstate, "XX000");
	ck_assert_ptr_null(at(&t, 0)->message);
	todo_clear(&t);
}
END_TEST

static int
send(const char *sql, const char *const *values, unsigned n, size_t max, struct progress *p,
     struct buf *out)
{
	struct todo t;
	int r;

	todo_init(&t);
	todo_add(&t, sql, values, n, 0, "label");
	progress_init(p);
	memcpy(p->error, "22012", 6);
	buf_init(out, max);
	r = todo_send(at(&t, 0), p, out);
	todo_clear(&t);
	return r;
}

static void
is(struct buf *out, const void *bytes, size_t n)
{
	ck_assert_uint_eq(out->len, n);
	ck_assert_mem_eq(buf_data(out), bytes, n);
	buf_clear(out);
}

START_TEST(without_values_it_is_a_query)
{
	static const char bytes[] = "Q\0\0\0\x0dSELECT 1";
	struct progress p;
	struct buf out;

	ck_assert_int_eq(send("SELECT 1", NULL, 0, BYTES_MAX, &p, &out), 0);
	is(&out, bytes, sizeof bytes);
	ck_assert_uint_eq(p.ready_due, 1);
	ck_assert(!p.extended);
	ck_assert_str_eq(p.error, "");
	progress_clear(&p);
}
END_TEST

START_TEST(values_are_bound)
{
	/* What a value holds is never a part of the text. */
	static const char *const values[] = {"'; DROP TABLE t; --", NULL, ""};
	static const char bytes[] = "P\0\0\0\x17\0SELECT $1,$2,$3\0\0\0"
				    "B\0\0\0\x2b\0\0\0\0\0\x3\0\0\0\x13'; DROP TABLE t; --"
				    "\xff\xff\xff\xff\0\0\0\0\0\0"
				    "E\0\0\0\x9\0\0\0\0\0"
				    "S\0\0\0\x4";
	struct progress p;
	struct buf out;

	ck_assert_int_eq(send("SELECT $1,$2,$3", values, 3, BYTES_MAX, &p, &out), 0);
	is(&out, bytes, sizeof bytes - 1);
	ck_assert_uint_eq(p.ready_due, 1);
	ck_assert(!p.extended && progress_busy(&p));
	/* All is answered: at rest. */
	buf_init(&out, BYTES_MAX);
	msg_end(&out, msg_begin(&out, '1'));
	msg_end(&out, msg_begin(&out, '2'));
	msg_complete(&out, "SELECT 1");
	ck_assert_int_eq(progress_received(&p, buf_data(&out), out.len), 0);
	ck_assert(!progress_at_rest(&p));
	buf_reset(&out);
	msg_ready(&out, 'I');
	ck_assert_int_eq(progress_received(&p, buf_data(&out), out.len), 0);
	ck_assert(progress_at_rest(&p));
	buf_clear(&out);
	progress_clear(&p);
}
END_TEST

/* Whatever the room, all of it goes or nothing. */
START_TEST(what_does_not_fit_is_not_begun)
{
	static const char *const values[] = {"one", NULL};
	bool fitted = false;

	for (size_t max = 0; max < 400; max++) {
		struct progress p;
		struct buf out;
		int r = send("SELECT $1, $2", values, 2, max, &p, &out);

		ck_assert(r == 0 || !fitted);
		ck_assert(!out.failed);
		if (r == 0) {
			fitted = true;
			ck_assert_uint_eq(p.ready_due, 1);
		} else {
			ck_assert_int_eq(r, -E_TOOBIG);
			ck_assert_uint_eq(out.len, 0);
			ck_assert(progress_at_rest(&p));
			ck_assert_str_eq(p.error, "22012");
		}
		buf_clear(&out);
		progress_clear(&p);
	}
	ck_assert(fitted);
}
END_TEST

START_TEST(too_many_values)
{
	const char **values = calloc(65536, sizeof *values);
	struct progress p;
	struct buf out;

	ck_assert_int_eq(send("x", values, 65536, 10000000, &p, &out), -E_TOOBIG);
	ck_assert_uint_eq(out.len, 0);
	buf_clear(&out);
	ck_assert_int_eq(send("x", values, 65535, 10000000, &p, &out), 0);
	buf_clear(&out);
	progress_clear(&p);
	free(values);
}
END_TEST

/* Answers with one message of each of these types. */
static void
answer(struct progress *p, const char *types, char status)
{
	struct buf b;

	buf_init(&b, BYTES_MAX);
	for (const char *at = types; *at; at++)
		if (*at == 'C')
			msg_complete(&b, "SET");
		else
			msg_end(&b, msg_begin(&b, *at));
	if (status)
		msg_ready(&b, status);
	ck_assert_int_eq(progress_received(p, buf_data(&b), b.len), 0);
	buf_clear(&b);
}

START_TEST(texts_go_apart_from_the_unnamed_ones)
{
	static const char one[] = "C\0\0\0\x10Ppgwith_own\0C\0\0\0\x10Spgwith_own\0"
				  "P\0\0\0\x15pgwith_own\0A 1\0\0\0"
				  "B\0\0\0\x20pgwith_own\0pgwith_own\0\0\0\0\0\0\0"
				  "E\0\0\0\x13pgwith_own\0\0\0\0\0"
				  "C\0\0\0\x10Ppgwith_own\0C\0\0\0\x10Spgwith_own";
	struct progress p;
	struct buf out;

	progress_init(&p);
	buf_init(&out, BYTES_MAX);
	ck_assert_int_eq(todo_send_apart("A 1\0A 2", 8, &p, &out), 0);
	ck_assert_uint_eq(out.len, 2 * sizeof one + 5);
	ck_assert_mem_eq(buf_data(&out), one, sizeof one);
	ck_assert_mem_eq(buf_data(&out) + 2 * sizeof one, "S\0\0\0\4", 5);
	ck_assert_uint_eq(p.ready_due, 1);
	answer(&p, "3312C33", 0);
	answer(&p, "3312C3", 0);
	ck_assert(!progress_at_rest(&p));
	answer(&p, "3", 'T');
	ck_assert(progress_at_rest(&p));
	/* What does not fit is not begun. */
	buf_clear(&out);
	buf_init(&out, 400);
	ck_assert_int_eq(todo_send_apart("A 1\0A 2", 8, &p, &out), -E_TOOBIG);
	ck_assert(out.len == 0 && progress_at_rest(&p));
	/* By the client's messages, whose answers go on to it. */
	todo_own_apart("A 1", &p, &out);
	ck_assert_uint_eq(out.len, sizeof one);
	ck_assert_uint_eq(p.own, 7);
	answer(&p, "3312C33", 0);
	ck_assert_uint_eq(p.own, 0);
	buf_clear(&out);
	progress_clear(&p);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("todo");
	TCase *t = tcase_create("todo");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, everything_is_copied);
	tcase_add_test(t, moves_keep_the_order);
	tcase_add_test(t, zeroed_memory_can_be_cleared);
	tcase_add_test(t, a_failure_is_noted);
	tcase_add_test(t, without_values_it_is_a_query);
	tcase_add_test(t, values_are_bound);
	tcase_add_test(t, what_does_not_fit_is_not_begun);
	tcase_add_test(t, too_many_values);
	tcase_add_test(t, texts_go_apart_from_the_unnamed_ones);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
