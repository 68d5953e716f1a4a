#include "admin/chart.h"

#include "admin/html.h"
#include "base/units.h"

/* ---- the bar ---- */

#define BAR_WIDTH  1000
#define BAR_HEIGHT 20
#define BAR_CELLS  64 /* up to so many servers each one can be seen */

static void
add_cells(struct buf *out, uint64_t size)
{
	html_add(out, "<path class=cell d=\"");
	for (uint64_t i = 1; i < size; i++)
		buf_add_fmt(out, "M%u 0V%d", (unsigned)(BAR_WIDTH * i / size), BAR_HEIGHT);
	html_add(out, "\"/>");
}

void
chart_bar(struct buf *out, const char *name, const struct chart_part *parts, unsigned count,
	  int64_t size)
{
	uint64_t sum = 0, whole, at = 0;

	for (unsigned i = 0; i < count; i++)
		sum += parts[i].count;
	whole = size > 0 && (uint64_t)size > sum ? (uint64_t)size : sum ? sum : 1;
	buf_add_fmt(out,
		    "<svg class=bar viewBox=\"0 0 %d %d\" preserveAspectRatio=none role=img>"
		    "<title>Server connections of pool ",
		    BAR_WIDTH, BAR_HEIGHT);
	html_text(out, name);
	for (unsigned i = 0; i < count; i++)
		buf_add_fmt(out, "%s %u %s", i ? "," : ":", parts[i].count, parts[i].class);
	buf_add_fmt(out, ", of %lld</title><rect class=ground width=%d height=%d />",
		    (long long)size, BAR_WIDTH, BAR_HEIGHT);
	for (unsigned i = 0; i < count; i++) {
		uint64_t from = BAR_WIDTH * at / whole;

		at += parts[i].count;
		if (parts[i].count)
			buf_add_fmt(out, "<rect class=%s x=%u width=%u height=%d />",
				    parts[i].class, (unsigned)from,
				    (unsigned)(BAR_WIDTH * at / whole - from), BAR_HEIGHT);
	}
	if (whole <= BAR_CELLS)
		add_cells(out, whole);
	html_add(out, "</svg>");
}

/* ---- the hour ---- */

/* In units of the drawing: a minute is MINUTE wide; above, transactions have the height TOP; below,
 * behind a gap, those who wait have BOTTOM. */
#define MINUTE 10
#define TOP    60
#define GAP    8
#define BOTTOM 32
#define HEIGHT (TOP + GAP + BOTTOM)
#define WIDTH  (MINUTE * HISTORY_MINUTES)

double
chart_rate(const struct history_minute *m)
{
	return m->covered_ms ? (double)m->xacts * 1000 / m->covered_ms : 0;
}

struct chart_most
chart_most(const struct chart_minute hour[HISTORY_MINUTES])
{
	struct chart_most most = {0};

	for (unsigned i = 0; i < HISTORY_MINUTES; i++) {
		const struct history_minute *m = &hour[i].m;

		if (!hour[i].known)
			continue;
		most.known++;
		if (chart_rate(m) > most.xacts)
			most.xacts = chart_rate(m);
		if (m->waiting > most.waiting) {
			most.waiting = m->waiting;
			most.waiting_at = hour[i].at;
		}
	}
	return most;
}

/* Something that is not 0 is seen. */
static unsigned
height_of(double value, double most, unsigned whole)
{
	double h = most > 0 ? value / most * whole : 0;

	return value > 0 && h < 1 ? 1 : (unsigned)(h + 0.5);
}

static unsigned
top_of(const struct chart_minute *c, const struct chart_most *most)
{
	return TOP - height_of(chart_rate(&c->m), most->xacts, TOP);
}

static unsigned
bottom_of(const struct chart_minute *c, const struct chart_most *most)
{
	return HEIGHT - height_of(c->m.waiting, most->waiting, BOTTOM);
}

/* Adds a path of steps: one for each minute, from the base line up and back in front of what is not
 * known. */
static void
add_steps(struct buf *out, const char *class, const struct chart_minute *hour,
	  const struct chart_most *most,
	  unsigned (*y_of)(const struct chart_minute *, const struct chart_most *), unsigned base)
{
	bool open = false;

	buf_add_fmt(out, "<path class=%s d=\"", class);
	for (unsigned i = 0; i < HISTORY_MINUTES; i++) {
		if (!hour[i].known) {
			if (open)
				buf_add_fmt(out, "V%uZ", base);
			open = false;
			continue;
		}
		if (!open)
			buf_add_fmt(out, "M%u %u", i * MINUTE, base);
		open = true;
		buf_add_fmt(out, "V%uh%d", y_of(&hour[i], most), MINUTE);
	}
	if (open)
		buf_add_fmt(out, "V%uZ", base);
	html_add(out, "\"/>");
}

/* Adds how many there were of something, unless it is 0. */
static void
add_count(struct buf *out, unsigned count, const char *one, const char *many)
{
	if (count == 0)
		return;
	html_add(out, ", ");
	html_number(out, count);
	buf_add_fmt(out, " %s", count == 1 ? one : many);
}

static void
add_minute_title(struct buf *out, const struct chart_minute *c)
{
	const struct history_minute *m = &c->m;

	html_clock(out, c->at, "%H:%M:%S");
	html_add(out, ": ");
	html_rate(out, chart_rate(m));
	html_add(out, " transactions a second");
	add_count(out, m->leased, "leased at most", "leased at most");
	add_count(out, m->waiting, "waiting at most", "waiting at most");
	if (m->oldest_wait_ms) {
		html_add(out, ", oldest wait ");
		html_elapsed(out, m->oldest_wait_ms * UNIT_MS);
	}
	if (m->wait_p99_us) {
		html_add(out, ", waits on average ");
		html_elapsed(out, m->wait_mean_us);
		html_add(out, ", p99 ");
		html_elapsed(out, m->wait_p99_us);
	}
	add_count(out, m->wait_fails, "wait failed", "waits failed");
	add_count(out, m->open_fails, "server could not be opened", "servers could not be opened");
	add_count(out, m->broken, "server was lost", "servers were lost");
}

/* Shades what is not known. */
static void
add_gaps(struct buf *out, const struct chart_minute *hour)
{
	for (unsigned i = 0, to; i < HISTORY_MINUTES; i = to + 1) {
		for (to = i; to < HISTORY_MINUTES && !hour[to].known; to++)
			;
		if (to == i)
			continue;
		buf_add_fmt(out, "<rect class=gap x=%u width=%u height=%d><title>", i * MINUTE,
			    (to - i) * MINUTE, HEIGHT);
		html_clock(out, hour[i].at, "%H:%M:%S");
		html_add(out, " to ");
		html_clock(out, hour[to - 1].at + 60, "%H:%M:%S");
		html_add(out, ": no numbers</title></rect>");
	}
}

/* Adds what one can point at: a column for each minute that is known. */
static void
add_columns(struct buf *out, const struct chart_minute *hour)
{
	for (unsigned i = 0; i < HISTORY_MINUTES; i++) {
		if (!hour[i].known)
			continue;
		buf_add_fmt(out, "<rect class=col x=%u width=%d height=%d><title>", i * MINUTE,
			    MINUTE, HEIGHT);
		add_minute_title(out, &hour[i]);
		html_add(out, "</title></rect>");
	}
}

static void
add_hour_title(struct buf *out, const char *name, const struct chart_most *most)
{
	html_add(out, "<title>The last hour of pool ");
	html_text(out, name);
	html_add(out, ": at most ");
	html_rate(out, most->xacts);
	html_add(out, " transactions a second; ");
	if (most->waiting) {
		html_add(out, "at most ");
		html_number(out, most->waiting);
		html_add(out, " waited, at ");
		html_clock(out, most->waiting_at, "%H:%M:%S");
	} else {
		html_add(out, "nobody waited");
	}
	buf_add_fmt(out, "; %u of %d minutes are known</title>", most->known, HISTORY_MINUTES);
}

void
chart_hour(struct buf *out, const char *name, const struct chart_minute hour[HISTORY_MINUTES])
{
	struct chart_most most = chart_most(hour);

	buf_add_fmt(out, "<svg class=hour viewBox=\"0 0 %d %d\" preserveAspectRatio=none role=img>",
		    WIDTH, HEIGHT);
	add_hour_title(out, name, &most);
	add_gaps(out, hour);
	buf_add_fmt(out, "<path class=rule d=\"M0 %dH%dM0 %dH%dM150 0V%dM300 0V%dM450 0V%d\"/>",
		    TOP, WIDTH, HEIGHT, WIDTH, HEIGHT, HEIGHT, HEIGHT);
	add_steps(out, "tx", hour, &most, top_of, TOP);
	add_steps(out, "wait", hour, &most, bottom_of, HEIGHT);
	add_columns(out, hour);
	html_add(out, "</svg>");
}
