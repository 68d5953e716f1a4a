#include "backend.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "wire/frame.h"
#include "wire/msg.h"

#define BYTES_MAX (16 * 1024 * 1024)

uint32_t
backend_random(uint32_t *seed, uint32_t below)
{
	/* Numerical Recipes' generator; its high bits are the good ones. */
	*seed = *seed * 1664525 + 1013904223;
	return (uint32_t)(((uint64_t)*seed * below) >> 32);
}

void
backend_init(struct backend *b, uint32_t seed)
{
	memset(b, 0, sizeof *b);
	buf_init(&b->in, BYTES_MAX);
	buf_init(&b->held, BYTES_MAX);
	buf_init(&b->out, BYTES_MAX);
	b->block = 'I';
	b->seed = seed;
}

void
backend_clear(struct backend *b)
{
	buf_clear(&b->in);
	buf_clear(&b->held);
	buf_clear(&b->out);
}

void
backend_message(struct buf *out, char type, const char *body)
{
	size_t at = msg_begin(out, type);

	if (body)
		buf_add_str(out, body);
	msg_end(out, at);
}

/* ---- answers ---- */

static void
say(struct backend *b, char type, const char *body)
{
	if (backend_random(&b->seed, 16) < b->noise) {
		msg_report(&b->held, 'N', "NOTICE", "00000", "by the way", NULL, NULL);
		msg_parameter_status(&b->held, "TimeZone", "Europe/Berlin");
		backend_message(&b->held, 'A', "pid channel payload");
	}
	backend_message(&b->held, type, body);
}

void
backend_flush(struct backend *b)
{
	buf_add(&b->out, buf_data(&b->held), b->held.len);
	buf_drop(&b->held, b->held.len);
	ck_assert(!b->out.failed && !b->held.failed);
}

static void
ready(struct backend *b)
{
	if (b->dead)
		return;
	b->in_query = false;
	b->extended = false;
	b->script[0] = 0;
	msg_ready(&b->held, b->block);
	backend_flush(b);
}

static void
end_transaction(struct backend *b, bool commit)
{
	if (commit)
		b->committed += b->work;
	b->work = 0;
	b->refuse = false;
	b->portal[0] = 0;
	b->suspended = false;
}

static void
fail_with(struct backend *b, const char *code)
{
	b->running[0] = 0;
	b->script[0] = 0;
	b->cancel = false;
	end_transaction(b, false);
	if (b->block == 'T')
		b->block = 'E';
	msg_report(&b->held, 'E', "ERROR", code, "no", NULL, NULL);
	backend_flush(b);
	if (b->in_extended)
		b->skip = true;
	else
		ready(b);
}

static void
die(struct backend *b)
{
	msg_report(&b->held, 'E', "FATAL", "08P01", "protocol synchronization was lost", NULL,
		   NULL);
	backend_flush(b);
	b->dead = true;
}

/* A statement outside a block, a Sync or a COMMIT ends the transaction. False: it failed. */
static bool
commit(struct backend *b)
{
	if (b->refuse) {
		b->block = 'I';
		fail_with(b, "23505");
		return false;
	}
	end_transaction(b, true);
	return true;
}

/* ---- statements ---- */

static bool
takes_cancel(struct backend *b)
{
	if (!b->cancel)
		return false;
	b->cancel = false;
	fail_with(b, "57014");
	return true;
}

/* False if it is not over, or has failed. */
static bool
execute(struct backend *b, const char *word, bool limit)
{
	const char *tag = word;

	if (strcmp(word, "empty") == 0) {
		say(b, 'I', NULL);
		return true;
	}
	if (takes_cancel(b))
		return false;
	if (b->block == 'E' && strcmp(word, "rollback") != 0 && strcmp(word, "commit") != 0) {
		fail_with(b, "25P02");
		return false;
	}
	if (strncmp(word, "SELECT ", 7) == 0) {
		const char *const values[] = {word + 7};

		say(b, 'T', "column");
		msg_data_row(&b->held, values, 1);
		say(b, 'C', "SELECT 1");
		return true;
	}
	if (strcmp(word, "fail") == 0) {
		fail_with(b, "22012");
		return false;
	}
	if (strcmp(word, "slow") == 0 || strcmp(word, "deaf") == 0 ||
	    strncmp(word, "copyin", 6) == 0) {
		snprintf(b->running, sizeof b->running, "%s", word);
		if (word[0] == 'c') {
			say(b, 'G', "\1");
			backend_flush(b);
			if (strcmp(word, "copyin_early") == 0)
				fail_with(b, "P0001");
		}
		return false;
	}
	if (strcmp(word, "copyout") == 0) {
		say(b, 'H', "\1");
		say(b, 'd', "data");
		say(b, 'c', NULL);
	} else if (strcmp(word, "rows") == 0) {
		if (b->in_query)
			say(b, 'T', "column");
		say(b, 'D', b->schema && *b->schema % 2 ? "other row" : "row");
		if (limit && !b->suspended) {
			b->suspended = true;
			say(b, 's', NULL);
			return true;
		}
	} else if (strcmp(word, "work") == 0) {
		b->work++;
	} else if (strcmp(word, "refuse") == 0) {
		b->refuse = true;
	} else if (strcmp(word, "set") == 0) {
		b->dirty = true;
	} else if (strcmp(word, "discard") == 0) {
		b->dirty = false;
		b->statements = 0;
	} else if (strcmp(word, "begin") == 0) {
		b->block = 'T';
	} else if (strcmp(word, "rollback") == 0 ||
		   (strcmp(word, "commit") == 0 && b->block == 'E')) {
		end_transaction(b, false);
		b->block = 'I';
		tag = "rollback";
	} else if (strcmp(word, "commit") == 0) {
		if (!commit(b))
			return false;
		b->block = 'I';
	} else {
		fail_with(b, "42601");
		return false;
	}
	say(b, 'C', tag);
	return true;
}

/* The next statements of the simple Query, up to its end or to one that waits. */
static void
go_on(struct backend *b)
{
	while (b->in_query && b->running[0] == 0) {
		char word[64];
		size_t n = strcspn(b->script, ";");

		if (n == 0) {
			if (b->block != 'I' || commit(b))
				ready(b);
			return;
		}
		snprintf(word, sizeof word, "%.*s", (int)n, b->script);
		memmove(b->script, b->script + n + (b->script[n] == ';'),
			strlen(b->script + n + (b->script[n] == ';')) + 1);
		execute(b, strcmp(word, "ROLLBACK") == 0 ? "rollback" : word, false);
	}
}

static void
query(struct backend *b, const char *sql)
{
	b->in_query = true;
	b->statement[0] = 0;
	b->portal[0] = 0;
	if (strcmp(sql, "DISCARD ALL") == 0)
		sql = "discard";
	else if (*sql == 0)
		sql = "empty";
	snprintf(b->script, sizeof b->script, "%s", sql);
	go_on(b);
}

/* ---- messages ---- */

static void
copy_message(struct backend *b, char type)
{
	/* What the COPY belongs to, not the message that ends it. */
	b->in_extended = !b->in_query;
	switch (type) {
	case 'd':
		if (strcmp(b->running, "copyin_bad") == 0)
			fail_with(b, "22P02");
		return;
	case 'c':
		b->running[0] = 0;
		b->work++;
		say(b, 'C', "COPY");
		go_on(b);
		return;
	case 'f':
		fail_with(b, "57014");
		return;
	case 'H':
	case 'S':
		return;
	default:
		msg_report(&b->held, 'E', "ERROR", "08P01", "unexpected message", NULL, NULL);
		die(b);
	}
}

static void
extended_message(struct backend *b, char type, const char *body)
{
	b->extended = true;
	b->in_extended = true;
	switch (type) {
	case 'P':
		if (strcmp(body, "syntax") == 0) {
			fail_with(b, "42601");
		} else if (b->block == 'E' && strcmp(body, "rollback") != 0 &&
			   strcmp(body, "commit") != 0 && *body) {
			fail_with(b, "25P02");
		} else {
			snprintf(b->statement, sizeof b->statement, "%.31s",
				 *body ? body : "empty");
			say(b, '1', NULL);
		}
		return;
	case 'B':
		if (b->statement[0] == 0) {
			fail_with(b, "26000");
			return;
		}
		memcpy(b->portal, b->statement, sizeof b->portal);
		b->suspended = false;
		say(b, '2', NULL);
		return;
	case 'D':
		if (b->statement[0] == 0) {
			fail_with(b, "26000");
			return;
		}
		if (body[0] == 'S')
			say(b, 't', "none");
		if (strcmp(b->statement, "rows") == 0)
			say(b, 'T', "column");
		else
			say(b, 'n', NULL);
		return;
	case 'E':
		if (b->portal[0] == 0)
			fail_with(b, "34000");
		else
			execute(b, b->portal, body[0] == 'L');
		return;
	default:
		say(b, '3', NULL);
	}
}

/* ---- statements with names ---- */

static unsigned
schema(const struct backend *b)
{
	return b->schema ? *b->schema : 0;
}

void
backend_row_description(struct buf *out, unsigned type)
{
	size_t at = msg_begin(out, 'T');

	buf_add_u16(out, 1);
	buf_add_str(out, "column");
	buf_add_u32(out, 0);
	buf_add_u16(out, 0);
	buf_add_u32(out, 100 + type);
	buf_add_u16(out, 4);
	buf_add_u32(out, UINT32_MAX);
	buf_add_u16(out, 0);
	msg_end(out, at);
}

void
backend_no_parameters(struct buf *out)
{
	size_t at = msg_begin(out, 't');

	buf_add_u16(out, 0);
	msg_end(out, at);
}

/* Its result is another than it was. */
static bool
changed(struct backend *b, const struct backend_statement *has)
{
	if (strcmp(has->text, "rows") != 0 || has->schema == schema(b))
		return false;
	fail_with(b, "0A000");
	return true;
}

static struct backend_statement *
find(struct backend *b, const char *name)
{
	for (unsigned i = 0; i < b->statements; i++)
		if (strcmp(b->has[i].name, name) == 0)
			return &b->has[i];
	return NULL;
}

/* What a transaction that has failed refuses. */
static bool
aborted(struct backend *b, const char *text)
{
	if (b->block != 'E' || strcmp(text, "rollback") == 0 || strcmp(text, "commit") == 0)
		return false;
	fail_with(b, "25P02");
	return true;
}

static void
named_parse(struct backend *b, const char *name, const char *text)
{
	struct backend_statement *has = find(b, name);

	if (strcmp(text, "syntax") == 0) {
		fail_with(b, "42601");
		return;
	}
	if (*text && aborted(b, text))
		return;
	if (has && *name) {
		fail_with(b, "42P05");
		return;
	}
	if (has == NULL) {
		ck_assert_uint_lt(b->statements, BACKEND_STATEMENTS);
		has = &b->has[b->statements++];
	}
	snprintf(has->name, sizeof has->name, "%.63s", name);
	snprintf(has->text, sizeof has->text, "%.31s", *text ? text : "empty");
	has->schema = schema(b);
	say(b, '1', NULL);
}

static void
named_message(struct backend *b, char type, const char *body)
{
	const char *name = type == 'B' ? body + strlen(body) + 1 : body + 1;
	struct backend_statement *has = find(b, name);

	b->extended = true;
	b->in_extended = true;
	switch (type) {
	case 'P':
		named_parse(b, body, body + strlen(body) + 1);
		return;
	case 'C':
		if (has)
			*has = b->has[--b->statements];
		say(b, '3', NULL);
		return;
	case 'E':
		if (b->portal[0] == 0)
			fail_with(b, "34000");
		else
			execute(b, b->portal, false);
		return;
	default:
		/* PostgreSQL describes what returns no rows even in a transaction that has failed;
		 * through a pool, a server that has to prepare it first cannot. */
		if (has == NULL) {
			fail_with(b, "26000");
		} else if (aborted(b, has->text) || changed(b, has)) {
			return;
		} else if (type == 'B') {
			memcpy(b->portal, has->text, sizeof b->portal);
			b->suspended = false;
			say(b, '2', NULL);
		} else {
			backend_no_parameters(&b->held);
			if (strcmp(has->text, "rows") == 0)
				backend_row_description(&b->held, schema(b));
			else
				say(b, 'n', NULL);
		}
	}
}

static void
message(struct backend *b, char type, const char *body, size_t bytes)
{
	if (b->running[0]) {
		copy_message(b, type);
		return;
	}
	if (b->skip && type != 'S')
		return;
	b->in_extended = false;
	switch (type) {
	case 'Q':
		query(b, body);
		return;
	case 'F':
		if (takes_cancel(b))
			return;
		if (b->block == 'E' || strcmp(body, "fail") == 0) {
			fail_with(b, "22012");
			return;
		}
		say(b, 'V', "4");
		if (b->block != 'I' || commit(b))
			ready(b);
		return;
	case 'P':
	case 'B':
	case 'D':
	case 'E':
	case 'C':
		if (b->named || bytes > strlen(body) + 1)
			named_message(b, type, body);
		else
			extended_message(b, type, body);
		return;
	case 'S':
		b->skip = false;
		if (b->block != 'I' || commit(b))
			ready(b);
		return;
	case 'H':
		backend_flush(b);
		return;
	case 'd':
	case 'c':
	case 'f':
		return;
	default:
		die(b);
	}
}

bool
backend_slow(const struct backend *b)
{
	return strcmp(b->running, "slow") == 0 || strcmp(b->running, "deaf") == 0;
}

bool
backend_copying(const struct backend *b)
{
	return b->running[0] == 'c';
}

void
backend_cancel(struct backend *b)
{
	if (b->dead || b->running[0] == 0 || strcmp(b->running, "deaf") == 0)
		return;
	/* The statement's own message, whatever came after it. */
	b->in_extended = !b->in_query;
	fail_with(b, "57014");
}

void
backend_cancel_late(struct backend *b)
{
	b->cancel = true;
}

void
backend_run(struct backend *b, int messages)
{
	while (!b->dead && !backend_slow(b) && messages-- != 0) {
		char body[128] = "";
		struct frame f;

		if (frame_read(buf_data(&b->in), b->in.len, &f) == -E_AGAIN ||
		    b->in.len < FRAME_HEADER + f.body)
			return;
		memcpy(body, buf_data(&b->in) + FRAME_HEADER,
		       f.body < sizeof body - 1 ? f.body : sizeof body - 1);
		buf_drop(&b->in, FRAME_HEADER + f.body);
		message(b, f.type, body, f.body);
	}
}

unsigned
backend_would_commit(const struct backend *b)
{
	struct backend other = *b;

	buf_init(&other.in, BYTES_MAX);
	buf_init(&other.held, BYTES_MAX);
	buf_init(&other.out, BYTES_MAX);
	buf_add(&other.in, buf_data(&b->in), b->in.len);
	backend_run(&other, -1);
	backend_clear(&other);
	return other.committed;
}

bool backend_trace;

void
backend_tell(const char *who, const struct buf *b, size_t at)
{
	struct frame f;

	if (!backend_trace)
		return;
	for (; frame_read(buf_data(b) + at, b->len - at, &f) == 0; at += FRAME_HEADER + f.body)
		fprintf(stderr, "%s %c %.*s\n", who, f.type, (int)f.body,
			(const char *)buf_data(b) + at + FRAME_HEADER);
}
