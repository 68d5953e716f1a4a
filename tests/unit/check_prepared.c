#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend.h"
#include "base/mem.h"
#include "pool/prepared_inside.h"
#include "session/message.h"
#include "wire/frame.h"
#include "wire/msg.h"

#define BYTES_MAX (4 * 1024 * 1024)

static uint32_t seed; /* CHECK_SEED, or the time */

/* ---- one session, one server, by hand ---- */

struct bench {
	struct statements all;
	struct names names;
	struct progress p;
	struct prepared_set set;
	struct prepared_limits limits;
	struct buf out;
	unsigned effects, executed; /* given to a Parse, and told by a Bind */
	const char *context;        /* of the session; NULL: "" */
	uint64_t place;
	enum prepared_altered altered;
	bool native;
};

static void
bench_init(struct bench *t)
{
	memset(t, 0, sizeof *t);
	statements_init(&t->all);
	names_init(&t->names, &t->all);
	progress_init(&t->p);
	prepared_init(&t->set, &t->all, &t->p);
	t->limits = (struct prepared_limits){10, 100, 1000000};
	buf_init(&t->out, BYTES_MAX);
}

/* The session goes first, or the server. Nothing may be left. */
static void
bench_clear(struct bench *t, bool server_first)
{
	if (server_first) {
		prepared_clear(&t->set);
		names_clear(&t->names, NULL);
	} else {
		names_clear(&t->names, &t->set);
		prepared_clear(&t->set);
	}
	progress_clear(&t->p);
	ck_assert_uint_eq(t->all.texts.count, 0);
	ck_assert_uint_eq(t->names.bytes, 0);
	statements_clear(&t->all);
	buf_clear(&t->out);
}

static void
executes(void *arg, unsigned effects, const char *sql)
{
	struct bench *t = arg;

	ck_assert_uint_eq(t->out.len, 0);
	ck_assert_str_ne(sql, "");
	t->executed = effects;
}

/* Finds the name of the statement in the message, as the session does. */
static void
find_name(struct prepared_message *m)
{
	struct message of = {.type = m->type, .body = m->body, .bytes = m->bytes, .have = m->have};

	message_decode(&of);
	m->name = of.statement;
	m->name_bytes = of.statement_bytes;
}

static enum prepared_verdict
give(struct bench *t, char type, const char *body, size_t bytes, size_t have, size_t *used)
{
	struct prepared_message m = {.type = type,
				     .body = (const uint8_t *)body,
				     .bytes = bytes,
				     .have = have,
				     .context = t->context ? t->context : "",
				     .place = t->place,
				     .altered = t->altered,
				     .native = t->native,
				     .effects = t->effects,
				     .executes = executes,
				     .arg = t};
	enum prepared_verdict v;

	t->executed = 0;
	find_name(&m);
	v = prepared_message(&t->names, &t->set, &t->p, &t->limits, &m, &t->out);
	if (v == PREPARED_AS_IT_IS)
		progress_sent(&t->p, type);
	if (used)
		*used = m.used;
	return v;
}

#define BODY(text)          (text), sizeof(text) - 1
#define GIVE(t, type, text) give((t), (type), BODY(text), sizeof(text) - 1, NULL)

#define SENT(t, text) sent((t), BODY(text))
static void
sent(struct bench *t, const char *bytes, size_t length)
{
	ck_assert_uint_eq(t->out.len, length);
	if (length > 0)
		ck_assert_mem_eq(buf_data(&t->out), bytes, length);
	buf_reset(&t->out);
}

static void
hear(struct bench *t, const char *types)
{
	struct buf b;

	buf_init(&b, 1000);
	/* A Describe's answers: t, and n, or T or U, which has another type. */
	for (; *types; types++)
		if (*types == 't')
			backend_no_parameters(&b);
		else if (*types == 'T' || *types == 'U')
			backend_row_description(&b, *types == 'U');
		else if (*types == 'E')
			msg_report(&b, 'E', "ERROR", "42601", "no", NULL, NULL);
		else if (*types == 'Z')
			msg_ready(&b, 'I');
		else
			backend_message(&b, *types, NULL);
	ck_assert_int_eq(progress_received(&t->p, buf_data(&b), b.len), 0);
	buf_clear(&b);
}

#define PARSE_A "\0SELECT 1\0\0\0"

/* Our Describe behind a Parse, of a name with one digit; and a Flush. */
#define DESCRIBE(n)  "D\0\0\0\x0eSpgwith_" #n "\0"
#define CLOSE(n)     "C\0\0\0\x0eSpgwith_" #n "\0"
#define FLUSH        "H\0\0\0\4"
#define USE(t, name) GIVE(t, 'B', "\0" name "\0\0\0\0\0\0\0")

/* Another server takes the place of the one that the session has had. */
static void
move(struct bench *t)
{
	prepared_clear(&t->set);
	prepared_init(&t->set, &t->all, &t->p);
	buf_reset(&t->out);
}

START_TEST(messages_are_rewritten_byte_by_byte)
{
	struct bench t;
	size_t used;

	bench_init(&t);
	ck_assert_int_eq(GIVE(&t, 'P', "a\0SELECT 1\0\0\1\0\0\0\x17"), PREPARED_DONE);
	SENT(&t, "P\0\0\0\x1cpgwith_1\0SELECT 1\0\0\1\0\0\0\x17" DESCRIBE(1));
	ck_assert_int_eq(GIVE(&t, 'D', "Sa\0"), PREPARED_DONE);
	SENT(&t, "D\0\0\0\x0eSpgwith_1\0");
	ck_assert_int_eq(give(&t, 'B', BODY("po\0a\0\0\0\0\1\0\0\0\1x\0\0"), 16, &used),
			 PREPARED_PREFIX);
	ck_assert_uint_eq(used, 5);
	SENT(&t, "B\0\0\0\x1bpo\0pgwith_1\0");
	ck_assert_int_eq(GIVE(&t, 'C', "Sa\0"), PREPARED_DONE);
	SENT(&t, "C\0\0\0\7Sa\0");
	ck_assert(!names_have(&t.names, "a", 1));
	/* What is about no named statement stays. */
	ck_assert_int_eq(GIVE(&t, 'P', "\0SELECT 1\0\0\0"), PREPARED_AS_IT_IS);
	ck_assert_int_eq(GIVE(&t, 'B', "\0\0\0\0\0\0\0\0"), PREPARED_AS_IT_IS);
	ck_assert_int_eq(GIVE(&t, 'B', "\0a\0\0\0\0\0\0\0"), PREPARED_AS_IT_IS);
	ck_assert_int_eq(GIVE(&t, 'D', "Pa\0"), PREPARED_AS_IT_IS);
	ck_assert_int_eq(GIVE(&t, 'D', "S\0"), PREPARED_AS_IT_IS);
	ck_assert_int_eq(GIVE(&t, 'C', "Pa\0"), PREPARED_AS_IT_IS);
	ck_assert_int_eq(GIVE(&t, 'C', "Sa\0"), PREPARED_AS_IT_IS);
	SENT(&t, "");
	bench_clear(&t, false);
}
END_TEST

START_TEST(names_of_ours_are_nobodys)
{
	struct bench t;

	bench_init(&t);
	ck_assert_int_eq(GIVE(&t, 'B', "\0pgwith_1\0\0\0\0\0\0\0"), PREPARED_PREFIX);
	SENT(&t, "B\0\0\0\x17\0pgwith_none\0");
	ck_assert_int_eq(GIVE(&t, 'D', "Spgwith_1\0"), PREPARED_DONE);
	SENT(&t, "D\0\0\0\x11Spgwith_none\0");
	ck_assert_int_eq(GIVE(&t, 'C', "Spgwith_1\0"), PREPARED_DONE);
	SENT(&t, "C\0\0\0\x11Spgwith_none\0");
	/* But a session may have one that is called so. */
	ck_assert_int_eq(GIVE(&t, 'P', "pgwith_7" PARSE_A), PREPARED_DONE);
	buf_reset(&t.out);
	ck_assert_int_eq(GIVE(&t, 'D', "Spgwith_7\0"), PREPARED_DONE);
	SENT(&t, "D\0\0\0\x0eSpgwith_1\0");
	bench_clear(&t, false);
}
END_TEST

START_TEST(a_parse_of_the_client_goes_to_the_server)
{
	struct bench t;

	bench_init(&t);
	ck_assert_int_eq(GIVE(&t, 'P', "a" PARSE_A), PREPARED_DONE);
	hear(&t, "1tT");
	buf_reset(&t.out);
	ck_assert_int_eq(GIVE(&t, 'P', "b" PARSE_A), PREPARED_DONE);
	SENT(&t, "P\0\0\0\x18pgwith_2\0SELECT 1\0\0\0" DESCRIBE(2));
	hear(&t, "1tT");
	/* They are the same: the older one is closed, and the newer one is both. */
	ck_assert_uint_eq(t.set.recent.count, 2);
	USE(&t, "a");
	SENT(&t, CLOSE(1) "B\0\0\0\x14\0pgwith_2\0");
	hear(&t, "32");
	ck_assert_uint_eq(t.set.recent.count, 1);
	USE(&t, "b");
	SENT(&t, "B\0\0\0\x14\0pgwith_2\0");
	hear(&t, "2");
	ck_assert_uint_eq(t.all.every.count, 1);
	/* In a transaction that has failed the server says no. */
	t.p.status = 'E';
	ck_assert_int_eq(GIVE(&t, 'P', "c" PARSE_A), PREPARED_DONE);
	hear(&t, "E");
	ck_assert(!names_have(&t.names, "c", 1));
	ck_assert(names_have(&t.names, "a", 1) && names_have(&t.names, "b", 1));
	ck_assert_uint_eq(t.all.texts.count, 1);
	ck_assert_uint_eq(t.p.own, 0);
	bench_clear(&t, true);
}
END_TEST

/* What differs in anything that its Parse depends on stands apart on the server. */
START_TEST(what_differs_is_not_shared)
{
	struct bench t;

	bench_init(&t);
	GIVE(&t, 'P', "a" PARSE_A);
	hear(&t, "1tT");
	/* Another result, declared types, context, place. */
	GIVE(&t, 'P', "b" PARSE_A);
	hear(&t, "1tU");
	GIVE(&t, 'P', "c\0SELECT 1\0\0\1\0\0\0\x17");
	hear(&t, "1tT");
	t.context = "other";
	GIVE(&t, 'P', "d" PARSE_A);
	hear(&t, "1tT");
	t.context = NULL;
	t.place = 7;
	GIVE(&t, 'P', "e" PARSE_A);
	hear(&t, "1tT");
	t.place = 0;
	/* Where things have been created; and, with a literal, where something has been set. */
	t.altered = PREPARED_OBJECTS;
	GIVE(&t, 'P', "f" PARSE_A);
	hear(&t, "1tT");
	t.altered = PREPARED_SETTINGS;
	GIVE(&t, 'P', "g\0SELECT 'x'\0\0\0");
	hear(&t, "1tT");
	t.altered = PREPARED_UNALTERED;
	GIVE(&t, 'P', "h\0SELECT 'x'\0\0\0");
	hear(&t, "1tT");
	ck_assert_uint_eq(t.set.have.count, 8);
	buf_reset(&t.out);
	/* Without a literal it does not matter what has been set. */
	t.altered = PREPARED_SETTINGS;
	GIVE(&t, 'P', "i" PARSE_A);
	hear(&t, "1tT");
	ck_assert_uint_eq(t.set.have.count, 8);
	/* The last reference to what nobody else may have goes with its name. */
	t.altered = PREPARED_UNALTERED;
	GIVE(&t, 'C', "Sf\0");
	hear(&t, "33");
	buf_reset(&t.out);
	ck_assert_uint_eq(t.set.have.count, 7);
	USE(&t, "c");
	SENT(&t, CLOSE(6) "B\0\0\0\x14\0pgwith_3\0");
	hear(&t, "32");
	bench_clear(&t, true);
}
END_TEST

START_TEST(what_a_literal_is)
{
	static const struct {
		const char *sql;
		bool has;
	} cases[] = {
	    {"SELECT 1, $1, \"a\" FROM t WHERE x IS NOT NULL", false},
	    {"UPDATE t SET a = $1 WHERE nullable = b", false},
	    {"SELECT ''", true},
	    {"SELECT $$x$$", true},
	    {"SELECT $a$x$a$", true},
	    {"SELECT U&\"d\" FROM t", true},
	    {"SELECT \xc3\xa4 FROM t", true},
	    {"SELECT a = NULL FROM t", true},
	    {"SELECT null\n= a FROM t", true},
	    {"SELECT a = /* */ Null FROM t", true},
	};
	struct statements all;

	statements_init(&all);
	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct text *t =
		    text_get(&all, (const uint8_t *)cases[i].sql, strlen(cases[i].sql) + 1, "it's");

		ck_assert_msg(t->settings == cases[i].has, "%s", cases[i].sql);
		text_put(&all, t);
	}
	statements_clear(&all);
}
END_TEST

/* On another server it is prepared with the types that it had, and has to be what it was. */
START_TEST(on_another_server)
{
	struct bench t;

	bench_init(&t);
	GIVE(&t, 'P', "a" PARSE_A);
	hear(&t, "1tT");
	move(&t);
	ck_assert_int_eq(USE(&t, "a"), PREPARED_WAIT);
	SENT(&t, "P\0\0\0\x18pgwith_1\0SELECT 1\0\0\0" DESCRIBE(1) FLUSH);
	ck_assert_int_eq(USE(&t, "a"), PREPARED_WAIT);
	ck_assert_int_eq(GIVE(&t, 'D', "Sa\0"), PREPARED_WAIT);
	SENT(&t, "");
	hear(&t, "1tT");
	ck_assert_int_eq(USE(&t, "a"), PREPARED_PREFIX);
	SENT(&t, "B\0\0\0\x14\0pgwith_1\0");
	hear(&t, "2");
	/* Another result: the client is told, each time, and the server keeps nothing of it. */
	for (int i = 0; i < 2; i++) {
		progress_sent(&t.p, 'S');
		hear(&t, "Z");
		move(&t);
		ck_assert_int_eq(USE(&t, "a"), PREPARED_WAIT);
		hear(&t, "1tU");
		buf_reset(&t.out);
		ck_assert_int_eq(USE(&t, "a"), PREPARED_CHANGED);
		SENT(&t, CLOSE(1) "B\0\0\0\x17\0pgwith_none\0\0\0\0\0\0\0");
		ck_assert_uint_eq(t.p.own, 2);
		hear(&t, "3E");
		ck_assert(t.p.skipping);
		ck_assert_uint_eq(t.set.recent.count, 0);
	}
	progress_sent(&t.p, 'S');
	hear(&t, "Z");
	/* It cannot be prepared at all: the client gets the server's error. */
	move(&t);
	ck_assert_int_eq(USE(&t, "a"), PREPARED_WAIT);
	hear(&t, "E");
	ck_assert_int_eq(USE(&t, "a"), PREPARED_AS_IT_IS);
	progress_sent(&t.p, 'S');
	hear(&t, "Z");
	ck_assert_int_eq(USE(&t, "a"), PREPARED_WAIT);
	hear(&t, "1tT");
	buf_reset(&t.out);
	ck_assert_int_eq(USE(&t, "a"), PREPARED_PREFIX);
	SENT(&t, "B\0\0\0\x14\0pgwith_2\0");
	bench_clear(&t, true);
}
END_TEST

/* What is fetched is known only then. */
START_TEST(results_that_no_parse_fixes)
{
	struct bench t;

	bench_init(&t);
	GIVE(&t, 'P', "a\0/* */ Fetch ALL IN c\0\0\0");
	hear(&t, "1tn");
	move(&t);
	ck_assert_int_eq(USE(&t, "a"), PREPARED_WAIT);
	hear(&t, "1tT");
	ck_assert_int_eq(USE(&t, "a"), PREPARED_PREFIX);
	bench_clear(&t, true);
}
END_TEST

/* The server is lost that was asked: the next one is. */
START_TEST(a_server_that_is_lost_while_it_is_asked)
{
	struct bench t;

	bench_init(&t);
	GIVE(&t, 'P', "a" PARSE_A);
	hear(&t, "1tT");
	move(&t);
	ck_assert_int_eq(USE(&t, "a"), PREPARED_WAIT);
	progress_clear(&t.p);
	move(&t);
	ck_assert_int_eq(USE(&t, "a"), PREPARED_WAIT);
	SENT(&t, "P\0\0\0\x18pgwith_1\0SELECT 1\0\0\0" DESCRIBE(1) FLUSH);
	hear(&t, "1tT");
	ck_assert_int_eq(USE(&t, "a"), PREPARED_PREFIX);
	bench_clear(&t, true);
}
END_TEST

/* The types that parameters had are declared. */
START_TEST(resolved_types_are_kept)
{
	static const uint8_t types[] = {0, 2, 0, 0, 0, 25, 0, 0, 4, 1};
	struct description *d = NULL;
	struct bench t;

	bench_init(&t);
	GIVE(&t, 'P', "a\0$1, $2\0\0\1\0\0\0\0");
	progress_sent(&t.p, 'S');
	hear(&t, "1");
	description_take(&d, 't', types, sizeof types);
	description_take(&d, 'n', (const uint8_t *)"", 0);
	pending_of(list_first(&t.set.tracked.list))->got = description_ref(d);
	hear(&t, "nZ");
	move(&t);
	USE(&t, "a");
	SENT(&t, "P\0\0\0\x1epgwith_1\0$1, $2\0\0\2\0\0\0\x19\0\0\4\1" DESCRIBE(1) FLUSH);
	description_put(d);
	bench_clear(&t, true);
}
END_TEST

/* Who has prepared later is not given what was there before. */
START_TEST(an_older_analysis_is_nobodys_who_came_later)
{
	struct bench t;
	struct prepared_set first;

	bench_init(&t);
	GIVE(&t, 'P', "a" PARSE_A);
	hear(&t, "1tT");
	/* The second name is prepared on another server. */
	first = t.set;
	list_init(&first.recent);
	while (t.set.recent.count > 0) {
		struct list_node *n = list_first(&t.set.recent);

		list_remove(&t.set.recent, n);
		list_append(&first.recent, n);
	}
	prepared_init(&t.set, &t.all, &t.p);
	GIVE(&t, 'P', "b" PARSE_A);
	hear(&t, "1tT");
	/* Who came first may use the newer one, */
	buf_reset(&t.out);
	ck_assert_int_eq(USE(&t, "a"), PREPARED_PREFIX);
	SENT(&t, "B\0\0\0\x14\0pgwith_1\0");
	hear(&t, "2");
	/* but not the other way round: it is prepared once more, for both. */
	prepared_clear(&t.set);
	t.set = first;
	list_init(&t.set.recent);
	list_init(&t.set.tracked.list);
	while (first.recent.count > 0) {
		struct list_node *n = list_first(&first.recent);

		list_remove(&first.recent, n);
		list_append(&t.set.recent, n);
	}
	t.p.tracked_arg = &t.set.tracked;
	ck_assert_int_eq(USE(&t, "b"), PREPARED_WAIT);
	hear(&t, "1tT");
	buf_reset(&t.out);
	ck_assert_int_eq(USE(&t, "a"), PREPARED_PREFIX);
	SENT(&t, CLOSE(1) "B\0\0\0\x14\0pgwith_2\0");
	bench_clear(&t, true);
}
END_TEST

START_TEST(a_parse_that_is_put_off)
{
	struct prepared_message m = {.type = 'P', .context = ""};
	struct bench t;
	int adopted = 0;

	bench_init(&t);
	GIVE(&t, 'P', "a" PARSE_A);
	hear(&t, "1tT");
	GIVE(&t, 'P', "l\0SELECT 'x'\0\0\0");
	hear(&t, "1tT");
	for (int i = 0; i < 5; i++) {
		static const struct {
			const char *body;
			size_t bytes;
		} bodies[] = {{BODY("b" PARSE_A)},
			      {BODY("a" PARSE_A)},
			      {BODY("c" PARSE_A)},
			      {BODY("m\0SELECT 'x'\0\0\0")},
			      {BODY("d" PARSE_A)}};

		m.body = (const uint8_t *)bodies[i].body;
		m.bytes = m.have = bodies[i].bytes;
		find_name(&m);
		m.altered = i == 2 ? PREPARED_SETTINGS : PREPARED_UNALTERED;
		m.place = i == 4;
		if (prepared_adopt(&t.names, &t.limits, &m)) {
			adopted++;
			ck_assert_int_eq(i, 0);
		}
	}
	/* Neither a name in use, nor a literal, nor what was set, nor another place. */
	ck_assert_int_eq(adopted, 1);
	buf_reset(&t.out);
	/* It is parsed as it stands at its first use, and nothing waits. */
	ck_assert_int_eq(GIVE(&t, 'D', "Sb\0"), PREPARED_DONE);
	SENT(&t, "P\0\0\0\x18pgwith_3\0SELECT 1\0\0\0" DESCRIBE(3) DESCRIBE(3));
	hear(&t, "1tTtT");
	move(&t);
	ck_assert_int_eq(USE(&t, "b"), PREPARED_WAIT);
	bench_clear(&t, true);
}
END_TEST

/* In the pool of another scope it is whatever it is there. */
START_TEST(in_another_database)
{
	struct bench t;

	bench_init(&t);
	GIVE(&t, 'P', "a" PARSE_A);
	hear(&t, "1tT");
	move(&t);
	t.place = 3;
	ck_assert_int_eq(USE(&t, "a"), PREPARED_PREFIX);
	hear(&t, "1tU2");
	buf_reset(&t.out);
	ck_assert_int_eq(USE(&t, "a"), PREPARED_PREFIX);
	SENT(&t, "B\0\0\0\x14\0pgwith_1\0");
	hear(&t, "2");
	move(&t);
	ck_assert_int_eq(USE(&t, "a"), PREPARED_WAIT);
	hear(&t, "1tU");
	ck_assert_int_eq(USE(&t, "a"), PREPARED_PREFIX);
	hear(&t, "2");
	move(&t);
	t.place = 0;
	ck_assert_int_eq(USE(&t, "a"), PREPARED_WAIT);
	hear(&t, "1tT");
	ck_assert_int_eq(USE(&t, "a"), PREPARED_PREFIX);
	bench_clear(&t, true);
}
END_TEST

/* A session that has statements under its own names on its server. */
START_TEST(native_names_are_the_servers)
{
	struct bench t;

	bench_init(&t);
	GIVE(&t, 'P', "a" PARSE_A);
	hear(&t, "1tT");
	buf_reset(&t.out);
	t.native = true;
	ck_assert_int_eq(GIVE(&t, 'P', "x" PARSE_A), PREPARED_TOO_MANY);
	SENT(&t, "");
	/* One that exists is said to do so, however long the other text is. */
	ck_assert_int_eq(give(&t, 'P', BODY("a" PARSE_A), 4, NULL), PREPARED_AS_IT_IS);
	SENT(&t, "C\0\0\0\7Sa\0P\0\0\0\x09"
		 "a\0\0\0\0");
	bench_clear(&t, false);
}
END_TEST

START_TEST(names_in_errors)
{
	struct bench t;

	bench_init(&t);
	GIVE(&t, 'P', "first" PARSE_A);
	hear(&t, "1tT");
	GIVE(&t, 'P', "second" PARSE_A);
	hear(&t, "1tT");
	ck_assert_ptr_null(prepared_client_name(&t.names, &t.set, 1));
	USE(&t, "first");
	ck_assert_str_eq(prepared_client_name(&t.names, &t.set, 2), "first");
	USE(&t, "second");
	ck_assert_str_eq(prepared_client_name(&t.names, &t.set, 2), "second");
	ck_assert_ptr_null(prepared_client_name(&t.names, &t.set, 3));
	ck_assert_ptr_null(prepared_client_name(NULL, &t.set, 2));
	ck_assert_ptr_null(prepared_client_name(&t.names, &t.set, 0));
	USE(&t, "pgwith_2");
	ck_assert_str_eq(prepared_client_name(&t.names, &t.set, 0), "pgwith_2");
	bench_clear(&t, false);
}
END_TEST

START_TEST(a_name_that_exists_is_refused_by_the_server)
{
	struct bench t;

	bench_init(&t);
	ck_assert_int_eq(GIVE(&t, 'P', "a" PARSE_A), PREPARED_DONE);
	buf_reset(&t.out);
	ck_assert_int_eq(GIVE(&t, 'P', "a" PARSE_A), PREPARED_AS_IT_IS);
	SENT(&t, "C\0\0\0\7Sa\0P\0\0\0\x09"
		 "a\0\0\0\0");
	ck_assert(t.set.stale);
	hear(&t, "1tT31E");
	ck_assert(names_have(&t.names, "a", 1));
	prepared_forget(&t.set);
	ck_assert(!t.set.stale && !t.set.decoys);
	bench_clear(&t, false);
}
END_TEST

START_TEST(what_fails_is_taken_back_in_reverse)
{
	struct bench t;

	bench_init(&t);
	GIVE(&t, 'P', "a" PARSE_A);
	hear(&t, "1tT");
	/* In one exchange: a goes, comes back as another, goes again. */
	GIVE(&t, 'P', "x\0bad\0\0\0");
	GIVE(&t, 'C', "Sa\0");
	GIVE(&t, 'P', "a\0other\0\0\0");
	GIVE(&t, 'C', "Sa\0");
	GIVE(&t, 'P', "b\0other\0\0\0");
	ck_assert(!names_have(&t.names, "a", 1) && names_have(&t.names, "b", 1));
	progress_sent(&t.p, 'S');
	hear(&t, "EZ");
	ck_assert(names_have(&t.names, "a", 1));
	ck_assert(!names_have(&t.names, "b", 1) && !names_have(&t.names, "x", 1));
	ck_assert_uint_eq(t.all.texts.count, 1);
	ck_assert_uint_eq(t.set.tracked.list.count, 0);
	buf_reset(&t.out);
	GIVE(&t, 'D', "Sa\0");
	SENT(&t, "D\0\0\0\x0eSpgwith_1\0");
	bench_clear(&t, false);
}
END_TEST

START_TEST(later_exchanges_wait_for_what_they_depend_on)
{
	static const char *const answers[] = {"EZ", "1tTZ"};

	for (int i = 0; i < 2; i++) {
		struct bench t;

		bench_init(&t);
		GIVE(&t, 'P', "a" PARSE_A);
		progress_sent(&t.p, 'S');
		buf_reset(&t.out);
		ck_assert(names_in_doubt(&t.names, &t.set, &t.p, NULL, 0));
		ck_assert_int_eq(GIVE(&t, 'C', "Sa\0"), PREPARED_WAIT);
		ck_assert_int_eq(GIVE(&t, 'D', "Sa\0"), PREPARED_WAIT);
		ck_assert_int_eq(GIVE(&t, 'B', "\0a\0\0\0\0\0\0\0"), PREPARED_WAIT);
		ck_assert_int_eq(GIVE(&t, 'P', "a\0other\0\0\0"), PREPARED_WAIT);
		ck_assert_uint_eq(t.all.texts.count, 1);
		SENT(&t, "");
		/* What has nothing to do with it does not wait. */
		ck_assert_int_eq(GIVE(&t, 'P', "c\0other\0\0\0"), PREPARED_DONE);
		buf_reset(&t.out);
		hear(&t, answers[i]);
		ck_assert_int_eq(GIVE(&t, 'C', "Sa\0"), i ? PREPARED_DONE : PREPARED_AS_IT_IS);
		bench_clear(&t, i);
	}
}
END_TEST

START_TEST(a_name_closed_in_an_earlier_exchange_is_not_sure_either)
{
	struct bench t;

	bench_init(&t);
	GIVE(&t, 'P', "a" PARSE_A);
	hear(&t, "1tT");
	GIVE(&t, 'P', "x\0bad\0\0\0");
	GIVE(&t, 'C', "Sa\0");
	progress_sent(&t.p, 'S');
	ck_assert_int_eq(GIVE(&t, 'B', "\0a\0\0\0\0\0\0\0"), PREPARED_WAIT);
	hear(&t, "EZ");
	ck_assert_int_eq(GIVE(&t, 'B', "\0a\0\0\0\0\0\0\0"), PREPARED_PREFIX);
	bench_clear(&t, false);
}
END_TEST

START_TEST(the_least_recently_used_goes)
{
	struct bench t;

	bench_init(&t);
	t.limits.server_max = 2;
	GIVE(&t, 'P', "a\0one\0\0\0");
	GIVE(&t, 'P', "b\0two\0\0\0");
	hear(&t, "1tn1tn");
	GIVE(&t, 'D', "Sa\0");
	hear(&t, "tn");
	buf_reset(&t.out);
	GIVE(&t, 'P', "c\0three\0\0\0");
	SENT(&t, CLOSE(2) "P\0\0\0\x15pgwith_3\0three\0\0\0" DESCRIBE(3));
	hear(&t, "31tn");
	/* It is prepared again where it is needed, under a name that was never used. */
	ck_assert_int_eq(USE(&t, "b"), PREPARED_WAIT);
	SENT(&t, CLOSE(1) "P\0\0\0\x13pgwith_4\0two\0\0\0" DESCRIBE(4) FLUSH);
	hear(&t, "31tn");
	ck_assert_int_eq(USE(&t, "b"), PREPARED_PREFIX);
	SENT(&t, "B\0\0\0\x14\0pgwith_4\0");
	ck_assert_uint_eq(t.set.recent.count, 2);
	bench_clear(&t, false);
}
END_TEST

START_TEST(what_is_under_way_is_not_put_out)
{
	struct bench t;

	bench_init(&t);
	t.limits.server_max = 1;
	GIVE(&t, 'P', "a\0one\0\0\0");
	GIVE(&t, 'P', "b\0two\0\0\0");
	GIVE(&t, 'P', "c\0three\0\0\0");
	ck_assert_uint_eq(t.set.recent.count, 3);
	hear(&t, "1tn1tn1tn");
	/* Too many have come: the next use brings them back to the limit. */
	GIVE(&t, 'D', "Sa\0");
	ck_assert_uint_eq(t.set.recent.count, 1);
	bench_clear(&t, false);
}
END_TEST

START_TEST(an_eviction_that_was_skipped_leaves_something_behind)
{
	struct bench t;

	bench_init(&t);
	t.limits.server_max = 1;
	GIVE(&t, 'P', "a\0one\0\0\0");
	hear(&t, "1tn");
	progress_sent(&t.p, 'E');
	GIVE(&t, 'P', "b\0two\0\0\0");
	ck_assert(!t.set.stale);
	hear(&t, "E");
	ck_assert(t.set.stale);
	bench_clear(&t, false);
}
END_TEST

START_TEST(nothing_is_changed_while_the_server_skips)
{
	struct bench t;

	bench_init(&t);
	progress_sent(&t.p, 'E');
	hear(&t, "E");
	ck_assert(t.p.skipping);
	ck_assert_int_eq(GIVE(&t, 'P', "a" PARSE_A), PREPARED_AS_IT_IS);
	ck_assert_uint_eq(t.all.texts.count, 0);
	prepared_decoy(&t.set, &t.p, "a", 1, &t.out);
	SENT(&t, "");
	ck_assert(!t.set.decoys);
	bench_clear(&t, false);
}
END_TEST

START_TEST(limits_of_a_session)
{
	struct bench t;

	bench_init(&t);
	t.limits.names_max = 1;
	ck_assert_int_eq(GIVE(&t, 'P', "a" PARSE_A), PREPARED_DONE);
	ck_assert_int_eq(GIVE(&t, 'P', "b" PARSE_A), PREPARED_TOO_MANY);
	t.limits.names_max = 100;
	t.limits.bytes_max = t.names.bytes + 10;
	ck_assert_int_eq(GIVE(&t, 'P', "b" PARSE_A), PREPARED_TOO_MANY);
	/* A Parse that is not here as a whole cannot be kept. */
	t.limits.bytes_max = 1000000;
	ck_assert_int_eq(give(&t, 'P', BODY("b" PARSE_A), 4, NULL), PREPARED_TOO_MANY);
	ck_assert_uint_eq(t.all.texts.count, 1);
	bench_clear(&t, true);
}
END_TEST

START_TEST(a_bind_that_is_not_here_as_a_whole)
{
	struct bench t;
	size_t used;

	bench_init(&t);
	GIVE(&t, 'P', "a" PARSE_A);
	buf_reset(&t.out);
	ck_assert_int_eq(give(&t, 'B', "\0a\0\0", 1000000, 4, &used), PREPARED_PREFIX);
	ck_assert_uint_eq(used, 3);
	SENT(&t, "B\0\x0f\x42\x4b\0pgwith_1\0");
	bench_clear(&t, false);
}
END_TEST

START_TEST(malformed_bodies_do_no_harm)
{
	static const char body[] = "Sa\0b\0c";
	struct bench t;

	bench_init(&t);
	GIVE(&t, 'P', "a" PARSE_A);
	hear(&t, "1tT");
	for (const char *type = "PBDC"; *type; type++)
		for (size_t from = 0; from < sizeof body; from++)
			for (size_t n = 0; n + from < sizeof body - 1; n++) {
				uint8_t *copy = mem_alloc(n + 1);

				memcpy(copy, body + from, n);
				give(&t, *type, (char *)copy, n, n, NULL);
				free(copy);
			}
	ck_assert_int_eq(GIVE(&t, 'P', ""), PREPARED_BROKEN);
	ck_assert_int_eq(GIVE(&t, 'P', "a"), PREPARED_BROKEN);
	ck_assert_int_eq(GIVE(&t, 'B', "a\0b"), PREPARED_BROKEN);
	ck_assert_int_eq(GIVE(&t, 'D', "Sa"), PREPARED_AS_IT_IS);
	ck_assert_int_eq(GIVE(&t, 'C', "Sa"), PREPARED_AS_IT_IS);
	bench_clear(&t, false);
}
END_TEST

START_TEST(long_names_are_cut_as_the_server_does)
{
	struct bench t;
	char body[128];

	bench_init(&t);
	memset(body, 'n', sizeof body);
	body[100] = 0;
	memcpy(body + 101, "text\0\0", 7);
	ck_assert_int_eq(give(&t, 'P', body, 108, 108, NULL), PREPARED_DONE);
	ck_assert(names_have(&t.names, body, 63) && names_have(&t.names, body, 64));
	ck_assert(!names_have(&t.names, body, 62));
	bench_clear(&t, false);
}
END_TEST

START_TEST(effects_are_told_before_anything_is_sent)
{
	struct bench t;

	bench_init(&t);
	t.effects = 5;
	GIVE(&t, 'P', "a" PARSE_A);
	hear(&t, "1tT");
	/* Not while it waits to be prepared again. */
	prepared_forget(&t.set);
	buf_reset(&t.out);
	ck_assert_int_eq(USE(&t, "a"), PREPARED_WAIT);
	ck_assert_uint_eq(t.executed, 0);
	hear(&t, "1tT");
	buf_reset(&t.out);
	ck_assert_int_eq(USE(&t, "a"), PREPARED_PREFIX);
	ck_assert_uint_eq(t.executed, 5);
	buf_reset(&t.out);
	GIVE(&t, 'D', "Sa\0");
	ck_assert_uint_eq(t.executed, 0);
	bench_clear(&t, false);
}
END_TEST

START_TEST(names_that_are_dropped_while_their_parse_is_under_way)
{
	for (int i = 0; i < 4; i++) {
		struct bench t;

		bench_init(&t);
		GIVE(&t, 'P', "a" PARSE_A);
		if (i % 2)
			names_clear(&t.names, &t.set);
		else
			names_drop(&t.names, &t.set, "a", 1);
		names_drop(&t.names, &t.set, "a", 1);
		hear(&t, i < 2 ? "E" : "1tT");
		ck_assert_uint_eq(t.set.tracked.list.count, 0);
		ck_assert_uint_eq(t.set.recent.count, i < 2 ? 0 : 1);
		bench_clear(&t, i % 2);
	}
}
END_TEST

START_TEST(either_side_may_go_in_the_middle)
{
	for (int i = 0; i < 2; i++) {
		struct bench t;

		bench_init(&t);
		GIVE(&t, 'P', "a" PARSE_A);
		GIVE(&t, 'P', "b\0other\0\0\0");
		GIVE(&t, 'C', "Sa\0");
		GIVE(&t, 'P', "a\0third\0\0\0");
		GIVE(&t, 'C', "Sb\0");
		bench_clear(&t, i);
	}
}
END_TEST

START_TEST(the_server_has_discarded_all_in_the_middle)
{
	struct bench t;

	bench_init(&t);
	GIVE(&t, 'P', "a" PARSE_A);
	prepared_forget(&t.set);
	hear(&t, "1tT");
	buf_reset(&t.out);
	ck_assert_int_eq(GIVE(&t, 'D', "Sa\0"), PREPARED_WAIT);
	SENT(&t, "P\0\0\0\x18pgwith_2\0SELECT 1\0\0\0" DESCRIBE(2) FLUSH);
	bench_clear(&t, false);
}
END_TEST

/* ---- many sessions on few models of servers ---- */

#define CLIENTS 4
#define SERVERS 2

struct server {
	struct backend b;
	struct progress p;
	struct prepared_set set;
	struct client *client;
};

struct client {
	struct backend own; /* what it is compared with */
	struct names names;
	struct buf todo; /* sent and not yet passed on */
	struct buf got;
	struct server *server;
};

struct world {
	struct statements all;
	struct client clients[CLIENTS];
	struct server servers[SERVERS];
	struct prepared_limits limits;
	uint32_t seed, first_seed;
	unsigned schema; /* what "rows" returns */
	bool changes;    /* it becomes another now and then; else Parses are put off */
	unsigned waits, changed, adopted;
};

static const char *const texts[] = {"work",     "rows",   "empty", "fail", "begin",  "commit",
				    "rollback", "refuse", "rows",  "work", "syntax", "copyout"};
#define NTEXTS (sizeof texts / sizeof *texts)

static uint32_t
pick(struct world *w, uint32_t below)
{
	return backend_random(&w->seed, below);
}

/* A random message of a client. */
static void
add_message(struct world *w, struct buf *out)
{
	char name[2] = {(char)('a' + pick(w, 4)), 0};
	uint32_t what = pick(w, 13);
	size_t at = out->len;

	if (what < 3) {
		backend_message(out, 'S', NULL);
		return;
	}
	if (what == 3) {
		backend_message(out, 'Q', texts[pick(w, NTEXTS)]);
		return;
	}
	at = msg_begin(out, "PPBBBDEEC"[what - 4]);
	switch (what - 4) {
	case 0:
	case 1:
		buf_add_str(out, name);
		buf_add_str(out, texts[pick(w, NTEXTS)]);
		buf_add_u16(out, 0);
		break;
	case 2:
	case 3:
	case 4:
		buf_add_str(out, "");
		buf_add_str(out, name);
		buf_add_u16(out, 0);
		buf_add_u16(out, 0);
		buf_add_u16(out, 0);
		break;
	case 6:
	case 7:
		buf_add_str(out, "");
		buf_add_u32(out, 0);
		break;
	default:
		buf_add_u8(out, 'S');
		buf_add_str(out, name);
	}
	msg_end(out, at);
}

/* Passes one message on; false if it has to wait. */
static bool
pass_on(struct world *w, struct client *c)
{
	struct server *s = c->server;
	uint8_t *data = buf_data(&c->todo);
	struct prepared_message m = {.context = pick(w, 3) ? "" : "other",
				     .altered = (uint8_t)(pick(w, 4) ? 0 : pick(w, 3))};
	struct frame f;
	enum prepared_verdict v = PREPARED_AS_IT_IS;

	if (frame_read(data, c->todo.len, &f) < 0)
		return false;
	m.type = f.type;
	m.body = data + FRAME_HEADER;
	m.bytes = m.have = f.body;
	find_name(&m);
	if (strchr("PBDC", f.type))
		v = prepared_message(&c->names, &s->set, &s->p, &w->limits, &m, &s->b.in);
	switch (v) {
	case PREPARED_WAIT:
		w->waits++;
		return false;
	case PREPARED_AS_IT_IS:
		progress_sent(&s->p, f.type);
		buf_add(&s->b.in, data, FRAME_HEADER + f.body);
		break;
	case PREPARED_PREFIX:
		buf_add(&s->b.in, m.body + m.used, m.bytes - m.used);
		break;
	case PREPARED_CHANGED:
		w->changed++;
		msg_report(&c->got, 'E', "ERROR", "0A000", "no", NULL, NULL);
		break;
	default:
		ck_assert_int_eq(v, PREPARED_DONE);
	}
	buf_drop(&c->todo, FRAME_HEADER + f.body);
	return true;
}

/* Without a server: a Parse with a Sync behind it may be answered. */
static void
adopt(struct world *w, struct client *c)
{
	struct prepared_message m = {.context = ""};
	uint8_t *data = buf_data(&c->todo);
	struct frame f, sync;
	size_t whole;

	if (w->changes || c->server || frame_read(data, c->todo.len, &f) < 0 || f.type != 'P')
		return;
	whole = FRAME_HEADER + f.body;
	if (frame_read(data + whole, c->todo.len - whole, &sync) < 0 || sync.type != 'S')
		return;
	m.type = f.type;
	m.body = data + FRAME_HEADER;
	m.bytes = m.have = f.body;
	find_name(&m);
	if (!prepared_adopt(&c->names, &w->limits, &m))
		return;
	w->adopted++;
	backend_message(&c->got, '1', NULL);
	msg_ready(&c->got, 'I');
	buf_drop(&c->todo, whole + FRAME_HEADER);
}

static void
deliver(struct server *s, size_t most)
{
	size_t n = s->b.out.len < most ? s->b.out.len : most;
	struct buf *to = &s->client->got;

	if (n == 0)
		return;
	if (progress_filters(&s->p)) {
		ck_assert_int_eq(progress_filter(&s->p, buf_data(&s->b.out), n, to), 0);
	} else {
		buf_add(to, buf_data(&s->b.out), n);
		ck_assert_int_eq(progress_received(&s->p, buf_data(&s->b.out), n), 0);
	}
	buf_drop(&s->b.out, n);
}

/* Whatever the session left: as cleanup does. */
static void
clean(struct server *s)
{
	for (int i = 0; !progress_at_rest(&s->p); i++) {
		ck_assert_int_lt(i, 1000);
		progress_finish(&s->p, &s->b.in);
		backend_run(&s->b, -1);
		progress_received(&s->p, buf_data(&s->b.out), s->b.out.len);
		buf_drop(&s->b.out, s->b.out.len);
	}
	for (int i = 0; i < 2; i++) {
		backend_message(&s->b.in, 'Q', i ? "DISCARD ALL" : "rollback");
		progress_sent(&s->p, 'Q');
		backend_run(&s->b, -1);
		progress_received(&s->p, buf_data(&s->b.out), s->b.out.len);
		buf_drop(&s->b.out, s->b.out.len);
	}
	ck_assert(progress_at_rest(&s->p) && s->p.status == 'I');
	ck_assert_uint_eq(s->set.tracked.list.count, 0);
	prepared_forget(&s->set);
}

static void
give_back(struct server *s)
{
	if (s->client == NULL || !progress_at_rest(&s->p) || s->p.status != 'I')
		return;
	ck_assert_uint_eq(s->set.tracked.list.count, 0);
	ck_assert_uint_eq(s->p.own, 0);
	ck_assert_uint_eq(s->b.out.len + s->b.held.len, 0);
	s->client->server = NULL;
	s->client = NULL;
	if (s->set.stale)
		clean(s);
}

static void
lease(struct world *w, struct client *c)
{
	for (int i = 0; i < SERVERS && c->server == NULL; i++)
		if (w->servers[i].client == NULL) {
			c->server = &w->servers[i];
			c->server->client = c;
		}
}

/* The messages without the noise. */
static void
plain(struct buf *b, struct buf *out)
{
	struct frame f;

	while (b->len > 0) {
		ck_assert_int_eq(frame_read(buf_data(b), b->len, &f), 0);
		if (!strchr("NSA", f.type))
			buf_add(out, buf_data(b), FRAME_HEADER + f.body);
		buf_drop(b, FRAME_HEADER + f.body);
	}
}

static void
types(const struct buf *b, char *out, size_t size)
{
	const uint8_t *at = buf_data(b), *end = at + b->len;
	struct frame f;
	size_t n = 0;

	while (n < size - 6 && frame_read(at, (size_t)(end - at), &f) == 0) {
		out[n++] = f.type;
		if (f.type == 'E')
			n += (size_t)snprintf(out + n, size - n, "%s ",
					      msg_report_field(at + FRAME_HEADER, f.body, 'C'));
		else if (f.type == 'Z')
			n += (size_t)snprintf(out + n, size - n, "%c ", at[FRAME_HEADER]);
		at += FRAME_HEADER + f.body;
	}
	out[n] = 0;
}

static void
compare(struct world *w, struct client *c)
{
	struct buf a, b;
	char got[4000], want[4000];

	buf_init(&a, BYTES_MAX);
	buf_init(&b, BYTES_MAX);
	backend_run(&c->own, -1);
	plain(&c->own.out, &a);
	plain(&c->got, &b);
	types(&a, want, sizeof want);
	types(&b, got, sizeof got);
	ck_assert_msg(a.len == b.len &&
			  (a.len == 0 || memcmp(buf_data(&a), buf_data(&b), a.len) == 0),
		      "CHECK_SEED=%u: client %d\n  got  %s\n  want %s", w->first_seed,
		      (int)(c - w->clients), got, want);
	buf_clear(&a);
	buf_clear(&b);
}

/* Everything that has been said is done and answered. */
static void
settle(struct world *w)
{
	for (int turn = 0, left = 1; left; turn++) {
		ck_assert_msg(turn < 10000, "CHECK_SEED=%u: something waits for ever",
			      w->first_seed);
		left = 0;
		for (int i = 0; i < CLIENTS; i++) {
			struct client *c = &w->clients[i];

			if (c->server == NULL && c->todo.len > 0)
				lease(w, c);
			left |= c->todo.len > 0 || c->server;
			if (c->server == NULL)
				continue;
			while (c->todo.len > 0 && pass_on(w, c))
				;
			backend_run(&c->server->b, -1);
			deliver(c->server, 1 + pick(w, 60));
			if (c->server->b.out.len == 0 && c->todo.len == 0 &&
			    c->server->b.in.len == 0 && c->server->p.status != 'I' &&
			    progress_at_rest(&c->server->p)) {
				/* It lets the others go on. */
				backend_message(&c->todo, 'Q', "rollback");
				backend_message(&c->own.in, 'Q', "rollback");
			}
			give_back(c->server);
		}
	}
}

static void
leave(struct world *w, struct client *c)
{
	struct server *s = c->server;

	names_clear(&c->names, s ? &s->set : NULL);
	if (s) {
		c->server = NULL;
		s->client = NULL;
		clean(s);
	}
	buf_reset(&c->todo);
	buf_reset(&c->got);
	backend_clear(&c->own);
	backend_init(&c->own, w->seed);
	c->own.named = true;
	c->own.schema = &w->schema;
	names_init(&c->names, &w->all);
}

struct played {
	unsigned waits, changed, adopted;
};

static void
play(uint32_t with, struct played *sum)
{
	struct world *w = mem_calloc(1, sizeof *w);
	uint32_t steps;

	w->seed = w->first_seed = with;
	statements_init(&w->all);
	w->limits = (struct prepared_limits){1 + pick(w, 5), 100, 1000000};
	w->changes = pick(w, 2);
	for (int i = 0; i < CLIENTS; i++) {
		struct client *c = &w->clients[i];

		backend_init(&c->own, with);
		c->own.named = true;
		c->own.schema = &w->schema;
		names_init(&c->names, &w->all);
		buf_init(&c->todo, BYTES_MAX);
		buf_init(&c->got, BYTES_MAX);
	}
	for (int i = 0; i < SERVERS; i++) {
		struct server *s = &w->servers[i];

		backend_init(&s->b, with + (uint32_t)i);
		s->b.named = true;
		s->b.schema = &w->schema;
		s->b.noise = pick(w, 3);
		progress_init(&s->p);
		prepared_init(&s->set, &w->all, &s->p);
	}
	for (steps = 10 + pick(w, 60); steps > 0; steps--) {
		struct client *c = &w->clients[pick(w, CLIENTS)];
		uint32_t n = 1 + pick(w, 6);
		size_t at = c->todo.len;

		while (n-- > 0)
			add_message(w, &c->todo);
		backend_message(&c->todo, 'S', NULL);
		buf_add(&c->own.in, buf_data(&c->todo) + at, c->todo.len - at);
		if (c->server == NULL)
			lease(w, c);
		adopt(w, c);
		for (n = c->server ? pick(w, 12) : 0; n > 0 && c->todo.len > 0; n--)
			if (!pass_on(w, c))
				break;
		if (c->server && pick(w, 2)) {
			backend_run(&c->server->b, (int)pick(w, 6));
			if (pick(w, 4) == 0)
				backend_flush(&c->server->b);
			deliver(c->server, pick(w, 60));
		}
		if (pick(w, 20) == 0)
			leave(w, c);
		if (pick(w, 8) == 0) {
			settle(w);
			for (int i = 0; i < CLIENTS; i++)
				compare(w, &w->clients[i]);
			/* And now and then it is as it was before. */
			if (w->changes)
				w->schema = pick(w, 3);
		}
	}
	settle(w);
	for (int i = 0; i < CLIENTS; i++) {
		struct client *c = &w->clients[i];

		compare(w, c);
		leave(w, c);
		backend_clear(&c->own);
		buf_clear(&c->todo);
		buf_clear(&c->got);
	}
	for (int i = 0; i < SERVERS; i++) {
		/* No more than it may have, but for what was under way at once. */
		ck_assert_uint_eq(w->servers[i].b.statements, w->servers[i].set.recent.count);
		prepared_clear(&w->servers[i].set);
		progress_clear(&w->servers[i].p);
		backend_clear(&w->servers[i].b);
	}
	ck_assert_uint_eq(w->all.texts.count, 0);
	statements_clear(&w->all);
	sum->waits += w->waits;
	sum->changed += w->changed;
	sum->adopted += w->adopted;
	free(w);
}

START_TEST(random_sessions_are_answered_as_by_servers_of_their_own)
{
	const char *given = getenv("CHECK_ROUNDS");
	uint32_t rounds = given ? (uint32_t)atoi(given) : 3000;
	struct played sum = {0};

	for (uint32_t i = 0; i < rounds; i++)
		play(seed + i, &sum);
	/* Otherwise it has tested little. */
	if (rounds >= 100) {
		ck_assert_uint_gt(sum.waits, rounds / 2);
		ck_assert_uint_gt(sum.changed, rounds / 50);
		ck_assert_uint_gt(sum.adopted, rounds / 100);
	}
}
END_TEST

#if UINTPTR_MAX == UINT64_MAX
/* An idle client with one prepared statement has these beside its session, and no chunk more.
 * malloc(3) gives 8 bytes less than a multiple of 16. A name of 16 bytes still fits. */
START_TEST(one_is_small)
{
	struct hash h;
	struct named first;

	ck_assert_uint_le(sizeof(struct names), 3 * 16 - 8);
	ck_assert_uint_le(sizeof(struct named) + 16, 6 * 16 - 8);
	hash_init(&h);
	hash_add(&h, &first.node, 1);
	ck_assert_uint_eq(h.size, 0);
	ck_assert_ptr_eq(h.few, &first.node);
	hash_clear(&h);
}
END_TEST
#endif

int
main(void)
{
	Suite *s = suite_create("prepared");
	TCase *t = tcase_create("prepared");
	SRunner *r = srunner_create(s);
	const char *given = getenv("CHECK_SEED");
	int failed;

	seed = given ? (uint32_t)strtoul(given, NULL, 10) : (uint32_t)time(NULL);
	fprintf(stderr, "check_prepared: CHECK_SEED=%u\n", seed);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, messages_are_rewritten_byte_by_byte);
	tcase_add_test(t, names_of_ours_are_nobodys);
	tcase_add_test(t, a_parse_of_the_client_goes_to_the_server);
	tcase_add_test(t, what_differs_is_not_shared);
	tcase_add_test(t, what_a_literal_is);
	tcase_add_test(t, on_another_server);
	tcase_add_test(t, resolved_types_are_kept);
	tcase_add_test(t, results_that_no_parse_fixes);
	tcase_add_test(t, a_server_that_is_lost_while_it_is_asked);
	tcase_add_test(t, an_older_analysis_is_nobodys_who_came_later);
	tcase_add_test(t, a_parse_that_is_put_off);
	tcase_add_test(t, in_another_database);
	tcase_add_test(t, native_names_are_the_servers);
	tcase_add_test(t, names_in_errors);
	tcase_add_test(t, a_name_that_exists_is_refused_by_the_server);
	tcase_add_test(t, what_fails_is_taken_back_in_reverse);
	tcase_add_test(t, later_exchanges_wait_for_what_they_depend_on);
	tcase_add_test(t, a_name_closed_in_an_earlier_exchange_is_not_sure_either);
	tcase_add_test(t, the_least_recently_used_goes);
	tcase_add_test(t, what_is_under_way_is_not_put_out);
	tcase_add_test(t, an_eviction_that_was_skipped_leaves_something_behind);
	tcase_add_test(t, nothing_is_changed_while_the_server_skips);
	tcase_add_test(t, limits_of_a_session);
	tcase_add_test(t, a_bind_that_is_not_here_as_a_whole);
	tcase_add_test(t, malformed_bodies_do_no_harm);
	tcase_add_test(t, long_names_are_cut_as_the_server_does);
#if UINTPTR_MAX == UINT64_MAX
	tcase_add_test(t, one_is_small);
#endif
	tcase_add_test(t, effects_are_told_before_anything_is_sent);
	tcase_add_test(t, names_that_are_dropped_while_their_parse_is_under_way);
	tcase_add_test(t, either_side_may_go_in_the_middle);
	tcase_add_test(t, the_server_has_discarded_all_in_the_middle);
	tcase_add_test(t, random_sessions_are_answered_as_by_servers_of_their_own);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
