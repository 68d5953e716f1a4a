#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "conf/load.h"
#include "conf/socket.h"

/* False if it was refused, which has been reported. */
static bool
set(struct loading *l, const struct setting *s, void *base, unsigned *lines)
{
	unsigned row = 0;
	char *why;

	/* Also when it is refused: an option that is wrong is not missing. */
	lines[option_index(s->option)] = s->line;
	if (option_set(s->option, base, s->value, &why, &row) == 0)
		return true;
	if (s->option->type == OPTION_STATEMENTS)
		load_problem(l, s->line + row, "%s: %s", s->option->name, why);
	else if (s->last_line > s->line)
		load_problem(l, s->line, "%s: %s (its indented lines, to line %u, continue it)",
			     s->option->name, why, s->last_line);
	else
		load_problem(l, s->line, "%s: %s", s->option->name, why);
	free(why);
	return false;
}

/* Sets what stands in [pgwith]. */
static void
set_common(struct loading *l, struct conf *c)
{
	for (unsigned i = 0; i < l->nsettings; i++) {
		const struct setting *s = &l->settings[i];

		if (l->sections[s->section].kind == SECTION_PGWITH)
			set(l, s, s->option->where == OPTION_POOL ? (void *)&c->defaults : c,
			    c->lines);
	}
}

/* Sets what stands in the section of a pool or scope. False if any of it was refused. */
static bool
set_own(struct loading *l, unsigned section, void *base, unsigned *lines)
{
	bool good = true;

	for (unsigned i = 0; i < l->nsettings; i++)
		if (l->settings[i].section == section)
			good &= set(l, &l->settings[i], base, lines);
	return good;
}

/* Has a problem of that line been reported? */
static bool
is_reported(const struct loading *l, unsigned line)
{
	for (unsigned i = 0; i < l->problems->count; i++)
		if (l->problems->list[i].line == line)
			return true;
	return false;
}

/* What only shows when a pool is complete. */
static void
check_pool(struct loading *l, const struct conf_pool *pool, unsigned line)
{
	unsigned min_line = pool->lines[option_index(option_find("min_size"))];
	unsigned size_line = pool->lines[option_index(option_find("size"))];
	unsigned last = min_line > size_line ? min_line : size_line;

	if (pool->conninfo == NULL && !pool->lines[option_index(option_find("conninfo"))])
		load_problem(l, line, "pool \"%s\" has no conninfo", pool->name);
	/* Where a number was refused, the default that stands in for it proves nothing. */
	if (pool->min_size <= pool->size || (min_line && is_reported(l, min_line)) ||
	    (size_line && is_reported(l, size_line)))
		return;
	/* At the line of the pool itself if there is one, else where the pool begins. */
	load_problem(l, last > line ? last : line,
		     "pool \"%s\": min_size (%lld) is larger than size (%lld)", pool->name,
		     (long long)pool->min_size, (long long)pool->size);
}

static void
add_pool(struct loading *l, struct conf *c, unsigned section)
{
	const struct conf_option *table;
	struct conf_pool *pool = &c->pools[c->npools++];
	unsigned count;

	table = option_table(&count);
	pool->name = mem_strdup(l->sections[section].name);
	pool->lines = mem_calloc(count, sizeof *pool->lines);
	for (unsigned i = 0; i < count; i++) {
		if (table[i].where != OPTION_POOL)
			continue;
		option_copy(&table[i], pool, &c->defaults);
		pool->lines[i] = c->lines[i];
	}
	set_own(l, section, pool, pool->lines);
	check_pool(l, pool, l->sections[section].line);
}

/* The pool that a scope names. */
static void
check_scope_pool(struct loading *l, const struct conf *c, const struct conf_scope *scope)
{
	unsigned line = scope->lines[option_index(option_find("pool"))];
	const char **names, *nearest;
	char *quoted;

	/* It may be one that could not be understood. */
	if (*scope->pool == '\0' || conf_pool(c, scope->pool) || l->lost)
		return;
	names = mem_calloc(c->npools + 1, sizeof *names);
	for (unsigned i = 0; i < c->npools; i++)
		names[i] = c->pools[i].name;
	nearest = option_nearest_of(scope->pool, names, c->npools);
	quoted = option_quote(scope->pool);
	load_problem(l, line, "pool: there is no pool %s%s%s%s", quoted,
		     nearest ? "; did you mean \"" : "", nearest ? nearest : "",
		     nearest ? "\"?" : "");
	free(quoted);
	free(names);
}

static unsigned
highest_arg(uint64_t args)
{
	unsigned n = 0;

	for (; args; args >>= 1)
		n++;
	return n;
}

/* Counts the arguments: every one up to the highest must be used. */
static void
count_args(struct loading *l, struct conf_scope *scope)
{
	const struct conf_option *table, *last = NULL;
	uint64_t used = 0;
	unsigned count, missing = 1;

	table = option_table(&count);
	for (unsigned i = 0; i < count; i++) {
		const struct conf_statements *s = NULL;

		if (table[i].where == OPTION_SCOPE)
			s = option_statements(&table[i], scope);
		for (unsigned k = 0; s && k < s->count; k++) {
			used |= s->list[k].args;
			if (highest_arg(used) > scope->nargs) {
				scope->nargs = highest_arg(used);
				last = &table[i];
			}
		}
	}
	while (missing < scope->nargs && used >> (missing - 1) & 1)
		missing++;
	if (missing < scope->nargs)
		load_problem(l, scope->lines[option_index(last)],
			     "%s: $%u is used, but $%u nowhere in scope \"%s\"", last->name,
			     scope->nargs, missing, scope->name);
}

static void
add_scope(struct loading *l, struct conf *c, unsigned section)
{
	const struct conf_option *table;
	struct conf_scope *scope = &c->scopes[c->nscopes++];
	unsigned count;
	bool good;

	table = option_table(&count);
	scope->name = mem_strdup(l->sections[section].name);
	scope->lines = mem_calloc(count, sizeof *scope->lines);
	for (unsigned i = 0; i < count; i++)
		if (table[i].where == OPTION_SCOPE)
			option_set_default(&table[i], scope);
	good = set_own(l, section, scope, scope->lines);
	check_scope_pool(l, c, scope);
	/* What was refused may use the arguments that are missing. */
	if (good)
		count_args(l, scope);
}

static void
check_socket(struct loading *l, const struct conf *c)
{
	unsigned line = c->lines[option_index(option_find("listen"))];
	char *path = conf_socket(c), *why = socket_check_directory(c->listen);

	/* A directory that is wrong with any port has been reported. */
	if (why == NULL && strlen(path) > SOCKET_PATH_MAX)
		load_problem(l, line,
			     "listen: too long: the path of the socket has %zu bytes; the system's "
			     "maximum is %d",
			     strlen(path), SOCKET_PATH_MAX);
	free(why);
	free(path);
}

struct conf *
load_snapshot(struct loading *l)
{
	const struct conf_option *table;
	struct conf *c = mem_calloc(1, sizeof *c);
	unsigned count;

	table = option_table(&count);
	c->path = mem_strdup(l->path);
	c->lines = mem_calloc(count, sizeof *c->lines);
	for (unsigned i = 0; i < count; i++)
		if (table[i].where != OPTION_SCOPE)
			option_set_default(
			    &table[i], table[i].where == OPTION_POOL ? (void *)&c->defaults : c);
	set_common(l, c);
	check_socket(l, c);
	c->pools = mem_calloc(l->nsections, sizeof *c->pools);
	for (unsigned i = 0; i < l->nsections; i++)
		if (l->sections[i].kind == SECTION_POOL)
			add_pool(l, c, i);
	c->scopes = mem_calloc(l->nsections, sizeof *c->scopes);
	for (unsigned i = 0; i < l->nsections; i++)
		if (l->sections[i].kind == SECTION_SCOPE)
			add_scope(l, c, i);
	if (c->npools == 0 && !l->lost)
		load_problem(l, 0, "no pool: expected at least one section [pool NAME]");
	return c;
}
