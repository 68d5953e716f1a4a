/* Commands that tell a password: their words, what they are told by the program, and what of that
 * gets out. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <pthread.h>

#include "base/mem.h"
#include "base/program.h"
#include "base/units.h"
#include "conf/conf.h"
#include "conf/pwcommand.h"

static char directory[] = "/tmp/check_pwcommand.XXXXXX";

/* ---- words ----------------------------------------------------------------------------------- */

static const struct {
	const char *text;
	const char *words; /* with a bar behind each; NULL: refused */
} spellings[] = {
    {"command:/bin/x", "/bin/x|"},
    {"command: /bin/x", "/bin/x|"},
    {"command:/bin/x  a\tb ", "/bin/x|a|b|"},
    {"command:/bin/x 'a b' \"c d\" e\\ f", "/bin/x|a b|c d|e f|"},
    {"command:/bin/x a'b'\"c\"\\d", "/bin/x|abcd|"},
    {"command:/bin/x '' \"\"", "/bin/x|||"},
    {"command:/bin/x '\\' \"\\\\\" \"\\\"\" \"\\n\"", "/bin/x|\\|\\|\"|\\n|"},
    {"command:/bin/x $HOME ${HOME} `id` * ~ a;b |c >d &",
     "/bin/x|$HOME|${HOME}|`id`|*|~|a;b||c|>d|&|"},
    {"command:'/bin/with blank/x' y", "/bin/with blank/x|y|"},
    {"command:", NULL},
    {"command:   ", NULL},
    {"command:x", NULL},
    {"command:./x", NULL},
    {"command:'' /bin/x", NULL},
    {"command:/bin/x 'a", NULL},
    {"command:/bin/x \"a", NULL},
    {"command:/bin/x \"a\\\"", NULL},
    {"command:/bin/x a\\", NULL},
};

static char *
joined(char **words)
{
	char *all = mem_strdup("");

	for (char **w = words; w && *w; w++) {
		char *more = mem_printf("%s%s|", all, *w);

		free(all);
		all = more;
	}
	return all;
}

START_TEST(a_command_has_words)
{
	char *why = NULL, **words = pwcommand_words(spellings[_i].text, &why), *all = joined(words);

	if (spellings[_i].words) {
		ck_assert_ptr_nonnull(words);
		ck_assert_str_eq(all, spellings[_i].words);
	} else {
		ck_assert_ptr_null(words);
		ck_assert_ptr_nonnull(strstr(why, "expected command:/PATH ARGUMENTS"));
	}
	free(all);
	free(why);
	pwcommand_free_words(words);
}
END_TEST

/* Writes a word in one of the spellings that there are, chosen by `random`. */
static void
spell(const char *word, char *to, unsigned *random)
{
	bool some = false;

	for (; *word || !some; word++) {
		unsigned how = rand_r(random) % 3;

		some = true;
		if (*word == '\0') {
			strcpy(to, how ? "''" : "\"\"");
			to += 2;
			break;
		}
		if (how == 0 && *word != '\'')
			to += sprintf(to, "'%c'", *word);
		else if (how == 1)
			to += sprintf(to, *word == '"' || *word == '\\' ? "\"\\%c\"" : "\"%c\"",
				      *word);
		else
			to += sprintf(to, "\\%c", *word);
	}
	*to = '\0';
}

START_TEST(every_spelling_of_a_word_is_that_word)
{
	static const char letters[] = "ab'\"\\ \t$;|&*?~`(){}[]<>#=/-.";
	unsigned random =
	    getenv("PGWITH_SEED") ? (unsigned)atoi(getenv("PGWITH_SEED")) : (unsigned)time(NULL);

	printf("# seed %u\n", random);
	for (unsigned round = 0; round < 2000; round++) {
		char text[600] = "command:/bin/x", word[4][20], *why = NULL, **words;
		unsigned n = rand_r(&random) % 5;

		for (unsigned i = 0; i < n; i++) {
			unsigned length = rand_r(&random) % 12;

			for (unsigned k = 0; k < length; k++)
				word[i][k] = letters[rand_r(&random) % (sizeof letters - 1)];
			word[i][length] = '\0';
			strcat(text, rand_r(&random) % 2 ? " " : "\t  ");
			spell(word[i], text + strlen(text), &random);
		}
		words = pwcommand_words(text, &why);
		ck_assert_msg(words != NULL, "%s: %s", text, why);
		for (unsigned i = 0; i < n; i++)
			ck_assert_msg(words[i + 1] && strcmp(words[i + 1], word[i]) == 0,
				      "%s: word %u is %s, not %s", text, i, words[i + 1], word[i]);
		ck_assert_ptr_null(words[n + 1]);
		pwcommand_free_words(words);
	}
}
END_TEST

START_TEST(what_cannot_be_run_is_refused)
{
	char *why = pwcommand_check("command:/nowhere/tell --token s3cret");

	ck_assert_str_eq(why,
			 "command: \"/nowhere/tell\" cannot be run: No such file or directory");
	free(why);
	why = pwcommand_check("command:/etc");
	ck_assert_str_eq(why, "command: \"/etc\" cannot be run: Is a directory");
	free(why);
	why = pwcommand_check("command:/dev/null");
	ck_assert_str_eq(why, "command: \"/dev/null\" cannot be run: Permission denied");
	free(why);
	why = pwcommand_check("command:/etc/passwd");
	ck_assert_str_eq(why, "command: \"/etc/passwd\" cannot be run: Permission denied");
	free(why);
	ck_assert_ptr_null(pwcommand_check("command:/bin/sh -c 'echo x'"));
	ck_assert_ptr_null(pwcommand_check("a password"));
	ck_assert_ptr_null(pwcommand_check(""));
}
END_TEST

START_TEST(people_see_the_path_only)
{
	static const char *const shown[][2] = {
	    {"command:/bin/sh -c 'echo s3cret'", "command:/bin/sh"},
	    {"command:'/a b/c' x", "command:/a b/c"},
	    {"s3cret", "********"},
	    {"", ""}};

	for (unsigned i = 0; i < sizeof shown / sizeof *shown; i++) {
		char *text = pwcommand_shown(shown[i][0]);

		ck_assert_str_eq(text, shown[i][1]);
		free(text);
	}
}
END_TEST

/* ---- answers --------------------------------------------------------------------------------- */

/* Runs this as a script of sh. */
static void
ask(const char *script, int64_t limit_us, const char *before, struct pwcommand_answer *a)
{
	char *path = mem_printf("%s/script", directory),
	     *value = mem_printf("command:/bin/sh %s", path);
	char *const more[] = {"PGWITH_POOL=orders", "NOTIFY_SOCKET_TEST=1", NULL};
	struct program *p = pwcommand_program(value, more);
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	fputs(script, f);
	fclose(f);
	pwcommand_ask(value, p, limit_us, before, a);
	program_free(p);
	unlink(path);
	free(value);
	free(path);
}

static const struct {
	const char *script;
	const char *password; /* NULL: none */
	const char *why;      /* then: what is behind the path */
	const char *said;
} runs[] = {
    {"echo s3cret", "s3cret", NULL, ""},
    {"printf s3cret", "s3cret", NULL, ""},
    {"printf ' two words \\r\\nmore\\n'", " two words ", NULL, ""},
    {"echo s3cret; echo second; sleep 0.05; echo third", "s3cret", NULL, ""},
    {"printf '\\303\\244\\377\\001'", "\303\244\377\001", NULL, ""},
    {"echo \"$PGWITH_POOL\"", "orders", NULL, ""},
    {"printf '%s' \"${NOTIFY_SOCKET-none}${WATCHDOG_USEC-none}${LISTEN_FDS-none}\"", "nonenonenone",
     NULL, ""},
    /* 3 is that of ls */
    {"echo `ls /proc/self/fd`", "0 1 2 3", NULL, ""},
    {"read x && echo got || echo end", "end", NULL, ""},
    {"trap '' PIPE; kill -s PIPE $$; echo on", "on", NULL, ""},
    {"echo warning >&2; echo s3cret", "s3cret", NULL, "warning\n"},
    {"echo my s3cret, s3cret >&2; echo s3cret", "s3cret", NULL, "my ********, ********\n"},
    {"echo '*' >&2; echo '*'", "*", NULL, "********\n"},
    {"echo aXbXa >&2; printf 'aXb\\nbXa\\n'", "aXb", NULL, "********\n"},
    {"echo old >&2; echo new", "new", NULL, "********\n"},
    {"exit 3", NULL, "ended with exit status 3", ""},
    {"echo s3cret; echo no s3cret >&2; exit 1", NULL, "ended with exit status 1", "no ********\n"},
    {"kill -9 $$", NULL, "was killed by signal 9", ""},
    {"true", NULL, "printed nothing", ""},
    {"echo", NULL, "printed an empty first line", ""},
    {"printf '\\nsecond'", NULL, "printed an empty first line", ""},
    {"printf 'a\\000b\\n'", NULL, "printed a NUL byte in its first line", ""},
    {"printf 'a\\n\\000b\\n'", "a", NULL, ""},
    {"head -c 65536 /dev/zero | tr '\\0' x; echo", NULL, "printed more than 65536 bytes", ""},
    {"yes", NULL, "printed more than 65536 bytes", ""},
    {"nosuchprogram", NULL, "ended with exit status 127", NULL},
};

START_TEST(a_program_tells_its_password)
{
	struct pwcommand_answer a;

	ask(runs[_i].script, 20 * UNIT_S, "old", &a);
	if (runs[_i].password) {
		ck_assert_msg(a.password != NULL, "%s: %s", runs[_i].script, a.why);
		ck_assert_str_eq(a.password, runs[_i].password);
		ck_assert_ptr_null(a.why);
	} else {
		ck_assert_ptr_null(a.password);
		ck_assert_ptr_nonnull(strstr(a.why, "its password command /bin/sh "));
		ck_assert_msg(strstr(a.why, runs[_i].why), "%s: %s", runs[_i].script, a.why);
	}
	if (runs[_i].said)
		ck_assert_str_eq(a.said, runs[_i].said);
	pwcommand_answer_clear(&a);
}
END_TEST

/* stderr is cut at its maximum: a secret that is cut must not be seen either. */
START_TEST(a_cut_secret_is_hidden)
{
	struct pwcommand_answer a;

	for (unsigned front = PROGRAM_ERR_MAX - 12; front <= PROGRAM_ERR_MAX; front++) {
		char *script =
		    mem_printf("head -c %u /dev/zero | tr '\\0' '\\n' >&2; echo x s3cret "
			       "and more >&2; echo s3cret",
			       front);

		ask(script, 20 * UNIT_S, NULL, &a);
		ck_assert_str_eq(a.password, "s3cret");
		ck_assert_ptr_null(strstr(a.said, "s3c"));
		ck_assert_ptr_null(strchr(a.said, 's'));
		pwcommand_answer_clear(&a);
		free(script);
	}
}
END_TEST

static int64_t
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Is there a process whose id the file holds? Waits until the file is there. */
static pid_t
pid_in(const char *path)
{
	long pid = 0;

	for (unsigned i = 0; i < 5000 && pid == 0; i++) {
		FILE *f = fopen(path, "r");

		if (f == NULL || fscanf(f, "%ld\n", &pid) != 1 || fgetc(f) != 'x')
			pid = 0;
		if (f)
			fclose(f);
		if (pid == 0)
			usleep(1000);
	}
	ck_assert_int_gt(pid, 0);
	return (pid_t)pid;
}

static void
until_gone(pid_t pid)
{
	char path[40];

	snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
	for (unsigned i = 0; i < 5000; i++) {
		char to[300];

		/* A zombie, which somebody else has to reap, has no program any more. */
		if (readlink(path, to, sizeof to) < 0)
			return;
		usleep(1000);
	}
	ck_abort_msg("process %d goes on", (int)pid);
}

/* The time limit ends the program and what it has started. */
START_TEST(a_program_that_hangs_is_killed)
{
	char *path = mem_printf("%s/pid", directory), *script;
	int64_t began = now_us();
	struct pwcommand_answer a;
	pid_t pid;

	script = mem_printf("trap '' TERM HUP INT\necho s3c\nsleep 1000 & echo \"$! x\" >%s\nwait",
			    path);
	/* Long enough for the shell to begin, on a busy machine, too. */
	ask(script, 2 * UNIT_S, NULL, &a);
	ck_assert_int_ge(now_us() - began, 2 * UNIT_S);
	ck_assert_ptr_null(a.password);
	ck_assert_ptr_nonnull(strstr(a.why, "told no password within 2s"));
	pid = pid_in(path);
	until_gone(pid);
	pwcommand_answer_clear(&a);
	unlink(path);
	free(path);
	free(script);
}
END_TEST

/* What it leaves in the background is not waited for, even if it keeps stdout open. */
START_TEST(a_child_in_the_background_keeps_nobody)
{
	char *path = mem_printf("%s/pid", directory), *script;
	struct pwcommand_answer a;
	pid_t pid;

	script = mem_printf("sleep 1000 & echo \"$! x\" >%s; echo s3cret", path);
	ask(script, 60 * UNIT_S, NULL, &a);
	ck_assert_str_eq(a.password, "s3cret");
	pid = pid_in(path);
	ck_assert_int_eq(kill(pid, 0), 0);
	kill(pid, SIGKILL);
	until_gone(pid);
	pwcommand_answer_clear(&a);
	unlink(path);
	free(path);
	free(script);
}
END_TEST

START_TEST(what_is_no_program_cannot_be_started)
{
	struct pwcommand_answer a;
	char *path = mem_printf("%s/text", directory), *value = mem_printf("command:%s", path);
	FILE *f = fopen(path, "w");
	struct program *p;

	ck_assert_ptr_nonnull(f);
	fputs("no program\n", f);
	fclose(f);
	chmod(path, 0700);
	p = pwcommand_program(value, (char *const[]){NULL});
	pwcommand_ask(value, p, UNIT_S, NULL, &a);
	ck_assert_ptr_null(a.password);
	ck_assert_ptr_nonnull(strstr(a.why, "cannot be started: Exec format error"));
	pwcommand_answer_clear(&a);
	unlink(path);
	pwcommand_ask(value, p, UNIT_S, NULL, &a);
	ck_assert_ptr_nonnull(strstr(a.why, "cannot be started: No such file or directory"));
	pwcommand_answer_clear(&a);
	program_free(p);
	free(path);
	free(value);
}
END_TEST

static void *
run_it(void *p)
{
	static struct program_result r;

	program_run(p, 1000 * UNIT_S, 100, &r);
	return &r;
}

START_TEST(a_run_is_aborted)
{
	char *path = mem_printf("%s/pid", directory),
	     *script = mem_printf("echo \"$$ x\" >%s; sleep 1000; :", path);
	char *const words[] = {"/bin/sh", "-c", script, NULL};
	struct program *p = program_new(words, (char *const[]){NULL});
	struct program_result *r;
	pthread_t thread;
	void *result;
	pid_t pid;

	ck_assert_int_eq(pthread_create(&thread, NULL, run_it, p), 0);
	pid = pid_in(path);
	program_abort(p);
	ck_assert_int_eq(pthread_join(thread, &result), 0);
	r = result;
	ck_assert_int_eq(r->end, PROGRAM_ABORTED);
	ck_assert_int_eq(kill(pid, 0), -1);
	program_result_clear(r);
	/* It does not begin again. */
	unlink(path);
	r = run_it(p);
	ck_assert_int_eq(r->end, PROGRAM_ABORTED);
	ck_assert_int_eq(access(path, F_OK), -1);
	program_result_clear(r);
	program_abort(p);
	program_free(p);
	free(script);
	free(path);
}
END_TEST

/* Runs a program that hangs, and ends as soon as that has begun. */
static void
run_and_end(const char *path)
{
	char *script = mem_printf("echo \"$$ x\" >%s; exec sleep 1000", path);
	char *const words[] = {"/bin/sh", "-c", script, NULL};
	struct program *p = program_new(words, (char *const[]){NULL});
	pthread_t thread;

	if (pthread_create(&thread, NULL, run_it, p) != 0)
		_exit(2);
	while (access(path, F_OK) < 0)
		usleep(100);
	program_abort(p);
	program_settle(60 * UNIT_S);
	_exit(0);
}

/* However early its process ends, no program is left: the thread may not know yet that it runs. */
START_TEST(a_program_ends_with_its_process)
{
	char *path = mem_printf("%s/pid", directory);

	for (unsigned i = 0; i < 50; i++) {
		pid_t pid = fork();
		int status;

		ck_assert_int_ge(pid, 0);
		if (pid == 0)
			run_and_end(path);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
		/* If it was killed before it has written its id, it is gone as well. */
		if (access(path, F_OK) == 0) {
			FILE *f = fopen(path, "r");
			int id;

			ck_assert_ptr_nonnull(f);
			if (fscanf(f, "%d", &id) == 1)
				until_gone(id);
			fclose(f);
			unlink(path);
		}
	}
	free(path);
}
END_TEST

/* Only the program's environment is changed. */
START_TEST(variables_are_replaced)
{
	char *const words[] = {"/bin/sh", "-c", "echo \"$PGHOST,$PGHOSTADDR,$KEPT\"", NULL};
	char *const more[] = {"PGHOST=new", NULL};
	struct program_result r;
	struct program *p;

	setenv("PGHOST", "old", 1);
	setenv("PGHOSTADDR", "1.2.3.4", 1);
	setenv("KEPT", "yes", 1);
	p = program_new(words, more);
	program_run(p, 20 * UNIT_S, 100, &r);
	ck_assert_str_eq(r.out, "new,1.2.3.4,yes\n");
	ck_assert_str_eq(getenv("PGHOST"), "old");
	program_result_clear(&r);
	program_free(p);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("pwcommand");
	TCase *t = tcase_create("pwcommand");
	SRunner *r;
	int failed;

	if (mkdtemp(directory) == NULL)
		return EXIT_FAILURE;
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, a_command_has_words, 0, sizeof spellings / sizeof *spellings);
	tcase_add_test(t, every_spelling_of_a_word_is_that_word);
	tcase_add_test(t, what_cannot_be_run_is_refused);
	tcase_add_test(t, people_see_the_path_only);
	tcase_add_loop_test(t, a_program_tells_its_password, 0, sizeof runs / sizeof *runs);
	tcase_add_test(t, a_cut_secret_is_hidden);
	tcase_add_test(t, a_program_that_hangs_is_killed);
	tcase_add_test(t, a_child_in_the_background_keeps_nobody);
	tcase_add_test(t, a_run_is_aborted);
	/* valgrind's vfork(2) is a fork(2), by which posix_spawn(3) does not hear why exec failed;
	 * and a child of ours ends with valgrind's own status. */
	if (getenv("PGWITH_VALGRIND") == NULL) {
		tcase_add_test(t, what_is_no_program_cannot_be_started);
		tcase_add_test(t, a_program_ends_with_its_process);
	}
	tcase_add_test(t, variables_are_replaced);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	rmdir(directory);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
