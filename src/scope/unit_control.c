#include "scope/unit_control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "scope/transaction.h"
#include "scope/unit_answer.h"
#include "scope/unit_parts.h"
#include "scope/unit_sequence.h"
#include "wire/msg.h"
#include "wire/sqltext.h"

void
unit_end_control_(struct unit *u)
{
	grammar_free(u->control);
	u->control = NULL;
	free(u->modes);
	u->modes = NULL;
	u->state = u->exchange ? UNIT_EXCHANGE : UNIT_REST;
	u->drained = u->exchange;
	if (u->text)
		unit_next_part_(u);
}

static void
fail_control(struct unit *u, const char *sqlstate, const char *message)
{
	unit_tell_error_(u, sqlstate, message, NULL);
	unit_end_control_(u);
}

static void
control_done(struct unit *u)
{
	/* What comes next is the first statement of a transaction, also in the same exchange. */
	u->executed = false;
	msg_complete(&u->reply, u->replaced ? "ROLLBACK" : grammar_tag(u->control));
	unit_end_control_(u);
}

static void
go_on_with_begin(struct unit *u)
{
	if (u->refused) {
		u->refused = u->block = false;
		unit_end_control_(u);
		return;
	}
	if (!u->begun && u->block) {
		if (u->status == 'E') {
			fail_control(u, "25P02", UNIT_ABORTED);
			return;
		}
		unit_warn_(u, "25001", "there is already a transaction in progress");
		/* But PostgreSQL takes its modes. */
	}
	if (!unit_open_(u))
		return;
	u->begun = u->block = true;
	if (u->modes) {
		unit_begin_own_(u, UNIT_OWN_MODES);
		return;
	}
	control_done(u);
}

static void
go_on_with_end(struct unit *u)
{
	const struct grammar *g = u->control;
	bool commit = g->verb == GRAMMAR_COMMIT;

	if (!u->ended) {
		u->ended = true;
		if (!u->block && g->chain) {
			fail_control(u, "25P01",
				     commit ? "COMMIT AND CHAIN can only be used in transaction "
					      "blocks"
					    : "ROLLBACK AND CHAIN can only be used in transaction "
					      "blocks");
			return;
		}
		if (!u->block)
			unit_warn_(u, "25P01", "there is no transaction in progress");
		u->replaced = commit && u->status == 'E';
		/* PostgreSQL has forgotten the modes that one that has failed has set itself. */
		u->reads = u->status == 'T' ? u->reads : u->began_reading;
		if (u->open) {
			unit_begin_own_(u, commit && !u->replaced ? UNIT_OWN_LOOK : UNIT_OWN_UNDO);
			return;
		}
	}
	if (u->refused) {
		u->refused = u->block = false;
		u->failed = true;
		unit_end_control_(u);
		return;
	}
	if (g->chain && !unit_open_(u))
		return;
	/* The next transaction has the modes of this one. The level is that of the scope. */
	u->began_reading = g->chain && u->reads;
	if (u->began_reading && !u->chained) {
		u->chained = true;
		u->modes = mem_strdup("READ ONLY");
		unit_begin_own_(u, UNIT_OWN_MODES);
		return;
	}
	u->block = g->chain;
	control_done(u);
}

void
unit_go_on_with_control_(struct unit *u)
{
	if (u->control->verb == GRAMMAR_BEGIN)
		go_on_with_begin(u);
	else
		go_on_with_end(u);
}

static void
begin_control(struct unit *u, struct grammar *g)
{
	u->control = g;
	u->begun = u->ended = u->replaced = u->chained = false;
	u->nested = u->block;
	u->reads = u->reads && u->block;
	u->began_reading = u->block ? u->began_reading : u->default_reads;
	u->modes = g->modes ? mem_strdup(g->modes) : NULL;
	/* Its Parse has opened the unit, as READ ONLY; nothing has been done in it. */
	if (g->verb == GRAMMAR_BEGIN && u->open && !u->block && u->fresh && u->reads_only &&
	    u->modes && unitown_names_access(u->modes, u->flags)) {
		unit_begin_own_(u, UNIT_OWN_UNDO);
		return;
	}
	unit_go_on_with_control_(u);
}

static void
tell_outside(struct unit *u, const char *text, size_t bytes)
{
	char message[96];

	switch (sqltext_first(text, bytes)) {
	case SQLWORD_SAVEPOINT:
		text = "SAVEPOINT";
		break;
	case SQLWORD_RELEASE:
		text = "RELEASE SAVEPOINT";
		break;
	case SQLWORD_ROLLBACK:
		text = "ROLLBACK TO SAVEPOINT";
		break;
	case SQLWORD_DECLARE:
		text = "DECLARE CURSOR";
		break;
	default:
		text = "LOCK TABLE";
	}
	snprintf(message, sizeof message, "%s can only be used in transaction blocks", text);
	unit_tell_error_(u, "25P01", message, NULL);
}

static char *
read_modes(const struct unit *u, const char *text, size_t bytes)
{
	struct sqltext at;

	sqltext_init(&at, text, bytes, u->flags);
	sqltext_accept(&at, "set");
	sqltext_accept(&at, "transaction");
	return mem_strndup(at.at, (size_t)(text + bytes - at.at));
}

void
unit_statement_refused_(struct unit *u)
{
	if (u->block && u->status != 'E') {
		unit_begin_own_(u, UNIT_OWN_FAIL);
		return;
	}
	u->state = u->exchange ? UNIT_EXCHANGE : UNIT_REST;
	u->drained = u->exchange;
	if (u->text)
		unit_next_part_(u);
}

void
unit_do_special_(struct unit *u, enum unitkind kind, const char *text, size_t bytes)
{
	struct grammar *g = NULL;

	switch (kind) {
	case UNITKIND_CONTROL:
		g = transaction_parse(text, bytes, u->flags);
		if (g) {
			begin_control(u, g);
			return;
		}
		break;
	case UNITKIND_OUTSIDE:
		tell_outside(u, text, bytes);
		unit_statement_refused_(u);
		return;
	case UNITKIND_MODES:
		u->modes = read_modes(u, text, bytes);
		u->setting = true;
		unit_begin_own_(u, UNIT_OWN_MODES);
		return;
	case UNITKIND_DISCARD:
		if (!u->fresh) {
			unit_tell_error_(u, "25001",
					 "DISCARD ALL cannot be executed within a pipeline", NULL);
			unit_statement_refused_(u);
			return;
		}
		u->discarding = true;
		if (unit_open_(u))
			unit_begin_own_(u, UNIT_OWN_DISCARD);
		return;
	case UNITKIND_EMPTIES:
		unit_tell_error_(
		    u, "0A000",
		    "a temporary table cannot be emptied at the end of each transaction in a "
		    "joined scope",
		    "create it without ON COMMIT, and TRUNCATE it");
		unit_statement_refused_(u);
		return;
	default:
		break;
	}
	unit_tell_error_(u, "0A000",
			 "this statement cannot be used in a joined scope, as it would end the "
			 "transaction of the scope or outlive the unit",
			 "the owner of the scope ends it, by LEAVE");
	unit_statement_refused_(u);
}
