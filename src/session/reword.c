#include "session/reword.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "pool/pool.h"
#include "session/reply.h"
#include "wire/frame.h"
#include "wire/msg.h"

#define ERROR_MAX (64 * 1024) /* bytes of an error */

/* The text begins with a name of ours, maybe. Returns the client's name for that statement, and in
 * *length how long our name is; or NULL. */
static const char *
client_name(const struct session *s, bool unnamed, const char *text, size_t *length)
{
	const struct prepared_set *set = &s->hold->lease.srv->prepared;
	size_t prefix = strlen(prepared_prefix);
	unsigned long long number;
	char *end;

	if (strncmp(text, prepared_nobodys, strlen(prepared_nobodys)) == 0) {
		*length = strlen(prepared_nobodys);
		return prepared_client_name(s->context.names, set, 0);
	}
	number = strtoull(text + prefix, &end, 10);
	*length = (size_t)(end - text);
	if (*length == prefix || number == 0)
		return NULL;
	/* The statement may be one that the client has a name for, too. */
	return unnamed ? "" : prepared_client_name(s->context.names, set, number);
}

/* Adds a field with the client's names in place of ours. Returns true if one of them is a statement
 * that the server should have. */
static bool
add_field(const struct session *s, bool unnamed, const char *text, struct buf *out)
{
	bool known = false;

	const char *ours, *name;
	size_t length;

	while ((ours = strstr(text, prepared_prefix)) != NULL) {
		buf_add(out, text, (size_t)(ours - text));
		name = client_name(s, unnamed, ours, &length);
		if (name == NULL)
			length = strlen(prepared_prefix);
		else
			known |= ours[length - 1] <= '9';
		buf_add(out, name ? name : ours, name ? strlen(name) : length);
		text = ours + length;
	}
	buf_add_str(out, text);
	return known;
}

/* Can errors of this SQLSTATE name prepared statements? 26000 is invalid_sql_statement_name, 08P01
 * a Bind with another number of parameters. In other errors, such a text is the client's own. */
static bool
may_name(const char *sqlstate)
{
	return sqlstate && (strcmp(sqlstate, "26000") == 0 || strcmp(sqlstate, "08P01") == 0);
}

/* An ErrorResponse: fields, each a letter and a string, and a NUL. `unnamed`: it is of the unnamed
 * statement. */
static void
add_error(struct session *s, bool unnamed, const uint8_t *message, size_t bytes, struct buf *out)
{
	const char *at = (const char *)message + FRAME_HEADER, *end = (const char *)message + bytes;
	const char *sqlstate = msg_report_field(message + FRAME_HEADER, bytes - FRAME_HEADER, 'C');
	size_t message_at;
	bool known = false;

	if (!may_name(sqlstate) || end[-1] != 0 ||
	    memmem(at, (size_t)(end - at), prepared_prefix, strlen(prepared_prefix)) == NULL) {
		buf_add(out, message, bytes);
		return;
	}
	message_at = msg_begin(out, 'E');
	while (at < end && *at) {
		buf_add_u8(out, (uint8_t)*at);
		if (*at == 'M' || *at == 'D' || *at == 'H' || *at == 'W')
			known |= add_field(s, unnamed, at + 1, out);
		else
			buf_add_str(out, at + 1);
		at += strlen(at) + 1;
	}
	buf_add_u8(out, 0);
	msg_end(out, message_at);
	/* The server lacks a statement that we count on: all of them are prepared anew. */
	if (known && strcmp(sqlstate, "26000") == 0)
		s->hold->lease.srv->prepared.stale = true;
	if (out->failed) {
		buf_clear(out);
		buf_add(out, message, bytes);
	}
}

/* How many whole errors are there? */
static unsigned
count_errors(const uint8_t *data, size_t bytes)
{
	unsigned errors = 0;
	struct frame f;

	while (bytes > 0 && frame_read(data, bytes, &f) == 0 && FRAME_HEADER + f.body <= bytes) {
		errors += f.type == 'E';
		data += FRAME_HEADER + f.body;
		bytes -= FRAME_HEADER + f.body;
	}
	return errors;
}

/* Is it the unnamed statement's, the error that `later` others stand behind? */
static bool
is_of_unnamed(const struct session *s, unsigned later)
{
	return later < 64 && (s->hold->lease.srv->progress.unnamed_errors >> later & 1);
}

void
reword_errors(struct session *s, const struct reword_from *from, const uint8_t *data, size_t bytes)
{
	size_t at = 0, sent = 0;
	unsigned errors;
	struct buf out;
	struct frame f;

	/* Passes the rest of a message of which a part has been sent. If that part ends within the
	 * header, the length is not known here, and all is passed as it is. */
	if (from->have > 0 && from->have < FRAME_HEADER)
		at = bytes;
	else if (from->have == FRAME_HEADER && !from->dropped)
		at = from->left < bytes ? from->left : bytes;
	errors = count_errors(data + at, bytes - at);
	while (at < bytes && frame_read(data + at, bytes - at, &f) == 0 &&
	       FRAME_HEADER + f.body <= bytes - at) {
		errors -= f.type == 'E';
		if (f.type == 'E' && f.body > 0 && f.body < ERROR_MAX) {
			buf_init(&out, 2 * ERROR_MAX);
			add_error(s, is_of_unnamed(s, errors), data + at, FRAME_HEADER + f.body,
				  &out);
			if (at > sent)
				reply_send(s, data + sent, at - sent);
			reply_send_buf(s, &out);
			buf_clear(&out);
			sent = at + FRAME_HEADER + f.body;
		}
		at += FRAME_HEADER + f.body;
	}
	if (bytes > sent)
		reply_send(s, data + sent, bytes - sent);
}
