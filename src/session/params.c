#include "session/params.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/fnv.h"
#include "base/mem.h"
#include "wire/canonical.h"
#include "wire/msg.h"
#include "wire/switches.h"

static bool
is_for_login(const char *name)
{
	static const char *const names[] = {"user", "database", "replication", "options"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return strncmp(name, "_pq_.", 5) == 0;
}

/* ---- of several values the last one ---- */

struct pair {
	const char *name, *value;
	uint64_t hash; /* of the name in small letters */
};

static uint64_t
name_hash(const char *name)
{
	uint64_t hash = FNV_SEED;

	for (; *name; name++) {
		char c = (char)tolower((unsigned char)*name);

		hash = fnv_bytes(hash, &c, 1);
	}
	return hash;
}

/* Does the parameter of `p` stand behind it once more? `same`: with the same value. */
static bool
comes_again(const struct pair *p, const struct pair *end, bool same)
{
	for (const struct pair *q = p + 1; q < end; q++)
		if (q->hash == p->hash && strcasecmp(q->name, p->name) == 0 &&
		    (!same || strcmp(q->value, p->value) == 0))
			return true;
	return false;
}

/* A DateStyle gives a style, an order, or both. Joins the last value with those before it. If one
 * of them is not understood, the last one is returned: the server refuses it. */
static const char *
join_styles(const struct pair *first, const struct pair *last, char *text, size_t size)
{
	struct datestyle d = {-1, -1};

	if (first == last)
		return last->value;
	for (const struct pair *p = first; p <= last; p++)
		if (strcasecmp(p->name, last->name) == 0 && strcasecmp(p->value, "default") != 0 &&
		    !canonical_datestyle(p->value, &d))
			return last->value;
	/* All of them were DEFAULT. */
	if (d.style < 0 && d.order < 0)
		return last->value;
	canonical_datestyle_text(&d, text, size);
	return text;
}

/* PostgreSQL checks that there is such a role, and that the client may be it. Then the rest of the
 * login sets the parameter anew (15 and 18, utils/init/postinit.c). */
static bool
is_authorization(const char *name)
{
	return strcasecmp(name, "session_authorization") == 0;
}

static bool
is_role(const char *name)
{
	return strcasecmp(name, "role") == 0;
}

/* Does PostgreSQL cut the value, with a NOTICE? It does with names (GUC_IS_NAME). Those that a
 * client cannot set are not listed: they are refused in any case. */
static bool
is_too_long(const char *name, const char *value)
{
	static const char *const names[] = {"application_name",
					    "client_encoding",
					    "default_table_access_method",
					    "default_tablespace",
					    "role",
					    "session_authorization"};

	if (strlen(value) <= CANONICAL_NAME_MAX)
		return false;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcasecmp(name, names[i]) == 0)
			return true;
	return false;
}

/* Must PostgreSQL look at all values, one by one, because setting the last one of each could give
 * another result? */
static bool
needs_each(const struct pair *p, const struct pair *end)
{
	return comes_again(p, end, false) || is_authorization(p->name) ||
	       (is_role(p->name) && p + 1 < end) || is_too_long(p->name, p->value);
}

static void
add_param(const struct pair *p, const char *value, struct buf *out)
{
	buf_add_str(out, p->name);
	buf_add_str(out, value);
}

static void
add_last_ones(const struct buf *all, struct buf *out, struct buf *repeated)
{
	const struct pair *role = NULL;
	const char *at = (const char *)buf_data(all), *end = at + all->len;
	struct pair *pairs = mem_calloc(all->len / 2 + 1, sizeof *pairs);
	bool any = false;
	size_t n = 0;

	while (at < end) {
		struct pair *p = &pairs[n++];

		p->name = at;
		p->value = at + strlen(at) + 1;
		p->hash = name_hash(p->name);
		at = p->value + strlen(p->value) + 1;
	}
	for (size_t i = 0; i < n; i++) {
		const char *value = pairs[i].value;
		char style[64];

		any |= needs_each(&pairs[i], pairs + n);
		if (comes_again(&pairs[i], pairs + n, false) || is_authorization(pairs[i].name))
			continue;
		/* role stands behind the others, which are set with the rights of the login. */
		if (is_role(pairs[i].name)) {
			role = &pairs[i];
			continue;
		}
		if (strcasecmp(pairs[i].name, "DateStyle") == 0)
			value = join_styles(pairs, &pairs[i], style, sizeof style);
		add_param(&pairs[i], value, out);
	}
	if (role)
		add_param(role, role->value, out);
	for (size_t i = 0; any && i < n; i++) {
		/* Equal values once: a SELECT has at most 1664 columns. */
		if (n > 500 && comes_again(&pairs[i], pairs + n, true))
			continue;
		add_param(&pairs[i], pairs[i].value, repeated);
	}
	free(pairs);
}

/* ---- the packet ---- */

static int
read_options(const char *options, struct buf *all, struct err *e)
{
	char why[512];
	int r = switches_read(options, all, why, sizeof why);

	if (r == 0)
		return 0;
	err_make(e, ERR_STARTUP_OPTION, why);
	if (r == -E_SYNTAX)
		err_hint(e, SWITCHES_HINT);
	return -E_SYNTAX;
}

int
params_read(const struct startup *st, struct buf *out, struct buf *repeated, struct err *e)
{
	const char *at = st->params, *name, *value;
	const char *options = startup_get(st, "options");
	struct buf all;
	int r = 0;

	buf_init(&all, PARAMS_MAX);
	if (options)
		r = read_options(options, &all, e);
	while (startup_next(&at, &name, &value)) {
		if (is_for_login(name))
			continue;
		buf_add_str(&all, name);
		buf_add_str(&all, value);
	}
	if (r == 0 && all.failed) {
		err_make(e, ERR_STARTUP_OPTION, "too many settings");
		r = -E_SYNTAX;
	}
	if (r == 0)
		add_last_ones(&all, out, repeated);
	buf_clear(&all);
	return r;
}

/* UTF8, utf-8, 'utf-8' and unicode are one encoding to PostgreSQL. */
static void
plain_encoding(const char *from, char *to, size_t size)
{
	size_t n = 0;

	for (; *from && n < size - 1; from++)
		if (isalnum((unsigned char)*from))
			to[n++] = (char)tolower((unsigned char)*from);
	to[n] = 0;
	if (strcmp(to, "unicode") == 0)
		snprintf(to, size, "utf8");
}

bool
params_same(const char *name, const char *wanted, const char *reported)
{
	static const char *const caseless[] = {"IntervalStyle", "TimeZone",
					       "standard_conforming_strings",
					       "default_transaction_read_only"};

	if (strcasecmp(name, "client_encoding") == 0) {
		char a[64], b[64];

		plain_encoding(wanted, a, sizeof a);
		plain_encoding(reported, b, sizeof b);
		return strcmp(a, b) == 0;
	}
	if (strcasecmp(name, "DateStyle") == 0) {
		/* "ISO" is the same as "ISO, MDY": it leaves the order as it is. */
		size_t n = strlen(wanted);

		return strncasecmp(wanted, reported, n) == 0 &&
		       (reported[n] == 0 || (n > 0 && reported[n] == ','));
	}
	/* In others, such as search_path, the case of letters counts. */
	for (size_t i = 0; i < sizeof caseless / sizeof *caseless; i++)
		if (strcasecmp(name, caseless[i]) == 0)
			return strcasecmp(wanted, reported) == 0;
	return strcmp(wanted, reported) == 0;
}

const char *
params_value(const char *params, size_t bytes, const char *name)
{
	const char *at = params, *end = params + bytes;

	for (; at < end; at += strlen(at) + 1) {
		bool found = strcasecmp(at, name) == 0;

		at += strlen(at) + 1;
		if (found)
			return at;
	}
	return NULL;
}

bool
params_fixed(const char *name)
{
	static const char *const names[] = {"server_version", "server_encoding", "is_superuser",
					    "in_hot_standby", "integer_datetimes"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcasecmp(name, names[i]) == 0)
			return true;
	return false;
}

void
params_literal(struct buf *sql, const char *text)
{
	buf_add_fmt(sql, strchr(text, '\\') ? " E'" : "'");
	for (; *text; text++) {
		if (*text == '\'' || *text == '\\')
			buf_add_u8(sql, (uint8_t)*text);
		buf_add_u8(sql, (uint8_t)*text);
	}
	buf_add_u8(sql, '\'');
}

void
params_bytes_literal(struct buf *sql, const char *text)
{
	const char *p = text;

	while (*p && (unsigned char)*p < 0x80)
		p++;
	if (*p == 0) {
		params_literal(sql, text);
		return;
	}
	buf_add_fmt(sql, " E'");
	for (; *text; text++) {
		if ((unsigned char)*text >= 0x80) {
			buf_add_fmt(sql, "\\x%02x", (unsigned char)*text);
			continue;
		}
		if (*text == '\'' || *text == '\\')
			buf_add_u8(sql, (uint8_t)*text);
		buf_add_u8(sql, (uint8_t)*text);
	}
	buf_add_u8(sql, '\'');
}

static void
add_call(const char *name, const char *value, bool first, struct buf *sql)
{
	buf_add_fmt(sql, first ? "SELECT pg_catalog.set_config(" : ", pg_catalog.set_config(");
	params_bytes_literal(sql, name);
	buf_add_u8(sql, ',');
	params_bytes_literal(sql, value);
	buf_add_fmt(sql, ",false)");
}

/* Is it a parameter of the login's own transaction, with a valid value? PostgreSQL 18 accepts that,
 * and the value is gone with the transaction. Older versions refuse all but the value in force. */
static bool
is_of_login(const struct pool *pool, const char *name, const char *value)
{
	static const char *const levels[] = {"serializable", "repeatable read", "read committed",
					     "read uncommitted"};
	const char *version = pool_param(pool, "server_version");

	if (version == NULL || atoi(version) < 18)
		return false;
	if (strcasecmp(name, "transaction_deferrable") == 0)
		return canonical_bool(value) >= 0;
	if (strcasecmp(name, "transaction_isolation") != 0)
		return false;
	for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
		if (strcasecmp(value, levels[i]) == 0)
			return true;
	return false;
}

static const char as_login[] = "RESET ROLE; RESET SESSION AUTHORIZATION; ";

void
params_check(const char *params, size_t bytes, const struct pool *pool, struct buf *sql)
{
	const char *at = params, *end = params + bytes;
	bool first = true;

	buf_add_fmt(sql, "%s", as_login);
	while (at < end) {
		const char *name = at, *value = name + strlen(name) + 1;

		at = value + strlen(value) + 1;
		if (is_of_login(pool, name, value))
			continue;
		add_call(name, value, first, sql);
		/* What stands behind a role is judged with the rights of the login. */
		first = is_authorization(name) || is_role(name);
		if (first)
			buf_add_fmt(sql, "; %s", as_login);
	}
	buf_add_fmt(sql, "%s%sRESET ALL; ", first ? "" : "; ", as_login);
}

/* Does this client_min_messages hide a NOTICE? */
static bool
hides_notices(const char *level)
{
	return strcasecmp(level, "warning") == 0 || strcasecmp(level, "error") == 0;
}

static void
add_notice(const char *value, bool utf8, struct buf *out)
{
	size_t length = canonical_name_length(value, utf8), room = 2 * strlen(value) + 64;
	char *text = mem_alloc(room);

	snprintf(text, room, "identifier \"%s\" will be truncated to \"%.*s\"", value, (int)length,
		 value);
	msg_report(out, 'N', "NOTICE", "42622", text, NULL, NULL);
	free(text);
}

void
params_notices(const char *params, size_t bytes, const struct pool *pool, struct buf *out)
{
	const char *encoding = pool_param(pool, "server_encoding");
	const char *at = params, *end = params + bytes;
	bool hidden = false;

	while (at < end) {
		const char *name = at, *value = name + strlen(name) + 1;

		at = value + strlen(value) + 1;
		if (strcasecmp(name, "client_min_messages") == 0)
			hidden = hides_notices(value);
		if (!hidden && is_too_long(name, value))
			add_notice(value, encoding && strcmp(encoding, "UTF8") == 0, out);
	}
}

void
params_setup(const char *params, size_t bytes, const struct pool *pool, struct buf *sql)
{
	const char *at = params, *end = params + bytes;
	bool any = false;

	while (at < end) {
		const char *name = at, *value = name + strlen(name) + 1;
		const char *reported = pool_param(pool, name);

		at = value + strlen(value) + 1;
		/* In a startup packet, PostgreSQL takes `seed` and does nothing with it. */
		if (strcasecmp(name, "seed") == 0 || is_of_login(pool, name, value))
			continue;
		if (reported && params_same(name, value, reported) && !params_fixed(name))
			continue;
		add_call(name, value, !any, sql);
		any = true;
	}
	if (any)
		buf_add_u8(sql, 0);
}
