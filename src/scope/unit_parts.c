#include "scope/unit_parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "scope/unit_answer.h"
#include "scope/unit_control.h"
#include "scope/unit_sequence.h"
#include "wire/msg.h"
#include "wire/sqlset.h"

#define REPLY_MARK (2 * UNIT_ERROR_MAX) /* beyond it, a text of many parts ends by an error */
#define BLANKS_MAX 16384u               /* ahead of a part of a text */

void
unit_end_text_(struct unit *u)
{
	free(u->text);
	u->text = NULL;
}

enum unitkind
unit_kind_of_(const struct unit *u, const struct sqltext_stmt *stmt, bool alone)
{
	const struct unitkind_place at = {u->flags, u->block, u->status != 'T', alone, u->name};

	return unitkind_of(stmt, &at);
}

bool
unit_captures_(struct unit *u, const struct sqltext_stmt *stmt)
{
	return u->status != 'E' && unitlocal_capture(&u->locals, stmt, u->flags);
}

/* Does what unit_captures_() has found. Returns false if it is too much, as the member was told. */
bool
unit_begin_capture_(struct unit *u)
{
	if (!u->locals.capture.failed) {
		unit_begin_own_(u, UNIT_OWN_CAPTURE);
		return true;
	}
	unit_tell_error_(u, "54000",
			 "too many parameters are set for one transaction in a joined scope", NULL);
	unit_statement_refused_(u);
	return false;
}

/* Sends the ordinary statements from text_at up to `end` of the text, with blanks in place of what
 * is before them, so that positions in errors are those of the member's text. Far behind, they are
 * corrected instead: a text of many parts would be sent many times over. */
static void
send_part(struct unit *u, size_t end)
{
	size_t at = msg_begin(&u->out, 'Q');
	size_t blanks = u->text_chars < BLANKS_MAX ? u->text_chars : BLANKS_MAX;
	uint8_t *room = blanks ? buf_room(&u->out, blanks) : NULL;

	if (room) {
		memset(room, ' ', blanks);
		buf_grew(&u->out, blanks);
	}
	u->text_moves = u->text_chars - blanks;
	buf_add(&u->out, u->text + u->text_at, end - u->text_at);
	buf_add_u8(&u->out, 0);
	msg_end(&u->out, at);
	u->state = UNIT_QUERY;
}

static void
part_taken(struct unit *u, size_t end)
{
	u->text_chars += sqltext_characters(u->text + u->text_at, end - u->text_at, u->flags);
	u->text_at = end;
}

bool
unit_warns_of_local_(const struct unit *u, const struct sqltext_stmt *stmt, bool alone)
{
	struct sqltext text;
	struct sqltext_token tok;
	struct sqlset set;

	if (u->block || !alone || stmt->first[0] != SQLWORD_SET)
		return false;
	sqltext_init(&text, stmt->start, stmt->length, u->flags);
	sqltext_token(&text, &tok);
	sqlset_read(&text, &tok, &set);
	return set.local;
}

void
unit_warn_of_local_(struct unit *u)
{
	unit_warn_(u, "25P01", "SET LOCAL can only be used in transaction blocks");
}

/* Could the rest of the text be read in another way by another standard_conforming_strings or
 * client_encoding? */
static bool
rest_is_moved(const struct unit *u)
{
	for (size_t i = u->text_at; i < u->text_bytes; i++)
		if (u->text[i] == '\\' || (unsigned char)u->text[i] >= 0x80)
			return true;
	return false;
}

/* A text of several parts: does one. The server is at rest. */
static void
do_part(struct unit *u)
{
	struct sqltext at, before;
	struct sqltext_stmt stmt;
	enum unitkind kind;
	const char *start;
	size_t end;

	if (u->failed) {
		unit_end_request_(u);
		return;
	}
	sqltext_init(&at, u->text + u->text_at, u->text_bytes - u->text_at, u->flags);
	if (!sqltext_next(&at, &stmt)) {
		unit_end_request_(u);
		return;
	}
	u->text_moved = u->text_moved && rest_is_moved(u);
	if (u->text_moved) {
		/* Sent alone, the rest would be lexed by the new value, which PostgreSQL does only
		 * with the next Query. */
		unit_tell_error_(
		    u, "0A000",
		    "standard_conforming_strings or client_encoding cannot be changed in a "
		    "text with other statements in a joined scope",
		    "send the statements one by one");
		unit_statement_refused_(u);
		return;
	}
	if (u->reply.len > REPLY_MARK) {
		unit_tell_error_(u, "54000",
				 "too many statements that begin or end transactions in one text",
				 NULL);
		unit_statement_refused_(u);
		return;
	}
	kind = unit_kind_of_(u, &stmt, u->text_single);
	start = stmt.start;
	if (kind != UNITKIND_ORDINARY && kind != UNITKIND_SETS) {
		size_t length = stmt.length;

		end = (size_t)(at.at - u->text);
		part_taken(u, end);
		unit_do_special_(u, kind, start, length);
		return;
	}
	if (!unit_open_(u) || !unit_expose_(u))
		return;
	if (kind == UNITKIND_SETS && !u->captured && unit_captures_(u, &stmt)) {
		unit_begin_capture_(u);
		return;
	}
	u->captured = false;
	/* The warnings of those who read the statement come ahead of this one. */
	u->warns = kind == UNITKIND_SETS && unit_warns_of_local_(u, &stmt, u->text_single);
	for (before = at; sqltext_next(&at, &stmt); before = at)
		if (unitkind_may_differ(&stmt, u->flags))
			break;
	end = (size_t)(before.at - u->text);
	send_part(u, end);
	part_taken(u, end);
}

void
unit_next_part_(struct unit *u)
{
	u->text_again = true;
	if (u->text_turns)
		return;
	u->text_turns = true;
	while (u->text_again) {
		u->text_again = false;
		do_part(u);
	}
	u->text_turns = false;
}

enum unit_verdict
unit_tell_moved_(struct unit *u, const uint8_t *body, size_t bytes)
{
	const char *position = msg_report_field(body, bytes, 'P');
	const char *at = (const char *)body;
	size_t begun;

	if (u->text == NULL || u->text_moves == 0 || position == NULL || bytes > UNIT_ERROR_MAX ||
	    body[bytes - 1] != 0)
		return UNIT_PASS;
	begun = msg_begin(&u->reply, 'E');
	buf_add(&u->reply, at, (size_t)(position - at));
	buf_add_fmt(&u->reply, "%llu",
		    strtoull(position, NULL, 10) + (unsigned long long)u->text_moves);
	position += strlen(position);
	buf_add(&u->reply, position, (size_t)(at + bytes - position));
	msg_end(&u->reply, begun);
	return UNIT_DROP;
}
