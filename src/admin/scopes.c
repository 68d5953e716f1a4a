/* SHOW SCOPES, SHOW LOCKS and SHOW SCOPE_STATS. This SHOW SCOPES is not the one of an ordinary
 * session, which shows its own scopes only. */

#include <stdio.h>
#include <string.h>

#include "admin/show.h"
#include "base/units.h"
#include "executor/listing.h"

/* ---- scopes ---- */

static const struct column scopes_columns[] = {
    {"session", COLUMN_BIGINT},    {"pid", COLUMN_INT},         {"role", COLUMN_TEXT},
    {"level", COLUMN_INT},         {"name", COLUMN_TEXT},       {"kind", COLUMN_TEXT},
    {"pool", COLUMN_TEXT},         {"state", COLUMN_TEXT},      {"current", COLUMN_BOOL},
    {"elapsed_ms", COLUMN_BIGINT}, {"wait_ms", COLUMN_BIGINT},  {"deadline_ms", COLUMN_BIGINT},
    {"deferred", COLUMN_INT},      {"backend_pid", COLUMN_INT}, {"members", COLUMN_INT},
    {"joins", COLUMN_BIGINT},      {"outside", COLUMN_BIGINT},  {"outsider", COLUMN_TEXT},
};

static void
scope_row(const struct session *s, const struct scope_view *v, unsigned level, struct rows *r)
{
	rows_begin(r);
	rows_number(r, (int64_t)s->id);
	rows_number(r, s->peer.pid);
	rows_text(r, s->peer.role);
	rows_number(r, level);
	rows_text(r, v->name);
	rows_text(r, v->kind);
	rows_text(r, v->pool);
	rows_text(r, v->state);
	rows_bool(r, v->current);
	rows_number(r, v->elapsed_us / UNIT_MS);
	rows_number(r, v->wait_us / UNIT_MS);
	if (v->deadline_us < 0)
		rows_null(r);
	else
		rows_number(r, v->deadline_us / UNIT_MS);
	rows_number(r, v->deferred);
	if (v->backend_pid)
		rows_number(r, v->backend_pid);
	else
		rows_null(r);
	if (v->members >= 0) {
		rows_number(r, v->members);
		rows_number(r, (int64_t)v->joins);
		rows_number(r, (int64_t)v->outside);
	} else {
		rows_null(r);
		rows_null(r);
		rows_null(r);
	}
	rows_text(r, v->outsider);
	rows_end(r);
}

static void
list_scopes(const struct daemon *d, const struct session *own, struct show_ids *ids)
{
	struct list_node *n;

	for (int i = 0; i < SESSION_CLOSED; i++)
		LIST_EACH (n, &d->site.in_state[i]) {
			const struct session *s = LIST_OBJ(n, struct session, node);
			struct scope_view v;

			if (((s->rare->stack && s->rare->stack->frames.count > 0) ||
			     listing_view_plain(s, &v)) &&
			    show_is_own(own, s))
				show_ids_add(ids, s->id);
		}
}

static void
each_scope(const struct daemon *d, uint64_t id, struct rows *r)
{
	const struct session *s = idmap_get(&d->site.sessions, id);
	struct scope_view v;
	struct list_node *n;
	unsigned level = 0;

	if (s == NULL)
		return;
	if (s->rare->stack)
		LIST_EACH (n, &s->rare->stack->frames) {
			listing_view(s, LIST_OBJ(n, struct scope, node), &v);
			scope_row(s, &v, ++level, r);
		}
	if (listing_view_plain(s, &v))
		scope_row(s, &v, ++level, r);
}

const struct show show_scopes = SHOW_LIST(scopes_columns, list_scopes, each_scope);

/* Appends one name. False if there is no room for it. */
static bool
add_to_path(char *out, size_t out_size, const char *kind, const char *name)
{
	size_t at = strlen(out);
	int length;

	length = snprintf(out + at, out_size - at, "%s%s%s%s", at ? " > " : "", kind,
			  *kind ? " " : "", name);
	if (length >= 0 && (size_t)length < out_size - at)
		return true;
	snprintf(out + out_size - 4, 4, "...");
	return false;
}

const char *
scopes_path(const struct session *s, char *out, size_t out_size)
{
	const char *begin = "(transaction)";
	struct scope_view v;
	struct list_node *n;

	*out = 0;
	if (s->rare->stack)
		LIST_EACH (n, &s->rare->stack->frames) {
			struct scope *f = LIST_OBJ(n, struct scope, node);

			if (!add_to_path(out, out_size, scope_base(f) ? "" : scope_kind_name(f),
					 scope_is_begin(f) ? begin : f->name))
				return out;
		}
	if (listing_view_plain(s, &v))
		add_to_path(out, out_size, "", begin);
	return *out ? out : NULL;
}

/* ---- locks ---- */

static const struct column locks_columns[] = {
    {"name", COLUMN_TEXT},       {"kind", COLUMN_TEXT},  {"limit", COLUMN_INT},
    {"session", COLUMN_BIGINT},  {"pid", COLUMN_INT},    {"role", COLUMN_TEXT},
    {"mode", COLUMN_TEXT},       {"state", COLUMN_TEXT}, {"position", COLUMN_INT},
    {"since_ms", COLUMN_BIGINT},
};

struct to {
	const struct daemon *daemon;
	struct rows *rows;
};

static void
lock_row(void *arg, const struct lock *lock, const struct lock_hold *hold, unsigned position)
{
	const struct to *to = arg;
	struct rows *r = to->rows;
	const struct session *s = idmap_get(&to->daemon->site.sessions, hold->session);

	rows_begin(r);
	rows_text(r, lock->name);
	rows_text(r, lock->semaphore ? "semaphore" : "lock");
	if (lock->semaphore)
		rows_number(r, lock->limit);
	else
		rows_null(r);
	rows_number(r, (int64_t)hold->session);
	if (s)
		rows_number(r, s->peer.pid);
	else
		rows_null(r);
	rows_text(r, s ? s->peer.role : NULL);
	rows_text(r, lock_mode_name(hold->mode));
	rows_text(r, position == 0 ? "held" : "waiting");
	rows_number(r, position);
	rows_number(r, (loop_now_us(to->daemon->site.loop) - hold->since_us) / UNIT_MS);
	rows_end(r);
}

static void
fill_locks(const struct daemon *d, struct rows *r)
{
	struct to to = {d, r};

	locks_each(&d->site.locks, lock_row, &to);
}

const struct show show_locks = SHOW_TABLE(locks_columns, fill_locks);

/* ---- how long they took ---- */

#define PHASE(name)                                                             \
	{name "_count", COLUMN_BIGINT}, {name "_p50_ms", COLUMN_NUMERIC},       \
	    {name "_p95_ms", COLUMN_NUMERIC}, {name "_p99_ms", COLUMN_NUMERIC}, \
	{                                                                       \
		name "_max_ms", COLUMN_NUMERIC                                  \
	}

/* The columns of outcomes and phases are in the order of their enums. */
static const struct column scope_stats_columns[] = {
    {"pool", COLUMN_TEXT},
    {"scope", COLUMN_TEXT},
    {"success", COLUMN_BIGINT},
    {"error", COLUMN_BIGINT},
    {"cancelled", COLUMN_BIGINT},
    {"expired", COLUMN_BIGINT},
    PHASE("wait"),
    PHASE("enter"),
    PHASE("hold"),
    PHASE("cleanup"),
};
_Static_assert(sizeof scope_stats_columns / sizeof *scope_stats_columns ==
		   2 + TIMING_NOUTCOMES + 5 * TIMING_NPHASES,
	       "a column for each outcome, five for each phase");

static void
stats_row(void *arg, const struct timing_row *row)
{
	static const double percents[] = {50, 95, 99, 100};
	struct rows *r = arg;

	rows_begin(r);
	rows_text(r, *row->pool ? row->pool : NULL);
	rows_text(r, row->scope);
	for (unsigned i = 0; i < TIMING_NOUTCOMES; i++)
		rows_number(r, (int64_t)row->outcomes[i]);
	for (unsigned i = 0; i < TIMING_NPHASES; i++) {
		const struct histogram *h = timing_phase(row, (enum timing_phase)i);

		rows_number(r, (int64_t)h->count);
		for (unsigned k = 0; k < sizeof percents / sizeof *percents; k++)
			rows_ms(r, histogram_percentile(h, percents[k]));
	}
	rows_end(r);
}

static void
fill_scope_stats(const struct daemon *d, struct rows *r)
{
	timing_each(&d->site.timing, stats_row, r);
}

const struct show show_scope_stats = SHOW_TABLE(scope_stats_columns, fill_scope_stats);
