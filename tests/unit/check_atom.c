#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/atom.h"

START_TEST(equal_texts_are_one)
{
	struct atoms all;
	const char *a, *b, *c;

	atoms_init(&all, 42);
	a = atom_of(&all, "app");
	b = atom_get(&all, "app of others", 3);
	ck_assert_ptr_eq(a, b);
	ck_assert_str_eq(a, "app");
	ck_assert_uint_eq(atom_bytes(a), 3);
	ck_assert_ptr_eq(atom_keep(a), a);
	c = atom_get(&all, "a\0b", 4);
	ck_assert_mem_eq(c, "a\0b\0", 5);
	ck_assert_uint_eq(atom_bytes(c), 4);
	ck_assert_uint_eq(all.all.count, 2);
	atom_drop(&all, a);
	atom_drop(&all, a);
	ck_assert_uint_eq(all.all.count, 2);
	atom_drop(&all, a);
	ck_assert_uint_eq(all.all.count, 1);
	atom_drop(&all, c);
	ck_assert_uint_eq(all.all.count, 0);
	atoms_clear(&all);
}
END_TEST

START_TEST(nothing_is_nothing)
{
	struct atoms all;
	const char *empty;

	atoms_init(&all, 0);
	ck_assert_ptr_null(atom_of(&all, NULL));
	ck_assert_ptr_null(atom_keep(NULL));
	atom_drop(&all, NULL);
	ck_assert_uint_eq(atom_bytes(NULL), 0);
	empty = atom_get(&all, NULL, 0);
	ck_assert_str_eq(empty, "");
	ck_assert_ptr_eq(atom_of(&all, ""), empty);
	/* clears what is still used, too */
	atoms_clear(&all);
}
END_TEST

START_TEST(a_handover)
{
	struct atoms all, next;
	const char *str, *blob, *none = NULL, *new_str = NULL, *new_blob = NULL, *new_none = NULL;
	struct pack p;
	struct buf out;

	atoms_init(&all, 1);
	atoms_init(&next, 2);
	str = atom_of(&all, "web");
	blob = atom_get(&all, "x\0y", 4);
	buf_init(&out, 1024);
	pack_writer(&p, &out);
	atom_pack_str(&p, &all, &str);
	atom_pack_blob(&p, &all, &blob);
	atom_pack_str(&p, &all, &none);
	atom_pack_blob(&p, &all, &none);
	pack_reader(&p, buf_data(&out), out.len);
	atom_pack_str(&p, &next, &new_str);
	atom_pack_blob(&p, &next, &new_blob);
	atom_pack_str(&p, &next, &new_none);
	ck_assert_ptr_null(new_none);
	atom_pack_blob(&p, &next, &new_none);
	ck_assert_ptr_null(new_none);
	ck_assert(!p.failed);
	ck_assert_str_eq(new_str, "web");
	ck_assert_mem_eq(new_blob, "x\0y\0", 5);
	ck_assert_uint_eq(atom_bytes(new_blob), 4);
	buf_clear(&out);
	atoms_clear(&all);
	atoms_clear(&next);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("atom");
	TCase *t = tcase_create("atom");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, equal_texts_are_one);
	tcase_add_test(t, nothing_is_nothing);
	tcase_add_test(t, a_handover);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
