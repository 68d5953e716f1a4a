#include "cli/top/overview.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/top/tabs.h"

#define MOST_ROWS 10 /* of a section but that of the pools, if there is no limit of lines */

enum part { PART_POOLS, PART_HELD, PART_QUEUES, PART_PINNED, PART_ERRORS, PARTS };

struct section {
	struct sheet *sheet; /* NULL: it is not known */
	char *title;
	const char *nothing;
	unsigned lines; /* that it gets: name, columns, rows, and one between sections */
};

static char *
errors_title(const struct model *m, int64_t now_us)
{
	int64_t us = now_us - m->since_us;
	char text[32];

	if (m->since_us == 0 || us >= MODEL_WINDOW_US)
		return mem_strdup("errors of the last minute");
	return mem_printf("errors of the last %s", units_elapsed_str(us, text, sizeof text));
}

static void
make_sections(const struct model *m, const struct overview_how *how, struct section *s)
{
	s[PART_POOLS] = (struct section){tabs_sheet(m, TABS_POOLS, how->width), mem_strdup("pools"),
					 "no pools", 0};
	s[PART_HELD] = (struct section){tabs_sheet(m, TABS_HELD, how->width),
					mem_strdup("held longest"), "nothing is held", 0};
	s[PART_QUEUES] = (struct section){tabs_queues(m), mem_strdup("locks with a queue"),
					  "no lock has a queue", 0};
	s[PART_PINNED] = (struct section){tabs_sheet(m, TABS_PINNED, how->width),
					  mem_strdup("pinned"), "nobody is pinned", 0};
	s[PART_ERRORS] =
	    (struct section){tabs_recent_errors(m), errors_title(m, how->now_us), "no errors", 0};
	for (unsigned i = 0; i < PARTS; i++)
		if (s[i].sheet && how->filter)
			sheet_filter(s[i].sheet, how->filter);
	if (s[PART_POOLS].sheet && how->sorted >= 0)
		sheet_sort(s[PART_POOLS].sheet, (unsigned)how->sorted, how->backwards);
}

static bool
is_shown(const struct section *s)
{
	return s->sheet && sheet_rows(s->sheet) > 0;
}

/* Lines beside the rows: the name, which the pools do not have, the names of columns, and an empty
 * one behind them. */
static unsigned
frame_of(unsigned part)
{
	return part == PART_POOLS ? 2 : 3;
}

/* Gives each section its lines: as many as it has, or less, taken from the longest ones. */
static void
share_lines(struct section *s, unsigned height)
{
	unsigned sum = 1; /* the line of what there is not */

	for (unsigned i = 0; i < PARTS; i++) {
		if (!is_shown(&s[i]))
			continue;
		s[i].lines = sheet_rows(s[i].sheet);
		if (height == 0 && i != PART_POOLS && s[i].lines > MOST_ROWS)
			s[i].lines = MOST_ROWS;
		s[i].lines += frame_of(i);
		sum += s[i].lines;
	}
	while (height && sum > height) {
		unsigned longest = PARTS;

		for (unsigned i = 0; i < PARTS; i++)
			if (s[i].lines > frame_of(i) + 1 &&
			    (longest == PARTS || s[i].lines > s[longest].lines))
				longest = i;
		if (longest == PARTS)
			break;
		s[longest].lines--;
		sum--;
	}
	/* Still too much: the last ones are left out. */
	for (unsigned i = PARTS; height && sum > height && i-- > 1;) {
		sum -= s[i].lines;
		s[i].lines = 0;
	}
}

static void
section_lines(const struct section *s, unsigned part, const struct overview_how *how,
	      struct lines *to)
{
	bool pools = part == PART_POOLS;

	if (!pools)
		lines_add(to, LINE_NAME, TABLE_PLAIN, how->width, s->title);
	sheet_lines(s->sheet, how->width, s->lines - frame_of(part), pools ? how->sorted : -1, to);
	lines_add(to, LINE_PLAIN, TABLE_PLAIN, 0, "");
}

/* One line with all that there is not, or is left out. */
static void
nothing_line(const struct section *s, const struct overview_how *how, struct lines *to)
{
	unsigned shown = 0;
	char *text;

	if (how->filter) {
		for (unsigned i = 0; i < PARTS; i++)
			shown += is_shown(&s[i]);
		lines_add(to, LINE_FAINT, TABLE_PLAIN, how->width,
			  shown ? "" : "no row has that text");
		return;
	}
	text = mem_strdup("");
	for (unsigned i = 0; i < PARTS; i++) {
		bool hidden = is_shown(&s[i]) && s[i].lines == 0;
		char *more;

		if (s[i].sheet == NULL || s[i].lines)
			continue;
		more = mem_printf("%s%s%s%s", text, *text ? ", " : "",
				  hidden ? s[i].title : s[i].nothing,
				  hidden ? ": too little room" : "");
		free(text);
		text = more;
	}
	lines_add(to, LINE_FAINT, TABLE_PLAIN, how->width, text);
	free(text);
}

void
overview_lines(const struct model *m, const struct overview_how *how, struct lines *to)
{
	struct section sections[PARTS];

	make_sections(m, how, sections);
	share_lines(sections, how->height);
	for (unsigned i = 0; i < PARTS; i++)
		if (sections[i].lines)
			section_lines(&sections[i], i, how, to);
	nothing_line(sections, how, to);
	for (unsigned i = 0; i < PARTS; i++) {
		sheet_free(sections[i].sheet);
		free(sections[i].title);
	}
}
