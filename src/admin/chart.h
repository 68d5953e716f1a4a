/* chart: the drawings of the status page, as inline SVG: the bar of a pool's servers, and its last
 * hour. They are stretched to the width of the page, so they have no text inside but titles, which
 * a browser shows when one points at a place, and which screen readers read. */
#ifndef PGWITH_ADMIN_CHART_H
#define PGWITH_ADMIN_CHART_H

#include <time.h>

#include "admin/history.h"
#include "base/buf.h"

/* A part of a bar. */
struct chart_part {
	const char *class; /* of the page's style; also the word for people */
	unsigned count;
};

/* Draws the parts side by side, on a ground of `size` units, or of their sum if that is more.
 * `name`: of the pool, for the title. */
void chart_bar(struct buf *, const char *name, const struct chart_part *, unsigned count,
	       int64_t size);

/* One minute of a chart, the oldest first. */
struct chart_minute {
	time_t at; /* when it began, by the wall clock */
	bool known;
	struct history_minute m;
};

/* What was the most in the hour. */
struct chart_most {
	unsigned known; /* how many minutes are known */
	double xacts;   /* transactions a second */
	unsigned waiting;
	time_t waiting_at; /* when so many waited */
};

struct chart_most chart_most(const struct chart_minute[HISTORY_MINUTES]);

/* Transactions a second of a minute. */
double chart_rate(const struct history_minute *);

/* Draws transactions a second above, and below how many waited, with a title for each minute. What
 * is not known is left out, and the ground is shaded there. */
void chart_hour(struct buf *, const char *name, const struct chart_minute[HISTORY_MINUTES]);

#endif
