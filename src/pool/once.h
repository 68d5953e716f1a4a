/* once: unnamed statements that are parsed once for all sessions of a pool (statement_cache).
 *
 * A text that comes for the first time passes as it is: all that stays of it is its hash. When it
 * comes again, its Parse goes to the server as that of a statement with a name of ours, so the
 * client gets PostgreSQL's answer, and a Describe of ours behind it tells what PostgreSQL has made
 * of the text (prepared.h). From then on a Parse of that text is not sent: that statement stands in
 * for the unnamed one.
 *
 * What makes the answer true is the client's Bind, which stands in for the Parse, too. For it
 * PostgreSQL looks whether its analysis still holds, and makes it anew if not; it takes the locks
 * that a Parse takes, and finds the errors that a Parse finds, at the same positions. The client
 * gets ParseComplete when the Bind has been answered, not before. If the client does not bind at
 * once, as it asks for the description first, a Describe of ours does the same. (PostgreSQL looks
 * at its analysis for a Describe only if the statement has a result.) What PostgreSQL does not see
 * is the subject of wire/sqlonce.h; texts with such parts are not answered, or only with
 * statement_cache = on.
 *
 * If the Parse is the first message of an exchange outside of a transaction, nothing has been
 * executed when the Bind fails, whatever it fails by: the client's messages are kept until it is
 * answered, and then sent again, with the Parse as it came. So they fail as on a direct connection,
 * or succeed: the result may have other columns now, which is an error of the Bind's alone (0A000).
 *
 * Elsewhere nothing can be sent again. There the error is taken for the Parse's if it has a
 * position in the text, and otherwise for the Bind's (progress.c). And there a text with a result
 * is answered only with statement_cache = on, and never if its columns change when a table gets
 * one.
 *
 * A statement is used only if nothing has been defined (CREATE, ALTER, DROP, DO, CALL ...) by a
 * session of this daemon since its Parse, which bounds what PostgreSQL does not see; and if it is
 * not older than statement_cache_age, because others may define something too; and with auto not
 * if it has no result and wrote no row (prepared_note_unwritten()). It counts among the
 * max_prepared_statements of its server, of which the least recently used goes first.
 *
 * Which statement stands in for the session's unnamed one is known for the lease only
 * (tracked_list.once). After that, unnamed.h prepares the text where it is used. No I/O. */
#ifndef PGWITH_POOL_ONCE_H
#define PGWITH_POOL_ONCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "pool/prepared.h"
#include "pool/unnamed.h"

#define ONCE_AGAIN_MAX (32 * 1024) /* bytes of an exchange that are kept */
#define ONCE_TEXT_MAX  (16 * 1024) /* bytes of a Parse that is answered */

/* A whole Parse of the unnamed statement, whose text has no effects and can be read in one way
 * only. Neither the session nor the transaction has altered what it depends on. It must be
 * well-formed, but not yet for once_has_come(). */
struct once {
	const uint8_t *body;
	size_t bytes;
	uint64_t of_body;    /* text_hash_body() of it, without its name */
	const char *context; /* as prepared_message.context */
	uint64_t place;      /* as prepared_message.place */
	uint64_t defined;    /* statements.tick when something was last defined in the pool */
	int64_t now_us, age_us;
	unsigned server_max; /* statements that a server keeps */
	bool infers;         /* statement_cache = on */
	bool redo;           /* the exchange could be done again */
	bool inert;          /* as text.inert */
	bool same;           /* the session's unnamed statement has the text: unnamed_is_inert() */

	/* What once_has_come() has found. */
	uint64_t hash;
	struct text *text; /* NULL: no statement has it */
	bool seen;         /* the text had come before, and the Parse is not done again */

	/* What once_judge() has found. */
	struct prepared *statement;
	bool replaces; /* the server has the text, but it must be parsed anew */
};

/* Has the text come before, and may the Parse be another than that of the client? This is asked
 * first, and costs little: all texts of some programs come once. `redo` need not be known yet. */
bool once_has_come(struct once *, struct prepared_set *);

enum once_verdict {
	ONCE_PASS,    /* the Parse goes to the server as it came */
	ONCE_NEVER,   /* the same, as always with this text */
	ONCE_SERVE,   /* once_serve() */
	ONCE_PREPARE, /* once_prepare() */
};
enum once_verdict once_judge(struct once *, struct prepared_set *); /* of a text that has come */

/* A use has failed by this error, and the exchange is about to be done again. If it is the fault of
 * the values, the statement stays, but the Parse goes to the server as it came. */
void once_refused(struct prepared_set *, const char *sqlstate);

/* ONCE_SERVE: how many parameters has the statement? */
unsigned once_parameters(const struct once *);
/* ONCE_SERVE: has the statement a result, so that a Describe shows whether its analysis holds? */
bool once_has_result(const struct once *);

/* Adds what goes to the server in place of the Parse; progress is told. once_serve(): a Describe.
 * once_serve_bind(): the Bind of the unnamed statement that stands behind the Parse. */
void once_serve(struct once *, struct unnamed *, struct prepared_set *, struct progress *,
		struct buf *out);
void once_serve_bind(struct once *, struct unnamed *, struct prepared_set *, struct progress *,
		     const uint8_t *bind, size_t bytes, struct buf *out);
void once_prepare(struct once *, struct unnamed *, struct prepared_set *, struct progress *,
		  struct buf *out);

/* Does a statement stand in for the session's unnamed one? */
bool once_stands_in(const struct unnamed *, const struct prepared_set *);
/* A message uses it: returns its name on the server, which lasts as long as the statement. NULL:
 * the server has it no more, and unnamed_need() is to prepare the session's text. */
const char *once_name(struct unnamed *, struct prepared_set *);

/* Does the Bind with that body name the unnamed statement? Adds its header, portal and name, with
 * the name of ours; returns how many bytes of the body that replaces. Progress is not told. */
size_t once_bind(const char *name, const uint8_t *body, size_t bytes, struct buf *out);
/* Adds a Describe of it. Progress is not told. */
void once_describe(const char *name, struct buf *out);

#endif
