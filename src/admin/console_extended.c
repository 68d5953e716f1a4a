#include <string.h>

#include "admin/console_inside.h"
#include "base/mem.h"
#include "wire/msg.h"

/* ---- prepared statements and portals ---- */

void
console_on_parse(struct console *c, struct reader *in)
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
		console_protocol_violation(c, "malformed Parse");
		return;
	}
	sqltext_init(&lex, text, strlen(text), 0);
	if (sqltext_next(&lex, &part) && sqltext_next(&lex, &more)) {
		err_make(&e, ERR_CONSOLE_SYNTAX,
			 "cannot insert multiple commands into a prepared statement");
		console_refuse_until_sync(c, &e);
		return;
	}
	if (command_read(part.start ? part.start : "", part.length, level_of(c->session), &stmt,
			 &e) < 0) {
		console_refuse_until_sync(c, &e);
		return;
	}
	n = console_named_add(&c->statements, name, CONSOLE_STATEMENTS_MAX, ERR_STATEMENT_EXISTS,
			      &e);
	if (n == NULL) {
		console_refuse_until_sync(c, &e);
		return;
	}
	n->stmt = stmt;
	console_empty_message(c, '1');
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

void
console_on_bind(struct console *c, struct reader *in)
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
		console_protocol_violation(c, "malformed Bind");
		return;
	}
	if (params > 0) {
		err_make(&e, ERR_CONSOLE_UNSUPPORTED, "parameters of a statement");
		console_refuse_until_sync(c, &e);
		return;
	}
	statement = console_named_find(&c->statements, name);
	if (statement == NULL) {
		err_make(&e, ERR_STATEMENT_UNKNOWN, name);
		console_refuse_until_sync(c, &e);
		return;
	}
	n = console_named_add(&c->portals, portal, CONSOLE_PORTALS_MAX, ERR_PORTAL_EXISTS, &e);
	if (n == NULL) {
		console_refuse_until_sync(c, &e);
		return;
	}
	n->stmt = statement->stmt;
	n->formats = read_formats(in, &n->stmt, &n->nformats, &good);
	if (!good || !reader_done(in)) {
		console_protocol_violation(c, "malformed Bind");
		return;
	}
	console_empty_message(c, '2');
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
		console_protocol_violation(c, "malformed Describe or Close");
		return NULL;
	}
	n = console_named_find(*kind == 'S' ? &c->statements : &c->portals, name);
	if (n == NULL && must) {
		err_make(&e, *kind == 'S' ? ERR_STATEMENT_UNKNOWN : ERR_PORTAL_UNKNOWN, name);
		console_refuse_until_sync(c, &e);
	}
	return n;
}

void
console_on_describe(struct console *c, struct reader *in)
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
		console_empty_message(c, 'n');
}

/* Closing what does not exist is no error. */
void
console_on_close(struct console *c, struct reader *in)
{
	char kind;
	struct console_named *n = read_named(c, in, &kind, false);

	if (!console_is_open(c))
		return;
	if (n)
		console_named_free(kind == 'S' ? &c->statements : &c->portals, n);
	console_empty_message(c, '3');
}

/* ---- Execute ---- */

void
console_execute_ended(struct console *c, int result, struct err *e)
{
	struct console_named *n = c->task.portal;

	c->task.portal = NULL;
	if (result < 0)
		console_refuse_until_sync(c, e);
	else if (console_named_send_rows(n, &c->out, c->task.limit))
		console_empty_message(c, 's');
	else
		msg_complete(&c->out, n->stmt.command->tag);
}

void
console_on_execute(struct console *c, struct reader *in)
{
	const char *name = reader_str(in);
	uint32_t limit = reader_u32(in);
	struct console_named *n;
	struct err e;
	int result = 0;

	if (!reader_done(in)) {
		console_protocol_violation(c, "malformed Execute");
		return;
	}
	n = console_named_find(&c->portals, name);
	if (n == NULL) {
		err_make(&e, ERR_PORTAL_UNKNOWN, name);
		console_refuse_until_sync(c, &e);
		return;
	}
	if (n->stmt.command == NULL) {
		console_empty_message(c, 'I');
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
		result = console_run_command(c, &n->stmt, &r, &e);
	}
	if (result == -E_AGAIN)
		console_continue_later(c);
	else
		console_execute_ended(c, result, &e);
}

void
console_on_sync(struct console *c)
{
	c->session->extended.skip_sync = false;
	if (!c->in_block)
		console_named_free_all(&c->portals);
	console_send_ready(c);
}
