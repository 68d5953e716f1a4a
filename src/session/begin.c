#include "session/begin.h"

#include "pool/pool.h"
#include "session/daemon.h"
#include "session/parts.h"
#include "session/state.h"
#include "wire/msg.h"
#include "wire/sqlclass.h"
#include "wire/sqltext.h"

/* Is the text one of BEGIN, START TRANSACTION, COMMIT, END, ROLLBACK, ABORT, with nothing but WORK
 * or TRANSACTION behind? Returns its first word. */
static enum sqltext_word
plain(const char *sql, size_t bytes)
{
	struct sqltext_token first, t;
	struct sqltext at;
	bool noise = false, over = false;

	sqltext_init(&at, sql, bytes, 0);
	sqltext_token(&at, &first);
	while (sqltext_token(&at, &t) != SQLTEXT_END) {
		if (t.kind == SQLTEXT_SPLIT) {
			over = true;
			continue;
		}
		if (noise || over || t.kind != SQLTEXT_NAME ||
		    (t.word != SQLWORD_WORK && t.word != SQLWORD_TRANSACTION))
			return SQLWORD_OTHER;
		noise = true;
	}
	if (first.word == SQLWORD_START && !noise)
		return SQLWORD_OTHER;
	return first.word;
}

static void
answer(struct session *s, const char *tag, enum session_begun begun)
{
	struct buf out;

	s->begun = begun;
	/* As any simple Query does. */
	unnamed_forget(&s->unnamed, NULL);
	s->queries++;
	s->pool->stats.queries++;
	buf_init(&out, 64);
	msg_complete(&out, tag);
	if (!parts_more(s))
		msg_ready(&out, begin_status(s));
	session_send_buf(s, &out);
	buf_clear(&out);
}

bool
begin_answer(struct session *s, unsigned set, const char *sql, size_t bytes)
{
	enum sqltext_word word;
	struct err e;

	if (s->begun == BEGUN_NOT) {
		if (set != SQLCLASS_BEGIN || !s->pool->conf->lazy_begin)
			return false;
		word = plain(sql, bytes);
		if (word == SQLWORD_OTHER)
			return false;
		answer(s, word == SQLWORD_START ? "START TRANSACTION" : "BEGIN", BEGUN_YES);
		return true;
	}
	word =
	    set == SQLCLASS_COMMIT || set == SQLCLASS_ROLLBACK ? plain(sql, bytes) : SQLWORD_OTHER;
	if (word != SQLWORD_OTHER) {
		answer(s, set == SQLCLASS_COMMIT && s->begun == BEGUN_YES ? "COMMIT" : "ROLLBACK",
		       BEGUN_NOT);
		return true;
	}
	if (s->begun == BEGUN_YES)
		return false;
	err_make(&e, ERR_IN_FAILED_TRANSACTION, s->pool->conf->name);
	session_refuse(s, 'Q', &e);
	err_clear(&e);
	return true;
}

bool
begin_refuses(struct session *s, unsigned set)
{
	if (s->begun != BEGUN_FAILED)
		return false;
	if (set != SQLCLASS_ROLLBACK)
		return true;
	/* Any server says ROLLBACK to it. */
	s->begun = BEGUN_NOT;
	return false;
}

void
begin_send(struct session *s, struct buf *out)
{
	/* Parse, Bind and Execute, as state_own() makes them, and Close: the client has no portal.
	 */
	static const char begin[] = "P\0\0\0\15\0BEGIN\0\0\0"
				    "B\0\0\0\14\0\0\0\0\0\0\0\0"
				    "E\0\0\0\11\0\0\0\0\0"
				    "C\0\0\0\6P";
	struct progress *p;

	if (s->begun != BEGUN_YES)
		return;
	s->begun = BEGUN_NOT;
	p = &s->lease->srv->progress;
	for (int i = 0; i < 4; i++)
		progress_sent_as(p, PROGRESS_OWN);
	/* With the NUL at its end, which ends the name of the portal. */
	buf_add(out, begin, sizeof begin);
}

char
begin_status(const struct session *s)
{
	return s->begun == BEGUN_NOT ? 'I' : s->begun == BEGUN_YES ? 'T' : 'E';
}
