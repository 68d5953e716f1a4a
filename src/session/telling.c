#include "session/telling.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "pool/pool.h"
#include "session/application.h"
#include "session/params.h"
#include "session/reply.h"
#include "session/resets.h"
#include "session/shown.h"
#include "session/site.h"
#include "wire/canonical.h"
#include "wire/msg.h"

#define OUT_MAX        (256 * 1024)
#define CANONICAL_TEXT 1024 /* bytes of a value that is spelled as a server would */

static struct tolds *
all_told(struct session *s)
{
	return &s->site->pools.told;
}

static void
replace_told(struct session *s, struct told *t)
{
	told_drop(all_told(s), s->context.told);
	s->context.told = t;
}

/* ---- at login ---- */

/* Is it a parameter that says who the client is? What is known of these can change at any time, and
 * they decide what else the client may set. */
static bool
is_identity(const char *name)
{
	return strcasecmp(name, "role") == 0 || strcasecmp(name, "session_authorization") == 0;
}

/* Does a server most likely report this parameter as the client spells it? A wrong guess does no
 * harm until the server reports it. */
static bool
is_as_spelled(const char *name)
{
	return strcasecmp(name, "TimeZone") == 0 || strcasecmp(name, "search_path") == 0;
}

/* The startup parameter role: adds is_superuser as it was when a server last had the role. Only a
 * server can say whether the client may have that role now. */
static enum telling
work_out_role(struct session *s, const char *name, const char *value)
{
	const char *superuser = known_result(&s->pool->known, name, value);

	if (superuser == NULL)
		return TELLING_UNKNOWN;
	s->context.told = told_with(all_told(s), s->context.told, "is_superuser", superuser);
	return TELLING_LIKELY;
}

/* Returns what a server would report of this value of a parameter, where `told` was reported
 * before: the same as before, or a text in `text`. NULL: only a server can say it. */
static const char *
result_by_rule(const struct told *told, const char *name, const char *value,
	       char text[CANONICAL_TEXT])
{
	const char *before = told_get(told, name);
	const char *encoding = told_get(told, "server_encoding");
	const char *version = told_get(told, "server_version");

	if (before && params_same(name, value, before))
		return before;
	return canonical_value(name, value, before, encoding, version ? atoi(version) : 0, text,
			       CANONICAL_TEXT)
		   ? text
		   : NULL;
}

/* Adds to context->told what one startup parameter changes. */
static enum telling
work_out_one(struct session *s, const char *name, const char *value)
{
	const char *before = told_get(s->context.told, name), *result;
	char text[CANONICAL_TEXT];

	if (strcasecmp(name, "role") == 0)
		return work_out_role(s, name, value);
	/* These change nothing, but only a server can say whether they are refused. */
	if (strcasecmp(name, "session_authorization") == 0 || params_fixed(name))
		return TELLING_LIKELY;
	result = result_by_rule(s->context.told, name, value, text);
	if (result && result == before)
		return TELLING_CERTAIN;
	if (result == NULL)
		result = known_result(&s->pool->known, name, value);
	if (before && (result || is_as_spelled(name)))
		s->context.told =
		    told_with(all_told(s), s->context.told, name, result ? result : value);
	return result ? TELLING_CERTAIN : TELLING_LIKELY;
}

/* The same for a list of them. Returns the least certain result. */
static enum telling
work_out_each(struct session *s, const char *at, size_t bytes)
{
	const char *end = at + bytes;
	enum telling least = TELLING_CERTAIN;

	while (at < end) {
		const char *name = at, *value = name + strlen(name) + 1;
		enum telling one = work_out_one(s, name, value);

		if (one > least)
			least = one;
		at = value + strlen(value) + 1;
	}
	return least;
}

enum telling
telling_start(struct session *s)
{
	enum telling repeated, last;

	replace_told(s, told_keep(s->pool->told));
	/* Of repeated values only the certainty counts: a later value replaces them. */
	repeated =
	    work_out_each(s, context_repeated(&s->context), context_repeated_bytes(&s->context));
	replace_told(s, told_keep(s->pool->told));
	last = work_out_each(s, s->context.startup, atom_bytes(s->context.startup));
	application_start(s);
	shown_start(s);
	s->context.told = told_with(all_told(s), s->context.told, "application_name",
				    s->context.application_told);
	return repeated > last ? repeated : last;
}

bool
telling_is_plain(const struct session *s)
{
	const char *at = s->context.startup, *end = at + atom_bytes(at);
	char text[CANONICAL_TEXT];

	while (at < end) {
		const char *name = at, *value = name + strlen(name) + 1;

		at = value + strlen(value) + 1;
		if (strcasecmp(name, "role") == 0 ||
		    result_by_rule(s->pool->told, name, value, text) == NULL)
			return false;
	}
	return true;
}

static void
learn_role(struct session *s, const char *role)
{
	const char *superuser = server_told(s->hold->lease.srv, "is_superuser");

	if (superuser && !server_has_set(s->hold->lease.srv, "'session_authorization',"))
		known_add(&s->pool->known, "role", role, superuser);
}

static void
learn_each(struct session *s, const char *at, size_t bytes, bool reported)
{
	const char *end = at + bytes;

	while (at < end) {
		const char *name = at, *value = name + strlen(name) + 1;
		const char *result = server_told(s->hold->lease.srv, name);

		if (strcasecmp(name, "role") == 0 && reported)
			learn_role(s, value);
		/* What a DateStyle comes to depends on the one before it. */
		if (!is_identity(name) && strcasecmp(name, "DateStyle") != 0 &&
		    (reported || result == NULL))
			known_add(&s->pool->known, name, value, result ? result : "");
		at = value + strlen(value) + 1;
	}
}

void
telling_learn(struct session *s)
{
	learn_each(s, s->context.startup, atom_bytes(s->context.startup), true);
	learn_each(s, context_repeated(&s->context), context_repeated_bytes(&s->context), false);
	s->context.unproven = false;
	if (session_was_let_in(s)) {
		context_forget_repeated(&s->context);
		return;
	}
	replace_told(s, told_keep(s->hold->lease.srv->told));
	s->context.told = told_with(all_told(s), s->context.told, "application_name",
				    s->context.application_told);
}

void
telling_unlearn(struct session *s)
{
	known_clear(&s->pool->known);
}

void
telling_all(struct session *s, struct buf *out)
{
	const char *at = NULL, *name, *value;

	told_drop(all_told(s), s->context.greeted);
	s->context.greeted = told_keep(s->context.told);
	while (told_next(s->context.told, &at, &name, &value))
		msg_parameter_status(out, name, value);
}

/* ---- afterwards ---- */

/* Does the server of another pool, which the session has for a transaction that only reads, report
 * what its client has not set, and must not be told? */
static bool
is_of_other_pool(const struct session *s, const char *name, const char *value)
{
	static const char *const fixed[] = {"in_hot_standby", "server_version", "server_encoding",
					    "integer_datetimes"};
	const char *own;

	if (!s->hold->apart)
		return false;
	for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
		if (strcasecmp(name, fixed[i]) == 0)
			return true;
	own = told_get(s->hold->lease.srv->own, name);
	return strcasecmp(name, "default_transaction_read_only") == 0 && own &&
	       strcmp(own, value) == 0;
}

/* The value that the client is told instead of the server's; NULL: the server's. */
static const char *
told_instead(const struct session *s, const char *name, const char *value)
{
	if (is_of_other_pool(s, name, value))
		return told_get(s->context.told, name);
	return resets_hide(s, name, value) ? told_get(s->context.greeted, name) : NULL;
}

void
telling_differences(struct session *s, struct buf *out)
{
	struct told *now = s->hold->lease.srv->told, *told;
	const char *at = NULL, *name, *value, *had, *own;

	if (now == s->context.told && s->context.resets == 0)
		return;
	told = told_keep(now);
	while (told_next(now, &at, &name, &value)) {
		own = told_instead(s, name, value);
		if (own) {
			told = told_with(all_told(s), told, name, own);
			value = own;
		}
		had = told_get(s->context.told, name);
		if (had == NULL || strcmp(had, value) != 0)
			msg_parameter_status(out, name, value);
	}
	replace_told(s, told);
}

void
telling_send(struct session *s)
{
	struct buf out;

	if (s->hold->lease.srv->told == s->context.told ||
	    s->hold->lease.srv->progress.own_syncs > 0)
		return;
	buf_init(&out, OUT_MAX);
	telling_differences(s, &out);
	if (out.len > 0)
		reply_send_buf(s, &out);
	buf_clear(&out);
}

void
telling_note_status(struct session *s, const char *name, const char *value)
{
	s->context.told = told_with(all_told(s), s->context.told, name, value);
}
