#include "session/doing.h"

#include "pool/server.h"
#include "scope/stack.h"
#include "wire/sqlcommand.h"

_Static_assert(SQLCOMMAND_N <= DOING_UNNAMED, "a command fits into hold->command");

/* Is the text of the unnamed statement kept? With mode = session it is not. */
static bool
knows_unnamed(const struct session *s)
{
	const char *sql;
	size_t bytes;

	unnamed_effects(s->context.unnamed, &sql, &bytes);
	return bytes > 0;
}

static void
note_text(struct hold *h, const struct message *m)
{
	h->command =
	    (uint8_t)(m->effects.single ? sqlcommand_of_single(m->sql, m->sql_bytes)
					: sqlcommand_of(m->sql, m->sql_bytes, m->effects.lexing));
}

void
doing_note(struct session *s, const struct message *m)
{
	struct hold *h = s->hold;

	switch (m->type) {
	case 'Q':
		if (m->sql)
			note_text(h, m);
		break;
	case 'P':
		if (m->sql && message_is_unnamed(m))
			note_text(h, m);
		break;
	case 'F':
		h->command = SQLCOMMAND_FUNCTION;
		break;
	case 'B':
		if (!message_is_unnamed(m))
			h->command = SQLCOMMAND_OTHER;
		else if (knows_unnamed(s))
			doing_note_unnamed(h);
		break;
	default:
		break;
	}
}

const char *
doing_class(const struct session *s, const struct hold *h)
{
	const char *sql;
	size_t bytes;

	if (h->command != DOING_UNNAMED)
		return sqlcommand_name(h->command);
	unnamed_effects(s->context.unnamed, &sql, &bytes);
	return sqlcommand_name(sqlcommand_of(sql, bytes, 0));
}

struct doing_wait
doing_wait(const struct session *s)
{
	const struct scope *f = s->rare->stack ? stack_innermost(s->rare->stack) : NULL;

	if (s->own->lease.state == LEASE_WAITING)
		return (struct doing_wait){.lease = &s->own->lease};
	if (f && f->own.lease.state == LEASE_WAITING)
		return (struct doing_wait){.lease = &f->own.lease};
	if (f && f->hold.state == LOCK_WAITING)
		return (struct doing_wait){.lock = &f->hold};
	return (struct doing_wait){0};
}

bool
doing_waits(const struct session *s)
{
	struct doing_wait w = doing_wait(s);

	return w.lease || w.lock;
}

const char *
doing_state(const struct session *s, const struct server *srv)
{
	if (doing_waits(s))
		return "waiting";
	if (srv == NULL)
		return "idle";
	if (progress_busy(&srv->progress))
		return "running";
	return srv->progress.status == 'I' ? "idle" : "idle in transaction";
}
