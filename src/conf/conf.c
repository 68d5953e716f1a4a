#include "conf/conf.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "conf/allow.h"
#include "conf/option.h"
#include "conf/socket.h"
#include "conf/userlist.h"

/* Frees the values of all options of `base`, which is of the kind that `where` says. */
static void
options_clear(enum option_where where, void *base)
{
	const struct conf_option *table;
	unsigned count;

	table = option_table(&count);
	for (unsigned i = 0; i < count; i++)
		if (table[i].where == where)
			option_clear(&table[i], base);
}

static void
pool_clear(struct conf_pool *pool)
{
	options_clear(OPTION_POOL, pool);
	free(pool->name);
	free(pool->sources);
}

static void
scope_clear(struct conf_scope *scope)
{
	options_clear(OPTION_SCOPE, scope);
	free(scope->name);
	free(scope->sources);
}

static void
cluster_clear(struct conf_cluster *cluster)
{
	options_clear(OPTION_CLUSTER, cluster);
	free(cluster->name);
	free(cluster->sources);
}

static void
limits_clear(struct conf_limits *limits)
{
	options_clear(OPTION_LIMITS, limits);
	free(limits->name);
	free(limits->sources);
}

void
conf_free(struct conf *c)
{
	if (c == NULL || --c->references > 0)
		return;
	options_clear(OPTION_PGWITH, c);
	for (unsigned i = 0; i < c->npools; i++)
		pool_clear(&c->pools[i]);
	pool_clear(&c->defaults);
	for (unsigned i = 0; i < c->nscopes; i++)
		scope_clear(&c->scopes[i]);
	for (unsigned i = 0; i < c->nclusters; i++)
		cluster_clear(&c->clusters[i]);
	for (unsigned i = 0; i < c->nlimits; i++)
		limits_clear(&c->limits[i]);
	for (unsigned i = 0; i < c->nfiles; i++)
		free(c->files[i]);
	userlist_drop(c->userlist);
	free(c->files);
	free(c->pools);
	free(c->scopes);
	free(c->clusters);
	free(c->limits);
	free(c->sources);
	free(c->path);
	free(c);
}

void
conf_problems_clear(struct conf_problems *p)
{
	for (unsigned i = 0; i < p->count; i++) {
		free(p->list[i].file);
		free(p->list[i].text);
	}
	free(p->list);
	*p = (struct conf_problems){NULL, 0};
}

char *
conf_problem_text(const struct conf_problem *p)
{
	return p->line ? mem_printf("%s:%u: %s", p->file, p->line, p->text)
		       : mem_printf("%s: %s", p->file, p->text);
}

void
conf_problem_add(struct conf_problems *p, const struct conf *c, const struct conf_source *from,
		 const char *fmt, ...)
{
	const char *file = from->file ? c->files[from->file - 1]
			   : c->path  ? c->path
				      : CONF_COMMAND_LINE;
	va_list ap;

	if (p->count > CONF_PROBLEMS_MAX)
		return;
	p->list = mem_realloc(p->list, (p->count + 1) * sizeof *p->list);
	va_start(ap, fmt);
	p->list[p->count++] = (struct conf_problem){.file = mem_strdup(file),
						    .order = from->file ? from->file - 1 : 0,
						    .line = from->line,
						    .text = mem_vprintf(fmt, ap)};
	va_end(ap);
}

static void
check_name(const struct conf *c, const char *option, char *(*check)(const char *),
	   const char *value, struct conf_problems *p)
{
	char *why = check(value);

	if (why)
		conf_problem_add(p, c, &c->sources[option_index(option_find(option))], "%s: %s",
				 option, why);
	free(why);
}

void
conf_check_names(const struct conf *c, struct conf_problems *p)
{
	check_name(c, "socket_owner", socket_check_owner, c->socket_owner, p);
	check_name(c, "socket_group", socket_check_group, c->socket_group, p);
}

const struct conf_source *
conf_pool_source(const struct conf_pool *pool, const char *option)
{
	return &pool->sources[option_index(option_find(option))];
}

/* ---- references to a part ---- */

const struct conf_pool *
conf_pool_keep(const struct conf_pool *pool)
{
	if (pool && pool->snapshot)
		pool->snapshot->references++;
	return pool;
}

void
conf_pool_drop(const struct conf_pool *pool)
{
	if (pool)
		conf_free(pool->snapshot);
}

const struct conf_scope *
conf_scope_keep(const struct conf_scope *scope)
{
	if (scope && scope->snapshot)
		scope->snapshot->references++;
	return scope;
}

void
conf_scope_drop(const struct conf_scope *scope)
{
	if (scope)
		conf_free(scope->snapshot);
}

/* ---- looking up ---- */

const struct conf_pool *
conf_pool(const struct conf *c, const char *name)
{
	for (unsigned i = 0; i < c->npools; i++)
		if (strcmp(c->pools[i].name, name) == 0)
			return &c->pools[i];
	return NULL;
}

bool
conf_pool_is_read_only_target(const struct conf *c, const struct conf_pool *pool)
{
	for (unsigned i = 0; i < c->npools; i++)
		if (strcmp(c->pools[i].read_only, pool->name) == 0)
			return true;
	return false;
}

const struct conf_scope *
conf_scope(const struct conf *c, const char *name)
{
	for (unsigned i = 0; i < c->nscopes; i++)
		if (strcmp(c->scopes[i].name, name) == 0)
			return &c->scopes[i];
	return NULL;
}

const struct conf_cluster *
conf_cluster(const struct conf *c, const char *name)
{
	for (unsigned i = 0; i < c->nclusters; i++)
		if (strcmp(c->clusters[i].name, name) == 0)
			return &c->clusters[i];
	return NULL;
}

const struct conf_limits *
conf_limits(const struct conf *c, enum conf_party party, const char *name)
{
	const struct conf_limits *each = NULL;

	for (unsigned i = 0; i < c->nlimits; i++) {
		const struct conf_limits *limits = &c->limits[i];

		if (limits->party == party && strcmp(limits->name, name) == 0)
			return limits;
		if (limits->party == party && strcmp(limits->name, CONF_PARTY_EACH) == 0)
			each = limits;
	}
	return each;
}

const char *
conf_party_name(enum conf_party party)
{
	return party == CONF_PARTY_ROLE ? "role" : "uid";
}

bool
conf_listed(const char *list, const char *role)
{
	return allow_listed(list, role);
}

char *
conf_socket(const struct conf *c)
{
	return socket_path(c->listen, c->port);
}

/* How many options of the table may stand in a section of that kind? */
static unsigned
count_options(enum option_where section)
{
	const struct conf_option *table;
	unsigned count, n = 0;

	table = option_table(&count);
	for (unsigned i = 0; i < count; i++)
		n += option_fits(&table[i], section);
	return n;
}

/* The `i`-th of those, from 0. */
static const struct conf_option *
nth_option(enum option_where section, unsigned i)
{
	const struct conf_option *o;
	unsigned count;

	for (o = option_table(&count); !option_fits(o, section) || i-- > 0;)
		o++;
	return o;
}

/* The sections that have names, in the order of SHOW CONFIG: how many there are of a kind, and
 * which is the i-th. */
struct named {
	const char *word, *name;
	const void *base;
	const struct conf_source *sources;
};

static struct named
nth_pool(const struct conf *c, unsigned i)
{
	return (struct named){"pool", c->pools[i].name, &c->pools[i], c->pools[i].sources};
}

static struct named
nth_scope(const struct conf *c, unsigned i)
{
	return (struct named){"scope", c->scopes[i].name, &c->scopes[i], c->scopes[i].sources};
}

static struct named
nth_cluster(const struct conf *c, unsigned i)
{
	return (struct named){"cluster", c->clusters[i].name, &c->clusters[i],
			      c->clusters[i].sources};
}

static struct named
nth_limits(const struct conf *c, unsigned i)
{
	const struct conf_limits *limits = &c->limits[i];

	return (struct named){conf_party_name(limits->party), limits->name, limits,
			      limits->sources};
}

static const struct {
	enum option_where where;
	size_t count; /* offset of the number of such sections in struct conf */
	struct named (*nth)(const struct conf *, unsigned i);
} named_kinds[] = {
    {OPTION_POOL, offsetof(struct conf, npools), nth_pool},
    {OPTION_SCOPE, offsetof(struct conf, nscopes), nth_scope},
    {OPTION_CLUSTER, offsetof(struct conf, nclusters), nth_cluster},
    {OPTION_LIMITS, offsetof(struct conf, nlimits), nth_limits},
};
#define NAMED_KINDS (sizeof named_kinds / sizeof *named_kinds)

static unsigned
sections_of(const struct conf *c, unsigned k)
{
	return *(const unsigned *)((const char *)c + named_kinds[k].count);
}

unsigned
conf_entries(const struct conf *c)
{
	unsigned count = count_options(OPTION_PGWITH);

	for (unsigned k = 0; k < NAMED_KINDS; k++)
		count += sections_of(c, k) * count_options(named_kinds[k].where);
	return count;
}

/* Finds the section that the `i`-th entry behind those of [pgwith] is of, and its option. */
static const struct conf_option *
named_entry(const struct conf *c, unsigned i, struct named *of)
{
	unsigned k = 0, own = count_options(named_kinds[0].where);

	while (i >= sections_of(c, k) * own) {
		i -= sections_of(c, k) * own;
		own = count_options(named_kinds[++k].where);
	}
	*of = named_kinds[k].nth(c, i / own);
	return nth_option(named_kinds[k].where, i % own);
}

void
conf_entry(const struct conf *c, unsigned i, struct conf_entry *e)
{
	unsigned common = count_options(OPTION_PGWITH);
	struct named of = {"pgwith", NULL, c, c->sources};
	const struct conf_option *o;
	const struct conf_source *from;

	if (i < common) {
		o = nth_option(OPTION_PGWITH, i);
		if (o->where == OPTION_POOL)
			of.base = &c->defaults;
		e->section = mem_strdup(of.word);
	} else {
		o = named_entry(c, i - common, &of);
		e->section = mem_printf("%s %s", of.word, of.name);
	}
	e->name = o->name;
	e->value = option_text(o, of.base);
	e->default_text = o->default_text;
	from = &of.sources[option_index(o)];
	e->source = from->file == 0   ? mem_strdup("default")
		    : from->line == 0 ? mem_strdup(c->files[from->file - 1])
				      : mem_printf("%s:%u", c->files[from->file - 1], from->line);
	e->changeable = o->reloadable;
	e->help = o->help;
}

void
conf_entry_clear(struct conf_entry *e)
{
	free(e->section);
	free(e->value);
	free(e->source);
	*e = (struct conf_entry){NULL};
}

const char *
conf_mode_name(enum conf_mode mode)
{
	static const char *const names[] = {"transaction", "session", "statement"};

	return names[mode];
}
