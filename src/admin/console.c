#include "admin/console.h"

#include <stdlib.h>
#include <string.h>

#include "admin/console_inside.h"
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

bool
console_is_open(const struct console *c)
{
	return session_is_at_console(c->session);
}

void
console_flush(struct console *c)
{
	if (console_is_open(c))
		reply_send_buf(c->session, &c->out);
	buf_clear(&c->out);
}

void
console_send_ready(struct console *c)
{
	msg_ready(&c->out, c->in_block ? 'T' : 'I');
	console_flush(c);
}

void
console_add_err(struct console *c, const struct err *e)
{
	msg_err(&c->out, e);
	site_count_error(c->session->site, e);
}

void
console_empty_message(struct console *c, char type)
{
	msg_end(&c->out, msg_begin(&c->out, type));
}

void
console_protocol_violation(struct console *c, const char *what)
{
	struct err e;

	console_flush(c);
	if (!console_is_open(c))
		return;
	err_make(&e, ERR_PROTOCOL_VIOLATION, what);
	session_fail(c->session, &e);
	err_clear(&e);
}

void
console_refuse_until_sync(struct console *c, struct err *e)
{
	console_add_err(c, e);
	err_clear(e);
	c->session->extended.skip_sync = true;
	console_flush(c);
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

int
console_run_command(struct console *c, const struct command_stmt *stmt, const struct rows *rows,
		    struct err *e)
{
	c->session->activity.queries++;
	c->task.stmt = *stmt;
	c->task.rows = *rows;
	return call_command(c, command_run, e);
}

void
console_continue_later(struct console *c)
{
	if (!console_is_open(c))
		return;
	session_set_state(c->session, SESSION_CONSOLE_BUSY);
	session_begins_to_wait(c->session);
	console_flush(c);
	if (console_is_open(c) && (show_ids_left(&c->task.ids) || c->task.between))
		timer_start(&c->timer, 0);
}

static void run_rest_of_simple(struct console *, struct err *);

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
		console_execute_ended(c, result, e);
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
		console_flush(c);
	if (console_is_open(c))
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
	result = console_run_command(c, stmt, &r, e);
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

	while (e->id == ERR_NONE && console_is_open(c) && sqltext_next(&t->lex, &part)) {
		struct command_stmt stmt;

		t->statements++;
		if (command_read(part.start, part.length, level_of(c->session), &stmt, e) == 0 &&
		    !simple_statement(c, &stmt, e)) {
			console_continue_later(c);
			return;
		}
		if (e->id == ERR_NONE && c->out.len >= FLUSH_AT) {
			t->between = true;
			console_continue_later(c);
			return;
		}
	}
	if (t->statements == 0)
		console_empty_message(c, 'I');
	if (e->id != ERR_NONE)
		console_add_err(c, e);
	err_clear(e);
	free(t->text);
	t->text = NULL;
	console_send_ready(c);
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

/* ---- messages ---- */

static void
on_query(struct console *c, struct reader *in)
{
	const char *text = reader_str(in);

	if (reader_done(in))
		run_simple(c, text);
	else
		console_protocol_violation(c, "malformed Query");
}

static void
on_function_call(struct console *c)
{
	struct err e;

	err_make(&e, ERR_CONSOLE_UNSUPPORTED, "function calls");
	console_add_err(c, &e);
	err_clear(&e);
	console_send_ready(c);
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
		console_on_parse(c, &in);
		break;
	case 'B':
		console_on_bind(c, &in);
		break;
	case 'D':
		console_on_describe(c, &in);
		break;
	case 'E':
		console_on_execute(c, &in);
		break;
	case 'C':
		console_on_close(c, &in);
		break;
	case 'S':
		console_on_sync(c);
		break;
	case 'H':
		console_flush(c);
		break;
	case 'F':
		on_function_call(c);
		break;
	case 'd': /* COPY data outside of COPY is ignored, as PostgreSQL does */
	case 'c':
	case 'f':
		break;
	default:
		console_protocol_violation(c, "unknown message type");
	}
	if (c->out.len >= FLUSH_AT)
		console_flush(c);
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
