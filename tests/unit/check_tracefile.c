/* What pgwith trace writes: names in Chrome's format, and errors of the last bytes. Includes the
 * source to put another stream under it. */
#include "cli/tracefile.c"

/* Behind the source: check.h has a macro of the name fail, and the source a function. */
#include <check.h>

static char directory[] = "/tmp/pgwith-check-tracefile-XXXXXX";
static char path[sizeof directory + 8];

static struct tracefile *
begin(void)
{
	struct tracefile *f;

	strcpy(directory + sizeof directory - 7, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	strcpy(path, directory);
	strcat(path, "/x.json");
	f = tracefile_new(path);
	ck_assert_ptr_nonnull(f);
	return f;
}

static void
finish(void)
{
	unlink(path);
	ck_assert_int_eq(rmdir(directory), 0);
}

START_TEST(names_in_json)
{
	struct tracefile *f = begin();
	char text[4096];
	struct labels labels;
	size_t bytes;
	FILE *in;

	labels_init(&labels);
	ck_assert(tracefile_begin(f, 100));
	tracefile_add(f, &(struct timeline_segment){
			     .track = TIMELINE_SCOPE,
			     .state = TIMELINE_OPEN,
			     .id = 7,
			     .begin_us = 110,
			     .end_us = 125,
			     .scope = label_of(&labels, "a\"b\\c\nd\x1f\xc3\xa9", 10),
			 });
	ck_assert(tracefile_end(f, &(struct tracefile_about){.begin_us = 100, .end_us = 200}));
	tracefile_free(f);
	in = fopen(path, "r");
	ck_assert_ptr_nonnull(in);
	bytes = fread(text, 1, sizeof text - 1, in);
	text[bytes] = 0;
	fclose(in);
	ck_assert_ptr_nonnull(
	    strstr(text, "{\"ph\":\"X\",\"pid\":3,\"tid\":7,\"ts\":10,\"dur\":15,\"cat\":\"scope\","
			 "\"name\":\"a\\\"b\\\\c\\u000ad\\u001f\xc3\xa9\",\"args\":{\"state\":"
			 "\"open\",\"scope\":\"a\\\"b\\\\c\\u000ad\\u001f\xc3\xa9\"}}"));
	labels_clear(&labels);
	finish();
}
END_TEST

/* A stream whose next write fails if *arg is true. */
static ssize_t
write_or_fail(void *arg, const char *data, size_t bytes)
{
	bool *fails = arg;

	ck_assert_ptr_nonnull(data);
	if (!*fails)
		return (ssize_t)bytes;
	*fails = false;
	errno = EIO;
	return 0;
}

/* The last bytes cannot be written, and the closing of the file does not say so. */
START_TEST(an_error_at_the_end)
{
	struct tracefile *f = begin();
	bool fails = false;

	ck_assert(tracefile_begin(f, 100));
	fclose(f->json);
	f->json = fopencookie(&fails, "w", (cookie_io_functions_t){.write = write_or_fail});
	ck_assert_ptr_nonnull(f->json);
	setvbuf(f->json, NULL, _IONBF, 0);
	fails = true;
	ck_assert(!tracefile_end(f, &(struct tracefile_about){.begin_us = 100, .end_us = 200}));
	ck_assert(!fails);
	tracefile_free(f);
	ck_assert_int_ne(access(path, F_OK), 0);
	finish();
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("tracefile");
	Suite *s = suite_create("tracefile");
	SRunner *r = srunner_create(s);

	suite_add_tcase(s, t);
	tcase_add_test(t, names_in_json);
	tcase_add_test(t, an_error_at_the_end);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
