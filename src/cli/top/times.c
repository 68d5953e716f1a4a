#include "cli/top/times.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/histogram.h"
#include "base/mem.h"

#define SAMPLES  8
#define APART_US (TIMES_WINDOW_US / (SAMPLES - 3)) /* so that SAMPLES reach over the window */

struct sample {
	int64_t at_us;
	struct histogram *h; /* since the start of the daemon */
};

struct pool {
	char *name;
	bool seen;                      /* in the last answer */
	struct sample samples[SAMPLES]; /* oldest first */
	unsigned nsamples;
	struct histogram recent; /* what has come in the window */
};

struct times {
	struct pool **pools;
	unsigned npools;
};

struct times *
times_new(void)
{
	return mem_calloc(1, sizeof(struct times));
}

static void
drop_samples(struct pool *p, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		free(p->samples[i].h);
	p->nsamples -= count;
	memmove(p->samples, p->samples + count, p->nsamples * sizeof *p->samples);
}

static void
free_pool(struct pool *p)
{
	drop_samples(p, p->nsamples);
	free(p->name);
	free(p);
}

void
times_forget(struct times *t)
{
	for (unsigned i = 0; i < t->npools; i++)
		free_pool(t->pools[i]);
	free(t->pools);
	*t = (struct times){0};
}

void
times_free(struct times *t)
{
	if (t)
		times_forget(t);
	free(t);
}

static struct pool *
find_pool(const struct times *t, const char *name)
{
	for (unsigned i = 0; i < t->npools; i++)
		if (strcmp(t->pools[i]->name, name) == 0)
			return t->pools[i];
	return NULL;
}

static struct pool *
find_or_add_pool(struct times *t, const char *name)
{
	struct pool *p = find_pool(t, name);

	if (p)
		return p;
	t->pools = mem_realloc(t->pools, (t->npools + 1) * sizeof *t->pools);
	p = t->pools[t->npools++] = mem_calloc(1, sizeof *p);
	p->name = mem_strdup(name);
	return p;
}

/* Reads "12:5 13:1": numbers of buckets and their counts. What is no such text is left out. */
static struct histogram *
read_buckets(const char *text)
{
	struct histogram *h = mem_calloc(1, sizeof *h);

	while (*text) {
		char *end;
		unsigned long bucket = strtoul(text, &end, 10);
		unsigned long long count;

		if (end == text || *end != ':')
			break;
		text = end + 1;
		count = strtoull(text, &end, 10);
		if (end == text || bucket >= HISTOGRAM_BUCKETS)
			break;
		h->buckets[bucket] = count;
		h->count += count;
		text = end + (*end == ' ');
	}
	h->max_us = HISTOGRAM_TOP_US;
	return h;
}

/* Fills in what `now` has and `before` has not. False: `before` is not an earlier state of it. */
static bool
subtract(struct histogram *out, const struct histogram *now, const struct histogram *before)
{
	*out = (struct histogram){.max_us = now->max_us};
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		if (now->buckets[i] < before->buckets[i])
			return false;
		out->buckets[i] = now->buckets[i] - before->buckets[i];
		out->count += out->buckets[i];
	}
	return true;
}

static void
note_pool(struct pool *p, struct histogram *now, int64_t now_us)
{
	p->recent.count = 0;
	/* Keep the youngest sample that is older than the window, to compare with it. */
	while (p->nsamples > 1 && p->samples[1].at_us <= now_us - TIMES_WINDOW_US)
		drop_samples(p, 1);
	if (p->nsamples && !subtract(&p->recent, now, p->samples[0].h)) {
		p->recent.count = 0;
		drop_samples(p, p->nsamples);
	}
	if (p->nsamples == 0 || now_us - p->samples[p->nsamples - 1].at_us >= APART_US)
		p->samples[p->nsamples++] = (struct sample){now_us, now};
	else
		free(now);
}

void
times_note(struct times *t, const struct table *table, int64_t now_us)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < t->npools; i++)
		t->pools[i]->seen = false;
	for (unsigned i = 0; table && i < table_rows(table); i++) {
		const char *pool = table_cell(table, i, "pool"),
			   *what = table_cell(table, i, "what");
		const char *buckets = table_cell(table, i, "buckets");
		struct pool *p;

		if (!pool || !what || !buckets || strcmp(what, "statement") != 0)
			continue;
		p = find_or_add_pool(t, pool);
		p->seen = true;
		note_pool(p, read_buckets(buckets), now_us);
	}
	for (unsigned i = 0; i < t->npools; i++)
		if (t->pools[i]->seen)
			t->pools[kept++] = t->pools[i];
		else
			free_pool(t->pools[i]);
	t->npools = kept;
}

int64_t
times_percentile(const struct times *t, const char *pool, double percent)
{
	const struct pool *p = find_pool(t, pool);

	return p && p->recent.count ? histogram_percentile(&p->recent, percent) : -1;
}
