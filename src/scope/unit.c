#include "scope/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "scope/unit_parts.h"
#include "scope/unit_sequence.h"
#include "wire/msg.h"

#define REPLY_MAX (4 * UNIT_ERROR_MAX)
#define OUT_MAX   (2 * UNIT_TEXT_MAX + 65536) /* a text, and as many blanks ahead of it */

const char *
unit_state_name(enum unit_state s)
{
	static const char *const names[UNIT_NSTATES] = {
	    [UNIT_REST] = "rest",         [UNIT_OWN] = "own",           [UNIT_QUERY] = "query",
	    [UNIT_EXCHANGE] = "exchange", [UNIT_DRAINING] = "draining", [UNIT_SYNCING] = "syncing",
	};

	return names[s];
}

void
unit_init(struct unit *u, uint64_t random)
{
	*u = (struct unit){.status = 'T'};
	snprintf(u->name, sizeof u->name, "pgwith_unit_%016llx", (unsigned long long)random);
	unitname_init(&u->names);
	unitname_init(&u->sent);
	buf_init(&u->error, UNIT_ERROR_MAX);
	unitlocal_init(&u->locals, u->name);
	buf_init(&u->out, OUT_MAX);
	buf_init(&u->reply, REPLY_MAX);
}

void
unit_clear(struct unit *u)
{
	unitname_clear(&u->names);
	unitname_clear(&u->sent);
	unit_end_text_(u);
	unitlocal_clear(&u->locals);
	grammar_free(u->control);
	u->control = NULL;
	free(u->modes);
	u->modes = NULL;
	free(u->deferred);
	u->deferred = NULL;
	buf_clear(&u->error);
	buf_clear(&u->out);
	buf_clear(&u->reply);
}

void
unit_start(struct unit *u, bool again)
{
	unit_begin_own_(u, again ? UNIT_OWN_RESTART : UNIT_OWN_START);
}

void
unit_tidy(struct unit *u)
{
	unit_begin_own_(u, UNIT_OWN_TIDY);
}

void
unit_abandon(struct unit *u)
{
	unit_end_text_(u);
	grammar_free(u->control);
	u->control = NULL;
	/* A sequence that is under way does not need them any more, and nothing comes behind it. */
	free(u->modes);
	u->modes = NULL;
	u->setting = u->discarding = u->ready = u->captured = u->refused = false;
	u->tag[0] = 0;
	unitname_clear(&u->names);
	unitname_clear(&u->sent);
	u->abandoned = true;
	if (u->copy.open)
		msg_copy_fail(&u->out, "the member is gone");
	u->copy.syncs = 0;
	if (u->state == UNIT_EXCHANGE && !u->drained) {
		msg_sync(&u->out);
		u->state = UNIT_SYNCING;
	} else if (u->state == UNIT_REST || u->state == UNIT_EXCHANGE) {
		unit_abandon_next_(u);
	}
}

bool
unit_can_move(const struct unit *u)
{
	return u->state != UNIT_OWN && u->control == NULL && !u->abandoned && !u->captured &&
	       !u->setting && !u->put_aside && !u->discarding && !u->ready && !u->tag[0] &&
	       u->out.len == 0 && u->reply.len == 0;
}

void
unit_pack(struct pack *p, struct unit *u)
{
	PACK(p, u->state);
	PACK(p, u->open);
	PACK(p, u->block);
	PACK(p, u->failed);
	PACK(p, u->exchange);
	PACK(p, u->drained);
	unitcopy_pack(p, &u->copy);
	PACK(p, u->unsure);
	PACK(p, u->timed);
	PACK(p, u->early);
	PACK(p, u->warns);
	PACK(p, u->last);
	PACK(p, u->executes);
	PACK(p, u->status);
	PACK(p, u->depth);
	PACK(p, u->written);
	PACK(p, u->reads);
	PACK(p, u->began_reading);
	PACK(p, u->executed);
	PACK(p, u->constrains);
	PACK(p, u->exposed);
	PACK(p, u->limited);
	PACK(p, u->limits_ms);
	PACK(p, u->begun_ms);
	PACK(p, u->large);
	PACK(p, u->default_reads);
	PACK(p, u->reads_only);
	PACK(p, u->wary);
	PACK(p, u->name);
	PACK(p, u->flags);
	pack_str(p, &u->text);
	PACK(p, u->text_bytes);
	PACK(p, u->text_at);
	PACK(p, u->text_chars);
	PACK(p, u->text_single);
	PACK(p, u->text_moves);
	PACK(p, u->text_moved);
	unitname_pack(p, &u->names);
	unitname_pack(p, &u->sent);
	unitlocal_pack(p, &u->locals);
	if (!pack_reading(p))
		return;
	u->name[sizeof u->name - 1] = 0;
	u->written[sizeof u->written - 1] = 0;
	if (u->state >= UNIT_NSTATES || u->depth == 0 ||
	    (u->text && (u->text_bytes != strlen(u->text) || u->text_at > u->text_bytes)))
		p->failed = true;
}
