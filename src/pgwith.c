/* pgwith: the command line. */
#include <getopt.h>
#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/commands.h"

#define DIRECTORY "/run/pgwith"
#define PORT      "6432"
#define ARGS_MAX  16 /* words that are no options */

enum { OPTION_JSON = 256, OPTION_CSV, OPTION_NO_HEADER, OPTION_MAX_WAIT };

struct arguments {
	struct commands_how how;
	bool help;
	char *words[ARGS_MAX + 1];
	unsigned nwords;
};

static void
usage(FILE *to)
{
	fprintf(to, "usage: pgwith [options] COMMAND [options]\n"
		    "Asks a running pgwithd how it is.\n"
		    "\n");
	commands_list(to);
	fprintf(to,
		"\n"
		"  -S, --socket DIR    directory of the socket ($PGWITH_SOCKET, or " DIRECTORY ")\n"
		"  -p, --port PORT     number in the socket's name (" PORT ")\n"
		"  -U, --user ROLE     role to come in as (the operating system's user)\n"
		"  -a, --all           all columns of a table\n"
		"  -o, --columns LIST  these columns, separated by commas\n"
		"      --json          an array of objects\n"
		"      --csv           comma-separated values\n"
		"      --no-header     no line of column names\n"
		"      --max-wait TIME status: trouble if a session waits for longer (1s)\n"
		"  -w, --timeout TIME  give up if pgwithd does not answer (10s)\n"
		"  -V, --version       print the version of pgwith and exit\n"
		"  -h, --help          print this, or more about COMMAND, and exit\n"
		"\n"
		"Exit status: 0 good, 1 trouble (status), 2 usage, 3 pgwithd cannot be reached,\n"
		"4 not allowed. Manual: pgwith(1)\n");
}

static enum ask_status
help_for(const char *name)
{
	const struct commands_entry *entry = commands_find(name);

	if (entry == NULL)
		return ASK_USAGE;
	printf("usage: pgwith [options] %s%s%s\n%s\n", entry->name, *entry->arguments ? " " : "",
	       entry->arguments, entry->help);
	if (entry->details)
		fputs(entry->details, stdout);
	if (entry->columns)
		printf("Columns, unless --all, --columns, --json or --csv is given:\n  %s\n",
		       entry->columns);
	return ASK_GOOD;
}

static bool
read_duration(const char *option, const char *text, int64_t *us)
{
	if (units_duration(text, UNIT_S, us) == 0)
		return true;
	fprintf(stderr, "pgwith: %s: \"%s\" is no duration; write 500ms, 5s, 2min\n", option, text);
	return false;
}

static bool
read_option(int c, struct arguments *a)
{
	struct commands_how *how = &a->how;

	switch (c) {
	case 'S':
		how->whom.directory = optarg;
		return true;
	case 'p':
		how->whom.port = optarg;
		return true;
	case 'U':
		how->whom.user = optarg;
		return true;
	case 'a':
		how->all = true;
		return true;
	case 'o':
		how->columns = optarg;
		return true;
	case OPTION_JSON:
		how->format = TABLE_JSON;
		return true;
	case OPTION_CSV:
		how->format = TABLE_CSV;
		return true;
	case OPTION_NO_HEADER:
		how->header = false;
		return true;
	case OPTION_MAX_WAIT:
		return read_duration("--max-wait", optarg, &how->max_wait_us);
	case 'w':
		return read_duration("--timeout", optarg, &how->whom.timeout_us);
	case 'h':
		a->help = true;
		return true;
	default:
		fprintf(stderr, "pgwith -h lists the options\n");
		return false;
	}
}

/* Options may stand before and behind the command. Returns -1 to go on, or the exit status. */
static int
read_arguments(int argc, char **argv, struct arguments *a)
{
	static const struct option options[] = {
	    {"socket", required_argument, NULL, 'S'},
	    {"port", required_argument, NULL, 'p'},
	    {"user", required_argument, NULL, 'U'},
	    {"all", no_argument, NULL, 'a'},
	    {"columns", required_argument, NULL, 'o'},
	    {"json", no_argument, NULL, OPTION_JSON},
	    {"csv", no_argument, NULL, OPTION_CSV},
	    {"no-header", no_argument, NULL, OPTION_NO_HEADER},
	    {"max-wait", required_argument, NULL, OPTION_MAX_WAIT},
	    {"timeout", required_argument, NULL, 'w'},
	    {"version", no_argument, NULL, 'V'},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};

	for (;;) {
		int c = getopt_long(argc, argv, "+S:p:U:ao:w:Vh", options, NULL);

		if (c == 'V') {
			printf("pgwith %s\n", PACKAGE_VERSION);
			return ASK_GOOD;
		}
		if (c != -1) {
			if (!read_option(c, a))
				return ASK_USAGE;
		} else if (optind == argc) {
			return -1;
		} else if (a->nwords == ARGS_MAX) {
			fprintf(stderr, "pgwith: too many words\n");
			return ASK_USAGE;
		} else {
			a->words[a->nwords++] = argv[optind++];
		}
	}
}

static bool
check_port(const char *text)
{
	char *end;
	long port = strtol(text, &end, 10);

	if (*end == 0 && port >= 1 && port <= 65535)
		return true;
	fprintf(stderr, "pgwith: --port: \"%s\" is no number from 1 to 65535\n", text);
	return false;
}

static enum ask_status
run(struct arguments *a)
{
	const struct commands_entry *entry;

	if (a->nwords == 0) {
		usage(a->help ? stdout : stderr);
		return a->help ? ASK_GOOD : ASK_USAGE;
	}
	if (a->help)
		return strcmp(a->words[0], "help") == 0 ? (usage(stdout), ASK_GOOD)
							: help_for(a->words[0]);
	if (strcmp(a->words[0], "help") == 0) {
		if (a->nwords > 1)
			return help_for(a->words[1]);
		usage(stdout);
		return ASK_GOOD;
	}
	entry = commands_find(a->words[0]);
	if (entry == NULL || !check_port(a->how.whom.port))
		return ASK_USAGE;
	return commands_run(entry, &a->how, a->words + 1);
}

int
main(int argc, char **argv)
{
	const char *directory = getenv("PGWITH_SOCKET");
	struct arguments a = {
	    .how = {.whom = {.directory = directory && *directory ? directory : DIRECTORY,
			     .port = PORT,
			     .timeout_us = 10 * UNIT_S},
		    .header = true,
		    .max_wait_us = UNIT_S}};
	int status;

	log_init("pgwith", LOG_WARN);
	/* What pgwithd says is UTF-8, whatever the terminal is; only widths depend on this. */
	setlocale(LC_CTYPE, "C.UTF-8");
	status = read_arguments(argc, argv, &a);
	if (status < 0)
		status = run(&a);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		perror("pgwith: cannot write");
		status = ASK_TROUBLE;
	}
	return status;
}
