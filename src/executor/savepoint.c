#include "executor/savepoint.h"

#include <string.h>

#include "pool/server.h"
#include "session/lexing.h"
#include "wire/sqlname.h"
#include "wire/sqltext.h"

/* Reads the name of a savepoint: behind SAVEPOINT, RELEASE [SAVEPOINT], or ROLLBACK [WORK |
 * TRANSACTION] TO [SAVEPOINT]. All of these words but TO may be the name themselves. Returns false
 * if there is none: it is a ROLLBACK of all, or what PostgreSQL does not understand. */
static bool
read_point(enum sqltext_word first, struct sqltext *at, struct sqltext_token *t)
{
	struct sqltext_token behind;
	struct sqltext ahead;

	sqltext_token(at, t);
	if (first == SQLWORD_ROLLBACK) {
		if (t->word == SQLWORD_WORK || t->word == SQLWORD_TRANSACTION)
			sqltext_token(at, t);
		if (t->word != SQLWORD_TO)
			return false;
		sqltext_token(at, t);
	}
	ahead = *at;
	sqltext_token(&ahead, &behind);
	if (first != SQLWORD_SAVEPOINT && t->word == SQLWORD_SAVEPOINT &&
	    (behind.kind == SQLTEXT_NAME || behind.kind == SQLTEXT_QUOTED)) {
		*at = ahead;
		*t = behind;
	}
	return t->kind == SQLTEXT_NAME || t->kind == SQLTEXT_QUOTED;
}

/* Notes what one statement does, whose first word is `first`; `at` stands behind that word. */
static bool
follow_statement(struct session *s, struct scope *f, enum sqltext_word first, struct sqltext *at,
		 struct err *e)
{
	struct sqltext_token t;
	char name[SQLNAME_SIZE];
	long n;

	if (!read_point(first, at, &t))
		return true;
	n = sqlname_read(&t, at->flags, name, sizeof name);
	if (n < 0) {
		err_make(e, ERR_SCOPE_UNSUPPORTED,
			 "the name of a savepoint in a scope has no escapes in it");
		return false;
	}
	if (first == SQLWORD_SAVEPOINT && strncmp(name, "pgwith_", 7) == 0) {
		err_make(e, ERR_SCOPE_UNSUPPORTED,
			 "savepoints named pgwith_... are those of scopes");
		return false;
	}
	if (first == SQLWORD_SAVEPOINT) {
		if (scope_point_add(f, name) == 0)
			return true;
		err_make(e, ERR_SCOPE_TOO_MANY, "savepoints in a scope", SCOPE_POINTS_MAX);
		return false;
	}
	if (!scope_point_has(f, name)) {
		if (f->kind == SCOPE_BLOCK)
			err_make(e, ERR_SAVEPOINT_UNKNOWN, name);
		else
			err_make(e, ERR_SCOPE_POINT, name, f->name);
		return false;
	}
	scope_point_cut(f, name, first == SQLWORD_RELEASE);
	if (f->points.count < f->points_kept)
		f->points_kept = f->points.count;
	return true;
}

bool
savepoint_follow(struct session *s, struct scope *f, const char *sql, size_t bytes, struct err *e)
{
	struct progress *p = &s->hold->lease.srv->progress;
	struct sqltext at;
	struct sqltext_token t;
	unsigned flags = lexing_flags(s, NULL);
	bool begins = true;

	sqltext_init(&at, sql, bytes, flags);
	while (sqltext_token(&at, &t) == SQLTEXT_SPLIT)
		;
	/* In a transaction that has failed only ROLLBACK TO has an effect. */
	if (p->status == 'E' && t.word != SQLWORD_ROLLBACK)
		return true;
	/* If the text fails, its savepoints are forgotten, as it is not known how far it got. */
	progress_forget_error(p);
	f->points_sent = true;
	f->points_kept = f->points.count;
	sqltext_init(&at, sql, bytes, flags);
	while (sqltext_token(&at, &t) != SQLTEXT_END) {
		if (begins &&
		    (t.word == SQLWORD_SAVEPOINT || t.word == SQLWORD_RELEASE ||
		     t.word == SQLWORD_ROLLBACK) &&
		    !follow_statement(s, f, t.word, &at, e)) {
			f->points_sent = false;
			scope_points_keep(f, f->points_kept);
			return false;
		}
		begins = t.kind == SQLTEXT_SPLIT;
	}
	return true;
}
