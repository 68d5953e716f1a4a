#include "admin/console.h"

#include <stdlib.h>
#include <string.h>

#include "admin/command.h"
#include "admin/console_named.h"
#include "admin/history.h"
#include "admin/http.h"
#include "admin/overdue.h"
#include "admin/trace.h"
#include "base/mem.h"
#include "session/end.h"
#include "session/reply.h"
#include "wire/msg.h"
#include "wire/reader.h"

/* with so many bytes collected, they are sent, even if no message asks for that; and the rest of a
 * text of many statements waits for a turn of its own */
#define FLUSH_AT (64 << 10)
/* with so many bytes that the client has not read, further rows wait */
#define QUEUED_MAX (1 << 20)
#define QUEUED_US  20000 /* how long they wait */

/* The command that is being run. While the session is busy (SESSION_CONSOLE_BUSY), it goes on
 * later. */
struct task {
	struct command_stmt stmt;
	struct rows rows;
	struct show_ids ids; /* what is still to be shown */
	/* of a simple query only: */
	char *text; /* NULL: it is no simple query */
	struct sqltext lex;
	unsigned statements; /* statements of the text so far */
	bool between;        /* the rest of the text goes on by the timer */
	/* of an Execute only: */
	struct console_named *portal;
	uint32_t limit;
};

struct console {
	struct session *session;
	struct task task;
	struct timer timer; /* for the next portion of rows */
	struct buf out;     /* answers that have not been sent */
	struct list statements;
	struct list portals;
	/* between BEGIN and COMMIT. Not a state: it changes no command, but drivers want to see it
	 * in ReadyForQuery */
	bool in_block;
};

/* ---- life ---- */

static void on_timer(void *arg);

static struct console *
console_of(struct session *s)
{
	struct console *c = s->rare->console;

	if (c)
		return c;
	c = mem_calloc(1, sizeof *c);
	c->session = s;
	buf_init(&c->out, CONSOLE_ANSWER_MAX);
	list_init(&c->statements);
	list_init(&c->portals);
	timer_init(&c->timer, s->site->loop, on_timer, c);
	session_rare(s)->console = c;
	return c;
}

static void
console_free(void *arg)
{
	struct console *c = arg;

	show_ids_clear(&c->task.ids);
	free(c->task.text);
	console_named_free_all(&c->statements);
	console_named_free_all(&c->portals);
	buf_clear(&c->out);
	free(c);
}

/* Our own answer may have closed the session, and its caller still uses the console: freed at the
 * end of the turn. */
static void
console_closed(struct session *s)
{
	struct console *c = s->rare->console;

	if (c == NULL)
		return;
	trace_closed(s->id);
	timer_stop(&c->timer);
	loop_defer(s->site->loop, console_free, c);
	s->rare->console = NULL;
}

/* ---- answers ---- */

static bool
is_open(const struct console *c)
{
	return session_is_at_console(c->session);
}

/* Sends what has been collected. That may close the session. */
static void
flush(struct console *c)
{
	if (is_open(c))
		reply_send_buf(c->session, &c->out);
	buf_clear(&c->out);
}

static void
send_ready(struct console *c)
{
	msg_ready(&c->out, c->in_block ? 'T' : 'I');
	flush(c);
}

static void
add_err(struct console *c, const struct err *e)
{
	msg_err(&c->out, e);
	site_count_error(c->session->site, e);
}

static void
empty_message(struct console *c, char type)
{
	msg_end(&c->out, msg_begin(&c->out, type));
}

static void
protocol_violation(struct console *c, const char *what)
{
	struct err e;

	flush(c);
	if (!is_open(c))
		return;
	err_make(&e, ERR_PROTOCOL_VIOLATION, what);
	session_fail(c->session, &e);
	err_clear(&e);
}

/* Answers with an error in the extended protocol, and skips everything up to Sync. */
static void
refuse_until_sync(struct console *c, struct err *e)
{
	add_err(c, e);
	err_clear(e);
	c->session->extended.skip_sync = true;
	flush(c);
}

/* ---- running ---- */

/* Calls the command; `fn` is command_run() or command_go_on(). */
static int
call_command(struct console *c, int (*fn)(const struct command_call *, struct err *), struct err *e)
{
	char *notice = NULL;
	struct err warning = {.id = ERR_NONE};
	const struct command_call how = {.daemon = daemon_of(c->session),
					 .session = c->session,
					 .level = level_of(c->session),
					 .stmt = &c->task.stmt,
					 .rows = &c->task.rows,
					 .in_block = &c->in_block,
					 .ids = &c->task.ids,
					 .notice = &notice,
					 .warning = &warning};
	int r = fn(&how, e);

	if (notice)
		msg_report(&c->out, 'N', "NOTICE", "00000", notice, NULL, NULL);
	free(notice);
	if (warning.id != ERR_NONE)
		msg_notice(&c->out, "WARNING", &warning);
	err_clear(&warning);
	return r;
}

static int
run_command(struct console *c, const struct command_stmt *stmt, const struct rows *rows,
	    struct err *e)
{
	c->session->activity.queries++;
	c->task.stmt = *stmt;
	c->task.rows = *rows;
	return call_command(c, command_run, e);
}

/* The command goes on later. Until then nothing is read from the client, but the end of its
 * connection is noticed. */
static void
continue_later(struct console *c)
{
	if (!is_open(c))
		return;
	session_set_state(c->session, SESSION_CONSOLE_BUSY);
	session_begins_to_wait(c->session);
	flush(c);
	if (is_open(c) && (show_ids_left(&c->task.ids) || c->task.between))
		timer_start(&c->timer, 0);
}

static void run_rest_of_simple(struct console *, struct err *);
static void execute_ended(struct console *, int result, struct err *);

/* The command has ended: goes on with the statements and messages behind it. */
static void
command_ended(struct console *c, int result, struct err *e)
{
	struct session *s = c->session;

	if (s->state == SESSION_CONSOLE_BUSY)
		session_set_state(s, SESSION_CONSOLE);
	timer_stop(&c->timer);
	show_ids_clear(&c->task.ids);
	if (c->task.portal) {
		execute_ended(c, result, e);
	} else {
		if (result == 0 && !c->task.between)
			msg_complete(&c->out, c->task.stmt.command->tag);
		c->task.between = false;
		run_rest_of_simple(c, e);
	}
	if (s->state != SESSION_CONSOLE)
		return;
	stream_resume(&s->stream);
	session_wake(s);
}

static void
go_on(struct console *c)
{
	struct err e = {.id = ERR_NONE};
	int r = c->task.between ? 0 : call_command(c, command_go_on, &e);

	if (r != -E_AGAIN) {
		command_ended(c, r, &e);
		return;
	}
	if (!show_ids_left(&c->task.ids))
		return;
	if (c->task.rows.out == &c->out)
		flush(c);
	if (is_open(c))
		timer_start(&c->timer, 0);
}

static void
on_timer(void *arg)
{
	struct console *c = arg;

	if (c->session->state != SESSION_CONSOLE_BUSY)
		return;
	if (stream_queued(&c->session->stream) > QUEUED_MAX)
		timer_start(&c->timer, QUEUED_US);
	else
		go_on(c);
}

static void
console_sweep(struct site *site)
{
	unsigned left = site->in_state[SESSION_CONSOLE_BUSY].count;
	struct list_node *n, *after;

	overdue_sweep(LIST_OBJ(site, struct daemon, site));
	http_sweep(site);
	history_sweep(LIST_OBJ(site, struct daemon, site));
	LIST_EACH_SAFE (n, after, &site->in_state[SESSION_CONSOLE_BUSY]) {
		struct session *s = LIST_OBJ(n, struct session, node);
		struct console *c = s->rare->console;

		/* One whose next command goes on, too, is at the end of the list again. */
		if (left-- == 0)
			break;
		if (!show_ids_left(&c->task.ids) && !c->task.between)
			go_on(c);
	}
}

static void
console_cancelled(struct session *s)
{
	struct console *c = s->rare->console;
	struct err e;

	if (s->state != SESSION_CONSOLE_BUSY)
		return;
	err_make(&e, ERR_CONSOLE_CANCELED, c->task.stmt.command->words);
	command_ended(c, -E_STATE, &e);
}

/* ---- simple queries ---- */

/* Runs one statement of a simple query. False if it goes on later. */
static bool
simple_statement(struct console *c, const struct command_stmt *stmt, struct err *e)
{
	struct rows r = {.out = &c->out};
	int result;

	if (stmt->command == NULL)
		return true;
	r.ncolumns = command_columns(stmt, &r.columns);
	if (r.ncolumns > 0)
		rows_describe(&r);
	result = run_command(c, stmt, &r, e);
	if (result == -E_AGAIN)
		return false;
	if (result == 0)
		msg_complete(&c->out, stmt->command->tag);
	return true;
}

/* Runs the rest of the text up to the first statement that fails; if *e is an error already, ends
 * with that. */
static void
run_rest_of_simple(struct console *c, struct err *e)
{
	struct task *t = &c->task;
	struct sqltext_stmt part;

	while (e->id == ERR_NONE && is_open(c) && sqltext_next(&t->lex, &part)) {
		struct command_stmt stmt;

		t->statements++;
		if (command_read(part.start, part.length, level_of(c->session), &stmt, e) == 0 &&
		    !simple_statement(c, &stmt, e)) {
			continue_later(c);
			return;
		}
		if (e->id == ERR_NONE && c->out.len >= FLUSH_AT) {
			t->between = true;
			continue_later(c);
			return;
		}
	}
	if (t->statements == 0)
		empty_message(c, 'I');
	if (e->id != ERR_NONE)
		add_err(c, e);
	err_clear(e);
	free(t->text);
	t->text = NULL;
	send_ready(c);
}

static void
run_simple(struct console *c, const char *text)
{
	struct task *t = &c->task;
	struct err e = {.id = ERR_NONE};

	console_named_free_all(&c->portals);
	/* A copy, because the command may go on after the message has left the buffer. */
	t->text = mem_strdup(text);
	t->statements = 0;
	sqltext_init(&t->lex, t->text, strlen(t->text), 0);
	run_rest_of_simple(c, &e);
}

/* ---- prepared statements and portals ---- */

static void
on_parse(struct console *c, struct reader *in)
{
	const char *name = reader_str(in), *text = reader_str(in);
	unsigned types = reader_u16(in);
	struct sqltext_stmt part = {0}, more;
	struct command_stmt stmt;
	struct sqltext lex;
	struct console_named *n;
	struct err e;

	reader_bytes(in, (size_t)types * 4);
	if (!reader_done(in)) {
		protocol_violation(c, "malformed Parse");
		return;
	}
	sqltext_init(&lex, text, strlen(text), 0);
	if (sqltext_next(&lex, &part) && sqltext_next(&lex, &more)) {
		err_make(&e, ERR_CONSOLE_SYNTAX,
			 "cannot insert multiple commands into a prepared statement");
		refuse_until_sync(c, &e);
		return;
	}
	if (command_read(part.start ? part.start : "", part.length, level_of(c->session), &stmt,
			 &e) < 0) {
		refuse_until_sync(c, &e);
		return;
	}
	n = console_named_add(&c->statements, name, CONSOLE_STATEMENTS_MAX, ERR_STATEMENT_EXISTS,
			      &e);
	if (n == NULL) {
		refuse_until_sync(c, &e);
		return;
	}
	n->stmt = stmt;
	empty_message(c, '1');
}

/* Reads the formats of the results. NULL, and false in *good, if their number is wrong. */
static uint16_t *
read_formats(struct reader *in, const struct command_stmt *stmt, unsigned *nformats, bool *good)
{
	const struct column *columns;
	unsigned ncolumns = command_columns(stmt, &columns), n = reader_u16(in);
	uint16_t *formats;

	*nformats = 0;
	*good = !in->failed && (n <= 1 || n == ncolumns) && in->left >= 2 * (size_t)n;
	if (!*good || n == 0)
		return NULL;
	formats = mem_calloc(n, sizeof *formats);
	for (unsigned i = 0; i < n; i++) {
		formats[i] = reader_u16(in);
		if (formats[i] > 1)
			*good = false;
	}
	*nformats = n;
	return formats;
}

static void
on_bind(struct console *c, struct reader *in)
{
	const char *portal = reader_str(in), *name = reader_str(in);
	const struct console_named *statement;
	struct console_named *n;
	unsigned params;
	struct err e;
	bool good;

	/* the formats of parameters, which there are none of */
	reader_bytes(in, 2 * (size_t)reader_u16(in));
	params = reader_u16(in);
	if (in->failed) {
		protocol_violation(c, "malformed Bind");
		return;
	}
	if (params > 0) {
		err_make(&e, ERR_CONSOLE_UNSUPPORTED, "parameters of a statement");
		refuse_until_sync(c, &e);
		return;
	}
	statement = console_named_find(&c->statements, name);
	if (statement == NULL) {
		err_make(&e, ERR_STATEMENT_UNKNOWN, name);
		refuse_until_sync(c, &e);
		return;
	}
	n = console_named_add(&c->portals, portal, CONSOLE_PORTALS_MAX, ERR_PORTAL_EXISTS, &e);
	if (n == NULL) {
		refuse_until_sync(c, &e);
		return;
	}
	n->stmt = statement->stmt;
	n->formats = read_formats(in, &n->stmt, &n->nformats, &good);
	if (!good || !reader_done(in)) {
		protocol_violation(c, "malformed Bind");
		return;
	}
	empty_message(c, '2');
}

/* The statement or portal that the message names; NULL: an error has been sent. `must`: it has to
 * exist. */
static struct console_named *
read_named(struct console *c, struct reader *in, char *kind, bool must)
{
	const char *name;
	struct console_named *n;
	struct err e;

	*kind = (char)reader_u8(in);
	name = reader_str(in);
	if (!reader_done(in) || (*kind != 'S' && *kind != 'P')) {
		protocol_violation(c, "malformed Describe or Close");
		return NULL;
	}
	n = console_named_find(*kind == 'S' ? &c->statements : &c->portals, name);
	if (n == NULL && must) {
		err_make(&e, *kind == 'S' ? ERR_STATEMENT_UNKNOWN : ERR_PORTAL_UNKNOWN, name);
		refuse_until_sync(c, &e);
	}
	return n;
}

static void
on_describe(struct console *c, struct reader *in)
{
	char kind;
	const struct console_named *n = read_named(c, in, &kind, true);
	struct rows r = {.out = &c->out};

	if (n == NULL)
		return;
	if (kind == 'S') { /* a statement: it has no parameters */
		size_t at = msg_begin(&c->out, 't');

		buf_add_u16(&c->out, 0);
		msg_end(&c->out, at);
	}
	r.ncolumns = command_columns(&n->stmt, &r.columns);
	r.formats = n->formats;
	r.nformats = n->nformats;
	if (r.ncolumns > 0)
		rows_describe(&r);
	else
		empty_message(c, 'n');
}

/* Closing what does not exist is no error. */
static void
on_close(struct console *c, struct reader *in)
{
	char kind;
	struct console_named *n = read_named(c, in, &kind, false);

	if (!is_open(c))
		return;
	if (n)
		console_named_free(kind == 'S' ? &c->statements : &c->portals, n);
	empty_message(c, '3');
}

/* ---- Execute ---- */

/* The command of the portal has ended. */
static void
execute_ended(struct console *c, int result, struct err *e)
{
	struct console_named *n = c->task.portal;

	c->task.portal = NULL;
	if (result < 0)
		refuse_until_sync(c, e);
	else if (console_named_send_rows(n, &c->out, c->task.limit))
		empty_message(c, 's');
	else
		msg_complete(&c->out, n->stmt.command->tag);
}

static void
on_execute(struct console *c, struct reader *in)
{
	const char *name = reader_str(in);
	uint32_t limit = reader_u32(in);
	struct console_named *n;
	struct err e;
	int result = 0;

	if (!reader_done(in)) {
		protocol_violation(c, "malformed Execute");
		return;
	}
	n = console_named_find(&c->portals, name);
	if (n == NULL) {
		err_make(&e, ERR_PORTAL_UNKNOWN, name);
		refuse_until_sync(c, &e);
		return;
	}
	if (n->stmt.command == NULL) {
		empty_message(c, 'I');
		return;
	}
	if (limit == 0 || limit > INT32_MAX) /* a negative limit is none */
		limit = UINT32_MAX;
	c->task.portal = n;
	c->task.limit = limit;
	if (!n->executed) {
		struct rows r = {.out = limit == UINT32_MAX ? &c->out : &n->rows,
				 .formats = n->formats,
				 .nformats = n->nformats};

		n->executed = true;
		r.ncolumns = command_columns(&n->stmt, &r.columns);
		result = run_command(c, &n->stmt, &r, &e);
	}
	if (result == -E_AGAIN)
		continue_later(c);
	else
		execute_ended(c, result, &e);
}

static void
on_sync(struct console *c)
{
	c->session->extended.skip_sync = false;
	if (!c->in_block)
		console_named_free_all(&c->portals);
	send_ready(c);
}

/* ---- messages ---- */

static void
on_query(struct console *c, struct reader *in)
{
	const char *text = reader_str(in);

	if (reader_done(in))
		run_simple(c, text);
	else
		protocol_violation(c, "malformed Query");
}

static void
on_function_call(struct console *c)
{
	struct err e;

	err_make(&e, ERR_CONSOLE_UNSUPPORTED, "function calls");
	add_err(c, &e);
	err_clear(&e);
	send_ready(c);
}

static void
console_message(struct session *s, char type, const uint8_t *body, size_t bytes)
{
	struct console *c = console_of(s);
	struct reader in;

	reader_init(&in, body, bytes);
	if (s->extended.skip_sync && type != 'S')
		return;
	s->activity.request_us = loop_now_us(s->site->loop);
	switch (type) {
	case 'Q':
		on_query(c, &in);
		break;
	case 'P':
		on_parse(c, &in);
		break;
	case 'B':
		on_bind(c, &in);
		break;
	case 'D':
		on_describe(c, &in);
		break;
	case 'E':
		on_execute(c, &in);
		break;
	case 'C':
		on_close(c, &in);
		break;
	case 'S':
		on_sync(c);
		break;
	case 'H':
		flush(c);
		break;
	case 'F':
		on_function_call(c);
		break;
	case 'd': /* COPY data outside of COPY is ignored, as PostgreSQL does */
	case 'c':
	case 'f':
		break;
	default:
		protocol_violation(c, "unknown message type");
	}
	if (c->out.len >= FLUSH_AT)
		flush(c);
}

static bool
console_reserved(const struct session *s)
{
	return level_of(s) > LEVEL_ANY;
}

/* The hour of the status page begins when metrics_listen is set, not at the next sweep. */
static bool
console_configured(struct site *site, char *why, size_t why_size)
{
	history_sweep(LIST_OBJ(site, struct daemon, site));
	return http_configure(site, why, why_size);
}

const struct console_ops console_ops = {
    .message = console_message,
    .reserved = console_reserved,
    .closed = console_closed,
    .cancelled = console_cancelled,
    .sweep = console_sweep,
    .configured = console_configured,
    .ended = http_free,
};
