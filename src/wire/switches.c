#include "wire/switches.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

/* ---- words ---- */

struct words {
	char *text;        /* the words, each with its NUL */
	const char **list; /* NULL behind the last one */
	size_t count;
};

/* Words end at white space; a backslash takes the next character as it is. */
static void
split_words(const char *from, struct words *w)
{
	size_t bytes = strlen(from);
	char *to = w->text = mem_alloc(bytes + 1);

	w->list = mem_calloc(bytes / 2 + 2, sizeof *w->list);
	w->count = 0;
	for (;;) {
		while (isspace((unsigned char)*from))
			from++;
		if (*from == 0)
			return;
		w->list[w->count++] = to;
		while (*from && !isspace((unsigned char)*from)) {
			if (*from == '\\' && *++from == 0)
				break;
			*to++ = *from++;
		}
		*to++ = 0;
	}
}

/* ---- what a switch stands for ---- */

/* Short switches that set one parameter. As PostgreSQL does, b, C, D, E, j, n, r, T and v are taken
 * and ignored, because they matter only where the whole server is started. */
static const struct {
	char letter;
	const char *name;
	const char *value; /* NULL: the switch's argument */
} plain[] = {
    {'B', "shared_buffers", NULL},
    {'e', "datestyle", "euro"},
    {'F', "fsync", "false"},
    {'h', "listen_addresses", NULL},
    {'i', "listen_addresses", "*"},
    {'k', "unix_socket_directories", NULL},
    {'l', "ssl", "true"},
    {'N', "max_connections", NULL},
    {'O', "allow_system_table_mods", "true"},
    {'P', "ignore_system_indexes", "true"},
    {'p', "port", NULL},
    {'S', "work_mem", NULL},
    {'s', "log_statement_stats", "true"},
    {'W', "post_auth_delay", NULL},
};

#define FLAGS          "bEeFijlnOPsT"     /* switches without an argument */
#define WITH_ARGUMENTS "BcCDdfhkNprStvW-" /* '-' is --name=value */

static void
add_setting(struct buf *out, const char *name, const char *value)
{
	buf_add_str(out, name);
	buf_add_str(out, value);
}

static void
add_debug_level(struct buf *out, int level)
{
	char text[32];

	snprintf(text, sizeof text, "debug%d", level);
	add_setting(out, "log_min_messages", level > 0 ? text : "notice");
	if (level >= 2)
		add_setting(out, "log_statement", "all");
	if (level >= 3)
		add_setting(out, "debug_print_parse", "true");
	if (level >= 4)
		add_setting(out, "debug_print_plan", "true");
	if (level >= 5)
		add_setting(out, "debug_print_rewritten", "true");
}

/* -f: the kind of plan that is forbidden. Returns false if there is no such kind. */
static bool
forbid_plan(struct buf *out, char letter)
{
	static const char letters[] = "siobtnmh";
	static const char *const names[] = {
	    "enable_seqscan", "enable_indexscan", "enable_indexonlyscan", "enable_bitmapscan",
	    "enable_tidscan", "enable_nestloop",  "enable_mergejoin",     "enable_hashjoin"};
	const char *at = letter ? strchr(letters, letter) : NULL;

	if (at)
		add_setting(out, names[at - letters], "false");
	return at != NULL;
}

/* -t: the statistics that are logged. Returns false if there are none of that name. */
static bool
show_statistics(struct buf *out, const char *what)
{
	const char *name = strncmp(what, "pa", 2) == 0   ? "log_parser_stats"
			   : strncmp(what, "pl", 2) == 0 ? "log_planner_stats"
			   : *what == 'e'                ? "log_executor_stats"
							 : NULL;

	if (name)
		add_setting(out, name, "true");
	return name != NULL;
}

/* -c name=value and --name=value; a - in a name stands for _. */
static int
add_named_setting(struct buf *out, char letter, const char *setting, char *why, size_t why_size)
{
	size_t length = strcspn(setting, "=");
	char *name = mem_strndup(setting, length);

	for (char *p = name; *p; p++)
		if (*p == '-')
			*p = '_';
	if (setting[length] == 0)
		snprintf(why, why_size,
			 letter == '-' ? "--%s requires a value" : "-c %s requires a value",
			 setting);
	else
		add_setting(out, name, setting + length + 1);
	free(name);
	return setting[length] == 0 ? -E_NOTFOUND : 0;
}

static int
add_switch(struct buf *out, char letter, const char *argument, char *why, size_t why_size)
{
	bool good = true;

	if (letter == 'c' || letter == '-')
		return add_named_setting(out, letter, argument, why, why_size);
	if (letter == 'd')
		add_debug_level(out, atoi(argument));
	else if (letter == 'f')
		good = forbid_plan(out, *argument);
	else if (letter == 't')
		good = show_statistics(out, argument);
	for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
		if (plain[i].letter == letter)
			add_setting(out, plain[i].name, plain[i].value ? plain[i].value : argument);
	return good ? 0 : -E_SYNTAX;
}

/* ---- the command line, as getopt(3) of glibc reads it ---- */

struct place {
	size_t next;      /* index of the word that is being read */
	const char *more; /* the switches left in that word (-es is two); "": it begins */
};

/* Reads one switch, with its argument. Returns as switches_read(). */
static int
read_switch(const struct words *w, struct place *at, struct buf *out, char *why, size_t why_size)
{
	char letter = *at->more++;
	const char *argument = NULL;

	if (letter != '-' && strchr(FLAGS, letter)) {
		at->next += *at->more == 0;
		return add_switch(out, letter, "", why, why_size);
	}
	if (letter != ':' && strchr(WITH_ARGUMENTS, letter)) {
		argument = *at->more ? at->more : w->list[at->next + 1];
		at->next += *at->more ? 1 : 2;
		at->more = "";
		if (argument)
			return add_switch(out, letter, argument, why, why_size);
		at->next = w->count;
		return -E_SYNTAX;
	}
	at->next += *at->more == 0;
	return -E_SYNTAX;
}

static int
refuse_argument(const char *argument, char *why, size_t why_size)
{
	snprintf(why, why_size, "invalid command-line argument for server process: %s", argument);
	return -E_SYNTAX;
}

static int
read_words(const struct words *w, struct buf *out, char *why, size_t why_size)
{
	struct place at = {0, ""};
	const char *extra = NULL; /* the first word that is no switch: refused behind the others */

	while (at.next < w->count) {
		const char *word = w->list[at.next];
		int r;

		if (*at.more == 0) {
			if (strcmp(word, "--") == 0) {
				if (extra == NULL)
					extra = w->list[at.next + 1];
				break;
			}
			if (word[0] != '-' || word[1] == 0) {
				if (extra == NULL)
					extra = word;
				at.next++;
				continue;
			}
			at.more = word + 1;
		}
		r = read_switch(w, &at, out, why, why_size);
		/* PostgreSQL names the word before the one that getopt() goes on with. */
		if (r == -E_SYNTAX)
			return refuse_argument(at.next > 0 ? w->list[at.next - 1] : "postgres", why,
					       why_size);
		if (r < 0)
			return r;
	}
	return extra ? refuse_argument(extra, why, why_size) : 0;
}

int
switches_read(const char *options, struct buf *out, char *why, size_t why_size)
{
	struct words w;
	int r;

	split_words(options, &w);
	r = read_words(&w, out, why, why_size);
	free(w.list);
	free(w.text);
	return r;
}
