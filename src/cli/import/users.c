#include "cli/import/users.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* What PgBouncer lets be set for a user, and what to do here. */
static const struct {
	const char *key, *note;
} keys[] = {
    {"pool_size",
     "a size is one for all roles of a pool; a pool whose database has user= got it "
     "as its size; for a role alone, ALTER ROLE ... CONNECTION LIMIT, or a pool of its "
     "own with this size and users = those who need it"},
    {"reserve_pool_size", "there is no reserve: if size is too small at times, raise size"},
    {"pool_mode", "a mode is one for all roles of a pool: give these clients a pool of their own "
		  "with this mode, and its name in their connection strings"},
    {"max_user_connections",
     "size bounds each pool, and that of a database with user= is no "
     "larger than this; over several pools, ALTER ROLE ... CONNECTION LIMIT"},
    {"query_timeout", "query_timeout is one for all roles of a pool; for a role alone, ALTER ROLE "
		      "... SET statement_timeout"},
    {"query_wait_timeout", "wait_timeout is one for all roles of a pool: give these clients a pool "
			   "of their own with this one"},
    {"idle_transaction_timeout", "idle_in_scope_timeout is one for all roles of a pool: give these "
				 "clients a pool of their own with this one"},
    {"transaction_timeout", "scope_deadline is one for all roles of a pool: give these clients a "
			    "pool of their own with this one"},
    {"client_idle_timeout",
     "idle clients cost nothing but a descriptor and stay; pgwith kill session ends one"},
    {"max_user_client_connections", "only all clients together are bounded, by max_clients"},
};

/* The settings of the user, which the caller clears. False if there are none. */
static bool
settings_of(const struct import *im, const char *user, struct pgbouncer_pairs *pairs)
{
	const char *text = pgbouncer_get(im->from, "users", user);

	*pairs = (struct pgbouncer_pairs){0};
	return text && pgbouncer_connstr(text, pairs) == NULL;
}

long
users_number(const struct import *im, const char *user, const char *key, long otherwise)
{
	struct pgbouncer_pairs pairs;
	const char *text = settings_of(im, user, &pairs) ? pgbouncer_pair(&pairs, key) : NULL;
	char *end = NULL;
	long n = text ? strtol(text, &end, 10) : otherwise;

	if (text && (end == text || *end))
		n = otherwise;
	pgbouncer_pairs_clear(&pairs);
	return n;
}

static void
write_pair(const struct import *im, const struct pgbouncer_pair *pair)
{
	unsigned k = 0, n = sizeof keys / sizeof *keys;

	while (k < n && strcmp(keys[k].key, pair->key) != 0)
		k++;
	if (k < n) {
		settings_out(im, ";   %s = %s: %s", pair->key, pair->value, keys[k].note);
		return;
	}
	++*im->unknown;
	/* No value: it may be a secret. */
	settings_out(im, ";   %s: not known to pgwith import; see pgbouncer.ini(5)", pair->key);
}

static void
write_user(const struct import *im, const struct pgbouncer_setting *s)
{
	struct pgbouncer_pairs pairs;
	const char *why = pgbouncer_connstr(s->value, &pairs);

	if (why) {
		++*im->unknown;
		settings_out(im, "\n; user \"%s\" (%s:%u) cannot be understood: %s", s->key,
			     s->file, s->line, why);
	} else {
		settings_out(im,
			     "\n; user \"%s\" of [users]: a role has no settings of its own here.",
			     s->key);
		for (unsigned i = 0; i < pairs.count; i++)
			write_pair(im, &pairs.list[i]);
	}
	pgbouncer_pairs_clear(&pairs);
}

void
users_write(const struct import *im)
{
	for (unsigned i = 0; i < im->from->count; i++) {
		const struct pgbouncer_setting *s = &im->from->list[i];

		if (strcmp(s->section, "users") == 0 &&
		    pgbouncer_get(im->from, "users", s->key) == s->value)
			write_user(im, s);
	}
}
