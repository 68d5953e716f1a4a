#include <check.h>
#include <stdlib.h>

#include "base/list.h"

struct item {
	int number;
	struct list_node node, other;
};

static void
check(const struct list *l, const char *numbers)
{
	const struct list_node *n;
	unsigned count = 0;

	LIST_EACH (n, l) {
		ck_assert_int_eq(LIST_OBJ(n, struct item, node)->number, *numbers++ - '0');
		ck_assert_ptr_eq(n->next->prev, n);
		ck_assert_ptr_eq(n->prev->next, n);
		count++;
	}
	ck_assert_int_eq(*numbers, 0);
	ck_assert_uint_eq(l->count, count);
	ck_assert_ptr_eq(list_first(l), count ? l->head.next : NULL);
	ck_assert_ptr_eq(list_last(l), count ? l->head.prev : NULL);
}

START_TEST(nodes_come_and_go)
{
	struct item i[5] = {{.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}};
	struct list l;

	list_init(&l);
	check(&l, "");
	list_append(&l, &i[1].node);
	check(&l, "1");
	list_append(&l, &i[2].node);
	list_prepend(&l, &i[0].node);
	list_append(&l, &i[3].node);
	check(&l, "0123");
	ck_assert(list_linked(&i[2].node));
	list_remove(&l, &i[2].node);
	ck_assert(!list_linked(&i[2].node));
	check(&l, "013");
	list_remove(&l, &i[0].node);
	check(&l, "13");
	list_remove(&l, &i[3].node);
	check(&l, "1");
	list_remove(&l, &i[1].node);
	check(&l, "");
	list_prepend(&l, &i[2].node);
	check(&l, "2");
}
END_TEST

START_TEST(an_object_is_in_two_lists)
{
	struct item a = {.number = 1}, b = {.number = 2};
	struct list l, m;

	list_init(&l);
	list_init(&m);
	list_append(&l, &a.node);
	list_append(&l, &b.node);
	list_append(&m, &b.other);
	list_append(&m, &a.other);
	ck_assert_ptr_eq(LIST_OBJ(list_first(&m), struct item, other), &b);
	ck_assert_ptr_eq(LIST_OBJ(list_last(&m), struct item, other), &a);
	list_remove(&m, &b.other);
	check(&l, "12");
	ck_assert_uint_eq(m.count, 1);
}
END_TEST

START_TEST(a_safe_walk_may_remove)
{
	struct item i[9];
	struct list l, moved;
	struct list_node *n, *after;

	list_init(&l);
	list_init(&moved);
	LIST_EACH_SAFE (n, after, &l)
		ck_abort_msg("walked an empty list");
	for (int k = 0; k < 9; k++) {
		i[k] = (struct item){.number = k};
		list_append(&l, &i[k].node);
	}
	LIST_EACH_SAFE (n, after, &l) {
		if (LIST_OBJ(n, struct item, node)->number % 3 == 0)
			continue;
		list_remove(&l, n);
		list_prepend(&moved, n);
	}
	check(&l, "036");
	check(&moved, "875421");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("list");
	TCase *t = tcase_create("list");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, nodes_come_and_go);
	tcase_add_test(t, an_object_is_in_two_lists);
	tcase_add_test(t, a_safe_walk_may_remove);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
