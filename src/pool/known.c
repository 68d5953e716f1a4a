#include "pool/known.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/fnv.h"
#include "base/mem.h"

#define ANSWERS_MAX 1000
#define BYTES_MAX   (256 * 1024)
#define VALUE_MAX   1024 /* bytes of a value that is kept */

struct answer {
	struct hash_node node;
	struct list_node recent;
	size_t bytes;
	const char *value, *result; /* both in `text` */
	char text[];                /* name NUL value NUL result NUL */
};

void
known_init(struct known *k, uint64_t *versions)
{
	*k = (struct known){.versions = versions, .version = ++*versions};
	hash_init(&k->answers);
	list_init(&k->recent);
}

static void
forget_answer(struct known *k, struct answer *a)
{
	hash_remove(&k->answers, &a->node);
	list_remove(&k->recent, &a->recent);
	k->bytes -= a->bytes;
	k->version = ++*k->versions;
	free(a);
}

static void
put_last(struct known *k, struct answer *a)
{
	list_remove(&k->recent, &a->recent);
	list_append(&k->recent, &a->recent);
}

void
known_clear(struct known *k)
{
	struct list_node *n;

	while ((n = list_first(&k->recent)) != NULL)
		forget_answer(k, LIST_OBJ(n, struct answer, recent));
	hash_clear(&k->answers);
}

static uint64_t
hash_of(const char *name, const char *value)
{
	uint64_t hash = FNV_SEED;

	for (; *name; name++) {
		char c = (char)tolower((unsigned char)*name);

		hash = fnv_bytes(hash, &c, 1);
	}
	return fnv_bytes(hash, value, strlen(value) + 1);
}

static struct answer *
find_answer(const struct known *k, const char *name, const char *value)
{
	struct hash_node *n = hash_first(&k->answers, hash_of(name, value));

	for (; n; n = hash_next(n)) {
		struct answer *a = HASH_OBJ(n, struct answer, node);

		if (strcasecmp(a->text, name) == 0 && strcmp(a->value, value) == 0)
			return a;
	}
	return NULL;
}

void
known_add(struct known *k, const char *name, const char *value, const char *result)
{
	size_t names = strlen(name) + 1, values = strlen(value) + 1, results = strlen(result) + 1;
	struct answer *a = find_answer(k, name, value);

	if (a && strcmp(a->result, result) == 0) {
		put_last(k, a);
		return;
	}
	if (a)
		forget_answer(k, a);
	if (names > VALUE_MAX || values > VALUE_MAX || results > VALUE_MAX)
		return;
	a = mem_calloc(1, sizeof *a + names + values + results);
	a->bytes = sizeof *a + names + values + results;
	a->value = a->text + names;
	a->result = a->value + values;
	memcpy(a->text, name, names);
	memcpy(a->text + names, value, values);
	memcpy(a->text + names + values, result, results);
	hash_add(&k->answers, &a->node, hash_of(name, value));
	list_append(&k->recent, &a->recent);
	k->bytes += a->bytes;
	while (k->recent.count > ANSWERS_MAX || k->bytes > BYTES_MAX)
		forget_answer(k, LIST_OBJ(list_first(&k->recent), struct answer, recent));
}

const char *
known_result(struct known *k, const char *name, const char *value)
{
	struct answer *a = find_answer(k, name, value);

	if (a == NULL)
		return NULL;
	put_last(k, a);
	return a->result;
}
