#include "scope/unitown.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "wire/msg.h"
#include "wire/sqlmodes.h"

#define RESTORES_MAX (1024u * 1024) /* bytes of what restores parameters */

/* The arguments of unitown_add(). */
struct own {
	struct buf *out;
	const char *name, *modes;
	unsigned flags;
	const struct unit_locals *locals;
};

/* Adds one, by a name that no member knows. */
static void
add_own(const struct own *o, const char *sql)
{
	/* One that failed has left them. */
	msg_close(o->out, 'P', o->name);
	msg_close(o->out, 'S', o->name);
	msg_parse(o->out, o->name, sql, NULL, 0);
	msg_bind(o->out, o->name, o->name, NULL, 0);
	msg_execute(o->out, o->name);
	msg_close(o->out, 'S', o->name);
	msg_close(o->out, 'P', o->name);
}

static void
add_own_with(const struct own *o, const char *before, const char *behind)
{
	char sql[128];

	snprintf(sql, sizeof sql, "%s%s%s", before, o->name, behind);
	add_own(o, sql);
}

/* Adds statements of ours, each with a NUL behind it. */
static void
add_each(const struct own *o, const struct buf *sql)
{
	const char *at = (const char *)buf_data(sql), *end = at + sql->len;

	for (; at < end; at += strlen(at) + 1)
		add_own(o, at);
}

static void
add_restores(const struct own *o)
{
	struct buf sql;

	if (o->locals->list.count == 0)
		return;
	buf_init(&sql, RESTORES_MAX);
	unitlocal_restore(o->locals, &sql);
	/* More than there is room for is taken by no unitlocal_capture(). */
	if (sql.failed)
		o->out->failed = true;
	else
		add_each(o, &sql);
	buf_clear(&sql);
}

/* Timeouts of a member: keeps them in parameters of ours and sets them to 0, or sets them to what
 * was kept. PostgreSQL before 17 has no transaction_timeout, and its CASE does not evaluate what is
 * not taken. */
static void
add_timeouts(const struct own *o, bool keep)
{
	static const char *const names[] = {"idle_in_transaction_session_timeout",
					    "transaction_timeout", "statement_timeout"};
	struct buf sql;

	buf_init(&sql, 8192);
	buf_add_fmt(&sql, "SELECT ");
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const char *name = names[i];

		if (i > 0)
			buf_add_fmt(&sql, ", ");
		if (keep)
			buf_add_fmt(
			    &sql,
			    "CASE WHEN pg_catalog.current_setting('%s', true) IS NOT NULL THEN "
			    "pg_catalog.set_config('%s.%s', pg_catalog.current_setting('%s'), "
			    "false) || pg_catalog.set_config('%s', '0', false) END",
			    name, o->name, name, name, name);
		else
			buf_add_fmt(
			    &sql,
			    "CASE WHEN coalesce(pg_catalog.current_setting('%s.%s', true), '') "
			    "<> '' THEN pg_catalog.set_config('%s', "
			    "pg_catalog.current_setting('%s.%s'), false) END",
			    o->name, name, name, o->name, name);
	}
	buf_add_u8(&sql, 0);
	add_own(o, (const char *)buf_data(&sql));
	buf_clear(&sql);
}

/* Do the modes say READ ONLY? */
static bool
only_reads(const struct own *o)
{
	struct sqlmodes modes = {.begins = true};
	struct sqltext at;

	sqltext_init(&at, o->modes, strlen(o->modes), o->flags);
	return sqlmodes_read_list(&at, &modes) && modes.access == SQLMODES_READ_ONLY;
}

void
unitown_add(struct buf *out, enum unit_own what, const char *name, const char *modes,
	    unsigned flags, const struct unit_locals *locals, bool timed)
{
	const struct own o = {out, name, modes, flags, locals};
	char *sql;

	switch (what) {
	case UNIT_OWN_RESTART:
		add_own(&o, "SET SESSION AUTHORIZATION DEFAULT");
		add_own(&o, "RESET ALL");
		add_own(&o, "DEALLOCATE ALL");
		break;
	case UNIT_OWN_START:
		add_own(&o, "DEALLOCATE ALL");
		break;
	case UNIT_OWN_OPEN:
		add_own_with(&o, "SAVEPOINT ", "");
		/* Inside of it: so its ROLLBACK sets them to 0 again. */
		if (timed)
			add_timeouts(&o, false);
		break;
	case UNIT_OWN_COMMIT:
		/* The checks of deferred constraints are done and undone again: so the constraints
		 * stay deferred, and are checked once more at the end of the scope. */
		add_own_with(&o, "SAVEPOINT ", "_check");
		add_own(&o, "SET CONSTRAINTS ALL IMMEDIATE");
		add_own_with(&o, "ROLLBACK TO SAVEPOINT ", "_check");
		add_own_with(&o, "RELEASE SAVEPOINT ", "_check");
		add_own(&o, "CLOSE ALL");
		add_restores(&o);
		if (timed)
			add_timeouts(&o, true);
		add_own_with(&o, "RELEASE SAVEPOINT ", "");
		break;
	case UNIT_OWN_UNDO:
		add_own_with(&o, "ROLLBACK TO SAVEPOINT ", "");
		add_own_with(&o, "RELEASE SAVEPOINT ", "");
		break;
	case UNIT_OWN_MODES:
		/* Are these the modes of the scope's transaction? */
		add_own_with(&o, "SAVEPOINT ", "_modes");
		sql = mem_printf("SET TRANSACTION %s", modes);
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
		add_own(&o, "SET SESSION AUTHORIZATION DEFAULT");
		add_own(&o, "RESET ALL");
		add_own(&o, "DEALLOCATE ALL");
		add_own(&o, "DISCARD PLANS");
		add_own(&o, "DISCARD SEQUENCES");
		break;
	case UNIT_OWN_TIDY:
		add_own_with(&o, "SAVEPOINT ", "");
		add_own(&o, "DISCARD TEMP");
		add_own(&o, "SELECT pg_catalog.pg_advisory_unlock_all()");
		add_own_with(&o, "RELEASE SAVEPOINT ", "");
		break;
	case UNIT_OWN_CAPTURE:
		add_each(&o, &locals->capture);
		break;
	case UNIT_OWN_FORGET:
		msg_close(out, 'P', "");
		msg_close(out, 'S', "");
		break;
	case UNIT_OWN_PROBE:
		msg_close(out, 'S', name);
		break;
	case UNIT_OWN_FAIL:
		add_own_with(&o, "ROLLBACK TO SAVEPOINT ", "_none");
		break;
	case UNIT_OWN_NONE:
		break;
	}
	msg_sync(out);
}
