#include "cli/import/users.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/import/databases.h"

/* What PgBouncer lets be set for a user, and what to do here. */
static const struct {
	const char *key, *note;
} keys[] = {
    {"pool_size",
     "a size is one for all roles of a pool; a pool whose database has user= got it as its size; "
     "max_servers of a section [role NAME] bounds a role over all pools"},
    {"reserve_pool_size", SETTINGS_NO_RESERVE},
    {"pool_mode", "a mode is one for all roles of a pool: give these clients a pool of their own "
		  "with this mode, and its name in their connection strings"},
    {"max_user_connections",
     "of a pool with user= the largest size, of several the server_limit of a [cluster]; without "
     "user= max_servers of its section [role NAME]"},
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
    {"max_user_client_connections", "max_clients of its section [role NAME]"},
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
		settings_out(im, "\n; user \"%s\" of [users]:", s->key);
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

/* ---- limits ---- */

char *
users_cluster(const char *user)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789_-.";
	char *name = mem_printf("user-%.*s", CONF_NAME - 5, user);

	for (char *at = name; *at; at++)
		if (strchr(letters, *at) == NULL)
			*at = '_';
	return name;
}

static long
common_number(const struct import *im, const char *key)
{
	const char *text = settings_get(im, key);
	char *end = NULL;
	long n = text ? strtol(text, &end, 10) : 0;

	return text == NULL || end == text || *end || n < 0 ? 0 : n;
}

/* How many server connections the role may have, by PgBouncer's limits; 0: no limit. */
static long
servers_of(const struct import *im, const char *user)
{
	long limit = common_number(im, "max_user_connections"), size = 0;

	if (user) {
		limit = users_number(im, user, "max_user_connections", limit);
		/* A pool_size is for each database: the same as a limit of the role, if it has one
		 * only. */
		if (databases_of_user(im, NULL) == 1)
			size = users_number(im, user, "pool_size", 0);
	}
	return size > 0 && (limit <= 0 || size < limit) ? size : limit;
}

/* Writes the section of a user, or that of all others, NULL, if there is something to limit. A
 * section of a name inherits nothing, so it gets what holds for all, too. */
static void
write_limits(const struct import *im, const char *user)
{
	long clients = common_number(im, "max_user_client_connections");
	long servers = servers_of(im, user);
	unsigned own = databases_of_user(im, NULL), all = im->pools;
	/* PgBouncer counts by the role at the server: without user= that is the client's. */
	bool counted = servers > 0 && own > 0, exact = own >= all;

	if (user)
		clients = users_number(im, user, "max_user_client_connections", clients);
	if (clients <= 0 && !counted)
		return;
	settings_out(im, "\n[role %s]", user ? user : "*");
	if (clients > 0)
		settings_out(im, "max_clients = %ld  ; max_user_client_connections", clients);
	if (counted && !exact) {
		++*im->unknown;
		settings_out(im, "; max_user_connections cannot be taken over: max_servers would "
				 "count in the pools with user=, too,\n"
				 ";   where PgBouncer counts by that user. If it may be so:");
	}
	if (counted)
		settings_out(
		    im, "%smax_servers = %ld  ; max_user_connections%s; idle servers do not count",
		    exact ? "" : "; ", servers, user ? ", or the pool_size of the user" : "");
}

/* Writes the cluster of the pools with this user=, if several share max_user_connections. */
static void
write_cluster(const struct import *im, const char *user)
{
	long limit = users_number(im, user, "max_user_connections",
				  common_number(im, "max_user_connections"));
	char *name = users_cluster(user);

	if (limit > 0 && databases_of_user(im, user) > 1) {
		settings_out(im, "\n[cluster %s]", name);
		settings_out(im, "server_limit = %ld  ; max_user_connections of %s", limit, user);
	}
	free(name);
}

/* Is the setting the first one of a database with this user=? */
static bool
is_first_of(const struct import *im, unsigned index, const char *user)
{
	for (unsigned i = 0; i < index; i++) {
		struct pgbouncer_pairs pairs = {0};
		const char *own = NULL;
		bool same;

		if (strcmp(im->from->list[i].section, "databases") == 0 &&
		    pgbouncer_connstr(im->from->list[i].value, &pairs) == NULL)
			own = pgbouncer_pair(&pairs, "user");
		same = own && strcmp(own, user) == 0;
		pgbouncer_pairs_clear(&pairs);
		if (same)
			return false;
	}
	return true;
}

void
users_write_limits(const struct import *im)
{
	write_limits(im, NULL);
	for (unsigned i = 0; i < im->from->count; i++) {
		const struct pgbouncer_setting *s = &im->from->list[i];
		struct pgbouncer_pairs pairs = {0};

		if (strcmp(s->section, "users") == 0 && strpbrk(s->key, "]*\";") == NULL &&
		    pgbouncer_get(im->from, "users", s->key) == s->value)
			write_limits(im, s->key);
		if (strcmp(s->section, "databases") == 0 &&
		    pgbouncer_connstr(s->value, &pairs) == NULL) {
			const char *user = pgbouncer_pair(&pairs, "user");

			if (user && is_first_of(im, i, user))
				write_cluster(im, user);
		}
		pgbouncer_pairs_clear(&pairs);
	}
}
