/* The names of a session's prepared statements. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pool/prepared_inside.h"

void
names_init(struct names *names, struct statements *all)
{
	*names = (struct names){.all = all};
}

size_t
named_clip(size_t length)
{
	return length < PREPARED_NAME_BYTES ? length : PREPARED_NAME_BYTES;
}

bool
named_is(const struct named *named, const char *name, size_t length)
{
	return named && named->length == length && memcmp(named->name, name, length) == 0;
}

struct named *
named_find(const struct names *names, const char *name, size_t length)
{
	struct hash_node *n;

	if (names == NULL || names->names.count == 0)
		return NULL;
	length = named_clip(length);
	n = hash_first(&names->names, hash_bytes(HASH_SEED, name, length));
	for (; n; n = hash_next(n)) {
		struct named *named = HASH_OBJ(n, struct named, node);

		if (named_is(named, name, length))
			return named;
	}
	return NULL;
}

static size_t
named_bytes(const struct named *named)
{
	return sizeof *named + named->length + named->analysis->text->bytes;
}

void
named_put_in(struct names *names, struct named *named)
{
	hash_add(&names->names, &named->node, hash_bytes(HASH_SEED, named->name, named->length));
	names->bytes += named_bytes(named);
}

void
named_take_out(struct names *names, struct named *named)
{
	hash_remove(&names->names, &named->node);
	names->bytes -= named_bytes(named);
}

void
named_free(struct statements *all, struct named *named, struct prepared_set *set)
{
	struct list_node *l;

	if (set && named->asking > 0) {
		LIST_EACH (l, &set->tracked.list) {
			struct pending *p = pending_of(l);

			if (p && p->about == named)
				p->about = NULL;
		}
	}
	analysis_put(all, named->analysis);
	analysis_put(all, named->elsewhere);
	free(named);
}

struct analysis **
named_analysis(struct names *names, struct named *named, uint64_t place)
{
	struct text *t = named->analysis->text;

	if (named->analysis->place == place)
		return &named->analysis;
	if (named->elsewhere && named->elsewhere->place != place) {
		analysis_put(names->all, named->elsewhere);
		named->elsewhere = NULL;
	}
	if (named->elsewhere == NULL) {
		t->refs++;
		named->elsewhere = analysis_new(names->all, t, place, NULL);
	}
	return &named->elsewhere;
}

const char *
names_using(const struct names *names, const struct analysis *a)
{
	const struct named *found = NULL;

	for (size_t i = 0; names && i < names->names.size; i++) {
		const struct hash_node *n = names->names.chains[i];

		for (; n; n = n->next) {
			const struct named *named = HASH_OBJ(n, const struct named, node);

			if ((named->analysis == a || named->elsewhere == a) &&
			    (found == NULL || named->used > found->used))
				found = named;
		}
	}
	return found ? found->name : NULL;
}

bool
names_have(const struct names *names, const char *name, size_t length)
{
	return named_find(names, name, length) != NULL;
}

unsigned
names_effects(const struct names *names, const char *name, size_t length, const char **sql)
{
	const struct named *named = named_find(names, name, length);

	*sql = named ? (const char *)named->analysis->text->data : "";
	return named ? named->effects : 0;
}

void
names_drop(struct names *names, struct prepared_set *set, const char *name, size_t length)
{
	struct named *named = named_find(names, name, length);
	struct list_node *l;

	if (named == NULL)
		return;
	/* Its Parse may be under way: there is nothing to take back then. */
	if (set) {
		LIST_EACH (l, &set->tracked.list) {
			struct pending *p = pending_of(l);

			if (p && p->added == named)
				p->added = NULL;
		}
	}
	named_take_out(names, named);
	named_free(names->all, named, set);
}

void
names_clear(struct names *names, struct prepared_set *set)
{
	struct hash_node *n;
	struct list_node *l;

	if (set) {
		LIST_EACH (l, &set->tracked.list) {
			struct pending *p = pending_of(l);

			if (p == NULL || p->names != names)
				continue;
			if (p->removed)
				named_free(names->all, p->removed, NULL);
			p->names = NULL;
			p->added = p->removed = p->about = NULL;
		}
	}
	while ((n = hash_any(&names->names)) != NULL) {
		struct named *named = HASH_OBJ(n, struct named, node);

		named_take_out(names, named);
		named_free(names->all, named, NULL);
	}
	hash_clear(&names->names);
}

bool
names_unsettled(const struct names *names, const struct prepared_set *set, const struct progress *p,
		const char *name, size_t length)
{
	struct list_node *l;

	/* In COPY IN no message means anything, and the server must see it. */
	if (names == NULL || (p->copy == COPY_IN && !p->copy_ended))
		return false;
	length = named_clip(length);
	LIST_EACH (l, &set->tracked.list) {
		const struct pending *q = pending_of(l);

		if (q == NULL)
			continue;
		if (q->tracked.syncs == p->syncs)
			return false;
		if (q->names == names && (q->added || q->removed) &&
		    (name == NULL || named_is(q->added, name, length) ||
		     named_is(q->removed, name, length)))
			return true;
	}
	return false;
}
