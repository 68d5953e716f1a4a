#include "scope/unit_member.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "scope/unit_answer.h"
#include "scope/unit_control.h"
#include "scope/unit_parts.h"
#include "scope/unit_sequence.h"
#include "scope/unitkind.h"
#include "wire/msg.h"
#include "wire/reader.h"
#include "wire/sqltext.h"

/* What a pool begins with that gives its server to a session with other parameters: it must not be
 * hit by the statement_timeout of the session before. */
#define RESETS "RESET statement_timeout;"

/* The kind of the statement that an Execute executes, and its text. */
static enum unitkind
kind_of_execute(const struct unit *u, const uint8_t *body, size_t bytes, struct unit_name **portal,
		struct sqltext_stmt *stmt)
{
	struct unit_name *x;
	struct sqltext at;
	struct reader r;
	const char *name;

	reader_init(&r, body, bytes);
	name = reader_str(&r);
	x = r.failed ? NULL : unitname_coming(&u->names, &u->sent, 'P', name);
	if (x == NULL)
		return UNITKIND_ORDINARY;
	*portal = x;
	sqltext_init(&at, x->text, strlen(x->text), u->flags);
	return sqltext_next(&at, stmt) ? unit_kind_of_(u, stmt, true) : UNITKIND_ORDINARY;
}

bool
unit_takes_header(char type)
{
	return type == 'd' || type == 'c' || type == 'f' || type == 'S' || type == 'H' ||
	       type == 'X' || type == 'D' || type == 'F';
}

/* A simple Query ends the unnamed statement and portal; in a transaction that has failed, only the
 * statement. Returns true if there was any. */
static bool
forget_unnamed(struct unit *u)
{
	bool any = unitname_find(&u->names, 'S', "") != NULL;

	unitname_forget(&u->names, 'S', "");
	if (u->status == 'E')
		return any;
	any |= unitname_find(&u->names, 'P', "") != NULL;
	unitname_forget(&u->names, 'P', "");
	return any;
}

static enum unit_verdict
member_query(struct unit *u, const uint8_t *body, size_t bytes)
{
	bool terminated = bytes > 0 && body[bytes - 1] == 0 && memchr(body, 0, bytes - 1) == NULL;

	u->fresh = !u->executed;
	if (u->state == UNIT_EXCHANGE) {
		/* A Query in the middle of an exchange, without its Sync. */
		if (u->failed)
			return UNIT_DROP;
		if (!u->drained) {
			msg_sync(&u->out);
			u->state = UNIT_DRAINING;
			return UNIT_HOLD;
		}
		u->exchange = u->drained = false;
		u->state = UNIT_REST;
	}
	unitcopy_reset(&u->copy);
	u->resets = bytes > sizeof RESETS &&
		    strncasecmp((const char *)body, RESETS, sizeof RESETS - 1) == 0;
	if (terminated && unitkind_any((const char *)body, bytes - 1, u->flags)) {
		u->text = mem_strndup((const char *)body, bytes - 1);
		u->text_bytes = bytes - 1;
		u->text_at = u->text_chars = 0;
		u->text_moved = false;
		u->text_single = unitkind_is_single(u->text, u->text_bytes, u->flags);
		u->failed = u->captured = false;
		/* The server may get none of it: it must not execute a COMMIT that was prepared
		 * before. */
		if (forget_unnamed(u)) {
			unit_begin_own_(u, UNIT_OWN_FORGET);
		} else {
			unit_next_part_(u);
		}
		return UNIT_DROP;
	}
	if (!unit_open_(u) || !unit_expose_(u))
		return UNIT_HOLD;
	forget_unnamed(u);
	u->failed = false;
	u->state = UNIT_QUERY;
	return UNIT_PASS;
}

/* May the statement be executed in a transaction that has failed? */
static bool
ends_transaction(const char *text)
{
	switch (sqltext_first(text, strlen(text))) {
	case SQLWORD_COMMIT:
	case SQLWORD_END:
	case SQLWORD_ROLLBACK:
	case SQLWORD_ABORT:
	case SQLWORD_PREPARE:
		return true;
	default:
		return false;
	}
}

static void
tell_aborted(struct unit *u)
{
	unit_tell_error_(
	    u, "25P02",
	    "current transaction is aborted, commands ignored until end of transaction block",
	    NULL);
	unit_statement_refused_(u);
}

/* Executes the portal, whose statement the server does not get. */
static void
execute_special(struct unit *u, enum unitkind kind, struct unit_name *portal)
{
	char message[128];
	char *text;

	if (portal->done && u->status == 'E' && !ends_transaction(portal->text)) {
		tell_aborted(u);
		return;
	}
	if (portal->done) {
		snprintf(message, sizeof message, "portal \"%.64s\" cannot be run", portal->name);
		unit_tell_error_(u, "55000", message, NULL);
		unit_statement_refused_(u);
		return;
	}
	portal->done = true;
	/* The portal may end with the unit. */
	text = mem_strdup(portal->text);
	unit_do_special_(u, kind, text, strlen(text));
	free(text);
}

/* Passes a Parse on with another text. */
static void
parse_instead(struct unit *u, const uint8_t *body, size_t bytes, const char *instead)
{
	size_t at = msg_begin(&u->out, 'P');
	const char *name = (const char *)body, *text = name + strlen(name) + 1;

	buf_add(&u->out, name, strlen(name) + 1);
	buf_add(&u->out, instead, strlen(instead) + 1);
	text += strlen(text) + 1;
	buf_add(&u->out, text, (size_t)(body + bytes - (const uint8_t *)text));
	msg_end(&u->out, at);
}

/* The parameters of a session, which its pool gives to the server: a statement_timeout among them
 * must hit nothing before the session itself asks for something, so the same statement puts it
 * aside. */
static bool
put_aside(struct unit *u, const uint8_t *body, size_t bytes)
{
	const char *text = (const char *)body + 1;
	struct buf sql;

	if (!u->timed || u->parameters == NULL || bytes < 2 || body[0] != 0 ||
	    memchr(text, 0, bytes - 1) == NULL || strcmp(text, u->parameters) != 0)
		return false;
	buf_init(&sql, UNIT_TEXT_MAX + 8192);
	buf_add(&sql, text, strlen(text));
	unitown_keep_timeouts(&sql, u->name, u->exposed);
	buf_add_u8(&sql, 0);
	if (!sql.failed) {
		u->put_aside = true;
		parse_instead(u, body, bytes, (const char *)buf_data(&sql));
	}
	buf_clear(&sql);
	return u->put_aside;
}

/* A Parse of what the server must never execute: something harmless stands for it. In a transaction
 * that has failed, PostgreSQL takes the Parse and Bind of what ends it, and of nothing else. */
static bool
replace_parse(struct unit *u, const uint8_t *body, size_t bytes)
{
	const char *text, *instead = "CLOSE pgwith_unit_none";
	struct reader r;

	reader_init(&r, body, bytes);
	reader_str(&r);
	text = reader_str(&r);
	if (r.failed || !unitkind_is_ours(text, strlen(text), u->flags, u->name))
		return false;
	if (!unitkind_is_single(text, strlen(text), u->flags)) {
		instead = "SELECT 1; SELECT 1"; /* is refused as the text would be */
	} else if (ends_transaction(text)) {
		instead = "ROLLBACK TO SAVEPOINT pgwith_unit_none";
	}
	parse_instead(u, body, bytes, instead);
	return true;
}

static enum unit_verdict
member_extended(struct unit *u, char type, const uint8_t *body, size_t bytes)
{
	struct unit_name *portal = NULL;
	struct sqltext_stmt stmt = {0};
	enum unitkind kind = UNITKIND_ORDINARY;

	if (u->state == UNIT_EXCHANGE && u->failed)
		return UNIT_DROP;
	if (u->state == UNIT_EXCHANGE && unitname_full(&u->sent))
		return UNIT_HOLD;
	if (type == 'E')
		kind = kind_of_execute(u, body, bytes, &portal, &stmt);
	if (kind == UNITKIND_SETS && (u->captured || u->status == 'E' || portal->done)) {
		u->captured = false;
		portal->done = true;
		kind = UNITKIND_ORDINARY;
	}
	if (kind != UNITKIND_ORDINARY) {
		if (!u->drained) {
			msg_sync(&u->out);
			u->state = UNIT_DRAINING;
			u->exchange = true;
			return UNIT_HOLD;
		}
		if (kind == UNITKIND_SETS && u->open) {
			if (unit_warns_of_local_(u, &stmt, true))
				unit_warn_of_local_(u);
			if (unit_captures_(u, &stmt))
				return unit_begin_capture_(u) ? UNIT_HOLD : UNIT_DROP;
			portal->done = true;
		} else if (kind != UNITKIND_SETS) {
			u->fresh = !u->executed;
			u->executed = true;
			execute_special(u, kind, portal);
			return UNIT_DROP;
		}
	}
	if (!unit_open_(u) || ((!u->exchange || u->drained) && !unit_expose_(u)))
		return UNIT_HOLD;
	if (!u->exchange) {
		u->failed = false;
		u->executes = 0;
		unitcopy_reset(&u->copy);
	}
	if (portal && unitkind_copies(&stmt))
		unitcopy_ask(&u->copy);
	u->last = type;
	u->executes += type == 'E';
	u->executed |= type == 'E';
	u->exchange = true;
	u->drained = false;
	u->state = UNIT_EXCHANGE;
	unitname_send(&u->names, &u->sent, type, body, bytes, u->flags);
	return type == 'P' && (put_aside(u, body, bytes) || replace_parse(u, body, bytes))
		   ? UNIT_DROP
		   : UNIT_PASS;
}

/* The member has a COPY FROM STDIN open, or may have: decides about its message. Returns false if
 * the message is about no COPY. */
static bool
member_in_copy(struct unit *u, char type, enum unit_verdict *v)
{
	enum unitcopy_place place = u->state == UNIT_EXCHANGE ? UNITCOPY_EXCHANGE
				    : u->state != UNIT_QUERY  ? UNITCOPY_ELSEWHERE
				    : u->text                 ? UNITCOPY_PART
							      : UNITCOPY_QUERY;
	char message[80];

	switch (unitcopy_member(&u->copy, place, type, u->failed)) {
	case UNITCOPY_ORDINARY:
		return false;
	case UNITCOPY_SYNC:
		u->early = true;
		*v = UNIT_PASS;
		break;
	case UNITCOPY_PASS:
		if (place == UNITCOPY_EXCHANGE && (type == 'c' || type == 'f'))
			u->last = type;
		*v = UNIT_PASS;
		break;
	case UNITCOPY_HOLD:
		if (place == UNITCOPY_EXCHANGE && unitcopy_flush(&u->copy))
			msg_flush(&u->out);
		*v = UNIT_HOLD;
		break;
	case UNITCOPY_END:
		snprintf(message, sizeof message,
			 "unexpected message type 0x%02X during COPY from stdin",
			 (unsigned char)type);
		unit_tell_error_(u, "08P01", message, NULL);
		*v = UNIT_END;
		break;
	}
	return true;
}

/* Does the message name timeouts, in a text, or as a value of set_config()? */
static void
look_at_timeouts(struct unit *u, char type, const char *body, size_t bytes)
{
	bool named;

	/* What is prepared now may be executed much later. */
	u->large |= type == 'F' || (body && sqltext_mentions(body, bytes, "lo_open"));
	if (type != 'Q' && type != 'P' && type != 'B') {
		u->asks = u->asks && u->exchange;
		return;
	}
	u->constrains |= sqltext_mentions(body, bytes, "constraints");
	named = sqltext_mentions(body, bytes, "timeout");
	u->timed |= named;
	u->asks = u->timed && (named || sqltext_mentions(body, bytes, "settings") ||
			       sqltext_mentions(body, bytes, "show"));
	/* Pools ask for the settings by many names. */
	u->limited |= named && !sqltext_mentions(body, bytes, "pg_settings") &&
		      (sqltext_mentions(body, bytes, "idle_in_transaction") ||
		       sqltext_mentions(body, bytes, "transaction_timeout"));
}

enum unit_verdict
unit_member(struct unit *u, char type, const uint8_t *body, size_t bytes)
{
	enum unit_verdict v = UNIT_DROP;

	u->resets = u->resets && type == 'Q';
	if (member_in_copy(u, type, &v))
		return v;
	if (u->state != UNIT_REST && u->state != UNIT_EXCHANGE)
		return UNIT_HOLD;
	look_at_timeouts(u, type, (const char *)body, bytes);
	if (type == 'd' || type == 'c' || type == 'f')
		return UNIT_DROP;
	switch (type) {
	case 'Q':
		return member_query(u, body, bytes);
	case 'F':
		if (u->exchange)
			return member_query(u, (const uint8_t *)"", 0);
		if (!unit_open_(u))
			return UNIT_HOLD;
		unitcopy_reset(&u->copy);
		u->failed = false;
		u->state = UNIT_QUERY;
		return UNIT_PASS;
	case 'S':
		if (u->state == UNIT_EXCHANGE && !u->drained) {
			u->state = UNIT_SYNCING;
			return UNIT_PASS;
		}
		u->exchange = u->drained = false;
		unit_end_request_(u);
		return UNIT_DROP;
	case 'H':
		return u->state == UNIT_EXCHANGE && !u->failed ? UNIT_PASS : UNIT_DROP;
	case 'X':
		return UNIT_DROP;
	default:
		return member_extended(u, type, body, bytes);
	}
}
