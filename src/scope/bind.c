/* bind: the functions of grammar.h for a statement that has been read: they give parameters their
 * values, interpret values, copy and free. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/units.h"
#include "scope/grammar.h"
#include "scope/literal.h"

/* ---- values ---- */

/* Called for a value; `null` says that it may be NULL. */
typedef int (*visitor)(struct grammar_value *, bool null, void *context);

/* Calls visit() for every value of the statement, until it returns something else than 0, which is
 * then returned. */
static int
each_value(struct grammar *g, visitor visit, void *context)
{
	int rc = visit(&g->sql, false, context);

	for (unsigned i = 0; i < g->nitems && rc == 0; i++) {
		struct grammar_item *item = &g->items[i];
		struct grammar_value *values[] = {&item->key, &item->limit, &item->wait,
						  &item->deadline};

		for (unsigned v = 0; v < sizeof values / sizeof *values && rc == 0; v++)
			rc = visit(values[v], false, context);
		for (unsigned a = 0; a < item->nargs && rc == 0; a++)
			rc = visit(&item->args[a], true, context);
	}
	return rc;
}

struct binding {
	const char *const *values;
	unsigned n;
	struct grammar_error *error;
};

static int
check_value(struct grammar_value *v, bool null, void *context)
{
	const struct binding *b = context;
	const char *text;

	if (v->param == 0)
		return 0;
	if (v->param > b->n) {
		b->error->at = v->at;
		b->error->expected =
		    mem_printf("expected a value for $%u, there are %u", v->param, b->n);
		return -E_RANGE;
	}
	text = b->values[v->param - 1];
	if (text == NULL && !null) {
		b->error->at = v->at;
		b->error->expected = mem_printf("expected a value for $%u, not NULL", v->param);
		return -E_SYNTAX;
	}
	if (text && strnlen(text, GRAMMAR_TEXT + 1) > GRAMMAR_TEXT) {
		b->error->at = v->at;
		b->error->expected = mem_printf("expected a value for $%u of at most %d bytes",
						v->param, GRAMMAR_TEXT);
		return -E_TOOBIG;
	}
	return 0;
}

static int
set_value(struct grammar_value *v, bool null, void *context)
{
	const struct binding *b = context;
	const char *text;

	(void)null;
	if (v->param == 0)
		return 0;
	text = b->values[v->param - 1];
	free(v->text);
	v->text = text ? mem_strdup(text) : NULL;
	return 0;
}

int
grammar_bind(struct grammar *g, const char *const *values, unsigned n, struct grammar_error *error)
{
	struct binding b = {values, n, error};
	int rc = each_value(g, check_value, &b);

	return rc == 0 ? each_value(g, set_value, &b) : rc;
}

/* Fills *error in: the value should be what `wanted` says. Returns rc. */
static int
fail_value(const struct grammar_value *v, int rc, const char *wanted, struct grammar_error *error)
{
	char *text = v->text ? literal_shown(v->text, strlen(v->text)) : NULL;

	error->at = v->at;
	error->expected = text ? mem_printf("expected %s, not \"%s\"", wanted, text)
			       : mem_printf("expected %s, not NULL", wanted);
	free(text);
	return rc;
}

int
grammar_duration(const struct grammar_value *v, int64_t *us, struct grammar_error *error)
{
	int rc = v->text ? units_duration(v->text, UNIT_MS, us) : -E_SYNTAX;

	return rc == 0 ? 0 : fail_value(v, rc, "a duration, as 500 (ms), '2s' or '1.5min'", error);
}

int
grammar_limit(const struct grammar_value *v, unsigned *limit, struct grammar_error *error)
{
	const char *p = v->text ? v->text : "";
	unsigned n = 0;
	int rc = 0;

	do {
		if (*p < '0' || *p > '9')
			rc = -E_SYNTAX;
		else if (n <= GRAMMAR_LIMIT)
			n = n * 10 + (unsigned)(*p - '0');
	} while (rc == 0 && *++p);
	if (rc == 0 && (n < 1 || n > GRAMMAR_LIMIT))
		rc = -E_RANGE;
	if (rc != 0)
		return fail_value(v, rc, "a whole number from 1 to 1000000", error);
	*limit = n;
	return 0;
}

/* ---- memory ---- */

static char *
copy_string(const char *s)
{
	return s ? mem_strdup(s) : NULL;
}

static int
copy_value(struct grammar_value *v, bool null, void *context)
{
	(void)null;
	(void)context;
	v->text = copy_string(v->text);
	return 0;
}

struct grammar *
grammar_copy(const struct grammar *from)
{
	struct grammar *g = mem_alloc(sizeof *g);

	*g = *from;
	g->name = copy_string(from->name);
	g->modes = copy_string(from->modes);
	g->items = NULL;
	if (g->nitems > 0) {
		g->items = mem_calloc(g->nitems, sizeof *g->items);
		memcpy(g->items, from->items, g->nitems * sizeof *g->items);
	}
	for (unsigned i = 0; i < g->nitems; i++) {
		struct grammar_item *item = &g->items[i];
		const struct grammar_value *args = item->args;

		item->name = copy_string(item->name);
		item->as = copy_string(item->as);
		item->pool = copy_string(item->pool);
		if (item->nargs > 0) {
			item->args = mem_calloc(item->nargs, sizeof *args);
			memcpy(item->args, args, item->nargs * sizeof *args);
		}
	}
	each_value(g, copy_value, NULL);
	return g;
}

static int
free_value(struct grammar_value *v, bool null, void *context)
{
	(void)null;
	(void)context;
	free(v->text);
	return 0;
}

void
grammar_free(struct grammar *g)
{
	if (g == NULL)
		return;
	each_value(g, free_value, NULL);
	for (unsigned i = 0; i < g->nitems; i++) {
		free(g->items[i].name);
		free(g->items[i].as);
		free(g->items[i].pool);
		free(g->items[i].args);
	}
	free(g->items);
	free(g->name);
	free(g->modes);
	free(g);
}
