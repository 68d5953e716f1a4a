/* loops: the loop of a unit test: by io_uring if PGWITH_TEST_IO=uring is in the environment. */
#ifndef PGWITH_TESTS_LOOPS_H
#define PGWITH_TESTS_LOOPS_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "loop/loop.h"

static inline struct loop *
loops_new(void)
{
	const char *io = getenv("PGWITH_TEST_IO");
	struct loop *l = loop_new();
	char why[200];

	if (io && strcmp(io, "uring") == 0)
		ck_assert_msg(loop_use_ring(l, why, sizeof why), "no io_uring: %s", why);
	return l;
}

#endif
