#include "session/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "session/daemon.h"
#include "session/scopes.h"
#include "wire/frame.h"
#include "wire/msg.h"
#include "wire/reader.h"
#include "wire/sqlclass.h"
#include "wire/sqltext.h"

#define NAMED_MAX 1000 /* scope statements that are prepared, and portals */

static enum verdict
refuse(struct session *s, char type, struct err *e)
{
	enum verdict v = scopes_refuse(s, type, e);

	err_clear(e);
	return v;
}

/* Of UTF-8, or of any encoding with one byte a character. */
static unsigned
characters(const char *text, size_t bytes)
{
	unsigned n = 0;

	for (size_t i = 0; i < bytes; i++)
		n += ((unsigned char)text[i] & 0xc0) != 0x80;
	return n;
}

/* ---- texts of many statements ---- */

bool
parts_pending(const struct session *s)
{
	return s->scopes && (s->scopes->parts.len > 0 || s->scopes->part_sent);
}

bool
parts_more(const struct session *s)
{
	return s->scopes && s->scopes->parts.len > (s->scopes->in_part ? s->scopes->part_bytes : 0);
}

void
parts_drop(struct session *s)
{
	if (s->scopes)
		buf_reset(&s->scopes->parts);
}

/* The next part of the text: a scope statement, or all before the next one. Returns its bytes. */
static size_t
part_of(const char *text, size_t bytes)
{
	struct sqltext at, before;
	struct sqltext_stmt stmt;

	sqltext_init(&at, text, bytes, 0);
	if (!sqltext_next(&at, &stmt))
		return bytes;
	if (grammar_is(&stmt))
		return (size_t)(at.at - text);
	for (before = at; sqltext_next(&at, &stmt); before = at)
		if (grammar_is(&stmt))
			return (size_t)(before.at - text);
	return bytes;
}

static bool
empty(const char *text, size_t bytes)
{
	struct sqltext at;
	struct sqltext_stmt stmt;

	sqltext_init(&at, text, bytes, 0);
	return !sqltext_next(&at, &stmt);
}

/* A part was with the server, and that is at rest. */
static void
part_ended(struct session *s)
{
	struct scopes *sc = s->scopes;
	struct buf out;

	sc->part_sent = false;
	if (!sc->part_failed)
		return;
	parts_drop(s);
	buf_init(&out, 16);
	msg_ready(&out, scopes_status(s));
	session_send_buf(s, &out);
	buf_clear(&out);
}

void
parts_run(struct session *s, size_t (*handle)(struct session *, const uint8_t *data, size_t bytes))
{
	struct scopes *sc = s->scopes;

	while (parts_pending(s)) {
		struct buf message;
		const char *text;
		size_t used;

		if (s->state != SESSION_IDLE &&
		    (s->state != SESSION_ACTIVE || !progress_at_rest(&s->lease->srv->progress)))
			return;
		if (sc->part_sent)
			part_ended(s);
		if (sc->parts.len == 0 || session_gone(s))
			return;
		text = (const char *)buf_data(&sc->parts);
		sc->part_bytes = part_of(text, sc->parts.len);
		/* What is empty behind the last statement belongs to it. */
		if (empty(text + sc->part_bytes, sc->parts.len - sc->part_bytes))
			sc->part_bytes = sc->parts.len;
		buf_init(&message, SESSION_WHOLE_MAX + 16);
		buf_add_u8(&message, 'Q');
		buf_add_u32(&message, (uint32_t)(4 + sc->part_bytes + 1));
		buf_add(&message, text, sc->part_bytes);
		buf_add_u8(&message, 0);
		sc->part_failed = false;
		sc->in_part = true;
		used = handle(s, buf_data(&message), message.len);
		sc->in_part = false;
		/* An error has dropped them all. */
		if (used > 0 && sc->parts.len > 0) {
			sc->chars += characters((char *)buf_data(&sc->parts), sc->part_bytes);
			buf_drop(&sc->parts, sc->part_bytes);
		}
		buf_clear(&message);
		if (used == 0 || session_gone(s))
			return;
	}
}

/* ---- before a scope statement ---- */

/* What stands before it has been completed? If not, HOLD, or DROP where that has failed. FORWARD:
 * yes. */
static enum verdict
settled(struct session *s)
{
	struct scopes *sc = scopes_of(s);
	struct progress *p;

	if (s->state == SESSION_IDLE || progress_at_rest(&s->lease->srv->progress)) {
		if (!sc->bounded)
			return FORWARD;
		sc->bounded = false;
		if (!sc->bounded_failed)
			return FORWARD;
		s->skip_sync = true;
		return DROP;
	}
	p = &s->lease->srv->progress;
	/* Up to its Sync the server ignores everything, and so this. */
	if (p->skipping) {
		s->skip_sync = true;
		return DROP;
	}
	/* As its Sync would, but for the ReadyForQuery. In a transaction of the client's it changes
	 * nothing. */
	if (p->extended && p->own_syncs == 0 && p->copy == COPY_NONE && !sc->bounded) {
		sc->bounded = true;
		sc->bounded_failed = false;
		sc->sync_due = true;
	}
	stream_pause(&s->stream);
	return HOLD;
}

void
parts_sync(struct session *s)
{
	struct scopes *sc = s->scopes;
	struct progress *p;
	struct buf out;

	if (!sc->sync_due || s->lease->state != LEASE_HELD)
		return;
	sc->sync_due = false;
	p = &s->lease->srv->progress;
	buf_init(&out, 16);
	progress_forget_error(p);
	msg_sync(&out);
	progress_sent_own_sync(p);
	server_write(s->lease->srv, buf_data(&out), out.len);
	buf_clear(&out);
}

/* ---- one statement ---- */

static struct grammar *
parse(struct session *s, const char *sql, size_t bytes, struct err *e)
{
	struct grammar *g;
	struct grammar_error ge;

	if (grammar_parse(sql, bytes, 0, &g, &ge) == 0)
		return g;
	err_make(e, ERR_SCOPE_SYNTAX, ge.expected);
	free(ge.expected);
	e->position = 1 + characters(sql, ge.at);
	if (s->scopes->in_part)
		e->position += s->scopes->chars;
	return NULL;
}

/* As PostgreSQL, which parses the whole text before it runs any of it. Returns false, with the
 * reason in *e, if one of its scope statements cannot be understood. */
static bool
parses(struct session *s, const char *sql, size_t bytes, struct err *e)
{
	for (size_t at = 0, n; at < bytes; at += n) {
		struct sqltext text;
		struct sqltext_stmt stmt;
		struct grammar *g;

		n = part_of(sql + at, bytes - at);
		sqltext_init(&text, sql + at, n, 0);
		if (!sqltext_next(&text, &stmt) || !grammar_is(&stmt))
			continue;
		g = parse(s, sql + at, n, e);
		if (g == NULL) {
			e->position += characters(sql, at);
			return false;
		}
		grammar_free(g);
	}
	return true;
}

static enum verdict
split(struct session *s, const char *sql, size_t bytes)
{
	struct scopes *sc = s->scopes;
	struct err e;

	if (!parses(s, sql, bytes, &e))
		return refuse(s, 'Q', &e);
	buf_reset(&sc->parts);
	buf_add(&sc->parts, sql, bytes);
	sc->chars = 0;
	sc->part_sent = false;
	return DROP;
}

static bool
has_one(const char *sql, size_t bytes)
{
	size_t first = part_of(sql, bytes);

	return empty(sql + first, bytes - first);
}

static enum verdict
query(struct session *s, const struct message *m, const char *sql, size_t bytes)
{
	struct grammar *g;
	struct err e;
	enum verdict v;

	if (m->have < m->bytes || m->bytes > SESSION_WHOLE_MAX - 16) {
		err_make(&e, ERR_SCOPE_TOO_LONG, SESSION_WHOLE_MAX - 16);
		return refuse(s, m->type, &e);
	}
	if ((v = settled(s)) != FORWARD)
		return v;
	if (!s->scopes->in_part && !has_one(sql, bytes))
		return split(s, sql, bytes);
	g = parse(s, sql, bytes, &e);
	if (g && g->nparams > 0) {
		grammar_free(g);
		err_make(&e, ERR_SCOPE_SYNTAX, "there is no parameter $1 in a simple query");
		return refuse(s, m->type, &e);
	}
	return g ? scopes_do(s, g, 'Q') : refuse(s, m->type, &e);
}

/* ---- the extended protocol ---- */

static struct scope_named *
find(const struct list *l, const char *name)
{
	struct list_node *n;

	LIST_EACH (n, l)
		if (strcmp(LIST_OBJ(n, struct scope_named, node)->name, name) == 0)
			return LIST_OBJ(n, struct scope_named, node);
	return NULL;
}

static void
forget(struct list *l, struct scope_named *named)
{
	list_remove(l, &named->node);
	free(named->name);
	free(named->types);
	grammar_free(named->statement);
	free(named);
}

static void
forget_name(struct list *l, const char *name)
{
	struct scope_named *named = find(l, name);

	if (named)
		forget(l, named);
}

static void
forget_all(struct list *l)
{
	struct list_node *n;

	while ((n = list_first(l)) != NULL)
		forget(l, LIST_OBJ(n, struct scope_named, node));
}

void
parts_clear(struct scopes *sc)
{
	forget_all(&sc->statements);
	forget_all(&sc->portals);
}

static struct scope_named *
keep(struct list *l, const char *name, struct grammar *g)
{
	struct scope_named *named = mem_calloc(1, sizeof *named);

	named->name = mem_strdup(name);
	named->statement = g;
	list_append(l, &named->node);
	return named;
}

static enum verdict
acknowledge(struct session *s, char type)
{
	uint8_t message[] = {(uint8_t)type, 0, 0, 0, 4};

	session_send(s, message, sizeof message);
	return session_gone(s) ? OVER : DROP;
}

static enum verdict
malformed(struct session *s)
{
	struct err e;

	err_make(&e, ERR_PROTOCOL_VIOLATION, "a malformed message");
	session_fail(s, &e);
	err_clear(&e);
	return OVER;
}

static enum verdict
parse_message(struct session *s, const struct message *m, const char *sql, size_t bytes)
{
	struct scopes *sc = s->scopes;
	const char *name = (const char *)m->body;
	struct scope_named *named;
	struct reader r;
	struct grammar *g;
	struct err e;

	if (m->have < m->bytes) {
		err_make(&e, ERR_SCOPE_TOO_LONG, SESSION_WHOLE_MAX);
		return refuse(s, 'P', &e);
	}
	if (*name && (find(&sc->statements, name) ||
		      (s->names && names_have(s->names, name, strlen(name))))) {
		err_make(&e, ERR_STATEMENT_EXISTS, name);
		return refuse(s, 'P', &e);
	}
	if (sc->statements.count >= NAMED_MAX) {
		err_make(&e, ERR_SCOPE_TOO_MANY, "prepared scope statements", NAMED_MAX);
		return refuse(s, 'P', &e);
	}
	if ((g = parse(s, sql, bytes, &e)) == NULL)
		return refuse(s, 'P', &e);
	if (*name == 0) {
		forget_name(&sc->statements, "");
		unnamed_forget(&s->unnamed,
			       s->lease->srv ? &s->lease->srv->prepared.tracked : NULL);
	}
	named = keep(&sc->statements, name, g);
	reader_init(&r, m->body, m->bytes);
	reader_str(&r);
	reader_str(&r);
	named->ntypes = reader_u16(&r);
	if (named->ntypes > g->nparams)
		named->ntypes = g->nparams;
	named->types = mem_calloc(g->nparams + 1, sizeof *named->types);
	for (unsigned i = 0; i < named->ntypes; i++)
		named->types[i] = reader_u32(&r);
	return acknowledge(s, '1');
}

/* A value of Bind as text, allocated; NULL if it cannot be understood. */
static char *
value_of(const uint8_t *p, uint32_t bytes, unsigned format, uint32_t type)
{
	enum {
		BOOL = 16,
		NAME = 19,
		INT8 = 20,
		INT2 = 21,
		INT4 = 23,
		TEXT = 25,
		UNKNOWN = 705,
		BPCHAR = 1042,
		VARCHAR = 1043
	};
	int64_t number = 0;
	char text[24];

	if (format == 0 || type == 0 || type == TEXT || type == VARCHAR || type == UNKNOWN ||
	    type == NAME || type == BPCHAR)
		return memchr(p, 0, bytes) ? NULL : mem_strndup((const char *)p, bytes);
	if (type == BOOL && bytes == 1)
		return mem_strdup(*p ? "true" : "false");
	if ((type == INT2 && bytes == 2) || (type == INT4 && bytes == 4) ||
	    (type == INT8 && bytes == 8)) {
		for (uint32_t i = 0; i < bytes; i++)
			number = (int64_t)((uint64_t)number << 8 | p[i]);
		if (bytes == 2)
			number = (int16_t)number;
		if (bytes == 4)
			number = (int32_t)number;
		snprintf(text, sizeof text, "%lld", (long long)number);
		return mem_strdup(text);
	}
	return NULL;
}

/* Reads what Bind gives to the parameters. Returns false with the reason in *e; *broken: the
 * message is malformed. */
static bool
bind_values(const struct scope_named *st, struct reader *r, struct grammar *g, struct err *e,
	    bool *broken)
{
	unsigned nformats, n, given;
	uint16_t formats[64] = {0};
	char **values;
	struct grammar_error ge;
	bool good = true;

	nformats = reader_u16(r);
	for (unsigned i = 0; i < nformats; i++) {
		uint16_t format = reader_u16(r);

		if (i < sizeof formats / sizeof *formats)
			formats[i] = format;
	}
	given = reader_u16(r);
	*broken = r->failed;
	if (*broken)
		return false;
	values = mem_calloc(given + 1, sizeof *values);
	for (n = 0; n < given && good; n++) {
		uint32_t bytes = reader_u32(r);
		const uint8_t *p = bytes == UINT32_MAX ? NULL : reader_bytes(r, bytes);
		unsigned format = nformats == 1            ? formats[0]
				  : n < nformats && n < 64 ? formats[n]
							   : 0;

		if (r->failed) {
			*broken = true;
			good = false;
		} else if (bytes != UINT32_MAX) {
			values[n] = value_of(p, bytes, format, n < st->ntypes ? st->types[n] : 0);
			if (values[n] == NULL) {
				err_make(e, ERR_SCOPE_UNSUPPORTED,
					 "a parameter of a scope statement is text, a whole number "
					 "or a boolean");
				good = false;
			}
		}
	}
	if (good && given > g->nparams) {
		char text[96];

		snprintf(text, sizeof text, "expected %u parameters, there are %u", g->nparams,
			 given);
		err_make(e, ERR_SCOPE_VALUE, text);
		good = false;
	}
	if (good && grammar_bind(g, (const char *const *)values, given, &ge) < 0) {
		err_make(e, ERR_SCOPE_VALUE, ge.expected);
		free(ge.expected);
		good = false;
	}
	for (unsigned i = 0; i < given; i++)
		free(values[i]);
	free(values);
	return good;
}

/* What Bind says about the columns of the answer. */
static void
result_formats(struct reader *r, struct scopes_formats *formats)
{
	unsigned count = reader_u16(r);

	formats->count = count > SCOPES_COLUMNS ? SCOPES_COLUMNS : count;
	for (unsigned i = 0; i < formats->count; i++)
		formats->list[i] = reader_u16(r);
}

static enum verdict
bind_message(struct session *s, const struct message *m, const struct scope_named *st)
{
	struct scopes *sc = s->scopes;
	struct grammar *g;
	struct reader r;
	const char *portal;
	struct err e;
	struct scopes_formats formats;
	bool broken = false;

	if (m->have < m->bytes) {
		err_make(&e, ERR_SCOPE_TOO_LONG, SESSION_WHOLE_MAX);
		return refuse(s, 'B', &e);
	}
	reader_init(&r, m->body, m->bytes);
	portal = reader_str(&r);
	reader_str(&r);
	if (r.failed)
		return malformed(s);
	if (*portal && find(&sc->portals, portal)) {
		err_make(&e, ERR_PORTAL_EXISTS, portal);
		return refuse(s, 'B', &e);
	}
	if (sc->portals.count >= NAMED_MAX) {
		err_make(&e, ERR_SCOPE_TOO_MANY, "portals of scope statements", NAMED_MAX);
		return refuse(s, 'B', &e);
	}
	g = grammar_copy(st->statement);
	if (!bind_values(st, &r, g, &e, &broken)) {
		grammar_free(g);
		return broken ? malformed(s) : refuse(s, 'B', &e);
	}
	result_formats(&r, &formats);
	if (r.failed) {
		grammar_free(g);
		return malformed(s);
	}
	forget_name(&sc->portals, "");
	keep(&sc->portals, portal, g)->formats = formats;
	return acknowledge(s, '2');
}

static enum verdict
describe_message(struct session *s, const struct scope_named *named, bool statement)
{
	struct buf out;
	size_t at;

	buf_init(&out, 1024 * 1024);
	if (statement) {
		at = msg_begin(&out, 't');
		buf_add_u16(&out, (uint16_t)named->statement->nparams);
		for (unsigned i = 0; i < named->statement->nparams; i++)
			buf_add_u32(&out, named->types[i] ? named->types[i] : 25 /* text */);
		msg_end(&out, at);
	}
	if (named->statement->verb == GRAMMAR_SHOW_SCOPES) {
		scopes_describe(&out, &named->formats);
	} else {
		at = msg_begin(&out, 'n');
		msg_end(&out, at);
	}
	session_send_buf(s, &out);
	buf_clear(&out);
	return session_gone(s) ? OVER : DROP;
}

static enum verdict
execute_message(struct session *s, struct scope_named *portal)
{
	struct grammar *g = portal->statement;

	/* A portal is for once, as that of any statement without rows. */
	portal->statement = NULL;
	s->scopes->formats = portal->formats;
	forget(&s->scopes->portals, portal);
	return scopes_do(s, g, 'E');
}

/* The names that a message gives, the second one where it has two; false if it is cut off. */
static bool
names_of(const struct message *m, const char **first, const char **second)
{
	const char *at = (const char *)m->body, *end = at + m->have;
	const char *nul;

	*second = "";
	if (m->type == 'D' || m->type == 'C')
		at++;
	nul = at < end ? memchr(at, 0, (size_t)(end - at)) : NULL;
	if (nul == NULL)
		return false;
	*first = at;
	if (m->type != 'B')
		return true;
	at = nul + 1;
	nul = at < end ? memchr(at, 0, (size_t)(end - at)) : NULL;
	*second = at;
	return nul != NULL;
}

/* The scope statement that the message is about, or NULL. */
static struct scope_named *
named_of(const struct session *s, const struct message *m, const char *first, const char *second)
{
	const struct scopes *sc = s->scopes;

	switch (m->type) {
	case 'B':
		return find(&sc->statements, second);
	case 'E':
		return find(&sc->portals, first);
	default: /* D, C */
		return find(m->body[0] == 'S' ? &sc->statements : &sc->portals, first);
	}
}

/* Of an ordinary Bind: the SQLCLASS_... bits of what it is about to run, and its text. */
static unsigned
effects_of(const struct session *s, const char *name, const char **sql, size_t *bytes)
{
	unsigned set = 0;

	*sql = "";
	*bytes = 0;
	if (*name == 0)
		return unnamed_effects(&s->unnamed, sql, bytes);
	if (s->names)
		set = names_effects(s->names, name, strlen(name), sql);
	*bytes = strlen(*sql);
	return set;
}

#define CONTROL \
	(SQLCLASS_COMMIT | SQLCLASS_ROLLBACK | SQLCLASS_SAVEPOINT | SQLCLASS_PREPARE_TRANSACTION)

/* An ordinary statement, in scopes. */
static enum verdict
admit(struct session *s, struct message *m, unsigned set, const char *sql, size_t bytes)
{
	enum verdict v;
	struct err e;

	/* One of BEGIN that was ended is the client's to end. */
	if (s->begun == BEGUN_EXPIRED)
		return FORWARD;
	/* Locks alone do not mind, and most statements mean nothing to any scope. */
	if (!scopes_expired(s) && (!(set & CONTROL) || stack_current(&s->scopes->stack) == NULL))
		return FORWARD;
	if ((v = settled(s)) != FORWARD)
		return v;
	return scopes_admit(s, set, sql, bytes, &e) ? FORWARD : refuse(s, m->type, &e);
}

/* What is new takes the place of a scope statement or portal without a name. */
static void
replaces(struct session *s, const struct message *m, const char *name)
{
	if (m->type == 'P' && *name == 0)
		forget_name(&s->scopes->statements, "");
	if (m->type == 'B' && *name == 0)
		forget_name(&s->scopes->portals, "");
}

static enum verdict
extended(struct session *s, struct message *m)
{
	const char *first, *second, *sql;
	struct scope_named *named;
	enum verdict v;
	size_t bytes = 0;
	unsigned set = 0;
	struct err e;

	sql = statement_text(m, &bytes);
	if (!names_of(m, &first, &second))
		return FORWARD;
	if (m->type == 'P') {
		if (m->set & SQLCLASS_SCOPE)
			return (v = settled(s)) == FORWARD ? parse_message(s, m, sql, bytes) : v;
		if (*first && find(&s->scopes->statements, first)) {
			if ((v = settled(s)) != FORWARD)
				return v;
			err_make(&e, ERR_STATEMENT_EXISTS, first);
			return refuse(s, 'P', &e);
		}
		replaces(s, m, first);
		/* What it does counts when it is bound. */
		return admit(s, m, 0, NULL, 0);
	}
	named = named_of(s, m, first, second);
	if (named == NULL) {
		if (m->type == 'B') {
			replaces(s, m, first);
			set = effects_of(s, second, &sql, &bytes);
		}
		return m->type == 'C' ? FORWARD : admit(s, m, set, sql, bytes);
	}
	if ((v = settled(s)) != FORWARD)
		return v;
	switch (m->type) {
	case 'B':
		return bind_message(s, m, named);
	case 'D':
		return describe_message(s, named, m->body[0] == 'S');
	case 'E':
		return execute_message(s, named);
	default:
		forget(m->body[0] == 'S' ? &s->scopes->statements : &s->scopes->portals, named);
		return acknowledge(s, '3');
	}
}

/* A Sync. Of a transaction that has expired no server knows: that which messages go by is another
 * one's. */
static enum verdict
synced(struct session *s)
{
	struct buf out;

	forget_all(&s->scopes->portals);
	if (!scopes_expired(s) || s->state != SESSION_ACTIVE ||
	    !progress_at_rest(&s->lease->srv->progress))
		return FORWARD;
	buf_init(&out, 16);
	msg_ready(&out, scopes_status(s));
	session_send_buf(s, &out);
	buf_clear(&out);
	return session_gone(s) ? OVER : DROP;
}

enum verdict
parts_judge(struct session *s, struct message *m)
{
	struct scopes *sc = scopes_of(s);
	const char *sql;
	size_t bytes;

	if (m->type == 'd' || m->type == 'c' || m->type == 'f')
		return FORWARD;
	/* What came behind a text waits until all of that is done. */
	if (!sc->in_part && parts_pending(s))
		return HOLD;
	if (s->state == SESSION_ACTIVE && s->lease->srv->progress.copy == COPY_IN)
		return FORWARD;
	switch (m->type) {
	case 'Q':
		sql = statement_text(m, &bytes);
		if (m->set & SQLCLASS_SCOPE)
			return query(s, m, sql, bytes);
		forget_name(&sc->statements, "");
		return admit(s, m, m->set, sql, bytes);
	case 'F':
		return admit(s, m, 0, NULL, 0);
	case 'S':
		return synced(s);
	case 'H':
		return FORWARD;
	default:
		return extended(s, m);
	}
}
