#include "session/waiting.h"

#include "scope/waits.h"
#include "session/effects.h"
#include "session/end.h"
#include "session/listening.h"
#include "session/reply.h"
#include "session/script.h"
#include "session/site.h"
#include "session/slow.h"
#include "wire/frame.h"

static void
drop_first_message(struct session *s)
{
	struct frame f;

	frame_read(buf_data(s->in), s->in->len, &f);
	if (s->in->len >= FRAME_HEADER + f.body) {
		session_drop_kept(s, FRAME_HEADER + f.body);
	} else {
		s->drop_left = (uint32_t)(FRAME_HEADER + f.body - s->in->len);
		session_drop_kept(s, s->in->len);
	}
}

void
waiting_refused(struct session *s, const struct err *e)
{
	char type = s->in->len && !script_pending(s) ? (char)*buf_data(s->in) : 'Q';

	if (s->state == SESSION_WAITING && slow_wanted(s->pool)) {
		slow_watch(s);
		slow_refused(s, e->sqlstate);
	}
	if (s->state == SESSION_WAITING)
		session_set_state(s, SESSION_IDLE);
	if (e->id == ERR_SHUTDOWN) {
		session_fail(s, e);
		return;
	}
	effects_forget(s);
	if (s->rare->listening)
		listening_judged(s, DROP);
	if (script_pending(s))
		script_drop(s);
	else if (s->in->len >= FRAME_HEADER)
		drop_first_message(s);
	reply_refuse(s, type, e);
	stream_resume(&s->stream);
	session_wake(s);
}

void
waiting_give_up(struct session *s, const struct err *e)
{
	lease_leave(&s->hold->lease);
	/* It may have got a server in this very event. */
	if (s->hold->lease.state == LEASE_HELD)
		lease_return(&s->hold->lease, false);
	waits_end(&s->site->waits, s->id);
	waiting_refused(s, e);
}
