#include "conf/given.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/words.h"
#include "conf/quote.h"
#include "conf/secret.h"

static struct place
here(const struct loading *l)
{
	return (struct place){l->nfiles - 1, 0};
}

/* ---- sections -------------------------------------------------------------------------------- */

/* The section of that kind and name, which is NULL for [pgwith]. Returns l->nsections if there is
 * none. */
static unsigned
find_section(const struct loading *l, enum section_kind kind, const char *name)
{
	unsigned i = 0;

	while (i < l->nsections &&
	       (l->sections[i].kind != kind || (name && strcmp(l->sections[i].name, name) != 0)))
		i++;
	return i;
}

static void
report_no_section(struct loading *l, const char *kind, enum section_kind is, const char *name,
		  const char *said)
{
	const char **names = mem_calloc(l->nsections, sizeof *names), *nearest;
	char *quoted = quote_text(name);
	unsigned n = 0;

	for (unsigned i = 0; i < l->nsections; i++)
		if (l->sections[i].kind == is)
			names[n++] = l->sections[i].name;
	nearest = words_nearest(name, names, n);
	/* If a section could not be understood, it may be that one. */
	if (!l->lost)
		loading_problem(l, here(l), "%s: there is no %s %s%s%s%s", said, kind, quoted,
				nearest ? "; did you mean \"" : "", nearest ? nearest : "",
				nearest ? "\"?" : "");
	free(quoted);
	free(names);
}

/* ---- options --------------------------------------------------------------------------------- */

/* Sets the option; `value` may have blanks around it. */
static void
add_setting(struct loading *l, unsigned section, const struct conf_option *o, const char *said,
	    const char *value)
{
	size_t bytes = strlen(value);
	char *text, *why;

	while (isspace((unsigned char)*value)) {
		value++;
		bytes--;
	}
	while (bytes > 0 && isspace((unsigned char)value[bytes - 1]))
		bytes--;
	text = mem_strndup(value, bytes);
	/* As in a file: only SQL has lines. */
	why = o->type != OPTION_STATEMENTS && quote_has_control(text)
		  ? mem_strdup("it has a line end or another control character")
		  : loading_add(l, o, section, text, here(l));
	if (why)
		loading_problem(l, here(l), "%s: %s", said, why);
	free(why);
	secret_free(text);
}

static void
report_unknown(struct loading *l, const char *said, const char *name, enum option_where where)
{
	const char *nearest = option_nearest(name, where), *ours = option_of_pgbouncer(name);
	char *quoted = quote_text(name);

	if (ours)
		loading_problem(l, here(l), "%s: unknown option %s: PgBouncer's is here %s", said,
				quoted, ours);
	else if (nearest)
		loading_problem(l, here(l), "%s: unknown option %s; did you mean \"%s\"?", said,
				quoted, nearest);
	else
		loading_problem(l, here(l), "%s: unknown option %s; see pgwith.conf(5)", said,
				quoted);
	free(quoted);
}

/* Sets an option of a section. `name`: of the section; NULL: [pgwith]. `said`: the argument, up to
 * its value. */
static void
set_in(struct loading *l, enum section_kind kind, const char *name, const char *option,
       const char *said, const char *value)
{
	enum option_where where = loading_options(kind);
	const struct conf_option *o = option_find_in(option, where);
	unsigned section = find_section(l, kind, name);

	if (section == l->nsections && kind != SECTION_PGWITH) {
		report_no_section(l, loading_word(kind), kind, name, said);
		return;
	}
	if (o == NULL) {
		report_unknown(l, said, option, where);
		return;
	}
	if (!option_fits(o, where) || o->repeats) {
		loading_problem(
		    l, here(l), "%s: %s", said,
		    o->repeats                  ? "it can only stand in a file"
		    : o->where == OPTION_PGWITH ? "it is one of [pgwith]: -o OPTION=VALUE"
		    : o->where == OPTION_POOL   ? "it is one of a pool: -o pool.NAME.OPTION=VALUE"
		    : o->where == OPTION_SCOPE  ? "it is one of a scope: -o scope.NAME.OPTION=VALUE"
		    : o->where == OPTION_CLUSTER
			? "it is one of a cluster: -o cluster.NAME.OPTION=VALUE"
			: "it is one of a role or uid: -o role.NAME.OPTION=VALUE or "
			  "uid.NUMBER.OPTION=VALUE");
		return;
	}
	if (section == l->nsections)
		section = loading_section(l, kind, NULL, here(l));
	add_setting(l, section, o, said, value);
}

/* -o OPTION=VALUE; KIND.NAME.OPTION=VALUE with pool, scope, cluster, role or uid as KIND. */
static void
add_option(struct loading *l, const char *text)
{
	static const struct {
		const char *front;
		enum section_kind kind;
	} kinds[] = {{"pool.", SECTION_POOL},
		     {"scope.", SECTION_SCOPE},
		     {"cluster.", SECTION_CLUSTER},
		     {"role.", SECTION_ROLE},
		     {"uid.", SECTION_UID}};
	const char *equals = strchr(text, '=');
	char *name, *last, *said;
	bool found = false;

	if (equals == NULL) {
		/* What stands behind the name may be a secret: pool.orders.password:SECRET. */
		size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					"0123456789_.-*");
		char *front = mem_strndup(text, n), *quoted = quote_text(front);

		loading_problem(l, here(l), "-o %s%s: expected OPTION=VALUE", quoted,
				text[n] ? " ..." : "");
		free(quoted);
		free(front);
		return;
	}
	name = mem_strndup(text, (size_t)(equals - text));
	while (*name && isspace((unsigned char)name[strlen(name) - 1]))
		name[strlen(name) - 1] = '\0';
	said = mem_printf("-o %s", name);
	last = strrchr(name, '.');
	for (unsigned i = 0; last && i < sizeof kinds / sizeof *kinds && !found; i++) {
		size_t n = strlen(kinds[i].front);
		char *section;

		found = strncmp(name, kinds[i].front, n) == 0 && last >= name + n;
		if (!found)
			continue;
		section = mem_strndup(name + n, (size_t)(last - name) - n);
		set_in(l, kinds[i].kind, section, last + 1, said, equals + 1);
		free(section);
	}
	if (!found)
		set_in(l, SECTION_PGWITH, NULL, name, said, equals + 1);
	free(said);
	free(name);
}

/* --pool NAME=CONNINFO. */
static void
add_pool(struct loading *l, const char *text)
{
	const char *equals = strchr(text, '='), *wrong;
	unsigned section;
	char *name, *said;

	if (equals == NULL || equals == text) {
		loading_problem(
		    l, here(l),
		    "--pool: expected NAME=CONNINFO, like 'orders=host=db dbname=orders'");
		return;
	}
	name = mem_strndup(text, (size_t)(equals - text));
	said = mem_printf("--pool %s", name);
	wrong = loading_name_problem(SECTION_POOL, name);
	section = find_section(l, SECTION_POOL, name);
	if (wrong) {
		char *quoted = quote_text(name);

		loading_problem(l, here(l), "--pool: a pool cannot be named %s: %s", quoted, wrong);
		free(quoted);
	} else {
		if (section == l->nsections)
			section = loading_section(l, SECTION_POOL, name, here(l));
		add_setting(l, section, option_find("conninfo"), said, equals + 1);
	}
	free(said);
	free(name);
}

void
given_add(struct loading *l, const struct conf_input *in)
{
	if (in->narguments == 0)
		return;
	loading_file(l, CONF_COMMAND_LINE);
	/* First the pools: an option may be one of theirs, wherever it stands. */
	for (unsigned i = 0; i < in->narguments; i++)
		if (in->arguments[i].kind == CONF_ARGUMENT_POOL)
			add_pool(l, in->arguments[i].text);
	for (unsigned i = 0; i < in->narguments; i++)
		if (in->arguments[i].kind == CONF_ARGUMENT_LISTEN)
			set_in(l, SECTION_PGWITH, NULL, "listen", "--listen",
			       in->arguments[i].text);
		else if (in->arguments[i].kind == CONF_ARGUMENT_OPTION)
			add_option(l, in->arguments[i].text);
}
