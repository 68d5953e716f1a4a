#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "scope/unit.h"
#include "scope/unit_member.h"
#include "scope/unit_server.h"
#include "scope/unitset.h"
#include "wire/frame.h"
#include "wire/msg.h"

static struct unit u;
static char seen[4096];

/* Writes what is in the buffer: the SQL texts of Parse and Query without the savepoint's number,
 * letters of other messages, tags and SQLSTATEs. Close, Bind and Execute of our own statements are
 * left out. */
static void
write_messages(struct buf *b, char *out)
{
	const uint8_t *at = buf_data(b), *end = at + b->len;
	struct frame f;

	while (at < end && frame_read(at, (size_t)(end - at), &f) == 0) {
		const char *body = (const char *)at + FRAME_HEADER, *text = NULL;

		if (f.type == 'P')
			text = body + strlen(body) + 1;
		else if (f.type == 'Q' || (f.type == 'C' && strchr("SP", body[0]) == NULL))
			text = body;
		else if (f.type == 'E' && f.body > 20)
			text = msg_report_field((const uint8_t *)body, f.body, 'C');
		else if (f.type == 'N')
			text = msg_report_field((const uint8_t *)body, f.body, 'C');
		if (text)
			snprintf(out + strlen(out), 4096 - strlen(out), "%s%c%s", *out ? "; " : "",
				 f.type, text);
		else if (f.type == 'Z')
			snprintf(out + strlen(out), 4096 - strlen(out), "%sZ%c", *out ? "; " : "",
				 *body);
		else if (f.type == 'S' || f.type == 'f' || f.type == 'H')
			snprintf(out + strlen(out), 4096 - strlen(out), "%s%c", *out ? "; " : "",
				 f.type);
		at += FRAME_HEADER + f.body;
	}
	buf_reset(b);
}

/* The savepoint is called u, and its guards u_g, as their names are too long to be read. */
static void
shorten(char *text)
{
	char *at;

	while ((at = strstr(text, u.name)) != NULL)
		memmove(at, at + strlen(u.name) - 1, strlen(at + strlen(u.name) - 1) + 1),
		    at[0] = 'u';
	for (at = text; (at = strstr(at, "u_g")) != NULL; at += 3)
		memmove(at + 3, at + 3 + strspn(at + 3, "0123456789"),
			strlen(at + 3 + strspn(at + 3, "0123456789")) + 1);
}

static const char *
to_server(void)
{
	seen[0] = 0;
	write_messages(&u.out, seen);
	shorten(seen);
	return seen;
}

static const char *
to_member(void)
{
	seen[0] = 0;
	write_messages(&u.reply, seen);
	return seen;
}

static enum unit_verdict
member(char type, const void *body, size_t bytes)
{
	return unit_member(&u, type, body, bytes);
}

static enum unit_verdict
query(const char *sql)
{
	return member('Q', sql, strlen(sql) + 1);
}

static enum unit_verdict
server(char type, const void *body, size_t bytes)
{
	return unit_server(&u, type, body, bytes);
}

static void
ready(const char *status)
{
	server('Z', status, 1);
}

static void
error(const char *sqlstate)
{
	struct buf b;

	buf_init(&b, 1024);
	msg_report(&b, 'E', "ERROR", sqlstate, "it failed", NULL, NULL);
	server('E', buf_data(&b) + FRAME_HEADER, b.len - FRAME_HEADER);
	buf_clear(&b);
}

#define COMMIT "PCLOSE ALL; " NEXT
#define NEXT   "PRELEASE SAVEPOINT u; PSAVEPOINT u_g; PSAVEPOINT u; S"
#define UNDO   "PROLLBACK TO SAVEPOINT u; S"
/* That has failed. */
#define UNDO_AGAIN "PROLLBACK TO SAVEPOINT u_g; PSAVEPOINT u; S"

/* The server has answered our statements, all but the last `missing` ones. */
static void
completed(unsigned missing)
{
	unsigned count = u.statements;

	for (unsigned i = 0; i + missing < count; i++)
		ck_assert_int_eq(server('C', "SELECT 1", 9), UNIT_DROP);
}

/* A row of LOOK or of COMMIT. */
static void
row(const char *const *values, unsigned count)
{
	struct buf b;

	buf_init(&b, 4096);
	buf_add_u16(&b, (uint16_t)count);
	for (unsigned i = 0; i < count; i++) {
		buf_add_u32(&b, values[i] ? (uint32_t)strlen(values[i]) : UINT32_MAX);
		if (values[i])
			buf_add(&b, values[i], strlen(values[i]));
	}
	ck_assert_int_eq(server('D', buf_data(&b), b.len), UNIT_DROP);
	buf_clear(&b);
}

/* There are deferrable constraints. */
static void
there_are_some(void)
{
	ck_assert_ptr_nonnull(strstr(to_server(), "WHERE condeferrable) THEN 2 ELSE 0 END"));
	row((const char *const[]){"2", NULL, "off", NULL}, 4);
	completed(0);
	ready("T");
}

/* The end of a unit has been asked about: `kind` of enum unit_constraints. */
static void
looked(char kind, const char *deferred)
{
	char text[2] = {kind, 0};
	const char *const values[] = {text, deferred, "off", NULL};

	if (kind != '0') {
		there_are_some();
		ck_assert_ptr_nonnull(strstr(to_server(), "FROM k; S"));
	} else {
		ck_assert_ptr_nonnull(strstr(to_server(), "WHERE condeferrable) THEN 2"));
	}
	row(values, 4);
	completed(0);
	ready("T");
}

/* There are no deferrable constraints. */
static void
commits(const char *what)
{
	looked('0', NULL);
	ck_assert_str_eq(to_server(), what);
}

static void
setup(void)
{
	unit_init(&u, 42);
	unit_start(&u, false);
	ck_assert_ptr_nonnull(strstr(to_server(), "END; PSAVEPOINT u_g; PSAVEPOINT u; S"));
	completed(0);
	ready("T");
	ck_assert_uint_eq(u.depth, 1);
	ck_assert(unit_is_idle(&u));
}

static void
teardown(void)
{
	unit_clear(&u);
}

/* A Query is in a savepoint of its own. */
static void
begin_query(const char *sql)
{
	ck_assert_int_eq(query(sql), UNIT_PASS);
	ck_assert_str_eq(to_server(), "");
}

START_TEST(a_statement_is_a_unit)
{
	begin_query("INSERT INTO t VALUES (1)");
	ck_assert_int_eq(server('C', NULL, 0), UNIT_PASS);
	ck_assert_int_eq(server('Z', "T", 1), UNIT_DROP);
	commits(COMMIT);
	ck_assert_str_eq(to_member(), "");
	/* The answers of our own statements are not the member's, but changes of parameters are. */
	ck_assert_int_eq(server('C', NULL, 0), UNIT_DROP);
	ck_assert_int_eq(server('S', NULL, 0), UNIT_PASS);
	ready("T");
	ck_assert_str_eq(to_member(), "ZI");
	ck_assert(unit_is_idle(&u));
}
END_TEST

START_TEST(an_error_undoes_it_alone)
{
	begin_query("INSERT INTO t VALUES (1)");
	error("23505");
	ready("E");
	ck_assert_str_eq(to_server(), UNDO);
	ready("T");
	ck_assert_str_eq(to_member(), "ZI");
	ck_assert(unit_is_idle(&u));
}
END_TEST

/* BEGIN has been answered. */
static void
begin_block(void)
{
	ck_assert_int_eq(query("begin"), UNIT_DROP);
	ck_assert_str_eq(to_member(), "CBEGIN; ZT");
}

START_TEST(a_block_is_a_unit)
{
	begin_block();
	ck_assert_int_eq(query("SELECT 1"), UNIT_PASS);
	ready("T");
	ck_assert_str_eq(to_member(), "ZT");
	/* The member's own savepoints are the server's business. */
	ck_assert_int_eq(query("SAVEPOINT a"), UNIT_DROP);
	ck_assert_str_eq(to_server(), "QSAVEPOINT a");
	ready("T");
	ck_assert_str_eq(to_member(), "ZT");
	ck_assert_int_eq(query("END"), UNIT_DROP);
	commits(COMMIT);
	ready("T");
	ck_assert_str_eq(to_member(), "CCOMMIT; ZI");
	ck_assert(unit_is_idle(&u));
}
END_TEST

START_TEST(a_failed_block)
{
	begin_block();
	ck_assert_int_eq(query("SELECT 1/0"), UNIT_PASS);
	error("22012");
	ready("E");
	ck_assert_str_eq(to_member(), "ZE");
	ck_assert_int_eq(query("BEGIN"), UNIT_DROP);
	ck_assert_str_eq(to_member(), "E25P02; ZE");
	ck_assert_int_eq(query("COMMIT"), UNIT_DROP);
	ck_assert_str_eq(to_server(), UNDO);
	ready("T");
	ck_assert_str_eq(to_member(), "CROLLBACK; ZI");
}
END_TEST

START_TEST(a_commit_that_is_refused)
{
	begin_block();
	query("COMMIT");
	commits(COMMIT);
	error("23503");
	ready("E");
	ck_assert_str_eq(to_server(), UNDO);
	ready("T");
	ck_assert_str_eq(to_member(), "E23503; ZI");
	ck_assert(unit_is_idle(&u));
}
END_TEST

/* Of an error that is too long, its code and the beginning of its message are told. */
START_TEST(a_long_refusal)
{
	size_t bytes = 300000;
	char *message = mem_calloc(1, bytes + 1);
	struct buf b;
	struct frame f;

	begin_block();
	query("COMMIT");
	to_server();
	buf_init(&b, 1024 * 1024);
	memset(message, 'x', bytes);
	msg_report(&b, 'E', "ERROR", "23503", message, message, NULL);
	server('E', buf_data(&b) + FRAME_HEADER, b.len - FRAME_HEADER);
	ready("E");
	ready("T");
	ck_assert(!u.reply.failed);
	ck_assert_int_eq(frame_read(buf_data(&u.reply), u.reply.len, &f), 0);
	ck_assert_uint_eq(*(buf_data(&u.reply) + FRAME_HEADER + f.body - 1), 0);
	ck_assert_uint_eq(*(buf_data(&u.reply) + FRAME_HEADER + f.body - 2), 0);
	ck_assert_str_eq(to_member(), "E23503; ZI");
	buf_clear(&b);
	free(message);
}
END_TEST

START_TEST(temporary_tables_that_stay)
{
	unit_tidy(&u);
	ck_assert_str_eq(to_server(),
			 "PDISCARD TEMP; PSELECT pg_catalog.pg_advisory_unlock_all(); " NEXT);
	error("55006");
	ready("E");
	ck_assert_str_eq(to_server(), UNDO);
	ready("T");
	ck_assert_ptr_null(u.broken);
	ck_assert(unit_is_idle(&u));
	ck_assert_str_eq(to_member(), "");
}
END_TEST

START_TEST(and_chain)
{
	query("COMMIT AND CHAIN");
	ck_assert_str_eq(to_member(), "E25P01; ZI");
	begin_block();
	query("ROLLBACK AND CHAIN");
	ck_assert_str_eq(to_server(), UNDO);
	ready("T");
	ck_assert_str_eq(to_member(), "CROLLBACK; ZT");
}
END_TEST

START_TEST(what_there_is_no_block_for)
{
	query("ROLLBACK");
	ck_assert_str_eq(to_member(), "N25P01; CROLLBACK; ZI");
	query("SAVEPOINT a");
	ck_assert_str_eq(to_member(), "E25P01; ZI");
	query("LOCK TABLE t");
	ck_assert_str_eq(to_member(), "E25P01; ZI");
	query("DECLARE c CURSOR FOR SELECT 1");
	ck_assert_str_eq(to_member(), "E25P01; ZI");
	begin_block();
	query("BEGIN");
	ck_assert_str_eq(to_member(), "N25001; CBEGIN; ZT");
	ck_assert_str_eq(to_server(), "");
}
END_TEST

START_TEST(what_would_end_the_scope)
{
	static const char *const texts[] = {"PREPARE TRANSACTION 'x'",
					    "COMMIT PREPARED 'x'",
					    "ROLLBACK PREPARED 'x'",
					    "LISTEN x",
					    "SAVEPOINT pgwith_unit_000000000000002a",
					    "release \"pgwith_unit_000000000000002a\"",
					    "ROLLBACK TO PGWITH_UNIT_000000000000002A_check",
					    "SAVEPOINT U&\"\\0070gwith_unit_1\"",
					    "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
					    "/* */ prepare/**/transaction 'x'"};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		query(texts[i]);
		ck_assert_str_eq(to_server(), "");
		ck_assert_str_eq(to_member(), "E0A000; ZI");
	}
	begin_block();
	query(texts[0]);
	ck_assert_str_eq(to_server(), "PROLLBACK TO SAVEPOINT u_none; S");
	error("3B001");
	ready("E");
	ck_assert_str_eq(to_member(), "E0A000; ZE");
}
END_TEST

START_TEST(a_text_of_parts)
{
	query("SELECT 1; BEGIN; SELECT 'ä'; COMMIT; SELECT 2");
	ck_assert_str_eq(to_server(), "QSELECT 1;");
	ready("T");
	/* The statement before BEGIN is a part of its transaction. */
	ck_assert_str_eq(to_member(), "CBEGIN");
	/* Blanks stand for what was before, a character each. */
	ck_assert_str_eq(to_server(), "Q                 SELECT 'ä';");
	ready("T");
	commits(COMMIT);
	ready("T");
	ck_assert_str_eq(to_member(), "CCOMMIT");
	ck_assert_str_eq(to_server(), "Q                                     SELECT 2");
	error("22012");
	ready("E");
	ck_assert_str_eq(to_server(), UNDO);
	ready("T");
	ck_assert_str_eq(to_member(), "ZI");
}
END_TEST

static enum unit_verdict
prepare(const char *name, const char *sql)
{
	enum unit_verdict v;
	struct buf b;

	buf_init(&b, 1024);
	msg_parse(&b, name, sql, NULL, 0);
	v = member('P', buf_data(&b) + FRAME_HEADER, b.len - FRAME_HEADER);
	buf_clear(&b);
	return v;
}

static void
bind(const char *name)
{
	struct buf b;

	buf_init(&b, 1024);
	msg_bind(&b, "", name, NULL, 0);
	ck_assert_int_eq(member('B', buf_data(&b) + FRAME_HEADER, b.len - FRAME_HEADER), UNIT_PASS);
	buf_clear(&b);
}

static void
parse(const char *name, const char *sql)
{
	ck_assert_int_eq(prepare(name, sql), UNIT_PASS);
	bind(name);
}

#define NEVER "PROLLBACK TO SAVEPOINT pgwith_unit_none"

/* What the server must not execute does not reach it. */
static void
parse_commit(const char *name)
{
	ck_assert_int_eq(prepare(name, "COMMIT"), UNIT_DROP);
	ck_assert_str_eq(to_server(), NEVER);
	bind(name);
}

static void
parsed(void)
{
	ck_assert_int_eq(server('1', NULL, 0), UNIT_PASS);
	ck_assert_int_eq(server('2', NULL, 0), UNIT_PASS);
}

static enum unit_verdict
execute(void)
{
	return member('E', "\0\0\0\0\0", 5);
}

START_TEST(an_exchange_is_a_unit)
{
	parse("", "SELECT 1");
	ck_assert_int_eq(execute(), UNIT_PASS);
	ck_assert_int_eq(member('S', NULL, 0), UNIT_PASS);
	ck_assert_int_eq(query("SELECT 2"), UNIT_HOLD);
	ready("T");
	commits(COMMIT);
	ready("T");
	ck_assert_str_eq(to_member(), "ZI");
}
END_TEST

START_TEST(control_in_an_exchange)
{
	begin_block();
	parse_commit("");
	/* What is before it has to be answered first. */
	ck_assert_int_eq(execute(), UNIT_HOLD);
	ck_assert_str_eq(to_server(), "S");
	parsed();
	ck_assert_int_eq(server('Z', "T", 1), UNIT_DROP);
	ck_assert_str_eq(to_member(), "");
	ck_assert_int_eq(execute(), UNIT_DROP);
	commits(COMMIT);
	ready("T");
	ck_assert_str_eq(to_member(), "CCOMMIT");
	ck_assert_int_eq(member('S', NULL, 0), UNIT_DROP);
	ck_assert_str_eq(to_member(), "ZI");
	ck_assert(unit_is_idle(&u));
}
END_TEST

/* A COMMIT that was prepared without a name and not executed is gone with the next Query, even if
 * the server gets nothing of that. */
START_TEST(a_query_ends_what_is_unnamed)
{
	begin_block();
	parse_commit("");
	ck_assert_int_eq(member('S', NULL, 0), UNIT_PASS);
	parsed();
	ready("T");
	to_member();
	ck_assert_int_eq(query("BEGIN READ ONLY"), UNIT_DROP);
	ck_assert_int_eq(*(char *)buf_data(&u.out), 'C');
	ck_assert_str_eq(to_server(), "S");
	ck_assert_uint_eq(u.names.order.count, 0);
	ready("T");
	/* PostgreSQL warns of a second BEGIN, and takes its modes. */
	ck_assert_ptr_nonnull(strstr(to_server(), "SET TRANSACTION READ ONLY"));
	ready("T");
	ck_assert_str_eq(to_member(), "N25001; CBEGIN; ZT");
}
END_TEST

/* A Parse that the server skips changes nothing, and what it knows of a COMMIT is no COMMIT. */
START_TEST(a_parse_that_is_skipped)
{
	begin_block();
	parse_commit("");
	parsed();
	ck_assert_int_eq(member('S', NULL, 0), UNIT_PASS);
	ready("T");
	to_member();
	ck_assert_int_eq(member('E', "nosuch\0\0\0\0", 11), UNIT_PASS);
	ck_assert_int_eq(prepare("", "SELECT 1"), UNIT_PASS);
	bind("");
	ck_assert_int_eq(member('S', NULL, 0), UNIT_PASS);
	error("34000");
	ready("E");
	to_member();
	bind("");
	ck_assert_int_eq(execute(), UNIT_HOLD);
	ck_assert_str_eq(to_server(), "S");
	ck_assert_int_eq(server('2', NULL, 0), UNIT_PASS);
	ready("E");
	ck_assert_int_eq(execute(), UNIT_DROP);
	ck_assert_str_eq(to_server(), UNDO);
	ready("T");
	ck_assert_str_eq(to_member(), "CROLLBACK");
}
END_TEST

START_TEST(what_is_not_prepared)
{
	static const struct {
		const char *text, *sent;
	} cases[] = {
	    {"END WORK", NEVER},
	    {" /* */ rollback", NEVER},
	    {"ABORT;", NEVER},
	    {"BEGIN", "PCLOSE pgwith_unit_none"},
	    {"PREPARE TRANSACTION 'x'", NEVER},
	    {"LISTEN x", "PCLOSE pgwith_unit_none"},
	    {"SELECT 2; COMMIT", "PSELECT 1; SELECT 1"},
	    {"ROLLBACK TO a", ""},
	    {"SAVEPOINT a", ""},
	    {"SELECT 'COMMIT'", ""},
	};

	begin_block();
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		ck_assert_int_eq(prepare("a", cases[i].text),
				 *cases[i].sent ? UNIT_DROP : UNIT_PASS);
		ck_assert_str_eq(to_server(), cases[i].sent);
	}
}
END_TEST

/* PostgreSQL lexes and decodes a Query once. */
START_TEST(a_text_that_changes_how_it_is_read)
{
	begin_block();
	query("SET standard_conforming_strings = on; SET a.b = 1; SELECT '\\'; COMMIT; --'");
	ck_assert_str_eq(to_server(), "QSET standard_conforming_strings = on;");
	server('S', "standard_conforming_strings\0on", 31);
	ready("T");
	ck_assert_str_eq(to_server(), "PROLLBACK TO SAVEPOINT u_none; S");
	error("3B001");
	ready("E");
	ck_assert_str_eq(to_member(), "E0A000; ZE");
	query("ROLLBACK");
	to_server();
	ready("T");
	to_member();
	/* Alone, or ahead of what is the same in all of them, it may. */
	begin_block();
	query("SET client_encoding = 'LATIN1'; SET a.b = 1");
	to_server();
	server('S', "client_encoding\0LATIN1", 23);
	ready("T");
	ck_assert_ptr_nonnull(strstr(to_server(), "SET a.b = 1"));
	ready("T");
	ck_assert_str_eq(to_member(), "ZT");
	query("ROLLBACK");
	to_server();
	ready("T");
	to_member();
	query("SET client_encoding = 'LATIN1'");
	to_server();
	server('S', "client_encoding\0LATIN1", 23);
	ready("T");
	commits(COMMIT);
	ready("T");
	ck_assert_str_eq(to_member(), "ZI");
}
END_TEST

START_TEST(behind_an_error_an_exchange_is_skipped)
{
	begin_block();
	parse("", "SELECT nonsense");
	error("42703");
	ck_assert_int_eq(execute(), UNIT_DROP);
	ck_assert_int_eq(member('H', NULL, 0), UNIT_DROP);
	ck_assert_int_eq(member('S', NULL, 0), UNIT_PASS);
	ready("E");
	ck_assert_str_eq(to_member(), "ZE");
}
END_TEST

START_TEST(a_set_local_ends_with_the_unit)
{
	begin_block();
	ck_assert_int_eq(query("SET LOCAL work_mem = '1MB'"), UNIT_DROP);
	ck_assert_ptr_nonnull(strstr(to_server(), "current_setting( E'work_mem', true)"));
	ready("T");
	ck_assert_str_eq(to_server(), "QSET LOCAL work_mem = '1MB'");
	ready("T");
	query("COMMIT");
	looked('0', NULL);
	ck_assert_ptr_nonnull(strstr(to_server(), "set_config( E'work_mem', pg_catalog.substr("));
	ready("T");
	ck_assert_uint_eq(u.locals.list.count, 0);
	/* A name is only a name. */
	to_member();
	begin_block();
	query("SELECT set_config('a.b;SELECT x', '1', true)");
	ck_assert_ptr_nonnull(strstr(to_server(), "current_setting( E'a.b;SELECT x', true), '')"));
	ready("T");
	to_server();
	ready("T");
	query("ROLLBACK");
	to_server();
	ready("T");
	to_member();
	/* A plain SET has nothing to be restored. */
	query("SET work_mem = '1MB'");
	ck_assert_str_eq(to_server(), "QSET work_mem = '1MB'");
}
END_TEST

/* The caller knows the session's parameters, or `known` is NULL. */
static bool
tell_parameters(void *arg, struct buf *sql)
{
	const char *const *known = arg;

	if (*known)
		buf_add_fmt(sql, "%s", *known);
	return *known != NULL;
}

#define RESET_ALL "PRESET ROLE; PSET SESSION AUTHORIZATION DEFAULT; PRESET ALL; "

/* The end of a unit resets all parameters and sets those of the session, if these are known. */
START_TEST(parameters_at_the_end_of_a_unit)
{
	const char *known = "SELECT set_config('a.b', 'c', false)";

	u.ask_parameters = tell_parameters;
	u.ask_arg = &known;
	begin_query("SELECT f()");
	ready("T");
	commits("PCLOSE ALL; " RESET_ALL
		"PSELECT set_config('a.b', 'c', false), NULL, NULL, NULL, NULL; " NEXT);
	/* The row is read by nobody. */
	row((const char *const[]){"c", "1", "2", "3", "4"}, 5);
	completed(0);
	ck_assert(!u.committed);
	ready("T");
	ck_assert(u.committed && !u.lingers);
	/* It has none, and the unit has been undone: nothing is asked. */
	known = "";
	u.committed = false;
	begin_query("SELECT f()");
	ready("T");
	commits("PCLOSE ALL; " RESET_ALL NEXT);
	completed(0);
	ready("T");
	ck_assert(u.committed && !u.lingers);
	u.committed = false;
	begin_query("SELECT f()");
	error("22012");
	ready("E");
	ck_assert_str_eq(to_server(), UNDO);
	completed(0);
	ready("T");
	ck_assert(!u.committed);
	/* It is not known which it has. */
	known = NULL;
	begin_query("DO 'x'");
	ready("T");
	commits(COMMIT);
	completed(0);
	ready("T");
	ck_assert(u.committed && u.lingers);
	to_member();
}
END_TEST

START_TEST(too_many_local_ones)
{
	struct buf sql;

	begin_block();
	buf_init(&sql, 1024 * 1024);
	buf_add_fmt(&sql, "SELECT 1");
	for (int i = 0; i < 400; i++)
		buf_add_fmt(&sql, ", set_config('a.b%d', '1', true)", i);
	buf_add_u8(&sql, 0);
	query((const char *)buf_data(&sql));
	ck_assert_str_eq(to_server(), "PROLLBACK TO SAVEPOINT u_none; S");
	error("3B001");
	ready("E");
	ck_assert_str_eq(to_member(), "E54000; ZE");
	query("ROLLBACK");
	to_server();
	ready("T");
	to_member();
	/* One by one. */
	begin_block();
	for (int i = 0; i <= 500; i++) {
		buf_reset(&sql);
		buf_add_fmt(&sql, "SET LOCAL a.b%d = 1", i);
		buf_add_u8(&sql, 0);
		query((const char *)buf_data(&sql));
		if (i == 500)
			break;
		buf_reset(&u.out);
		ready("T");
		buf_reset(&u.out);
		ready("T");
		to_member();
	}
	ck_assert_str_eq(to_server(), "PROLLBACK TO SAVEPOINT u_none; S");
	error("3B001");
	ready("E");
	ck_assert_str_eq(to_member(), "E54000; ZE");
	buf_clear(&sql);
}
END_TEST

struct setting {
	char names[256];
};

static void
note_setting(void *arg, const char *name, bool local)
{
	struct setting *s = arg;

	snprintf(s->names + strlen(s->names), sizeof s->names - strlen(s->names), "%s%s ",
		 name ? name : "ALL", local ? "+" : "-");
}

START_TEST(which_parameters_are_set)
{
	static const struct {
		const char *text, *names;
	} cases[] = {
	    {"SET LOCAL a.b = 1", "a.b+ "},
	    {"SET x TO 1", "x- "},
	    {"RESET x", "x- "},
	    {"RESET ALL", "ALL- "},
	    {"SET LOCAL ROLE x", "role+ "},
	    {"SET TRANSACTION READ ONLY", ""},
	    {"SELECT set_config('a', $1, true)", "a+ "},
	    {"SELECT pg_catalog.set_config('a.b', f(1, true), false), set_config('c', 'd', TRUE)",
	     "a.b- c+ "},
	    {"SELECT set_config($1, $2, true)", ""},
	    {"SELECT set_config('it''s', 'x', 1 = 2)", "it's- "},
	    {"SELECT 'set_config(''a'', ''b'', true)'", ""},
	    {"SELECT 1", ""},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct setting s = {""};
		struct sqltext_stmt stmt;
		struct sqltext at;

		sqltext_init(&at, cases[i].text, strlen(cases[i].text), 0);
		ck_assert(sqltext_next(&at, &stmt));
		unitset_each(&stmt, 0, note_setting, &s);
		ck_assert_msg(strcmp(s.names, cases[i].names) == 0, "%s: %s", cases[i].text,
			      s.names);
	}
}
END_TEST

START_TEST(modes_of_a_begin)
{
	query("BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY");
	ck_assert_str_eq(to_server(),
			 "PSAVEPOINT u_modes; PSET TRANSACTION  ISOLATION LEVEL SERIALIZABLE, READ "
			 "ONLY; PRELEASE SAVEPOINT u_modes; PSET TRANSACTION READ ONLY; S");
	error("25001");
	ready("E");
	ck_assert_str_eq(to_server(), "PROLLBACK TO SAVEPOINT u_modes; PRELEASE SAVEPOINT u_modes; "
				      "PSET TRANSACTION READ ONLY; S");
	ready("T");
	ck_assert_str_eq(to_member(), "N0A000; CBEGIN; ZT");
}
END_TEST

START_TEST(a_copy_in)
{
	begin_query("COPY t FROM STDIN");
	ck_assert_int_eq(member('d', NULL, 0), UNIT_PASS);
	ck_assert_int_eq(server('G', NULL, 0), UNIT_PASS);
	ck_assert_int_eq(member('d', NULL, 0), UNIT_PASS);
	ck_assert_int_eq(member('c', NULL, 0), UNIT_PASS);
	ck_assert_int_eq(query("SELECT 1"), UNIT_HOLD);
	error("22P02");
	ready("E");
	ck_assert_str_eq(to_server(), UNDO);
	ready("T");
	/* What comes behind a COPY that has failed is for nobody. */
	ck_assert_int_eq(member('d', NULL, 0), UNIT_DROP);
}
END_TEST

/* libpq's PQexecParams() sends the Sync ahead of the data. */
static void
begin_copy_exchange(void)
{
	parse("", "COPY t FROM STDIN");
	ck_assert_int_eq(execute(), UNIT_PASS);
	ck_assert_int_eq(member('S', NULL, 0), UNIT_PASS);
	ck_assert_int_eq(member('d', NULL, 0), UNIT_HOLD);
	parsed();
	ck_assert_int_eq(server('G', NULL, 0), UNIT_PASS);
	ck_assert_int_eq(member('d', NULL, 0), UNIT_PASS);
}

START_TEST(a_copy_in_an_exchange)
{
	begin_block();
	begin_copy_exchange();
	ck_assert_int_eq(member('c', NULL, 0), UNIT_PASS);
	ck_assert_int_eq(member('S', NULL, 0), UNIT_PASS);
	ck_assert_int_eq(server('C', NULL, 0), UNIT_PASS);
	ready("T");
	ck_assert_str_eq(to_member(), "ZT");
	ck_assert_str_eq(to_server(), "");
	/* It fails, and has read the Sync, or has not. Which of them is told by what we send. */
	for (int i = 0; i < 2; i++) {
		begin_copy_exchange();
		ck_assert_int_eq(member('c', NULL, 0), UNIT_PASS);
		ck_assert_int_eq(member('S', NULL, 0), UNIT_PASS);
		error("22P02");
		ready("E");
		ck_assert_str_eq(to_server(), "S");
		if (i)
			ready("E");
		ck_assert_str_eq(to_member(), "");
		ck_assert_int_eq(query("SELECT 1"), UNIT_HOLD);
		server('3', NULL, 0);
		ready("E");
		ck_assert_str_eq(to_member(), "ZE");
		query("ROLLBACK");
		ck_assert_str_eq(to_server(), "S"); /* closes what is unnamed */
		ready("E");
		ck_assert_str_eq(to_server(), UNDO);
		ready("T");
		to_member();
		begin_block();
	}
	/* It fails before the member has sent the data, and the Sync behind them. */
	begin_copy_exchange();
	error("P0001");
	ready("E");
	ck_assert_str_eq(to_member(), "ZE");
	ck_assert_int_eq(member('c', NULL, 0), UNIT_DROP);
	ck_assert_int_eq(member('S', NULL, 0), UNIT_DROP);
	ck_assert_str_eq(to_member(), "ZE");
	ck_assert_str_eq(to_server(), "");
}
END_TEST

/* All of it is sent at once: then the Sync stands behind the data, and is not swallowed. */
START_TEST(a_copy_in_an_exchange_at_once)
{
	begin_block();
	parse("", "COPY t FROM STDIN");
	ck_assert_int_eq(execute(), UNIT_PASS);
	ck_assert_int_eq(member('d', NULL, 0), UNIT_PASS);
	ck_assert_int_eq(member('c', NULL, 0), UNIT_PASS);
	ck_assert_int_eq(member('S', NULL, 0), UNIT_PASS);
	parsed();
	ck_assert_int_eq(server('G', NULL, 0), UNIT_PASS);
	ck_assert_int_eq(member('d', NULL, 0), UNIT_HOLD);
	server('C', NULL, 0);
	ready("T");
	ck_assert_str_eq(to_member(), "ZT");
	ck_assert_str_eq(to_server(), "");
}
END_TEST

/* PostgreSQL would close its connection. */
START_TEST(what_has_no_place_in_a_copy)
{
	static const char types[] = "PBEDCQF";

	begin_block();
	parse("", "COPY t FROM STDIN");
	ck_assert_int_eq(execute(), UNIT_PASS);
	for (const char *at = types; *at; at++)
		ck_assert_int_eq(member(*at, "\0\0\0\0", 4), UNIT_HOLD);
	/* It might be a COPY TO, whose answers wait for a Flush. */
	ck_assert_str_eq(to_server(), "H");
	parsed();
	server('G', NULL, 0);
	for (const char *at = types; *at; at++)
		ck_assert_int_eq(member(*at, "\0\0\0\0", 4), UNIT_END);
}
END_TEST

/* In the COPY of a Query, a Sync is swallowed, or answered if the COPY had failed before. */
START_TEST(a_sync_in_a_copy)
{
	begin_block();
	begin_query("COPY t FROM STDIN");
	ck_assert_int_eq(member('S', NULL, 0), UNIT_HOLD);
	server('G', NULL, 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(member('S', NULL, 0), UNIT_PASS);
	ck_assert_int_eq(member('c', NULL, 0), UNIT_PASS);
	ck_assert_int_eq(member('S', NULL, 0), UNIT_HOLD);
	error("22P02");
	ready("E");
	ck_assert_str_eq(to_server(), "S"); /* behind a Close */
	ready("E");
	ready("E");
	ck_assert_str_eq(to_member(), "");
	server('3', NULL, 0);
	ready("E");
	ck_assert_str_eq(to_member(), "ZE; ZE; ZE");
}
END_TEST

START_TEST(a_copy_in_an_exchange_is_left)
{
	begin_block();
	begin_copy_exchange();
	unit_abandon(&u);
	ck_assert_str_eq(to_server(), "f; S");
	error("57014");
	ready("E");
	ck_assert_str_eq(to_server(), UNDO);
	ready("E");
	server('3', NULL, 0);
	ready("T");
	ck_assert(unit_is_idle(&u));
	/* Before it has begun. */
	begin_block();
	parse("", "COPY t FROM STDIN");
	execute();
	member('S', NULL, 0);
	unit_abandon(&u);
	ck_assert_str_eq(to_server(), "");
	parsed();
	server('G', NULL, 0);
	ck_assert_str_eq(to_server(), "f; S");
	error("57014");
	ready("E");
	ck_assert_str_eq(to_server(), UNDO);
	server('3', NULL, 0);
	ready("T");
	ck_assert(unit_is_idle(&u));
	ck_assert_ptr_null(u.broken);
	to_member();
}
END_TEST

START_TEST(the_member_is_gone)
{
	begin_block();
	unit_abandon(&u);
	ck_assert_str_eq(to_server(), UNDO);
	ready("T");
	ck_assert(unit_is_idle(&u));
	begin_query("COPY t FROM STDIN");
	server('G', NULL, 0);
	unit_abandon(&u);
	ck_assert_str_eq(to_server(), "f");
	error("57014");
	ready("E");
	ck_assert_str_eq(to_server(), UNDO);
	ready("T");
	ck_assert(unit_is_idle(&u));
	begin_block();
	parse("", "SELECT 1");
	unit_abandon(&u);
	ck_assert_str_eq(to_server(), "S");
	ready("T");
	ck_assert_str_eq(to_server(), UNDO);
	ready("T");
	ck_assert(unit_is_idle(&u));
	/* In the middle of a sequence of ours. */
	begin_query("SELECT 1");
	ready("T");
	commits(COMMIT);
	unit_abandon(&u);
	ck_assert_str_eq(to_server(), "");
	error("57014");
	ready("E");
	ck_assert_str_eq(to_server(), UNDO);
	ready("T");
	ck_assert(unit_is_idle(&u));
	to_member();
}
END_TEST

START_TEST(a_late_cancel_of_the_undoing)
{
	begin_query("SELECT 1/0");
	error("22012");
	ready("E");
	ck_assert_str_eq(to_server(), UNDO);
	error("57014");
	ready("E");
	ck_assert_str_eq(to_server(), UNDO_AGAIN);
	ready("T");
	ck_assert_str_eq(to_member(), "ZI");
	ck_assert_ptr_null(u.broken);
}
END_TEST

START_TEST(the_transaction_is_gone)
{
	begin_query("CALL p()");
	ready("I");
	ck_assert_ptr_nonnull(u.broken);
}
END_TEST

START_TEST(discard_all)
{
	query("DISCARD ALL");
	ck_assert_str_eq(to_server(),
			 "PRESET ROLE; PSET SESSION AUTHORIZATION DEFAULT; PRESET ALL; "
			 "PDEALLOCATE ALL; "
			 "PDISCARD PLANS; PDISCARD SEQUENCES; S");
	ready("T");
	commits(COMMIT);
	ready("T");
	ck_assert_str_eq(to_member(), "CDISCARD ALL; ZI");
	/* In a block it is PostgreSQL's error. */
	begin_block();
	query("DISCARD ALL");
	ck_assert_str_eq(to_server(), "QDISCARD ALL");
}
END_TEST

/* Statements that the server is not needed for are no calls in each other, and what they tell the
 * member ends the text before the buffer is full. */
START_TEST(a_text_of_many_commits)
{
	size_t count = 1000 * 1000;
	char *text = mem_calloc(count + 1, 7);

	for (size_t i = 0; i < count; i++)
		memcpy(text + 7 * i, "COMMIT;", 7);
	ck_assert_int_eq(query(text), UNIT_DROP);
	ck_assert(!u.reply.failed && !u.out.failed);
	ck_assert_ptr_null(u.broken);
	ck_assert(unit_is_idle(&u));
	ck_assert_ptr_nonnull(memmem(buf_data(&u.reply), u.reply.len, "C54000", 7));
	ck_assert_uint_eq(u.reply.len > 6 ? *(buf_data(&u.reply) + u.reply.len - 1) : 0, 'I');
	buf_reset(&u.reply);
	/* In a block, that fails. */
	text[5 * 7] = 0;
	begin_block();
	for (size_t i = 0; i < count; i++)
		memcpy(text + 7 * i, "BEGIN; ", 7);
	query(text);
	ck_assert_str_eq(to_server(), "PROLLBACK TO SAVEPOINT u_none; S");
	error("3B001");
	ready("E");
	ck_assert(!u.reply.failed);
	ck_assert_uint_eq(*(buf_data(&u.reply) + u.reply.len - 1), 'E');
	buf_reset(&u.reply);
	free(text);
}
END_TEST

/* Far behind, positions are corrected, and fewer blanks are sent. */
START_TEST(a_long_text_of_parts)
{
	size_t before = 20000;
	char *text = mem_calloc(1, before + 100);
	const char *at;
	struct buf b;

	begin_block();
	memset(text, ' ', before);
	memcpy(text, "SAVEPOINT a;", 12);
	strcpy(text + before, "SAVEPOINT b; SAVEPOINT c; SELECT nosuch");
	query(text);
	buf_reset(&u.out);
	ready("T");
	buf_reset(&u.out);
	ready("T");
	ck_assert_uint_lt(u.out.len, 17000);
	buf_init(&b, 1024);
	msg_begin(&b, 'E');
	buf_add(&b, "SERROR\0C42703\0P16401\0R\0", 24);
	buf_reset(&u.reply);
	ck_assert_int_eq(server('E', buf_data(&b) + FRAME_HEADER, b.len - FRAME_HEADER), UNIT_DROP);
	at = msg_report_field(buf_data(&u.reply) + FRAME_HEADER, u.reply.len - FRAME_HEADER, 'P');
	ck_assert_ptr_nonnull(at);
	ck_assert_uint_eq(strtoul(at, NULL, 10), 16401 + u.text_moves);
	ck_assert_uint_gt(u.text_moves, 0);
	buf_clear(&b);
	free(text);
}
END_TEST

/* Once a member may have set timeouts, they are set in units only. */
START_TEST(timeouts_between_units)
{
	const char *sent;

	query("SET Statement_Timeout = 1");
	ck_assert_ptr_nonnull(
	    strstr(to_server(), "current_setting('u.statement_timeout'), false)"));
	ready("T");
	to_server();
	ready("T");
	sent = to_server();
	ck_assert_ptr_nonnull(strstr(sent, "set_config('statement_timeout', '0', false)"));
	ready("T");
	ck_assert_ptr_nonnull(strstr(to_server(), NEXT));
	ready("T");
	ck_assert_str_eq(to_member(), "ZI");
	ck_assert_int_eq(query("SELECT 1"), UNIT_HOLD);
	ck_assert_ptr_nonnull(
	    strstr(to_server(), "current_setting('u.statement_timeout'), false)"));
	/* A cancel hits that: it is done once more. */
	error("57014");
	ready("E");
	ck_assert_str_eq(to_server(), UNDO);
	ready("T");
	ck_assert_ptr_nonnull(
	    strstr(to_server(), "current_setting('u.statement_timeout'), false)"));
	ready("T");
	ck_assert_int_eq(query("SELECT 1"), UNIT_PASS);
	ready("T");
	to_server();
	ready("T");
	to_server();
	ready("T");
	/* A pool that gives its server to another session needs none of it, and what it sets is put
	 * aside at once. */
	query("RESET statement_timeout; RESET ALL");
	ck_assert_ptr_null(strstr(to_server(), "statement_timeout"));
	ready("T");
	to_server();
	ready("T");
	ck_assert_ptr_nonnull(strstr(to_server(), " RESET ALL"));
	ready("T");
	to_server();
	ready("T");
	to_server();
	ready("T");
	to_member();
	u.parameters = "SELECT pg_catalog.set_config('statement_timeout','1',false)";
	prepare("", u.parameters);
	to_server();
	ready("T");
	prepare("", u.parameters);
	sent = to_server();
	ck_assert_ptr_nonnull(strstr(sent, "'1',false), CASE WHEN"));
	u.parameters = NULL;
	member('S', NULL, 0);
	ready("T");
	ck_assert_ptr_null(strstr(to_server(), "statement_timeout"));
}
END_TEST

/* Each unit makes a guard; when there are many, they are released. */
START_TEST(guards)
{
	unsigned deepest = 1;

	for (int i = 0; i < 40; i++) {
		begin_query("SELECT 1");
		ready("T");
		looked('0', NULL);
		if (u.depth == 16) {
			ck_assert_ptr_nonnull(strstr(to_server(), "; PRELEASE SAVEPOINT u_g; "
								  "PSAVEPOINT u_g; PSAVEPOINT u; "
								  "S"));
		} else {
			ck_assert_str_eq(to_server(), COMMIT);
		}
		completed(0);
		ready("T");
		deepest = u.depth > deepest ? u.depth : deepest;
	}
	ck_assert_uint_eq(deepest, 16);
	ck_assert_uint_eq(u.depth, 40 % 16 + 1);
	/* Not while cancels come. */
	for (int i = 0; i < 40; i++) {
		begin_query("SELECT 1");
		error("57014");
		ready("E");
		ck_assert_str_eq(to_server(), UNDO);
		ready("T");
		begin_query("SELECT 1");
		ready("T");
		commits(COMMIT);
		completed(0);
		ready("T");
	}
	ck_assert_uint_eq(u.depth, 40 % 16 + 1 + 40);
}
END_TEST

/* What fails behind the guard undoes nothing of the unit, which has been committed; what fails
 * ahead of it undoes all of the unit. */
START_TEST(a_cancel_at_the_end_of_a_unit)
{
	for (unsigned missing = 1; missing <= 4; missing++) {
		unsigned depth = u.depth;

		begin_query("INSERT INTO t VALUES (1)");
		ck_assert_int_eq(server('C', "INSERT 0 1", 11), UNIT_DROP);
		ready("T");
		commits(COMMIT);
		completed(missing);
		error("57014");
		ready("E");
		ck_assert_str_eq(to_server(), UNDO);
		ready("T");
		ck_assert_str_eq(to_member(), missing == 1 ? "CINSERT 0 1; ZI" : "E57014; ZI");
		ck_assert_uint_eq(u.depth, missing == 1 ? depth + 1 : depth);
		ck_assert(unit_is_idle(&u));
	}
}
END_TEST

/* Constraints that are deferred: in each of the ways that LOOK can find. */
START_TEST(deferred_constraints)
{
	static const char *const written[] = {"12", NULL};

	begin_query("INSERT INTO t VALUES (1)");
	ready("T");
	looked('2', "s.a, s.b");
	ck_assert_ptr_eq(strstr(to_server(), "PSET CONSTRAINTS ALL IMMEDIATE; "
					     "PSET CONSTRAINTS s.a, s.b DEFERRED; PCLOSE ALL"),
			 seen);
	row(written, 2);
	completed(0);
	ready("T");
	/* What it has counted then is what the next one asks about. */
	begin_query("SELECT 1");
	ready("T");
	ck_assert_ptr_nonnull(strstr(to_server(), "FROM w), '12') THEN 1 ELSE 2"));
	row((const char *const[]){"1", NULL, "off", NULL}, 4);
	completed(0);
	ready("T");
	ck_assert_str_eq(to_server(), COMMIT);
	completed(0);
	ready("T");
	begin_query("INSERT INTO t VALUES (1)");
	ready("T");
	ck_assert_ptr_nonnull(strstr(to_server(), "FROM w), '12') THEN 1 ELSE 2"));
	row((const char *const[]){"2", NULL, "off", NULL}, 4);
	completed(0);
	ready("T");
	ck_assert_ptr_nonnull(strstr(to_server(), "FROM k; S"));
	row((const char *const[]){"2", NULL, "off", NULL}, 4);
	completed(0);
	ready("T");
	ck_assert_ptr_nonnull(strstr(to_server(), "PSET CONSTRAINTS ALL IMMEDIATE"));
	row(written, 2);
	completed(0);
	ready("T");
	/* Not if the member has said SET CONSTRAINTS itself. */
	begin_query("SET CONSTRAINTS ALL DEFERRED");
	ready("T");
	looked('3', NULL);
	ck_assert_ptr_nonnull(strstr(to_server(), "PROLLBACK TO SAVEPOINT u_check"));
	/* The guard has been made, but not counted what was written: that is not known then. */
	completed(2);
	error("57014");
	ready("E");
	ck_assert_str_eq(to_server(), UNDO);
	ready("T");
	begin_query("SELECT 1");
	ready("T");
	there_are_some();
	to_member();
}
END_TEST

/* The tag of the last statement comes when the unit has been committed, those before it at once. */
START_TEST(the_last_tag)
{
	begin_query("INSERT INTO t VALUES (1); DELETE FROM t");
	ck_assert_int_eq(server('C', "INSERT 0 1", 11), UNIT_DROP);
	ck_assert_int_eq(server('C', "DELETE 1", 9), UNIT_DROP);
	ck_assert_str_eq(to_member(), "CINSERT 0 1");
	ready("T");
	commits(COMMIT);
	ck_assert_str_eq(to_member(), "");
	completed(0);
	ready("T");
	ck_assert_str_eq(to_member(), "CDELETE 1; ZI");
}
END_TEST

START_TEST(it_is_handed_over)
{
	struct unit next;
	struct pack p;
	struct buf b;

	begin_block();
	query("SET LOCAL x.y = 1");
	ck_assert(!unit_can_move(&u));
	to_server();
	ready("T");
	to_server();
	ready("T");
	to_member();
	parse_commit("");
	parsed();
	parse_commit("x");
	ck_assert(unit_can_move(&u));
	buf_init(&b, 65536);
	pack_writer(&p, &b);
	unit_pack(&p, &u);
	unit_init(&next, 0);
	pack_reader(&p, buf_data(&b), b.len);
	unit_pack(&p, &next);
	ck_assert(!p.failed && p.left == 0);
	buf_clear(&b);
	ck_assert(next.block && next.open && next.exchange);
	ck_assert_str_eq(next.name, u.name);
	ck_assert_uint_eq(next.names.order.count, 2);
	ck_assert_uint_eq(next.sent.order.count, 2);
	ck_assert_uint_eq(next.locals.list.count, 1);
	unit_clear(&next);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("unit");
	SRunner *r = srunner_create(s);
	TCase *t = tcase_create("unit");
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_statement_is_a_unit);
	tcase_add_test(t, guards);
	tcase_add_test(t, deferred_constraints);
	tcase_add_test(t, parameters_at_the_end_of_a_unit);
	tcase_add_test(t, a_cancel_at_the_end_of_a_unit);
	tcase_add_test(t, the_last_tag);
	tcase_add_test(t, an_error_undoes_it_alone);
	tcase_add_test(t, a_block_is_a_unit);
	tcase_add_test(t, a_failed_block);
	tcase_add_test(t, a_commit_that_is_refused);
	tcase_add_test(t, and_chain);
	tcase_add_test(t, what_there_is_no_block_for);
	tcase_add_test(t, what_would_end_the_scope);
	tcase_add_test(t, a_text_of_parts);
	tcase_add_test(t, an_exchange_is_a_unit);
	tcase_add_test(t, control_in_an_exchange);
	tcase_add_test(t, a_query_ends_what_is_unnamed);
	tcase_add_test(t, behind_an_error_an_exchange_is_skipped);
	tcase_add_test(t, a_set_local_ends_with_the_unit);
	tcase_add_test(t, which_parameters_are_set);
	tcase_add_test(t, modes_of_a_begin);
	tcase_add_test(t, a_copy_in);
	tcase_add_test(t, the_member_is_gone);
	tcase_add_test(t, a_late_cancel_of_the_undoing);
	tcase_add_test(t, the_transaction_is_gone);
	tcase_add_test(t, discard_all);
	tcase_add_test(t, a_copy_in_an_exchange);
	tcase_add_test(t, a_copy_in_an_exchange_at_once);
	tcase_add_test(t, what_has_no_place_in_a_copy);
	tcase_add_test(t, a_sync_in_a_copy);
	tcase_add_test(t, a_copy_in_an_exchange_is_left);
	tcase_add_test(t, too_many_local_ones);
	tcase_add_test(t, a_long_refusal);
	tcase_add_test(t, temporary_tables_that_stay);
	tcase_add_test(t, a_long_text_of_parts);
	tcase_add_test(t, timeouts_between_units);
	tcase_add_test(t, a_text_of_many_commits);
	tcase_add_test(t, a_parse_that_is_skipped);
	tcase_add_test(t, what_is_not_prepared);
	tcase_add_test(t, a_text_that_changes_how_it_is_read);
	tcase_add_test(t, it_is_handed_over);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
