#include "scope/transaction.h"

#include "base/mem.h"
#include "wire/sqlmodes.h"

bool
transaction_is(const struct sqltext_stmt *s)
{
	const enum sqltext_word *w = s->first;

	switch (*w++) {
	case SQLWORD_BEGIN:
	case SQLWORD_START:
	case SQLWORD_END:
	case SQLWORD_ABORT:
		return true;
	case SQLWORD_COMMIT:
		return *w != SQLWORD_PREPARED;
	case SQLWORD_ROLLBACK:
		if (*w == SQLWORD_WORK || *w == SQLWORD_TRANSACTION)
			w++;
		return *w != SQLWORD_PREPARED && *w != SQLWORD_TO;
	default:
		return false;
	}
}

/* Reads the modes, and keeps their text as it is written. */
static bool
read_modes(struct sqltext *at, struct grammar *g)
{
	const char *start = at->at;
	struct sqlmodes modes = {.begins = true};

	if (sqltext_nothing_follows(at))
		return true;
	if (!sqlmodes_read_list(at, &modes))
		return false;
	g->modes = mem_strndup(start, (size_t)(at->at - start));
	return true;
}

static bool
read_chain(struct sqltext *at, struct grammar *g)
{
	if (!sqltext_accept(at, "and"))
		return true;
	if (sqltext_accept(at, "no"))
		return sqltext_accept(at, "chain");
	g->chain = true;
	return sqltext_accept(at, "chain");
}

static bool
read_statement(struct sqltext *at, struct grammar *g)
{
	if (sqltext_accept(at, "start")) {
		g->start = true;
		return sqltext_accept(at, "transaction") && read_modes(at, g);
	}
	if (sqltext_accept(at, "begin")) {
		if (!sqltext_accept(at, "work"))
			sqltext_accept(at, "transaction");
		return read_modes(at, g);
	}
	if (sqltext_accept(at, "commit") || sqltext_accept(at, "end"))
		g->verb = GRAMMAR_COMMIT;
	else if (sqltext_accept(at, "rollback") || sqltext_accept(at, "abort"))
		g->verb = GRAMMAR_ROLLBACK;
	else
		return false;
	if (!sqltext_accept(at, "work"))
		sqltext_accept(at, "transaction");
	return read_chain(at, g);
}

struct grammar *
transaction_parse(const char *text, size_t bytes, unsigned flags)
{
	struct grammar *g = mem_calloc(1, sizeof *g);
	struct sqltext at;

	g->verb = GRAMMAR_BEGIN;
	/* The executor enters a BEGIN as if it were the only item of an ENTER. */
	g->nitems = 1;
	g->items = mem_calloc(1, sizeof *g->items);
	sqltext_init(&at, text, bytes, flags);
	if (read_statement(&at, g) && sqltext_nothing_follows(&at))
		return g;
	grammar_free(g);
	return NULL;
}
