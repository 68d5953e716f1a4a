#include "pool/tracked.h"

#include <stdlib.h>

static void
end_message(struct tracked_list *all, struct list_node *n, enum progress_end end)
{
	struct tracked *t = LIST_OBJ(n, struct tracked, node);

	list_remove(&all->list, n);
	t->end(t, end);
}

static void
messages_ended(void *arg, uint32_t n, enum progress_end end)
{
	struct tracked_list *all = arg;
	struct list_node *l = list_first(&all->list), *before;

	if (end == PROGRESS_DONE) {
		end_message(all, l, PROGRESS_DONE);
		return;
	}
	/* The first n of the list have ended. What they did is taken back in reverse order. */
	for (uint32_t i = 1; i < n; i++)
		l = l->next;
	for (; n > 0; n--, l = before) {
		before = l->prev;
		end_message(all, l, n == 1 ? end : PROGRESS_SKIPPED);
	}
}

static void
message_described(void *arg, char type, const uint8_t *body, size_t bytes)
{
	struct tracked_list *all = arg;
	struct tracked *t = LIST_OBJ(list_first(&all->list), struct tracked, node);

	t->described(t, type, body, bytes);
}

void
tracked_init(struct tracked_list *all, struct progress *p)
{
	*all = (struct tracked_list){.spare = NULL};
	list_init(&all->list);
	p->tracked = messages_ended;
	p->described = message_described;
	p->tracked_arg = all;
}

void
tracked_clear(struct tracked_list *all)
{
	while (all->list.count > 0)
		end_message(all, list_first(&all->list), PROGRESS_LOST);
	free(all->spare);
	all->spare = NULL;
}

void
tracked_add(struct tracked_list *all, struct tracked *t, const struct progress *p,
	    void (*end)(struct tracked *, enum progress_end))
{
	t->syncs = p->syncs;
	t->end = end;
	t->described = NULL;
	list_append(&all->list, &t->node);
}
