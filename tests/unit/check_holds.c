#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pool/lease.h"
#include "scope/stack.h"
#include "session/holds.h"
#include "session/session.h"
#include "session/site.h"

static const struct lease_ops lease_ops;
static const struct session_ops ops = {.lease = &lease_ops};
static struct site site;
static struct session s;

static void
setup(void)
{
	memset(&site, 0, sizeof site);
	memset(&s, 0, sizeof s);
	site.loop = loop_new();
	site.ops = &ops;
	list_init(&site.holds);
	waits_init(&site.waits);
	s.id = 7;
	s.site = &site;
	s.state = SESSION_IDLE;
	session_set_none(&s);
}

static void
teardown(void)
{
	holds_free(&s);
	ck_assert_ptr_eq(s.own, &hold_none);
	ck_assert_uint_eq(site.holds.count, 0);
	waits_clear(&site.waits);
	loop_free(site.loop);
}

START_TEST(it_is_made_when_it_is_needed)
{
	struct hold *h;

	ck_assert_ptr_eq(s.own, &hold_none);
	ck_assert_ptr_eq(s.hold, &hold_none);
	ck_assert_int_eq(s.hold->lease.state, LEASE_NONE);
	/* What ends a lease or clears a hold leaves one alone that has nothing. */
	hold_clear(s.hold);
	lease_leave(&s.hold->lease);
	lease_forget(&s.hold->lease);
	h = holds_need(&s);
	ck_assert_ptr_eq(s.own, h);
	ck_assert_ptr_eq(s.hold, h);
	ck_assert_ptr_eq(h->lease.owner, &s);
	ck_assert_ptr_eq(h->lease.ops, &lease_ops);
	ck_assert_uint_eq(h->lease.session, 7);
	ck_assert_ptr_eq(holds_need(&s), h);
	ck_assert_uint_eq(site.holds.count, 1);
}
END_TEST

/* Messages go by the hold of a scope. */
START_TEST(what_messages_go_by_stays)
{
	struct hold of_scope;

	memset(&of_scope, 0, sizeof of_scope);
	s.hold = &of_scope;
	holds_need(&s);
	ck_assert_ptr_eq(s.hold, &of_scope);
	holds_sweep(&site);
	ck_assert_ptr_ne(s.own, &hold_none);
	s.hold = s.own;
	holds_sweep(&site);
	ck_assert_ptr_eq(s.own, &hold_none);
	ck_assert_ptr_eq(s.hold, &hold_none);
}
END_TEST

START_TEST(it_goes_when_it_is_not_needed)
{
	struct buf names;
	struct stack stack;
	struct scope *f;

	holds_need(&s);
	/* Each of these alone keeps it. */
	s.own->pinned = 1;
	holds_sweep(&site);
	ck_assert_ptr_ne(s.own, &hold_none);
	s.own->pinned = 0;
	s.own->lease.state = LEASE_WAITING;
	holds_sweep(&site);
	ck_assert_ptr_ne(s.own, &hold_none);
	s.own->lease.state = LEASE_NONE;
	s.state = SESSION_WAITING;
	holds_sweep(&site);
	ck_assert_ptr_ne(s.own, &hold_none);
	s.state = SESSION_IDLE;
	buf_init(&names, 10);
	s.own->deallocating = &names;
	holds_sweep(&site);
	ck_assert_ptr_ne(s.own, &hold_none);
	s.own->deallocating = NULL;
	/* It has the time of the BEGIN. */
	s.block.state = BLOCK_BEGUN;
	holds_sweep(&site);
	ck_assert_ptr_ne(s.own, &hold_none);
	s.block.state = BLOCK_NONE;
	/* The frame of a scope points to its lease. */
	stack_init(&stack);
	session_rare(&s)->stack = &stack;
	f = stack_push(&stack, SCOPE_TRANSACTION, "a", 1);
	holds_sweep(&site);
	ck_assert_ptr_ne(s.own, &hold_none);
	stack_pop(&stack, f);
	scope_free(f);
	holds_sweep(&site);
	ck_assert_ptr_eq(s.own, &hold_none);
	ck_assert_uint_eq(site.holds.count, 0);
	s.rare->stack = NULL;
	session_drop_rare(&s);
	ck_assert_ptr_eq(s.rare, &rare_none);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("holds");
	TCase *t = tcase_create("holds");
	SRunner *r = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, it_is_made_when_it_is_needed);
	tcase_add_test(t, what_messages_go_by_stays);
	tcase_add_test(t, it_goes_when_it_is_not_needed);
	suite_add_tcase(suite, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
