/* page: what a hostile client has called itself stays text, the page is valid UTF-8 of known tags,
 * and it is bounded. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/html.h"
#include "admin/page.h"
#include "base/units.h"
#include "base/utf8.h"

#define PAGE_BYTES_MAX (768 << 10) /* of the fullest page that there can be */
#define HOSTILE        "<script>alert('x')</script>\"&amp;\xff\xc3\x1b[31m\xe2\x80\xae\n--><b>"

static unsigned seed;   /* CHECK_SEED, or the time */
static unsigned rounds; /* CHECK_ROUNDS, or enough */

static struct buf out;
static char text[1 << 20]; /* the page, with a NUL */

static const char *
page(const struct status *st)
{
	buf_clear(&out);
	buf_init(&out, sizeof text - 1);
	page_write(st, 5, &out);
	ck_assert(!out.failed);
	memcpy(text, buf_data(&out), out.len);
	text[out.len] = 0;
	buf_clear(&out);
	return text;
}

/* ---- is it a document? ---- */

/* Tags that must be closed, and, behind NULL, those that need not be. */
static const char *const tags[] = {
    "html",    "head",       "title", "style",   "body",    "header", "main",  "h1",
    "h2",      "h3",         "p",     "ul",      "div",     "span",   "small", "b",
    "section", "table",      "svg",   "article", "caption", "a",      "code",  "footer",
    "figure",  "figcaption", NULL,    "meta",    "li",      "thead",  "tbody", "tr",
    "th",      "td",         "rect",  "path",    "!DOCTYPE"};
#define TAGS (sizeof tags / sizeof *tags)

static unsigned
tag_of(const char *name, size_t length)
{
	for (unsigned i = 0; i < TAGS; i++)
		if (tags[i] && strlen(tags[i]) == length && memcmp(tags[i], name, length) == 0)
			return i;
	ck_abort_msg("a tag that is none of the page's: <%.40s", name);
	return 0;
}

/* Reads one tag, `p` behind its "<". Returns where it ends. */
static const char *
check_tag(const char *p, int open[TAGS])
{
	bool closes = *p == '/', quoted = false;
	size_t length;
	unsigned tag;

	p += closes;
	length = strcspn(p, " />\n");
	tag = tag_of(p, length);
	open[tag] += closes ? -1 : 1;
	for (p += length; *p && (quoted || *p != '>'); p++) {
		if (*p == '<')
			ck_abort_msg("a tag in a tag: %.40s", p);
		quoted ^= *p == '"';
	}
	ck_assert_msg(*p == '>', "a tag without an end");
	return p;
}

/* ck_assert() writes a note each time: too slow for each character. */
static void
check_characters(const char *p)
{
	uint32_t character;
	unsigned bytes;

	for (; *p; p += bytes) {
		bytes = utf8_read(p, strnlen(p, 4), &character);
		if (bytes == 0)
			ck_abort_msg("no UTF-8: %.40s", p);
		if (utf8_is_control(character) && *p != '\n')
			ck_abort_msg("a control character in front of %.40s", p + bytes);
	}
}

static void
check_document(const char *p)
{
	int open[TAGS] = {0};

	check_characters(p);
	for (; *p; p++) {
		if (*p == '>')
			ck_abort_msg("a > that ends nothing: %.40s", p);
		if (*p == '<')
			p = check_tag(p + 1, open);
	}
	for (unsigned i = 0; tags[i]; i++)
		ck_assert_msg(open[i] == 0, "<%s> is open %d times", tags[i], open[i]);
	for (unsigned i = 0; i < TAGS; i++)
		ck_assert_msg(open[i] >= 0, "</%s> that closes nothing", tags[i] ? tags[i] : "");
}

/* ---- text ---- */

static const char *
escaped(const char *from)
{
	buf_clear(&out);
	buf_init(&out, sizeof text - 1);
	html_text(&out, from);
	memcpy(text, out.len ? buf_data(&out) : (const uint8_t *)"", out.len);
	text[out.len] = 0;
	buf_clear(&out);
	return text;
}

START_TEST(text_is_text)
{
	ck_assert_str_eq(escaped(NULL), "");
	ck_assert_str_eq(escaped("app"), "app");
	ck_assert_str_eq(escaped("<script>\"&'"), "&lt;script&gt;&quot;&amp;&#39;");
	ck_assert_str_eq(escaped("Ärger 漢"), "Ärger 漢");
	ck_assert_str_eq(escaped("a\xff\xc3(\n\x7f"), "a\\xff\\xc3(\\x0a\\x7f");
	ck_assert_str_eq(escaped("\xe2\x80\xaetxt"), "\\xe2\\x80\\xaetxt");
	/* cut in the middle of a character */
	ck_assert_str_eq(escaped("a\xe2\x82"), "a\\xe2\\x82");
}
END_TEST

START_TEST(random_bytes)
{
	srandom(seed);
	for (unsigned round = 0; round < rounds; round++) {
		char from[24];
		unsigned n = (unsigned)(random() % (long)(sizeof from - 1));
		const char *p;

		for (unsigned i = 0; i < n; i++) {
			static const char special[] = "<>&\"'\\\xe2\x80\xae\xf0\x9f";

			from[i] = random() % 2 ? special[random() % (long)(sizeof special - 1)]
					       : (char)(1 + random() % 255);
		}
		from[n] = 0;
		p = escaped(from);
		if (strpbrk(p, "<>\"'"))
			ck_abort_msg("CHECK_SEED=%u: %s", seed, p);
		check_characters(p);
		while ((p = strchr(p, '&')) != NULL)
			if (strcspn(p++, ";") > 5)
				ck_abort_msg("CHECK_SEED=%u: %s", seed, p);
	}
}
END_TEST

START_TEST(numbers)
{
	buf_clear(&out);
	buf_init(&out, 1000);
	html_number(&out, 0);
	html_add(&out, " ");
	html_number(&out, 999);
	html_add(&out, " ");
	html_number(&out, 1000);
	html_add(&out, " ");
	html_number(&out, UINT64_MAX);
	html_add(&out, " ");
	html_rate(&out, 0);
	html_add(&out, " ");
	html_rate(&out, 0.01);
	html_add(&out, " ");
	html_rate(&out, 8.46);
	html_add(&out, " ");
	html_rate(&out, 9.97);
	html_add(&out, " ");
	html_rate(&out, 12345.6);
	html_add(&out, " ");
	html_elapsed(&out, -5);
	buf_add_u8(&out, 0);
	ck_assert_str_eq((char *)buf_data(&out),
			 "0 999 1,000 18,446,744,073,709,551,615 0 &lt;0.1 8.5 10 12,346 0.0 ms");
	buf_clear(&out);
}
END_TEST

/* ---- pages ---- */

static struct status_who
hostile(uint64_t session)
{
	struct status_who who = {
	    .session = session, .pid = 4242, .application = HOSTILE, .role = HOSTILE};

	memcpy(who.program, HOSTILE, sizeof who.program - 1);
	return who;
}

static void
fill_hour(struct chart_minute hour[HISTORY_MINUTES])
{
	for (unsigned i = 0; i < HISTORY_MINUTES; i++)
		hour[i] = (struct chart_minute){.at = 1800000000 + (time_t)i * 60,
						.known = i % 7 != 3,
						.m = {.covered_ms = 60000,
						      .xacts = UINT32_MAX,
						      .queries = UINT32_MAX,
						      .leased = UINT32_MAX,
						      .waiting = UINT32_MAX,
						      .oldest_wait_ms = UINT32_MAX,
						      .waits = UINT32_MAX,
						      .wait_mean_us = UINT32_MAX,
						      .wait_p99_us = UINT32_MAX,
						      .wait_fails = UINT32_MAX,
						      .open_fails = UINT32_MAX,
						      .broken = UINT32_MAX}};
}

static struct status_held
hostile_held(unsigned i)
{
	struct status_held h = {.who = hostile(i),
				.kind = "transaction",
				.name = HOSTILE,
				.pool = HOSTILE,
				.state = "idle in transaction",
				.held_us = INT64_MAX,
				.waiting = UINT32_MAX,
				.backend_pid = INT32_MAX};

	memset(h.scopes, '<', sizeof h.scopes - 1);
	return h;
}

/* The fullest status that status_look() can make, of hostile texts. */
static struct status
full_status(void)
{
	struct status st = {.at = 1800000000,
			    .phase = "running",
			    .uptime_s = 1 << 30,
			    .sessions = UINT32_MAX,
			    .active = UINT32_MAX,
			    .idle = UINT32_MAX,
			    .waiting = UINT32_MAX,
			    .max_sessions = INT64_MAX,
			    .known = 60};

	memcpy(st.host, HOSTILE, sizeof HOSTILE);
	st.process = (struct process){.resident = UINT64_MAX >> 1, .fds = UINT64_MAX};
	st.npools = st.nverdicts = STATUS_POOLS;
	st.nheld = st.nwaits = st.nlocks = st.npinned = st.nerrors = STATUS_ROWS;
	st.pools_there = st.verdicts_there = st.held_there = st.waits_there = st.locks_there =
	    st.pinned_there = st.errors_there = 1234;
	st.pools = calloc(STATUS_POOLS, sizeof *st.pools);
	st.verdicts = calloc(STATUS_POOLS, sizeof *st.verdicts);
	st.held = calloc(STATUS_ROWS, sizeof *st.held);
	st.waits = calloc(STATUS_ROWS, sizeof *st.waits);
	st.locks = calloc(STATUS_ROWS, sizeof *st.locks);
	st.pinned = calloc(STATUS_ROWS, sizeof *st.pinned);
	st.errors = calloc(STATUS_ROWS, sizeof *st.errors);
	for (unsigned i = 0; i < STATUS_POOLS; i++) {
		struct status_verdict *v = &st.verdicts[i];

		st.pools[i] = (struct status_pool){.name = HOSTILE,
						   .paused = true,
						   .disabled = true,
						   .removed = true,
						   .mood = STATUS_BAD,
						   .size = INT64_MAX,
						   .max_waiting = INT64_MAX,
						   .leased = UINT32_MAX,
						   .idle = UINT32_MAX,
						   .cleaning = UINT32_MAX,
						   .opening = UINT32_MAX,
						   .pinned = UINT32_MAX,
						   .idle_sessions = UINT32_MAX,
						   .waiting = UINT32_MAX,
						   .oldest_wait_us = INT64_MAX,
						   .recent = {UNIT_S, UINT64_MAX, UINT64_MAX, 0, 0},
						   .wait_p50_us = INT64_MAX,
						   .wait_p99_us = INT64_MAX,
						   .hold_p50_us = INT64_MAX,
						   .hold_p99_us = INT64_MAX};
		fill_hour(st.pools[i].hour);
		v->mood = STATUS_BAD;
		v->known = true;
		v->culprit = hostile_held(i);
		memset(v->text, '"', sizeof v->text - 1);
	}
	for (unsigned i = 0; i < STATUS_ROWS; i++) {
		st.held[i] = hostile_held(i);
		st.waits[i] = (struct status_wait){.who = hostile(i),
						   .kind = "semaphore",
						   .name = HOSTILE,
						   .position = UINT32_MAX,
						   .wait_us = INT64_MAX,
						   .held_by = 1,
						   .holder = hostile(1),
						   .held_us = INT64_MAX};
		st.locks[i] = (struct status_lock){.kind = "semaphore",
						   .name = HOSTILE,
						   .mode = "exclusive",
						   .limit = i % 2,
						   .holders = UINT32_MAX,
						   .waiting = UINT32_MAX,
						   .holder = hostile(1),
						   .held_us = INT64_MAX,
						   .next = hostile(2),
						   .wait_us = INT64_MAX};
		st.pinned[i] = (struct status_pinned){
		    .who = hostile(i), .pool = HOSTILE, .why = "LISTEN", .held_us = INT64_MAX};
		st.errors[i] = (struct status_error){.name = "wait_timeout",
						     .sqlstate = "53300",
						     .minute = UINT64_MAX,
						     .hour = UINT64_MAX,
						     .ever = UINT64_MAX,
						     .ago_us = INT64_MAX};
	}
	return st;
}

START_TEST(a_hostile_page_is_a_document)
{
	struct status st = full_status();
	const char *p = page(&st);

	check_document(p);
	ck_assert_ptr_null(strstr(p, "<script"));
	ck_assert_ptr_nonnull(strstr(p, "&lt;script&gt;"));
	ck_assert_ptr_nonnull(strstr(p, "\\x1b[31m\\xe2\\x80\\xae\\x0a--&gt;"));
	status_clear(&st);
}
END_TEST

START_TEST(a_full_page_is_bounded)
{
	struct status st = full_status();
	const char *p = page(&st), *at = p;
	unsigned more = 0;

	ck_assert_uint_le(strlen(p), PAGE_BYTES_MAX);
	for (; (at = strstr(at, "class=more>and 1,2")) != NULL; at++)
		more++;
	ck_assert_uint_eq(more, 7); /* each list says how many more there are */
	status_clear(&st);
}
END_TEST

START_TEST(an_empty_page)
{
	struct status st = {.phase = "running"};
	const char *p = page(&st);

	check_document(p);
	ck_assert_ptr_nonnull(strstr(p, "There is no pool"));
	ck_assert_ptr_nonnull(strstr(p, "Nobody waits."));
	ck_assert_ptr_nonnull(strstr(p, "Errors are not counted yet."));
	ck_assert_ptr_null(strstr(p, "class=more"));
}
END_TEST

static struct status_verdict
verdict(enum status_mood mood, const char *words)
{
	struct status_verdict v = {.mood = mood};

	snprintf(v.text, sizeof v.text, "%s", words);
	return v;
}

START_TEST(the_headline_is_the_worst)
{
	struct status_verdict v[2];
	struct status_pool pools[2] = {{.name = "a"}, {.name = "b"}};
	struct status st = {.phase = "running",
			    .npools = 2,
			    .pools_there = 2,
			    .pools = pools,
			    .nverdicts = 2,
			    .verdicts_there = 2,
			    .verdicts = v};

	v[0] = v[1] = verdict(STATUS_GOOD, "a: 1 of 5 leased");
	ck_assert_ptr_nonnull(strstr(page(&st), "<h2>All is well</h2>"));
	ck_assert_ptr_nonnull(strstr(text, "class=\"verdict good\""));
	v[0] = verdict(STATUS_WAITS, "lock x: 3 waiting");
	st.waiting = 3;
	ck_assert_ptr_nonnull(strstr(page(&st), "<h2>3 clients wait</h2>"));
	ck_assert_ptr_nonnull(strstr(text, "class=\"verdict waits\""));
	v[0] = verdict(STATUS_BAD, "a: the pool is paused");
	st.pools_bad = 1;
	ck_assert_ptr_nonnull(
	    strstr(page(&st), "<h2>1 of 2 pools would not serve a client now</h2>"));
	ck_assert_ptr_nonnull(strstr(text, "class=\"verdict bad\""));
	st.phase = "draining";
	ck_assert_ptr_nonnull(strstr(page(&st), "<h2>pgwithd ends: it is draining</h2>"));
}
END_TEST

/* A verdict that has the same session behind it as an earlier one says so in few words. */
START_TEST(a_culprit_is_described_once)
{
	struct status_verdict v[2];
	struct status st = {.phase = "running", .nverdicts = 2, .verdicts_there = 2, .verdicts = v};
	struct status_held h = {.who = {.session = 12, .pid = 4242, .program = "psql"},
				.kind = "lock",
				.name = "stock",
				.state = "idle",
				.held_us = 42 * UNIT_S,
				.scopes = "lock stock > work"};

	v[0] = v[1] = verdict(STATUS_WAITS, "lock stock: 3 waiting");
	v[0].known = v[1].known = true;
	v[0].culprit = v[1].culprit = h;
	page(&st);
	check_document(text);
	ck_assert_ptr_nonnull(strstr(text, "<b>psql</b> <span class=n>pid 4242</span>"
					   "<small>session 12</small><p>idle; holds lock "
					   "<b>stock</b> for <b class=n>42.0 s</b>; scopes: <b>"
					   "lock stock &gt; work</b></p>"));
	ck_assert_ptr_nonnull(strstr(text, "session 12 again<p>holds lock <b>stock</b> for "));
}
END_TEST

/* A queue that moves has nobody behind it. */
START_TEST(a_queue_that_moves)
{
	struct status_verdict v = verdict(STATUS_WAITS, "a: 5 of 5 leased, 3 waiting");
	struct status st = {
	    .phase = "running", .nverdicts = 1, .verdicts_there = 1, .verdicts = &v};

	v.moves = true;
	page(&st);
	check_document(text);
	ck_assert_ptr_nonnull(strstr(text, "nobody in particular"));
	ck_assert_ptr_null(strstr(text, "pid "));
}
END_TEST

/* ---- charts ---- */

static const char *
chart(const struct chart_minute *hour)
{
	buf_clear(&out);
	buf_init(&out, sizeof text - 1);
	chart_hour(&out, "a", hour);
	memcpy(text, buf_data(&out), out.len);
	text[out.len] = 0;
	buf_clear(&out);
	return text;
}

START_TEST(what_is_not_known_is_not_drawn)
{
	static struct chart_minute hour[HISTORY_MINUTES];
	struct chart_most most;

	for (unsigned i = 10; i < HISTORY_MINUTES; i++)
		hour[i] = (struct chart_minute){
		    .known = i != 20,
		    .m = {.covered_ms = 30000, .xacts = i == 30 ? 300 : 0, .waiting = i == 40}};
	most = chart_most(hour);
	ck_assert_uint_eq(most.known, 49);
	ck_assert_uint_eq(most.waiting, 1);
	ck_assert(most.xacts == 10);
	chart(hour);
	ck_assert_ptr_nonnull(strstr(text, "<rect class=gap x=0 width=100 height=100>"));
	ck_assert_ptr_nonnull(strstr(text, "<rect class=gap x=200 width=10 "));
	ck_assert_ptr_nonnull(strstr(text, "d=\"M100 60V60h10V60h10"));
	ck_assert_ptr_nonnull(strstr(text, "V60ZM210 60V60h10"));
	ck_assert_ptr_nonnull(strstr(text, "V0h10")); /* the minute with the most */
	ck_assert_ptr_nonnull(strstr(text, ": no numbers</title>"));
	ck_assert_ptr_nonnull(strstr(text, ": 10 transactions a second</title>"));
	ck_assert_ptr_nonnull(strstr(text, ", 1 waiting at most</title>"));
	ck_assert_ptr_nonnull(strstr(text, "49 of 60 minutes are known"));
	memset(hour, 0, sizeof hour);
	chart(hour);
	ck_assert_ptr_nonnull(strstr(text, "<path class=tx d=\"\"/>"));
	ck_assert_ptr_nonnull(strstr(text, "<rect class=gap x=0 width=600 "));
}
END_TEST

START_TEST(bars_end_where_they_should)
{
	const struct chart_part parts[] = {{"leased", 3}, {"idle", 1}};

	buf_clear(&out);
	buf_init(&out, 10000);
	chart_bar(&out, "a", parts, 2, 10);
	chart_bar(&out, "a", parts, 2, 2); /* it has just become smaller */
	chart_bar(&out, "a", parts, 2, 0);
	buf_add_u8(&out, 0);
	ck_assert_ptr_nonnull(strstr((char *)buf_data(&out),
				     "<title>Server connections of pool a: 3 "
				     "leased, 1 idle, of 10</title>"));
	ck_assert_ptr_nonnull(strstr((char *)buf_data(&out), "class=leased x=0 width=300 "));
	ck_assert_ptr_nonnull(strstr((char *)buf_data(&out), "class=idle x=300 width=100 "));
	ck_assert_ptr_nonnull(strstr((char *)buf_data(&out), "class=idle x=750 width=250 "));
	buf_clear(&out);
}
END_TEST

/* ---- the rest ---- */

START_TEST(refresh)
{
	ck_assert_uint_eq(page_refresh(NULL), PAGE_REFRESH_S);
	ck_assert_uint_eq(page_refresh(""), PAGE_REFRESH_S);
	ck_assert_uint_eq(page_refresh("refresh=1"), 1);
	ck_assert_uint_eq(page_refresh("refresh=0"), 0);
	ck_assert_uint_eq(page_refresh("a=b&refresh=30&c"), 30);
	ck_assert_uint_eq(page_refresh("xrefresh=1"), PAGE_REFRESH_S);
	ck_assert_uint_eq(page_refresh("refresh="), PAGE_REFRESH_S);
	ck_assert_uint_eq(page_refresh("refresh=-1"), PAGE_REFRESH_S);
	ck_assert_uint_eq(page_refresh("refresh=5x"), PAGE_REFRESH_S);
	ck_assert_uint_eq(page_refresh("refresh=3601"), PAGE_REFRESH_S);
	ck_assert_uint_eq(page_refresh("refresh=99999999999999999999999"), PAGE_REFRESH_S);
}
END_TEST

START_TEST(nothing_may_be_loaded)
{
	const char *policy = page_policy();

	ck_assert_ptr_nonnull(strstr(policy, "default-src 'none'; style-src 'sha256-"));
	ck_assert_ptr_null(strstr(policy, "unsafe"));
	ck_assert_ptr_eq(policy, page_policy());
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("page");
	TCase *t = tcase_create("page");
	SRunner *r = srunner_create(s);
	const char *given = getenv("CHECK_SEED"), *many = getenv("CHECK_ROUNDS");
	int failed;

	seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
	rounds = many ? (unsigned)strtoul(many, NULL, 10) : 20000;
	fprintf(stderr, "check_page: CHECK_SEED=%u\n", seed);
	tcase_add_test(t, text_is_text);
	tcase_add_test(t, random_bytes);
	tcase_add_test(t, numbers);
	tcase_add_test(t, a_hostile_page_is_a_document);
	tcase_add_test(t, a_full_page_is_bounded);
	tcase_add_test(t, an_empty_page);
	tcase_add_test(t, the_headline_is_the_worst);
	tcase_add_test(t, a_culprit_is_described_once);
	tcase_add_test(t, a_queue_that_moves);
	tcase_add_test(t, what_is_not_known_is_not_drawn);
	tcase_add_test(t, bars_end_where_they_should);
	tcase_add_test(t, refresh);
	tcase_add_test(t, nothing_may_be_loaded);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
