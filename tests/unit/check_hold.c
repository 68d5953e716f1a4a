#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pool/hold.h"
#include "wire/sqlmention.h"

/* What the server can be asked for, and what it cannot be asked for. */
#define SOFT (SQLCLASS_LISTEN | SQLCLASS_TEMP | SQLCLASS_PREPARE | SQLCLASS_HOLD | SQLCLASS_LOCK)
#define HARD \
	(SQLCLASS_LOAD | SQLMENTION_SEED | HOLD_PIN_STATEMENT | HOLD_PIN_SETTING | HOLD_PIN_MODE)

/* Every combination of what the verdict depends on. */
static void
each(void (*look)(const struct hold *, bool foreign))
{
	unsigned pinned = 0;

	do {
		for (unsigned i = 0; i < 16; i++) {
			struct hold h = {.pinned = pinned,
					 .discard = i & 1,
					 .changed = i & 2,
					 .pins_doubtful = i & 4};

			look(&h, i & 8);
		}
		/* The next set of these bits. */
		pinned = (pinned - (SOFT | HARD)) & (SOFT | HARD);
	} while (pinned != 0);
}

/* As the manual says it, in the order of its sentences. */
static enum hold_verdict
expected(const struct hold *h, bool foreign)
{
	bool hard = h->pinned & HARD;
	bool soft = h->pinned & SOFT;

	if (foreign) {
		if (h->changed)
			return HOLD_ASK;
		return soft || hard || h->discard || h->pins_doubtful ? HOLD_DISCARD : HOLD_RETURN;
	}
	if (hard)
		return HOLD_KEEP;
	if (soft)
		return h->pins_doubtful ? HOLD_ASK : HOLD_KEEP;
	if (h->changed || h->pins_doubtful)
		return HOLD_ASK;
	return h->discard ? HOLD_DISCARD : HOLD_RETURN;
}

static void
look_verdict(const struct hold *h, bool foreign)
{
	ck_assert_msg(hold_verdict(h, foreign) == expected(h, foreign),
		      "pinned %#x discard %d changed %d doubtful %d foreign %d: %d", h->pinned,
		      h->discard, h->changed, h->pins_doubtful, foreign,
		      (int)hold_verdict(h, foreign));
}

START_TEST(the_verdict_of_every_combination)
{
	each(look_verdict);
}
END_TEST

static void
look_return(const struct hold *h, bool foreign)
{
	if (hold_verdict(h, foreign) == HOLD_RETURN)
		ck_assert(!h->pinned && !h->discard && !h->changed && !h->pins_doubtful);
	if (hold_verdict(h, foreign) == HOLD_DISCARD)
		ck_assert(!h->changed && (foreign || (!h->pinned && !h->pins_doubtful)));
}

START_TEST(nothing_that_is_left_goes_back_unseen)
{
	each(look_return);
}
END_TEST

/* The server has been asked, and what it has said is kept. */
static void
look_asked(const struct hold *h, bool foreign)
{
	struct hold asked = *h;
	enum hold_verdict v;

	if (hold_verdict(h, foreign) != HOLD_ASK)
		return;
	asked.changed = asked.pins_doubtful = false;
	v = hold_verdict(&asked, foreign);
	ck_assert_int_ne(v, HOLD_ASK);
	ck_assert(!foreign || v != HOLD_KEEP);
	/* It has said that something pins, and that is known again. */
	if (!foreign && h->pinned)
		ck_assert_int_eq(v, HOLD_KEEP);
}

START_TEST(it_is_asked_once)
{
	each(look_asked);
}
END_TEST

static void
look_given_up(const struct hold *h, bool foreign)
{
	struct hold given = *h;

	if (!foreign)
		return;
	hold_give_up_pins(&given);
	ck_assert(!given.pins_doubtful);
	ck_assert_int_eq(given.changed, h->changed);
	/* Only what it is asked is less: not what becomes of the server. */
	ck_assert_int_eq(hold_verdict(&given, true), hold_verdict(h, true));
	given.changed = false;
	if (h->pinned || h->pins_doubtful || h->discard)
		ck_assert_int_eq(hold_verdict(&given, true), HOLD_DISCARD);
}

START_TEST(a_scopes_pins_are_not_kept)
{
	each(look_given_up);
}
END_TEST

START_TEST(all_of_it_is_handed_over)
{
	struct hold h = {.pinned = SQLCLASS_LISTEN,
			 .discard = true,
			 .changed = true,
			 .pins_doubtful = true,
			 .discard_all_sent = true,
			 .cancel_due = true},
		    read = {.pinned = 0};
	struct pack p;
	struct buf out;

	h.deallocating = mem_alloc(sizeof *h.deallocating);
	buf_init(h.deallocating, 100);
	buf_add_str(h.deallocating, "one");
	buf_init(&out, 1000);
	pack_writer(&p, &out);
	hold_pack(&p, &h);
	pack_reader(&p, buf_data(&out), out.len);
	hold_pack(&p, &read);
	ck_assert(!p.failed && p.left == 0);
	ck_assert_uint_eq(read.pinned, SQLCLASS_LISTEN);
	ck_assert(read.discard && read.changed && read.pins_doubtful && read.discard_all_sent &&
		  read.cancel_due);
	ck_assert_uint_eq(read.deallocating->len, 4);
	ck_assert_str_eq((char *)buf_data(read.deallocating), "one");
	hold_clear(&h);
	ck_assert_ptr_null(h.deallocating);
	hold_clear(&read);
	hold_clear(&read);
	buf_clear(&out);
}
END_TEST

START_TEST(the_hold_of_a_lease)
{
	struct hold h = {.pinned = 1};

	ck_assert_ptr_eq(hold_of(&h.lease), &h);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("hold");
	TCase *tc = tcase_create("hold");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tc);
	tcase_add_test(tc, the_verdict_of_every_combination);
	tcase_add_test(tc, nothing_that_is_left_goes_back_unseen);
	tcase_add_test(tc, it_is_asked_once);
	tcase_add_test(tc, a_scopes_pins_are_not_kept);
	tcase_add_test(tc, all_of_it_is_handed_over);
	tcase_add_test(tc, the_hold_of_a_lease);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
