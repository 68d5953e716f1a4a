/* metrics: all numbers that pgwithd tells Prometheus, in one table. scrape.h writes them.
 * pgwith-metrics(7) describes each; tests/unit/manual.sh compares. None of them shows SQL text or a
 * secret. */
#ifndef PGWITH_ADMIN_METRICS_H
#define PGWITH_ADMIN_METRICS_H

#include "admin/exposition.h"
#include "admin/process.h"
#include "admin/sums.h"

/* Samples are written only of so many single roles, those with sessions that wait or have a
 * server. */
#define METRICS_ROLES_MAX 200

/* All locks and semaphores together. */
struct metrics_locks {
	unsigned names, holders, waiting;
	int64_t wait_us, hold_us; /* the longest; 0: none */
};

/* What is looked at once for all metrics of a page. */
struct metrics_view {
	const struct daemon *daemon;
	struct exposition *out;
	struct sums sums;
	/* The pools of which a metric with the label pool is written: from this index on, up to the
	 * other one. */
	unsigned from, to;
	struct process process;
	struct metrics_locks locks;
};

struct metric {
	const char *name; /* of the family: without _total and _info */
	enum exposition_type type;
	const char *unit;   /* seconds, bytes or "" */
	const char *labels; /* their names, separated by commas; "": none */
	const char *help;   /* one sentence, without quotes and backslashes */
	/* Writes the samples. `at` belongs to it: an offset, or an index. */
	void (*write)(const struct metrics_view *, const struct metric *);
	size_t at;
};

/* The table, in the order of the text. */
const struct metric *metrics_table(unsigned *count);

#endif
