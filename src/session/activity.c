#include "session/activity.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/pack.h"

static const struct limited nothing;

const struct limited *
activity_limited(const struct activity *a)
{
	return a->limited ? a->limited : &nothing;
}

struct limited *
activity_limit(struct activity *a)
{
	if (a->limited == NULL)
		a->limited = mem_calloc(1, sizeof *a->limited);
	return a->limited;
}

void
activity_clear(struct activity *a)
{
	free(a->limited);
	a->limited = NULL;
}

void
activity_pack(struct pack *p, struct activity *a)
{
	bool there = a->limited != NULL;
	struct limited *l;

	PACK(p, a->request_us);
	PACK(p, a->queries);
	PACK(p, there);
	if (!there)
		return;
	l = activity_limit(a);
	PACK(p, l->answer_us);
	PACK(p, l->limited_us);
	PACK(p, l->exempt_us);
	PACK(p, l->alone_us);
	PACK(p, l->alone_answers);
	PACK(p, l->alone_why);
	PACK(p, l->received_us);
	PACK(p, l->received_seen);
	PACK(p, l->wrote_us);
}
