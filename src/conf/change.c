/* change: how one snapshot follows another: SET changes a copy of it, and a reload takes over from
 * it what only a restart may change. The functions are in conf.h. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/words.h"
#include "conf/build.h"
#include "conf/quote.h"

#define SET_BY "SET by "

/* ---- a copy ---------------------------------------------------------------------------------- */

static void
copy_options(enum option_where where, void *to, const void *from)
{
	const struct conf_option *table;
	unsigned count;

	table = option_table(&count);
	for (unsigned i = 0; i < count; i++)
		if (table[i].where == where)
			option_copy(&table[i], to, from);
}

static struct conf_source *
copy_sources(const struct conf_source *from)
{
	struct conf_source *to;
	unsigned count;

	option_table(&count);
	to = mem_calloc(count, sizeof *to);
	memcpy(to, from, count * sizeof *to);
	return to;
}

/* The place of a file's name, or of "SET by ROLE", in c->files, from 1; added if it is new. */
static unsigned
file_number(struct conf *c, const char *name)
{
	for (unsigned i = 0; i < c->nfiles; i++)
		if (strcmp(c->files[i], name) == 0)
			return i + 1;
	c->files = mem_realloc(c->files, (c->nfiles + 1) * sizeof *c->files);
	c->files[c->nfiles++] = mem_strdup(name);
	return c->nfiles;
}

static struct conf *
copy_snapshot(const struct conf *from)
{
	struct conf *c = mem_calloc(1, sizeof *c);

	c->references = 1;
	c->path = mem_strdup(from->path);
	for (unsigned i = 0; i < from->nfiles; i++)
		file_number(c, from->files[i]);
	c->sources = copy_sources(from->sources);
	copy_options(OPTION_PGWITH, c, from);
	copy_options(OPTION_POOL, &c->defaults, &from->defaults);
	c->pools = mem_calloc(from->npools + 1, sizeof *c->pools);
	for (; c->npools < from->npools; c->npools++) {
		struct conf_pool *to = &c->pools[c->npools];

		to->snapshot = c;
		to->name = mem_strdup(from->pools[c->npools].name);
		to->sources = copy_sources(from->pools[c->npools].sources);
		copy_options(OPTION_POOL, to, &from->pools[c->npools]);
	}
	c->scopes = mem_calloc(from->nscopes + 1, sizeof *c->scopes);
	for (; c->nscopes < from->nscopes; c->nscopes++) {
		struct conf_scope *to = &c->scopes[c->nscopes];

		to->snapshot = c;
		to->name = mem_strdup(from->scopes[c->nscopes].name);
		to->sources = copy_sources(from->scopes[c->nscopes].sources);
		to->nargs = from->scopes[c->nscopes].nargs;
		copy_options(OPTION_SCOPE, to, &from->scopes[c->nscopes]);
	}
	return c;
}

/* ---- SET ------------------------------------------------------------------------------------- */

/* The section that SET changes; `pool` and `scope` are NULL if it is [pgwith]. */
struct target {
	enum option_where section;
	struct conf_pool *pool;
	struct conf_scope *scope;
};

static char *
nearest_hint(const char *nearest)
{
	return nearest ? mem_printf("did you mean \"%s\"?", nearest) : NULL;
}

/* Returns false, with *why, if there is no such section. */
static bool
find_target(struct conf *c, const struct conf_change *change, struct target *t, char **why,
	    char **hint)
{
	const char *wanted = change->pool ? change->pool : change->scope;
	unsigned count = change->pool ? c->npools : c->nscopes;
	const char **names;
	char *quoted;

	*t = (struct target){.section = OPTION_PGWITH};
	if (change->pool) {
		t->section = OPTION_POOL;
		t->pool = (struct conf_pool *)conf_pool(c, change->pool);
	} else if (change->scope) {
		t->section = OPTION_SCOPE;
		t->scope = (struct conf_scope *)conf_scope(c, change->scope);
	}
	if (wanted == NULL || t->pool || t->scope)
		return true;
	names = mem_calloc(count + 1, sizeof *names);
	for (unsigned i = 0; i < count; i++)
		names[i] = change->pool ? c->pools[i].name : c->scopes[i].name;
	quoted = quote_text(wanted);
	*why = mem_printf("there is no %s %s", change->pool ? "pool" : "scope", quoted);
	*hint = nearest_hint(words_nearest(wanted, names, count));
	free(quoted);
	free(names);
	return false;
}

static const struct conf_option *
find_option(const struct conf_change *change, enum option_where section, char **why, char **hint)
{
	const struct conf_option *o = option_find(change->option);
	char *quoted = quote_text(change->option);

	if (o == NULL) {
		*why = mem_printf("unknown option %s", quoted);
		*hint = nearest_hint(option_nearest(change->option, section));
	} else if (!option_fits(o, section)) {
		*why = mem_printf("option %s is not one of %s", o->name,
				  section == OPTION_PGWITH ? "[pgwith]"
				  : section == OPTION_POOL ? "a pool"
							   : "a scope");
		*hint = mem_printf("SET %s = VALUE%s", o->name,
				   o->where == OPTION_POOL    ? " FOR POOL NAME"
				   : o->where == OPTION_SCOPE ? " FOR SCOPE NAME"
							      : "");
		o = NULL;
	} else if (!o->reloadable) {
		*why = mem_printf("option %s cannot be changed without a restart", o->name);
		o = NULL;
	} else if (o->repeats) {
		*why = mem_printf("option %s can only stand in the file", o->name);
		*hint = mem_strdup("change the file, then RELOAD");
		o = NULL;
	}
	free(quoted);
	return o;
}

/* Checks all pools and scopes after the change. Returns NULL, or the first problem. */
static char *
check_whole(struct conf *c)
{
	struct conf_problems problems = {NULL, 0};
	struct loading l = {.files = c->files, .nfiles = c->nfiles, .problems = &problems};
	char *why = NULL;

	for (unsigned i = 0; i < c->npools; i++)
		build_check_pool(&l, &c->pools[i], (struct place){0, 0});
	for (unsigned i = 0; i < c->npools; i++)
		build_check_read_only(&l, c, &c->pools[i]);
	for (unsigned i = 0; i < c->nscopes; i++)
		build_check_scope(&l, c, &c->scopes[i]);
	if (problems.count > 0)
		why = mem_strdup(problems.list[0].text);
	conf_problems_clear(&problems);
	return why;
}

static void
set_source(struct conf_source *sources, const struct conf_option *o, unsigned file, bool inherited)
{
	sources[option_index(o)] = (struct conf_source){file, 0, inherited};
}

/* Stores the value, and, if it is a default for all pools, in each pool that has no own one.
 * Returns NULL, or what is wrong with the value. */
static char *
change_value(struct conf *c, const struct conf_option *o, const struct target *t, const char *value,
	     unsigned file)
{
	void *base = t->pool                   ? (void *)t->pool
		     : t->scope                ? (void *)t->scope
		     : o->where == OPTION_POOL ? (void *)&c->defaults
					       : (void *)c;
	char *why;

	if (option_set(o, base, value, &why, NULL) < 0)
		return why;
	set_source(t->pool    ? t->pool->sources
		   : t->scope ? t->scope->sources
			      : c->sources,
		   o, file, false);
	for (unsigned i = 0; base == &c->defaults && i < c->npools; i++) {
		struct conf_pool *pool = &c->pools[i];

		if (!pool->sources[option_index(o)].inherited)
			continue;
		option_copy(o, pool, &c->defaults);
		set_source(pool->sources, o, file, true);
	}
	return NULL;
}

struct conf *
conf_changed(const struct conf *old, const struct conf_change *change, char **why, char **hint)
{
	struct conf *c = copy_snapshot(old);
	const struct conf_option *o = NULL;
	char *by = mem_printf(SET_BY "%s", change->role);
	struct target t;

	*why = *hint = NULL;
	if (find_target(c, change, &t, why, hint))
		o = find_option(change, t.section, why, hint);
	if (o) {
		char *wrong = change_value(c, o, &t, change->value, file_number(c, by));

		if (wrong)
			*why = mem_printf("%s: %s", o->name, wrong);
		else
			*why = check_whole(c);
		free(wrong);
	}
	free(by);
	if (*why) {
		conf_free(c);
		return NULL;
	}
	return c;
}

/* ---- a reload -------------------------------------------------------------------------------- */

struct comparing {
	struct conf *next;
	const struct conf *running;
	conf_tell *tell;
	void *arg;
};

/* Tells the differences of one section, and takes over what only a restart may change. `next` and
 * `running` are what the options' offsets are of: a conf, conf_pool or conf_scope. */
static void
compare_section(const struct comparing *c, enum option_where where, const char *section, void *next,
		struct conf_source *next_sources, const void *running,
		const struct conf_source *running_sources)
{
	const struct conf_option *table;
	unsigned count;

	table = option_table(&count);
	for (unsigned i = 0; i < count; i++) {
		const struct conf_option *o = &table[i];
		struct conf_source from = running_sources[i];
		char *was, *is;

		if (o->where != where || option_same(o, next, running))
			continue;
		was = o->type == OPTION_STATEMENTS ? NULL : option_text(o, running);
		is = o->type == OPTION_STATEMENTS ? NULL : option_text(o, next);
		c->tell(c->arg,
			&(struct conf_difference){section, o->name, was, is, !o->reloadable});
		free(was);
		free(is);
		if (o->reloadable)
			continue;
		option_copy(o, next, running);
		if (from.file)
			from.file = file_number(c->next, c->running->files[from.file - 1]);
		next_sources[i] = from;
	}
}

static void
compare_pool(const struct comparing *c, const struct conf_pool *running)
{
	struct conf_pool *next = (struct conf_pool *)conf_pool(c->next, running->name);
	char *section;

	if (next == NULL)
		return;
	section = mem_printf("pool %s", running->name);
	compare_section(c, OPTION_POOL, section, next, next->sources, running, running->sources);
	free(section);
}

void
conf_take_pool(struct conf *next, const struct conf_pool *running, conf_tell *tell, void *arg)
{
	struct comparing c = {next, running->snapshot, tell, arg};

	compare_pool(&c, running);
}

void
conf_take_over(struct conf *next, const struct conf *running, conf_tell *tell, void *arg)
{
	struct comparing c = {next, running, tell, arg};

	compare_section(&c, OPTION_PGWITH, "pgwith", next, next->sources, running,
			running->sources);
	for (unsigned i = 0; i < running->nscopes; i++) {
		const struct conf_scope *was = &running->scopes[i];
		struct conf_scope *is = (struct conf_scope *)conf_scope(next, was->name);
		char *section;

		if (is == NULL)
			continue;
		section = mem_printf("scope %s", was->name);
		compare_section(&c, OPTION_SCOPE, section, is, is->sources, was, was->sources);
		free(section);
	}
}
