#include "session/params.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "wire/switches.h"

static bool
for_login(const char *name)
{
	static const char *const names[] = {"user", "database", "application_name", "replication",
					    "options"};

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

static bool
comes_again(const struct pair *p, const struct pair *end)
{
	for (const struct pair *q = p + 1; q < end; q++)
		if (q->hash == p->hash && strcasecmp(q->name, p->name) == 0)
			return true;
	return false;
}

static void
add_last_ones(const struct buf *all, struct buf *out)
{
	const char *at = (const char *)buf_data(all), *end = at + all->len;
	struct pair *pairs = mem_calloc(all->len / 2 + 1, sizeof *pairs);
	size_t n = 0;

	while (at < end) {
		struct pair *p = &pairs[n++];

		p->name = at;
		p->value = at + strlen(at) + 1;
		p->hash = name_hash(p->name);
		at = p->value + strlen(p->value) + 1;
	}
	for (size_t i = 0; i < n; i++) {
		if (comes_again(&pairs[i], pairs + n))
			continue;
		buf_add_str(out, pairs[i].name);
		buf_add_str(out, pairs[i].value);
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
params_read(const struct startup *st, struct buf *out, struct err *e)
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
		add_last_ones(&all, out);
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
params_setup(const char *params, size_t bytes, const struct pool *pool, struct buf *sql)
{
	const char *at = params, *end = params + bytes;
	bool any = false;

	while (at < end) {
		const char *name = at, *value = name + strlen(name) + 1, *reported = NULL;

		at = value + strlen(value) + 1;
		for (unsigned i = 0; i < pool->nparams; i++)
			if (strcasecmp(pool->params[i].name, name) == 0)
				reported = pool->params[i].value;
		/* PostgreSQL seeds nothing by it. */
		if (strcasecmp(name, "seed") == 0)
			continue;
		if (reported && params_same(name, value, reported))
			continue;
		buf_add_fmt(sql,
			    any ? ", pg_catalog.set_config(" : "SELECT pg_catalog.set_config(");
		params_literal(sql, name);
		buf_add_u8(sql, ',');
		params_literal(sql, value);
		buf_add_fmt(sql, ",false)");
		any = true;
	}
	if (any)
		buf_add_u8(sql, 0);
}
