#include "pool/analysis.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/fnv.h"
#include "base/mem.h"
#include "wire/reader.h"
#include "wire/sqlcommand.h"
#include "wire/sqltext.h"

void
statements_init(struct statements *all)
{
	hash_init(&all->texts);
	hash_init(&all->analyses);
	list_init(&all->every);
	all->bytes = 0;
	all->tick = all->defined = 0;
	memset(all->seen, 0, sizeof all->seen);
}

void
statements_clear(struct statements *all)
{
	hash_clear(&all->texts);
	hash_clear(&all->analyses);
}

/* ---- texts ---- */

uint64_t
text_hash_body(const uint8_t *body, size_t bytes)
{
	return fnv_words(FNV_SEED, body, bytes);
}

uint64_t
text_hash(uint64_t of_body, const char *context)
{
	return *context ? fnv_words(of_body, context, strlen(context)) : of_body;
}

bool
text_has_context(const struct text *t, const char *context)
{
	size_t bytes = strlen(context);

	return t->bytes == t->body_bytes + bytes &&
	       memcmp(t->data + t->body_bytes, context, bytes) == 0;
}

struct text *
text_find(const struct statements *all, const uint8_t *body, size_t bytes, const char *context)
{
	return text_find_hashed(all, body, bytes, context,
				text_hash(text_hash_body(body, bytes), context));
}

struct text *
text_find_hashed(const struct statements *all, const uint8_t *body, size_t bytes,
		 const char *context, uint64_t hash)
{
	struct hash_node *n = hash_first(&all->texts, hash);

	for (; n; n = hash_next(n)) {
		struct text *t = HASH_OBJ(n, struct text, node);

		if (t->body_bytes == bytes && memcmp(t->data, body, bytes) == 0 &&
		    text_has_context(t, context))
			return t;
	}
	return NULL;
}

/* Does `=` stand next, behind white space, in the direction of `step`; or a character that may
 * begin or end a comment, behind which it may stand? */
static bool
is_compared(const char *sql, size_t bytes, size_t at, int step)
{
	for (; at < bytes; at += (size_t)step)
		if (!isspace((unsigned char)sql[at]))
			return sql[at] == '=' || sql[at] == '/' || sql[at] == '-';
	return false;
}

/* Has the text a literal in any of its forms, a name that is not ASCII, or x = NULL, which
 * transform_null_equals changes? */
static bool
has_literals(const char *sql, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		unsigned char c = (unsigned char)sql[i], after = (unsigned char)sql[i + 1];

		if (c == '\'' || c >= 0x80 || (c == '$' && !isdigit(after)) ||
		    (c == '&' && after == '"'))
			return true;
		if ((c == 'n' || c == 'N') && bytes - i >= 4 &&
		    strncasecmp(sql + i, "null", 4) == 0 &&
		    (is_compared(sql, bytes, i + 4, 1) ||
		     (i > 0 && is_compared(sql, bytes, i - 1, -1))))
			return true;
	}
	return false;
}

bool
text_is_loose(const char *sql, size_t bytes)
{
	static const char *const words[] = {"fetch", "execute"};
	struct sqltext_token first;
	struct sqltext at;

	sqltext_init(&at, sql, bytes, 0);
	sqltext_token(&at, &first);
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (first.kind == SQLTEXT_NAME && first.length == strlen(words[i]) &&
		    strncasecmp(first.start, words[i], first.length) == 0)
			return true;
	return false;
}

struct text *
text_get(struct statements *all, const uint8_t *body, size_t bytes, const char *context)
{
	struct text *t = text_find(all, body, bytes, context);
	size_t context_bytes = strlen(context), sql_bytes;

	if (t) {
		t->refs++;
		return t;
	}
	t = mem_calloc(1, sizeof *t + bytes + context_bytes + 1);
	t->refs = 1;
	t->body_bytes = bytes;
	t->bytes = bytes + context_bytes;
	memcpy(t->data, body, bytes);
	memcpy(t->data + bytes, context, context_bytes);
	sql_bytes = strnlen((char *)t->data, bytes);
	t->settings = has_literals((char *)t->data, sql_bytes);
	t->loose = text_is_loose((char *)t->data, sql_bytes);
	t->command = (uint8_t)sqlcommand_of((char *)t->data, sql_bytes, 0);
	all->bytes += sizeof *t + t->bytes;
	hash_add(&all->texts, &t->node, text_hash(text_hash_body(body, bytes), context));
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

/* ---- descriptions ---- */

/* Reads a ParameterDescription (15 documentation, 55.7): the number of parameters, and an oid for
 * each. */
static struct description *
read_parameters(const uint8_t *body, size_t bytes)
{
	struct description *d;
	struct reader r;
	uint16_t n;

	reader_init(&r, body, bytes);
	n = reader_u16(&r);
	if (r.left != 4 * (size_t)n)
		return NULL;
	d = mem_calloc(1, sizeof *d + n * sizeof d->types[0]);
	d->refs = 1;
	d->ntypes = n;
	for (unsigned i = 0; i < n; i++)
		d->types[i] = reader_u32(&r);
	return d;
}

/* Hashes a RowDescription: for each column name, type, size and modifier. Its table, number in the
 * table and format are left out: who has read an earlier description is not harmed if they
 * change. */
static bool
hash_columns(const uint8_t *body, size_t bytes, uint64_t *hash)
{
	struct reader r;
	unsigned n;

	reader_init(&r, body, bytes);
	*hash = FNV_SEED;
	for (n = reader_u16(&r); n > 0 && !r.failed; n--) {
		const char *name = reader_str(&r);
		const uint8_t *rest = reader_bytes(&r, 18);

		if (rest == NULL)
			break;
		*hash = fnv_bytes(*hash, name, strlen(name) + 1);
		*hash = fnv_bytes(*hash, rest + 6, 4);
		*hash = fnv_bytes(*hash, rest + 12, 4);
	}
	return n == 0 && !r.failed;
}

void
description_take(struct description **d, char type, const uint8_t *body, size_t bytes)
{
	bool good = true;

	if (type == 't') {
		description_put(*d);
		*d = body ? read_parameters(body, bytes) : NULL;
		return;
	}
	if (*d == NULL)
		return;
	(*d)->columns = 0;
	if (type == 'T')
		good = body && hash_columns(body, bytes, &(*d)->columns);
	(*d)->complete = good;
}

struct description *
description_ref(struct description *d)
{
	if (d)
		d->refs++;
	return d;
}

void
description_put(struct description *d)
{
	if (d && --d->refs == 0)
		free(d);
}

bool
description_equal(const struct description *a, const struct description *b)
{
	return a && b && a->complete && b->complete && a->columns == b->columns &&
	       a->ntypes == b->ntypes &&
	       memcmp(a->types, b->types, a->ntypes * sizeof a->types[0]) == 0;
}

void
description_pack(struct pack *p, struct description **d)
{
	bool there = *d != NULL;
	struct description head = {0};
	size_t bytes = there ? (*d)->ntypes * sizeof(*d)->types[0] : 0;
	uint8_t *types = there ? (uint8_t *)(*d)->types : NULL;

	if (there)
		head = **d;
	PACK(p, there);
	PACK(p, head.columns);
	PACK(p, head.complete);
	pack_blob(p, &types, &bytes);
	if (!pack_reading(p))
		return;
	*d = NULL;
	if (there && !p->failed) {
		*d = mem_calloc(1, sizeof **d + bytes);
		(*d)->refs = 1;
		(*d)->columns = head.columns;
		(*d)->complete = head.complete;
		(*d)->ntypes = (uint16_t)(bytes / sizeof(*d)->types[0]);
		if (bytes > 0)
			memcpy((*d)->types, types, bytes);
	}
	free(types);
}

/* ---- analyses ---- */

struct analysis *
analysis_new(struct statements *all, struct text *t, uint64_t place, struct description *d)
{
	struct analysis *a = mem_calloc(1, sizeof *a);

	a->refs = 1;
	a->text = t;
	a->place = place;
	a->description = description_ref(d);
	list_append(&all->every, &a->every);
	return a;
}

static uint64_t
analysis_hash(const struct text *t, uint64_t place, const struct description *d)
{
	uint64_t parts[] = {(uint64_t)(uintptr_t)t, place, d->columns};

	return fnv_bytes(fnv_bytes(FNV_SEED, parts, sizeof parts), d->types,
			 d->ntypes * sizeof d->types[0]);
}

struct analysis *
analysis_share(struct statements *all, struct text *t, uint64_t place, struct description *d)
{
	uint64_t hash = analysis_hash(t, place, d);
	struct hash_node *n = hash_first(&all->analyses, hash);
	struct analysis *a;

	for (; n; n = hash_next(n)) {
		a = HASH_OBJ(n, struct analysis, node);
		if (a->text == t && a->place == place && description_equal(a->description, d)) {
			t->latest = a;
			return analysis_ref(a);
		}
	}
	t->refs++;
	a = analysis_new(all, t, place, d);
	a->shared = true;
	t->latest = a;
	hash_add(&all->analyses, &a->node, hash);
	return a;
}

struct analysis *
analysis_ref(struct analysis *a)
{
	a->refs++;
	return a;
}

void
analysis_put(struct statements *all, struct analysis *a)
{
	if (a == NULL || --a->refs > 0)
		return;
	if (a->shared)
		hash_remove(&all->analyses, &a->node);
	list_remove(&all->every, &a->every);
	if (a->text->latest == a)
		a->text->latest = NULL;
	description_put(a->description);
	text_put(all, a->text);
	free(a);
}
