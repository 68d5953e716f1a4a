/* metrics: all numbers that pgwithd tells Prometheus, in one table: /metrics of metrics_listen, and
 * SHOW METRICS, which `pgwith metrics` prints. pgwith-metrics(7) describes each;
 * tests/unit/manual.sh compares. None of them shows SQL text or a secret. */
#ifndef PGWITH_ADMIN_METRICS_H
#define PGWITH_ADMIN_METRICS_H

#include "admin/command.h"
#include "admin/exposition.h"
#include "admin/http.h"
#include "admin/process.h"
#include "admin/show.h"
#include "admin/sums.h"

/* Samples are written only of so many single roles, those with sessions that wait or have a
 * server. */
#define METRICS_ROLES_MAX 200

/* All locks and semaphores together. */
struct metrics_locks {
	unsigned names, holders, waiting;
	int64_t wait_us, hold_us; /* the longest; 0: none */
};

/* The text is made in parts of about so many bytes, so that no client waits for all of it. */
#define METRICS_PART (64 << 10)

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

/* Writes the text, in one of the two formats of exposition.h, in parts, one in each turn of the
 * loop. Each time of a histogram and each number is of the turn in which it is written. Pools may
 * come and go between two parts: one that has gone is not in what is written from then on, and one
 * that has come is. `out` lives on until metrics_end(). */
struct metrics_run;
struct metrics_run *metrics_begin(const struct daemon *, bool openmetrics, struct buf *out);
/* Writes the next part. True: it was the last one. */
bool metrics_go_on(struct metrics_run *);
/* Frees, also in between. */
void metrics_end(struct metrics_run *);

/* SHOW METRICS. From the first one on, the times of transactions and statements are counted, if
 * they are not for metrics_listen. */
int metrics_show(const struct command_call *, struct err *);
/* Its next portion, in a turn of the loop of its own. */
int metrics_show_go_on(const struct command_call *, struct err *);

/* The page /metrics: in OpenMetrics if the header Accept asks for that. As struct http_page wants
 * them. */
void *metrics_page_begin(const struct daemon *, const struct http_request *, struct http_answer *);
bool metrics_page_go_on(void *run);
void metrics_page_end(void *run);

#endif
