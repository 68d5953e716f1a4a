#include "executor/portal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "executor/listing.h"
#include "executor/split.h"
#include "executor/verbs.h"
#include "session/reply.h"
#include "session/site.h"
#include "wire/msg.h"
#include "wire/reader.h"

#define NAMED_MAX 1000 /* prepared scope statements of a session; the same of portals */

static enum verdict
acknowledge(struct session *s, char type)
{
	uint8_t message[] = {(uint8_t)type, 0, 0, 0, 4};

	reply_send(s, message, sizeof message);
	return session_gone(s) ? OVER : DROP;
}

static enum verdict
refuse_malformed(struct session *s, char type)
{
	struct err e;

	err_make(&e, ERR_MALFORMED);
	return reply_refuse_message(s, type, &e);
}

enum verdict
portal_parse(struct session *s, const struct message *m, const char *sql, size_t bytes)
{
	const char *name = m->statement;
	struct scope_named *named;
	struct reader r;
	struct grammar *g;
	struct err e;

	if (!message_is_whole(m)) {
		err_make(&e, ERR_SCOPE_TOO_LONG, SESSION_WHOLE_MAX);
		return reply_refuse_message(s, 'P', &e);
	}
	if (!message_is_well_formed(m))
		return refuse_malformed(s, 'P');
	if (*name && (named_statement(s->extended.named, name) ||
		      (s->context.names && names_have(s->context.names, name, strlen(name))))) {
		err_make(&e, ERR_STATEMENT_EXISTS, name);
		return reply_refuse_message(s, 'P', &e);
	}
	if (named_statements(s->extended.named) >= NAMED_MAX) {
		err_make(&e, ERR_SCOPE_TOO_MANY, "prepared scope statements", NAMED_MAX);
		return reply_refuse_message(s, 'P', &e);
	}
	if ((g = split_parse(s, sql, bytes, &e)) == NULL)
		return reply_refuse_message(s, 'P', &e);
	if (*name == 0) {
		named_replaced(s->extended.named, 'P');
		unnamed_forget(s->context.unnamed,
			       s->hold->lease.srv ? &s->hold->lease.srv->prepared.tracked : NULL);
	}
	named = named_add(&s->extended.named, 'P', name, g);
	message_read_rest(m, &r);
	named->ntypes = reader_u16(&r);
	if (named->ntypes > g->nparams)
		named->ntypes = g->nparams;
	named->types = mem_calloc(g->nparams + 1, sizeof *named->types);
	for (unsigned i = 0; i < named->ntypes; i++)
		named->types[i] = reader_u32(&r);
	return acknowledge(s, '1');
}

/* Returns a value of Bind as text, allocated; NULL if its type or format is not supported. */
static char *
bound_value(const uint8_t *p, uint32_t bytes, unsigned format, uint32_t type)
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

/* Reads the values of a Bind that is well formed, and gives them to the statement's parameters.
 * Returns false with the reason in *e. */
static bool
bind_values(const struct scope_named *st, struct reader *r, struct grammar *g, struct err *e)
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
	values = mem_calloc(given + 1, sizeof *values);
	for (n = 0; n < given && good; n++) {
		uint32_t bytes = reader_u32(r);
		const uint8_t *p = bytes == UINT32_MAX ? NULL : reader_bytes(r, bytes);
		unsigned format = nformats == 1            ? formats[0]
				  : n < nformats && n < 64 ? formats[n]
							   : 0;

		if (bytes != UINT32_MAX) {
			values[n] =
			    bound_value(p, bytes, format, n < st->ntypes ? st->types[n] : 0);
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

/* Reads the formats that Bind wants for the columns of the answer. */
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
	struct grammar *g;
	struct reader r;
	const char *portal = m->portal;
	struct err e;
	struct scopes_formats formats;

	if (!message_is_whole(m)) {
		err_make(&e, ERR_SCOPE_TOO_LONG, SESSION_WHOLE_MAX);
		return reply_refuse_message(s, 'B', &e);
	}
	if (*portal && named_portal(s->extended.named, portal)) {
		err_make(&e, ERR_PORTAL_EXISTS, portal);
		return reply_refuse_message(s, 'B', &e);
	}
	if (named_portals(s->extended.named) >= NAMED_MAX) {
		err_make(&e, ERR_SCOPE_TOO_MANY, "portals of scope statements", NAMED_MAX);
		return reply_refuse_message(s, 'B', &e);
	}
	g = grammar_copy(st->statement);
	message_read_rest(m, &r);
	if (!bind_values(st, &r, g, &e)) {
		grammar_free(g);
		return reply_refuse_message(s, 'B', &e);
	}
	result_formats(&r, &formats);
	named_replaced(s->extended.named, 'B');
	named_add(&s->extended.named, 'B', portal, g)->formats = formats;
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
		listing_describe(&out, &named->formats);
	} else {
		at = msg_begin(&out, 'n');
		msg_end(&out, at);
	}
	reply_send_buf(s, &out);
	buf_clear(&out);
	return session_gone(s) ? OVER : DROP;
}

static enum verdict
execute_message(struct session *s, struct scope_named *portal)
{
	struct grammar *g = portal->statement;

	/* The portal can be executed once, as that of any statement without rows. */
	portal->statement = NULL;
	s->extended.named->formats = portal->formats;
	named_drop(&s->extended.named->portals, portal);
	return verbs_do(s, g, 'E');
}

enum verdict
portal_message(struct session *s, const struct message *m, struct scope_named *named)
{
	if (message_is_whole(m) && !message_is_well_formed(m))
		return refuse_malformed(s, m->type);
	switch (m->type) {
	case 'B':
		return bind_message(s, m, named);
	case 'D':
		return describe_message(s, named, m->kind == 'S');
	case 'E':
		return execute_message(s, named);
	default: /* C */
		named_drop(m->kind == 'S' ? &s->extended.named->statements
					  : &s->extended.named->portals,
			   named);
		return acknowledge(s, '3');
	}
}
