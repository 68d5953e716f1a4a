#include "admin/times.h"

#include "admin/show.h"
#include "base/buf.h"
#include "pool/pool.h"

#define BUCKETS_MAX (HISTOGRAM_BUCKETS * 32) /* bytes: a number of a bucket, a colon, a count */

static const struct column times_columns[] = {
    {"pool", COLUMN_TEXT},     {"what", COLUMN_TEXT},     {"count", COLUMN_BIGINT},
    {"sum_us", COLUMN_BIGINT}, {"p50_us", COLUMN_BIGINT}, {"p95_us", COLUMN_BIGINT},
    {"p99_us", COLUMN_BIGINT}, {"max_us", COLUMN_BIGINT}, {"buckets", COLUMN_TEXT},
};

/* Its rows are added by times_show(), which also switches the counting on. */
const struct show show_times = SHOW_TABLE(times_columns, NULL);

/* Those that are not empty: "12:5 13:1". */
static void
add_buckets(struct rows *r, const struct histogram *h)
{
	struct buf text;

	buf_init(&text, BUCKETS_MAX);
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		if (h->buckets[i])
			buf_add_fmt(&text, "%s%u:%llu", text.len ? " " : "", i,
				    (unsigned long long)h->buckets[i]);
	buf_add(&text, "", 1);
	rows_text(r, (const char *)buf_data(&text));
	buf_clear(&text);
}

static void
add_row(struct rows *r, const struct pool *pool, const char *what, enum pool_time which)
{
	const struct histogram *h = pool_tally_times(&pool->tally, which);

	rows_begin(r);
	rows_text(r, pool->conf->name);
	rows_text(r, what);
	rows_number(r, (int64_t)h->count);
	rows_number(r, (int64_t)h->sum_us);
	rows_number(r, histogram_percentile(h, 50));
	rows_number(r, histogram_percentile(h, 95));
	rows_number(r, histogram_percentile(h, 99));
	rows_number(r, h->max_us);
	add_buckets(r, h);
	rows_end(r);
}

int
times_show(const struct command_call *call, struct err *e)
{
	static const char *const names[POOL_NTIMES] = {
	    [POOL_WAIT] = "wait",       [POOL_HOLD] = "hold",   [POOL_STATEMENT] = "statement",
	    [POOL_CLEANUP] = "cleanup", [POOL_LOGIN] = "login",
	};
	const struct list_node *n;

	call->daemon->site.pools.timed |= POOLS_TIMED_ASKED;
	LIST_EACH (n, &call->daemon->site.pools.list) {
		const struct pool *pool = LIST_OBJ(n, const struct pool, node);

		if (pool->group != pool)
			continue;
		for (int i = 0; i < POOL_NTIMES; i++)
			add_row(call->rows, pool, names[i], (enum pool_time)i);
	}
	return 0;
}
