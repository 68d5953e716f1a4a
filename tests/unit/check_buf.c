#include <check.h>
#include <stdlib.h>
#include <string.h>

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

/* Every way to add, with how many bytes one call adds, and how much room it needs for that. */
static void
add_bytes(struct buf *b)
{
	buf_add(b, "abc", 3);
}

static void
add_u8(struct buf *b)
{
	buf_add_u8(b, 'x');
}

static void
add_u16(struct buf *b)
{
	buf_add_u16(b, 0x7878);
}

static void
add_u32(struct buf *b)
{
	buf_add_u32(b, 0x78787878);
}

static void
add_u64(struct buf *b)
{
	buf_add_u64(b, 0x7878787878787878);
}

static void
add_str(struct buf *b)
{
	buf_add_str(b, "hi");
}

static void
add_fmt(struct buf *b)
{
	buf_add_fmt(b, "%d", 42);
}

static void
add_clean(struct buf *b)
{
	buf_add_clean(b, "a\nb", 3);
}

static void
add_in_place(struct buf *b)
{
	uint8_t *room = buf_room(b, 5);

	if (room == NULL)
		return;
	memset(room, 'y', 5);
	buf_grew(b, 5);
}

static const struct way {
	void (*add)(struct buf *);
	size_t bytes, room;
	bool whole; /* if it does not fit, none of it is added */
} ways[] = {
    {add_bytes, 3, 3, true}, {add_u8, 1, 1, true},     {add_u16, 2, 2, true},
    {add_u32, 4, 4, true},   {add_u64, 8, 8, false},   {add_str, 3, 3, true},
    {add_fmt, 2, 3, true},   {add_clean, 6, 6, false}, {add_in_place, 5, 5, true},
};
#define NWAYS (sizeof ways / sizeof *ways)

#define MOST 20

/* A buffer with MOST bytes at most, of which `room` are free, and whose front was dropped. */
static void
make_room(struct buf *b, size_t room)
{
	static const char fill[] = "0123456789012345678901234567890123456789";

	buf_init(b, MOST);
	buf_add(b, fill, MOST);
	buf_drop(b, MOST / 2);
	buf_add(b, fill, MOST / 2 - room);
	ck_assert(!b->failed);
	ck_assert_uint_eq(b->len, MOST - room);
}

/* Nothing can be added, in whatever way, and dropping bytes does not change that. */
static void
is_stuck(struct buf *b)
{
	uint8_t held[MOST];
	size_t len = b->len;

	ck_assert(b->failed);
	ck_assert_uint_le(len, MOST);
	memcpy(held, buf_data(b), len);
	for (size_t i = 0; i < NWAYS; i++) {
		ways[i].add(b);
		ck_assert_uint_eq(b->len, len);
		ck_assert_mem_eq(buf_data(b), held, len);
	}
	buf_drop(b, len - 1);
	ways[1].add(b);
	ck_assert_uint_eq(b->len, 1);
	ck_assert_uint_eq(*buf_data(b), held[len - 1]);
	ck_assert(b->failed);
	buf_drop(b, 1);
	ways[1].add(b);
	ck_assert_uint_eq(b->len, 0);
	ck_assert(b->failed);
}

START_TEST(the_maximum_is_hard_and_the_error_sticks)
{
	const struct way *w = &ways[_i];

	for (size_t room = 0; room <= MOST / 2; room++) {
		struct buf b;

		make_room(&b, room);
		w->add(&b);
		if (room >= w->room) {
			ck_assert(!b.failed);
			ck_assert_uint_eq(b.len, MOST - room + w->bytes);
		} else {
			if (w->whole)
				ck_assert_uint_eq(b.len, MOST - room);
			is_stuck(&b);
			/* Only these two end the error. */
			if (room % 2)
				buf_reset(&b);
			else
				buf_clear(&b);
			ck_assert(!b.failed);
			w->add(&b);
			ck_assert(!b.failed);
			ck_assert_uint_eq(b.len, w->bytes);
			ck_assert_uint_eq(b.max, MOST);
		}
		buf_clear(&b);
	}
}
END_TEST

START_TEST(room_that_is_too_large_is_none)
{
	struct buf b;

	buf_init(&b, 10);
	ck_assert_ptr_null(buf_room(&b, 11));
	ck_assert(b.failed);
	ck_assert_ptr_null(buf_room(&b, 1));
	buf_reset(&b);
	ck_assert_ptr_null(buf_room(&b, SIZE_MAX));
	ck_assert(b.failed);
	buf_clear(&b);
	ck_assert_ptr_nonnull(buf_room(&b, 10));
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
	tcase_add_loop_test(t, the_maximum_is_hard_and_the_error_sticks, 0, (int)NWAYS);
	tcase_add_test(t, room_that_is_too_large_is_none);
	tcase_add_test(t, a_drained_front_is_used_again);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
