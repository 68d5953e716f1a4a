#include "cli/import/signin.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "cli/import/databases.h"
#include "conf/allow.h"
#include "conf/secret.h"
#include "conf/userlist.h"

#define PROBLEMS_MAX (16 << 10) /* bytes of comments about an auth_file */

struct signin {
	const char *type; /* auth_type */
	char *file;       /* the option auth_file; NULL: none */
	struct buf problems;
	bool asked; /* auth_query is run: the option auth_pool */
	struct databases_asking asking;
	const char *no_query; /* why auth_query cannot be taken over; or NULL */
};

/* ---- what the settings say ---- */

/* Does PgBouncer ask each client for the password of its role? */
static bool
asks_passwords(const char *type)
{
	return strcmp(type, "md5") == 0 || strcmp(type, "scram-sha-256") == 0 ||
	       strcmp(type, "plain") == 0;
}

static void
note_problem(void *arg, unsigned line, const char *why)
{
	struct signin *s = arg;

	if (line)
		buf_add_fmt(&s->problems, ";   line %u: %s\n", line, why);
	else
		buf_add_fmt(&s->problems, ";   %s\n", why);
}

/* Reads the auth_file as pgwithd does: a file that pgwithd would refuse is not carried. */
static void
plan_file(const struct import *im, struct signin *s)
{
	const char *name = settings_get(im, "auth_file");
	char *path = name && *name ? realpath(name, NULL) : NULL;
	struct userlist *list;

	if (name == NULL || *name == 0)
		return;
	list = userlist_read(path ? path : name, note_problem, s);
	if (list) {
		s->file = mem_strdup(path);
	} else if (path && access(path, R_OK) == 0) {
		/* Of a file that cannot be read, import_run() says so. */
		++*im->unknown;
	}
	userlist_drop(list);
	free(path);
}

struct signin *
signin_plan(const struct import *im)
{
	struct signin *s = mem_calloc(1, sizeof *s);
	const char *type = settings_get(im, "auth_type");

	s->type = type && *type ? type : "md5";
	buf_init(&s->problems, PROBLEMS_MAX);
	if (asks_passwords(s->type)) {
		plan_file(im, s);
		s->asked = databases_asking(im, &s->asking, &s->no_query);
		if (s->no_query)
			++*im->unknown;
	}
	return s;
}

void
signin_free(struct signin *s)
{
	free(s->file);
	databases_asking_clear(&s->asking);
	buf_clear(&s->problems);
	free(s);
}

const char *
signin_file(const struct import *im)
{
	return im->signin->file;
}

/* ---- passwords ---- */

static void
write_problems(const struct import *im)
{
	struct signin *s = im->signin;

	if (s->problems.len == 0)
		return;
	settings_out(im, "; auth_file cannot be taken over as it is: pgwithd would refuse it:");
	fprintf(im->to, "%.*s", (int)s->problems.len, (const char *)buf_data(&s->problems));
	settings_out(
	    im, ";   Mend that and run pgwith import again. Instead of an md5 hash, write the\n"
		";   password, or its verifier: SET password_encryption = 'scram-sha-256'; "
		"ALTER ROLE ...\n"
		";   PASSWORD '...'; SELECT rolpassword FROM pg_authid WHERE rolname = '...'.");
}

static void
write_query(const struct import *im)
{
	const struct signin *s = im->signin;
	const char *user = settings_get(im, "auth_user"), *query = settings_get(im, "auth_query");
	const char *database = settings_get(im, "auth_dbname");

	if (s->no_query)
		settings_out(im, "; auth_query cannot be taken over: %s", s->no_query);
	if (s->asked) {
		settings_option(im, "auth_pool", s->asking.pool,
				"auth_query is run by that pool, at the end of this file");
		if (s->asking.query)
			settings_option(im, "auth_query", s->asking.query, "auth_query");
		settings_out(im,
			     ";   A role whose pg_authid has an md5 hash cannot come in: set its "
			     "password anew.");
	} else if (s->no_query == NULL) {
		const char *why = asks_passwords(s->type)
				      ? "without an auth_user PgBouncer runs no auth_query"
				      : "a pool for it, auth_pool, goes with auth = scram-sha-256";

		if (user && *user)
			settings_out(im, "; auth_user = %s: %s", user, why);
		if (query && *query)
			settings_out(im, "; auth_query = %s: %s", query, why);
		if (database && *database)
			settings_out(im, "; auth_dbname = %s: %s", database, why);
	}
}

/* Clients come in by password, as with PgBouncer. */
static void
write_passwords(const struct import *im)
{
	const struct signin *s = im->signin;
	const char *administrators = settings_get(im, "admin_users");
	char *why =
	    mem_printf("auth_type = %s: the same passwords, proved by SCRAM-SHA-256", s->type);

	settings_option(im, "auth", "scram-sha-256", why);
	if (strcmp(s->type, "scram-sha-256") != 0)
		settings_out(im, ";   A driver older than PostgreSQL 10 does not know "
				 "SCRAM-SHA-256: such clients cannot come in.");
	if (s->file)
		settings_option(im, "auth_file", s->file, "auth_file");
	write_problems(im);
	write_query(im);
	settings_option(im, "users", "*",
			"who has proved a password, into every pool, as with PgBouncer");
	settings_option(im, "auth_console", "peer, scram-sha-256",
			"the console by password, too; pgwith(1) as root needs none");
	if (administrators && *administrators)
		settings_out(im, ";   LET IN: the system users named as in admin_users, into the "
				 "console without a password.\n"
				 ";   The console's database is pgwith, not pgbouncer.");
	free(why);
}

/* ---- users of the operating system ---- */

static bool
is_role(const char *name)
{
	return *name && strpbrk(name, " \t,:;") == NULL;
}

/* A name that would mean something else in the option users, or begin a comment, is none. */
static bool
is_user(const char *name)
{
	return allow_is_user(name) && strchr(name, ';') == NULL;
}

/* Those names in the auth_file, each behind `front`, with commas between them; "" if there are
 * none. */
static char *
name_list(const struct import *im, bool (*is_one)(const char *name), const char *front)
{
	char *list = mem_strdup("");

	for (unsigned i = 0; i < im->users.count; i++) {
		const char *name = im->users.list[i].key;
		char *more;

		if (!is_one(name))
			continue;
		more = mem_printf("%s%s%s%s", list, *list ? ", " : "", front, name);
		free(list);
		list = more;
	}
	return list;
}

/* Writes the option users, where clients come in by which system user they are. */
static void
write_users(const struct import *im, const char *type)
{
	const char *administrators = settings_get(im, "admin_users");
	char *names = name_list(im, is_user, "");
	bool everybody = strcmp(type, "any") == 0 || strcmp(type, "trust") == 0;

	if (everybody || (strcmp(type, "peer") == 0 && *names == 0)) {
		settings_option(im, "users", "*", "everybody on this machine, as with PgBouncer");
		settings_out(im,
			     ";   LET IN: every user of this machine, into every pool. Name those "
			     "who need it: users = NAME, @GROUP");
		if (everybody && administrators && *administrators)
			settings_out(
			    im,
			    ";   LET IN: every user of this machine, into the console, to do "
			    "all there as %s",
			    administrators);
	} else if (*names) {
		settings_option(im, "users", names,
				strcmp(type, "peer") == 0
				    ? "auth_type = peer: the users of auth_file, as with PgBouncer"
				    : "the system users named as in auth_file");
		settings_out(im,
			     ";   LET IN: root, pgwithd's own user, and the system users of these "
			     "names, into every pool.");
	} else {
		settings_out(
		    im, ";   LET IN: root and pgwithd's own user, and into pools with "
			"role = client everybody as\n;   the role of their own name. Others need "
			"a line\n; users = OSUSER, @GROUP");
	}
	free(names);
}

/* What is to be done about an auth_type that pgwith does not have. */
static const char *
what_to_do(const char *type)
{
	if (asks_passwords(type))
		return "no password is known here: pgwithd would let nobody in by one";
	if (strcmp(type, "hba") == 0)
		return "pgwith has no such file. If its lines for local say scram-sha-256 or md5: "
		       "auth = scram-sha-256 and auth_file; if peer: allow and users";
	if (strcmp(type, "cert") == 0)
		return "there are no certificates on a Unix socket";
	return "pgwith asks no such service; with auth = scram-sha-256 and auth_pool it asks "
	       "PostgreSQL for passwords";
}

static void
write_peer(const struct import *im)
{
	const char *type = im->signin->type;
	char *pairs = name_list(im, is_role, "OSUSER:");

	settings_out(im,
		     "; auth_type = %s: %s.\n"
		     ";   So clients come in as users of the operating system: root and pgwithd's "
		     "own user as any\n"
		     ";   role, everybody else as the role of their own name. Say who else may be "
		     "whom, and add\n"
		     ";   them to users:\n"
		     "; allow = %s",
		     settings_get(im, "auth_type") ? type : "md5 (the default)", what_to_do(type),
		     *pairs ? pairs : "OSUSER:ROLE");
	free(pairs);
	write_problems(im);
}

static void
write_allow(const struct import *im)
{
	const char *type = im->signin->type;
	char *roles = name_list(im, is_role, "");

	if (strcmp(type, "any") == 0)
		settings_option(im, "allow", "*", "auth_type = any: everyone as anyone");
	else if (strcmp(type, "trust") == 0 && *roles)
		settings_option(im, "allow", roles,
				"auth_type = trust: everyone as a role of auth_file");
	else if (strcmp(type, "trust") == 0)
		settings_out(im,
			     "; auth_type = trust: everyone may come in as a role of auth_file. "
			     "That is\n; allow = ROLE, ROLE");
	else if (strcmp(type, "peer") == 0)
		settings_out(
		    im, "; auth_type = peer: everybody may come in as the role of their own name; "
			"this is always so");
	else
		write_peer(im);
	free(roles);
	write_users(im, type);
	write_query(im);
}

/* ---- all ---- */

/* What PostgreSQL is told. */
static void
note_passwords(const struct import *im)
{
	unsigned stored = 0, verifiers = 0;

	for (unsigned i = 0; i < im->users.count; i++) {
		enum verifier_kind kind = verifier_kind(im->users.list[i].value);

		stored += kind != VERIFIER_NONE;
		verifiers += kind == VERIFIER_SCRAM;
	}
	if (stored == 0)
		return;
	if (im->how->passfile)
		settings_out(im, "; the passwords of auth_file, for PostgreSQL, are in %s",
			     im->how->passfile);
	else
		settings_out(
		    im, ";   The passwords of auth_file are needed where PostgreSQL asks for them: "
			"pgwith import\n"
			";   --passfile /etc/pgwith/pgpass writes those that are stored in plain "
			"text.");
	if (verifiers)
		settings_out(
		    im, ";   With a verifier PgBouncer logs in to PostgreSQL, too, by what its "
			"client has proved;\n"
			";   pgwithd cannot: it needs the password itself in a passfile, or a line "
			"in pg_hba.conf\n"
			";   that asks for none.");
}

void
signin_write(const struct import *im)
{
	if (im->signin->file || im->signin->asked)
		write_passwords(im);
	else
		write_allow(im);
	note_passwords(im);
}

void
signin_write_pool(const struct import *im)
{
	const struct signin *s = im->signin;
	char *conninfo, *literal;

	if (!s->asked)
		return;
	conninfo = databases_asking_conninfo(im, &s->asking);
	literal = settings_literal(conninfo);
	settings_out(im, "\n[pool %s]", s->asking.pool);
	settings_out(im, "conninfo = %s  ; auth_query is run here, as auth_user", literal);
	settings_out(im, "mode = transaction");
	settings_out(im, "size = 2");
	settings_out(im, "min_size = 0");
	settings_out(im, "users = root  ; not for clients: with auth = scram-sha-256, for nobody");
	secret_free(conninfo);
	secret_free(literal);
}
