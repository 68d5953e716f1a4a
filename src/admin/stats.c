/* SHOW STATS and its relatives. Sums are numeric, as PgBouncer's are. */
#include "admin/show.h"
#include "admin/sums.h"
#include "base/units.h"

#define PERIOD_S (POOL_PERIOD_US / UNIT_S)
#define STATS    7 /* number of PgBouncer's sums */

/* ---- numbers ---- */

/* The sums in PgBouncer's order; times are in microseconds. */
static void
sums_of(const struct pool_stats *s, int64_t out[STATS])
{
	out[0] = (int64_t)s->xacts;
	out[1] = (int64_t)s->queries;
	out[2] = (int64_t)s->received;
	out[3] = (int64_t)s->sent;
	out[4] = s->xact_us;
	out[5] = s->query_us;
	out[6] = s->wait_us;
}

/* The averages of the last complete period: for the times of transactions and queries the mean of
 * one, for everything else the amount per second. */
static void
averages_of(const struct pool_stats *period, int64_t out[STATS])
{
	sums_of(period, out);
	for (unsigned i = 0; i < STATS; i++) {
		if (i == 4)
			out[i] = period->xacts ? out[i] / (int64_t)period->xacts : 0;
		else if (i == 5)
			out[i] = period->queries ? out[i] / (int64_t)period->queries : 0;
		else
			out[i] /= PERIOD_S;
	}
}

static void
add_numbers(struct rows *r, const int64_t *list, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		rows_number(r, list[i]);
}

/* Columns that PgBouncer does not have. */
static void
add_our_columns(struct rows *r, const struct pool_stats *s)
{
	rows_number(r, (int64_t)s->waits);
	rows_number(r, (int64_t)s->wait_fails);
	rows_number(r, (int64_t)s->opened);
	rows_number(r, (int64_t)s->open_fails);
	rows_number(r, (int64_t)s->closed);
	rows_number(r, (int64_t)s->broken);
	rows_number(r, (int64_t)s->cleanups);
	rows_number(r, s->cleanup_us);
	rows_number(r, (int64_t)s->cancels);
	rows_number(r, (int64_t)s->parses_seen);
	rows_number(r, (int64_t)s->parses_served);
	rows_number(r, (int64_t)s->parses_redone);
	rows_number(r, (int64_t)s->queries);
	rows_number(r, (int64_t)s->reads_apart);
	rows_number(r, (int64_t)s->reads_kept);
	rows_number(r, (int64_t)s->vanished);
}

/* Calls row() for each pool, in the order of the configuration, with the sums of all its roles: as
 * in PgBouncer, a database is one row. */
static void
each_pool(const struct daemon *d, struct rows *r,
	  void (*row)(const struct sums_pool *, struct rows *))
{
	struct list_node *n;
	struct sums sums;

	sums_take(&sums, d);
	LIST_EACH (n, &d->site.pools.list) {
		const struct pool *pool = LIST_OBJ(n, struct pool, node);

		if (pool->group != pool)
			continue;
		rows_begin(r);
		rows_text(r, pool->conf->name);
		row(sums_find(&sums, pool), r);
		rows_end(r);
	}
	sums_clear(&sums);
}

static void
add_sums(const struct sums_pool *sum, struct rows *r)
{
	int64_t list[STATS];

	sums_of(&sum->stats, list);
	add_numbers(r, list, STATS);
}

static void
add_averages(const struct sums_pool *sum, struct rows *r)
{
	int64_t list[STATS];

	averages_of(&sum->period, list);
	add_numbers(r, list, STATS);
}

/* ---- SHOW STATS ---- */

static const struct column stats_columns[] = {
    {"database", COLUMN_TEXT},
    {"total_xact_count", COLUMN_NUMERIC},
    {"total_query_count", COLUMN_NUMERIC},
    {"total_received", COLUMN_NUMERIC},
    {"total_sent", COLUMN_NUMERIC},
    {"total_xact_time", COLUMN_NUMERIC},
    {"total_query_time", COLUMN_NUMERIC},
    {"total_wait_time", COLUMN_NUMERIC},
    {"avg_xact_count", COLUMN_NUMERIC},
    {"avg_query_count", COLUMN_NUMERIC},
    {"avg_recv", COLUMN_NUMERIC},
    {"avg_sent", COLUMN_NUMERIC},
    {"avg_xact_time", COLUMN_NUMERIC},
    {"avg_query_time", COLUMN_NUMERIC},
    {"avg_wait_time", COLUMN_NUMERIC},
    /* ours */
    {"total_wait_count", COLUMN_NUMERIC},
    {"total_wait_fail_count", COLUMN_NUMERIC},
    {"total_open_count", COLUMN_NUMERIC},
    {"total_open_fail_count", COLUMN_NUMERIC},
    {"total_close_count", COLUMN_NUMERIC},
    {"total_broken_count", COLUMN_NUMERIC},
    {"total_cleanup_count", COLUMN_NUMERIC},
    {"total_cleanup_time", COLUMN_NUMERIC},
    {"total_cancel_count", COLUMN_NUMERIC},
    {"total_parse_seen_count", COLUMN_NUMERIC},
    {"total_parse_served_count", COLUMN_NUMERIC},
    {"total_parse_redone_count", COLUMN_NUMERIC},
    /* PgBouncer's before 1.8, which Debian's prometheus-pgbouncer-exporter reads: queries */
    {"total_requests", COLUMN_NUMERIC},
    {"total_read_only_sent_count", COLUMN_NUMERIC},
    {"total_read_only_kept_count", COLUMN_NUMERIC},
    {"total_vanished_count", COLUMN_NUMERIC},
};

static void
stats_row(const struct sums_pool *sum, struct rows *r)
{
	add_sums(sum, r);
	add_averages(sum, r);
	add_our_columns(r, &sum->stats);
}

static void
fill_stats(const struct daemon *d, struct rows *r)
{
	each_pool(d, r, stats_row);
}

const struct show show_stats = SHOW_TABLE(stats_columns, fill_stats);

/* ---- SHOW STATS_TOTALS, SHOW STATS_AVERAGES ---- */

static const struct column totals_columns[] = {
    {"database", COLUMN_TEXT},       {"xact_count", COLUMN_NUMERIC},
    {"query_count", COLUMN_NUMERIC}, {"bytes_received", COLUMN_NUMERIC},
    {"bytes_sent", COLUMN_NUMERIC},  {"xact_time", COLUMN_NUMERIC},
    {"query_time", COLUMN_NUMERIC},  {"wait_time", COLUMN_NUMERIC},
};

static void
fill_stats_totals(const struct daemon *d, struct rows *r)
{
	each_pool(d, r, add_sums);
}

const struct show show_stats_totals = SHOW_TABLE(totals_columns, fill_stats_totals);

static void
fill_stats_averages(const struct daemon *d, struct rows *r)
{
	each_pool(d, r, add_averages);
}

const struct show show_stats_averages = SHOW_TABLE(totals_columns, fill_stats_averages);

/* ---- SHOW TOTALS ---- */

static const struct column all_columns[] = {
    {"name", COLUMN_TEXT},
    {"value", COLUMN_NUMERIC},
};

static void
fill_totals(const struct daemon *d, struct rows *r)
{
	static const char *const names[2 * STATS] = {
	    "total_xact_count", "total_query_count", "total_client_bytes", "total_server_bytes",
	    "total_xact_time",  "total_query_time",  "total_wait_time",    "avg_xact_count",
	    "avg_query_count",  "avg_client_bytes",  "avg_server_bytes",   "avg_xact_time",
	    "avg_query_time",   "avg_wait_time",
	};
	const struct past *past = &d->site.pools.past;
	struct pool_stats all = {0}, period = {0};
	int64_t list[2 * STATS];
	struct list_node *n;

	LIST_EACH (n, &d->site.pools.list) {
		const struct pool *pool = LIST_OBJ(n, struct pool, node);

		pool_stats_add(&all, &pool->stats);
		pool_stats_add(&period, &pool->period);
	}
	/* Pools that are gone. */
	pool_stats_add(&all, &past->others.stats);
	LIST_EACH (n, &past->pools)
		pool_stats_add(&all, &LIST_OBJ(n, const struct past_pool, node)->stats);
	sums_of(&all, list);
	averages_of(&period, list + STATS);
	for (unsigned i = 0; i < 2 * STATS; i++) {
		rows_begin(r);
		rows_text(r, names[i]);
		rows_number(r, list[i]);
		rows_end(r);
	}
}

const struct show show_totals = SHOW_TABLE(all_columns, fill_totals);
