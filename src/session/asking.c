#include "session/asking.h"

#include "session/context.h"
#include "session/end.h"
#include "session/session.h"

#define QUESTION_MAX (1024 * 1024) /* bytes */

void
asking_begin(struct session *s, enum inquiry_passes passes, bool patient)
{
	struct buf sql;

	buf_init(&sql, QUESTION_MAX);
	context_ask(s, patient, &sql);
	inquiry_ask(s, (char *)buf_data(&sql), passes, INQUIRY_ROWS | INQUIRY_AGAIN);
	buf_clear(&sql);
}

bool
asking_answered(struct session *s, enum inquiry_state how)
{
	bool kept = how == INQUIRY_ANSWERED && context_take(s, inquiry_rows(s));

	if (!kept && !s->hold->pins_doubtful && !s->context.pin) {
		session_fail_setup(
		    s, "what the session has set cannot be kept, and the pool has pin = off");
		return false;
	}
	if (!kept)
		context_untold(s, inquiry_sqlstate(s));
	s->hold->changed = s->hold->pins_doubtful = false;
	return true;
}
