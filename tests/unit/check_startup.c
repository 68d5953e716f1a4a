#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "wire/msg.h"
#include "wire/startup.h"

/* Length, code and a body; returns bytes. */
static size_t
packet(uint8_t *to, uint32_t length, uint32_t code, const char *body, size_t bytes)
{
	uint8_t head[8] = {length >> 24, length >> 16, length >> 8, length,
			   code >> 24,   code >> 16,   code >> 8,   code};

	memcpy(to, head, 8);
	memcpy(to + 8, body, bytes);
	return 8 + bytes;
}

START_TEST(parameters_are_found)
{
	static const char *const pairs[] = {"user",    "app",    "database", "",
					    "options", "-c a=b", NULL};
	const char *at, *name, *value;
	struct startup s;
	struct buf b;

	buf_init(&b, 1000);
	msg_startup(&b, pairs);
	ck_assert_int_eq(startup_read(buf_data(&b), b.len, &s), 0);
	ck_assert_int_eq(s.kind, STARTUP_PROTOCOL);
	ck_assert_uint_eq(s.length, b.len);
	ck_assert_uint_eq(s.major, 3);
	ck_assert_uint_eq(s.minor, 0);
	ck_assert_str_eq(startup_get(&s, "user"), "app");
	ck_assert_str_eq(startup_get(&s, "database"), "");
	ck_assert_str_eq(startup_get(&s, "options"), "-c a=b");
	ck_assert_ptr_null(startup_get(&s, "app"));
	ck_assert_ptr_null(startup_get(&s, ""));
	at = s.params;
	for (unsigned i = 0; pairs[i]; i += 2) {
		ck_assert_int_eq(startup_next(&at, &name, &value), 1);
		ck_assert_str_eq(name, pairs[i]);
		ck_assert_str_eq(value, pairs[i + 1]);
	}
	ck_assert_int_eq(startup_next(&at, &name, &value), 0);
	ck_assert_int_eq(startup_next(&at, &name, &value), 0);
	buf_clear(&b);
}
END_TEST

START_TEST(every_prefix_asks_for_more)
{
	static const char *const pairs[] = {"user", "app", "database", "orders", NULL};
	struct startup s;
	struct buf b;

	buf_init(&b, 1000);
	for (int cancel = 0; cancel <= 1; cancel++) {
		buf_reset(&b);
		if (cancel)
			msg_cancel_request(&b, 7, 0xcafe);
		else
			msg_startup(&b, pairs);
		for (size_t n = 0; n < b.len; n++) {
			/* of just that size, so that ASan and valgrind see a step past it */
			uint8_t *part = malloc(n ? n : 1);

			memcpy(part, buf_data(&b), n);
			ck_assert_int_eq(startup_read(part, n, &s), -E_AGAIN);
			free(part);
		}
		/* What comes behind it is another matter. */
		size_t whole = b.len;
		buf_add_str(&b, "more");
		ck_assert_int_eq(startup_read(buf_data(&b), b.len, &s), 0);
		ck_assert_uint_eq(s.length, whole);
	}
	ck_assert_int_eq(s.kind, STARTUP_CANCEL);
	ck_assert_uint_eq(s.pid, 7);
	ck_assert_uint_eq(s.secret_bytes, 4);
	ck_assert_mem_eq(s.secret, "\0\0\xca\xfe", 4);
	buf_clear(&b);
}
END_TEST

START_TEST(packets_cut_short_by_their_length_are_refused)
{
	static const char body[] = "user\0app\0database\0orders\0";
	uint8_t p[100];
	struct startup s;

	for (uint32_t n = 0; n < sizeof body; n++) {
		size_t bytes = packet(p, 8 + n, 3 << 16, body, n);

		ck_assert_int_eq(startup_read(p, bytes, &s), -E_SYNTAX);
	}
	packet(p, 8 + sizeof body, 3 << 16, body, sizeof body);
	ck_assert_int_eq(startup_read(p, 8 + sizeof body, &s), 0);
}
END_TEST

START_TEST(hostile_packets_are_refused)
{
	static const struct {
		uint32_t length, code;
		const char *body;
		size_t bytes;
		int result;
	} cases[] = {
	    {0, 3 << 16, "", 0, -E_RANGE},
	    {4, 3 << 16, "", 0, -E_RANGE},
	    {7, 3 << 16, "", 0, -E_RANGE},
	    {STARTUP_LARGEST + 1, 3 << 16, "", 0, -E_RANGE},
	    {0x7fffffff, 3 << 16, "", 0, -E_RANGE},
	    {0x80000000, 3 << 16, "", 0, -E_RANGE},
	    {0xffffffff, 3 << 16, "", 0, -E_RANGE},
	    {STARTUP_LARGEST, 3 << 16, "", 0, -E_AGAIN},
	    {8, 3 << 16, "", 0, -E_SYNTAX},       /* no end */
	    {9, 3 << 16, "\0", 1, 0},             /* no parameters */
	    {10, 3 << 16, "\0\0", 2, -E_SYNTAX},  /* an end too many */
	    {11, 3 << 16, "a\0\0", 3, -E_SYNTAX}, /* an empty value, but no end */
	    {12, 3 << 16, "a\0\0\0", 4, 0},
	    {11, 3 << 16, "aaa", 3, -E_SYNTAX},
	    {13, 3 << 16, "a\0b\0x", 5, -E_SYNTAX},
	    {14, 3 << 16, "\0a\0b\0\0", 6, -E_SYNTAX}, /* an empty name that is not the end */
	    {8, 2 << 16, "", 0, 0},                    /* another version: the caller's matter */
	    {8, 1234 << 16 | 5679, "", 0, 0},
	    {9, 1234 << 16 | 5679, "\0", 1, 0},
	    {8, 1234 << 16 | 5680, "", 0, 0},
	    {12, 1234 << 16 | 5680, "abcd", 4, 0},
	    {15, 1234 << 16 | 5678, "pid.sec", 7, -E_RANGE},
	    {8, 1234 << 16 | 5678, "", 0, -E_RANGE},
	    {269, 1234 << 16 | 5678, "", 0, -E_AGAIN},
	    {8, 1234 << 16 | 5681, "", 0, 0}, /* version 1234.5681 */
	};
	struct startup s;

	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		uint8_t *p = malloc(8 + cases[i].bytes);
		size_t bytes =
		    packet(p, cases[i].length, cases[i].code, cases[i].body, cases[i].bytes);

		ck_assert_msg(startup_read(p, bytes, &s) == cases[i].result, "case %u", i);
		ck_assert_uint_eq(s.length, cases[i].length);
		free(p);
	}
}
END_TEST

START_TEST(a_key_has_four_to_256_bytes)
{
	uint8_t p[300] = {0};
	struct startup s;

	for (uint32_t key = 0; key < 270; key++) {
		packet(p, 12 + key, 1234 << 16 | 5678, "\0\0\0\x2a", 4);
		ck_assert_int_eq(startup_read(p, sizeof p, &s),
				 key >= 4 && key <= 256 ? 0 : -E_RANGE);
		if (key < 4 || key > 256)
			continue;
		ck_assert_uint_eq(s.pid, 42);
		ck_assert_uint_eq(s.secret_bytes, key);
		ck_assert_ptr_eq(s.secret, p + 12);
	}
}
END_TEST

START_TEST(other_versions_have_no_parameters)
{
	struct startup s;
	uint8_t p[8];

	packet(p, 8, 2 << 16 | 7, "", 0);
	ck_assert_int_eq(startup_read(p, 8, &s), 0);
	ck_assert_int_eq(s.kind, STARTUP_PROTOCOL);
	ck_assert_uint_eq(s.major, 2);
	ck_assert_uint_eq(s.minor, 7);
	ck_assert_ptr_null(s.params);
	ck_assert_ptr_null(startup_get(&s, "user"));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("startup");
	TCase *t = tcase_create("startup");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, parameters_are_found);
	tcase_add_test(t, every_prefix_asks_for_more);
	tcase_add_test(t, packets_cut_short_by_their_length_are_refused);
	tcase_add_test(t, hostile_packets_are_refused);
	tcase_add_test(t, a_key_has_four_to_256_bytes);
	tcase_add_test(t, other_versions_have_no_parameters);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
