#include "cli/import/databases.h"

#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "cli/import/users.h"
#include "conf/conf.h"
#include "conf/option.h"
#include "conf/secret.h"

#define FALLBACK "*"

/* Adds a value of a conninfo. PostgreSQL 15 documentation, 34.1.1.1: a value that is empty or has
 * blanks stands in quotes, and a backslash stands before a quote or backslash. */
static void
add_value(struct buf *b, const char *value)
{
	bool quotes = *value == 0 || strpbrk(value, " \t'\\") != NULL;

	buf_add_fmt(b, "%s", quotes ? "'" : "");
	for (; *value; value++) {
		if (*value == '\'' || *value == '\\')
			buf_add_u8(b, '\\');
		buf_add_u8(b, *value);
	}
	buf_add_fmt(b, "%s", quotes ? "'" : "");
}

static void
add_word(struct buf *b, const char *keyword, const char *value)
{
	buf_add_fmt(b, "%s%s=", b->len ? " " : "", keyword);
	add_value(b, value);
}

/* The lowest of a list of TLS versions, in libpq's spelling; NULL if that is libpq's own
 * default. */
static const char *
lowest_tls(const char *list)
{
	static const char *const versions[][2] = {{"tlsv1.0", "TLSv1"},
						  {"tlsv1.1", "TLSv1.1"},
						  {"tlsv1.2", "TLSv1.2"},
						  {"tlsv1.3", "TLSv1.3"}};

	if (strstr(list, "all") || strstr(list, "legacy"))
		return "TLSv1";
	for (unsigned i = 0; i < sizeof versions / sizeof *versions; i++)
		if (strstr(list, versions[i][0]))
			return versions[i][1];
	return NULL;
}

/* Adds what [pgbouncer] sets for all server connections over TCP. */
static void
add_common(const struct import *im, struct buf *b)
{
	unsigned count;
	const struct setting *table = settings_table(&count);

	for (unsigned i = 0; i < count; i++) {
		const struct setting *k = &table[i];
		const char *value = settings_get(im, k->name);

		if (k->kind != SETTING_CONNINFO || value == NULL || *value == 0)
			continue;
		if (strcmp(k->option, "ssl_min_protocol_version") == 0)
			value = lowest_tls(value);
		/* PgBouncer's 0 of a number means the system's default: leave the keyword out. */
		else if (strcmp(value, "0") == 0 && strcmp(k->option, "keepalives") != 0)
			value = NULL;
		if (value)
			add_word(b, k->option, value);
	}
}

static const struct {
	const char *key;
	const char *note; /* NULL: it is taken over elsewhere */
} pool_keys[] = {
    {"host", NULL},
    {"port", NULL},
    {"dbname", NULL},
    {"user", NULL},
    {"password", NULL},
    {"client_encoding", NULL},
    {"datestyle", NULL},
    {"timezone", NULL},
    {"application_name", NULL},
    {"pool_size", NULL},
    {"min_pool_size", NULL},
    {"max_db_connections", NULL},
    {"pool_mode", NULL},
    {"server_lifetime", NULL},
    {"query_wait_timeout", NULL},
    {"reserve_pool", SETTINGS_NO_RESERVE},
    {"reserve_pool_size", SETTINGS_NO_RESERVE},
    {"max_db_client_connections",
     "a pool has no limit of clients: max_clients bounds all, that of a section [role NAME] or "
     "[uid NUMBER] those of a role or system user, and max_waiting its queue"},
    {"connect_query",
     "no statement is run at connect: ALTER ROLE ... IN DATABASE ... SET does what SET would; "
     "others go into the enter of a [scope]"},
    {"auth_user", NULL}, /* databases_asking() */
    {"auth_query", NULL},
    {"auth_dbname", NULL},
    {"load_balance_hosts", NULL}, /* is_spread() */
};

/* Writes comments about the keywords of a database that have no equivalent. No values: one may be a
 * secret. */
static void
pool_notes(const struct import *im, const struct pgbouncer_pairs *pairs)
{
	for (unsigned i = 0; i < pairs->count; i++) {
		unsigned k = 0, n = sizeof pool_keys / sizeof *pool_keys;

		while (k < n && strcmp(pool_keys[k].key, pairs->list[i].key) != 0)
			k++;
		if (k == n)
			++*im->unknown;
		if (k == n)
			settings_out(im, "; %s: not known to pgwith import; see pgbouncer.ini(5)",
				     pairs->list[i].key);
		else if (pool_keys[k].note)
			settings_out(im, "; %s: %s", pool_keys[k].key, pool_keys[k].note);
	}
}

/* Adds datestyle and timezone, which libpq has no keyword for, as `options`. */
static void
add_parameters(struct buf *b, const struct pgbouncer_pairs *pairs)
{
	static const char *const names[] = {"datestyle", "timezone"};
	struct buf options;

	buf_init(&options, 4096);
	for (unsigned i = 0; i < 2; i++) {
		const char *value = pgbouncer_pair(pairs, names[i]);

		if (value == NULL)
			continue;
		buf_add_fmt(&options, "%s-c %s=", options.len ? " " : "", names[i]);
		/* The server splits `options` at blanks: a backslash stands before a blank or
		 * backslash. */
		for (; *value; value++) {
			if (*value == ' ' || *value == '\\')
				buf_add_u8(&options, '\\');
			buf_add_u8(&options, *value);
		}
	}
	if (options.len) {
		buf_add_u8(&options, 0);
		add_word(b, "options", (char *)buf_data(&options));
	}
	buf_clear(&options);
}

/* PgBouncer connects to the hosts of a list in turn, unless load_balance_hosts = disable. libpq
 * tries them from first to last or, since version 16, in random order. */
static bool
is_spread(const struct import *im, const struct pgbouncer_pairs *pairs)
{
	const char *host = pgbouncer_pair(pairs, "host");
	const char *how = pgbouncer_pair(pairs, "load_balance_hosts");

	if (how == NULL)
		how = settings_get(im, "load_balance_hosts");
	return host && strchr(host, ',') && (how == NULL || strcmp(how, "disable") != 0);
}

static bool
libpq_spreads(void)
{
	PQconninfoOption *known = PQconndefaults();
	bool found = false;

	for (PQconninfoOption *o = known; o && o->keyword; o++)
		found |= strcmp(o->keyword, "load_balance_hosts") == 0;
	PQconninfoFree(known);
	return found;
}

static void
spread_note(const struct import *im, const struct pgbouncer_pairs *pairs)
{
	if (!is_spread(im, pairs))
		return;
	if (libpq_spreads())
		settings_out(im, "; PgBouncer opens connections to the hosts in turns; with "
				 "load_balance_hosts=random each goes to one by chance");
	else
		settings_out(
		    im, "; LOST: PgBouncer opens connections to the hosts in turns; here all go "
			"to the first host that\n;   answers, as libpq before version 16 cannot "
			"spread them (later: load_balance_hosts=random in\n;   the conninfo). To "
			"spread them now: a pool for each host.");
}

/* The conninfo of a pool, which logs in as `user`, if that is not NULL. The caller frees. */
static char *
pool_conninfo(const struct import *im, const char *name, const struct pgbouncer_pairs *pairs,
	      const char *user)
{
	static const char *const same[] = {"user", "password", "client_encoding",
					   "application_name"};
	const char *host = pgbouncer_pair(pairs, "host"), *port = pgbouncer_pair(pairs, "port");
	const char *dbname = pgbouncer_pair(pairs, "dbname"),
		   *dir = settings_get(im, "unix_socket_dir");
	struct buf b;
	char *text;

	buf_init(&b, CONF_VALUE_MAX);
	if (host == NULL || *host == 0)
		host = dir && *dir ? dir : SETTINGS_DIRECTORY;
	add_word(&b, "host", host);
	add_word(&b, "port", port && *port ? port : "5432");
	add_word(&b, "dbname", dbname && *dbname ? dbname : name);
	if (user)
		add_word(&b, "user", user);
	for (unsigned i = user ? 2 : 0; i < sizeof same / sizeof *same; i++)
		if (pgbouncer_pair(pairs, same[i]))
			add_word(&b, same[i], pgbouncer_pair(pairs, same[i]));
	add_parameters(&b, pairs);
	if (is_spread(im, pairs) && libpq_spreads())
		add_word(&b, "load_balance_hosts", "random");
	if (*host != '/' && *host != '@')
		add_common(im, &b);
	if (im->how->passfile && (user || pgbouncer_pair(pairs, "password") == NULL))
		add_word(&b, "passfile", im->how->passfile);
	buf_add_u8(&b, 0);
	text = mem_strdup(b.failed ? "" : (char *)buf_data(&b));
	explicit_bzero(buf_data(&b), b.len);
	buf_clear(&b);
	return text;
}

static long
number_or(const char *text, long otherwise)
{
	char *end;
	long n = text ? strtol(text, &end, 10) : otherwise;

	return text && (end == text || *end) ? otherwise : n;
}

static void
pool_sizes(const struct import *im, const struct pgbouncer_pairs *pairs, bool forced)
{
	const char *own = pgbouncer_pair(pairs, "pool_size"), *why = "pool_size";
	const char *user = forced ? pgbouncer_pair(pairs, "user") : NULL,
		   *own_max = pgbouncer_pair(pairs, "max_db_connections");
	const char *own_min = pgbouncer_pair(pairs, "min_pool_size");
	long common = number_or(settings_get(im, "default_pool_size"), 20),
	     size = number_or(own, common);
	long of_user = user ? users_number(im, user, "pool_size", -1) : -1;
	long max = number_or(own_max ? own_max : settings_get(im, "max_db_connections"), 0);
	long common_min = number_or(settings_get(im, "min_pool_size"), 0),
	     min = number_or(own_min, common_min);
	unsigned pools;
	char text[32];

	/* A database with user= has servers of that user only: what [users] says of them holds. */
	if (of_user > 0) {
		size = of_user;
		why = "pool_size of the user in [users]";
	}
	if (max > 0 && max <= size) {
		size = max;
		why = "max_db_connections";
	}
	max = number_or(settings_get(im, "max_user_connections"), 0);
	if (user)
		max = users_number(im, user, "max_user_connections", max);
	if (user && max > 0 && max < size) {
		size = max;
		why = "max_user_connections";
	}
	/* All pools of the user have a cluster then, which must have room for their min_size. */
	pools = user && max > 0 ? databases_of_user(im, user) : 0;
	if (pools > 1) {
		char *cluster = users_cluster(user);

		settings_option(im, "cluster", cluster,
				"max_user_connections is for all pools of the user together");
		free(cluster);
		if (min > max / pools)
			min = max / pools;
	}
	snprintf(text, sizeof text, "%ld", size);
	if (own || size != common)
		settings_option(im, "size", text, why);
	if (!forced)
		settings_out(im,
			     "; size is for all roles together: PgBouncer gives each role as many");
	if (min > size)
		min = size;
	snprintf(text, sizeof text, "%ld", min);
	if (own_min || min != common_min)
		settings_option(im, "min_size", text, "min_pool_size");
}

static const char *
name_problem(const char *name)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789_-.";

	if (strcmp(name, "pgwith") == 0)
		return "this name is the console's";
	if (*name == 0 || strlen(name) > CONF_NAME)
		return "a pool's name has 1 to 63 characters";
	if (name[strspn(name, letters)])
		return "a pool's name is made of letters, digits, _, - and .";
	return NULL;
}

/* Why the conninfo cannot stand in a file of pgwith; NULL if it can. */
static char *
conninfo_problem(const char *conninfo)
{
	struct conf_pool pool = {0};
	const struct conf_option *o = option_find("conninfo");
	char *why = NULL;

	if (strstr(conninfo, " ;") || strstr(conninfo, "\t;"))
		return mem_strdup(
		    "a ; behind a blank would begin a comment: keep that password in a passfile");
	option_set(o, &pool, conninfo, &why, NULL);
	option_clear(o, &pool);
	return why;
}

static void
write_pool(struct import *im, const char *name, const struct pgbouncer_pairs *pairs)
{
	const char *mode = pgbouncer_pair(pairs, "pool_mode");
	const char *wait = pgbouncer_pair(pairs, "query_wait_timeout");
	const char *lifetime = pgbouncer_pair(pairs, "server_lifetime"), *why = name_problem(name);
	bool forced = pgbouncer_pair(pairs, "user") != NULL;
	char *conninfo = pool_conninfo(im, name, pairs, NULL), *wrong = conninfo_problem(conninfo);
	char *literal = NULL;

	fputc('\n', im->to);
	if (why || wrong) {
		++*im->unknown;
		settings_out(im, "; database \"%s\" cannot be a pool: %s", name, why ? why : wrong);
		if (why)
			settings_out(
			    im,
			    ";   Give it another name here and in the connection strings of its "
			    "clients.");
		goto done;
	}
	im->pools++;
	settings_out(im, "[pool %s]", name);
	literal = settings_literal(conninfo);
	settings_out(im, "conninfo = %s", literal);
	if (!forced)
		settings_out(
		    im, "role = client  ; the server sees the client's role, as there is no user=");
	spread_note(im, pairs);
	if (pgbouncer_pair(pairs, "password"))
		settings_out(im, "; with a password in it: chmod 640, or use a passfile");
	if (mode)
		settings_option(im, "mode", mode, "pool_mode");
	pool_sizes(im, pairs, forced);
	if (wait)
		settings_seconds(im, "wait_timeout", wait, "query_wait_timeout");
	if (lifetime)
		settings_special(im, "server_lifetime", lifetime);
	pool_notes(im, pairs);
done:
	secret_free(conninfo);
	secret_free(literal);
	free(wrong);
}

static void
write_database(struct import *im, const struct pgbouncer_setting *s)
{
	struct pgbouncer_pairs pairs;
	const char *why = pgbouncer_connstr(s->value, &pairs);

	if (why) {
		++*im->unknown;
		settings_out(im, "\n; database \"%s\" (%s:%u) cannot be understood: %s", s->key,
			     s->file, s->line, why);
	} else if (strcmp(s->key, FALLBACK) != 0) {
		write_pool(im, s->key, &pairs);
	} else {
		settings_out(
		    im,
		    "\n; * : there is no fallback. Each database needs a pool of its own; pgwith "
		    "import --database NAME\n; adds one like those that PgBouncer would make.");
		for (unsigned i = 0; i < im->how->ndatabases; i++)
			if (!pgbouncer_get(im->from, "databases", im->how->databases[i]))
				write_pool(im, im->how->databases[i], &pairs);
	}
	pgbouncer_pairs_clear(&pairs);
}

/* ---- all databases together ---- */

/* Is this the setting that counts of a database? */
static bool
is_database(const struct import *im, const struct pgbouncer_setting *s)
{
	return strcmp(s->section, "databases") == 0 &&
	       pgbouncer_get(im->from, "databases", s->key) == s->value;
}

/* How many pools a database makes: one, or as many as --database names for the fallback. */
static unsigned
pools_of(const struct import *im, const char *name)
{
	unsigned count = 0;

	if (strcmp(name, FALLBACK) != 0)
		return name_problem(name) == NULL;
	for (unsigned i = 0; i < im->how->ndatabases; i++)
		count += pgbouncer_get(im->from, "databases", im->how->databases[i]) == NULL;
	return count;
}

unsigned
databases_of_user(const struct import *im, const char *user)
{
	unsigned count = 0;

	for (unsigned i = 0; i < im->from->count; i++) {
		const struct pgbouncer_setting *s = &im->from->list[i];
		struct pgbouncer_pairs pairs = {0};

		if (is_database(im, s) && pgbouncer_connstr(s->value, &pairs) == NULL) {
			const char *own = pgbouncer_pair(&pairs, "user");

			if (own && user ? strcmp(own, user) == 0 : own == user)
				count += pools_of(im, s->key);
		}
		pgbouncer_pairs_clear(&pairs);
	}
	return count;
}

static bool
is_same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* What a database says of a key of auth_query, or [pgbouncer]; NULL: nothing. */
static const char *
asking_value(const struct import *im, const struct pgbouncer_pairs *pairs, const char *key)
{
	const char *own = pgbouncer_pair(pairs, key);

	if (own == NULL)
		own = settings_get(im, key);
	return own && *own ? own : NULL;
}

/* Do two databases ask the same server for passwords, in the same way? Passwords are those of a
 * server, not of a database. */
static bool
asks_same(const struct import *im, const struct pgbouncer_pairs *a, const struct pgbouncer_pairs *b)
{
	static const char *const keys[] = {"auth_user", "auth_query", "auth_dbname"};

	for (unsigned i = 0; i < sizeof keys / sizeof *keys; i++)
		if (!is_same(asking_value(im, a, keys[i]), asking_value(im, b, keys[i])))
			return false;
	return asking_value(im, a, "auth_user") == NULL || asking_value(im, a, "auth_dbname") ||
	       (is_same(pgbouncer_pair(a, "host"), pgbouncer_pair(b, "host")) &&
		is_same(pgbouncer_pair(a, "port"), pgbouncer_pair(b, "port")));
}

/* Finds a name for the pool that no database has. */
static void
name_asking(const struct import *im, struct databases_asking *asking)
{
	snprintf(asking->pool, sizeof asking->pool, "auth");
	for (unsigned i = 2; pgbouncer_get(im->from, "databases", asking->pool); i++)
		snprintf(asking->pool, sizeof asking->pool, "auth-%u", i);
	for (unsigned i = 0; i < im->how->ndatabases; i++)
		if (strcmp(im->how->databases[i], asking->pool) == 0)
			snprintf(asking->pool, sizeof asking->pool, "pgbouncer-auth_query");
}

/* Takes what the first database says; false if it runs no auth_query. */
static bool
set_asking(const struct import *im, const char *name, const struct pgbouncer_pairs *pairs,
	   struct databases_asking *asking, const char **why)
{
	const char *user = asking_value(im, pairs, "auth_user");
	const char *query = asking_value(im, pairs, "auth_query");
	const char *database = asking_value(im, pairs, "auth_dbname");

	if (user == NULL)
		return false;
	database = database ? database : name;
	if (!pgbouncer_get(im->from, "databases", database) &&
	    !pgbouncer_get(im->from, "databases", FALLBACK)) {
		*why = "auth_dbname is no database of [databases]";
		return false;
	}
	snprintf(asking->user, sizeof asking->user, "%s", user);
	asking->database = mem_strdup(database);
	asking->query = query ? mem_strdup(query) : NULL;
	name_asking(im, asking);
	return true;
}

bool
databases_asking(const struct import *im, struct databases_asking *asking, const char **why)
{
	struct pgbouncer_pairs first = {0}, other;
	const char *name = NULL;
	bool asked = false;

	*asking = (struct databases_asking){0};
	*why = NULL;
	for (unsigned i = 0; i < im->from->count && *why == NULL; i++) {
		const struct pgbouncer_setting *s = &im->from->list[i];

		if (!is_database(im, s) || pools_of(im, s->key) == 0)
			continue;
		if (pgbouncer_connstr(s->value, &other) == NULL) {
			if (name == NULL) {
				name =
				    strcmp(s->key, FALLBACK) == 0 ? im->how->databases[0] : s->key;
				pgbouncer_connstr(s->value, &first);
			} else if (!asks_same(im, &first, &other)) {
				*why = "the databases ask different servers, or by different "
				       "auth_user, auth_query or auth_dbname;\n"
				       ";   pgwith asks one, auth_pool. Run a pgwithd for each, or "
				       "put "
				       "the verifiers into auth_file";
			}
		}
		pgbouncer_pairs_clear(&other);
	}
	if (name && *why == NULL)
		asked = set_asking(im, name, &first, asking, why);
	pgbouncer_pairs_clear(&first);
	return asked;
}

void
databases_asking_clear(struct databases_asking *asking)
{
	free(asking->database);
	free(asking->query);
	*asking = (struct databases_asking){0};
}

char *
databases_asking_conninfo(const struct import *im, const struct databases_asking *asking)
{
	const char *text = pgbouncer_get(im->from, "databases", asking->database);
	struct pgbouncer_pairs pairs;
	char *conninfo;

	pgbouncer_connstr(text ? text : pgbouncer_get(im->from, "databases", FALLBACK), &pairs);
	conninfo = pool_conninfo(im, asking->database, &pairs, asking->user);
	pgbouncer_pairs_clear(&pairs);
	return conninfo;
}

void
databases_write(struct import *im)
{
	for (unsigned i = 0; i < im->from->count; i++) {
		const struct pgbouncer_setting *s = &im->from->list[i];

		if (strcmp(s->section, "databases") == 0 &&
		    pgbouncer_get(im->from, "databases", s->key) == s->value)
			write_database(im, s);
	}
}
