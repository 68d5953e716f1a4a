/* The file of auth_file: what is read of it, what is refused, and that no secret is told. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "conf/userlist.h"

#define KEYS                                            \
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:" \
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="

static char path[] = "/tmp/pgw-check-userlist-XXXXXX";
static char told[4000]; /* the problems, each as LINE: TEXT| */

static void
make_path(void)
{
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	close(fd);
	*told = 0;
}

static void
remove_path(void)
{
	unlink(path);
	strcpy(path + strlen(path) - 6, "XXXXXX");
}

static void
note(void *arg, unsigned line, const char *why)
{
	size_t n = strlen(told);

	snprintf(told + n, sizeof told - n, "%u: %s|", line, why);
}

static struct userlist *
read_bytes(const char *text, size_t bytes)
{
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(text, 1, bytes, f), bytes);
	fclose(f);
	return userlist_read(path, note, NULL);
}

static struct userlist *
read_text(const char *text)
{
	return read_bytes(text, strlen(text));
}

START_TEST(as_pgbouncer_reads_it)
{
	struct userlist *u = read_text("; a comment\n"
				       "\n"
				       "# another\n"
				       "\"zoe\" \"plain \"\"secret\"\"\"\r\n"
				       "  \"anna\"\t\"SCRAM-SHA-256$4096:AA==$" KEYS "\" more\n"
				       "\"none\" \"\"\n"
				       "\"q\"\"uote\" \"x\"");
	const struct userlist_entry *e;
	unsigned count;

	ck_assert_str_eq(told, "");
	ck_assert_ptr_nonnull(u);
	userlist_entries(u, &count);
	ck_assert_uint_eq(count, 4);
	e = userlist_find(u, "zoe");
	ck_assert_int_eq(e->kind, VERIFIER_PLAIN);
	ck_assert_str_eq(e->secret, "plain \"secret\"");
	e = userlist_find(u, "anna");
	ck_assert_int_eq(e->kind, VERIFIER_SCRAM);
	ck_assert_str_eq(e->secret, "SCRAM-SHA-256$4096:AA==$" KEYS);
	ck_assert_int_eq(userlist_find(u, "none")->kind, VERIFIER_NONE);
	ck_assert_str_eq(userlist_find(u, "q\"uote")->secret, "x");
	ck_assert_ptr_null(userlist_find(u, "Anna"));
	ck_assert_ptr_null(userlist_find(u, ""));
	ck_assert_ptr_null(userlist_find(NULL, "anna"));
	ck_assert_ptr_eq(userlist_keep(u), u);
	userlist_drop(u);
	ck_assert_ptr_nonnull(userlist_find(u, "anna"));
	userlist_drop(u);
}
END_TEST

START_TEST(an_empty_one)
{
	struct userlist *u = read_text("");

	ck_assert_ptr_nonnull(u);
	ck_assert_ptr_null(userlist_find(u, "anna"));
	userlist_drop(u);
}
END_TEST

START_TEST(lines_that_are_refused)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
	    {"\"a\" \"x\"\n\"b\" \"md5c4ca4238a0b923820dcc509a6f75849b\"\n",
	     "2: role \"b\" has an md5 hash, which proves nothing here"},
	    {"\"b\" \"SCRAM-SHA-256$4096:hush$hush\"", "1: role \"b\" has a damaged verifier"},
	    {"\"b\" \"hush", "1: expected \"ROLE\" \"SECRET\", or a comment (;)|"},
	    {"\"b\" hush", "1: expected \"ROLE\" \"SECRET\", or a comment (;)|"},
	    {"hush", "1: expected \"ROLE\" \"SECRET\", or a comment (;)|"},
	    {"\"hush", "1: expected \"ROLE\" \"SECRET\", or a comment (;)|"},
	    {"\"\" \"hush\"", "1: a role without a name|"},
	    {"\"a\" \"hush\"\n\"b\" \"x\"\n\"a\" \"hush2\"",
	     "0: role \"a\" stands there more than once|"},
	};

	ck_assert_ptr_null(read_text(cases[_i].text));
	ck_assert_msg(strncmp(told, cases[_i].why, strlen(cases[_i].why)) == 0, "%s", told);
	ck_assert_msg(strstr(told, "hush") == NULL && strstr(told, "c4ca") == NULL, "%s", told);
}
END_TEST

START_TEST(files_that_are_refused)
{
	char *big = mem_calloc(1, USERLIST_MAX + 2);

	ck_assert_ptr_null(userlist_read("/nowhere/userlist.txt", note, NULL));
	ck_assert_str_eq(told, "0: cannot open: No such file or directory|");
	*told = 0;
	ck_assert_ptr_null(userlist_read("/tmp", note, NULL));
	ck_assert_str_eq(told, "0: not a regular file|");
	*told = 0;
	ck_assert_ptr_null(read_bytes("\"a\" \"b\0\"", 8));
	ck_assert_str_eq(told, "0: it holds a NUL byte: expected text|");
	*told = 0;
	memset(big, '\n', USERLIST_MAX + 1);
	ck_assert_ptr_null(read_bytes(big, USERLIST_MAX + 1));
	ck_assert_str_eq(told, "0: too long: the maximum is 1048576 bytes|");
	*told = 0;
	userlist_drop(read_bytes(big, USERLIST_MAX));
	ck_assert_str_eq(told, "");
	free(big);
}
END_TEST

START_TEST(modes)
{
	static const struct {
		mode_t mode;
		bool good;
	} cases[] = {{0600, true},  {0640, true},  {0400, true}, {0644, false},
		     {0660, false}, {0602, false}, {0601, false}};
	struct userlist *u;

	userlist_drop(read_text("\"a\" \"b\"\n"));
	ck_assert_int_eq(chmod(path, cases[_i].mode), 0);
	u = userlist_read(path, note, NULL);
	ck_assert_int_eq(u != NULL, cases[_i].good);
	if (!cases[_i].good)
		ck_assert_msg(strncmp(told, "0: it is open to others (mode 0", 31) == 0, "%s",
			      told);
	userlist_drop(u);
}
END_TEST

START_TEST(paths)
{
	char *why = userlist_check_path("userlist.txt");

	ck_assert_str_eq(why, "expected an absolute path");
	free(why);
	ck_assert_ptr_null(userlist_check_path(""));
	ck_assert_ptr_null(userlist_check_path("/etc/pgwith/userlist.txt"));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("userlist");
	TCase *tc = tcase_create("userlist");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, make_path, remove_path);
	tcase_add_test(tc, as_pgbouncer_reads_it);
	tcase_add_test(tc, an_empty_one);
	tcase_add_loop_test(tc, lines_that_are_refused, 0, 8);
	tcase_add_test(tc, files_that_are_refused);
	tcase_add_loop_test(tc, modes, 0, 7);
	tcase_add_test(tc, paths);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
