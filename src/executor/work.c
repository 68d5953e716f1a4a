#include "executor/work.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/pack.h"
#include "conf/conf.h"
#include "scope/handover.h"
#include "session/reply.h"
#include "session/session.h"
#include "session/site.h"

#define TO(x) (1u << (x))

static const struct {
	const char *name;
	unsigned next;
} purposes[WORK_NPURPOSES] = {
    [WORK_NONE] = {"none", TO(WORK_ENTER) | TO(WORK_EXIT) | TO(WORK_EXPIRE) | TO(WORK_LEAVE)},
    [WORK_ENTER] = {"enter", TO(WORK_UNDO) | TO(WORK_NONE)},
    [WORK_UNDO] = {"undo", TO(WORK_NONE)},
    [WORK_EXIT] = {"exit", TO(WORK_ENTER) | TO(WORK_NONE)},
    [WORK_EXPIRE] = {"expire", TO(WORK_NONE)},
    [WORK_LEAVE] = {"leave", TO(WORK_NONE)},
};

static const char *const state_names[WORK_NSTATES] = {
    [WORK_NEXT] = "next",       [WORK_USER] = "user",         [WORK_WAIT] = "wait",
    [WORK_SETUP] = "setup",     [WORK_BEGIN] = "begin",       [WORK_RUN] = "run",
    [WORK_POINT] = "point",     [WORK_DEFERRED] = "deferred", [WORK_UNPOINT] = "unpoint",
    [WORK_COMMIT] = "commit",   [WORK_ROLLBACK] = "rollback", [WORK_SAVE] = "save",
    [WORK_MEMBERS] = "members", [WORK_CLEAN] = "clean",       [WORK_CANCELS] = "cancels",
    [WORK_DONE] = "done",
};

/* The moves of EXIT, UNDO and EXPIRE. */
#define EXITS                                                                                  \
	[WORK_NEXT] = TO(WORK_RUN) | TO(WORK_ROLLBACK) | TO(WORK_DONE) | TO(WORK_CANCELS) |    \
		      TO(WORK_MEMBERS),                                                        \
	[WORK_MEMBERS] = TO(WORK_NEXT),                                                        \
	[WORK_POINT] = TO(WORK_DEFERRED) | TO(WORK_RUN) | TO(WORK_ROLLBACK),                   \
	[WORK_DEFERRED] = TO(WORK_UNPOINT), [WORK_UNPOINT] = TO(WORK_RUN) | TO(WORK_ROLLBACK), \
	[WORK_ROLLBACK] = TO(WORK_ROLLBACK) | TO(WORK_RUN), [WORK_SAVE] = TO(WORK_DONE),       \
	[WORK_DONE] = TO(WORK_NEXT)
#define RUNS TO(WORK_POINT) | TO(WORK_DEFERRED) | TO(WORK_SAVE)

static const unsigned states[WORK_NPURPOSES][WORK_NSTATES] = {
    [WORK_ENTER] =
	{
	    [WORK_NEXT] = TO(WORK_USER) | TO(WORK_WAIT) | TO(WORK_SETUP) | TO(WORK_CANCELS),
	    [WORK_USER] = TO(WORK_NEXT),
	    [WORK_WAIT] = TO(WORK_NEXT) | TO(WORK_SETUP),
	    /* If the server does not take the session's parameters, another one is wanted. */
	    [WORK_SETUP] = TO(WORK_BEGIN) | TO(WORK_WAIT) | TO(WORK_SETUP),
	    [WORK_BEGIN] = TO(WORK_RUN) | TO(WORK_NEXT),
	    [WORK_RUN] = TO(WORK_RUN) | TO(WORK_NEXT),
	},
    [WORK_UNDO] = {EXITS, [WORK_RUN] = RUNS},
    [WORK_EXIT] = {EXITS, [WORK_RUN] = RUNS | TO(WORK_COMMIT),
		   [WORK_COMMIT] = TO(WORK_RUN) | TO(WORK_ROLLBACK)},
    [WORK_EXPIRE] = {EXITS, [WORK_RUN] = RUNS},
    [WORK_LEAVE] = {[WORK_NEXT] = TO(WORK_CLEAN) | TO(WORK_DONE),
		    [WORK_CLEAN] = TO(WORK_DONE),
		    [WORK_DONE] = TO(WORK_NEXT)},
};

static const struct {
	const char *name;
	unsigned next;
} phases[WORK_NPHASES] = {
    [WORK_BEFORE] = {"before", TO(WORK_BEFORE) | TO(WORK_AFTER) | TO(WORK_CLEANUP)},
    [WORK_AFTER] = {"after", TO(WORK_BEFORE) | TO(WORK_CLEANUP)},
    [WORK_CLEANUP] = {"cleanup", TO(WORK_BEFORE)},
};

bool
work_may_turn(enum work_purpose from, enum work_purpose to)
{
	return purposes[from].next & TO(to);
}

bool
work_may_move(enum work_purpose purpose, enum work_state from, enum work_state to)
{
	return states[purpose][from] & TO(to);
}

bool
work_may_phase(enum work_phase from, enum work_phase to)
{
	return phases[from].next & TO(to);
}

const char *
work_purpose_name(enum work_purpose purpose)
{
	return purposes[purpose].name;
}

const char *
work_state_name(enum work_state state)
{
	return state_names[state];
}

enum work_purpose
work_purpose(const struct session *s)
{
	return s->rare->work ? s->rare->work->purpose : WORK_NONE;
}

/* ---- setters ---- */

void
work_turn(struct work *work, enum work_purpose to)
{
	enum work_purpose from = work->purpose;

	if (!work_may_turn(from, to))
		log_fatal("session", work->session->id, "illegal move of its purpose",
			  LOG_MOVE(purposes[from].name, purposes[to].name));
	log_debug("session", work->session->id, "purpose",
		  LOG_MOVE(purposes[from].name, purposes[to].name));
	work->purpose = to;
	work->state = WORK_NEXT;
}

void
work_set_state(struct work *work, enum work_state to)
{
	enum work_state from = work->state;

	if (!work_may_move(work->purpose, from, to))
		log_fatal("session", work->session->id, "illegal move of its work",
			  LOG_MOVE(state_names[from], state_names[to]),
			  LOG_TEXT("purpose", purposes[work->purpose].name));
	log_debug("session", work->session->id, "work",
		  LOG_MOVE(state_names[from], state_names[to]));
	work->state = to;
}

void
work_set_phase(struct work *work, enum work_phase to)
{
	enum work_phase from = work->phase;

	if (!work_may_phase(from, to))
		log_fatal("session", work->session->id, "illegal move of its phase",
			  LOG_MOVE(phases[from].name, phases[to].name));
	if (from != to)
		log_debug("session", work->session->id, "phase",
			  LOG_MOVE(phases[from].name, phases[to].name));
	work->phase = to;
}

/* ---- the beginning and the end ---- */

struct work *
work_begin(struct session *s, enum work_purpose purpose)
{
	struct work *work;

	scopes_prepare(s);
	if (s->rare->work)
		log_fatal("session", s->id, "its work has not ended",
			  LOG_TEXT("purpose", purposes[s->rare->work->purpose].name));
	work = mem_calloc(1, sizeof *work);
	work->session = s;
	list_init(&work->run);
	buf_init(&work->failure, REPLY_ERROR_MAX);
	work_turn(work, purpose);
	session_rare(s)->work = work;
	return work;
}

void
work_clear(struct work *work)
{
	struct list_node *n;

	while ((n = list_first(&work->run)) != NULL) {
		list_remove(&work->run, n);
		deferred_free(LIST_OBJ(n, struct deferred, node));
	}
	conf_scope_drop(work->def);
	grammar_free(work->statement);
	buf_clear(&work->failure);
}

static void
free_work(void *arg)
{
	struct work *work = arg;

	/* Functions that were on the stack when the work ended may have set the timer. */
	timer_stop(&work->timer);
	work_clear(work);
	free(work);
}

void
work_end(struct work *work)
{
	work_turn(work, WORK_NONE);
	timer_stop(&work->timer);
	work->session->rare->work = NULL;
	loop_defer(work->session->site->loop, free_work, work);
}

/* ---- handover ---- */

/* Returns NULL if there is none. */
static struct work *
begun_pack(struct pack *p, struct session *s)
{
	struct work *work = s->rare->work;
	enum work_purpose purpose = work_purpose(s);
	enum work_state state = work ? work->state : WORK_NEXT;

	PACK(p, purpose);
	PACK(p, state);
	if (!pack_reading(p))
		return work;
	if (p->failed || purpose == WORK_NONE)
		return NULL;
	if (purpose != WORK_ENTER || state != WORK_WAIT) {
		p->failed = true;
		return NULL;
	}
	work = work_begin(s, WORK_ENTER);
	work_set_state(work, WORK_WAIT);
	return work;
}

bool
work_pack(struct pack *p, struct session *s)
{
	struct work *work = begun_pack(p, s);
	uint32_t frame = STACK_NOWHERE;
	bool good = true;
	char *def;

	if (work == NULL)
		return true;
	if (work->frame)
		frame = stack_place(s->rare->stack, work->frame);
	def = work->def ? work->def->name : NULL;
	PACK(p, work->answer_type);
	grammar_pack(p, &work->statement);
	PACK(p, frame);
	pack_str(p, &def);
	PACK(p, work->item);
	PACK(p, work->entered);
	deferred_list_pack(p, &work->run);
	PACK(p, work->wait_us);
	PACK(p, work->contended);
	PACK(p, work->timed_out);
	PACK(p, work->rollback);
	PACK(p, work->good);
	PACK(p, work->exited);
	PACK(p, work->exit_us);
	PACK(p, work->began_us);
	pack_buf(p, &work->failure);
	if (!pack_reading(p))
		return true;
	work->frame = stack_at(s->rare->stack, frame);
	if (def) {
		work->def = conf_scope_keep(conf_scope(s->site->conf, def));
		good = work->def != NULL;
	}
	free(def);
	if (work->frame == NULL || work->statement == NULL || work->item >= work->statement->nitems)
		p->failed = true;
	return good;
}
