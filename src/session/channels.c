#include "session/channels.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "session/heard.h"
#include "session/inquiry.h"
#include "session/kept.h"
#include "wire/sqlclass.h"

#define TO(state) (1u << (state))

static const struct {
	const char *name;
	unsigned next;
} states[LISTENING_NSTATES] = {
    [LISTENING_QUIET] = {"quiet", TO(LISTENING_ASKED) | TO(LISTENING_PASSED) | TO(LISTENING_LOOKS)},
    [LISTENING_ASKED] = {"asked",
			 TO(LISTENING_GRANTED) | TO(LISTENING_REFUSED) | TO(LISTENING_FAILED)},
    [LISTENING_GRANTED] = {"granted", TO(LISTENING_QUIET) | TO(LISTENING_PASSED)},
    [LISTENING_REFUSED] = {"refused", TO(LISTENING_QUIET)},
    [LISTENING_FAILED] = {"failed", TO(LISTENING_QUIET)},
    [LISTENING_PASSED] = {"passed",
			  TO(LISTENING_QUIET) | TO(LISTENING_MARKS) | TO(LISTENING_LOOKS)},
    [LISTENING_MARKS] = {"marks", TO(LISTENING_QUIET)},
    [LISTENING_LOOKS] = {"looks", TO(LISTENING_CLEARS) | TO(LISTENING_QUIET)},
    [LISTENING_CLEARS] = {"clears", TO(LISTENING_QUIET)},
};

void
channels_set_state(struct session *s, enum listening_state to)
{
	struct listening *li = s->rare->listening;

	if (!(states[li->state].next & TO(to)))
		log_fatal("session", s->id, "illegal move of listening",
			  LOG_MOVE(states[li->state].name, states[to].name));
	log_debug("session", s->id, "listening", LOG_MOVE(states[li->state].name, states[to].name));
	li->state = to;
}

/* ---- what the keeper says ---- */

static void
answered(struct listener *l, const struct err *e, bool refused)
{
	struct session *s = l->owner;
	struct listening *li = s->rare->listening;

	channels_set_state(s, e == NULL ? LISTENING_GRANTED
			      : refused ? LISTENING_REFUSED
					: LISTENING_FAILED);
	if (li->state == LISTENING_FAILED)
		err_copy(&li->failed, e);
	stream_resume(&s->stream);
	session_wake(s);
}

bool
channels_give_up(struct session *s, const struct err *e)
{
	struct listening *li = s->rare->listening;

	if (li == NULL || li->state != LISTENING_ASKED)
		return false;
	listener_give_up(&li->listener);
	answered(&li->listener, e, false);
	return true;
}

static void
notified(struct listener *l, const char *channel, size_t channel_bytes, const uint8_t *message,
	 size_t bytes)
{
	struct session *s = l->owner;
	struct listening *li = s->rare->listening;

	if (li->overflown)
		return;
	buf_add(&li->kept, message, bytes);
	li->overflown |= li->kept.failed;
	session_wake(s);
	kept_added(s);
}

static void
synced(struct listener *l)
{
	struct session *s = l->owner;

	s->rare->listening->synced = true;
	session_wake(s);
}

static void
lost(struct listener *l, const char *why)
{
	struct session *s = l->owner;

	free(s->rare->listening->lost);
	s->rare->listening->lost = mem_strdup(why);
	session_wake(s);
}

static const struct listener_ops listener_ops = {answered, notified, kept_converted, synced, lost};

struct listening *
channels_need(struct session *s)
{
	struct listening *li = s->rare->listening;

	if (li)
		return li;
	li = session_rare(s)->listening = mem_calloc(1, sizeof *li);
	listener_init(&li->listener, &listener_ops, s);
	buf_init(&li->kept, KEPT_MAX);
	buf_init(&li->converted, CONVERTED_MAX);
	buf_init(&li->part, HEARD_MAX);
	buf_init(&li->failure, INQUIRY_KEPT_MAX);
	return li;
}

unsigned
channels_count(const struct session *s)
{
	return s->rare->listening ? s->rare->listening->listener.listens : 0;
}

bool
channels_unused(const struct session *s)
{
	const struct listening *li = s->rare->listening;

	return li->state == LISTENING_QUIET && li->listener.keeper == NULL && !li->prepared &&
	       !li->goes && !li->owes_ready && li->ntx == 0 && li->deeds.count == 0 &&
	       li->kept.len == 0 && li->converted.len == 0 && li->part.len == 0 &&
	       li->lost == NULL && !li->overflown;
}

void
channels_end(struct session *s)
{
	if (s->rare->listening)
		listener_clear(&s->rare->listening->listener);
}

void
channels_set_portal(struct session *s, const char *portal)
{
	struct listening *li = s->rare->listening;

	free(li->portal);
	li->portal = portal ? mem_strdup(portal) : NULL;
	li->executed = portal == NULL;
	li->done = 0;
}

void
channels_add_portal(struct session *s, const char *portal, struct deeds *d)
{
	struct listening *li = s->rare->listening;

	channels_settle(li);
	for (unsigned i = 0; i < d->count; i++) {
		struct deed *to = deeds_add(&li->deeds, LISTEN);

		*to = d->list[i];
		d->list[i].spelled = NULL;
	}
	free(li->portal);
	li->portal = mem_strdup(portal);
	li->executed = false;
}

void
channels_settle(struct listening *li)
{
	if (li->executed)
		li->done = li->deeds.count;
	while (li->deeds.count > li->done)
		free(li->deeds.list[--li->deeds.count].spelled);
	li->executed = li->done > 0;
}

bool
channels_set_later(struct listening *li)
{
	if (li->later || li->portal == NULL || li->deeds.count != 1)
		return false;
	li->later = li->portal;
	li->portal = NULL;
	li->due = li->deeds.list[0];
	li->deeds.list[0].spelled = NULL;
	return true;
}

void
channels_forget_later(struct listening *li)
{
	free(li->later);
	free(li->due.spelled);
	li->later = li->due.spelled = NULL;
}

void
channels_forget_transaction(struct listening *li)
{
	channels_forget_later(li);
	deeds_drop(&li->deeds);
	for (unsigned i = 0; i < li->ntx; i++)
		free(li->tx[i].deed.spelled);
	free(li->tx);
	li->tx = NULL;
	li->ntx = li->marks = 0;
	li->suspect = li->mixed = false;
}

void
channels_free(struct session *s)
{
	struct listening *li = s->rare->listening;

	if (li == NULL)
		return;
	channels_forget_transaction(li);
	buf_clear(&li->kept);
	kept_count(s);
	buf_clear(&li->converted);
	buf_clear(&li->part);
	buf_clear(&li->failure);
	free(li->clearing);
	free(li->portal);
	free(li->lost);
	if (li->state == LISTENING_FAILED)
		err_clear(&li->failed);
	free(li);
	s->rare->listening = NULL;
}

unsigned
channels_take(struct session *s, unsigned set)
{
	struct listening *li = s->rare->listening;

	if (set & (SQLCLASS_LISTEN | SQLCLASS_OPAQUE | SQLCLASS_UNSURE | SQLCLASS_EXECUTE))
		li->suspect = true;
	return li->goes && (li->purpose == INSIDE || li->purpose == SINGLE)
		   ? set & ~(unsigned)(SQLCLASS_LISTEN | SQLCLASS_UNLISTEN)
		   : set;
}

/* ---- the handover ---- */

static void
transaction_pack(struct pack *p, struct listening *li)
{
	PACK(p, li->ntx);
	PACK(p, li->marks);
	PACK(p, li->random);
	if (pack_reading(p) && li->ntx > p->left) {
		p->failed = true;
		li->ntx = 0;
	}
	if (pack_reading(p))
		li->tx = mem_calloc(li->ntx + 1, sizeof *li->tx);
	for (unsigned i = 0; i < li->ntx; i++) {
		deed_pack(p, &li->tx[i].deed);
		PACK(p, li->tx[i].mark);
	}
}

void
channels_pack(struct pack *p, struct session *s)
{
	bool there = s->rare->listening != NULL, passed;
	struct listening *li;

	PACK(p, there);
	if (!there)
		return;
	li = channels_need(s);
	/* What the keeper was asked for is asked again. */
	passed = li->state == LISTENING_PASSED;
	PACK(p, passed);
	if (passed)
		li->state = LISTENING_PASSED;
	PACK(p, li->purpose);
	PACK(p, li->mixed);
	PACK(p, li->owes_ready);
	PACK(p, li->suspect);
	PACK(p, li->prepared);
	deeds_pack(p, &li->deeds);
	pack_str(p, &li->portal);
	PACK(p, li->executed);
	PACK(p, li->done);
	pack_str(p, &li->later);
	deed_pack(p, &li->due);
	transaction_pack(p, li);
	pack_buf(p, &li->kept);
	kept_count(s);
	pack_buf(p, &li->converted);
	pack_buf(p, &li->part);
	PACK(p, li->overflown);
	PACK(p, li->in_the_way);
	pack_str(p, &li->lost);
	if (!listener_pack(p, &li->listener, s->pool) && li->lost == NULL)
		li->lost = mem_strdup("it was not handed over");
}
