#include "scope/unitname.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "scope/unitkind.h"
#include "wire/reader.h"

/* A text that a statement and its portals share: it may have 16 MB, and they may be many. */
struct text {
	size_t users;
	char sql[];
};

static struct text *
text_of(const char *sql)
{
	return (struct text *)((char *)(uintptr_t)sql - offsetof(struct text, sql));
}

static char *
text_new(const char *sql)
{
	size_t bytes = strlen(sql) + 1;
	struct text *t = mem_alloc(sizeof *t + bytes);

	t->users = 1;
	memcpy(t->sql, sql, bytes);
	return t->sql;
}

static char *
text_share(const char *sql)
{
	struct text *t = text_of(sql);

	t->users++;
	return t->sql;
}

static void
text_drop(const char *sql)
{
	if (sql && --text_of(sql)->users == 0)
		free(text_of(sql));
}

static void
free_name(struct list *names, struct unit_name *n)
{
	list_remove(names, &n->node);
	free(n->name);
	text_drop(n->text);
	free(n);
}

void
unitname_clear(struct list *names)
{
	struct list_node *n;

	while ((n = list_first(names)) != NULL)
		free_name(names, LIST_OBJ(n, struct unit_name, node));
}

struct unit_name *
unitname_find(const struct list *names, char type, const char *name)
{
	struct list_node *n;

	LIST_EACH (n, names) {
		struct unit_name *x = LIST_OBJ(n, struct unit_name, node);

		if (x->type == type && strcmp(x->name, name) == 0)
			return x;
	}
	return NULL;
}

/* Takes the text over, which is of text_new() or text_share(), or NULL. */
static void
add_name(struct list *names, char type, const char *name, char *text)
{
	struct unit_name *x = mem_calloc(1, sizeof *x);

	x->type = type;
	x->name = mem_strdup(name);
	x->text = text;
	list_append(names, &x->node);
}

void
unitname_note(struct list *names, char type, const char *name, const char *text)
{
	struct unit_name *x = unitname_find(names, type, name);

	if (x)
		free_name(names, x);
	if (text == NULL)
		return;
	add_name(names, type, name, text_new(text));
}

void
unitname_forget_portals(struct list *names)
{
	struct list_node *n, *after;

	LIST_EACH_SAFE (n, after, names)
		if (LIST_OBJ(n, struct unit_name, node)->type == 'P')
			free_name(names, LIST_OBJ(n, struct unit_name, node));
}

struct unit_name *
unitname_coming(const struct list *names, const struct list *sent, char type, const char *name)
{
	struct unit_name *last = NULL;
	struct list_node *n;

	LIST_EACH (n, sent) {
		struct unit_name *x = LIST_OBJ(n, struct unit_name, node);

		if (x->type == type && strcmp(x->name, name) == 0)
			last = x;
	}
	if (last)
		return last->text ? last : NULL;
	return unitname_find(names, type, name);
}

void
unitname_send(const struct list *names, struct list *sent, char type, const uint8_t *body,
	      size_t bytes, unsigned flags)
{
	const struct unit_name *x = NULL;
	const char *name, *text = NULL;
	struct reader r;
	char what = type == 'P' ? 'S' : 'P';

	if (type != 'P' && type != 'B' && type != 'C')
		return;
	reader_init(&r, body, bytes);
	if (type == 'C')
		what = (char)reader_u8(&r);
	name = reader_str(&r);
	if (type != 'C')
		text = reader_str(&r);
	if (r.failed) {
		add_name(sent, 0, "", NULL); /* PostgreSQL refuses it */
		return;
	}
	if (type == 'P' && !unitkind_any(text, strlen(text), flags))
		text = NULL;
	if (type == 'B') {
		x = unitname_coming(names, sent, 'S', text);
		text = NULL;
	}
	add_name(sent, what, name, x ? text_share(x->text) : text ? text_new(text) : NULL);
}

void
unitname_take(struct list *names, struct list *sent)
{
	struct list_node *n = list_first(sent);
	struct unit_name *x, *old;

	if (n == NULL)
		return;
	x = LIST_OBJ(n, struct unit_name, node);
	old = unitname_find(names, x->type, x->name);
	if (old)
		free_name(names, old);
	if (x->text == NULL) {
		free_name(sent, x);
		return;
	}
	list_remove(sent, n);
	list_append(names, n);
}

void
unitname_pack(struct pack *p, struct list *names)
{
	uint32_t count = names->count;
	struct list_node *n = names->head.next;

	PACK(p, count);
	for (uint32_t i = 0; i < count && !p->failed; i++) {
		struct unit_name none = {0}, *x = &none;
		char *text;

		if (!pack_reading(p)) {
			x = LIST_OBJ(n, struct unit_name, node);
			n = n->next;
		}
		text = x->text;
		PACK(p, x->type);
		PACK(p, x->done);
		pack_str(p, &x->name);
		pack_str(p, &text);
		if (!pack_reading(p))
			continue;
		if (x->name && !p->failed) {
			struct unit_name *copy = mem_calloc(1, sizeof *copy);

			*copy = none;
			copy->text = text ? text_new(text) : NULL;
			list_append(names, &copy->node);
		} else {
			p->failed = true;
			free(x->name);
		}
		free(text);
	}
}
