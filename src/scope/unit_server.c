#include "scope/unit_server.h"

#include <string.h>

#include "scope/unit_answer.h"
#include "scope/unit_parts.h"
#include "scope/unit_sequence.h"
#include "wire/msg.h"
#include "wire/reader.h"

#define WARY_UNITS 500 /* so many units behind a cancel, more guards are kept: unitown.h */

bool
unit_reads_body(const struct unit *u, char type)
{
	return (type == 'D' && u->state == UNIT_OWN) || type == 'E' || type == 'Z' || type == 'S' ||
	       type == 'C';
}

/* A ReadyForQuery has come for an exchange. Is it in doubt whether another one comes? If the COPY
 * failed before the server has read the Sync that was sent ahead of its data, that one is answered,
 * and so is the one behind the data. What we send next tells: all of it begins with a Close, which
 * is answered first. */
static void
look_at_early(struct unit *u)
{
	u->unsure |= u->early && u->failed;
	u->early = u->copy.open = u->copy.asked = false;
	u->executes = 0;
	unitname_clear(&u->sent);
}

/* A COPY FROM STDIN has begun. Syncs that were sent ahead of it are swallowed. */
static void
copy_opened(struct unit *u)
{
	if (u->state == UNIT_OWN)
		return;
	unitcopy_opened(&u->copy);
	/* What stands between its Execute and the Sync, but for data, ends it. */
	if ((u->state == UNIT_SYNCING || u->state == UNIT_DRAINING) && u->last == 'E' &&
	    u->executes == 1) {
		u->early = true;
		if (u->state == UNIT_DRAINING || u->abandoned) {
			/* What the member has sent behind it would make it fail. */
			msg_copy_fail(&u->out, u->abandoned ? "the member is gone"
							    : "unexpected message type during COPY "
							      "from stdin");
			msg_sync(&u->out);
		} else {
			u->state = UNIT_EXCHANGE;
		}
	} else if (u->abandoned && u->state == UNIT_QUERY) {
		msg_copy_fail(&u->out, "the member is gone");
	}
}

static enum unit_verdict
server_ready(struct unit *u, char status)
{
	if (u->state == UNIT_OWN && u->unsure && !u->answered) {
		u->copy.strays++;
		return UNIT_DROP;
	}
	u->unsure = u->unsure && u->state != UNIT_OWN;
	u->status = status;
	if (status == 'I') {
		u->broken = "its transaction has ended";
		return UNIT_DROP;
	}
	switch (u->state) {
	case UNIT_OWN:
		unit_own_ended_(u);
		return UNIT_DROP;
	case UNIT_DRAINING:
		look_at_early(u);
		u->state = UNIT_EXCHANGE;
		u->drained = true;
		if (u->abandoned)
			unit_abandon_next_(u);
		else if (u->unsure)
			unit_begin_own_(u, UNIT_OWN_PROBE);
		return UNIT_DROP;
	case UNIT_EXCHANGE:
		/* Of the Sync that was sent ahead of a COPY which has failed before. No other one
		 * has been sent. */
		if (!u->early)
			return UNIT_DROP;
		u->early = u->copy.open = u->copy.asked = u->exchange = u->drained = false;
		unit_end_request_(u);
		return UNIT_DROP;
	case UNIT_SYNCING:
		look_at_early(u);
		u->exchange = u->drained = false;
		unit_end_request_(u);
		return UNIT_DROP;
	case UNIT_QUERY:
		u->copy.open = false;
		if (u->text)
			unit_next_part_(u);
		else
			unit_end_request_(u);
		return UNIT_DROP;
	default:
		return UNIT_DROP;
	}
}

/* A ParameterStatus: PostgreSQL sends it when the value has changed. */
static void
parameter_moves(struct unit *u, const uint8_t *body, size_t bytes)
{
	const char *name, *value;
	struct reader r;

	reader_init(&r, body, bytes);
	name = reader_str(&r);
	value = reader_str(&r);
	if (r.failed)
		return;
	if (strcmp(name, "default_transaction_read_only") == 0)
		u->default_reads = strcmp(value, "off") != 0;
	if (strcmp(name, "standard_conforming_strings") == 0 ||
	    strcmp(name, "client_encoding") == 0)
		u->text_moved = true;
}

enum unit_verdict
unit_server(struct unit *u, char type, const uint8_t *body, size_t bytes)
{
	if (u->tag[0] && u->state == UNIT_QUERY && type != 'Z')
		unit_tell_tag_(u);
	if (u->warns && u->state == UNIT_QUERY && (type == 'C' || type == 'E')) {
		u->warns = false;
		unit_warn_of_local_(u);
	}
	u->answered |= type != 'N' && type != 'A' && type != 'S' && type != 'Z';
	switch (type) {
	case 'Z':
		return server_ready(u, bytes > 0 ? (char)body[0] : 'I');
	case 'S':
		parameter_moves(u, body, bytes);
		return UNIT_PASS;
	case '1':
	case '2':
	case '3':
		if (u->state != UNIT_OWN)
			unitname_take(&u->names, &u->sent);
		break;
	case 'N':
		/* Triggers of deferred constraints may have something to say. */
		return u->state != UNIT_OWN || u->own == UNIT_OWN_COMMIT ? UNIT_PASS : UNIT_DROP;
	case 'A':
		return UNIT_DROP;
	case 'E':
		if (unit_is_cancel_(body, bytes))
			u->wary = WARY_UNITS;
		if (u->state != UNIT_OWN) {
			u->failed = true;
			/* PostgreSQL answers what was to be swallowed by the COPY. */
			u->unsure |= u->state == UNIT_QUERY && u->copy.open && u->copy.syncs > 0;
			unitcopy_failed(&u->copy);
			unitname_clear(&u->sent);
			return unit_tell_moved_(u, body, bytes);
		}
		if (!u->error_of) {
			u->error_of = true;
			unit_keep_error_(u, body, bytes);
		}
		return UNIT_DROP;
	case 'G':
		copy_opened(u);
		break;
	case 'I':
	case 's':
		if (u->state != UNIT_OWN && u->executes > 0)
			u->executes--;
		if (u->state != UNIT_OWN)
			unitcopy_completed(&u->copy, u->executes == 0);
		break;
	case 'D':
		if (u->state == UNIT_OWN)
			unit_read_row_(u, body, bytes);
		break;
	case 'C':
		u->completed += u->state == UNIT_OWN;
		if (u->state != UNIT_OWN && u->executes > 0)
			u->executes--;
		/* The end of the COPY: it has read what was sent ahead of its data. */
		if (u->copy.open)
			u->early = false;
		if (u->state != UNIT_OWN)
			unitcopy_completed(&u->copy, u->executes == 0);
		/* PostgreSQL commits ahead of the tag of a Query's last statement. */
		if (u->state == UNIT_QUERY && !u->block && u->text == NULL && bytes > 1 &&
		    bytes <= sizeof u->tag && body[bytes - 1] == 0) {
			memcpy(u->tag, body, bytes);
			return UNIT_DROP;
		}
		break;
	default:
		break;
	}
	return u->state == UNIT_OWN ? UNIT_DROP : UNIT_PASS;
}
