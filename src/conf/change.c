/* change: how one snapshot follows another: SET changes a copy of it, and a reload takes over from
 * it what only a restart may change. The functions are in conf.h. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/words.h"
#include "conf/build.h"
#include "conf/expand.h"
#include "conf/pwcommand.h"
#include "conf/quote.h"
#include "conf/secret.h"
#include "conf/userlist.h"

#define SET_BY "SET by "

/* ---- a copy ---------------------------------------------------------------------------------- */

static void
copy_options(enum option_where where, void *to, const void *from)
{
	const struct conf_option *table;
	unsigned count;

	table = option_table(&count);
	for (unsigned i = 0; i < count; i++)
		if (table[i].where == where)
			option_copy(&table[i], to, from);
}

static struct conf_source *
copy_sources(const struct conf_source *from)
{
	struct conf_source *to;
	unsigned count;

	option_table(&count);
	to = mem_calloc(count, sizeof *to);
	memcpy(to, from, count * sizeof *to);
	return to;
}

/* The place of a file's name, or of "SET by ROLE", in c->files, from 1; added if it is new. */
static unsigned
file_number(struct conf *c, const char *name)
{
	for (unsigned i = 0; i < c->nfiles; i++)
		if (strcmp(c->files[i], name) == 0)
			return i + 1;
	c->files = mem_realloc(c->files, (c->nfiles + 1) * sizeof *c->files);
	c->files[c->nfiles++] = mem_strdup(name);
	return c->nfiles;
}

/* Copies the sections of clusters, roles and uids. */
static void
copy_limiting(struct conf *c, const struct conf *from)
{
	c->clusters = mem_calloc(from->nclusters + 1, sizeof *c->clusters);
	for (; c->nclusters < from->nclusters; c->nclusters++) {
		struct conf_cluster *to = &c->clusters[c->nclusters];

		to->snapshot = c;
		to->name = mem_strdup(from->clusters[c->nclusters].name);
		to->sources = copy_sources(from->clusters[c->nclusters].sources);
		copy_options(OPTION_CLUSTER, to, &from->clusters[c->nclusters]);
	}
	c->limits = mem_calloc(from->nlimits + 1, sizeof *c->limits);
	for (; c->nlimits < from->nlimits; c->nlimits++) {
		struct conf_limits *to = &c->limits[c->nlimits];

		to->snapshot = c;
		to->party = from->limits[c->nlimits].party;
		to->name = mem_strdup(from->limits[c->nlimits].name);
		to->sources = copy_sources(from->limits[c->nlimits].sources);
		copy_options(OPTION_LIMITS, to, &from->limits[c->nlimits]);
	}
}

static struct conf *
copy_snapshot(const struct conf *from)
{
	struct conf *c = mem_calloc(1, sizeof *c);

	c->references = 1;
	c->path = from->path ? mem_strdup(from->path) : NULL;
	for (unsigned i = 0; i < from->nfiles; i++)
		file_number(c, from->files[i]);
	c->sources = copy_sources(from->sources);
	copy_options(OPTION_PGWITH, c, from);
	c->userlist = userlist_keep(from->userlist);
	copy_options(OPTION_POOL, &c->defaults, &from->defaults);
	c->pools = mem_calloc(from->npools + 1, sizeof *c->pools);
	for (; c->npools < from->npools; c->npools++) {
		struct conf_pool *to = &c->pools[c->npools];

		to->snapshot = c;
		to->name = mem_strdup(from->pools[c->npools].name);
		to->sources = copy_sources(from->pools[c->npools].sources);
		copy_options(OPTION_POOL, to, &from->pools[c->npools]);
	}
	c->scopes = mem_calloc(from->nscopes + 1, sizeof *c->scopes);
	for (; c->nscopes < from->nscopes; c->nscopes++) {
		struct conf_scope *to = &c->scopes[c->nscopes];

		to->snapshot = c;
		to->name = mem_strdup(from->scopes[c->nscopes].name);
		to->sources = copy_sources(from->scopes[c->nscopes].sources);
		to->nargs = from->scopes[c->nscopes].nargs;
		copy_options(OPTION_SCOPE, to, &from->scopes[c->nscopes]);
	}
	copy_limiting(c, from);
	return c;
}

/* ---- SET ------------------------------------------------------------------------------------- */

/* The section that SET changes. */
struct target {
	enum option_where section;
	const char *kind; /* the word of the section, for people; NULL: [pgwith] */
	void *base;       /* struct conf_pool, conf_scope ... ; NULL: [pgwith] */
	struct conf_source *sources;
};

static char *
nearest_hint(const char *nearest)
{
	return nearest ? mem_printf("did you mean \"%s\"?", nearest) : NULL;
}

/* The section of limits of exactly that name, or NULL. */
static struct conf_limits *
find_limits(struct conf *c, enum conf_party party, const char *name)
{
	for (unsigned i = 0; i < c->nlimits; i++)
		if (c->limits[i].party == party && strcmp(c->limits[i].name, name) == 0)
			return &c->limits[i];
	return NULL;
}

static void
target_pool(struct conf *c, const char *name, struct target *t)
{
	struct conf_pool *pool = (struct conf_pool *)conf_pool(c, name);

	*t = (struct target){OPTION_POOL, "pool", pool, pool ? pool->sources : NULL};
}

static void
target_scope(struct conf *c, const char *name, struct target *t)
{
	struct conf_scope *scope = (struct conf_scope *)conf_scope(c, name);

	*t = (struct target){OPTION_SCOPE, "scope", scope, scope ? scope->sources : NULL};
}

static void
target_cluster(struct conf *c, const char *name, struct target *t)
{
	struct conf_cluster *cluster = (struct conf_cluster *)conf_cluster(c, name);

	*t = (struct target){OPTION_CLUSTER, "cluster", cluster, cluster ? cluster->sources : NULL};
}

static void
target_limits(struct conf *c, enum conf_party party, const char *name, struct target *t)
{
	struct conf_limits *limits = find_limits(c, party, name);

	*t = (struct target){OPTION_LIMITS,
			     party == CONF_PARTY_ROLE ? "section of role" : "section of uid",
			     limits, limits ? limits->sources : NULL};
}

/* The names of all sections of the target's kind. The caller frees the list. */
static const char **
names_of_kind(const struct conf *c, const struct target *t, unsigned *count)
{
	unsigned n = 0;
	const char **names =
	    mem_calloc(c->npools + c->nscopes + c->nclusters + c->nlimits + 1, sizeof *names);

	for (unsigned i = 0; t->section == OPTION_POOL && i < c->npools; i++)
		names[n++] = c->pools[i].name;
	for (unsigned i = 0; t->section == OPTION_SCOPE && i < c->nscopes; i++)
		names[n++] = c->scopes[i].name;
	for (unsigned i = 0; t->section == OPTION_CLUSTER && i < c->nclusters; i++)
		names[n++] = c->clusters[i].name;
	for (unsigned i = 0; t->section == OPTION_LIMITS && i < c->nlimits; i++)
		names[n++] = c->limits[i].name;
	*count = n;
	return names;
}

/* Returns false, with *why, if there is no such section. */
static bool
find_target(struct conf *c, const struct conf_change *change, struct target *t, char **why,
	    char **hint)
{
	const char *wanted = NULL, **names;
	unsigned count;
	char *quoted;

	*t = (struct target){.section = OPTION_PGWITH};
	if (change->pool)
		target_pool(c, wanted = change->pool, t);
	else if (change->scope)
		target_scope(c, wanted = change->scope, t);
	else if (change->cluster)
		target_cluster(c, wanted = change->cluster, t);
	else if (change->of_role)
		target_limits(c, CONF_PARTY_ROLE, wanted = change->of_role, t);
	else if (change->of_uid)
		target_limits(c, CONF_PARTY_UID, wanted = change->of_uid, t);
	if (wanted == NULL || t->base)
		return true;
	names = names_of_kind(c, t, &count);
	quoted = quote_text(wanted);
	*why = mem_printf("there is no %s %s", t->kind, quoted);
	*hint = nearest_hint(words_nearest(wanted, names, count));
	free(quoted);
	free(names);
	return false;
}

/* Where an option belongs, as SET says it. */
static const char *
place_in_set(const struct conf_option *o)
{
	switch (o->where) {
	case OPTION_POOL:
		return " FOR POOL NAME";
	case OPTION_SCOPE:
		return " FOR SCOPE NAME";
	case OPTION_CLUSTER:
		return " FOR CLUSTER NAME";
	case OPTION_LIMITS:
		return " FOR ROLE NAME, or FOR UID NUMBER";
	default:
		return "";
	}
}

static const char *
section_words(enum option_where section)
{
	switch (section) {
	case OPTION_POOL:
		return "a pool";
	case OPTION_SCOPE:
		return "a scope";
	case OPTION_CLUSTER:
		return "a cluster";
	case OPTION_LIMITS:
		return "a role or uid";
	default:
		return "[pgwith]";
	}
}

static const struct conf_option *
find_option(const struct conf_change *change, enum option_where section, char **why, char **hint)
{
	const struct conf_option *o = option_find_in(change->option, section);
	char *quoted = quote_text(change->option);

	if (o == NULL) {
		*why = mem_printf("unknown option %s", quoted);
		*hint = nearest_hint(option_nearest(change->option, section));
	} else if (!option_fits(o, section)) {
		*why = mem_printf("option %s is not one of %s", o->name, section_words(section));
		*hint = mem_printf("SET %s = VALUE%s", o->name, place_in_set(o));
		o = NULL;
	} else if (!o->reloadable) {
		*why = mem_printf("option %s cannot be changed without a restart", o->name);
		o = NULL;
	} else if (o->shown && pwcommand_is(change->value)) {
		/* Who may change options may not therefore run programs as the daemon's user. */
		*why = mem_printf("%s: a command can only stand in the file", o->name);
		*hint = mem_strdup("change the file, then RELOAD");
		o = NULL;
	} else if (o->repeats) {
		*why = mem_printf("option %s can only stand in the file", o->name);
		*hint = mem_strdup("change the file, then RELOAD");
		o = NULL;
	}
	free(quoted);
	return o;
}

/* Checks all pools, clusters and scopes after the change. Returns NULL, or the first problem. */
static char *
check_whole(struct conf *c)
{
	struct conf_problems problems = {NULL, 0};
	struct loading l = {.files = c->files, .nfiles = c->nfiles, .problems = &problems};
	char *why = NULL;

	for (unsigned i = 0; i < c->npools; i++)
		build_check_pool(&l, &c->pools[i], (struct place){0, 0});
	for (unsigned i = 0; i < c->npools; i++) {
		build_check_member(&l, c, &c->pools[i], (struct place){0, 0});
		build_check_read_only(&l, c, &c->pools[i]);
	}
	for (unsigned i = 0; i < c->nclusters; i++)
		build_check_cluster(&l, c, &c->clusters[i], (struct place){0, 0});
	for (unsigned i = 0; i < c->nscopes; i++)
		build_check_scope(&l, c, &c->scopes[i]);
	build_check_auth(&l, c);
	if (problems.count > 0)
		why = mem_strdup(problems.list[0].text);
	conf_problems_clear(&problems);
	return why;
}

static void
set_source(struct conf_source *sources, const struct conf_option *o, unsigned file, bool inherited)
{
	sources[option_index(o)] = (struct conf_source){file, 0, inherited};
}

/* Stores the value of SET. Returns NULL, or what is wrong with it. Who may change options may not
 * therefore read the environment of the daemon, which SHOW CONFIG would show. */
static char *
store_value(const struct conf_option *o, void *base, const char *value)
{
	char *why = NULL, *text = NULL;

	if (o->type != OPTION_STATEMENTS) {
		text = expand_nothing(value, &why);
		if (text == NULL)
			return why;
	}
	if (option_set(o, base, text ? text : value, &why, NULL) == 0)
		why = NULL;
	if (text)
		secret_free(text);
	return why;
}

/* Stores the value, and, if it is a default for all pools, in each pool that has no own one.
 * Returns NULL, or what is wrong with the value. */
static char *
change_value(struct conf *c, const struct conf_option *o, const struct target *t, const char *value,
	     unsigned file)
{
	void *base = t->base ? t->base : o->where == OPTION_POOL ? (void *)&c->defaults : (void *)c;
	char *why = store_value(o, base, value);

	if (why)
		return why;
	set_source(t->base ? t->sources : c->sources, o, file, false);
	for (unsigned i = 0; base == &c->defaults && i < c->npools; i++) {
		struct conf_pool *pool = &c->pools[i];

		if (!pool->sources[option_index(o)].inherited)
			continue;
		option_copy(o, pool, &c->defaults);
		set_source(pool->sources, o, file, true);
	}
	return NULL;
}

struct conf *
conf_changed(const struct conf *old, const struct conf_change *change, char **why, char **hint)
{
	struct conf *c = copy_snapshot(old);
	const struct conf_option *o = NULL;
	char *by = mem_printf(SET_BY "%s", change->role);
	struct target t;

	*why = *hint = NULL;
	if (find_target(c, change, &t, why, hint))
		o = find_option(change, t.section, why, hint);
	if (o) {
		char *wrong = change_value(c, o, &t, change->value, file_number(c, by));

		if (strcmp(o->name, "auth_file") == 0) {
			userlist_drop(c->userlist);
			c->userlist = NULL; /* check_whole() reads it */
		}
		if (wrong)
			*why = mem_printf("%s: %s", o->name, wrong);
		else
			*why = check_whole(c);
		free(wrong);
	}
	free(by);
	if (*why) {
		conf_free(c);
		return NULL;
	}
	return c;
}

/* ---- a reload -------------------------------------------------------------------------------- */

struct comparing {
	struct conf *next;
	const struct conf *running;
	conf_tell *tell;
	void *arg;
};

/* Tells the differences of one section, and takes over what only a restart may change. `next` and
 * `running` are what the options' offsets are of: a conf, conf_pool or conf_scope. */
static void
compare_section(const struct comparing *c, enum option_where where, const char *section, void *next,
		struct conf_source *next_sources, const void *running,
		const struct conf_source *running_sources)
{
	const struct conf_option *table;
	unsigned count;

	table = option_table(&count);
	for (unsigned i = 0; i < count; i++) {
		const struct conf_option *o = &table[i];
		struct conf_source from = running_sources[i];
		char *was, *is;

		if (o->where != where || option_same(o, next, running))
			continue;
		was = o->type == OPTION_STATEMENTS ? NULL : option_text(o, running);
		is = o->type == OPTION_STATEMENTS ? NULL : option_text(o, next);
		c->tell(c->arg,
			&(struct conf_difference){section, o->name, was, is, !o->reloadable});
		free(was);
		free(is);
		if (o->reloadable)
			continue;
		option_copy(o, next, running);
		if (from.file)
			from.file = file_number(c->next, c->running->files[from.file - 1]);
		next_sources[i] = from;
	}
}

/* The same for a section that has a name. */
static void
compare_named(const struct comparing *c, enum option_where where, const char *kind,
	      const char *name, void *next, struct conf_source *next_sources, const void *running,
	      const struct conf_source *running_sources)
{
	char *section = mem_printf("%s %s", kind, name);

	compare_section(c, where, section, next, next_sources, running, running_sources);
	free(section);
}

static void
compare_pool(const struct comparing *c, const struct conf_pool *running)
{
	struct conf_pool *next = (struct conf_pool *)conf_pool(c->next, running->name);

	if (next)
		compare_named(c, OPTION_POOL, "pool", running->name, next, next->sources, running,
			      running->sources);
}

void
conf_take_pool(struct conf *next, const struct conf_pool *running, conf_tell *tell, void *arg)
{
	struct comparing c = {next, running->snapshot, tell, arg};

	compare_pool(&c, running);
}

void
conf_take_over(struct conf *next, const struct conf *running, conf_tell *tell, void *arg)
{
	struct comparing c = {next, running, tell, arg};

	compare_section(&c, OPTION_PGWITH, "pgwith", next, next->sources, running,
			running->sources);
	for (unsigned i = 0; i < running->nscopes; i++) {
		const struct conf_scope *was = &running->scopes[i];
		struct conf_scope *is = (struct conf_scope *)conf_scope(next, was->name);

		if (is)
			compare_named(&c, OPTION_SCOPE, "scope", was->name, is, is->sources, was,
				      was->sources);
	}
	for (unsigned i = 0; i < running->nclusters; i++) {
		const struct conf_cluster *was = &running->clusters[i];
		struct conf_cluster *is = (struct conf_cluster *)conf_cluster(next, was->name);

		if (is)
			compare_named(&c, OPTION_CLUSTER, "cluster", was->name, is, is->sources,
				      was, was->sources);
	}
	for (unsigned i = 0; i < running->nlimits; i++) {
		const struct conf_limits *was = &running->limits[i];
		struct conf_limits *is = find_limits(next, was->party, was->name);

		if (is)
			compare_named(&c, OPTION_LIMITS, conf_party_name(was->party), was->name, is,
				      is->sources, was, was->sources);
	}
}
