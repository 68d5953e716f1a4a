/* Portions of TRACE: what is packed is read as it was, and damaged bytes do no harm. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/tracepack.h"

#define EVENTS     500
#define CUT_EVENTS 50 /* the time that cut_off takes grows with the square */

static uint64_t
any_number(void)
{
	uint64_t value = (uint64_t)rand() << 40 ^ (uint64_t)rand() << 20 ^ (uint64_t)rand();

	return value >> rand() % 64;
}

static struct trace_event
any_event(void)
{
	return (struct trace_event){
	    .at_us = (int64_t)(any_number() >> 1),
	    .subject = any_number(),
	    .other = rand() % 2 ? any_number() : 0,
	    .name = rand() % 2 ? (uint16_t)(1 + rand() % TRACE_NAMES) : 0,
	    .name2 = rand() % 2 ? (uint16_t)(1 + rand() % TRACE_NAMES) : 0,
	    .kind = (uint8_t)(rand() % TRACE_NKINDS),
	    .state = (uint8_t)rand(),
	};
}

static bool
same(const struct trace_event *a, const struct trace_event *b)
{
	return a->at_us == b->at_us && a->subject == b->subject && a->other == b->other &&
	       a->name == b->name && a->name2 == b->name2 && a->kind == b->kind &&
	       a->state == b->state;
}

/* Makes a portion of `n` events and names; the events are kept in `events`. */
static void
make(struct buf *out, struct trace_event *events, unsigned n)
{
	struct tracepack_writer w;

	tracepack_begin(&w, out, TRACEPACK_FIRST | TRACEPACK_ALL, 123456789, 42);
	for (unsigned i = 0; i < n; i++) {
		if (i % 10 == 0)
			tracepack_name(&w, 1 + i, i % 20 ? "x" : "the name of a pool");
		events[i] = any_event();
		tracepack_event(&w, &events[i]);
	}
	ck_assert(!out->failed);
}

START_TEST(what_is_written_is_read)
{
	struct trace_event events[EVENTS];
	struct tracepack_reader in;
	struct tracepack_record r;
	struct buf b;

	srand((unsigned)_i);
	buf_init(&b, BUF_MAX);
	make(&b, events, EVENTS);
	ck_assert_int_eq(tracepack_read(&in, buf_data(&b), b.len), 0);
	ck_assert_uint_eq(in.flags, TRACEPACK_FIRST | TRACEPACK_ALL);
	ck_assert_int_eq(in.now_us, 123456789);
	ck_assert_uint_eq(in.lost, 42);
	for (unsigned i = 0; i < EVENTS; i++) {
		if (i % 10 == 0) {
			const char *name = i % 20 ? "x" : "the name of a pool";

			ck_assert_int_eq(tracepack_next(&in, &r), 1);
			ck_assert(r.is_name && r.number == 1 + i && r.bytes == strlen(name) &&
				  memcmp(r.text, name, r.bytes) == 0);
		}
		ck_assert_int_eq(tracepack_next(&in, &r), 1);
		ck_assert(!r.is_name && same(&r.event, &events[i]));
	}
	ck_assert_int_eq(tracepack_next(&in, &r), 0);
	ck_assert_int_eq(tracepack_next(&in, &r), 0);
	buf_clear(&b);
}
END_TEST

/* The extremes: of 64 bits, and a clock that goes backwards. */
START_TEST(extremes)
{
	const struct trace_event events[] = {
	    {.at_us = 0},
	    {.at_us = INT64_MAX, .subject = UINT64_MAX, .other = UINT64_MAX},
	    {.at_us = 0, .name = TRACE_NAMES, .name2 = 1, .state = 255},
	    {.at_us = 1, .kind = TRACE_NKINDS - 1},
	};
	struct tracepack_writer w;
	struct tracepack_reader in;
	struct tracepack_record r;
	struct buf b;

	buf_init(&b, BUF_MAX);
	tracepack_begin(&w, &b, 0, INT64_MAX, UINT64_MAX);
	for (unsigned i = 0; i < 4; i++)
		tracepack_event(&w, &events[i]);
	ck_assert_int_eq(tracepack_read(&in, buf_data(&b), b.len), 0);
	ck_assert(in.now_us == INT64_MAX && in.lost == UINT64_MAX);
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_int_eq(tracepack_next(&in, &r), 1);
		ck_assert(same(&r.event, &events[i]));
	}
	ck_assert_int_eq(tracepack_next(&in, &r), 0);
	buf_clear(&b);
}
END_TEST

/* Four events are what SELECT 1 makes. */
START_TEST(an_ordinary_event_is_small)
{
	struct tracepack_writer w;
	struct buf b;
	size_t before;

	buf_init(&b, BUF_MAX);
	tracepack_begin(&w, &b, 0, 5000000, 0);
	tracepack_event(
	    &w, &(struct trace_event){.kind = TRACE_SERVER, .at_us = 4999000, .subject = 9});
	before = b.len;
	tracepack_event(
	    &w, &(struct trace_event){
		    .kind = TRACE_ASK, .at_us = 4999050, .subject = 9, .other = 120, .state = 'R'});
	ck_assert_uint_le(b.len - before, 6);
	buf_clear(&b);
}
END_TEST

static int
read_all(const void *data, size_t bytes)
{
	struct tracepack_reader in;
	struct tracepack_record r;
	int result = tracepack_read(&in, data, bytes);

	while (result == 0 && (result = tracepack_next(&in, &r)) > 0) {
		if (r.is_name)
			ck_assert(r.number >= 1 && r.number <= TRACE_NAMES &&
				  r.bytes < TRACE_NAME && r.text >= (const char *)data &&
				  r.text + r.bytes <= (const char *)data + bytes);
		else
			ck_assert(r.event.at_us >= 0 && r.event.kind < TRACE_NKINDS &&
				  r.event.name <= TRACE_NAMES && r.event.name2 <= TRACE_NAMES);
		result = 0;
	}
	return result;
}

/* Each place where a portion is cut off gives an error, or is between two records. */
START_TEST(cut_off)
{
	struct trace_event events[CUT_EVENTS];
	unsigned good = 0;
	struct buf b;

	srand(1);
	buf_init(&b, BUF_MAX);
	make(&b, events, CUT_EVENTS);
	for (size_t n = 0; n < b.len; n++) {
		/* In memory of its own, so that a read behind its end is noticed. */
		uint8_t *copy = malloc(n + 1);
		int result;

		memcpy(copy, buf_data(&b), n);
		copy = realloc(copy, n ? n : 1);
		result = read_all(copy, n);
		ck_assert(result == 0 || result == -E_SYNTAX);
		good += result == 0;
		free(copy);
	}
	ck_assert_uint_eq(good, CUT_EVENTS + CUT_EVENTS / 10);
	buf_clear(&b);
}
END_TEST

START_TEST(damaged)
{
	struct trace_event events[EVENTS];
	struct buf b;

	srand((unsigned)_i);
	buf_init(&b, BUF_MAX);
	make(&b, events, EVENTS);
	for (unsigned i = 0; i < 20; i++)
		buf_data(&b)[2 + (size_t)rand() % (b.len - 2)] = (uint8_t)rand();
	ck_assert_int_le(read_all(buf_data(&b), b.len), 0);
	buf_clear(&b);
}
END_TEST

START_TEST(what_is_refused)
{
	static const struct {
		const char *bytes;
		size_t length;
		int result;
	} cases[] = {
	    {"\2\0\0\0", 4, -E_RANGE},               /* another version */
	    {"", 0, -E_SYNTAX},                      /* nothing */
	    {"\1\0\0\0", 4, 0},                      /* no record */
	    {"\1\0\0\0\10\0\0\0", 8, -E_SYNTAX},     /* a kind that there is not */
	    {"\1\0\0\0\200\0\0\0", 8, -E_SYNTAX},    /* a bit that there is not */
	    {"\1\0\0\0\40\0\0\0\0", 9, -E_SYNTAX},   /* the name 0 */
	    {"\1\0\0\0\17\1\3ab", 9, -E_SYNTAX},     /* a name that is longer than all */
	    {"\1\0\0\0\17\1\200\1", 8, -E_SYNTAX},   /* ... than a name may be */
	    {"\1\0\0\0\17\201\100\0", 8, -E_SYNTAX}, /* the number of a name */
	    {"\1\0\377\377\377\377\377\377\377\377\377\2\0", 13, -E_SYNTAX}, /* over 64 bits */
	    {"\1\0\200\200\200\200\200\200\200\200\200\1\0", 13, -E_SYNTAX}, /* a clock below 0 */
	    {"\1\0\5\0\2R\13\1", 8, -E_SYNTAX}, /* an event before the time 0 */
	    {"\1\0\5\0\2R\11\1", 8, 0},         /* ... and at the time 0 */
	};

	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
		ck_assert_msg(read_all(cases[i].bytes, cases[i].length) == cases[i].result,
			      "case %u", i);
}
END_TEST

/* A buffer that is full has its error, and nothing is written behind it. */
START_TEST(no_room)
{
	struct tracepack_writer w;
	struct buf b;

	buf_init(&b, 100);
	tracepack_begin(&w, &b, 0, 1, 0);
	for (unsigned i = 0; i < 100; i++) {
		tracepack_event(&w, &(struct trace_event){.subject = i});
		tracepack_name(&w, 1, "name");
	}
	ck_assert(b.failed);
	ck_assert_uint_le(b.len, 100);
	buf_clear(&b);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("tracepack");
	Suite *s = suite_create("tracepack");
	SRunner *r = srunner_create(s);

	suite_add_tcase(s, t);
	tcase_add_loop_test(t, what_is_written_is_read, 0, 10);
	tcase_add_test(t, extremes);
	tcase_add_test(t, an_ordinary_event_is_small);
	tcase_add_test(t, cut_off);
	tcase_add_loop_test(t, damaged, 0, 200);
	tcase_add_test(t, what_is_refused);
	tcase_add_test(t, no_room);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
