#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool/pool.h"
#include "scope/stack.h"

static struct pool orders, billing;

static struct scope *
push(struct stack *st, enum scope_kind kind, const char *name, struct pool *pool)
{
	struct scope *f = stack_push(st, kind, name, 1000);

	f->pool = pool;
	f->state = SCOPE_OPEN;
	if (scope_is_transaction(f))
		f->lease = &f->own.lease;
	return f;
}

static struct scope *
savepoint(struct stack *st, const char *name, struct scope *base)
{
	struct scope *f = push(st, SCOPE_SAVEPOINT, name, base->pool);

	f->base = base;
	return f;
}

static void
pop(struct stack *st)
{
	struct scope *f = stack_innermost(st);

	stack_pop(st, f);
	scope_free(f);
}

static void
pop_all(struct stack *st)
{
	while (stack_innermost(st))
		pop(st);
}

START_TEST(an_empty_one_has_nothing)
{
	struct stack st;

	stack_init(&st);
	ck_assert_ptr_null(stack_innermost(&st));
	ck_assert_ptr_null(stack_outermost(&st));
	ck_assert_ptr_null(stack_current(&st));
	ck_assert_ptr_null(stack_find(&st, "a"));
	ck_assert_ptr_null(stack_transaction_on(&st, &orders));
}
END_TEST

START_TEST(the_order_is_that_of_entering)
{
	struct stack st;
	struct scope *a, *l, *b;

	stack_init(&st);
	a = push(&st, SCOPE_TRANSACTION, "a", &orders);
	l = push(&st, SCOPE_LOCK, "l", NULL);
	b = push(&st, SCOPE_TRANSACTION, "b", &billing);
	ck_assert_ptr_eq(stack_innermost(&st), b);
	ck_assert_ptr_eq(stack_outermost(&st), a);
	ck_assert_ptr_eq(stack_find(&st, "l"), l);
	ck_assert_ptr_null(stack_find(&st, "L"));
	ck_assert_ptr_eq(stack_outside(&st, b), l);
	ck_assert_ptr_null(stack_outside(&st, a));
	ck_assert_ptr_eq(stack_inside(&st, a), l);
	ck_assert_ptr_null(stack_inside(&st, b));
	ck_assert(stack_within(&st, b, a));
	ck_assert(stack_within(&st, a, a));
	ck_assert(!stack_within(&st, a, l));
	/* A lock has nothing to roll back. */
	ck_assert_ptr_eq(stack_loser(&st, b), a);
	ck_assert_ptr_null(stack_loser(&st, a));
	ck_assert_uint_ne(a->serial, b->serial);
	/* They end in the other order, and what has ended is found no more. */
	pop(&st);
	ck_assert_ptr_eq(stack_innermost(&st), l);
	ck_assert_ptr_null(stack_find(&st, "b"));
	ck_assert_ptr_null(stack_inside(&st, l));
	pop(&st);
	ck_assert_ptr_eq(stack_innermost(&st), a);
	ck_assert_ptr_eq(stack_outermost(&st), a);
	ck_assert_ptr_null(stack_find(&st, "l"));
	pop(&st);
	ck_assert_ptr_null(stack_innermost(&st));
	ck_assert_ptr_null(stack_outermost(&st));
}
END_TEST

#define DEPTH 4

/* Ends the program: a frame ends that has another one inside of it. */
START_TEST(only_the_innermost_ends)
{
	struct scope *frames[DEPTH];
	struct stack st;

	stack_init(&st);
	for (int i = 0; i < DEPTH; i++)
		frames[i] = push(&st, i % 2 ? SCOPE_LOCK : SCOPE_TRANSACTION, "x", &orders);
	if (freopen("/dev/null", "w", stderr))
		stack_pop(&st, frames[_i]);
}
END_TEST

/* Ends the program: a frame ends that has ended, inside of others (0) or of none (1). */
START_TEST(a_frame_ends_once)
{
	struct stack st;
	struct scope *f;

	stack_init(&st);
	if (_i == 0)
		push(&st, SCOPE_TRANSACTION, "outer", &orders);
	f = push(&st, SCOPE_LOCK, "x", NULL);
	stack_pop(&st, f);
	if (freopen("/dev/null", "w", stderr))
		stack_pop(&st, f);
}
END_TEST

START_TEST(statements_go_to_the_innermost_transaction)
{
	struct stack st;
	struct scope *a, *b, *c;

	stack_init(&st);
	push(&st, SCOPE_LOCK, "l", NULL);
	ck_assert_ptr_null(stack_current(&st));
	a = push(&st, SCOPE_TRANSACTION, "a", &orders);
	ck_assert_ptr_eq(stack_current(&st), a);
	b = push(&st, SCOPE_TRANSACTION, "b", &billing);
	c = savepoint(&st, "c", a);
	push(&st, SCOPE_SEMAPHORE, "s", NULL);
	ck_assert_ptr_eq(stack_current(&st), a);
	ck_assert_ptr_eq(stack_top_of(&st, a), c);
	ck_assert_ptr_eq(stack_top_of(&st, b), b);
	ck_assert_ptr_eq(stack_of_lease(&st, &a->own.lease), c);
	ck_assert_ptr_eq(stack_of_lease(&st, &b->own.lease), b);
	ck_assert_ptr_null(stack_of_lease(&st, &c->own.lease));
	st.used = b;
	ck_assert_ptr_eq(stack_current(&st), b);
	st.used = c;
	ck_assert_ptr_eq(stack_current(&st), a);
	/* USE ends with the scope that it named. */
	pop(&st);
	ck_assert_ptr_eq(stack_current(&st), a);
	pop(&st);
	ck_assert_ptr_null(st.used);
	ck_assert_ptr_eq(stack_current(&st), b);
	pop_all(&st);
}
END_TEST

START_TEST(a_savepoint_is_made_where_its_pool_has_a_transaction)
{
	struct stack st;
	struct scope *a, *b;

	stack_init(&st);
	a = push(&st, SCOPE_IMPLICIT, "", &orders);
	ck_assert_ptr_eq(stack_transaction_on(&st, &orders), a);
	ck_assert_ptr_null(stack_transaction_on(&st, &billing));
	b = push(&st, SCOPE_TRANSACTION, "b", &orders); /* NEW */
	ck_assert_ptr_eq(stack_transaction_on(&st, &orders), b);
	b->state = SCOPE_EXPIRED;
	ck_assert_ptr_eq(stack_transaction_on(&st, &orders), a);
	ck_assert_ptr_eq(scope_base(b), b);
	ck_assert_ptr_eq(scope_base(a), a);
	pop_all(&st);
}
END_TEST

START_TEST(the_first_reason_stays)
{
	struct stack st;
	struct scope *a, *b, *l;

	stack_init(&st);
	a = push(&st, SCOPE_TRANSACTION, "a", &orders);
	l = push(&st, SCOPE_LOCK, "l", NULL);
	b = savepoint(&st, "b", a);
	ck_assert_str_eq(scope_state_name(b), "open");
	scope_fail(b, "23505");
	scope_fail(b, "25P02");
	ck_assert_str_eq(b->error, "23505");
	ck_assert(b->failed && !a->failed);
	ck_assert_str_eq(scope_state_name(b), "failed");
	/* What was ended by a limit of its own, or by that of one around it. */
	a->expired_by = ERR_SCOPE_DEADLINE;
	ck_assert_ptr_eq(stack_reason(&st, b), a);
	l->expired_by = ERR_SCOPE_IDLE;
	ck_assert_ptr_eq(stack_reason(&st, b), l);
	b->state = SCOPE_EXPIRED;
	ck_assert_str_eq(scope_state_name(b), "expired");
	ck_assert_str_eq(scope_kind_name(b), "savepoint");
	pop_all(&st);
}
END_TEST

START_TEST(statements_are_left_behind)
{
	struct stack st;
	const char *values[] = {"x", NULL};
	char own[] = "SELECT $1, $2";
	struct scope *a;
	struct deferred *d;

	stack_init(&st);
	a = push(&st, SCOPE_TRANSACTION, "a", &orders);
	scope_defer(a, DEFERRED_ON_COMMIT, own, values, 2, 3);
	scope_defer(a, DEFERRED_ALWAYS, "second", NULL, 0, 0);
	own[0] = 'X';
	ck_assert_uint_eq(a->deferred.count, 2);
	d = LIST_OBJ(list_first(&a->deferred), struct deferred, node);
	ck_assert_str_eq(d->sql, "SELECT $1, $2");
	ck_assert_int_eq(d->when, DEFERRED_ON_COMMIT);
	ck_assert_uint_eq(d->nvalues, 2);
	ck_assert_str_eq(d->values[0], "x");
	ck_assert_ptr_null(d->values[1]);
	pop_all(&st);
}
END_TEST

START_TEST(savepoints_of_the_client)
{
	struct stack st;
	struct scope *a;
	char name[16];

	stack_init(&st);
	a = push(&st, SCOPE_SAVEPOINT, "a", &orders);
	ck_assert(!scope_point_has(a, "x"));
	ck_assert_int_eq(scope_point_add(a, "x"), 0);
	ck_assert_int_eq(scope_point_add(a, "y"), 0);
	ck_assert_int_eq(scope_point_add(a, "x"), 0);
	/* ROLLBACK TO keeps it and what is before it; the last one of a name is meant. */
	scope_point_cut(a, "y", false);
	ck_assert_uint_eq(a->points.count, 2);
	ck_assert(scope_point_has(a, "x") && scope_point_has(a, "y"));
	scope_point_cut(a, "x", true);
	ck_assert(!scope_point_has(a, "x") && !scope_point_has(a, "y"));
	scope_point_cut(a, "x", true);
	for (int i = 0; i < SCOPE_POINTS_MAX; i++) {
		snprintf(name, sizeof name, "p%d", i);
		ck_assert_int_eq(scope_point_add(a, name), 0);
	}
	ck_assert_int_eq(scope_point_add(a, "one more"), -E_TOOBIG);
	scope_points_keep(a, 0);
	ck_assert_uint_eq(a->points.count, 0);
	pop_all(&st);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("stack");
	TCase *t = tcase_create("stack");
	SRunner *r;
	int failed;

	tcase_add_test(t, an_empty_one_has_nothing);
	tcase_add_test(t, the_order_is_that_of_entering);
	tcase_add_test(t, statements_go_to_the_innermost_transaction);
	tcase_add_test(t, a_savepoint_is_made_where_its_pool_has_a_transaction);
	tcase_add_test(t, the_first_reason_stays);
	tcase_add_test(t, statements_are_left_behind);
	tcase_add_test(t, savepoints_of_the_client);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	/* These end the program: without a process of its own (CK_FORK=no) it would be this one. */
	if (srunner_fork_status(r) == CK_FORK) {
		tcase_add_loop_exit_test(t, only_the_innermost_ends, 1, 0, DEPTH - 1);
		tcase_add_loop_exit_test(t, a_frame_ends_once, 1, 0, 2);
	}
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
