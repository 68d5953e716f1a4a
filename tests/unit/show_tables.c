/* show_tables: prints the tables that the manual and the sample file are made from and checked
 * against, for manual.sh.
 *	options		the list of all options, in mdoc(7)
 *	errors		name and SQLSTATE of every error, one a line
 *	commands	of the console: level, level for sessions of others, least and most
 *			arguments (-: any number), whether SHOW HELP lists it, and the words
 *	sample		the sample file
 *	metrics		the list of all metrics, in mdoc(7) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/command.h"
#include "admin/metrics.h"
#include "base/err.h"
#include "conf/option.h"

/* Text in lines of at most 78 characters, each behind `prefix`; with `sentences`, every sentence
 * begins a line, as mdoc(7) wants it. */
static void
wrap(const char *prefix, const char *text, bool sentences)
{
	size_t column = 0;

	while (*text) {
		size_t n = strcspn(text, " ");

		if (column > 0 && strlen(prefix) + column + 1 + n > 78) {
			printf("\n");
			column = 0;
		}
		column += printf("%s%.*s", column ? " " : prefix, (int)n, text);
		/* A line that begins with a full stop would be a macro. */
		if (sentences && n > 0 && text[n - 1] == '.') {
			printf("\n");
			column = 0;
		}
		text += n + (text[n] != '\0');
	}
	if (column > 0)
		printf("\n");
}

static void
mdoc_option(const struct conf_option *o)
{
	char *range = option_range(o);
	const char *unit = option_bare_unit(o), *text = o->default_text;

	range[0] -= 'a' - 'A';
	printf(".It Ic %s\n%s", o->name, range);
	if (unit)
		printf("; a bare number is in %s", unit);
	printf("; %s%s.\n", text ? "default " : "no default", text ? *text ? text : "empty" : "");
	printf(".br\n");
	wrap("", o->help, true);
	if (!o->reloadable)
		printf("A change needs a restart.\n");
	free(range);
}

static void
options(void)
{
	const struct conf_option *table;
	unsigned count;

	table = option_table(&count);
	static const char *const heads[] = {
	    [OPTION_PGWITH] = ".Ss Section [pgwith]\n",
	    [OPTION_POOL] = ".Ss Section [pool NAME]\n"
			    "Each of these may also stand in section\n"
			    ".Li [pgwith] ,\n"
			    "as the default for all pools.\n",
	    [OPTION_SCOPE] = ".Ss Section [scope NAME]\n"
			     "None of these may stand anywhere else; each can be left out.\n",
	    [OPTION_CLUSTER] = ".Ss Section [cluster NAME]\n",
	    [OPTION_LIMITS] = ".Ss Sections [role NAME] and [uid NUMBER]\n"
			      "Each of these can be left out.\n",
	};

	for (int where = OPTION_PGWITH; where <= OPTION_LIMITS; where++) {
		printf("%s", heads[where]);
		printf(".Bl -tag -width Ds\n");
		for (unsigned i = 0; i < count; i++)
			if ((int)table[i].where == where)
				mdoc_option(&table[i]);
		printf(".El\n");
	}
}

static void
sample(void)
{
	static const char *const heads[] = {
	    [OPTION_PGWITH] = "[pgwith]\n",
	    [OPTION_POOL] = "# One section for each pool; its name is the database name that "
			    "clients ask for.\n"
			    "# All but the name may also stand in [pgwith], as the default for all "
			    "pools.\n[pool app]\n",
	    [OPTION_SCOPE] =
		"# One section for each scope that is to have a name and statements of "
		"its own. With\n#\n"
		"#\t[scope tenant]\n"
		"#\tenter = SELECT set_config('app.tenant', $1, true)\n#\n"
		"# a client writes ENTER tenant ('42'). pgwith.conf(5) has more.\n"
		"#[scope tenant]\n",
	    [OPTION_CLUSTER] =
		"# One section for each PostgreSQL server that several pools reach, and whose\n"
		"# connections they share: those with cluster = main.\n"
		"#[cluster main]\n",
	    [OPTION_LIMITS] =
		"# One section for each role of clients that has limits, or [uid NUMBER] "
		"for each\n# system user; [role *] and [uid *] are for all that have no "
		"section of their own.\n"
		"#[role batch]\n",
	};
	const struct conf_option *table;
	unsigned count;

	table = option_table(&count);
	printf("# The configuration of pgwithd. See pgwith.conf(5). Copy it to\n"
	       "# /etc/pgwith/pgwith.conf (mode 0640 if it holds a password), and check it with\n"
	       "#\n#	pgwithd -t\n#\n"
	       "# An option behind a # has its default.\n\n");
	for (int where = OPTION_PGWITH; where <= OPTION_LIMITS; where++) {
		printf("%s", heads[where]);
		for (unsigned i = 0; i < count; i++) {
			const struct conf_option *o = &table[i];
			char *range = option_range(o);

			if ((int)o->where != where)
				goto next;
			wrap("# ", o->help, false);
			if (o->type != OPTION_STRING)
				printf("# %c%s.\n", range[0] - 'a' + 'A', range + 1);
			if (o->repeats)
				printf("#%s = /etc/pgwith/conf.d/*.conf\n\n", o->name);
			else if (o->default_text)
				printf("#%s =%s%s\n\n", o->name, *o->default_text ? " " : "",
				       o->default_text);
			else if (o->where == OPTION_CLUSTER)
				printf("#%s = 80\n\n", o->name);
			else
				printf("%s = host=/run/postgresql dbname=app user=app\n\n",
				       o->name);
		next:
			free(range);
		}
	}
}

static void
mdoc_metric(const struct metric *m)
{
	const char *ends[] = {[EXPOSITION_COUNTER] = "_total", [EXPOSITION_INFO] = "_info"};
	const char *end =
	    m->type == EXPOSITION_COUNTER || m->type == EXPOSITION_INFO ? ends[m->type] : "";

	printf(".It Li %s%s\n", m->name, end);
	printf("A %s", exposition_type_name(m->type));
	if (*m->unit)
		printf(" in %s", m->unit);
	if (*m->labels)
		printf(", by %s", m->labels);
	printf(".\n.br\n");
	wrap("", m->help, true);
}

static void
metrics(void)
{
	const struct metric *table;
	unsigned count;

	table = metrics_table(&count);
	for (unsigned i = 0; i < count; i++)
		mdoc_metric(&table[i]);
}

static void
errors(void)
{
	for (int id = ERR_NONE + 1; id < ERR_N; id++)
		printf("%s %s\n", err_kind(id)->name, err_kind(id)->sqlstate);
}

static void
list_commands(void)
{
	const struct command *c;

	for (unsigned i = 0; (c = command_at(i)) != NULL; i++) {
		printf("%s %s %u ", level_name(c->level), level_name(c->others), c->min_args);
		if (c->max_args == COMMAND_ANY_ARGS)
			printf("-");
		else
			printf("%u", c->max_args);
		printf(" %s %s\n", c->help ? "listed" : "unlisted", c->words);
	}
}

int
main(int argc, char **argv)
{
	const char *what = argc == 2 ? argv[1] : "";

	if (strcmp(what, "options") == 0)
		options();
	else if (strcmp(what, "errors") == 0)
		errors();
	else if (strcmp(what, "commands") == 0)
		list_commands();
	else if (strcmp(what, "sample") == 0)
		sample();
	else if (strcmp(what, "metrics") == 0)
		metrics();
	else
		return EXIT_FAILURE;
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
