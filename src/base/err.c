#include "base/err.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* SQLSTATEs: PostgreSQL 15 documentation, appendix A. A comment beside each message names its
 * arguments. */
static const struct err_kind kinds[ERR_N] = {
    [ERR_NONE] = {"none", "00000", false, "no error", NULL},
    [ERR_PROTOCOL_VIOLATION] = {"protocol_violation", "08P01", true,
				"invalid message from the client: %s", /* what */
				NULL},
    [ERR_MALFORMED] = {"malformed", "08P01", false, "invalid message format", NULL},
    [ERR_PROTOCOL_VERSION] =
	{"protocol_version", "0A000", true,
	 "unsupported frontend protocol %u.%u: server supports 3.0 to 3.2", /* major, minor */
	 NULL},
    [ERR_STARTUP_LAYOUT] = {"startup_layout", "08P01", true,
			    "invalid startup packet layout: expected terminator as last byte",
			    NULL},
    [ERR_NO_USER] = {"no_user", "28000", true,
		     "no PostgreSQL user name specified in startup packet", NULL},
    [ERR_NOT_ALLOWED] = {"not_allowed", "28000", true,
			 "operating system user %s may not come in as role \"%s\"",
			 /* user: "name" (uid n), role */
			 "add the pair to the option allow of section [pgwith]"},
    [ERR_NOT_A_USER] = {"not_a_user", "28000", false,
			"operating system user %s may not use pool \"%s\"",
			/* user: "name" (uid n), pool */
			"add the user to the option users of the pool"},
    [ERR_ROLE_NOT_A_USER] = {"role_not_a_user", "28000", false,
			     "role \"%s\" may not use pool \"%s\"", /* role, pool */
			     "add role:ROLE to the option users of the pool"},
    [ERR_USER_LOOKUP] = {"user_lookup", "57P03", false,
			 "the operating system does not tell who the user of uid %u is: %s",
			 /* uid, why */
			 "try again; the name service (nsswitch.conf(5)) is asked only for users "
			 "whom allow and users do not name by their uid"},
    [ERR_NO_POOL] = {"no_pool", "3D000", true, "there is no pool \"%s\"", /* pool */
		     "the database name of the connection names the pool; pools are the sections "
		     "[pool NAME] of the configuration"},
    [ERR_POOL_DISABLED] = {"pool_disabled", "57P03", false,
			   "pool \"%s\" is %s by an administrator", /* pool, disabled or drained */
			   "try again when it has been enabled, or use another pool"},
    [ERR_TOO_MANY_CLIENTS] = {"too_many_clients", "53300", true,
			      "too many clients: max_clients is %u", /* max_clients */
			      "raise max_clients in section [pgwith]"},
    [ERR_TOO_MANY_OF_ROLE] = {"too_many_of_role", "53300", true,
			      "too many clients of role \"%s\": max_clients is %u",
			      /* role, max_clients */
			      "raise max_clients in the section [role NAME] that holds for it"},
    [ERR_TOO_MANY_OF_UID] = {"too_many_of_uid", "53300", true,
			     "too many clients of uid %s: max_clients is %u",
			     /* uid, max_clients */
			     "raise max_clients in the section [uid NUMBER] that holds for it"},
    [ERR_REPLICATION] = {"replication", "0A000", true, "replication connections cannot be pooled",
			 NULL},
    [ERR_STARTUP_OPTION] = {"startup_option", "42601", true, "%s", /* what is wrong */
			    NULL},
    [ERR_STARTUP_VALUE] = {"startup_value", "22023", true,
			   "invalid value for parameter \"%s\": \"%s\"", /* name, value */
			   NULL},
    /* The next ones are PostgreSQL's, to the letter, but for password_unknown. */
    [ERR_PASSWORD] = {"password", "28P01", true,
		      "password authentication failed for user \"%s\"", /* role */
		      NULL},
    [ERR_PASSWORD_UNKNOWN] = {"password_unknown", "57P03", true,
			      "the password of user \"%s\" cannot be checked now", /* role */
			      "try again; the log of pgwithd has the reason"},
    [ERR_PASSWORD_TIMEOUT] = {"password_timeout", "57014", true,
			      "canceling authentication due to timeout", NULL},
    [ERR_SASL] = {"sasl", "08P01", true, "%s", /* what is wrong */
		  NULL},
    [ERR_SASL_UNSUPPORTED] = {"sasl_unsupported", "0A000", true, "%s", /* what */
			      NULL},
    [ERR_WAIT_TIMEOUT] = {"wait_timeout", "53300", false,
			  "no server connection of pool \"%s\" became free within %s",
			  /* pool, duration */
			  "raise size, or see in SHOW CLIENTS who keeps a server for long"},
    [ERR_NOT_FREE] =
	{"not_free", "53300", false,
	 "no server connection of pool \"%s\" is free%s", /* pool, "" or why not waited */
	 "raise size, or see in SHOW CLIENTS who keeps a server for long"},
    [ERR_QUEUE_FULL] = {"queue_full", "53300", false,
			"too many clients wait for pool \"%s\": max_waiting is %u",
			/* pool, max_waiting */
			"raise size or max_waiting"},
    [ERR_SERVER_UNREACHABLE] = {"server_unreachable", "08001", false,
				"cannot connect to the server of pool \"%s\": %s",
				/* pool, libpq's reason */
				"check conninfo, and that the server runs"},
    [ERR_NO_PASSWORD] =
	{"no_password", "08001", false,
	 "cannot log in at the server of pool \"%s\": %s", /* pool, reason */
	 "run the command as the user of pgwithd; what it says on stderr is in the log "
	 "of pgwithd"},
    [ERR_CANCELED_WAITING] = {"canceled_waiting", "57014", false,
			      "canceled by the user while waiting for pool \"%s\"", /* pool */
			      NULL},
    [ERR_STATEMENT_KILLED] = {"statement_killed", "57014", false,
			      "canceled by an administrator while waiting for pool \"%s\"",
			      /* pool */
			      NULL},
    [ERR_RESET_CANCELED] = {"reset_canceled", "57014", false,
			    "the transaction has failed: a cancel has hit the statement that sets "
			    "the startup parameters again behind RESET",
			    "ROLLBACK, and try again"},
    [ERR_IN_FAILED_TRANSACTION] =
	{"in_failed_transaction", "25P02", false,
	 "the transaction has failed before pool \"%s\" had a server for it: "
	 "commands are ignored until its end", /* pool */
	 "ROLLBACK, and try again"},
    [ERR_SEQUENCES] =
	{"sequences", "55000", false,
	 "the numbers of a sequence cannot be asked for in the text that ends a failed "
	 "transaction",
	 "ROLLBACK first, in a text of its own"},
    [ERR_STATEMENT_MODE] =
	{"statement_mode", "0A000", false,
	 "pool \"%s\" has mode statement: no transaction can be begun", /* pool */
	 "use a pool with mode transaction"},
    [ERR_PIN_OFF] =
	{"pin_off", "0A000", false,
	 "pool \"%s\" has pin = off: %s would keep a server connection", /* pool, what */
	 "use a pool with pin = on, or with mode = session"},
    [ERR_PIN_APART] =
	{"pin_read_only", "0A000", false,
	 "the transaction only reads, in pool \"%s\": %s would keep a server connection there",
	 /* pool, what */ "do it in a transaction without READ ONLY"},
    [ERR_TRANSACTION_EXPIRED] = {"transaction_expired", "57014", false,
				 "the transaction was rolled back: %s", /* why */
				 "ROLLBACK, and try again"},
    [ERR_SCOPE_SYNTAX] = {"scope_syntax", "42601", false, "%s", /* what was expected */
			  "pgwith-scopes(7) has the grammar"},
    [ERR_SCOPE_VALUE] = {"scope_value", "22023", false, "%s", /* what is wrong */ NULL},
    [ERR_SCOPE_UNSUPPORTED] = {"scope_unsupported", "0A000", false, "%s", /* what */ NULL},
    [ERR_SCOPE_TOO_LONG] = {"scope_too_long", "54000", false,
			    "a message with scope statements may have %u bytes at most", /* bytes */
			    "send it in several messages"},
    [ERR_SCOPE_TOO_MANY] = {"scope_too_many", "54000", false, "too many %s: %u at most",
			    /* of what, how many */
			    NULL},
    [ERR_SCOPE_NO_POOL] = {"scope_no_pool", "3D000", false, "there is no pool \"%s\"", /* pool */
			   "pools are the sections [pool NAME] of the configuration"},
    [ERR_SCOPE_NOT_DEFINED] = {"scope_not_defined", "42704", false,
			       "there is no definition of a scope \"%s\"", /* name */
			       "definitions are the sections [scope NAME] of the configuration"},
    [ERR_SCOPE_EXISTS] = {"scope_exists", "42710", false, "scope \"%s\" is already open", /* name */
			  "give the inner one another name"},
    [ERR_SCOPE_UNKNOWN] = {"scope_unknown", "42704", false, "scope \"%s\" is not open", /* name */
			   "SHOW SCOPES lists the open ones"},
    [ERR_SCOPE_NONE] = {"scope_none", "55000", false, "no scope is open", NULL},
    [ERR_SCOPE_ORDER] =
	{"scope_order", "55000", false,
	 "scope \"%s\" cannot be exited: scope \"%s\" is open inside it", /* name, name */
	 "LEAVE the inner one first, or LEAVE ALL"},
    [ERR_SCOPE_NO_TRANSACTION] = {"scope_no_transaction", "55000", false,
				  "%s needs a scope that is a transaction",
				  /* statement */
				  "ENTER one"},
    [ERR_SCOPE_IN_TRANSACTION] =
	{"scope_in_transaction", "25001", false,
	 "%s cannot be done while a transaction of BEGIN is open inside", /* statement */
	 "COMMIT or ROLLBACK it first"},
    [ERR_SCOPE_ABORTED] = {"scope_aborted", "25P02", false,
			   "%s cannot be done in a transaction that has failed", /* statement */
			   "LEAVE the scope, or ROLLBACK TO a savepoint of your own"},
    [ERR_SCOPE_END] =
	{"scope_end", "2D000", false,
	 "%s would end the transaction of scope \"%s\" behind its back", /* statement, name */
	 "LEAVE, or LEAVE ROLLBACK"},
    [ERR_SCOPE_POINT] = {"scope_point", "3B001", false,
			 "savepoint \"%s\" was not made inside scope \"%s\"", /* savepoint, name */
			 "LEAVE the scope first"},
    [ERR_SAVEPOINT_UNKNOWN] = {"savepoint_unknown", "3B001", false,
			       "savepoint \"%s\" does not exist", /* savepoint */
			       NULL},
    [ERR_SCOPE_FAILED] = {"scope_failed", "40000", false,
			  "scope \"%s\" failed and was rolled back", /* name */
			  NULL},
    [ERR_SCOPE_DEADLINE] = {"scope_deadline", "57014", false,
			    "scope \"%s\" was ended: its deadline of %s has passed",
			    /* name, duration */
			    "LEAVE it"},
    [ERR_SCOPE_IDLE] =
	{"scope_idle", "57014", false,
	 "scope \"%s\" was ended: no statement came for longer than idle_in_scope_timeout, %s",
	 /* name, duration */
	 "LEAVE it"},
    [ERR_SCOPE_QUERY] = {"scope_query", "57014", false,
			 "scope \"%s\" was ended: a statement took longer than query_timeout, %s",
			 /* name, duration */
			 "LEAVE it"},
    [ERR_SCOPE_KILLED] = {"scope_killed", "57014", false,
			  "scope \"%s\" was ended by an administrator", /* name */
			  "LEAVE it"},
    [ERR_SCOPE_LOCK_WAIT] = {"scope_lock_wait", "55P03", false,
			     "%s \"%s\" did not become free within %s", /* kind, name, duration */
			     "SHOW LOCKS on the console tells who has it"},
    [ERR_SCOPE_LOCK_HELD] = {"scope_lock_held", "55P03", false,
			     "%s \"%s\" is %s", /* kind, name, held or full */
			     "SHOW LOCKS on the console tells who has it"},
    [ERR_SCOPE_CANCELED] = {"scope_canceled", "57014", false,
			    "canceled by the user while entering scope \"%s\"", /* name */
			    NULL},
    [ERR_SCOPE_DEADLOCK] =
	{"scope_deadlock", "40P01", false,
	 /* kind, name */
	 "waiting for %s \"%s\" would never end: sessions would wait for each other",
	 "enter locks and pools in the same order everywhere"},
    [ERR_SCOPE_STATEMENT] = {"scope_statement", "39000", false,
			     "a statement of scope \"%s\" failed at its end: %s", /* name, reason */
			     NULL},
    [ERR_SCOPE_SWEPT] =
	{"scope_swept", "01000", false,
	 "%s has ended and rolled back %s %s", /* statement, the scopes, names */
	 "LEAVE a scope before its connection goes back to a pool of the program's"},
    [ERR_JOINABLE_PINNED] =
	{"joinable_pinned", "55000", false,
	 "the session keeps its server (%s), so it cannot enter a scope that others can join",
	 /* why it is pinned */
	 "enter the scope in a session of its own"},
    [ERR_JOIN_TOKEN] = {"join_token", "28000", true,
			"there is no scope on pool \"%s\" with such a token", /* pool */
			"SHOW SCOPES tells the token of a scope that was entered with JOINABLE, in "
			"its own session; the scope may have ended"},
    [ERR_JOIN_REFUSED] = {"join_refused", "28000", false,
			  "there is no scope on pool \"%s\" with such a token", /* pool */
			  "SHOW SCOPES tells the token of a scope that was entered with JOINABLE, "
			  "in its own session; the scope may have ended"},
    [ERR_JOIN_STATE] = {"join_state", "55000", false,
			"the session cannot join a scope, since it has %s", /* what */
			"a session joins a scope at login, by the startup option "
			"pgwith.join=TOKEN, or by JOIN before anything else"},
    [ERR_JOIN_STATEMENT] = {"join_statement", "0A000", false,
			    "%s cannot be used in a joined scope", /* statement */
			    "it needs a connection, or a transaction, of its own"},
    [ERR_JOINED_ENDED] = {"joined_ended", "57P01", true, "the joined scope \"%s\" has ended: %s",
			  /* name, how */
			  NULL},
    [ERR_JOINED_LOST] = {"joined_lost", "57P01", true, "the joined scope \"%s\" is lost: %s",
			 /* name, why */
			 "the transaction of the scope was rolled back"},
    [ERR_SERVER_LOST] = {"server_lost", "08006", true,
			 "the server connection of pool \"%s\" was lost: %s", /* pool, reason */
			 "reconnect; look into the server's log for the reason"},
    [ERR_LISTEN_FAILED] = {"listen_failed", "08006", false,
			   "pool \"%s\" could not listen: %s", /* pool, reason */
			   "try again"},
    [ERR_LISTEN_LOST] =
	{"listen_lost", "57P01", true,
	 "the connection by which pool \"%s\" listens was lost: %s", /* pool, reason */
	 "notifications may have been missed: reconnect, LISTEN again, and look for what they "
	 "would have told"},
    [ERR_LISTEN_SLOW] =
	{"listen_slow", "53200", true,
	 "more than %u MB of notifications wait for a client that does not take them", /* MB */
	 "read notifications in time, and end transactions soon: in a transaction none is given"},
    [ERR_SETTINGS_REFUSED] = {"settings_refused", "22023", false, "%s", /* the server's message */
			      NULL},
    [ERR_STARTUP_REFUSED] = {"startup_refused", "22023", true,
			     "%s", /* the server's message; the SQLSTATE is the server's, too */
			     NULL},
    [ERR_SETUP_FAILED] = {"setup_failed", "22023", true,
			  "the startup parameters were refused by the server of pool \"%s\": %s",
			  /* pool, the server's message */
			  NULL},
    [ERR_MESSAGE_TOO_LONG] = {"message_too_long", "54000", true,
			      "invalid message length %u of message type \"%c\"", /* bytes, type */
			      NULL},
    [ERR_SHUTDOWN] = {"shutdown", "57P01", true, "pgwithd is shutting down", "reconnect"},
    [ERR_KILLED] = {"killed", "57P01", true, "the session was ended by an administrator", NULL},
    [ERR_DRAINED] = {"drained", "57P01", true,
		     "pool \"%s\" is being drained by an administrator (DRAIN)", /* pool */
		     "reconnect when it has been enabled, or use another pool"},
    [ERR_CONSOLE_SYNTAX] = {"console_syntax", "42601", false, "%s", /* what */
			    "SHOW HELP lists the commands"},
    [ERR_CONSOLE_UNSUPPORTED] = {"console_unsupported", "0A000", false,
				 "not supported by the console: %s", /* what */
				 "send the command as a simple query"},
    [ERR_CONSOLE_DENIED] = {"console_denied", "42501", false,
			    "%s may be used by %s only", /* command, who */
			    "SHOW HELP tells the level of each command; admin_users and "
			    "stats_users in section [pgwith] are the levels"},
    [ERR_CONSOLE_UNKNOWN] = {"console_unknown", "42704", false,
			     "there is no %s %s", /* what, name */
			     NULL},
    [ERR_CONSOLE_STATE] = {"console_state", "55000", false, "%s", /* why not */ NULL},
    [ERR_CONSOLE_CANCELED] =
	{"console_canceled", "57014", false,
	 "%s was not waited for to its end: canceled by the user", /* command */
	 "what it has begun goes on"},
    [ERR_CONSOLE_OPTION] = {"console_option", "22023", false, "%s", /* what is wrong */
			    "SHOW CONFIG lists the options"},
    [ERR_CONSOLE_RELOAD] =
	{"console_reload", "F0000", false, "the configuration was not reloaded: %s", /* why */
	 "the running configuration stays in force; pgwithd -t shows all that is "
	 "wrong"},
    [ERR_STATEMENT_UNKNOWN] = {"statement_unknown", "26000", false,
			       "prepared statement \"%s\" does not exist", /* name */
			       NULL},
    [ERR_STATEMENT_EXISTS] = {"statement_exists", "42P05", false,
			      "prepared statement \"%s\" already exists", /* name */
			      NULL},
    [ERR_PORTAL_UNKNOWN] = {"portal_unknown", "34000", false,
			    "portal \"%s\" does not exist", /* name */
			    NULL},
    [ERR_PORTAL_EXISTS] = {"portal_exists", "42P03", false,
			   "portal \"%s\" already exists", /* name */
			   NULL},
};

const struct err_kind *
err_kind(enum err_id id)
{
	return &kinds[id];
}

void
err_make(struct err *e, enum err_id id, ...)
{
	const struct err_kind *k = &kinds[id];
	va_list ap;

	*e = (struct err){.id = id};
	memcpy(e->sqlstate, k->sqlstate, sizeof e->sqlstate);
	va_start(ap, id);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	e->message = mem_vprintf(k->message, ap);
#pragma GCC diagnostic pop
	va_end(ap);
	if (k->hint)
		e->hint = mem_strdup(k->hint);
}

void
err_detail(struct err *e, const char *fmt, ...)
{
	va_list ap;

	free(e->detail);
	va_start(ap, fmt);
	e->detail = mem_vprintf(fmt, ap);
	va_end(ap);
}

void
err_hint(struct err *e, const char *fmt, ...)
{
	va_list ap;

	free(e->hint);
	va_start(ap, fmt);
	e->hint = mem_vprintf(fmt, ap);
	va_end(ap);
}

static char *
dup_or_null(const char *s)
{
	return s ? mem_strdup(s) : NULL;
}

void
err_copy(struct err *to, const struct err *from)
{
	*to = *from;
	to->message = dup_or_null(from->message);
	to->detail = dup_or_null(from->detail);
	to->hint = dup_or_null(from->hint);
}

void
err_clear(struct err *e)
{
	free(e->message);
	free(e->detail);
	free(e->hint);
	*e = (struct err){.id = ERR_NONE};
}
