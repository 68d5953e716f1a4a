#include "scope/unitname.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/fnv.h"
#include "base/log.h"
#include "base/mem.h"
#include "scope/unitkind.h"
#include "wire/reader.h"

struct unit_text {
	unsigned users;
	uint32_t number; /* pack: the text has been written as the one of this number; or 0 */
	char text[];
};

static struct unit_text *
new_text(const char *text)
{
	size_t bytes = strlen(text) + 1;
	struct unit_text *t = mem_calloc(1, sizeof *t + bytes);

	memcpy(t->text, text, bytes);
	return t;
}

void
unitname_init(struct unit_names *names)
{
	*names = (struct unit_names){0};
	list_init(&names->order);
	hash_init(&names->index);
	if (getrandom(&names->seed, sizeof names->seed, 0) != sizeof names->seed)
		log_fatal("", LOG_ALONE, "no random numbers");
}

static uint64_t
hash_of(const struct unit_names *names, char type, const char *name)
{
	return fnv_bytes(names->seed + (unsigned char)type, name, strlen(name));
}

static void
leave_index(struct unit_names *names, struct unit_name *x)
{
	if (x->indexed)
		hash_remove(&names->index, &x->node);
	x->indexed = false;
}

static void
free_name(struct unit_names *names, struct unit_name *x)
{
	leave_index(names, x);
	list_remove(&names->order, &x->in_order);
	if (x->shared && --x->shared->users == 0)
		free(x->shared);
	free(x->name);
	free(x);
}

void
unitname_clear(struct unit_names *names)
{
	struct list_node *n;

	while ((n = list_first(&names->order)) != NULL)
		free_name(names, LIST_OBJ(n, struct unit_name, in_order));
	hash_clear(&names->index);
}

struct unit_name *
unitname_find(const struct unit_names *names, char type, const char *name)
{
	struct hash_node *n;

	if (names->index.count == 0)
		return NULL;
	for (n = hash_first(&names->index, hash_of(names, type, name)); n; n = hash_next(n)) {
		struct unit_name *x = HASH_OBJ(n, struct unit_name, node);

		if (x->type == type && strcmp(x->name, name) == 0)
			return x;
	}
	return NULL;
}

/* Puts it at the end. An older one of that name is found no more. */
static void
put_name(struct unit_names *names, struct unit_name *x)
{
	struct unit_name *old = unitname_find(names, x->type, x->name);

	if (old)
		leave_index(names, old);
	hash_add(&names->index, &x->node, hash_of(names, x->type, x->name));
	x->indexed = true;
	list_append(&names->order, &x->in_order);
}

static void
add_name(struct unit_names *names, char type, const char *name, struct unit_text *text)
{
	struct unit_name *x = mem_calloc(1, sizeof *x);

	x->type = type;
	x->name = mem_strdup(name);
	x->shared = text;
	if (text) {
		x->text = text->text;
		text->users++;
	}
	put_name(names, x);
}

void
unitname_forget(struct unit_names *names, char type, const char *name)
{
	struct unit_name *x = unitname_find(names, type, name);

	if (x)
		free_name(names, x);
}

void
unitname_forget_portals(struct unit_names *names)
{
	struct list_node *n, *after;

	LIST_EACH_SAFE (n, after, &names->order) {
		struct unit_name *x = LIST_OBJ(n, struct unit_name, in_order);

		if (x->type == 'P')
			free_name(names, x);
	}
}

struct unit_name *
unitname_coming(const struct unit_names *names, const struct unit_names *sent, char type,
		const char *name)
{
	struct unit_name *last = unitname_find(sent, type, name);

	if (last)
		return last->text ? last : NULL;
	return unitname_find(names, type, name);
}

void
unitname_send(const struct unit_names *names, struct unit_names *sent, char type,
	      const uint8_t *body, size_t bytes, unsigned flags)
{
	const struct unit_name *x;
	const char *name, *text = NULL;
	struct unit_text *shared = NULL;
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
	if (type == 'P' && unitkind_is_noted(text, strlen(text), flags))
		shared = new_text(text);
	if (type == 'B' && (x = unitname_coming(names, sent, 'S', text)) != NULL)
		shared = x->shared;
	add_name(sent, what, name, shared);
}

void
unitname_take(struct unit_names *names, struct unit_names *sent)
{
	struct list_node *n = list_first(&sent->order);
	struct unit_name *x, *old;

	if (n == NULL)
		return;
	x = LIST_OBJ(n, struct unit_name, in_order);
	old = unitname_find(names, x->type, x->name);
	if (old)
		free_name(names, old);
	if (x->text == NULL) {
		free_name(sent, x);
		return;
	}
	leave_index(sent, x);
	list_remove(&sent->order, n);
	put_name(names, x);
}

/* ---- handover ---- */

/* The texts that have been read, by their numbers. */
struct texts {
	struct unit_text **all;
	uint32_t count;
};

/* Writes or reads a text: 0 and a new one, or the number of one that was there before. */
static struct unit_text *
pack_text(struct pack *p, struct texts *texts, struct unit_text *t)
{
	uint32_t number = t ? t->number : 0;
	char *text = t ? t->text : NULL;

	PACK(p, number);
	if (number == 0)
		pack_str(p, &text);
	if (!pack_reading(p)) {
		if (t && number == 0)
			t->number = ++texts->count;
		return t;
	}
	if (p->failed || number > texts->count) {
		p->failed = true;
	} else if (number > 0) {
		return texts->all[number - 1];
	} else if (text) {
		texts->all = mem_realloc(texts->all, (texts->count + 1) * sizeof *texts->all);
		t = texts->all[texts->count++] = new_text(text);
	}
	free(text);
	return t;
}

static void
pack_name(struct pack *p, struct texts *texts, struct unit_names *names, struct unit_name *x)
{
	char type = x ? x->type : 0, *name = x ? x->name : NULL;
	struct unit_text *text = x ? x->shared : NULL;
	bool done = x && x->done;

	PACK(p, type);
	PACK(p, done);
	pack_str(p, &name);
	text = pack_text(p, texts, text);
	if (!pack_reading(p))
		return;
	if (name && !p->failed) {
		add_name(names, type, name, text);
		LIST_OBJ(list_last(&names->order), struct unit_name, in_order)->done = done;
	} else {
		p->failed = true;
	}
	free(name);
}

void
unitname_pack(struct pack *p, struct unit_names *names)
{
	uint32_t count = names->order.count;
	struct list_node *n;
	struct texts texts = {0};

	PACK(p, count);
	if (pack_reading(p)) {
		for (uint32_t i = 0; i < count && !p->failed; i++)
			pack_name(p, &texts, names, NULL);
		for (uint32_t i = 0; i < texts.count; i++)
			if (texts.all[i]->users == 0)
				free(texts.all[i]);
		free(texts.all);
		return;
	}
	LIST_EACH (n, &names->order) {
		struct unit_text *t = LIST_OBJ(n, struct unit_name, in_order)->shared;

		if (t)
			t->number = 0;
	}
	LIST_EACH (n, &names->order)
		pack_name(p, &texts, names, LIST_OBJ(n, struct unit_name, in_order));
}
