#include "session/script.h"

#include "session/scopes.h"

bool
script_pending(const struct session *s)
{
	return s->scopes && (s->scopes->parts.len > 0 || s->scopes->part_sent);
}

bool
script_more(const struct session *s)
{
	return s->scopes && s->scopes->parts.len > (s->scopes->in_part ? s->scopes->part_bytes : 0);
}

bool
script_waiting(const struct session *s)
{
	return s->scopes && s->scopes->parts.len > 0 && !s->scopes->part_sent;
}

void
script_drop(struct session *s)
{
	if (s->scopes)
		buf_reset(&s->scopes->parts);
}
