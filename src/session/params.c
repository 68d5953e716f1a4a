#include "session/params.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "wire/canonical.h"
#include "wire/switches.h"

static bool
for_login(const char *name)
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
	uint64_t hash = HASH_SEED;

	for (; *name; name++) {
		char c = (char)tolower((unsigned char)*name);

		hash = hash_bytes(hash, &c, 1);
	}
	return hash;
}

/* `same`: with the same value. */
static bool
comes_again(const struct pair *p, const struct pair *end, bool same)
{
	for (const struct pair *q = p + 1; q < end; q++)
		if (q->hash == p->hash && strcasecmp(q->name, p->name) == 0 &&
		    (!same || strcmp(q->value, p->value) == 0))
			return true;
	return false;
}

/* A DateStyle says only what it changes: the last one together with those before it. If one is not
 * understood, it is the server's to refuse. */
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
	/* DEFAULT is what those before it have set. */
	if (d.style < 0 && d.order < 0)
		return last->value;
	canonical_datestyle_text(&d, text, size);
	return text;
}

static void
add_last_ones(const struct buf *all, struct buf *out, struct buf *repeated)
{
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

		if (comes_again(&pairs[i], pairs + n, false)) {
			any = true;
			continue;
		}
		if (strcasecmp(pairs[i].name, "DateStyle") == 0)
			value = join_styles(pairs, &pairs[i], style, sizeof style);
		buf_add_str(out, pairs[i].name);
		buf_add_str(out, value);
	}
	for (size_t i = 0; any && i < n; i++) {
		/* A SELECT has at most 1664 columns. */
		if (n > 500 && comes_again(&pairs[i], pairs + n, true))
			continue;
		buf_add_str(repeated, pairs[i].name);
		buf_add_str(repeated, pairs[i].value);
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
		if (for_login(name))
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
		/* "ISO" leaves the order of "ISO, MDY" as it is. */
		size_t n = strlen(wanted);

		return strncasecmp(wanted, reported, n) == 0 &&
		       (reported[n] == 0 || (n > 0 && reported[n] == ','));
	}
	/* Of others, such as search_path, PostgreSQL keeps the case. */
	for (size_t i = 0; i < sizeof caseless / sizeof *caseless; i++)
		if (strcasecmp(name, caseless[i]) == 0)
			return strcasecmp(wanted, reported) == 0;
	return strcmp(wanted, reported) == 0;
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

void
params_calls(const char *params, size_t bytes, struct buf *sql)
{
	const char *at = params, *end = params + bytes;

	while (at < end) {
		const char *name = at, *value = name + strlen(name) + 1;

		add_call(name, value, at == params, sql);
		at = value + strlen(value) + 1;
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
		/* PostgreSQL seeds nothing by it. */
		if (strcasecmp(name, "seed") == 0)
			continue;
		if (reported && params_same(name, value, reported) && !params_fixed(name))
			continue;
		add_call(name, value, !any, sql);
		any = true;
	}
	if (any)
		buf_add_u8(sql, 0);
}
