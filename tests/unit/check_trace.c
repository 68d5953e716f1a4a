/* The ring of base/trace.c: its order, its bounds, its names, its reader. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/trace.h"
#include "base/tracepack.h"

#define SEED 0x1234567

/* The portion that was taken last. */
static struct buf portion;
static struct tracepack_reader in;

static void
take(bool more)
{
	buf_clear(&portion);
	buf_init(&portion, BUF_MAX);
	trace_portion(&portion, 1000, more);
	ck_assert(!portion.failed);
	ck_assert_int_eq(tracepack_read(&in, buf_data(&portion), portion.len), 0);
}

static struct trace_event
next_event(void)
{
	struct tracepack_record r;

	ck_assert_int_eq(tracepack_next(&in, &r), 1);
	ck_assert(!r.is_name);
	return r.event;
}

static void
next_name(unsigned number, const char *name)
{
	struct tracepack_record r;

	ck_assert_int_eq(tracepack_next(&in, &r), 1);
	ck_assert(r.is_name);
	ck_assert_uint_eq(r.number, number);
	ck_assert_uint_eq(r.bytes, strlen(name));
	ck_assert(memcmp(r.text, name, r.bytes) == 0);
}

static void
no_more(void)
{
	struct tracepack_record r;

	ck_assert_int_eq(tracepack_next(&in, &r), 0);
}

static void
end_all(void)
{
	ck_assert(trace_end(7));
	buf_clear(&portion);
}

START_TEST(nobody_records)
{
	ck_assert_ptr_null(trace_on);
	ck_assert_uint_eq(trace_reader(), 0);
	ck_assert(!trace_end(7));
	ck_assert_ptr_null(trace_on);
}
END_TEST

START_TEST(one_reader)
{
	ck_assert(trace_begin(7, SEED));
	ck_assert(!trace_begin(8, SEED));
	ck_assert_uint_eq(trace_reader(), 7);
	ck_assert(!trace_end(8));
	ck_assert_ptr_nonnull(trace_on);
	ck_assert(trace_end(7));
	ck_assert_ptr_null(trace_on);
	ck_assert(trace_begin(8, SEED));
	ck_assert(trace_end(8));
}
END_TEST

START_TEST(order_and_names)
{
	struct trace_event e;

	ck_assert(trace_begin(7, SEED));
	take(false);
	ck_assert_uint_eq(in.flags, TRACEPACK_FIRST | TRACEPACK_ALL);
	no_more();
	trace_add(TRACE_SERVER, 100, 1, 2, 3, "orders", NULL);
	trace_add(TRACE_WHO, 101, 2, 4242, 0, "app", "orders");
	trace_add(TRACE_ASK, 102, 1, 2, 'R', "", NULL);
	take(true);
	ck_assert_uint_eq(in.flags, 0);
	next_name(1, "orders");
	next_name(2, "app");
	e = next_event();
	ck_assert(e.kind == TRACE_SERVER && e.at_us == 100 && e.subject == 1 && e.other == 2 &&
		  e.state == 3 && e.name == 1 && e.name2 == 0);
	e = next_event();
	ck_assert(e.kind == TRACE_WHO && e.other == 4242 && e.name == 2 && e.name2 == 1);
	e = next_event();
	ck_assert(e.kind == TRACE_ASK && e.state == 'R' && e.name == 0);
	no_more();
	/* A name is told once. */
	trace_add(TRACE_WAIT, 103, 2, 0, 1, "orders", NULL);
	take(false);
	ck_assert_uint_eq(next_event().name, 1);
	no_more();
	end_all();
}
END_TEST

/* The oldest events are kept; new ones are lost and counted, until there is room again. */
START_TEST(full)
{
	unsigned seen = 0;

	ck_assert(trace_begin(7, SEED));
	for (unsigned i = 0; i < TRACE_EVENTS + 5; i++)
		trace_add(TRACE_ASK, i, i, 0, 'R', NULL, NULL);
	ck_assert_uint_eq(trace_room(), 0);
	ck_assert(trace_lost_more());
	ck_assert(!trace_lost_more());
	take(false);
	ck_assert_uint_eq(in.lost, 5);
	ck_assert_uint_eq(in.flags, TRACEPACK_FIRST);
	ck_assert_uint_eq(trace_room(), TRACE_PORTION);
	for (; seen < TRACE_PORTION; seen++)
		ck_assert_uint_eq(next_event().subject, seen);
	no_more();
	for (unsigned i = 0; i < TRACE_PORTION + 2; i++)
		trace_add(TRACE_ASK, 1, TRACE_EVENTS + i, 0, 'R', NULL, NULL);
	ck_assert(trace_lost_more());
	do {
		take(false);
		ck_assert_uint_eq(in.lost, 7);
		for (unsigned i = 0; i < TRACE_PORTION; i++)
			ck_assert_uint_eq(next_event().subject, seen++);
		no_more();
	} while (!(in.flags & TRACEPACK_ALL));
	ck_assert_uint_eq(seen, TRACE_EVENTS + TRACE_PORTION);
	ck_assert_uint_eq(trace_room(), TRACE_EVENTS);
	end_all();
}
END_TEST

/* In any order of adding and taking, each event comes once, in order, and none is invented. */
START_TEST(random_steps)
{
	uint64_t added = 0, taken = 0, lost = 0;
	struct tracepack_record r;
	unsigned left = TRACE_EVENTS;

	srand((unsigned)_i);
	ck_assert(trace_begin(7, SEED));
	for (unsigned step = 0; step < 200; step++) {
		unsigned n = (unsigned)rand() % (step % 50 == 0 ? TRACE_EVENTS : 3000);

		for (unsigned i = 0; i < n; i++) {
			trace_add(TRACE_ASK, (int64_t)added, added, 0, 'R', NULL, NULL);
			if (left > 0) {
				added++;
				left--;
			} else {
				lost++;
			}
		}
		take(false);
		ck_assert_uint_eq(in.lost, lost);
		while (tracepack_next(&in, &r) > 0) {
			ck_assert_uint_eq(r.event.subject, taken++);
			left++;
		}
		ck_assert_uint_eq(trace_room(), left);
		ck_assert_int_eq(!!(in.flags & TRACEPACK_ALL), taken == added);
	}
	end_all();
}
END_TEST

START_TEST(many_names)
{
	char name[2 * TRACE_NAME];

	ck_assert(trace_begin(7, SEED));
	for (unsigned i = 1; i <= TRACE_NAMES + 3; i++) {
		snprintf(name, sizeof name, "lock %u", i);
		trace_add(TRACE_LOCK, 1, 1, 0, 1, name, NULL);
	}
	take(false);
	for (unsigned i = 1; i <= TRACE_NAMES; i++) {
		snprintf(name, sizeof name, "lock %u", i);
		next_name(i, name);
	}
	for (unsigned i = 1; i <= TRACE_PORTION; i++)
		ck_assert_uint_eq(next_event().name, i);
	/* The last three had no room for their names. */
	take(false);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_uint_eq(next_event().name, 0);
	no_more();
	/* All was told: the names are forgotten, and there is room for others. */
	trace_add(TRACE_LOCK, 1, 1, 0, 1, "another", "lock 5");
	take(false);
	next_name(1, "another");
	next_name(2, "lock 5");
	ck_assert_uint_eq(next_event().name2, 2);
	end_all();
}
END_TEST

START_TEST(a_long_name)
{
	char name[2 * TRACE_NAME];
	struct trace_event e;

	/* It is cut, and is the same name each time. */
	memset(name, 'x', sizeof name);
	name[sizeof name - 1] = 0;
	ck_assert(trace_begin(7, SEED));
	trace_add(TRACE_LOCK, 1, 1, 0, 1, name, name);
	take(false);
	name[TRACE_NAME - 1] = 0;
	next_name(1, name);
	e = next_event();
	ck_assert(e.name == 1 && e.name2 == 1);
	/* The last character takes the bytes 126 to 128, but there is room for 127. */
	memcpy(name + TRACE_NAME - 3, "\xe2\x82\xac and more", 12);
	trace_add(TRACE_LOCK, 1, 1, 0, 1, name, NULL);
	take(false);
	name[TRACE_NAME - 3] = 0;
	next_name(2, name);
	ck_assert_uint_eq(next_event().name, 2);
	end_all();
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("trace");
	Suite *s = suite_create("trace");
	SRunner *r = srunner_create(s);

	suite_add_tcase(s, t);
	tcase_add_test(t, nobody_records);
	tcase_add_test(t, one_reader);
	tcase_add_test(t, order_and_names);
	tcase_add_test(t, full);
	tcase_add_loop_test(t, random_steps, 0, 5);
	tcase_add_test(t, many_names);
	tcase_add_test(t, a_long_name);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
