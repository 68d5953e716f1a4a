#include "session/listening.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/mem.h"
#include "pool/keeper.h"
#include "pool/pool.h"
#include "session/batch.h"
#include "session/end.h"
#include "session/lexing.h"
#include "session/reply.h"
#include "session/scopes.h"
#include "session/script.h"
#include "session/site.h"
#include "wire/frame.h"
#include "wire/msg.h"
#include "wire/sqlclass.h"
#include "wire/sqlname.h"
#include "wire/sqltext.h"

#define SQL_MAX    (64 * 1024)
#define DEEDS_MAX  1000        /* of one text */
#define PORTION    (64 * 1024) /* bytes of notifications that are sent in one write */
#define READY_SIZE 6           /* bytes of a ReadyForQuery */

/* One LISTEN or UNLISTEN. */
struct deed {
	enum { LISTEN, UNLISTEN, UNLISTEN_ALL } what;
	char name[KEEPER_NAME + 1]; /* as the server writes it */
};

struct deeds {
	struct deed *list;
	unsigned count;
	/* The text has nothing else, and all is understood for certain. */
	bool only;
};

struct listening {
	struct listener listener;
	enum listening_state state;
	struct err failed;   /* FAILED */
	struct deeds deeds;  /* ASKED, PASSED: what is done when that has succeeded */
	struct buf kept;     /* whole messages for the client */
	bool overflown;      /* there was no room in `kept` */
	char *lost;          /* why the keeper was lost; or NULL */
};

#define TO(state) (1u << (state))

static const struct {
	const char *name;
	unsigned next;
} states[LISTENING_NSTATES] = {
    [LISTENING_QUIET] = {"quiet", TO(LISTENING_ASKED) | TO(LISTENING_PASSED)},
    [LISTENING_ASKED] = {"asked", TO(LISTENING_GRANTED) | TO(LISTENING_REFUSED) |
				      TO(LISTENING_FAILED) | TO(LISTENING_QUIET)},
    [LISTENING_GRANTED] = {"granted", TO(LISTENING_QUIET)},
    [LISTENING_REFUSED] = {"refused", TO(LISTENING_QUIET) | TO(LISTENING_PASSED)},
    [LISTENING_FAILED] = {"failed", TO(LISTENING_QUIET)},
    [LISTENING_PASSED] = {"passed", TO(LISTENING_QUIET)},
};

static void
set_state(struct session *s, enum listening_state to)
{
	struct listening *li = s->rare->listening;

	if (!(states[li->state].next & TO(to)))
		log_fatal("session", s->id, "illegal move of listening",
			  LOG_MOVE(states[li->state].name, states[to].name));
	log_debug("session", s->id, "listening", LOG_MOVE(states[li->state].name, states[to].name));
	li->state = to;
}

/* ---- what a text says ---- */

static void
drop_deeds(struct deeds *d)
{
	free(d->list);
	*d = (struct deeds){0};
}

static bool
same_encoding(const struct session *s)
{
	const char *server = told_get(s->context.told, "server_encoding");
	const char *client = told_get(s->context.told, "client_encoding");

	return server && client && strcasecmp(server, client) == 0;
}

/* Reads the name of a channel. False: it is not certain how the server writes it. */
static bool
read_channel(const struct session *s, const struct sqltext_token *tok, unsigned flags,
	     char name[KEEPER_NAME + 1])
{
	bool ascii = sqlname_is_ascii(tok->start, tok->length);

	if (tok->kind == SQLTEXT_NAME)
		return ascii && tok->length <= KEEPER_NAME &&
		       sqlname_read(tok, flags, name, KEEPER_NAME + 1) > 0;
	return tok->kind == SQLTEXT_QUOTED && *tok->start == '"' &&
	       tok->length <= KEEPER_NAME + 2 && (ascii || same_encoding(s)) &&
	       sqlname_read(tok, flags, name, KEEPER_NAME + 1) > 0;
}

/* Is it known that an UNLISTEN of this name is no error: is it in quotes, or has it been listened to
 * in this spelling? */
static bool
is_valid(const struct session *s, const struct sqltext_token *tok, const struct deeds *d,
	 const char *name)
{
	const struct listening *li = s->rare->listening;

	if (tok->kind == SQLTEXT_QUOTED)
		return true;
	if (li && listener_has(&li->listener, name, strlen(name)) == LISTENER_LISTENS)
		return true;
	for (unsigned i = 0; i < d->count; i++)
		if (d->list[i].what == LISTEN && strcmp(d->list[i].name, name) == 0)
			return true;
	return false;
}

static struct deed *
add_deed(struct deeds *d, int what)
{
	struct deed *deed;

	d->list = mem_realloc(d->list, (d->count + 1) * sizeof *d->list);
	deed = &d->list[d->count++];
	deed->what = what;
	deed->name[0] = 0;
	return deed;
}

/* Reads one statement up to its end, from its second token on. Adds "; LISTEN name" to `sql`. Returns
 * false if it is not understood. */
static bool
read_deed(const struct session *s, struct sqltext *at, bool listen, struct deeds *d,
	  struct buf *sql)
{
	struct sqltext_token tok, end;
	char name[KEEPER_NAME + 1];

	sqltext_token(at, &tok);
	if (!listen && sqltext_is_char(&tok, '*')) {
		add_deed(d, UNLISTEN_ALL);
	} else if (!read_channel(s, &tok, at->flags, name) ||
		   (!listen && !is_valid(s, &tok, d, name))) {
		return false;
	} else {
		memcpy(add_deed(d, listen ? LISTEN : UNLISTEN)->name, name, sizeof name);
	}
	if (listen) {
		buf_add_fmt(sql, sql->len > 0 ? ";LISTEN " : "LISTEN ");
		buf_add(sql, tok.start, tok.length);
	}
	sqltext_token(at, &end);
	return end.kind == SQLTEXT_END || end.kind == SQLTEXT_SPLIT;
}

/* Reads all LISTEN and UNLISTEN of a text. */
static void
read_text(const struct session *s, const char *text, size_t bytes, unsigned flags, struct deeds *d,
	  struct buf *sql)
{
	struct sqltext at, from;
	struct sqltext_token tok;
	bool begins = true;

	*d = (struct deeds){.only = true};
	sqltext_init(&at, text, bytes, flags);
	while (sqltext_token(&at, &tok) != SQLTEXT_END) {
		bool listen = sqltext_is_word(&tok, "listen");

		if (tok.kind == SQLTEXT_SPLIT) {
			begins = true;
			continue;
		}
		if (!begins || (!listen && !sqltext_is_word(&tok, "unlisten")) ||
		    d->count >= DEEDS_MAX) {
			begins = d->only = false;
			continue;
		}
		from = at;
		if (!read_deed(s, &at, listen, d, sql)) {
			d->only = begins = false;
			at = from;
		}
	}
	if (at.unterminated || d->count == 0)
		d->only = false;
}

/* ---- the keeper ---- */

static void
answered(struct listener *l, const struct err *e, bool refused)
{
	struct session *s = l->owner;
	struct listening *li = s->rare->listening;

	set_state(s, e == NULL  ? LISTENING_GRANTED
		     : refused ? LISTENING_REFUSED
			       : LISTENING_FAILED);
	if (li->state == LISTENING_FAILED)
		err_copy(&li->failed, e);
	stream_resume(&s->stream);
	session_wake(s);
}

static void
notified(struct listener *l, const char *channel, size_t channel_bytes, const uint8_t *message,
	 size_t bytes)
{
	struct session *s = l->owner;
	struct listening *li = s->rare->listening;

	buf_add(&li->kept, message, bytes);
	li->overflown |= li->kept.failed;
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

static const struct listener_ops listener_ops = {answered, notified, lost};

static struct listening *
need_listening(struct session *s)
{
	struct listening *li = s->rare->listening;

	if (li)
		return li;
	li = session_rare(s)->listening = mem_calloc(1, sizeof *li);
	listener_init(&li->listener, &listener_ops, s);
	buf_init(&li->kept, LISTENING_MAX);
	return li;
}

unsigned
listening_channels(const struct session *s)
{
	return s->rare->listening ? s->rare->listening->listener.listens : 0;
}

void
listening_end(struct session *s)
{
	if (s->rare->listening)
		listener_clear(&s->rare->listening->listener);
}

void
listening_free(struct session *s)
{
	struct listening *li = s->rare->listening;

	if (li == NULL)
		return;
	drop_deeds(&li->deeds);
	buf_clear(&li->kept);
	free(li->lost);
	if (li->state == LISTENING_FAILED)
		err_clear(&li->failed);
	free(li);
	s->rare->listening = NULL;
}

/* Carries out what the keeper, or the server, has granted. */
static void
do_deeds(struct listening *li)
{
	for (unsigned i = 0; i < li->deeds.count; i++) {
		const struct deed *d = &li->deeds.list[i];

		if (d->what == UNLISTEN_ALL)
			listener_drop_all(&li->listener, false);
		else if (d->what == UNLISTEN)
			listener_drop(&li->listener, d->name, strlen(d->name));
	}
	drop_deeds(&li->deeds);
}

/* ---- giving ---- */

/* May the client get notifications now: is it outside of a transaction, between messages? */
static bool
may_give(const struct session *s)
{
	const struct progress *p;

	if (stream_is_slow(&s->stream) || (s->rare->stack && scopes_open(s)) ||
	    s->block.state != BLOCK_NONE || script_pending(s))
		return false;
	switch (s->state) {
	case SESSION_IDLE:
	case SESSION_WAITING:
		return true;
	case SESSION_ACTIVE:
		p = &s->hold->lease.srv->progress;
		return progress_at_rest(p) && p->status == 'I' && !p->extended;
	default:
		return false;
	}
}

/* How many bytes of whole messages, up to PORTION or one message. */
static size_t
portion_of(const struct buf *kept)
{
	size_t at = 0;
	struct frame f;

	while (frame_read(buf_data(kept) + at, kept->len - at, &f) == 0 &&
	       (at == 0 || at + FRAME_HEADER + f.body <= PORTION))
		at += FRAME_HEADER + f.body;
	return at;
}

static void
give(struct session *s)
{
	struct listening *li = s->rare->listening;

	while (li->kept.len > 0 && may_give(s)) {
		size_t n = portion_of(&li->kept);

		s->pool->stats.sent += n;
		reply_send(s, buf_data(&li->kept), n);
		buf_drop(&li->kept, n);
	}
}

/* The session listens, and has to end. */
static bool
must_end(struct session *s)
{
	struct listening *li = s->rare->listening;
	struct err e;

	if (session_gone(s) || (li->lost == NULL && !li->overflown))
		return false;
	if (li->lost)
		err_make(&e, ERR_LISTEN_LOST, s->pool->conf->name, li->lost);
	else
		err_make(&e, ERR_LISTEN_SLOW, LISTENING_MAX / 1024 / 1024);
	session_fail(s, &e);
	err_clear(&e);
	return true;
}

void
listening_turn(struct session *s)
{
	if (!must_end(s))
		give(s);
}

void
listening_reply(struct session *s, const uint8_t *data, size_t bytes)
{
	static const uint8_t ready[READY_SIZE] = {'Z', 0, 0, 0, 5, 'I'};
	struct listening *li = s->rare->listening;

	/* Behind the last ReadyForQuery there may be only messages that end with a NUL. */
	if (li->kept.len > 0 && may_give(s) && bytes >= READY_SIZE &&
	    memcmp(data + bytes - READY_SIZE, ready, READY_SIZE) == 0) {
		reply_send(s, data, bytes - READY_SIZE);
		give(s);
		data += bytes - READY_SIZE;
		bytes = READY_SIZE;
	}
	if (!session_gone(s))
		reply_send(s, data, bytes);
}

void
listening_answered(struct session *s)
{
	struct listening *li = s->rare->listening;
	const struct progress *p = &s->hold->lease.srv->progress;

	if (li->state != LISTENING_PASSED)
		return;
	set_state(s, LISTENING_QUIET);
	if (p->error[0] == 0 && p->status == 'I')
		do_deeds(li);
	drop_deeds(&li->deeds);
	stream_resume(&s->stream);
	session_wake(s);
}

void
listening_discard(struct session *s)
{
	if (s->rare->listening)
		listener_drop_all(&s->rare->listening->listener, false);
}

/* ---- judging ---- */

static enum verdict
hold(struct session *s)
{
	stream_pause(&s->stream);
	return HOLD;
}

/* Answers the text that the keeper has carried out. */
static enum verdict
answer_query(struct session *s)
{
	struct listening *li = s->rare->listening;
	struct buf out;

	buf_init(&out, SQL_MAX);
	for (unsigned i = 0; i < li->deeds.count; i++)
		msg_complete(&out, li->deeds.list[i].what == LISTEN ? "LISTEN" : "UNLISTEN");
	do_deeds(li);
	/* A simple Query ends the unnamed statement. */
	unnamed_forget(s->context.unnamed,
		       s->hold->lease.srv ? &s->hold->lease.srv->prepared.tracked : NULL);
	s->activity.request_us = loop_now_us(s->site->loop);
	reply_ready(s, &out);
	reply_send_buf(s, &out);
	buf_clear(&out);
	return session_gone(s) ? OVER : DROP;
}

static enum verdict
fail_query(struct session *s)
{
	struct listening *li = s->rare->listening;
	struct err e = li->failed;

	li->failed = (struct err){.id = ERR_NONE};
	drop_deeds(&li->deeds);
	return reply_refuse_message(s, 'Q', &e);
}

/* Asks the keeper for what the text says. */
static enum verdict
ask(struct session *s, struct deeds *d, struct buf *sql)
{
	struct listening *li = need_listening(s);
	struct buf names;

	buf_init(&names, SQL_MAX);
	for (unsigned i = 0; i < d->count; i++)
		if (d->list[i].what == LISTEN)
			buf_add_str(&names, d->list[i].name);
	buf_add_u8(sql, 0);
	drop_deeds(&li->deeds);
	li->deeds = *d;
	*d = (struct deeds){0};
	set_state(s, LISTENING_ASKED);
	keeper_ask(s->pool, &li->listener, (char *)buf_data(sql), (char *)buf_data(&names),
		   names.len, false);
	buf_clear(&names);
	return hold(s);
}

/* The text goes to the server. If it is one that ends listening, it does so for the keeper's
 * channels, too, when it has succeeded. */
static enum verdict
pass(struct session *s, struct deeds *d)
{
	struct listening *li = s->rare->listening;

	if (li == NULL || li->listener.listens == 0 || d->count == 0)
		return FORWARD;
	drop_deeds(&li->deeds);
	li->deeds = *d;
	*d = (struct deeds){0};
	set_state(s, LISTENING_PASSED);
	if (s->state == SESSION_ACTIVE)
		progress_forget_error(&s->hold->lease.srv->progress);
	return FORWARD;
}

/* Does the server owe an answer, or is an exchange of the extended protocol open? */
static bool
is_under_way(const struct session *s)
{
	return s->state == SESSION_ACTIVE && !progress_at_rest(&s->hold->lease.srv->progress);
}

/* Is the client in a transaction, or in a scope? */
static bool
is_inside(const struct session *s)
{
	return s->block.state != BLOCK_NONE || (s->rare->stack && scopes_open(s)) ||
	       (s->state == SESSION_ACTIVE && s->hold->lease.srv->progress.status != 'I');
}

static enum verdict
judge_query(struct session *s, struct message *m, bool refused)
{
	struct deeds d;
	struct buf sql;
	enum verdict v;

	if (!message_is_whole(m) || !message_is_well_formed(m) || m->effects.unsure ||
	    script_pending(s) || is_inside(s))
		return FORWARD;
	if (is_under_way(s)) {
		if (s->hold->lease.srv->progress.extended)
			return FORWARD;
		return hold(s);
	}
	buf_init(&sql, SQL_MAX);
	read_text(s, m->sql, m->sql_bytes, lexing_flags(s, NULL), &d, &sql);
	if (d.only && !refused && !sql.failed && !(s->hold->pinned & SQLCLASS_LISTEN)) {
		v = ask(s, &d, &sql);
	} else {
		/* DISCARD ALL stands alone: end_lease() in outbound.c tells of it. */
		v = pass(s, &d);
	}
	drop_deeds(&d);
	buf_clear(&sql);
	return v;
}

enum verdict
listening_judge(struct session *s, struct message *m)
{
	struct listening *li = s->rare->listening;
	enum listening_state state = li ? li->state : LISTENING_QUIET;

	switch (state) {
	case LISTENING_ASKED:
	case LISTENING_PASSED:
		return hold(s);
	case LISTENING_GRANTED:
		set_state(s, LISTENING_QUIET);
		return answer_query(s);
	case LISTENING_FAILED:
		set_state(s, LISTENING_QUIET);
		return fail_query(s);
	case LISTENING_REFUSED:
		set_state(s, LISTENING_QUIET);
		break;
	default:
		break;
	}
	if (!(m->effects.set & (SQLCLASS_LISTEN | SQLCLASS_UNLISTEN)) || m->type != 'Q' ||
	    !s->context.listens)
		return FORWARD;
	return judge_query(s, m, state == LISTENING_REFUSED);
}

/* ---- the handover ---- */

static void
deeds_pack(struct pack *p, struct deeds *d)
{
	PACK(p, d->count);
	if (pack_reading(p) && d->count > DEEDS_MAX) {
		p->failed = true;
		d->count = 0;
	}
	if (pack_reading(p))
		d->list = mem_calloc(d->count + 1, sizeof *d->list);
	for (unsigned i = 0; i < d->count; i++)
		PACK(p, d->list[i]);
}

void
listening_pack(struct pack *p, struct session *s)
{
	bool there = s->rare->listening != NULL, passed;
	struct listening *li;

	PACK(p, there);
	if (!there)
		return;
	li = need_listening(s);
	/* What the keeper was asked for is asked again. */
	passed = li->state == LISTENING_PASSED;
	PACK(p, passed);
	if (passed) {
		deeds_pack(p, &li->deeds);
		li->state = LISTENING_PASSED;
	}
	pack_buf(p, &li->kept);
	PACK(p, li->overflown);
	pack_str(p, &li->lost);
	if (!listener_pack(p, &li->listener, s->pool) && li->lost == NULL)
		li->lost = mem_strdup("it was not handed over");
}
