#include "base/err.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* SQLSTATEs: PostgreSQL 15 documentation, appendix A. The comment behind a row names the arguments
 * of its message. */
static const struct err_kind kinds[ERR_N] = {
    [ERR_NONE] = {"none", "00000", false, "no error", NULL},
    [ERR_PROTOCOL_VIOLATION] = {"protocol_violation", "08P01", true,
				"invalid message from the client: %s", /* what */
				NULL},
    [ERR_PROTOCOL_VERSION] =
	{"protocol_version", "0A000", true,
	 "unsupported frontend protocol %u.%u: pgwithd speaks 3.0", /* major, minor */
	 NULL},
    [ERR_STARTUP_TOO_LONG] = {"startup_too_long", "08P01", true,
			      "invalid length of startup packet: %u bytes", /* length */
			      NULL},
    [ERR_NO_USER] = {"no_user", "28000", true, "no user name in the startup packet", NULL},
    [ERR_NOT_ALLOWED] = {"not_allowed", "28000", true,
			 "operating system user \"%s\" (uid %u) may not come in as role \"%s\"",
			 /* user name, uid, role */
			 "add the pair to the option allow of section [pgwith]"},
    [ERR_NO_POOL] = {"no_pool", "3D000", true, "there is no pool \"%s\"", /* pool */
		     "the database name of the connection names the pool; pools are the sections "
		     "[pool NAME] of the configuration"},
    [ERR_TOO_MANY_CLIENTS] = {"too_many_clients", "53300", true,
			      "too many clients: max_clients is %u", /* max_clients */
			      "raise max_clients in section [pgwith]"},
    [ERR_REPLICATION] = {"replication", "0A000", true, "replication connections cannot be pooled",
			 NULL},
    [ERR_STARTUP_OPTION] = {"startup_option", "22023", true,
			    "cannot understand the startup parameter options: %s", /* what */
			    "use -c name=value or --name=value"},
    [ERR_LOGIN_TIMEOUT] = {"login_timeout", "08P01", true,
			   "no complete startup packet within %s", /* duration */
			   "raise login_timeout in section [pgwith]"},
    [ERR_NOT_ADMIN] = {"not_admin", "42501", true, "role \"%s\" may not use the console", /* role */
		       "add it to admin_users or stats_users in section [pgwith]"},
    [ERR_WAIT_TIMEOUT] = {"wait_timeout", "53300", false,
			  "no server connection of pool \"%s\" became free within %s",
			  /* pool, duration */
			  "raise size, or see in SHOW CLIENTS who keeps a server for long"},
    [ERR_QUEUE_FULL] = {"queue_full", "53300", false,
			"too many clients wait for pool \"%s\": max_waiting is %u",
			/* pool, max_waiting */
			"raise size or max_waiting"},
    [ERR_SERVER_UNREACHABLE] = {"server_unreachable", "08001", false,
				"cannot connect to the server of pool \"%s\": %s",
				/* pool, libpq's reason */
				"check conninfo, and that the server runs"},
    [ERR_CANCELED_WAITING] = {"canceled_waiting", "57014", false,
			      "canceled by the user while waiting for pool \"%s\"", /* pool */
			      NULL},
    [ERR_IN_FAILED_TRANSACTION] =
	{"in_failed_transaction", "25P02", false,
	 "the transaction has failed before pool \"%s\" had a server for it: "
	 "commands are ignored until its end", /* pool */
	 "ROLLBACK, and try again"},
    [ERR_STATEMENT_MODE] =
	{"statement_mode", "0A000", false,
	 "pool \"%s\" has mode statement: no transaction can be begun", /* pool */
	 "use a pool with mode transaction"},
    [ERR_PIN_OFF] =
	{"pin_off", "0A000", false,
	 "pool \"%s\" has pin = off: %s would keep a server connection", /* pool, what */
	 "use a pool with pin = on, or with mode = session"},
    [ERR_SERVER_LOST] = {"server_lost", "08006", true,
			 "the server connection of pool \"%s\" was lost: %s", /* pool, reason */
			 "reconnect; look into the server's log for the reason"},
    [ERR_SETUP_FAILED] = {"setup_failed", "22023", true,
			  "the startup parameters were refused by the server of pool \"%s\": %s",
			  /* pool, the server's message */
			  NULL},
    [ERR_MESSAGE_TOO_LONG] = {"message_too_long", "54000", true,
			      "invalid message length %u of message type \"%c\"", /* bytes, type */
			      NULL},
    [ERR_SHUTDOWN] = {"shutdown", "57P01", true, "pgwithd is shutting down", "reconnect"},
    [ERR_KILLED] = {"killed", "57P01", true, "the session was ended by an administrator", NULL},
    [ERR_CONSOLE_SYNTAX] = {"console_syntax", "42601", false, "%s", /* what */
			    "SHOW HELP lists the commands"},
    [ERR_CONSOLE_UNSUPPORTED] = {"console_unsupported", "0A000", false,
				 "not supported by the console: %s", /* what */
				 "send the command as a simple query"},
    [ERR_CONSOLE_DENIED] = {"console_denied", "42501", false,
			    "only an administrator may use %s", /* command */
			    "add the role to admin_users in section [pgwith]"},
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
