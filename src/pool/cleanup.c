#include "pool/cleanup.h"

#include <string.h>

#include "base/log.h"
#include "wire/msg.h"

/* In a pipeline each query has to be cancelled: again when the next one starts, and after this
 * time, because a cancel that arrives between two queries hits neither. */
#define RECANCEL_US 100000
/* tries of a statement of the owner's: a cancel that comes late can hit the first one */
#define ATTEMPTS 2
/* tries of a statement of our own: a statement_timeout that the session has set can hit many */
#define OWN_MAX 20

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
set_cleanup_state(struct cleanup *c, enum cleanup_state to, int64_t now_us)
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
	set_cleanup_state(c, CLEANUP_CANCELLING, now_us);
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
	set_cleanup_state(c, CLEANUP_BROKEN, now_us);
	c->broken_why = why;
}

void
cleanup_over(struct cleanup *c)
{
	set_cleanup_state(c, CLEANUP_NONE, 0);
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
move_to_done(struct cleanup *c, struct todo_stmt *s)
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

/* Notes what became of the statement that was running: everything has been answered. If a late
 * cancel has hit the statement, it stays due and runs once more. */
static void
note_outcome(struct cleanup *c, struct progress *p, int64_t now_us)
{
	struct todo_stmt *s = first_due(c);

	c->running = p->texts = false;
	/* It has deallocated statements that other sessions share: DISCARD ALL makes the server's
	 * list true again. */
	c->discard |= p->deallocated_all || p->deallocated > 0;
	p->watch = p->deallocated_all = false;
	p->deallocated = 0;
	if (strcmp(p->error, "57014") == 0 && c->attempts < ATTEMPTS && !c->copy_failed &&
	    !ran_out(c, now_us))
		return;
	move_to_done(c, s);
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
		move_to_done(c, s);
		return;
	}
	c->attempts++;
	c->sent = c->running = true;
	c->copy_failed = false;
	/* What the lease itself has deallocated, before the session has read the answer. */
	c->discard |= p->deallocated_all || p->deallocated > 0;
	p->texts = p->watch = true;
	p->deallocated_all = false;
	p->deallocated = 0;
}

/* ---- the steps: each returns true if there is more to do at once ---- */

/* The lease ended normally, so nothing of the client's runs and no cancel is needed, unless we
 * ourselves have sent something. */
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
		/* Completing the message with made-up bytes could execute half a statement. */
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
	set_cleanup_state(c, CLEANUP_DRAINING, now_us);
	return true;
}

/* The state that follows when no transaction is open. */
static enum cleanup_state
after_rollback(const struct cleanup *c)
{
	return first_due(c) ? CLEANUP_RUNNING : CLEANUP_RESTORING;
}

static void
at_rest(struct cleanup *c, const struct progress *p, int64_t now_us)
{
	c->rollbacks = 0;
	set_cleanup_state(
	    c, p->status == 'I' && !p->half_begun ? after_rollback(c) : CLEANUP_ROLLING_BACK,
	    now_us);
}

static bool
draining(struct cleanup *c, struct progress *p, int64_t now_us, struct buf *out)
{
	progress_finish(p, out);
	/* It is not known how many answers are due: ask with a mark, and ask again if a cancel may
	 * have hit that question. */
	if (p->unsure || (p->marked && !c->sent)) {
		progress_mark(p, out);
		c->sent = true;
	}
	if (!progress_at_rest(p)) {
		/* Until the mark is answered, ReadyForQuery is not counted: then only the time says
		 * when to cancel again. */
		bool next_query = c->readies != p->readies && !p->marked;

		if (progress_busy(p) && (c->cancels > 0 || p->marked) &&
		    (next_query || now_us - c->cancelled_us >= RECANCEL_US)) {
			c->readies = p->readies;
			set_cleanup_state(c, CLEANUP_CANCELLING, now_us);
			return true;
		}
		return false;
	}
	if (c->running)
		note_outcome(c, p, now_us);
	/* The server has refused the session's parameters: the session must not go on with
	 * others. */
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
	/* A transaction that was half begun ends by ROLLBACK even if that fails. */
	if (p->status == 'I') {
		p->half_begun = false;
		set_cleanup_state(c, after_rollback(c), now_us);
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
			set_cleanup_state(c, CLEANUP_CANCELLING, now_us);
			return true;
		}
		/* We have no data for a COPY IN: it is made to fail, and a Sync may be due behind
		 * that. */
		c->copy_failed |= p->copy == COPY_IN;
		if (p->copy == COPY_IN || p->skipping)
			progress_finish(p, out);
		return false;
	}
	note_outcome(c, p, now_us);
	if (p->unsure)
		set_cleanup_state(c, CLEANUP_CANCELLING, now_us);
	else
		at_rest(c, p, now_us);
	return true;
}

static bool
restoring(struct cleanup *c, struct progress *p, int64_t now_us, struct buf *out)
{
	if (c->discard && !c->keep && !c->sent) {
		/* If DISCARD ALL was cancelled, the cause may be the session's statement_timeout:
		 * switch that off, then try again. */
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
	/* DISCARD ALL has undone all parameters, also those that the server had refused in part. */
	if (c->sent)
		p->own_failed = false;
	set_cleanup_state(c, CLEANUP_DONE, now_us);
	return false;
}

/* Is the time over? No step may take more than half of the limit, so that after one that hangs
 * there is time to tell the owner. A statement of the owner's that takes too long is cancelled in
 * running(). */
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

	/* Queries of the client's that the server has skipped need no answer any more: the client
	 * has gone, or has been told. */
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
