#include "cli/top/gather.h"

#include <stdlib.h>

#include "base/mem.h"

/* Every page needs these: for the verdict, and so that rates and the lines of waiting go on. */
#define ALWAYS                                                                            \
	(1u << MODEL_STATE | 1u << MODEL_HEALTH | 1u << MODEL_POOLS | 1u << MODEL_STATS | \
	 1u << MODEL_TIMES | 1u << MODEL_HELD | 1u << MODEL_LOCKS | 1u << MODEL_ERRORS)

/* What is under way on the connection. */
#define NOBODY   (-1) /* nothing */
#define A_CHANGE (-2) /* the statement of gather_do() */

struct gather {
	struct feed *feed;
	struct model *model;
	unsigned sources;
	int64_t interval_us, next_us; /* of the next round */
	int64_t since_us;             /* gather_waits_since_us() */
	int64_t begun_us;             /* when the round that goes on began; 0: there is none */
	int64_t took_us;              /* the last round */
	int asked;                    /* a source, NOBODY or A_CHANGE */
	int next;                     /* the next source of this round; MODEL_NSOURCES: none */
	bool paused;
	char *change; /* the statement of gather_do(), until it is sent */
};

struct gather *
gather_new(const struct ask_whom *whom, struct model *m, int64_t interval_us)
{
	struct gather *g = mem_calloc(1, sizeof *g);

	g->feed = feed_new(whom);
	g->model = m;
	g->sources = ALWAYS;
	g->interval_us = interval_us;
	g->asked = NOBODY;
	g->next = MODEL_NSOURCES;
	return g;
}

void
gather_free(struct gather *g)
{
	if (g == NULL)
		return;
	feed_free(g->feed);
	free(g->change);
	free(g);
}

void
gather_want(struct gather *g, unsigned sources)
{
	sources |= ALWAYS;
	if (sources & ~g->sources)
		gather_hurry(g);
	g->sources = sources;
}

void
gather_set_interval(struct gather *g, int64_t interval_us)
{
	g->next_us += interval_us - g->interval_us;
	g->interval_us = interval_us;
}

void
gather_set_paused(struct gather *g, bool paused)
{
	g->paused = paused;
	gather_hurry(g);
}

void
gather_hurry(struct gather *g)
{
	g->next_us = 0;
}

bool
gather_do(struct gather *g, const char *statement)
{
	if (g->change || g->asked == A_CHANGE)
		return false;
	g->change = mem_strdup(statement);
	return true;
}

int
gather_fd(const struct gather *g, short *events)
{
	return feed_fd(g->feed, events);
}

int64_t
gather_due_us(const struct gather *g, int64_t now_us)
{
	if (feed_state(g->feed) != FEED_READY)
		return feed_due_us(g->feed);
	if (g->change || g->next < MODEL_NSOURCES)
		return now_us;
	return g->paused ? INT64_MAX : g->next_us;
}

const char *
gather_error(const struct gather *g)
{
	return feed_error(g->feed);
}

enum ask_status
gather_status(const struct gather *g)
{
	return feed_status(g->feed);
}

int64_t
gather_waits_since_us(const struct gather *g)
{
	return g->since_us;
}

int64_t
gather_round_us(const struct gather *g, int64_t now_us)
{
	int64_t us = g->begun_us ? now_us - g->begun_us : 0;

	if (g->paused)
		return 0;
	return us > g->took_us ? us : g->took_us;
}

bool
gather_is_down(const struct gather *g)
{
	return feed_state(g->feed) == FEED_DOWN || feed_state(g->feed) == FEED_CONNECTING;
}

/* ---- a round ---- */

static void
find_next(struct gather *g, int from)
{
	g->next = from;
	while (g->next < MODEL_NSOURCES &&
	       !((g->sources & 1u << g->next) && model_wants(g->model, (enum model_source)g->next)))
		g->next++;
}

/* In READY: sends what is to be sent next. */
static void
send_next(struct gather *g, int64_t now_us)
{
	if (g->change) {
		feed_ask(g->feed, g->change, now_us);
		free(g->change);
		g->change = NULL;
		g->asked = A_CHANGE;
	} else if (g->next < MODEL_NSOURCES) {
		g->asked = g->next;
		feed_ask(g->feed, model_statement((enum model_source)g->next), now_us);
	} else {
		return;
	}
	if (g->since_us == 0)
		g->since_us = now_us;
}

/* The source `asked` was answered: goes on with the next one, or ends the round. */
static enum gather_news
go_on(struct gather *g, int asked, int64_t now_us)
{
	find_next(g, asked + 1);
	if (g->next < MODEL_NSOURCES)
		return GATHER_NOTHING;
	if (g->begun_us)
		g->took_us = now_us - g->begun_us;
	g->begun_us = 0;
	model_keep(g->model, g->sources);
	model_round(g->model, now_us);
	return GATHER_ROUND;
}

static enum gather_news
answered(struct gather *g, int64_t now_us)
{
	int asked = g->asked;

	g->since_us = 0;
	g->asked = NOBODY;
	if (asked == A_CHANGE) {
		table_free(feed_take(g->feed));
		gather_hurry(g); /* to see what it has done */
		return GATHER_DONE;
	}
	model_take(g->model, (enum model_source)asked, feed_take(g->feed));
	return go_on(g, asked, now_us);
}

static enum gather_news
refused(struct gather *g, int64_t now_us)
{
	int asked = g->asked;

	g->since_us = 0;
	g->asked = NOBODY;
	if (asked == A_CHANGE)
		return GATHER_FAILED;
	model_refuse(g->model, (enum model_source)asked);
	if (asked != MODEL_POOLS)
		return go_on(g, asked, now_us);
	/* Without the pools there is nothing to show. */
	g->next = MODEL_NSOURCES;
	return GATHER_DENIED;
}

static enum gather_news
lost(struct gather *g, int64_t now_us)
{
	bool change = g->change || g->asked == A_CHANGE;

	if (g->since_us == 0)
		g->since_us = now_us;
	g->begun_us = g->took_us = 0;
	g->asked = NOBODY;
	g->next = MODEL_NSOURCES;
	free(g->change);
	g->change = NULL;
	return change ? GATHER_FAILED : GATHER_LOST;
}

enum gather_news
gather_go(struct gather *g, int64_t now_us)
{
	enum gather_news news = GATHER_NOTHING;

	while (news == GATHER_NOTHING) {
		enum feed_news what;

		if (feed_state(g->feed) == FEED_READY) {
			if (g->next == MODEL_NSOURCES && !g->paused && now_us >= g->next_us) {
				g->next_us = now_us + g->interval_us;
				g->begun_us = now_us;
				find_next(g, 0);
			}
			send_next(g, now_us);
		}
		what = feed_go(g->feed, now_us);
		switch (what) {
		case FEED_NOTHING:
			return GATHER_NOTHING;
		case FEED_IN:
			model_connected(g->model);
			g->since_us = 0;
			gather_hurry(g);
			break;
		case FEED_ANSWER:
			news = answered(g, now_us);
			break;
		case FEED_REFUSED:
			news = refused(g, now_us);
			break;
		case FEED_LOST:
			news = lost(g, now_us);
			break;
		}
	}
	return news;
}
