#include "pool/unnamed.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "wire/msg.h"

#define TEXT_MAX (64 * 1024) /* bytes of a Parse that is kept, at most */

struct unnamed_text {
	unsigned refs;
	unsigned effects;
	bool uncached, uncached_infers; /* unnamed_note_uncached() */
	bool inert;                     /* unnamed_note_inert() */
	uint64_t hash;                  /* the same */
	/* 0: the text was too long to be kept, and only its effects are known */
	size_t bytes;
	uint8_t body[]; /* body of the Parse message, its empty name first */
};

/* A Parse that is under way. */
struct unnamed_parse {
	struct tracked tracked;
	struct tracked_list *all;
	struct unnamed *unnamed; /* NULL: the session has forgotten it */
	struct unnamed_text *before;
	struct description *described_before;
	bool before_here;
	/* a Parse of ours, of the text that the session has: if it fails, the statement stays */
	bool own;
	/* Another statement stands in for the server's unnamed one, which is as before. */
	bool stands_in;
	bool redo;            /* if it fails, the exchange may be done again */
	uint64_t number;      /* of that statement */
	uint64_t before_once; /* tracked_list.once before it was sent */
	struct unnamed_parse *earlier, *later;
};

/* A Describe that is under way: the client's, or ours behind a Parse of ours. */
struct unnamed_describe {
	struct tracked tracked;
	struct unnamed *unnamed; /* NULL: the session has forgotten it */
	uint64_t changes;        /* unnamed.changes when it was sent */
	bool renews;
	struct description *got;
};

struct unnamed *
unnamed_make(struct unnamed **u)
{
	if (*u == NULL)
		*u = mem_calloc(1, sizeof **u);
	return *u;
}

void
unnamed_drop(struct unnamed **u)
{
	if (*u == NULL || (*u)->text || (*u)->described || (*u)->last)
		return;
	free(*u);
	*u = NULL;
}

void
unnamed_begin_lease(struct unnamed *u)
{
	if (u)
		u->here = u->renewing = u->changed = u->waits = false;
}

static struct unnamed_text *
text_keep(struct unnamed_text *t)
{
	if (t)
		t->refs++;
	return t;
}

static void
text_drop(struct unnamed_text *t)
{
	if (t && --t->refs == 0)
		free(t);
}

/* The SQL text of a statement that was kept; "" if it was not. */
static const char *
sql_of(const struct unnamed_text *t, size_t *bytes)
{
	const char *sql = t && t->bytes > 0 ? (const char *)t->body + 1 : "";

	*bytes = *sql ? strnlen(sql, t->bytes - 1) : 0;
	return sql;
}

/* A Parse has failed, or was skipped: what it had replaced is there again. */
static void
restore(struct unnamed *u, struct unnamed_parse *parse, enum progress_end end)
{
	/* If another Parse was sent since, behind a Sync, that one restores from what this one had
	 * replaced. */
	struct unnamed_parse *later = parse->later;
	struct unnamed_text **text = later ? &later->before : &u->text;
	bool *here = later ? &later->before_here : &u->here;
	uint64_t *once = later ? &later->before_once : &parse->all->once;
	struct description **described = later ? &later->described_before : &u->described;
	/* A Parse that fails has removed the statement before it all the same. */
	bool gone = end == PROGRESS_FAILED && !parse->own;

	text_drop(*text);
	description_put(*described);
	*text = gone ? NULL : text_keep(parse->before);
	*described = gone ? NULL : description_ref(parse->described_before);
	*once = gone ? 0 : parse->before_once;
	/* Where something stood in, the server's own may be another session's. */
	*here = gone ? !parse->stands_in : parse->before_here && !parse->own;
	u->waits &= later != NULL;
}

static void
parse_ended(struct tracked *t, enum progress_end end)
{
	struct unnamed_parse *parse = (struct unnamed_parse *)t;
	struct unnamed *u = end == PROGRESS_LOST ? NULL : parse->unnamed;

	if (u && end != PROGRESS_DONE)
		restore(u, parse, end);
	if (parse->stands_in && end == PROGRESS_FAILED)
		parse->all->refused = parse->number;
	if (parse->redo)
		parse->all->unconfirmed = false;
	if (u && u->last == parse)
		u->last = parse->earlier;
	if (u && parse->earlier)
		parse->earlier->later = parse->later;
	if (u && parse->later)
		parse->later->earlier = parse->earlier;
	text_drop(parse->before);
	description_put(parse->described_before);
	/* Keep the memory: many clients need one in each exchange. */
	if (parse->all->spare == NULL)
		parse->all->spare = parse;
	else
		free(parse);
}

static bool
is_loose(const struct unnamed_text *t)
{
	size_t bytes;
	const char *sql = sql_of(t, &bytes);

	return text_is_loose(sql, bytes);
}

static void
describe_ended(struct tracked *t, enum progress_end end)
{
	struct unnamed_describe *describe = (struct unnamed_describe *)t;
	struct unnamed *u = end == PROGRESS_LOST ? NULL : describe->unnamed;
	struct description *d = describe->got;

	if (u && u->changes == describe->changes) {
		if (describe->renews) {
			u->renewing = false;
			u->here = end == PROGRESS_DONE &&
				  (description_equal(u->described, d) || is_loose(u->text));
			u->changed = end == PROGRESS_DONE && !u->here;
		} else if (end == PROGRESS_DONE && d && d->complete) {
			description_put(u->described);
			u->described = description_ref(d);
		}
	}
	description_put(d);
	free(describe);
}

static void
describe_answered(struct tracked *t, char type, const uint8_t *body, size_t bytes)
{
	description_take(&((struct unnamed_describe *)t)->got, type, body, bytes);
}

static void
send_describe(struct unnamed *u, struct tracked_list *all, struct progress *p, unsigned flags,
	      bool renews)
{
	struct unnamed_describe *describe = mem_calloc(1, sizeof *describe);

	describe->unnamed = u;
	describe->changes = u->changes;
	describe->renews = renews;
	progress_sent_as(p, flags | PROGRESS_TRACKED | PROGRESS_LOOK);
	tracked_add(all, &describe->tracked, p, describe_ended);
	describe->tracked.described = describe_answered;
}

static void
begin_parse(struct unnamed *u, struct tracked_list *all, struct progress *p, unsigned flags)
{
	struct unnamed_parse *parse = all->spare ? all->spare : mem_alloc(sizeof *parse);

	all->spare = NULL;
	*parse =
	    (struct unnamed_parse){.all = all,
				   .unnamed = u,
				   .before = text_keep(u->text),
				   .before_here = u->here,
				   .own = (flags & PROGRESS_OWN) && !(flags & PROGRESS_STANDS_IN),
				   .redo = flags & PROGRESS_REDO,
				   .before_once = all->once,
				   .described_before = u->described,
				   .earlier = u->last};
	/* A new Parse of the client's may be another statement: its description is not known. */
	if (parse->own)
		description_ref(u->described);
	else
		u->described = NULL;
	u->renewing = u->changed = u->waits = false;
	u->changes++;
	if (u->last)
		u->last->later = parse;
	u->last = parse;
	progress_sent_as(p, flags | PROGRESS_TRACKED);
	tracked_add(all, &parse->tracked, p, parse_ended);
	u->here = true;
	all->once = 0;
}

/* The session's text is that of the Parse now, if all of that is here. */
static void
set_text(struct unnamed *u, const uint8_t *body, size_t have, size_t bytes, unsigned effects)
{
	size_t kept = have == bytes && bytes <= TEXT_MAX ? bytes : 0;
	struct unnamed_text *t;

	if (kept > 0 && unnamed_is_same(u, body, bytes) && u->text->effects == effects) {
		/* Many programs send the same text again and again. */
		t = text_keep(u->text);
	} else {
		t = mem_alloc(sizeof *t + kept);
		*t = (struct unnamed_text){.refs = 1, .effects = effects, .bytes = kept};
		memcpy(t->body, body, kept);
	}
	text_drop(u->text);
	u->text = t;
	u->waits = kept == 0;
}

void
unnamed_parse(struct unnamed *u, struct tracked_list *all, struct progress *p, const uint8_t *body,
	      size_t have, size_t bytes, unsigned effects)
{
	if (p->skipping)
		return;
	begin_parse(u, all, p, 0);
	set_text(u, body, have, bytes, effects);
}

void
unnamed_stand_in(struct unnamed *u, struct tracked_list *all, struct progress *p,
		 const uint8_t *body, size_t bytes, unsigned flags, uint64_t number,
		 struct description *d)
{
	begin_parse(u, all, p, flags);
	u->last->stands_in = true;
	u->last->number = number;
	all->once = number;
	all->stood = true;
	if (body)
		set_text(u, body, bytes, bytes, 0);
	u->described = description_ref(d);
	if (flags & PROGRESS_REDO) {
		all->unconfirmed = true;
		all->unconfirmed_syncs = p->syncs;
	}
}

void
unnamed_note_uncached(struct unnamed *u, bool infers)
{
	if (u == NULL || u->text == NULL)
		return;
	u->text->uncached = true;
	u->text->uncached_infers |= infers;
}

bool
unnamed_is_uncached(const struct unnamed *u, bool infers)
{
	return u && u->text && (infers ? u->text->uncached_infers : u->text->uncached);
}

void
unnamed_note_inert(struct unnamed *u, uint64_t hash)
{
	u->text->inert = true;
	u->text->hash = hash;
}

bool
unnamed_is_inert(const struct unnamed *u, const uint8_t *body, size_t bytes, uint64_t *hash)
{
	if (u == NULL || u->text == NULL || !u->text->inert || !unnamed_is_same(u, body, bytes))
		return false;
	*hash = u->text->hash;
	return true;
}

bool
unnamed_is_same(const struct unnamed *u, const uint8_t *body, size_t bytes)
{
	return bytes > 0 && u && u->text && u->text->bytes == bytes &&
	       memcmp(u->text->body, body, bytes) == 0;
}

void
unnamed_again(struct unnamed *u, struct tracked_list *all, struct progress *p)
{
	if (!p->skipping)
		begin_parse(u, all, p, 0);
}

void
unnamed_close(struct unnamed *u, struct tracked_list *all, struct progress *p)
{
	if (p->skipping)
		return;
	begin_parse(u, all, p, 0);
	text_drop(u->text);
	u->text = NULL;
}

void
unnamed_ask(struct unnamed *u, struct tracked_list *all, struct progress *p, struct buf *out)
{
	size_t at = msg_begin(out, 'D');

	buf_add_u8(out, 'S');
	buf_add_u8(out, 0);
	msg_end(out, at);
	send_describe(u, all, p, PROGRESS_OWN, false);
}

/* Prepares the statement once more, with the parameter types of its description, and asks for its
 * description now. */
static void
prepare_again(struct unnamed *u, struct tracked_list *all, struct progress *p, struct buf *out)
{
	const struct description *d = u->described;
	size_t at = msg_begin(out, 'P'), bytes;

	buf_add_u8(out, 0);
	buf_add_str(out, sql_of(u->text, &bytes));
	buf_add_u16(out, d->ntypes);
	for (unsigned i = 0; i < d->ntypes; i++)
		buf_add_u32(out, d->types[i]);
	msg_end(out, at);
	begin_parse(u, all, p, PROGRESS_OWN);
	at = msg_begin(out, 'D');
	buf_add_u8(out, 'S');
	buf_add_u8(out, 0);
	msg_end(out, at);
	send_describe(u, all, p, PROGRESS_OWN, true);
	u->here = false;
	u->renewing = true;
	/* The client's Sync stands behind the message that waits, so only a Flush makes the server
	 * answer. */
	msg_flush(out);
	p->flushed = true;
}

enum unnamed_use
unnamed_need(struct unnamed *u, struct tracked_list *all, struct progress *p, struct buf *out)
{
	bool kept = u && u->text && u->text->bytes > 0;
	size_t at;

	if (p->skipping)
		return UNNAMED_READY;
	if (u && u->changed) {
		/* As in prepared.c: not into the middle of a message. */
		if (p->from_have > 0)
			return UNNAMED_WAIT;
		u->changed = u->here = false;
		return UNNAMED_CHANGED;
	}
	if (unnamed_is_here(u))
		return UNNAMED_READY;
	if (u && u->renewing)
		return UNNAMED_WAIT;
	if (kept && u->described && (p->copy != COPY_IN || p->copy_ended)) {
		prepare_again(u, all, p, out);
		return UNNAMED_WAIT;
	}
	if (kept) {
		begin_parse(u, all, p, PROGRESS_OWN);
		at = msg_begin(out, 'P');
		buf_add(out, u->text->body, u->text->bytes);
		msg_end(out, at);
		return UNNAMED_READY;
	}
	/* The session has none, or one that was on another server and not kept: closes what this
	 * server has of another session, so that the server itself refuses the use. */
	progress_sent_as(p, PROGRESS_OWN);
	at = msg_begin(out, 'C');
	buf_add_u8(out, 'S');
	buf_add_str(out, "");
	msg_end(out, at);
	return UNNAMED_READY;
}

void
unnamed_describe(struct unnamed *u, struct tracked_list *all, struct progress *p)
{
	send_describe(u, all, p, 0, false);
}

void
unnamed_bound(struct unnamed *u)
{
	if (u)
		u->waits = false;
}

bool
unnamed_has_effects(const struct unnamed *u)
{
	return u && u->text && u->text->effects;
}

unsigned
unnamed_effects(const struct unnamed *u, const char **sql, size_t *bytes)
{
	*sql = sql_of(u ? u->text : NULL, bytes);
	return u && u->text ? u->text->effects : 0;
}

bool
unnamed_has_text(const struct unnamed *u)
{
	return u && u->text && u->text->bytes > 0;
}

bool
unnamed_in_doubt(const struct unnamed *u, const struct tracked_list *all, const struct progress *p)
{
	const struct list_node *l;

	if (u == NULL)
		return false;
	LIST_EACH (l, &all->list) {
		const struct tracked *t = LIST_OBJ(l, const struct tracked, node);

		if (t->end == parse_ended && ((const struct unnamed_parse *)t)->unnamed == u &&
		    t->syncs != p->syncs)
			return true;
	}
	return false;
}

void
unnamed_forget(struct unnamed *u, struct tracked_list *all)
{
	struct list_node *l;

	if (u == NULL)
		return;
	if (all) {
		LIST_EACH (l, &all->list) {
			struct tracked *t = LIST_OBJ(l, struct tracked, node);

			if (t->end == parse_ended && ((struct unnamed_parse *)t)->unnamed == u)
				((struct unnamed_parse *)t)->unnamed = NULL;
			if (t->end == describe_ended &&
			    ((struct unnamed_describe *)t)->unnamed == u)
				((struct unnamed_describe *)t)->unnamed = NULL;
		}
	}
	text_drop(u->text);
	description_put(u->described);
	*u = (struct unnamed){.changes = u->changes + 1};
}

/* ---- to the next process ---- */

static void
text_pack(struct pack *p, struct unnamed_text **text)
{
	struct unnamed_text *t = *text;
	uint8_t *body = t ? t->body : NULL;
	size_t bytes = t ? t->bytes : 0;
	unsigned effects = t ? t->effects : 0;
	bool there = t != NULL;

	PACK(p, there);
	PACK(p, effects);
	pack_blob(p, &body, &bytes);
	if (!pack_reading(p))
		return;
	*text = NULL;
	if (there) {
		t = mem_alloc(sizeof *t + bytes);
		*t = (struct unnamed_text){.refs = 1, .effects = effects, .bytes = bytes};
		if (bytes > 0)
			memcpy(t->body, body, bytes);
		*text = t;
	}
	free(body);
}

void
unnamed_pack(struct pack *p, struct unnamed *u)
{
	text_pack(p, &u->text);
	PACK(p, u->here);
	PACK(p, u->renewing);
	PACK(p, u->changed);
	PACK(p, u->waits);
	PACK(p, u->changes);
	description_pack(p, &u->described);
}

static struct tracked *
parse_pack(struct pack *p, struct unnamed_parse *parse, struct tracked_list *all, struct unnamed *u)
{
	bool known;

	if (pack_reading(p)) {
		parse = mem_calloc(1, sizeof *parse);
		parse->tracked.end = parse_ended;
		parse->all = all;
	}
	known = parse->unnamed != NULL;
	PACK(p, known);
	PACK(p, parse->before_here);
	PACK(p, parse->own);
	PACK(p, parse->stands_in);
	PACK(p, parse->redo);
	PACK(p, parse->number);
	PACK(p, parse->before_once);
	text_pack(p, &parse->before);
	description_pack(p, &parse->described_before);
	if (!pack_reading(p) || !known || u == NULL)
		return &parse->tracked;
	parse->unnamed = u;
	parse->earlier = u->last;
	if (u->last)
		u->last->later = parse;
	u->last = parse;
	return &parse->tracked;
}

static struct tracked *
describe_pack(struct pack *p, struct unnamed_describe *describe, struct unnamed *u)
{
	bool known;

	if (pack_reading(p)) {
		describe = mem_calloc(1, sizeof *describe);
		describe->tracked.end = describe_ended;
		describe->tracked.described = describe_answered;
	}
	known = describe->unnamed != NULL;
	PACK(p, known);
	PACK(p, describe->changes);
	PACK(p, describe->renews);
	description_pack(p, &describe->got);
	if (pack_reading(p) && known)
		describe->unnamed = u;
	return &describe->tracked;
}

struct tracked *
unnamed_tracked_pack(struct pack *p, struct tracked *t, struct tracked_list *all, struct unnamed *u)
{
	bool describes = t && t->end == describe_ended;

	PACK(p, describes);
	return describes ? describe_pack(p, (struct unnamed_describe *)t, u)
			 : parse_pack(p, (struct unnamed_parse *)t, all, u);
}
