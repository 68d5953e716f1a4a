#include "scope/timing.h"

#include <stdlib.h>
#include <string.h>

#include "base/fnv.h"
#include "base/mem.h"
#include "base/utf8.h"

void
timing_init(struct timing *t)
{
	*t = (struct timing){0};
	hash_init(&t->table);
	list_init(&t->rows);
	t->others.pool = mem_strdup("");
	t->others.scope = mem_strdup(TIMING_OTHERS);
}

static void
clear_row(struct timing_row *row)
{
	free(row->pool);
	free(row->scope);
	for (int i = 0; i < TIMING_NPHASES; i++)
		free(row->phases[i]);
}

void
timing_clear(struct timing *t)
{
	struct list_node *n;

	while ((n = list_first(&t->rows)) != NULL) {
		struct timing_row *row = LIST_OBJ(n, struct timing_row, node);

		list_remove(&t->rows, n);
		clear_row(row);
		free(row);
	}
	clear_row(&t->others);
	hash_clear(&t->table);
	*t = (struct timing){0};
	list_init(&t->rows);
}

/* How many bytes of the name are kept, without cutting a character of UTF-8. */
static size_t
kept_bytes(const char *name)
{
	return utf8_fit(name, strnlen(name, TIMING_NAME_MAX + 1), TIMING_NAME_MAX);
}

static bool
equals_kept(const char *kept_name, const char *name, size_t bytes)
{
	return strncmp(kept_name, name, bytes) == 0 && kept_name[bytes] == '\0';
}

struct timing_row *
timing_row(struct timing *t, const char *pool, const char *scope)
{
	size_t pool_bytes = kept_bytes(pool), scope_bytes = kept_bytes(scope);
	uint64_t hash = fnv_bytes(FNV_SEED, pool, pool_bytes);
	struct timing_row *row;
	struct hash_node *n;

	/* Clients choose names: no other row may be called as the shared one is. */
	if (pool_bytes == 0 && strcmp(scope, TIMING_OTHERS) == 0)
		return &t->others;
	hash = fnv_bytes(fnv_bytes(hash, "", 1), scope, scope_bytes);
	for (n = hash_first(&t->table, hash); n; n = hash_next(n)) {
		row = HASH_OBJ(n, struct timing_row, hashed);
		if (equals_kept(row->pool, pool, pool_bytes) &&
		    equals_kept(row->scope, scope, scope_bytes))
			return row;
	}
	if (t->rows.count >= TIMING_ROWS_MAX)
		return &t->others;
	row = mem_calloc(1, sizeof *row);
	row->pool = mem_strndup(pool, pool_bytes);
	row->scope = mem_strndup(scope, scope_bytes);
	hash_add(&t->table, &row->hashed, hash);
	list_append(&t->rows, &row->node);
	return row;
}

void
timing_add(struct timing_row *row, enum timing_phase phase, int64_t us)
{
	if (row->phases[phase] == NULL)
		row->phases[phase] = mem_calloc(1, sizeof *row->phases[phase]);
	histogram_add(row->phases[phase], us);
}

void
timing_count(struct timing_row *row, enum timing_outcome outcome)
{
	row->outcomes[outcome]++;
}

const struct histogram *
timing_phase(const struct timing_row *row, enum timing_phase phase)
{
	static const struct histogram empty;

	return row->phases[phase] ? row->phases[phase] : &empty;
}

static bool
is_used(const struct timing_row *row)
{
	for (int i = 0; i < TIMING_NPHASES; i++)
		if (row->phases[i])
			return true;
	for (int i = 0; i < TIMING_NOUTCOMES; i++)
		if (row->outcomes[i])
			return true;
	return false;
}

void
timing_each(const struct timing *t, void (*fn)(void *arg, const struct timing_row *), void *arg)
{
	const struct list_node *n;

	LIST_EACH (n, &t->rows)
		fn(arg, LIST_OBJ(n, const struct timing_row, node));
	if (is_used(&t->others))
		fn(arg, &t->others);
}

const char *
timing_outcome_name(enum timing_outcome outcome)
{
	static const char *const names[] = {"success", "error", "cancelled", "expired"};

	return names[outcome];
}

const char *
timing_phase_name(enum timing_phase phase)
{
	static const char *const names[] = {"wait", "enter", "hold", "cleanup"};

	return names[phase];
}
