#include <check.h>
#include <stdlib.h>

#include "base/buf.h"

START_TEST(what_goes_in_comes_out)
{
	struct buf b;

	buf_init(&b, 1000);
	buf_add_u8(&b, 1);
	buf_add_u16(&b, 0x0203);
	buf_add_u32(&b, 0x04050607);
	buf_add_str(&b, "hi");
	ck_assert_uint_eq(b.len, 10);
	ck_assert_mem_eq(buf_data(&b), "\1\2\3\4\5\6\7hi", 10);
	buf_drop(&b, 7);
	ck_assert_str_eq((char *)buf_data(&b), "hi");
	buf_drop(&b, 3);
	ck_assert_ptr_null(b.mem);
	buf_clear(&b);
}
END_TEST

START_TEST(the_maximum_is_hard_and_the_error_sticks)
{
	struct buf b;

	buf_init(&b, 10);
	buf_add(&b, "0123456789", 10);
	ck_assert(!b.failed);
	buf_add_u8(&b, 'x');
	ck_assert(b.failed);
	ck_assert_uint_eq(b.len, 10);
	buf_reset(&b);
	ck_assert(!b.failed);
	ck_assert_ptr_null(buf_room(&b, 11));
	buf_clear(&b);
}
END_TEST

START_TEST(a_drained_front_is_used_again)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	buf_add_fmt(&b, "%0200d", 7);
	for (int i = 0; i < 10000; i++) {
		buf_drop(&b, 100);
		buf_add_fmt(&b, "%0100d", i);
	}
	ck_assert_uint_eq(b.len, 200);
	ck_assert_uint_le(b.size, 512);
	buf_clear(&b);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("buf");
	TCase *t = tcase_create("buf");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, what_goes_in_comes_out);
	tcase_add_test(t, the_maximum_is_hard_and_the_error_sticks);
	tcase_add_test(t, a_drained_front_is_used_again);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
