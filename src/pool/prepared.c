#include "pool/prepared.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "wire/msg.h"
#include "wire/reader.h"

#define NO_NAME   "pgwith_none" /* no text has it */
#define NAME_SIZE 32            /* bytes of a name of ours on a server */

/* One text: the body of a Parse behind its name, and the context. */
struct text {
	struct hash_node node;
	unsigned refs;
	size_t body_bytes;
	size_t bytes; /* with the context */
	uint8_t data[];
};

/* A name of a session. */
struct named {
	struct hash_node node;
	struct text *text;
	unsigned effects;
	size_t length;
	char name[];
};

/* A text that a server has. */
struct prepared {
	struct hash_node node; /* by the text's address */
	struct list_node recent;
	struct text *text;
	uint64_t number;
	unsigned pending; /* Parses of it that are under way: it cannot be put out */
	bool sure;        /* one of them has succeeded */
	uint64_t syncs;   /* progress.syncs when the last one went */
};

/* A tracked message: how to take it back. */
struct pending {
	struct tracked tracked;
	struct prepared_set *set;
	struct names *names;   /* NULL: the session has left, or none is concerned */
	struct named *added;   /* this name came in */
	struct named *removed; /* this one went, and is kept here until it is sure */
	struct prepared *made; /* this text came to the server */
};

static void pending_end(struct tracked *, enum progress_end);

/* NULL if it is not one of ours. */
static struct pending *
pending_of(struct list_node *l)
{
	struct tracked *t = LIST_OBJ(l, struct tracked, node);

	return t->end == pending_end ? (struct pending *)t : NULL;
}

/* ---- texts ---- */

void
statements_init(struct statements *all)
{
	hash_init(&all->texts);
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

static struct text *
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
	hash_add(&all->texts, &t->node, text_hash(body, bytes, context));
	return t;
}

static void
text_put(struct statements *all, struct text *t)
{
	if (--t->refs > 0)
		return;
	hash_remove(&all->texts, &t->node);
	free(t);
}

/* ---- the names of a session ---- */

void
names_init(struct names *names, struct statements *all)
{
	*names = (struct names){.all = all};
}

static struct named *
named_find(const struct names *names, const char *name, size_t length)
{
	struct hash_node *n = hash_first(&names->names, hash_bytes(HASH_SEED, name, length));

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

static void
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
	LIST_EACH (l, &set->tracked.list) {
		struct pending *p = pending_of(l);

		if (p && p->added == named)
			p->added = NULL;
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

static struct prepared *
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
	set->stale = false;
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
	tracked_add(&set->tracked, &p->tracked, progress, pending_end);
	return p;
}

static void
take_back(struct prepared_set *set, struct pending *p)
{
	if (p->names && p->added) {
		named_take_out(p->names, p->added);
		named_free(set->all, p->added);
	}
	if (p->names && p->removed) {
		named_put_in(p->names, p->removed);
		p->removed = NULL;
	}
	if (p->made && --p->made->pending == 0 && !p->made->sure)
		prepared_remove(set, p->made);
}

static void
pending_end(struct tracked *t, enum progress_end end)
{
	struct pending *p = (struct pending *)t;

	if (end == PROGRESS_LOST)
		p->names = NULL;
	if (end != PROGRESS_DONE) {
		take_back(p->set, p);
	} else if (p->made) {
		p->made->pending--;
		p->made->sure = true;
	}
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

		if (pre->pending > 0)
			return;
		progress_sent_as(p, PROGRESS_OWN);
		add_close(server_name(pre, name), out);
		prepared_remove(set, pre);
	}
}

/* A Parse of it goes to the server, with this flags. */
static void
send_parse(struct prepared_set *set, struct progress *p, struct prepared *pre, unsigned flags,
	   struct pending *pending, struct buf *out)
{
	char name[NAME_SIZE];

	add_parse(server_name(pre, name), pre->text->data, pre->text->body_bytes, out);
	progress_sent_as(p, flags | PROGRESS_TRACKED);
	pre->pending++;
	pre->syncs = p->syncs;
	pending->made = pre;
}

/* The name on the server of a text that a session is about to use; prepares it if need be. The
 * server is not skipping to Sync. */
static const char *
have_prepared(struct prepared_set *set, struct progress *p, const struct prepared_limits *limits,
	      struct text *t, char *name, struct buf *out)
{
	struct prepared *pre = prepared_find(set, t);

	if (pre == NULL) {
		make_room(set, p, limits->server_max, out);
		pre = prepared_add(set, t);
		send_parse(set, p, pre, PROGRESS_OWN, pend(set, p), out);
		return server_name(pre, name);
	}
	list_remove(&set->recent, &pre->recent);
	list_append(&set->recent, &pre->recent);
	server_name(pre, name);
	if (!pre->sure && pre->syncs != p->syncs) {
		/* Its Parse went before the last Sync: an error could have skipped it, but not what
		 * comes now. */
		progress_sent_as(p, PROGRESS_OWN);
		add_close(name, out);
		send_parse(set, p, pre, PROGRESS_OWN, pend(set, p), out);
	}
	return name;
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
	if (pre == NULL || !pre->sure || named_find(names, (const char *)m->body, length))
		return false;
	t->refs++;
	named_new(names, m->body, length, t, m->effects);
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
	char name[NAME_SIZE];

	if (named) {
		/* The server has it under another name, if at all: its own error says that it
		 * exists. An empty text is parsed in a failed transaction too. */
		progress_sent_as(p, PROGRESS_OWN);
		add_close(NO_NAME, out);
		progress_sent_as(p, PROGRESS_OWN);
		add_parse(NO_NAME, (const uint8_t *)"\0\0", 3, out);
		progress_sent_as(p, 0);
		add_parse(NO_NAME, nul + 1, rest, out);
		return PREPARED_DONE;
	}
	if (names_full(names, limits, bytes))
		return PREPARED_TOO_MANY;
	t = text_get(names->all, nul + 1, rest, m->context);
	named = named_new(names, body, length, t, m->effects);
	if (prepared_find(set, t) == NULL) {
		make_room(set, p, limits->server_max, out);
		pending = pend(set, p);
		send_parse(set, p, prepared_add(set, t), 0, pending, out);
	} else {
		have_prepared(set, p, limits, t, name, out);
		pending = pend(set, p);
		if (p->status == 'E' || p->ready_due > 0) {
			/* In a transaction that has failed, or may have by then, PostgreSQL
			 * refuses to parse all but what ends it: it is asked itself. */
			progress_sent_as(p, PROGRESS_OWN);
			add_close(NO_NAME, out);
			progress_sent_as(p, PROGRESS_TRACKED);
			add_parse(NO_NAME, nul + 1, rest, out);
		} else {
			/* Closing what does not exist is answered in the right place. */
			progress_sent_as(p, PROGRESS_FOR_PARSE | PROGRESS_TRACKED);
			add_close(NO_NAME, out);
		}
	}
	pending->names = names;
	pending->added = named;
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
	struct named *named;
	char name[NAME_SIZE];
	size_t length;

	if (portal_end == NULL)
		return PREPARED_BROKEN;
	end = memchr(portal_end + 1, 0, have - (size_t)(portal_end + 1 - body));
	if (end == NULL)
		return PREPARED_BROKEN;
	length = (size_t)(end - portal_end - 1);
	named = length ? named_find(names, (const char *)portal_end + 1, length) : NULL;
	/* One that does not exist: the server says so, since no name of ours looks like a client's.
	 */
	if (named == NULL)
		return PREPARED_AS_IT_IS;
	have_prepared(set, p, limits, named->text, name, out);
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
	struct named *named;
	char name[NAME_SIZE];
	size_t at;

	if (bytes < 2 || body[0] != 'S' || body[1] == 0)
		return PREPARED_AS_IT_IS;
	named =
	    named_find(names, (const char *)body + 1, strnlen((const char *)body + 1, bytes - 1));
	if (named == NULL)
		return PREPARED_AS_IT_IS;
	have_prepared(set, p, limits, named->text, name, out);
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

	if (bytes < 2 || body[0] != 'S' || body[1] == 0)
		return PREPARED_AS_IT_IS;
	named =
	    named_find(names, (const char *)body + 1, strnlen((const char *)body + 1, bytes - 1));
	if (named == NULL)
		return PREPARED_AS_IT_IS;
	progress_sent_as(p, PROGRESS_TRACKED);
	add_close(NO_NAME, out);
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
		if (names->names.count == 0)
			return PREPARED_AS_IT_IS;
		return bind(names, set, p, limits, m, out);
	case 'D':
		if (names->names.count == 0 || m->have < m->bytes)
			return PREPARED_AS_IT_IS;
		return describe(names, set, p, limits, m->body, m->bytes, out);
	case 'C':
		if (names->names.count == 0 || m->have < m->bytes)
			return PREPARED_AS_IT_IS;
		return close_statement(names, set, p, m->body, m->bytes, out);
	default:
		return PREPARED_AS_IT_IS;
	}
}

static bool
is_named(const struct named *named, const char *name, size_t length)
{
	return named && named->length == length && memcmp(named->name, name, length) == 0;
}

bool
names_unsettled(const struct names *names, const struct prepared_set *set,
		const struct progress *progress, const char *name, size_t length)
{
	struct list_node *l;

	LIST_EACH (l, &set->tracked.list) {
		const struct pending *p = pending_of(l);

		if (p && p->names == names && p->tracked.syncs != progress->syncs &&
		    (name == NULL || is_named(p->added, name, length) ||
		     is_named(p->removed, name, length)))
			return true;
	}
	return false;
}

void
prepared_decoy(struct progress *p, const char *name, size_t length, struct buf *out)
{
	size_t at;

	if (!progress_sent_as(p, PROGRESS_OWN))
		return;
	at = msg_begin(out, 'P');
	buf_add(out, name, length);
	buf_add_u8(out, 0);
	buf_add_str(out, "");
	buf_add_u16(out, 0);
	msg_end(out, at);
}
