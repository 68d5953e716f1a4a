#include <check.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "loop/threads.h"
#include "loops.h"

#define MANY 5000

static struct loop *loop;
static struct threads *workers;
static pthread_t main_thread;
static atomic_uint running, most_running, runs;
static unsigned dones, order[MANY];
static sem_t gate;

struct one {
	unsigned n;
	bool waits;
};
static struct one jobs[MANY];

static void
run(void *arg)
{
	struct one *j = arg;
	unsigned now = atomic_fetch_add(&running, 1) + 1, most = most_running;

	ck_assert(!pthread_equal(pthread_self(), main_thread));
	while (now > most && !atomic_compare_exchange_weak(&most_running, &most, now))
		;
	if (j->waits)
		sem_wait(&gate);
	order[atomic_fetch_add(&runs, 1)] = j->n;
	atomic_fetch_sub(&running, 1);
}

static void
done(void *arg)
{
	ck_assert(pthread_equal(pthread_self(), main_thread));
	dones++;
}

static void
submit(unsigned from, unsigned to, bool waits)
{
	for (unsigned i = from; i < to; i++) {
		jobs[i] = (struct one){i, waits};
		threads_submit(workers, NULL, run, done, &jobs[i]);
	}
}

static void
until_done(unsigned n)
{
	while (dones < n)
		loop_turn(loop, true);
}

static void
begin(unsigned threads)
{
	main_thread = pthread_self();
	sem_init(&gate, 0, 0);
	loop = loops_new();
	workers = threads_new(loop, threads, 2);
}

static void
end(void)
{
	ck_assert_uint_eq(threads_pending(workers), 0);
	threads_free(workers);
	loop_free(loop);
	sem_destroy(&gate);
}

START_TEST(one_thread_keeps_the_order)
{
	begin(1);
	submit(0, MANY, false);
	ck_assert_uint_eq(threads_pending(workers), MANY);
	until_done(MANY);
	for (unsigned i = 0; i < MANY; i++)
		ck_assert_uint_eq(order[i], i);
	ck_assert_uint_eq(most_running, 1);
	end();
}
END_TEST

/* Each job waits until all that may run at once do: fewer threads than that would never end. */
START_TEST(as_many_at_once_as_allowed)
{
	begin(4);
	submit(0, 12, true);
	while (running < 4)
		sched_yield();
	for (int i = 0; i < 12; i++)
		sem_post(&gate);
	until_done(12);
	ck_assert_uint_eq(most_running, 4);
	ck_assert_uint_eq(runs, 12);
	end();
}
END_TEST

START_TEST(many_jobs_in_waves)
{
	begin(4);
	for (unsigned i = 0; i < MANY; i += 500) {
		submit(i, i + 500, false);
		until_done(i + 500);
	}
	ck_assert_uint_eq(runs, MANY);
	end();
}
END_TEST

static void
done_submits(void *arg)
{
	dones++;
	if (dones < 100)
		threads_submit(workers, NULL, run, done_submits, arg);
}

START_TEST(a_job_that_ends_may_submit_another)
{
	begin(2);
	jobs[0] = (struct one){0, false};
	threads_submit(workers, NULL, run, done_submits, &jobs[0]);
	until_done(100);
	end();
}
END_TEST

/* Jobs of one lane hang: those of another run, and in the end all have. */
START_TEST(a_lane_that_hangs)
{
	int a, b;

	begin(4);
	for (unsigned i = 0; i < 10; i++) {
		jobs[i] = (struct one){i, true};
		threads_submit(workers, &a, run, done, &jobs[i]);
	}
	while (running < 2)
		sched_yield();
	for (unsigned i = 10; i < 20; i++) {
		jobs[i] = (struct one){i, false};
		threads_submit(workers, i % 2 ? &b : NULL, run, done, &jobs[i]);
	}
	until_done(10);
	for (unsigned i = 0; i < 10; i++)
		ck_assert_uint_ge(order[i], 10);
	ck_assert_uint_eq(running, 2);
	for (int i = 0; i < 10; i++)
		sem_post(&gate);
	until_done(20);
	end();
}
END_TEST

static void
run_other(void *arg)
{
	run(arg);
}

/* Jobs of one kind hang in all their lanes: those of another kind run. */
START_TEST(all_lanes_that_hang)
{
	int lanes[10], other;

	begin(8);
	for (unsigned i = 0; i < 20; i++) {
		jobs[i] = (struct one){i, true};
		threads_submit(workers, &lanes[i % 10], run, done, &jobs[i]);
	}
	while (running < 6)
		sched_yield();
	for (unsigned i = 20; i < 30; i++) {
		jobs[i] = (struct one){i, false};
		threads_submit(workers, i % 2 ? &other : NULL, run_other, done, &jobs[i]);
	}
	until_done(10);
	for (unsigned i = 0; i < 10; i++)
		ck_assert_uint_ge(order[i], 20);
	ck_assert_uint_eq(running, 6);
	for (int i = 0; i < 20; i++)
		sem_post(&gate);
	until_done(30);
	end();
}
END_TEST

/* threads_free() frees nothing while jobs are pending, because their threads use the struct. */
START_TEST(freed_with_jobs_pending)
{
	begin(2);
	submit(0, 3, true);
	while (running < 2)
		sched_yield();
	threads_free(workers);
	ck_assert_uint_eq(threads_pending(workers), 3);
	loop_free(loop);
	for (int i = 0; i < 3; i++)
		sem_post(&gate);
	while (runs < 3)
		sched_yield();
	ck_assert_uint_eq(dones, 0);
}
END_TEST

START_TEST(nothing_to_free)
{
	threads_free(NULL);
	begin(1);
	end();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("threads");
	TCase *t = tcase_create("threads");
	SRunner *r = srunner_create(s);
	int failed;

	srunner_set_fork_status(r, CK_FORK); /* they count in globals */
	tcase_set_timeout(t, 30);
	tcase_add_test(t, one_thread_keeps_the_order);
	tcase_add_test(t, as_many_at_once_as_allowed);
	tcase_add_test(t, many_jobs_in_waves);
	tcase_add_test(t, a_job_that_ends_may_submit_another);
	tcase_add_test(t, a_lane_that_hangs);
	tcase_add_test(t, all_lanes_that_hang);
	/* Not under valgrind, which would report the memory that is not freed. */
	if (getenv("PGWITH_VALGRIND") == NULL)
		tcase_add_test(t, freed_with_jobs_pending);
	tcase_add_test(t, nothing_to_free);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
