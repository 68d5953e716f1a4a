#include "admin/tables.h"

#include "admin/html.h"

void
tables_who(struct buf *out, const struct status_who *who, int64_t us)
{
	if (*who->program) {
		html_add(out, "<b>");
		html_text(out, who->program);
		html_add(out, "</b> ");
	}
	buf_add_fmt(out, "<span class=n>pid %d</span>", who->pid);
	if (us >= 0) {
		html_add(out, ", for <span class=n>");
		html_elapsed(out, us);
		html_add(out, "</span>");
	}
	buf_add_fmt(out, "<small>session %llu", (unsigned long long)who->session);
	if (who->role) {
		html_add(out, ", role ");
		html_text(out, who->role);
	}
	if (who->application && *who->application) {
		html_add(out, ", ");
		html_text(out, who->application);
	}
	html_add(out, "</small>");
}

static void
begin_table(struct buf *out, const char *title, const char *note, const char *const *heads)
{
	buf_add_fmt(out, "<section class=card><table><caption>%s<small>%s</small></caption>", title,
		    note);
	html_add(out, "<thead><tr>");
	for (; *heads; heads++)
		buf_add_fmt(out, "<th scope=col>%s", *heads);
	html_add(out, "<tbody>");
}

/* `more`: rows that are not shown. `ask`: the command that shows all. */
static void
end_table(struct buf *out, unsigned more, const char *ask)
{
	html_add(out, "</table>");
	html_more(out, more, ask);
	html_add(out, "</section>");
}

static void
add_elapsed_cell(struct buf *out, const char *tag, int64_t us)
{
	buf_add_fmt(out, "<%s class=n>", tag);
	html_elapsed(out, us);
}

/* ---- who holds, who waits ---- */

static void
add_held(struct buf *out, const struct status *st)
{
	static const char *const heads[] = {"For", "Who", "Holds", "Waiting", NULL};

	if (st->nheld == 0)
		return;
	begin_table(out, "Who holds",
		    "what others wait for first, then what is held longest, if for 0.1 s", heads);
	for (unsigned i = 0; i < st->nheld; i++) {
		const struct status_held *h = &st->held[i];

		html_add(out, "<tr>");
		add_elapsed_cell(out, "td", h->held_us);
		html_add(out, "<td>");
		tables_who(out, &h->who, -1);
		html_add(out, "<td>");
		html_text(out, h->kind);
		html_add(out, " <b>");
		html_text(out, h->name);
		html_add(out, "</b>, ");
		html_text(out, h->state);
		if (h->class) {
			html_add(out, ", ");
			html_text(out, h->class);
		}
		if (*h->scopes) {
			html_add(out, "<small>");
			html_text(out, h->scopes);
			html_add(out, "</small>");
		}
		buf_add_fmt(out, "<td class=%s>", h->waiting ? "\"n hot\"" : "n");
		html_number(out, h->waiting);
	}
	end_table(out, st->held_there - st->nheld, "pgwith held");
}

static void
add_holder(struct buf *out, const struct status_wait *w)
{
	if (w->held_by == 0) {
		html_add(out, "nobody");
		return;
	}
	tables_who(out, &w->holder, w->held_us);
	if (!w->root)
		html_add(out, "<small>waits itself</small>");
}

static void
add_waits(struct buf *out, const struct status *st)
{
	static const char *const heads[] = {"For", "Who", "Waits for", "Held by", NULL};

	if (st->nwaits == 0)
		return;
	begin_table(out, "Who waits", "the longest first", heads);
	for (unsigned i = 0; i < st->nwaits; i++) {
		const struct status_wait *w = &st->waits[i];

		html_add(out, "<tr>");
		add_elapsed_cell(out, "td", w->wait_us);
		html_add(out, "<td>");
		tables_who(out, &w->who, -1);
		buf_add_fmt(out, "<td>%s <b>", w->kind);
		html_text(out, w->name);
		buf_add_fmt(out, "</b><small>number %u in the queue", w->position);
		if (*w->why) {
			html_add(out, ": ");
			html_text(out, w->why);
		}
		html_add(out, "</small><td>");
		add_holder(out, w);
	}
	end_table(out, st->waits_there - st->nwaits, "pgwith waits");
}

static void
add_locks(struct buf *out, const struct status *st)
{
	static const char *const heads[] = {"Lock", "Held by", "Waiting", "Next", NULL};

	if (st->nlocks == 0)
		return;
	begin_table(out, "Locks and semaphores", "the longest queues first", heads);
	for (unsigned i = 0; i < st->nlocks; i++) {
		const struct status_lock *l = &st->locks[i];

		html_add(out, "<tr><th scope=row>");
		html_text(out, l->name);
		buf_add_fmt(out, "<small>%s", l->kind);
		if (l->limit)
			buf_add_fmt(out, ", %u of %u", l->holders, l->limit);
		else
			buf_add_fmt(out, ", %s", l->mode);
		html_add(out, "</small><td>");
		tables_who(out, &l->holder, l->held_us);
		if (l->holders > 1)
			buf_add_fmt(out, "<small>and %u more</small>", l->holders - 1);
		buf_add_fmt(out, "<td class=%s>", l->waiting ? "\"n hot\"" : "n");
		html_number(out, l->waiting);
		html_add(out, "<td>");
		if (l->waiting)
			tables_who(out, &l->next, l->wait_us);
		else
			html_add(out, "nobody");
	}
	end_table(out, st->locks_there - st->nlocks, "pgwith locks");
}

static void
add_pinned(struct buf *out, const struct status *st)
{
	static const char *const heads[] = {"For", "Who", "Pool", "Why", NULL};

	if (st->npinned == 0)
		return;
	begin_table(out, "Pinned sessions", "they keep their server between transactions", heads);
	for (unsigned i = 0; i < st->npinned; i++) {
		const struct status_pinned *p = &st->pinned[i];

		html_add(out, "<tr>");
		add_elapsed_cell(out, "td", p->held_us);
		html_add(out, "<td>");
		tables_who(out, &p->who, -1);
		html_add(out, "<td>");
		html_text(out, p->pool);
		html_add(out, "<td>");
		html_text(out, p->why);
	}
	end_table(out, st->pinned_there - st->npinned, "pgwith clients");
}

static void
add_errors(struct buf *out, const struct status *st)
{
	static const char *const heads[] = {"Error", "Last minute", "Last hour", "Last one", NULL};

	if (st->nerrors == 0)
		return;
	begin_table(out, "Errors that clients were told", "of pgwithd itself, in the last hour",
		    heads);
	for (unsigned i = 0; i < st->nerrors; i++) {
		const struct status_error *e = &st->errors[i];

		html_add(out, "<tr><th scope=row>");
		html_text(out, e->name);
		html_add(out, "<small>");
		html_text(out, e->sqlstate);
		buf_add_fmt(out, "</small><td class=%s>", e->minute ? "\"n hot\"" : "n");
		html_number(out, e->minute);
		html_add(out, "<td class=n>");
		html_number(out, e->hour);
		add_elapsed_cell(out, "td", e->ago_us);
		html_add(out, " ago");
	}
	end_table(out, st->errors_there - st->nerrors, "pgwith errors");
}

/* What there is nothing to be said of. */
static void
add_nothing(struct buf *out, const struct status *st)
{
	const char *nothing[5];
	unsigned n = 0;

	if (st->nheld == 0)
		nothing[n++] = "Nobody holds anything for longer than 0.1 s.";
	if (st->nwaits == 0)
		nothing[n++] = "Nobody waits.";
	if (st->nlocks == 0)
		nothing[n++] = "No lock or semaphore is held.";
	if (st->npinned == 0)
		nothing[n++] = "No session is pinned.";
	if (st->nerrors == 0)
		nothing[n++] = st->known ? "No client was told an error in the last hour."
					 : "Errors are not counted yet.";
	if (n == 0)
		return;
	html_add(out, "<p class=nothing>");
	for (unsigned i = 0; i < n; i++)
		buf_add_fmt(out, "%s ", nothing[i]);
	html_add(out, "</p>");
}

void
tables_write(struct buf *out, const struct status *st)
{
	add_held(out, st);
	add_waits(out, st);
	add_locks(out, st);
	add_pinned(out, st);
	add_errors(out, st);
	add_nothing(out, st);
}
