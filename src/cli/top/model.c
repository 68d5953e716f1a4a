#include "cli/top/model.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const char *const statements[MODEL_NSOURCES] = {
    [MODEL_STATE] = "SHOW STATE",
    [MODEL_HEALTH] = "SHOW HEALTH",
    [MODEL_POOLS] = "SHOW POOLS",
    [MODEL_STATS] = "SHOW STATS",
    [MODEL_TIMES] = "SHOW TIMES",
    [MODEL_HELD] = "SHOW HELD",
    [MODEL_SCOPES] = "SHOW SCOPES",
    [MODEL_LOCKS] = "SHOW LOCKS",
    [MODEL_WAITS] = "SHOW WAITS",
    [MODEL_CLIENTS] = "SHOW CLIENTS",
    [MODEL_SCOPE_STATS] = "SHOW SCOPE_STATS",
    [MODEL_ERRORS] = "SHOW ERRORS",
};

/* With samples this far apart, MODEL_SAMPLES reach over more than a minute. */
#define SAMPLES_APART_US (MODEL_WINDOW_US / (MODEL_SAMPLES - 3))

struct model *
model_new(void)
{
	struct model *m = mem_calloc(1, sizeof *m);

	m->times = times_new();
	return m;
}

static void
forget_sums(struct model *m)
{
	m->since_us = 0;
	times_forget(m->times);
	for (unsigned i = 0; i < m->nerrors; i++)
		free(m->errors[i].name);
	free(m->errors);
	m->errors = NULL;
	m->nerrors = 0;
	for (unsigned i = 0; i < m->npools; i++) {
		m->pools[i].counted = false;
		m->pools[i].transaction_rate = -1;
		m->pools[i].query_rate = -1;
	}
}

void
model_free(struct model *m)
{
	if (m == NULL)
		return;
	for (int i = 0; i < MODEL_NSOURCES; i++)
		table_free(m->tables[i]);
	forget_sums(m);
	for (unsigned i = 0; i < m->npools; i++)
		free(m->pools[i].name);
	free(m->pools);
	times_free(m->times);
	free(m);
}

const char *
model_statement(enum model_source source)
{
	return statements[source];
}

bool
model_wants(const struct model *m, enum model_source source)
{
	return !m->refused[source];
}

void
model_take(struct model *m, enum model_source source, struct table *t)
{
	table_free(m->tables[source]);
	m->tables[source] = t;
}

void
model_refuse(struct model *m, enum model_source source)
{
	m->refused[source] = true;
	model_take(m, source, NULL);
}

void
model_keep(struct model *m, unsigned sources)
{
	for (int i = 0; i < MODEL_NSOURCES; i++)
		if (!(sources & 1u << i))
			model_take(m, (enum model_source)i, NULL);
}

void
model_connected(struct model *m)
{
	for (int i = 0; i < MODEL_NSOURCES; i++)
		m->refused[i] = false;
	m->connections++;
	forget_sums(m);
}

/* ---- cells ---- */

int64_t
model_number(const struct table *t, unsigned row, const char *column)
{
	const char *text = table_cell(t, row, column);

	return text ? strtoll(text, NULL, 10) : 0;
}

const char *
model_text(const struct table *t, unsigned row, const char *column)
{
	const char *text = table_cell(t, row, column);

	return text ? text : "";
}

int
model_find(const struct table *t, const char *column, int64_t number)
{
	for (unsigned i = 0; t && i < table_rows(t); i++)
		if (table_cell(t, i, column) && model_number(t, i, column) == number)
			return (int)i;
	return -1;
}

const char *
model_state(const struct model *m, const char *key)
{
	const struct table *t = m->tables[MODEL_STATE];

	for (unsigned i = 0; t && i < table_rows(t); i++)
		if (strcmp(model_text(t, i, "key"), key) == 0)
			return table_cell(t, i, "value");
	return NULL;
}

/* ---- pools ---- */

/* How many rows above this one have the same pool: the roles of a pool with role = client. */
static unsigned
which_of(const struct table *t, unsigned row)
{
	const char *name = model_text(t, row, "database");
	unsigned n = 0;

	for (unsigned i = 0; i < row; i++)
		n += strcmp(model_text(t, i, "database"), name) == 0;
	return n;
}

static struct model_pool *
find_pool(const struct model *m, const char *name, unsigned which)
{
	for (unsigned i = 0; i < m->npools; i++)
		if (m->pools[i].which == which && strcmp(m->pools[i].name, name) == 0)
			return &m->pools[i];
	return NULL;
}

static struct model_pool *
find_or_add_pool(struct model *m, const char *name, unsigned which)
{
	struct model_pool *p = find_pool(m, name, which);

	if (p)
		return p;
	m->pools = mem_realloc(m->pools, (m->npools + 1) * sizeof *m->pools);
	p = &m->pools[m->npools++];
	*p = (struct model_pool){
	    .name = mem_strdup(name), .which = which, .transaction_rate = -1, .query_rate = -1};
	return p;
}

const struct model_pool *
model_pool(const struct model *m, unsigned row)
{
	const struct table *t = m->tables[MODEL_POOLS];

	return t ? find_pool(m, model_text(t, row, "database"), which_of(t, row)) : NULL;
}

static void
remember_waiting(struct model *m)
{
	const struct table *t = m->tables[MODEL_POOLS];
	unsigned kept = 0;

	for (unsigned i = 0; i < m->npools; i++)
		m->pools[i].seen = false;
	for (unsigned i = 0; t && i < table_rows(t); i++) {
		struct model_pool *p =
		    find_or_add_pool(m, model_text(t, i, "database"), which_of(t, i));

		p->seen = true;
		if (p->nwaiting == MODEL_SAMPLES)
			memmove(p->waiting, p->waiting + 1, (--p->nwaiting) * sizeof *p->waiting);
		p->waiting[p->nwaiting++] = (unsigned)model_number(t, i, "cl_waiting");
	}
	for (unsigned i = 0; i < m->npools; i++)
		if (m->pools[i].seen)
			m->pools[kept++] = m->pools[i];
		else
			free(m->pools[i].name);
	m->npools = kept;
}

static double
real_number(const struct table *t, unsigned row, const char *column)
{
	const char *text = table_cell(t, row, column);

	return text ? strtod(text, NULL) : 0;
}

/* The rows of SHOW STATS are the pools of SHOW POOLS, in the same order. */
static void
compute_rates(struct model *m, int64_t passed_us)
{
	const struct table *t = m->tables[MODEL_STATS];

	for (unsigned i = 0; t && i < table_rows(t); i++) {
		struct model_pool *p = find_pool(m, model_text(t, i, "database"), which_of(t, i));
		double transactions = real_number(t, i, "total_xact_count");
		double queries = real_number(t, i, "total_query_count");
		double seconds = (double)passed_us / UNIT_S;

		if (p == NULL)
			continue;
		/* Sums that have become smaller are those of another process. */
		if (p->counted && seconds > 0 && transactions >= p->transactions &&
		    queries >= p->queries) {
			p->transaction_rate = (transactions - p->transactions) / seconds;
			p->query_rate = (queries - p->queries) / seconds;
		}
		p->transactions = transactions;
		p->queries = queries;
		p->counted = true;
	}
}

/* ---- errors ---- */

const struct model_error *
model_error(const struct model *m, const char *name)
{
	for (unsigned i = 0; i < m->nerrors; i++)
		if (strcmp(m->errors[i].name, name) == 0)
			return &m->errors[i];
	return NULL;
}

static struct model_error *
find_or_add_error(struct model *m, const char *name)
{
	struct model_error *e = (struct model_error *)model_error(m, name);

	if (e)
		return e;
	m->errors = mem_realloc(m->errors, (m->nerrors + 1) * sizeof *m->errors);
	m->errors[m->nerrors] = (struct model_error){.name = mem_strdup(name)};
	return &m->errors[m->nerrors++];
}

static void
count_errors(struct model *m, int64_t now_us)
{
	const struct table *t = m->tables[MODEL_ERRORS];

	for (unsigned i = 0; t && i < table_rows(t); i++) {
		struct model_error *e = find_or_add_error(m, model_text(t, i, "error"));
		int64_t count = model_number(t, i, "count");

		if (e->nsamples && count < e->samples[e->nsamples - 1].count)
			e->nsamples = 0; /* another process */
		/* Keep the youngest sample that is older than a minute, to compare with it. */
		while (e->nsamples > 1 && e->samples[1].at_us <= now_us - MODEL_WINDOW_US)
			memmove(e->samples, e->samples + 1, --e->nsamples * sizeof *e->samples);
		if (e->nsamples == 0 ||
		    now_us - e->samples[e->nsamples - 1].at_us >= SAMPLES_APART_US)
			e->samples[e->nsamples++] = (struct model_sample){now_us, count};
		e->minute = count - e->samples[0].count;
	}
}

bool
model_round(struct model *m, int64_t now_us)
{
	const char *text = model_state(m, "pid");
	int64_t pid = text ? strtoll(text, NULL, 10) : 0;
	bool other = m->pid && pid && pid != m->pid;

	if (other)
		forget_sums(m);
	if (pid)
		m->pid = pid;
	if (m->since_us == 0)
		m->since_us = now_us;
	remember_waiting(m);
	compute_rates(m, now_us - m->at_us);
	count_errors(m, now_us);
	times_note(m->times, m->tables[MODEL_TIMES], now_us);
	m->at_us = now_us;
	return other;
}
