#include "scope/unit_sequence.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "scope/unit_answer.h"
#include "scope/unit_control.h"
#include "scope/unit_parts.h"
#include "wire/msg.h"
#include "wire/reader.h"

/* tries of a sequence: a cancel that comes late, or a statement_timeout of the member, can hit
 * many */
#define TRIES_MAX 20

/* Guards of units that have been answered: unitown.h. */
#define DEPTH_MAX  16
#define DEPTH_WARY 256 /* while cancels come that the member has not asked for */

void
unit_begin_own_(struct unit *u, enum unit_own what)
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
			      .again = what == UNIT_OWN_UNDO && u->tries > 1,
			      .aborted = u->status == 'E',
			      .written = u->constrains || !u->written[0] ? NULL : u->written,
			      .constraints = u->constraints,
			      .deferred = u->deferred,
			      .resets = u->resets});
	buf_clear(&parameters);
	u->completed = 0;
	u->error_of = false;
}

bool
unit_open_(struct unit *u)
{
	if (u->open)
		return true;
	u->exposed = u->asks;
	u->reads_only = u->default_reads && !(u->control && u->control->chain) &&
			!(u->modes && unitown_names_access(u->modes, u->flags));
	u->reads |= u->reads_only;
	if (u->timed || u->reads_only) {
		unit_begin_own_(u, UNIT_OWN_OPEN);
		return false;
	}
	u->open = true;
	u->units++;
	return true;
}

bool
unit_expose_(struct unit *u)
{
	if (!u->asks || u->exposed || !u->block || u->status != 'T' || !u->open)
		return true;
	u->exposed = true;
	unit_begin_own_(u, UNIT_OWN_EXPOSE);
	return false;
}

void
unit_abandon_next_(struct unit *u)
{
	u->block = u->exchange = u->drained = u->failed = false;
	if (u->open) {
		unit_begin_own_(u, UNIT_OWN_UNDO);
		return;
	}
	u->state = UNIT_REST;
	u->abandoned = false;
}

bool
unit_is_cancel_(const uint8_t *error, size_t bytes)
{
	const char *sqlstate = msg_report_field(error, bytes, 'C');

	return sqlstate && strcmp(sqlstate, "57014") == 0;
}

static bool
was_cancelled(const struct unit *u)
{
	return u->error_of && unit_is_cancel_(buf_data(&u->error), u->error.len);
}

void
unit_keep_error_(struct unit *u, const uint8_t *body, size_t bytes)
{
	static const char fields[] = "SVCM";

	buf_reset(&u->error);
	if (bytes <= UNIT_ERROR_MAX) {
		buf_add(&u->error, body, bytes);
		return;
	}
	for (const char *f = fields; *f; f++) {
		const char *value = msg_report_field(body, bytes, *f);
		size_t length = value ? strlen(value) : 0;

		if (value == NULL)
			continue;
		if (length > UNIT_ERROR_MAX / 8)
			for (length = UNIT_ERROR_MAX / 8; length && (value[length] & 0xc0) == 0x80;)
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
		unit_abandon_next_(u);
		return;
	}
	if (u->setting) {
		u->setting = false;
		msg_complete(&u->reply, "SET");
		if (u->text)
			unit_next_part_(u);
	} else if (u->discarding) {
		u->discarding = false;
		if (!u->failed)
			msg_complete(&u->reply, "DISCARD ALL");
		if (u->text)
			unit_next_part_(u);
	} else if (u->control) {
		unit_go_on_with_control_(u);
	} else if (u->ready) {
		u->ready = false;
		u->refused = false;
		unit_tell_ready_(u);
	} else if (u->text) {
		unit_next_part_(u);
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
		unit_begin_own_(u, UNIT_OWN_UNDO);
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
			unit_end_control_(u);
		else
			go_on(u);
		return;
	}
	u->refused = true;
	unit_begin_own_(u, UNIT_OWN_UNDO);
}

/* The sequences of OPEN and RESTART. Each of these returns true if the sequence is over, false if
 * another one has begun or the scope cannot go on. */
static bool
open_ended(struct unit *u, enum unit_own was, bool good)
{
	if (!good) {
		repeat_own(u);
		return false;
	}
	u->repeats = 0;
	u->resets = false;
	if (was == UNIT_OWN_OPEN) {
		u->open = true;
		u->units++;
		memcpy(u->begun_ms, u->limits_ms, sizeof u->begun_ms);
	}
	return true;
}

/* LOOK, CHOOSE, COMMIT. */
static bool
commit_ended(struct unit *u, enum unit_own was, bool good)
{
	if (!good) {
		u->tag[0] = 0;
		keep_refusal(u);
		u->refused = u->failed = true;
		unit_begin_own_(u, UNIT_OWN_UNDO);
		return false;
	}
	if (was == UNIT_OWN_COMMIT) {
		u->open = false;
		return true;
	}
	if (was == UNIT_OWN_LOOK && u->constraints == UNIT_CONSTRAINTS_CHECK) {
		unit_begin_own_(u, UNIT_OWN_CHOOSE);
		return false;
	}
	if (u->constraints != UNIT_CONSTRAINTS_QUIET)
		u->written[0] = 0;
	unit_begin_own_(u, UNIT_OWN_COMMIT);
	return false;
}

static bool
undo_ended(struct unit *u, bool good)
{
	if (!good && u->tries < TRIES_MAX && (u->tries == 1 || was_cancelled(u) || !u->error_of)) {
		unit_begin_own_(u, UNIT_OWN_UNDO);
		return false;
	}
	if (!good) {
		u->broken = "a savepoint could not be rolled back in it";
		return false;
	}
	u->open = false;
	return true;
}

/* MODES, UNMODES. */
static bool
modes_ended(struct unit *u, enum unit_own was, bool good)
{
	if (!good && u->abandoned)
		return true;
	if (!good && (was == UNIT_OWN_UNMODES || was_cancelled(u))) {
		modes_failed(u);
		return false;
	}
	if (!good) {
		const char *why = msg_report_field(buf_data(&u->error), u->error.len, 'M');

		msg_report(&u->reply, 'N', "NOTICE", "0A000",
			   "the modes of this transaction are not those of the joined scope, "
			   "whose transaction goes on with its own",
			   why, NULL);
		unit_begin_own_(u, UNIT_OWN_UNMODES);
		return false;
	}
	u->reads |= unitown_only_reads(u->modes, u->flags);
	free(u->modes);
	u->modes = NULL;
	return true;
}

/* A sequence that a request of the member needs: if it has failed, so has that. */
static void
request_failed(struct unit *u, bool good)
{
	if (good)
		return;
	keep_refusal(u);
	u->failed = true;
}

/* What the end of each sequence does. Returns true if it is over, as above. */
static bool
take_end(struct unit *u, enum unit_own was, bool good)
{
	switch (was) {
	case UNIT_OWN_START:
		if (!good)
			u->broken = "its savepoints could not be made";
		return good;
	case UNIT_OWN_RESTART:
	case UNIT_OWN_OPEN:
		return open_ended(u, was, good);
	case UNIT_OWN_LOOK:
	case UNIT_OWN_CHOOSE:
	case UNIT_OWN_COMMIT:
		return commit_ended(u, was, good);
	case UNIT_OWN_UNDO:
		return undo_ended(u, good);
	case UNIT_OWN_MODES:
	case UNIT_OWN_UNMODES:
		return modes_ended(u, was, good);
	case UNIT_OWN_EXPOSE:
	case UNIT_OWN_KEEP:
		u->exposed = was == UNIT_OWN_EXPOSE && good;
		request_failed(u, good);
		return true;
	case UNIT_OWN_CAPTURE:
		u->captured = good;
		request_failed(u, good);
		return true;
	case UNIT_OWN_DISCARD:
		request_failed(u, good);
		return true;
	case UNIT_OWN_TIDY:
		/* What could not be dropped stays. */
		if (!good)
			unit_begin_own_(u, UNIT_OWN_UNDO);
		return good;
	case UNIT_OWN_FAIL:
	case UNIT_OWN_FORGET:
	case UNIT_OWN_PROBE:
	case UNIT_OWN_NONE:
		break;
	}
	return true;
}

/* The last statement makes the savepoint of the next unit. If only that has failed, what the unit
 * has done is kept. Returns true if so: it is made again. */
static bool
only_next_failed(struct unit *u, enum unit_own was, bool good)
{
	if (!unitown_ends_unit(was) ||
	    u->completed + unitown_behind_guard(was, u->constraints, u->flat) < u->statements)
		return false;
	u->depth = u->flat ? 1 : u->depth + 1;
	u->committed = was == UNIT_OWN_COMMIT;
	u->wary -= u->wary > 0;
	if (good || was == UNIT_OWN_START)
		return false;
	u->again = UNIT_OWN_NONE;
	unit_begin_own_(u, UNIT_OWN_UNDO);
	return true;
}

/* No unit is open any more. */
static void
forget_unit(struct unit *u)
{
	u->constrains = false;
	free(u->deferred);
	u->deferred = NULL;
	u->put_aside = u->exposed = false;
	unitlocal_forget(&u->locals);
	unitname_forget_portals(&u->names);
}

void
unit_own_ended_(struct unit *u)
{
	enum unit_own was = u->own, again = u->again;
	bool good = !u->error_of && u->status == 'T';

	if (only_next_failed(u, was, good) || !take_end(u, was, good))
		return;
	if (was == UNIT_OWN_COMMIT || was == UNIT_OWN_UNDO)
		forget_unit(u);
	u->own = UNIT_OWN_NONE;
	u->tries = 0;
	if (was == UNIT_OWN_UNDO && again != UNIT_OWN_NONE) {
		u->again = UNIT_OWN_NONE;
		if (again == UNIT_OWN_RESTART || !u->abandoned) {
			unit_begin_own_(u, again);
			return;
		}
	}
	/* DISCARD ALL had to open its unit first. */
	if (u->discarding && was == UNIT_OWN_OPEN) {
		unit_begin_own_(u, UNIT_OWN_DISCARD);
		return;
	}
	go_on(u);
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

void
unit_read_row_(struct unit *u, const uint8_t *body, size_t bytes)
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
