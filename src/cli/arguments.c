#include "cli/arguments.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/units.h"
#include "cli/options.h"

#define DIRECTORY "/run/pgwith"
#define PORT      "6432"

#define SECONDS_MAX 86400 /* of --seconds */

void
arguments_usage(FILE *to)
{
	fprintf(to, "usage: pgwith [options] COMMAND [options]\n"
		    "Asks a running pgwithd how it is, and tells it what to do.\n"
		    "\n");
	commands_list(to);
	fprintf(
	    to,
	    "\n"
	    "  -S, --socket DIR    directory of the socket ($PGWITH_SOCKET, or " DIRECTORY ")\n"
	    "  -p, --port PORT     number in the socket's name (" PORT ")\n"
	    "  -U, --user ROLE     role to come in as (the operating system's user)\n"
	    "  -a, --all           all columns of a table\n"
	    "  -o, --columns LIST  these columns, separated by commas\n"
	    "  -W, --watch TIME    ask again and again, with TIME between\n"
	    "      --json          an array of objects\n"
	    "      --csv           comma-separated values\n"
	    "      --no-header     no line of column names\n"
	    "      --color WHEN    auto (on a terminal, unless $NO_COLOR is set), always, never\n"
	    "      --dot           waits: a graph for Graphviz\n"
	    "      --with-server   waits: ask PostgreSQL for row locks, too\n"
	    "      --interval TIME top: ask anew after this time (1s)\n"
	    "      --once          top: print one page, without a screen\n"
	    "      --max-wait TIME status: trouble if a session waits for longer (1s)\n"
	    "      --pool NAME     set, trace: of that pool only; run: in a transaction of it\n"
	    "      --cluster NAME  set: in the section [cluster NAME] only\n"
	    "      --role NAME     set: in [role NAME] only\n"
	    "      --uid NUMBER    set: in [uid NUMBER] only\n"
	    "      --scope NAME    set: in [scope NAME] only\n"
	    "  -c, --config FILE   doctor, waits: the configuration ($PGWITH_CONFIG, or\n"
	    "                      %s/pgwith/pgwith.conf)\n"
	    "      --passfile FILE import: where passwords go\n"
	    "      --database NAME import: a database that PgBouncer has by its fallback\n"
	    "      --output FILE   metrics, trace: where to, as -o FILE\n"
	    "      --seconds N     trace: how long to record (10)\n"
	    "      --report FILE   trace: report on this recording\n"
	    "      --lock NAME     run: with this lock, as nobody else at the same time\n"
	    "      --shared-lock NAME run: with this lock, beside others that share it\n"
	    "      --semaphore NAME=N run: as one of N at a time\n"
	    "      --on NAME       run: the locks are those of this pool's PostgreSQL\n"
	    "      --wait TIME     run: wait no longer than this (without limit); 0: do not wait\n"
	    "      --wait-status N run: exit status if the wait is over (75)\n"
	    "      --deadline TIME run: end the program if all takes longer than this\n"
	    "      --kill-after TIME run: from the signal TERM to KILL (10s)\n"
	    "      --read-only     run: the transactions only read\n"
	    "      --isolation LEVEL run: their isolation level: serializable, repeatable-read,\n"
	    "                      read-committed, read-uncommitted\n"
	    "      --rollback      run: roll them back in any case\n"
	    "      --no-transaction run: the program works in the pool, in no transaction\n"
	    "      --url VARIABLE  run: give the program a connection URL by this variable, too\n"
	    "      --allow-outside run: connections of the program may work outside of them\n"
	    "      --quiet         run: no message if the wait is over, or nothing has joined\n"
	    "  -w, --timeout TIME  give up if pgwithd does not answer (10s); pause, drain and\n"
	    "                      wait-close: if it is not done (never)\n"
	    "  -V, --version       print the version of pgwith and exit\n"
	    "  -h, --help          print this, or more about COMMAND, and exit\n"
	    "\n"
	    "Exit status: 0 good, 1 trouble, 2 usage, 3 pgwithd cannot be reached, 4 not allowed,\n"
	    "5 given up while it waited. Manual: pgwith(1)\n",
	    SYSCONFDIR);
}

static bool
read_duration(const char *option, const char *text, int64_t *us)
{
	if (units_duration(text, UNIT_S, us) == 0 && *us > 0)
		return true;
	fprintf(stderr, "pgwith: %s: \"%s\" is no duration; write 500ms, 5s, 2min\n", option, text);
	return false;
}

/* The same, where 0 is a duration, too. */
static bool
read_duration_or_0(const char *option, const char *text, int64_t *us)
{
	return (units_duration(text, UNIT_S, us) == 0 && *us == 0) ||
	       read_duration(option, text, us);
}

static bool
read_status(const char *text, int *status)
{
	char *end;
	long value = strtol(text, &end, 10);

	*status = (int)value;
	if (end > text && *end == 0 && value >= 0 && value <= 255)
		return true;
	fprintf(stderr, "pgwith: --wait-status: \"%s\" is no number from 0 to 255\n", text);
	return false;
}

static bool
read_seconds(const char *text, int64_t *seconds)
{
	char *end;

	*seconds = strtol(text, &end, 10);
	if (*end == 0 && *seconds >= 1 && *seconds <= SECONDS_MAX)
		return true;
	fprintf(stderr, "pgwith: --seconds: \"%s\" is no number from 1 to %d\n", text, SECONDS_MAX);
	return false;
}

/* auto: colours if stdout is a terminal that has them, unless NO_COLOR is set (no-color.org). */
static bool
read_colour(const char *text, bool *colour)
{
	const char *none = getenv("NO_COLOR"), *term = getenv("TERM");

	if (strcmp(text, "auto") == 0)
		*colour =
		    isatty(STDOUT_FILENO) && !(none && *none) && term && strcmp(term, "dumb") != 0;
	else if (strcmp(text, "always") == 0)
		*colour = true;
	else if (strcmp(text, "never") == 0)
		*colour = false;
	else
		return fprintf(stderr, "pgwith: --color: \"%s\" is none of auto, always, never\n",
			       text),
		       false;
	return true;
}

/* The width of the terminal in columns; 0 if stdout is no terminal. */
static unsigned
terminal_width(void)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size = {0};

	if (!isatty(STDOUT_FILENO))
		return 0;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return columns && atoi(columns) > 0 ? (unsigned)atoi(columns) : 80;
}

static bool
add_database(struct commands_how *how, const char *name)
{
	if (how->ndatabases == COMMANDS_DATABASES_MAX) {
		fprintf(stderr, "pgwith: more than %d times --database\n", COMMANDS_DATABASES_MAX);
		return false;
	}
	how->databases[how->ndatabases++] = name;
	return true;
}

static bool
add_wanted(struct commands_how *how, int option, const char *text)
{
	if (how->nwanted == COMMANDS_WANTED_MAX) {
		fprintf(stderr, "pgwith: more than %d pools, locks and semaphores\n",
			COMMANDS_WANTED_MAX);
		return false;
	}
	how->wanted[how->nwanted++] = (struct commands_wanted){option, text};
	return true;
}

/* Says on stderr what is wrong with an option that getopt_long() does not take. */
static void
say_mistyped(int c, const char *word)
{
	const char *near;

	if (c == ':') {
		fprintf(stderr, "pgwith: %s wants an argument; pgwith -h lists the options\n",
			word);
		return;
	}
	near = options_nearest(word);
	fprintf(stderr, "pgwith: unknown option \"%s\"; ", word);
	if (near)
		fprintf(stderr, "did you mean \"%s\"?\n", near);
	else
		fprintf(stderr, "pgwith -h lists the options\n");
}

static bool
read_option(int c, struct arguments *a)
{
	struct commands_how *how = &a->how;

	switch (c) {
	case 'S':
		how->whom.directory = optarg;
		how->socket_given = true;
		return true;
	case 'p':
		how->whom.port = optarg;
		how->socket_given = true;
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
	case 'c':
		how->config = optarg;
		return true;
	case 'W':
		return read_duration("--watch", optarg, &how->watch_us);
	case OPTIONS_JSON:
		how->look.format = TABLE_JSON;
		return true;
	case OPTIONS_CSV:
		how->look.format = TABLE_CSV;
		return true;
	case OPTIONS_NO_HEADER:
		how->look.header = false;
		return true;
	case OPTIONS_COLOR:
		return read_colour(optarg, &how->look.colour);
	case OPTIONS_DOT:
		how->dot = true;
		return true;
	case OPTIONS_WITH_SERVER:
		how->with_server = true;
		return true;
	case OPTIONS_INTERVAL:
		return read_duration("--interval", optarg, &how->interval_us);
	case OPTIONS_ONCE:
		how->once = true;
		return true;
	case OPTIONS_MAX_WAIT:
		return read_duration("--max-wait", optarg, &how->max_wait_us);
	case OPTIONS_POOL:
		how->pool = optarg;
		return add_wanted(how, c, optarg);
	case OPTIONS_LOCK:
	case OPTIONS_SHARED_LOCK:
	case OPTIONS_SEMAPHORE:
		return add_wanted(how, c, optarg);
	case OPTIONS_ON:
		how->on = optarg;
		return true;
	case OPTIONS_WAIT:
		return read_duration_or_0("--wait", optarg, &how->wait_us);
	case OPTIONS_WAIT_STATUS:
		return read_status(optarg, &how->wait_status);
	case OPTIONS_DEADLINE:
		return read_duration("--deadline", optarg, &how->deadline_us);
	case OPTIONS_READ_ONLY:
		how->reads_only = true;
		return true;
	case OPTIONS_ISOLATION:
		how->isolation = optarg;
		return true;
	case OPTIONS_ROLLBACK:
		how->rolls_back = true;
		return true;
	case OPTIONS_URL:
		how->url = optarg;
		return true;
	case OPTIONS_NO_TRANSACTION:
		how->no_transaction = true;
		return true;
	case OPTIONS_ALLOW_OUTSIDE:
		how->allows_outside = true;
		return true;
	case OPTIONS_QUIET:
		how->quiet = true;
		return true;
	case OPTIONS_KILL_AFTER:
		return read_duration_or_0("--kill-after", optarg, &how->kill_after_us);
	case OPTIONS_CLUSTER:
		how->cluster = optarg;
		return true;
	case OPTIONS_ROLE:
		how->role = optarg;
		return true;
	case OPTIONS_UID:
		how->uid = optarg;
		return true;
	case OPTIONS_SCOPE:
		how->scope = optarg;
		return true;
	case OPTIONS_REPORT:
		how->report = optarg;
		return true;
	case OPTIONS_OUTPUT:
		how->output = optarg;
		return true;
	case OPTIONS_SECONDS:
		return read_seconds(optarg, &how->seconds);
	case OPTIONS_PASSFILE:
		how->passfile = optarg;
		return true;
	case OPTIONS_DATABASE:
		return add_database(how, optarg);
	case 'w':
		how->timeout_given = true;
		return read_duration("--timeout", optarg, &how->whom.timeout_us);
	case 'h':
		a->help = true;
		return true;
	default:
		return false;
	}
}

/* Notes that the option is given; `at`: its number in the table, or -1 if only its letter is
 * written. */
static void
note_given(struct commands_how *how, int c, int at)
{
	const struct option *table = options_table();

	if (at < 0 && c == 'o') {
		how->given_o = true;
		return;
	}
	for (int i = 0; at < 0 && table[i].name; i++)
		if (table[i].val == c)
			at = i;
	if (at >= 0)
		how->given |= (uint64_t)1 << at;
}

/* Is the command there, and does it take a program, with words of its own? */
static bool
takes_program(const struct arguments *a)
{
	const struct commands_entry *entry = a->nwords == 1 ? commands_named(a->words[0]) : NULL;

	return entry && entry->takes_program;
}

/* Reads the words of the command line. Options may stand before and behind the command; after --
 * every word is an argument. Behind a command that takes a program, the first word that is no
 * option ends our options. */
static int
read_words(int argc, char **argv, struct arguments *a)
{
	bool only_words = false;

	opterr = 0;
	for (;;) {
		int at = optind, number = -1;
		int c = only_words
			    ? -1
			    : getopt_long(argc, argv, OPTIONS_SHORT, options_table(), &number);

		if (c == 'V') {
			printf("pgwith %s\n", PACKAGE_VERSION);
			return ASK_GOOD;
		}
		if (c == '?' || c == ':') {
			say_mistyped(c, argv[at]);
			return ASK_USAGE;
		}
		if (c != -1) {
			if (!read_option(c, a))
				return ASK_USAGE;
			note_given(&a->how, c, number);
			continue;
		}
		only_words |= optind > at && strcmp(argv[optind - 1], "--") == 0;
		if (optind == argc)
			return -1;
		if (takes_program(a)) {
			a->how.program = argv + optind;
			return -1;
		}
		if (a->nwords == ARGUMENTS_MAX) {
			fprintf(stderr, "pgwith: too many words\n");
			return ASK_USAGE;
		}
		a->words[a->nwords++] = argv[optind++];
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

int
arguments_read(int argc, char **argv, struct arguments *a)
{
	const char *directory = getenv("PGWITH_SOCKET");
	int status;

	*a = (struct arguments){
	    .how = {.whom = {.directory = directory && *directory ? directory : DIRECTORY,
			     .port = PORT,
			     .timeout_us = 10 * UNIT_S},
		    .socket_given = directory && *directory,
		    .look = {.header = true, .width = terminal_width()},
		    .max_wait_us = UNIT_S,
		    .seconds = 10,
		    .wait_us = -1,
		    .kill_after_us = 10 * UNIT_S,
		    .wait_status = 75}};
	read_colour("auto", &a->how.look.colour);
	status = read_words(argc, argv, a);
	return status < 0 && !check_port(a->how.whom.port) ? ASK_USAGE : status;
}
