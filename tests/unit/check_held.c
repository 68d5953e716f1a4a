/* SHOW HELD and the log of log_held_longer_than. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/held.h"
#include "admin/overdue.c"
#include "base/units.h"
#include "scope/stack.h"
#include "session/doing.h"
#include "shop.h"
#include "wire/sqlcommand.h"

static struct shop shop;
static struct slow slow;
static struct stack stack;
static FILE *file; /* stderr goes there */
static int kept = -1;
static char text[65536];

static const struct lock_ops lock_ops;

static void
setup(void)
{
	shop_open(&shop);
	stack_init(&stack);
	session_rare(&shop.buyers[0].session)->stack = &stack;
	slow = (struct slow){0};
	list_init(&slow.done);
	file = tmpfile();
	ck_assert_ptr_nonnull(file);
	kept = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	dup2(fileno(file), STDERR_FILENO);
	unsetenv("JOURNAL_STREAM");
	log_init("test", LOG_INFO);
}

static void
teardown(void)
{
	struct scope *f;

	dup2(kept, STDERR_FILENO);
	close(kept);
	fclose(file);
	while ((f = stack_innermost(&stack)) != NULL) {
		lock_leave(&f->hold);
		stack_pop(&stack, f);
		scope_free(f);
	}
	while (list_first(&slow.done)) {
		struct list_node *n = list_first(&slow.done);

		list_remove(&slow.done, n);
		free(LIST_OBJ(n, struct slow_note, node));
	}
	session_rare(&shop.buyers[0].session)->stack = NULL;
	session_rare(&shop.buyers[0].session)->slow = NULL;
	session_drop_rare(&shop.buyers[0].session);
	free(shop.d.site.overdue);
	shop_close(&shop);
}

/* What was logged since the last look. */
static const char *
logged(void)
{
	off_t n = lseek(fileno(file), 0, SEEK_END);

	ck_assert_int_lt(n, (off_t)sizeof text);
	ck_assert_int_eq(pread(fileno(file), text, (size_t)n, 0), n);
	text[n] = 0;
	ck_assert_int_eq(ftruncate(fileno(file), 0), 0);
	lseek(fileno(file), 0, SEEK_SET);
	return text;
}

static unsigned
count(const char *in, const char *words)
{
	unsigned n = 0;

	for (; (in = strstr(in, words)) != NULL; in++)
		n++;
	return n;
}

static void
has(const char *in, const char *words)
{
	ck_assert_msg(strstr(in, words) != NULL, "\"%s\" is not in \"%s\"", words, in);
}

/* The first session gets a lock, which it holds for that long. */
static void
lock(const char *name, enum lock_mode mode, int64_t age_us)
{
	struct scope *f =
	    stack_push(&stack, mode == LOCK_SEMAPHORE ? SCOPE_SEMAPHORE : SCOPE_LOCK, name, 0);

	f->state = SCOPE_OPEN;
	ck_assert_int_eq(lock_enter(&shop.d.site.locks, &f->hold, name, mode, 5, 1, &lock_ops, f),
			 0);
	f->hold.since_us -= age_us;
}

/* The only holding. */
static struct held
one(void)
{
	unsigned n;
	struct held *list = held_list(&shop.d, &n), h;

	ck_assert_uint_eq(n, 1);
	h = *list;
	free(list);
	return h;
}

/* ---- the list ---- */

START_TEST(nothing_is_held)
{
	unsigned n = 7;

	ck_assert_ptr_null(held_list(&shop.d, &n));
	ck_assert_uint_eq(n, 0);
}
END_TEST

START_TEST(a_transaction)
{
	struct buyer *b = shop_lend(&shop, &shop.pool, 1, 42 * UNIT_S, 'T');
	struct held h = one();

	shop_wait(&shop, &shop.pool, 2, UNIT_S);
	ck_assert_int_eq(h.kind, HELD_TRANSACTION);
	ck_assert_str_eq(h.name, "orders");
	ck_assert_str_eq(h.state, "idle in transaction");
	ck_assert_ptr_null(h.class);
	ck_assert_int_eq(h.backend_pid, 1001);
	ck_assert_uint_eq(h.waiting, 0);
	b->hold.command = SQLCOMMAND_UPDATE;
	progress_sent(&b->server.progress, 'Q');
	h = one();
	ck_assert_str_eq(h.class, "UPDATE");
	ck_assert_str_eq(h.state, "running");
	ck_assert_uint_eq(h.waiting, 1);
}
END_TEST

/* A pinned session keeps its server. Between two transactions it is "pinned"; the time of a
 * transaction counts from its own beginning. */
START_TEST(a_pinned_session)
{
	struct buyer *b = shop_lend(&shop, &shop.pool, 1, 42 * UNIT_S, 'I');
	int64_t now = loop_now_us(shop.d.site.loop);
	struct held h;

	b->hold.pinned = SQLCLASS_LISTEN;
	h = one();
	ck_assert_int_eq(h.kind, HELD_PINNED);
	ck_assert_str_eq(h.state, "idle");
	ck_assert_int_eq(h.since_us, now - 42 * UNIT_S);
	b->server.progress.status = 'T';
	b->hold.lease.xact_us = now - 3 * UNIT_S;
	h = one();
	ck_assert_int_eq(h.kind, HELD_TRANSACTION);
	ck_assert_int_eq(h.since_us, now - 3 * UNIT_S);
}
END_TEST

/* A pinned session has its server for longer than the scope that it has entered. */
START_TEST(a_scope_of_a_pinned_session)
{
	struct buyer *b = shop_lend(&shop, &shop.pool, 0, 42 * UNIT_S, 'T');
	struct scope *f = stack_push(&stack, SCOPE_TRANSACTION, "work", 0);

	b->hold.pinned = SQLCLASS_LISTEN;
	f->state = SCOPE_OPEN;
	f->pool = &shop.pool;
	f->lease = &b->hold.lease;
	f->granted_us = loop_now_us(shop.d.site.loop) - 2 * UNIT_S;
	ck_assert_int_eq(one().kind, HELD_SCOPE);
	ck_assert_int_eq(one().since_us, f->granted_us);
	shop.conf.log_held_longer_than_us = 10 * UNIT_S;
	overdue_sweep(&shop.d);
	shop_lend(&shop, &shop.pool, 1, UNIT_S, 'T');
	overdue_sweep(&shop.d);
	ck_assert_str_eq(logged(), "");
	/* A session that is not pinned has asked for both at the same time. */
	b->hold.lease.since_us = f->granted_us + UNIT_S;
	shop.buyers[1].hold.lease.state = LEASE_NONE;
	ck_assert_int_eq(one().since_us, f->granted_us + UNIT_S);
}
END_TEST

START_TEST(a_scope_and_locks_the_longest_first)
{
	struct buyer *b = shop_lend(&shop, &shop.pool, 0, 5 * UNIT_S, 'T');
	struct scope *f = stack_push(&stack, SCOPE_TRANSACTION, "work", 0);
	struct held *list;
	unsigned n;

	f->state = SCOPE_OPEN;
	f->pool = &shop.pool;
	f->lease = &b->hold.lease;
	b->hold.command = SQLCOMMAND_INSERT;
	lock("nightly", LOCK_EXCLUSIVE, 3 * UNIT_S);
	lock("slots", LOCK_SEMAPHORE, 7 * UNIT_S);
	list = held_list(&shop.d, &n);
	ck_assert_uint_eq(n, 3);
	ck_assert_int_eq(list[0].kind, HELD_SEMAPHORE);
	ck_assert_str_eq(list[0].name, "slots");
	ck_assert_ptr_null(list[0].pool);
	ck_assert_str_eq(list[0].class, "INSERT");
	ck_assert_str_eq(list[0].state, "idle in transaction");
	ck_assert_int_eq(list[1].kind, HELD_SCOPE);
	ck_assert_str_eq(list[1].name, "work");
	ck_assert_int_eq(list[2].kind, HELD_LOCK);
	ck_assert_str_eq(list[2].name, "nightly");
	/* It waits for another server. */
	f->own.lease.state = LEASE_NONE;
	stack_innermost(&stack)->own.lease.state = LEASE_WAITING;
	free(list);
	list = held_list(&shop.d, &n);
	ck_assert_str_eq(list[1].state, "waiting");
	stack_innermost(&stack)->own.lease.state = LEASE_NONE;
	free(list);
}
END_TEST

/* The pools of a group share its size: all that wait in the group wait for what one role holds. */
START_TEST(roles_wait_for_each_other)
{
	struct pool red, blue;
	struct held *list;
	unsigned n;

	shop.conf.role = CONF_ROLE_CLIENT;
	shop_pool(&shop, &red, &shop.pool, &shop.conf);
	shop_pool(&shop, &blue, &shop.pool, &shop.conf);
	shop_lend(&shop, &red, 0, 5 * UNIT_S, 'T');
	shop_lend(&shop, &blue, 1, 4 * UNIT_S, 'T');
	shop_wait(&shop, &red, 2, UNIT_S);
	shop_wait(&shop, &blue, 3, UNIT_S);
	shop_wait(&shop, &blue, 4, UNIT_S);
	list = held_list(&shop.d, &n);
	ck_assert_uint_eq(n, 2);
	ck_assert_uint_eq(list[0].waiting, 3);
	ck_assert_uint_eq(list[1].waiting, 3);
	free(list);
}
END_TEST

/* ---- the log ---- */

START_TEST(when_it_is_overdue)
{
	struct held h = {.kind = HELD_LOCK, .since_us = 100};

	ck_assert(!is_overdue(&h, 10, 109));
	ck_assert(is_overdue(&h, 10, 110));
	ck_assert(!is_overdue(&h, 0, 1000000));
	h.kind = HELD_PINNED;
	ck_assert(!is_overdue(&h, 10, 110));
}
END_TEST

/* Each is logged once, and its end once. */
START_TEST(once_and_its_end)
{
	const char *said;
	struct buyer *b;

	shop.conf.log_held_longer_than_us = 10 * UNIT_S;
	overdue_sweep(&shop.d);
	b = shop_lend(&shop, &shop.pool, 1, 9 * UNIT_S, 'T');
	b->session.context.application = "im\"port";
	b->hold.command = SQLCOMMAND_UPDATE;
	overdue_sweep(&shop.d);
	ck_assert_str_eq(logged(), "");
	b->hold.lease.since_us -= UNIT_S;
	overdue_sweep(&shop.d);
	overdue_sweep(&shop.d);
	said = logged();
	ck_assert_uint_eq(count(said, "\n"), 1);
	has(said, "session 2: holds for long kind=\"transaction\" name=\"orders\" pool=orders "
		  "role=app pid=42424242 program=\"");
	has(said, "application_name=\"im\\\"port\" scopes=\"(transaction)\" class=\"UPDATE\" "
		  "state=\"idle in transaction\" held=10000.0ms waiting=0\n");
	/* The same server, and another transaction in it. */
	b->hold.lease.since_us += 9 * UNIT_S;
	overdue_sweep(&shop.d);
	said = logged();
	ck_assert_uint_eq(count(said, "\n"), 1);
	has(said,
	    "session 2: holds no longer kind=\"transaction\" name=\"orders\" held=10000.0ms\n");
	overdue_sweep(&shop.d);
	ck_assert_str_eq(logged(), "");
}
END_TEST

/* What is overdue already in the first sweep was logged by the process before; its end is ours. */
START_TEST(the_first_sweep_is_quiet)
{
	shop.conf.log_held_longer_than_us = UNIT_S;
	shop_lend(&shop, &shop.pool, 1, 5 * UNIT_S, 'T');
	overdue_sweep(&shop.d);
	ck_assert_str_eq(logged(), "");
	shop.buyers[1].hold.lease.state = LEASE_CLEANING;
	overdue_sweep(&shop.d);
	has(logged(), "session 2: holds no longer kind=\"transaction\"");
}
END_TEST

/* The session keeps the server, and rests: that ends what was logged. */
START_TEST(a_pinned_session_that_rests_has_ended)
{
	struct buyer *b = shop_lend(&shop, &shop.pool, 1, 5 * UNIT_S, 'T');

	b->hold.pinned = SQLCLASS_LISTEN;
	overdue_sweep(&shop.d);
	shop.conf.log_held_longer_than_us = UNIT_S;
	overdue_sweep(&shop.d);
	has(logged(), "holds for long");
	b->server.progress.status = 'I';
	overdue_sweep(&shop.d);
	has(logged(), "holds no longer");
	overdue_sweep(&shop.d);
	ck_assert_str_eq(logged(), "");
}
END_TEST

/* One ENTER may get several locks, at the same time. */
START_TEST(locks_of_the_same_time)
{
	const char *said;

	overdue_sweep(&shop.d);
	shop.conf.log_held_longer_than_us = UNIT_S;
	lock("a", LOCK_EXCLUSIVE, 5 * UNIT_S);
	lock("b", LOCK_EXCLUSIVE, 5 * UNIT_S);
	lock("b", LOCK_SEMAPHORE, 5 * UNIT_S);
	overdue_sweep(&shop.d);
	said = logged();
	ck_assert_uint_eq(count(said, "holds for long"), 3);
	has(said, "kind=\"lock\" name=\"a\" pool= ");
	has(said, "kind=\"lock\" name=\"b\"");
	has(said, "kind=\"semaphore\" name=\"b\"");
	lock_leave(&stack_find(&stack, "a")->hold);
	overdue_sweep(&shop.d);
	said = logged();
	ck_assert_uint_eq(count(said, "\n"), 1);
	has(said, "holds no longer kind=\"lock\" name=\"a\"");
}
END_TEST

/* A sweep logs so many only. None is forgotten. */
START_TEST(many_are_logged_bit_by_bit)
{
	unsigned lines = 0;
	const char *said;
	char name[20];

	overdue_sweep(&shop.d);
	shop.conf.log_held_longer_than_us = UNIT_S;
	for (int i = 0; i < 2 * LINES_MAX + 20; i++) {
		snprintf(name, sizeof name, "lock %d", i);
		lock(name, LOCK_EXCLUSIVE, 5 * UNIT_S);
	}
	for (int i = 0; i < 3; i++) {
		overdue_sweep(&shop.d);
		said = logged();
		ck_assert_uint_le(count(said, "\n"), LINES_MAX);
		lines += count(said, "holds for long");
	}
	ck_assert_uint_eq(lines, 2 * LINES_MAX + 20);
	overdue_sweep(&shop.d);
	ck_assert_str_eq(logged(), "");
}
END_TEST

static void
add_note(const char *sql)
{
	struct slow_note *n = calloc(1, sizeof *n + strlen(sql) + 1);

	ck_assert_ptr_nonnull(n);
	strcpy(n->text, sql);
	list_append(&slow.done, &n->node);
}

/* The text of the last statement is logged if log_scope_statements says so, and never otherwise. */
START_TEST(the_text_of_the_statement)
{
	const char *said;

	add_note("SELECT 'first'");
	add_note("SELECT 'secret'");
	overdue_sweep(&shop.d);
	shop.conf.log_held_longer_than_us = UNIT_S;
	session_rare(&shop.buyers[0].session)->slow = &slow;
	shop_lend(&shop, &shop.pool, 0, 5 * UNIT_S, 'T');
	overdue_sweep(&shop.d);
	said = logged();
	has(said, "holds for long");
	ck_assert_uint_eq(count(said, "secret"), 0);
	/* Another transaction, with the option. */
	shop.conf.log_scope_statements = true;
	shop.buyers[0].hold.lease.since_us += UNIT_S;
	overdue_sweep(&shop.d);
	said = logged();
	has(said, "session 1: its last statement sql=\"SELECT 'secret'\"\n");
	ck_assert_uint_eq(count(said, "first"), 0);
	/* The end has none. */
	shop.buyers[0].hold.lease.state = LEASE_CLEANING;
	overdue_sweep(&shop.d);
	said = logged();
	has(said, "holds no longer");
	ck_assert_uint_eq(count(said, "secret"), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("held");
	TCase *t = tcase_create("held");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, nothing_is_held);
	tcase_add_test(t, a_transaction);
	tcase_add_test(t, a_pinned_session);
	tcase_add_test(t, a_scope_of_a_pinned_session);
	tcase_add_test(t, a_scope_and_locks_the_longest_first);
	tcase_add_test(t, roles_wait_for_each_other);
	tcase_add_test(t, when_it_is_overdue);
	tcase_add_test(t, once_and_its_end);
	tcase_add_test(t, the_first_sweep_is_quiet);
	tcase_add_test(t, a_pinned_session_that_rests_has_ended);
	tcase_add_test(t, locks_of_the_same_time);
	tcase_add_test(t, many_are_logged_bit_by_bit);
	tcase_add_test(t, the_text_of_the_statement);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
