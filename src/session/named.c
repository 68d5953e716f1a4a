#include "session/named.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct scope_named *
named_by_name(const struct list *l, const char *name)
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

void
named_drop_name(struct list *l, const char *name)
{
	struct scope_named *named = named_by_name(l, name);

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
named_init(struct named *all)
{
	*all = (struct named){0};
	list_init(&all->statements);
	list_init(&all->portals);
}

void
named_clear(struct named *all)
{
	drop_all(&all->statements);
	drop_all(&all->portals);
}

struct scope_named *
named_statement(const struct named *all, const char *name)
{
	return named_by_name(&all->statements, name);
}

struct scope_named *
named_portal(const struct named *all, const char *name)
{
	return named_by_name(&all->portals, name);
}

void
named_replaced(struct named *all, char type)
{
	named_drop_name(type == 'P' ? &all->statements : &all->portals, "");
}

void
named_synced(struct named *all)
{
	drop_all(&all->portals);
}

struct scope_named *
named_add(struct list *l, const char *name, struct grammar *g)
{
	struct scope_named *named = mem_calloc(1, sizeof *named);

	named->name = mem_strdup(name);
	named->statement = g;
	list_append(l, &named->node);
	return named;
}
