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
split(const char *from, struct words *w)
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

/* Those that only the start of the whole server understands are ignored, as PostgreSQL does:
 * b, C, D, E, j, n, r, T, v. */
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

#define FLAGS          "bEeFijlnOPsT"
#define WITH_ARGUMENTS "BcCDdfhkNprStvW-"

static void
set(struct buf *out, const char *name, const char *value)
{
	buf_add_str(out, name);
	buf_add_str(out, value);
}

static void
set_debug_level(struct buf *out, int level)
{
	char text[32];

	snprintf(text, sizeof text, "debug%d", level);
	set(out, "log_min_messages", level > 0 ? text : "notice");
	if (level >= 2)
		set(out, "log_statement", "all");
	if (level >= 3)
		set(out, "debug_print_parse", "true");
	if (level >= 4)
		set(out, "debug_print_plan", "true");
	if (level >= 5)
		set(out, "debug_print_rewritten", "true");
}

static bool
forbid_plan(struct buf *out, char letter)
{
	static const char letters[] = "siobtnmh";
	static const char *const names[] = {
	    "enable_seqscan", "enable_indexscan", "enable_indexonlyscan", "enable_bitmapscan",
	    "enable_tidscan", "enable_nestloop",  "enable_mergejoin",     "enable_hashjoin"};
	const char *at = letter ? strchr(letters, letter) : NULL;

	if (at)
		set(out, names[at - letters], "false");
	return at != NULL;
}

static bool
show_statistics(struct buf *out, const char *what)
{
	const char *name = strncmp(what, "pa", 2) == 0   ? "log_parser_stats"
			   : strncmp(what, "pl", 2) == 0 ? "log_planner_stats"
			   : *what == 'e'                ? "log_executor_stats"
							 : NULL;

	if (name)
		set(out, name, "true");
	return name != NULL;
}

/* name=value; a - in a name stands for _. */
static int
set_long(struct buf *out, char letter, const char *setting, char *why, size_t why_size)
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
		set(out, name, setting + length + 1);
	free(name);
	return setting[length] == 0 ? -E_NOTFOUND : 0;
}

static int
apply(struct buf *out, char letter, const char *argument, char *why, size_t why_size)
{
	bool good = true;

	if (letter == 'c' || letter == '-')
		return set_long(out, letter, argument, why, why_size);
	if (letter == 'd')
		set_debug_level(out, atoi(argument));
	else if (letter == 'f')
		good = forbid_plan(out, *argument);
	else if (letter == 't')
		good = show_statistics(out, argument);
	for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
		if (plain[i].letter == letter)
			set(out, plain[i].name, plain[i].value ? plain[i].value : argument);
	return good ? 0 : -E_SYNTAX;
}

/* ---- the command line, as getopt(3) of glibc reads it ---- */

/* Its place; the next character of a word that holds several switches, or "". */
struct place {
	size_t next;
	const char *more;
};

/* Returns 0, or as switches_read(). */
static int
one_switch(const struct words *w, struct place *at, struct buf *out, char *why, size_t why_size)
{
	char letter = *at->more++;
	const char *argument = NULL;

	if (letter != '-' && strchr(FLAGS, letter)) {
		at->next += *at->more == 0;
		return apply(out, letter, "", why, why_size);
	}
	if (letter != ':' && strchr(WITH_ARGUMENTS, letter)) {
		argument = *at->more ? at->more : w->list[at->next + 1];
		at->next += *at->more ? 1 : 2;
		at->more = "";
		if (argument)
			return apply(out, letter, argument, why, why_size);
		at->next = w->count;
		return -E_SYNTAX;
	}
	at->next += *at->more == 0;
	return -E_SYNTAX;
}

static int
invalid(const char *argument, char *why, size_t why_size)
{
	snprintf(why, why_size, "invalid command-line argument for server process: %s", argument);
	return -E_SYNTAX;
}

static int
read_words(const struct words *w, struct buf *out, char *why, size_t why_size)
{
	struct place at = {0, ""};
	const char *extra = NULL; /* the first word that is no switch: told of at the end */

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
		r = one_switch(w, &at, out, why, why_size);
		/* PostgreSQL names the word before the one that getopt() goes on with. */
		if (r == -E_SYNTAX)
			return invalid(at.next > 0 ? w->list[at.next - 1] : "postgres", why,
				       why_size);
		if (r < 0)
			return r;
	}
	return extra ? invalid(extra, why, why_size) : 0;
}

int
switches_read(const char *options, struct buf *out, char *why, size_t why_size)
{
	struct words w;
	int r;

	split(options, &w);
	r = read_words(&w, out, why, why_size);
	free(w.list);
	free(w.text);
	return r;
}
