#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pool/prepared_inside.h"
#include "wire/msg.h"

#define OURS    "pgwith_"
#define NOBODYS OURS "none" /* no server ever has a statement of this name */

const char prepared_prefix[] = OURS;
const char prepared_nobodys[] = NOBODYS;

const char *
prepared_server_name(struct prepared *pre)
{
	if (pre->name[0] == 0)
		snprintf(pre->name, sizeof pre->name, OURS "%llu", (unsigned long long)pre->number);
	return pre->name;
}

/* In COPY IN only its data means anything, and the server must see every other message, to fail. */
static bool
in_copy(const struct progress *p)
{
	return p->copy == COPY_IN && !p->copy_ended;
}

/* ---- messages ---- */

void
prepared_add_parse(const char *name, const uint8_t *body, size_t bytes, struct buf *out)
{
	size_t at = msg_begin(out, 'P');

	buf_add_str(out, name);
	buf_add(out, body, bytes);
	msg_end(out, at);
}

static void
add_close(const char *name, struct buf *out)
{
	size_t at = msg_begin(out, 'C');

	buf_add_u8(out, 'S');
	buf_add_str(out, name);
	msg_end(out, at);
}

void
prepared_add_describe(const char *name, struct buf *out)
{
	size_t at = msg_begin(out, 'D');

	buf_add_u8(out, 'S');
	buf_add_str(out, name);
	msg_end(out, at);
}

static void
close_one(struct prepared_set *set, struct progress *p, struct prepared *pre, struct buf *out)
{
	progress_sent_as(p, PROGRESS_OWN | PROGRESS_TRACKED);
	prepared_pend(set, p)->evicted = true;
	add_close(prepared_server_name(pre), out);
	prepared_remove(set, pre);
}

static struct prepared *
least_recent(const struct prepared_set *set)
{
	struct list_node *n = list_first(&set->recent);

	return n ? LIST_OBJ(n, struct prepared, recent) : NULL;
}

/* Makes room for one more statement: the least recently used ones are closed, unless they are under
 * way. */
void
prepared_make_room(struct prepared_set *set, struct progress *p, unsigned max, struct buf *out)
{
	while (set->recent.count >= max) {
		struct prepared *pre = least_recent(set);

		if (pre->under_way > 0)
			return;
		close_one(set, p, pre, out);
	}
}

/* Closes the statements that are of no use any more. */
void
prepared_close_retired(struct prepared_set *set, struct progress *p, struct buf *out)
{
	struct prepared *pre;

	while ((pre = least_recent(set)) != NULL && pre->analysis == NULL && pre->under_way == 0)
		close_one(set, p, pre, out);
}

/* A message that is being passed on, and everything that has to do with it. */
struct passing {
	struct names *names;
	struct prepared_set *set;
	struct progress *p;
	const struct prepared_limits *limits;
	struct prepared_message *m;
	struct buf *out;
};

/* May other sessions use what is prepared now for this text? */
static bool
is_shareable(const struct passing *it, const struct text *t)
{
	unsigned altered = it->set->altered > it->m->altered ? it->set->altered : it->m->altered;

	if (altered == PREPARED_UNALTERED && !text_has_context(t, it->m->context))
		altered = PREPARED_SETTINGS;
	return altered == PREPARED_UNALTERED || (altered == PREPARED_SETTINGS && !t->settings);
}

/* Adds a Parse of the session's text: with the types that it declared, or with `d`, with those that
 * the parameters have got. */
static void
add_session_parse(const char *name, const struct text *t, const struct description *d,
		  struct buf *out)
{
	size_t at;

	if (d == NULL) {
		prepared_add_parse(name, t->data, t->body_bytes, out);
		return;
	}
	at = msg_begin(out, 'P');
	buf_add_str(out, name);
	buf_add_str(out, (const char *)t->data);
	buf_add_u16(out, d->ntypes);
	for (unsigned i = 0; i < d->ntypes; i++)
		buf_add_u32(out, d->types[i]);
	msg_end(out, at);
}

/* Gives the server a statement that it lacks, as this analysis, by a Parse with these flags and a
 * Describe, whose answer is for `named`. `d`: how the statement was described before, or NULL.
 * Returns the Parse that is under way. */
static struct pending *
send_parse(struct passing *it, struct named *named, struct analysis *a, struct description *d,
	   unsigned flags)
{
	struct prepared_set *set = it->set;
	struct pending *parse, *describe;
	struct prepared *pre;

	prepared_make_room(set, it->p, it->limits->server_max, it->out);
	pre = prepared_add(set, a, ++set->all->tick);
	pre->made_us = it->m->now_us;
	pre->under_way = 2;
	pre->syncs = it->p->syncs;
	add_session_parse(prepared_server_name(pre), a->text, d, it->out);
	progress_sent_as(it->p, flags | PROGRESS_TRACKED);
	parse = prepared_pend(set, it->p);
	parse->made = pre;
	prepared_add_describe(prepared_server_name(pre), it->out);
	progress_sent_as(it->p, PROGRESS_OWN | PROGRESS_TRACKED | PROGRESS_LOOK);
	describe = prepared_pend(set, it->p);
	describe->made = pre;
	describe->names = it->names;
	describe->describes = true;
	describe->renews = d != NULL;
	describe->shareable = is_shareable(it, a->text);
	describe->place = it->m->place;
	describe->about = named;
	named->asking++;
	return parse;
}

/* The server's statement of this analysis, if this name may use it: it must not be older than the
 * name's own Parse. */
static struct prepared *
find_usable(const struct prepared_set *set, const struct named *named, const struct analysis *a)
{
	struct prepared *pre = prepared_find(set, a);

	return pre && (pre->made == named->origin || pre->made > named->since) ? pre : NULL;
}

/* Prepares a statement once more whose description is known, to compare that. */
static void
prepare_again(struct passing *it, struct named *named, const struct analysis *was)
{
	struct statements *all = it->set->all;
	struct analysis *a;

	was->text->refs++;
	a = analysis_new(all, was->text, was->place, NULL);
	send_parse(it, named, a, was->description, PROGRESS_OWN);
	analysis_put(all, a);
	named->renewing = true;
	/* The client's Sync stands behind the message that waits, so only a Flush makes the server
	 * answer. */
	msg_flush(it->out);
	it->p->flushed = true;
}

void
prepared_fail(struct progress *p, struct buf *out)
{
	size_t at = msg_begin(out, 'B');

	buf_add_str(out, "");
	buf_add_str(out, NOBODYS);
	buf_add_u16(out, 0);
	buf_add_u16(out, 0);
	buf_add_u16(out, 0);
	msg_end(out, at);
	progress_sent_as(p, PROGRESS_OWN | PROGRESS_QUIET);
}

static bool
is_ours(const char *name, size_t length)
{
	return length >= sizeof OURS - 1 && memcmp(name, OURS, sizeof OURS - 1) == 0;
}

/* Does the message name a statement that is not the unnamed one? */
static bool
is_named(const struct prepared_message *m)
{
	return m->name && *m->name;
}

/* What stands in the body behind the name. */
static const uint8_t *
behind_name(const struct prepared_message *m)
{
	return (const uint8_t *)m->name + m->name_bytes + 1;
}

static size_t
bytes_behind_name(const struct prepared_message *m)
{
	return m->bytes - (size_t)(behind_name(m) - m->body);
}

/* A Parse gives the session a new name for an analysis; takes over the caller's reference. */
static struct named *
named_new(struct names *names, const struct prepared_message *m, struct analysis *a)
{
	size_t length = named_clip(m->name_bytes);
	struct named *named = mem_calloc(1, sizeof *named + length + 1);

	named->analysis = a;
	named->effects = m->effects;
	named->length = (uint8_t)length;
	memcpy(named->name, m->name, length);
	named_put_in(names, named);
	return named;
}

static bool
names_full(const struct names *names, const struct prepared_limits *limits, size_t bytes)
{
	return names->names.count >= limits->names_max || names->bytes + bytes > limits->bytes_max;
}

bool
prepared_adopt(struct names *names, const struct prepared_limits *limits,
	       const struct prepared_message *m)
{
	struct text *t;

	if (m->type != 'P' || m->have < m->bytes || !is_named(m) ||
	    m->altered != PREPARED_UNALTERED || m->native || names_full(names, limits, m->bytes))
		return false;
	t = text_find(names->all, behind_name(m), bytes_behind_name(m), m->context);
	if (t == NULL || t->settings || t->latest == NULL || t->latest->place != m->place ||
	    named_find(names, m->name, m->name_bytes))
		return false;
	t->refs++;
	named_new(names, m, analysis_new(names->all, t, m->place, NULL));
	return true;
}

/* Is it not known what the name in the message means? */
static bool
is_in_doubt(const struct passing *it)
{
	/* Mostly nothing is under way. */
	return it->set->tracked.list.count > 0 &&
	       names_in_doubt(it->names, it->set, it->p, it->m->name, it->m->name_bytes);
}

/* A Parse: the name, then the text. */
static enum prepared_verdict
parse_statement(struct passing *it)
{
	const struct prepared_message *m = it->m;
	struct statements *all = it->names->all;
	struct named *named = named_find(it->names, m->name, m->name_bytes);
	struct pending *pending;
	struct analysis *a;

	if (is_in_doubt(it))
		return PREPARED_WAIT;
	if (named) {
		/* The name exists in the session, but the server knows the statement by another
		 * name. A decoy of this name lets the server itself say that it exists. */
		prepared_decoy(it->set, it->p, m->name, m->name_bytes, it->out);
		it->set->stale = true;
		return PREPARED_AS_IT_IS;
	}
	/* A session that has statements under its own names on the server keeps doing so: only the
	 * server knows which. */
	if (m->native || m->have < m->bytes || names_full(it->names, it->limits, m->bytes))
		return PREPARED_TOO_MANY;
	a = analysis_new(all, text_get(all, behind_name(m), bytes_behind_name(m), m->context),
			 m->place, NULL);
	named = named_new(it->names, m, a);
	pending = send_parse(it, named, a, NULL, 0);
	named->origin = pending->made->made;
	pending->names = it->names;
	pending->added = named;
	return PREPARED_DONE;
}

/* Finds or makes the statement that the client's name means, and gives the server's name for it in
 * *out_name, which lasts until the next call. */
static enum prepared_verdict
use_statement(struct passing *it, const char **out_name)
{
	const char *name = it->m->name;
	size_t length = it->m->name_bytes;
	struct named *named = length ? named_find(it->names, name, length) : NULL;
	struct analysis *a;
	struct prepared *pre;

	/* The name does not exist: the server says so. But a name of the form of ours must not
	 * reach another session's statement. */
	if (named == NULL && !is_ours(name, length))
		return PREPARED_AS_IT_IS;
	if (named == NULL) {
		snprintf(it->set->missing, sizeof it->set->missing, "%.*s", (int)length, name);
		*out_name = NOBODYS;
		return PREPARED_DONE;
	}
	a = *named_analysis(it->names, named, it->m->place);
	pre = find_usable(it->set, named, a);
	if (named->changed) {
		/* Nothing can be put into the middle of a message that the client has got a part
		 * of, such as a notice. */
		if (it->p->from_have > 0)
			return PREPARED_WAIT;
		named->changed = false;
		it->m->known = a->description;
		prepared_fail(it->p, it->out);
		return PREPARED_CHANGED;
	}
	if (pre == NULL && in_copy(it->p))
		return PREPARED_AS_IT_IS;
	/* Nothing is under way: the server that was asked has been lost. */
	if (it->set->tracked.list.count == 0)
		named->renewing = false;
	if (named->renewing ||
	    (pre && pre->under_way > 0 && pre->syncs != it->p->syncs && !in_copy(it->p)))
		return PREPARED_WAIT;
	if (pre == NULL && a->description) {
		prepare_again(it, named, a);
		return PREPARED_WAIT;
	}
	it->m->command = a->text->command;
	if (named->effects && it->m->executes) {
		/* The text may deallocate this very statement, or all of ours on this server. */
		it->m->executes(it->m->arg, named->effects, (const char *)a->text->data);
		pre = find_usable(it->set, named, a);
	}
	if (pre == NULL) {
		pre = send_parse(it, named, a, NULL, PROGRESS_OWN)->made;
		named->origin = pre->made;
	}
	named->used = ++it->names->uses;
	prepared_touch(it->set, pre);
	/* While many were under way, none could be closed: there may be too many now. */
	prepared_make_room(it->set, it->p, it->limits->server_max + 1, it->out);
	*out_name = prepared_server_name(pre);
	return PREPARED_DONE;
}

/* A Bind: portal, statement, and so on. m->used: the bytes of its body that `out` replaces. */
static enum prepared_verdict
bind_statement(struct passing *it, struct prepared_message *m)
{
	struct buf *out = it->out;
	enum prepared_verdict v;
	const char *name;
	size_t length;

	if (m->name == NULL)
		return PREPARED_BROKEN;
	if (is_in_doubt(it))
		return PREPARED_WAIT;
	v = use_statement(it, &name);
	if (v != PREPARED_DONE)
		return v;
	length = strlen(name);
	m->used = m->bytes - bytes_behind_name(m);
	progress_sent_as(it->p, 0);
	buf_add_u8(out, 'B');
	buf_add_u32(out, (uint32_t)(4 + m->bytes - m->name_bytes + length));
	buf_add(out, m->body, (size_t)((const uint8_t *)m->name - m->body)); /* the portal */
	buf_add(out, name, length + 1);
	return PREPARED_PREFIX;
}

static enum prepared_verdict
describe_statement(struct passing *it)
{
	enum prepared_verdict v;
	const char *name;

	if (is_in_doubt(it))
		return PREPARED_WAIT;
	it->m->executes = NULL;
	v = use_statement(it, &name);
	if (v != PREPARED_DONE)
		return v;
	progress_sent_as(it->p, 0);
	prepared_add_describe(name, it->out);
	return PREPARED_DONE;
}

/* A Close of a statement. The server's copy stays, because other sessions may use it. To close a
 * name that does not exist is no error. */
static enum prepared_verdict
close_statement(struct passing *it)
{
	const struct prepared_message *m = it->m;
	struct names *names = it->names;
	struct progress *p = it->p;
	struct buf *out = it->out;
	struct pending *pending;
	struct named *named;

	if (is_in_doubt(it))
		return PREPARED_WAIT;
	named = named_find(names, m->name, m->name_bytes);
	if (named == NULL) {
		if (!is_ours(m->name, m->name_bytes))
			return PREPARED_AS_IT_IS;
		progress_sent_as(p, 0);
		add_close(NOBODYS, out);
		return PREPARED_DONE;
	}
	/* The name itself may be that of a decoy, which must go, too. */
	progress_sent_as(p, PROGRESS_TRACKED);
	add_close(is_ours(named->name, named->length) ? NOBODYS : m->name, out);
	named_take_out(names, named);
	pending = prepared_pend(it->set, p);
	pending->names = names;
	pending->removed = named;
	return PREPARED_DONE;
}

enum prepared_verdict
prepared_message(struct names *names, struct prepared_set *set, struct progress *p,
		 const struct prepared_limits *limits, struct prepared_message *m, struct buf *out)
{
	struct passing it = {names, set, p, limits, m, out};

	/* The server ignores it in any case. */
	if (p->skipping)
		return PREPARED_AS_IT_IS;
	if (!in_copy(p))
		prepared_close_retired(set, p, out);
	switch (m->type) {
	case 'P':
		if (m->name == NULL)
			return PREPARED_BROKEN;
		return is_named(m) ? parse_statement(&it) : PREPARED_AS_IT_IS;
	case 'B':
		return bind_statement(&it, m);
	case 'D':
	case 'C':
		/* Bytes behind the name are an error: the server itself says so. */
		if (m->have < m->bytes || !is_named(m) || bytes_behind_name(m) > 0)
			return PREPARED_AS_IT_IS;
		return m->type == 'D' ? describe_statement(&it) : close_statement(&it);
	default:
		return PREPARED_AS_IT_IS;
	}
}

const char *
prepared_client_name(const struct names *names, const struct prepared_set *set, uint64_t number)
{
	const struct prepared *pre = prepared_by_number(set, number);

	const char *name = pre && pre->analysis ? names_using(names, pre->analysis) : NULL;

	if (number == 0)
		return set->missing[0] ? set->missing : NULL;
	/* It may have stood in for the unnamed statement. */
	return name == NULL && set->tracked.stood ? "" : name;
}

void
prepared_decoy(struct prepared_set *set, struct progress *p, const char *name, size_t length,
	       struct buf *out)
{
	size_t at;

	if (!progress_sent_as(p, PROGRESS_OWN))
		return;
	if (!set->decoys)
		set->decoy_errors = p->errors;
	set->decoys = true;
	/* A decoy from before may still be there. */
	at = msg_begin(out, 'C');
	buf_add_u8(out, 'S');
	buf_add(out, name, length);
	buf_add_u8(out, 0);
	msg_end(out, at);
	progress_sent_as(p, PROGRESS_OWN);
	at = msg_begin(out, 'P');
	buf_add(out, name, length);
	buf_add_u8(out, 0);
	buf_add_str(out, "");
	buf_add_u16(out, 0);
	msg_end(out, at);
}
