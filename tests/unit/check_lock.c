#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/mem.h"
#include "loops.h"
#include "scope/lock.h"

static unsigned seed; /* CHECK_SEED, or the time */

static struct loop *loop;
static struct locks all;

static void
setup(void)
{
	loop = loops_new();
	locks_init(&all, loop);
}

static void
teardown(void)
{
	ck_assert_uint_eq(all.list.count, 0);
	ck_assert_uint_eq(all.table.count, 0);
	locks_clear(&all);
	loop_free(loop);
}

/* ---- examples ---- */

static char told[256]; /* sessions that were told, in order */

static void
note_granted(struct lock_hold *h)
{
	char text[32];

	ck_assert_int_eq(h->state, LOCK_HELD);
	snprintf(text, sizeof text, "%llu ", (unsigned long long)h->session);
	strcat(told, text);
}

static const struct lock_ops noting = {.granted = note_granted};

static int
enter(struct lock_hold *h, const char *name, enum lock_mode mode, uint64_t session)
{
	return lock_enter(&all, h, name, mode, mode == LOCK_SEMAPHORE ? 2 : 0, session, &noting,
			  NULL);
}

/* What was told since the last time. */
static const char *
told_now(void)
{
	static char text[sizeof told];

	strcpy(text, told);
	told[0] = 0;
	return text;
}

static char listed[1024];

static void
list_hold(void *arg, const struct lock *lock, const struct lock_hold *h, unsigned position)
{
	char text[128];

	snprintf(text, sizeof text, "%s%s %s:%llu:%u", listed[0] ? ", " : "", lock->name,
		 lock_mode_name(h->mode), (unsigned long long)h->session, position);
	strcat(listed, text);
	ck_assert_int_eq(h->state, position == 0 ? LOCK_HELD : LOCK_WAITING);
	(void)arg;
}

static const char *
list_all(void)
{
	listed[0] = 0;
	locks_each(&all, list_hold, NULL);
	return listed;
}

START_TEST(exclusive_in_order)
{
	struct lock_hold h[4] = {0};

	ck_assert_int_eq(enter(&h[0], "a", LOCK_EXCLUSIVE, 1), 0);
	ck_assert_int_eq(enter(&h[1], "a", LOCK_EXCLUSIVE, 2), -E_AGAIN);
	ck_assert_int_eq(enter(&h[2], "a", LOCK_EXCLUSIVE, 3), -E_AGAIN);
	ck_assert_int_eq(enter(&h[3], "b", LOCK_EXCLUSIVE, 4), 0);
	ck_assert_str_eq(list_all(),
			 "a exclusive:1:0, a exclusive:2:1, a exclusive:3:2, b exclusive:4:0");
	lock_leave(&h[0]);
	ck_assert_str_eq(told_now(), "2 ");
	ck_assert_int_eq(h[0].state, LOCK_NONE);
	ck_assert_int_eq(h[1].state, LOCK_HELD);
	lock_leave(&h[0]); /* nothing */
	lock_leave(&h[1]);
	ck_assert_str_eq(told_now(), "3 ");
	lock_leave(&h[2]);
	lock_leave(&h[3]);
	ck_assert_str_eq(told_now(), "");
	ck_assert_str_eq(list_all(), "");
}
END_TEST

START_TEST(shared_behind_a_waiting_exclusive)
{
	struct lock_hold h[5] = {0};

	ck_assert_int_eq(enter(&h[0], "a", LOCK_SHARED, 1), 0);
	ck_assert_int_eq(enter(&h[1], "a", LOCK_SHARED, 2), 0);
	ck_assert_int_eq(enter(&h[2], "a", LOCK_EXCLUSIVE, 3), -E_AGAIN);
	ck_assert_int_eq(enter(&h[3], "a", LOCK_SHARED, 4), -E_AGAIN);
	ck_assert_int_eq(enter(&h[4], "a", LOCK_SHARED, 5), -E_AGAIN);
	/* If the one before them gives up, they need not wait. */
	lock_leave(&h[2]);
	ck_assert_str_eq(told_now(), "4 5 ");
	ck_assert_int_eq(enter(&h[2], "a", LOCK_EXCLUSIVE, 3), -E_AGAIN);
	for (int i = 0; i < 5; i++) {
		if (i == 2)
			continue;
		ck_assert_str_eq(told_now(), "");
		lock_leave(&h[i]);
	}
	ck_assert_str_eq(told_now(), "3 ");
	lock_leave(&h[2]);
}
END_TEST

START_TEST(again_in_one_session)
{
	struct lock_hold h[6] = {0};

	ck_assert_int_eq(enter(&h[0], "a", LOCK_EXCLUSIVE, 1), 0);
	ck_assert_int_eq(enter(&h[1], "a", LOCK_EXCLUSIVE, 2), -E_AGAIN);
	ck_assert_int_eq(enter(&h[2], "a", LOCK_EXCLUSIVE, 1), 0);
	ck_assert_int_eq(enter(&h[3], "a", LOCK_SHARED, 1), 0);
	ck_assert_int_eq(enter(&h[4], "a", LOCK_SHARED, 3), -E_AGAIN);
	lock_leave(&h[2]);
	lock_leave(&h[0]);
	/* Only the shared one is left, and the next one is exclusive. */
	ck_assert_str_eq(told_now(), "");
	ck_assert_int_eq(enter(&h[5], "a", LOCK_SHARED, 1), 0);
	lock_leave(&h[3]);
	ck_assert_str_eq(told_now(), "");
	lock_leave(&h[5]);
	ck_assert_str_eq(told_now(), "2 ");
	lock_leave(&h[1]);
	ck_assert_str_eq(told_now(), "3 ");
	lock_leave(&h[4]);
}
END_TEST

START_TEST(upgrades)
{
	struct lock_hold h[7] = {0};

	ck_assert_int_eq(enter(&h[0], "a", LOCK_SHARED, 1), 0);
	/* alone */
	ck_assert_int_eq(enter(&h[1], "a", LOCK_EXCLUSIVE, 1), 0);
	lock_leave(&h[1]);
	ck_assert_int_eq(enter(&h[2], "a", LOCK_SHARED, 2), 0);
	ck_assert_int_eq(enter(&h[3], "a", LOCK_SHARED, 3), 0);
	ck_assert_int_eq(enter(&h[4], "a", LOCK_EXCLUSIVE, 4), -E_AGAIN);
	ck_assert_int_eq(enter(&h[1], "a", LOCK_EXCLUSIVE, 1), -E_AGAIN);
	ck_assert_int_eq(enter(&h[5], "a", LOCK_EXCLUSIVE, 2), -E_AGAIN);
	ck_assert_str_eq(list_all(), "a shared:1:0, a shared:2:0, a shared:3:0, a exclusive:1:1, a "
				     "exclusive:2:2, a exclusive:4:3");
	lock_leave(&h[3]);
	ck_assert_str_eq(told_now(), ""); /* a circle */
	lock_leave(&h[5]);
	ck_assert_str_eq(told_now(), "");
	lock_leave(&h[2]);
	ck_assert_str_eq(told_now(), "1 ");
	/* Down again: other shared ones could come in, but an exclusive one is next. */
	ck_assert_int_eq(enter(&h[6], "a", LOCK_SHARED, 6), -E_AGAIN);
	lock_leave(&h[1]);
	ck_assert_str_eq(told_now(), "");
	lock_leave(&h[4]);
	ck_assert_str_eq(told_now(), "6 ");
	lock_leave(&h[0]);
	lock_leave(&h[6]);
}
END_TEST

START_TEST(semaphores_count)
{
	struct lock_hold h[6] = {0};

	ck_assert_int_eq(enter(&h[0], "s", LOCK_SEMAPHORE, 1), 0);
	/* no session is special */
	ck_assert_int_eq(enter(&h[1], "s", LOCK_SEMAPHORE, 1), 0);
	ck_assert_int_eq(enter(&h[2], "s", LOCK_SEMAPHORE, 1), -E_AGAIN);
	ck_assert_int_eq(enter(&h[3], "s", LOCK_SEMAPHORE, 2), -E_AGAIN);
	ck_assert_int_eq(h[3].limit, 2);
	/* a lock of that name is something else */
	ck_assert_int_eq(enter(&h[4], "s", LOCK_EXCLUSIVE, 3), 0);
	ck_assert_int_eq(lock_enter(&all, &h[5], "s", LOCK_SEMAPHORE, 3, 4, &noting, NULL),
			 -E_RANGE);
	ck_assert_int_eq(h[5].state, LOCK_NONE);
	ck_assert_uint_eq(h[5].limit, 2);
	lock_leave(&h[5]);
	lock_leave(&h[0]);
	ck_assert_str_eq(told_now(), "1 ");
	lock_leave(&h[2]);
	ck_assert_str_eq(told_now(), "2 ");
	lock_leave(&h[1]);
	lock_leave(&h[3]);
	/* when nobody has it any more, it may be made anew */
	ck_assert_int_eq(lock_enter(&all, &h[5], "s", LOCK_SEMAPHORE, 3, 4, &noting, NULL), 0);
	lock_leave(&h[5]);
	lock_leave(&h[4]);
}
END_TEST

START_TEST(names_of_any_length)
{
	struct lock_hold h[3] = {0};
	char *name = malloc(65537);

	memset(name, 'n', 65536);
	name[65536] = 0;
	ck_assert_int_eq(enter(&h[0], name, LOCK_EXCLUSIVE, 1), 0);
	name[65535] = 'm';
	ck_assert_int_eq(enter(&h[1], name, LOCK_EXCLUSIVE, 2), 0);
	name[65535] = 'n';
	ck_assert_int_eq(enter(&h[2], name, LOCK_EXCLUSIVE, 3), -E_AGAIN);
	free(name);
	ck_assert_uint_eq(strlen(h[2].lock->name), 65536);
	lock_leave(&h[2]);
	lock_leave(&h[1]);
	ck_assert_int_eq(enter(&h[1], "", LOCK_EXCLUSIVE, 2), 0);
	lock_leave(&h[1]);
	lock_leave(&h[0]);
}
END_TEST

/* ---- from within granted() ---- */

#define CHAIN 20000

static struct lock_hold *chain; /* all of one lock */
static unsigned depth;
static bool nested;

static void
pass_on(struct lock_hold *h)
{
	nested |= depth > 0;
	depth++;
	lock_leave(h);
	memset(h, 0xa5, sizeof *h); /* it may be gone when granted() returns */
	depth--;
}

START_TEST(a_long_chain_needs_no_stack)
{
	static const struct lock_ops ops = {.granted = pass_on};

	chain = mem_calloc(CHAIN, sizeof *chain);
	for (int i = 0; i < CHAIN; i++)
		ck_assert_int_eq(
		    lock_enter(&all, &chain[i], "a", LOCK_EXCLUSIVE, 0, i + 1, &ops, NULL),
		    i ? -E_AGAIN : 0);
	lock_leave(&chain[0]);
	ck_assert_str_eq(list_all(), "");
	ck_assert(!nested);
	free(chain);
}
END_TEST

static void
leave_all(struct lock_hold *h)
{
	struct lock_hold *others = h->owner;

	note_granted(h);
	for (int i = 0; i < 4; i++)
		lock_leave(&others[i]);
	memset(others, 0xa5, 4 * sizeof *others);
}

START_TEST(one_that_left_before_it_was_told_is_not_told)
{
	static const struct lock_ops ops = {.granted = leave_all};
	struct lock_hold h[4] = {0};

	ck_assert_int_eq(lock_enter(&all, &h[0], "a", LOCK_EXCLUSIVE, 0, 1, &ops, h), 0);
	for (int i = 1; i < 4; i++)
		ck_assert_int_eq(lock_enter(&all, &h[i], "a", LOCK_SHARED, 0, 1 + i, &ops, h),
				 -E_AGAIN);
	lock_leave(&h[0]);
	ck_assert_str_eq(told_now(), "2 ");
}
END_TEST

/* ---- against a naive model ---- */

/* libcheck tells its parent of every assertion, which is slow. */
#define MUST(that)                                                      \
	do {                                                            \
		if (!(that))                                            \
			ck_abort_msg("CHECK_SEED=%u: %s", seed, #that); \
	} while (0)

#define SESSIONS 6
#define NAMES    3
#define HOLDS    30
#define KEYS     (2 * NAMES) /* locks, then semaphores */

struct model_key {
	int held[HOLDS], nheld;
	int queue[HOLDS], nqueue;
	unsigned limit;
};

static struct model_key model[KEYS];
static struct lock_hold holds[HOLDS];
static int key_of[HOLDS]; /* -1: NONE */
static enum lock_mode mode_of[HOLDS];
static uint64_t session_of[HOLDS];
static bool upgrade_of[HOLDS];
static bool to_be_told[HOLDS];
static bool inside_enter;
static bool calm; /* nothing is done in callbacks any more */
static unsigned waits, grants;

static bool
model_has(const struct model_key *k, uint64_t session, bool exclusively, bool others)
{
	for (int i = 0; i < k->nheld; i++)
		if ((session_of[k->held[i]] == session) != others &&
		    (!exclusively || mode_of[k->held[i]] == LOCK_EXCLUSIVE))
			return true;
	return false;
}

static bool
model_free(const struct model_key *k, int h)
{
	if (mode_of[h] == LOCK_SEMAPHORE)
		return k->nheld < (int)k->limit;
	return !model_has(k, session_of[h], mode_of[h] == LOCK_SHARED, true);
}

/* The rules as they are written, one by one. */
static int
model_enter(int h, int key)
{
	struct model_key *k = &model[key];
	uint64_t s = session_of[h];
	bool now = k->nqueue == 0 && model_free(k, h);
	int at = k->nqueue;

	if (mode_of[h] == LOCK_SHARED && model_has(k, s, false, false))
		now = true;
	if (mode_of[h] == LOCK_EXCLUSIVE && model_has(k, s, true, false))
		now = true;
	upgrade_of[h] = mode_of[h] == LOCK_EXCLUSIVE && model_has(k, s, false, false);
	if (upgrade_of[h] && !model_has(k, s, false, true))
		now = true;
	key_of[h] = key;
	if (now) {
		k->held[k->nheld++] = h;
		return 0;
	}
	if (upgrade_of[h])
		for (at = 0; at < k->nqueue && upgrade_of[k->queue[at]];)
			at++;
	memmove(&k->queue[at + 1], &k->queue[at], sizeof(int) * (size_t)(k->nqueue++ - at));
	k->queue[at] = h;
	waits++;
	return -E_AGAIN;
}

static void
model_take_out(int *list, int *count, int h)
{
	for (int i = 0; i < *count; i++)
		if (list[i] == h) {
			memmove(&list[i], &list[i + 1], sizeof *list * (size_t)(--*count - i));
			return;
		}
}

static void
model_leave(int h)
{
	struct model_key *k = &model[key_of[h]];

	model_take_out(k->held, &k->nheld, h);
	model_take_out(k->queue, &k->nqueue, h);
	key_of[h] = -1;
	to_be_told[h] = false;
	while (k->nqueue > 0 && model_free(k, k->queue[0])) {
		int next = k->queue[0];

		model_take_out(k->queue, &k->nqueue, next);
		k->held[k->nheld++] = next;
		to_be_told[next] = true;
		grants++;
	}
}

static void
compare_hold(void *arg, const struct lock *lock, const struct lock_hold *h, unsigned position)
{
	int i = (int)(h - holds), key = lock->name[0] - 'a' + lock->semaphore * NAMES;
	const struct model_key *k = &model[key];

	MUST(key_of[i] == key);
	MUST(h->state == (position == 0 ? LOCK_HELD : LOCK_WAITING));
	MUST(h->mode == mode_of[i]);
	MUST(lock->limit == k->limit);
	if (position > 0)
		MUST(k->queue[position - 1] == i);
	++*(int *)arg;
}

static void
compare(void)
{
	int seen = 0, want = 0;

	for (int k = 0; k < KEYS; k++) {
		want += model[k].nheld + model[k].nqueue;
		for (int i = 0; i < model[k].nheld; i++)
			MUST(holds[model[k].held[i]].state == LOCK_HELD);
	}
	locks_each(&all, compare_hold, &seen);
	MUST(seen == want);
	for (int i = 0; i < HOLDS; i++)
		MUST((holds[i].state == LOCK_NONE) == (key_of[i] < 0));
}

static void random_granted(struct lock_hold *);

static void
random_step(void)
{
	static const struct lock_ops ops = {.granted = random_granted};
	int h = (int)(random() % HOLDS), key, want, got;
	unsigned limit = 0;
	char name[2] = "a";

	if (key_of[h] >= 0) {
		model_leave(h);
		lock_leave(&holds[h]);
		return;
	}
	session_of[h] = 1 + (uint64_t)random() % SESSIONS;
	/* A session waits for one thing at a time. */
	for (int i = 0; i < HOLDS; i++)
		if (key_of[i] >= 0 && session_of[i] == session_of[h] &&
		    holds[i].state == LOCK_WAITING)
			return;
	key = (int)(random() % KEYS);
	name[0] = (char)('a' + key % NAMES);
	mode_of[h] = key >= NAMES ? LOCK_SEMAPHORE : random() % 2 ? LOCK_SHARED : LOCK_EXCLUSIVE;
	if (key >= NAMES) {
		limit = 1 + (unsigned)random() % 3;
		if (model[key].nheld == 0)
			model[key].limit = limit;
	}
	want = key >= NAMES && limit != model[key].limit ? -E_RANGE : model_enter(h, key);
	inside_enter = true;
	got = lock_enter(&all, &holds[h], name, mode_of[h], limit, session_of[h], &ops, NULL);
	inside_enter = false;
	MUST(got == want);
	if (got == -E_RANGE)
		MUST(holds[h].limit == model[key].limit);
}

/* Some do things while they are told; by each of them another one may have to be told, too. */
static void
random_granted(struct lock_hold *h)
{
	int i = (int)(h - holds);

	MUST(!inside_enter);
	MUST(h->state == LOCK_HELD);
	MUST(to_be_told[i]);
	to_be_told[i] = false;
	compare();
	for (long n = calm ? 0 : random() % 4; n > 0; n--)
		random_step();
	compare();
}

START_TEST(random_steps)
{
	const char *given = getenv("CHECK_ROUNDS");
	long rounds = given ? atol(given) * 100 : 300000;

	srandom(seed);
	for (int i = 0; i < HOLDS; i++)
		key_of[i] = -1;
	for (long n = 0; n < rounds; n++) {
		random_step();
		compare();
		for (int i = 0; i < HOLDS; i++)
			MUST(!to_be_told[i]);
	}
	ck_assert_uint_gt(waits, (unsigned)rounds / 20);
	ck_assert_uint_gt(grants, (unsigned)rounds / 50);
	calm = true;
	for (int i = 0; i < HOLDS; i++)
		if (key_of[i] >= 0) {
			model_leave(i);
			lock_leave(&holds[i]);
		}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("lock");
	TCase *t = tcase_create("lock");
	SRunner *r = srunner_create(s);
	const char *given = getenv("CHECK_SEED");
	int failed;

	seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
	fprintf(stderr, "check_lock: CHECK_SEED=%u\n", seed);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, exclusive_in_order);
	tcase_add_test(t, shared_behind_a_waiting_exclusive);
	tcase_add_test(t, again_in_one_session);
	tcase_add_test(t, upgrades);
	tcase_add_test(t, semaphores_count);
	tcase_add_test(t, names_of_any_length);
	tcase_add_test(t, a_long_chain_needs_no_stack);
	tcase_add_test(t, one_that_left_before_it_was_told_is_not_told);
	tcase_add_test(t, random_steps);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
