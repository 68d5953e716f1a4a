#include "pool/todo.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "wire/msg.h"

#define VALUES_MAX   65535 /* PostgreSQL 15 documentation, 55.7: Bind counts them in 16 bits */
#define FRAMES       128   /* bytes of a statement's messages without its texts, at most */
#define OWN_NAME     "pgwith_own"
#define FRAMES_APART 256 /* bytes of the messages of add_apart() without their text, at most */

void
todo_init(struct todo *t)
{
	list_init(&t->list);
}

void
todo_add(struct todo *t, const char *sql, const char *const *values, unsigned nvalues,
	 uint64_t used, const char *label)
{
	struct todo_stmt *s = mem_calloc(1, sizeof *s);

	s->sql = mem_strdup(sql);
	s->label = mem_strdup(label);
	s->nvalues = nvalues;
	s->used = used;
	if (nvalues > 0)
		s->values = mem_calloc(nvalues, sizeof *s->values);
	for (unsigned i = 0; i < nvalues; i++)
		s->values[i] = values[i] ? mem_strdup(values[i]) : NULL;
	list_append(&t->list, &s->node);
}

static void
free_stmt(struct todo_stmt *s)
{
	for (unsigned i = 0; i < s->nvalues; i++)
		free(s->values[i]);
	free(s->values);
	free(s->sql);
	free(s->label);
	free(s->message);
	free(s);
}

void
todo_clear(struct todo *t)
{
	struct list_node *n;

	while ((n = list_first(&t->list)) != NULL) {
		list_remove(&t->list, n);
		free_stmt(LIST_OBJ(n, struct todo_stmt, node));
	}
}

void
todo_move(struct todo *to, struct todo *from)
{
	struct list_node *n;

	while ((n = list_first(&from->list)) != NULL) {
		list_remove(&from->list, n);
		list_append(&to->list, n);
	}
}

/* An upper bound of the bytes that todo_send() adds. */
static size_t
bytes_of(const struct todo_stmt *s)
{
	size_t bytes = FRAMES + strlen(s->sql);

	for (unsigned i = 0; i < s->nvalues; i++)
		bytes += sizeof(uint32_t) + (s->values[i] ? strlen(s->values[i]) : 0);
	return bytes;
}

#define TEXT 25 /* oid in pg_type */

/* PostgreSQL infers the type of a parameter from its place in the text. A parameter that the text
 * does not use must be given a type. Returns how many types there are. */
static unsigned
types_of(const struct todo_stmt *s, uint32_t types[64])
{
	if (s->used == 0 || s->nvalues > 64)
		return 0;
	for (unsigned i = 0; i < s->nvalues; i++)
		types[i] = s->used & UINT64_C(1) << i ? 0 : TEXT;
	return s->nvalues;
}

int
todo_send(const struct todo_stmt *s, struct progress *p, struct buf *out)
{
	uint32_t types[64];

	if (s->nvalues > VALUES_MAX || out->failed || bytes_of(s) > out->max - out->len)
		return -E_TOOBIG;
	progress_forget_error(p);
	if (s->nvalues == 0) {
		msg_query(out, s->sql);
		progress_sent(p, 'Q');
		return 0;
	}
	msg_parse(out, "", s->sql, types, types_of(s, types));
	progress_sent(p, 'P');
	msg_bind(out, "", "", (const char *const *)s->values, s->nvalues);
	progress_sent(p, 'B');
	msg_execute(out, "");
	progress_sent(p, 'E');
	msg_sync(out);
	progress_sent(p, 'S');
	return 0;
}

/* Adds seven messages. */
#define APART 7
static void
add_apart(const char *sql, struct buf *out)
{
	/* An exchange that failed may have left them. */
	msg_close(out, 'P', OWN_NAME);
	msg_close(out, 'S', OWN_NAME);
	msg_parse(out, OWN_NAME, sql, NULL, 0);
	msg_bind(out, OWN_NAME, OWN_NAME, NULL, 0);
	msg_execute(out, OWN_NAME);
	msg_close(out, 'P', OWN_NAME);
	msg_close(out, 'S', OWN_NAME);
}

int
todo_send_apart(const char *texts, size_t bytes, struct progress *p, struct buf *out)
{
	const char *at, *end = texts + bytes;
	size_t room = FRAMES;

	for (at = texts; at < end; at += strlen(at) + 1)
		room += FRAMES_APART + strlen(at);
	if (out->failed || room > out->max - out->len)
		return -E_TOOBIG;
	progress_forget_error(p);
	for (at = texts; at < end; at += strlen(at) + 1) {
		add_apart(at, out);
		progress_sent_extended(p, APART);
	}
	msg_sync(out);
	progress_sent(p, 'S');
	return 0;
}

void
todo_own_apart(const char *sql, struct progress *p, struct buf *out)
{
	add_apart(sql, out);
	for (int i = 0; i < APART; i++)
		progress_sent_as(p, PROGRESS_OWN);
}

void
todo_fail(struct todo_stmt *s, const char *sqlstate, const char *message)
{
	s->failed = true;
	strncpy(s->sqlstate, sqlstate, sizeof s->sqlstate - 1);
	free(s->message);
	s->message = message ? mem_strdup(message) : NULL;
}
