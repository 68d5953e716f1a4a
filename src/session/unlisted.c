#include "session/unlisted.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "wire/sqlclass.h"
#include "wire/sqlname.h"
#include "wire/sqlset.h"
#include "wire/sqltext.h"

#define NAME_SIZE 256  /* of the whole name of a parameter */
#define NAMES_MAX 4096 /* bytes of all names of one session */
#define DEPTH_MAX 4    /* of texts in strings of texts; deeper ones are not read */

/* A walk over a text. */
struct walk {
	struct context *context;
	struct sqltext text;
	struct sqltext_token tok;
	unsigned flags;
	unsigned depth; /* 0: the client's text; otherwise a text in a string of it */
	bool executed;  /* its strings may be executed, as in the body of DO */
};

/* ---- names ---- */

/* Adds the name to context->unlisted. Returns false if the server cannot be asked for that
 * parameter. */
static bool
note_name(struct context *c, const char *name, size_t length)
{
	struct buf names;
	char *end;

	/* The question may be asked in another encoding than that of the text. */
	if (length == 0 || length > 200 || !sqlname_is_ascii(name, length))
		return false;
	for (const char *p = c->unlisted; p && *p; p += strlen(p) + 1)
		if (strlen(p) == length && strncasecmp(p, name, length) == 0)
			return true;
	buf_init(&names, NAMES_MAX);
	for (const char *p = c->unlisted; p && *p; p += strlen(p) + 1)
		buf_add_str(&names, p);
	buf_add(&names, name, length);
	buf_add_u16(&names, 0);
	if (names.failed) {
		buf_clear(&names);
		return false;
	}
	free(c->unlisted);
	c->unlisted = mem_alloc(names.len);
	memcpy(c->unlisted, buf_data(&names), names.len);
	end = c->unlisted + names.len - 2 - length;
	for (; *end; end++)
		*end = sqltext_lower(*end);
	buf_clear(&names);
	return true;
}

/* Parameters that are often set, and that pg_settings lists for every role, in all versions of
 * PostgreSQL that have them. */
/* clang-format off */
static const char *const listed[] = {
	"application_name", "bytea_output", "check_function_bodies", "client_encoding",
	"client_min_messages", "constraint_exclusion", "datestyle", "default_tablespace",
	"default_transaction_deferrable", "default_transaction_isolation",
	"default_transaction_read_only", "effective_cache_size", "enable_hashagg",
	"enable_hashjoin", "enable_indexscan", "enable_mergejoin", "enable_nestloop",
	"enable_seqscan", "enable_sort", "escape_string_warning", "extra_float_digits",
	"force_parallel_mode", "from_collapse_limit", "geqo",
	"idle_in_transaction_session_timeout", "idle_session_timeout", "intervalstyle", "jit",
	"join_collapse_limit", "lc_messages", "lc_monetary", "lc_numeric", "lc_time",
	"lock_timeout", "log_min_duration_statement", "log_statement", "maintenance_work_mem",
	"max_parallel_workers_per_gather", "plan_cache_mode", "random_page_cost", "row_security",
	"search_path", "session_replication_role", "standard_conforming_strings",
	"statement_timeout", "synchronous_commit", "temp_buffers", "temp_tablespaces",
	"timezone", "transaction_deferrable", "transaction_isolation", "transaction_read_only",
	"transaction_timeout", "work_mem", "xmloption"
};
/* clang-format on */

static bool
is_listed(const char *name)
{
	for (size_t i = 0; i < sizeof listed / sizeof *listed; i++)
		if (strcasecmp(listed[i], name) == 0)
			return true;
	return false;
}

/* Notes the name unless it is known that pg_settings lists the parameter for every role. One with
 * a point in its name is listed only if an extension has defined it. dynamic_library_path and its
 * like are hidden from most roles, and PostgreSQL's distributors add others, so an unknown name is
 * noted. role and session_authorization are noted for unlisted_asks_as_login(). */
static bool
note_if_unlisted(struct context *c, const char *name, size_t length)
{
	if (memchr(name, '.', length))
		return note_name(c, name, length);
	/* RESET ALL has no name. All names without a point are in ASCII. */
	if (length == 0 || !sqlname_is_ascii(name, length) || is_listed(name))
		return true;
	return note_name(c, name, length);
}

bool
unlisted_startup(struct context *c, const char *name)
{
	return note_if_unlisted(c, name, strlen(name));
}

/* ---- statements ---- */

static void
next_token(struct walk *w)
{
	sqltext_token(&w->text, &w->tok);
}

/* Reads what stands behind SET or RESET. */
static bool
note_set(struct walk *w)
{
	struct sqlset set;

	sqlset_read(&w->text, &w->tok, &set);
	/* What SET LOCAL has set ends with the transaction. */
	if (set.local)
		return true;
	if (set.length < 0)
		return false;
	return note_if_unlisted(w->context, set.name, (size_t)set.length) &&
	       (strcmp(set.name, "session_authorization") != 0 ||
		note_if_unlisted(w->context, "role", strlen("role")));
}

/* Reads what stands behind set_config: ( 'name' [ :: text ] , ... */
static bool
note_set_config(struct walk *w)
{
	char name[NAME_SIZE];
	long n;

	next_token(w);
	if (!sqltext_is_char(&w->tok, '('))
		return true;
	next_token(w);
	if (w->tok.kind != SQLTEXT_STRING)
		return false;
	n = sqlname_read(&w->tok, w->flags, name, sizeof name);
	next_token(w);
	if (sqltext_is_char(&w->tok, ':')) {
		next_token(w);
		next_token(w);
		if (!sqltext_is_word(&w->tok, "text"))
			return false;
		next_token(w);
	}
	if (n < 0 || !sqltext_is_char(&w->tok, ','))
		return false;
	return note_if_unlisted(w->context, name, (size_t)n);
}

/* ---- texts ---- */

static bool note_text(struct walk *, const char *sql, size_t bytes);

/* Reads a string that may be an SQL text: the body of DO, or what a function executes. `executed`:
 * the string is most likely executed, so false is returned if a name in it cannot be read. */
static bool
note_string(struct walk *w, bool executed)
{
	struct walk inner = {
	    .context = w->context, .flags = w->flags, .depth = w->depth + 1, .executed = executed};
	char *text;
	long n;
	bool known;

	if (w->depth == DEPTH_MAX || w->tok.length < sizeof "''SET a.b = 1")
		return true;
	text = mem_alloc(w->tok.length + 1);
	n = sqlname_read(&w->tok, w->flags, text, w->tok.length + 1);
	known = n > 0 && note_text(&inner, text, (size_t)n);
	free(text);
	return known || !executed;
}

/* Is the word the name of a function that executes a text? */
static bool
runs_texts(enum sqltext_word w)
{
	switch (w) {
	SQLWORDS_OF_RUNNERS:
		return true;
	default:
		return false;
	}
}

static bool
note_text(struct walk *w, const char *sql, size_t bytes)
{
	enum sqltext_word first = SQLWORD_OTHER;
	bool begins = true, known = true, runs = false, string = false;

	sqltext_init(&w->text, sql, bytes, w->flags);
	for (next_token(w); w->tok.kind != SQLTEXT_END; next_token(w)) {
		bool starts = begins || w->depth > 0;

		if (begins)
			first = w->tok.word;
		begins = sqltext_is_char(&w->tok, ';') || w->tok.kind == SQLTEXT_SPLIT;
		/* note_set() may have read the first word of the next statement. */
		while (starts && (w->tok.word == SQLWORD_SET || w->tok.word == SQLWORD_RESET)) {
			known &= note_set(w);
			starts = w->depth > 0;
			begins = sqltext_is_char(&w->tok, ';') || w->tok.kind == SQLTEXT_SPLIT;
		}
		if (sqlname_word(&w->tok, w->flags) == SQLWORD_SET_CONFIG && sqlclass_sets(w->text))
			known &= note_set_config(w);
		runs |= runs_texts(sqlname_word(&w->tok, w->flags));
		if (w->tok.kind == SQLTEXT_STRING) {
			bool executed = w->executed || runs || first == SQLWORD_DO;

			/* 'SET a' 'pp.x' is one string in two pairs of quotes, which is not put
			 * together here: the name cannot be known. */
			known &= note_string(w, executed) && !(executed && string);
		}
		string = w->tok.kind == SQLTEXT_STRING;
		if (w->tok.kind == SQLTEXT_END)
			break;
	}
	return known;
}

bool
unlisted_note(struct context *c, const char *sql, size_t bytes, unsigned flags)
{
	struct walk w = {.context = c, .flags = flags};

	return note_text(&w, sql, bytes);
}

static bool
has_name(const struct context *c, const char *name)
{
	for (const char *p = c->unlisted; p && *p; p += strlen(p) + 1)
		if (strcasecmp(p, name) == 0)
			return true;
	return false;
}

bool
unlisted_may_be_hidden(const struct context *c, const char *name)
{
	return strchr(name, '.') == NULL && strcasecmp(name, "role") != 0 &&
	       strcasecmp(name, "session_authorization") != 0 && !is_listed(name) &&
	       !has_name(c, name);
}

bool
unlisted_asks_as_login(const struct context *c)
{
	/* After SET SESSION AUTHORIZATION, SET LOCAL ROLE none would lead to the role that this has
	 * set, not to that of the login. */
	return has_name(c, "role") && !has_name(c, "session_authorization");
}
