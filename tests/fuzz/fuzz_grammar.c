/* fuzz_grammar: whatever the bytes, a scope statement is read within its bounds, is the same when
 * it is copied and when it is written out and read again, and can be bound; an error lies in the
 * text. What is one by its first words is one for sqlclass. */
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "fuzz.h"
#include "render.h"
#include "wire/sqlclass.h"

#define RENDERED (1 << 24)

static void
check_error(int rc, const struct grammar_error *e, size_t size)
{
	MUST(rc == -E_SYNTAX || rc == -E_TOOBIG);
	MUST(e->at <= size);
	MUST(strncmp(e->expected, "expected ", 9) == 0);
	MUST(strlen(e->expected) < 500);
	free(e->expected);
}

static void
check_value(const struct grammar_value *v, size_t size)
{
	struct grammar_error e = {0};
	unsigned limit = 0;
	int64_t us = 0;

	MUST(v->at <= size);
	MUST(v->param <= GRAMMAR_PARAMS);
	MUST(v->given || (v->param == 0 && v->text == NULL));
	MUST(v->text == NULL || strlen(v->text) <= GRAMMAR_TEXT);
	if (grammar_duration(v, &us, &e) != 0)
		free(e.expected);
	MUST(us >= 0);
	if (grammar_limit(v, &limit, &e) != 0)
		free(e.expected);
	else
		MUST(limit >= 1 && limit <= GRAMMAR_LIMIT);
}

static void
check_name(const char *name)
{
	MUST(name == NULL || (*name && strlen(name) <= GRAMMAR_NAME));
}

static void
check_bounds(const struct grammar *g, size_t size)
{
	MUST(g->nitems <= GRAMMAR_ITEMS);
	MUST((g->nitems > 0) == (g->verb == GRAMMAR_ENTER));
	MUST(g->nparams <= GRAMMAR_PARAMS);
	check_value(&g->sql, size);
	for (unsigned i = 0; i < g->nitems; i++) {
		const struct grammar_item *item = &g->items[i];

		check_name(item->name);
		check_name(item->as);
		check_name(item->pool);
		MUST(item->nargs <= GRAMMAR_ARGS);
		MUST(item->limit.given == (item->kind == GRAMMAR_SEMAPHORE));
		check_value(&item->key, size);
		check_value(&item->limit, size);
		check_value(&item->wait, size);
		check_value(&item->deadline, size);
		for (unsigned a = 0; a < item->nargs; a++)
			check_value(&item->args[a], size);
	}
}

static char *
rendered(const struct grammar *g, bool bound)
{
	struct buf b;
	char *text;

	buf_init(&b, RENDERED);
	render(&b, g, bound);
	MUST(!b.failed);
	text = mem_strdup((const char *)buf_data(&b));
	buf_clear(&b);
	return text;
}

/* Written out and read, it is the same. */
static void
check_again(const struct grammar *g, bool bound)
{
	char *first = rendered(g, bound), *second;
	struct grammar *again = NULL;
	struct grammar_error e = {0};

	MUST(grammar_parse(first, strlen(first), 0, &again, &e) == 0);
	second = rendered(again, bound);
	MUST(strcmp(first, second) == 0);
	free(first);
	free(second);
	grammar_free(again);
}

static void
check_bind(struct grammar *g)
{
	const char **values = mem_calloc(g->nparams + 1, sizeof *values);
	struct grammar_error e = {0};

	for (unsigned i = 0; i < g->nparams; i++)
		values[i] = i % 2 ? "it's" : "5";
	MUST(grammar_bind(g, values, g->nparams, &e) == 0);
	check_again(g, true);
	if (g->nparams > 0) {
		MUST(grammar_bind(g, values, g->nparams - 1, &e) == -E_RANGE);
		free(e.expected);
	}
	free(values);
}

static void
check(const char *text, size_t size, unsigned flags)
{
	struct grammar *g = NULL, *copy;
	struct grammar_error e = {0};
	char *first, *second;
	int rc = grammar_parse(text, size, flags, &g, &e);
	struct sqltext_stmt s;
	struct sqltext t;
	bool any = false;

	sqltext_init(&t, text, size, flags);
	while (sqltext_next(&t, &s))
		any = grammar_is(&s) || any;
	MUST(any == ((sqlclass_flags(text, size, flags) & SQLCLASS_SCOPE) != 0));
	if (rc != 0) {
		MUST(g == NULL);
		check_error(rc, &e, size);
		return;
	}
	MUST(any);
	check_bounds(g, size);
	copy = grammar_copy(g);
	first = rendered(g, false);
	check_again(g, false);
	check_bind(g);
	grammar_free(g);
	second = rendered(copy, false);
	MUST(strcmp(first, second) == 0);
	free(first);
	free(second);
	grammar_free(copy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check((const char *)data, size, 0);
	check((const char *)data, size, SQLTEXT_BACKSLASH);
	return 0;
}
