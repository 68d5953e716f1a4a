#include "session/boundary.h"

#include "base/log.h"
#include "session/session.h"

#define TO(state) (1u << (state))

static const struct {
	const char *name;
	unsigned next;
} states[BOUNDARY_NSTATES] = {
    [BOUNDARY_NONE] = {"none", TO(BOUNDARY_DUE)},
    [BOUNDARY_DUE] = {"due", TO(BOUNDARY_SENT)},
    [BOUNDARY_SENT] = {"sent", TO(BOUNDARY_NONE) | TO(BOUNDARY_FAILED)},
    [BOUNDARY_FAILED] = {"failed", TO(BOUNDARY_NONE)},
};

const char *
boundary_name(enum boundary b)
{
	return states[b].name;
}

void
boundary_set(struct session *s, enum boundary to)
{

	if (!(states[s->extended.boundary].next & TO(to)))
		log_fatal("session", s->id, "illegal move of a boundary",
			  LOG_MOVE(states[s->extended.boundary].name, states[to].name));
	log_debug("session", s->id, "boundary",
		  LOG_MOVE(states[s->extended.boundary].name, states[to].name));
	s->extended.boundary = (uint8_t)to;
}

void
boundary_note_error(struct session *s)
{
	if (s->extended.boundary == BOUNDARY_SENT)
		boundary_set(s, BOUNDARY_FAILED);
}
