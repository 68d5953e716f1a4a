#include "admin/cards.h"

#include "admin/html.h"
#include "base/units.h"

static const struct {
	const char *class, *text;
} moods[] = {
    [STATUS_GOOD] = {"good", "✓ ready"},
    [STATUS_WAITS] = {"waits", "▲ waiting"},
    [STATUS_BAD] = {"bad", "✕ not ready"},
};

const char *
cards_class(enum status_mood mood)
{
	return moods[mood].class;
}

void
cards_tag(struct buf *out, enum status_mood mood)
{
	buf_add_fmt(out, "<span class=\"tag %s\">%s</span>", moods[mood].class, moods[mood].text);
}

static void
add_bar(struct buf *out, const struct status_pool *p)
{
	const struct chart_part parts[] = {{"leased", p->leased},
					   {"cleaning", p->cleaning},
					   {"opening", p->opening},
					   {"idle", p->idle}};
	unsigned open = p->leased + p->cleaning + p->opening + p->idle;

	chart_bar(out, p->name, parts, sizeof parts / sizeof *parts, p->size);
	html_add(out, "<p class=legend>");
	for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++)
		if (parts[i].count || i == 0)
			buf_add_fmt(out, "<span class=\"key %s\">%u %s</span> ", parts[i].class,
				    parts[i].count, parts[i].class);
	if ((int64_t)open < p->size)
		buf_add_fmt(out, "<span class=\"key ground\">%lld not open</span> ",
			    (long long)p->size - open);
	buf_add_fmt(out, "<span>of %lld</span></p>", (long long)p->size);
}

/* p50 and p99 of something; -1: there was none. */
static void
add_percentiles(struct buf *out, int64_t p50_us, int64_t p99_us)
{
	html_add(out, "p50 <span class=n>");
	html_elapsed(out, p50_us);
	html_add(out, "</span>, p99 <span class=n>");
	html_elapsed(out, p99_us);
	html_add(out, "</span>");
}

static double
rate_of(const struct history_recent *r, uint64_t count)
{
	return r->us ? (double)count * UNIT_S / (double)r->us : 0;
}

static void
add_queue(struct buf *out, const struct status_pool *p)
{
	html_add(out, "<tr><th scope=row>Waiting<td>");
	if (p->waiting) {
		html_add(out, "<b>");
		html_number(out, p->waiting);
		html_add(out, "</b> of ");
		html_number(out, (uint64_t)p->max_waiting);
		html_add(out, ", oldest <b class=n>");
		html_elapsed(out, p->oldest_wait_us);
		html_add(out, "</b>");
	} else {
		html_add(out, "nobody");
	}
	if (p->wait_p50_us >= 0) {
		html_add(out, "<tr><th scope=row>Waits take<td>");
		add_percentiles(out, p->wait_p50_us, p->wait_p99_us);
	}
}

static void
add_numbers(struct buf *out, const struct status_pool *p)
{
	html_add(out, "<table class=nums>");
	add_queue(out, p);
	html_add(out, "<tr><th scope=row>Transactions<td>");
	html_rate(out, rate_of(&p->recent, p->recent.xacts));
	html_add(out, " a second");
	if (p->hold_p50_us >= 0) {
		html_add(out, "<tr><th scope=row>Each takes<td>");
		add_percentiles(out, p->hold_p50_us, p->hold_p99_us);
	}
	html_add(out, "<tr><th scope=row>Requests<td>");
	html_rate(out, rate_of(&p->recent, p->recent.queries));
	html_add(out, " a second<tr><th scope=row>Sessions<td>");
	html_number(out, p->idle_sessions);
	html_add(out, " idle");
	if (p->pinned) {
		html_add(out, ", ");
		html_number(out, p->pinned);
		html_add(out, " pinned");
	}
	html_add(out, "</table>");
}

static void
add_hour(struct buf *out, const struct status_pool *p)
{
	struct chart_most most = chart_most(p->hour);

	html_add(out,
		 "<figure><figcaption><span class=\"key xacts\">transactions a second, at most ");
	html_rate(out, most.xacts);
	html_add(out, "</span> <span class=\"key waiters\">waiting, at most ");
	html_number(out, most.waiting);
	html_add(out, "</span></figcaption>");
	chart_hour(out, p->name, p->hour);
	html_add(out, "<div class=axis><span>1 h ago</span><span>45 min</span><span>30 min"
		      "</span><span>15 min</span><span>now</span></div></figure>");
}

static void
add_pool(struct buf *out, const struct status_pool *p)
{
	html_add(out, "<article class=card><h3>");
	html_text(out, p->name);
	html_add(out, " ");
	cards_tag(out, p->mood);
	if (p->paused)
		html_add(out, " <span class=\"tag waits\">paused</span>");
	if (p->disabled)
		html_add(out, " <span class=\"tag waits\">nobody new comes in</span>");
	if (p->removed)
		html_add(out, " <span class=\"tag waits\">removed</span>");
	html_add(out, "</h3>");
	add_bar(out, p);
	add_numbers(out, p);
	add_hour(out, p);
	html_add(out, "</article>");
}

void
cards_write(struct buf *out, const struct status *st)
{
	html_add(out, "<section><h2>Pools</h2><div class=grid>");
	for (unsigned i = 0; i < st->npools; i++)
		add_pool(out, &st->pools[i]);
	html_add(out, "</div>");
	html_more(out, st->pools_there - st->npools, "pgwith pools");
	html_add(out, "</section>");
}
