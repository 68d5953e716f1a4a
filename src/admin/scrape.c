#include "admin/scrape.h"

#include <stdlib.h>
#include <string.h>

#include "admin/metrics.h"
#include "base/mem.h"

static void
add_hold(void *arg, const struct lock *lock, const struct lock_hold *hold, unsigned position)
{
	struct metrics_view *v = arg;
	int64_t us = loop_now_us(v->daemon->site.loop) - hold->since_us;

	if (position == 0)
		v->locks.holders++;
	else
		v->locks.waiting++;
	if (position == 0 && us > v->locks.hold_us)
		v->locks.hold_us = us;
	if (position > 0 && us > v->locks.wait_us)
		v->locks.wait_us = us;
}

struct scrape {
	const struct daemon *daemon;
	struct exposition exposition;
	struct metrics_view view;
	unsigned family;  /* of the table: the one that is being written */
	bool headed;      /* its HELP and TYPE are written */
	unsigned pool;    /* index of the first pool of which it is not written */
	char *reached;    /* the name of the pool before that; NULL: there is none */
	uint64_t changes; /* site.pools.changes, when view.sums was taken */
};

/* Do the samples of the metric belong to pools? */
static bool
is_of_pools(const struct metric *m)
{
	return strncmp(m->name, "pgwith_pool_", strlen("pgwith_pool_")) == 0;
}

/* After a change, the pointers in view.sums may lead nowhere. Finds the place again by the name. */
static void
take_sums(struct scrape *run)
{
	struct sums *sums = &run->view.sums;

	sums_clear(sums);
	sums_take(sums, run->daemon);
	run->changes = run->daemon->site.pools.changes;
	run->pool = 0;
	while (run->reached && run->pool < sums->count &&
	       strcmp(sums->pools[run->pool].name, run->reached) <= 0)
		run->pool++;
}

struct scrape *
scrape_begin(const struct daemon *d, bool openmetrics, struct buf *out)
{
	struct scrape *run = mem_calloc(1, sizeof *run);
	struct metrics_view *v = &run->view;

	run->daemon = d;
	exposition_init(&run->exposition, out, openmetrics);
	*v = (struct metrics_view){.daemon = d, .out = &run->exposition};
	take_sums(run);
	process_look(&v->process);
	v->locks.names = d->site.locks.list.count;
	locks_each(&d->site.locks, add_hold, v);
	return run;
}

/* Writes the samples of one family, or of those pools of it that fit into the part. True: the
 * family is whole. */
static bool
write_family(struct scrape *run, const struct metric *m, size_t stop)
{
	struct metrics_view *v = &run->view;
	const struct buf *out = run->exposition.out;

	if (!run->headed)
		exposition_family(&run->exposition, m->name, m->type, m->unit, m->help);
	run->headed = true;
	if (!is_of_pools(m)) {
		m->write(v, m);
		return true;
	}
	for (; run->pool < v->sums.count; run->pool++) {
		if (out->len >= stop)
			return false;
		v->from = run->pool;
		v->to = run->pool + 1;
		m->write(v, m);
	}
	return true;
}

bool
scrape_go_on(struct scrape *run)
{
	const struct buf *out = run->exposition.out;
	size_t stop = (size_t)out->len + SCRAPE_PART;
	struct sums *sums = &run->view.sums;
	unsigned count;
	const struct metric *metrics = metrics_table(&count);

	if (run->changes != run->daemon->site.pools.changes)
		take_sums(run);
	free(run->reached);
	run->reached = NULL;
	while (run->family < count && !out->failed) {
		if (out->len >= stop)
			return false;
		if (!write_family(run, &metrics[run->family], stop)) {
			if (run->pool > 0)
				run->reached = mem_strdup(sums->pools[run->pool - 1].name);
			return false;
		}
		run->family++;
		run->headed = false;
		run->pool = 0;
	}
	exposition_end(&run->exposition);
	return true;
}

void
scrape_end(struct scrape *run)
{
	sums_clear(&run->view.sums);
	buf_clear(&run->exposition.labels);
	free(run->reached);
	free(run);
}

/* ---- SHOW METRICS ---- */

static const struct column metrics_columns[] = {{"line", COLUMN_TEXT}};

const struct show show_metrics = SHOW_TABLE(metrics_columns, NULL);

/* A SHOW METRICS that goes on. */
struct showing {
	struct scrape *run;
	struct buf text; /* the part that was made last */
	size_t bytes;    /* of all parts */
};

static void
showing_end(void *own)
{
	struct showing *showing = own;

	scrape_end(showing->run);
	buf_clear(&showing->text);
	free(showing);
}

int
scrape_show(const struct command_call *call, struct err *e)
{
	struct showing *showing = mem_calloc(1, sizeof *showing);

	call->daemon->site.pools.timed |= POOLS_TIMED_ASKED;
	buf_init(&showing->text, HTTP_ANSWER_MAX);
	showing->run = scrape_begin(call->daemon, false, &showing->text);
	call->ids->own = showing;
	call->ids->end = showing_end;
	return scrape_show_go_on(call, e);
}

/* Makes a row of each line. A part has whole lines only. */
static void
add_lines(struct buf *text, struct rows *r)
{
	char *line = (char *)buf_data(text);

	while (text->len > 0) {
		char *end = memchr(line, '\n', text->len);

		*end = '\0';
		rows_begin(r);
		rows_text(r, line);
		rows_end(r);
		buf_drop(text, (size_t)(end + 1 - line));
		line = end + 1;
	}
}

int
scrape_show_go_on(const struct command_call *call, struct err *e)
{
	struct showing *showing = call->ids->own;
	bool last = scrape_go_on(showing->run);

	showing->bytes += showing->text.len;
	if (showing->text.failed || showing->bytes > HTTP_ANSWER_MAX) {
		show_ids_clear(call->ids);
		err_make(e, ERR_CONSOLE_STATE, "the text is longer than 64 MiB");
		return -E_STATE;
	}
	add_lines(&showing->text, call->rows);
	if (!last)
		return -E_AGAIN;
	show_ids_clear(call->ids);
	return 0;
}

/* ---- /metrics ---- */

void *
scrape_page_begin(const struct daemon *d, const struct http_request *request,
		  struct http_answer *answer)
{
	bool openmetrics = strstr(request->accept, "application/openmetrics-text") != NULL;

	answer->type = openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
				   : "text/plain; version=0.0.4; charset=utf-8";
	return scrape_begin(d, openmetrics, &answer->body);
}

bool
scrape_page_go_on(void *run)
{
	return scrape_go_on(run);
}

void
scrape_page_end(void *run)
{
	scrape_end(run);
}
