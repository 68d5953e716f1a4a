#include "machine.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "backend.h"
#include "wire/frame.h"
#include "wire/msg.h"

void
machine_init(struct machine *m)
{
	memset(m, 0, sizeof *m);
	progress_init(&m->p);
	buf_init(&m->out, BYTES_MAX);
	m->now_us = 1000;
}

void
machine_clear(struct machine *m)
{
	todo_clear(&m->c.due);
	todo_clear(&m->c.done);
	progress_clear(&m->p);
	buf_clear(&m->out);
}

void
sent(struct machine *m, const char *types)
{
	for (; *types; types++)
		progress_sent(&m->p, *types);
}

void
answer(struct machine *m, const char *text)
{
	struct buf b;

	buf_init(&b, 4096);
	for (; *text; text++) {
		if (*text == 'Z')
			msg_ready(&b, *++text);
		else if (*text == 'E' || *text == 'e')
			msg_report(&b, 'E', "ERROR", *text == 'e' ? "57014" : "22012", "no", NULL,
				   NULL);
		else
			backend_message(&b, *text, "\1");
	}
	ck_assert_int_eq(progress_received(&m->p, buf_data(&b), b.len), 0);
	buf_clear(&b);
}

void
step(struct machine *m)
{
	if (cleanup_step(&m->c, &m->p, m->cancels, m->now_us, &m->out).cancel)
		m->cancels++;
}

void
start(struct machine *m, enum cleanup_why why, bool discard)
{
	cleanup_start(&m->c, why, NULL, false, discard, LIMIT_US, m->now_us);
	step(m);
}

void
start_with(struct machine *m, enum cleanup_why why, bool keep, bool discard,
	   const char *const *statements)
{
	struct todo todo;

	todo_init(&todo);
	for (; *statements; statements++)
		todo_add(&todo, *statements, NULL, 0, 0, *statements);
	cleanup_start(&m->c, why, &todo, keep, discard, LIMIT_US, m->now_us);
	ck_assert_ptr_null(list_first(&todo.list));
	step(m);
}

void
has_done(struct machine *m, const char *expected)
{
	char is[400] = "";
	struct list_node *n;

	LIST_EACH (n, &m->c.done.list) {
		const struct todo_stmt *s = LIST_OBJ(n, struct todo_stmt, node);
		size_t at = strlen(is);

		ck_assert_int_eq(s->failed, s->sqlstate[0] != 0);
		snprintf(is + at, sizeof is - at, "%s%s%s%s%s%s", at ? ", " : "", s->sql,
			 s->failed ? " " : "", s->sqlstate, s->message ? " " : "",
			 s->message ? s->message : "");
	}
	ck_assert_msg(strcmp(is, expected) == 0, "done \"%s\", not \"%s\"", is, expected);
}

void
in_state(struct machine *m, enum cleanup_state state)
{
	ck_assert_msg(m->c.state == state, "%s, not %s (%s)", cleanup_state_name(m->c.state),
		      cleanup_state_name(state), m->c.broken_why ? m->c.broken_why : "");
}

void
went(struct machine *m, const char *expected)
{
	char is[400] = "";
	struct frame f;

	while (frame_read(buf_data(&m->out), m->out.len, &f) == 0) {
		size_t n = strlen(is);

		snprintf(is + n, sizeof is - n, f.type == 'Q' ? "%s%c %s" : "%s%c", n ? ", " : "",
			 f.type, (char *)buf_data(&m->out) + FRAME_HEADER);
		buf_drop(&m->out, FRAME_HEADER + f.body);
	}
	ck_assert_uint_eq(m->out.len, 0);
	ck_assert_msg(strcmp(is, expected) == 0, "sent \"%s\", not \"%s\"", is, expected);
}

void
cancel_ends(struct machine *m)
{
	ck_assert_uint_gt(m->cancels, 0);
	m->cancels--;
	step(m);
}

void
broken(struct machine *m, const char *why)
{
	in_state(m, CLEANUP_BROKEN);
	ck_assert_str_eq(m->c.broken_why, why);
	/* It stays so, and asks for nothing. */
	m->now_us += 2 * LIMIT_US;
	step(m);
	in_state(m, CLEANUP_BROKEN);
	ck_assert_str_eq(m->c.broken_why, why);
	machine_clear(m);
}

void
nothing_remains(struct machine *m)
{
	const char *why;

	progress_renew(&m->p);
	why = progress_remains(&m->p);
	ck_assert_msg(why == NULL, "%s", why);
}

void
done(struct machine *m)
{
	in_state(m, CLEANUP_DONE);
	went(m, "");
	m->now_us += 2 * LIMIT_US;
	step(m);
	in_state(m, CLEANUP_DONE);
	nothing_remains(m);
	cleanup_over(&m->c);
	in_state(m, CLEANUP_NONE);
	machine_clear(m);
}
