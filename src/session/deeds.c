#include "session/deeds.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/fnv.h"
#include "base/mem.h"
#include "pool/told.h"
#include "session/channels.h"
#include "session/lexing.h"
#include "wire/sqlname.h"
#include "wire/sqltext.h"

/* ---- what a text says ---- */

static bool
same_encoding(const struct session *s)
{
	const char *server = told_get(s->context.told, "server_encoding");
	const char *client = told_get(s->context.told, "client_encoding");

	return server && client && strcasecmp(server, client) == 0;
}

static bool
is_unicode(const struct sqltext_token *tok)
{
	return tok->kind == SQLTEXT_QUOTED && *tok->start != '"';
}

/* Reads the name of a channel. False: it is not certain how the server writes it, or whether it
 * has something to say to that: PostgreSQL has a NOTICE if it cuts a name. */
static bool
read_channel(const struct session *s, const struct sqltext_token *tok, unsigned flags,
	     char name[KEEPER_NAME + 1])
{
	bool ascii = sqlname_is_ascii(tok->start, tok->length);
	long n = sqlname_read(tok, flags, name, KEEPER_NAME + 1);

	if (n <= 0)
		return false;
	if (tok->kind == SQLTEXT_NAME)
		return ascii && tok->length <= KEEPER_NAME;
	/* It is an error if standard_conforming_strings is off. */
	if (is_unicode(tok))
		return ascii && n < KEEPER_NAME && !(flags & SQLTEXT_BACKSLASH);
	return tok->kind == SQLTEXT_QUOTED && tok->length <= KEEPER_NAME + 2 &&
	       (ascii || same_encoding(s));
}

/* Is it known that an UNLISTEN of this name is no error: is it in quotes, or has it been listened
 * to in this spelling? */
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

void
deeds_drop(struct deeds *d)
{
	for (unsigned i = 0; i < d->count; i++)
		free(d->list[i].spelled);
	free(d->list);
	*d = (struct deeds){0};
}

struct deed *
deeds_add(struct deeds *d, int what)
{
	struct deed *deed;

	d->list = mem_realloc(d->list, (d->count + 1) * sizeof *d->list);
	deed = &d->list[d->count++];
	*deed = (struct deed){.what = what};
	return deed;
}

bool
deeds_ask(const struct deeds *d)
{
	for (unsigned i = 0; i < d->count; i++)
		if (d->list[i].spelled)
			return true;
	return false;
}

static bool
ends(struct sqltext *at)
{
	struct sqltext_token end;

	sqltext_token(at, &end);
	return end.kind == SQLTEXT_END || end.kind == SQLTEXT_SPLIT;
}

/* Reads one statement up to its end, from its second token on. Adds "; LISTEN name" to `sql`.
 * Returns false if it is not understood. */
static bool
read_deed(const struct session *s, struct sqltext *at, bool listen, bool judged, struct deeds *d,
	  struct buf *sql)
{
	struct sqltext_token tok;
	char name[KEEPER_NAME + 1];

	sqltext_token(at, &tok);
	if (!listen && sqltext_is_char(&tok, '*')) {
		deeds_add(d, UNLISTEN_ALL);
		return ends(at);
	}
	if (!read_channel(s, &tok, at->flags, name)) {
		if (!listen && (tok.kind == SQLTEXT_NAME || tok.kind == SQLTEXT_QUOTED) && ends(at))
			deeds_add(d, UNLISTEN)->spelled = mem_strndup(tok.start, tok.length);
		return false;
	}
	if (!listen && !judged && !is_valid(s, &tok, d, name))
		return false;
	memcpy(deeds_add(d, listen ? LISTEN : UNLISTEN)->name, name, sizeof name);
	if (listen) {
		buf_add_fmt(sql, sql->len > 0 ? ";LISTEN " : "LISTEN ");
		if (is_unicode(&tok))
			keeper_add_quoted(sql, name);
		else
			buf_add(sql, tok.start, tok.length);
	}
	return ends(at);
}

void
deeds_read(const struct session *s, const char *text, size_t bytes, bool judged, struct deeds *d,
	   struct buf *sql)
{
	struct sqltext at, from;
	struct sqltext_token tok;
	bool begins = true;

	*d = (struct deeds){.only = true};
	sqltext_init(&at, text, bytes, lexing_flags(s, NULL));
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
		if (!read_deed(s, &at, listen, judged, d, sql)) {
			d->only = begins = false;
			at = from;
		}
	}
	if (at.unterminated || d->count == 0)
		d->only = false;
}

/* ---- sets of names ---- */

static uint64_t
hash_of(const char *name)
{
	return fnv_bytes(FNV_SEED, name, strlen(name));
}

static struct deed_name *
find(const struct deed_names *names, const char *name)
{
	struct hash_node *n = hash_first(&names->hash, hash_of(name));

	for (; n; n = hash_next(n))
		if (strcmp(HASH_OBJ(n, struct deed_name, node)->name, name) == 0)
			return HASH_OBJ(n, struct deed_name, node);
	return NULL;
}

void
deed_names_init(struct deed_names *names)
{
	hash_init(&names->hash);
}

static void
forget(struct deed_names *names, struct deed_name *d)
{
	hash_remove(&names->hash, &d->node);
	free(d);
}

void
deed_names_clear(struct deed_names *names)
{
	struct hash_node *n;

	while ((n = hash_any(&names->hash)) != NULL)
		forget(names, HASH_OBJ(n, struct deed_name, node));
	hash_clear(&names->hash);
}

void
deed_names_add(struct deed_names *names, const char *name)
{
	size_t bytes = strlen(name) + 1;
	struct deed_name *d;

	if (find(names, name))
		return;
	d = mem_calloc(1, sizeof *d + bytes);
	memcpy(d->name, name, bytes);
	hash_add(&names->hash, &d->node, hash_of(name));
}

bool
deed_names_has(const struct deed_names *names, const char *name)
{
	return find(names, name) != NULL;
}

void
deed_apply(struct deed_names *names, const struct deed *d)
{
	struct deed_name *there;

	if (d->what == LISTEN) {
		deed_names_add(names, d->name);
	} else if (d->what == UNLISTEN_ALL) {
		deed_names_clear(names);
		deed_names_init(names);
	} else if ((there = find(names, d->name)) != NULL) {
		forget(names, there);
	}
}

/* ---- the handover ---- */

void
deed_pack(struct pack *p, struct deed *d)
{
	PACK(p, d->what);
	PACK(p, d->name);
	d->name[KEEPER_NAME] = 0;
	pack_str(p, &d->spelled);
}

void
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
		deed_pack(p, &d->list[i]);
}
