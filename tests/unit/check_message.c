/* message: what is found in a message of a client, of every type, whole, cut off at every byte, and
 * malformed. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "session/message.h"
#include "wire/reader.h"

/* A message in memory that ends where the bytes end that are here. */
struct given {
	struct message m;
	uint8_t *memory;
};

static void
give(struct given *g, char type, const char *body, size_t have, size_t bytes)
{
	g->memory = malloc(have ? have : 1);
	if (g->memory == NULL)
		abort();
	memcpy(g->memory, body, have);
	g->m = (struct message){.type = type, .body = g->memory, .have = have, .bytes = bytes};
	message_decode(&g->m);
}

static void
done(struct given *g)
{
	free(g->memory);
}

static void
same(const char *what, const char *found, const char *expected, char type, size_t have)
{
	ck_assert_msg((found == NULL) == (expected == NULL), "%c, %zu bytes: %s is %s", type, have,
		      what, found ? "found" : "missing");
	if (found)
		ck_assert_str_eq(found, expected);
}

/* A text of SQL has no NUL at its end where the message is cut off. */
static void
same_text(const struct message *m, const char *expected, size_t bytes)
{
	ck_assert_msg((m->sql == NULL) == (expected == NULL), "%c, %zu bytes", m->type, m->have);
	if (m->sql == NULL)
		return;
	ck_assert_uint_eq(m->sql_bytes, bytes);
	ck_assert_int_eq(memcmp(m->sql, expected, bytes), 0);
}

/* How much of a field that begins there and has so many bytes is here. */
static size_t
here(size_t have, size_t from, size_t bytes)
{
	return have < from ? 0 : have - from < bytes ? have - from : bytes;
}

/* ---- one type after the other ---- */

#define M(type, body, kind, portal, statement)                       \
	{                                                            \
		type, body, sizeof body - 1, kind, portal, statement \
	}

/* Those that have names, and when they are here. */
static const struct {
	char type;
	const char *body;
	size_t bytes;
	char kind;
	const char *portal, *statement;
} named[] = {
    M('P', "\0SELECT $1\0\0\1\0\0\0\27", 0, NULL, ""),
    M('P', "name\0SELECT 1\0\0\0", 0, NULL, "name"),
    M('P', "\0\0\0\0", 0, NULL, ""),
    M('B', "\0\0\0\0\0\0\0\0", 0, "", ""),
    M('B', "portal\0\0\0\0\0\0\0\0", 0, "portal", ""),
    M('B', "\0name\0\0\0\0\0\0\0", 0, "", "name"),
    M('B', "p\0s\0\0\1\0\1\0\2\0\0\0\2ab\377\377\377\377\0\1\0\0", 0, "p", "s"),
    M('D', "S\0", 'S', NULL, ""),
    M('D', "Sname\0", 'S', NULL, "name"),
    M('D', "P\0", 'P', "", NULL),
    M('D', "Pportal\0", 'P', "portal", NULL),
    M('C', "S\0", 'S', NULL, ""),
    M('C', "Sname\0", 'S', NULL, "name"),
    M('C', "P\0", 'P', "", NULL),
    M('C', "Pportal\0", 'P', "portal", NULL),
    M('E', "\0\0\0\0\0", 0, "", NULL),
    M('E', "portal\0\0\0\0\1", 0, "portal", NULL),
};

/* The bytes of a message with which its names are all here. */
static size_t
names_end(size_t i)
{
	size_t bytes = named[i].kind ? 1 : 0;

	if (named[i].portal)
		bytes += strlen(named[i].portal) + 1;
	if (named[i].statement)
		bytes += strlen(named[i].statement) + 1;
	return bytes;
}

START_TEST(names_are_found_when_all_of_them_are_here)
{
	for (size_t i = 0; i < sizeof named / sizeof *named; i++)
		for (size_t have = 0; have <= named[i].bytes; have++)
			for (int cut = 0; cut < 2; cut++) {
				bool is = have >= names_end(i);
				struct given g;

				/* cut off as it is still to come, or by its own length */
				give(&g, named[i].type, named[i].body, have,
				     cut ? named[i].bytes : have);
				same("portal", g.m.portal, is ? named[i].portal : NULL, g.m.type,
				     have);
				same("statement", g.m.statement, is ? named[i].statement : NULL,
				     g.m.type, have);
				ck_assert_int_eq(g.m.kind, have > 0 ? named[i].kind : 0);
				ck_assert_int_eq(message_is_unnamed(&g.m),
						 is && named[i].statement &&
						     named[i].statement[0] == 0);
				ck_assert_int_eq(message_is_whole(&g.m),
						 !cut || have == named[i].bytes);
				ck_assert_int_eq(message_is_well_formed(&g.m),
						 have == named[i].bytes);
				ck_assert_uint_eq(g.m.function, 0);
				if (named[i].type != 'P')
					ck_assert_ptr_null(g.m.sql);
				done(&g);
			}
}
END_TEST

START_TEST(the_text_of_a_parse_is_found_as_far_as_it_is_here)
{
	static const char body[] = "name\0SELECT 1; SELECT 2\0\0\1\0\0\0\27";
	static const char text[] = "SELECT 1; SELECT 2";
	const size_t bytes = sizeof body - 1;
	struct given g;

	for (size_t have = 0; have <= bytes; have++) {
		give(&g, 'P', body, have, bytes);
		same_text(&g.m, have >= 5 ? text : NULL, here(have, 5, sizeof text - 1));
		done(&g);
	}
}
END_TEST

START_TEST(the_text_of_a_query_is_found_as_far_as_it_is_here)
{
	static const char body[] = "SELECT 1";
	struct given g;

	for (size_t have = 0; have <= sizeof body; have++) {
		give(&g, 'Q', body, have, sizeof body);
		same_text(&g.m, body, here(have, 0, sizeof body - 1));
		ck_assert_int_eq(message_is_well_formed(&g.m), have == sizeof body);
		done(&g);
		/* without a NUL, it ends with the message */
		give(&g, 'Q', body, have, have);
		same_text(&g.m, body, here(have, 0, sizeof body - 1));
		ck_assert_int_eq(message_is_well_formed(&g.m), have == sizeof body);
		ck_assert(g.m.portal == NULL && g.m.statement == NULL && g.m.kind == 0);
		done(&g);
	}
}
END_TEST

START_TEST(a_call_has_its_function_when_that_is_here)
{
	static const char body[] = "\0\0\6\46\0\0\0\0\0\0";
	struct given g;

	for (size_t have = 0; have < sizeof body; have++) {
		give(&g, 'F', body, have, sizeof body - 1);
		ck_assert_uint_eq(g.m.function, have >= 4 ? 1574 : 0);
		ck_assert(g.m.portal == NULL && g.m.statement == NULL && g.m.sql == NULL);
		done(&g);
	}
}
END_TEST

START_TEST(in_others_nothing_is_found)
{
	static const char types[] = "SHXdcf";
	static const char body[] = "S\0x\0SELECT 1\0";
	struct given g;

	for (const char *type = types; *type; type++)
		for (size_t have = 0; have < sizeof body; have++) {
			give(&g, *type, body, have, sizeof body - 1);
			ck_assert(g.m.portal == NULL && g.m.statement == NULL && g.m.sql == NULL);
			ck_assert(g.m.kind == 0 && g.m.function == 0);
			done(&g);
		}
}
END_TEST

/* ---- what is not as it should be ---- */

START_TEST(bytes_behind_are_malformed_and_change_no_name)
{
	for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
		char longer[64];
		struct given g;

		memcpy(longer, named[i].body, named[i].bytes);
		memcpy(longer + named[i].bytes, "x", 2);
		for (size_t more = 1; more <= 2; more++) {
			give(&g, named[i].type, longer, named[i].bytes + more,
			     named[i].bytes + more);
			ck_assert(!message_is_well_formed(&g.m));
			same("portal", g.m.portal, named[i].portal, g.m.type, more);
			same("statement", g.m.statement, named[i].statement, g.m.type, more);
			done(&g);
		}
	}
}
END_TEST

START_TEST(a_query_ends_at_its_first_nul)
{
	struct given g;

	give(&g, 'Q', "SELECT 1\0x", 10, 10);
	same_text(&g.m, "SELECT 1", 8);
	ck_assert(!message_is_well_formed(&g.m));
	done(&g);
	/* The whole of it is here, and more is to come that is none of it. */
	give(&g, 'Q', "SELECT 1\0x", 9, 10);
	same_text(&g.m, "SELECT 1", 8);
	ck_assert(!message_is_well_formed(&g.m));
	done(&g);
}
END_TEST

START_TEST(what_is_neither_statement_nor_portal_is_malformed)
{
	struct given g;

	for (int i = 0; i < 2; i++) {
		give(&g, i ? 'C' : 'D', "Xname\0", 6, 6);
		ck_assert_int_eq(g.m.kind, 'X');
		ck_assert_ptr_null(g.m.statement);
		ck_assert(!message_is_well_formed(&g.m));
		done(&g);
	}
}
END_TEST

/* ---- long ones ---- */

START_TEST(a_long_name_is_found_whole)
{
	enum { LONG = 70000 };
	static char body[2 * LONG + 8];
	struct given g;

	memset(body, 'n', LONG);
	memset(body + LONG + 1, 's', LONG);
	/* A Parse whose name is not over yet has neither name nor text. */
	give(&g, 'P', body, LONG, 2 * LONG + 8);
	ck_assert(g.m.statement == NULL && g.m.sql == NULL);
	ck_assert(!message_is_unnamed(&g.m));
	done(&g);
	give(&g, 'P', body, 2 * LONG + 8, 2 * LONG + 8);
	ck_assert_uint_eq(strlen(g.m.statement), LONG);
	ck_assert_uint_eq(g.m.sql_bytes, LONG);
	done(&g);
	/* A Bind of which the statement's name is cut off has no portal either. */
	give(&g, 'B', body, 2 * LONG, 2 * LONG + 8);
	ck_assert(g.m.portal == NULL && g.m.statement == NULL);
	done(&g);
	give(&g, 'B', body, 2 * LONG + 8, 2 * LONG + 8);
	ck_assert_uint_eq(strlen(g.m.portal), LONG);
	ck_assert_uint_eq(strlen(g.m.statement), LONG);
	ck_assert_int_eq(*g.m.statement, 's');
	done(&g);
}
END_TEST

/* ---- what stands behind ---- */

START_TEST(what_stands_behind_the_names_can_be_read)
{
	struct reader r;
	struct given g;

	give(&g, 'P', "n\0SELECT $1\0\0\1\0\0\0\27", 18, 18);
	message_read_rest(&g.m, &r);
	ck_assert_uint_eq(reader_u16(&r), 1);
	ck_assert_uint_eq(reader_u32(&r), 23);
	ck_assert(reader_done(&r));
	done(&g);
	give(&g, 'B', "p\0s\0\0\1\0\1\0\0\0\0", 12, 12);
	message_read_rest(&g.m, &r);
	ck_assert_uint_eq(reader_u16(&r), 1);
	ck_assert_uint_eq(reader_u16(&r), 1);
	ck_assert_uint_eq(reader_u16(&r), 0);
	ck_assert_uint_eq(reader_u16(&r), 0);
	ck_assert(reader_done(&r));
	done(&g);
}
END_TEST

static bool
has_no_null(const char *body, size_t have, size_t bytes)
{
	struct given g;
	bool none;

	give(&g, 'B', body, have, bytes);
	none = message_has_no_null(&g.m);
	done(&g);
	return none;
}

START_TEST(a_null_among_the_values_is_found)
{
	static const char none[] = "p\0s\0\0\0\0\0\0\0";
	static const char empty[] = "p\0s\0\0\1\0\1\0\1\0\0\0\0\0\0";
	static const char null[] = "p\0s\0\0\1\0\1\0\1\xff\xff\xff\xff\0\0";
	static const char second[] = "\0s\0\0\0\0\2\0\0\0\2ab\xff\xff\xff\xff\0\0";

	ck_assert(has_no_null(none, sizeof none - 1, sizeof none - 1));
	ck_assert(has_no_null(empty, sizeof empty - 1, sizeof empty - 1));
	ck_assert(!has_no_null(null, sizeof null - 1, sizeof null - 1));
	ck_assert(!has_no_null(second, sizeof second - 1, sizeof second - 1));
	/* Not all of it is here; it is malformed. */
	ck_assert(!has_no_null(empty, sizeof empty - 3, sizeof empty - 1));
	ck_assert(!has_no_null(empty, sizeof empty - 3, sizeof empty - 3));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("message");
	TCase *t = tcase_create("message");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, names_are_found_when_all_of_them_are_here);
	tcase_add_test(t, the_text_of_a_parse_is_found_as_far_as_it_is_here);
	tcase_add_test(t, the_text_of_a_query_is_found_as_far_as_it_is_here);
	tcase_add_test(t, a_call_has_its_function_when_that_is_here);
	tcase_add_test(t, in_others_nothing_is_found);
	tcase_add_test(t, bytes_behind_are_malformed_and_change_no_name);
	tcase_add_test(t, a_query_ends_at_its_first_nul);
	tcase_add_test(t, what_is_neither_statement_nor_portal_is_malformed);
	tcase_add_test(t, a_long_name_is_found_whole);
	tcase_add_test(t, what_stands_behind_the_names_can_be_read);
	tcase_add_test(t, a_null_among_the_values_is_found);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
