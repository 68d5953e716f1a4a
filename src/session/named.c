#include "session/named.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/pack.h"
#include "scope/handover.h"

static struct scope_named *
by_name(const struct list *l, const char *name)
{
	struct list_node *n;

	LIST_EACH (n, l)
		if (strcmp(LIST_OBJ(n, struct scope_named, node)->name, name) == 0)
			return LIST_OBJ(n, struct scope_named, node);
	return NULL;
}

void
named_drop(struct list *l, struct scope_named *named)
{
	list_remove(l, &named->node);
	free(named->name);
	free(named->types);
	grammar_free(named->statement);
	free(named);
}

static void
drop_name(struct list *l, const char *name)
{
	struct scope_named *named = by_name(l, name);

	if (named)
		named_drop(l, named);
}

static void
drop_all(struct list *l)
{
	struct list_node *n;

	while ((n = list_first(l)) != NULL)
		named_drop(l, LIST_OBJ(n, struct scope_named, node));
}

void
named_free(struct named *all)
{
	if (all == NULL)
		return;
	drop_all(&all->statements);
	drop_all(&all->portals);
	free(all);
}

/* Those of a session, made if they are not there. */
static struct named *
make(struct named **all)
{
	if (*all)
		return *all;
	*all = mem_calloc(1, sizeof **all);
	list_init(&(*all)->statements);
	list_init(&(*all)->portals);
	return *all;
}

struct scope_named *
named_statement(const struct named *all, const char *name)
{
	return all ? by_name(&all->statements, name) : NULL;
}

struct scope_named *
named_portal(const struct named *all, const char *name)
{
	return all ? by_name(&all->portals, name) : NULL;
}

unsigned
named_statements(const struct named *all)
{
	return all ? all->statements.count : 0;
}

unsigned
named_portals(const struct named *all)
{
	return all ? all->portals.count : 0;
}

void
named_replaced(struct named *all, char type)
{
	if (all)
		drop_name(type == 'P' ? &all->statements : &all->portals, "");
}

void
named_synced(struct named *all)
{
	if (all)
		drop_all(&all->portals);
}

struct scope_named *
named_add(struct named **all, char type, const char *name, struct grammar *g)
{
	struct scope_named *named = mem_calloc(1, sizeof *named);

	named->name = mem_strdup(name);
	named->statement = g;
	list_append(type == 'P' ? &make(all)->statements : &make(all)->portals, &named->node);
	return named;
}

/* ---- handover ---- */

static void
one_pack(struct pack *p, struct scope_named *n)
{
	pack_str(p, &n->name);
	grammar_pack(p, &n->statement);
	PACK(p, n->ntypes);
	if (pack_reading(p)) {
		if (n->ntypes > p->left) {
			p->failed = true;
			n->ntypes = 0;
		}
		n->types = n->ntypes ? mem_calloc(n->ntypes, sizeof *n->types) : NULL;
	}
	for (unsigned i = 0; i < n->ntypes; i++)
		PACK(p, n->types[i]);
	PACK(p, n->formats);
	if (pack_reading(p) && (n->name == NULL || n->statement == NULL))
		p->failed = true;
}

static void
list_pack(struct pack *p, struct list *l)
{
	uint32_t count = l->count;
	struct list_node *n;

	PACK(p, count);
	if (!pack_reading(p)) {
		LIST_EACH (n, l)
			one_pack(p, LIST_OBJ(n, struct scope_named, node));
		return;
	}
	for (uint32_t i = 0; i < count && !p->failed; i++) {
		struct scope_named *named = mem_calloc(1, sizeof *named);

		one_pack(p, named);
		list_append(l, &named->node);
	}
}

void
named_pack(struct pack *p, struct named **all)
{
	bool there = *all != NULL;

	PACK(p, there);
	if (!there)
		return;
	make(all);
	list_pack(p, &(*all)->statements);
	list_pack(p, &(*all)->portals);
}
