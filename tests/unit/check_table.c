#include <check.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "cli/table.h"

/* What table_print() writes, in memory that the next call frees. */
static const char *
printed(const struct table *t, enum table_format format, bool header)
{
	static char *text;
	size_t size;
	FILE *f;

	free(text);
	text = NULL;
	f = open_memstream(&text, &size);
	ck_assert_ptr_nonnull(f);
	table_print(t, &(struct table_look){.format = format, .header = header}, f);
	fclose(f);
	return text;
}

static struct table *
sample(void)
{
	struct table *t = table_new();

	table_column(t, "name", TABLE_TEXT);
	table_column(t, "count", TABLE_NUMBER);
	table_column(t, "good", TABLE_BOOL);
	table_column(t, "note", TABLE_TEXT);
	table_row(t, (const char *const[]){"a", "7", "t", "x"});
	table_row(t, (const char *const[]){"longer", "1234567", "f", NULL});
	table_row(t, (const char *const[]){"", NULL, NULL, "say \"hi\", \\ you"});
	return t;
}

START_TEST(aligned)
{
	struct table *t = sample();

	ck_assert_str_eq(printed(t, TABLE_ALIGNED, true),
			 "name      count  good  note\n"
			 "a             7  t     x\n"
			 "longer  1234567  f     \n"
			 "                       say \"hi\", \\ you\n");
	ck_assert_str_eq(printed(t, TABLE_ALIGNED, false),
			 "a             7  t  x\n"
			 "longer  1234567  f  \n"
			 "                    say \"hi\", \\ you\n");
	table_free(t);
}
END_TEST

START_TEST(json)
{
	struct table *t = sample(), *none = table_new();

	ck_assert_str_eq(
	    printed(t, TABLE_JSON, true),
	    "[\n"
	    " {\"name\": \"a\", \"count\": 7, \"good\": true, \"note\": \"x\"},\n"
	    " {\"name\": \"longer\", \"count\": 1234567, \"good\": false, \"note\": null},\n"
	    " {\"name\": \"\", \"count\": null, \"good\": null, \"note\": \"say \\\"hi\\\", \\\\ "
	    "you\"}\n"
	    "]\n");
	table_column(none, "a", TABLE_TEXT);
	ck_assert_str_eq(printed(none, TABLE_JSON, true), "[]\n");
	table_free(none);
	table_free(t);
}
END_TEST

/* A numeric column may hold what is no number in JSON. */
START_TEST(json_numbers)
{
	static const struct {
		const char *text;
		bool number;
	} cases[] = {
	    {"0", true},    {"-0", true},   {"12", true},   {"-1.5", true}, {"1e5", true},
	    {"1E+5", true}, {"0.25", true}, {"", false},    {"-", false},   {"01", false},
	    {".5", false},  {"1.", false},  {"1e", false},  {"NaN", false}, {"Infinity", false},
	    {"1 ", false},  {"0x1", false}, {"1e+", false}, {"+1", false},
	};

	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct table *t = table_new();
		char want[64];
		const char *q = cases[i].number ? "" : "\"";

		table_column(t, "n", TABLE_NUMBER);
		table_row(t, (const char *const[]){cases[i].text});
		snprintf(want, sizeof want, "[\n {\"n\": %s%s%s}\n]\n", q, cases[i].text, q);
		ck_assert_str_eq(printed(t, TABLE_JSON, true), want);
		table_free(t);
	}
}
END_TEST

START_TEST(csv)
{
	struct table *t = sample();

	ck_assert_str_eq(printed(t, TABLE_CSV, true), "name,count,good,note\n"
						      "a,7,t,x\n"
						      "longer,1234567,f,\n"
						      "\"\",,,\"say \"\"hi\"\", \\ you\"\n");
	ck_assert_ptr_nonnull(strstr(printed(t, TABLE_CSV, false), "a,7,t,x\n"));
	ck_assert_ptr_null(strstr(printed(t, TABLE_CSV, false), "name"));
	table_free(t);
}
END_TEST

/* Two columns for a wide character, none for a combining one. */
START_TEST(widths_are_those_of_a_terminal)
{
	struct table *t = table_new();

	table_column(t, "x", TABLE_TEXT);
	table_column(t, "y", TABLE_TEXT);
	table_row(t, (const char *const[]){"\xe6\xbc\xa2\xe5\xad\x97", "1"}); /* two wide ones */
	table_row(t, (const char *const[]){"e\xcc\x81", "2"});                /* e and an acute */
	table_row(t, (const char *const[]){"\xc3\xa4\xc3\xb6", "3"});
	ck_assert_str_eq(printed(t, TABLE_ALIGNED, true), "x     y\n"
							  "\xe6\xbc\xa2\xe5\xad\x97  1\n"
							  "e\xcc\x81     2\n"
							  "\xc3\xa4\xc3\xb6    3\n");
	table_free(t);
}
END_TEST

START_TEST(strangers_text_is_harmless)
{
	struct table *t = table_new();

	table_column(t, "x", TABLE_TEXT);
	table_row(t, (const char *const[]){"\033[31m\xff\n"});
	ck_assert_str_eq(printed(t, TABLE_ALIGNED, false), "\\x1b[31m\\xff\\x0a\n");
	ck_assert_str_eq(printed(t, TABLE_JSON, false),
			 "[\n {\"x\": \"\\\\x1b[31m\\\\xff\\\\x0a\"}\n]\n");
	table_free(t);
}
END_TEST

START_TEST(columns_can_be_chosen)
{
	struct table *t = sample();
	const char *missing;
	size_t length = 0;

	ck_assert_ptr_null(table_show(t, "count,name", &length));
	ck_assert_str_eq(printed(t, TABLE_CSV, true), "count,name\n7,a\n1234567,longer\n,\"\"\n");
	missing = table_show(t, "note,nam,name,", &length);
	ck_assert_ptr_nonnull(missing);
	ck_assert_uint_eq(length, 3);
	ck_assert_int_eq(strncmp(missing, "nam", 3), 0);
	ck_assert_str_eq(table_cell(t, 1, "count"), "1234567");
	ck_assert_ptr_null(table_cell(t, 1, "note"));
	ck_assert_ptr_null(table_cell(t, 9, "name"));
	ck_assert_ptr_null(table_cell(t, 0, "nothing"));
	table_free(t);
}
END_TEST

/* As printed() of an aligned table, for a terminal. */
static const char *
on_terminal(const struct table *t, unsigned width, bool colour)
{
	static char *text;
	size_t size;
	FILE *f;

	free(text);
	text = NULL;
	f = open_memstream(&text, &size);
	ck_assert_ptr_nonnull(f);
	table_print(t,
		    &(struct table_look){
			.format = TABLE_ALIGNED, .header = true, .width = width, .colour = colour},
		    f);
	fclose(f);
	return text;
}

/* Of a line: an ellipsis has three bytes. */
static size_t
utf8_columns(const char *line)
{
	size_t n = 0;

	for (; *line; line++)
		n += ((unsigned char)*line & 0xc0) != 0x80;
	return n;
}

/* The widest text gives way first, numbers never do; then columns at the right go. */
START_TEST(fits_the_terminal)
{
	struct table *t = table_new();

	table_column(t, "name", TABLE_TEXT);
	table_column(t, "count", TABLE_NUMBER);
	table_column(t, "last_error", TABLE_TEXT);
	table_row(t, (const char *const[]){"abcdefghij", "7", "the server is not there at all"});
	table_row(t, (const char *const[]){"b", "1234567",
					   "\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2\xe5\xad\x97"
					   "\xe6\xbc\xa2\xe5\xad\x97"});
	ck_assert_str_eq(on_terminal(t, 51, false),
			 "name          count  last_error\n"
			 "abcdefghij        7  the server is not there at all\n"
			 "b           1234567  \xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2\xe5\xad\x97"
			 "\xe6\xbc\xa2\xe5\xad\x97\n");
	ck_assert_str_eq(on_terminal(t, 32, false),
			 "name          count  last_error\n"
			 "abcdefghij        7  the server\xe2\x80\xa6\n"
			 "b           1234567  \xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2\xe5\xad\x97"
			 "\xe6\xbc\xa2\xe2\x80\xa6\n");
	ck_assert_str_eq(on_terminal(t, 27, false),
			 "name        count  last_er\xe2\x80\xa6\n"
			 "abcdefg\xe2\x80\xa6        7  the ser\xe2\x80\xa6\n"
			 "b         1234567  \xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2\xe2\x80\xa6\n");
	ck_assert_str_eq(on_terminal(t, 20, false),
			 "name        count\n"
			 "abcdefg\xe2\x80\xa6        7\n"
			 "b         1234567\n"
			 "(1 more columns do not fit: -o NAMES, --all)\n");
	/* One column is always there. */
	ck_assert_ptr_nonnull(strstr(on_terminal(t, 3, false), "(2 more columns"));
	table_free(t);
}
END_TEST

/* Whatever the width, the column that is kept is there, and no line is longer, as long as two
 * columns fit at all. */
START_TEST(a_column_can_be_kept)
{
	static const char *const errors[] = {"", "no",
					     "the server is not there at all, and never was"};

	for (unsigned place = 0; place < 4; place++)
		for (unsigned width = 20; width < 90; width++) {
			struct table *t = table_new();
			const char *cells[4] = {"a name that is long", "1234567", "17", "text"};

			for (unsigned i = 0; i < 4; i++)
				table_column(t, i == place ? "trouble" : "other",
					     i == 1 || i == 2 ? TABLE_NUMBER : TABLE_TEXT);
			for (unsigned row = 0; row < 3; row++) {
				cells[place] = errors[row];
				table_row(t, cells);
			}
			table_keep(t, "trouble");
			if (place == 1 || place == 2) {
				table_free(t); /* numbers are not cut */
				continue;
			}
			const char *text = on_terminal(t, width, false);

			ck_assert_ptr_nonnull(strstr(text, "trouble"));
			ck_assert_ptr_nonnull(strstr(text, "the ser"));
			for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
				char copy[400];

				snprintf(copy, sizeof copy, "%.*s", (int)strcspn(line, "\n"), line);
				if (*copy != '(')
					ck_assert_msg(utf8_columns(copy) <= width, "%u: %s", width,
						      copy);
			}
			table_free(t);
		}
}
END_TEST

START_TEST(colours)
{
	static const struct {
		const char *column, *cell;
		enum table_mood mood;
	} cases[] = {
	    {"state", "waiting", TABLE_WAITING}, {"state", "active", TABLE_GOOD},
	    {"state", "idle", TABLE_PLAIN},      {"state", "expired", TABLE_BAD},
	    {"state", "", TABLE_PLAIN},          {"state", NULL, TABLE_PLAIN},
	    {"state", "act", TABLE_PLAIN},       {"name", "waiting", TABLE_PLAIN},
	    {"cl_waiting", "0", TABLE_PLAIN},    {"cl_waiting", "10", TABLE_WAITING},
	    {"maxwait", "0.0", TABLE_PLAIN},     {"trouble", "no route", TABLE_BAD},
	    {"last_error", NULL, TABLE_PLAIN},   {"level", "problem", TABLE_BAD},
	};
	struct table *t = table_new();

	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
		ck_assert_msg(table_mood(cases[i].column, cases[i].cell) == cases[i].mood, "%s %s",
			      cases[i].column, cases[i].cell);
	table_column(t, "state", TABLE_TEXT);
	table_column(t, "n", TABLE_NUMBER);
	table_row(t, (const char *const[]){"waiting", "12"});
	/* Escapes take no room. */
	ck_assert_str_eq(on_terminal(t, 80, true), "\033[1mstate\033[0m     \033[1mn\033[0m\n"
						   "\033[33mwaiting\033[0m  12\n");
	table_free(t);
}
END_TEST

START_TEST(marked_with_a_column_in_front)
{
	struct table *t = sample(), *m;
	size_t length;

	ck_assert_ptr_null(table_show(t, "count", &length));
	m = table_marked(t, "time", "now");
	ck_assert_str_eq(printed(m, TABLE_CSV, true), "time,count\nnow,7\nnow,1234567\nnow,\n");
	table_free(m);
	table_free(t);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("table");
	TCase *t = tcase_create("table");
	SRunner *r = srunner_create(s);
	int failed;

	setlocale(LC_CTYPE, "C.UTF-8");
	tcase_add_test(t, aligned);
	tcase_add_test(t, json);
	tcase_add_test(t, json_numbers);
	tcase_add_test(t, csv);
	tcase_add_test(t, widths_are_those_of_a_terminal);
	tcase_add_test(t, strangers_text_is_harmless);
	tcase_add_test(t, columns_can_be_chosen);
	tcase_add_test(t, fits_the_terminal);
	tcase_add_test(t, a_column_can_be_kept);
	tcase_add_test(t, colours);
	tcase_add_test(t, marked_with_a_column_in_front);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
