#include "scope/unit_answer.h"

#include <string.h>

#include "scope/unit_parts.h"
#include "scope/unit_sequence.h"
#include "wire/msg.h"

void
unit_tell_error_(struct unit *u, const char *sqlstate, const char *message, const char *hint)
{
	msg_report(&u->reply, 'E', "ERROR", sqlstate, message, NULL, hint);
	u->failed = true;
}

void
unit_warn_(struct unit *u, const char *sqlstate, const char *message)
{
	msg_report(&u->reply, 'N', "WARNING", sqlstate, message, NULL, NULL);
}

void
unit_tell_tag_(struct unit *u)
{
	if (u->tag[0])
		msg_complete(&u->reply, u->tag);
	u->tag[0] = 0;
}

void
unit_tell_ready_(struct unit *u)
{
	unit_tell_tag_(u);
	for (unsigned n = 1 + unitcopy_take_strays(&u->copy); n > 0; n--)
		msg_ready(&u->reply, u->block ? u->status : 'I');
	/* What it has set has been undone. */
	if (u->block && u->status == 'E') {
		u->exposed = false;
		memcpy(u->limits_ms, u->begun_ms, sizeof u->limits_ms);
	}
	u->answers++;
	u->executed = false;
	u->failed = false;
}

void
unit_end_request_(struct unit *u)
{
	unit_end_text_(u);
	if (u->abandoned) {
		unit_abandon_next_(u);
		return;
	}
	if (u->block || !u->open) {
		if (u->unsure) {
			u->ready = true;
			unit_begin_own_(u, UNIT_OWN_PROBE);
			return;
		}
		if (u->block && u->status == 'T' && u->limited) {
			u->ready = true;
			unit_begin_own_(u, UNIT_OWN_KEEP);
			return;
		}
		u->state = UNIT_REST;
		unit_tell_ready_(u);
		return;
	}
	u->ready = true;
	unit_begin_own_(u, u->failed || u->status != 'T' ? UNIT_OWN_UNDO : UNIT_OWN_LOOK);
}
