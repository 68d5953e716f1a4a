#include "pool/prepared_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "wire/msg.h"
#include "wire/reader.h"

#define NAME_SIZE 32 /* bytes of a name of ours on a server */
#define OURS      "pgwith_"
#define NOBODYS   OURS "none" /* no server ever has it */
#define SCRATCH   OURS "0"    /* is there between two messages of ours only */

/* PostgreSQL looks at no more of a name (NAMEDATALEN). */
#define NAME_BYTES 63

struct pending *
pending_of(struct list_node *l)
{
	struct tracked *t = LIST_OBJ(l, struct tracked, node);

	return t->end == prepared_pending_end ? (struct pending *)t : NULL;
}

/* ---- texts ---- */

void
statements_init(struct statements *all)
{
	hash_init(&all->texts);
	all->bytes = 0;
}

void
statements_clear(struct statements *all)
{
	hash_clear(&all->texts);
}

static uint64_t
text_hash(const uint8_t *body, size_t bytes, const char *context)
{
	return hash_bytes(hash_bytes(HASH_SEED, body, bytes), context, strlen(context));
}

static struct text *
text_find(const struct statements *all, const uint8_t *body, size_t bytes, const char *context)
{
	struct hash_node *n = hash_first(&all->texts, text_hash(body, bytes, context));
	size_t context_bytes = strlen(context);

	for (; n; n = hash_next(n)) {
		struct text *t = HASH_OBJ(n, struct text, node);

		if (t->body_bytes == bytes && t->bytes == bytes + context_bytes &&
		    memcmp(t->data, body, bytes) == 0 &&
		    memcmp(t->data + bytes, context, context_bytes) == 0)
			return t;
	}
	return NULL;
}

struct text *
text_get(struct statements *all, const uint8_t *body, size_t bytes, const char *context)
{
	struct text *t = text_find(all, body, bytes, context);
	size_t context_bytes = strlen(context);

	if (t) {
		t->refs++;
		return t;
	}
	t = mem_calloc(1, sizeof *t + bytes + context_bytes);
	t->refs = 1;
	t->body_bytes = bytes;
	t->bytes = bytes + context_bytes;
	memcpy(t->data, body, bytes);
	memcpy(t->data + bytes, context, context_bytes);
	all->bytes += sizeof *t + t->bytes;
	hash_add(&all->texts, &t->node, text_hash(body, bytes, context));
	return t;
}

void
text_put(struct statements *all, struct text *t)
{
	if (--t->refs > 0)
		return;
	hash_remove(&all->texts, &t->node);
	all->bytes -= sizeof *t + t->bytes;
	free(t);
}

/* ---- the names of a session ---- */

void
names_init(struct names *names, struct statements *all)
{
	*names = (struct names){.all = all};
}

static size_t
clip(size_t length)
{
	return length < NAME_BYTES ? length : NAME_BYTES;
}

static struct named *
named_find(const struct names *names, const char *name, size_t length)
{
	struct hash_node *n;

	if (names == NULL || names->names.count == 0)
		return NULL;
	length = clip(length);
	n = hash_first(&names->names, hash_bytes(HASH_SEED, name, length));
	for (; n; n = hash_next(n)) {
		struct named *named = HASH_OBJ(n, struct named, node);

		if (named->length == length && memcmp(named->name, name, length) == 0)
			return named;
	}
	return NULL;
}

static size_t
named_bytes(const struct named *named)
{
	return sizeof *named + named->length + named->text->bytes;
}

void
named_put_in(struct names *names, struct named *named)
{
	hash_add(&names->names, &named->node, hash_bytes(HASH_SEED, named->name, named->length));
	names->bytes += named_bytes(named);
}

static void
named_take_out(struct names *names, struct named *named)
{
	hash_remove(&names->names, &named->node);
	names->bytes -= named_bytes(named);
}

static void
named_free(struct statements *all, struct named *named)
{
	text_put(all, named->text);
	free(named);
}

bool
names_have(const struct names *names, const char *name, size_t length)
{
	return named_find(names, name, length) != NULL;
}

unsigned
names_effects(const struct names *names, const char *name, size_t length, const char **sql)
{
	const struct named *named = named_find(names, name, length);

	*sql = named ? (const char *)named->text->data : "";
	return named ? named->effects : 0;
}

void
names_drop(struct names *names, struct prepared_set *set, const char *name, size_t length)
{
	struct named *named = named_find(names, name, length);
	struct list_node *l;

	if (named == NULL)
		return;
	/* Its Parse may be under way: there is nothing to take back then. */
	if (set) {
		LIST_EACH (l, &set->tracked.list) {
			struct pending *p = pending_of(l);

			if (p && p->added == named)
				p->added = NULL;
		}
	}
	named_take_out(names, named);
	named_free(names->all, named);
}

void
names_clear(struct names *names, struct prepared_set *set)
{
	struct hash_node *n;
	struct list_node *l;

	if (set) {
		LIST_EACH (l, &set->tracked.list) {
			struct pending *p = pending_of(l);

			if (p == NULL || p->names != names)
				continue;
			if (p->removed)
				named_free(names->all, p->removed);
			p->names = NULL;
			p->added = p->removed = NULL;
		}
	}
	while ((n = hash_any(&names->names)) != NULL) {
		struct named *named = HASH_OBJ(n, struct named, node);

		named_take_out(names, named);
		named_free(names->all, named);
	}
	hash_clear(&names->names);
}

/* ---- the texts of a server ---- */

void
prepared_init(struct prepared_set *set, struct statements *all, struct progress *p)
{
	*set = (struct prepared_set){.all = all};
	list_init(&set->recent);
	tracked_init(&set->tracked, p);
}

static uint64_t
address(const struct text *t)
{
	return (uint64_t)(uintptr_t)t * UINT64_C(0x9e3779b97f4a7c15);
}

static struct prepared *
prepared_find(const struct prepared_set *set, const struct text *t)
{
	struct hash_node *n = hash_first(&set->have, address(t));

	return n ? HASH_OBJ(n, struct prepared, node) : NULL;
}

struct prepared *
prepared_add(struct prepared_set *set, struct text *t)
{
	struct prepared *pre = mem_calloc(1, sizeof *pre);

	pre->text = t;
	t->refs++;
	pre->number = ++set->last;
	hash_add(&set->have, &pre->node, address(t));
	list_append(&set->recent, &pre->recent);
	return pre;
}

static void
prepared_remove(struct prepared_set *set, struct prepared *pre)
{
	hash_remove(&set->have, &pre->node);
	list_remove(&set->recent, &pre->recent);
	text_put(set->all, pre->text);
	free(pre);
}

void
prepared_forget(struct prepared_set *set)
{
	struct list_node *n, *after;

	LIST_EACH (n, &set->tracked.list) {
		struct pending *p = pending_of(n);

		if (p)
			p->made = NULL;
	}
	LIST_EACH_SAFE (n, after, &set->recent)
		prepared_remove(set, LIST_OBJ(n, struct prepared, recent));
	set->stale = set->decoys = false;
}

bool
prepared_doubtful(const struct prepared_set *set, const struct progress *p)
{
	return set->stale || (set->decoys && p->errors != set->decoy_errors);
}

void
prepared_renew(struct prepared_set *set)
{
	set->decoys = false;
}

void
prepared_clear(struct prepared_set *set)
{
	tracked_clear(&set->tracked);
	prepared_forget(set);
	hash_clear(&set->have);
}

static const char *
server_name(const struct prepared *pre, char *out)
{
	snprintf(out, NAME_SIZE, "pgwith_%llu", (unsigned long long)pre->number);
	return out;
}

/* ---- what became of it ---- */

static struct pending *
pend(struct prepared_set *set, const struct progress *progress)
{
	struct pending *p = mem_calloc(1, sizeof *p);

	p->set = set;
	tracked_add(&set->tracked, &p->tracked, progress, prepared_pending_end);
	return p;
}

static bool
is_named(const struct named *named, const char *name, size_t length)
{
	return named && named->length == length && memcmp(named->name, name, length) == 0;
}

bool
names_unsettled(const struct names *names, const struct prepared_set *set, const struct progress *p,
		const char *name, size_t length)
{
	struct list_node *l;

	/* In COPY IN no message means anything, and the server must see it. */
	if (names == NULL || (p->copy == COPY_IN && !p->copy_ended))
		return false;
	length = clip(length);
	LIST_EACH (l, &set->tracked.list) {
		const struct pending *q = pending_of(l);

		if (q == NULL)
			continue;
		if (q->tracked.syncs == p->syncs)
			return false;
		if (q->names == names && (name == NULL || is_named(q->added, name, length) ||
					  is_named(q->removed, name, length)))
			return true;
	}
	return false;
}

static bool
text_unsettled(const struct prepared_set *set, const struct progress *p, const struct text *t)
{
	const struct prepared *pre = prepared_find(set, t);

	return pre && pre->pending && pre->syncs != p->syncs &&
	       (p->copy != COPY_IN || p->copy_ended);
}

/* The one behind which the name has gone again, or NULL: a message that came after, and of which is
 * not known yet what becomes of it. */
static struct pending *
remover(const struct prepared_set *set, const struct named *named)
{
	struct list_node *l;

	LIST_EACH (l, &set->tracked.list) {
		struct pending *p = pending_of(l);

		if (p && p->removed == named)
			return p;
	}
	return NULL;
}

static void
take_back(struct prepared_set *set, struct pending *p)
{
	struct pending *later = p->names && p->added ? remover(set, p->added) : NULL;

	if (later) {
		/* What that one would put back is what was there before this one. */
		named_free(set->all, p->added);
		later->removed = p->removed;
		p->removed = NULL;
	} else if (p->names && p->added) {
		named_take_out(p->names, p->added);
		named_free(set->all, p->added);
	}
	if (p->names && p->removed) {
		named_put_in(p->names, p->removed);
		p->removed = NULL;
	}
	if (p->made)
		prepared_remove(set, p->made);
	/* It is still there, and we have lost sight of it. */
	if (p->evicted)
		set->stale = true;
}

void
prepared_pending_end(struct tracked *t, enum progress_end end)
{
	struct pending *p = (struct pending *)t;

	if (end == PROGRESS_LOST)
		p->names = NULL;
	if (end != PROGRESS_DONE)
		take_back(p->set, p);
	else if (p->made)
		p->made->pending = false;
	if (p->removed)
		named_free(p->set->all, p->removed);
	free(p);
}

/* ---- messages ---- */

static void
add_parse(const char *name, const uint8_t *body, size_t bytes, struct buf *out)
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

/* Room for one more: the least recently used one goes, unless it is on its way. */
static void
make_room(struct prepared_set *set, struct progress *p, unsigned max, struct buf *out)
{
	char name[NAME_SIZE];

	while (set->recent.count >= max) {
		struct prepared *pre = LIST_OBJ(list_first(&set->recent), struct prepared, recent);

		if (pre->pending)
			return;
		progress_sent_as(p, PROGRESS_OWN | PROGRESS_TRACKED);
		pend(set, p)->evicted = true;
		add_close(server_name(pre, name), out);
		prepared_remove(set, pre);
	}
}

/* The server gets a text that it has not, by a Parse with these flags. */
static struct pending *
send_parse(struct prepared_set *set, struct progress *p, const struct prepared_limits *limits,
	   struct text *t, unsigned flags, struct buf *out)
{
	struct pending *pending;
	struct prepared *pre;
	char name[NAME_SIZE];

	make_room(set, p, limits->server_max, out);
	pre = prepared_add(set, t);
	pre->pending = true;
	pre->syncs = p->syncs;
	add_parse(server_name(pre, name), t->data, t->body_bytes, out);
	progress_sent_as(p, flags | PROGRESS_TRACKED);
	pending = pend(set, p);
	pending->made = pre;
	return pending;
}

/* The name on the server of a text that a session is about to use; prepares it if need be. The
 * server is not skipping to Sync, and the text is not unsettled. */
static const char *
have_prepared(struct prepared_set *set, struct progress *p, const struct prepared_limits *limits,
	      struct text *t, char *name, struct buf *out)
{
	struct prepared *pre = prepared_find(set, t);

	if (pre == NULL)
		return server_name(send_parse(set, p, limits, t, PROGRESS_OWN, out)->made, name);
	list_remove(&set->recent, &pre->recent);
	list_append(&set->recent, &pre->recent);
	/* While many were on their way there may have been too many. */
	make_room(set, p, limits->server_max + 1, out);
	return server_name(pre, name);
}

static bool
is_ours(const char *name, size_t length)
{
	return length >= sizeof OURS - 1 && memcmp(name, OURS, sizeof OURS - 1) == 0;
}

/* The server has the text: a name for it is all that the session needs. */
static struct pending *
parse_shared(struct prepared_set *set, struct progress *p, const struct text *t, struct buf *out)
{
	struct pending *pending;

	if (p->status != 'E' && p->ready_due == p->own_syncs) {
		/* Closing what does not exist is answered in the right place. */
		progress_sent_as(p, PROGRESS_FOR_PARSE | PROGRESS_TRACKED);
		add_close(NOBODYS, out);
		return pend(set, p);
	}
	/* In a transaction that has failed, or could have by now, the server may say no. */
	add_parse(SCRATCH, t->data, t->body_bytes, out);
	progress_sent_as(p, PROGRESS_TRACKED);
	pending = pend(set, p);
	progress_sent_as(p, PROGRESS_OWN);
	add_close(SCRATCH, out);
	return pending;
}

/* A new name of the session for a text, of which it takes over the reference. */
static struct named *
named_new(struct names *names, const uint8_t *name, size_t length, struct text *t, unsigned effects)
{
	struct named *named = mem_calloc(1, sizeof *named + length + 1);

	named->text = t;
	named->effects = effects;
	named->length = length;
	memcpy(named->name, name, length);
	named_put_in(names, named);
	return named;
}

static bool
names_full(const struct names *names, const struct prepared_limits *limits, size_t bytes)
{
	return names->names.count >= limits->names_max || names->bytes + bytes > limits->bytes_max;
}

bool
prepared_adopt(struct names *names, const struct prepared_set *other,
	       const struct prepared_limits *limits, const struct prepared_message *m)
{
	const uint8_t *nul = m->have == m->bytes ? memchr(m->body, 0, m->bytes) : NULL;
	const struct prepared *pre;
	size_t length, rest;
	struct text *t;

	if (m->type != 'P' || nul == NULL || nul == m->body || other->stale ||
	    names_full(names, limits, m->bytes))
		return false;
	length = (size_t)(nul - m->body);
	rest = m->bytes - length - 1;
	t = text_find(names->all, nul + 1, rest, m->context);
	pre = t ? prepared_find(other, t) : NULL;
	if (pre == NULL || pre->pending || named_find(names, (const char *)m->body, length))
		return false;
	t->refs++;
	named_new(names, m->body, clip(length), t, m->effects);
	return true;
}

/* Parse: name, then the text. */
static enum prepared_verdict
parse(struct names *names, struct prepared_set *set, struct progress *p,
      const struct prepared_limits *limits, const struct prepared_message *m, struct buf *out)
{
	const uint8_t *body = m->body;
	size_t bytes = m->bytes;
	const uint8_t *nul = memchr(body, 0, bytes);
	size_t length = (size_t)(nul - body), rest = bytes - length - 1;
	struct named *named = named_find(names, (const char *)body, length);
	struct pending *pending;
	struct text *t;

	if (names_unsettled(names, set, p, (const char *)body, length))
		return PREPARED_WAIT;
	if (named) {
		/* The server has it under another name: its own error says that it exists. The
		 * decoy stays. */
		prepared_decoy(set, p, (const char *)body, length, out);
		set->stale = true;
		return PREPARED_AS_IT_IS;
	}
	if (names_full(names, limits, bytes))
		return PREPARED_TOO_MANY;
	t = text_get(names->all, nul + 1, rest, m->context);
	if (text_unsettled(set, p, t)) {
		text_put(names->all, t);
		return PREPARED_WAIT;
	}
	named = named_new(names, body, clip(length), t, m->effects);
	pending = prepared_find(set, t) ? parse_shared(set, p, t, out)
					: send_parse(set, p, limits, t, 0, out);
	pending->names = names;
	pending->added = named;
	return PREPARED_DONE;
}

/* The name that stands on the server for the one that the client gives, into `out_name`. */
static enum prepared_verdict
use(struct names *names, struct prepared_set *set, struct progress *p,
    const struct prepared_limits *limits, const struct prepared_message *m, const char *name,
    size_t length, char *out_name, struct buf *out)
{
	struct named *named = length ? named_find(names, name, length) : NULL;

	if (named && text_unsettled(set, p, named->text))
		return PREPARED_WAIT;
	if (named) {
		struct text *t = named->text;

		/* It may be one that deallocates itself. */
		t->refs++;
		if (named->effects && m->executes)
			m->executes(m->arg, named->effects, (const char *)t->data);
		have_prepared(set, p, limits, t, out_name, out);
		text_put(names->all, t);
		return PREPARED_DONE;
	}
	/* One that does not exist: the server says so. Ours are none of its business. */
	if (!is_ours(name, length))
		return PREPARED_AS_IT_IS;
	snprintf(out_name, NAME_SIZE, NOBODYS);
	return PREPARED_DONE;
}

/* Bind: portal, statement, and so on. m->used: the bytes of the body that `out` stands for. */
static enum prepared_verdict
bind(struct names *names, struct prepared_set *set, struct progress *p,
     const struct prepared_limits *limits, struct prepared_message *m, struct buf *out)
{
	const uint8_t *body = m->body;
	size_t bytes = m->bytes, have = m->have;
	const uint8_t *portal_end = memchr(body, 0, have), *end;
	char buffer[NAME_SIZE];
	const char *name;
	size_t length;

	if (portal_end == NULL)
		return PREPARED_BROKEN;
	end = memchr(portal_end + 1, 0, have - (size_t)(portal_end + 1 - body));
	if (end == NULL)
		return PREPARED_BROKEN;
	name = (const char *)portal_end + 1;
	length = (size_t)(end - portal_end - 1);
	if (names_unsettled(names, set, p, name, length))
		return PREPARED_WAIT;
	switch (use(names, set, p, limits, m, name, length, buffer, out)) {
	case PREPARED_WAIT:
		return PREPARED_WAIT;
	case PREPARED_AS_IT_IS:
		return PREPARED_AS_IT_IS;
	default:
		name = buffer;
	}
	m->used = (size_t)(end + 1 - body);
	progress_sent_as(p, 0);
	buf_add_u8(out, 'B');
	buf_add_u32(out, (uint32_t)(4 + bytes - length + strlen(name)));
	buf_add(out, body, (size_t)(portal_end + 1 - body));
	buf_add_str(out, name);
	return PREPARED_PREFIX;
}

static enum prepared_verdict
describe(struct names *names, struct prepared_set *set, struct progress *p,
	 const struct prepared_limits *limits, const uint8_t *body, size_t bytes, struct buf *out)
{
	struct prepared_message quiet = {.executes = NULL};
	enum prepared_verdict v;
	char name[NAME_SIZE];
	size_t length, at;

	if (bytes < 3 || body[0] != 'S' || body[1] == 0 || body[bytes - 1] != 0)
		return PREPARED_AS_IT_IS;
	length = strnlen((const char *)body + 1, bytes - 1);
	/* The server refuses what stands behind the name. */
	if (length + 2 != bytes)
		return PREPARED_AS_IT_IS;
	if (names_unsettled(names, set, p, (const char *)body + 1, length))
		return PREPARED_WAIT;
	v = use(names, set, p, limits, &quiet, (const char *)body + 1, length, name, out);
	if (v != PREPARED_DONE)
		return v;
	progress_sent_as(p, 0);
	at = msg_begin(out, 'D');
	buf_add_u8(out, 'S');
	buf_add_str(out, name);
	msg_end(out, at);
	return PREPARED_DONE;
}

/* The server's own copy stays: others may use it. Closing what does not exist there is no error. */
static enum prepared_verdict
close_statement(struct names *names, struct prepared_set *set, struct progress *p,
		const uint8_t *body, size_t bytes, struct buf *out)
{
	struct pending *pending;
	struct named *named;
	size_t length;

	if (bytes < 3 || body[0] != 'S' || body[1] == 0 || body[bytes - 1] != 0)
		return PREPARED_AS_IT_IS;
	length = strnlen((const char *)body + 1, bytes - 1);
	/* The server refuses what stands behind the name. */
	if (length + 2 != bytes)
		return PREPARED_AS_IT_IS;
	if (names_unsettled(names, set, p, (const char *)body + 1, length))
		return PREPARED_WAIT;
	named = named_find(names, (const char *)body + 1, length);
	if (named == NULL) {
		if (!is_ours((const char *)body + 1, length))
			return PREPARED_AS_IT_IS;
		progress_sent_as(p, 0);
		add_close(NOBODYS, out);
		return PREPARED_DONE;
	}
	/* Under its own name there may be a decoy. */
	progress_sent_as(p, PROGRESS_TRACKED);
	add_close(is_ours(named->name, named->length) ? NOBODYS : (const char *)body + 1, out);
	named_take_out(names, named);
	pending = pend(set, p);
	pending->names = names;
	pending->removed = named;
	return PREPARED_DONE;
}

enum prepared_verdict
prepared_message(struct names *names, struct prepared_set *set, struct progress *p,
		 const struct prepared_limits *limits, struct prepared_message *m, struct buf *out)
{
	/* The server ignores it, as it is. */
	if (p->skipping)
		return PREPARED_AS_IT_IS;
	switch (m->type) {
	case 'P':
		if (m->have == 0 || memchr(m->body, 0, m->have) == NULL)
			return PREPARED_BROKEN;
		if (m->body[0] == 0)
			return PREPARED_AS_IT_IS;
		return m->have < m->bytes ? PREPARED_TOO_MANY
					  : parse(names, set, p, limits, m, out);
	case 'B':
		return bind(names, set, p, limits, m, out);
	case 'D':
		if (m->have < m->bytes)
			return PREPARED_AS_IT_IS;
		return describe(names, set, p, limits, m->body, m->bytes, out);
	case 'C':
		if (m->have < m->bytes)
			return PREPARED_AS_IT_IS;
		return close_statement(names, set, p, m->body, m->bytes, out);
	default:
		return PREPARED_AS_IT_IS;
	}
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
	/* One from before may have stayed. */
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
