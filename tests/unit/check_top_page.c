/* What `pgwith top` says: the verdict, the pages, and what keys do. */
#include <check.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/top/frame.h"
#include "cli/top/overview.h"
#include "cli/top/verdict.h"

/* Gives the model a table: lines of cells with | between, the names of columns first; ~ is NULL. */
static void
give(struct model *m, enum model_source source, const char *text)
{
	struct table *t = table_new();
	char *copy = mem_strdup(text), *end, *line = strtok_r(copy, "\n", &end);

	for (bool names = true; line; line = strtok_r(NULL, "\n", &end), names = false) {
		const char *cells[32];
		unsigned n = 0;

		for (char *cell; (cell = strsep(&line, "|"));)
			cells[n++] = strcmp(cell, "~") == 0 ? NULL : cell;
		for (unsigned i = 0; names && i < n; i++)
			table_column(t, cells[i], TABLE_TEXT);
		if (!names)
			table_row(t, cells);
	}
	free(copy);
	model_take(m, source, t);
}

#define POOLS                                                                                   \
	"database|user|size|sv_active|sv_idle|sv_login|sv_cleaning|cl_waiting|maxwait|maxwait_" \
	"us\n"
#define HELD                                                                                   \
	"session|pool|role|pid|program|application_name|scopes|kind|name|class|state|held_ms|" \
	"waiting|backend_pid|pinned\n"
#define LOCKS "name|kind|session|pid|role|mode|state|position|since_ms\n"

/* A daemon with nothing to complain of. */
static struct model *
well(void)
{
	struct model *m = model_new();

	give(m, MODEL_STATE,
	     "key|value\nversion|0.1\nphase|running\npid|100\nuptime_s|3600\nsessions|7\n"
	     "max_clients|1000\n");
	give(m, MODEL_POOLS, POOLS "orders|app|20|3|5|0|0|0|0|0\nbilling|app|10|0|1|0|0|0|0|0\n");
	give(m, MODEL_HEALTH,
	     "pool|ready|reason|verdict\norders|t|~|orders: 3 of 20 leased\n"
	     "billing|t|~|billing: 0 of 10 leased\n");
	give(m, MODEL_HELD,
	     HELD "1|orders|app|11|psql|~|~|transaction|orders|SELECT|running|5|0|900|~\n");
	give(m, MODEL_LOCKS, LOCKS);
	give(m, MODEL_ERRORS, "error|sqlstate|count|last_time\nwait_timeout|57014|0|~\n");
	model_round(m, UNIT_S);
	return m;
}

/* ---- the verdict ---- */

static void
says(const struct model *m, enum table_mood expected_mood, const char *expected)
{
	enum table_mood mood;
	char *text = verdict_of(m, &mood);

	ck_assert_str_eq(text, expected);
	ck_assert_int_eq(mood, expected_mood);
	free(text);
}

START_TEST(all_is_well)
{
	struct model *m = well();

	says(m, TABLE_GOOD, "all is well: 2 pools, 3 of 30 leased, nobody waits");
	/* waits of a pool that works are no trouble */
	give(m, MODEL_POOLS, POOLS "orders|app|20|20|0|0|0|4|0|900\n");
	says(m, TABLE_GOOD, "all is well: 1 pool, 20 of 20 leased, 4 waiting for moments only");
	/* long holds are told, but for those of pinned sessions, which are meant */
	give(m, MODEL_HELD,
	     HELD "2|orders|app|12|py|worker|~|pinned|orders|~|idle|90000|0|900|LISTEN\n"
		  "1|orders|app|11|psql|~|~|transaction|orders|SELECT|idle in transaction|42000|0|"
		  "901|~\n");
	says(m, TABLE_GOOD,
	     "all is well: 1 pool, 20 of 20 leased, 4 waiting for moments only; session 1 (psql, "
	     "pid 11) holds for 42.0 s, idle in transaction");
	model_free(m);
}
END_TEST

START_TEST(a_pool_that_waits)
{
	struct model *m = well();
	static const char verdict[] = "orders: 20 of 20 leased, 37 waiting, oldest 4.2 s; session "
				      "12 (app, pid 4242) holds for 42.0 s, idle in transaction";
	char *health = mem_printf("pool|ready|reason|verdict\norders|t|~|%s\n", verdict);

	give(m, MODEL_POOLS, POOLS "orders|app|20|20|0|0|0|37|4|200000\n");
	give(m, MODEL_HEALTH, health);
	says(m, TABLE_WAITING, verdict);
	/* an older pgwithd has no SHOW HEALTH */
	model_refuse(m, MODEL_HEALTH);
	give(m, MODEL_HELD,
	     HELD
	     "12|orders|r|4242|x|app|~|transaction|orders|~|idle in transaction|42000|37|1|~\n");
	says(m, TABLE_WAITING,
	     "orders: 37 waiting, oldest 4.2 s; session 12 (x, pid 4242, app) holds for 42.0 s, "
	     "idle "
	     "in transaction");
	/* three like it, of which one holds two; the others hold, are called or do otherwise */
	give(m, MODEL_HELD,
	     HELD
	     "12|orders|r|4242|x|app|~|transaction|orders|~|idle in transaction|42000|37|1|~\n"
	     "13|orders|r|4243|x|app|~|transaction|orders|~|idle in transaction|41000|37|1|~\n"
	     "14|orders|r|4244|x|app|~|scope|a|~|idle in transaction|40000|37|1|~\n"
	     "14|orders|r|4244|x|app|~|scope|b|~|idle in transaction|40000|37|1|~\n"
	     "15|orders|r|4245|x|app|~|transaction|orders|~|idle in transaction|39000|37|1|~\n"
	     "16|orders|q|4246|x|app|~|transaction|orders|~|idle in transaction|38000|37|1|~\n"
	     "17|orders|r|4247|x|web|~|transaction|orders|~|idle in transaction|37000|37|1|~\n"
	     "18|orders|r|4248|x|app|~|transaction|orders|~|running|36000|37|1|~\n"
	     "19|billing|r|4249|x|app|~|transaction|billing|~|idle in transaction|35000|0|1|~\n"
	     "12|~|r|4242|x|app|~|lock|orders|~|idle in transaction|1000|0|~|~\n"
	     "20|~|r|4250|x|app|~|lock|orders|~|idle in transaction|1000|0|~|~\n");
	says(m, TABLE_WAITING,
	     "orders: 37 waiting, oldest 4.2 s; session 12 (x, pid 4242, app) and 3 more hold for "
	     "up to 42.0 s, idle in transaction");
	model_refuse(m, MODEL_HELD);
	says(m, TABLE_WAITING, "orders: 37 waiting, oldest 4.2 s");
	free(health);
	model_free(m);
}
END_TEST

START_TEST(a_pool_that_is_down_comes_first)
{
	struct model *m = well();

	give(m, MODEL_POOLS,
	     POOLS "orders|app|20|20|0|0|0|37|9|0\nbilling|app|10|0|0|0|0|0|0|0\n"
		   "a|app|1|1|0|0|0|1|8|0\nb|app|1|1|0|0|0|1|7|0\nc|app|1|1|0|0|0|1|6|0\n");
	give(m, MODEL_HEALTH,
	     "pool|ready|reason|verdict\norders|t|~|orders: bad\n"
	     "billing|f|no|billing: 0 of 10 leased; cannot connect\n");
	says(m, TABLE_BAD, "billing: 0 of 10 leased; cannot connect (also: orders, a, b, 1 more)");
	model_free(m);
}
END_TEST

START_TEST(a_lock_with_a_queue)
{
	struct model *m = well();

	give(m, MODEL_LOCKS,
	     LOCKS "nightly|lock|5|55|app|exclusive|held|0|60000\n"
		   "nightly|lock|6|66|app|exclusive|waiting|1|3200\n"
		   "nightly|lock|7|77|app|exclusive|waiting|2|1000\n"
		   "other|lock|8|88|app|exclusive|held|0|60000\n");
	give(m, MODEL_HELD, HELD "5|~|app|55|cron|~|~|lock|nightly|~|idle|60000|2|~|~\n");
	says(m, TABLE_WAITING,
	     "lock nightly: 2 waiting, oldest 3.2 s; session 5 (cron, pid 55) holds it for 60.0 s, "
	     "idle");
	/* a lock that works has short waits: they are no trouble, as in pools */
	give(m, MODEL_LOCKS,
	     LOCKS "nightly|lock|5|55|app|exclusive|held|0|50\n"
		   "nightly|lock|6|66|app|exclusive|waiting|1|40\n"
		   "other|lock|8|88|app|exclusive|held|0|60000\n"
		   "other|lock|9|99|app|exclusive|waiting|1|99\n");
	give(m, MODEL_HELD, HELD "5|~|app|55|cron|~|~|lock|nightly|~|idle|50|1|~|~\n");
	says(m, TABLE_GOOD, "all is well: 2 pools, 3 of 30 leased, 2 waiting for moments only");
	model_free(m);
}
END_TEST

/* A full pool whose oldest transaction waits for a lock, whose holder waits for another pool. */
START_TEST(the_one_at_the_end_of_the_chain_is_named)
{
	struct model *m = well();

	give(m, MODEL_POOLS, POOLS "orders|app|1|1|0|0|0|3|4|0\nbilling|app|1|1|0|0|0|1|2|0\n");
	give(m, MODEL_HEALTH,
	     "pool|ready|reason|verdict\norders|t|~|orders: full\nbilling|t|~|billing: full\n");
	give(m, MODEL_LOCKS,
	     LOCKS
	     "x|lock|2|22|app|exclusive|held|0|30000\nx|lock|1|11|app|exclusive|waiting|1|20000\n");
	give(m, MODEL_SCOPES, "session|name|state|pool\n2|x|open|~\n2|work|waiting|billing\n");
	give(m, MODEL_HELD,
	     HELD
	     "1|orders|app|11|one|~|~|scope|w|~|waiting|40000|3|1|~\n"
	     "2|~|app|22|two|~|~|lock|x|~|waiting|30000|1|~|~\n"
	     "3|billing|app|33|three|~|~|transaction|billing|~|idle in transaction|25000|1|3|~\n");
	says(m, TABLE_WAITING,
	     "lock x: 1 waiting, oldest 20.0 s; session 2 (two, pid 22) holds it for 30.0 s, "
	     "waiting; it waits: session 3 (three, pid 33) holds a server of billing for 25.0 s, "
	     "idle in transaction (also: orders, billing)");
	give(m, MODEL_LOCKS,
	     LOCKS
	     "x|lock|2|22|app|exclusive|held|0|30000\nx|lock|1|11|app|exclusive|waiting|1|200\n");
	says(m, TABLE_WAITING,
	     "orders: full; it waits: session 3 (three, pid 33) holds a server of billing for "
	     "25.0 s, idle in transaction (also: billing, lock x)");
	/* not told by whom */
	give(m, MODEL_SCOPES, "session|name|state|pool\n2|work|waiting|archive\n");
	says(m, TABLE_WAITING,
	     "orders: full; it waits for a server of archive (also: billing, lock x)");
	model_free(m);
}
END_TEST

START_TEST(a_circle_ends)
{
	struct model *m = well();
	enum table_mood mood;

	give(m, MODEL_POOLS, POOLS "orders|app|1|1|0|0|0|3|4|0\n");
	give(m, MODEL_LOCKS,
	     LOCKS "x|lock|1|11|app|exclusive|held|0|9\nx|lock|2|22|app|exclusive|waiting|1|9\n"
		   "y|lock|2|22|app|exclusive|held|0|9\ny|lock|1|11|app|exclusive|waiting|1|9\n");
	give(m, MODEL_HELD,
	     HELD "1|orders|app|11|a|~|~|transaction|orders|~|waiting|9|3|1|~\n"
		  "1|~|app|11|a|~|~|lock|x|~|waiting|9|1|~|~\n"
		  "2|~|app|22|b|~|~|lock|y|~|waiting|9|1|~|~\n");
	free(verdict_of(m, &mood));
	model_free(m);
}
END_TEST

START_TEST(a_daemon_that_ends)
{
	struct model *m = well();

	give(m, MODEL_STATE, "key|value\nphase|draining\n");
	says(m, TABLE_BAD,
	     "pgwithd is draining; all is well: 2 pools, 3 of 30 leased, nobody waits");
	model_free(m);
}
END_TEST

/* ---- pages ---- */

static const struct frame_look look = {
    .width = 80, .height = 24, .now_us = 2 * UNIT_S, .clock = "14:03:22"};

/* The screen as one text, in memory that the next call frees. `chosen`: out, the chosen line. */
static const char *
screen(struct page *p, const struct model *m, const struct frame_look *how, int *chosen)
{
	static char *text;
	struct lines l = {0};
	size_t bytes;
	FILE *f;
	int at = frame_lines(p, m, how, &l);

	free(text);
	text = NULL;
	f = open_memstream(&text, &bytes);
	ck_assert_uint_le(l.count, how->height);
	ck_assert_int_lt(at, (int)l.count);
	for (unsigned i = 0; i < l.count; i++) {
		ck_assert_uint_le(lines_width(l.list[i].text), how->width);
		fprintf(f, "%s\n", l.list[i].text);
	}
	fclose(f);
	if (chosen)
		*chosen = at;
	lines_clear(&l);
	return text;
}

static void
shows(struct page *p, const struct model *m, const char *words)
{
	const char *text = screen(p, m, &look, NULL);

	if (strstr(text, words) == NULL)
		ck_abort_msg("no \"%s\" in\n%s", words, text);
}

static void
shows_not(struct page *p, const struct model *m, const char *words)
{
	const char *text = screen(p, m, &look, NULL);

	if (strstr(text, words))
		ck_abort_msg("\"%s\" in\n%s", words, text);
}

/* The keys of a text; returns what the last one does. */
static enum page_does
press(struct page *p, const char *keys)
{
	enum page_does does = PAGE_NOTHING;

	for (; *keys; keys++)
		does = page_key(p, (uint32_t)*keys);
	return does;
}

static struct page
new_page(void)
{
	struct page p;

	page_init(&p, UNIT_S);
	return p;
}

START_TEST(the_first_page)
{
	struct model *m = well();
	struct page p = new_page();

	setlocale(LC_CTYPE, "C");
	ck_assert_str_eq(
	    screen(&p, m,
		   &(struct frame_look){
		       .width = 80, .height = 14, .now_us = 2 * UNIT_S, .clock = "14:03:22"},
		   NULL),
	    "pgwithd 0.1 pid 100: running, up 60.0 min, 7 of 1000 sessions  14:03:22 every 1s\n"
	    "all is well: 2 pools, 3 of 30 leased, nobody waits\n"
	    "[1 All] 2 Pools 3 Held 4 Locks 5 Waits 6 Pinned 7 Scopes 8 Errors 9 Sessions\n"
	    "POOL     SERVERS     LEASED  WAIT   OLDEST   TX/S      P50      P99  WAITING\n"
	    "orders   [#--     ]    3/20                                          _\n"
	    "billing  [-       ]    0/10                                          _\n"
	    "\n"
	    "held longest\n"
	    "SESSION  WHO   PID  HOLDS        POOL    STATE       FOR  QUEUE  LAST    SCOPES\n"
	    "      1  psql   11  transaction  orders  running  5.0 ms         SELECT  \n"
	    "\n"
	    "no lock has a queue, nobody is pinned, no errors\n"
	    "\n"
	    "q quit  ? help  Tab page  / filter  s sort  p pause  k kill\n");
	page_clear(&p);
	model_free(m);
}
END_TEST

/* Every page, at every size: no line is too long, and there are not too many. */
START_TEST(every_size)
{
	struct model *m = well();

	give(m, MODEL_LOCKS,
	     LOCKS "nightly|lock|5|55|app|exclusive|held|0|60000\n"
		   "nightly|lock|6|66|app|exclusive|waiting|1|3200\n");
	give(m, MODEL_WAITS,
	     "session|pid|program|application_name|role|kind|name|position|wait_ms|held_by|held_ms|"
	     "root\n"
	     "6|66|x|y|app|lock|nightly|1|3200|5|60000|t\n");
	give(m, MODEL_CLIENTS,
	     "id|user|database|state|remote_pid|program|application_name|state_us|queries|waits_"
	     "for|scopes\n"
	     "6|app|orders|waiting|66|x|y|3200000|17|lock nightly|lock nightly\n");
	give(m, MODEL_SCOPE_STATS, "pool|scope|success|wait_p50_ms\norders|work|12|0.3\n");
	for (unsigned locale = 0; locale < 2; locale++)
		for (unsigned width = 1; width < 140; width += width < 30 ? 2 : 11)
			for (unsigned height = 1; height < 30; height += height < 12 ? 1 : 5)
				for (int key = '1'; key <= '9' + 1; key++) {
					struct page p = new_page();
					struct frame_look how = {
					    .width = width,
					    .height = height,
					    .clock = "14:03:22",
					    .now_us = UNIT_S,
					    .banner = height & 1 ? "pgwithd has gone" : NULL};

					setlocale(LC_CTYPE, locale ? "C.UTF-8" : "C");
					page_key(&p, key > '9' ? '?' : (uint32_t)key);
					page_key(&p, PAGE_KEY_DOWN);
					screen(&p, m, &how, NULL);
					page_clear(&p);
				}
	model_free(m);
}
END_TEST

/* On a low screen the verdict does not push away what keys are about. */
START_TEST(a_low_screen_shows_the_question)
{
	struct model *m = well();
	struct page p = new_page();
	struct frame_look low = {.width = 20, .height = 5, .clock = "", .now_us = UNIT_S};

	setlocale(LC_CTYPE, "C");
	give(m, MODEL_HEALTH,
	     "pool|ready|reason|verdict\norders|f|no|orders: 20 of 20 leased, 37 waiting, oldest "
	     "4.2 s; session 12 (app, pid 4242) holds for 42.0 s, idle in transaction\n");
	ck_assert_str_eq(screen(&p, m, &low, NULL), "pgwithd: running, 7~\n"
						    "orders: 20 of 20 le~\n"
						    "[1All] 2 3 4 5 6 7 ~\n"
						    "POOL    SERVERS    ~\n"
						    "q quit  ? help  Tab~\n");
	press(&p, "3");
	page_key(&p, PAGE_KEY_DOWN);
	screen(&p, m, &low, NULL);
	press(&p, "kkil");
	ck_assert_ptr_nonnull(strstr(screen(&p, m, &low, NULL), "\nEnd session 1 (psql,\npid"));
	low.height = 2;
	ck_assert_ptr_nonnull(strstr(screen(&p, m, &low, NULL), "End session 1 (psql,\n"));
	page_clear(&p);
	model_free(m);
}
END_TEST

/* 60 columns and 20 lines are enough for all of it, and has each key. */
START_TEST(the_help_is_whole)
{
	static const char *const keys[] = {
	    "\n1..9, Tab, Left, Right ",
	    "\nUp, Down, PgUp, PgDn ",
	    "End: ",
	    "\nHome, Esc ",
	    "\ns, S ",
	    "\nr ",
	    "\n/ ",
	    "\np ",
	    "\nSpace ",
	    "\n+, - ",
	    "\nk ",
	    "\nK ",
	    "\nq; ?, h ",
	    "\nany key: back. More: man pgwith-top\n",
	};
	struct model *m = well();
	struct page p = new_page();
	struct frame_look narrow = {.width = 60, .height = 20, .clock = "", .now_us = UNIT_S};
	const char *text;

	setlocale(LC_CTYPE, "C");
	press(&p, "?");
	text = screen(&p, m, &narrow, NULL);
	if (strchr(strstr(text, "keys"), '~') != strstr(text, "~ cleanup"))
		ck_abort_msg("something is cut in\n%s", text);
	for (unsigned i = 0; i < sizeof keys / sizeof *keys; i++)
		if (strstr(text, keys[i]) == NULL)
			ck_abort_msg("no \"%s\" in\n%s", keys[i], text);
	page_clear(&p);
	model_free(m);
}
END_TEST

START_TEST(pages_turn)
{
	struct model *m = well();
	struct page p = new_page();

	ck_assert_int_eq(press(&p, "2"), PAGE_TURNS);
	shows(&p, m, "[2 Pools]");
	ck_assert_int_eq(press(&p, "\t"), PAGE_TURNS);
	shows(&p, m, "[3 Held]");
	page_key(&p, PAGE_KEY_LEFT);
	page_key(&p, PAGE_KEY_LEFT);
	page_key(&p, PAGE_KEY_LEFT);
	shows(&p, m, "[9 Sessions]");
	shows(&p, m, "not known");
	ck_assert_uint_eq(tabs_sources(m, p.tab), 1u << MODEL_CLIENTS);
	page_key(&p, PAGE_KEY_RIGHT);
	shows(&p, m, "[1 All]");
	press(&p, "6");
	shows(&p, m, "nobody is pinned");
	ck_assert_int_eq(press(&p, "q"), PAGE_QUITS);
	page_clear(&p);
	model_free(m);
}
END_TEST

#define WAITS                                                                                   \
	"session|pid|program|application_name|role|kind|name|position|wait_ms|held_by|held_ms|" \
	"root\n"
#define CLIENTS "id|user|program|remote_pid|application_name|state|scopes\n"

START_TEST(waits_are_a_tree)
{
	struct model *m = well();
	struct page p = new_page();

	press(&p, "5");
	shows(&p, m, "not known");
	give(m, MODEL_WAITS, WAITS);
	give(m, MODEL_CLIENTS, CLIENTS);
	shows(&p, m, "nobody waits");
	give(m, MODEL_WAITS,
	     WAITS "6|66|psql|x|app|lock|nightly|1|3200|5|60000|t\n"
		   "7|77|psql|y|app|server|orders|1|1200|6|60000|f\n");
	give(m, MODEL_CLIENTS,
	     CLIENTS "5|app|cron|55|culprit|idle in transaction|lock nightly\n6|app|psql|66|x|"
		     "scope|~\n7|app|psql|77|y|waiting|~\n");
	shows(&p, m, "\n* session 5 (cron, pid 55, culprit)");
	shows(&p, m, "\n+- session 6 (");
	shows(&p, m, "\n|  +- session 7 (");
	page_key(&p, PAGE_KEY_DOWN);
	shows(&p, m, "[5 Waits]");
	press(&p, "k");
	shows(&p, m, "End session 5 (cron, pid 55, culprit)?");
	page_key(&p, PAGE_KEY_ESCAPE);
	page_key(&p, PAGE_KEY_END);
	shows(&p, m, "[5 Waits]");
	ck_assert_uint_eq(p.chosen_session, 7);
	press(&p, "/SESSION 6\n");
	shows_not(&p, m, "session 7");
	shows(&p, m, "session 6");
	page_clear(&p);
	model_free(m);
}
END_TEST

START_TEST(pools_have_their_roles)
{
	struct model *m = well();
	struct page p = new_page();

	give(m, MODEL_POOLS,
	     POOLS "shared|~|20|0|0|0|0|0|0|0\nshared|alice|20|1|0|0|0|0|0|0\n"
		   "shared|bob|20|2|0|0|0|0|0|0\nlone|~|5|0|0|0|0|0|0|0\n");
	press(&p, "2");
	shows(&p, m, "shared/alice");
	shows(&p, m, "shared/bob");
	shows_not(&p, m, "\nshared ");
	shows(&p, m, "\nlone ");
	shows_not(&p, m, "TROUBLE");
	give(m, MODEL_POOLS,
	     "database|user|size|sv_active|last_error|paused\nlone|~|5|0|it is "
	     "down|0\nother|~|5|0|~|1\n");
	shows(&p, m, "TROUBLE");
	shows(&p, m, "it is down");
	shows(&p, m, "paused");
	give(m, MODEL_POOLS,
	     POOLS "shared|~|20|0|0|0|0|0|0|0\nshared|alice|20|1|0|0|0|0|0|0\n"
		   "shared|bob|20|2|0|0|0|0|0|0\nlone|~|5|0|0|0|0|0|0|0\n");
	says(m, TABLE_GOOD, "all is well: 2 pools, 3 of 25 leased, nobody waits");
	page_clear(&p);
	model_free(m);
}
END_TEST

START_TEST(a_filter_is_typed)
{
	struct model *m = well();
	struct page p = new_page();

	press(&p, "/billing\n");
	shows(&p, m, "\nbilling");
	shows_not(&p, m, "nothing is held");
	press(&p, "/x\n");
	shows(&p, m, "no row has that text");
	page_key(&p, PAGE_KEY_ESCAPE);
	shows(&p, m, "held longest");
	press(&p, "2/bil");
	ck_assert_int_eq(p.mode, PAGE_FILTERING);
	shows(&p, m, "filter (Enter keeps it, Esc removes it): bil_");
	shows_not(&p, m, "\norders");
	/* keys are text now */
	press(&p, "qqq");
	page_key(&p, PAGE_KEY_ERASE);
	press(&p, "\x7f\x7f\x7f\n");
	ck_assert_str_eq(p.filter, "bi");
	shows(&p, m, "only rows with \"bi\"");
	shows(&p, m, "\nbilling");
	press(&p, "/xyz\n");
	ck_assert_str_eq(p.filter, "bixyz");
	shows(&p, m, "no row has that text");
	page_key(&p, PAGE_KEY_ESCAPE);
	ck_assert_str_eq(p.filter, "");
	shows(&p, m, "\norders");
	/* characters of several bytes are taken away as one */
	press(&p, "/");
	page_key(&p, 0x20AC);
	page_key(&p, 0x1F600);
	page_key(&p, 0xE9);
	ck_assert_str_eq(p.filter, "\xe2\x82\xac\xf0\x9f\x98\x80\xc3\xa9");
	page_key(&p, PAGE_KEY_ERASE);
	page_key(&p, PAGE_KEY_ERASE);
	ck_assert_str_eq(p.filter, "\xe2\x82\xac");
	page_key(&p, PAGE_KEY_ERASE);
	page_key(&p, PAGE_KEY_ERASE);
	page_key(&p, PAGE_KEY_UP);
	page_key(&p, 0x202E);
	ck_assert_str_eq(p.filter, "");
	for (int i = 0; i < 2 * PAGE_TYPED; i++)
		page_key(&p, 0x20AC);
	ck_assert_uint_lt(strlen(p.filter), PAGE_TYPED);
	page_key(&p, 'U' - 64);
	ck_assert_str_eq(p.filter, "");
	page_clear(&p);
	model_free(m);
}
END_TEST

START_TEST(rows_are_sorted_by_keys)
{
	struct model *m = well();
	struct page p = new_page();
	const char *text;

	press(&p, "2ss");
	shows(&p, m, "SERVERS*");
	shows(&p, m, "\norders ");
	press(&p, "S");
	shows(&p, m, "POOL*");
	text = screen(&p, m, &look, NULL);
	ck_assert(strstr(text, "\nbilling") < strstr(text, "\norders"));
	press(&p, "r");
	text = screen(&p, m, &look, NULL);
	ck_assert(strstr(text, "\norders") < strstr(text, "\nbilling"));
	press(&p, "SSSS");
	ck_assert_int_eq(p.tabs[TABS_POOLS].sorted, -1);
	page_clear(&p);
	model_free(m);
}
END_TEST

/* ---- choosing, and killing ---- */

#define THREE                                                                 \
	HELD "1|orders|app|11|a|~|~|transaction|orders|~|running|900|0|1|~\n" \
	     "2|~|app|22|b|~|~|lock|my \"lock\"|~|idle|800|0|~|~\n"           \
	     "3|orders|app|33|c|~|~|pinned|orders|~|idle|700|0|3|LISTEN\n"

START_TEST(a_session_is_killed)
{
	struct model *m = well();
	struct page p = new_page();

	give(m, MODEL_HELD, THREE);
	press(&p, "3");
	shows(&p, m, "[3 Held]");
	ck_assert_int_eq(press(&p, "k"), PAGE_NOTHING);
	shows(&p, m, "choose a session first");
	page_key(&p, PAGE_KEY_DOWN);
	page_key(&p, PAGE_KEY_DOWN);
	shows_not(&p, m, "choose a session first");
	press(&p, "k");
	ck_assert_int_eq(p.mode, PAGE_ASKING);
	shows(&p, m, "End session 2 (b, pid 22)?");
	/* the table moves on while the question stands: it is still about session 2 */
	give(m, MODEL_HELD, HELD "3|orders|app|33|c|~|~|pinned|orders|~|idle|700|0|3|LISTEN\n");
	shows(&p, m, "End session 2 (b, pid 22)?");
	ck_assert_int_eq(press(&p, "kill\n"), PAGE_CHANGES);
	ck_assert_str_eq(p.statement, "KILL SESSION 2");
	ck_assert_int_eq(p.mode, PAGE_BROWSING);
	page_clear(&p);
	model_free(m);
}
END_TEST

START_TEST(nothing_else_than_the_word_kills)
{
	static const char *const answers[] = {"\n",     "k\n",     "y\n",       "yes\n",
					      "KILL\n", "kill \n", "killkill\n"};
	struct model *m = well();
	struct page p = new_page();

	give(m, MODEL_HELD, THREE);
	press(&p, "3");
	page_key(&p, PAGE_KEY_DOWN);
	shows(&p, m, "[3 Held]");
	for (unsigned i = 0; i < sizeof answers / sizeof *answers; i++) {
		press(&p, "k");
		ck_assert_int_eq(press(&p, answers[i]), PAGE_NOTHING);
		shows(&p, m, "nothing was killed");
	}
	press(&p, "kkill");
	ck_assert_int_eq(page_key(&p, PAGE_KEY_ESCAPE), PAGE_NOTHING);
	ck_assert_int_eq(p.mode, PAGE_BROWSING);
	/* what was typed for one question does not answer the next */
	press(&p, "kkil");
	page_key(&p, PAGE_KEY_ESCAPE);
	press(&p, "k");
	ck_assert_int_eq(press(&p, "l\n"), PAGE_NOTHING);
	page_clear(&p);
	model_free(m);
}
END_TEST

/* Another pgwithd may have another session of that number. */
START_TEST(a_question_is_withdrawn)
{
	struct model *m = well();
	struct page p = new_page();

	give(m, MODEL_HELD, THREE);
	press(&p, "3");
	page_key(&p, PAGE_KEY_DOWN);
	shows(&p, m, "[3 Held]");
	press(&p, "kkil");
	page_withdraw(&p);
	ck_assert_int_eq(p.mode, PAGE_BROWSING);
	ck_assert(!p.chosen);
	shows(&p, m, "nothing was killed: pgwithd was away");
	ck_assert_int_eq(press(&p, "l\n"), PAGE_NOTHING);
	/* without a question there is nothing to tell */
	page_key(&p, PAGE_KEY_DOWN);
	shows_not(&p, m, "nothing was killed");
	press(&p, "/a");
	page_withdraw(&p);
	ck_assert_int_eq(p.mode, PAGE_FILTERING);
	ck_assert(!p.chosen);
	shows_not(&p, m, "nothing was killed");
	page_clear(&p);
	model_free(m);
}
END_TEST

START_TEST(a_scope_is_killed)
{
	struct model *m = well();
	struct page p = new_page();

	give(m, MODEL_HELD, THREE);
	press(&p, "3");
	page_key(&p, PAGE_KEY_DOWN);
	shows(&p, m, "[3 Held]");
	press(&p, "K");
	shows(&p, m, "Roll back the innermost transaction of session 1 (a, pid 11)?");
	ck_assert_int_eq(press(&p, "kill\r"), PAGE_CHANGES);
	ck_assert_str_eq(p.statement, "KILL SCOPE 1");
	page_key(&p, PAGE_KEY_DOWN);
	shows(&p, m, "[3 Held]");
	press(&p, "K");
	ck_assert_int_eq(press(&p, "kill\n"), PAGE_CHANGES);
	/* quoted as a name */
	ck_assert_str_eq(p.statement, "KILL SCOPE 2 \"my \"\"lock\"\"\"");
	page_key(&p, PAGE_KEY_DOWN);
	shows(&p, m, "[3 Held]");
	press(&p, "K");
	shows(&p, m, "this row has no scope");
	page_clear(&p);
	model_free(m);
}
END_TEST

START_TEST(the_choice_follows_its_session)
{
	struct model *m = well();
	struct page p = new_page();
	int before, after;

	give(m, MODEL_HELD, THREE);
	press(&p, "3");
	page_key(&p, PAGE_KEY_DOWN);
	page_key(&p, PAGE_KEY_DOWN);
	screen(&p, m, &look, &before);
	ck_assert_uint_eq(p.chosen_session, 2);
	give(m, MODEL_HELD, HELD "2|~|app|22|b|~|~|lock|x|~|idle|800|0|~|~\n");
	screen(&p, m, &look, &after);
	ck_assert_uint_eq(p.chosen_session, 2);
	ck_assert_int_eq(after, before - 1);
	/* it has gone: the one in its place is chosen */
	give(m, MODEL_HELD, THREE);
	screen(&p, m, &look, NULL);
	give(m, MODEL_HELD,
	     HELD "1|orders|app|11|a|~|~|transaction|orders|~|running|900|0|1|~\n"
		  "9|orders|app|99|z|~|~|transaction|orders|~|running|700|0|1|~\n");
	screen(&p, m, &look, &after);
	ck_assert_int_eq(after, before);
	ck_assert_uint_eq(p.chosen_session, 9);
	give(m, MODEL_HELD, HELD);
	screen(&p, m, &look, &after);
	ck_assert_int_eq(after, -1);
	ck_assert(!p.chosen);
	page_clear(&p);
	model_free(m);
}
END_TEST

/* Gives SHOW HELD with that many sessions. */
static void
give_many(struct model *m, unsigned count)
{
	char *text = mem_strdup(HELD);

	for (unsigned i = 1; i <= count; i++) {
		char *more =
		    mem_printf("%s%u|orders|app|%u|p|~|~|transaction|orders|~|running|%u|0|1|~\n",
			       text, i, i, 1000 - i);

		free(text);
		text = more;
	}
	give(m, MODEL_HELD, text);
	free(text);
}

START_TEST(a_long_page_is_moved)
{
	struct model *m = well();
	struct page p = new_page();
	int chosen;

	give_many(m, 100);
	press(&p, "3");
	shows_not(&p, m, "\n    100 ");
	page_key(&p, PAGE_KEY_END);
	shows(&p, m, "\n    100 ");
	shows(&p, m, "\nSESSION ");
	ck_assert_uint_eq(p.chosen_session, 100);
	screen(&p, m, &look, &chosen);
	ck_assert_int_eq(chosen, 22); /* just above the bottom line */
	page_key(&p, PAGE_KEY_PAGE_UP);
	screen(&p, m, &look, NULL);
	ck_assert_uint_eq(p.chosen_session, 90);
	page_key(&p, PAGE_KEY_HOME);
	shows(&p, m, "\n      1 ");
	ck_assert(!p.chosen);
	/* fewer rows than were moved by */
	page_key(&p, PAGE_KEY_END);
	screen(&p, m, &look, NULL);
	give_many(m, 3);
	shows(&p, m, "\n      1 ");
	page_clear(&p);
	model_free(m);
}
END_TEST

START_TEST(the_first_page_shares_its_lines)
{
	struct model *m = well();
	struct page p = new_page();
	const struct frame_look low = {.width = 80, .height = 12, .now_us = UNIT_S, .clock = ""};

	give_many(m, 100);
	shows(&p, m, "more");
	shows(&p, m, "\norders ");
	shows(&p, m, "no lock has a queue");
	ck_assert_ptr_nonnull(strstr(screen(&p, m, &low, NULL), "held longest"));
	page_clear(&p);
	model_free(m);
}
END_TEST

/* ---- the rest ---- */

START_TEST(pause_pace_and_help)
{
	struct model *m = well();
	struct page p = new_page();

	ck_assert_int_eq(press(&p, "p"), PAGE_PAUSES);
	ck_assert(p.paused);
	shows(&p, m, "paused");
	ck_assert_int_eq(press(&p, "p"), PAGE_PAUSES);
	shows_not(&p, m, "paused");
	ck_assert_int_eq(press(&p, " "), PAGE_HURRIES);
	ck_assert_int_eq(press(&p, "+"), PAGE_PACES);
	ck_assert_int_eq(p.interval_us, UNIT_S / 2);
	shows(&p, m, "asks every 500ms");
	press(&p, "++++++++");
	ck_assert_int_eq(p.interval_us, UNIT_S / 4);
	press(&p, "--------------------");
	ck_assert_int_eq(p.interval_us, 32 * UNIT_S);
	/* --interval may have given more or less: the keys lead back from there */
	p.interval_us = 100 * UNIT_MS;
	press(&p, "+");
	ck_assert_int_eq(p.interval_us, 100 * UNIT_MS);
	press(&p, "-");
	ck_assert_int_eq(p.interval_us, 200 * UNIT_MS);
	p.interval_us = UNIT_H;
	press(&p, "-");
	ck_assert_int_eq(p.interval_us, UNIT_H);
	press(&p, "+");
	ck_assert_int_eq(p.interval_us, UNIT_H / 2);
	press(&p, "?");
	shows(&p, m, "another page");
	ck_assert_int_eq(press(&p, "q"), PAGE_NOTHING);
	shows_not(&p, m, "another page");
	page_notice(&p, TABLE_BAD, "no such session");
	shows(&p, m, "no such session");
	press(&p, "x");
	shows_not(&p, m, "no such session");
	page_clear(&p);
	model_free(m);
}
END_TEST

START_TEST(a_banner_stands_above)
{
	struct model *m = well();
	struct page p = new_page();
	struct frame_look how = look;

	how.banner = "pgwithd does not answer";
	ck_assert_ptr_nonnull(
	    strstr(screen(&p, m, &how, NULL), "\npgwithd does not answer\nall is well"));
	page_clear(&p);
	model_free(m);
}
END_TEST

START_TEST(one_page_without_a_screen)
{
	struct model *m = well();
	struct page p = new_page();
	struct lines l = {0};
	struct frame_look how = {.clock = "14:03:22", .now_us = UNIT_S};

	give_many(m, 100);
	frame_once(&p, m, &how, &l);
	ck_assert_uint_gt(l.count, 10);
	ck_assert_uint_lt(l.count, 40);
	ck_assert_str_eq(l.list[1].text, "all is well: 2 pools, 3 of 30 leased, nobody waits");
	lines_clear(&l);
	page_clear(&p);
	model_free(m);
}
END_TEST

/* moves[from][to]: 'x' may be made. */
static const char *const moves[PAGE_NMODES] = {
    /* clang-format off */
    /*                   browsing, filtering, asking, helping */
    [PAGE_BROWSING]  = ".xxx",
    [PAGE_FILTERING] = "x...",
    [PAGE_ASKING]    = "x...",
    [PAGE_HELPING]   = "x...",
    /* clang-format on */
};

START_TEST(modes_move)
{
	for (int from = 0; from < PAGE_NMODES; from++)
		for (int to = 0; to < PAGE_NMODES; to++)
			ck_assert_int_eq(page_may_move((enum page_mode)from, (enum page_mode)to),
					 moves[from][to] == 'x');
}
END_TEST

/* Any keys, in any order: only legal moves, and nothing is sent but by the word. */
START_TEST(random_keys)
{
	static const uint32_t keys[] = {'1',
					'3',
					'9',
					'\t',
					'q',
					's',
					'S',
					'r',
					'/',
					'p',
					' ',
					'+',
					'-',
					'k',
					'K',
					'i',
					'l',
					'?',
					'\n',
					0x1b,
					0x7f,
					PAGE_KEY_UP,
					PAGE_KEY_DOWN,
					PAGE_KEY_END,
					PAGE_KEY_HOME,
					PAGE_KEY_PAGE_UP,
					PAGE_KEY_PAGE_DOWN,
					PAGE_KEY_LEFT,
					PAGE_KEY_OTHER};
	struct model *m = well();
	struct page p = new_page();
	unsigned seed = 14;

	give(m, MODEL_HELD, THREE);
	for (int i = 0; i < 20000; i++) {
		uint32_t key =
		    keys[(seed = seed * 1103515245 + 12345) / 65536 % (sizeof keys / sizeof *keys)];
		bool word = p.mode == PAGE_ASKING && strcmp(p.typed, "kill") == 0;
		enum page_does does = page_key(&p, key);

		ck_assert(does != PAGE_CHANGES || (word && key == '\n' && p.statement));
		if (i % 7 == 0)
			screen(&p, m, &look, NULL);
	}
	page_clear(&p);
	model_free(m);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("top_page");
	TCase *c = tcase_create("top_page");
	SRunner *r = srunner_create(s);
	int failed;

	setlocale(LC_CTYPE, "C.UTF-8");
	tcase_add_test(c, all_is_well);
	tcase_add_test(c, a_pool_that_waits);
	tcase_add_test(c, a_pool_that_is_down_comes_first);
	tcase_add_test(c, a_lock_with_a_queue);
	tcase_add_test(c, the_one_at_the_end_of_the_chain_is_named);
	tcase_add_test(c, a_circle_ends);
	tcase_add_test(c, a_daemon_that_ends);
	tcase_add_test(c, the_first_page);
	tcase_add_test(c, every_size);
	tcase_add_test(c, a_low_screen_shows_the_question);
	tcase_add_test(c, the_help_is_whole);
	tcase_add_test(c, pages_turn);
	tcase_add_test(c, waits_are_a_tree);
	tcase_add_test(c, pools_have_their_roles);
	tcase_add_test(c, a_filter_is_typed);
	tcase_add_test(c, rows_are_sorted_by_keys);
	tcase_add_test(c, a_session_is_killed);
	tcase_add_test(c, nothing_else_than_the_word_kills);
	tcase_add_test(c, a_question_is_withdrawn);
	tcase_add_test(c, a_scope_is_killed);
	tcase_add_test(c, the_choice_follows_its_session);
	tcase_add_test(c, a_long_page_is_moved);
	tcase_add_test(c, the_first_page_shares_its_lines);
	tcase_add_test(c, pause_pace_and_help);
	tcase_add_test(c, a_banner_stands_above);
	tcase_add_test(c, one_page_without_a_screen);
	tcase_add_test(c, modes_move);
	tcase_add_test(c, random_keys);
	suite_add_tcase(s, c);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
