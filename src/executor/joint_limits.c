#include "executor/joint_limits.h"

#include "executor/joint_relay.h"
#include "session/site.h"

static void
ended_by_timeout(struct joint *j, const char *sqlstate, const char *why)
{
	if (!j->broken && joint_server_(j) && stream_open(&j->front))
		joint_end_member_(j, sqlstate, why);
}

static void
idle_too_long(void *arg)
{
	ended_by_timeout(arg, "25P03", "terminating connection due to idle-in-transaction timeout");
}

static void
open_too_long(void *arg)
{
	ended_by_timeout(arg, "25P04", "terminating connection due to transaction timeout");
}

/* `since` counts what the limit begins with. */
static void
keep_limit(struct joint_limit *l, uint64_t ms, uint64_t since)
{
	if (ms == 0) {
		timer_stop(&l->timer);
	} else if (!timer_started(&l->timer) || l->since != since || l->ms != ms) {
		timer_start(&l->timer, (int64_t)ms * 1000);
		l->since = since;
		l->ms = ms;
	}
}

void
joint_keep_limits_(struct joint *j)
{
	bool ended = j->broken || !stream_open(&j->front);

	keep_limit(&j->idle, ended ? 0 : unit_idle_limit_ms(&j->unit), j->unit.answers);
	keep_limit(&j->whole, ended ? 0 : unit_whole_limit_ms(&j->unit), j->unit.units);
}

void
joint_start_limits_(struct joint *j)
{
	timer_init(&j->idle.timer, j->site->loop, idle_too_long, j);
	timer_init(&j->whole.timer, j->site->loop, open_too_long, j);
}
