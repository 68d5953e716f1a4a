#include <check.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/fnv.h"
#include "base/hash.h"
#include "base/mem.h"

struct thing {
	int number;
	struct hash_node node;
};

static struct thing *
find(const struct hash *h, uint64_t hash, int number)
{
	struct hash_node *n = hash_first(h, hash);

	for (; n; n = hash_next(n)) {
		ck_assert(n->hash == hash);
		if (HASH_OBJ(n, struct thing, node)->number == number)
			return HASH_OBJ(n, struct thing, node);
	}
	return NULL;
}

START_TEST(an_empty_one_has_nothing)
{
	struct hash h;

	hash_init(&h);
	ck_assert_ptr_null(hash_first(&h, 0));
	ck_assert_ptr_null(hash_any(&h));
	hash_clear(&h);
	hash_clear(&h);
}
END_TEST

/* `spread`: how many different hashes there are. */
static void
in_and_out(int count_in, uint64_t spread, uint64_t factor)
{
	struct thing *things = mem_calloc((size_t)count_in, sizeof *things);
	struct hash h;
	size_t count = 0;

	hash_init(&h);
	for (int i = 0; i < count_in; i++) {
		things[i].number = i;
		hash_add(&h, &things[i].node, (uint64_t)i % spread * factor);
		ck_assert_uint_eq(h.count, (size_t)i + 1);
	}
	for (int i = 0; i < count_in; i += 7)
		ck_assert_ptr_eq(find(&h, (uint64_t)i % spread * factor, i), &things[i]);
	ck_assert_ptr_null(find(&h, 0, count_in));
	for (int i = 0; i < count_in; i += 2)
		hash_remove(&h, &things[i].node);
	for (int i = 0; i < count_in; i += 7)
		ck_assert_ptr_eq(find(&h, (uint64_t)i % spread * factor, i),
				 i % 2 ? &things[i] : NULL);
	/* What was taken out can go in again. */
	hash_add(&h, &things[0].node, 12345);
	ck_assert_ptr_eq(find(&h, 12345, 0), &things[0]);
	for (struct hash_node *n; (n = hash_any(&h)) != NULL; count++)
		hash_remove(&h, n);
	ck_assert_uint_eq(count, (size_t)count_in / 2 + 1);
	ck_assert_uint_eq(h.count, 0);
	hash_clear(&h);
	free(things);
}

START_TEST(nodes_come_and_go)
{
	in_and_out(5000, 5000, 1);
	in_and_out(5000, 5000, UINT64_C(0x9e3779b97f4a7c15));
	in_and_out(400, 400, 4096);
	in_and_out(5000, 5000, UINT64_C(1) << 40);
}
END_TEST

START_TEST(equal_hashes_are_told_apart_by_the_caller)
{
	in_and_out(400, 1, 1);
	in_and_out(400, 3, UINT64_C(1) << 63);
}
END_TEST

START_TEST(bytes)
{
	/* Values of FNV-1a, from draft-eastlake-fnv. */
	ck_assert(fnv_bytes(FNV_SEED, "", 0) == UINT64_C(0xcbf29ce484222325));
	ck_assert(fnv_bytes(FNV_SEED, "a", 1) == UINT64_C(0xaf63dc4c8601ec8c));
	ck_assert(fnv_bytes(FNV_SEED, "foobar", 6) == UINT64_C(0x85944171f73967e8));
	ck_assert(fnv_bytes(fnv_bytes(FNV_SEED, "foo", 3), "bar", 3) ==
		  fnv_bytes(FNV_SEED, "foobar", 6));
	ck_assert(fnv_bytes(FNV_SEED, "\0", 1) != fnv_bytes(FNV_SEED, "", 0));
}
END_TEST

/* Texts that differ in one bit, wherever, or in how many zeros they end with, spread well. */
START_TEST(a_hash_of_words)
{
	static uint16_t places[4096];
	char text[200] = {0};
	unsigned most = 0, n = 0;

	for (size_t length = 1; length <= sizeof text; length++)
		for (size_t bit = 0; bit <= 8 * length; bit += 5, n++) {
			uint64_t hash;

			if (bit < 8 * length)
				text[bit / 8] ^= (char)(1 << bit % 8);
			hash = fnv_words(FNV_SEED, text, length);
			ck_assert(hash != fnv_words(hash, text, length));
			if (++places[hash & 4095] > most)
				most = places[hash & 4095];
			if (bit < 8 * length)
				text[bit / 8] ^= (char)(1 << bit % 8);
		}
	ck_assert_uint_gt(n, 7 * 4096);
	ck_assert_uint_lt(most, 4 * 8);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("hash");
	TCase *t = tcase_create("hash");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, an_empty_one_has_nothing);
	tcase_add_test(t, nodes_come_and_go);
	tcase_add_test(t, equal_hashes_are_told_apart_by_the_caller);
	tcase_add_test(t, bytes);
	tcase_add_test(t, a_hash_of_words);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
