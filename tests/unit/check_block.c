/* The machine of a transaction that no server knows of: every move, legal and illegal. */
#include <check.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/pack.h"
#include "session/block.h"

/* moves[from][to]: 'x' may be made. */
static const char *const moves[BLOCK_NSTATES] = {
    /* clang-format off */
    /*                        none, begun, failed, expired, parsed, bound, both */
    [BLOCK_NONE]           = ".x.x...",
    [BLOCK_BEGUN]          = "x.xx...",
    [BLOCK_FAILED]         = "x......",
    [BLOCK_EXPIRED]        = "x...xx.",
    [BLOCK_EXPIRED_PARSED] = "x..x..x",
    [BLOCK_EXPIRED_BOUND]  = "x..xx..",
    [BLOCK_EXPIRED_BOTH]   = "x..xxx.",
    /* clang-format on */
};

static struct block
in(enum block_state state)
{
	struct block b;

	block_init(&b);
	b.state = state;
	return b;
}

/* How a process ends that runs this: its status, or -1 if a signal ended it. */
static int
status_of(void (*run)(struct block *, int), struct block *b, int arg)
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		run(b, arg);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
move(struct block *b, int to)
{
	block_set_state(b, 7, (enum block_state)to);
	if (b->state != (enum block_state)to)
		_exit(2);
}

static void
expire(struct block *b, int why)
{
	block_expire(b, 7, (enum err_id)why);
}

static void
set_end(struct block *b, int what)
{
	block_set_end(b, 7, what & 1, what & 2);
}

START_TEST(moves_are_those_of_the_table)
{
	for (int to = 0; to < BLOCK_NSTATES; to++) {
		struct block b = in((enum block_state)_i);
		int status = status_of(move, &b, to), expected = moves[_i][to] == 'x' ? 0 : 1;

		ck_assert_msg(status == expected, "%s -> %s: ended with %d, not with %d",
			      block_state_name((enum block_state)_i),
			      block_state_name((enum block_state)to), status, expected);
	}
}
END_TEST

START_TEST(what_a_state_says)
{
	/* status, expired, parsed, bound */
	static const struct {
		char status;
		bool expired, parsed, bound;
	} says[BLOCK_NSTATES] = {
	    [BLOCK_NONE] = {'I', false, false, false},
	    [BLOCK_BEGUN] = {'T', false, false, false},
	    [BLOCK_FAILED] = {'E', false, false, false},
	    [BLOCK_EXPIRED] = {'E', true, false, false},
	    [BLOCK_EXPIRED_PARSED] = {'E', true, true, false},
	    [BLOCK_EXPIRED_BOUND] = {'E', true, false, true},
	    [BLOCK_EXPIRED_BOTH] = {'E', true, true, true},
	};
	struct block b = in((enum block_state)_i);

	ck_assert_int_eq(block_status(&b), says[_i].status);
	ck_assert_int_eq(block_is_expired(&b), says[_i].expired);
	ck_assert_int_eq(block_has_end_parsed(&b), says[_i].parsed);
	ck_assert_int_eq(block_has_end_bound(&b), says[_i].bound);
}
END_TEST

START_TEST(begins_as_none)
{
	struct block b;

	block_init(&b);
	ck_assert_int_eq(b.state, BLOCK_NONE);
}
END_TEST

/* Only what is there, or was, can expire: not what has failed, and nothing twice. */
START_TEST(expires)
{
	struct block b = in((enum block_state)_i);

	if (_i != BLOCK_NONE && _i != BLOCK_BEGUN) {
		ck_assert_int_eq(status_of(expire, &b, ERR_SCOPE_IDLE), 1);
		return;
	}
	block_expire(&b, 7, ERR_SCOPE_IDLE);
	ck_assert_int_eq(b.state, BLOCK_EXPIRED);
	ck_assert_uint_eq(b.expired_by, ERR_SCOPE_IDLE);
}
END_TEST

/* Parsed and bound come and go one by one; to be told the same once more is no move. */
START_TEST(its_end_in_the_extended_protocol)
{
	struct block b = in((enum block_state)_i);

	if (!block_is_expired(&b)) {
		/* From none and begun the way is by expired. */
		for (int what = 1; what < 4; what++)
			ck_assert_int_eq(status_of(set_end, &b, what), 1);
		return;
	}
	block_set_end(&b, 7, block_has_end_parsed(&b), block_has_end_bound(&b));
	ck_assert_int_eq(b.state, _i);
	/* Sync, and Close of the portal */
	block_set_end(&b, 7, block_has_end_parsed(&b), false);
	ck_assert(!block_has_end_bound(&b));
	/* Bind */
	b.state = (enum block_state)_i;
	if (_i != BLOCK_EXPIRED) {
		block_set_end(&b, 7, block_has_end_parsed(&b), true);
		ck_assert(block_has_end_bound(&b));
	}
	/* Close of the statement */
	b.state = (enum block_state)_i;
	block_set_end(&b, 7, false, block_has_end_bound(&b));
	ck_assert(!block_has_end_parsed(&b));
	/* Parse: the portal of the one before has gone */
	b.state = (enum block_state)_i;
	block_set_end(&b, 7, true, false);
	ck_assert_int_eq(b.state, BLOCK_EXPIRED_PARSED);
	/* Query */
	b.state = (enum block_state)_i;
	block_set_end(&b, 7, false, false);
	ck_assert_int_eq(b.state, BLOCK_EXPIRED);
	/* Execute */
	b.state = (enum block_state)_i;
	block_set_state(&b, 7, BLOCK_NONE);
	ck_assert_int_eq(b.state, BLOCK_NONE);
}
END_TEST

/* A Bind of a named statement binds without the unnamed one. */
START_TEST(binds_one_with_a_name)
{
	struct block b = in(BLOCK_EXPIRED);

	block_set_end(&b, 7, false, true);
	ck_assert_int_eq(b.state, BLOCK_EXPIRED_BOUND);
	block_set_end(&b, 7, true, false);
	block_set_end(&b, 7, true, true);
	ck_assert_int_eq(b.state, BLOCK_EXPIRED_BOTH);
}
END_TEST

/* A state that this program does not have is refused. */
START_TEST(is_handed_over)
{
	struct block from = in(BLOCK_EXPIRED_BOTH), to = in(BLOCK_NONE);
	struct pack p;
	struct buf all;

	from.expired_by = ERR_SCOPE_KILLED;
	buf_init(&all, 1024);
	pack_writer(&p, &all);
	block_pack(&p, &from);
	pack_reader(&p, buf_data(&all), all.len);
	block_pack(&p, &to);
	ck_assert(!p.failed);
	ck_assert_uint_eq(p.left, 0);
	ck_assert_int_eq(to.state, BLOCK_EXPIRED_BOTH);
	ck_assert_uint_eq(to.expired_by, ERR_SCOPE_KILLED);

	buf_reset(&all);
	from.state = BLOCK_NSTATES;
	pack_writer(&p, &all);
	block_pack(&p, &from);
	pack_reader(&p, buf_data(&all), all.len);
	block_pack(&p, &to);
	ck_assert(p.failed);
	ck_assert_int_eq(to.state, BLOCK_NONE);
	buf_clear(&all);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("block");
	TCase *t = tcase_create("block");
	SRunner *r;
	int failed;

	log_init("check_block", LOG_ERROR);
	tcase_add_loop_test(t, moves_are_those_of_the_table, 0, BLOCK_NSTATES);
	tcase_add_loop_test(t, what_a_state_says, 0, BLOCK_NSTATES);
	tcase_add_test(t, begins_as_none);
	tcase_add_loop_test(t, expires, 0, BLOCK_EXPIRED + 1);
	tcase_add_loop_test(t, its_end_in_the_extended_protocol, 0, BLOCK_NSTATES);
	tcase_add_test(t, binds_one_with_a_name);
	tcase_add_test(t, is_handed_over);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
