#include "session/context.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/fnv.h"
#include "base/mem.h"
#include "pool/pool.h"
#include "session/application.h"
#include "session/params.h"
#include "session/resets.h"
#include "session/unlisted.h"
#include "wire/frame.h"
#include "wire/msg.h"
#include "wire/reader.h"
#include "wire/sqlname.h"

#define SQL_MAX (256 * 1024) /* bytes of parameters_sql */

/* ---- parameters_sql: one SELECT of calls of set_config() ---- */

/* One of the calls. */
struct call {
	const char *at, *end; /* where the call begins and ends */
	const char *name;     /* of the parameter, up to a quote */
};

/* Finds the next call behind *at, and moves *at behind it. Returns false if there is none. */
static bool
next_call(const char **at, struct call *c)
{
	static const char begin[] = "pg_catalog.set_config('", end[] = ",false)";
	bool quoted = true;
	const char *p;

	c->at = *at ? strstr(*at, begin) : NULL;
	if (c->at == NULL)
		return false;
	c->name = c->at + sizeof begin - 1;
	/* Quotes within a string are doubled, so `quoted` is right behind each pair. */
	for (p = c->name; *p && (quoted || strncmp(p, end, sizeof end - 1) != 0); p++)
		quoted ^= *p == '\'';
	*at = c->end = *p ? p + sizeof end - 1 : p;
	return true;
}

static bool
is_call_of(const struct call *c, const char *name)
{
	size_t length = strlen(name);

	return strncasecmp(c->name, name, length) == 0 && c->name[length] == '\'';
}

static bool
is_call_of_any(const struct call *c, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (is_call_of(c, names[i]))
			return true;
	return false;
}

static const char *const identity[] = {"role", "session_authorization"};
#define IDENTITY identity, sizeof identity / sizeof *identity

/* Parameters that a server may refuse though it has accepted them before, because they name
 * something that can be gone, or be fixed. */
static const char *const refusable[] = {"temp_buffers", "default_tablespace", "temp_tablespaces",
					"default_table_access_method",
					"default_text_search_config"};
#define REFUSABLE refusable, sizeof refusable / sizeof *refusable

static bool
has_call(const char *setup, const char *const *names, size_t count)
{
	struct call c;

	while (next_call(&setup, &c))
		if (is_call_of_any(&c, names, count))
			return true;
	return false;
}

/* Does it set a parameter of plpgsql? Any such name can be set until the first DO loads the
 * library; then it may be refused. */
static bool
has_library(const char *setup)
{
	return setup && strcasestr(setup, "set_config('plpgsql.");
}

/* Returns a hash of the names that it sets, without the values. */
static uint64_t
hash_names(const char *setup)
{
	uint64_t hash = FNV_SEED;
	struct call c;

	while (next_call(&setup, &c))
		hash = fnv_bytes(hash, c.name, strcspn(c.name, "'") + 1);
	return hash;
}

static bool
has_taken(const struct server *srv, uint64_t names)
{
	for (size_t i = 0; i < SERVER_TAKEN; i++)
		if (srv->taken[i] == names)
			return true;
	return false;
}

static void
note_taken(struct server *srv, const char *setup)
{
	uint64_t names = hash_names(setup);

	if (setup && !has_taken(srv, names))
		srv->taken[srv->ntaken++ % SERVER_TAKEN] = names;
}

/* ---- asking ---- */

/* The operators are qualified, because search_path may lead to others. */
#define EQUALS  "OPERATOR(pg_catalog.=)"
#define DIFFERS "OPERATOR(pg_catalog.<>)"

/* Asks the server what pins: one row with an empty name and a letter for each kind that there is.
 * Outside a transaction all cursors are WITH HOLD, and all advisory locks are of the session. */
static const char kept_question[] =
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
} kept_letters[] = {
    {'l', SQLCLASS_LISTEN}, {'t', SQLCLASS_TEMP}, {'p', SQLCLASS_PREPARE},
    {'c', SQLCLASS_HOLD},   {'a', SQLCLASS_LOCK},
};

static bool
is_unlisted(const struct session *s, const char *name)
{
	for (const char *p = s->context.unlisted; p && *p; p += strlen(p) + 1)
		if (strcmp(p, name) == 0)
			return true;
	return false;
}

bool
context_asks_as_login(const struct session *s)
{
	/* Not where SET SESSION AUTHORIZATION may have been, whose end would undo the role's. */
	return is_unlisted(s, "role") && !is_unlisted(s, "session_authorization");
}

void
context_ask(const struct session *s, bool patient, struct buf *sql)
{
	if (patient)
		buf_add_fmt(sql, "SELECT 'statement_timeout', "
				 "pg_catalog.current_setting('statement_timeout'); "
				 "SET LOCAL statement_timeout = 0; ");
	/* A role may not be allowed to see all parameters, so the question is asked as the role of
	 * the login. */
	if (context_asks_as_login(s))
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
	buf_add_fmt(sql, " UNION ALL SELECT 'role', pg_catalog.current_setting('role')"
			 " UNION ALL SELECT 'session_authorization', "
			 "pg_catalog.current_setting('session_authorization')");
	for (const char *p = s->context.unlisted; p && *p; p += strlen(p) + 1) {
		if (strcmp(p, "role") == 0 || strcmp(p, "session_authorization") == 0)
			continue;
		buf_add_fmt(sql, " UNION ALL SELECT ");
		params_literal(sql, p);
		buf_add_fmt(sql, ", pg_catalog.current_setting(");
		params_literal(sql, p);
		buf_add_fmt(sql, ", true)");
	}
	if (s->hold->pins_doubtful)
		buf_add_fmt(sql, "%s", kept_question);
	buf_add_u8(sql, 0);
}

void
context_untold(struct session *s, const char *sqlstate)
{
	if (s->hold->pinned == 0 && !s->hold->changed && strncmp(sqlstate, "42", 2) == 0)
		s->hold->discard = true;
	else
		s->hold->pinned |= HOLD_PIN_SETTING;
}

/* Takes over the answer to kept_question: only these pins are left, of those it asks for. */
static void
take_kept(struct session *s, const char *letters)
{
	unsigned kept = 0;

	for (size_t i = 0; i < sizeof kept_letters / sizeof *kept_letters; i++)
		if (strchr(letters, kept_letters[i].letter))
			kept |= kept_letters[i].bit;
	/* With pin = off nothing is kept: it is discarded. */
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
	struct buf names; /* the names that are in sql: name NUL ... */
	bool any;
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
has_name(const struct settings *set, const char *name)
{
	const char *at = (const char *)buf_data(&set->names), *end = at + set->names.len;

	for (; at < end; at += strlen(at) + 1)
		if (strcasecmp(at, name) == 0)
			return true;
	return false;
}

/* A session that was a superuser and has set another authorization does not see these parameters
 * any more, and cannot have changed them since: keeps the values that it has set before. */
static void
keep_unseen(const struct session *s, struct settings *set)
{
	static const char *const names[] = {"dynamic_library_path", "extension_control_path",
					    "session_preload_libraries"};

	const char *at = s->context.parameters_sql;
	struct call c;

	while (next_call(&at, &c)) {
		char name[64];

		if (!is_call_of_any(&c, names, sizeof names / sizeof *names))
			continue;
		snprintf(name, sizeof name, "%.*s", (int)strcspn(c.name, "'"), c.name);
		if (has_name(set, name))
			continue;
		buf_add_fmt(&set->sql, set->any ? ", " : "SELECT ");
		buf_add(&set->sql, c.at, (size_t)(c.end - c.at));
		buf_add_str(&set->names, name);
		set->any = true;
	}
}

/* The value of a startup parameter, or NULL. */
static const char *
startup_value(const char *at, size_t bytes, const char *name)
{
	const char *end = at + bytes;

	for (; at < end; at += strlen(at) + 1) {
		bool found = strcasecmp(at, name) == 0;

		at += strlen(at) + 1;
		if (found)
			return at;
	}
	return NULL;
}

/* Is the value of a startup parameter the server's own default? */
static bool
has_of_its_own(const struct server *srv, const char *name, const char *value)
{
	const char *own = told_get(srv->own, name);

	return own && params_same(name, value, own) && !params_fixed(name);
}

/* Adds the startup parameters that the session has not set otherwise. What it has reset has the
 * value of its startup packet again, which no server knows. */
static void
add_startup(const struct session *s, struct settings *set)
{
	const char *at = s->context.startup, *end = at + s->context.startup_bytes;

	while (at < end) {
		const char *name = at, *value = name + strlen(name) + 1;

		if (strcasecmp(name, "role") != 0 && !has_name(set, name) &&
		    !has_of_its_own(s->hold->lease.srv, name, value))
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

/* These are set last, because the role may not be allowed to set the other parameters. */
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
		   ? startup_value(s->context.startup, s->context.startup_bytes, "role")
		   : NULL;
}

/* Returns the statement, or NULL if it sets nothing. */
static char *
make_setup(const struct settings *set)
{
	return set->any ? mem_strndup((char *)buf_data(&set->sql), set->sql.len) : NULL;
}

static void
take_row(struct session *s, const uint8_t *body, size_t bytes, struct settings *set,
	 struct identity *who)
{
	/* This server's own: the pool may have been moved since the session came in. */
	const char *own = PQparameterStatus(s->hold->lease.srv->conn, "session_authorization");
	struct reader r;
	char *name, *value;

	reader_init(&r, body, bytes);
	if (reader_u16(&r) != 2)
		return;
	name = read_field(&r);
	value = read_field(&r);
	if (name && value) {
		if (*name == 0) {
			take_kept(s, value);
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
			if (*value || strchr(name, '.') == NULL || s->context.resets == RESETS_NONE)
				add_call(set, name, value);
		}
	}
	free(name);
	free(value);
}

bool
context_take(struct session *s, const struct buf *answer)
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

	buf_init(&set.sql, SQL_MAX);
	buf_init(&set.names, SQL_MAX);
	while (frame_read(at, left, &f) == 0 && FRAME_HEADER + f.body <= left) {
		if (f.type == 'D')
			take_row(s, at + FRAME_HEADER, f.body, &set, &who);
		at += FRAME_HEADER + f.body;
		left -= FRAME_HEADER + f.body;
	}
	if (set.temporary)
		s->hold->pinned |= SQLCLASS_TEMP;
	if (who.authorization)
		keep_unseen(s, &set);
	listed = set.sql.len;
	any = set.any;
	add_identity(&set, who.authorization, who.role);
	/* This is what the server has now. */
	good = left == 0 && !answer->failed && !set.sql.failed && !set.names.failed;
	free(srv->context);
	srv->context = good ? make_setup(&set) : NULL;
	/* For parameters_sql, startup parameters come in between. Their values are sent as they
	 * came, without a conversion. */
	set.sql.len = listed;
	set.any = any;
	set.encoding = NULL;
	application_set(&s->context, set.application);
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
		note_taken(srv, srv->context);
		s->context.accepted = true;
		free(s->context.parameters_sql);
		s->context.parameters_sql = make_setup(&set);
	}
	buf_clear(&set.sql);
	buf_clear(&set.names);
	return good;
}

void
context_start(struct session *s)
{
	const char *at = s->context.startup, *end = at + s->context.startup_bytes;
	struct buf sql;

	while (at < end) {
		const char *name = at;

		if (!unlisted_startup(&s->context, name))
			s->hold->pinned |= HOLD_PIN_SETTING;
		at = name + strlen(name) + 1;
		at += strlen(at) + 1;
	}
	buf_init(&sql, SQL_MAX);
	params_setup(s->context.startup, s->context.startup_bytes, s->pool, &sql);
	free(s->context.parameters_sql);
	s->context.parameters_sql =
	    sql.len > 0 && !sql.failed ? mem_strdup((char *)buf_data(&sql)) : NULL;
	buf_clear(&sql);
}

/* ---- what was told ---- */

static bool
is_set_by_session(const struct session *s, const char *name)
{
	const char *at = s->context.parameters_sql;
	struct call c;

	while (next_call(&at, &c))
		if (is_call_of(&c, name))
			return true;
	return false;
}

/* Does the client rely on the value that it was told? It does if the value says how data are
 * written, or if the startup packet has set it. */
static bool
is_relied_on(const struct session *s, const char *name)
{
	static const char *const names[] = {"client_encoding", "DateStyle", "IntervalStyle",
					    "TimeZone", "standard_conforming_strings"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcasecmp(names[i], name) == 0)
			return true;
	return strcasecmp(name, "application_name") != 0 && !params_fixed(name) &&
	       startup_value(s->context.startup, s->context.startup_bytes, name);
}

/* Makes the parameter a startup parameter with this value, and adds the call that sets it. */
static void
add_to_startup(struct session *s, const char *name, const char *value, struct buf *sql)
{
	const char *at = s->context.startup, *end = at + s->context.startup_bytes;
	struct buf startup;

	buf_init(&startup, SQL_MAX);
	while (at < end) {
		const char *n = at, *v = n + strlen(n) + 1;

		if (strcasecmp(n, name) != 0) {
			buf_add_str(&startup, n);
			buf_add_str(&startup, v);
		}
		at = v + strlen(v) + 1;
	}
	buf_add_str(&startup, name);
	buf_add_str(&startup, value);
	buf_add_fmt(sql, sql->len ? ", pg_catalog.set_config(" : "SELECT pg_catalog.set_config(");
	params_literal(sql, name);
	buf_add_u8(sql, ',');
	params_literal(sql, value);
	buf_add_fmt(sql, ",false)");
	if (!startup.failed) {
		free(s->context.startup);
		s->context.startup = mem_alloc(startup.len);
		s->context.startup_bytes = (uint32_t)startup.len;
		memcpy(s->context.startup, buf_data(&startup), startup.len);
	}
	buf_clear(&startup);
}

/* Puts the calls before those of parameters_sql, in which role and authorization are last. */
static void
put_ahead(struct session *s, struct buf *sql)
{
	if (s->context.parameters_sql && sql->len > 0)
		buf_add_fmt(sql, ", %s", s->context.parameters_sql + strlen("SELECT "));
	buf_add_u8(sql, 0);
	if (sql->len > 1 && !sql->failed) {
		free(s->context.parameters_sql);
		s->context.parameters_sql = mem_strdup((char *)buf_data(sql));
	}
}

void
context_keep_told(struct session *s)
{
	const struct server *srv = s->hold->lease.srv;
	struct tolds *all = &srv->pool->all->told;
	const char *at = NULL, *name, *value;
	struct buf sql;

	if (s->context.told == NULL ||
	    (s->context.told == s->context.seen_told && srv->own == s->context.seen_own) ||
	    srv->own == s->context.told)
		return;
	told_drop(all, s->context.seen_told);
	told_drop(all, s->context.seen_own);
	s->context.seen_told = told_keep(s->context.told);
	s->context.seen_own = told_keep(srv->own);
	buf_init(&sql, SQL_MAX);
	while (told_next(s->context.told, &at, &name, &value)) {
		const char *own = told_get(srv->own, name),
			   *was = told_get(srv->told_at_login, name);

		/* If the server has reloaded its configuration, the client is told, as always. */
		if (own && was && strcmp(own, value) != 0 && strcmp(was, value) != 0 &&
		    is_relied_on(s, name) && !is_set_by_session(s, name))
			add_to_startup(s, name, value, &sql);
	}
	put_ahead(s, &sql);
	buf_clear(&sql);
}

void
context_moves(struct session *s)
{
	const char *at = NULL, *name, *value;
	struct buf sql;

	buf_init(&sql, SQL_MAX);
	while (told_next(s->context.told, &at, &name, &value))
		if (is_relied_on(s, name) && !is_set_by_session(s, name))
			add_to_startup(s, name, value, &sql);
	put_ahead(s, &sql);
	buf_clear(&sql);
}

void
context_discarded(struct session *s)
{
	struct server *srv = s->hold->lease.srv;

	s->hold->pinned &= HOLD_PIN_MODE;
	s->hold->changed = s->hold->pins_doubtful = false;
	if (s->context.names)
		names_clear(s->context.names, &srv->prepared);
	prepared_forget(&srv->prepared);
	free(srv->context);
	srv->context = NULL;
	srv->sequences = s->id;
	application_set(&s->context, NULL);
	context_start(s);
}

/* ---- giving ---- */

void
context_own(struct progress *p, const char *sql, struct buf *out)
{
	size_t at = msg_begin(out, 'P');

	buf_add_u8(out, 0);
	buf_add_str(out, sql);
	buf_add_u16(out, 0);
	msg_end(out, at);
	at = msg_begin(out, 'B');
	buf_add_u16(out, 0); /* portal and statement: both "" */
	buf_add_u16(out, 0); /* formats of parameters */
	buf_add_u16(out, 0); /* parameters */
	buf_add_u16(out, 0); /* formats of results */
	msg_end(out, at);
	at = msg_begin(out, 'E');
	buf_add_u8(out, 0);
	buf_add_u32(out, 0);
	msg_end(out, at);
	for (int i = 0; i < 3; i++)
		progress_sent_as(p, PROGRESS_OWN);
}

#define HASTY_MS 2000 /* a statement_timeout below this may end statements of ours */

/* Is it a short statement_timeout? The value is spelled as by a server or in a startup packet. */
static bool
is_short(const char *value)
{
	char *unit;
	double ms = strtod(value, &unit);

	unit += strspn(unit, " ");
	if (strncmp(unit, "us", 2) == 0)
		ms /= 1000;
	else if (*unit == 's')
		ms *= 1000;
	else if (*unit != '\'' && strncmp(unit, "ms", 2) != 0)
		ms *= 60000;
	return ms > 0 && ms < HASTY_MS;
}

static bool
is_hasty(const struct server *srv)
{
	const char *value = server_has_set(srv, "'statement_timeout','");

	return value && is_short(value);
}

bool
context_is_doubtful(const struct session *s)
{
	const struct server *srv = s->hold->lease.srv;

	if (strcmp(srv->context ? srv->context : "",
		   s->context.parameters_sql ? s->context.parameters_sql : "") == 0)
		return false;
	return has_call(srv->context, IDENTITY) || has_call(s->context.parameters_sql, IDENTITY) ||
	       has_call(s->context.parameters_sql, REFUSABLE) ||
	       has_library(s->context.parameters_sql) || is_hasty(srv) ||
	       (s->context.parameters_sql &&
		!has_taken(srv, hash_names(s->context.parameters_sql)));
}

bool
context_differs(const struct session *s)
{
	const char *have = s->hold->lease.srv->context;

	return strcmp(have ? have : "",
		      s->context.parameters_sql ? s->context.parameters_sql : "") != 0 ||
	       application_differs(s);
}

void
context_change(const struct session *s, struct buf *sql)
{
	if (s->hold->lease.srv->context)
		buf_add_fmt(sql,
			    "RESET statement_timeout; RESET ROLE; RESET SESSION AUTHORIZATION; "
			    "RESET ALL; ");
	buf_add_fmt(sql, "%s", s->context.parameters_sql ? s->context.parameters_sql : "");
	/* RESET ALL, here or in params_check(), has reset application_name. */
	if (s->hold->lease.srv->context || s->context.repeated_bytes > 0 ||
	    application_differs(s)) {
		buf_add_fmt(sql, s->context.parameters_sql ? ", " : "SELECT ");
		application_call(&s->context, sql);
	}
}

static void
send_application(const struct session *s, struct buf *out)
{
	struct buf sql;

	buf_init(&sql, SQL_MAX);
	buf_add_fmt(&sql, "SELECT ");
	application_call(&s->context, &sql);
	buf_add_u8(&sql, 0);
	context_own(&s->hold->lease.srv->progress, (char *)buf_data(&sql), out);
	buf_clear(&sql);
}

void
context_apply(struct session *s, struct buf *out)
{
	struct server *srv = s->hold->lease.srv;
	const char *have = srv->context ? srv->context : "",
		   *want_it = s->context.parameters_sql ? s->context.parameters_sql : "";
	bool other = strcmp(have, want_it) != 0;

	if (!other && !application_differs(s))
		return;
	if (other && *have) {
		/* The role goes first: it may not be allowed to do the rest. */
		if (strcasestr(have, "'role'"))
			context_own(&srv->progress, "RESET ROLE", out);
		if (strcasestr(have, "'session_authorization'"))
			context_own(&srv->progress, "RESET SESSION AUTHORIZATION", out);
		context_own(&srv->progress, "RESET ALL", out);
	}
	if (other && *want_it)
		context_own(&srv->progress, want_it, out);
	/* RESET ALL has reset application_name. */
	if ((other && *have) || application_differs(s))
		send_application(s, out);
	msg_sync(out);
	progress_sent_own_sync(&srv->progress);
	context_applied(s);
}

void
context_applied(struct session *s)
{
	struct server *srv = s->hold->lease.srv;

	free(srv->context);
	srv->context = s->context.parameters_sql ? mem_strdup(s->context.parameters_sql) : NULL;
}

bool
context_may_be_taken(const struct session *s)
{
	if (s->context.refused || s->context.wants_fresh)
		return false;
	return s->context.accepted || has_call(s->context.parameters_sql, REFUSABLE) ||
	       has_call(s->hold->lease.srv->context, IDENTITY) || s->context.probes;
}

void
context_taken(struct session *s)
{
	context_applied(s);
	s->context.accepted = true;
	note_taken(s->hold->lease.srv, s->context.parameters_sql);
	s->context.wants_fresh = s->context.refused = s->context.probes = false;
}

void
context_give_in(struct session *s)
{
	const char *at = s->context.parameters_sql;
	struct call c;
	struct buf sql;

	s->context.refused = false;
	if (!has_call(s->context.parameters_sql, IDENTITY)) {
		context_start(s);
		return;
	}
	buf_init(&sql, SQL_MAX);
	while (next_call(&at, &c)) {
		if (is_call_of_any(&c, IDENTITY))
			continue;
		buf_add_fmt(&sql, sql.len > 0 ? ", " : "SELECT ");
		buf_add(&sql, c.at, (size_t)(c.end - c.at));
	}
	free(s->context.parameters_sql);
	s->context.parameters_sql =
	    sql.len > 0 ? mem_strndup((char *)buf_data(&sql), sql.len) : NULL;
	buf_clear(&sql);
}

void
context_clear(struct context *c, struct tolds *all)
{
	free(c->startup);
	free(c->repeated);
	free(c->parameters_sql);
	free(c->unlisted);
	free(c->application);
	free(c->application_told);
	free(c->application_set);
	told_drop(all, c->told);
	told_drop(all, c->greeted);
	told_drop(all, c->seen_own);
	told_drop(all, c->seen_told);
	free(c->names);
}
