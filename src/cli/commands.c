#include "cli/commands.h"

#include <stdlib.h>
#include <string.h>

#include "base/words.h"
#include "cli/act.h"
#include "cli/complete.h"
#include "cli/doctor.h"
#include "cli/import/import.h"
#include "cli/look.h"
#include "cli/metrics.h"
#include "cli/options.h"
#include "cli/probe.h"
#include "cli/run/run.h"
#include "cli/top/top.h"
#include "cli/trace.h"
#include "cli/waits.h"
#include "cli/watch.h"

/* pgwith.c calls this before it connects to pgwithd. */
static enum ask_status
run_help(const struct commands_entry *entry, const struct commands_how *how, struct ask *ask,
	 char **args)
{
	const struct commands_entry *of = args[0] ? commands_find(args[0]) : entry;

	if (of == NULL)
		return ASK_USAGE;
	commands_help(of, stdout);
	return ASK_GOOD;
}

static enum ask_status
run_completion(const struct commands_entry *entry, const struct commands_how *how, struct ask *ask,
	       char **args)
{
	unsigned count;
	const struct commands_entry *table = commands_table(&count);

	return complete_print(table, count, args[0]);
}

/* Options of every command: they say where pgwithd is, and how the terminal is, so that they may
 * stand in an alias of the shell. */
#define EACH_TAKES "socket port user timeout color help version "
/* Options of a command that prints a table; and of one that chooses its columns itself. */
#define FORMAT_OPTIONS "json csv no-header "
#define TABLE_OPTIONS  "all columns " FORMAT_OPTIONS

/* clang-format off */
#define SHOW(n, s, c, h) \
	{.name = (n), .arguments = "", .statement = "SHOW " s, .columns = (c), .options = TABLE_OPTIONS, \
	 .run = look_table, .help = (h)}
#define SHOW_OWN(n, s, c, h) \
	{.name = (n), .arguments = "", .own = true, .statement = "SHOW " s, .columns = (c), \
	 .options = TABLE_OPTIONS, .run = look_table, .help = (h)}
#define ON_POOL(n, a, min, s, h, ...) \
	{.name = (n), .arguments = (a), .min_args = (min), .max_args = 1, .word = COMMANDS_POOL, \
	 .statement = (s), .run = act_pool, .help = (h), __VA_ARGS__}
#define WAITS \
	"It waits for as long as that takes, or for --timeout. Ctrl-C gives it up, and tells how the\n" \
	"pools are then.\n"
/* clang-format on */

static const struct commands_entry entries[] = {
    {.name = "status",
     .arguments = "",
     .options = TABLE_OPTIONS "max-wait ",
     .run = look_status,
     .help = "a summary, and an exit status for scripts",
     .details =
	 "Exit status 1 means trouble: the last attempt to connect a pool failed, a session waits\n"
	 "for a server or a lock for longer than --max-wait, a pool is paused, disabled or\n"
	 "drained, or pgwithd is shutting down.\n"},
    {.name = "ping",
     .arguments = "",
     .local = true,
     .run = probe_ping,
     .help = "is pgwithd alive, whether or not its pools are ready",
     .details = "For liveness probes. Exit status 0: it answers; 3: it does not, within 2s or\n"
		"--timeout.\n"},
    {.name = "ready",
     .arguments = "[POOL]",
     .max_args = 1,
     .word = COMMANDS_POOL,
     .local = true,
     .options = TABLE_OPTIONS,
     .run = probe_ready,
     .help = "would a client of the pool, or of every pool, be served now",
     .details =
	 "For readiness probes. Exit status 0: yes; 1: no, and the line says why; 2: there is\n"
	 "no such pool; 3: pgwithd does not answer, within 2s or --timeout; 4: it\n"
	 "does not let this user ask.\n"},
    {.name = "top",
     .arguments = "",
     .local = true,
     .options = "interval once ",
     .run = top_run,
     .help = "a live view: the verdict, pools, who holds what, who waits, errors",
     .details = "? in it lists its keys.\n"
		"  --interval TIME  ask anew after this time (1s)\n"
		"  --once           print one page after two rounds, and exit\n"},
    SHOW("pools", "POOLS",
	 "database,user,cl_idle,cl_active,cl_waiting,sv_active,sv_idle,sv_cleaning,sv_login,size,"
	 "maxwait,last_error",
	 "clients and server connections of each pool, by state"),
    SHOW_OWN("clients", "CLIENTS",
	     "id,user,database,state,remote_pid,program,application_name,connect_time,wait,queries,"
	     "link,pinned",
	     "every session"),
    SHOW_OWN("servers", "SERVERS",
	     "id,database,state,session,remote_pid,status,connect_time,leases,cleanup_why",
	     "every server connection"),
    SHOW_OWN("scopes", "SCOPES",
	     "session,pid,role,level,name,kind,pool,state,current,elapsed_ms,wait_ms,deadline_ms",
	     "every open scope and transaction of every session"),
    SHOW("locks", "LOCKS", NULL, "who has which lock or semaphore, and who waits for it"),
    SHOW("held", "HELD",
	 "session,pid,program,application_name,kind,name,class,state,held_ms,waiting,scopes",
	 "who holds a server, lock or semaphore, the longest first"),
    {.name = "waits",
     .arguments = "",
     .own = true,
     .statement = "SHOW WAITS",
     .options = TABLE_OPTIONS "dot with-server config ",
     .run = waits_run,
     .help = "who waits for what, and who holds it: a tree",
     .details =
	 "  --dot          print a graph for Graphviz\n"
	 "  --with-server  ask the PostgreSQL of the pools, too, who waits there for whose locks\n"
	 "                 (rows, tables), by a connection of its own, as doctor does; --config\n"
	 "                 names the configuration. Exit status 1: not every pool could be asked.\n"
	 "With --all, --columns, --json or --csv: the table of SHOW WAITS.\n"},
    SHOW("stats", "STATS",
	 "database,total_xact_count,total_query_count,total_received,total_sent,avg_xact_count,"
	 "avg_query_count,avg_xact_time,avg_query_time,avg_wait_time",
	 "sums since the start, and averages of the last minute"),
    SHOW("scope-stats", "SCOPE_STATS",
	 "pool,scope,success,error,cancelled,expired,wait_p95_ms,hold_p50_ms,hold_p95_ms,"
	 "hold_max_ms,cleanup_p95_ms",
	 "how scopes ended and how long they took"),
    SHOW("config", "CONFIG", "section,key,value,default,source",
	 "every option and the line that set it"),
    SHOW("databases", "DATABASES",
	 "name,host,port,database,force_user,pool_size,min_pool_size,current_connections,paused,"
	 "disabled,server_version",
	 "the pools and where they lead"),
    SHOW("clusters", "CLUSTERS", NULL,
	 "PostgreSQL servers that several pools reach, and their limit"),
    SHOW("limits", "LIMITS", NULL, "roles and uids with limits"),
    SHOW("lists", "LISTS", NULL, "counts of everything"),
    SHOW("logins", "LOGINS", NULL, "wrong passwords: of whom, how often, and when last"),
    {.name = "errors",
     .arguments = "",
     .statement = "SHOW ERRORS",
     .options = TABLE_OPTIONS,
     .run = look_errors,
     .help = "pgwith's own errors: how often, and when last",
     .details =
	 "Those that clients were told since pgwithd started. With --all, --json or --csv: every\n"
	 "error that there is.\n"},
    SHOW("mem", "MEM", NULL, "memory, by what it is for"),
    SHOW("fds", "FDS", "fd,task,user,database,addr,port,id,link_id", "descriptors in use"),
    SHOW(
	"sockets", "SOCKETS",
	"type,user,database,state,remote_pid,application_name,fd,received,sent,queued,kept,reading",
	"every connection, with what is in its buffers"),
    SHOW("users", "USERS", NULL, "roles that are known"),
    {.name = "metrics",
     .arguments = "",
     .statement = "SHOW METRICS",
     .options = FORMAT_OPTIONS "output ",
     .run = metrics_run,
     .help = "all numbers of pgwithd, for Prometheus",
     .details =
	 "  -o FILE  write them to FILE, whole or not at all: for the textfile collector of\n"
	 "           node_exporter, FILE is *.prom in its directory\n"},
    SHOW("version", "VERSION", NULL, "the version of pgwithd"),
    {.name = "show",
     .arguments = "[WHAT]",
     .max_args = 4,
     .word = COMMANDS_SHOW,
     .options = TABLE_OPTIONS,
     .run = look_show,
     .help = "any SHOW command of the console",
     .details = "Without WHAT: the list of the console's commands.\n"},
    ON_POOL("pause", "[POOL]", 0, "PAUSE",
	    "lend no server connections, and wait until all are back and closed", .waits = true,
	    .details = "Clients wait meanwhile. pgwith resume ends it.\n" WAITS),
    ON_POOL("resume", "[POOL]", 0, "RESUME", "end a pause"),
    ON_POOL("disable", "POOL", 1, "DISABLE", "let no new client in"),
    ON_POOL("enable", "POOL", 1, "ENABLE", "let new clients in again"),
    ON_POOL("reconnect", "[POOL]", 0, "RECONNECT",
	    "replace every server connection, each as soon as it is free",
	    .details = "For a server that has moved. pgwith wait-close waits for the last one.\n"),
    ON_POOL("wait-close", "[POOL]", 0, "WAIT_CLOSE", "wait until what reconnect replaces is closed",
	    .waits = true, .details = WAITS),
    ON_POOL("drain", "POOL", 1, "DRAIN",
	    "let no new client in, close each that is at rest, and wait for the last one",
	    .waits = true, .details = "pgwith enable ends it.\n" WAITS),
    {.name = "kill",
     .arguments = "session|scope|server|pool WHICH [NAME]",
     .min_args = 2,
     .max_args = 3,
     .word = COMMANDS_KILL,
     .run = act_kill,
     .help = "end a session, a scope, a server connection, or all of a pool's",
     .details = "  kill session ID          its query is cancelled, its scopes are rolled back\n"
		"  kill scope SESSION       the innermost transaction of a session, which goes on\n"
		"  kill scope SESSION NAME  the scope of that name, and those inside it\n"
		"  kill server ID           its query is cancelled, and it is closed\n"
		"  kill pool POOL           every session of the pool\n"},
    {.name = "reload",
     .arguments = "",
     .statement = "RELOAD",
     .run = act_pool,
     .help = "read the configuration again"},
    {.name = "set",
     .arguments = "KEY VALUE",
     .min_args = 2,
     .max_args = 2,
     .word = COMMANDS_OPTION,
     .options = "pool cluster role uid scope ",
     .run = act_set,
     .help = "change an option until the next reload or restart",
     .details = "One of these changes it in that section only:\n"
		"  --pool NAME     [pool NAME]\n"
		"  --cluster NAME  [cluster NAME]\n"
		"  --role NAME     [role NAME], or '*'\n"
		"  --uid NUMBER    [uid NUMBER], or '*'\n"
		"  --scope NAME    [scope NAME]\n"},
    {.name = "shutdown",
     .arguments = "[now|after-scopes|after-clients]",
     .max_args = 1,
     .word = COMMANDS_SHUTDOWN,
     .run = act_shutdown,
     .help = "end pgwithd",
     .details =
	 "Without a word it drains: no new client comes in, those at rest have to go, and\n"
	 "transactions have shutdown_timeout to end. on_term and handover are for SIGTERM only.\n"
	 "  now            what runs is cancelled and rolled back\n"
	 "  after-scopes   transactions and scopes may end, however long that takes\n"
	 "  after-clients  every client may stay for as long as it likes\n"
	 "With one of these words it waits until pgwithd ends, or for --timeout.\n"},
    {.name = "run",
     .arguments = "PROGRAM [ARGUMENT...]",
     .local = true,
     .takes_program = true,
     .usage_status = RUN_FAILED,
     .word = COMMANDS_PROGRAM,
     .options = "pool lock shared-lock semaphore on wait wait-status deadline kill-after "
		"read-only isolation rollback no-transaction url allow-outside quiet ",
     .run = run_program,
     .help = "run a program in a transaction, with locks and semaphores",
     .details =
	 "  --pool POOL         in a transaction of the pool, which all connections share that\n"
	 "                      the program makes: committed if its exit status is 0\n"
	 "  --read-only, --isolation LEVEL  of that transaction\n"
	 "  --rollback          roll it back in any case\n"
	 "  --no-transaction    the program works in the pool, in no transaction of ours\n"
	 "  --url VARIABLE      give the program a connection URL by this variable, too\n"
	 "  --allow-outside     connections of the program may work outside of the transaction\n"
	 "  --lock NAME         with this lock, as nobody else at the same time\n"
	 "  --shared-lock NAME  with it, beside others that share it\n"
	 "  --semaphore NAME=N  as one of N at a time\n"
	 "  --on POOL           the locks are those of this pool's PostgreSQL\n"
	 "  --wait TIME         wait no longer than this; 0: do not wait\n"
	 "  --wait-status N     exit status if the wait is over (75)\n"
	 "  --deadline TIME     end the program if all takes longer than this\n"
	 "  --kill-after TIME   from the signal TERM to KILL (10s)\n"
	 "  --quiet             no message if the wait is over, or if no connection of the "
	 "program\n"
	 "                      has joined the transaction\n"
	 "Exit status: that of the program, 128+n if a signal has ended it; 75: the wait is over;\n"
	 "76: PostgreSQL has refused the commit; 77: what was entered has been lost; 78: with\n"
	 "--rollback, but connections of the program have worked outside of the transaction; 125:\n"
	 "pgwith run itself has failed; 126: the program cannot be run; 127: there is none.\n"
	 "Manual: pgwith-run(1)\n"},
    {.name = "trace",
     .arguments = "",
     .local = true,
     .options = FORMAT_OPTIONS "output seconds pool report ",
     .run = trace_record,
     .help = "record where the time goes, or report on a recording",
     .details =
	 "  -o, --output FILE  record to FILE: .db or .sqlite for SQLite, .json for Perfetto\n"
	 "  --seconds N        for so long (10); Ctrl-C ends it earlier, and the file is written\n"
	 "  --pool NAME        of that pool only\n"
	 "  --report FILE      say where the time went in a recording to SQLite, the worst "
	 "first\n"},
    {.name = "doctor",
     .arguments = "",
     .local = true,
     .options = FORMAT_OPTIONS "config ",
     .run = doctor_run,
     .help = "look for what is wrong or unwise, and say what to do",
     .details = "Reads the configuration (--config FILE), looks at the socket, asks pgwithd, and "
		"connects\n"
		"to each pool's server once, by itself. Exit status 1: there is a problem.\n"},
    {.name = "import",
     .arguments = "FILE",
     .min_args = 1,
     .max_args = 1,
     .word = COMMANDS_FILE,
     .local = true,
     .options = "passfile database ",
     .run = import_run,
     .help = "print the pgwith.conf that does what a pgbouncer.ini does",
     .details =
	 "  --passfile FILE  write the passwords of PgBouncer's auth_file there, for libpq\n"
	 "  --database NAME  a pool for this database, if PgBouncer has it by its fallback *\n"},
    {.name = "completion",
     .arguments = "bash|zsh",
     .min_args = 1,
     .max_args = 1,
     .word = COMMANDS_SHELL,
     .local = true,
     .run = run_completion,
     .help = "print the script by which a shell completes these words"},
    {.name = "help",
     .arguments = "[COMMAND]",
     .max_args = 1,
     .word = COMMANDS_COMMAND,
     .local = true,
     .run = run_help,
     .help = "this, or more about one command"},
};
#define ENTRIES (sizeof entries / sizeof *entries)

const struct commands_entry *
commands_table(unsigned *count)
{
	*count = ENTRIES;
	return entries;
}

const struct commands_entry *
commands_named(const char *name)
{
	for (unsigned i = 0; i < ENTRIES; i++)
		if (strcmp(entries[i].name, name) == 0)
			return &entries[i];
	return NULL;
}

enum ask_status
commands_usage_status(const struct commands_entry *entry)
{
	return entry && entry->usage_status ? (enum ask_status)entry->usage_status : ASK_USAGE;
}

const struct commands_entry *
commands_find(const char *name)
{
	const struct commands_entry *entry = commands_named(name);
	const char *names[ENTRIES], *near;

	if (entry)
		return entry;
	for (unsigned i = 0; i < ENTRIES; i++)
		names[i] = entries[i].name;
	near = words_nearest(name, names, ENTRIES);
	if (near)
		fprintf(stderr, "pgwith: unknown command \"%s\"; did you mean \"%s\"?\n", name,
			near);
	else
		fprintf(stderr, "pgwith: unknown command \"%s\"; pgwith help lists them\n", name);
	return NULL;
}

void
commands_list(FILE *to)
{
	for (unsigned i = 0; i < ENTRIES; i++)
		fprintf(to, "  %-12s %s\n", entries[i].name, entries[i].help);
}

/* Is the word in the list, where each word has a blank behind it? */
static bool
is_listed(const char *list, const char *word)
{
	size_t bytes = strlen(word);

	for (; list && *list; list = strchr(list, ' ') + 1)
		if (strncmp(list, word, bytes) == 0 && list[bytes] == ' ')
			return true;
	return false;
}

static void
list_options(const struct commands_entry *entry, FILE *to)
{
	const char *gap = "";

	if (entry->options == NULL)
		return;
	fputs("Options, beside those of every command: ", to);
	for (const struct option *o = options_table(); o->name; o++)
		if (is_listed(entry->options, o->name)) {
			fprintf(to, "%s--%s", gap, o->name);
			gap = ", ";
		}
	fputc('\n', to);
}

void
commands_help(const struct commands_entry *entry, FILE *to)
{
	fprintf(to, "usage: pgwith [options] %s%s%s\n%s\n", entry->name,
		*entry->arguments ? " " : "", entry->arguments, entry->help);
	if (entry->details)
		fputs(entry->details, to);
	if (entry->columns)
		fprintf(to, "Columns, unless --all, --columns, --json or --csv is given:\n  %s\n",
			entry->columns);
	list_options(entry, to);
}

/* Does it only look, so that --watch can repeat it? */
static bool
is_look(const struct commands_entry *entry)
{
	return entry->run == look_table || entry->run == look_show || entry->run == look_status ||
	       entry->run == look_errors || entry->run == waits_run;
}

bool
commands_takes(const struct commands_entry *entry, const char *option)
{
	if (strcmp(option, "watch") == 0)
		return is_look(entry);
	return is_listed(EACH_TAKES, option) || is_listed(entry->options, option);
}

/* Options that a command takes only together with another one, or only without it. */
static const struct {
	const char *command; /* NULL: of every command that takes both */
	const char *option;
	const char *needs, *bars; /* one of them is NULL */
} pairs[] = {
    {NULL, "json", NULL, "csv"},
    {"set", "pool", NULL, "cluster"},
    {"set", "pool", NULL, "role"},
    {"set", "pool", NULL, "uid"},
    {"set", "pool", NULL, "scope"},
    {"set", "cluster", NULL, "role"},
    {"set", "cluster", NULL, "uid"},
    {"set", "cluster", NULL, "scope"},
    {"set", "role", NULL, "uid"},
    {"set", "role", NULL, "scope"},
    {"set", "uid", NULL, "scope"},
    {NULL, "columns", NULL, "all"},
    {"waits", "config", "with-server", NULL},
    {"waits", "dot", NULL, "json"},
    {"waits", "dot", NULL, "csv"},
    {"waits", "dot", NULL, "all"},
    {"waits", "dot", NULL, "columns"},
    {"trace", "json", "report", NULL},
    {"trace", "csv", "report", NULL},
    {"trace", "no-header", "report", NULL},
    {"trace", "report", NULL, "output"},
    {"trace", "report", NULL, "seconds"},
    {"trace", "report", NULL, "pool"},
    {"run", "on", NULL, "semaphore"},
    {"run", "read-only", "pool", NULL},
    {"run", "isolation", "pool", NULL},
    {"run", "rollback", "pool", NULL},
    {"run", "no-transaction", "pool", NULL},
    {"run", "url", "pool", NULL},
    {"run", "allow-outside", "pool", NULL},
    {"run", "allow-outside", NULL, "no-transaction"},
    {"run", "read-only", NULL, "no-transaction"},
    {"run", "isolation", NULL, "no-transaction"},
    {"run", "rollback", NULL, "no-transaction"},
};

/* Is the option given? -o is the one of --columns and --output that the command takes. */
static bool
is_given(const struct commands_entry *entry, const struct commands_how *how, const char *option)
{
	const struct option *table = options_table();

	if (how->given_o &&
	    strcmp(option, commands_takes(entry, "output") ? "output" : "columns") == 0)
		return true;
	for (unsigned i = 0; table[i].name; i++)
		if (strcmp(table[i].name, option) == 0)
			return how->given >> i & 1;
	return false;
}

/* The option as it was written on the command line, as far as that is known. */
static const char *
dashed(const struct commands_how *how, const char *option, char *out, size_t out_size)
{
	const struct option *table = options_table();
	bool is_long = false;

	for (unsigned i = 0; table[i].name; i++)
		if (strcmp(table[i].name, option) == 0)
			is_long = how->given >> i & 1;
	if (!is_long && how->given_o &&
	    (strcmp(option, "columns") == 0 || strcmp(option, "output") == 0))
		return "-o";
	snprintf(out, out_size, "--%s", option);
	return out;
}

/* Is every given option one that the command makes use of? If not, stderr says which is not. */
static bool
check_options(const struct commands_entry *entry, const struct commands_how *how)
{
	char one[32], other[32];

	for (const struct option *o = options_table(); o->name; o++)
		if (is_given(entry, how, o->name) && !commands_takes(entry, o->name)) {
			fprintf(stderr,
				"pgwith: %s takes no %s; pgwith help %s says which options it "
				"takes\n",
				entry->name, dashed(how, o->name, one, sizeof one), entry->name);
			return false;
		}
	for (unsigned i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		const char *option = pairs[i].option, *bars = pairs[i].bars,
			   *needs = pairs[i].needs;

		if ((pairs[i].command && strcmp(pairs[i].command, entry->name) != 0) ||
		    !is_given(entry, how, option))
			continue;
		if (bars && is_given(entry, how, bars)) {
			fprintf(stderr, "pgwith: %s takes either %s or %s\n", entry->name,
				dashed(how, option, one, sizeof one),
				dashed(how, bars, other, sizeof other));
			return false;
		}
		if (needs && !is_given(entry, how, needs)) {
			fprintf(stderr, "pgwith: %s takes %s only with --%s\n", entry->name,
				dashed(how, option, one, sizeof one), needs);
			return false;
		}
	}
	return true;
}

enum ask_status
commands_run(const struct commands_entry *entry, const struct commands_how *how, char **args)
{
	unsigned nargs = 0;
	struct ask *ask = NULL;
	enum ask_status status = ASK_GOOD;

	while (args[nargs])
		nargs++;
	if (nargs > entry->max_args || nargs < entry->min_args ||
	    (entry->takes_program && how->program == NULL)) {
		fprintf(stderr, "pgwith: usage: pgwith %s%s%s\n", entry->name,
			*entry->arguments ? " " : "", entry->arguments);
		return commands_usage_status(entry);
	}
	if (how->watch_us && !is_look(entry)) {
		fprintf(stderr, "pgwith: --watch is for commands that only look\n");
		return commands_usage_status(entry);
	}
	if (!check_options(entry, how))
		return commands_usage_status(entry);
	if (how->watch_us)
		return watch_run(entry, how, args);
	if (!entry->local)
		status = ask_open(&how->whom, &ask);
	if (status == ASK_GOOD)
		status = entry->run(entry, how, ask, args);
	ask_close(ask);
	return status;
}
