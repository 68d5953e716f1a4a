#include "scope/unitown.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "wire/msg.h"
#include "wire/sqlmodes.h"

#define RESTORES_MAX (1024u * 1024) /* bytes of what restores parameters */

/* A sequence that is being made. */
struct own {
	struct buf *out;
	const struct unitown *of;
	unsigned count; /* of statements */
};

/* Prepares one, by a name that no member knows. */
static void
add_parts(struct own *o, const char *name, const char *sql)
{
	/* One that failed has left them. */
	msg_close(o->out, 'P', name);
	msg_close(o->out, 'S', name);
	msg_parse(o->out, name, sql, NULL, 0);
	msg_bind(o->out, name, name, NULL, 0);
}

static void
add_execute(struct own *o, const char *name)
{
	msg_execute(o->out, name);
	o->count++;
}

static void
close_parts(struct own *o, const char *name)
{
	msg_close(o->out, 'S', name);
	msg_close(o->out, 'P', name);
}

static void
add_own(struct own *o, const char *sql)
{
	add_parts(o, o->of->name, sql);
	add_execute(o, o->of->name);
	close_parts(o, o->of->name);
}

static void
add_own_with(struct own *o, const char *before, const char *behind)
{
	char sql[128];

	snprintf(sql, sizeof sql, "%s%s%s", before, o->of->name, behind);
	add_own(o, sql);
}

static void
add_guard(struct own *o, const char *before, unsigned depth)
{
	char sql[128];

	snprintf(sql, sizeof sql, "%s%s_g%u", before, o->of->name, depth);
	add_own(o, sql);
}

/* Releases all guards and makes the first one anew. Between the two, an error would end the scope's
 * transaction: so nothing but the two executions is there. */
static void
flatten(struct own *o)
{
	char release[64], guard[64], sql[128];

	snprintf(release, sizeof release, "%s_r", o->of->name);
	snprintf(guard, sizeof guard, "%s_s", o->of->name);
	snprintf(sql, sizeof sql, "RELEASE SAVEPOINT %s_g1", o->of->name);
	add_parts(o, release, sql);
	snprintf(sql, sizeof sql, "SAVEPOINT %s_g1", o->of->name);
	add_parts(o, guard, sql);
	add_execute(o, release);
	add_execute(o, guard);
	close_parts(o, release);
	close_parts(o, guard);
}

/* How much has been written to the tables that deferrable constraints are about, in the scope's
 * transaction: a number that only grows in a unit. What follows makes a SELECT of it. */
#define WITH_DEFERRABLE                                                                        \
	"WITH d AS (SELECT c.conname, c.connamespace, c.conrelid, c.confrelid, c.condeferred " \
	"FROM pg_catalog.pg_constraint c WHERE c.condeferrable AND NOT "                       \
	"pg_catalog.pg_is_other_temp_schema(c.connamespace)), "                                \
	"w AS (SELECT coalesce(pg_catalog.sum(pg_catalog.int8pl("                              \
	"pg_catalog.pg_stat_get_xact_tuples_inserted(x.r), pg_catalog.int8pl("                 \
	"pg_catalog.pg_stat_get_xact_tuples_updated(x.r), "                                    \
	"pg_catalog.pg_stat_get_xact_tuples_deleted(x.r)))), 0)::pg_catalog.text AS n "        \
	"FROM (SELECT conrelid FROM d UNION SELECT confrelid FROM d) x(r)) "

/* Costs the server little: mostly there are none, or a unit has only read. */
static void
add_look(struct own *o)
{
	char *sql;

	if (o->of->written == NULL) {
		add_own(o, "SELECT CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_constraint "
			   "WHERE condeferrable) THEN 2 ELSE 0 END, NULL, "
			   "pg_catalog.current_setting('transaction_read_only'), NULL");
		return;
	}
	/* Without track_counts, nothing is counted. */
	sql = mem_printf(WITH_DEFERRABLE
			 "SELECT CASE WHEN NOT EXISTS (SELECT FROM d) THEN 0 "
			 "WHEN pg_catalog.texteq(pg_catalog.current_setting('track_counts'), 'on') "
			 "AND pg_catalog.texteq((SELECT n FROM w), '%s') THEN 1 ELSE 2 END, NULL, "
			 "pg_catalog.current_setting('transaction_read_only'), NULL",
			 o->of->written);
	add_own(o, sql);
	free(sql);
}

static void
add_choose(struct own *o)
{
	add_own(o, WITH_DEFERRABLE
		", k AS (SELECT CASE WHEN NOT EXISTS (SELECT FROM d) THEN 0 "
		"WHEN EXISTS (SELECT FROM d JOIN pg_catalog.pg_constraint o ON "
		"o.conname OPERATOR(pg_catalog.=) d.conname AND "
		"o.connamespace OPERATOR(pg_catalog.=) d.connamespace "
		"WHERE d.condeferred AND NOT o.condeferred) OR EXISTS (SELECT FROM d WHERE "
		"d.condeferred AND NOT pg_catalog.has_schema_privilege(d.connamespace, 'USAGE')) "
		"THEN 3 ELSE 2 END AS k) "
		"SELECT k, CASE WHEN k OPERATOR(pg_catalog.=) 2 THEN (SELECT "
		"pg_catalog.string_agg(DISTINCT "
		"pg_catalog.format('%I.%I', n.nspname, d.conname), ', ') FROM d JOIN "
		"pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) d.connamespace "
		"WHERE d.condeferred) END, "
		"pg_catalog.current_setting('transaction_read_only'), NULL FROM k");
}

/* What the unit has deferred is checked now. */
static void
add_checks(struct own *o)
{
	char *sql;

	switch (o->of->constraints) {
	case UNIT_CONSTRAINTS_CHECK:
		add_own(o, "SET CONSTRAINTS ALL IMMEDIATE");
		if (o->of->deferred == NULL)
			break;
		sql = mem_printf("SET CONSTRAINTS %s DEFERRED", o->of->deferred);
		add_own(o, sql);
		free(sql);
		break;
	case UNIT_CONSTRAINTS_TRY:
		add_own_with(o, "SAVEPOINT ", "_check");
		add_own(o, "SET CONSTRAINTS ALL IMMEDIATE");
		add_own_with(o, "ROLLBACK TO SAVEPOINT ", "_check");
		add_own_with(o, "RELEASE SAVEPOINT ", "_check");
		break;
	default:
		break;
	}
}

/* Is it to be counted again what the transaction has written? The release of all guards changes the
 * number, too: behind a TRUNCATE, PostgreSQL forgets then what the guards outside had counted. */
static bool
counts_written(enum unit_constraints constraints, bool flat)
{
	return constraints == UNIT_CONSTRAINTS_CHECK || constraints == UNIT_CONSTRAINTS_TRY ||
	       (constraints == UNIT_CONSTRAINTS_QUIET && flat);
}

unsigned
unitown_behind_guard(enum unit_own what, enum unit_constraints constraints, bool flat)
{
	return what == UNIT_OWN_COMMIT && counts_written(constraints, flat) ? 2 : 1;
}

/* What the unit has done is kept, and the next one has its savepoints. */
static void
end_unit(struct own *o, enum unit_constraints constraints)
{
	if (o->of->flat) {
		flatten(o);
	} else {
		add_own_with(o, "RELEASE SAVEPOINT ", "");
		add_guard(o, "SAVEPOINT ", o->of->depth + 1);
	}
	if (counts_written(constraints, o->of->flat))
		add_own(o, WITH_DEFERRABLE "SELECT n, NULL FROM w");
	add_own_with(o, "SAVEPOINT ", "");
}

/* Adds statements of ours, each with a NUL behind it. */
static void
add_each(struct own *o, const struct buf *sql)
{
	const char *at = (const char *)buf_data(sql), *end = at + sql->len;

	for (; at < end; at += strlen(at) + 1)
		add_own(o, at);
}

/* What is done with a timeout of a member. Its value is the result, with a 0 behind it if it was
 * put aside. Nothing is set that has the value already: pg_settings would say that the session has
 * set it, and its pool would believe that. There is no operator in the texts, as a member may have
 * set search_path. PostgreSQL before 17 has no transaction_timeout, and its CASE does not evaluate
 * what is not taken. */
enum timeout_does {
	TIMEOUT_SET,   /* sets it to what was put aside */
	TIMEOUT_ZERO,  /* the same, but only if it is 0: otherwise the unit has just set it */
	TIMEOUT_KEEP,  /* puts it aside, and sets it to 0 */
	TIMEOUT_LOOK,  /* tells what was put aside */
	TIMEOUT_FOUND, /* puts it aside if it is not 0: something has set it */
	TIMEOUT_NONE
};

static void
add_timeout(struct buf *sql, const char *ours, const char *name, enum timeout_does does)
{
	switch (does) {
	case TIMEOUT_ZERO:
		buf_add_fmt(sql,
			    "CASE WHEN pg_catalog.textne(coalesce("
			    "pg_catalog.current_setting('%s', true), '0'), '0') THEN "
			    "pg_catalog.current_setting('%s', true) ELSE ",
			    name, name);
		add_timeout(sql, ours, name, TIMEOUT_SET);
		buf_add_fmt(sql, " END");
		break;
	case TIMEOUT_SET:
		buf_add_fmt(sql,
			    "CASE WHEN pg_catalog.textne(coalesce("
			    "pg_catalog.current_setting('%s.%s', true), ''), '') THEN "
			    "CASE WHEN pg_catalog.textne(pg_catalog.current_setting('%s.%s'), "
			    "pg_catalog.current_setting('%s')) THEN pg_catalog.set_config('%s', "
			    "pg_catalog.current_setting('%s.%s'), false) ELSE "
			    "pg_catalog.current_setting('%s') END END",
			    ours, name, ours, name, name, name, ours, name, name);
		break;
	case TIMEOUT_KEEP:
		buf_add_fmt(sql,
			    "CASE WHEN pg_catalog.current_setting('%s', true) IS NOT NULL THEN "
			    "pg_catalog.textcat(pg_catalog.set_config('%s.%s', "
			    "pg_catalog.current_setting('%s'), false), CASE WHEN "
			    "pg_catalog.textne(pg_catalog.current_setting('%s'), '0') THEN "
			    "pg_catalog.set_config('%s', '0', false) ELSE '' END) END",
			    name, ours, name, name, name, name);
		break;
	case TIMEOUT_LOOK:
		buf_add_fmt(sql, "pg_catalog.current_setting('%s.%s', true)", ours, name);
		break;
	case TIMEOUT_FOUND:
		buf_add_fmt(sql,
			    "CASE WHEN pg_catalog.textne(coalesce("
			    "pg_catalog.current_setting('%s', true), '0'), '0') THEN "
			    "pg_catalog.textcat(pg_catalog.set_config('%s.%s', "
			    "pg_catalog.current_setting('%s', true), false), "
			    "pg_catalog.set_config('%s', '0', false)) ELSE "
			    "pg_catalog.current_setting('%s.%s', true) END",
			    name, ours, name, name, name, ours, name);
		break;
	case TIMEOUT_NONE:
		buf_add_fmt(sql, "NULL");
		break;
	}
}

/* Adds one statement, whose result has a column for each timeout. */
static void
add_timeouts(struct own *o, enum timeout_does first, enum timeout_does others)
{
	struct buf sql;

	buf_init(&sql, 8192);
	for (size_t i = 0; i < UNITLOCAL_TIMEOUTS; i++) {
		buf_add_fmt(&sql, i > 0 ? ", " : "SELECT ");
		add_timeout(&sql, o->of->name, unitlocal_timeouts[i], i > 0 ? others : first);
	}
	buf_add_u8(&sql, 0);
	add_own(o, (const char *)buf_data(&sql));
	buf_clear(&sql);
}

/* At the end of a unit. */
static void
keep_timeouts(struct own *o)
{
	add_timeouts(o, TIMEOUT_KEEP, o->of->exposed ? TIMEOUT_KEEP : TIMEOUT_FOUND);
}

void
unitown_keep_timeouts(struct buf *sql, const char *name, bool exposed)
{
	for (size_t i = 0; i < UNITLOCAL_TIMEOUTS; i++) {
		buf_add_fmt(sql, ", ");
		add_timeout(sql, name, unitlocal_timeouts[i],
			    i == 0 || exposed ? TIMEOUT_KEEP : TIMEOUT_FOUND);
	}
}

/* Reads the modes of a BEGIN. Returns false if they are not understood. */
static bool
read_modes(const char *modes, unsigned flags, struct sqlmodes *out)
{
	struct sqltext at;

	*out = (struct sqlmodes){.begins = true};
	sqltext_init(&at, modes, strlen(modes), flags);
	return sqlmodes_read_list(&at, out);
}

bool
unitown_only_reads(const char *modes, unsigned flags)
{
	struct sqlmodes read;

	return read_modes(modes, flags, &read) && read.access == SQLMODES_READ_ONLY;
}

bool
unitown_names_access(const char *modes, unsigned flags)
{
	struct sqlmodes read;

	return read_modes(modes, flags, &read) &&
	       (read.access == SQLMODES_READ_ONLY || read.access == SQLMODES_READ_WRITE);
}

static bool
only_reads(const struct own *o)
{
	return unitown_only_reads(o->of->modes, o->of->flags);
}

/* Closes the descriptors of large objects, which PostgreSQL would keep open for the units behind,
 * those of other members, too. It has no list of them; but it always gives the lowest free number,
 * so behind so many that are free there are none. */
static const char close_large[] =
    "DO $u$ DECLARE free int := 0; BEGIN FOR i IN 0..2147483646 LOOP BEGIN "
    "PERFORM pg_catalog.lo_close(i); free := 0; "
    "EXCEPTION WHEN undefined_object THEN free := free OPERATOR(pg_catalog.+) 1; END; "
    "EXIT WHEN free OPERATOR(pg_catalog.>) 50; END LOOP; END $u$";

/* May a function of the user's own open large objects, in a statement whose text does not name
 * lo_open()? A body of SQL (BEGIN ATOMIC) has its number. */
static const char opens_large[] =
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE p.oid OPERATOR(pg_catalog.>=) 16384 AND "
    "(p.prosrc OPERATOR(pg_catalog.~*) 'lo_open' OR (pg_catalog.texteq(p.prosrc, '') AND "
    "pg_catalog.to_jsonb(p)::pg_catalog.text OPERATOR(pg_catalog.~) ':funcid 952\\M'))), NULL";

/* The role is reset first, by its own name: PostgreSQL would keep it behind the other one, and a
 * ROLLBACK TO SAVEPOINT could bring it back. */
static void
reset_identity(struct own *o)
{
	add_own(o, "RESET ROLE");
	add_own(o, "SET SESSION AUTHORIZATION DEFAULT");
}

static void
add_reset(struct own *o)
{
	reset_identity(o);
	add_own(o, "RESET ALL");
}

/* Gives the server the parameters of the member's session, with its timeouts put aside at once. */
static void
add_parameters(struct own *o)
{
	size_t bytes = strlen(o->of->parameters);
	struct buf sql;

	if (bytes == 0 && !o->of->timed)
		return;
	buf_init(&sql, bytes + 8192);
	buf_add(&sql, o->of->parameters, bytes);
	/* By its number of columns, the row is none of those that are read. */
	buf_add_fmt(&sql, bytes ? ", %s" : "SELECT %s", "NULL, NULL, NULL, NULL");
	if (o->of->timed)
		unitown_keep_timeouts(&sql, o->of->name, true);
	buf_add_u8(&sql, 0);
	add_own(o, (const char *)buf_data(&sql));
	buf_clear(&sql);
}

/* What the unit has set for its transaction ends: by the values that were kept, or, if the
 * parameters of the session are known, by these. */
static void
end_locals(struct own *o)
{
	bool known = o->of->parameters != NULL;
	struct buf sql;

	if (o->of->locals->list.count > 0) {
		/* A function may have set the role, which must not be the one that drops tables. */
		if (known && unitlocal_has_tables(o->of->locals)) {
			reset_identity(o);
			add_parameters(o);
		}
		buf_init(&sql, RESTORES_MAX);
		unitlocal_restore(o->of->locals, !known, &sql);
		/* More than there is room for is taken by no unitlocal_capture(). */
		if (sql.failed)
			o->out->failed = true;
		else
			add_each(o, &sql);
		buf_clear(&sql);
	}
	if (!known)
		return;
	add_reset(o);
	add_parameters(o);
}

bool
unitown_ends_unit(enum unit_own what)
{
	return what == UNIT_OWN_START || what == UNIT_OWN_RESTART || what == UNIT_OWN_COMMIT ||
	       what == UNIT_OWN_TIDY;
}

unsigned
unitown_add(struct buf *out, enum unit_own what, const struct unitown *of)
{
	struct own o = {out, of, 0};
	char *sql;

	switch (what) {
	case UNIT_OWN_RESTART:
		add_reset(&o);
		add_own(&o, "DEALLOCATE ALL");
		if (of->timed)
			keep_timeouts(&o);
		end_unit(&o, UNIT_CONSTRAINTS_NONE);
		break;
	case UNIT_OWN_START:
		add_own(&o, "DEALLOCATE ALL");
		add_own(&o, opens_large);
		add_timeouts(&o, TIMEOUT_KEEP, TIMEOUT_KEEP);
		add_guard(&o, "SAVEPOINT ", 1);
		add_own_with(&o, "SAVEPOINT ", "");
		break;
	case UNIT_OWN_OPEN:
		/* Inside of the unit's savepoint: so its ROLLBACK sets them to 0 again. */
		if (of->timed)
			add_timeouts(&o, of->resets ? TIMEOUT_NONE : TIMEOUT_SET,
				     of->exposed ? TIMEOUT_SET : TIMEOUT_LOOK);
		if (of->reads_only)
			add_own(&o, "SELECT pg_catalog.set_config('transaction_read_only', 'on', "
				    "true) WHERE pg_catalog.current_setting("
				    "'default_transaction_read_only')::pg_catalog.bool");
		break;
	case UNIT_OWN_EXPOSE:
		add_timeouts(&o, TIMEOUT_NONE, TIMEOUT_ZERO);
		break;
	case UNIT_OWN_KEEP:
		add_timeouts(&o, TIMEOUT_NONE, of->exposed ? TIMEOUT_KEEP : TIMEOUT_FOUND);
		break;
	case UNIT_OWN_LOOK:
		/* From here on, the member's timeouts hit nothing: PostgreSQL ends
		 * statement_timeout ahead of a commit, too. */
		if (of->timed)
			keep_timeouts(&o);
		add_look(&o);
		break;
	case UNIT_OWN_CHOOSE:
		add_choose(&o);
		break;
	case UNIT_OWN_COMMIT:
		add_checks(&o);
		add_own(&o, "CLOSE ALL");
		if (of->large)
			add_own(&o, close_large);
		end_locals(&o);
		end_unit(&o, of->constraints);
		break;
	case UNIT_OWN_UNDO:
		/* PostgreSQL warns of a portal that was bound in the failed transaction, and may be
		 * cancelled there, in the middle of the rollback. */
		msg_close(out, 'P', "");
		if (!of->again) {
			add_own_with(&o, "ROLLBACK TO SAVEPOINT ", "");
			break;
		}
		add_guard(&o, "ROLLBACK TO SAVEPOINT ", of->depth);
		add_own_with(&o, "SAVEPOINT ", "");
		break;
	case UNIT_OWN_MODES:
		/* Are these the modes of the scope's transaction? */
		add_own_with(&o, "SAVEPOINT ", "_modes");
		sql = mem_printf("SET TRANSACTION %s", of->modes);
		add_own(&o, sql);
		free(sql);
		add_own_with(&o, "RELEASE SAVEPOINT ", "_modes");
		/* The end of a savepoint ends its READ ONLY, so this comes outside of that one. */
		if (only_reads(&o))
			add_own(&o, "SET TRANSACTION READ ONLY");
		break;
	case UNIT_OWN_UNMODES:
		add_own_with(&o, "ROLLBACK TO SAVEPOINT ", "_modes");
		add_own_with(&o, "RELEASE SAVEPOINT ", "_modes");
		if (only_reads(&o))
			add_own(&o, "SET TRANSACTION READ ONLY");
		break;
	case UNIT_OWN_DISCARD:
		/* DISCARD ALL, but for what belongs to the scope: temporary tables and advisory
		 * locks. It cannot run in a transaction itself. */
		add_reset(&o);
		add_own(&o, "DEALLOCATE ALL");
		add_own(&o, "DISCARD PLANS");
		add_own(&o, "DISCARD SEQUENCES");
		break;
	case UNIT_OWN_TIDY:
		add_own(&o, "DISCARD TEMP");
		add_own(&o, "SELECT pg_catalog.pg_advisory_unlock_all()");
		end_unit(&o, UNIT_CONSTRAINTS_NONE);
		break;
	case UNIT_OWN_CAPTURE:
		add_each(&o, &of->locals->capture);
		break;
	case UNIT_OWN_FORGET:
		if (!of->aborted)
			msg_close(out, 'P', "");
		msg_close(out, 'S', "");
		break;
	case UNIT_OWN_PROBE:
		msg_close(out, 'S', of->name);
		break;
	case UNIT_OWN_FAIL:
		add_own_with(&o, "ROLLBACK TO SAVEPOINT ", "_none");
		break;
	case UNIT_OWN_NONE:
		break;
	}
	msg_sync(out);
	return o.count;
}
