#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

/* stderr goes into a file while a test looks at it. */
static FILE *file;
static int kept = -1;
static char text[40000];

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
	int evaluated = 0;

	log_init("prog", LOG_WARN);
	log_debug("", LOG_ALONE, "d");
	log_info("", LOG_ALONE, "i");
	ck_assert_str_eq(written(), "");
	log_warnx("", LOG_ALONE, "", LOG_NUMBER("w", 5));
	ck_assert_ptr_nonnull(strstr(written(), " warn w=5\n"));
	log_error("", LOG_ALONE, "e");
	ck_assert_ptr_nonnull(strstr(written(), " error e\n"));
	log_set_level(LOG_DEBUG);
	log_debug("", LOG_ALONE, "d");
	log_info("", LOG_ALONE, "i");
	ck_assert_uint_eq(lines(written()), 2);
	log_set_level(LOG_ERROR);
	log_warn("", LOG_ALONE, "w", LOG_NUMBER("n", ++evaluated));
	ck_assert_str_eq(written(), "");
	ck_assert_int_eq(evaluated, 0);
	log_error("", LOG_ALONE, "e", LOG_NUMBER("n", ++evaluated));
	ck_assert_ptr_nonnull(strstr(written(), " error e n=1\n"));
}
END_TEST

START_TEST(a_line_has_its_parts)
{
	unsigned year, month, day, hour, minute, second, ms;
	char program[20], level[20], rest[50];
	int pid;

	log_init("prog", LOG_INFO);
	log_info("session", 42, "wait ended", LOG_TEXT("why", "timeout"));
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
	log_warn("", LOG_ALONE, "open");
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_ptr_nonnull(strstr(written(), " warn open: No such file or directory\n"));
	log_warnx("", LOG_ALONE, "open");
	ck_assert_ptr_nonnull(strstr(written(), " warn open\n"));
	close(-1);
	log_debug("", LOG_ALONE, "nothing");
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
	log_info("", LOG_ALONE, "", LOG_TEXT("user", all));
	log_info("", LOG_ALONE, "",
		 LOG_TEXT("user", "x\r\n2024-01-01 00:00:00.000 prog[1] error forged\033[2J"));
	got = written();
	ck_assert_uint_eq(lines(got), 2);
	for (; *got; got++)
		ck_assert(*got == '\n' || ((unsigned char)*got >= 0x20 && *got != 0x7f));
	/* Nor by length: one line, ended. */
	memset(long_text, 'a', sizeof long_text - 1);
	long_text[sizeof long_text - 1] = 0;
	errno = ENOENT;
	log_warn("", LOG_ALONE, "", LOG_WORD(long_text));
	got = written();
	ck_assert_uint_eq(lines(got), 1);
	ck_assert_int_eq(got[strlen(got) - 1], '\n');
	ck_assert_uint_lt(strlen(got), 4000);
	memset(long_text + 1900, 0, 1);
	log_init(long_text, LOG_INFO);
	log_warn("", LOG_ALONE, "", LOG_WORD(long_text));
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
	log_debug("", LOG_ALONE, "d");
	log_info("", LOG_ALONE, "i");
	log_warnx("", LOG_ALONE, "w");
	log_error("", LOG_ALONE, "e");
	ck_assert_str_eq(written(), "<7>d\n<6>i\n<4>w\n<3>e\n");
	/* Inherited, but stderr is another file. */
	snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino + 1);
	setenv("JOURNAL_STREAM", stream, 1);
	log_init("prog", LOG_DEBUG);
	log_info("", LOG_ALONE, "i");
	ck_assert_ptr_nonnull(strstr(written(), " info i\n"));
	setenv("JOURNAL_STREAM", "nonsense", 1);
	log_init("prog", LOG_DEBUG);
	log_info("", LOG_ALONE, "i");
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
		log_fatal("", LOG_ALONE, "out of", LOG_WORD("memory"));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	ck_assert_ptr_nonnull(strstr(written(), " error out of memory\n"));
}
END_TEST

static void
exit_with_7(void)
{
	_exit(7);
}

START_TEST(fatal_calls_the_program_first)
{
	int status;
	pid_t pid;

	log_init("prog", LOG_INFO);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		log_before_fatal(exit_with_7);
		log_fatal("", LOG_ALONE, "out of", LOG_WORD("memory"));
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}
END_TEST

/* What a line says behind its time and level. */
static const char *
said(void)
{
	static char out[4096];
	const char *at = strstr(written(), " info ");

	ck_assert_ptr_nonnull(at);
	snprintf(out, sizeof out, "%s", at + 6);
	out[strcspn(out, "\n")] = 0;
	return out;
}

START_TEST(values_are_quoted_where_they_need_it)
{
	const char *nothing = NULL;

	log_init("prog", LOG_INFO);
	log_info("session", 12ULL, "in", LOG_TEXT("pool", "orders"), LOG_TEXT("role", "app"),
		 LOG_NUMBER("uid", 7U));
	ck_assert_str_eq(said(), "session 12: in pool=orders role=app uid=7");
	log_info("session", 1U, "in", LOG_TEXT("role", "a b=c uid=0"), LOG_TEXT("why", ""));
	ck_assert_str_eq(said(), "session 1: in role=\"a b=c uid=0\" why=");
	log_info("session", 1U, "in", LOG_TEXT("role", "say \"x\\"), LOG_QUOTED("why", "gone"),
		 LOG_NUMBER("n", -4));
	ck_assert_str_eq(said(), "session 1: in role=\"say \\\"x\\\\\" why=\"gone\" n=-4");
	log_info("x", LOG_ALONE, "in", LOG_WORD("b\tc"),
		 LOG_TEXT("role", "a\n\x1b\xff\xc2\x85\xc3\xa9"),
		 LOG_NUMBER("bytes", sizeof(char)));
	ck_assert_str_eq(said(),
			 "x: in b\\x09c role=\"a\\x0a\\x1b\\xff\\xc2\\x85\xc3\xa9\" bytes=1");
	/* Not a key, and not a subject: only the call says what is one. */
	log_info("", LOG_ALONE, "", LOG_WORD("session 3: x=1"));
	ck_assert_str_eq(said(), "session 3: x=1");
	log_info("", LOG_ALONE, "", LOG_MS("took", 1250), LOG_BYTES("part", "abc", 2),
		 LOG_TEXT("nothing", nothing));
	ck_assert_str_eq(said(), "took=1.2ms part=ab nothing=(null)");
}
END_TEST

/* The object of a JSON line, behind its level. */
static const char *
members(void)
{
	static char out[5000];
	const char *line = written(), *at = strstr(line, "\"level\":\"");

	ck_assert_ptr_nonnull(at);
	ck_assert(line[0] == '{' && strcmp(line + strlen(line) - 2, "}\n") == 0);
	ck_assert_uint_eq(lines(line), 1);
	snprintf(out, sizeof out, "%s", at + 9);
	out[strlen(out) - 2] = 0;
	return out;
}

START_TEST(json_has_a_member_for_each_value)
{
	unsigned year, month, day, hour, minute, second, ms;
	int pid, end = 0;

	log_init("prog", LOG_INFO);
	log_set_format(LOG_JSON);
	log_info("session", 42ULL, "wait ended", LOG_TEXT("why", "timeout"), LOG_MS("waited", 5040),
		 LOG_NUMBER("n", -3), LOG_S("age", 7000000));
	ck_assert_int_eq(sscanf(written(),
				"{\"time\":\"%4u-%2u-%2uT%2u:%2u:%2u.%3uZ\",\"program\":\"prog\","
				"\"process\":%d,%n",
				&year, &month, &day, &hour, &minute, &second, &ms, &pid, &end),
			 8);
	ck_assert_int_gt(end, 0);
	ck_assert_int_eq(pid, getpid());
	ck_assert_str_eq(text + end,
			 "\"level\":\"info\",\"message\":\"wait ended\",\"session\":42,"
			 "\"why\":\"timeout\",\"waited_ms\":5.0,\"n\":-3,\"age_s\":7.0}\n");
	log_info("pgwithd", LOG_ALONE, "ready", LOG_TEXT("socket", "/tmp/a"));
	ck_assert_str_eq(
	    members(),
	    "info\",\"message\":\"ready\",\"subject\":\"pgwithd\",\"socket\":\"/tmp/a\"");
	log_info("pool", "pool", "cannot connect",
		 LOG_QUOTED("why", "a \"b\"\\\n\t\x01\x7f\xff\xe2\x82"));
	ck_assert_str_eq(members(),
			 "info\",\"message\":\"cannot connect\",\"pool\":\"pool\",\"why\":"
			 "\"a \\\"b\\\"\\\\\\n\\t\\u0001\\u007f\xef\xbf\xbd\xef\xbf\xbd"
			 "\xef\xbf\xbd\"");
	/* Log's own names stay its own. */
	log_info("", LOG_ALONE, "", LOG_TEXT("time", "noon"), LOG_MS("process", 700));
	ck_assert_str_eq(members(),
			 "info\",\"message\":\"\",\"time_\":\"noon\",\"process__ms\":0.7");
	errno = ENOENT;
	log_warn("file", LOG_ALONE, "cannot open", LOG_TEXT("path", "/x"));
	ck_assert_str_eq(members(), "warn\",\"message\":\"cannot open\",\"subject\":\"file\","
				    "\"path\":\"/x\",\"error\":\"No such file or directory\"");
}
END_TEST

START_TEST(json_that_is_too_long_is_still_json)
{
	char value[9000];

	log_init("prog", LOG_INFO);
	log_set_format(LOG_JSON);
	/* Wherever the cut falls: no escape sequence and no character is cut in two. */
	for (unsigned shift = 0; shift < 8; shift++) {
		const char *got, *at;

		memset(value, 'a', shift);
		for (size_t i = shift; i + 9 < sizeof value; i += 8)
			memcpy(value + i, "\"\\\n\x01\xc3\xa9\xff-", 9);
		log_info("", LOG_ALONE, "", LOG_WORD(value), LOG_TEXT("a", value),
			 LOG_TEXT("b", value), LOG_TEXT("c", value), LOG_NUMBER("d", 1));
		got = members();
		ck_assert_uint_lt(strlen(got), 4000);
		ck_assert_ptr_nonnull(strstr(got, "...\",\"a\":\""));
		for (at = got; *at; at++) {
			if (*at == '\\')
				ck_assert_ptr_nonnull(strchr("\"\\nu", *++at));
			ck_assert((unsigned char)*at >= 0x20);
			ck_assert(at[0] != '.' || at[1] != '.' || at[2] != '.' || at[3] == '"');
		}
		ck_assert_int_eq(at[-1], '"');
	}
	log_set_format(LOG_TEXT);
	log_info("", LOG_ALONE, "x", LOG_QUOTED("why", value), LOG_NUMBER("n", 1));
	ck_assert_ptr_nonnull(strstr(written(), "...\" n=1\n"));
	log_info("", LOG_ALONE, "x", LOG_QUOTED("why", value), LOG_QUOTED("b", value),
		 LOG_QUOTED("c", value), LOG_QUOTED("d", value));
	ck_assert_ptr_nonnull(strstr(written(), "...\"\n"));
}
END_TEST

START_TEST(what_repeats_is_counted)
{
	const char *got;

	log_init("prog", LOG_INFO);
	for (int i = 0; i < 42; i++)
		log_warnx("server", i, "statement failed", LOG_TEXT("pool", "db"),
			  LOG_MS("took", i * 500));
	got = written();
	ck_assert_uint_eq(lines(got), 1);
	ck_assert_ptr_nonnull(strstr(got, " warn server 0: statement failed pool=db took=0.0ms\n"));
	/* Another kind: other words, another level, another error. */
	log_warnx("server", 1, "statement failed", LOG_TEXT("pool", "other"), LOG_MS("took", 1000));
	errno = ENOENT;
	log_warn("server", LOG_ALONE, "failed");
	errno = EIO;
	log_warn("server", LOG_ALONE, "failed");
	ck_assert_uint_eq(lines(written()), 3);
	/* The last of them, and how many, in the time that is promised. */
	do {
		log_sweep();
		got = written();
	} while (*got == 0);
	ck_assert_uint_eq(lines(got), 1);
	ck_assert_ptr_nonnull(
	    strstr(got, " warn server 41: statement failed pool=db took=20.5ms repeated=41\n"));
	/* It goes on: not one more line before its time, and the rest at the end. */
	for (int i = 0; i < 5; i++)
		log_warnx("server", i, "statement failed", LOG_TEXT("pool", "db"),
			  LOG_MS("took", 1000));
	ck_assert_str_eq(written(), "");
	log_set_format(LOG_JSON);
	ck_assert_ptr_nonnull(strstr(written(), " took=1.0ms repeated=5\n"));
	log_flush();
	ck_assert_str_eq(written(), "");
	log_info_often("", LOG_ALONE, "a");
	log_info_often("", LOG_ALONE, "a");
	log_flush();
	ck_assert_ptr_nonnull(strstr(written(), "\"message\":\"a\",\"repeated\":1}\n"));
	/* Events are all told. */
	for (int i = 0; i < 3; i++)
		log_info("session", 1, "b");
	ck_assert_uint_eq(lines(written()), 3);
}
END_TEST

START_TEST(more_kinds_than_are_remembered)
{
	char kind[20];

	log_init("prog", LOG_INFO);
	for (int i = 0; i < 200; i++) {
		snprintf(kind, sizeof kind, "k%d", i % 50);
		log_warnx("", LOG_ALONE, "x", LOG_TEXT("kind", kind));
		log_warnx("", LOG_ALONE, "x", LOG_TEXT("kind", kind));
	}
	log_flush();
	/* Each is told, twice: itself, and that it was repeated once. */
	ck_assert_uint_eq(lines(written()), 400);
}
END_TEST

/* stderr is the writing end of a pipe that nobody reads; returns the other one. */
static int
full_pipe(void)
{
	char bytes[4096];
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
	memset(bytes, '.', sizeof bytes);
	while (write(fds[1], bytes, sizeof bytes) > 0)
		;
	ck_assert_int_eq(fcntl(fds[1], F_SETFL, 0), 0);
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
	log_init("prog", LOG_INFO);
	return fds[0];
}

static size_t
read_all(int fd, char *out, size_t size)
{
	size_t got = 0;
	ssize_t n;

	ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	while (got < size - 1 && (n = read(fd, out + got, size - 1 - got)) > 0)
		got += (size_t)n;
	out[got] = 0;
	return got;
}

START_TEST(a_reader_that_is_stuck_is_not_waited_for)
{
	int fd = full_pipe();
	struct timespec begin, end;
	static char got[200000];
	int64_t ms;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (int i = 0; i < 1000; i++)
		log_info("", LOG_ALONE, "line", LOG_NUMBER("n", i));
	clock_gettime(CLOCK_MONOTONIC, &end);
	ms = (end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000;
	ck_assert_int_lt(ms, 1000); /* one wait, of 20 ms, and not a thousand */
	read_all(fd, got, sizeof got);
	ck_assert_ptr_null(strstr(got, "line"));
	/* It reads again: it is told what it has missed, first. */
	log_info("", LOG_ALONE, "line", LOG_NUMBER("n", 1000));
	read_all(fd, got, sizeof got);
	ck_assert_uint_eq(lines(got), 2);
	ck_assert_ptr_nonnull(
	    strstr(got, " warn log: lines are lost: stderr did not take them lines=1000\n"));
	ck_assert_ptr_nonnull(strstr(got, " info line n=1000\n"));
	close(fd);
	/* And now it is gone. */
	signal(SIGPIPE, SIG_IGN);
	log_info("", LOG_ALONE, "line", LOG_NUMBER("n", 1001));
}
END_TEST

START_TEST(a_sweep_tells_of_lost_lines)
{
	int fd = full_pipe();
	static char got[200000];

	log_error("", LOG_ALONE, "a");
	read_all(fd, got, sizeof got);
	log_sweep();
	read_all(fd, got, sizeof got);
	ck_assert_uint_eq(lines(got), 1);
	ck_assert_ptr_nonnull(strstr(got, " lines=1\n"));
	close(fd);
}
END_TEST

START_TEST(a_full_disk_loses_lines_and_nothing_else)
{
	int full = open("/dev/full", O_WRONLY), good = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	const char *got;

	ck_assert_int_ge(full, 0);
	dup2(full, STDERR_FILENO);
	log_init("prog", LOG_INFO);
	for (int i = 0; i < 10; i++)
		log_info("", LOG_ALONE, "line", LOG_NUMBER("n", i));
	/* There is room again. */
	dup2(good, STDERR_FILENO);
	log_info("", LOG_ALONE, "line", LOG_NUMBER("n", 10));
	got = written();
	ck_assert_uint_eq(lines(got), 2);
	ck_assert_ptr_nonnull(strstr(got, " lines=10\n"));
	close(full);
	close(good);
}
END_TEST

START_TEST(a_line_that_was_cut_by_a_full_disk_is_ended)
{
	char path[] = "/tmp/check_log.XXXXXX";
	int out = mkstemp(path), good = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	struct rlimit old, limit;
	static char got[4096];

	ck_assert_int_ge(out, 0);
	unlink(path);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	limit = old;
	limit.rlim_cur = 20;
	dup2(out, STDERR_FILENO);
	log_init("prog", LOG_INFO);
	setrlimit(RLIMIT_FSIZE, &limit);
	log_info("", LOG_ALONE, "first");
	setrlimit(RLIMIT_FSIZE, &old);
	log_info("", LOG_ALONE, "second");
	dup2(good, STDERR_FILENO);
	ck_assert_int_gt(pread(out, got, sizeof got - 1, 0), 0);
	ck_assert_uint_eq(lines(got), 3);
	ck_assert_int_eq(got[20], '\n');
	ck_assert_ptr_nonnull(strstr(got, " lines=1\n"));
	ck_assert_ptr_nonnull(strstr(got, " info second\n"));
	close(out);
	close(good);
}
END_TEST

START_TEST(a_socket_that_is_full_does_not_block)
{
	static char got[500000];
	int fds[2];
	size_t n;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	dup2(fds[0], STDERR_FILENO);
	close(fds[0]);
	log_init("prog", LOG_INFO);
	for (int i = 0; i < 20000; i++)
		log_info("", LOG_ALONE, "line", LOG_NUMBER("n", i));
	n = read_all(fds[1], got, sizeof got);
	ck_assert_uint_gt(n, 1000);
	log_info("", LOG_ALONE, "last");
	read_all(fds[1], got, sizeof got);
	ck_assert_ptr_nonnull(strstr(got, " log: lines are lost: stderr did not take them lines="));
	ck_assert_ptr_nonnull(strstr(got, " info last\n"));
	close(fds[1]);
}
END_TEST

START_TEST(closed_descriptors_are_filled)
{
	struct stat st;
	int in = dup(STDIN_FILENO), out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO);

	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	close(STDERR_FILENO);
	log_init("prog", LOG_INFO);
	log_info("", LOG_ALONE, "nobody reads this");
	for (int fd = 0; fd <= 2; fd++)
		ck_assert(fstat(fd, &st) == 0 && S_ISCHR(st.st_mode));
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	close(in);
	close(out);
	close(err);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("log");
	TCase *t = tcase_create("log");
	SRunner *r = srunner_create(s);
	int failed;

	srunner_set_fork_status(r, CK_FORK); /* there is one log in a process */
	tcase_add_checked_fixture(t, capture, release);
	tcase_add_test(t, levels_are_obeyed);
	tcase_add_test(t, a_line_has_its_parts);
	tcase_add_test(t, errno_is_told_and_kept);
	tcase_add_test(t, lines_cannot_be_forged);
	tcase_add_test(t, the_journal_gets_priorities);
	tcase_add_test(t, level_names_are_read);
	tcase_add_test(t, fatal_ends_with_status_1);
	tcase_add_test(t, fatal_calls_the_program_first);
	tcase_add_test(t, values_are_quoted_where_they_need_it);
	tcase_add_test(t, json_has_a_member_for_each_value);
	tcase_add_test(t, json_that_is_too_long_is_still_json);
	tcase_add_test(t, what_repeats_is_counted);
	tcase_add_test(t, more_kinds_than_are_remembered);
	tcase_add_test(t, a_reader_that_is_stuck_is_not_waited_for);
	tcase_add_test(t, a_sweep_tells_of_lost_lines);
	tcase_add_test(t, a_full_disk_loses_lines_and_nothing_else);
	tcase_add_test(t, a_line_that_was_cut_by_a_full_disk_is_ended);
	tcase_add_test(t, a_socket_that_is_full_does_not_block);
	tcase_add_test(t, closed_descriptors_are_filled);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
