#include "session/begin.h"

#include <string.h>

#include "pool/pool.h"
#include "session/expiry.h"
#include "session/holds.h"
#include "session/readonly.h"
#include "session/reply.h"
#include "session/scopes.h"
#include "session/script.h"
#include "session/site.h"
#include "wire/msg.h"
#include "wire/sqlclass.h"
#include "wire/sqltext.h"

/* Returns the first word of a text that is one of BEGIN, START TRANSACTION, COMMIT, END, ROLLBACK,
 * ABORT, with nothing but WORK or TRANSACTION behind it. SQLWORD_OTHER: it is another text. */
static enum sqltext_word
plain_word(const char *sql, size_t bytes)
{
	struct sqltext_token first, t;
	struct sqltext at;
	bool noise = false, over = false;

	first.word = sqltext_lone_word(sql, bytes);
	if (first.word != SQLWORD_OTHER)
		return first.word == SQLWORD_START ? SQLWORD_OTHER : first.word;
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
forget_unnamed(struct session *s)
{
	unnamed_forget(s->context.unnamed,
		       s->hold->lease.srv ? &s->hold->lease.srv->prepared.tracked : NULL);
}

static void
answer_query(struct session *s, const char *tag, enum block_state to)
{
	struct buf *out = &s->site->reply;

	block_set_state(&s->block, s->id, to);
	if (to == BLOCK_BEGUN)
		holds_need(s)->begun_us = loop_now_us(s->site->loop);
	/* A simple Query ends the unnamed statement. */
	forget_unnamed(s);
	s->activity.request_us = loop_now_us(s->site->loop);
	buf_reset(out);
	msg_complete(out, tag);
	if (!script_more(s))
		reply_ready(s, out);
	reply_send_buf(s, out);
}

/* Refuses a message that does not end a transaction that has failed or expired. */
static void
refuse_message(struct session *s, char type)
{
	struct err e;

	if (block_is_expired(&s->block) && s->rare->stack && scopes_expired(s)) {
		scopes_expired_error(stack_innermost(s->rare->stack), &e);
		err_hint(&e, "ROLLBACK, then LEAVE it");
	} else if (block_is_expired(&s->block)) {
		expiry_error(s->block.apart ? readonly_other(s) : s->pool,
			     (enum err_id)s->block.expired_by, &e);
	} else {
		err_make(&e, ERR_IN_FAILED_TRANSACTION, s->pool->conf->name);
	}
	reply_refuse(s, type, &e);
	err_clear(&e);
}

bool
begin_answer(struct session *s, unsigned set, const char *sql, size_t bytes)
{
	enum sqltext_word word;

	if (s->block.state == BLOCK_NONE) {
		if (set != SQLCLASS_BEGIN || !s->pool->conf->lazy_begin)
			return false;
		word = plain_word(sql, bytes);
		if (word == SQLWORD_OTHER)
			return false;
		answer_query(s, word == SQLWORD_START ? "START TRANSACTION" : "BEGIN", BLOCK_BEGUN);
		return true;
	}
	word = set == SQLCLASS_COMMIT || set == SQLCLASS_ROLLBACK ? plain_word(sql, bytes)
								  : SQLWORD_OTHER;
	if (word != SQLWORD_OTHER) {
		/* Counted here because no server has seen it. A failed transaction is not counted;
		 * an expired one has been. */
		s->pool->stats.xacts += s->block.state == BLOCK_BEGUN;
		answer_query(s,
			     set == SQLCLASS_COMMIT && s->block.state == BLOCK_BEGUN ? "COMMIT"
										     : "ROLLBACK",
			     BLOCK_NONE);
		return true;
	}
	if (s->block.state == BLOCK_BEGUN)
		return false;
	refuse_message(s, 'Q');
	return true;
}

bool
begin_refuses(struct session *s, unsigned set)
{
	if (s->block.state != BLOCK_FAILED)
		return false;
	if (set != SQLCLASS_ROLLBACK)
		return true;
	/* The ROLLBACK goes to any server, which answers as it should. */
	block_set_state(&s->block, s->id, BLOCK_NONE);
	return false;
}

/* ---- after a time limit ---- */

static bool
ends_transaction(unsigned set, const char *sql, size_t bytes)
{
	return (set == SQLCLASS_COMMIT || set == SQLCLASS_ROLLBACK) &&
	       plain_word(sql, bytes) != SQLWORD_OTHER;
}

/* Does the prepared statement of that name end a transaction? */
static bool
name_ends(const struct session *s, const char *name)
{
	const char *sql = "";
	unsigned set;

	if (*name == 0)
		return block_has_end_parsed(&s->block);
	if (s->context.names == NULL)
		return false;
	set = names_effects(s->context.names, name, strlen(name), &sql);
	return ends_transaction(set, sql, strlen(sql));
}

static bool
parses_end(struct session *s, const struct message *m)
{
	if (*m->statement || !message_is_whole(m) ||
	    !ends_transaction(m->effects.set, m->sql, m->sql_bytes))
		return false;
	forget_unnamed(s);
	block_set_end(&s->block, s->id, true, false);
	return true;
}

static void
close_end(struct session *s, const char *name)
{
	struct block *b = &s->block;

	if (name == NULL)
		block_set_end(b, s->id, block_has_end_parsed(b), false);
	else if (*name == 0)
		block_set_end(b, s->id, false, block_has_end_bound(b));
	else if (s->context.names)
		names_drop(s->context.names,
			   s->hold->lease.srv ? &s->hold->lease.srv->prepared : NULL, name,
			   strlen(name));
}

/* Answers a message of the extended protocol if it is a step to end the transaction, or a Close.
 * Returns false if it is not. */
static bool
answer_step(struct session *s, const struct message *m, struct buf *out)
{
	struct block *b = &s->block;

	if (m->portal == NULL && m->statement == NULL)
		return false;
	switch (m->type) {
	case 'P':
		if (!parses_end(s, m))
			return false;
		msg_end(out, msg_begin(out, '1'));
		return true;
	case 'B':
		if (*m->portal || !name_ends(s, m->statement))
			return false;
		block_set_end(b, s->id, block_has_end_parsed(b), true);
		msg_end(out, msg_begin(out, '2'));
		return true;
	case 'D':
		if (m->statement ? !name_ends(s, m->statement)
				 : *m->portal || !block_has_end_bound(b))
			return false;
		if (m->statement) {
			size_t at = msg_begin(out, 't');

			buf_add_u16(out, 0);
			msg_end(out, at);
		}
		msg_end(out, msg_begin(out, 'n'));
		return true;
	case 'E':
		if (*m->portal || !block_has_end_bound(b))
			return false;
		block_set_state(&s->block, s->id, BLOCK_NONE);
		msg_complete(out, "ROLLBACK");
		return true;
	default: /* C */
		close_end(s, m->statement);
		msg_end(out, msg_begin(out, '3'));
		return true;
	}
}

enum verdict
begin_expired(struct session *s, const struct message *m)
{
	struct buf out;
	struct err e;

	if (message_is_whole(m) && !message_is_well_formed(m)) {
		err_make(&e, ERR_MALFORMED);
		reply_refuse(s, m->type == 'S' ? 'Q' : m->type, &e);
		err_clear(&e);
		return s->state == SESSION_IDLE || s->state == SESSION_ACTIVE ? DROP : OVER;
	}
	buf_init(&out, 64);
	switch (m->type) {
	case 'Q':
		block_set_end(&s->block, s->id, false, false);
		if (!message_is_whole(m))
			refuse_message(s, 'Q');
		else
			begin_answer(s, m->effects.set, m->sql, m->sql_bytes);
		break;
	case 'P':
	case 'B':
	case 'D':
	case 'E':
	case 'C':
		if (answer_step(s, m, &out))
			reply_send_buf(s, &out);
		else
			refuse_message(s, m->type);
		break;
	case 'S':
		block_set_end(&s->block, s->id, block_has_end_parsed(&s->block), false);
		reply_ready(s, &out);
		reply_send_buf(s, &out);
		break;
	case 'F':
		refuse_message(s, 'F');
		break;
	default: /* the rest of a COPY, or nothing to flush */
		break;
	}
	buf_clear(&out);
	return s->state == SESSION_IDLE || s->state == SESSION_ACTIVE ? DROP : OVER;
}

void
begin_send(struct session *s)
{
	/* Parse, Bind and Execute, as context_own() makes them, and a Close of our portal. */
	static const char begin[] = "P\0\0\0\15\0BEGIN\0\0\0"
				    "B\0\0\0\14\0\0\0\0\0\0\0\0"
				    "E\0\0\0\11\0\0\0\0\0"
				    "C\0\0\0\6P";
	struct progress *p;

	if (s->block.state != BLOCK_BEGUN)
		return;
	block_set_state(&s->block, s->id, BLOCK_NONE);
	holds_need(s)->sent_xact_us = s->own->lease.xact_us;
	p = &s->hold->lease.srv->progress;
	progress_note(p, PROGRESS_BEGINS);
	progress_sent_begin(p);
	/* sizeof counts the NUL at the end, which ends the name of the portal. */
	buf_add(batch_for(s), begin, sizeof begin);
}
