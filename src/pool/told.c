#include "pool/told.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/fnv.h"
#include "base/mem.h"

#define SET_MAX (128 * 1024) /* bytes of one set */

/* The parameters that PostgreSQL reports (15 documentation, 55.2.7; the last ones are newer). libpq
 * can be asked for each, but cannot list them. */
static const char *const reported[] = {
    "server_version",
    "server_encoding",
    "client_encoding",
    "application_name",
    "default_transaction_read_only",
    "in_hot_standby",
    "is_superuser",
    "session_authorization",
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "integer_datetimes",
    "standard_conforming_strings",
    "scram_iterations",
    "search_path",
};

void
tolds_init(struct tolds *all)
{
	hash_init(&all->sets);
	all->last = 0;
}

void
tolds_clear(struct tolds *all)
{
	struct hash_node *n;

	while ((n = hash_any(&all->sets)) != NULL) {
		hash_remove(&all->sets, n);
		free(HASH_OBJ(n, struct told, node));
	}
	hash_clear(&all->sets);
}

struct told *
told_keep(struct told *t)
{
	if (t)
		t->uses++;
	return t;
}

void
told_drop(struct tolds *all, struct told *t)
{
	if (t == NULL || --t->uses > 0)
		return;
	hash_remove(&all->sets, &t->node);
	free(t);
}

int
told_next(const struct told *t, const char **at, const char **name, const char **value)
{
	if (t == NULL)
		return 0;
	if (*at == NULL)
		*at = t->pairs;
	if (*at == t->pairs + t->bytes)
		return 0;
	*name = *at;
	*value = *name + strlen(*name) + 1;
	*at = *value + strlen(*value) + 1;
	return 1;
}

const char *
told_get(const struct told *t, const char *wanted)
{
	const char *at = NULL, *name, *value;

	while (told_next(t, &at, &name, &value))
		if (strcasecmp(name, wanted) == 0)
			return value;
	return NULL;
}

static uint32_t
number_of(const struct told *t)
{
	return t ? t->number : 0;
}

void
told_note_alike(struct told *t, const struct told *own, const struct told *login)
{
	t->alike_own = number_of(own);
	t->alike_login = number_of(login);
}

bool
told_is_alike(const struct told *t, const struct told *own, const struct told *login)
{
	return number_of(own) && number_of(login) && t->alike_own == own->number &&
	       t->alike_login == login->number;
}

uint64_t
told_pair(const struct told *a, const struct told *b)
{
	return number_of(a) && number_of(b) ? (uint64_t)a->number << 32 | b->number : 0;
}

/* The set with these pairs, which are sorted: the existing one, or a new one. */
static struct told *
intern(struct tolds *all, const void *pairs, size_t bytes)
{
	uint64_t hash = fnv_bytes(FNV_SEED, pairs, bytes);
	const char *standby;
	struct told *t;

	if (bytes == 0)
		return NULL;
	for (struct hash_node *n = hash_first(&all->sets, hash); n; n = hash_next(n)) {
		t = HASH_OBJ(n, struct told, node);
		if (t->bytes == bytes && memcmp(t->pairs, pairs, bytes) == 0)
			return told_keep(t);
	}
	t = mem_alloc(sizeof *t + bytes);
	t->uses = 1;
	t->number = all->last < UINT32_MAX ? ++all->last : 0;
	t->alike_own = t->alike_login = 0;
	t->bytes = (uint32_t)bytes;
	memcpy(t->pairs, pairs, bytes);
	t->application = told_get(t, "application_name");
	standby = told_get(t, "in_hot_standby");
	t->standby = standby && strcmp(standby, "on") == 0;
	hash_add(&all->sets, &t->node, hash);
	return t;
}

static void
add_name_and_value(struct buf *pairs, const char *name, const char *value)
{
	buf_add_str(pairs, name);
	buf_add_str(pairs, value);
}

struct told *
told_with(struct tolds *all, struct told *t, const char *name, const char *value)
{
	const char *had = told_get(t, name), *at = NULL, *other, *others;
	struct told *result;
	struct buf pairs;

	if (had == value || (had && value && strcmp(had, value) == 0))
		return t;
	buf_init(&pairs, SET_MAX);
	if (value && strlen(name) + strlen(value) + 2 + (t ? t->bytes : 0) > SET_MAX)
		value = NULL;
	while (told_next(t, &at, &other, &others)) {
		int order = strcasecmp(other, name);

		if (order > 0 && value) {
			add_name_and_value(&pairs, name, value);
			value = NULL;
		}
		if (order != 0) {
			add_name_and_value(&pairs, other, others);
		} else if (value) {
			add_name_and_value(&pairs, other, value);
			value = NULL;
		}
	}
	if (value)
		add_name_and_value(&pairs, name, value);
	result = intern(all, buf_data(&pairs), pairs.len);
	buf_clear(&pairs);
	told_drop(all, t);
	return result;
}

struct told *
told_at_login(struct tolds *all, const PGconn *conn)
{
	struct told *t = NULL;

	for (size_t i = 0; i < sizeof reported / sizeof *reported; i++)
		t = told_with(all, t, reported[i], PQparameterStatus(conn, reported[i]));
	return t;
}

/* Are the bytes complete pairs? */
static bool
well_formed(const char *pairs, size_t bytes)
{
	size_t strings = 0;

	for (size_t i = 0; i < bytes; i++)
		strings += pairs[i] == 0;
	return bytes == 0 || (pairs[bytes - 1] == 0 && strings % 2 == 0);
}

void
told_pack(struct pack *p, struct tolds *all, struct told **t)
{
	uint8_t *data = *t && !pack_reading(p) ? (uint8_t *)(*t)->pairs : NULL;
	size_t bytes = data ? (*t)->bytes : 0;

	pack_blob(p, &data, &bytes);
	if (!pack_reading(p))
		return;
	if (p->failed || !well_formed((char *)data, bytes))
		p->failed = true;
	else
		*t = intern(all, data, bytes);
	free(data);
}
