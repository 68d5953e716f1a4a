#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"

static char *
cleaned(const char *text, size_t bytes)
{
	static char out[256];
	struct buf b;

	buf_init(&b, sizeof out - 1);
	buf_add_clean(&b, text, bytes);
	ck_assert(!b.failed);
	memcpy(out, b.len ? (char *)buf_data(&b) : "", b.len);
	out[b.len] = 0;
	buf_clear(&b);
	return out;
}

START_TEST(good_text_stays_as_it_is)
{
	static const char *const texts[] = {"",
					    "a b",
					    "\xc3\xa9",
					    "\xe6\xbc\xa2\xe5\xad\x97",
					    "\xf0\x9f\x90\x98!",
					    "\\x41",
					    "\xf4\x8f\xbf\xbf"};

	for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++)
		ck_assert_str_eq(cleaned(texts[i], strlen(texts[i])), texts[i]);
}
END_TEST

START_TEST(what_is_no_character_is_written_as_bytes)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
	    {"a\xff"
	     "b",
	     "a\\xffb"},
	    {"\xc3", "\\xc3"},                            /* cut short */
	    {"\xc3(", "\\xc3("},                          /* no continuation */
	    {"\xc0\x80", "\\xc0\\x80"},                   /* overlong */
	    {"\xe0\x80\xaf", "\\xe0\\x80\\xaf"},          /* overlong */
	    {"\xed\xa0\x80", "\\xed\\xa0\\x80"},          /* a surrogate */
	    {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"}, /* over U+10FFFF */
	    {"\x80", "\\x80"},
	};

	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
		ck_assert_str_eq(cleaned(cases[i].text, strlen(cases[i].text)), cases[i].want);
}
END_TEST

START_TEST(no_character_is_cut_in_two)
{
	ck_assert_uint_eq(utf8_fit("abc", 3, 3), 3);
	ck_assert_uint_eq(utf8_fit("abc", 3, 2), 2);
	ck_assert_uint_eq(utf8_fit("abc", 3, 0), 0);
	ck_assert_uint_eq(utf8_fit("a\xc3\xa9", 3, 2), 1);
	ck_assert_uint_eq(utf8_fit("a\xc3\xa9z", 4, 3), 3);
	for (size_t max = 1; max < 5; max++)
		ck_assert_uint_eq(utf8_fit("a\xf0\x9f\x90\x98", 5, max), 1);
	ck_assert_uint_eq(utf8_fit("\xf0\x9f\x90\x98", 4, 3), 0);
	/* no UTF-8 at all */
	ck_assert_uint_eq(utf8_fit("\x80\x80\x80\x80\x80\x80", 6, 5), 2);
}
END_TEST

START_TEST(controls_cannot_steer_a_terminal)
{
	ck_assert_str_eq(cleaned("\033[2J\n\x7f", 6), "\\x1b[2J\\x0a\\x7f");
	ck_assert_str_eq(cleaned("a\0b", 3), "a\\x00b");
	ck_assert_str_eq(cleaned("\xc2\x9b", 2), "\\xc2\\x9b"); /* C1: CSI */
	ck_assert_str_eq(cleaned("\xe2\x80\xae", 3),
			 "\\xe2\\x80\\xae"); /* right-to-left override */
}
END_TEST

/* Every string of up to three bytes out of the interesting ones gives text that is clean. */
START_TEST(what_was_cleaned_is_clean)
{
	static const uint8_t bytes[] = {0x00, 0x1b, 'a',  '\\', 0x7f, 0x80, 0xbf, 0xc2,
					0xc3, 0xe0, 0xe2, 0xed, 0xf0, 0xf4, 0xf5, 0xff};

	for (unsigned n = 0; n < 16 * 16 * 16; n++) {
		char in[3] = {(char)bytes[n % 16], (char)bytes[n / 16 % 16], (char)bytes[n / 256]};
		char once[64];

		strcpy(once, cleaned(in, 3));
		ck_assert_str_eq(cleaned(once, strlen(once)), once);
		for (size_t at = 0; once[at];) {
			uint32_t c;
			unsigned length = utf8_read(once + at, strlen(once + at), &c);

			ck_assert_uint_gt(length, 0);
			ck_assert_uint_ge(c, 0x20);
			at += length;
		}
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("utf8");
	TCase *t = tcase_create("utf8");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, good_text_stays_as_it_is);
	tcase_add_test(t, what_is_no_character_is_written_as_bytes);
	tcase_add_test(t, no_character_is_cut_in_two);
	tcase_add_test(t, controls_cannot_steer_a_terminal);
	tcase_add_test(t, what_was_cleaned_is_clean);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
