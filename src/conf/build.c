#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "conf/load.h"
#include "conf/socket.h"

static void
set(struct loading *l, const struct setting *s, void *base, unsigned *lines)
{
	char *why;

	/* Also when it is refused: an option that is wrong is not missing. */
	lines[option_index(s->option)] = s->line;
	if (option_set(s->option, base, s->value, &why) == 0)
		return;
	if (s->last_line > s->line)
		load_problem(l, s->line, "%s: %s (its indented lines, to line %u, continue it)",
			     s->option->name, why, s->last_line);
	else
		load_problem(l, s->line, "%s: %s", s->option->name, why);
	free(why);
}

static void
set_all(struct loading *l, enum section_kind kind, unsigned section, struct conf *c,
	struct conf_pool *pool)
{
	for (unsigned i = 0; i < l->nsettings; i++) {
		const struct setting *s = &l->settings[i];

		if (kind == SECTION_PGWITH && l->sections[s->section].kind == kind)
			set(l, s, s->option->where == OPTION_POOL ? (void *)pool : c, c->lines);
		else if (kind == SECTION_POOL && s->section == section)
			set(l, s, pool, pool->lines);
	}
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
check_pool(struct loading *l, const struct conf *c, const struct conf_pool *pool, unsigned line)
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
	pool->name = mem_strdup(l->sections[section].pool);
	pool->lines = mem_calloc(count, sizeof *pool->lines);
	for (unsigned i = 0; i < count; i++) {
		if (table[i].where != OPTION_POOL)
			continue;
		option_copy(&table[i], pool, &c->defaults);
		pool->lines[i] = c->lines[i];
	}
	set_all(l, SECTION_POOL, section, c, pool);
	check_pool(l, c, pool, l->sections[section].line);
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
		option_set_default(&table[i],
				   table[i].where == OPTION_POOL ? (void *)&c->defaults : c);
	set_all(l, SECTION_PGWITH, 0, c, &c->defaults);
	check_socket(l, c);
	c->pools = mem_calloc(l->nsections, sizeof *c->pools);
	for (unsigned i = 0; i < l->nsections; i++)
		if (l->sections[i].kind == SECTION_POOL)
			add_pool(l, c, i);
	if (c->npools == 0 && !l->lost)
		load_problem(l, 0, "no pool: expected at least one section [pool NAME]");
	return c;
}
