#include "cli/authcheck.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "conf/auth.h"

#define NOBODY "pgwith doctor: no such role"

/* The table of passwords that auth_query reads; NULL if it reads them by a function, or from
 * somewhere else. */
static const char *
table_of(const char *sql)
{
	return strcasestr(sql, "pg_authid")   ? "pg_authid"
	       : strcasestr(sql, "pg_shadow") ? "pg_shadow"
					      : NULL;
}

static void
add_failure(struct findings *f, const struct conf *conf, const char *subject,
	    const struct direct *d, const char *sqlstate, const char *why)
{
	const char *table = table_of(conf->auth_query), *role = PQuser(d->conn);
	char *cure;

	if (strcmp(sqlstate, "42501") != 0)
		cure =
		    mem_strdup("correct auth_query: psql as the role of this pool shows the same "
			       "error");
	else if (table)
		cure = mem_printf("as a superuser: GRANT SELECT ON %s TO \"%s\"; or name a "
				  "function with SECURITY "
				  "DEFINER in auth_query, as pgwith.conf(5) has one",
				  table, role);
	else
		cure =
		    mem_printf("GRANT to \"%s\" what auth_query calls and reads (EXECUTE, USAGE, "
			       "SELECT)",
			       role);
	findings_add(f, FINDING_PROBLEM, subject, cure,
		     "auth_query fails as \"%s\", so no client that auth_file does not have can "
		     "come in by a password: %s",
		     role, why);
	free(cure);
}

/* Looks at the answer about a role that does not exist: expected is no row, or NULL in it. */
static void
check_answer(struct findings *f, const char *subject, const PGresult *r)
{
	int columns = PQnfields(r), rows = PQntuples(r);

	if (columns == 0)
		findings_add(f, FINDING_PROBLEM, subject, "correct auth_query",
			     "auth_query gives no columns, so no client can come in by it");
	else if (rows > 1 || (rows == 1 && !PQgetisnull(r, 0, columns - 1)))
		findings_add(
		    f, FINDING_WARNING, subject, "compare the name with $1 in auth_query",
		    "auth_query gives a password for a role that does not exist: does it use $1?");
	else
		findings_add(f, FINDING_OK, subject, NULL, "auth_query can be run");
}

/* Notes roles that cannot come in because PostgreSQL has only an md5 hash of their passwords. */
static void
check_md5(struct findings *f, const struct conf *conf, const char *subject, const struct direct *d)
{
	const char *table = table_of(conf->auth_query);
	PGresult *r = NULL;

	if (table && strcmp(table, "pg_authid") == 0)
		r = direct_query(d,
				 "SELECT count(*) FROM pg_authid WHERE rolcanlogin AND "
				 "rolpassword LIKE 'md5%'",
				 NULL, 0);
	if (r && PQntuples(r) == 1 && strcmp(PQgetvalue(r, 0, 0), "0") != 0)
		findings_add(f, FINDING_NOTE, subject,
			     "set password_encryption = scram-sha-256, and their passwords anew",
			     "roles whose password PostgreSQL has as an md5 hash: %s; they cannot "
			     "come in by auth_query",
			     PQgetvalue(r, 0, 0));
	PQclear(r);
}

void
authcheck_pool(struct findings *f, const struct conf *conf, const char *subject,
	       const struct direct *d)
{
	char why[512] = "", sqlstate[6] = "";
	PGresult *r;

	if (strcmp(d->pool->name, conf->auth_pool) != 0 ||
	    !((auth_methods(conf->auth) | auth_methods(conf->auth_console)) & AUTH_SCRAM))
		return;
	r = direct_ask(d, conf->auth_query, NOBODY, sqlstate, why, sizeof why);
	if (r) {
		check_answer(f, subject, r);
		check_md5(f, conf, subject, d);
	} else {
		add_failure(f, conf, subject, d, sqlstate, why);
	}
	PQclear(r);
}

const char *
authcheck_cure_of_file(const char *text)
{
	if (strncmp(text, "auth_file: ", strlen("auth_file: ")) != 0)
		return NULL;
	if (strstr(text, "open to others"))
		return "chmod 640, the group being that of pgwithd; others may read no passwords";
	if (strstr(text, "md5"))
		return "put the verifier of pg_authid there, after the password was set anew with "
		       "password_encryption = scram-sha-256";
	if (strstr(text, "cannot open"))
		return "make the file, or correct auth_file; pgwithd's user must be able to read "
		       "it";
	return "correct the file that auth_file names";
}
