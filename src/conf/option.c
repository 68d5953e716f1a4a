#include "conf/option.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/units.h"
#include "base/words.h"
#include "conf/allow.h"
#include "conf/auth.h"
#include "conf/conf.h"
#include "conf/conninfo.h"
#include "conf/naming.h"
#include "conf/pwcommand.h"
#include "conf/quote.h"
#include "conf/script.h"
#include "conf/secret.h"
#include "conf/socket.h"
#include "conf/userlist.h"

#define DAY           (24 * UNIT_H)
#define IN_CONF(f)    .where = OPTION_PGWITH, .offset = offsetof(struct conf, f)
#define IN_POOL(f)    .where = OPTION_POOL, .offset = offsetof(struct conf_pool, f)
#define IN_SCOPE(f)   .where = OPTION_SCOPE, .offset = offsetof(struct conf_scope, f)
#define IN_CLUSTER(f) .where = OPTION_CLUSTER, .offset = offsetof(struct conf_cluster, f)
#define IN_LIMITS(f)  .where = OPTION_LIMITS, .offset = offsetof(struct conf_limits, f)
#define RANGE(a, b)   .min = (a), .max = (b)

/* The choices of enums, each in the order of its enum. */
static const char *const listen_modes[] = {"shared", "pin", NULL};
static const char *const modes[] = {"transaction", "session", "statement", NULL};
_Static_assert(CONF_TRANSACTION == 0 && CONF_STATEMENT == 2, "modes goes by the enum");
static const char *const roles[] = {"fixed", "client", NULL};
_Static_assert(CONF_ROLE_FIXED == 0 && CONF_ROLE_CLIENT == 1, "roles goes by the enum");
static const char *const caches[] = {"auto", "on", "off", NULL};
_Static_assert(CONF_CACHE_AUTO == 0 && CONF_CACHE_OFF == 2, "caches goes by the enum");
static const char *const isolations[] = {"default",        "serializable",     "repeatable read",
					 "read committed", "read uncommitted", NULL};
_Static_assert(CONF_ISOLATION_DEFAULT == 0 && CONF_READ_UNCOMMITTED == 4,
	       "isolations goes by the enum");
static const char *const accesses[] = {"default", "read only", "read write", NULL};
_Static_assert(CONF_ACCESS_DEFAULT == 0 && CONF_READ_WRITE == 2, "accesses goes by the enum");
static const char *const ios[] = {"auto", "epoll", "uring", NULL};
_Static_assert(CONF_IO_AUTO == 0 && CONF_IO_URING == 2, "ios goes by the enum");
static const char *const terms[] = {"drain", "after-clients", NULL};
_Static_assert(CONF_TERM_DRAIN == 0 && CONF_TERM_AFTER_CLIENTS == 1, "terms goes by the enum");
static const char *const log_levels[] = {"debug", "info", "warn", "error", NULL};
_Static_assert(LOG_DEBUG == 0 && LOG_ERROR == 3, "log_levels goes by the enum");
static const char *const log_formats[] = {"text", "json", NULL};
_Static_assert(LOG_TEXT == 0 && LOG_JSON == 1, "log_formats goes by the enum");
_Static_assert(sizeof(enum log_level) == sizeof(unsigned), "an OPTION_ENUM is kept as unsigned");

/* clang-format off */
static const struct conf_option table[] = {
	{"include", IN_CONF(include), .type = OPTION_STRING, .default_text = "", .repeats = true,
	 .reloadable = true,
	 .help = "Files that are read too: a path, or a pattern with wildcards. May be given several times. A relative path is relative to the folder of this file."},
	{"listen", IN_CONF(listen), .type = OPTION_STRING, .default_text = "/run/pgwith",
	 .check = socket_check_directory,
	 .help = "The directory of the socket, which is LISTEN/.s.PGSQL.PORT. An absolute path."},
	{"port", IN_CONF(port), .type = OPTION_INTEGER, RANGE(1, 65535), .default_text = "6432",
	 .help = "The number in the socket's name. Nothing listens on TCP."},
	{"socket_mode", IN_CONF(socket_mode), .type = OPTION_MODE, RANGE(0, 0777), .default_text = "0777",
	 .help = "The permission bits of the socket, in octal. Who may come in is decided by auth and allow, and by users of each pool."},
	{"socket_owner", IN_CONF(socket_owner), .type = OPTION_STRING, .default_text = "",
	 .help = "The user that the socket is given to. Empty: the one that pgwithd runs as."},
	{"socket_group", IN_CONF(socket_group), .type = OPTION_STRING, .default_text = "",
	 .help = "The group that the socket is given to. Empty: the one that pgwithd runs as."},
	{"allow", IN_CONF(allow), .type = OPTION_LIST, .default_text = "", .check = allow_check,
	 .many_lines = true, .reloadable = true,
	 .help = "Who may come in as whom, beyond root and the daemon's own user as anyone, and everybody as the role of their own user name. Items: ROLE everyone as that role, USER:ROLE that user or uid as that role, USER:* as anyone, * everyone as anyone. Which pools they may use then is decided by users."},
	{"auth", IN_CONF(auth), .type = OPTION_LIST, .default_text = "peer", .check = auth_check,
	 .reloadable = true,
	 .help = "How a client shows who it is. peer: the operating system tells which user it is, and allow as which roles that user may come in. scram-sha-256: by the password of its role, whatever user it is. peer, scram-sha-256: without a password where peer lets it in, otherwise by one."},
	{"auth_console", IN_CONF(auth_console), .type = OPTION_LIST, .default_text = "peer",
	 .check = auth_check, .reloadable = true,
	 .help = "The same for the database pgwith, the console, which the command pgwith uses. With scram-sha-256 alone, root needs a password, too, and so do probes by pgwith ready; peer, scram-sha-256 asks only those who may not come in without one."},
	{"auth_file", IN_CONF(auth_file), .type = OPTION_STRING, .default_text = "",
	 .check = userlist_check_path, .reloadable = true,
	 .help = "The absolute path of a file with roles and their passwords, one a line: \"ROLE\" \"VERIFIER\", where the verifier is that of pg_authid (SCRAM-SHA-256$...), or the password itself. PgBouncer's userlist.txt is such a file. Others may not read it. It is read at the start and by RELOAD."},
	{"auth_pool", IN_CONF(auth_pool), .type = OPTION_STRING, .default_text = "",
	 .reloadable = true,
	 .help = "The pool on which auth_query is run for roles that auth_file does not have. Empty: for none."},
	{"auth_query", IN_CONF(auth_query), .type = OPTION_STRING,
	 .default_text = "SELECT rolname, CASE WHEN rolvaliduntil < now() THEN NULL ELSE rolpassword END FROM pg_authid WHERE rolname = $1 AND rolcanlogin",
	 .many_lines = true, .reloadable = true,
	 .help = "A statement that gives the password of role $1: one row, whose last column is a verifier, the password itself, or NULL. No row: there is no such role."},
	{"auth_cache_age", IN_CONF(auth_cache_age_us), .type = OPTION_DURATION, RANGE(0, DAY),
	 .bare = UNIT_S, .default_text = "10s", .reloadable = true,
	 .help = "An answer of auth_query is used for this long."},
	{"auth_delay", IN_CONF(auth_delay_us), .type = OPTION_DURATION, RANGE(0, UNIT_MIN),
	 .bare = UNIT_S, .default_text = "1s", .reloadable = true,
	 .help = "A wrong password is answered after this time, which slows down those who guess. Nobody else waits for that."},
	{"admin_users", IN_CONF(admin_users), .type = OPTION_LIST, .default_text = "",
	 .check = allow_check_roles, .many_lines = true, .reloadable = true,
	 .help = "Roles that may use the whole console."},
	{"stats_users", IN_CONF(stats_users), .type = OPTION_LIST, .default_text = "",
	 .check = allow_check_roles, .many_lines = true, .reloadable = true,
	 .help = "Roles that may use the console to look, not to change."},
	{"max_clients", IN_CONF(max_clients), .type = OPTION_INTEGER, RANGE(1, 1000000),
	 .default_text = "10000", .reloadable = true,
	 .help = "Sessions at most, those of all pools and of the console together."},
	{"listen_memory", IN_CONF(listen_memory), .type = OPTION_SIZE, RANGE(INT64_C(1024) * 1024, INT64_C(1) << 40),
	 .bare = 1, .default_text = "256MB", .reloadable = true,
	 .help = "Notifications that wait for clients which do not take them, or are in a transaction, those of all sessions that listen together (listen_mode = shared). If there are more, the session for which the most wait is ended (53200). One session keeps 8 MB at most."},
	{"io", IN_CONF(io), .type = OPTION_ENUM, .choices = ios, .default_text = "auto",
	 .help = "How pgwithd waits, receives and sends: by io_uring, which costs less of the processor, or by epoll. auto: by io_uring where the kernel allows it. With uring, pgwithd does not start where it does not. When pgwithd is killed, the kernel closes what io_uring watches some milliseconds after its end."},
	{"login_timeout", IN_CONF(login_timeout_us), .type = OPTION_DURATION, RANGE(UNIT_MS, UNIT_H),
	 .bare = UNIT_S, .default_text = "15s", .reloadable = true,
	 .help = "A client that has not sent its whole startup packet after this long is turned away; so is one whose user the name service of the system (NSS) has not named after this long, or that has not proved its password after as long again. If there is no room for another connection, the one that has said nothing for longest goes before that."},
	{"shutdown_timeout", IN_CONF(shutdown_timeout_us), .type = OPTION_DURATION, RANGE(0, DAY),
	 .bare = UNIT_S, .default_text = "30s", .reloadable = true,
	 .help = "After SIGTERM, running transactions have this long to end; then they are cancelled and rolled back."},
	{"on_term", IN_CONF(on_term), .type = OPTION_ENUM, .choices = terms, .default_text = "drain",
	 .reloadable = true,
	 .help = "What SIGTERM does. drain: new clients are refused, running transactions have shutdown_timeout to end, idle clients are closed. after-clients: all goes on, for new clients too, until the last client has left; a second SIGTERM drains. For a container beside an application that gets SIGTERM at the same time."},
	{"exit_when_unused", IN_CONF(exit_when_unused_us), .type = OPTION_DURATION, RANGE(0, 365 * DAY),
	 .bare = UNIT_S, .default_text = "0", .reloadable = true,
	 .help = "pgwithd ends by itself, with exit status 0, when a pool has had a client and then for so long none. Sessions of the console and connections to metrics_listen are no clients. With on_term = after-clients it is also how long SIGTERM waits for another client. 0: never."},
	{"handover", IN_CONF(handover), .type = OPTION_BOOL, .default_text = "off", .reloadable = true,
	 .help = "SIGTERM hands sessions and servers over to the pgwithd that is started next, if a supervisor keeps descriptors. SIGUSR2 does so in any case, and is what pgwithd.service sends for a restart: off there, so that a stop drains."},
	{"handover_timeout", IN_CONF(handover_timeout_us), .type = OPTION_DURATION, RANGE(0, UNIT_H),
	 .bare = UNIT_S, .default_text = "5s", .reloadable = true,
	 .help = "So long a handover waits for what cannot be handed over: transactions over TLS, scopes in the middle of ENTER or LEAVE, cleanups. Then it is ended."},
	{"metrics_listen", IN_CONF(metrics_listen), .type = OPTION_STRING, .default_text = "",
	 .check = socket_check_metrics, .reloadable = true,
	 .help = "Where pgwithd answers HTTP, with numbers about itself for Prometheus (/metrics) and a status page for people (/): an address of this machine alone, 127.0.0.1:PORT or [::1]:PORT, or the absolute path of a Unix socket. Empty: nowhere."},
	{"metrics_socket_mode", IN_CONF(metrics_socket_mode), .type = OPTION_MODE, RANGE(0, 0777),
	 .default_text = "0660", .reloadable = true,
	 .help = "The permission bits of the Unix socket of metrics_listen, in octal."},
	{"log_level", IN_CONF(log_level), .type = OPTION_ENUM, .choices = log_levels,
	 .default_text = "info", .reloadable = true,
	 .help = "The least important lines that are logged."},
	{"log_format", IN_CONF(log_format), .type = OPTION_ENUM, .choices = log_formats,
	 .default_text = "text", .reloadable = true,
	 .help = "How lines are logged: text, for people; json, an object on each line."},
	{"log_connections", IN_CONF(log_connections), .type = OPTION_BOOL, .default_text = "on",
	 .reloadable = true,
	 .help = "Log a line when a session comes."},
	{"log_disconnections", IN_CONF(log_disconnections), .type = OPTION_BOOL, .default_text = "on",
	 .reloadable = true,
	 .help = "Log a line when a session goes, with the reason."},
	{"log_pooler_errors", IN_CONF(log_pooler_errors), .type = OPTION_BOOL, .default_text = "on",
	 .reloadable = true,
	 .help = "Log a line for each error of pgwithd's own that a client is told. Those of the server are in its log."},
	{"log_scopes", IN_CONF(log_scopes), .type = OPTION_BOOL, .default_text = "on",
	 .reloadable = true,
	 .help = "Log lines when a scope is entered, granted, exited and released. Only of those that clients enter by ENTER."},

	{"conninfo", IN_POOL(conninfo), .type = OPTION_STRING, .check = conninfo_check,
	 .many_lines = true, .shown = conninfo_shown, .reloadable = true,
	 .help = "How the server is reached: a libpq connection string or URI, or file:PATH of a file that holds it. Must be given."},
	{"password", IN_POOL(password), .type = OPTION_STRING, .default_text = "",
	 .check = pwcommand_check, .shown = pwcommand_shown, .reloadable = true,
	 .help = "The password that goes with conninfo, file:PATH of a file that holds it, or command:/PATH ARGUMENTS of a program that tells it. Empty: the one in conninfo, or of libpq's passfile."},
	{"password_ttl", IN_POOL(password_ttl_us), .type = OPTION_DURATION, RANGE(0, 365 * DAY),
	 .bare = UNIT_S, .default_text = "5min", .reloadable = true,
	 .help = "For so long the password that a command has told is used for new server connections. Then, or when PostgreSQL has refused it, the command is asked again. 0: for each of them."},
	{"password_timeout", IN_POOL(password_timeout_us), .type = OPTION_DURATION, RANGE(UNIT_MS, UNIT_H),
	 .bare = UNIT_S, .default_text = "10s", .reloadable = true,
	 .help = "A command that has told no password after this long is killed. It is asked before connect_timeout begins."},
	{"application_name", IN_POOL(application_name), .type = OPTION_STRING, .default_text = "client",
	 .check = naming_check, .reloadable = true,
	 .help = "Which application_name PostgreSQL sees, in pg_stat_activity and in its log: client, the client's own; pool, the one that conninfo gives; or a format in single quotes, in which %a is the client's own, %p its process id, %u its uid, %e its program, %s the number of its session, %c its scope and %% a %."},
	{"mode", IN_POOL(mode), .type = OPTION_ENUM, .choices = modes, .default_text = "transaction",
	 .reloadable = true,
	 .help = "For how long a session keeps a server connection: for a transaction, for the whole session, or for a statement (then transactions are refused)."},
	{"role", IN_POOL(role), .type = OPTION_ENUM, .choices = roles, .default_text = "fixed",
	 .help = "As whom server connections log in: fixed, as conninfo says; client, each as the role of its client. The roles share size, and wait in one order; min_size does not count then."},
	{"users", IN_POOL(users), .type = OPTION_LIST, .default_text = "", .check = allow_check_users,
	 .many_lines = true, .reloadable = true,
	 .help = "The users of the operating system who may use the pool, beside root and the user of pgwithd: names, uids, @GROUP, or * for everybody; and role:ROLE, those who have proved by a password that they are that role (auth). Empty: with role = fixed the user who is named as the role that the pool logs in as; with role = client everybody, each as a role that allow gives them."},
	{"cluster", IN_POOL(cluster), .type = OPTION_STRING, .default_text = "", .reloadable = true,
	 .help = "The section [cluster NAME] whose server_limit holds for this pool and all others that name it: pools that reach the same PostgreSQL server. Empty: none."},
	{"size", IN_POOL(size), .type = OPTION_INTEGER, RANGE(1, 10000), .default_text = "20",
	 .reloadable = true,
	 .help = "Server connections at most, those that are being opened or cleaned up counted."},
	{"min_size", IN_POOL(min_size), .type = OPTION_INTEGER, RANGE(0, 10000), .default_text = "0",
	 .reloadable = true,
	 .help = "Server connections that are opened at start, before any client, and kept."},
	{"max_opening", IN_POOL(max_opening), .type = OPTION_INTEGER, RANGE(1, 1000),
	 .default_text = "4", .reloadable = true,
	 .help = "Server connections that are being opened at the same time, at most."},
	{"max_waiting", IN_POOL(max_waiting), .type = OPTION_INTEGER, RANGE(0, 1000000),
	 .default_text = "10000", .reloadable = true,
	 .help = "Sessions in the queue for a server connection, at most. 0: none may wait."},
	{"wait_timeout", IN_POOL(wait_timeout_us), .type = OPTION_DURATION, RANGE(0, 365 * DAY),
	 .bare = UNIT_S, .default_text = "30s", .reloadable = true,
	 .help = "A session that has waited for a server connection for this long gets an error. 0: no limit."},
	{"idle_timeout", IN_POOL(idle_timeout_us), .type = OPTION_DURATION, RANGE(0, 365 * DAY),
	 .bare = UNIT_S, .default_text = "10min", .reloadable = true,
	 .help = "A server connection that has been idle for this long is closed, down to min_size. 0: never."},
	{"max_lifetime", IN_POOL(max_lifetime_us), .type = OPTION_DURATION, RANGE(0, 365 * DAY),
	 .bare = UNIT_S, .default_text = "1h", .reloadable = true,
	 .help = "A server connection older than this is closed when it is idle, one after the other, and up to a tenth of it earlier, so that not all are replaced at once. 0: never."},
	{"connect_timeout", IN_POOL(connect_timeout_us), .type = OPTION_DURATION, RANGE(UNIT_MS, UNIT_H),
	 .bare = UNIT_S, .default_text = "15s", .reloadable = true,
	 .help = "For opening one server connection, name resolution and authentication included. With several hosts in the conninfo: for each."},
	{"retry_delay", IN_POOL(retry_delay_us), .type = OPTION_DURATION, RANGE(0, UNIT_H),
	 .bare = UNIT_S, .default_text = "1s", .reloadable = true,
	 .help = "After the server could not be reached, the next attempt is made after this time, at most, and not for each client. Clients get the last one's error at once meanwhile, unless they wait: wait_while_down."},
	{"wait_while_down", IN_POOL(wait_while_down), .type = OPTION_BOOL, .default_text = "on", .reloadable = true,
	 .help = "Whether clients wait, for wait_timeout, while a server that was there before cannot be reached, as when PostgreSQL restarts. off: they get the error at once, but for the first one: that attempt is repeated first. What PostgreSQL itself says to a login (no such role or database, a wrong password), and a server that has not been reached yet, is always an error at once."},
	{"check_interval", IN_POOL(check_interval_us), .type = OPTION_DURATION, RANGE(0, 365 * DAY),
	 .bare = UNIT_S, .default_text = "30s", .reloadable = true,
	 .help = "A server connection that has been idle for this long is asked for a sign of life. 0: never."},
	{"pin", IN_POOL(pin), .type = OPTION_BOOL, .default_text = "on", .reloadable = true,
	 .help = "A session that makes what cannot be moved (temporary tables, advisory locks, SQL PREPARE, and LISTEN if listen_mode is pin) keeps its server connection. off: such statements are refused (0A000), what a DO block leaves of that kind is discarded, and a session with more than 256 kB of parameters is ended."},
	{"listen_mode", IN_POOL(listen_mode), .type = OPTION_ENUM, .choices = listen_modes,
	 .default_text = "shared", .reloadable = true,
	 .help = "Who listens when a session says LISTEN. shared: one connection of the pool listens for all sessions, which keep no server connection for that. pin: the session's own server connection, which it keeps until UNLISTEN. Counts for sessions that come in later. pgwithd(8) tells how the two differ."},
	{"discard_always", IN_POOL(discard_always), .type = OPTION_BOOL, .default_text = "off", .reloadable = true,
	 .help = "Session state of the server connection is undone by DISCARD ALL after every transaction, and not only when a statement may have changed it. For functions that set parameters by themselves, or take session locks."},
	{"max_prepared_statements", IN_POOL(max_prepared_statements), .type = OPTION_INTEGER, RANGE(0, 100000),
	 .default_text = "200", .reloadable = true,
	 .help = "Named prepared statements kept on each server connection; the least recently used one goes first. 0: a session that makes one keeps its server connection, and the statement its name."},
	{"max_session_statements", IN_POOL(max_session_statements), .type = OPTION_INTEGER, RANGE(0, 1000000),
	 .default_text = "1000", .reloadable = true,
	 .help = "Named prepared statements of one session. One that makes more keeps its server connection."},
	{"statement_cache", IN_POOL(statement_cache), .type = OPTION_ENUM, .choices = caches,
	 .default_text = "auto", .reloadable = true,
	 .help = "Statements without a name that come again with the same text are parsed once for all sessions of the pool. auto: only those that another Parse would certainly not understand in another way. on: also those whose parameter types PostgreSQL infers, and those with functions and literals. off: each Parse goes to the server. pgwithd(8) says what on risks."},
	{"statement_cache_age", IN_POOL(statement_cache_age_us), .type = OPTION_DURATION, RANGE(UNIT_S, DAY),
	 .bare = UNIT_S, .default_text = "1min", .reloadable = true,
	 .help = "A statement that was parsed longer ago than this is parsed anew when it comes next."},
	{"lazy_begin", IN_POOL(lazy_begin), .type = OPTION_BOOL, .default_text = "on", .reloadable = true,
	 .help = "A plain BEGIN is answered at once and needs no server connection; the server gets it together with the next statement, when now() of the transaction begins. off: every BEGIN waits for a server connection."},
	{"read_only", IN_POOL(read_only), .type = OPTION_STRING, .default_text = "", .reloadable = true,
	 .help = "The pool, of a standby, that gets the transactions which say themselves that they only read: BEGIN READ ONLY, SET TRANSACTION READ ONLY behind a plain BEGIN, ENTER ... READ ONLY, and what only reads in a session that has set default_transaction_read_only. All others stay here. Empty: all stay here."},
	{"read_only_fallback", IN_POOL(read_only_fallback), .type = OPTION_BOOL, .default_text = "on", .reloadable = true,
	 .help = "Transactions for the pool of read_only stay in this pool while none of its servers can be reached, or it is paused, disabled or drained. off: they get the error of that pool, or wait."},
	{"read_your_writes", IN_POOL(read_your_writes_us), .type = OPTION_DURATION, RANGE(0, DAY),
	 .bare = UNIT_S, .default_text = "5s", .reloadable = true,
	 .help = "For this long after a session may have written, its transactions for the pool of read_only stay in this pool, as the standby may not have received that yet. Choose it longer than the standby lags. 0: they do not."},
	{"scope_deadline", IN_POOL(scope_deadline_us), .type = OPTION_DURATION, RANGE(0, 365 * DAY),
	 .bare = UNIT_S, .default_text = "0", .reloadable = true,
	 .help = "A scope or transaction that has no deadline of its own is cancelled and rolled back when it has lasted this long. A scope begins when ENTER asks for it, waiting included; a transaction when a server gets the first of its statements. 0: no limit."},
	{"idle_in_scope_timeout", IN_POOL(idle_in_scope_timeout_us), .type = OPTION_DURATION, RANGE(0, 365 * DAY),
	 .bare = UNIT_S, .default_text = "0", .reloadable = true,
	 .help = "A scope or transaction whose client sends nothing for this long, while nothing is running for it, is rolled back. 0: no limit."},
	{"query_timeout", IN_POOL(query_timeout_us), .type = OPTION_DURATION, RANGE(0, 365 * DAY),
	 .bare = UNIT_S, .default_text = "0", .reloadable = true,
	 .help = "A statement that runs for longer is cancelled, and its transaction rolled back. 0: no limit."},
	{"log_scope_longer_than", IN_POOL(log_scope_longer_than_us), .type = OPTION_DURATION, RANGE(0, 365 * DAY),
	 .bare = UNIT_S, .default_text = "0", .reloadable = true,
	 .help = "Log a line at the end of each scope or transaction that has lasted this long, waiting included: how long it waited, for what, and what it did. 0: never."},
	{"log_scope_statements", IN_POOL(log_scope_statements), .type = OPTION_BOOL, .default_text = "off",
	 .reloadable = true,
	 .help = "After that line, log the SQL of its statements, the last 16 of them, each up to 500 bytes; after a line of log_held_longer_than, that of the last one. It may hold what nobody should read."},
	{"log_held_longer_than", IN_POOL(log_held_longer_than_us), .type = OPTION_DURATION, RANGE(0, 365 * DAY),
	 .bare = UNIT_S, .default_text = "0", .reloadable = true,
	 .help = "Log a line while a scope, transaction or statement still holds a server connection, or a scope a lock or semaphore, after this long: who holds it, and how many wait for it; and a second line when that ends. 0: never."},
	{"cleanup_timeout", IN_POOL(cleanup_timeout_us), .type = OPTION_DURATION, RANGE(UNIT_MS, UNIT_H),
	 .bare = UNIT_S, .default_text = "5s", .reloadable = true,
	 .help = "For all steps of one cleanup together (cancel, drain, roll back, restore), and again for each statement that is run in it; a server connection that takes longer is closed and replaced."},

	{"pool", IN_SCOPE(pool), .type = OPTION_STRING, .default_text = "", .reloadable = true,
	 .help = "The name of the pool on which its transaction runs. Empty: that of the session."},
	{"wait", IN_SCOPE(wait_us), .type = OPTION_DURATION, RANGE(0, 365 * DAY), .bare = UNIT_S,
	 .default_text = "", .reloadable = true,
	 .help = "For how long ENTER waits for a server connection, at most. 0: not at all. Empty: for the wait_timeout of the pool."},
	{"deadline", IN_SCOPE(deadline_us), .type = OPTION_DURATION, RANGE(0, 365 * DAY),
	 .bare = UNIT_S, .default_text = "0", .reloadable = true,
	 .help = "The scope is cancelled and rolled back when it has lasted this long, waiting included. 0: after the scope_deadline of the pool, if that is not 0."},
	{"isolation", IN_SCOPE(isolation), .type = OPTION_ENUM, .choices = isolations,
	 .default_text = "default", .reloadable = true,
	 .help = "The isolation level of its transaction. default: the server's own."},
	{"access", IN_SCOPE(access), .type = OPTION_ENUM, .choices = accesses,
	 .default_text = "default", .reloadable = true,
	 .help = "Whether its transaction may write. default: as the server has it."},
	{"suppress", IN_SCOPE(suppress), .type = OPTION_BOOL, .default_text = "off",
	 .reloadable = true,
	 .help = "A failure ends with the scope: it is rolled back, LEAVE says so in a NOTICE and succeeds, and what is around it goes on."},
	{"enter", IN_SCOPE(enter), .type = OPTION_STATEMENTS, .default_text = "",
	 .many_lines = true, .reloadable = true,
	 .help = "Run by ENTER, inside the transaction, before anything else."},
	{"on_commit", IN_SCOPE(on_commit), .type = OPTION_STATEMENTS, .default_text = "",
	 .many_lines = true, .reloadable = true,
	 .help = "Run when the scope succeeds: inside the transaction, after all that was deferred, before the commit."},
	{"on_rollback", IN_SCOPE(on_rollback), .type = OPTION_STATEMENTS, .default_text = "",
	 .many_lines = true, .reloadable = true,
	 .help = "Run when the scope fails, is cancelled or is left by LEAVE ROLLBACK: after the rollback, each statement on its own."},
	{"cleanup", IN_SCOPE(cleanup), .type = OPTION_STATEMENTS, .default_text = "",
	 .many_lines = true, .reloadable = true,
	 .help = "Run in any case, also when the client is gone: after the transaction has ended, each statement on its own."},

	{"server_limit", IN_CLUSTER(server_limit), .type = OPTION_INTEGER, RANGE(1, 100000),
	 .reloadable = true,
	 .help = "Server connections at most, of all pools of the cluster together; those that are being opened, cleaned up or closed counted. What a pool's min_size keeps, no other pool gets. Must be given."},

	{"max_clients", IN_LIMITS(max_clients), .type = OPTION_INTEGER, RANGE(0, 1000000),
	 .default_text = "0", .reloadable = true,
	 .help = "Sessions of the role, or of the uid, at most, those of all pools together; the console's are not counted. A client beyond it is refused (53300). 0: no limit."},
	{"max_servers", IN_LIMITS(max_servers), .type = OPTION_INTEGER, RANGE(0, 100000),
	 .default_text = "0", .reloadable = true,
	 .help = "Server connections at most that sessions of the role, or of the uid, hold at the same time, those of all pools together. A session beyond it waits, and keeps nobody else waiting. 0: no limit."},
	{"priority", IN_LIMITS(priority), .type = OPTION_INTEGER, RANGE(0, 3600),
	 .default_text = "0", .reloadable = true,
	 .help = "In a queue for a server connection, sessions of the role, or of the uid, stand before others that came up to so many seconds earlier."},
};
/* clang-format on */

#define TABLE_COUNT (sizeof table / sizeof *table)

const struct conf_option *
option_table(unsigned *count)
{
	*count = TABLE_COUNT;
	return table;
}

unsigned
option_index(const struct conf_option *o)
{
	return o - table;
}

const struct conf_option *
option_find(const char *name)
{
	for (unsigned i = 0; i < TABLE_COUNT; i++)
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	return NULL;
}

const struct conf_option *
option_find_in(const char *name, enum option_where section)
{
	const struct conf_option *found = option_find(name);

	for (unsigned i = 0; i < TABLE_COUNT; i++)
		if (strcmp(table[i].name, name) == 0 && option_fits(&table[i], section))
			return &table[i];
	return found;
}

/* ---- names ----------------------------------------------------------------------------------- */

bool
option_fits(const struct conf_option *o, enum option_where section)
{
	return o->where == section || (section == OPTION_PGWITH && o->where == OPTION_POOL);
}

const char *
option_nearest(const char *word, enum option_where section)
{
	const char *names[TABLE_COUNT];
	unsigned n = 0;

	for (unsigned i = 0; i < TABLE_COUNT; i++)
		if (option_fits(&table[i], section))
			names[n++] = table[i].name;
	return words_nearest(word, names, n);
}

const char *
option_of_pgbouncer(const char *name)
{
	static const struct {
		const char *theirs, *ours;
	} names[] = {
	    {"application_name_add_host", "application_name"},
	    {"auth_dbname", "auth_pool"},
	    {"auth_type", "auth: peer, scram-sha-256"},
	    {"auth_user", "auth_pool, whose conninfo has the role"},
	    {"dbname", "conninfo"},
	    {"default_pool_size", "size"},
	    {"host", "conninfo"},
	    {"idle_transaction_timeout", "idle_in_scope_timeout"},
	    {"listen_addr", "listen, the folder of a Unix socket"},
	    {"listen_port", "port"},
	    {"log_disconnections", "log_connections"},
	    {"max_client_conn", "max_clients"},
	    {"max_db_connections", "size; for several pools together, server_limit of a [cluster]"},
	    {"max_user_client_connections", "max_clients of a section [role NAME]"},
	    {"max_user_connections", "max_servers of a section [role NAME]"},
	    {"min_pool_size", "min_size"},
	    {"pool_mode", "mode"},
	    {"pool_size", "size"},
	    {"query_wait_timeout", "wait_timeout"},
	    {"server_check_delay", "check_interval"},
	    {"server_connect_timeout", "connect_timeout"},
	    {"server_idle_timeout", "idle_timeout"},
	    {"server_lifetime", "max_lifetime"},
	    {"server_login_retry", "retry_delay"},
	    {"server_reset_query", "nothing: what a session changes is restored by itself"},
	    {"server_reset_query_always", "discard_always"},
	    {"unix_socket_dir", "listen"},
	    {"unix_socket_group", "socket_group"},
	    {"unix_socket_mode", "socket_mode"},
	};

	for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
		if (strcasecmp(name, names[i].theirs) == 0)
			return names[i].ours;
	return NULL;
}

/* ---- values ---------------------------------------------------------------------------------- */

static int64_t *
number_at(void *base, const struct conf_option *o)
{
	return (int64_t *)((char *)base + o->offset);
}

static char **
string_at(void *base, const struct conf_option *o)
{
	return (char **)((char *)base + o->offset);
}

static struct conf_statements *
statements_at(void *base, const struct conf_option *o)
{
	return (struct conf_statements *)((char *)base + o->offset);
}

static bool
is_string(const struct conf_option *o)
{
	return o->type == OPTION_STRING || o->type == OPTION_LIST;
}

static int
parse_bool(const char *s, bool *value)
{
	static const char *const words[] = {"off", "on", "no", "yes", "false", "true", "0", "1"};

	for (unsigned i = 0; i < sizeof words / sizeof *words; i++) {
		if (strcasecmp(s, words[i]) == 0) {
			*value = i % 2;
			return 0;
		}
	}
	return -E_SYNTAX;
}

/* The characters are checked first, as strtoll() takes blanks, a plus sign and an empty text. */
static int
parse_number(const char *s, int base, int64_t *value)
{
	const char *digits = base == 8 ? "01234567" : "0123456789";
	const char *first = *s == '-' ? s + 1 : s;

	if (*first == '\0' || first[strspn(first, digits)] != '\0')
		return -E_SYNTAX;
	errno = 0;
	*value = strtoll(s, NULL, base);
	return errno ? -E_RANGE : 0;
}

static bool
may_be_unset(const struct conf_option *o)
{
	return o->type == OPTION_DURATION && o->default_text && *o->default_text == '\0';
}

/* Parses a value of all types but strings and statements, as a number. */
static int
parse_value(const struct conf_option *o, const char *text, int64_t *value)
{
	bool flag;
	int e;

	switch (o->type) {
	case OPTION_BOOL:
		e = parse_bool(text, &flag);
		*value = e ? 0 : flag;
		return e;
	case OPTION_INTEGER:
		e = parse_number(text, 10, value);
		break;
	case OPTION_MODE:
		e = parse_number(text, 8, value);
		break;
	case OPTION_DURATION:
		if (*text == '\0' && may_be_unset(o)) {
			*value = CONF_UNSET;
			return 0;
		}
		e = units_duration(text, o->bare, value);
		break;
	case OPTION_SIZE:
		e = units_size(text, o->bare, value);
		break;
	case OPTION_ENUM:
		for (*value = 0; o->choices[*value]; ++*value)
			if (strcasecmp(text, o->choices[*value]) == 0)
				return 0;
		return -E_SYNTAX;
	default:
		return -E_SYNTAX;
	}
	if (e == 0 && (*value < o->min || *value > o->max))
		e = -E_RANGE;
	return e;
}

static void
store_string(const struct conf_option *o, void *base, const char *text)
{
	char **at = string_at(base, o);

	secret_free(*at);
	*at = mem_strdup(text);
}

static void
store_value(const struct conf_option *o, void *base, int64_t value)
{
	if (o->type == OPTION_BOOL)
		*(bool *)((char *)base + o->offset) = value;
	else if (o->type == OPTION_ENUM)
		*(unsigned *)((char *)base + o->offset) = value;
	else
		*number_at(base, o) = value;
}

static int64_t
stored_value(const struct conf_option *o, const void *base)
{
	const char *at = (const char *)base + o->offset;

	if (o->type == OPTION_BOOL)
		return *(const bool *)at;
	if (o->type == OPTION_ENUM)
		return *(const unsigned *)at;
	return *(const int64_t *)at;
}

/* Stores a string, or what stands in the file that it names. Returns 0, or -E_SYNTAX with *why. */
static int
set_string(const struct conf_option *o, void *base, const char *text, char **why)
{
	char *held = NULL;

	if (o->shown && secret_is_file(text)) {
		held = secret_read(text, why);
		if (held == NULL)
			return -E_SYNTAX;
		/* Who may write the file need not be somebody who may run programs. */
		if (pwcommand_is(held)) {
			secret_free(held);
			*why = mem_strdup("the file holds a command: that must stand in the "
					  "configuration itself");
			return -E_SYNTAX;
		}
		text = held;
	}
	*why = o->check ? o->check(text) : NULL;
	if (*why == NULL)
		store_string(o, base, text);
	secret_free(held);
	return *why ? -E_SYNTAX : 0;
}

/* What is wrong with a value that could not be parsed, for people. */
static char *
explain_value(const struct conf_option *o, const char *text)
{
	char *quoted = quote_text(text), *range = option_range(o), *why;
	const char *nearest = NULL;
	unsigned count = 0;

	if (o->type == OPTION_ENUM) {
		while (o->choices[count])
			count++;
		nearest = words_nearest(text, o->choices, count);
	}
	why = mem_printf("%s: expected %s%s%s%s%s%s", quoted, range,
			 o->type == OPTION_DURATION ? ", like 250ms, 5s, 2min or 1h"
			 : o->type == OPTION_SIZE   ? ", like 64kB or 1MB"
						    : "",
			 nearest ? "; did you mean \"" : "", nearest ? nearest : "",
			 nearest ? "\"?" : "",
			 strstr(text, " #") ? "; a comment behind a value begins with ;" : "");
	free(quoted);
	free(range);
	return why;
}

int
option_set(const struct conf_option *o, void *base, const char *text, char **why, unsigned *row)
{
	struct conf_statements statements;
	int64_t value;
	unsigned bad = 0;
	int e;

	*why = NULL;
	if (row)
		*row = 0;
	if (o->type == OPTION_STATEMENTS) {
		*why = script_parse(text, &statements, &bad);
		if (row)
			*row = bad;
		if (*why)
			return -E_SYNTAX;
		script_clear(statements_at(base, o));
		*statements_at(base, o) = statements;
		return 0;
	}
	if (is_string(o))
		return set_string(o, base, text, why);
	e = parse_value(o, text, &value);
	if (e) {
		*why = explain_value(o, text);
		return e;
	}
	store_value(o, base, value);
	return 0;
}

void
option_set_default(const struct conf_option *o, void *base)
{
	int64_t value;

	if (o->default_text == NULL)
		return;
	if (o->type == OPTION_STATEMENTS)
		script_clear(statements_at(base, o)); /* none */
	else if (is_string(o))
		store_string(o, base, o->default_text);
	else if (parse_value(o, o->default_text, &value) == 0)
		store_value(o, base, value);
	else
		log_fatal("option", o->name, "its default", LOG_WORD(o->default_text),
			  LOG_WORD("is none"));
}

bool
option_same(const struct conf_option *o, const void *a, const void *b)
{
	const struct conf_statements *x, *y;
	const char *s, *t;

	if (o->type == OPTION_STATEMENTS) {
		x = option_statements(o, a);
		y = option_statements(o, b);
		for (unsigned i = 0; i < x->count && i < y->count; i++)
			if (strcmp(x->list[i].sql, y->list[i].sql) != 0)
				return false;
		return x->count == y->count;
	}
	if (!is_string(o))
		return stored_value(o, a) == stored_value(o, b);
	s = *string_at((void *)a, o);
	t = *string_at((void *)b, o);
	return s == t || (s && t && strcmp(s, t) == 0);
}

void
option_copy(const struct conf_option *o, void *to, const void *from)
{
	const char *text;

	if (o->type == OPTION_STATEMENTS) {
		script_copy(statements_at(to, o), option_statements(o, from));
		return;
	}
	if (!is_string(o)) {
		store_value(o, to, stored_value(o, from));
		return;
	}
	text = *string_at((void *)from, o);
	if (text)
		store_string(o, to, text);
	else
		option_clear(o, to);
}

const struct conf_statements *
option_statements(const struct conf_option *o, const void *base)
{
	return o->type == OPTION_STATEMENTS ? statements_at((void *)base, o) : NULL;
}

void
option_clear(const struct conf_option *o, void *base)
{
	if (is_string(o)) {
		secret_free(*string_at(base, o));
		*string_at(base, o) = NULL;
	} else if (o->type == OPTION_STATEMENTS) {
		script_clear(statements_at(base, o));
	}
}

/* ---- text ------------------------------------------------------------------------------------ */

static char *
value_text(const struct conf_option *o, int64_t value)
{
	char out[40];

	switch (o->type) {
	case OPTION_BOOL:
		return mem_strdup(value ? "on" : "off");
	case OPTION_DURATION:
		if (value == CONF_UNSET && may_be_unset(o))
			return mem_strdup("");
		return mem_strdup(units_duration_str(value, out, sizeof out));
	case OPTION_SIZE:
		return mem_strdup(units_size_str(value, out, sizeof out));
	case OPTION_MODE:
		return mem_printf("0%03" PRIo64, value);
	case OPTION_ENUM:
		return mem_strdup(o->choices[value]);
	default:
		return mem_printf("%" PRId64, value);
	}
}

char *
option_text(const struct conf_option *o, const void *base)
{
	const char *text;

	if (o->type == OPTION_STATEMENTS)
		return script_text(option_statements(o, base));
	if (!is_string(o))
		return value_text(o, stored_value(o, base));
	text = *string_at((void *)base, o);
	if (text == NULL)
		return mem_strdup("");
	return o->shown ? o->shown(text) : mem_strdup(text);
}

const char *
option_bare_unit(const struct conf_option *o)
{
	static const struct {
		enum option_type type;
		int64_t bare;
		const char *name;
	} units[] = {
	    {OPTION_DURATION, UNIT_US, "us"},   {OPTION_DURATION, UNIT_MS, "ms"},
	    {OPTION_DURATION, UNIT_S, "s"},     {OPTION_DURATION, UNIT_MIN, "min"},
	    {OPTION_DURATION, UNIT_H, "h"},     {OPTION_SIZE, 1, "B"},
	    {OPTION_SIZE, INT64_C(1024), "kB"}, {OPTION_SIZE, INT64_C(1048576), "MB"},
	};

	for (unsigned i = 0; i < sizeof units / sizeof *units; i++)
		if (units[i].type == o->type && units[i].bare == o->bare)
			return units[i].name;
	return NULL;
}

char *
option_range(const struct conf_option *o)
{
	char *min, *max, *range;
	const char *kind;

	switch (o->type) {
	case OPTION_BOOL:
		return mem_strdup("on or off");
	case OPTION_STRING:
		return mem_strdup("a string");
	case OPTION_LIST:
		return mem_strdup("a list separated by commas");
	case OPTION_STATEMENTS:
		return mem_strdup("a list of SQL statements");
	case OPTION_ENUM:
		range = mem_strdup("one of");
		for (unsigned i = 0; o->choices[i]; i++) {
			char *more = mem_printf("%s%s %s", range, i ? "," : "", o->choices[i]);

			free(range);
			range = more;
		}
		return range;
	case OPTION_INTEGER:
		kind = "an integer";
		break;
	case OPTION_MODE:
		kind = "an octal number";
		break;
	case OPTION_DURATION:
		kind = "a duration";
		break;
	default:
		kind = "a size";
		break;
	}
	min = value_text(o, o->min);
	max = value_text(o, o->max);
	range = mem_printf("%s from %s to %s", kind, min, max);
	free(min);
	free(max);
	return range;
}
