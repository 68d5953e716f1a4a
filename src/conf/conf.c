#include "conf/conf.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "conf/allow.h"
#include "conf/option.h"
#include "conf/socket.h"

static void
pool_clear(struct conf_pool *pool)
{
	const struct conf_option *table;
	unsigned count;

	table = option_table(&count);
	for (unsigned i = 0; i < count; i++)
		if (table[i].where == OPTION_POOL)
			option_clear(&table[i], pool);
	free(pool->name);
	free(pool->lines);
}

void
conf_free(struct conf *c)
{
	const struct conf_option *table;
	unsigned count;

	if (c == NULL)
		return;
	table = option_table(&count);
	for (unsigned i = 0; i < count; i++)
		if (table[i].where == OPTION_PGWITH)
			option_clear(&table[i], c);
	for (unsigned i = 0; i < c->npools; i++)
		pool_clear(&c->pools[i]);
	pool_clear(&c->defaults);
	free(c->pools);
	free(c->lines);
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

/* ---- questions ------------------------------------------------------------------------------- */

const struct conf_pool *
conf_pool(const struct conf *c, const char *name)
{
	for (unsigned i = 0; i < c->npools; i++)
		if (strcmp(c->pools[i].name, name) == 0)
			return &c->pools[i];
	return NULL;
}

bool
conf_allows(const struct conf *c, uid_t uid, const char *user, uid_t self, const char *role)
{
	if (uid == 0 || uid == self)
		return true;
	if (*user && strcmp(user, role) == 0)
		return true;
	return allow_matches(c->allow, uid, user, role);
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

/* Options of the table that are a pool's. */
static unsigned
pool_options(void)
{
	const struct conf_option *table;
	unsigned count, n = 0;

	table = option_table(&count);
	for (unsigned i = 0; i < count; i++)
		n += table[i].where == OPTION_POOL;
	return n;
}

unsigned
conf_entries(const struct conf *c)
{
	unsigned count;

	option_table(&count);
	return count + c->npools * pool_options();
}

void
conf_entry(const struct conf *c, unsigned i, struct conf_entry *e)
{
	const struct conf_option *table, *o;
	const struct conf_pool *pool = &c->defaults;
	const unsigned *lines = c->lines;
	unsigned count, line;

	table = option_table(&count);
	if (i < count) {
		o = &table[i];
		e->section = mem_strdup("pgwith");
	} else {
		pool = &c->pools[(i - count) / pool_options()];
		lines = pool->lines;
		i = (i - count) % pool_options();
		for (o = table; o->where != OPTION_POOL || i-- > 0;)
			o++;
		e->section = mem_printf("pool %s", pool->name);
	}
	line = lines[option_index(o)];
	e->name = o->name;
	e->value = option_text(o, o->where == OPTION_POOL ? (const void *)pool : c);
	e->default_text = o->default_text;
	e->source = line ? mem_printf("%s:%u", c->path, line) : mem_strdup("default");
	e->changeable = false;
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
