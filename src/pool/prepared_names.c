/* The names of a session's prepared statements. prepared_set.c has what happens when messages about
 * them are answered. */
#include <string.h>

#include "base/fnv.h"
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
	n = hash_first(&names->names, fnv_bytes(FNV_SEED, name, length));
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
	hash_add(&names->names, &named->node, fnv_bytes(FNV_SEED, named->name, named->length));
	names->bytes += named_bytes(named);
}

void
named_take_out(struct names *names, struct named *named)
{
	hash_remove(&names->names, &named->node);
	names->bytes -= named_bytes(named);
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

	for (size_t i = 0; names && i < hash_chains(&names->names); i++) {
		const struct hash_node *n = hash_chain(&names->names, i);

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
