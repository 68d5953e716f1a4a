/* cli/spool.c: what was appended comes back in order, without what was not written whole. */
#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/err.h"
#include "cli/spool.h"

static char directory[] = "/tmp/pgwith-check-spool-XXXXXX";

/* A spool in a directory of its own, which is empty meanwhile. */
static struct spool *
begin(void)
{
	struct spool *s;
	char path[sizeof directory + 8];

	strcpy(directory + sizeof directory - 7, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	strcpy(path, directory);
	strcat(path, "/x.db");
	s = spool_new(path);
	ck_assert_ptr_nonnull(s);
	return s;
}

static void
finish(struct spool *s)
{
	spool_free(s);
	/* Fails if anything is left in it. */
	ck_assert_int_eq(rmdir(directory), 0);
}

static void
next_is(struct spool *s, enum spool_kind want, const void *text, size_t length)
{
	enum spool_kind kind;
	const void *data;
	size_t bytes;

	ck_assert_int_eq(spool_next(s, &kind, &data, &bytes), 1);
	ck_assert_uint_eq(kind, want);
	ck_assert_uint_eq(bytes, length);
	ck_assert(memcmp(data, text, length) == 0);
	ck_assert_uint_eq(((const char *)data)[length], 0);
}

static void
no_more(struct spool *s)
{
	enum spool_kind kind;
	const void *data;
	size_t bytes;

	ck_assert_int_eq(spool_next(s, &kind, &data, &bytes), 0);
}

START_TEST(in_order)
{
	const int64_t pid = 513;
	char program[sizeof pid + 4];
	char *large = calloc(1, 100000);
	struct spool *s = begin();

	memcpy(program, &pid, sizeof pid);
	memcpy(program + sizeof pid, "psql", 4);
	ck_assert_int_eq(spool_rewind(s), 0);
	no_more(s);
	ck_assert_int_eq(spool_add_program(s, pid, "psql"), 0);
	ck_assert_int_eq(spool_add(s, SPOOL_PORTION, "a", 1), 0);
	ck_assert_int_eq(spool_add(s, SPOOL_PORTION, large, 100000), 0);
	ck_assert_int_eq(spool_add(s, SPOOL_PORTION, "", 0), 0);
	ck_assert_int_eq(spool_rewind(s), 0);
	next_is(s, SPOOL_PROGRAM, program, sizeof program);
	next_is(s, SPOOL_PORTION, "a", 1);
	next_is(s, SPOOL_PORTION, large, 100000);
	next_is(s, SPOOL_PORTION, "", 0);
	no_more(s);
	free(large);
	finish(s);
}
END_TEST

/* The disk is full, and has room again when the spool is read. */
START_TEST(a_full_disk)
{
	struct rlimit before, little;
	struct spool *s = begin();
	char data[3000];

	memset(data, 0xff, sizeof data);
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
	little = before;
	little.rlim_cur = 5000;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &little), 0);
	ck_assert_int_eq(spool_add(s, SPOOL_PORTION, data, sizeof data), 0);
	ck_assert_int_eq(spool_add_program(s, 513, "psql"), 0);
	ck_assert_int_eq(spool_add(s, SPOOL_PORTION, data, sizeof data), -E_IO);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
	ck_assert_int_eq(spool_rewind(s), 0);
	next_is(s, SPOOL_PORTION, data, sizeof data);
	no_more(s);
	finish(s);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("spool");
	Suite *s = suite_create("spool");
	SRunner *r = srunner_create(s);

	suite_add_tcase(s, t);
	tcase_add_test(t, in_order);
	tcase_add_test(t, a_full_disk);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
