/* render: a scope statement written out again, for the tests of scope/grammar. Names are quoted,
 * clauses stand in one order: whatever was read, reading this gives the same. */
#ifndef PGWITH_FUZZ_RENDER_H
#define PGWITH_FUZZ_RENDER_H

#include "base/buf.h"
#include "scope/grammar.h"

static void
render_quoted(struct buf *b, const char *before, const char *text, char quote)
{
	if (text == NULL)
		return;
	buf_add_fmt(b, "%s%c", before, quote);
	for (; *text; text++) {
		if (*text == quote)
			buf_add_u8(b, (uint8_t)quote);
		buf_add_u8(b, (uint8_t)*text);
	}
	buf_add_u8(b, (uint8_t)quote);
}

/* `bound`: a parameter that has a value as that value. */
static void
render_value(struct buf *b, const char *before, const struct grammar_value *v, bool bound)
{
	if (!v->given)
		return;
	if (v->text && (v->param == 0 || bound))
		render_quoted(b, before, v->text, '\'');
	else if (v->param && !bound)
		buf_add_fmt(b, "%s$%u", before, v->param);
	else
		buf_add_fmt(b, "%sNULL", before);
}

static void
render_item(struct buf *b, const struct grammar_item *item, bool bound)
{
	static const char *const isolations[] = {
	    "", " ISOLATION LEVEL SERIALIZABLE", " ISOLATION LEVEL REPEATABLE READ",
	    " ISOLATION LEVEL READ COMMITTED", " ISOLATION LEVEL READ UNCOMMITTED"};
	static const char *const accesses[] = {"", " READ ONLY", " READ WRITE"};
	bool named = item->kind == GRAMMAR_TRANSACTION || item->kind == GRAMMAR_DEFINED;

	render_quoted(b, " ", item->name, '"');
	if (!named)
		render_value(b, item->kind == GRAMMAR_LOCK ? " LOCK " : " SEMAPHORE ", &item->key,
			     bound);
	render_quoted(b, " AS ", item->as, '"');
	if (item->nargs > 0 || (item->kind == GRAMMAR_DEFINED && item->as == NULL)) {
		buf_add_fmt(b, " (");
		for (unsigned i = 0; i < item->nargs; i++)
			render_value(b, i ? ", " : "", &item->args[i], bound);
		buf_add_fmt(b, ")");
	}
	render_quoted(b, " ON ", item->pool, '"');
	buf_add_fmt(b, "%s%s%s%s%s%s", item->fresh ? " NEW" : "", item->shared ? " SHARED" : "",
		    accesses[item->access], isolations[item->isolation],
		    item->joinable ? " JOINABLE" : "", item->suppress ? " SUPPRESS" : "");
	render_value(b, " LIMIT ", &item->limit, bound);
	render_value(b, " WAIT ", &item->wait, bound);
	render_value(b, " DEADLINE ", &item->deadline, bound);
}

/* Adds the statement and a NUL. */
static void
render(struct buf *b, const struct grammar *g, bool bound)
{
	static const char *const whens[] = {"", " ON COMMIT", " ON ROLLBACK"};

	buf_add_fmt(b, "%s", grammar_tag(g));
	for (unsigned i = 0; i < g->nitems; i++) {
		buf_add_fmt(b, "%s", i ? "," : "");
		render_item(b, &g->items[i], bound);
	}
	/* As a string: a name may be the text of a lock. */
	render_quoted(b, " ", g->name, '\'');
	buf_add_fmt(b, "%s%s%s%s", g->all ? " ALL" : "", g->rollback ? " ROLLBACK" : "",
		    whens[g->when], g->verb == GRAMMAR_SHOW_SCOPES ? " SCOPES" : "");
	render_value(b, " ", &g->sql, bound);
	buf_add_u8(b, 0);
}

#endif
