#include "session/asking.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/atom.h"
#include "base/mem.h"
#include "pool/pool.h"
#include "session/application.h"
#include "session/context.h"
#include "session/end.h"
#include "session/params.h"
#include "session/resets.h"
#include "session/session.h"
#include "session/setcalls.h"
#include "session/unlisted.h"
#include "wire/frame.h"
#include "wire/reader.h"
#include "wire/sqlname.h"

#define QUESTION_MAX (1024 * 1024) /* bytes */
#define NAME_SIZE    128           /* of the name of a parameter without a point */

/* ---- the question ---- */

/* The operators are qualified, because search_path may lead to others. */
#define EQUALS  "OPERATOR(pg_catalog.=)"
#define DIFFERS "OPERATOR(pg_catalog.<>)"

/* Asks the server what pins the session: one row with an empty name and a letter for each kind that
 * there is. Outside a transaction all cursors are WITH HOLD, and all advisory locks are of the
 * session. */
static const char pins_question[] =
    " UNION ALL SELECT '', pg_catalog.concat("
    "CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_listening_channels()) THEN 'l' END, "
    "CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_depend WHERE refclassid " EQUALS
    " 'pg_catalog.pg_namespace'::pg_catalog.regclass AND refobjid " EQUALS
    " pg_catalog.pg_my_temp_schema()) THEN 't' END, "
    "CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_prepared_statements WHERE from_sql) THEN 'p' "
    "END, "
    "CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_cursors WHERE name " DIFFERS " '') THEN 'c' END, "
    "CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_locks WHERE locktype " EQUALS
    " 'advisory' AND pid " EQUALS " pg_catalog.pg_backend_pid()) THEN 'a' END)";

static const struct {
	char letter;
	unsigned bit;
} pin_letters[] = {
    {'l', SQLCLASS_LISTEN}, {'t', SQLCLASS_TEMP}, {'p', SQLCLASS_PREPARE},
    {'c', SQLCLASS_HOLD},   {'a', SQLCLASS_LOCK},
};

/* Asks for the parameters of context.unlisted. One without a point in its name is asked for only if
 * pg_settings does not list it. If such a parameter exists, the role may not see it: the question
 * fails, and the session keeps its server. */
static void
ask_unlisted(const struct session *s, struct buf *sql)
{
	bool any = false;

	for (const char *p = s->context.unlisted; p && *p; p += strlen(p) + 1) {
		if (strchr(p, '.') == NULL)
			continue;
		buf_add_fmt(sql, " UNION ALL SELECT ");
		params_literal(sql, p);
		buf_add_fmt(sql, ", pg_catalog.current_setting(");
		params_literal(sql, p);
		buf_add_fmt(sql, ", true)");
	}
	for (const char *p = s->context.unlisted; p && *p; p += strlen(p) + 1) {
		if (strchr(p, '.') || strcmp(p, "role") == 0 ||
		    strcmp(p, "session_authorization") == 0)
			continue;
		buf_add_fmt(sql, any ? ", ("
				     : " UNION ALL SELECT v.name, pg_catalog."
				       "current_setting(v.name, true) FROM (VALUES (");
		params_literal(sql, p);
		buf_add_u8(sql, ')');
		any = true;
	}
	if (any)
		buf_add_fmt(sql,
			    ") AS v (name) WHERE NOT EXISTS (SELECT FROM "
			    "pg_catalog.pg_settings AS p WHERE pg_catalog.lower(p.name) " EQUALS
			    " v.name)");
}

/* Copies the name of the parameter that the call sets. Returns unlisted_may_be_hidden() of it. */
static bool
may_be_hidden(const struct session *s, const struct setcall *c, char name[NAME_SIZE])
{
	snprintf(name, NAME_SIZE, "%.*s", (int)strcspn(c->name, "'"), c->name);
	return unlisted_may_be_hidden(&s->context, name);
}

/* Asks which parameters in parameters_sql are hidden from the role that asks: the answer has a row
 * for each of these, with NULL for its value. */
static void
ask_hidden(const struct session *s, struct buf *sql)
{
	const char *at = s->context.parameters_sql;
	char name[NAME_SIZE];
	struct setcall c;
	bool any = false;

	while (setcalls_next(&at, &c)) {
		if (!may_be_hidden(s, &c, name))
			continue;
		buf_add_fmt(sql, any ? ", (" : " UNION ALL SELECT h.name, NULL FROM (VALUES (");
		params_literal(sql, name);
		buf_add_u8(sql, ')');
		any = true;
	}
	if (any)
		buf_add_fmt(sql, ") AS h (name) WHERE NOT EXISTS (SELECT FROM "
				 "pg_catalog.pg_settings AS p WHERE p.name " EQUALS " h.name)");
}

/* Adds the SQL that asks the server what the session has set. `patient`: a short statement_timeout
 * of the session must not end the question. */
static void
make_question(const struct session *s, bool patient, struct buf *sql)
{
	if (patient)
		buf_add_fmt(sql, "SELECT 'statement_timeout', "
				 "pg_catalog.current_setting('statement_timeout'); "
				 "SET LOCAL statement_timeout = 0; ");
	/* A role may not be allowed to see all parameters, so the question is asked as the role of
	 * the login. */
	if (unlisted_asks_as_login(&s->context))
		buf_add_fmt(sql, "SELECT 'role', pg_catalog.current_setting('role'); "
				 "SET LOCAL ROLE none; ");
	buf_add_fmt(sql, "SELECT name, setting FROM pg_catalog.pg_settings WHERE source " EQUALS
			 " 'session'"
			 /* These three end with the transaction; transaction_timeout does not. */
			 " AND name " DIFFERS " 'transaction_isolation'"
			 " AND name " DIFFERS " 'transaction_read_only'"
			 " AND name " DIFFERS " 'transaction_deferrable'");
	if (patient)
		buf_add_fmt(sql, " AND name " DIFFERS " 'statement_timeout'");
	/* Those in which a joined scope keeps values: scope/unitown.h. */
	if (hold_is_joined(s->hold))
		buf_add_fmt(sql, " AND pg_catalog.strpos(name, 'pgwith_unit_') " DIFFERS " 1");
	buf_add_fmt(sql, " UNION ALL SELECT 'role', pg_catalog.current_setting('role')"
			 " UNION ALL SELECT 'session_authorization', "
			 "pg_catalog.current_setting('session_authorization')");
	ask_unlisted(s, sql);
	ask_hidden(s, sql);
	if (s->hold->pins_doubtful)
		buf_add_fmt(sql, "%s", pins_question);
	buf_add_u8(sql, 0);
}

/* ---- the answer ---- */

/* Takes over the answer to pins_question: a letter for each pin that is still there. */
static void
take_pins(struct session *s, const char *letters)
{
	unsigned kept = 0;

	for (size_t i = 0; i < sizeof pin_letters / sizeof *pin_letters; i++)
		if (strchr(letters, pin_letters[i].letter))
			kept |= pin_letters[i].bit;
	if (hold_is_joined(s->hold))
		kept &= ~(unsigned)HOLD_OF_SCOPE;
	/* With pin = off, what would pin the session is discarded. */
	if (kept && !s->context.pin) {
		s->hold->discard = true;
		kept = 0;
	}
	s->hold->pinned = (s->hold->pinned & ~HOLD_PINS_ASKED) | kept;
}

/* A parameters_sql that is being made. */
struct settings {
	const char *encoding; /* the encoding of the values */
	struct buf sql;
	struct buf names;  /* the names that are in sql: name NUL ... */
	struct buf hidden; /* the names of parameters that the role may not see, likewise */
	bool any;          /* sql has a call */
	char *application; /* application_name, or NULL: it is the server's own */
	bool temporary;    /* search_path leads to pg_temp */
};

/* Adds a value in ASCII only, because a server reads the statement with its own client_encoding,
 * which may not be the session's. */
static void
add_value(struct settings *set, const char *value)
{
	if (set->encoding == NULL || sqlname_is_ascii(value, strlen(value))) {
		params_literal(&set->sql, value);
		return;
	}
	buf_add_fmt(&set->sql, "pg_catalog.convert_from(pg_catalog.decode('");
	for (; *value; value++)
		buf_add_fmt(&set->sql, "%02x", (unsigned)(uint8_t)*value);
	buf_add_fmt(&set->sql, "','hex'),");
	params_literal(&set->sql, set->encoding);
	buf_add_u8(&set->sql, ')');
}

static void
add_call(struct settings *set, const char *name, const char *value)
{
	buf_add_fmt(&set->sql,
		    set->any ? ", pg_catalog.set_config(" : "SELECT pg_catalog.set_config(");
	params_literal(&set->sql, name);
	buf_add_u8(&set->sql, ',');
	add_value(set, value);
	buf_add_fmt(&set->sql, ",false)");
	buf_add_str(&set->names, name);
	set->any = true;
}

static bool
has_name(const struct buf *names, const char *name)
{
	const char *at = (const char *)buf_data(names), *end = at + names->len;

	for (; at < end; at += strlen(at) + 1)
		if (strcasecmp(at, name) == 0)
			return true;
	return false;
}

/* A superuser's session has set these parameters, and then taken a role that does not see them: the
 * values of parameters_sql are kept. What such a role changes by RESET ALL, or in a procedure by
 * its right to SET, is not noticed. */
static void
keep_hidden(const struct session *s, struct settings *set)
{
	const char *at = s->context.parameters_sql;
	char name[NAME_SIZE];
	struct setcall c;

	while (setcalls_next(&at, &c)) {
		if (!may_be_hidden(s, &c, name) || !has_name(&set->hidden, name))
			continue;
		buf_add_fmt(&set->sql, set->any ? ", " : "SELECT ");
		buf_add(&set->sql, c.at, (size_t)(c.end - c.at));
		buf_add_str(&set->names, name);
		set->any = true;
	}
}

/* Is the value of a startup parameter the server's own default? */
static bool
is_default_of_server(const struct server *srv, const char *name, const char *value)
{
	const char *own = told_get(srv->own, name);

	return own && params_same(name, value, own) && !params_fixed(name);
}

/* Adds the startup parameters that the session has not set otherwise. A parameter that it has reset
 * has the value of its startup packet again, which no server knows. */
static void
add_startup(const struct session *s, struct settings *set)
{
	const char *at = s->context.startup, *end = at + atom_bytes(at);

	while (at < end) {
		const char *name = at, *value = name + strlen(name) + 1;

		if (strcasecmp(name, "role") != 0 && !has_name(&set->names, name) &&
		    !is_default_of_server(s->hold->lease.srv, name, value))
			add_call(set, name, value);
		at = value + strlen(value) + 1;
	}
}

static char *
read_field(struct reader *r)
{
	uint32_t bytes = reader_u32(r);
	const uint8_t *p;

	if (bytes == UINT32_MAX)
		return NULL;
	p = reader_bytes(r, bytes);
	return p ? mem_strndup((const char *)p, bytes) : NULL;
}

/* What the server has of these two. parameters_sql sets them last, because the role may not be
 * allowed to set the other parameters. */
struct identity {
	char *authorization;
	char *role;
};

static void
add_identity(struct settings *set, const char *authorization, const char *role)
{
	if (authorization)
		add_call(set, "session_authorization", authorization);
	if (role)
		add_call(set, "role", role);
}

/* Returns the role of the startup packet if the client has reset its role, or NULL. */
static const char *
startup_role(const struct session *s, const struct identity *who)
{
	/* After SET SESSION AUTHORIZATION there is no role. */
	return who->authorization == NULL && resets_role(s)
		   ? params_value(s->context.startup, atom_bytes(s->context.startup), "role")
		   : NULL;
}

/* Returns the statement, or NULL if it sets nothing. */
static char *
copy_statement(const struct settings *set)
{
	return set->any ? mem_strndup((char *)buf_data(&set->sql), set->sql.len) : NULL;
}

static void
take_row(struct session *s, const uint8_t *body, size_t bytes, struct settings *set,
	 struct identity *who)
{
	/* This server's own: the pool may have been moved since the session came in. */
	const char *own = told_get(s->hold->lease.srv->told_at_login, "session_authorization");
	struct reader r;
	char *name, *value;

	reader_init(&r, body, bytes);
	if (reader_u16(&r) != 2)
		return;
	name = read_field(&r);
	value = read_field(&r);
	if (name && value) {
		if (*name == 0) {
			take_pins(s, value);
		} else if (strcmp(name, "role") == 0) {
			if (strcmp(value, "none") != 0 && who->role == NULL)
				who->role = mem_strdup(value);
		} else if (strcmp(name, "session_authorization") == 0) {
			if ((own == NULL || strcmp(value, own) != 0) && who->authorization == NULL)
				who->authorization = mem_strdup(value);
		} else if (strcmp(name, "application_name") == 0) {
			free(set->application);
			set->application = mem_strdup(value);
		} else if (strcmp(name, "is_superuser") != 0) {
			/* With pg_temp first, a plain CREATE makes a temporary object. */
			if (strcmp(name, "search_path") == 0 &&
			    strncasecmp(value + strspn(value, " \t\n\""), "pg_temp", 7) == 0)
				set->temporary = true;
			/* A parameter such as app.tenant is empty after RESET: it is not kept. */
			if (*value || strchr(name, '.') == NULL || !resets_emptied(s, name))
				add_call(set, name, value);
		}
	} else if (name && unlisted_may_be_hidden(&s->context, name)) {
		buf_add_str(&set->hidden, name);
	}
	free(name);
	free(value);
}

/* Takes over the answer, which is made of whole messages. Returns false if it is not understood, or
 * is more than a session can keep: then the session's parameters are as before. */
static bool
take_answer(struct session *s, const struct buf *answer)
{
	const uint8_t *at = buf_data(answer);
	size_t left = answer->len;
	struct server *srv = s->hold->lease.srv;
	struct settings set = {.encoding = server_told(srv, "client_encoding"), .any = false};
	struct identity who = {NULL, NULL};
	const char *role;
	struct frame f;
	size_t listed;
	bool good, any;

	buf_init(&set.sql, SETCALLS_MAX);
	buf_init(&set.names, SETCALLS_MAX);
	buf_init(&set.hidden, SETCALLS_MAX);
	while (frame_read(at, left, &f) == 0 && FRAME_HEADER + f.body <= left) {
		if (f.type == 'D')
			take_row(s, at + FRAME_HEADER, f.body, &set, &who);
		at += FRAME_HEADER + f.body;
		left -= FRAME_HEADER + f.body;
	}
	if (set.temporary && !hold_is_joined(s->hold))
		s->hold->pinned |= SQLCLASS_TEMP;
	keep_hidden(s, &set);
	listed = set.sql.len;
	any = set.any;
	add_identity(&set, who.authorization, who.role);
	/* srv->context becomes the SQL for what the server has now. */
	good = left == 0 && !answer->failed && !set.sql.failed && !set.names.failed &&
	       !set.hidden.failed;
	free(srv->context);
	srv->context = good ? copy_statement(&set) : NULL;
	/* In parameters_sql, the startup parameters stand before role and authorization. Their
	 * values are sent as they came from the client, without a conversion. */
	set.sql.len = listed;
	set.any = any;
	set.encoding = NULL;
	if (set.application == NULL && resets_name(s))
		application_unset(s);
	else
		application_set(s, set.application);
	free(set.application);
	add_startup(s, &set);
	if (who.role == NULL && (role = startup_role(s, &who)) != NULL)
		add_call(&set, "role", role);
	set.encoding = server_told(srv, "client_encoding");
	add_identity(&set, who.authorization, who.role);
	free(who.authorization);
	free(who.role);
	good = good && !set.sql.failed;
	if (!good) {
		/* The session is pinned, so this server is never given parameters again. */
		free(srv->context);
		srv->context =
		    s->context.parameters_sql ? mem_strdup(s->context.parameters_sql) : NULL;
	} else {
		context_note_accepted(srv, srv->context);
		s->context.accepted = true;
		free(s->context.parameters_sql);
		s->context.parameters_sql = copy_statement(&set);
	}
	buf_clear(&set.sql);
	buf_clear(&set.names);
	buf_clear(&set.hidden);
	return good;
}

/* The server could not answer the question, or the answer is too long: pins the session. But if the
 * session has done nothing that pins or sets, and the server does not understand the question
 * (SQLSTATE 42..., because it is no PostgreSQL), DISCARD ALL is enough. */
static void
pin_without_answer(struct session *s, const char *sqlstate)
{
	if (s->hold->pinned == 0 && !s->hold->changed && strncmp(sqlstate, "42", 2) == 0)
		s->hold->discard = true;
	else
		s->hold->pinned |= HOLD_PIN_SETTING;
}

void
asking_begin(struct session *s, enum inquiry_passes passes, bool patient)
{
	struct buf sql;

	buf_init(&sql, QUESTION_MAX);
	make_question(s, patient, &sql);
	inquiry_ask(s, (char *)buf_data(&sql), passes, INQUIRY_ROWS | INQUIRY_AGAIN);
	buf_clear(&sql);
}

bool
asking_answered(struct session *s, enum inquiry_state how)
{
	bool kept = how == INQUIRY_ANSWERED && take_answer(s, inquiry_rows(s));

	if (!kept && !s->hold->pins_doubtful && !s->context.pin) {
		session_fail_setup(
		    s, "what the session has set cannot be kept, and the pool has pin = off");
		return false;
	}
	if (!kept)
		pin_without_answer(s, inquiry_sqlstate(s));
	s->hold->changed = s->hold->pins_doubtful = false;
	return true;
}
