#include "conf/build.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/words.h"
#include "conf/quote.h"
#include "conf/socket.h"

/* Stores one option. False if its value is wrong, which is reported here. */
static bool
set_option(struct loading *l, const struct setting *s, void *base, struct conf_source *sources)
{
	struct place place = s->place;
	unsigned row = 0;
	char *why;

	/* Noted even if the value is wrong, so that the option is not also reported as missing. */
	sources[option_index(s->option)] = (struct conf_source){place.file + 1, place.line, false};
	if (option_set(s->option, base, s->value, &why, &row) == 0)
		return true;
	if (s->option->type == OPTION_STATEMENTS) {
		place.line += row;
		loading_problem(l, place, "%s: %s", s->option->name, why);
	} else if (s->last_line > place.line) {
		loading_problem(l, place, "%s: %s (its indented lines, to line %u, continue it)",
				s->option->name, why, s->last_line);
	} else {
		loading_problem(l, place, "%s: %s", s->option->name, why);
	}
	free(why);
	return false;
}

/* Stores the options in [pgwith]. */
static void
set_common(struct loading *l, struct conf *c)
{
	for (unsigned i = 0; i < l->nsettings; i++) {
		const struct setting *s = &l->settings[i];

		if (l->sections[s->section].kind == SECTION_PGWITH)
			set_option(l, s, s->option->where == OPTION_POOL ? (void *)&c->defaults : c,
				   c->sources);
	}
}

/* Stores the options in the section of a pool or scope. False if any value is wrong. */
static bool
set_own(struct loading *l, unsigned section, void *base, struct conf_source *sources)
{
	bool good = true;

	for (unsigned i = 0; i < l->nsettings; i++)
		if (l->settings[i].section == section)
			good &= set_option(l, &l->settings[i], base, sources);
	return good;
}

/* Has a problem been reported in the line that sets the option? */
static bool
is_reported(const struct loading *l, const struct conf_source *from)
{
	for (unsigned i = 0; i < l->problems->count; i++)
		if (from->line && l->problems->list[i].line == from->line &&
		    l->problems->list[i].order == from->file - 1)
			return true;
	return false;
}

/* The line that sets an option, if it is behind `place` in the same file, else `place`. */
static struct place
later(struct place place, const struct conf_source *from)
{
	if (from->file == place.file + 1 && from->line > place.line)
		place.line = from->line;
	return place;
}

void
build_check_pool(struct loading *l, const struct conf_pool *pool, struct place place)
{
	const struct conf_source *conninfo = &pool->sources[option_index(option_find("conninfo"))],
				 *min = &pool->sources[option_index(option_find("min_size"))],
				 *size = &pool->sources[option_index(option_find("size"))];

	if (pool->conninfo == NULL && conninfo->file == 0)
		loading_problem(l, place,
				"pool \"%s\" has no conninfo: expected one, like conninfo = "
				"host=/run/postgresql dbname=app user=app",
				pool->name);
	/* If one of the numbers was refused, its default was compared here: that means nothing. */
	if (pool->min_size <= pool->size || is_reported(l, min) || is_reported(l, size))
		return;
	/* Reported at the line in the pool's section that sets one of them, else at its first. */
	loading_problem(
	    l, later(later(place, min), size),
	    "pool \"%s\": min_size (%lld) is larger than size (%lld): raise size, or lower "
	    "min_size",
	    pool->name, (long long)pool->min_size, (long long)pool->size);
}

static void
add_pool(struct loading *l, struct conf *c, unsigned section)
{
	const struct conf_option *table;
	struct conf_pool *pool = &c->pools[c->npools++];
	unsigned count;

	table = option_table(&count);
	pool->snapshot = c;
	pool->name = mem_strdup(l->sections[section].name);
	pool->sources = mem_calloc(count, sizeof *pool->sources);
	for (unsigned i = 0; i < count; i++) {
		if (table[i].where != OPTION_POOL)
			continue;
		option_copy(&table[i], pool, &c->defaults);
		pool->sources[i] = c->sources[i];
		pool->sources[i].inherited = true;
	}
	set_own(l, section, pool, pool->sources);
	build_check_pool(l, pool, l->sections[section].place);
}

/* The line that sets an option of a scope. */
static struct place
option_place(const struct conf_scope *scope, const struct conf_option *o)
{
	const struct conf_source *from = &scope->sources[option_index(o)];

	return (struct place){from->file ? from->file - 1 : 0, from->line};
}

/* Is there the pool that the option at `place` names? */
static bool
check_pool_name(struct loading *l, const struct conf *c, struct place place, const char *option,
		const char *name)
{
	const char **names, *nearest;
	char *quoted;

	/* If a section could not be understood, it may be that pool. */
	if (conf_pool(c, name) || l->lost)
		return true;
	names = mem_calloc(c->npools + 1, sizeof *names);
	for (unsigned i = 0; i < c->npools; i++)
		names[i] = c->pools[i].name;
	nearest = words_nearest(name, names, c->npools);
	quoted = quote_text(name);
	loading_problem(l, place, "%s: there is no pool %s%s%s%s", option, quoted,
			nearest ? "; did you mean \"" : "", nearest ? nearest : "",
			nearest ? "\"?" : "");
	free(quoted);
	free(names);
	return false;
}

static void
check_scope_pool(struct loading *l, const struct conf *c, const struct conf_scope *scope)
{
	if (*scope->pool)
		check_pool_name(l, c, option_place(scope, option_find("pool")), "pool",
				scope->pool);
}

void
build_check_read_only(struct loading *l, const struct conf *c, const struct conf_pool *pool)
{
	const struct conf_source *from = &pool->sources[option_index(option_find("read_only"))];
	struct place place = {from->file ? from->file - 1 : 0, from->line};
	const struct conf_pool *to = pool;

	if (*pool->read_only == '\0' || !check_pool_name(l, c, place, "read_only", pool->read_only))
		return;
	if (pool->mode == CONF_SESSION)
		loading_problem(
		    l, place,
		    "read_only: pool \"%s\" has mode = session, in which a session keeps "
		    "one server: expected mode = transaction or statement",
		    pool->name);
	for (unsigned i = 0; i <= c->npools && to && *to->read_only; i++) {
		to = conf_pool(c, to->read_only);
		if (to != pool)
			continue;
		loading_problem(l, place,
				i == 0
				    ? "read_only: pool \"%s\" names itself: expected another pool"
				    : "read_only: pool \"%s\" comes back to itself by the "
				      "read_only of the pool that it names",
				pool->name);
		return;
	}
}

static unsigned
highest_arg(uint64_t args)
{
	unsigned n = 0;

	for (; args; args >>= 1)
		n++;
	return n;
}

/* Counts the arguments ($1 ...) of all statements. Every one up to the highest must be used. */
static void
count_args(struct loading *l, struct conf_scope *scope)
{
	const struct conf_option *table, *last = NULL;
	uint64_t used = 0;
	unsigned count, missing = 1;

	table = option_table(&count);
	scope->nargs = 0;
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
		loading_problem(l, option_place(scope, last),
				"%s: $%u is used, but $%u nowhere in scope \"%s\"", last->name,
				scope->nargs, missing, scope->name);
}

void
build_check_scope(struct loading *l, const struct conf *c, struct conf_scope *scope)
{
	check_scope_pool(l, c, scope);
	count_args(l, scope);
}

static void
add_scope(struct loading *l, struct conf *c, unsigned section)
{
	const struct conf_option *table;
	struct conf_scope *scope = &c->scopes[c->nscopes++];
	unsigned count;
	bool good;

	table = option_table(&count);
	scope->snapshot = c;
	scope->name = mem_strdup(l->sections[section].name);
	scope->sources = mem_calloc(count, sizeof *scope->sources);
	for (unsigned i = 0; i < count; i++)
		if (table[i].where == OPTION_SCOPE)
			option_set_default(&table[i], scope);
	good = set_own(l, section, scope, scope->sources);
	/* Arguments that seem to be missing may stand in statements that were refused. */
	if (good)
		build_check_scope(l, c, scope);
	else
		check_scope_pool(l, c, scope);
}

static void
check_socket(struct loading *l, const struct conf *c)
{
	const struct conf_source *from = &c->sources[option_index(option_find("listen"))];
	struct place place = {from->file ? from->file - 1 : 0, from->line};
	char *path = conf_socket(c), *why = socket_check_directory(c->listen);

	/* If the directory alone is wrong, that has been reported. */
	if (why == NULL && strlen(path) > SOCKET_PATH_MAX)
		loading_problem(
		    l, place,
		    "listen: too long: the path of the socket has %zu bytes; the system's "
		    "maximum is %d",
		    strlen(path), SOCKET_PATH_MAX);
	free(why);
	free(path);
}

/* Stores the patterns of included files as the value of the option include, for SHOW CONFIG. */
static void
note_inclusions(struct loading *l, struct conf *c)
{
	for (unsigned i = 0; i < l->ninclusions; i++) {
		char *all =
		    mem_printf("%s%s%s", c->include, i ? ", " : "", l->inclusions[i].pattern);

		free(c->include);
		c->include = all;
	}
	if (l->ninclusions > 0)
		c->sources[option_index(option_find("include"))] =
		    (struct conf_source){1, l->inclusions[0].place.line, false};
}

struct conf *
build_snapshot(struct loading *l)
{
	const struct conf_option *table;
	struct conf *c = mem_calloc(1, sizeof *c);
	unsigned count;

	table = option_table(&count);
	c->references = 1;
	c->path = mem_strdup(l->files[0]);
	c->nfiles = l->nfiles;
	c->files = mem_calloc(l->nfiles, sizeof *c->files);
	for (unsigned i = 0; i < l->nfiles; i++)
		c->files[i] = mem_strdup(l->files[i]);
	c->sources = mem_calloc(count, sizeof *c->sources);
	for (unsigned i = 0; i < count; i++)
		if (table[i].where != OPTION_SCOPE)
			option_set_default(
			    &table[i], table[i].where == OPTION_POOL ? (void *)&c->defaults : c);
	set_common(l, c);
	note_inclusions(l, c);
	check_socket(l, c);
	c->pools = mem_calloc(l->nsections, sizeof *c->pools);
	for (unsigned i = 0; i < l->nsections; i++)
		if (l->sections[i].kind == SECTION_POOL)
			add_pool(l, c, i);
	c->scopes = mem_calloc(l->nsections, sizeof *c->scopes);
	for (unsigned i = 0; i < l->nsections; i++)
		if (l->sections[i].kind == SECTION_SCOPE)
			add_scope(l, c, i);
	for (unsigned i = 0; i < c->npools; i++)
		build_check_read_only(l, c, &c->pools[i]);
	if (c->npools == 0 && !l->lost)
		loading_problem(l, (struct place){0, 0},
				"no pool: expected at least one section [pool NAME]");
	return c;
}
