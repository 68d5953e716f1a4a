/* What `pgwith top` is made of: lines, pictures, sheets, and the model. */
#include <check.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "cli/top/feed.h"
#include "cli/top/graph.h"
#include "cli/top/lines.h"
#include "cli/top/model.h"
#include "cli/top/sheet.h"

/* Is the text, which is freed, the expected one? */
static void
is(char *text, const char *expected)
{
	ck_assert_str_eq(text, expected);
	free(text);
}

static void
unicode(void)
{
	ck_assert_ptr_nonnull(setlocale(LC_CTYPE, "C.UTF-8"));
}

static void
ascii(void)
{
	ck_assert_ptr_nonnull(setlocale(LC_CTYPE, "C"));
}

/* ---- lines ---- */

START_TEST(a_text_is_cut_to_its_width)
{
	unicode();
	is(lines_fitted("orders", 0), "orders");
	is(lines_fitted("orders", 6), "orders");
	is(lines_fitted("orders", 5), "orde\xe2\x80\xa6");
	is(lines_fitted("orders", 1), "\xe2\x80\xa6");
	is(lines_fitted("", 3), "");
	/* two columns each: only one of them fits beside the ellipsis */
	is(lines_fitted("\xe6\xbc\xa2\xe5\xad\x97", 3), "\xe6\xbc\xa2\xe2\x80\xa6");
	ck_assert_uint_eq(lines_width("\xe6\xbc\xa2\xe5\xad\x97"), 4);
}
END_TEST

START_TEST(nothing_steers_the_terminal)
{
	unicode();
	is(lines_fitted("a\033[2Jb\nc\x7f", 0), "a?[2Jb?c?");
	is(lines_fitted("\xff\xc3", 0), "??");
	/* an override of the text's direction */
	is(lines_fitted("a\xe2\x80\xae"
			"b",
			0),
	   "a?b");
}
END_TEST

START_TEST(without_unicode_there_is_ascii_only)
{
	ascii();
	is(lines_fitted("orders", 5), "orde~");
	is(lines_fitted("caf\xc3\xa9", 0), "caf?");
	ck_assert(!lines_unicode());
	unicode();
	ck_assert(lines_unicode());
}
END_TEST

/* A machine that has none of these locales cannot tell. */
START_TEST(another_charset_gets_ascii_only)
{
	static const char *const locales[] = {"de_DE.ISO-8859-1", "en_US.ISO-8859-1",
					      "ja_JP.EUC-JP"};

	for (unsigned i = 0; i < sizeof locales / sizeof *locales; i++) {
		if (setlocale(LC_CTYPE, locales[i]) == NULL)
			continue;
		/* the second byte of this letter is CSI in ISO 8859-1 */
		is(lines_fitted("R\xc3\x9b[2J", 0), "R?[2J");
		ck_assert(!lines_unicode());
	}
	unicode();
}
END_TEST

START_TEST(long_lines_are_broken_between_words)
{
	struct lines l = {0};

	lines_add_broken(&l, LINE_STRONG, TABLE_BAD, 10, 3, "one two three four five six seven");
	ck_assert_uint_eq(l.count, 3);
	ck_assert_str_eq(l.list[0].text, "one two");
	ck_assert_str_eq(l.list[1].text, "three four");
	ck_assert_str_eq(l.list[2].text, "five six \xe2\x80\xa6");
	ck_assert_int_eq(l.list[2].mood, TABLE_BAD);
	lines_clear(&l);
	lines_add_broken(&l, LINE_STRONG, TABLE_BAD, 4, 2, "abcdefgh");
	ck_assert_str_eq(l.list[0].text, "abcd");
	ck_assert_str_eq(l.list[1].text, "efgh");
	lines_clear(&l);
	/* a number keeps its unit */
	lines_add_broken(&l, LINE_STRONG, TABLE_BAD, 13, 3, "holds for 8.1 s; 14 waiting");
	ck_assert_str_eq(l.list[0].text, "holds for");
	ck_assert_str_eq(l.list[1].text, "8.1 s; 14");
	ck_assert_str_eq(l.list[2].text, "waiting");
	lines_clear(&l);
	lines_add_broken(&l, LINE_STRONG, TABLE_BAD, 0, 2, "no limit at all");
	ck_assert_uint_eq(l.count, 1);
	lines_clear(&l);
}
END_TEST

START_TEST(lines_are_moved_and_removed)
{
	struct lines a = {0}, b = {0};

	for (int i = 0; i < 40; i++) {
		char text[2] = {(char)('a' + i % 26), 0};

		lines_add(i < 3 ? &a : &b, LINE_PLAIN, TABLE_PLAIN, 0, text);
	}
	lines_move(&a, &b);
	ck_assert_uint_eq(a.count, 40);
	ck_assert_uint_eq(b.count, 0);
	lines_remove(&a, 1, 2);
	ck_assert_uint_eq(a.count, 38);
	ck_assert_str_eq(a.list[0].text, "a");
	ck_assert_str_eq(a.list[1].text, "d");
	lines_cut(&a, 50);
	ck_assert_uint_eq(a.count, 38);
	lines_cut(&a, 1);
	ck_assert_uint_eq(a.count, 1);
	lines_clear(&a);
}
END_TEST

/* ---- pictures ---- */

static void
bar(unsigned leased, unsigned cleaning, unsigned opening, unsigned idle, unsigned size,
    const char *expected)
{
	struct graph_servers s = {leased, cleaning, opening, idle, size};

	is(graph_bar(&s, 10), expected);
}

START_TEST(bars)
{
	ascii();
	bar(0, 0, 0, 0, 20, "[          ]");
	bar(20, 0, 0, 0, 20, "[##########]");
	bar(10, 2, 2, 2, 20, "[#####~+-  ]");
	/* what there is, has a place, however small */
	bar(1, 1, 1, 1, 1000, "[#~+-      ]");
	bar(997, 1, 1, 1, 1000, "[#######~+-]");
	/* the pool was made smaller */
	bar(20, 0, 0, 5, 10, "[########--]");
	bar(0, 0, 0, 0, 0, "[          ]");
	unicode();
	bar(1, 0, 0, 1, 10, "[\xe2\x96\x88\xc2\xb7        ]");
}
END_TEST

START_TEST(sparklines)
{
	const unsigned v[] = {0, 1, 2, 4, 7, 7, 0, 1000};

	ascii();
	is(graph_spark(v, 0, 10), "");
	is(graph_spark(v, 7, 10), "_.:=##_");
	is(graph_spark(v, 6, 2), "##");
	/* only nothing is as low as nothing */
	is(graph_spark(v, 8, 3), "._#");
}
END_TEST

START_TEST(rates)
{
	static const struct {
		double rate;
		const char *text;
	} all[] = {{-1, ""},       {0, "0.0"},       {0.34, "0.3"},    {9.94, "9.9"},
		   {9.96, "10"},   {1234, "1234"},   {12345, "12.3k"}, {123456, "123k"},
		   {9.9e7, "99M"}, {9999.7, "10.0k"}};
	char text[24];

	for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
		ck_assert_str_eq(graph_rate(all[i].rate, text, sizeof text), all[i].text);
}
END_TEST

/* ---- sheets ---- */

static const struct sheet_column columns[] = {
    {.title = "NAME", .least = 4},
    {.title = "COUNT", .number = true},
    {.title = "NOTE", .least = 4, .drop = 1},
    {.title = "FOR", .number = true, .drop = 2},
};

static struct sheet *
sample(void)
{
	static const char *const names[] = {"orders", "Billing", "archive"};
	struct sheet *s = sheet_new(columns, 4);

	for (int i = 0; i < 3; i++) {
		sheet_row(s, i == 1 ? TABLE_BAD : TABLE_PLAIN);
		sheet_session(s, 10 + (uint64_t)i, i ? NULL : "work",
			      i == 2 ? "psql, pid 7" : NULL);
		sheet_text(s, names[i]);
		sheet_count(s, i == 1 ? 0 : 5, true);
		sheet_text(s, i ? "a longer note" : NULL);
		sheet_elapsed(s, i == 2 ? -1 : (i + 1) * 1500000);
	}
	return s;
}

/* The lines as one text, which the caller frees. */
static char *
printed(const struct sheet *s, unsigned width, unsigned most, int sorted)
{
	struct lines l = {0};
	char *text = NULL;
	size_t bytes;
	FILE *f = open_memstream(&text, &bytes);

	sheet_lines(s, width, most, sorted, &l);
	for (unsigned i = 0; i < l.count; i++) {
		ck_assert(width == 0 || lines_width(l.list[i].text) <= width);
		fprintf(f, "%s\n", l.list[i].text);
	}
	fclose(f);
	lines_clear(&l);
	return text;
}

START_TEST(columns_are_aligned)
{
	struct sheet *s = sample();

	unicode();
	is(printed(s, 0, 0, -1), "NAME     COUNT  NOTE             FOR\n"
				 "orders       5                 1.5 s\n"
				 "Billing         a longer note  3.0 s\n"
				 "archive      5  a longer note       \n");
	sheet_free(s);
}
END_TEST

START_TEST(a_narrow_screen_has_shorter_texts_then_fewer_columns)
{
	struct sheet *s = sample();

	is(printed(s, 30, 0, -1), "NAME     COUNT  NOTE       FOR\n"
				  "orders       5           1.5 s\n"
				  "Billing         a long\xe2\x80\xa6  3.0 s\n"
				  "archive      5  a long\xe2\x80\xa6       \n");
	is(printed(s, 20, 0, -1), "NAME   COUNT  NOTE\n"
				  "orde\xe2\x80\xa6      5  \n"
				  "Bill\xe2\x80\xa6         a lon\xe2\x80\xa6\n"
				  "arch\xe2\x80\xa6      5  a lon\xe2\x80\xa6\n");
	sheet_free(s);
}
END_TEST

START_TEST(rows_are_sorted)
{
	struct sheet *s = sample();

	sheet_sort(s, 0, false);
	is(printed(s, 12, 0, 0), "NAME*  COUNT\narch\xe2\x80\xa6      5\nBill\xe2\x80\xa6       \n"
				 "orde\xe2\x80\xa6      5\n");
	/* numbers: the largest first; rows that are equal stay as they were added */
	sheet_sort(s, 1, false);
	is(printed(s, 13, 0, 1),
	   "NAME   COUNT*\norde\xe2\x80\xa6       5\narch\xe2\x80\xa6       5\n"
	   "Bill\xe2\x80\xa6        \n");
	sheet_sort(s, 5, true); /* as 1 */
	is(printed(s, 12, 0, -1), "NAME   COUNT\nBill\xe2\x80\xa6       \norde\xe2\x80\xa6      5\n"
				  "arch\xe2\x80\xa6      5\n");
	sheet_free(s);
}
END_TEST

START_TEST(rows_are_filtered)
{
	struct sheet *s = sample();

	sheet_filter(s, "LONGER");
	ck_assert_uint_eq(sheet_rows(s), 2);
	sheet_filter(s, "psql"); /* of whom, which is no cell */
	ck_assert_uint_eq(sheet_rows(s), 1);
	sheet_filter(s, "nowhere");
	ck_assert_uint_eq(sheet_rows(s), 0);
	is(printed(s, 0, 0, -1), "NAME  COUNT  NOTE  FOR\n");
	sheet_free(s);
}
END_TEST

START_TEST(more_rows_than_lines)
{
	struct sheet *s = sample();
	struct lines l = {0};

	sheet_lines(s, 0, 2, -1, &l);
	ck_assert_uint_eq(l.count, 3);
	ck_assert_uint_eq(l.list[1].session, 10);
	ck_assert_str_eq(l.list[1].scope, "work");
	ck_assert_str_eq(l.list[2].text, "  and 2 more");
	lines_clear(&l);
	sheet_lines(s, 0, 3, -1, &l);
	ck_assert_uint_eq(l.count, 4);
	ck_assert_int_eq(l.list[2].mood, TABLE_BAD);
	ck_assert_str_eq(l.list[3].who, "psql, pid 7");
	lines_clear(&l);
	sheet_free(s);
}
END_TEST

/* ---- the model ---- */

#define TEXTS(...) ((const char *const[]){__VA_ARGS__})

static struct table *
pools(const char *waiting)
{
	struct table *t = table_new();

	table_column(t, "database", TABLE_TEXT);
	table_column(t, "cl_waiting", TABLE_NUMBER);
	table_row(t, TEXTS("orders", waiting));
	return t;
}

static struct table *
stats(const char *transactions, const char *queries)
{
	struct table *t = table_new();

	table_column(t, "database", TABLE_TEXT);
	table_column(t, "total_xact_count", TABLE_NUMBER);
	table_column(t, "total_query_count", TABLE_NUMBER);
	table_row(t, TEXTS("orders", transactions, queries));
	return t;
}

static struct table *
errors(const char *count)
{
	struct table *t = table_new();

	table_column(t, "error", TABLE_TEXT);
	table_column(t, "count", TABLE_NUMBER);
	table_row(t, TEXTS("wait_timeout", count));
	return t;
}

static struct table *
state(const char *pid)
{
	struct table *t = table_new();

	table_column(t, "key", TABLE_TEXT);
	table_column(t, "value", TABLE_TEXT);
	table_row(t, TEXTS("pid", pid));
	table_row(t, TEXTS("phase", "running"));
	return t;
}

START_TEST(rates_are_those_between_two_rounds)
{
	struct model *m = model_new();
	const struct model_pool *p;

	model_take(m, MODEL_POOLS, pools("3"));
	model_take(m, MODEL_STATS, stats("100", "1000"));
	model_round(m, 10 * UNIT_S);
	p = model_pool(m, 0);
	ck_assert_ptr_nonnull(p);
	ck_assert(p->transaction_rate < 0 && p->query_rate < 0);
	model_take(m, MODEL_STATS, stats("150", "1200"));
	model_round(m, 12 * UNIT_S);
	p = model_pool(m, 0);
	ck_assert_double_eq(p->transaction_rate, 25);
	ck_assert_double_eq(p->query_rate, 100);
	model_round(m, 13 * UNIT_S);
	ck_assert_double_eq(model_pool(m, 0)->query_rate, 0);
	/* sums that are smaller are those of another process: the last rates stay */
	model_take(m, MODEL_STATS, stats("1", "2"));
	model_round(m, 14 * UNIT_S);
	ck_assert_double_eq(model_pool(m, 0)->query_rate, 0);
	model_take(m, MODEL_STATS, stats("2", "4"));
	model_round(m, 15 * UNIT_S);
	ck_assert_double_eq(model_pool(m, 0)->query_rate, 2);
	model_free(m);
}
END_TEST

START_TEST(waiting_is_remembered)
{
	struct model *m = model_new();
	const struct model_pool *p;
	char text[12];

	for (int i = 0; i < MODEL_SAMPLES + 10; i++) {
		snprintf(text, sizeof text, "%d", i);
		model_take(m, MODEL_POOLS, pools(text));
		model_round(m, (1 + i) * UNIT_S);
	}
	p = model_pool(m, 0);
	ck_assert_uint_eq(p->nwaiting, MODEL_SAMPLES);
	ck_assert_uint_eq(p->waiting[0], 10);
	ck_assert_uint_eq(p->waiting[MODEL_SAMPLES - 1], MODEL_SAMPLES + 9);
	/* a pool that is not there any more is forgotten */
	model_take(m, MODEL_POOLS, table_new());
	model_round(m, 100 * UNIT_S);
	ck_assert_uint_eq(m->npools, 0);
	model_free(m);
}
END_TEST

/* Rounds `apart_us` one behind the other, with one more error in each, for `long_us`. */
static void
one_error_each(int64_t apart_us, int64_t long_us)
{
	struct model *m = model_new();
	int64_t per_minute = MODEL_WINDOW_US / apart_us, minute;
	char text[24];

	for (int64_t i = 0; i * apart_us <= long_us; i++) {
		snprintf(text, sizeof text, "%lld", (long long)(100 + i));
		model_take(m, MODEL_ERRORS, errors(text));
		model_round(m, UNIT_S + i * apart_us);
		minute = model_error(m, "wait_timeout")->minute;
		if (i * apart_us <= MODEL_WINDOW_US)
			ck_assert_int_eq(minute, i);
		else
			ck_assert(minute >= per_minute && minute <= per_minute * 21 / 20 + 1);
	}
	model_free(m);
}

START_TEST(errors_are_counted_for_a_minute)
{
	struct model *m = model_new();

	one_error_each(UNIT_S / 10, 5 * UNIT_MIN);
	one_error_each(UNIT_S, 5 * UNIT_MIN);
	one_error_each(2 * UNIT_S, 5 * UNIT_MIN);
	one_error_each(30 * UNIT_S, 10 * UNIT_MIN);
	/* none for long: none */
	model_take(m, MODEL_ERRORS, errors("5"));
	model_round(m, 1);
	model_take(m, MODEL_ERRORS, errors("9"));
	model_round(m, UNIT_MIN / 2);
	ck_assert_int_eq(model_error(m, "wait_timeout")->minute, 4);
	model_round(m, 2 * UNIT_MIN);
	model_round(m, 4 * UNIT_MIN);
	ck_assert_int_eq(model_error(m, "wait_timeout")->minute, 0);
	ck_assert_ptr_null(model_error(m, "other"));
	model_free(m);
}
END_TEST

START_TEST(another_process_begins_anew)
{
	struct model *m = model_new();

	model_take(m, MODEL_STATE, state("100"));
	model_take(m, MODEL_ERRORS, errors("5"));
	ck_assert(!model_round(m, UNIT_S));
	model_take(m, MODEL_ERRORS, errors("7"));
	ck_assert(!model_round(m, 2 * UNIT_S));
	ck_assert_int_eq(model_error(m, "wait_timeout")->minute, 2);
	model_take(m, MODEL_STATE, state("200"));
	model_take(m, MODEL_ERRORS, errors("50"));
	ck_assert(model_round(m, 3 * UNIT_S));
	ck_assert_int_eq(model_error(m, "wait_timeout")->minute, 0);
	ck_assert_int_eq(m->since_us, 3 * UNIT_S);
	ck_assert_str_eq(model_state(m, "phase"), "running");
	ck_assert_ptr_null(model_state(m, "nothing"));
	model_free(m);
}
END_TEST

START_TEST(what_is_refused_is_not_asked_until_the_next_login)
{
	struct model *m = model_new();

	model_take(m, MODEL_WAITS, pools("1"));
	ck_assert(model_wants(m, MODEL_WAITS));
	model_refuse(m, MODEL_WAITS);
	ck_assert(!model_wants(m, MODEL_WAITS));
	ck_assert_ptr_null(m->tables[MODEL_WAITS]);
	model_take(m, MODEL_POOLS, pools("1"));
	model_connected(m);
	ck_assert(model_wants(m, MODEL_WAITS));
	/* the old rows are better than none */
	ck_assert_ptr_nonnull(m->tables[MODEL_POOLS]);
	model_free(m);
}
END_TEST

/* ---- times ---- */

static void
note_times(struct times *times, const char *buckets, int64_t now_us)
{
	struct table *t = table_new();

	table_column(t, "pool", TABLE_TEXT);
	table_column(t, "what", TABLE_TEXT);
	table_column(t, "buckets", TABLE_TEXT);
	table_row(t, TEXTS("orders", "wait", "400:1000000"));
	table_row(t, TEXTS("orders", "statement", buckets));
	times_note(times, t, now_us);
	table_free(t);
}

START_TEST(percentiles_are_those_of_the_last_seconds)
{
	struct times *t = times_new();

	ck_assert_int_eq(times_percentile(t, "orders", 50), -1);
	/* what was there before the first look does not count */
	note_times(t, "3:1000", UNIT_S);
	ck_assert_int_eq(times_percentile(t, "orders", 50), -1);
	note_times(t, "3:1000 5:98 7:2", 2 * UNIT_S);
	ck_assert_int_eq(times_percentile(t, "orders", 50), 5);
	ck_assert_int_eq(times_percentile(t, "orders", 99), 7);
	ck_assert_int_eq(times_percentile(t, "other", 50), -1);
	/* the same for longer than the window: there were none */
	for (int i = 3; i < 30; i++)
		note_times(t, "3:1000 5:98 7:2", i * UNIT_S);
	ck_assert_int_eq(times_percentile(t, "orders", 50), -1);
	note_times(t, "3:1000 5:98 7:2 15:1", 30 * UNIT_S);
	ck_assert_int_eq(times_percentile(t, "orders", 50), 15);
	/* fewer than before: another process */
	note_times(t, "3:1", 31 * UNIT_S);
	ck_assert_int_eq(times_percentile(t, "orders", 50), -1);
	note_times(t, "3:1 4:1", 32 * UNIT_S);
	ck_assert_int_eq(times_percentile(t, "orders", 50), 4);
	times_note(t, NULL, 33 * UNIT_S);
	ck_assert_int_eq(times_percentile(t, "orders", 50), -1);
	times_free(t);
}
END_TEST

/* With looks that are close together, what is compared with is still about as old as the window. */
START_TEST(the_window_holds_for_quick_looks)
{
	struct times *t = times_new();
	char buckets[32];

	for (int i = 0; i < 2000; i++) {
		snprintf(buckets, sizeof buckets, "%d:%d 9:1", i < 1000 ? 2 : 3, i + 1);
		if (i == 1000)
			times_forget(t);
		note_times(t, buckets, (1 + i) * UNIT_S / 20);
	}
	ck_assert_int_eq(times_percentile(t, "orders", 50), 3);
	times_free(t);
}
END_TEST

START_TEST(texts_that_are_no_buckets)
{
	static const char *const texts[] = {"",     "x",      "1",           "1:",    ":5",  "1:x",
					    "1:1 ", "9999:1", "458:1 459:1", "1:1 2", "-1:5"};

	for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct times *t = times_new();

		note_times(t, "", UNIT_S);
		note_times(t, texts[i], 2 * UNIT_S);
		times_percentile(t, "orders", 99);
		times_free(t);
	}
}
END_TEST

/* ---- the connection ---- */

/* moves[from][to]: 'x' may be made. */
static const char *const moves[FEED_NSTATES] = {
    /* clang-format off */
    /*                   down, connecting, ready, asking */
    [FEED_DOWN]       = ".x..",
    [FEED_CONNECTING] = "x.x.",
    [FEED_READY]      = "x..x",
    [FEED_ASKING]     = "x.x.",
    /* clang-format on */
};

START_TEST(the_connection_moves)
{
	for (int from = 0; from < FEED_NSTATES; from++)
		for (int to = 0; to < FEED_NSTATES; to++)
			ck_assert_int_eq(feed_may_move((enum feed_state)from, (enum feed_state)to),
					 moves[from][to] == 'x');
}
END_TEST

START_TEST(nobody_listens)
{
	struct ask_whom whom = {.directory = "/nonexistent", .port = "6432", .timeout_us = UNIT_S};
	struct feed *f = feed_new(&whom);
	short events;

	ck_assert_int_eq(feed_fd(f, &events), -1);
	ck_assert_int_eq(feed_go(f, UNIT_S), FEED_LOST);
	ck_assert_ptr_nonnull(strstr(feed_error(f), "/nonexistent"));
	ck_assert_int_eq(feed_status(f), ASK_UNREACHABLE);
	/* it is not tried again before its time */
	ck_assert_int_eq(feed_due_us(f), UNIT_S + FEED_AGAIN_US);
	ck_assert_int_eq(feed_go(f, UNIT_S + 1), FEED_NOTHING);
	ck_assert_int_eq(feed_state(f), FEED_DOWN);
	ck_assert_int_eq(feed_go(f, UNIT_S + FEED_AGAIN_US), FEED_LOST);
	feed_free(f);
	whom.directory = "";
	f = feed_new(&whom);
	ck_assert_int_eq(feed_go(f, UNIT_S), FEED_LOST);
	ck_assert_int_eq(feed_status(f), ASK_USAGE);
	feed_free(f);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("top");
	TCase *c = tcase_create("top");
	SRunner *r;
	int failed;

	setlocale(LC_CTYPE, "C.UTF-8");
	tcase_add_test(c, a_text_is_cut_to_its_width);
	tcase_add_test(c, nothing_steers_the_terminal);
	tcase_add_test(c, without_unicode_there_is_ascii_only);
	tcase_add_test(c, another_charset_gets_ascii_only);
	tcase_add_test(c, long_lines_are_broken_between_words);
	tcase_add_test(c, lines_are_moved_and_removed);
	tcase_add_test(c, bars);
	tcase_add_test(c, sparklines);
	tcase_add_test(c, rates);
	tcase_add_test(c, columns_are_aligned);
	tcase_add_test(c, a_narrow_screen_has_shorter_texts_then_fewer_columns);
	tcase_add_test(c, rows_are_sorted);
	tcase_add_test(c, rows_are_filtered);
	tcase_add_test(c, more_rows_than_lines);
	tcase_add_test(c, rates_are_those_between_two_rounds);
	tcase_add_test(c, waiting_is_remembered);
	tcase_add_test(c, errors_are_counted_for_a_minute);
	tcase_add_test(c, another_process_begins_anew);
	tcase_add_test(c, what_is_refused_is_not_asked_until_the_next_login);
	tcase_add_test(c, percentiles_are_those_of_the_last_seconds);
	tcase_add_test(c, the_window_holds_for_quick_looks);
	tcase_add_test(c, texts_that_are_no_buckets);
	tcase_add_test(c, the_connection_moves);
	tcase_add_test(c, nobody_listens);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
