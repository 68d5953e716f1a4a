#include "scope/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "scope/transaction.h"
#include "scope/unitkind.h"
#include "wire/frame.h"
#include "wire/msg.h"
#include "wire/reader.h"
#include "wire/sqlset.h"
#include "wire/sqltext.h"

/* tries of a sequence of our own: a cancel that comes late, or a statement_timeout of the member,
 * can hit many */
#define TRIES_MAX 20

/* Guards of units that have been answered: unitown.h. */
#define DEPTH_MAX  16
#define DEPTH_WARY 256 /* while cancels come that the member has not asked for */
#define WARY_UNITS 500 /* for so many units behind one */

/* What a pool begins with that gives its server to a session with other parameters: it must not be
 * hit by the statement_timeout of the session before. */
#define RESETS "RESET statement_timeout;"

#define ABORTED "current transaction is aborted, commands ignored until end of transaction block"

#define ERROR_MAX  (64u * 1024) /* bytes of an error of the server that is kept */
#define REPLY_MAX  (4 * ERROR_MAX)
#define REPLY_MARK (2 * ERROR_MAX) /* beyond it, a text of many parts ends by an error */
#define BLANKS_MAX 16384u          /* ahead of a part of a text */
#define OUT_MAX    (2 * UNIT_TEXT_MAX + 65536) /* a text, and as many blanks ahead of it */

const char *
unit_state_name(enum unit_state s)
{
	static const char *const names[UNIT_NSTATES] = {
	    [UNIT_REST] = "rest",         [UNIT_OWN] = "own",           [UNIT_QUERY] = "query",
	    [UNIT_EXCHANGE] = "exchange", [UNIT_DRAINING] = "draining", [UNIT_SYNCING] = "syncing",
	};

	return names[s];
}

void
unit_init(struct unit *u, uint64_t random)
{
	*u = (struct unit){.status = 'T'};
	snprintf(u->name, sizeof u->name, "pgwith_unit_%016llx", (unsigned long long)random);
	unitname_init(&u->names);
	unitname_init(&u->sent);
	buf_init(&u->error, ERROR_MAX);
	unitlocal_init(&u->locals, u->name);
	buf_init(&u->out, OUT_MAX);
	buf_init(&u->reply, REPLY_MAX);
}

static void
end_text(struct unit *u)
{
	free(u->text);
	u->text = NULL;
}

void
unit_clear(struct unit *u)
{
	unitname_clear(&u->names);
	unitname_clear(&u->sent);
	end_text(u);
	unitlocal_clear(&u->locals);
	grammar_free(u->control);
	u->control = NULL;
	free(u->modes);
	u->modes = NULL;
	free(u->deferred);
	u->deferred = NULL;
	buf_clear(&u->error);
	buf_clear(&u->out);
	buf_clear(&u->reply);
}

/* ---- sequences of our own statements ---- */

static void
begin_own(struct unit *u, enum unit_own what)
{
	struct buf parameters;

	buf_init(&parameters, UNIT_TEXT_MAX);
	if (what == UNIT_OWN_COMMIT)
		u->lingers = u->ask_parameters == NULL ||
			     !u->ask_parameters(u->ask_arg, &parameters) || parameters.failed;
	buf_add_u8(&parameters, 0);
	if (u->own != what)
		u->tries = 0;
	u->tries++;
	u->own = what;
	u->state = UNIT_OWN;
	u->drained = u->answered = false;
	u->flat = u->depth >= (u->wary > 0 ? DEPTH_WARY : DEPTH_MAX);
	u->statements = unitown_add(
	    &u->out, what,
	    &(struct unitown){.name = u->name,
			      .depth = u->depth,
			      .flat = u->flat,
			      .modes = u->modes,
			      .flags = u->flags,
			      .locals = &u->locals,
			      .timed = u->timed && (!u->put_aside || what == UNIT_OWN_COMMIT),
			      .parameters = what == UNIT_OWN_COMMIT && !u->lingers
						? (const char *)buf_data(&parameters)
						: NULL,
			      .exposed = u->exposed,
			      .reads_only = u->reads_only,
			      .large = u->large,
			      .aborted = u->status == 'E',
			      .written = u->constrains || !u->written[0] ? NULL : u->written,
			      .constraints = u->constraints,
			      .deferred = u->deferred,
			      .resets = u->resets});
	buf_clear(&parameters);
	u->completed = 0;
	u->error_of = false;
}

/* The member begins something: its unit is open. Returns false if the server has to be asked to set
 * its timeouts first, or to let it only read. */
static bool
open_unit(struct unit *u)
{
	if (u->open)
		return true;
	u->exposed = u->asks;
	u->reads_only = u->default_reads && !(u->control && u->control->chain) &&
			!(u->modes && unitown_names_access(u->modes, u->flags));
	u->reads |= u->reads_only;
	if (u->timed || u->reads_only) {
		begin_own(u, UNIT_OWN_OPEN);
		return false;
	}
	u->open = true;
	u->units++;
	return true;
}

/* In a BEGIN: the member's request may look at its timeouts. Returns false if they have to be set
 * first. */
static bool
expose(struct unit *u)
{
	if (!u->asks || u->exposed || !u->block || u->status != 'T' || !u->open)
		return true;
	u->exposed = true;
	begin_own(u, UNIT_OWN_EXPOSE);
	return false;
}

void
unit_start(struct unit *u, bool again)
{
	begin_own(u, again ? UNIT_OWN_RESTART : UNIT_OWN_START);
}

void
unit_tidy(struct unit *u)
{
	begin_own(u, UNIT_OWN_TIDY);
}

/* The server is at rest, and the member is gone. */
static void
abandon_next(struct unit *u)
{
	u->block = u->exchange = u->drained = u->failed = false;
	if (u->open) {
		begin_own(u, UNIT_OWN_UNDO);
		return;
	}
	u->state = UNIT_REST;
	u->abandoned = false;
}

void
unit_abandon(struct unit *u)
{
	end_text(u);
	grammar_free(u->control);
	u->control = NULL;
	/* A sequence that is under way does not need them any more, and nothing comes behind it. */
	free(u->modes);
	u->modes = NULL;
	u->setting = u->discarding = u->ready = u->captured = u->refused = false;
	u->tag[0] = 0;
	unitname_clear(&u->names);
	unitname_clear(&u->sent);
	u->abandoned = true;
	if (u->copy.open)
		msg_copy_fail(&u->out, "the member is gone");
	u->copy.syncs = 0;
	if (u->state == UNIT_EXCHANGE && !u->drained) {
		msg_sync(&u->out);
		u->state = UNIT_SYNCING;
	} else if (u->state == UNIT_REST || u->state == UNIT_EXCHANGE) {
		abandon_next(u);
	}
}

/* ---- what the member is told ---- */

static void
tell_error(struct unit *u, const char *sqlstate, const char *message, const char *hint)
{
	msg_report(&u->reply, 'E', "ERROR", sqlstate, message, NULL, hint);
	u->failed = true;
}

static void
warn(struct unit *u, const char *sqlstate, const char *message)
{
	msg_report(&u->reply, 'N', "WARNING", sqlstate, message, NULL, NULL);
}

/* The command that ended last was kept back. */
static void
tell_tag(struct unit *u)
{
	if (u->tag[0])
		msg_complete(&u->reply, u->tag);
	u->tag[0] = 0;
}

static void
tell_ready(struct unit *u)
{
	tell_tag(u);
	for (unsigned n = 1 + unitcopy_take_strays(&u->copy); n > 0; n--)
		msg_ready(&u->reply, u->block ? u->status : 'I');
	/* What it has set has been undone. */
	if (u->block && u->status == 'E') {
		u->exposed = false;
		memcpy(u->limits_ms, u->begun_ms, sizeof u->limits_ms);
	}
	u->answers++;
	u->executed = false;
	u->failed = false;
}

/* The Query or exchange has been answered: ends its unit, unless that is the member's BEGIN, and
 * tells the member. */
static void
end_request(struct unit *u)
{
	end_text(u);
	if (u->abandoned) {
		abandon_next(u);
		return;
	}
	if (u->block || !u->open) {
		if (u->unsure) {
			u->ready = true;
			begin_own(u, UNIT_OWN_PROBE);
			return;
		}
		if (u->block && u->status == 'T' && u->limited) {
			u->ready = true;
			begin_own(u, UNIT_OWN_KEEP);
			return;
		}
		u->state = UNIT_REST;
		tell_ready(u);
		return;
	}
	u->ready = true;
	begin_own(u, u->failed || u->status != 'T' ? UNIT_OWN_UNDO : UNIT_OWN_LOOK);
}

/* ---- BEGIN, COMMIT, ROLLBACK ---- */

static void next_part(struct unit *);

/* The control statement has ended, by success or by an error that the member was told. */
static void
end_control(struct unit *u)
{
	grammar_free(u->control);
	u->control = NULL;
	free(u->modes);
	u->modes = NULL;
	u->state = u->exchange ? UNIT_EXCHANGE : UNIT_REST;
	u->drained = u->exchange;
	if (u->text)
		next_part(u);
}

static void
fail_control(struct unit *u, const char *sqlstate, const char *message)
{
	tell_error(u, sqlstate, message, NULL);
	end_control(u);
}

static void
control_done(struct unit *u)
{
	msg_complete(&u->reply, u->replaced ? "ROLLBACK" : grammar_tag(u->control));
	end_control(u);
}

static void
go_on_with_begin(struct unit *u)
{
	if (u->refused) {
		u->refused = u->block = false;
		end_control(u);
		return;
	}
	if (!u->begun && u->block) {
		if (u->status == 'E') {
			fail_control(u, "25P02", ABORTED);
			return;
		}
		warn(u, "25001", "there is already a transaction in progress");
		/* But PostgreSQL takes its modes. */
	}
	if (!open_unit(u))
		return;
	u->begun = u->block = true;
	if (u->modes) {
		begin_own(u, UNIT_OWN_MODES);
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
			warn(u, "25P01", "there is no transaction in progress");
		u->replaced = commit && u->status == 'E';
		/* PostgreSQL has forgotten the modes that one that has failed has set itself. */
		u->reads = u->status == 'T' ? u->reads : u->began_reading;
		if (u->open) {
			begin_own(u, commit && !u->replaced ? UNIT_OWN_LOOK : UNIT_OWN_UNDO);
			return;
		}
	}
	if (u->refused) {
		u->refused = u->block = false;
		u->failed = true;
		end_control(u);
		return;
	}
	if (g->chain && !open_unit(u))
		return;
	/* The next transaction has the modes of this one. The level is that of the scope. */
	u->began_reading = g->chain && u->reads;
	if (u->began_reading && !u->chained) {
		u->chained = true;
		u->modes = mem_strdup("READ ONLY");
		begin_own(u, UNIT_OWN_MODES);
		return;
	}
	u->block = g->chain;
	control_done(u);
}

static void
go_on_with_control(struct unit *u)
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
		begin_own(u, UNIT_OWN_UNDO);
		return;
	}
	go_on_with_control(u);
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
	tell_error(u, "25P01", message, NULL);
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

/* A statement is refused, as the member was told: its transaction fails, too. */
static void
statement_refused(struct unit *u)
{
	if (u->block && u->status != 'E') {
		begin_own(u, UNIT_OWN_FAIL);
		return;
	}
	u->state = u->exchange ? UNIT_EXCHANGE : UNIT_REST;
	u->drained = u->exchange;
	if (u->text)
		next_part(u);
}

/* Does one statement that is not ordinary. The server is at rest. */
static void
do_special(struct unit *u, enum unitkind kind, const char *text, size_t bytes)
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
		statement_refused(u);
		return;
	case UNITKIND_MODES:
		u->modes = read_modes(u, text, bytes);
		u->setting = true;
		begin_own(u, UNIT_OWN_MODES);
		return;
	case UNITKIND_DISCARD:
		if (!u->fresh) {
			tell_error(u, "25001", "DISCARD ALL cannot be executed within a pipeline",
				   NULL);
			statement_refused(u);
			return;
		}
		u->discarding = true;
		if (open_unit(u))
			begin_own(u, UNIT_OWN_DISCARD);
		return;
	case UNITKIND_EMPTIES:
		tell_error(
		    u, "0A000",
		    "a temporary table cannot be emptied at the end of each transaction in a "
		    "joined scope",
		    "create it without ON COMMIT, and TRUNCATE it");
		statement_refused(u);
		return;
	default:
		break;
	}
	tell_error(u, "0A000",
		   "this statement cannot be used in a joined scope, as it would end the "
		   "transaction of the scope or outlive the unit",
		   "the owner of the scope ends it, by LEAVE");
	statement_refused(u);
}

/* ---- texts ---- */

/* `alone`: it is no part of a Query with other statements. */
static enum unitkind
kind_of(const struct unit *u, const struct sqltext_stmt *stmt, bool alone)
{
	const struct unitkind_place at = {u->flags, u->block, u->status != 'T', alone, u->name};

	return unitkind_of(stmt, &at);
}

/* Has anything to be done ahead of the statement, which sets parameters? */
static bool
captures(struct unit *u, const struct sqltext_stmt *stmt)
{
	return u->status != 'E' && unitlocal_capture(&u->locals, stmt, u->flags);
}

/* Does what captures() has found. Returns false if it is too much, as the member was told. */
static bool
begin_capture(struct unit *u)
{
	if (!u->locals.capture.failed) {
		begin_own(u, UNIT_OWN_CAPTURE);
		return true;
	}
	tell_error(u, "54000", "too many parameters are set for one transaction in a joined scope",
		   NULL);
	statement_refused(u);
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

/* Does PostgreSQL warn of the statement, as it is a SET LOCAL outside of a BEGIN? */
static bool
warns_of_local(const struct unit *u, const struct sqltext_stmt *stmt, bool alone)
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

static void
warn_of_local(struct unit *u)
{
	warn(u, "25P01", "SET LOCAL can only be used in transaction blocks");
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
		end_request(u);
		return;
	}
	sqltext_init(&at, u->text + u->text_at, u->text_bytes - u->text_at, u->flags);
	if (!sqltext_next(&at, &stmt)) {
		end_request(u);
		return;
	}
	u->text_moved = u->text_moved && rest_is_moved(u);
	if (u->text_moved) {
		/* Sent alone, the rest would be lexed by the new value, which PostgreSQL does only
		 * with the next Query. */
		tell_error(u, "0A000",
			   "standard_conforming_strings or client_encoding cannot be changed in a "
			   "text with other statements in a joined scope",
			   "send the statements one by one");
		statement_refused(u);
		return;
	}
	if (u->reply.len > REPLY_MARK) {
		tell_error(u, "54000",
			   "too many statements that begin or end transactions in one text", NULL);
		statement_refused(u);
		return;
	}
	kind = kind_of(u, &stmt, u->text_single);
	start = stmt.start;
	if (kind != UNITKIND_ORDINARY && kind != UNITKIND_SETS) {
		size_t length = stmt.length;

		end = (size_t)(at.at - u->text);
		part_taken(u, end);
		do_special(u, kind, start, length);
		return;
	}
	if (!open_unit(u) || !expose(u))
		return;
	if (kind == UNITKIND_SETS && !u->captured && captures(u, &stmt)) {
		begin_capture(u);
		return;
	}
	u->captured = false;
	/* The warnings of those who read the statement come ahead of this one. */
	u->warns = kind == UNITKIND_SETS && warns_of_local(u, &stmt, u->text_single);
	for (before = at; sqltext_next(&at, &stmt); before = at)
		if (unitkind_may_differ(&stmt, u->flags))
			break;
	end = (size_t)(before.at - u->text);
	send_part(u, end);
	part_taken(u, end);
}

/* Goes on with the text, at rest. What the server is not needed for comes back here at once: a
 * text of a million COMMIT must not become a million calls in each other. */
static void
next_part(struct unit *u)
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
	return sqltext_next(&at, stmt) ? kind_of(u, stmt, true) : UNITKIND_ORDINARY;
}

/* ---- messages of the member ---- */

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
			begin_own(u, UNIT_OWN_FORGET);
		} else {
			next_part(u);
		}
		return UNIT_DROP;
	}
	if (!open_unit(u) || !expose(u))
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
	tell_error(
	    u, "25P02",
	    "current transaction is aborted, commands ignored until end of transaction block",
	    NULL);
	statement_refused(u);
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
		tell_error(u, "55000", message, NULL);
		statement_refused(u);
		return;
	}
	portal->done = true;
	/* The portal may end with the unit. */
	text = mem_strdup(portal->text);
	do_special(u, kind, text, strlen(text));
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
			if (warns_of_local(u, &stmt, true))
				warn_of_local(u);
			if (captures(u, &stmt))
				return begin_capture(u) ? UNIT_HOLD : UNIT_DROP;
			portal->done = true;
		} else if (kind != UNITKIND_SETS) {
			u->fresh = !u->executed;
			u->executed = true;
			execute_special(u, kind, portal);
			return UNIT_DROP;
		}
	}
	if (!open_unit(u) || ((!u->exchange || u->drained) && !expose(u)))
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
		tell_error(u, "08P01", message, NULL);
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
		if (!open_unit(u))
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
		end_request(u);
		return UNIT_DROP;
	case 'H':
		return u->state == UNIT_EXCHANGE && !u->failed ? UNIT_PASS : UNIT_DROP;
	case 'X':
		return UNIT_DROP;
	default:
		return member_extended(u, type, body, bytes);
	}
}

/* ---- messages of the server ---- */

bool
unit_reads_body(const struct unit *u, char type)
{
	return (type == 'D' && u->state == UNIT_OWN) || type == 'E' || type == 'Z' || type == 'S' ||
	       type == 'C';
}

/* Is it the error of a cancel, or of a statement_timeout? */
static bool
is_cancel(const uint8_t *error, size_t bytes)
{
	const char *sqlstate = msg_report_field(error, bytes, 'C');

	return sqlstate && strcmp(sqlstate, "57014") == 0;
}

static bool
was_cancelled(const struct unit *u)
{
	return u->error_of && is_cancel(buf_data(&u->error), u->error.len);
}

/* Keeps what fits of an error's body: maybe only its message, or the beginning of that. */
static void
keep_error(struct unit *u, const uint8_t *body, size_t bytes)
{
	static const char fields[] = "SVCM";

	buf_reset(&u->error);
	if (bytes <= ERROR_MAX) {
		buf_add(&u->error, body, bytes);
		return;
	}
	for (const char *f = fields; *f; f++) {
		const char *value = msg_report_field(body, bytes, *f);
		size_t length = value ? strlen(value) : 0;

		if (value == NULL)
			continue;
		if (length > ERROR_MAX / 8)
			for (length = ERROR_MAX / 8; length && (value[length] & 0xc0) == 0x80;)
				length--;
		buf_add_u8(&u->error, (uint8_t)*f);
		buf_add(&u->error, value, length);
		buf_add_u8(&u->error, 0);
	}
	buf_add_u8(&u->error, 0);
}

/* The commit of a unit was refused: keeps the error for the member. */
static void
keep_refusal(struct unit *u)
{
	size_t at = msg_begin(&u->reply, 'E');

	buf_add(&u->reply, buf_data(&u->error), u->error.len);
	msg_end(&u->reply, at);
}

/* What the sequence was for goes on. */
static void
go_on(struct unit *u)
{
	u->state = u->exchange ? UNIT_EXCHANGE : UNIT_REST;
	u->drained = u->exchange;
	if (u->abandoned) {
		abandon_next(u);
		return;
	}
	if (u->setting) {
		u->setting = false;
		msg_complete(&u->reply, "SET");
		if (u->text)
			next_part(u);
	} else if (u->discarding) {
		u->discarding = false;
		if (!u->failed)
			msg_complete(&u->reply, "DISCARD ALL");
		if (u->text)
			next_part(u);
	} else if (u->control) {
		go_on_with_control(u);
	} else if (u->ready) {
		u->ready = false;
		u->refused = false;
		tell_ready(u);
	} else if (u->text) {
		next_part(u);
	}
}

/* A sequence that must succeed has failed, maybe by a cancel: undoes it and begins it once more. */
static void
repeat_own(struct unit *u)
{
	u->again = u->own;
	if (++u->repeats >= TRIES_MAX)
		u->broken = "its savepoints could not be made";
	else
		begin_own(u, UNIT_OWN_UNDO);
}

/* The modes of a BEGIN or a SET TRANSACTION could not be set: that statement fails. */
static void
modes_failed(struct unit *u)
{
	keep_refusal(u);
	u->failed = true;
	if (u->setting || u->nested) {
		/* The block has failed, and stays open. */
		u->setting = false;
		free(u->modes);
		u->modes = NULL;
		if (u->control)
			end_control(u);
		else
			go_on(u);
		return;
	}
	u->refused = true;
	begin_own(u, UNIT_OWN_UNDO);
}

static void
own_ended(struct unit *u)
{
	enum unit_own was = u->own;
	bool good = !u->error_of && u->status == 'T';

	/* The last statement makes the savepoint of the next unit. If only that has failed, what
	 * the unit has done is kept. */
	if (unitown_ends_unit(was) &&
	    u->completed + unitown_behind_guard(was, u->constraints) >= u->statements) {
		u->depth = u->flat ? 1 : u->depth + 1;
		u->committed = was == UNIT_OWN_COMMIT;
		u->wary -= u->wary > 0;
		if (!good && was != UNIT_OWN_START) {
			u->again = UNIT_OWN_NONE;
			begin_own(u, UNIT_OWN_UNDO);
			return;
		}
	}
	switch (was) {
	case UNIT_OWN_START:
		if (!good) {
			u->broken = "its savepoints could not be made";
			return;
		}
		break;
	case UNIT_OWN_EXPOSE:
	case UNIT_OWN_KEEP:
		u->exposed = was == UNIT_OWN_EXPOSE && good;
		if (!good) {
			keep_refusal(u);
			u->failed = true;
		}
		break;
	case UNIT_OWN_RESTART:
	case UNIT_OWN_OPEN:
		if (!good) {
			repeat_own(u);
			return;
		}
		u->repeats = 0;
		u->resets = false;
		if (was == UNIT_OWN_OPEN) {
			u->open = true;
			u->units++;
			memcpy(u->begun_ms, u->limits_ms, sizeof u->begun_ms);
		}
		break;
	case UNIT_OWN_LOOK:
	case UNIT_OWN_CHOOSE:
	case UNIT_OWN_COMMIT:
		if (good && was == UNIT_OWN_LOOK && u->constraints == UNIT_CONSTRAINTS_CHECK) {
			begin_own(u, UNIT_OWN_CHOOSE);
			return;
		}
		if (good && was != UNIT_OWN_COMMIT) {
			if (u->constraints != UNIT_CONSTRAINTS_QUIET)
				u->written[0] = 0;
			begin_own(u, UNIT_OWN_COMMIT);
			return;
		}
		if (!good) {
			u->tag[0] = 0;
			keep_refusal(u);
			u->refused = u->failed = true;
			begin_own(u, UNIT_OWN_UNDO);
			return;
		}
		u->open = false;
		break;
	case UNIT_OWN_UNDO:
		if (!good && u->tries < TRIES_MAX && (was_cancelled(u) || !u->error_of)) {
			begin_own(u, UNIT_OWN_UNDO);
			return;
		}
		if (!good) {
			u->broken = "a savepoint could not be rolled back in it";
			return;
		}
		u->open = false;
		break;
	case UNIT_OWN_MODES:
		if (!good && u->abandoned)
			break;
		if (!good && was_cancelled(u)) {
			modes_failed(u);
			return;
		}
		if (!good) {
			const char *why = msg_report_field(buf_data(&u->error), u->error.len, 'M');

			msg_report(
			    &u->reply, 'N', "NOTICE", "0A000",
			    "the modes of this transaction are not those of the joined scope, "
			    "whose transaction goes on with its own",
			    why, NULL);
			begin_own(u, UNIT_OWN_UNMODES);
			return;
		}
		u->reads |= unitown_only_reads(u->modes, u->flags);
		free(u->modes);
		u->modes = NULL;
		break;
	case UNIT_OWN_UNMODES:
		if (!good && u->abandoned)
			break;
		if (!good) {
			modes_failed(u);
			return;
		}
		u->reads |= unitown_only_reads(u->modes, u->flags);
		free(u->modes);
		u->modes = NULL;
		break;
	case UNIT_OWN_DISCARD:
		if (!good) {
			keep_refusal(u);
			u->failed = true;
		}
		break;
	case UNIT_OWN_CAPTURE:
		u->captured = good;
		if (!good) {
			keep_refusal(u);
			u->failed = true;
		}
		break;
	case UNIT_OWN_TIDY:
		/* They stay. */
		if (!good) {
			begin_own(u, UNIT_OWN_UNDO);
			return;
		}
		break;
	case UNIT_OWN_FAIL:
	case UNIT_OWN_FORGET:
	case UNIT_OWN_PROBE:
	case UNIT_OWN_NONE:
		break;
	}
	if (was == UNIT_OWN_COMMIT || was == UNIT_OWN_UNDO) {
		u->constrains = false;
		free(u->deferred);
		u->deferred = NULL;
		u->put_aside = u->exposed = false;
		unitlocal_forget(&u->locals);
		unitname_forget_portals(&u->names);
	}
	u->own = UNIT_OWN_NONE;
	u->tries = 0;
	if (was == UNIT_OWN_UNDO && u->again != UNIT_OWN_NONE) {
		enum unit_own again = u->again;

		u->again = UNIT_OWN_NONE;
		if (again == UNIT_OWN_RESTART || !u->abandoned) {
			begin_own(u, again);
			return;
		}
	}
	/* DISCARD ALL had to open its unit first. */
	if (u->discarding && was == UNIT_OWN_OPEN) {
		begin_own(u, UNIT_OWN_DISCARD);
		return;
	}
	go_on(u);
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
		own_ended(u);
		return UNIT_DROP;
	case UNIT_DRAINING:
		look_at_early(u);
		u->state = UNIT_EXCHANGE;
		u->drained = true;
		if (u->abandoned)
			abandon_next(u);
		else if (u->unsure)
			begin_own(u, UNIT_OWN_PROBE);
		return UNIT_DROP;
	case UNIT_EXCHANGE:
		/* Of the Sync that was sent ahead of a COPY which has failed before. No other one
		 * has been sent. */
		if (!u->early)
			return UNIT_DROP;
		u->early = u->copy.open = u->copy.asked = u->exchange = u->drained = false;
		end_request(u);
		return UNIT_DROP;
	case UNIT_SYNCING:
		look_at_early(u);
		u->exchange = u->drained = false;
		end_request(u);
		return UNIT_DROP;
	case UNIT_QUERY:
		u->copy.open = false;
		if (u->text)
			next_part(u);
		else
			end_request(u);
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

/* Tells an error of a part of a text with the position that it has in all of it. */
static enum unit_verdict
tell_moved(struct unit *u, const uint8_t *body, size_t bytes)
{
	const char *position = msg_report_field(body, bytes, 'P');
	const char *at = (const char *)body;
	size_t begun;

	if (u->text == NULL || u->text_moves == 0 || position == NULL || bytes > ERROR_MAX ||
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

/* Milliseconds of a timeout as PostgreSQL spells it: 300ms, 5s, 1min. */
static uint64_t
milliseconds(const char *value, size_t bytes)
{
	uint64_t n = 0;
	size_t i = 0;

	for (; i < bytes && value[i] >= '0' && value[i] <= '9' && n < UINT32_MAX; i++)
		n = 10 * n + (uint64_t)(value[i] - '0');
	if (i >= bytes)
		return n;
	switch (value[i]) {
	case 's':
		return n * 1000;
	case 'h':
		return n * 3600 * 1000;
	case 'd':
		return n * 24 * 3600 * 1000;
	default:
		return i + 1 < bytes && value[i + 1] == 'i' ? n * 60 * 1000 : n;
	}
}

/* Those of the role or the database. */
static void
look_at_first_limits(struct unit *u)
{
	for (size_t i = 0; i < UNITLOCAL_TIMEOUTS; i++) {
		u->timed |= u->limits_ms[i] > 0;
		u->limited |= i > 0 && u->limits_ms[i] > 0;
	}
}

/* A row of a statement of ours: the number of its columns says of which. */
static void
read_row(struct unit *u, const uint8_t *body, size_t bytes)
{
	const char *values[UNITOWN_LOOK_COLUMNS] = {NULL};
	size_t lengths[UNITOWN_LOOK_COLUMNS] = {0};
	struct reader r;
	unsigned count;

	reader_init(&r, body, bytes);
	count = reader_u16(&r);
	if (count == 1 || count > UNITOWN_LOOK_COLUMNS)
		return;
	for (size_t i = 0; i < count; i++) {
		uint32_t length = reader_u32(&r);

		if (length == UINT32_MAX)
			continue;
		values[i] = (const char *)reader_bytes(&r, length);
		lengths[i] = length;
	}
	if (r.failed)
		return;
	if (count == UNITLOCAL_TIMEOUTS) {
		for (size_t i = 0; i < UNITLOCAL_TIMEOUTS; i++)
			u->limits_ms[i] = milliseconds(values[i], lengths[i]);
		if (u->own == UNIT_OWN_START)
			look_at_first_limits(u);
	} else if (count == UNITOWN_LOOK_COLUMNS && lengths[0] == 1 &&
		   (u->own == UNIT_OWN_LOOK || u->own == UNIT_OWN_CHOOSE)) {
		u->constraints = (enum unit_constraints)((values[0][0] - '0') & 3);
		free(u->deferred);
		u->deferred = values[1] ? mem_strndup(values[1], lengths[1]) : NULL;
		u->reads = lengths[2] == 2;
	} else if (count == UNITOWN_WRITTEN_COLUMNS && u->own == UNIT_OWN_START) {
		u->large |= lengths[0] == 1 && values[0][0] == 't';
	} else if (count == UNITOWN_WRITTEN_COLUMNS && values[0] &&
		   lengths[0] < sizeof u->written) {
		memcpy(u->written, values[0], lengths[0]);
		u->written[lengths[0]] = 0;
		if (strspn(u->written, "0123456789") != lengths[0])
			u->written[0] = 0;
	}
}

enum unit_verdict
unit_server(struct unit *u, char type, const uint8_t *body, size_t bytes)
{
	if (u->tag[0] && u->state == UNIT_QUERY && type != 'Z')
		tell_tag(u);
	if (u->warns && u->state == UNIT_QUERY && (type == 'C' || type == 'E')) {
		u->warns = false;
		warn_of_local(u);
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
		if (is_cancel(body, bytes))
			u->wary = WARY_UNITS;
		if (u->state != UNIT_OWN) {
			u->failed = true;
			/* PostgreSQL answers what was to be swallowed by the COPY. */
			u->unsure |= u->state == UNIT_QUERY && u->copy.open && u->copy.syncs > 0;
			unitcopy_failed(&u->copy);
			unitname_clear(&u->sent);
			return tell_moved(u, body, bytes);
		}
		if (!u->error_of) {
			u->error_of = true;
			keep_error(u, body, bytes);
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
			read_row(u, body, bytes);
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

/* ---- handover ---- */

bool
unit_can_move(const struct unit *u)
{
	return u->state != UNIT_OWN && u->control == NULL && !u->abandoned && !u->captured &&
	       !u->setting && !u->put_aside && !u->discarding && !u->ready && !u->tag[0] &&
	       u->out.len == 0 && u->reply.len == 0;
}

void
unit_pack(struct pack *p, struct unit *u)
{
	PACK(p, u->state);
	PACK(p, u->open);
	PACK(p, u->block);
	PACK(p, u->failed);
	PACK(p, u->exchange);
	PACK(p, u->drained);
	unitcopy_pack(p, &u->copy);
	PACK(p, u->unsure);
	PACK(p, u->timed);
	PACK(p, u->early);
	PACK(p, u->warns);
	PACK(p, u->last);
	PACK(p, u->executes);
	PACK(p, u->status);
	PACK(p, u->depth);
	PACK(p, u->written);
	PACK(p, u->reads);
	PACK(p, u->began_reading);
	PACK(p, u->executed);
	PACK(p, u->constrains);
	PACK(p, u->exposed);
	PACK(p, u->limited);
	PACK(p, u->limits_ms);
	PACK(p, u->begun_ms);
	PACK(p, u->large);
	PACK(p, u->default_reads);
	PACK(p, u->reads_only);
	PACK(p, u->wary);
	PACK(p, u->name);
	PACK(p, u->flags);
	pack_str(p, &u->text);
	PACK(p, u->text_bytes);
	PACK(p, u->text_at);
	PACK(p, u->text_chars);
	PACK(p, u->text_single);
	PACK(p, u->text_moves);
	PACK(p, u->text_moved);
	unitname_pack(p, &u->names);
	unitname_pack(p, &u->sent);
	unitlocal_pack(p, &u->locals);
	if (!pack_reading(p))
		return;
	u->name[sizeof u->name - 1] = 0;
	u->written[sizeof u->written - 1] = 0;
	if (u->state >= UNIT_NSTATES || u->depth == 0 ||
	    (u->text && (u->text_bytes != strlen(u->text) || u->text_at > u->text_bytes)))
		p->failed = true;
}
