#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend.h"
#include "pool/progress.c"

#define BYTES_MAX (4 * 1024 * 1024)

static uint32_t seed; /* CHECK_SEED, or the time */

/* ---- conversations ---- */

/* The facts, without what depends on how the bytes were cut. */
static void
same(const struct progress *a, const struct progress *b, const char *how)
{
	ck_assert_msg(a->ready_due == b->ready_due, "%s: due %u, %u", how, a->ready_due,
		      b->ready_due);
	ck_assert_int_eq(a->to_left, b->to_left);
	ck_assert_int_eq(a->extended, b->extended);
	ck_assert_int_eq(a->from_have, b->from_have);
	if (a->from_have == FRAME_HEADER)
		ck_assert_uint_eq(a->from_left, b->from_left);
	ck_assert_int_eq(a->status, b->status);
	ck_assert_int_eq(a->skipping, b->skipping);
	ck_assert_int_eq(a->copy, b->copy);
	ck_assert_int_eq(a->copy_ended, b->copy_ended);
	ck_assert_int_eq(a->unsure, b->unsure);
	ck_assert_int_eq(a->marked, b->marked);
	ck_assert_uint_eq(a->swallowed, b->swallowed);
	ck_assert_uint_eq(a->readies, b->readies);
	ck_assert_str_eq(a->error, b->error);
	ck_assert_int_eq(a->fatal, b->fatal);
	ck_assert_uint_eq(a->runs_count, b->runs_count);
	for (uint32_t i = 0; i < a->runs_count; i++) {
		ck_assert_int_eq(run_at(a, i)->kind, run_at(b, i)->kind);
		ck_assert_uint_eq(run_at(a, i)->count, run_at(b, i)->count);
	}
}

/* The same server three times: fed whole, byte by byte, and at random cuts. */
struct talk {
	struct progress whole, bytes, cuts;
};

static void
talk_init(struct talk *t)
{
	progress_init(&t->whole);
	progress_init(&t->bytes);
	progress_init(&t->cuts);
}

static void
talk_clear(struct talk *t)
{
	progress_clear(&t->whole);
	progress_clear(&t->bytes);
	progress_clear(&t->cuts);
}

static void
hear(struct talk *t, const uint8_t *data, size_t bytes)
{
	ck_assert_int_eq(progress_received(&t->whole, data, bytes), 0);
	for (size_t i = 0; i < bytes; i++)
		ck_assert_int_eq(progress_received(&t->bytes, data + i, 1), 0);
	for (size_t at = 0; at < bytes;) {
		size_t n = 1 + backend_random(&seed, 12);

		if (n > bytes - at)
			n = bytes - at;
		ck_assert_int_eq(progress_received(&t->cuts, data + at, n), 0);
		at += n;
	}
	same(&t->whole, &t->bytes, "byte by byte");
	same(&t->whole, &t->cuts, "random cuts");
}

static void
add_answer(struct buf *b, const char *word)
{
	switch (word[0]) {
	case 'Z':
		msg_ready(b, word[1]);
		return;
	case 'E':
		msg_report(b, 'E', word[1] == '!' ? "FATAL" : "ERROR",
			   word[1] == '!' ? "57P01" : "22012", "no", NULL, NULL);
		return;
	case 'N':
		msg_report(b, 'N', "WARNING", "01000", "mind", NULL, NULL);
		return;
	case 'S':
		msg_parameter_status(b, "TimeZone", "Z");
		return;
	case '1':
	case '2':
	case '3':
	case 'n':
	case 's':
	case 'I':
	case 'c':
		backend_message(b, word[0], NULL);
		return;
	default: /* the body is none of its business: make it look like an answer */
		backend_message(b, word[0], "ZCE\1");
	}
}

/* One by one, and those of the extended protocol in runs. */
static void
say(struct talk *t, const char *types, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		progress_sent(&t->bytes, types[i]);
		progress_sent(&t->cuts, types[i]);
	}
	while (n > 0) {
		size_t run = strspn(types, "PBDEC");

		if (run > n)
			run = n;
		progress_sent_extended(&t->whole, (uint32_t)run);
		if (run == 0)
			progress_sent(&t->whole, types[run++]);
		types += run;
		n -= run;
	}
}

/* ">QS" sends a Query and a Sync; "C ZI" are answers that come in one read. */
static void
talk(struct talk *t, const char *text)
{
	struct buf b;

	buf_init(&b, BYTES_MAX);
	while (*text) {
		size_t n = strcspn(text, " ");

		if (*text == '>') {
			hear(t, buf_data(&b), b.len);
			buf_drop(&b, b.len);
			say(t, text + 1, n - 1);
		} else {
			add_answer(&b, text);
		}
		text += n + (text[n] == ' ');
	}
	hear(t, buf_data(&b), b.len);
	buf_clear(&b);
}

/* What the server is after a conversation: I T E at rest with this status; otherwise '-'. And how
 * many ReadyForQuery are due, and the letters x extended, k skipping, i o COPY, e its end has gone,
 * u unsure. */
static void
becomes(const char *text, const char *expected)
{
	char is[32];
	const struct progress *p;
	struct talk t;

	talk_init(&t);
	talk(&t, text);
	p = &t.whole;
	snprintf(is, sizeof is, "%c%u%s%s%s%s%s", progress_at_rest(p) ? p->status : '-',
		 p->ready_due, p->extended ? "x" : "", p->skipping ? "k" : "",
		 p->copy == COPY_IN    ? "i"
		 : p->copy == COPY_OUT ? "o"
				       : "",
		 p->copy_ended ? "e" : "", p->unsure ? "u" : "");
	ck_assert_msg(strcmp(is, expected) == 0, "after \"%s\": %s, not %s", text, is, expected);
	ck_assert_int_eq(progress_busy(p), p->runs_count > 0 || p->copy != COPY_NONE);
	talk_clear(&t);
}

START_TEST(simple_queries)
{
	becomes("", "I0");
	becomes(">Q", "-1");
	becomes(">Q T D D C", "-1");
	becomes(">Q T D C ZI", "I0");
	becomes(">Q C ZT", "T0");
	becomes(">Q E ZE", "E0");
	becomes(">Q I ZI", "I0");
	becomes(">QQQ C ZI", "-2");
	becomes(">QQQ C ZI E ZI C ZI", "I0");
	becomes(">Q C T D C E ZI", "I0");
	becomes(">F V ZI", "I0");
	becomes(">F E ZI", "I0");
	becomes(">FQF V ZI", "-2");
	becomes(">Q E! ", "-1");
}
END_TEST

/* The client's ReadyForQuery and transactions that have ended, and what the exchange that runs
 * does: b begins, e ends. In the text: b, e, w note what the next message means, o is a Sync of our
 * own, p a Query that is part of the client's. */
static void
counts(const char *text, const char *expected)
{
	struct progress p;
	struct buf b;
	char is[32];

	progress_init(&p);
	buf_init(&b, BYTES_MAX);
	for (const char *at = text; *at; at++) {
		if (at > text && at[-1] == 'Z')
			continue;
		switch (*at) {
		case ' ':
			break;
		case 'b':
		case 'e':
		case 'w':
			progress_note(&p, *at == 'b'   ? PROGRESS_BEGINS
					  : *at == 'e' ? PROGRESS_ENDS
						       : PROGRESS_WORKS);
			break;
		case 'o':
			progress_sent_own_sync(&p);
			break;
		case 'p':
			progress_sent_part(&p);
			break;
		case 'Z':
			msg_ready(&b, at[1]);
			progress_received(&p, buf_data(&b), b.len);
			buf_reset(&b);
			break;
		case 'c': /* CommandComplete, ErrorResponse */
		case 'x':
			add_answer(&b, *at == 'c' ? "C" : "E");
			progress_received(&p, buf_data(&b), b.len);
			buf_reset(&b);
			break;
		default:
			progress_sent(&p, *at);
		}
	}
	ck_assert(progress_ends(&p) || !(progress_exchange(&p) & PROGRESS_ENDS));
	snprintf(is, sizeof is, "%u %u %s%s", (unsigned)p.answers, (unsigned)p.rests,
		 progress_exchange(&p) & PROGRESS_BEGINS ? "b" : "",
		 progress_exchange(&p) & PROGRESS_ENDS ? "e" : "");
	ck_assert_msg(strcmp(is, expected) == 0, "after \"%s\": %s, not %s", text, is, expected);
	progress_clear(&p);
	buf_clear(&b);
}

START_TEST(what_is_the_clients)
{
	counts("", "0 0 ");
	counts("Q ZI", "1 1 ");
	counts("Q Q Q", "0 0 ");
	counts("Q Q Q ZI ZI ZI", "3 3 ");
	counts("bQ", "0 0 b");
	counts("bQ ZT", "1 0 ");
	counts("bQ wQ", "0 0 b");
	counts("bQ wQ ZT", "1 0 ");
	counts("wQ bQ", "0 0 ");
	counts("wQ bQ ZI", "1 1 b");
	counts("bQ wQ eQ ZT ZT", "2 0 e");
	counts("bQ wQ eQ ZT ZT ZI", "3 1 ");
	counts("bQ ZT beQ", "1 0 be");
	counts("bQ ZT beQ ZT", "2 1 ");
	counts("beQ ZT", "1 0 ");
	counts("beQ ZI", "1 1 ");
	/* The end is one only if it comes first. */
	counts("bQ ZT weQ", "1 0 ");
	counts("bQ ZT ewQ", "1 0 e");
	counts("PbBE", "0 0 b");
	counts("PbBE PwBE S", "0 0 b");
	counts("PbBE PwBE PeBE S", "0 0 b");
	counts("PbBE PwBE S ZT PwBE PeBE S", "1 0 ");
	counts("PbBE PwBE S ZT PeBE S", "1 0 e");
	counts("PbBE PwBE S ZT PeBE S ZI", "2 1 ");
	/* Our own are nobody's, and what follows them is not theirs. */
	counts("o ZI", "0 0 ");
	counts("o bQ", "0 0 ");
	counts("o bQ ZI", "0 0 b");
	counts("o bQ ZI ZT", "1 0 ");
	counts("p ZI Q ZI", "1 2 ");
	counts("bp ZT wp", "0 0 ");
	/* What is skipped means nothing. */
	counts("P x bBE", "0 0 ");
	counts("P x bBE S ZI", "1 1 ");
	counts("bPBE x", "0 0 ");
	counts("bQ c", "0 0 b");
}
END_TEST

START_TEST(extended_exchanges)
{
	becomes(">P", "-0x");
	becomes(">P 1", "-0x");
	becomes(">PBDES", "-1");
	becomes(">PBDES 1 2 T D C", "-1");
	becomes(">PBDES 1 2 T D C ZI", "I0");
	becomes(">PBDESPBDES 1 2 n C ZI 1 2 n C ZI", "I0");
	becomes(">PBDESPBDES 1 2 n C ZI 1", "-1");
	becomes(">PBE 1 2 C", "-0x");
	becomes(">PBE 1 2 C >S ZI", "I0");
	becomes(">PDH 1 t T", "-0x");
	becomes(">BEH 2 D s >EH D s >EC C 3 >S ZT", "T0");
	becomes(">BES 2 I ZI", "I0");
	becomes(">S ZI", "I0");
	becomes(">SSS ZI ZI", "-1");
	becomes(">H", "I0");
	becomes(">PBES 1 2 C E ZI", "I0"); /* the commit in Sync was refused */
	becomes(">PBESQ 1 2 C E ZI", "-1");
}
END_TEST

START_TEST(what_may_leave_a_transaction_half_begun)
{
	struct progress p;

	progress_init(&p);
	progress_sent_begin(&p);
	progress_sent(&p, 'Q');
	ck_assert(!p.half_begun);
	progress_sent(&p, 'P');
	progress_sent(&p, 'S');
	progress_sent(&p, 'Q');
	ck_assert(!p.half_begun);
	progress_sent(&p, 'P');
	progress_sent_begin(&p);
	progress_sent(&p, 'Q');
	ck_assert(p.half_begun);
	progress_clear(&p);
}
END_TEST

START_TEST(errors_skip_to_sync)
{
	becomes(">PBDE E", "-0xk");
	becomes(">PBDES E", "-1");
	becomes(">PBDES E ZE", "E0");
	becomes(">PBE E >PBEDCFQQ", "-0xk");
	becomes(">PBE E >PBEDCFQQS", "-1");
	becomes(">PBE E >PBEDCFQQS ZI", "I0");
	becomes(">PBEQQFS E", "-1"); /* sent before the error was seen */
	becomes(">PBEQQFS E ZI", "I0");
	becomes(">PBEQQFSQ E ZI", "-1");
	becomes(">PBESPBES E ZI", "-1");
	becomes(">PBESPBES E ZI 1 2 C ZI", "I0");
	becomes(">PBE 1 E >H", "-0xk");
	becomes(">PBEQ 1 2 C C ZI", "I0");    /* the Query ends the exchange */
	becomes(">PBEQ 1 2 C E ZI", "I0");    /* and skips nothing when it fails */
	becomes(">PBEQPB 1 2 C C ZI", "-0x"); /* but what follows it begins another */
	becomes(">PBEQS 1 2 C E ZI ZI", "I0");
	becomes(">PF 1 E ZI", "I0");
}
END_TEST

START_TEST(copy_in_of_a_simple_query)
{
	becomes(">Q G", "-1i");
	becomes(">Q G >dddH", "-1i");
	becomes(">Q G >dc", "-1ie");
	becomes(">Q G >dc C ZI", "I0");
	becomes(">Q G >df E ZI", "I0");
	becomes(">Q G >d E", "-1");
	becomes(">Q G >d E ZI >ddc", "I0"); /* the rest of the data is ignored */
	becomes(">Qddc G C ZI", "I0");      /* all of it ahead */
	becomes(">Qddc G", "-1ie");
	becomes(">Qddc E ZI", "I0");
	becomes(">QddcQ G C ZI", "-1");
	becomes(">QddcQ G C ZI C ZI", "I0");
	becomes(">QcQ C ZI C ZI", "I0"); /* no COPY at all */
	becomes(">Q G >c C G >dc C ZI", "I0");
	becomes(">Qdcdc G C G", "-1ie");
	becomes(">Qdcdc G C G C ZI", "I0");
	becomes(">Q G >dcdc C G C ZI", "I0");
	becomes(">cf", "I0");
	becomes(">dcfS ZI", "I0");
}
END_TEST

START_TEST(copy_in_swallows_sync)
{
	becomes(">PBES 1 2 G", "-0xi"); /* libpq: the Sync went with the Execute */
	becomes(">PBES 1 2 G >dcS", "-1ie");
	becomes(">PBES 1 2 G >dcS C ZI", "I0");
	becomes(">PBES 1 2 G >dfS E ZI", "I0u");
	becomes(">PBE 1 2 G >dSSc", "-0xie");
	becomes(">PBE 1 2 G >dSSc C", "-0x");
	becomes(">PBE 1 2 G >dSSc C >S ZI", "I0");
	becomes(">PBESdcS 1 2 G", "-1ie");
	becomes(">PBESdcS 1 2 G C ZI", "I0");
	becomes(">PBESdcS E ZI ZI", "I0"); /* it never was one: both are answered */
	becomes(">PBEdcS 1 2 G C ZI", "I0");
	becomes(">QS G", "-1i");
	becomes(">QS G >c C ZI", "I0");
	becomes(">QdcS G C ZI", "-1");
	becomes(">QSdcS G C ZI ZI", "I0");
	becomes(">QdcSdcS G C G C ZI ZI", "I0");
}
END_TEST

START_TEST(copy_in_that_fails_leaves_a_doubt_or_none)
{
	becomes(">PBE 1 2 G E", "-0xk");
	becomes(">PBE 1 2 G E >S ZI", "I0");
	becomes(">PBE 1 2 G E >dddcS ZI", "I0");
	becomes(">PBES 1 2 G E", "-0xku");
	becomes(">PBES 1 2 G E >S ZI", "I0u");
	becomes(">QS G E ZI", "I0u");
	becomes(">QS G E ZI ZI", "I0"); /* the one too many */
	/* A trigger failed before the COPY read its Sync: that Sync has been answered, and nothing
	 * is skipped any more. */
	becomes(">PBES 1 2 G E ZI", "I0");
	becomes(">PBES 1 2 G E ZI >Q", "-1");
	becomes(">PBES 1 2 G E ZI >Q C ZI", "I0");
}
END_TEST

/* The Syncs of a COPY that has failed: each was swallowed, or is answered. */
START_TEST(syncs_of_a_copy_that_has_failed_are_answered_or_not)
{
	becomes(">PBESdcSQ 1 2 G E ZI ZI", "-1");
	becomes(">PBESdcSQ 1 2 G E ZI ZI C ZI", "I0");
	becomes(">PBESdcSQ 1 2 G E ZI C ZI", "I0");
	becomes(">PBESSdSc 1 2 G E ZI", "I0u");
	becomes(">PBESSdSc 1 2 G E ZI ZI ZI", "I0");
	becomes(">PBESSdcSPBES 1 2 G E ZI ZI 1 2 C ZI", "I0");
	becomes(">QS G E ZI >Q", "-1u");
	becomes(">QS G E ZI >Q ZI", "-1");
	becomes(">QS G E ZI >Q ZI C ZI", "I0");
	becomes(">QS G E ZI >Q C ZI", "I0");
	/* Other messages among them are skipped, or answered. */
	becomes(">PBESPBES 1 2 G E ZI", "I0u");
	becomes(">PBES 1 2 G >PBES E ZI", "I0u");
	becomes(">PBES 1 2 G E >PBES ZI 1 2 C ZI", "I0u");
}
END_TEST

/* The question after the end of such a COPY: the client gets the ReadyForQuery ahead of its answer,
 * and no more. */
static void
asked(const char *before, const char *answer, size_t for_client)
{
	struct buf question, bytes, got;
	struct talk t;

	talk_init(&t);
	talk(&t, before);
	ck_assert(t.whole.unsure && !t.whole.dirty && progress_at_rest(&t.whole));
	buf_init(&question, 64);
	buf_init(&bytes, 1024);
	buf_init(&got, 1024);
	progress_ask(&t.whole, &question);
	ck_assert(!progress_at_rest(&t.whole) && progress_filters(&t.whole));
	for (; *answer; answer++) {
		if (*answer == 'Z')
			msg_ready(&bytes, 'I');
		else if (*answer == 'I')
			buf_add(&bytes, "I\0\0\0\4", 5);
		else
			msg_report(&bytes, 'E', "ERROR", "57014", "canceled", NULL, NULL);
	}
	ck_assert_int_eq(progress_filter(&t.whole, buf_data(&bytes), bytes.len, &got), 0);
	ck_assert_uint_eq(got.len, for_client * 6);
	ck_assert(progress_at_rest(&t.whole) && !t.whole.unsure);
	progress_renew(&t.whole);
	ck_assert_ptr_null(progress_remains(&t.whole));
	buf_clear(&question);
	buf_clear(&bytes);
	buf_clear(&got);
	talk_clear(&t);
}

START_TEST(a_question_tells_that_no_more_syncs_are_answered)
{
	asked(">PBESdcS 1 2 G E ZI", "IZ", 0);
	asked(">PBESdcS 1 2 G E ZI", "ZIZ", 1);
	asked(">PBESSdSc 1 2 G E ZI", "IZ", 0);
	asked(">PBESSdSc 1 2 G E ZI", "ZZIZ", 2);
	asked(">QS G E ZI", "ZIZ", 1);
	asked(">QS G E ZI", "EZ", 0); /* a late cancel */
	asked(">QS G E ZI", "ZEZ", 1);
}
END_TEST

START_TEST(an_error_that_nothing_is_due_for_is_of_a_message_that_counts_nothing)
{
	becomes(">Q G >dQPBEH E ZI E ZI 1 2 C", "-0x");
	becomes(">Q G >dQPBEH E ZI E ZI 1 2 C E", "-0xku"); /* of a Flush with a body */
	becomes(">Q G >dQPBEH E ZI E ZI 1 2 C E >S ZI", "I0u");
	becomes(">Q C ZI E", "I0");
}
END_TEST

START_TEST(copy_out)
{
	becomes(">Q H", "-1o");
	becomes(">Q H d d", "-1o");
	becomes(">Q H d c C ZI", "I0");
	becomes(">Q H d E ZI", "I0");
	becomes(">PBES 1 2 H d c C ZI", "I0");
	becomes(">PBES 1 2 H d E ZI", "I0");
	becomes(">PBES 1 2 H >S d c C ZI ZI", "I0");
}
END_TEST

START_TEST(async_messages_change_nothing)
{
	becomes("N A S", "I0");
	becomes(">PBDES N 1 S 2 A T N D S C A ZI N", "I0");
	becomes(">PBES E N S A", "-1");
	becomes(">Q G N S A", "-1i");
	becomes(">Q N G >dc S C A ZI", "I0");
}
END_TEST

START_TEST(what_makes_no_sense_does_no_harm)
{
	becomes("ZI ZT", "T0");
	becomes("1 2 C E ZE", "E0");
	becomes(">PBE ZI", "-0x");
	becomes(">PBES ZI", "I0");
	becomes("G C", "I0");
	becomes(">Q 1 2 3 C C C ZI", "I0");
}
END_TEST

START_TEST(the_last_error_is_kept)
{
	struct talk t;

	talk_init(&t);
	talk(&t, ">Q E");
	ck_assert_str_eq(t.whole.error, "22012");
	ck_assert(!t.whole.fatal);
	progress_forget_error(&t.whole);
	progress_forget_error(&t.bytes);
	progress_forget_error(&t.cuts);
	talk(&t, "ZI >Q N C ZI");
	ck_assert_str_eq(t.whole.error, "");
	talk(&t, "E!");
	ck_assert_str_eq(t.whole.error, "57P01");
	ck_assert(t.whole.fatal);
	progress_forget_error(&t.whole);
	ck_assert(!t.whole.fatal);
	talk_clear(&t);
}
END_TEST

START_TEST(a_half_message_is_not_rest)
{
	static const uint8_t half[] = {'S', 0, 0, 0, 20, 'x'}, rest[15] = "";
	struct talk t;

	talk_init(&t);
	hear(&t, half, sizeof half);
	ck_assert(!progress_at_rest(&t.whole));
	ck_assert_uint_eq(t.whole.from_left, 15);
	hear(&t, rest, sizeof rest);
	ck_assert(progress_at_rest(&t.whole));
	hear(&t, half, 3);
	ck_assert(!progress_at_rest(&t.whole));
	t.whole.from_have = 0;
	ck_assert(progress_at_rest(&t.whole));
	t.whole.to_left = 1;
	ck_assert(!progress_at_rest(&t.whole));
	talk_clear(&t);
}
END_TEST

START_TEST(impossible_lengths_are_refused)
{
	static const uint8_t lengths[][4] = {
	    {0, 0, 0, 0}, {0, 0, 0, 3}, {0xff, 0xff, 0xff, 0xff}, {0x80, 0, 0, 0}, {0x40, 0, 0, 4}};

	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		uint8_t m[6] = {'C'};
		struct progress p;
		int r = 0;

		memcpy(m + 1, lengths[i], 4);
		progress_init(&p);
		ck_assert_int_eq(progress_received(&p, m, sizeof m), -E_SYNTAX);
		progress_clear(&p);
		progress_init(&p);
		for (size_t j = 0; j < sizeof m && r == 0; j++)
			r = progress_received(&p, m + j, 1);
		ck_assert_int_eq(r, -E_SYNTAX);
		progress_clear(&p);
	}
}
END_TEST

/* A longest body, and one longer than what is peeked at, cost nothing and lose nothing. */
START_TEST(long_bodies_pass)
{
	static uint8_t data[70000];
	struct progress p;
	struct buf b;
	char text[4000];

	progress_init(&p);
	progress_sent(&p, 'Q');
	ck_assert_int_eq(progress_received(&p, (const uint8_t *)"D\x3f\xff\xff\xff", 5), 0);
	for (uint32_t left = 0x3fffffff - 4; left > 0;) {
		size_t n = left < sizeof data ? left : sizeof data;

		ck_assert_int_eq(progress_received(&p, data, n), 0);
		left -= (uint32_t)n;
	}
	ck_assert_uint_eq(p.from_have, 0);
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = 0;
	buf_init(&b, BYTES_MAX);
	msg_report(&b, 'E', "ERROR", "42P01", text, text, text);
	msg_ready(&b, 'I');
	for (size_t i = 0; i < b.len; i++)
		ck_assert_int_eq(progress_received(&p, buf_data(&b) + i, 1), 0);
	ck_assert_str_eq(p.error, "42P01");
	ck_assert(progress_at_rest(&p));
	buf_clear(&b);
	progress_clear(&p);
}
END_TEST

/* Of what comes in pieces, as much as is peeked at, and no half character. */
/* ---- answers that are looked at ---- */

struct looked {
	char types[8];
	size_t bytes;
};

static void
looked(void *arg, char type, const uint8_t *body, size_t bytes)
{
	struct looked *l = arg;

	l->types[strlen(l->types)] = body ? type : '?';
	l->bytes += bytes;
}

static void
looked_ended(void *arg, uint32_t n, enum progress_end end)
{
	ck_assert_uint_eq(n, 1);
	ck_assert_int_eq(end, PROGRESS_DONE);
}

/* A Describe of ours between two of the client's: however its answers come, they are shown whole,
 * and the client gets its own. */
START_TEST(a_describe_of_ours_is_shown)
{
	static const char columns[] = "\0\1name\0\0\0\0\0\0\0\0\0\0\x17\0\4\xff\xff\xff\xff\0";
	struct buf answers, out;
	struct looked l;
	struct progress p;

	buf_init(&answers, 1000);
	buf_init(&out, 1000);
	for (size_t step = 1; step < 90; step++) {
		memset(&l, 0, sizeof l);
		buf_reset(&answers);
		buf_reset(&out);
		progress_init(&p);
		p.tracked = looked_ended;
		p.described = looked;
		p.tracked_arg = &l;
		progress_sent(&p, 'D');
		progress_sent_as(&p, PROGRESS_OWN | PROGRESS_TRACKED | PROGRESS_LOOK);
		progress_sent(&p, 'D');
		for (int i = 0; i < 3; i++) {
			size_t at = msg_begin(&answers, 't');

			buf_add_u16(&answers, 0);
			msg_end(&answers, at);
			at = msg_begin(&answers, 'T');
			buf_add(&answers, columns, sizeof columns);
			msg_end(&answers, at);
		}
		for (size_t at = 0; at < answers.len; at += step) {
			size_t n = answers.len - at < step ? answers.len - at : step;

			ck_assert_int_eq(progress_filter(&p, buf_data(&answers) + at, n, &out), 0);
		}
		ck_assert_str_eq(l.types, "tT");
		ck_assert_uint_eq(l.bytes, 2 + sizeof columns);
		ck_assert_uint_eq(out.len, answers.len / 3 * 2);
		ck_assert_uint_eq(p.runs_count, 0);
		ck_assert_uint_eq(p.own, 0);
		progress_clear(&p);
	}
	buf_clear(&answers);
	buf_clear(&out);
}
END_TEST

/* Of one that is too long only that is told. */
START_TEST(a_long_answer_is_not_kept)
{
	static const uint8_t header[] = {'T', 0, 0x20, 0, 4};
	static uint8_t body[0x200000];
	struct looked l = {.bytes = 0};
	struct progress p;

	progress_init(&p);
	p.tracked = looked_ended;
	p.described = looked;
	p.tracked_arg = &l;
	progress_sent_as(&p, PROGRESS_OWN | PROGRESS_TRACKED | PROGRESS_LOOK);
	progress_received(&p, header, sizeof header);
	progress_received(&p, body, sizeof body / 2);
	progress_received(&p, body, sizeof body / 2);
	ck_assert_str_eq(l.types, "?");
	ck_assert_uint_eq(p.runs_count, 0);
	progress_clear(&p);
}
END_TEST

/* The client has been told already: it gets nothing, and the server skips. */
START_TEST(a_quiet_failure)
{
	struct progress p;
	struct buf in, out;

	progress_init(&p);
	buf_init(&in, 1000);
	buf_init(&out, 1000);
	progress_sent_as(&p, PROGRESS_OWN | PROGRESS_QUIET);
	progress_sent(&p, 'E');
	progress_sent(&p, 'S');
	msg_report(&in, 'N', "NOTICE", "00000", "yes", NULL, NULL);
	msg_report(&in, 'E', "ERROR", "26000", "no", NULL, NULL);
	msg_ready(&in, 'I');
	progress_filter(&p, buf_data(&in), in.len, &out);
	ck_assert_uint_eq(*buf_data(&out), 'N');
	ck_assert_ptr_null(memmem(buf_data(&out), out.len, "26000", 5));
	ck_assert_int_eq(buf_data(&out)[out.len - 6], 'Z');
	ck_assert(progress_at_rest(&p));
	progress_clear(&p);
	buf_clear(&in);
	buf_clear(&out);
}
END_TEST

START_TEST(the_text_of_an_error)
{
	for (size_t pad = 0; pad < 4; pad++) {
		char text[200] = "";
		struct progress p;
		struct buf b;

		memset(text, 'x', pad);
		while (strlen(text) < 150)
			strcat(text, "\u20ac");
		buf_init(&b, BYTES_MAX);
		msg_report(&b, 'E', "ERROR", "42P01", text, NULL, NULL);
		progress_init(&p);
		ck_assert_int_eq(progress_received(&p, buf_data(&b), b.len), 0);
		ck_assert_str_eq(p.error, "42P01");
		ck_assert_ptr_null(p.error_text);
		p.texts = true;
		ck_assert_int_eq(progress_received(&p, buf_data(&b), b.len), 0);
		ck_assert_str_eq(p.error_text, text);
		progress_forget_error(&p);
		ck_assert_ptr_null(p.error_text);
		for (size_t i = 0; i < b.len; i++)
			ck_assert_int_eq(progress_received(&p, buf_data(&b) + i, 1), 0);
		ck_assert_uint_gt(strlen(p.error_text), 90);
		ck_assert_uint_eq(strlen(p.error_text) % 3, pad % 3);
		ck_assert_int_eq(strncmp(p.error_text, text, strlen(p.error_text)), 0);
		ck_assert_int_eq(p.error_text[strlen(p.error_text) - 1], "\u20ac"[2]);
		buf_clear(&b);
		progress_clear(&p);
	}
}
END_TEST

/* ---- ParameterStatus ---- */

static void
note_status(void *arg, const char *name, const char *value)
{
	char *said = arg;

	snprintf(said + strlen(said), 256 - strlen(said), "%s=%.20s;", name, value ? value : "?");
}

START_TEST(parameter_status_is_told_however_it_is_cut)
{
	char *huge = mem_calloc(1, STATUS_MAX + 1);
	struct buf b;

	memset(huge, 'x', STATUS_MAX);
	buf_init(&b, BYTES_MAX);
	msg_ready(&b, 'I');
	msg_parameter_status(&b, "TimeZone", "Asia/Tokyo");
	msg_parameter_status(&b, "application_name", "");
	msg_parameter_status(&b, "search_path", huge);
	backend_message(&b, 'S', NULL);
	backend_message(&b, 'S', "one string");
	msg_parameter_status(&b, "DateStyle", "ISO, MDY");
	msg_ready(&b, 'I');
	for (size_t piece = 1; piece <= b.len; piece = piece < 40 ? piece + 1 : 3 * piece) {
		struct progress p;
		char said[256] = "";

		progress_init(&p);
		p.told = note_status;
		p.told_arg = said;
		for (size_t at = 0; at < b.len; at += piece)
			ck_assert_int_eq(progress_received(&p, buf_data(&b) + at,
							   b.len - at < piece ? b.len - at : piece),
					 0);
		ck_assert_str_eq(said, "TimeZone=Asia/Tokyo;application_name=;search_path=?;"
				       "DateStyle=ISO, MDY;");
		ck_assert_uint_eq(p.status_body.len, 0);
		progress_clear(&p);
	}
	buf_clear(&b);
	free(huge);
}
END_TEST

/* ---- notifications ---- */

static void
add_notification(struct buf *b, uint32_t pid, const char *channel)
{
	size_t at = msg_begin(b, 'A');

	buf_add_u32(b, pid);
	buf_add_str(b, channel);
	buf_add_str(b, "payload");
	msg_end(b, at);
}

START_TEST(the_own_pid_is_given_as_another_however_it_is_cut)
{
	static const uint32_t pids[] = {4242, 4243, 4242, 0x109200, 4242};
	struct buf came, wanted;

	buf_init(&came, BYTES_MAX);
	buf_init(&wanted, BYTES_MAX);
	for (int i = 0; i < 5; i++) {
		add_notification(&came, pids[i], "x");
		add_notification(&wanted, pids[i] == 4242 ? 0x40abcd : pids[i], "x");
		backend_message(&came, 'D', "row");
		backend_message(&wanted, 'D', "row");
	}
	msg_ready(&came, 'I');
	msg_ready(&wanted, 'I');
	for (int round = 0; round < 2000; round++) {
		struct progress p;
		struct buf got;

		progress_init(&p);
		p.own_pid = 4242;
		p.given_pid = 0x40abcd;
		buf_init(&got, BYTES_MAX);
		for (size_t at = 0; at < came.len;) {
			size_t n = 1 + backend_random(&seed, round % 2 ? 4 : 40);
			uint8_t part[64];

			if (n > came.len - at)
				n = came.len - at;
			memcpy(part, buf_data(&came) + at, n);
			at += n;
			if (progress_filters(&p)) {
				ck_assert_int_eq(progress_filter(&p, part, n, &got), 0);
				continue;
			}
			ck_assert_int_eq(progress_received(&p, part, n), 0);
			buf_add(&got, part, n - p.pid_cut);
		}
		ck_assert_uint_eq(got.len, wanted.len);
		ck_assert_mem_eq(buf_data(&got), buf_data(&wanted), got.len);
		buf_clear(&got);
		progress_clear(&p);
	}
	buf_clear(&came);
	buf_clear(&wanted);
}
END_TEST

/* Behind the answers to messages of ours nothing is filtered: that must not show. */
START_TEST(what_stands_behind_our_own_answers_passes_however_it_is_cut)
{
	struct buf came, wanted;

	buf_init(&came, BYTES_MAX);
	buf_init(&wanted, BYTES_MAX);
	backend_message(&came, '1', NULL);
	for (int i = 0; i < 2; i++) {
		struct buf *b = i ? &wanted : &came;

		backend_message(b, '2', NULL);
		backend_message(b, 'D', "row");
		add_notification(b, i ? 0x40abcd : 4242, "x");
		msg_parameter_status(b, "TimeZone", "Asia/Tokyo");
		backend_message(b, 'D', "row");
		backend_message(b, 'C', "SELECT 2");
		msg_ready(b, 'I');
		add_notification(b, i ? 0x40abcd : 4242, "x");
	}
	for (size_t piece = 1; piece <= came.len; piece++) {
		struct progress p;
		char said[256] = "";
		struct buf got;

		progress_init(&p);
		p.own_pid = 4242;
		p.given_pid = 0x40abcd;
		p.told = note_status;
		p.told_arg = said;
		buf_init(&got, BYTES_MAX);
		progress_sent_as(&p, PROGRESS_OWN);
		progress_sent(&p, 'B');
		progress_sent(&p, 'E');
		progress_sent(&p, 'S');
		for (size_t at = 0, n; at < came.len; at += n) {
			uint8_t part[256];

			n = came.len - at < piece ? came.len - at : piece;
			memcpy(part, buf_data(&came) + at, n);
			if (progress_filters(&p)) {
				ck_assert_int_eq(progress_filter(&p, part, n, &got), 0);
				continue;
			}
			ck_assert_int_eq(progress_received(&p, part, n), 0);
			buf_add(&got, part, n - p.pid_cut);
		}
		ck_assert_str_eq(said, "TimeZone=Asia/Tokyo;");
		ck_assert_uint_eq(got.len, wanted.len);
		ck_assert_mem_eq(buf_data(&got), buf_data(&wanted), got.len);
		ck_assert(progress_at_rest(&p));
		buf_clear(&got);
		progress_clear(&p);
	}
	buf_clear(&came);
	buf_clear(&wanted);
}
END_TEST

START_TEST(garbage_never_breaks_it)
{
	for (int round = 0; round < 20000; round++) {
		struct progress p;
		struct buf out;

		progress_init(&p);
		for (int i = 0; i < 40; i++) {
			uint8_t m[16] = {0};
			size_t n = 5 + backend_random(&seed, 4);

			if (backend_random(&seed, 2)) {
				progress_sent(&p, "QFPBDECSHdcf"[backend_random(&seed, 12)]);
				continue;
			}
			m[0] = (uint8_t) "123nstTDCIEZGHWdcNASV"[backend_random(&seed, 21)];
			m[4] = (uint8_t)(n - 1);
			for (size_t j = 5; j < n; j++)
				m[j] = (uint8_t)backend_random(&seed, 256);
			if (backend_random(&seed, 8) == 0)
				m[backend_random(&seed, 9)] ^= (uint8_t)backend_random(&seed, 256);
			if (progress_received(&p, m, n) < 0)
				break;
		}
		buf_init(&out, 4096);
		progress_finish(&p, &out);
		ck_assert(!out.failed);
		buf_clear(&out);
		progress_clear(&p);
	}
}
END_TEST

START_TEST(runs_grow_to_their_limit_and_shrink_in_order)
{
	struct buf z;
	struct progress p;
	uint32_t n = 0;

	progress_init(&p);
	/* The ring wraps before it grows. */
	for (int i = 0; i < 5; i++)
		progress_sent(&p, i % 2 ? 'Q' : 'S');
	buf_init(&z, BYTES_MAX);
	msg_ready(&z, 'I');
	for (int i = 0; i < 3; i++)
		progress_received(&p, buf_data(&z), z.len);
	for (; !progress_full(&p); n++)
		progress_sent(&p, n % 2 ? 'S' : 'Q');
	ck_assert_uint_eq(p.runs_count, PROGRESS_RUNS_MAX);
	ck_assert_uint_eq(p.ready_due, n + 2);
	for (uint32_t i = 0; i < n + 2; i++) {
		ck_assert(!progress_at_rest(&p));
		progress_received(&p, buf_data(&z), z.len);
		ck_assert_uint_eq(p.ready_due, n + 1 - i);
	}
	ck_assert(progress_at_rest(&p));
	/* A pipeline of one kind is one run, however long. */
	for (int i = 0; i < 1000000; i++)
		progress_sent(&p, 'Q');
	ck_assert_uint_eq(p.runs_count, 1);
	ck_assert_uint_eq(p.ready_due, 1000000);
	buf_clear(&z);
	progress_clear(&p);
}
END_TEST

START_TEST(names)
{
	struct progress p;

	progress_init(&p);
	ck_assert_str_eq(progress_copy_name(&p), "");
	p.copy = COPY_IN;
	ck_assert_str_eq(progress_copy_name(&p), "in");
	p.copy = COPY_OUT;
	ck_assert_str_eq(progress_copy_name(&p), "out");
}
END_TEST

/* ---- random clients of a model backend ---- */

struct play {
	struct backend b;
	struct progress p;
	bool blind; /* sends what it likes; otherwise only what the server can take now */
	uint32_t seed;
	uint32_t first_seed;
	bool doubted; /* it was unsure once */
};

static void
send_message(struct play *y, char type, const char *body)
{
	size_t at = y->b.in.len;

	backend_message(&y->b.in, type, body);
	backend_tell("client", &y->b.in, at);
	progress_sent(&y->p, type);
}

static const char *
any_statement(struct play *y)
{
	static const char *const words[] = {
	    "work",   "rows",       "fail",         "begin",   "commit", "rollback",
	    "copyin", "copyin_bad", "copyin_early", "copyout", "refuse", "set",
	    "",       "work",       "rows",         "begin",   "commit", "work"};

	return words[backend_random(&y->seed, sizeof words / sizeof *words)];
}

/* One message of the client, whatever is under way. */
static void
send_any(struct play *y)
{
	char script[100] = "";

	if (!y->blind && backend_copying(&y->b)) {
		send_message(y, "dddcfHSddc"[backend_random(&y->seed, 10)], "1\n");
		return;
	}
	switch (backend_random(&y->seed, 16)) {
	case 0:
	case 1:
	case 2:
		for (uint32_t n = backend_random(&y->seed, 3); n < 3; n++) {
			const char *word = any_statement(y);

			if (*word && *script)
				strcat(script, ";");
			strcat(script, word);
		}
		send_message(y, 'Q', script);
		return;
	case 3:
		send_message(y, 'F', backend_random(&y->seed, 3) ? "ok" : "fail");
		return;
	case 4:
	case 5:
		send_message(y, 'P', backend_random(&y->seed, 12) ? any_statement(y) : "syntax");
		return;
	case 6:
	case 7:
		send_message(y, 'B', "");
		return;
	case 8:
		send_message(y, 'D', backend_random(&y->seed, 2) ? "S" : "P");
		return;
	case 9:
	case 10:
		send_message(y, 'E', backend_random(&y->seed, 2) ? "L" : "all");
		return;
	case 11:
		send_message(y, 'C', "S");
		return;
	case 12:
	case 13:
		send_message(y, 'S', NULL);
		return;
	case 14:
		send_message(y, 'H', NULL);
		return;
	default:
		if (y->blind)
			send_message(y, "dcf"[backend_random(&y->seed, 3)], "1\n");
	}
}

static void
deliver(struct play *y, size_t most)
{
	size_t n = y->b.out.len < most ? y->b.out.len : most;

	ck_assert_int_eq(progress_received(&y->p, buf_data(&y->b.out), n), 0);
	if (backend_trace && n > 0)
		fprintf(stderr, "  %zu of %u bytes: rest=%d due=%u x=%d skip=%d copy=%d%s%s\n", n,
			y->b.out.len, progress_at_rest(&y->p), y->p.ready_due, y->p.extended,
			y->p.skipping, y->p.copy, y->p.unsure ? " unsure" : "",
			y->p.marked ? " marked" : "");
	buf_drop(&y->b.out, n);
	y->doubted |= y->p.unsure;
}

static void
run(struct play *y, int messages)
{
	size_t at = y->b.out.len;

	backend_run(&y->b, messages);
	backend_tell("server", &y->b.out, at);
}

/* Everything has been read and everything that was said has come. */
static void
settle(struct play *y)
{
	run(y, -1);
	backend_flush(&y->b);
	deliver(y, SIZE_MAX);
}

static void
compare(struct play *y)
{
	const struct backend *b = &y->b;
	const struct progress *p = &y->p;
	bool rest = !b->in_query && !b->skip && !b->extended && !b->running[0];

	/* Where it cannot know, it says so. */
	if (p->unsure || b->dead)
		return;
	ck_assert_msg(progress_at_rest(p) == rest, "seed %u: at rest %d", y->first_seed, !rest);
	ck_assert_msg(p->ready_due == b->in_query, "seed %u: due %u", y->first_seed, p->ready_due);
	ck_assert_msg((p->copy == COPY_IN) == backend_copying(b), "seed %u", y->first_seed);
	ck_assert_msg(p->skipping == b->skip, "seed %u: skipping %d", y->first_seed, p->skipping);
	ck_assert_msg(p->copy_ended == false, "seed %u", y->first_seed);
	if (!b->skip && !b->in_query)
		ck_assert_msg(p->extended == b->extended, "seed %u: extended %d", y->first_seed,
			      p->extended);
	if (rest)
		ck_assert_msg(p->status == b->block, "seed %u: %c, not %c", y->first_seed,
			      p->status, b->block);
}

/* The client has gone: brings the server to rest, as cleanup does. */
static bool
finish(struct play *y)
{
	unsigned committed = backend_would_commit(&y->b);

	for (int i = 0; !y->b.dead; i++) {
		size_t at = y->b.in.len;

		if (i == 2000 && y->doubted)
			return false;
		ck_assert_msg(i < 2000, "seed %u: it does not come to rest", y->first_seed);
		progress_finish(&y->p, &y->b.in);
		if (y->p.unsure)
			progress_mark(&y->p, &y->b.in);
		if (progress_at_rest(&y->p))
			break;
		backend_tell("daemon", &y->b.in, at);
		/* Nothing but the protocol makes the server flush here. */
		run(y, (int)backend_random(&y->seed, 4));
		deliver(y, 1 + backend_random(&y->seed, 30));
	}
	/* What may be left is answered by nothing. */
	run(y, -1);
	if (y->b.dead)
		return true;
	ck_assert_msg(y->b.in.len == 0 && y->b.out.len == 0 && y->b.held.len == 0,
		      "seed %u: %u %u %u bytes", y->first_seed, y->b.in.len, y->b.out.len,
		      y->b.held.len);
	ck_assert_msg(y->b.committed <= committed, "seed %u: it committed what had no Sync",
		      y->first_seed);
	ck_assert(!y->b.skip && !y->b.extended && !y->b.in_query && !y->b.running[0]);
	ck_assert_uint_eq(y->p.ready_due, 0);
	ck_assert_int_eq(y->p.status, y->b.block);
	return true;
}

static bool
play(uint32_t with, bool blind, uint32_t *hung)
{
	struct play y = {.blind = blind, .seed = with, .first_seed = with};
	uint32_t steps = backend_random(&y.seed, 80);
	bool lived;

	backend_init(&y.b, with ^ 0x5555);
	y.b.noise = backend_random(&y.seed, 4);
	progress_init(&y.p);
	while (steps-- > 0 && !y.b.dead) {
		/* A polite client may not send ahead of a COPY that it cannot see yet. */
		if (!blind)
			run(&y, -1);
		switch (backend_random(&y.seed, 8)) {
		case 0:
			settle(&y);
			compare(&y);
			break;
		case 1:
			run(&y, 1 + (int)backend_random(&y.seed, 3));
			break;
		case 2:
			deliver(&y, backend_random(&y.seed, 40));
			break;
		default:
			send_any(&y);
		}
	}
	if (!finish(&y))
		(*hung)++;
	lived = !y.b.dead;
	backend_clear(&y.b);
	progress_clear(&y.p);
	return lived;
}

START_TEST(random_clients_leave_nothing_behind)
{
	const char *given = getenv("CHECK_ROUNDS");
	uint32_t rounds = given ? (uint32_t)atoi(given) : 100000, lived[2] = {0}, hung = 0;

	for (uint32_t i = 0; i < rounds; i++)
		lived[i % 2] += play(seed + i, (seed + i) % 2, &hung);
	if (rounds < 1000)
		return;
	/* Where there are enough to tell: most conversations must be of use, and few may end in a
	 * doubt that only closing ends. */
	ck_assert_uint_lt(hung, rounds / 100);
	ck_assert_uint_gt(lived[seed % 2], rounds / 2 * 9 / 10);
	ck_assert_uint_gt(lived[!(seed % 2)], rounds / 2 / 4);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("progress");
	TCase *t = tcase_create("progress");
	SRunner *r = srunner_create(s);
	const char *given = getenv("CHECK_SEED");
	int failed;

	backend_trace = getenv("CHECK_TRACE") != NULL;
	seed = given ? (uint32_t)strtoul(given, NULL, 10) : (uint32_t)time(NULL);
	fprintf(stderr, "check_progress: CHECK_SEED=%u\n", seed);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, simple_queries);
	tcase_add_test(t, what_is_the_clients);
	tcase_add_test(t, extended_exchanges);
	tcase_add_test(t, what_may_leave_a_transaction_half_begun);
	tcase_add_test(t, errors_skip_to_sync);
	tcase_add_test(t, copy_in_of_a_simple_query);
	tcase_add_test(t, copy_in_swallows_sync);
	tcase_add_test(t, copy_in_that_fails_leaves_a_doubt_or_none);
	tcase_add_test(t, syncs_of_a_copy_that_has_failed_are_answered_or_not);
	tcase_add_test(t, a_question_tells_that_no_more_syncs_are_answered);
	tcase_add_test(t, an_error_that_nothing_is_due_for_is_of_a_message_that_counts_nothing);
	tcase_add_test(t, copy_out);
	tcase_add_test(t, async_messages_change_nothing);
	tcase_add_test(t, what_makes_no_sense_does_no_harm);
	tcase_add_test(t, the_last_error_is_kept);
	tcase_add_test(t, a_half_message_is_not_rest);
	tcase_add_test(t, impossible_lengths_are_refused);
	tcase_add_test(t, long_bodies_pass);
	tcase_add_test(t, a_describe_of_ours_is_shown);
	tcase_add_test(t, a_long_answer_is_not_kept);
	tcase_add_test(t, a_quiet_failure);
	tcase_add_test(t, the_text_of_an_error);
	tcase_add_test(t, the_own_pid_is_given_as_another_however_it_is_cut);
	tcase_add_test(t, what_stands_behind_our_own_answers_passes_however_it_is_cut);
	tcase_add_test(t, parameter_status_is_told_however_it_is_cut);
	tcase_add_test(t, garbage_never_breaks_it);
	tcase_add_test(t, runs_grow_to_their_limit_and_shrink_in_order);
	tcase_add_test(t, names);
	tcase_add_test(t, random_clients_leave_nothing_behind);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
