/* once: from the first Parse of a text to the statement that stands in for the unnamed one, by
 * hand; and what the client gets of the answers, however they are cut. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "pool/once.h"
#include "pool/prepared_inside.h"
#include "wire/frame.h"
#include "wire/msg.h"

#define BYTES_MAX (1024 * 1024)
#define SECOND    INT64_C(1000000)
#define MINUTE    (60 * SECOND)

/* One session, one server. */
struct bench {
	struct statements all;
	struct unnamed unnamed;
	struct progress p;
	struct prepared_set set;
	struct buf out;    /* to the server */
	struct buf client; /* to the client */
	int64_t now;
	uint64_t defined;
	unsigned max; /* statements */
	bool infers, redo;
	size_t cut; /* answers come in pieces of so many bytes; 0: whole */
};

static void
bench_init(struct bench *t)
{
	memset(t, 0, sizeof *t);
	statements_init(&t->all);
	progress_init(&t->p);
	prepared_init(&t->set, &t->all, &t->p);
	buf_init(&t->out, BYTES_MAX);
	buf_init(&t->client, BYTES_MAX);
	t->now = MINUTE;
	t->redo = true;
	t->max = 3;
}

static void
bench_clear(struct bench *t)
{
	unnamed_forget(&t->unnamed, &t->set.tracked);
	prepared_clear(&t->set);
	progress_clear(&t->p);
	ck_assert_uint_eq(t->all.texts.count, 0);
	statements_clear(&t->all);
	buf_clear(&t->out);
	buf_clear(&t->client);
}

/* The body of a Parse of the unnamed statement without types. */
static size_t
body_of(const char *sql, uint8_t *body)
{
	size_t bytes = strlen(sql) + 1;

	body[0] = 0;
	memcpy(body + 1, sql, bytes);
	memset(body + 1 + bytes, 0, 2);
	return bytes + 3;
}

static const uint8_t bind[] = {0, 0, 0, 0, 0, 0, 0, 0};

/* A Parse comes; if it is answered, with the Bind behind it. Else it is sent. */
static enum once_verdict
parse(struct bench *t, const char *sql)
{
	uint8_t body[1024];
	struct once o = {.body = body,
			 .bytes = body_of(sql, body),
			 .of_body = text_hash_body(body + 1, strlen(sql) + 3),
			 .context = "",
			 .place = 7,
			 .defined = t->defined,
			 .now_us = t->now,
			 .age_us = MINUTE,
			 .server_max = t->max,
			 .infers = t->infers,
			 .redo = t->redo};
	enum once_verdict v = once_has_come(&o, &t->set) ? once_judge(&o, &t->set) : ONCE_PASS;

	buf_reset(&t->out);
	if (v == ONCE_SERVE)
		once_serve_bind(&o, &t->unnamed, &t->set, &t->p, bind, sizeof bind, &t->out);
	else if (v == ONCE_PREPARE)
		once_prepare(&o, &t->unnamed, &t->set, &t->p, &t->out);
	else
		unnamed_parse(&t->unnamed, &t->set.tracked, &t->p, body, o.bytes, o.bytes, 0);
	return v;
}

static void
add_answer(struct buf *b, char type, const char *sqlstate)
{
	if (type == 't')
		backend_no_parameters(b);
	else if (type == 'T' || type == 'U')
		backend_row_description(b, type == 'U');
	else if (type == 'E')
		msg_report(b, 'E', "ERROR", sqlstate, "no", NULL, NULL);
	else if (type == 'Z')
		msg_ready(b, 'I');
	else
		backend_message(b, type, NULL);
}

/* The server answers; returns the types of what the client gets. */
static const char *
hear(struct bench *t, const char *types, const char *sqlstate)
{
	static char got[64];
	struct frame f;
	struct buf b;
	size_t n = 0, step;

	buf_init(&b, BYTES_MAX);
	for (; *types; types++)
		add_answer(&b, *types, sqlstate);
	buf_reset(&t->client);
	for (size_t at = 0; at < b.len; at += step) {
		step = t->cut && t->cut < b.len - at ? t->cut : b.len - at;
		if (progress_filters(&t->p)) {
			ck_assert_int_eq(
			    progress_filter(&t->p, buf_data(&b) + at, step, &t->client), 0);
			continue;
		}
		buf_add(&t->client, buf_data(&b) + at, step);
		ck_assert_int_eq(progress_received(&t->p, buf_data(&b) + at, step), 0);
	}
	buf_clear(&b);
	for (size_t at = 0; at < t->client.len; at += FRAME_HEADER + f.body) {
		ck_assert_int_eq(frame_read(buf_data(&t->client) + at, t->client.len - at, &f), 0);
		got[n++] = f.type;
	}
	got[n] = 0;
	return got;
}

/* The rest of the exchange behind the Parse: a Bind, if that was not sent, and Execute and Sync. */
static void
rest(struct bench *t, enum once_verdict v)
{
	if (v != ONCE_SERVE)
		progress_sent(&t->p, 'B');
	progress_sent(&t->p, 'E');
	progress_sent(&t->p, 'S');
}

/* A whole exchange that goes well. Ahead of it, statements may be closed. */
static enum once_verdict
exchange(struct bench *t, const char *sql)
{
	enum once_verdict v = parse(t, sql);
	char answers[32] = "";
	struct frame f;

	for (size_t at = 0; at < t->out.len; at += FRAME_HEADER + f.body) {
		ck_assert_int_eq(frame_read(buf_data(&t->out) + at, t->out.len - at, &f), 0);
		if (f.type == 'C')
			strcat(answers, "3");
	}
	strcat(answers, v == ONCE_PREPARE ? "1tT2CZ" : v == ONCE_SERVE ? "2CZ" : "12CZ");
	rest(t, v);
	ck_assert_str_eq(hear(t, answers, NULL), "12CZ");
	progress_renew(&t->p);
	ck_assert_uint_eq(t->set.tracked.list.count, 0);
	ck_assert(!t->set.tracked.unconfirmed);
	ck_assert_ptr_null(progress_remains(&t->p));
	return v;
}

#define TEXT "SELECT a FROM t"

START_TEST(a_text_is_prepared_at_the_second_time)
{
	static const char parse_1[] = "P\0\0\0\x1fpgwith_1\0SELECT a FROM t\0\0\0"
				      "D\0\0\0\x0eSpgwith_1";
	static const char bind_1[] = "B\0\0\0\x14\0pgwith_1\0\0\0\0\0\0";
	struct bench t;

	bench_init(&t);
	ck_assert_int_eq(exchange(&t, TEXT), ONCE_PASS);
	ck_assert_uint_eq(t.all.texts.count, 0);
	ck_assert_int_eq(parse(&t, TEXT), ONCE_PREPARE);
	ck_assert_uint_eq(t.out.len, sizeof parse_1);
	ck_assert_mem_eq(buf_data(&t.out), parse_1, sizeof parse_1);
	rest(&t, ONCE_PREPARE);
	hear(&t, "1tT2CZ", NULL);
	ck_assert_int_eq(parse(&t, TEXT), ONCE_SERVE);
	ck_assert_uint_eq(t.out.len, sizeof bind_1);
	ck_assert_mem_eq(buf_data(&t.out), bind_1, sizeof bind_1);
	rest(&t, ONCE_SERVE);
	hear(&t, "2CZ", NULL);
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(exchange(&t, TEXT), ONCE_SERVE);
	bench_clear(&t);
}
END_TEST

START_TEST(what_stands_in_is_used_and_replaced)
{
	struct bench t;

	bench_init(&t);
	for (int i = 0; i < 3; i++)
		exchange(&t, TEXT);
	ck_assert(once_stands_in(&t.unnamed, &t.set));
	ck_assert_str_eq(once_name(&t.unnamed, &t.set), "pgwith_1");
	exchange(&t, "SELECT 1");
	ck_assert(!once_stands_in(&t.unnamed, &t.set));
	exchange(&t, TEXT);
	ck_assert(once_stands_in(&t.unnamed, &t.set));
	/* DISCARD ALL: the text is prepared where it is used. */
	prepared_forget(&t.set);
	ck_assert_ptr_null(once_name(&t.unnamed, &t.set));
	ck_assert(!t.unnamed.here);
	bench_clear(&t);
}
END_TEST

START_TEST(it_is_made_anew_when_something_was_defined_or_it_is_old)
{
	struct bench t;

	bench_init(&t);
	t.max = 1;
	for (int i = 0; i < 3; i++)
		exchange(&t, TEXT);
	t.all.defined = ++t.all.tick;
	ck_assert_int_eq(exchange(&t, TEXT), ONCE_PREPARE);
	ck_assert_int_eq(exchange(&t, TEXT), ONCE_SERVE);
	t.defined = ++t.all.tick;
	ck_assert_int_eq(exchange(&t, TEXT), ONCE_PREPARE);
	ck_assert_int_eq(exchange(&t, TEXT), ONCE_SERVE);
	t.now += MINUTE + 1;
	ck_assert_int_eq(exchange(&t, TEXT), ONCE_PREPARE);
	/* The older ones of the same description were closed. */
	ck_assert_int_eq(exchange(&t, TEXT), ONCE_SERVE);
	ck_assert_uint_eq(t.set.recent.count, 1);
	bench_clear(&t);
}
END_TEST

START_TEST(which_texts_where)
{
	struct bench t;

	bench_init(&t);
	t.max = 10;
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(exchange(&t, "SELECT f(a) FROM t"), i ? ONCE_NEVER : ONCE_PASS);
		ck_assert_int_eq(exchange(&t, "SHOW a"), i ? ONCE_NEVER : ONCE_PASS);
		exchange(&t, TEXT);
		exchange(&t, "SELECT * FROM t");
		exchange(&t, "DELETE FROM t");
	}
	/* Nothing can be done again: results may have changed. */
	t.redo = false;
	ck_assert_int_eq(parse(&t, "DELETE FROM t"), ONCE_SERVE);
	rest(&t, ONCE_SERVE);
	hear(&t, "2CZ", NULL);
	ck_assert_int_eq(exchange(&t, TEXT), ONCE_PASS);
	t.infers = true;
	ck_assert_int_eq(exchange(&t, TEXT), ONCE_SERVE);
	ck_assert_int_eq(exchange(&t, "SELECT * FROM t"), ONCE_PASS);
	ck_assert_int_eq(exchange(&t, "SELECT f(a) FROM t"), ONCE_PREPARE);
	ck_assert_int_eq(exchange(&t, "SELECT f(a) FROM t"), ONCE_SERVE);
	ck_assert_int_eq(exchange(&t, "SHOW a"), ONCE_NEVER);
	bench_clear(&t);
}
END_TEST

START_TEST(texts_that_come_once_evict_nothing)
{
	struct bench t;
	char sql[64];

	bench_init(&t);
	for (int i = 0; i < 3; i++)
		exchange(&t, TEXT);
	for (int i = 0; i < 5000; i++) {
		snprintf(sql, sizeof sql, "SELECT %d FROM t", i);
		ck_assert_int_eq(exchange(&t, sql), ONCE_PASS);
	}
	ck_assert_uint_eq(t.set.recent.count, 1);
	ck_assert_uint_eq(t.all.texts.count, 1);
	ck_assert_int_eq(exchange(&t, TEXT), ONCE_SERVE);
	/* Those that repeat do, the least recently used first, but not at once. */
	for (int i = 0; i < 3; i++)
		for (int j = 0; j < 12; j++) {
			snprintf(sql, sizeof sql, "SELECT a FROM t%d", i);
			exchange(&t, sql);
		}
	ck_assert_uint_eq(t.set.recent.count, 3);
	ck_assert_int_eq(exchange(&t, "SELECT a FROM t2"), ONCE_SERVE);
	ck_assert_int_ne(exchange(&t, TEXT), ONCE_SERVE);
	bench_clear(&t);
}
END_TEST

/* More texts go round than the server keeps: what it has is of use. */
START_TEST(texts_that_go_round)
{
	unsigned served = 0, prepared = 0;
	struct bench t;
	char sql[64];

	bench_init(&t);
	for (int i = 0; i < 3000; i++) {
		enum once_verdict v;

		snprintf(sql, sizeof sql, "SELECT a FROM t%d", i % 6);
		v = exchange(&t, sql);
		served += v == ONCE_SERVE;
		prepared += v == ONCE_PREPARE;
	}
	ck_assert_uint_gt(served, 600);
	ck_assert_uint_lt(prepared, 400);
	bench_clear(&t);
}
END_TEST

/* The answers to a prepared text are still to come: no other is prepared. */
START_TEST(texts_in_one_go)
{
	struct bench t;

	bench_init(&t);
	exchange(&t, TEXT);
	exchange(&t, "SELECT b FROM t");
	ck_assert_int_eq(parse(&t, TEXT), ONCE_PREPARE);
	ck_assert_int_eq(parse(&t, TEXT), ONCE_PASS);
	ck_assert_int_eq(parse(&t, "SELECT b FROM t"), ONCE_PASS);
	progress_sent(&t.p, 'S');
	ck_assert_str_eq(hear(&t, "1tT11Z", NULL), "111Z");
	ck_assert_int_eq(exchange(&t, "SELECT b FROM t"), ONCE_PREPARE);
	bench_clear(&t);
}
END_TEST

/* A text that is prepared again and again, as something is always defined in between, is mostly
 * left alone. */
START_TEST(preparing_in_vain_ends)
{
	unsigned prepared = 0;
	struct bench t;

	bench_init(&t);
	for (int i = 0; i < 1000; i++) {
		prepared += exchange(&t, TEXT) == ONCE_PREPARE;
		t.all.defined = ++t.all.tick;
	}
	ck_assert_uint_lt(prepared, 80);
	bench_clear(&t);
}
END_TEST

/* Each way to cut the answers: by one byte, two ..., whole. */
#define CUTS 40

START_TEST(a_refusal_is_done_again_unseen)
{
	struct bench t;
	enum once_verdict v;

	bench_init(&t);
	t.cut = (size_t)_i;
	for (int i = 0; i < 3; i++)
		exchange(&t, TEXT);
	v = parse(&t, TEXT);
	ck_assert(t.set.tracked.unconfirmed);
	rest(&t, v);
	ck_assert_str_eq(hear(&t, "E", "0A000"), "");
	ck_assert(t.p.redo && !t.set.tracked.unconfirmed);
	ck_assert(!t.p.skipping);
	ck_assert_str_eq(hear(&t, "Z", NULL), "");
	ck_assert(progress_at_rest(&t.p));
	t.p.redo = false;
	once_refused(&t.set, "0A000");
	/* The statement before is the session's again, and the refused one is closed. */
	v = parse(&t, TEXT);
	ck_assert_int_eq(v, ONCE_PREPARE);
	ck_assert_int_eq(*buf_data(&t.out), 'C');
	rest(&t, v);
	ck_assert_str_eq(hear(&t, "31tU2CZ", NULL), "12CZ");
	ck_assert_int_eq(exchange(&t, TEXT), ONCE_SERVE);
	bench_clear(&t);
}
END_TEST

/* Whether the client gets it is known at its end only, and not all of it is kept. */
START_TEST(a_very_long_error)
{
	size_t long_bytes = 3 * BYTES_MAX / 2;
	char *text = malloc(long_bytes + 1);
	struct buf b, client;
	struct bench t;
	struct frame f;

	memset(text, 'x', long_bytes);
	text[long_bytes] = 0;
	bench_init(&t);
	for (int i = 0; i < 3; i++)
		exchange(&t, TEXT);
	t.redo = false;
	t.infers = true;
	rest(&t, parse(&t, TEXT));
	buf_init(&b, 2 * BYTES_MAX);
	buf_init(&client, 2 * BYTES_MAX);
	msg_report(&b, 'E', "ERROR", "22012", text, NULL, NULL);
	for (size_t at = 0, step; at < b.len; at += step) {
		step = b.len - at < 60000 ? b.len - at : 60000;
		ck_assert_int_eq(progress_filter(&t.p, buf_data(&b) + at, step, &client), 0);
	}
	ck_assert_int_eq(*buf_data(&client), '1');
	ck_assert_int_eq(frame_read(buf_data(&client) + 5, client.len - 5, &f), 0);
	ck_assert_int_eq(f.type, 'E');
	ck_assert_uint_eq(5 + FRAME_HEADER + f.body, client.len);
	ck_assert_uint_gt(f.body, BYTES_MAX - 60000);
	ck_assert_int_eq(buf_data(&client)[client.len - 2] | buf_data(&client)[client.len - 1], 0);
	ck_assert_str_eq(hear(&t, "Z", NULL), "Z");
	ck_assert(progress_at_rest(&t.p));
	free(text);
	buf_clear(&b);
	buf_clear(&client);
	bench_clear(&t);
}
END_TEST

START_TEST(a_refusal_before_the_sync)
{
	struct bench t;

	bench_init(&t);
	t.cut = (size_t)_i;
	for (int i = 0; i < 3; i++)
		exchange(&t, TEXT);
	parse(&t, TEXT);
	progress_sent(&t.p, 'E');
	ck_assert_str_eq(hear(&t, "E", "42703"), "");
	ck_assert(t.p.redo && t.p.skipping);
	progress_sent_own_sync(&t.p);
	ck_assert_str_eq(hear(&t, "Z", NULL), "");
	ck_assert(progress_at_rest(&t.p));
	t.p.redo = false;
	/* The fault of a value: the Parse passes once, and the statement stays. */
	once_refused(&t.set, "22P02");
	ck_assert_int_eq(exchange(&t, TEXT), ONCE_PASS);
	ck_assert_int_eq(exchange(&t, TEXT), ONCE_SERVE);
	bench_clear(&t);
}
END_TEST

/* What is no fault of the statement is told: a cancel, a lock. */
START_TEST(other_errors_are_told)
{
	static const char *const codes[] = {"57014", "55P03", "40P01", "53200"};
	struct bench t;

	bench_init(&t);
	t.cut = (size_t)_i;
	for (int i = 0; i < 3; i++)
		exchange(&t, TEXT);
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
		const char *got;

		parse(&t, TEXT);
		rest(&t, ONCE_SERVE);
		got = hear(&t, "EZ", codes[i]);
		ck_assert_str_eq(got[0] == '1' ? got + 1 : got, "EZ");
		ck_assert(!t.p.redo);
		for (int j = 0; j < 2; j++)
			exchange(&t, TEXT);
	}
	bench_clear(&t);
}
END_TEST

/* Where nothing can be done again, an error with a position is the Parse's, another the Bind's. */
START_TEST(whose_error_it_is)
{
	struct bench t;
	struct buf b;
	size_t at;

	bench_init(&t);
	t.cut = (size_t)_i;
	for (int i = 0; i < 3; i++)
		exchange(&t, "DELETE FROM t");
	t.redo = false;
	parse(&t, "DELETE FROM t");
	rest(&t, ONCE_SERVE);
	ck_assert_str_eq(hear(&t, "EZ", "22P02"), "1EZ");
	ck_assert(once_stands_in(&t.unnamed, &t.set));
	parse(&t, "DELETE FROM t");
	rest(&t, ONCE_SERVE);
	buf_init(&b, 1000);
	at = msg_begin(&b, 'E');
	for (const char *const *f =
		 (const char *const[]){"SERROR", "VERROR", "C42P01", "Mno", "P12", "", NULL};
	     *f; f++)
		if (**f)
			buf_add_str(&b, *f);
		else
			buf_add_u8(&b, 0);
	msg_end(&b, at);
	buf_reset(&t.client);
	for (size_t i = 0, step; i < b.len; i += step) {
		step = t.cut && t.cut < b.len - i ? t.cut : b.len - i;
		ck_assert_int_eq(progress_filter(&t.p, buf_data(&b) + i, step, &t.client), 0);
	}
	ck_assert_uint_eq(t.client.len, b.len);
	ck_assert_mem_eq(buf_data(&t.client), buf_data(&b), b.len);
	buf_clear(&b);
	ck_assert_str_eq(hear(&t, "Z", NULL), "Z");
	ck_assert(!once_stands_in(&t.unnamed, &t.set));
	ck_assert(!t.unnamed.here);
	bench_clear(&t);
}
END_TEST

START_TEST(a_parse_that_fails_leaves_no_statement)
{
	struct bench t;

	bench_init(&t);
	exchange(&t, TEXT);
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(parse(&t, TEXT), ONCE_PREPARE);
		rest(&t, ONCE_PREPARE);
		ck_assert_str_eq(hear(&t, "EZ", "42P01"), "EZ");
		ck_assert_uint_eq(t.set.recent.count, 0);
		ck_assert_ptr_null(t.unnamed.text);
		ck_assert(!prepared_doubtful(&t.set, &t.p));
	}
	bench_clear(&t);
}
END_TEST

/* Answers to a Describe of ours in place of the Parse, and the server is lost in the middle. */
START_TEST(a_describe_stands_in)
{
	uint8_t body[64];
	struct bench t;
	struct once o;

	bench_init(&t);
	t.cut = (size_t)_i;
	for (int i = 0; i < 3; i++)
		exchange(&t, TEXT);
	o = (struct once){.body = body,
			  .bytes = body_of(TEXT, body),
			  .of_body = text_hash_body(body + 1, strlen(TEXT) + 3),
			  .context = "",
			  .place = 7,
			  .now_us = t.now,
			  .age_us = MINUTE,
			  .redo = true};
	for (int i = 0; i < 2; i++) {
		ck_assert(once_has_come(&o, &t.set));
		ck_assert_int_eq(once_judge(&o, &t.set), ONCE_SERVE);
		ck_assert(once_has_result(&o));
		ck_assert_uint_eq(once_parameters(&o), 0);
		once_serve(&o, &t.unnamed, &t.set, &t.p, &t.out);
		if (i == 0) {
			progress_sent(&t.p, 'S');
			ck_assert_str_eq(hear(&t, "tTZ", NULL), "1Z");
		}
	}
	bench_clear(&t);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("once");
	TCase *t = tcase_create("once");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_text_is_prepared_at_the_second_time);
	tcase_add_test(t, what_stands_in_is_used_and_replaced);
	tcase_add_test(t, it_is_made_anew_when_something_was_defined_or_it_is_old);
	tcase_add_test(t, which_texts_where);
	tcase_add_test(t, texts_that_come_once_evict_nothing);
	tcase_add_test(t, texts_that_go_round);
	tcase_add_test(t, texts_in_one_go);
	tcase_add_test(t, preparing_in_vain_ends);
	tcase_add_loop_test(t, a_refusal_is_done_again_unseen, 0, CUTS);
	tcase_add_test(t, a_very_long_error);
	tcase_add_loop_test(t, a_refusal_before_the_sync, 0, CUTS);
	tcase_add_loop_test(t, other_errors_are_told, 0, CUTS);
	tcase_add_loop_test(t, whose_error_it_is, 0, CUTS);
	tcase_add_test(t, a_parse_that_fails_leaves_no_statement);
	tcase_add_loop_test(t, a_describe_stands_in, 0, CUTS);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
