#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"

/* stderr goes into a file while a test looks at it. */
static FILE *file;
static int kept = -1;
static char text[20000];

static void
capture(void)
{
	file = tmpfile();
	ck_assert_ptr_nonnull(file);
	kept = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	dup2(fileno(file), STDERR_FILENO);
}

static void
release(void)
{
	dup2(kept, STDERR_FILENO);
	close(kept);
	fclose(file);
	unsetenv("JOURNAL_STREAM");
	log_init("test", LOG_INFO);
}

/* What has been written since the last look. */
static const char *
written(void)
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
lines(const char *s)
{
	unsigned n = 0;

	for (; *s; s++)
		n += *s == '\n';
	return n;
}

START_TEST(levels_are_obeyed)
{
	log_init("prog", LOG_WARN);
	log_debug("d");
	log_info("i");
	ck_assert_str_eq(written(), "");
	log_warnx("w=%d", 5);
	ck_assert_ptr_nonnull(strstr(written(), " warn w=5\n"));
	log_error("e");
	ck_assert_ptr_nonnull(strstr(written(), " error e\n"));
	log_set_level(LOG_DEBUG);
	ck_assert(log_debugging());
	log_debug("d");
	log_info("i");
	ck_assert_uint_eq(lines(written()), 2);
	log_set_level(LOG_ERROR);
	ck_assert(!log_debugging());
	log_warn("w");
	ck_assert_str_eq(written(), "");
}
END_TEST

START_TEST(a_line_has_its_parts)
{
	unsigned year, month, day, hour, minute, second, ms;
	char program[20], level[20], rest[50];
	int pid;

	log_init("prog", LOG_INFO);
	log_info("session 42: wait ended why=%s", "timeout");
	ck_assert_int_eq(sscanf(written(), "%u-%u-%u %u:%u:%u.%3u %19[^[][%d] %19s %49[^\n]", &year,
				&month, &day, &hour, &minute, &second, &ms, program, &pid, level,
				rest),
			 11);
	ck_assert_str_eq(program, "prog");
	ck_assert_int_eq(pid, getpid());
	ck_assert_str_eq(level, "info");
	ck_assert_str_eq(rest, "session 42: wait ended why=timeout");
}
END_TEST

START_TEST(errno_is_told_and_kept)
{
	log_init("prog", LOG_INFO);
	errno = ENOENT;
	log_warn("open");
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_ptr_nonnull(strstr(written(), " warn open: No such file or directory\n"));
	log_warnx("open");
	ck_assert_ptr_nonnull(strstr(written(), " warn open\n"));
	close(-1);
	log_debug("nothing");
	ck_assert_int_eq(errno, EBADF);
}
END_TEST

START_TEST(lines_cannot_be_forged)
{
	char all[256], long_text[9000];
	const char *got;

	for (int i = 1; i < 256; i++)
		all[i - 1] = (char)i;
	all[255] = 0;
	log_init("prog", LOG_INFO);
	log_info("user=%s", all);
	log_info("user=%s", "x\r\n2024-01-01 00:00:00.000 prog[1] error forged\033[2J");
	got = written();
	ck_assert_uint_eq(lines(got), 2);
	for (; *got; got++)
		ck_assert(*got == '\n' || ((unsigned char)*got >= 0x20 && *got != 0x7f));
	/* Nor by length: one line, ended. */
	memset(long_text, 'a', sizeof long_text - 1);
	long_text[sizeof long_text - 1] = 0;
	errno = ENOENT;
	log_warn("%s", long_text);
	got = written();
	ck_assert_uint_eq(lines(got), 1);
	ck_assert_int_eq(got[strlen(got) - 1], '\n');
	ck_assert_uint_lt(strlen(got), 2100);
	memset(long_text + 1900, 0, 1);
	log_init(long_text, LOG_INFO);
	log_warn("%s", long_text);
	got = written();
	ck_assert_uint_eq(lines(got), 1);
	ck_assert_int_eq(got[strlen(got) - 1], '\n');
}
END_TEST

START_TEST(the_journal_gets_priorities)
{
	char stream[60];
	struct stat st;

	ck_assert_int_eq(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_init("prog", LOG_DEBUG);
	log_debug("d");
	log_info("i");
	log_warnx("w");
	log_error("e");
	ck_assert_str_eq(written(), "<7>d\n<6>i\n<4>w\n<3>e\n");
	/* Inherited, but stderr is another file. */
	snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino + 1);
	setenv("JOURNAL_STREAM", stream, 1);
	log_init("prog", LOG_DEBUG);
	log_info("i");
	ck_assert_ptr_nonnull(strstr(written(), " info i\n"));
	setenv("JOURNAL_STREAM", "nonsense", 1);
	log_init("prog", LOG_DEBUG);
	log_info("i");
	ck_assert_ptr_nonnull(strstr(written(), " info i\n"));
}
END_TEST

START_TEST(level_names_are_read)
{
	enum log_level level = LOG_INFO;

	for (enum log_level l = LOG_DEBUG; l <= LOG_ERROR; l++) {
		ck_assert(log_level_parse(log_level_name(l), &level));
		ck_assert_int_eq(level, l);
	}
	ck_assert(log_level_parse("WARN", &level));
	ck_assert_int_eq(level, LOG_WARN);
	ck_assert(!log_level_parse("", &level));
	ck_assert(!log_level_parse("warning", &level));
	ck_assert(!log_level_parse("inf", &level));
	ck_assert_int_eq(level, LOG_WARN);
}
END_TEST

START_TEST(fatal_ends_with_status_1)
{
	int status;
	pid_t pid;

	log_init("prog", LOG_INFO);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		log_fatal("out of %s", "memory");
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	ck_assert_ptr_nonnull(strstr(written(), " error out of memory\n"));
}
END_TEST

START_TEST(the_limiter_counts_what_it_holds_back)
{
	struct log_limit l = {0};
	unsigned held = 99, passed = 0, held_sum = 0, asked = 0;

	/* Within one second of the clock, 3 pass; when it turns in between, it is another 3. Every
	 * line is either passed, or counted as held. */
	for (; asked < 1000; asked++) {
		if (!log_allowed(&l, 3, &held))
			continue;
		passed++;
		held_sum += held;
		if (passed == 1)
			ck_assert_uint_eq(held, 0);
	}
	ck_assert_uint_ge(passed, 3);
	ck_assert_uint_eq(passed % 3, 0);
	ck_assert_uint_eq(passed + held_sum + l.held, asked);
	ck_assert_uint_gt(l.held, 0);
	/* A second later (the window is set back, instead of a wait) they pass again. */
	l.window_s--;
	held_sum = l.held;
	ck_assert(log_allowed(&l, 3, &held));
	ck_assert_uint_eq(held, held_sum);
	ck_assert_uint_eq(l.held, 0);
	ck_assert(!log_allowed(&l, 0, &held));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("log");
	TCase *t = tcase_create("log");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, capture, release);
	tcase_add_test(t, levels_are_obeyed);
	tcase_add_test(t, a_line_has_its_parts);
	tcase_add_test(t, errno_is_told_and_kept);
	tcase_add_test(t, lines_cannot_be_forged);
	tcase_add_test(t, the_journal_gets_priorities);
	tcase_add_test(t, level_names_are_read);
	tcase_add_test(t, fatal_ends_with_status_1);
	tcase_add_test(t, the_limiter_counts_what_it_holds_back);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
