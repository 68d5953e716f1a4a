#include "session/hold.h"

#include "conf/conf.h"
#include "pool/server.h"
#include "session/context.h"
#include "session/deallocate.h"
#include "session/resets.h"
#include "session/sequences.h"
#include "session/session.h"

void
hold_begin(struct session *s)
{
	deallocate_forget(s);
	progress_tell_as_said(&s->lease->srv->progress);
	s->context.unnamed.renewing = s->context.unnamed.changed = false;
	s->context.unnamed.here = s->unpin = s->discard = s->changed = s->undone = false;
	s->cancel_due = false;
	s->context.resetting = false;
	resets_forget(s);
	sequences_lease(s);
	context_keep_told(s);
	if (s->context.mode == CONF_SESSION)
		s->pinned |= SESSION_PIN_MODE;
}
