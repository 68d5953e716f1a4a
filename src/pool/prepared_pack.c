#include "pool/prepared_pack.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pool/prepared_inside.h"

#define MARK 0x70726570u

/* ---- texts ---- */

static void
text_pack(struct pack *p, struct packed_texts *texts, uint32_t i)
{
	uint8_t *body = NULL;
	size_t bytes = 0;
	char *context = NULL;

	if (!pack_reading(p)) {
		struct text *t = texts->list[i];

		body = t->data;
		bytes = t->body_bytes;
		context = mem_strndup((char *)t->data + bytes, t->bytes - bytes);
	}
	pack_blob(p, &body, &bytes);
	pack_str(p, &context);
	if (pack_reading(p)) {
		texts->list[i] = text_get(texts->all, body ? body : (const uint8_t *)"", bytes,
					  context ? context : "");
		free(body);
	}
	free(context);
}

static struct text *
text_by_number(struct pack *p, struct text *t, const struct packed_texts *texts)
{
	uint32_t number = t ? t->number : 0;

	PACK(p, number);
	if (!pack_reading(p))
		return t;
	if (p->failed || number >= texts->count) {
		p->failed = true;
		return NULL;
	}
	return texts->list[number];
}

static void
analysis_pack(struct pack *p, struct packed_texts *texts, uint32_t i)
{
	struct analysis *a = texts->analyses[i];
	struct text *t = text_by_number(p, a ? a->text : NULL, texts);
	struct description *d = a ? a->description : NULL;
	uint64_t place = a ? a->place : 0;
	bool shared = a && a->shared;

	PACK(p, place);
	PACK(p, shared);
	description_pack(p, &d);
	if (!pack_reading(p))
		return;
	if (t == NULL || p->failed || (shared && d == NULL)) {
		p->failed = true;
	} else if (shared) {
		texts->analyses[i] = analysis_share(texts->all, t, place, d);
	} else {
		t->refs++;
		texts->analyses[i] = analysis_new(texts->all, t, place, d);
	}
	description_put(d);
}

static void
analyses_pack(struct pack *p, struct packed_texts *texts)
{
	uint32_t count = texts->all->every.count, n = 0;
	struct list_node *l;

	PACK(p, count);
	if (pack_reading(p) && count > p->left) {
		p->failed = true;
		count = 0;
	}
	texts->analyses = mem_calloc(count + 1, sizeof(struct analysis *));
	texts->analyses_count = count;
	if (!pack_reading(p)) {
		LIST_EACH (l, &texts->all->every) {
			struct analysis *a = LIST_OBJ(l, struct analysis, every);

			a->number = n;
			texts->analyses[n++] = a;
		}
	}
	for (uint32_t i = 0; i < count && !p->failed; i++)
		analysis_pack(p, texts, i);
}

void
texts_pack(struct pack *p, struct statements *all, struct packed_texts *texts)
{
	uint32_t count = (uint32_t)all->texts.count, n = 0;

	*texts = (struct packed_texts){.all = all};
	PACK(p, all->tick);
	PACK(p, count);
	if (count > 0 && pack_reading(p) && count > p->left) {
		p->failed = true;
		return;
	}
	texts->list = mem_calloc(count + 1, sizeof *texts->list);
	texts->count = count;
	for (size_t i = 0; !pack_reading(p) && i < hash_chains(&all->texts); i++) {
		struct hash_node *node = hash_chain(&all->texts, i);

		for (; node; node = node->next) {
			struct text *t = HASH_OBJ(node, struct text, node);

			t->number = n;
			texts->list[n++] = t;
		}
	}
	for (uint32_t i = 0; i < count; i++)
		text_pack(p, texts, i);
	analyses_pack(p, texts);
	pack_mark(p, MARK);
}

void
texts_clear(struct packed_texts *texts, bool reading)
{
	for (uint32_t i = 0; reading && i < texts->analyses_count; i++)
		analysis_put(texts->all, texts->analyses[i]);
	for (uint32_t i = 0; reading && i < texts->count; i++)
		text_put(texts->all, texts->list[i]);
	free(texts->analyses);
	free(texts->list);
	*texts = (struct packed_texts){.all = texts->all};
}

/* The analysis, without a reference of its own; or NULL. */
static struct analysis *
analysis_by_number(struct pack *p, struct analysis *a, const struct packed_texts *texts)
{
	uint32_t number = a ? a->number + 1 : 0;

	PACK(p, number);
	if (!pack_reading(p))
		return a;
	if (p->failed || number > texts->analyses_count) {
		p->failed = true;
		return NULL;
	}
	return number ? texts->analyses[number - 1] : NULL;
}

/* ---- a server's ---- */

static void
one_pack(struct pack *p, struct prepared_set *set, struct prepared *pre,
	 const struct packed_texts *texts)
{
	struct analysis *a = analysis_by_number(p, pre ? pre->analysis : NULL, texts);

	if (pre == NULL && p->failed)
		return;
	if (pre == NULL)
		pre = prepared_add(set, a, 0);
	PACK(p, pre->number);
	PACK(p, pre->made);
	PACK(p, pre->under_way);
	PACK(p, pre->syncs);
}

void
prepared_pack(struct pack *p, struct prepared_set *set, const struct packed_texts *texts)
{
	uint32_t count = set->recent.count;
	struct list_node *n = set->recent.head.next;

	PACK(p, count);
	for (uint32_t i = 0; i < count && !p->failed; i++) {
		struct prepared *pre = NULL;

		if (!pack_reading(p)) {
			pre = LIST_OBJ(n, struct prepared, recent);
			n = n->next;
		}
		one_pack(p, set, pre, texts);
	}
	PACK(p, set->last);
	PACK(p, set->stale);
	PACK(p, set->decoys);
	PACK(p, set->decoy_errors);
	PACK(p, set->altered);
	PACK(p, set->defines);
	PACK(p, set->tracked.once);
	PACK(p, set->tracked.refused);
	PACK(p, set->tracked.passes);
	PACK(p, set->tracked.stood);
	PACK(p, set->tracked.unconfirmed);
	PACK(p, set->tracked.unconfirmed_syncs);
	pack_buf(p, &set->again);
	pack_mark(p, MARK);
}

/* ---- a session's ---- */

/* Returns the name that was read, with references to its analyses. */
static struct named *
named_pack(struct pack *p, struct named *named, const struct packed_texts *texts)
{
	struct named none = {.length = 0}, *from = named ? named : &none;
	struct analysis *a = analysis_by_number(p, from->analysis, texts);
	struct analysis *elsewhere = analysis_by_number(p, from->elsewhere, texts);
	uint8_t *name = named ? (uint8_t *)named->name : NULL;
	size_t length = from->length;

	PACK(p, from->origin);
	PACK(p, from->since);
	PACK(p, from->used);
	PACK(p, from->asking);
	PACK(p, from->renewing);
	PACK(p, from->changed);
	PACK(p, from->effects);
	pack_blob(p, &name, &length);
	if (!pack_reading(p))
		return named;
	p->failed |= length > PREPARED_NAME_BYTES;
	if (a && !p->failed) {
		named = mem_calloc(1, sizeof *named + length + 1);
		*named = none;
		named->analysis = analysis_ref(a);
		named->elsewhere = elsewhere ? analysis_ref(elsewhere) : NULL;
		named->length = (uint8_t)length;
		if (length > 0)
			memcpy(named->name, name, length);
	}
	free(name);
	return named;
}

void
names_pack(struct pack *p, struct names *names, const struct packed_texts *texts)
{
	uint32_t count = (uint32_t)names->names.count, number = 0;

	PACK(p, count);
	for (size_t i = 0; !pack_reading(p) && i < hash_chains(&names->names); i++) {
		struct hash_node *node = hash_chain(&names->names, i);

		for (; node; node = node->next) {
			struct named *named = HASH_OBJ(node, struct named, node);

			named->number = ++number;
			named_pack(p, named, texts);
		}
	}
	for (uint32_t i = 0; pack_reading(p) && i < count; i++) {
		struct named *named = named_pack(p, NULL, texts);

		if (named == NULL)
			return;
		named->number = ++number;
		named_put_in(names, named);
	}
	PACK(p, names->uses);
	pack_mark(p, MARK);
}

/* ---- on its way ---- */

/* Names by number: those that the session has, and those that are kept until it is certain that
 * they have gone. */
struct meant {
	struct named **list;
	uint32_t count, size;
};

static void
find_meant(struct meant *m, const struct names *names, uint32_t more)
{
	m->count = names ? (uint32_t)names->names.count : 0;
	m->size = m->count + more + 1;
	m->list = mem_calloc(m->size, sizeof(struct named *));
	for (size_t i = 0; names && i < hash_chains(&names->names); i++) {
		struct hash_node *node = hash_chain(&names->names, i);

		for (; node; node = node->next) {
			struct named *named = HASH_OBJ(node, struct named, node);

			if (named->number < m->size)
				m->list[named->number] = named;
		}
	}
}

static void
meant_pack(struct pack *p, struct named **named, const struct meant *m)
{
	uint32_t number = *named ? (*named)->number : 0;

	PACK(p, number);
	if (!pack_reading(p))
		return;
	if (number >= m->size || (number > 0 && m->list[number] == NULL)) {
		p->failed = true;
		number = 0;
	}
	*named = m->list[number];
}

static void
pending_pack(struct pack *p, struct prepared_set *set, struct pending *q, struct names *names,
	     struct meant *m)
{
	bool known = q->names != NULL;
	uint64_t made = q->made ? q->made->number : 0;

	PACK(p, known);
	PACK(p, made);
	PACK(p, q->evicted);
	PACK(p, q->describes);
	PACK(p, q->alone);
	PACK(p, q->renews);
	PACK(p, q->shareable);
	PACK(p, q->place);
	description_pack(p, &q->got);
	meant_pack(p, &q->added, m);
	meant_pack(p, &q->removed, m);
	meant_pack(p, &q->about, m);
	if (!pack_reading(p))
		return;
	q->set = set;
	q->names = known ? names : NULL;
	q->made = made ? prepared_by_number(set, made) : NULL;
}

/* Names that the session does not have any more stand first. */
static void
removed_pack(struct pack *p, struct prepared_set *set, struct meant *m,
	     const struct packed_texts *texts)
{
	struct list_node *l;
	uint32_t count = 0;

	LIST_EACH (l, &set->tracked.list) {
		struct pending *q = pending_of(l);

		if (q && q->removed)
			q->removed->number = m->count + ++count;
	}
	PACK(p, count);
	if (pack_reading(p) && m->count + count >= m->size) {
		p->failed = true;
		return;
	}
	LIST_EACH (l, &set->tracked.list) {
		struct pending *q = pending_of(l);

		if (q && q->removed)
			named_pack(p, q->removed, texts);
	}
	for (uint32_t i = 1; pack_reading(p) && i <= count; i++) {
		struct named *named = named_pack(p, NULL, texts);

		if (named)
			named->number = m->count + i;
		m->list[m->count + i] = named;
	}
}

/* Packs one message under way; reading, makes it. */
static void
one_tracked_pack(struct pack *p, struct prepared_set *set, struct tracked *t, struct names *names,
		 struct unnamed *unnamed, struct meant *m)
{
	struct pending *q = t ? pending_of(&t->node) : NULL;
	bool is_named = q != NULL;
	uint64_t syncs = t ? t->syncs : 0;

	PACK(p, is_named);
	PACK(p, syncs);
	if (is_named) {
		if (pack_reading(p)) {
			q = mem_calloc(1, sizeof *q);
			q->tracked.end = prepared_pending_end;
			q->tracked.described = prepared_pending_described;
			t = &q->tracked;
		}
		pending_pack(p, set, q, names, m);
	} else {
		t = unnamed_tracked_pack(p, t, &set->tracked, unnamed);
	}
	if (!pack_reading(p))
		return;
	t->syncs = syncs;
	list_append(&set->tracked.list, &t->node);
}

void
tracked_pack(struct pack *p, struct prepared_set *set, struct names *names, struct unnamed *unnamed,
	     const struct packed_texts *texts)
{
	uint32_t count = set->tracked.list.count;
	struct list_node *n = set->tracked.list.head.next;
	struct meant m;

	PACK(p, count);
	if (pack_reading(p) && count > p->left) {
		p->failed = true;
		return;
	}
	find_meant(&m, names, count);
	removed_pack(p, set, &m, texts);
	for (uint32_t i = 0; i < count && !p->failed; i++) {
		struct tracked *t = NULL;

		if (!pack_reading(p)) {
			t = LIST_OBJ(n, struct tracked, node);
			n = n->next;
		}
		one_tracked_pack(p, set, t, names, unnamed, &m);
	}
	free(m.list);
	pack_mark(p, MARK);
}
