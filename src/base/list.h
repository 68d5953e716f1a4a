/* list: an intrusive, counted, doubly linked list. A node is a member of the object, and is in one
 * list at most. The `next` of a node that is in no list is NULL. */
#ifndef PGWITH_BASE_LIST_H
#define PGWITH_BASE_LIST_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

struct list_node {
	struct list_node *next;
	struct list_node *prev;
};

struct list {
	struct list_node head; /* head.next is the first, head.prev the last */
	unsigned count;
};

/* The object that contains `node` as its member `member`. */
#define LIST_OBJ(node, type, member) ((type *)((char *)(node)-offsetof(type, member)))

/* Walk `n` (a struct list_node *) over the list. In LIST_EACH_SAFE `n` may be removed. */
#define LIST_EACH(n, l) for ((n) = (l)->head.next; (n) != &(l)->head; (n) = (n)->next)
#define LIST_EACH_SAFE(n, after, l)                                        \
	for ((n) = (l)->head.next, (after) = (n)->next; (n) != &(l)->head; \
	     (n) = (after), (after) = (n)->next)

static inline void
list_init(struct list *l)
{
	l->head.next = l->head.prev = &l->head;
	l->count = 0;
}

static inline bool
list_linked(const struct list_node *n)
{
	return n->next != NULL;
}

/* Inserts `n` before the node `before` of `l`; at the end if that is &l->head. */
static inline void
list_insert(struct list *l, struct list_node *n, struct list_node *before)
{
	assert(!list_linked(n));
	n->next = before;
	n->prev = before->prev;
	before->prev->next = n;
	before->prev = n;
	l->count++;
}

static inline void
list_append(struct list *l, struct list_node *n)
{
	list_insert(l, n, &l->head);
}

static inline void
list_prepend(struct list *l, struct list_node *n)
{
	list_insert(l, n, l->head.next);
}

/* `n` must be in `l`. */
static inline void
list_remove(struct list *l, struct list_node *n)
{
	assert(list_linked(n) && l->count > 0);
	n->next->prev = n->prev;
	n->prev->next = n->next;
	n->next = n->prev = NULL;
	l->count--;
}

/* The first and the last node; NULL if the list is empty. */
static inline struct list_node *
list_first(const struct list *l)
{
	return l->count ? l->head.next : NULL;
}

static inline struct list_node *
list_last(const struct list *l)
{
	return l->count ? l->head.prev : NULL;
}

#endif
