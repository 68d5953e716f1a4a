#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "wire/frame.h"

START_TEST(headers_are_read)
{
	static const struct {
		const char *bytes;
		int result;
		uint32_t body;
	} cases[] = {
	    {"Q\0\0\0\4", 0, 0},
	    {"Q\0\0\0\5", 0, 1},
	    {"d\1\2\3\4", 0, 0x01020300},
	    {"d\x40\0\0\3", 0, FRAME_LARGEST},
	    {"d\x40\0\0\4", -E_RANGE, FRAME_LARGEST + 1},
	    {"\xff\xff\xff\xff\xff", -E_RANGE, 0xfffffffb},
	    {"Q\x80\0\0\4", -E_RANGE, 0x80000000},
	    {"Q\0\0\0\3", -E_RANGE, 0xffffffff},
	    {"Q\0\0\0\0", -E_RANGE, 0xfffffffc},
	};

	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct frame f = {0};

		ck_assert_int_eq(frame_read((const uint8_t *)cases[i].bytes, 5, &f),
				 cases[i].result);
		ck_assert_int_eq(f.type, cases[i].bytes[0]);
		ck_assert_uint_eq(f.body, cases[i].body);
	}
}
END_TEST

START_TEST(a_part_of_a_header_is_not_read)
{
	for (size_t n = 0; n < FRAME_HEADER; n++) {
		uint8_t *part = malloc(n ? n : 1);
		struct frame f;

		memset(part, 0xff, n);
		ck_assert_int_eq(frame_read(part, n, &f), -E_AGAIN);
		free(part);
	}
}
END_TEST

START_TEST(numbers_are_in_network_order)
{
	static const uint8_t bytes[] = {0xfe, 0xdc, 0xba, 0x98};

	ck_assert_uint_eq(frame_u32(bytes), 0xfedcba98);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("frame");
	TCase *t = tcase_create("frame");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, headers_are_read);
	tcase_add_test(t, a_part_of_a_header_is_not_read);
	tcase_add_test(t, numbers_are_in_network_order);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
