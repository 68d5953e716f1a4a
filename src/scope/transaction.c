#include "scope/transaction.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"

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

static bool
is_word(const struct sqltext_token *t, const char *word)
{
	return t->kind == SQLTEXT_NAME && t->length == strlen(word) &&
	       strncasecmp(t->start, word, t->length) == 0;
}

/* Takes the next token if it is that word. */
static bool
take(struct sqltext *at, const char *word)
{
	struct sqltext ahead = *at;
	struct sqltext_token t;

	sqltext_token(&ahead, &t);
	if (!is_word(&t, word))
		return false;
	*at = ahead;
	return true;
}

static bool
at_end(struct sqltext at)
{
	struct sqltext_token t;

	while (sqltext_token(&at, &t) == SQLTEXT_SPLIT)
		;
	return t.kind == SQLTEXT_END && !at.unterminated;
}

static bool
read_level(struct sqltext *at)
{
	if (!take(at, "level"))
		return false;
	if (take(at, "serializable"))
		return true;
	if (take(at, "repeatable"))
		return take(at, "read");
	return take(at, "read") && (take(at, "committed") || take(at, "uncommitted"));
}

static bool
read_mode(struct sqltext *at)
{
	if (take(at, "isolation"))
		return read_level(at);
	if (take(at, "read"))
		return take(at, "only") || take(at, "write");
	if (take(at, "not"))
		return take(at, "deferrable");
	return take(at, "deferrable");
}

static bool
take_comma(struct sqltext *at)
{
	struct sqltext ahead = *at;
	struct sqltext_token t;

	if (sqltext_token(&ahead, &t) != SQLTEXT_PUNCT || *t.start != ',')
		return false;
	*at = ahead;
	return true;
}

/* The modes are kept as they are written. */
static bool
read_modes(struct sqltext *at, struct grammar *g)
{
	const char *start = at->at;

	if (at_end(*at))
		return true;
	do {
		if (!read_mode(at))
			return false;
		take_comma(at);
	} while (!at_end(*at));
	/* A comma must have a mode behind it. */
	if (at->at[-1] == ',')
		return false;
	g->modes = mem_strndup(start, (size_t)(at->at - start));
	return true;
}

static bool
read_chain(struct sqltext *at, struct grammar *g)
{
	if (!take(at, "and"))
		return true;
	if (take(at, "no"))
		return take(at, "chain");
	g->chain = true;
	return take(at, "chain");
}

static bool
read_statement(struct sqltext *at, struct grammar *g)
{
	if (take(at, "start")) {
		g->start = true;
		return take(at, "transaction") && read_modes(at, g);
	}
	if (take(at, "begin")) {
		if (!take(at, "work"))
			take(at, "transaction");
		return read_modes(at, g);
	}
	if (take(at, "commit") || take(at, "end"))
		g->verb = GRAMMAR_COMMIT;
	else if (take(at, "rollback") || take(at, "abort"))
		g->verb = GRAMMAR_ROLLBACK;
	else
		return false;
	if (!take(at, "work"))
		take(at, "transaction");
	return read_chain(at, g);
}

struct grammar *
transaction_parse(const char *text, size_t bytes, unsigned flags)
{
	struct grammar *g = mem_calloc(1, sizeof *g);
	struct sqltext at;

	g->verb = GRAMMAR_BEGIN;
	/* What is begun is entered as an item of ENTER is. */
	g->nitems = 1;
	g->items = mem_calloc(1, sizeof *g->items);
	sqltext_init(&at, text, bytes, flags);
	if (read_statement(&at, g) && at_end(at))
		return g;
	grammar_free(g);
	return NULL;
}
