#include "cli/top/frame.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/top/graph.h"
#include "cli/top/overview.h"
#include "cli/top/verdict.h"
#include "cli/top/waiting.h"

#define VERDICT_MOST 4 /* lines */

/* ---- above and below ---- */

static const char *
state_of(const struct model *m, const char *key)
{
	const char *text = model_state(m, key);

	return text ? text : "?";
}

/* `left` and `right` at the ends of a line; `right` is left out if there is no room. */
static void
two_ends(struct lines *to, enum line_style style, unsigned width, const char *left,
	 const char *right)
{
	unsigned l = lines_width(left), r = lines_width(right);
	char *text;

	if (width && l + 2 + r <= width)
		text = mem_printf("%s%*s%s", left, (int)(width - l - r), "", right);
	else
		text = mem_strdup(left);
	lines_add(to, style, TABLE_PLAIN, width, text);
	free(text);
}

/* The first line: the daemon, and the time. */
static void
head_line(const struct page *p, const struct model *m, const struct frame_look *look,
	  struct lines *to)
{
	char up[32], every[32], *left, *right;
	const char *uptime = model_state(m, "uptime_s");

	/* It has whole seconds. */
	units_elapsed_str(uptime && *uptime != '0' ? strtoll(uptime, NULL, 10) * UNIT_S : UNIT_S,
			  up, sizeof up);
	units_duration_str(p->interval_us, every, sizeof every);
	left = mem_printf("pgwithd %s pid %s: %s, up %s, %s of %s sessions", state_of(m, "version"),
			  state_of(m, "pid"), state_of(m, "phase"), up, state_of(m, "sessions"),
			  state_of(m, "max_clients"));
	right = mem_printf("%s every %s", look->clock, every);
	for (unsigned shorter = 0;
	     look->width && shorter < 2 && lines_width(left) + lines_width(right) + 2 > look->width;
	     shorter++) {
		free(left);
		left =
		    mem_printf("pgwithd: %s%s%s, %s sessions", state_of(m, "phase"),
			       shorter ? "" : ", up ", shorter ? "" : up, state_of(m, "sessions"));
	}
	two_ends(to, LINE_NAME, look->width, left, right);
	free(left);
	free(right);
}

/* The pages with their numbers; `shorter`: 0 to 2. The caller frees. */
static char *
tab_names(const struct page *p, int shorter)
{
	char *text = mem_strdup("");

	for (unsigned i = 0; i < TABS_NTABS; i++) {
		bool now = i == p->tab;
		const char *name = shorter == 0 ? tabs_name(i) : tabs_short_name(i);
		char *more = mem_printf("%s%s%s%u%s%s%s", text, i ? " " : "", now ? "[" : "", i + 1,
					shorter ? "" : " ", shorter == 2 && !now ? "" : name,
					now ? "]" : "");

		free(text);
		text = more;
	}
	return text;
}

static void
tab_line(const struct page *p, unsigned width, struct lines *to)
{
	char *text = tab_names(p, 0);

	for (int shorter = 1; shorter < 3 && lines_width(text) > width; shorter++) {
		free(text);
		text = tab_names(p, shorter);
	}
	lines_add(to, LINE_FAINT, TABLE_PLAIN, width, text);
	free(text);
}

/* `height`: of the screen; 0: without limit. */
static void
verdict_lines(const struct model *m, unsigned width, unsigned height, struct lines *to)
{
	unsigned most = height == 0 || height / 5 > VERDICT_MOST ? VERDICT_MOST : height / 5;
	enum table_mood mood;
	char *text = verdict_of(m, &mood);

	lines_add_broken(to, LINE_STRONG, mood, width, most, text);
	free(text);
}

static void
bottom_line(const struct page *p, unsigned width, struct lines *to)
{
	char *text;

	if (p->mode == PAGE_ASKING) {
		text = mem_printf("Type %s and Enter, or Esc: %s_", PAGE_WORD, p->typed);
		lines_add_broken(to, LINE_STRONG, TABLE_BAD, width, 2, p->question);
		lines_add(to, LINE_STRONG, TABLE_BAD, width, text);
	} else if (p->mode == PAGE_FILTERING) {
		text = mem_printf("filter (Enter keeps it, Esc removes it): %s_", p->typed);
		lines_add(to, LINE_STRONG, TABLE_PLAIN, width, text);
	} else if (p->mode == PAGE_HELPING) {
		text = mem_strdup("any key: back. More: man pgwith-top");
		lines_add(to, LINE_FAINT, TABLE_PLAIN, width, text);
	} else if (p->notice) {
		text = mem_strdup(p->notice);
		lines_add(to, LINE_STRONG, p->notice_mood, width, text);
	} else if (p->filter[0]) {
		text = mem_printf("only rows with \"%s\": / changes that, Esc ends it", p->filter);
		lines_add(to, LINE_STRONG, TABLE_PLAIN, width, text);
	} else {
		text = mem_strdup("q quit  ? help  Tab page  / filter  s sort  p pause  k kill");
		lines_add(to, LINE_FAINT, TABLE_PLAIN, width, text);
	}
	free(text);
}

static void
help_lines(unsigned width, struct lines *to)
{
	static const char *const help[] = {
	    "1..9, Tab, Left, Right   another page",
	    "Up, Down, PgUp, PgDn     choose a row; End: the last one",
	    "Home, Esc                choose none",
	    "s, S                     sort by the next, previous column",
	    "r                        sort the other way round",
	    "/                        only rows with a text; Esc: all",
	    "p                        keep these numbers; again: go on",
	    "Space                    ask now",
	    "+, -                     ask twice, or half, as often",
	    "k                        end the chosen session; asks first",
	    "K                        roll back its scope or transaction",
	    "q; ?, h                  quit; this help",
	    "FOR: since when. QUEUE: how many wait for it. WAITING: how",
	    "many wait, or waited at the last looks. P50, P99: the time",
	    "that half, or 99 of 100, of the statements did not exceed.",
	};
	char *text;

	lines_add(to, LINE_NAME, TABLE_PLAIN, width, "keys");
	for (unsigned i = 0; i < sizeof help / sizeof *help; i++)
		lines_add(to, LINE_PLAIN, TABLE_PLAIN, width, help[i]);
	text = mem_printf("SERVERS: %s leased  %s cleanup  %s opening  %s idle", graph_sign(0),
			  graph_sign(1), graph_sign(2), graph_sign(3));
	lines_add(to, LINE_PLAIN, TABLE_PLAIN, width, text);
	free(text);
}

/* ---- the rows ---- */

/* Instead of the rows of a table that the model does not have. */
static void
not_known(const struct page *p, unsigned width, struct lines *to)
{
	lines_add(to, LINE_FAINT, TABLE_PLAIN, width,
		  p->paused ? "not known: nothing is asked while paused"
			    : "not known: pgwithd has not answered yet, or does not have this "
			      "table");
}

static void
tab_lines(const struct page *p, const struct model *m, unsigned width, struct lines *to)
{
	const struct page_tab *t = &p->tabs[p->tab];
	struct sheet *s = tabs_sheet(m, p->tab, width);

	lines_add(to, LINE_NAME, TABLE_PLAIN, width, tabs_title(p->tab));
	if (s && p->filter[0])
		sheet_filter(s, p->filter);
	if (s == NULL) {
		not_known(p, width, to);
	} else if (sheet_rows(s) == 0) {
		lines_add(to, LINE_FAINT, TABLE_PLAIN, width,
			  p->filter[0] ? "no row has that text" : tabs_nothing(p->tab));
	} else {
		if (t->sorted >= 0)
			sheet_sort(s, (unsigned)t->sorted, t->backwards);
		sheet_lines(s, width, 0, t->sorted, to);
	}
	sheet_free(s);
}

static void
waits_lines(const struct page *p, const struct model *m, unsigned width, struct lines *to)
{
	lines_add(to, LINE_NAME, TABLE_PLAIN, width, tabs_title(TABS_WAITS));
	lines_add(to, LINE_FAINT, TABLE_PLAIN, width,
		  "* waits for nobody: those below it go on when it does");
	if (!waiting_lines(m, p->filter[0] ? p->filter : NULL, width, to))
		not_known(p, width, to);
}

static void
body_lines(const struct page *p, const struct model *m, const struct frame_look *look,
	   unsigned height, struct lines *to)
{
	const struct page_tab *t = &p->tabs[p->tab];

	if (p->mode == PAGE_HELPING)
		help_lines(look->width, to);
	else if (p->tab == TABS_ALL)
		overview_lines(m,
			       &(struct overview_how){.width = look->width,
						      .height = height,
						      .filter = p->filter[0] ? p->filter : NULL,
						      .sorted = t->sorted,
						      .backwards = t->backwards,
						      .now_us = look->now_us},
			       to);
	else if (p->tab == TABS_WAITS)
		waits_lines(p, m, look->width, to);
	else
		tab_lines(p, m, look->width, to);
}

static bool
can_be_chosen(const struct line *l)
{
	return l->style == LINE_PLAIN && *l->text;
}

/* The line of the chosen session that is nearest to where it was chosen (a session can stand on a
 * page more than once), or, without a session, the line of the chosen number; the last line if the
 * number is too large. -1: there is none. `*number`: its number among those that can be chosen. */
static int
nearest_line(const struct page *p, const struct lines *body, unsigned *number)
{
	unsigned n = 0, best = UINT32_MAX;
	int at = -1;

	for (unsigned i = 0; i < body->count; i++) {
		const struct line *l = &body->list[i];
		unsigned away;

		if (!can_be_chosen(l))
			continue;
		away = n > p->chosen_line ? n - p->chosen_line : p->chosen_line - n;
		if (away < best && (p->chosen_session == 0 || l->session == p->chosen_session)) {
			best = away;
			at = (int)i;
			*number = n;
		}
		n++;
	}
	return at;
}

/* Finds the chosen row among the lines, and notes whose it is. It follows its session; if that has
 * gone, what stands in its place is chosen. Returns -1 if none is. */
static int
find_chosen(struct page *p, const struct lines *body)
{
	const struct line *l;
	unsigned number;
	int at;

	if (!p->chosen || p->mode == PAGE_HELPING)
		return -1;
	at = nearest_line(p, body, &number);
	if (at < 0) {
		p->chosen_session = 0;
		at = nearest_line(p, body, &number);
	}
	if (at < 0) {
		page_choose_nothing(p);
		return -1;
	}
	l = &body->list[at];
	page_choose_nothing(p);
	p->chosen = true;
	p->chosen_line = number;
	p->chosen_session = l->session;
	p->chosen_scope = l->scope ? mem_strdup(l->scope) : NULL;
	p->chosen_who = l->who ? mem_strdup(l->who) : NULL;
	return at;
}

/* Keeps the lines of the body that are on the screen: the name and the columns stay at the top, and
 * the rows are moved so that the chosen one can be seen. Returns its new number. */
static int
scroll(struct page *p, struct lines *body, unsigned height, int chosen)
{
	unsigned *first = &p->tabs[p->tab].first;
	unsigned fixed = body->count < 2 ? body->count : 2, room, rows;

	if (p->tab == TABS_ALL || p->mode == PAGE_HELPING || height <= fixed)
		return chosen;
	room = height - fixed;
	rows = body->count - fixed;
	if (chosen >= (int)fixed) {
		unsigned row = (unsigned)chosen - fixed;

		if (row < *first)
			*first = row;
		if (row >= *first + room)
			*first = row - room + 1;
	}
	if (*first + room > rows)
		*first = rows > room ? rows - room : 0;
	lines_remove(body, fixed, *first);
	return chosen < (int)fixed ? chosen : chosen - (int)*first;
}

int
frame_lines(struct page *p, const struct model *m, const struct frame_look *look, struct lines *to)
{
	struct lines body = {0}, bottom = {0};
	unsigned height;
	int chosen;

	head_line(p, m, look, to);
	if (look->banner)
		lines_add_broken(to, LINE_BANNER, TABLE_BAD, look->width, 2, look->banner);
	if (p->paused)
		lines_add(to, LINE_BANNER, TABLE_WAITING, look->width,
			  "paused: these numbers stay until p is pressed");
	if (p->mode != PAGE_HELPING)
		verdict_lines(m, look->width, look->height, to);
	tab_line(p, look->width, to);
	/* Where there is too little room, what a key has asked stays. */
	bottom_line(p, look->width, &bottom);
	lines_cut(&bottom, look->height);
	lines_cut(to, look->height - bottom.count);
	height = look->height - to->count - bottom.count;
	body_lines(p, m, look, height, &body);
	chosen = find_chosen(p, &body);
	chosen = scroll(p, &body, height, chosen);
	lines_cut(&body, height);
	if (chosen >= (int)body.count)
		chosen = -1;
	else if (chosen >= 0)
		chosen += (int)to->count;
	while (body.count < height)
		lines_add(&body, LINE_PLAIN, TABLE_PLAIN, 0, "");
	lines_move(to, &body);
	lines_move(to, &bottom);
	return chosen;
}

void
frame_once(const struct page *p, const struct model *m, const struct frame_look *look,
	   struct lines *to)
{
	head_line(p, m, look, to);
	verdict_lines(m, look->width, 0, to);
	lines_add(to, LINE_PLAIN, TABLE_PLAIN, 0, "");
	body_lines(p, m, look, 0, to);
}
