#include "pool/pool_tally.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void
pool_tally_first_time_(struct pool_tally *t, enum pool_time which, int64_t us)
{
	t->of[which] = mem_calloc(1, sizeof *t->of[which]);
	histogram_add(t->of[which], us);
}

const struct histogram *
pool_tally_times(const struct pool_tally *t, enum pool_time which)
{
	static const struct histogram empty;

	return t->of[which] ? t->of[which] : &empty;
}

void
pool_tally_error(struct pool_tally *t, const char *sqlstate, uint64_t count)
{
	struct pool_error *e;

	for (unsigned i = 0; i < t->nerrors; i++)
		if (strcmp(t->errors[i].sqlstate, sqlstate) == 0) {
			t->errors[i].count += count;
			return;
		}
	if (t->nerrors == POOL_ERRORS_MAX) {
		t->other_errors += count;
		return;
	}
	if (t->errors == NULL)
		t->errors = mem_calloc(POOL_ERRORS_MAX, sizeof *t->errors);
	e = &t->errors[t->nerrors++];
	strncpy(e->sqlstate, sqlstate, sizeof e->sqlstate - 1);
	e->count = count;
}

static void
move_errors(struct pool_tally *to, struct pool_tally *from)
{
	for (unsigned i = 0; i < from->nerrors; i++)
		pool_tally_error(to, from->errors[i].sqlstate, from->errors[i].count);
	to->other_errors += from->other_errors;
	free(from->errors);
	from->errors = NULL;
	from->nerrors = 0;
	from->other_errors = 0;
}

void
pool_tally_move(struct pool_tally *to, struct pool_tally *from)
{
	for (int i = 0; i < POOL_NTIMES; i++) {
		if (to->of[i] == NULL) {
			to->of[i] = from->of[i];
		} else if (from->of[i]) {
			histogram_merge(to->of[i], from->of[i]);
			free(from->of[i]);
		}
		from->of[i] = NULL;
	}
	move_errors(to, from);
}

void
pool_tally_clear(struct pool_tally *t)
{
	for (int i = 0; i < POOL_NTIMES; i++)
		free(t->of[i]);
	free(t->errors);
	*t = (struct pool_tally){0};
}

static void
pack_errors(struct pack *p, struct pool_tally *t)
{
	struct pool_tally read = {0}, *errors = pack_reading(p) ? &read : t;
	uint32_t count = errors->nerrors;

	PACK(p, errors->other_errors);
	PACK(p, count);
	for (uint32_t i = 0; i < count && !p->failed; i++) {
		struct pool_error e = {.count = 0};

		if (!pack_reading(p))
			e = t->errors[i];
		PACK(p, e);
		e.sqlstate[sizeof e.sqlstate - 1] = '\0';
		if (pack_reading(p) && !p->failed)
			pool_tally_error(&read, e.sqlstate, e.count);
	}
	if (pack_reading(p))
		move_errors(t, &read);
}

void
pool_tally_pack(struct pack *p, struct pool_tally *t)
{
	pack_errors(p, t);
	for (int i = 0; i < POOL_NTIMES; i++) {
		struct pool_tally one = {0};
		bool there = t->of[i] != NULL;

		PACK(p, there);
		if (!there)
			continue;
		if (!pack_reading(p)) {
			PACK(p, *t->of[i]);
			continue;
		}
		one.of[i] = mem_calloc(1, sizeof *one.of[i]);
		PACK(p, *one.of[i]);
		pool_tally_move(t, &one);
	}
}
