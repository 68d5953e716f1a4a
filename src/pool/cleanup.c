#include "pool/cleanup.h"

#include <string.h>

#include "base/log.h"
#include "wire/msg.h"

/* A query of a pipeline that follows a cancelled one is cancelled when it starts, or after this. A
 * cancel that hits the moment between two queries is lost, so asking again is not optional. */
#define RECANCEL_US 100000
#define ATTEMPTS    2 /* of a statement of our own: a late cancel can hit the first */

#define TO(state) (1u << (state))

static const struct {
	const char *name;
	unsigned next;
} states[CLEANUP_NSTATES] = {
    [CLEANUP_NONE] = {"none", TO(CLEANUP_CANCELLING)},
    [CLEANUP_CANCELLING] = {"cancelling", TO(CLEANUP_DRAINING) | TO(CLEANUP_BROKEN)},
    [CLEANUP_DRAINING] = {"draining", TO(CLEANUP_CANCELLING) | TO(CLEANUP_ROLLING_BACK) |
					  TO(CLEANUP_RESTORING) | TO(CLEANUP_BROKEN)},
    [CLEANUP_ROLLING_BACK] = {"rolling_back", TO(CLEANUP_RESTORING) | TO(CLEANUP_BROKEN)},
    [CLEANUP_RESTORING] = {"restoring", TO(CLEANUP_DONE) | TO(CLEANUP_BROKEN)},
    [CLEANUP_DONE] = {"done", TO(CLEANUP_NONE)},
    [CLEANUP_BROKEN] = {"broken", TO(CLEANUP_NONE)},
};

static const char *const whys[CLEANUP_NWHY] = {
    [CLEANUP_CLIENT_GONE] = "client gone",       [CLEANUP_CLIENT_LEFT] = "client left",
    [CLEANUP_CLIENT_REFUSED] = "client refused", [CLEANUP_SHUTDOWN] = "shutdown",
    [CLEANUP_CANCEL_PENDING] = "cancel pending", [CLEANUP_RESTORE] = "session state",
};

const char *
cleanup_state_name(enum cleanup_state s)
{
	return states[s].name;
}

const char *
cleanup_why_name(enum cleanup_why why)
{
	return whys[why];
}

static void
enter(struct cleanup *c, enum cleanup_state to, int64_t now_us)
{
	if (!(states[c->state].next & TO(to)))
		log_fatal("cleanup: illegal move %s -> %s", states[c->state].name, states[to].name);
	c->state = to;
	c->step_us = now_us;
	c->sent = false;
}

void
cleanup_start(struct cleanup *c, enum cleanup_why why, bool discard, int64_t limit_us,
	      int64_t now_us)
{
	enum cleanup_state state = c->state;

	memset(c, 0, sizeof *c);
	c->state = state;
	c->why = why;
	c->discard = discard;
	c->limit_us = limit_us;
	c->started_us = now_us;
	enter(c, CLEANUP_CANCELLING, now_us);
}

void
cleanup_break(struct cleanup *c, const char *why, int64_t now_us)
{
	enter(c, CLEANUP_BROKEN, now_us);
	c->broken_why = why;
}

void
cleanup_over(struct cleanup *c)
{
	enter(c, CLEANUP_NONE, 0);
}

/* Returns true if there is more to do at once. */
static bool
cancelling(struct cleanup *c, struct progress *p, unsigned cancels, int64_t now_us,
	   struct cleanup_do *todo)
{
	if (p->to_left > 0) {
		/* Made-up bytes could execute half a statement. */
		cleanup_break(c, "the client left in the middle of a message", now_us);
		return false;
	}
	/* After a normal end nothing runs, unless that is in doubt and no answer comes. */
	if (!c->sent && progress_busy(p) && (c->why != CLEANUP_CANCEL_PENDING || p->marked)) {
		c->sent = true;
		c->cancels++;
		c->readies = p->readies;
		todo->cancel = true;
		return false;
	}
	if (cancels > 0)
		return false;
	c->cancelled_us = now_us;
	enter(c, CLEANUP_DRAINING, now_us);
	return true;
}

static bool
draining(struct cleanup *c, struct progress *p, int64_t now_us, struct buf *out)
{
	progress_finish(p, out);
	/* What is due cannot be told: asked at once, and again when a cancel may have hit that. */
	if (p->unsure || (p->marked && !c->sent)) {
		progress_mark(p, out);
		c->sent = true;
	}
	if (!progress_at_rest(p)) {
		/* While marked, what is answered is not counted: only time tells. */
		bool next_query = c->readies != p->readies && !p->marked;

		if (progress_busy(p) && (c->cancels > 0 || p->marked) &&
		    (next_query || now_us - c->cancelled_us >= RECANCEL_US)) {
			c->readies = p->readies;
			enter(c, CLEANUP_CANCELLING, now_us);
			return true;
		}
		return false;
	}
	enter(c, p->status == 'I' ? CLEANUP_RESTORING : CLEANUP_ROLLING_BACK, now_us);
	return true;
}

static void
send_own(struct cleanup *c, struct progress *p, const char *sql, struct buf *out)
{
	progress_forget_error(p);
	msg_query(out, sql);
	progress_sent(p, 'Q');
	c->sent = true;
}

static bool
rolling_back(struct cleanup *c, struct progress *p, int64_t now_us, struct buf *out)
{
	if (!c->sent) {
		c->rollbacks++;
		send_own(c, p, "ROLLBACK", out);
		return false;
	}
	if (!progress_at_rest(p))
		return false;
	if (p->status == 'I') {
		enter(c, CLEANUP_RESTORING, now_us);
		return true;
	}
	if (strcmp(p->error, "57014") == 0 && c->rollbacks < ATTEMPTS) {
		c->sent = false;
		return true;
	}
	cleanup_break(c, "ROLLBACK failed", now_us);
	return false;
}

static bool
restoring(struct cleanup *c, struct progress *p, int64_t now_us, struct buf *out)
{
	if (c->discard && !c->sent) {
		c->restores++;
		send_own(c, p, "DISCARD ALL", out);
		return false;
	}
	if (!progress_at_rest(p))
		return false;
	if (c->sent && strcmp(p->error, "57014") == 0 && c->restores < ATTEMPTS) {
		c->sent = false;
		return true;
	}
	if (c->sent && p->error[0]) {
		cleanup_break(c, "DISCARD ALL failed", now_us);
		return false;
	}
	enter(c, CLEANUP_DONE, now_us);
	return false;
}

/* No step may take more than half of the whole limit, so that one that hangs leaves time for the
 * news. */
static bool
too_late(struct cleanup *c, int64_t now_us)
{
	static const char *const late[CLEANUP_NSTATES] = {
	    [CLEANUP_CANCELLING] = "time ran out while cancelling",
	    [CLEANUP_DRAINING] = "time ran out while draining",
	    [CLEANUP_ROLLING_BACK] = "time ran out while rolling back",
	    [CLEANUP_RESTORING] = "time ran out while restoring",
	};

	if (late[c->state] == NULL ||
	    (now_us - c->started_us < c->limit_us && now_us - c->step_us < c->limit_us / 2))
		return false;
	cleanup_break(c, late[c->state], now_us);
	return true;
}

struct cleanup_do
cleanup_step(struct cleanup *c, struct progress *p, unsigned cancels, int64_t now_us,
	     struct buf *out)
{
	struct cleanup_do todo = {0};
	bool more = !too_late(c, now_us);

	while (more) {
		switch (c->state) {
		case CLEANUP_CANCELLING:
			more = cancelling(c, p, cancels, now_us, &todo);
			break;
		case CLEANUP_DRAINING:
			more = draining(c, p, now_us, out);
			break;
		case CLEANUP_ROLLING_BACK:
			more = rolling_back(c, p, now_us, out);
			break;
		case CLEANUP_RESTORING:
			more = restoring(c, p, now_us, out);
			break;
		default:
			more = false;
		}
	}
	return todo;
}
