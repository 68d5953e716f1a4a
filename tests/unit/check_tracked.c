/* tracked: messages end in the order in which they went, those that an error skips in reverse. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "pool/progress.h"
#include "pool/tracked.h"
#include "wire/msg.h"

#define MANY 20000

struct message {
	struct tracked tracked;
	enum progress_end end;
	uint32_t place; /* how many had ended before it */
};

static struct message messages[MANY];
static uint32_t ended;

static void
message_ended(struct tracked *t, enum progress_end end)
{
	struct message *m = (struct message *)t;

	m->end = end;
	m->place = ended++;
}

/* Sends n messages and a Sync. The server carries out `done` of them; the next one fails. Returns
 * the CPU time that the answers took, in seconds. */
static double
answer(uint32_t n, uint32_t done)
{
	struct timespec began, now;
	struct tracked_list all;
	struct progress p;
	struct buf b;

	ended = 0;
	progress_init(&p);
	tracked_init(&all, &p);
	for (uint32_t i = 0; i < n; i++) {
		progress_sent_as(&p, PROGRESS_TRACKED);
		tracked_add(&all, &messages[i].tracked, &p, message_ended);
	}
	progress_sent(&p, 'S');
	buf_init(&b, 1024 * 1024);
	for (uint32_t i = 0; i < done; i++)
		msg_end(&b, msg_begin(&b, '1'));
	if (done < n)
		buf_add(&b, "E\0\0\0\x12SERROR\0C42601\0\0", 19);
	buf_add(&b, "Z\0\0\0\5I", 6);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &began);
	ck_assert_int_eq(progress_received(&p, buf_data(&b), b.len), 0);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	ck_assert_uint_eq(ended, n);
	ck_assert_uint_eq(all.list.count, 0);
	buf_clear(&b);
	tracked_clear(&all);
	progress_clear(&p);
	return (double)(now.tv_sec - began.tv_sec) + (double)(now.tv_nsec - began.tv_nsec) / 1e9;
}

START_TEST(what_is_skipped_ends_in_reverse)
{
	answer(6, 2);
	for (uint32_t i = 0; i < 6; i++) {
		ck_assert_uint_eq(messages[i].place, i < 2 ? i : 7 - i);
		ck_assert_int_eq(messages[i].end, i < 2    ? PROGRESS_DONE
						  : i == 2 ? PROGRESS_FAILED
							   : PROGRESS_SKIPPED);
	}
	answer(1, 0);
	ck_assert_int_eq(messages[0].end, PROGRESS_FAILED);
}
END_TEST

/* The machine's own speed is the measure: as many messages that are carried out. With one walk over
 * the list for each message that is skipped, it was a thousand times as long. */
START_TEST(many_that_are_skipped_take_no_longer)
{
	double done = 0, skipped = 0;

	for (int i = 0; i < 5; i++) {
		done += answer(MANY, MANY);
		skipped += answer(MANY, 0);
	}
	ck_assert_double_lt(skipped, 20 * done);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("tracked");
	TCase *t = tcase_create("tracked");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, what_is_skipped_ends_in_reverse);
	tcase_add_test(t, many_that_are_skipped_take_no_longer);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
