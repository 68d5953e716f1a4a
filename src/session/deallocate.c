#include "session/deallocate.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pool/pool.h"
#include "session/lexing.h"
#include "session/site.h"
#include "wire/sqlname.h"
#include "wire/sqltext.h"

/* Adds a name to hold->deallocating. Returns false if it was there already. */
static bool
note_name(struct session *s, const char *name)
{
	bool first = true;

	if (s->hold->deallocating == NULL) {
		s->hold->deallocating = mem_alloc(sizeof *s->hold->deallocating);
		buf_init(s->hold->deallocating, HOLD_DEALLOCATING_MAX);
	}
	for (size_t at = 0; at < s->hold->deallocating->len && first;) {
		const char *other = (const char *)buf_data(s->hold->deallocating) + at;

		first = strcmp(other, name) != 0;
		at += strlen(other) + 1;
	}
	buf_add_str(s->hold->deallocating, name);
	return first;
}

/* Reads the name, or ALL, behind DEALLOCATE. The word PREPARE may stand ahead of it, or be it. */
static void
read_deallocated(struct sqltext *at, struct sqltext_token *t)
{
	struct sqltext_token behind;
	struct sqltext ahead;

	sqltext_token(at, t);
	if (t->word != SQLWORD_PREPARE)
		return;
	ahead = *at;
	sqltext_token(&ahead, &behind);
	if (behind.kind != SQLTEXT_NAME && behind.kind != SQLTEXT_QUOTED)
		return;
	*at = ahead;
	*t = behind;
}

void
deallocate_note(struct session *s, const char *sql, size_t bytes)
{
	struct server *srv = s->hold->lease.srv;
	struct sqltext_token t;
	struct sqltext at;
	char name[SQLNAME_SIZE];
	unsigned flags = lexing_flags(s, NULL);

	srv->progress.watch = true;
	sqltext_init(&at, sql, bytes, flags);
	while (sqltext_token(&at, &t) != SQLTEXT_END) {
		if (t.word != SQLWORD_DEALLOCATE)
			continue;
		read_deallocated(&at, &t);
		if ((t.kind == SQLTEXT_NAME && t.word == SQLWORD_ALL) || t.kind == SQLTEXT_STRING ||
		    sqlname_read(&t, flags, name, sizeof name) <= 0)
			continue;
		/* A decoy is sent in a failed transaction too, since the text may end that before
		 * the DEALLOCATE: an empty statement can be prepared there. */
		if (note_name(s, name) && s->context.names &&
		    names_have(s->context.names, name, strlen(name)))
			prepared_decoy(&srv->prepared, &srv->progress, name, strlen(name),
				       batch_for(s));
		/* The client names a statement of ours: none of them is used again by its name. */
		if (strncmp(name, "pgwith_", 7) == 0) {
			prepared_forget(&srv->prepared);
			srv->prepared.stale = true;
		}
	}
}

bool
deallocate_in_doubt(const struct session *s)
{
	const struct progress *p = &s->hold->lease.srv->progress;

	return p->watch && progress_busy(p);
}

void
deallocate_forget(struct session *s)
{
	hold_drop_deallocating(s->hold);
}

/* One more DEALLOCATE has been carried out: its name is the first of hold->deallocating. */
static void
drop_first_name(struct session *s, struct server *srv)
{
	const char *name;

	if (s->hold->deallocating == NULL || s->hold->deallocating->len == 0)
		return;
	name = (const char *)buf_data(s->hold->deallocating);
	if (s->context.names)
		names_drop(s->context.names, &srv->prepared, name, strlen(name));
	buf_drop(s->hold->deallocating, strlen(name) + 1);
}

void
deallocate_answered(struct session *s)
{
	struct server *srv = s->hold->lease.srv;
	struct progress *p = &srv->progress;

	for (; p->deallocated > 0; p->deallocated--)
		drop_first_name(s, srv);
	if (p->deallocated_all) {
		p->deallocated_all = false;
		if (srv->prepared.tracked.list.count > 0)
			srv->prepared.stale = true;
		if (s->context.names)
			names_clear(s->context.names, &srv->prepared);
		prepared_forget(&srv->prepared);
		deallocate_forget(s);
	}
	if (p->ready_due > 0 || p->extended)
		return;
	p->watch = false;
	/* DEALLOCATEs that were not carried out leave their decoys on the server, under names of
	 * the client. */
	if (s->hold->deallocating && s->hold->deallocating->len > 0)
		srv->prepared.stale = true;
	deallocate_forget(s);
}
