#include "pool/cleanup.h"

#include <string.h>

#include "base/log.h"
#include "wire/msg.h"

/* A query of a pipeline that follows a cancelled one is cancelled when it starts, or after this. A
 * cancel that hits the moment between two queries is lost, so asking again is not optional. */
#define RECANCEL_US 100000
#define ATTEMPTS    2  /* of a statement of the owner's: a late cancel can hit the first */
#define OWN_MAX     20 /* of one of our own: a statement_timeout of the session's can hit many */

#define TO(state) (1u << (state))

static const struct {
	const char *name;
	unsigned next;
} states[CLEANUP_NSTATES] = {
    [CLEANUP_NONE] = {"none", TO(CLEANUP_CANCELLING)},
    [CLEANUP_CANCELLING] = {"cancelling", TO(CLEANUP_DRAINING) | TO(CLEANUP_BROKEN)},
    [CLEANUP_DRAINING] = {"draining", TO(CLEANUP_CANCELLING) | TO(CLEANUP_ROLLING_BACK) |
					  TO(CLEANUP_RUNNING) | TO(CLEANUP_RESTORING) |
					  TO(CLEANUP_BROKEN)},
    [CLEANUP_ROLLING_BACK] = {"rolling_back",
			      TO(CLEANUP_RUNNING) | TO(CLEANUP_RESTORING) | TO(CLEANUP_BROKEN)},
    [CLEANUP_RUNNING] = {"running", TO(CLEANUP_RUNNING) | TO(CLEANUP_CANCELLING) |
					TO(CLEANUP_ROLLING_BACK) | TO(CLEANUP_RESTORING) |
					TO(CLEANUP_BROKEN)},
    [CLEANUP_RESTORING] = {"restoring", TO(CLEANUP_DONE) | TO(CLEANUP_BROKEN)},
    [CLEANUP_DONE] = {"done", TO(CLEANUP_NONE)},
    [CLEANUP_BROKEN] = {"broken", TO(CLEANUP_NONE)},
};

static const char *const whys[CLEANUP_NWHY] = {
    [CLEANUP_CLIENT_GONE] = "client gone",
    [CLEANUP_CLIENT_LEFT] = "client left",
    [CLEANUP_CLIENT_REFUSED] = "client refused",
    [CLEANUP_KILLED] = "killed",
    [CLEANUP_SHUTDOWN] = "shutdown",
    [CLEANUP_CANCEL_PENDING] = "cancel pending",
    [CLEANUP_RESTORE] = "session state",
    [CLEANUP_SCOPE_END] = "scope ended",
    [CLEANUP_TIME_LIMIT] = "time limit",
    [CLEANUP_HALF_BEGUN] = "half begun",
    [CLEANUP_UNREAD] = "unread",
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
		log_fatal("cleanup", LOG_ALONE, "illegal move",
			  LOG_MOVE(states[c->state].name, states[to].name));
	log_debug("server", c->server, "cleanup", LOG_MOVE(states[c->state].name, states[to].name));
	c->state = to;
	c->step_us = now_us;
	c->sent = false;
}

void
cleanup_start(struct cleanup *c, enum cleanup_why why, struct todo *todo, bool keep, bool discard,
	      int64_t limit_us, int64_t now_us)
{
	enum cleanup_state state = c->state;
	uint64_t server = c->server;

	memset(c, 0, sizeof *c);
	c->state = state;
	c->server = server;
	c->why = why;
	c->discard = discard && !keep;
	c->keep = keep;
	c->limit_us = limit_us;
	c->started_us = c->limited_us = now_us;
	todo_init(&c->due);
	todo_init(&c->done);
	if (todo)
		todo_move(&c->due, todo);
	enter(c, CLEANUP_CANCELLING, now_us);
}

void
cleanup_keep_not(struct cleanup *c)
{
	c->discard |= c->keep;
	c->keep = false;
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
	todo_clear(&c->due);
	todo_clear(&c->done);
}

static struct todo_stmt *
first_due(const struct cleanup *c)
{
	struct list_node *n = list_first(&c->due.list);

	return n ? LIST_OBJ(n, struct todo_stmt, node) : NULL;
}

void
cleanup_abandon(struct cleanup *c, const char *why)
{
	struct list_node *n;

	LIST_EACH (n, &c->due.list) {
		todo_fail(LIST_OBJ(n, struct todo_stmt, node), c->running ? "08007" : "08006", why);
		c->running = false;
	}
	todo_move(&c->done, &c->due);
}

/* ---- the lease's statements ---- */

static void
be_done(struct cleanup *c, struct todo_stmt *s)
{
	c->attempts = 0;
	list_remove(&c->due.list, &s->node);
	list_append(&c->done.list, &s->node);
}

static bool
ran_out(const struct cleanup *c, int64_t now_us)
{
	return now_us - c->limited_us >= c->limit_us / 2;
}

/* Everything is answered: what became of the one that was running? It stays due if a late cancel
 * has hit it. */
static void
settle(struct cleanup *c, struct progress *p, int64_t now_us)
{
	struct todo_stmt *s = first_due(c);

	c->running = p->texts = false;
	/* Prepared statements are gone that others count on. */
	c->discard |= p->deallocated_all || p->deallocated > 0;
	p->watch = p->deallocated_all = false;
	p->deallocated = 0;
	if (strcmp(p->error, "57014") == 0 && c->attempts < ATTEMPTS && !c->copy_failed &&
	    !ran_out(c, now_us))
		return;
	be_done(c, s);
	if (p->error[0])
		todo_fail(s, p->error, p->error_text);
	else if (p->status != 'I')
		todo_fail(s, "25001", "it left a transaction open, which was rolled back");
}

static void
run_first(struct cleanup *c, struct progress *p, int64_t now_us, struct buf *out)
{
	struct todo_stmt *s = first_due(c);

	if (c->attempts == 0)
		c->limited_us = now_us;
	if (todo_send(s, p, out) < 0) {
		todo_fail(s, "54000", "it is too long");
		be_done(c, s);
		return;
	}
	c->attempts++;
	c->sent = c->running = true;
	c->copy_failed = false;
	/* The lease's own, of which the session has not heard. */
	c->discard |= p->deallocated_all || p->deallocated > 0;
	p->texts = p->watch = true;
	p->deallocated_all = false;
	p->deallocated = 0;
}

/* ---- the steps: each returns true if there is more to do at once ---- */

/* Then nothing runs, unless that is in doubt and no answer comes, or it is our own. */
static bool
ended_well(const struct cleanup *c)
{
	return c->why == CLEANUP_CANCEL_PENDING || c->why == CLEANUP_SCOPE_END ||
	       c->why == CLEANUP_HALF_BEGUN || c->why == CLEANUP_UNREAD;
}

static bool
cancelling(struct cleanup *c, struct progress *p, unsigned cancels, int64_t now_us,
	   struct cleanup_do *todo)
{
	if (p->to_left > 0) {
		/* Made-up bytes could execute half a statement. */
		cleanup_break(c, "the client left in the middle of a message", now_us);
		return false;
	}
	if (!c->sent && progress_busy(p) && (!ended_well(c) || p->marked || c->running)) {
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

/* What is next, without a transaction to be left. */
static enum cleanup_state
after_rollback(const struct cleanup *c)
{
	return first_due(c) ? CLEANUP_RUNNING : CLEANUP_RESTORING;
}

static void
at_rest(struct cleanup *c, const struct progress *p, int64_t now_us)
{
	c->rollbacks = 0;
	enter(c, p->status == 'I' && !p->half_begun ? after_rollback(c) : CLEANUP_ROLLING_BACK,
	      now_us);
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
	if (c->running)
		settle(c, p, now_us);
	/* What the lease goes on with would not have the session's parameters. */
	if (c->keep && p->own_failed) {
		cleanup_break(c, "it refused the parameters of the session", now_us);
		return false;
	}
	at_rest(c, p, now_us);
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
	/* Of a transaction that was half begun, an error is the end. */
	if (p->status == 'I') {
		p->half_begun = false;
		enter(c, after_rollback(c), now_us);
		return true;
	}
	if (strcmp(p->error, "57014") == 0 && c->rollbacks < OWN_MAX) {
		c->sent = false;
		return true;
	}
	cleanup_break(c, "ROLLBACK failed", now_us);
	return false;
}

static bool
running(struct cleanup *c, struct progress *p, int64_t now_us, struct buf *out)
{
	if (!c->sent) {
		run_first(c, p, now_us, out);
		if (c->sent)
			return false;
		at_rest(c, p, now_us);
		return true;
	}
	if (!progress_at_rest(p)) {
		if (ran_out(c, now_us)) {
			enter(c, CLEANUP_CANCELLING, now_us);
			return true;
		}
		/* Data for a COPY IN there is none. Behind its failure a Sync may be due. */
		c->copy_failed |= p->copy == COPY_IN;
		if (p->copy == COPY_IN || p->skipping)
			progress_finish(p, out);
		return false;
	}
	settle(c, p, now_us);
	if (p->unsure)
		enter(c, CLEANUP_CANCELLING, now_us);
	else
		at_rest(c, p, now_us);
	return true;
}

static bool
restoring(struct cleanup *c, struct progress *p, int64_t now_us, struct buf *out)
{
	if (c->discard && !c->keep && !c->sent) {
		/* After one that was cut short, the limit that may have done it is lifted first. */
		c->lifting = c->restores > 0 && !c->lifting;
		c->restores++;
		send_own(c, p, c->lifting ? "SET statement_timeout = 0" : "DISCARD ALL", out);
		return false;
	}
	if (!progress_at_rest(p))
		return false;
	if (c->sent && (c->lifting || strcmp(p->error, "57014") == 0) && c->restores < OWN_MAX) {
		c->sent = false;
		return true;
	}
	if (c->sent && p->error[0]) {
		cleanup_break(c, "DISCARD ALL failed", now_us);
		return false;
	}
	/* Those of a session that were refused are gone with all the others. */
	if (c->sent)
		p->own_failed = false;
	enter(c, CLEANUP_DONE, now_us);
	return false;
}

/* No step may take more than half of the whole limit, so that one that hangs leaves time for the
 * news. A statement that does is cancelled: running() sees to that. */
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
	    (now_us - c->limited_us < c->limit_us && now_us - c->step_us < c->limit_us / 2))
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

	/* Whoever was to get the answers to what the server has skipped is gone, or told. */
	p->rescue = 0;
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
		case CLEANUP_RUNNING:
			more = running(c, p, now_us, out);
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
