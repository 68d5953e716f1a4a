#include "base/trace.h"

#include <stdlib.h>
#include <string.h>

#include "base/fnv.h"
#include "base/mem.h"
#include "base/tracepack.h"
#include "base/utf8.h"

#define SLOTS (2 * TRACE_NAMES) /* of the table of names; a power of two */

struct trace {
	uint64_t reader;
	uint64_t seed;
	unsigned first, count; /* the place of the oldest event, and how many there are */
	bool begun;            /* the first portion has been taken */
	uint64_t lost;
	uint64_t lost_asked; /* `lost` when trace_lost_more() was last called */
	unsigned nnames;     /* names[1] to names[nnames] are there */
	unsigned told;       /* names that the reader knows */
	char *names[TRACE_NAMES + 1];
	uint16_t slots[SLOTS]; /* number of the name there; 0: none */
	struct trace_event ring[TRACE_EVENTS];
};

struct trace *trace_on;

bool
trace_begin(uint64_t reader, uint64_t seed)
{
	if (trace_on)
		return false;
	trace_on = mem_calloc(1, sizeof *trace_on);
	trace_on->reader = reader;
	trace_on->seed = seed;
	return true;
}

static void
forget_names(struct trace *t)
{
	for (unsigned i = 1; i <= t->nnames; i++)
		free(t->names[i]);
	memset(t->slots, 0, sizeof t->slots);
	t->nnames = t->told = 0;
}

bool
trace_end(uint64_t reader)
{
	struct trace *t = trace_on;

	if (t == NULL || t->reader != reader)
		return false;
	trace_on = NULL;
	forget_names(t);
	free(t);
	return true;
}

uint64_t
trace_reader(void)
{
	return trace_on ? trace_on->reader : 0;
}

static uint16_t
number_of(struct trace *t, const char *name)
{
	size_t bytes = utf8_fit(name, strnlen(name, TRACE_NAME), TRACE_NAME - 1);
	size_t at;

	if (bytes == 0)
		return 0;
	for (at = fnv_bytes(t->seed, name, bytes) & (SLOTS - 1); t->slots[at];
	     at = (at + 1) & (SLOTS - 1)) {
		const char *there = t->names[t->slots[at]];

		if (strncmp(there, name, bytes) == 0 && there[bytes] == 0)
			return t->slots[at];
	}
	if (t->nnames == TRACE_NAMES)
		return 0;
	t->names[++t->nnames] = mem_strndup(name, bytes);
	t->slots[at] = (uint16_t)t->nnames;
	return (uint16_t)t->nnames;
}

void
trace_add(enum trace_kind kind, int64_t now_us, uint64_t subject, uint64_t other, unsigned state,
	  const char *name, const char *name2)
{
	struct trace *t = trace_on;

	if (t->count == TRACE_EVENTS) {
		t->lost++;
		return;
	}
	t->ring[(t->first + t->count++) & (TRACE_EVENTS - 1)] = (struct trace_event){
	    .at_us = now_us,
	    .subject = subject,
	    .other = other,
	    .name = name ? number_of(t, name) : 0,
	    .name2 = name2 ? number_of(t, name2) : 0,
	    .kind = (uint8_t)kind,
	    .state = (uint8_t)state,
	};
}

unsigned
trace_room(void)
{
	return TRACE_EVENTS - trace_on->count;
}

bool
trace_lost_more(void)
{
	bool more = trace_on->lost > trace_on->lost_asked;

	trace_on->lost_asked = trace_on->lost;
	return more;
}

void
trace_portion(struct buf *out, int64_t now_us, bool more)
{
	struct trace *t = trace_on;
	unsigned n = t->count < TRACE_PORTION ? t->count : TRACE_PORTION;
	struct tracepack_writer w;

	tracepack_begin(&w, out,
			(t->begun ? 0 : TRACEPACK_FIRST) |
			    (n == t->count && !more ? TRACEPACK_ALL : 0),
			now_us, t->lost);
	t->begun = true;
	while (t->told < t->nnames) {
		t->told++;
		tracepack_name(&w, t->told, t->names[t->told]);
	}
	for (unsigned i = 0; i < n; i++)
		tracepack_event(&w, &t->ring[(t->first + i) & (TRACE_EVENTS - 1)]);
	t->count -= n;
	/* An empty ring begins anew, so that only as much memory is touched again and again as
	 * there are events between two portions. */
	t->first = t->count ? (t->first + n) & (TRACE_EVENTS - 1) : 0;
	if (t->count == 0 && t->nnames > TRACE_NAMES / 2)
		forget_names(t);
}
