#include "cli/act.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/words.h"
#include "cli/look.h"

#define POOLS_SAID 10 /* names of pools in one message */

/* ---- pools ---- */

/* Checks that there is a pool of that name. If there is none, stderr says which there are. */
static enum ask_status
find_pool(struct ask *ask, const char *name)
{
	struct table *t;
	enum ask_status status = ask_for(ask, "SHOW DATABASES", &t);
	const char **names, *near;
	unsigned n;

	if (status != ASK_GOOD)
		return status;
	n = table_rows(t);
	names = mem_calloc(n + 1, sizeof *names);
	status = ASK_USAGE;
	for (unsigned i = 0; i < n; i++) {
		names[i] = table_cell(t, i, "name");
		if (names[i] == NULL)
			names[i] = "";
		if (strcmp(names[i], name) == 0)
			status = ASK_GOOD;
	}
	if (status != ASK_GOOD) {
		near = words_nearest(name, names, n);
		fprintf(stderr, "pgwith: there is no pool \"%s\"", name);
		if (near)
			fprintf(stderr, "; did you mean \"%s\"?", near);
		for (unsigned i = 0; !near && i < n && i < POOLS_SAID; i++)
			fprintf(stderr, "%s%s", i ? ", " : "; there are: ", names[i]);
		fputs(!near && n > POOLS_SAID ? ", ...\n" : "\n", stderr);
	}
	free(names);
	table_free(t);
	return status;
}

static bool
is_set(const struct table *t, unsigned row, const char *column)
{
	const char *text = table_cell(t, row, column);

	return text && strcmp(text, "0") != 0;
}

/* After a command has been cancelled: says in which state the pool, or each pool, is now. */
static void
say_pools(struct ask *ask, const char *only)
{
	struct table *t;

	if (ask_for(ask, "SHOW DATABASES", &t) != ASK_GOOD)
		return;
	for (unsigned i = 0; i < table_rows(t); i++) {
		const char *name = table_cell(t, i, "name");
		bool paused = is_set(t, i, "paused"), disabled = is_set(t, i, "disabled");
		const char *servers = table_cell(t, i, "current_connections");

		if (name == NULL || (only && strcmp(name, only) != 0))
			continue;
		/* A pool with role = client has a row for all roles together, and one for each role
		 * behind it: skip those. */
		if (i > 0 && strcmp(name, table_cell(t, i - 1, "name")) == 0)
			continue;
		fprintf(stderr, "pgwith: pool %s is now %s%s%s, and has %s server connections",
			name, paused ? "paused" : "", paused && disabled ? " and " : "",
			disabled ? "disabled"
			: paused ? ""
				 : "neither paused nor disabled",
			servers ? servers : "?");
		if (paused || disabled)
			fprintf(stderr, "; pgwith %s %s ends that", paused ? "resume" : "enable",
				name);
		fputc('\n', stderr);
	}
	table_free(t);
}

/* ---- statements ---- */

/* Sends the statement, and prints the rows if there are any. */
static enum ask_status
act(const struct commands_entry *entry, const struct commands_how *how, struct ask *ask,
    const char *statement)
{
	struct table *t;
	enum ask_status status;

	if (entry->waits)
		status =
		    ask_wait(ask, statement, how->timeout_given ? how->whom.timeout_us : 0, &t);
	else
		status = ask_for(ask, statement, &t);
	if (status == ASK_GOOD && table_columns(t) > 0)
		status = look_print(t, entry->columns, how);
	table_free(t);
	return status;
}

/* The same with one name or value behind the statement. `word` is quoted already; it is freed. */
static enum ask_status
act_on(const struct commands_entry *entry, const struct commands_how *how, struct ask *ask,
       const char *words, char *quoted)
{
	char *statement = mem_printf("%s %s", words, quoted);
	enum ask_status status = act(entry, how, ask, statement);

	free(statement);
	free(quoted);
	return status;
}

enum ask_status
act_pool(const struct commands_entry *entry, const struct commands_how *how, struct ask *ask,
	 char **args)
{
	enum ask_status status = ASK_GOOD;

	if (args[0])
		status = find_pool(ask, args[0]);
	if (status != ASK_GOOD)
		return status;
	if (args[0])
		status = act_on(entry, how, ask, entry->statement, ask_name(args[0]));
	else
		status = act(entry, how, ask, entry->statement);
	if (status == ASK_CANCELLED)
		say_pools(ask, args[0]);
	return status;
}

static bool
is_id(const char *text)
{
	if (*text && text[strspn(text, "0123456789")] == 0)
		return true;
	fprintf(stderr, "pgwith: \"%s\" is no id; pgwith clients and pgwith servers show them\n",
		text);
	return false;
}

enum ask_status
act_kill(const struct commands_entry *entry, const struct commands_how *how, struct ask *ask,
	 char **args)
{
	static const char *const kinds[] = {"session", "scope", "server", "pool"};
	const char *near;

	if (args[2] && strcmp(args[0], "scope") != 0) {
		fprintf(stderr, "pgwith: only kill scope takes two more words\n");
		return ASK_USAGE;
	}
	if (strcmp(args[0], "pool") == 0) {
		enum ask_status status = find_pool(ask, args[1]);

		return status == ASK_GOOD ? act_on(entry, how, ask, "KILL POOL", ask_name(args[1]))
					  : status;
	}
	if (strcmp(args[0], "session") == 0 || strcmp(args[0], "server") == 0)
		return is_id(args[1]) ? act_on(entry, how, ask,
					       *args[0] == 's' && args[0][2] == 's' ? "KILL SESSION"
										    : "KILL SERVER",
					       mem_strdup(args[1]))
				      : ASK_USAGE;
	if (strcmp(args[0], "scope") == 0) {
		char *name, *both;

		if (!is_id(args[1]))
			return ASK_USAGE;
		if (args[2] == NULL)
			return act_on(entry, how, ask, "KILL SCOPE", mem_strdup(args[1]));
		name = ask_name(args[2]);
		args[2] = NULL;
		both = mem_printf("%s %s", args[1], name);
		free(name);
		return act_on(entry, how, ask, "KILL SCOPE", both);
	}
	near = words_nearest(args[0], kinds, sizeof kinds / sizeof *kinds);
	fprintf(stderr, "pgwith: kill: \"%s\" is none of session, scope, server, pool", args[0]);
	fprintf(stderr, near ? "; did you mean \"%s\"?\n" : "\n", near);
	return ASK_USAGE;
}

/* The section that the options of the command line name, as SET names it (FOR POOL "x"). The caller
 * frees; NULL: none is named. */
static char *
section_of(const struct commands_how *how)
{
	const struct {
		const char *word, *name;
	} sections[] = {{"POOL", how->pool},
			{"CLUSTER", how->cluster},
			{"ROLE", how->role},
			{"UID", how->uid},
			{"SCOPE", how->scope}};

	for (unsigned i = 0; i < sizeof sections / sizeof *sections; i++)
		if (sections[i].name) {
			char *name = ask_name(sections[i].name);
			char *all = mem_printf("FOR %s %s", sections[i].word, name);

			free(name);
			return all;
		}
	return NULL;
}

enum ask_status
act_set(const struct commands_entry *entry, const struct commands_how *how, struct ask *ask,
	char **args)
{
	enum ask_status status = ASK_GOOD;
	char *value, *statement, *section;

	if (args[0][strspn(args[0], "abcdefghijklmnopqrstuvwxyz_")] || *args[0] == 0) {
		fprintf(stderr, "pgwith: \"%s\" is no option's name; pgwith config lists them\n",
			args[0]);
		return ASK_USAGE;
	}
	if (how->pool && (status = find_pool(ask, how->pool)) != ASK_GOOD)
		return status;
	value = ask_value(args[1]);
	statement = mem_printf("SET %s = %s", args[0], value);
	section = section_of(how);
	if (section)
		status = act_on(entry, how, ask, statement, section);
	else
		status = act(entry, how, ask, statement);
	free(statement);
	free(value);
	return status;
}

/* After a wait for a shutdown has been cancelled: says in which phase pgwithd is now. */
static void
say_phase(struct ask *ask)
{
	struct table *t;

	if (ask_for(ask, "SHOW STATE", &t) != ASK_GOOD)
		return;
	for (unsigned i = 0; i < table_rows(t); i++) {
		const char *key = table_cell(t, i, "key"), *value = table_cell(t, i, "value");

		if (key && value && strcmp(key, "phase") == 0)
			fprintf(stderr, "pgwith: pgwithd is now %s\n", value);
	}
	table_free(t);
}

/* Ends pgwithd and waits until it has gone. It may go before it has answered. */
static enum ask_status
shut_down(const struct commands_how *how, struct ask *ask, const char *statement)
{
	struct table *t;
	enum ask_status status =
	    ask_end(ask, statement, how->timeout_given ? how->whom.timeout_us : 0, &t);

	table_free(t);
	if (status == ASK_CANCELLED)
		say_phase(ask);
	return status;
}

enum ask_status
act_shutdown(const struct commands_entry *entry, const struct commands_how *how, struct ask *ask,
	     char **args)
{
	static const char *const when[] = {"now", "after-scopes", "after-clients"};
	static const char *const words[] = {"SHUTDOWN NOW", "SHUTDOWN AFTER SCOPES",
					    "SHUTDOWN AFTER CLIENTS"};
	const char *near;

	if (args[0] == NULL)
		return act(entry, how, ask, "SHUTDOWN");
	for (unsigned i = 0; i < sizeof when / sizeof *when; i++)
		if (strcmp(args[0], when[i]) == 0)
			return shut_down(how, ask, words[i]);
	near = words_nearest(args[0], when, sizeof when / sizeof *when);
	fprintf(stderr, "pgwith: shutdown: \"%s\" is none of now, after-scopes, after-clients",
		args[0]);
	fprintf(stderr, near ? "; did you mean \"%s\"?\n" : "\n", near);
	return ASK_USAGE;
}
