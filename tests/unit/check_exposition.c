#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/exposition.h"
#include "base/utf8.h"

static struct buf out;
static struct exposition x;

static void
begin(bool openmetrics)
{
	buf_init(&out, 1 << 20);
	exposition_init(&x, &out, openmetrics);
}

/* The text since begin(), which is freed with the next one. */
static const char *
text(void)
{
	static char *kept;

	exposition_end(&x);
	free(kept);
	kept = strndup((const char *)buf_data(&out), out.len);
	buf_clear(&out);
	return kept;
}

static void
write_some(void)
{
	exposition_family(&x, "a_seconds", EXPOSITION_COUNTER, "seconds", "How long.");
	exposition_label(&x, "pool", "orders");
	exposition_label(&x, "state", "idle");
	exposition_seconds(&x, 1500000);
	exposition_no_labels(&x);
	exposition_family(&x, "b", EXPOSITION_INFO, "", "What.");
	exposition_label(&x, "version", "1");
	exposition_number(&x, 1);
	exposition_family(&x, "c_bytes", EXPOSITION_GAUGE, "bytes", "How much.");
	exposition_number(&x, UINT64_MAX);
}

START_TEST(the_text_format)
{
	begin(false);
	write_some();
	ck_assert_str_eq(text(), "# HELP a_seconds_total How long.\n"
				 "# TYPE a_seconds_total counter\n"
				 "a_seconds_total{pool=\"orders\",state=\"idle\"} 1.5\n"
				 "# HELP b_info What.\n"
				 "# TYPE b_info gauge\n"
				 "b_info{version=\"1\"} 1\n"
				 "# HELP c_bytes How much.\n"
				 "# TYPE c_bytes gauge\n"
				 "c_bytes 18446744073709551615\n");
}
END_TEST

START_TEST(openmetrics)
{
	begin(true);
	write_some();
	ck_assert_str_eq(text(), "# HELP a_seconds How long.\n"
				 "# TYPE a_seconds counter\n"
				 "# UNIT a_seconds seconds\n"
				 "a_seconds_total{pool=\"orders\",state=\"idle\"} 1.5\n"
				 "# HELP b What.\n"
				 "# TYPE b info\n"
				 "b_info{version=\"1\"} 1\n"
				 "# HELP c_bytes How much.\n"
				 "# TYPE c_bytes gauge\n"
				 "# UNIT c_bytes bytes\n"
				 "c_bytes 18446744073709551615\n"
				 "# EOF\n");
}
END_TEST

START_TEST(times_are_seconds)
{
	static const struct {
		int64_t us;
		const char *line;
	} cases[] = {
	    {0, "t 0.0\n"},
	    {1, "t 0.000001\n"},
	    {-5, "t 0.0\n"},
	    {1000000, "t 1.0\n"},
	    {100000, "t 0.1\n"},
	    {3723000400, "t 3723.0004\n"},
	    {INT64_MAX, "t 9223372036854.775807\n"},
	};

	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *got;

		begin(false);
		exposition_family(&x, "t", EXPOSITION_GAUGE, "", "T.");
		exposition_seconds(&x, cases[i].us);
		got = text();
		ck_assert_str_eq(strstr(got, "gauge\n") + strlen("gauge\n"), cases[i].line);
	}
}
END_TEST

/* The value of a label as the text has it. */
static const char *
label(const char *value)
{
	static char got[2048];
	const char *start;

	begin(false);
	exposition_family(&x, "t", EXPOSITION_GAUGE, "", "T.");
	exposition_label(&x, "l", value);
	exposition_number(&x, 1);
	start = strstr(text(), "{l=");
	ck_assert_ptr_nonnull(start);
	snprintf(got, sizeof got, "%s", start + strlen("{l="));
	ck_assert_ptr_nonnull(strstr(got, "} 1\n"));
	*strstr(got, "} 1\n") = '\0';
	return got;
}

START_TEST(labels_are_escaped)
{
	ck_assert_str_eq(label(""), "\"\"");
	ck_assert_str_eq(label("plain name"), "\"plain name\"");
	ck_assert_str_eq(label("quo\"te"), "\"quo\\\"te\"");
	ck_assert_str_eq(label("back\\slash"), "\"back\\\\slash\"");
	ck_assert_str_eq(label("end\\"), "\"end\\\\\"");
	ck_assert_str_eq(label("new\nline"), "\"new\\\\x0aline\"");
	ck_assert_str_eq(label("\xc3\xbc"), "\"\xc3\xbc\"");
	ck_assert_str_eq(label("\xff"), "\"\\\\xff\"");
	ck_assert_str_eq(label("\xc3"), "\"\\\\xc3\"");
	ck_assert_str_eq(label("\xe2\x80\xae"), "\"\\\\xe2\\\\x80\\\\xae\"");
	/* What looks like a byte that is written so is told from one. */
	ck_assert_str_eq(label("\\x0a"), "\"\\\\x5cx0a\"");
	ck_assert_str_eq(label("\\\\x0a"), "\"\\\\\\\\x5cx0a\"");
}
END_TEST

static unsigned seed; /* CHECK_SEED, or the time */

/* Two values that differ do so in the text, which is valid UTF-8 in one line. */
START_TEST(random_labels_stay_apart)
{
	static const char bytes[] = "\\\\\\x\"\n05ca\xc3\xbc\xff";
	enum { MANY = 3000 };
	char(*values)[8] = calloc(MANY, sizeof *values);
	char **texts = calloc(MANY, sizeof *texts);

	srand(seed);
	for (unsigned i = 0; i < MANY; i++) {
		size_t length = (size_t)rand() % 7;

		for (size_t k = 0; k < length; k++)
			values[i][k] = bytes[(size_t)rand() % (sizeof bytes - 1)];
		texts[i] = strdup(label(values[i]));
		ck_assert_ptr_null(strchr(texts[i], '\n'));
		for (size_t at = 0, n; texts[i][at]; at += n) {
			uint32_t character;

			n = utf8_read(texts[i] + at, strlen(texts[i] + at), &character);
			ck_assert_uint_gt(n, 0);
		}
	}
	for (unsigned i = 0; i < MANY; i++)
		for (unsigned k = 0; k < i; k++)
			ck_assert_msg((strcmp(values[i], values[k]) == 0) ==
					  (strcmp(texts[i], texts[k]) == 0),
				      "seed %u: %s, %s", seed, texts[i], texts[k]);
	for (unsigned i = 0; i < MANY; i++)
		free(texts[i]);
	free(texts);
	free(values);
}
END_TEST

/* Reads a histogram's lines: bounds in us, and counts. Returns how many, without the last. */
static unsigned
read_buckets(const char *got, double *bounds, unsigned long long *counts)
{
	unsigned n = 0;

	for (const char *at = got; (at = strstr(at, "le=\"")) != NULL; n++) {
		at += strlen("le=\"");
		bounds[n] = strncmp(at, "+Inf", 4) == 0 ? -1 : strtod(at, NULL) * 1e6;
		counts[n] = strtoull(strchr(at, ' '), NULL, 10);
	}
	return n - 1;
}

static void
check_random_histogram(enum exposition_bounds which, unsigned nbounds, int64_t first, int64_t last)
{
	struct histogram h = {0};
	int64_t values[2000];
	double bounds[64];
	unsigned long long counts[64], sum = 0;
	char line[64];
	const char *got;

	for (unsigned i = 0; i < 2000; i++) {
		values[i] = (int64_t)rand() >> rand() % 31;
		if (rand() % 4 == 0)
			values[i] = ((int64_t)1 << rand() % 34) - rand() % 2;
		histogram_add(&h, values[i]);
		sum += (unsigned long long)values[i];
	}
	begin(false);
	exposition_family(&x, "h", EXPOSITION_HISTOGRAM, "", "H.");
	exposition_label(&x, "l", "v");
	exposition_histogram(&x, &h, which);
	got = text();
	ck_assert_uint_eq(read_buckets(got, bounds, counts), nbounds);
	ck_assert(bounds[0] == (double)first && bounds[nbounds - 1] == (double)last);
	for (unsigned b = 0; b < nbounds; b++) {
		unsigned long long below = 0;

		/* One of 1024 us took less than 1025: it is not counted up to 1024. */
		for (unsigned i = 0; i < 2000; i++)
			below += (double)values[i] < bounds[b];
		ck_assert_msg(counts[b] == below, "seed %u: up to %g us %llu, not %llu", seed,
			      bounds[b], counts[b], below);
	}
	ck_assert_uint_eq(counts[nbounds], 2000);
	ck_assert_ptr_nonnull(strstr(got, "h_count{l=\"v\"} 2000\n"));
	snprintf(line, sizeof line, "h_sum{l=\"v\"} %llu.", sum / 1000000);
	ck_assert_ptr_nonnull(strstr(got, line));
}

START_TEST(buckets_are_exact)
{
	srand(seed);
	for (int i = 0; i < 20; i++) {
		check_random_histogram(EXPOSITION_FINE, 39, 128, 1 << 26);
		check_random_histogram(EXPOSITION_COARSE, 12, 256, 1 << 30);
	}
}
END_TEST

START_TEST(an_empty_histogram_has_all_buckets)
{
	struct histogram h = {0};
	double bounds[64];
	unsigned long long counts[64];

	begin(true);
	exposition_family(&x, "h", EXPOSITION_HISTOGRAM, "", "H.");
	exposition_histogram(&x, &h, EXPOSITION_FINE);
	ck_assert_uint_eq(read_buckets(text(), bounds, counts), 39);
	for (unsigned i = 0; i <= 39; i++)
		ck_assert_uint_eq(counts[i], 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("exposition");
	TCase *t = tcase_create("exposition");
	const char *given = getenv("CHECK_SEED");
	SRunner *r;
	int failed;

	seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
	tcase_add_test(t, the_text_format);
	tcase_add_test(t, openmetrics);
	tcase_add_test(t, times_are_seconds);
	tcase_add_test(t, labels_are_escaped);
	tcase_add_test(t, random_labels_stay_apart);
	tcase_add_test(t, buckets_are_exact);
	tcase_add_test(t, an_empty_histogram_has_all_buckets);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
