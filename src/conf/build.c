#include "conf/build.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/words.h"
#include "conf/auth.h"
#include "conf/quote.h"
#include "conf/socket.h"
#include "conf/userlist.h"

/* Stores one option. False if its value is wrong, which is reported here. */
static bool
set_option(struct loading *l, const struct setting *s, void *base, struct conf_source *sources)
{
	struct place place = s->place;
	unsigned row = 0;
	char *why;

	/* Noted even if the value is wrong, so that the option is not also reported as missing. */
	sources[option_index(s->option)] = (struct conf_source){place.file + 1, place.line, false};
	if (s->broken)
		return false;
	if (option_set(s->option, base, s->value, &why, &row) == 0)
		return true;
	if (s->option->type == OPTION_STATEMENTS) {
		place.line += row;
		loading_problem(l, place, "%s: %s", s->option->name, why);
	} else if (s->last_line > place.line) {
		loading_problem(l, place, "%s: %s (its indented lines, to line %u, continue it)",
				s->option->name, why, s->last_line);
	} else {
		loading_problem(l, place, "%s: %s", s->option->name, why);
	}
	free(why);
	return false;
}

/* Stores the options in [pgwith]. */
static void
set_common(struct loading *l, struct conf *c)
{
	for (unsigned i = 0; i < l->nsettings; i++) {
		const struct setting *s = &l->settings[i];

		if (l->sections[s->section].kind == SECTION_PGWITH)
			set_option(l, s, s->option->where == OPTION_POOL ? (void *)&c->defaults : c,
				   c->sources);
	}
}

/* Stores the options in the section of a pool or scope. False if any value is wrong. */
static bool
set_own(struct loading *l, unsigned section, void *base, struct conf_source *sources)
{
	bool good = true;

	for (unsigned i = 0; i < l->nsettings; i++)
		if (l->settings[i].section == section)
			good &= set_option(l, &l->settings[i], base, sources);
	return good;
}

/* Has a problem been reported in the line that sets the option? */
static bool
is_reported(const struct loading *l, const struct conf_source *from)
{
	for (unsigned i = 0; i < l->problems->count; i++)
		if (from->line && l->problems->list[i].line == from->line &&
		    l->problems->list[i].order == from->file - 1)
			return true;
	return false;
}

/* The line that sets an option, if it is behind `place` in the same file, else `place`. */
static struct place
later(struct place place, const struct conf_source *from)
{
	if (from->file == place.file + 1 && from->line > place.line)
		place.line = from->line;
	return place;
}

void
build_check_pool(struct loading *l, const struct conf_pool *pool, struct place place)
{
	const struct conf_source *conninfo = &pool->sources[option_index(option_find("conninfo"))],
				 *min = &pool->sources[option_index(option_find("min_size"))],
				 *size = &pool->sources[option_index(option_find("size"))];

	if (pool->conninfo == NULL && conninfo->file == 0)
		loading_problem(l, place,
				"pool \"%s\" has no conninfo: expected one, like conninfo = "
				"host=/run/postgresql dbname=app user=app",
				pool->name);
	/* If one of the numbers was refused, its default was compared here: that means nothing. */
	if (pool->min_size <= pool->size || is_reported(l, min) || is_reported(l, size))
		return;
	/* Reported at the line in the pool's section that sets one of them, else at its first. */
	loading_problem(
	    l, later(later(place, min), size),
	    "pool \"%s\": min_size (%lld) is larger than size (%lld): raise size, or lower "
	    "min_size",
	    pool->name, (long long)pool->min_size, (long long)pool->size);
}

static void
add_pool(struct loading *l, struct conf *c, unsigned section)
{
	const struct conf_option *table;
	struct conf_pool *pool = &c->pools[c->npools++];
	unsigned count;

	table = option_table(&count);
	pool->snapshot = c;
	pool->name = mem_strdup(l->sections[section].name);
	pool->sources = mem_calloc(count, sizeof *pool->sources);
	for (unsigned i = 0; i < count; i++) {
		if (table[i].where != OPTION_POOL)
			continue;
		option_copy(&table[i], pool, &c->defaults);
		pool->sources[i] = c->sources[i];
		pool->sources[i].inherited = true;
	}
	set_own(l, section, pool, pool->sources);
	build_check_pool(l, pool, l->sections[section].place);
}

/* The line that sets an option of a scope. */
static struct place
option_place(const struct conf_scope *scope, const struct conf_option *o)
{
	const struct conf_source *from = &scope->sources[option_index(o)];

	return (struct place){from->file ? from->file - 1 : 0, from->line};
}

/* Is there the pool that the option at `place` names? */
static bool
check_pool_name(struct loading *l, const struct conf *c, struct place place, const char *option,
		const char *name)
{
	const char **names, *nearest;
	char *quoted;

	/* If a section could not be understood, it may be that pool. */
	if (conf_pool(c, name) || l->lost)
		return true;
	names = mem_calloc(c->npools + 1, sizeof *names);
	for (unsigned i = 0; i < c->npools; i++)
		names[i] = c->pools[i].name;
	nearest = words_nearest(name, names, c->npools);
	quoted = quote_text(name);
	loading_problem(l, place, "%s: there is no pool %s%s%s%s", option, quoted,
			nearest ? "; did you mean \"" : "", nearest ? nearest : "",
			nearest ? "\"?" : "");
	free(quoted);
	free(names);
	return false;
}

static void
check_scope_pool(struct loading *l, const struct conf *c, const struct conf_scope *scope)
{
	if (*scope->pool)
		check_pool_name(l, c, option_place(scope, option_find("pool")), "pool",
				scope->pool);
}

void
build_check_read_only(struct loading *l, const struct conf *c, const struct conf_pool *pool)
{
	const struct conf_source *from = &pool->sources[option_index(option_find("read_only"))];
	struct place place = {from->file ? from->file - 1 : 0, from->line};
	const struct conf_pool *to = pool;

	if (*pool->read_only == '\0' || !check_pool_name(l, c, place, "read_only", pool->read_only))
		return;
	if (pool->mode == CONF_SESSION)
		loading_problem(
		    l, place,
		    "read_only: pool \"%s\" has mode = session, in which a session keeps "
		    "one server: expected mode = transaction or statement",
		    pool->name);
	for (unsigned i = 0; i <= c->npools && to && *to->read_only; i++) {
		to = conf_pool(c, to->read_only);
		if (to != pool)
			continue;
		loading_problem(l, place,
				i == 0
				    ? "read_only: pool \"%s\" names itself: expected another pool"
				    : "read_only: pool \"%s\" comes back to itself by the "
				      "read_only of the pool that it names",
				pool->name);
		return;
	}
}

void
build_check_member(struct loading *l, const struct conf *c, const struct conf_pool *pool,
		   struct place place)
{
	const struct conf_source *from = &pool->sources[option_index(option_find("cluster"))];
	const char **names, *nearest;
	char *quoted;

	/* If a section could not be understood, it may be that cluster. */
	if (*pool->cluster == '\0' || conf_cluster(c, pool->cluster) || l->lost)
		return;
	names = mem_calloc(c->nclusters + 1, sizeof *names);
	for (unsigned i = 0; i < c->nclusters; i++)
		names[i] = c->clusters[i].name;
	nearest = words_nearest(pool->cluster, names, c->nclusters);
	quoted = quote_text(pool->cluster);
	loading_problem(l, from->file ? (struct place){from->file - 1, from->line} : place,
			"cluster: there is no section [cluster %s]%s%s%s", quoted,
			nearest ? "; did you mean \"" : "", nearest ? nearest : "",
			nearest ? "\"?" : "");
	free(quoted);
	free(names);
}

void
build_check_cluster(struct loading *l, const struct conf *c, const struct conf_cluster *cluster,
		    struct place place)
{
	const struct conf_source *limit =
	    &cluster->sources[option_index(option_find("server_limit"))];
	const char *without = NULL; /* a pool that keeps none */
	long long kept = 0;

	if (cluster->server_limit == 0) {
		if (limit->file == 0)
			loading_problem(l, place,
					"cluster \"%s\" has no server_limit: expected one, like "
					"server_limit = 80",
					cluster->name);
		return;
	}
	for (unsigned i = 0; i < c->npools; i++) {
		const struct conf_pool *pool = &c->pools[i];
		int64_t keeps = pool->role == CONF_ROLE_FIXED ? pool->min_size : 0;

		if (strcmp(pool->cluster, cluster->name) != 0)
			continue;
		kept += keeps;
		if (keeps == 0)
			without = pool->name;
	}
	if (kept == cluster->server_limit && without)
		loading_problem(l, later(place, limit),
				"cluster \"%s\": the min_size of its pools takes all of "
				"server_limit (%lld), and pool \"%s\" could never have a server: "
				"raise server_limit, or lower min_size",
				cluster->name, (long long)cluster->server_limit, without);
	if (kept > cluster->server_limit)
		loading_problem(l, later(place, limit),
				"cluster \"%s\": the min_size of its pools (%lld together) is "
				"more than server_limit (%lld): raise server_limit, or lower "
				"min_size",
				cluster->name, kept, (long long)cluster->server_limit);
}

static void
add_cluster(struct loading *l, struct conf *c, unsigned section)
{
	struct conf_cluster *cluster = &c->clusters[c->nclusters++];
	unsigned count;

	option_table(&count);
	cluster->snapshot = c;
	cluster->name = mem_strdup(l->sections[section].name);
	cluster->sources = mem_calloc(count, sizeof *cluster->sources);
	set_own(l, section, cluster, cluster->sources);
	build_check_cluster(l, c, cluster, l->sections[section].place);
}

static void
add_limits(struct loading *l, struct conf *c, unsigned section, enum conf_party party)
{
	const struct conf_option *table;
	struct conf_limits *limits = &c->limits[c->nlimits++];
	unsigned count;

	table = option_table(&count);
	limits->snapshot = c;
	limits->party = party;
	limits->name = mem_strdup(l->sections[section].name);
	limits->sources = mem_calloc(count, sizeof *limits->sources);
	for (unsigned i = 0; i < count; i++)
		if (table[i].where == OPTION_LIMITS)
			option_set_default(&table[i], limits);
	set_own(l, section, limits, limits->sources);
}

/* Adds the sections of clusters, roles and uids, when the pools are known. */
static void
add_limiting(struct loading *l, struct conf *c)
{
	unsigned pool = 0;

	c->clusters = mem_calloc(l->nsections, sizeof *c->clusters);
	c->limits = mem_calloc(l->nsections, sizeof *c->limits);
	for (unsigned i = 0; i < l->nsections; i++) {
		if (l->sections[i].kind == SECTION_CLUSTER)
			add_cluster(l, c, i);
		else if (l->sections[i].kind == SECTION_ROLE)
			add_limits(l, c, i, CONF_PARTY_ROLE);
		else if (l->sections[i].kind == SECTION_UID)
			add_limits(l, c, i, CONF_PARTY_UID);
	}
	for (unsigned i = 0; i < l->nsections; i++)
		if (l->sections[i].kind == SECTION_POOL)
			build_check_member(l, c, &c->pools[pool++], l->sections[i].place);
}

static unsigned
highest_arg(uint64_t args)
{
	unsigned n = 0;

	for (; args; args >>= 1)
		n++;
	return n;
}

/* Counts the arguments ($1 ...) of all statements. Every one up to the highest must be used. */
static void
count_args(struct loading *l, struct conf_scope *scope)
{
	const struct conf_option *table, *last = NULL;
	uint64_t used = 0;
	unsigned count, missing = 1;

	table = option_table(&count);
	scope->nargs = 0;
	for (unsigned i = 0; i < count; i++) {
		const struct conf_statements *s = NULL;

		if (table[i].where == OPTION_SCOPE)
			s = option_statements(&table[i], scope);
		for (unsigned k = 0; s && k < s->count; k++) {
			used |= s->list[k].args;
			if (highest_arg(used) > scope->nargs) {
				scope->nargs = highest_arg(used);
				last = &table[i];
			}
		}
	}
	while (missing < scope->nargs && used >> (missing - 1) & 1)
		missing++;
	if (missing < scope->nargs)
		loading_problem(l, option_place(scope, last),
				"%s: $%u is used, but $%u nowhere in scope \"%s\"", last->name,
				scope->nargs, missing, scope->name);
}

void
build_check_scope(struct loading *l, const struct conf *c, struct conf_scope *scope)
{
	check_scope_pool(l, c, scope);
	count_args(l, scope);
}

static void
add_scope(struct loading *l, struct conf *c, unsigned section)
{
	const struct conf_option *table;
	struct conf_scope *scope = &c->scopes[c->nscopes++];
	unsigned count;
	bool good;

	table = option_table(&count);
	scope->snapshot = c;
	scope->name = mem_strdup(l->sections[section].name);
	scope->sources = mem_calloc(count, sizeof *scope->sources);
	for (unsigned i = 0; i < count; i++)
		if (table[i].where == OPTION_SCOPE)
			option_set_default(&table[i], scope);
	good = set_own(l, section, scope, scope->sources);
	/* Arguments that seem to be missing may stand in statements that were refused. */
	if (good)
		build_check_scope(l, c, scope);
	else
		check_scope_pool(l, c, scope);
}

static void
check_socket(struct loading *l, const struct conf *c)
{
	const struct conf_source *from = &c->sources[option_index(option_find("listen"))];
	struct place place = {from->file ? from->file - 1 : 0, from->line};
	char *path = conf_socket(c), *why = socket_check_directory(c->listen);

	/* If the directory alone is wrong, that has been reported. */
	if (why == NULL && strlen(path) > SOCKET_PATH_MAX)
		loading_problem(
		    l, place,
		    "listen: too long: the path of the socket has %zu bytes; the system's "
		    "maximum is %d",
		    strlen(path), SOCKET_PATH_MAX);
	free(why);
	free(path);
}

/* ---- who may come in ---- */

/* The line that sets an option of [pgwith]; the whole file if none does. */
static struct place
place_of(const struct conf *c, const char *option)
{
	const struct conf_source *from = &c->sources[option_index(option_find(option))];

	return (struct place){from->file ? from->file - 1 : 0, from->line};
}

struct users_problem {
	struct loading *l;
	const struct conf *c;
};

static void
report_user(void *arg, unsigned line, const char *why)
{
	struct users_problem *u = arg;
	struct place place = place_of(u->c, "auth_file");

	if (line > 0)
		loading_problem(u->l, place, "auth_file: %s:%u: %s", u->c->auth_file, line, why);
	else
		loading_problem(u->l, place, "auth_file: %s: %s", u->c->auth_file, why);
}

static void
check_auth_pool(struct loading *l, const struct conf *c)
{
	const struct conf_pool *pool = conf_pool(c, c->auth_pool);
	char *quoted = quote_text(c->auth_pool);

	if (*c->auth_pool && pool == NULL && !l->lost)
		loading_problem(l, place_of(c, "auth_pool"), "auth_pool: there is no pool %s",
				quoted);
	else if (pool && pool->role == CONF_ROLE_CLIENT)
		loading_problem(l, place_of(c, "auth_pool"),
				"auth_pool: pool %s has role = client, so that it is not known as "
				"whom to ask: expected a pool with role = fixed",
				quoted);
	free(quoted);
}

void
build_check_auth(struct loading *l, struct conf *c)
{
	static const char *const options[] = {"auth", "auth_console"};
	const char *const values[] = {c->auth, c->auth_console};
	struct users_problem u = {l, c};

	if (*c->auth_file && c->userlist == NULL)
		c->userlist = userlist_read(c->auth_file, report_user, &u);
	check_auth_pool(l, c);
	for (unsigned i = 0; i < sizeof options / sizeof *options; i++)
		if (auth_methods(values[i]) & AUTH_SCRAM && *c->auth_file == 0 &&
		    *c->auth_pool == 0)
			loading_problem(l, place_of(c, options[i]),
					"%s: scram-sha-256 needs the passwords of roles: expected "
					"auth_file, auth_pool, or both",
					options[i]);
}

/* Stores the patterns of included files as the value of the option include, for SHOW CONFIG. */
static void
note_inclusions(struct loading *l, struct conf *c)
{
	for (unsigned i = 0; i < l->ninclusions; i++) {
		char *all =
		    mem_printf("%s%s%s", c->include, i ? ", " : "", l->inclusions[i].pattern);

		free(c->include);
		c->include = all;
	}
	if (l->ninclusions > 0)
		c->sources[option_index(option_find("include"))] =
		    (struct conf_source){1, l->inclusions[0].place.line, false};
}

struct conf *
build_snapshot(struct loading *l)
{
	const struct conf_option *table;
	struct conf *c = mem_calloc(1, sizeof *c);
	unsigned count;

	table = option_table(&count);
	c->references = 1;
	c->nfiles = l->nfiles;
	c->files = mem_calloc(l->nfiles, sizeof *c->files);
	for (unsigned i = 0; i < l->nfiles; i++)
		c->files[i] = mem_strdup(l->files[i]);
	c->sources = mem_calloc(count, sizeof *c->sources);
	for (unsigned i = 0; i < count; i++)
		if (table[i].where == OPTION_PGWITH || table[i].where == OPTION_POOL)
			option_set_default(
			    &table[i], table[i].where == OPTION_POOL ? (void *)&c->defaults : c);
	set_common(l, c);
	note_inclusions(l, c);
	check_socket(l, c);
	c->pools = mem_calloc(l->nsections, sizeof *c->pools);
	for (unsigned i = 0; i < l->nsections; i++)
		if (l->sections[i].kind == SECTION_POOL)
			add_pool(l, c, i);
	add_limiting(l, c);
	c->scopes = mem_calloc(l->nsections, sizeof *c->scopes);
	for (unsigned i = 0; i < l->nsections; i++)
		if (l->sections[i].kind == SECTION_SCOPE)
			add_scope(l, c, i);
	build_check_auth(l, c);
	for (unsigned i = 0; i < c->npools; i++)
		build_check_read_only(l, c, &c->pools[i]);
	if (c->npools == 0 && !l->lost)
		loading_problem(l, (struct place){0, 0},
				"no pool: expected at least one section [pool NAME]");
	return c;
}
