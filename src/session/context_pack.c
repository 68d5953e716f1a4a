#include "session/context_pack.h"

#include <string.h>

#include "base/atom.h"
#include "base/mem.h"
#include "base/pack.h"
#include "pool/prepared_pack.h"
#include "pool/told.h"
#include "session/control.h"
#include "session/resets.h"
#include "session/session.h"
#include "session/shown.h"
#include "session/site.h"

/* The list is made of names: name NUL name NUL ... NUL. */
static void
unlisted_pack(struct pack *p, char **list)
{
	uint8_t *data = (uint8_t *)*list;
	size_t bytes = 0;

	for (const char *at = *list; !pack_reading(p) && at && *at; at += strlen(at) + 1)
		bytes = (size_t)(at - *list) + strlen(at) + 2;
	pack_blob(p, &data, &bytes);
	if (pack_reading(p))
		*list = (char *)data;
}

static void
startup_pack(struct pack *p, struct context *c, struct atoms *atoms)
{
	atom_pack_blob(p, atoms, &c->startup);
}

/* The members that are plain values. */
static void
plain_members_pack(struct pack *p, struct context *c)
{
	PACK(p, c->mode);
	PACK(p, c->pin);
	PACK(p, c->listens);
	PACK(p, c->unproven);
	PACK(p, c->litters);
	PACK(p, c->accepted);
	PACK(p, c->refused);
	PACK(p, c->resets);
	PACK(p, c->resets_named);
	PACK(p, c->resets_local);
	PACK(p, c->resets_role_unread);
	PACK(p, c->resetting);
	PACK(p, c->resets_failed);
	PACK(p, c->last_server);
}

static void
names_of_session_pack(struct pack *p, struct session *s, struct packed_texts *texts)
{
	struct context *c = &s->context;
	bool there = c->names != NULL;

	PACK(p, there);
	if (there && c->names == NULL) {
		c->names = mem_alloc(sizeof *c->names);
		names_init(c->names, &s->site->pools.statements);
	}
	if (there)
		names_pack(p, c->names, texts);
}

static void
unnamed_of_session_pack(struct pack *p, struct context *c)
{
	bool there = c->unnamed != NULL;

	PACK(p, there);
	if (there)
		unnamed_pack(p, unnamed_make(&c->unnamed));
}

void
context_pack(struct pack *p, struct session *s, struct packed_texts *texts)
{
	struct context *c = &s->context;

	plain_members_pack(p, c);
	atom_pack_str(p, &s->site->atoms, &c->application);
	atom_pack_str(p, &s->site->atoms, &c->application_told);
	atom_pack_str(p, &s->site->atoms, &c->application_set);
	shown_pack(p, s);
	told_pack(p, &s->site->pools.told, &c->told);
	told_pack(p, &s->site->pools.told, &c->greeted);
	pack_str(p, &c->parameters_sql);
	startup_pack(p, c, &s->site->atoms);
	unlisted_pack(p, &c->unlisted);
	names_of_session_pack(p, s, texts);
	unnamed_of_session_pack(p, c);
	control_pack(p, s);
	resets_pack(p, s);
}
