/* effects: what a text does, by a table of texts: the bits that it has, and what follows for the
 * session and its lease when it is executed. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool/pool.h"
#include "session/batch.h"
#include "session/control.h"
#include "session/effects.h"
#include "session/message.h"
#include "session/resets.h"
#include "session/session.h"
#include "session/site.h"
#include "session/standin.h"
#include "session/unlisted.h"

/* A session that holds a server, and has told what it wants of two parameters that say how texts
 * are read. */
static struct statements statements;
static struct conf_pool conf;
static struct pool pool;
static struct server srv;
static struct site site;
static struct session s;
static struct hold held;

#define READ_AS(strings, encoding)                                  \
	"SELECT set_config('standard_conforming_strings','" strings \
	"',false), set_config('client_encoding','" encoding "',false)"

static void
setup(void)
{
	memset(&srv, 0, sizeof srv);
	memset(&s, 0, sizeof s);
	session_set_none(&s);
	memset(&held, 0, sizeof held);
	memset(&pool, 0, sizeof pool);
	memset(&site, 0, sizeof site);
	memset(&conf, 0, sizeof conf);
	statements_init(&statements);
	batch_init(&site.batch);
	pool.conf = &conf;
	srv.id = 100;
	srv.pool = &pool;
	progress_init(&srv.progress);
	srv.progress.status = 'I';
	prepared_init(&srv.prepared, &statements, &srv.progress);
	s.id = srv.sequences = 7;
	s.site = &site;
	s.pool = &pool;
	s.hold = s.own = &held;
	held.lease.state = LEASE_HELD;
	held.lease.srv = &srv;
	s.context.pin = true;
	s.context.parameters_sql = READ_AS("on", "UTF8");
}

static void
teardown(void)
{
	resets_forget(&s);
	control_free(&s);
	hold_clear(&held);
	free(s.context.unlisted);
	batch_drop(&s);
	batch_clear(&site.batch);
	prepared_clear(&srv.prepared);
	progress_clear(&srv.progress);
	statements_clear(&statements);
}

/* Names, each with a NUL, and with `more` one more at their end, as one text. */
static const char *
joined(const char *names, size_t bytes, bool more, char *out, size_t size)
{
	size_t n = 0;

	while (names && (more ? *names != 0 : bytes > 0)) {
		size_t length = strlen(names) + 1;

		n += (size_t)snprintf(out + n, size - n, "%s%s", n ? " " : "", names);
		names += length;
		bytes -= more ? 0 : length;
	}
	out[n] = 0;
	return out;
}

/* A letter for each thing that has changed. */
static const char *
changes(char *out)
{
	char *to = out;

	if (held.changed)
		*to++ = 'c';
	if (held.pins_doubtful)
		*to++ = 'p';
	if (held.discard)
		*to++ = 'd';
	if (held.discard_all_sent)
		*to++ = 'A';
	if (srv.spoiled)
		*to++ = 'x';
	if (srv.prepared.altered != PREPARED_UNALTERED)
		*to++ = srv.prepared.altered == PREPARED_OBJECTS ? 'o' : 's';
	if (s.context.resets != RESETS_NONE)
		*to++ = 'r';
	*to = 0;
	return out;
}

#define C(name) SQLCLASS_##name
#define M(name) SQLMENTION_##name

static const struct {
	const char *sql;
	unsigned set;           /* when it is judged, and its names have been read */
	unsigned pinned;        /* then, when it has been executed */
	const char *changes;    /* see changes() */
	const char *asked;      /* names of parameters that the server will be asked for */
	const char *resets;     /* names that it resets, '-' ahead: and sets */
	const char *deallocate; /* names that it deallocates */
} texts[] = {
    {"", 0, 0, "", "", "", ""},
    {"SELECT 1", 0, 0, "", "", "", ""},
    {"UPDATE t SET x = 1", 0, 0, "", "", "", ""},
    {"SELECT 'SET x = 1; RESET ALL; DEALLOCATE a'", 0, 0, "", "", "", ""},
    /* parameters */
    {"SET DateStyle = 'ISO'", C(SET), 0, "cs", "", "", ""},
    {"SET app.user = 'a'", C(SET), 0, "cs", "app.user", "", ""},
    {"SET SESSION \"App\".\"User\" TO 'a'; SELECT 1; SET b.c = 1", C(SET), 0, "cs", "app.user b.c",
     "", ""},
    {"SET app.U&\"\\00e9\" = 1", C(SET) | HOLD_PIN_SETTING | M(SEQUENCE), HOLD_PIN_SETTING, "cps",
     "", "", ""},
    {"SET ROLE alice", C(SET), 0, "cs", "role", "", ""},
    {"SET SESSION AUTHORIZATION alice", C(SET), 0, "cs", "session_authorization role", "", ""},
    {"SET LOCAL app.user = 'a'", C(SET_LOCAL), 0, "s", "", "", ""},
    {"SET TRANSACTION READ ONLY", 0, 0, "", "", "", ""},
    {"RESET DateStyle", C(SET), 0, "csr", "", "datestyle", ""},
    {"RESET ALL; SET DateStyle = 'ISO'", C(SET), 0, "csr", "", "* -datestyle", ""},
    {"SET TIME ZONE DEFAULT", C(SET), 0, "csr", "", "TimeZone", ""},
    {"SELECT set_config('app.user', 'a', false)", C(SETCONFIG), 0, "cs", "app.user", "", ""},
    {"SELECT set_config('app.user', 'a', true)", C(SET_LOCAL), 0, "s", "", "", ""},
    {"SELECT set_config($1, 'a', false)", C(SETCONFIG) | HOLD_PIN_SETTING, HOLD_PIN_SETTING, "cpsr",
     "", "", ""},
    {"DO 'BEGIN SET app.user = 1; RESET DateStyle; END'", C(OPAQUE), 0, "cpdor", "app.user", "",
     ""},
    {"CALL p()", C(OPAQUE), 0, "cpdo", "", "", ""},
    /* what pins */
    {"LISTEN a", C(LISTEN), C(LISTEN), "p", "", "", ""},
    {"UNLISTEN a", C(UNLISTEN), 0, "", "", "", ""},
    {"CREATE TEMP TABLE t ()", C(TEMP) | C(CREATE) | C(DEFINES), C(TEMP), "po", "", "", ""},
    {"CREATE TABLE t ()", C(CREATE) | C(DEFINES), 0, "po", "", "", ""},
    {"PREPARE a AS SELECT 1", C(PREPARE), C(PREPARE), "p", "", "", ""},
    {"DECLARE c CURSOR WITH HOLD FOR SELECT 1", C(HOLD), C(HOLD), "p", "", "", ""},
    {"SELECT pg_advisory_lock(1)", C(LOCK), C(LOCK), "p", "", "", ""},
    {"LOAD 'x'", C(LOAD), C(LOAD), "x", "", "", ""},
    {"SELECT setseed(0.5)", M(SEED), M(SEED), "x", "", "", ""},
    {"EXECUTE a", C(EXECUTE), 0, "cpdo", "", "", ""},
    {"PREPARE a AS SELECT 1; EXECUTE a", C(PREPARE) | C(EXECUTE), C(PREPARE), "p", "", "", ""},
    {"FROBNICATE", C(UNSURE), 0, "cpo", "", "", ""},
    /* what undoes */
    {"DISCARD ALL", C(DISCARD_ALL), 0, "cAor", "", "* session_authorization", ""},
    {"DISCARD ALL; SET DateStyle = 'ISO'", C(DISCARD_ALL) | C(SET), 0, "cor", "",
     "* session_authorization -datestyle", ""},
    {"DISCARD TEMP", C(DISCARD_TEMP), 0, "pdo", "", "", ""},
    {"DEALLOCATE a; DEALLOCATE PREPARE \"B\"; DEALLOCATE ALL", C(DEALLOCATE), 0, "", "", "", "a B"},
    {"DEALLOCATE prepare; DEALLOCATE PREPARE prepare2; DEALLOCATE PREPARE ALL; DEALLOCATE \"ALL\"",
     C(DEALLOCATE), 0, "", "", "", "prepare prepare2 ALL"},
    {"DROP TABLE t", C(UNDO) | C(DEFINES), 0, "o", "", "", ""},
    /* the transaction */
    {"BEGIN", C(BEGIN), 0, "", "", "", ""},
    {"BEGIN; COMMIT", C(BEGIN) | C(COMMIT), 0, "", "", "", ""},
    {"ROLLBACK TO a", C(SAVEPOINT), 0, "", "", "", ""},
    /* what no parameter restores */
    {"SELECT nextval('s')", M(SEQUENCE), 0, "", "", "", ""},
    {"SET temp_buffers = 100", C(SET) | M(TEMP_BUFFERS), 0, "cs", "", "", ""},
};

static void
is_text(size_t i, const char *what, const char *is, const char *expected)
{
	ck_assert_msg(strcmp(is, expected) == 0, "%s: %s: \"%s\", not \"%s\"", texts[i].sql, what,
		      is, expected);
}

/* Query or Parse with this text, whole and well formed. */
static void
give(struct message *m, char type, const char *sql, struct buf *body)
{
	buf_init(body, 100000);
	if (type == 'P')
		buf_add_u8(body, 0);
	buf_add_str(body, sql);
	if (type == 'P')
		buf_add_u16(body, 0);
	*m = (struct message){
	    .type = type, .body = buf_data(body), .bytes = body->len, .have = body->len};
	message_decode(m);
	if (type == 'P')
		standin_knows(&s, m);
	effects_of_message(&s, m);
}

START_TEST(a_text_does_what_the_table_says)
{
	char text[256];
	struct message m;
	struct buf body;

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		const struct buf *names;

		give(&m, 'Q', texts[i].sql, &body);
		effects_note_parameters(&s, &m);
		ck_assert_msg(m.effects.set == texts[i].set, "%s: %x, not %x", texts[i].sql,
			      m.effects.set, texts[i].set);
		is_text(i, "asked", joined(s.context.unlisted, 0, true, text, sizeof text),
			texts[i].asked);
		is_text(i, "changes ahead", changes(text), "");
		effects_take(&s, &m, m.effects.set, m.sql, m.sql_bytes);
		ck_assert_msg(held.pinned == texts[i].pinned, "%s: pinned %x, not %x", texts[i].sql,
			      held.pinned, texts[i].pinned);
		is_text(i, "changes", changes(text), texts[i].changes);
		names = s.context.resets_names ? &s.context.resets_names->names : NULL;
		is_text(i, "resets",
			joined(names ? (const char *)buf_data(names) : NULL, names ? names->len : 0,
			       false, text, sizeof text),
			texts[i].resets);
		names = held.deallocating;
		is_text(i, "deallocate",
			joined(names ? (const char *)buf_data(names) : NULL, names ? names->len : 0,
			       false, text, sizeof text),
			texts[i].deallocate);
		buf_clear(&body);
		teardown();
		setup();
	}
}
END_TEST

START_TEST(a_parse_does_as_a_query)
{
	struct message query, parse;
	struct buf one, other;

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		give(&query, 'Q', texts[i].sql, &one);
		give(&parse, 'P', texts[i].sql, &other);
		ck_assert_uint_eq(query.effects.set, parse.effects.set);
		buf_clear(&one);
		buf_clear(&other);
	}
}
END_TEST

/* A text that would set a parameter shows whether it is read. */
#define SETS_ONE "SET app.user = 1"

/* Is the text of this Parse not read, because it is known? */
static bool
is_known(const char *sql)
{
	struct message m;
	struct buf body;

	give(&m, 'P', sql, &body);
	buf_clear(&body);
	ck_assert(m.effects.lasting);
	return m.effects.set == 0;
}

START_TEST(a_text_that_is_known_is_not_read)
{
	static const uint8_t parse[] = SETS_ONE "\0\0"; /* with no types, and one more NUL */
	struct message m;
	struct text *t;

	conf.statement_cache = CONF_CACHE_AUTO;
	conf.max_prepared_statements = 1;
	statements_init(&site.pools.statements);
	ck_assert(!is_known(SETS_ONE));
	t = text_get(&site.pools.statements, parse, sizeof parse, s.context.parameters_sql);
	ck_assert(!is_known(SETS_ONE));
	t->inert = true;
	ck_assert(is_known(SETS_ONE));
	ck_assert(!is_known(SETS_ONE " "));
	s.context.parameters_sql = "";
	ck_assert(!is_known(SETS_ONE));
	s.context.parameters_sql = READ_AS("on", "UTF8");
	conf.statement_cache = CONF_CACHE_OFF;
	ck_assert(!is_known(SETS_ONE));
	conf.statement_cache = CONF_CACHE_ON;
	ck_assert(is_known(SETS_ONE));
	/* A named one, one with types, and one of which a part is here, are others. */
	for (size_t bytes = sizeof "x" SETS_ONE; bytes < sizeof "x" SETS_ONE + 4; bytes++) {
		m = (struct message){.type = 'P',
				     .body = (const uint8_t *)"\0" SETS_ONE "\0\0\0\0",
				     .have = sizeof "x" SETS_ONE,
				     .bytes = bytes};
		message_decode(&m);
		ck_assert(!standin_knows(&s, &m));
		effects_of_message(&s, &m);
		ck_assert(m.effects.set & SQLCLASS_SET);
	}
	m = (struct message){.type = 'P',
			     .body = (const uint8_t *)"x\0" SETS_ONE "\0\0",
			     .have = sizeof "x" SETS_ONE + 3,
			     .bytes = sizeof "x" SETS_ONE + 3};
	message_decode(&m);
	ck_assert(!standin_knows(&s, &m));
	effects_of_message(&s, &m);
	ck_assert(m.effects.set & SQLCLASS_SET);
	text_put(&site.pools.statements, t);
	statements_clear(&site.pools.statements);
}
END_TEST

/* ---- messages that are not as they should be ---- */

START_TEST(a_malformed_message_has_no_statement_that_is_answered_here)
{
	static const char *const own[] = {"BEGIN",       "COMMIT",  "ROLLBACK",
					  "SAVEPOINT a", "ENTER a", "PREPARE TRANSACTION 'a'"};
	struct message m;
	struct buf body;

	for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
		give(&m, 'Q', own[i], &body);
		ck_assert_msg(m.effects.set != 0, "%s", own[i]);
		buf_add_u8(&body, 'x');
		m = (struct message){
		    .type = 'Q', .body = buf_data(&body), .bytes = body.len, .have = body.len};
		message_decode(&m);
		effects_of_message(&s, &m);
		ck_assert_msg(m.effects.set == 0, "%s: %x", own[i], m.effects.set);
		/* A part of a long message is well formed until it is known to be not. */
		m = (struct message){
		    .type = 'Q', .body = buf_data(&body), .bytes = 100000, .have = body.len};
		message_decode(&m);
		effects_of_message(&s, &m);
		ck_assert(m.effects.set & SQLCLASS_OPAQUE);
		ck_assert(m.effects.set & ~(unsigned)SQLCLASS_OPAQUE);
		buf_clear(&body);
	}
}
END_TEST

START_TEST(other_messages_do_nothing)
{
	struct message m;

	for (const char *type = "BDECSHdcf"; *type; type++) {
		m = (struct message){.type = *type,
				     .body = (const uint8_t *)"S\0SET x = 1",
				     .bytes = 12,
				     .have = 12};
		message_decode(&m);
		effects_of_message(&s, &m);
		effects_note_parameters(&s, &m);
		ck_assert_uint_eq(m.effects.set, 0);
	}
}
END_TEST

START_TEST(a_call_may_do_anything_unless_its_function_is_known)
{
	static const struct {
		uint32_t function;
		unsigned set;
	} calls[] = {
	    {952, 0},
	    {3460, 0},
	    {1, SQLCLASS_OPAQUE},
	    {1574, SQLCLASS_OPAQUE | SQLMENTION_SEQUENCE},
	    {2559, SQLCLASS_OPAQUE | SQLMENTION_SEQUENCE},
	    {2078, SQLCLASS_OPAQUE | HOLD_PIN_SETTING},
	};
	struct message m;

	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
		uint8_t body[10] = {0, 0, (uint8_t)(calls[i].function >> 8),
				    (uint8_t)calls[i].function};

		m = (struct message){.type = 'F', .body = body, .bytes = 10, .have = 10};
		message_decode(&m);
		effects_of_message(&s, &m);
		effects_note_parameters(&s, &m);
		ck_assert_msg(m.effects.set == calls[i].set, "%u: %x", calls[i].function,
			      m.effects.set);
	}
	s.context.pin = false;
	effects_of_message(&s, &m);
	ck_assert_uint_eq(m.effects.set, SQLCLASS_OPAQUE);
}
END_TEST

/* ---- a message that waits ---- */

/* Judges a Query with the text `first`, lets it wait, then judges one with `second`. Returns what
 * that one is taken to do. */
static unsigned
after_waiting(char type, const char *first, const char *second)
{
	struct message m;
	struct buf body;
	unsigned set;

	give(&m, type, first, &body);
	effects_keep(&s, &m);
	buf_clear(&body);
	give(&m, type, second, &body);
	set = m.effects.set;
	buf_clear(&body);
	effects_forget(&s);
	return set;
}

START_TEST(a_query_that_waited_is_not_read_again)
{
	struct message m;
	struct buf body;

	/* In truth both are the same text. */
	ck_assert_uint_eq(after_waiting('Q', "LISTEN a", "SELECT 1"), SQLCLASS_LISTEN);
	ck_assert_uint_eq(after_waiting('Q', "SELECT 1", "LISTEN a"), 0);
	/* What cannot be the same one is read, and so is a Parse, which may have another way. */
	ck_assert_uint_eq(after_waiting('Q', "LISTEN a", "SELECT 10"), 0);
	ck_assert_uint_eq(after_waiting('P', "LISTEN a", "SELECT 1"), 0);
	/* By the next time the server may read it otherwise. */
	ck_assert_uint_eq(after_waiting('Q', "LISTEN a; SELECT '\\'", "SELECT 1"), 0);
	ck_assert_uint_eq(after_waiting('Q', "SELECT '\\'", "LISTEN bcd"), SQLCLASS_LISTEN);
	/* Only once. */
	give(&m, 'Q', "LISTEN a", &body);
	effects_keep(&s, &m);
	effects_of_message(&s, &m);
	buf_clear(&body);
	give(&m, 'Q', "SELECT 1", &body);
	ck_assert_uint_eq(m.effects.set, 0);
	buf_clear(&body);
	/* It was dropped. */
	give(&m, 'Q', "LISTEN a", &body);
	effects_keep(&s, &m);
	effects_forget(&s);
	buf_clear(&body);
	give(&m, 'Q', "SELECT 1", &body);
	ck_assert_uint_eq(m.effects.set, 0);
	buf_clear(&body);
}
END_TEST

/* ---- how a text is read ---- */

#define IN_A_STRING "SELECT '\\'; BEGIN; --'"

START_TEST(quotes_end_as_the_server_has_been_told)
{
	struct effects does;

	effects_of(&s, IN_A_STRING, strlen(IN_A_STRING), &does);
	ck_assert_uint_eq(does.set, SQLCLASS_BEGIN);
	ck_assert_uint_eq(does.lexing, 0);
	ck_assert(!does.unsure);
	s.context.parameters_sql = READ_AS("off", "SJIS");
	effects_of(&s, IN_A_STRING, strlen(IN_A_STRING), &does);
	ck_assert_uint_eq(does.set, 0);
	ck_assert_uint_eq(does.lexing, SQLTEXT_BACKSLASH | SQLTEXT_SJIS);
	ck_assert(!does.unsure);
}
END_TEST

START_TEST(all_readings_count_while_an_answer_is_due)
{
	static const char same[] = "BEGIN; SELECT '\\\\'";
	static const char scope[] = "SELECT '\\'; ENTER a; --'";
	struct effects does;

	progress_sent(&srv.progress, 'Q');
	effects_of(&s, IN_A_STRING, strlen(IN_A_STRING), &does);
	ck_assert_uint_eq(does.set, SQLCLASS_BEGIN | SQLCLASS_OPAQUE);
	ck_assert(does.unsure);
	/* All of them are one. */
	effects_of(&s, same, strlen(same), &does);
	ck_assert_uint_eq(does.set, SQLCLASS_BEGIN);
	ck_assert(does.unsure);
	/* A scope statement that one of them does not have is none. */
	effects_of(&s, scope, strlen(scope), &does);
	ck_assert_uint_eq(does.set, SQLCLASS_OPAQUE);
	/* One reading is certain where all are the same by the bytes. */
	effects_of(&s, "SET x = 1", 9, &does);
	ck_assert_uint_eq(does.set, SQLCLASS_SET);
	ck_assert(!does.unsure);
}
END_TEST

START_TEST(names_of_all_readings_are_asked_for)
{
	static const char sql[] = "SELECT '\\'; SET a.b = 1; --'; SET c.d = 1";
	struct message m;
	struct buf body;
	char text[64];

	progress_sent(&srv.progress, 'Q');
	give(&m, 'Q', sql, &body);
	effects_note_parameters(&s, &m);
	joined(s.context.unlisted, 0, true, text, sizeof text);
	ck_assert_msg(strstr(text, "a.b") && strstr(text, "c.d"), "%s", text);
	buf_clear(&body);
}
END_TEST

START_TEST(what_another_role_may_not_see)
{
	ck_assert(unlisted_may_be_hidden(&s.context, "dynamic_library_path"));
	ck_assert(!unlisted_may_be_hidden(&s.context, "DateStyle"));
	ck_assert(!unlisted_may_be_hidden(&s.context, "app.user"));
	ck_assert(!unlisted_may_be_hidden(&s.context, "role"));
	ck_assert(!unlisted_may_be_hidden(&s.context, "session_authorization"));
	ck_assert(unlisted_startup(&s.context, "Dynamic_Library_Path"));
	ck_assert(!unlisted_may_be_hidden(&s.context, "Dynamic_Library_Path"));
}
END_TEST

/* ---- one behind the other ---- */

static void
take(const char *sql)
{
	struct message m = {.type = 'Q'};
	struct effects does;

	effects_of(&s, sql, strlen(sql), &does);
	effects_take(&s, &m, does.set, sql, strlen(sql));
}

START_TEST(a_discard_all_that_others_follow_undoes_no_more_than_it_saw)
{
	take("DISCARD ALL");
	ck_assert(held.discard_all_sent);
	take("SELECT 1");
	ck_assert(held.discard_all_sent);
	take("LISTEN a");
	ck_assert(!held.discard_all_sent);
	/* Behind what is under way its answer could be taken for that one's. */
	progress_sent(&srv.progress, 'Q');
	take("DISCARD ALL");
	ck_assert(!held.discard_all_sent);
}
END_TEST

START_TEST(what_ends_less_than_it_might_is_asked_for_if_something_pins)
{
	take("UNLISTEN *");
	ck_assert(!held.pins_doubtful);
	held.pinned = SQLCLASS_LISTEN;
	take("SELECT 1");
	ck_assert(!held.pins_doubtful);
	take("UNLISTEN *");
	ck_assert(held.pins_doubtful);
}
END_TEST

START_TEST(a_statement_at_the_end_of_a_scope_has_its_effects_without_its_text)
{
	char text[64];
	unsigned set = effects_of_deferred(&s, "SET app.user = 1; DEALLOCATE a; RESET DateStyle");

	ck_assert_uint_eq(set, SQLCLASS_SET | SQLCLASS_DEALLOCATE);
	ck_assert_str_eq(joined(s.context.unlisted, 0, true, text, sizeof text), "app.user");
	effects_take(&s, NULL, set, NULL, 0);
	ck_assert(held.changed);
	ck_assert_ptr_null(held.deallocating);
	ck_assert_int_eq(s.context.resets, RESETS_NONE);
}
END_TEST

/* A message that names a portal. */
static void
portal(char type, const char *name)
{
	struct message m = {.type = type, .portal = name, .statement = type == 'B' ? "s" : NULL};
	unsigned set = SQLCLASS_SET;

	resets_portal(&s, &m);
	if (type == 'B')
		effects_take(&s, &m, set, "RESET DateStyle", strlen("RESET DateStyle"));
}

static unsigned
names_noted(void)
{
	return s.context.resets_names ? (unsigned)s.context.resets_names->names.len : 0;
}

START_TEST(a_portal_resets_when_it_is_executed)
{
	portal('B', "");
	portal('B', "p");
	ck_assert_int_eq(s.context.resets, RESETS_LATER);
	ck_assert_uint_eq(names_noted(), 0);
	ck_assert(!srv.progress.statuses_kept);
	portal('E', "other");
	ck_assert_uint_eq(names_noted(), 0);
	portal('C', "p");
	portal('E', "p");
	ck_assert_int_eq(s.context.resets, RESETS_LATER);
	srv.progress.skipping = true;
	portal('E', "");
	ck_assert_int_eq(s.context.resets, RESETS_LATER);
	srv.progress.skipping = false;
	portal('E', "");
	ck_assert_int_eq(s.context.resets, RESETS_NOW);
	ck_assert_uint_eq(names_noted(), sizeof "datestyle");
	ck_assert(srv.progress.statuses_kept);
	/* Once. */
	portal('E', "");
	ck_assert_uint_eq(names_noted(), sizeof "datestyle");
}
END_TEST

START_TEST(of_many_portals_the_last_ones_are_kept)
{
	char name[16];

	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "p%d", i);
		portal('B', name);
	}
	ck_assert_uint_lt(s.context.resets_names->portals.count, 100);
	portal('E', "p0");
	ck_assert_uint_eq(names_noted(), 0);
	portal('E', "p999");
	ck_assert_uint_eq(names_noted(), sizeof "datestyle");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("effects");
	TCase *t = tcase_create("effects");
	SRunner *r = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_text_does_what_the_table_says);
	tcase_add_test(t, a_parse_does_as_a_query);
	tcase_add_test(t, a_text_that_is_known_is_not_read);
	tcase_add_test(t, a_malformed_message_has_no_statement_that_is_answered_here);
	tcase_add_test(t, other_messages_do_nothing);
	tcase_add_test(t, a_call_may_do_anything_unless_its_function_is_known);
	tcase_add_test(t, a_query_that_waited_is_not_read_again);
	tcase_add_test(t, quotes_end_as_the_server_has_been_told);
	tcase_add_test(t, all_readings_count_while_an_answer_is_due);
	tcase_add_test(t, names_of_all_readings_are_asked_for);
	tcase_add_test(t, what_another_role_may_not_see);
	tcase_add_test(t, a_discard_all_that_others_follow_undoes_no_more_than_it_saw);
	tcase_add_test(t, what_ends_less_than_it_might_is_asked_for_if_something_pins);
	tcase_add_test(t, a_statement_at_the_end_of_a_scope_has_its_effects_without_its_text);
	tcase_add_test(t, a_portal_resets_when_it_is_executed);
	tcase_add_test(t, of_many_portals_the_last_ones_are_kept);
	suite_add_tcase(suite, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
