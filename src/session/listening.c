#include "session/listening.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "base/log.h"
#include "base/mem.h"
#include "pool/keeper.h"
#include "pool/pool.h"
#include "session/begin.h"
#include "session/end.h"
#include "session/inquiry.h"
#include "session/lexing.h"
#include "session/raise.h"
#include "session/reply.h"
#include "session/scopes.h"
#include "session/script.h"
#include "session/site.h"
#include "session/statement.h"
#include "wire/frame.h"
#include "wire/msg.h"
#include "wire/sqlclass.h"
#include "wire/sqlname.h"
#include "wire/sqltext.h"

#define SQL_MAX    (1024 * 1024)
#define NAMES_MAX  (1024 * 1024)
#define MARK_SIZE  48 /* of the name of a mark, with its NUL */
#define DEEDS_MAX  1000        /* of one text */
#define PORTION    (64 * 1024) /* bytes of notifications that are sent in one write */
#define READY_SIZE 6           /* bytes of a ReadyForQuery */
#define PID_SIZE   4           /* bytes of the pid in a NotificationResponse */
#define CONVERTED_MAX (64 * 1024)

/* One LISTEN or UNLISTEN. */
struct deed {
	enum { LISTEN, UNLISTEN, UNLISTEN_ALL } what;
	char name[KEEPER_NAME + 1]; /* as the server writes it */
};

struct deeds {
	struct deed *list;
	unsigned count;
	/* The text has nothing else, and all is understood for certain. */
	bool only;
};

/* What a message of the client is, of which the session waits for the keeper or the server. */
enum purpose {
	ALONE,  /* a Query, carried out by the keeper */
	ENDS,   /* it goes to the server, and its UNLISTEN and DISCARD ALL count for the keeper, too */
	INSIDE, /* a LISTEN or UNLISTEN in a transaction */
	SINGLE, /* the same outside of one, in the extended protocol */
	COMMIT  /* of a transaction that has some INSIDE */
};

/* A deed of the transaction. The server listens to a channel of ours with its number, the mark, for
 * as long as the deed has not been rolled back. */
struct marked {
	struct deed deed;
	unsigned mark;
};

struct listening {
	struct listener listener;
	enum listening_state state;
	enum purpose purpose; /* of the message that `deeds` are from */
	bool goes;            /* that message is about to go to the server */
	bool mixed;           /* behind it, in the same exchange, came another one */
	bool suspect;         /* the session's own server may listen to a channel of the keeper's */
	bool overflown;       /* there was no room in `kept` */
	struct err failed;    /* FAILED */
	struct deeds deeds;   /* what is done when the message has succeeded */
	struct buf kept;      /* whole messages for the client, in the server's encoding */
	struct buf converted; /* the one before them, in the client's */
	char *lost;           /* why the keeper was lost; or NULL */
	struct marked *tx;    /* the deeds of the transaction that is open */
	unsigned ntx, marks;
	uint64_t random; /* in the names of marks */
};

#define TO(state) (1u << (state))

static const struct {
	const char *name;
	unsigned next;
} states[LISTENING_NSTATES] = {
    [LISTENING_QUIET] = {"quiet", TO(LISTENING_ASKED) | TO(LISTENING_PASSED) |
				      TO(LISTENING_LOOKS)},
    [LISTENING_ASKED] = {"asked", TO(LISTENING_GRANTED) | TO(LISTENING_REFUSED) |
				      TO(LISTENING_FAILED)},
    [LISTENING_GRANTED] = {"granted", TO(LISTENING_QUIET) | TO(LISTENING_PASSED)},
    [LISTENING_REFUSED] = {"refused", TO(LISTENING_QUIET)},
    [LISTENING_FAILED] = {"failed", TO(LISTENING_QUIET)},
    [LISTENING_PASSED] = {"passed", TO(LISTENING_QUIET) | TO(LISTENING_MARKS) |
					TO(LISTENING_LOOKS)},
    [LISTENING_MARKS] = {"marks", TO(LISTENING_QUIET)},
    [LISTENING_LOOKS] = {"looks", TO(LISTENING_CLEARS) | TO(LISTENING_QUIET)},
    [LISTENING_CLEARS] = {"clears", TO(LISTENING_QUIET)},
};

static void
set_state(struct session *s, enum listening_state to)
{
	struct listening *li = s->rare->listening;

	if (!(states[li->state].next & TO(to)))
		log_fatal("session", s->id, "illegal move of listening",
			  LOG_MOVE(states[li->state].name, states[to].name));
	log_debug("session", s->id, "listening", LOG_MOVE(states[li->state].name, states[to].name));
	li->state = to;
}

/* ---- what a text says ---- */

static void
drop_deeds(struct deeds *d)
{
	free(d->list);
	*d = (struct deeds){0};
}

static bool
same_encoding(const struct session *s)
{
	const char *server = told_get(s->context.told, "server_encoding");
	const char *client = told_get(s->context.told, "client_encoding");

	return server && client && strcasecmp(server, client) == 0;
}

/* Reads the name of a channel. False: it is not certain how the server writes it. */
static bool
read_channel(const struct session *s, const struct sqltext_token *tok, unsigned flags,
	     char name[KEEPER_NAME + 1])
{
	bool ascii = sqlname_is_ascii(tok->start, tok->length);

	if (tok->kind == SQLTEXT_NAME)
		return ascii && tok->length <= KEEPER_NAME &&
		       sqlname_read(tok, flags, name, KEEPER_NAME + 1) > 0;
	return tok->kind == SQLTEXT_QUOTED && *tok->start == '"' &&
	       tok->length <= KEEPER_NAME + 2 && (ascii || same_encoding(s)) &&
	       sqlname_read(tok, flags, name, KEEPER_NAME + 1) > 0;
}

/* Is it known that an UNLISTEN of this name is no error: is it in quotes, or has it been listened to
 * in this spelling? */
static bool
is_valid(const struct session *s, const struct sqltext_token *tok, const struct deeds *d,
	 const char *name)
{
	const struct listening *li = s->rare->listening;

	if (tok->kind == SQLTEXT_QUOTED)
		return true;
	if (li && listener_has(&li->listener, name, strlen(name)) == LISTENER_LISTENS)
		return true;
	for (unsigned i = 0; i < d->count; i++)
		if (d->list[i].what == LISTEN && strcmp(d->list[i].name, name) == 0)
			return true;
	return false;
}

static struct deed *
add_deed(struct deeds *d, int what)
{
	struct deed *deed;

	d->list = mem_realloc(d->list, (d->count + 1) * sizeof *d->list);
	deed = &d->list[d->count++];
	deed->what = what;
	deed->name[0] = 0;
	return deed;
}

/* Reads one statement up to its end, from its second token on. Adds "; LISTEN name" to `sql`. Returns
 * false if it is not understood. */
static bool
read_deed(const struct session *s, struct sqltext *at, bool listen, bool judged, struct deeds *d,
	  struct buf *sql)
{
	struct sqltext_token tok, end;
	char name[KEEPER_NAME + 1];

	sqltext_token(at, &tok);
	if (!listen && sqltext_is_char(&tok, '*')) {
		add_deed(d, UNLISTEN_ALL);
	} else if (!read_channel(s, &tok, at->flags, name) ||
		   (!listen && !judged && !is_valid(s, &tok, d, name))) {
		return false;
	} else {
		memcpy(add_deed(d, listen ? LISTEN : UNLISTEN)->name, name, sizeof name);
	}
	if (listen) {
		buf_add_fmt(sql, sql->len > 0 ? ";LISTEN " : "LISTEN ");
		buf_add(sql, tok.start, tok.length);
	}
	sqltext_token(at, &end);
	return end.kind == SQLTEXT_END || end.kind == SQLTEXT_SPLIT;
}

/* Reads all LISTEN and UNLISTEN of a text. `judged`: the server will judge names. */
static void
read_text(const struct session *s, const char *text, size_t bytes, bool judged, struct deeds *d,
	  struct buf *sql)
{
	struct sqltext at, from;
	struct sqltext_token tok;
	bool begins = true;

	*d = (struct deeds){.only = true};
	sqltext_init(&at, text, bytes, lexing_flags(s, NULL));
	while (sqltext_token(&at, &tok) != SQLTEXT_END) {
		bool listen = sqltext_is_word(&tok, "listen");

		if (tok.kind == SQLTEXT_SPLIT) {
			begins = true;
			continue;
		}
		if (!begins || (!listen && !sqltext_is_word(&tok, "unlisten")) ||
		    d->count >= DEEDS_MAX) {
			begins = d->only = false;
			continue;
		}
		from = at;
		if (!read_deed(s, &at, listen, judged, d, sql)) {
			d->only = begins = false;
			at = from;
		}
	}
	if (at.unterminated || d->count == 0)
		d->only = false;
}

/* ---- the keeper ---- */

static void
answered(struct listener *l, const struct err *e, bool refused)
{
	struct session *s = l->owner;
	struct listening *li = s->rare->listening;

	set_state(s, e == NULL  ? LISTENING_GRANTED
		     : refused ? LISTENING_REFUSED
			       : LISTENING_FAILED);
	if (li->state == LISTENING_FAILED)
		err_copy(&li->failed, e);
	stream_resume(&s->stream);
	session_wake(s);
}

static void
notified(struct listener *l, const char *channel, size_t channel_bytes, const uint8_t *message,
	 size_t bytes)
{
	struct session *s = l->owner;
	struct listening *li = s->rare->listening;

	buf_add(&li->kept, message, bytes);
	li->overflown |= li->kept.failed;
	session_wake(s);
}

static void
lost(struct listener *l, const char *why)
{
	struct session *s = l->owner;

	free(s->rare->listening->lost);
	s->rare->listening->lost = mem_strdup(why);
	session_wake(s);
}

static void converted(struct listener *, const uint8_t *row, size_t bytes, const char *sqlstate,
		      const char *error);

static const struct listener_ops listener_ops = {answered, notified, converted, lost};

static struct listening *
need_listening(struct session *s)
{
	struct listening *li = s->rare->listening;

	if (li)
		return li;
	li = session_rare(s)->listening = mem_calloc(1, sizeof *li);
	listener_init(&li->listener, &listener_ops, s);
	buf_init(&li->kept, LISTENING_MAX);
	buf_init(&li->converted, CONVERTED_MAX);
	return li;
}

unsigned
listening_channels(const struct session *s)
{
	return s->rare->listening ? s->rare->listening->listener.listens : 0;
}

void
listening_end(struct session *s)
{
	if (s->rare->listening)
		listener_clear(&s->rare->listening->listener);
}

void
listening_free(struct session *s)
{
	struct listening *li = s->rare->listening;

	if (li == NULL)
		return;
	drop_deeds(&li->deeds);
	buf_clear(&li->kept);
	buf_clear(&li->converted);
	free(li->tx);
	free(li->lost);
	if (li->state == LISTENING_FAILED)
		err_clear(&li->failed);
	free(li);
	s->rare->listening = NULL;
}

/* ---- giving ---- */

/* May the client get notifications now: is it outside of a transaction, between messages? */
static bool
may_give(const struct session *s)
{
	const struct progress *p;

	if (stream_is_slow(&s->stream) || (s->rare->stack && scopes_open(s)) ||
	    s->block.state != BLOCK_NONE || script_pending(s))
		return false;
	switch (s->state) {
	case SESSION_IDLE:
	case SESSION_WAITING:
		return true;
	case SESSION_ACTIVE:
		p = &s->hold->lease.srv->progress;
		return progress_at_rest(p) && p->status == 'I' && !p->extended;
	default:
		return false;
	}
}

/* The encoding that notifications must be converted to; NULL: none, the client gets them as they
 * are. PostgreSQL converts neither from nor to SQL_ASCII. */
static const char *
other_encoding(const struct session *s)
{
	const char *server = told_get(s->context.told, "server_encoding");
	const char *client = told_get(s->context.told, "client_encoding");

	if (server == NULL || client == NULL || strcasecmp(server, client) == 0 ||
	    strcasecmp(server, "SQL_ASCII") == 0 || strcasecmp(client, "SQL_ASCII") == 0)
		return NULL;
	return client;
}

/* How many bytes of whole messages, up to PORTION or one message. With `ascii`, it ends ahead of the
 * first message that is not all ASCII. */
static size_t
portion_of(const struct buf *kept, bool ascii)
{
	size_t at = 0;
	struct frame f;

	while (frame_read(buf_data(kept) + at, kept->len - at, &f) == 0 &&
	       (at == 0 || at + FRAME_HEADER + f.body <= PORTION)) {
		if (ascii &&
		    !sqlname_is_ascii((const char *)buf_data(kept) + at + FRAME_HEADER + PID_SIZE,
				      f.body - PID_SIZE))
			break;
		at += FRAME_HEADER + f.body;
	}
	return at;
}

/* Adds a text as an expression: its bytes in another encoding, as hexadecimal digits. */
static void
add_conversion(struct buf *sql, const char *text, const char *from, const char *to)
{
	buf_add_fmt(sql, "pg_catalog.encode(pg_catalog.convert(pg_catalog.decode('");
	for (; *text; text++)
		buf_add_fmt(sql, "%02x", (unsigned)(uint8_t)*text);
	buf_add_fmt(sql, "', 'hex'), '%s', '%s'), 'hex')", from, to);
}

/* Has the keeper convert the first notification that is kept. */
static void
begin_conversion(struct session *s, const char *to)
{
	struct listening *li = s->rare->listening;
	const char *from = told_get(s->context.told, "server_encoding");
	const char *channel = (const char *)buf_data(&li->kept) + FRAME_HEADER + PID_SIZE;
	struct buf sql;

	if (li->listener.converting || li->listener.keeper == NULL)
		return;
	buf_init(&sql, SQL_MAX);
	buf_add_fmt(&sql, "SELECT ");
	add_conversion(&sql, channel, from, to);
	buf_add_fmt(&sql, ", ");
	add_conversion(&sql, channel + strlen(channel) + 1, from, to);
	buf_add_u8(&sql, 0);
	keeper_convert(&li->listener, (char *)buf_data(&sql));
	buf_clear(&sql);
}

/* Adds a column of hexadecimal digits as bytes with a NUL. Returns where the next one begins. */
static const uint8_t *
add_column(struct buf *out, const uint8_t *at)
{
	uint32_t bytes = frame_u32(at);

	at += 4;
	for (uint32_t i = 0; i + 1 < bytes; i += 2)
		buf_add_u8(out, (uint8_t)(sqltext_digit((char)at[i]) << 4 |
					  sqltext_digit((char)at[i + 1])));
	buf_add_u8(out, 0);
	return at + bytes;
}

/* The first notification that is kept has been converted, or cannot be. */
static void
converted(struct listener *l, const uint8_t *row, size_t bytes, const char *sqlstate,
	  const char *error)
{
	struct session *s = l->owner;
	struct listening *li = s->rare->listening;
	size_t at;
	struct frame f;

	if (frame_read(buf_data(&li->kept), li->kept.len, &f) < 0)
		return;
	if (row && bytes > 10) {
		at = msg_begin(&li->converted, 'A');
		buf_add(&li->converted, buf_data(&li->kept) + FRAME_HEADER, PID_SIZE);
		add_column(&li->converted, add_column(&li->converted, row + 2));
		msg_end(&li->converted, at);
	} else {
		msg_report(&li->converted, 'N', "WARNING", sqlstate, error,
			   "A notification was not given to the client: its encoding lacks a "
			   "character.",
			   NULL);
	}
	buf_drop(&li->kept, FRAME_HEADER + f.body);
	session_wake(s);
}

static void
give(struct session *s)
{
	struct listening *li = s->rare->listening;

	while ((li->kept.len > 0 || li->converted.len > 0) && may_give(s)) {
		const char *other = other_encoding(s);
		struct buf *from = li->converted.len > 0 ? &li->converted : &li->kept;
		size_t n = portion_of(from, other && from == &li->kept);

		if (n == 0) {
			begin_conversion(s, other);
			return;
		}
		s->pool->stats.sent += n;
		reply_send(s, buf_data(from), n);
		buf_drop(from, n);
	}
}

/* The session listens, and has to end. */
static bool
must_end(struct session *s)
{
	struct listening *li = s->rare->listening;
	struct err e;

	if (session_gone(s) || (li->lost == NULL && !li->overflown))
		return false;
	if (li->lost)
		err_make(&e, ERR_LISTEN_LOST, s->pool->conf->name, li->lost);
	else
		err_make(&e, ERR_LISTEN_SLOW, LISTENING_MAX / 1024 / 1024);
	session_fail(s, &e);
	err_clear(&e);
	return true;
}

void
listening_turn(struct session *s)
{
	if (!must_end(s))
		give(s);
}

void
listening_reply(struct session *s, const uint8_t *data, size_t bytes)
{
	static const uint8_t ready[READY_SIZE] = {'Z', 0, 0, 0, 5, 'I'};
	struct listening *li = s->rare->listening;

	/* Behind the last ReadyForQuery there may be only messages that end with a NUL. */
	if ((li->kept.len > 0 || li->converted.len > 0) && may_give(s) && bytes >= READY_SIZE &&
	    memcmp(data + bytes - READY_SIZE, ready, READY_SIZE) == 0) {
		reply_send(s, data, bytes - READY_SIZE);
		give(s);
		data += bytes - READY_SIZE;
		bytes = READY_SIZE;
	}
	if (!session_gone(s))
		reply_send(s, data, bytes);
}

void
listening_discard(struct session *s)
{
	if (s->rare->listening)
		listener_drop_all(&s->rare->listening->listener, false);
}

/* ---- the end of a transaction: what has become of its deeds ---- */

static bool
in_names(const struct buf *names, const char *name)
{
	const char *at = (const char *)buf_data(names), *end = at + names->len;

	for (; at < end; at += strlen(at) + 1)
		if (strcmp(at, name) == 0)
			return true;
	return false;
}

static void
remove_name(struct buf *names, const char *name)
{
	struct buf left;
	const char *at = (const char *)buf_data(names), *end = at + names->len;

	buf_init(&left, NAMES_MAX);
	for (; at < end; at += strlen(at) + 1)
		if (strcmp(at, name) != 0)
			buf_add_str(&left, at);
	buf_clear(names);
	*names = left;
}

static void
apply_deed(struct buf *names, const struct deed *d)
{
	if (d->what == UNLISTEN_ALL)
		buf_reset(names);
	else if (d->what == UNLISTEN)
		remove_name(names, d->name);
	else if (!in_names(names, d->name))
		buf_add_str(names, d->name);
}

/* The names that the server has told: pg_listening_channels(). */
static void
told_names(struct session *s, struct buf *names)
{
	const struct buf *rows = inquiry_rows(s);
	const uint8_t *at = buf_data(rows);
	size_t left = rows->len;
	struct frame f;

	while (frame_read(at, left, &f) == 0 && FRAME_HEADER + f.body <= left) {
		/* One column: the number of columns, the length, the value. */
		if (f.body > 6) {
			buf_add(names, at + FRAME_HEADER + 6, f.body - 6);
			buf_add_u8(names, 0);
		}
		at += FRAME_HEADER + f.body;
		left -= FRAME_HEADER + f.body;
	}
}

static void
mark_name(const struct listening *li, unsigned mark, char name[MARK_SIZE])
{
	snprintf(name, MARK_SIZE, "pgwith %016llx %u", (unsigned long long)li->random, mark);
}

/* Is it a mark of the session's? */
static bool
is_mark(const struct listening *li, const char *name)
{
	char begin[MARK_SIZE];
	int n = snprintf(begin, sizeof begin, "pgwith %016llx ", (unsigned long long)li->random);

	return li->marks > 0 && strncmp(name, begin, (size_t)n) == 0;
}

/* The names that the session listens to when the deeds that have survived are done. `told`: what its
 * server listens to, or NULL. */
static void
final_names(const struct listening *li, const struct buf *told, struct buf *names)
{
	struct list_node *at = NULL;
	char mark[MARK_SIZE];
	const char *name;

	while ((name = listener_next(&li->listener, &at)) != NULL)
		if (listener_has(&li->listener, name, strlen(name)) == LISTENER_LISTENS)
			buf_add_str(names, name);
	for (unsigned i = 0; told && i < li->ntx; i++) {
		mark_name(li, li->tx[i].mark, mark);
		if (in_names(told, mark))
			apply_deed(names, &li->tx[i].deed);
	}
	/* The deeds of one message: it has succeeded, or there are none here. */
	for (unsigned i = 0; i < li->deeds.count; i++)
		apply_deed(names, &li->deeds.list[i]);
}

/* The keeper listens for the session to just these, as far as it does so already. */
static void
keep_names(struct listening *li, const struct buf *names)
{
	struct list_node *at = NULL;
	struct buf gone;
	const char *name, *end;

	buf_init(&gone, NAMES_MAX);
	while ((name = listener_next(&li->listener, &at)) != NULL)
		if (!in_names(names, name))
			buf_add_str(&gone, name);
	name = (const char *)buf_data(&gone);
	for (end = name + gone.len; name < end; name += strlen(name) + 1)
		listener_drop(&li->listener, name, strlen(name));
	name = (const char *)buf_data(names);
	for (end = name + names->len; name < end; name += strlen(name) + 1)
		listener_keep(&li->listener, name, strlen(name));
	buf_clear(&gone);
}

/* Carries out what the keeper, or the server, has granted. */
static void
do_deeds(struct listening *li)
{
	struct buf names;

	buf_init(&names, NAMES_MAX);
	final_names(li, NULL, &names);
	keep_names(li, &names);
	buf_clear(&names);
	drop_deeds(&li->deeds);
}

/* Drops what is kept of channels that the session does not listen to, as PostgreSQL does at the end
 * of a transaction. */
static void
drop_kept(struct listening *li)
{
	struct buf kept = li->kept;
	const uint8_t *at = buf_data(&kept);
	size_t left = kept.len;
	struct frame f;

	if (left == 0)
		return;
	keeper_convert_no_more(&li->listener);
	buf_init(&li->kept, LISTENING_MAX);
	while (frame_read(at, left, &f) == 0 && FRAME_HEADER + f.body <= left) {
		const char *name = (const char *)at + FRAME_HEADER + PID_SIZE;

		if (listener_has(&li->listener, name, strlen(name)) != LISTENER_NO)
			buf_add(&li->kept, at, FRAME_HEADER + f.body);
		at += FRAME_HEADER + f.body;
		left -= FRAME_HEADER + f.body;
	}
	buf_clear(&kept);
}

static void
forget_transaction(struct listening *li)
{
	drop_deeds(&li->deeds);
	free(li->tx);
	li->tx = NULL;
	li->ntx = li->marks = 0;
	li->suspect = li->mixed = false;
}

/* Adds UNLISTEN of the names that the server listens to, and need not: marks, and what the keeper
 * does for it. Returns whether it has to listen on. */
static bool
add_unlisten(const struct listening *li, const struct buf *told, struct buf *sql)
{
	const char *name = (const char *)buf_data(told), *end = name + told->len;
	bool listens = false;

	for (; name < end; name += strlen(name) + 1) {
		if (!is_mark(li, name) &&
		    listener_has(&li->listener, name, strlen(name)) == LISTENER_NO) {
			listens = true;
			continue;
		}
		buf_add_fmt(sql, sql->len > 0 ? ";UNLISTEN " : "UNLISTEN ");
		keeper_add_quoted(sql, name);
	}
	if (!listens && sql->len > 0) {
		buf_reset(sql);
		buf_add_fmt(sql, "UNLISTEN *");
	}
	buf_add_u8(sql, 0);
	return listens;
}

static void
enter_saving(struct session *s)
{
	if (s->state != SESSION_SAVING)
		session_set_state(s, SESSION_SAVING);
	stream_pause(&s->stream);
}

static void
look(struct session *s)
{
	if (s->rare->listening->state != LISTENING_LOOKS)
		set_state(s, LISTENING_LOOKS);
	enter_saving(s);
	inquiry_ask(s, "SELECT pg_catalog.pg_listening_channels()",
		    s->hold->lease.srv->progress.muted ? INQUIRY_PASSES_NOTHING
						      : INQUIRY_PASSES_AT_END,
		    INQUIRY_ROWS | INQUIRY_AGAIN);
}

/* The server has told what it listens to. Returns true if it is to be told to end that. */
static bool
take_look(struct session *s)
{
	struct listening *li = s->rare->listening;
	struct buf told, names, sql;
	bool listens;

	buf_init(&told, NAMES_MAX);
	buf_init(&names, NAMES_MAX);
	buf_init(&sql, SQL_MAX);
	told_names(s, &told);
	final_names(li, &told, &names);
	keep_names(li, &names);
	listens = add_unlisten(li, &told, &sql);
	if (listens)
		s->hold->pinned |= SQLCLASS_LISTEN;
	else
		s->hold->pinned &= ~(unsigned)SQLCLASS_LISTEN;
	drop_kept(li);
	forget_transaction(li);
	buf_clear(&told);
	buf_clear(&names);
	if (sql.len > 1 && !sql.failed) {
		set_state(s, LISTENING_CLEARS);
		inquiry_ask(s, (char *)buf_data(&sql), s->rare->inquiry->passes, INQUIRY_AGAIN);
	}
	buf_clear(&sql);
	return li->state == LISTENING_CLEARS;
}

static void
mark(struct session *s)
{
	struct listening *li = s->rare->listening;
	char sql[MARK_SIZE + 16], name[MARK_SIZE];

	if (li->ntx == 0 && getrandom(&li->random, sizeof li->random, 0) != sizeof li->random)
		log_fatal("session", s->id, "no random numbers");
	li->marks++;
	li->tx = mem_realloc(li->tx, (li->ntx + li->deeds.count) * sizeof *li->tx);
	for (unsigned i = 0; i < li->deeds.count; i++)
		li->tx[li->ntx++] = (struct marked){li->deeds.list[i], li->marks};
	drop_deeds(&li->deeds);
	set_state(s, LISTENING_MARKS);
	mark_name(li, li->marks, name);
	snprintf(sql, sizeof sql, "LISTEN \"%s\"", name);
	enter_saving(s);
	inquiry_ask_apart(s, sql, strlen(sql) + 1, INQUIRY_PASSES_AT_END);
}

bool
listening_asks(const struct session *s)
{
	const struct listening *li = s->rare->listening;

	return li && (li->state == LISTENING_MARKS || li->state == LISTENING_LOOKS ||
		      li->state == LISTENING_CLEARS);
}

static void
cannot_look(struct session *s)
{
	struct err e;

	err_make(&e, ERR_LISTEN_LOST, s->pool->conf->name, inquiry_message(s));
	session_fail(s, &e);
	err_clear(&e);
}

bool
listening_inquired(struct session *s)
{
	struct listening *li = s->rare->listening;
	enum inquiry_state how = inquiry_take(s);
	char *sql;

	if (s->state != SESSION_SAVING)
		return false;
	if (how == INQUIRY_CUT_SHORT && li->state == LISTENING_LOOKS) {
		look(s);
		return false;
	}
	if (how == INQUIRY_CUT_SHORT) {
		sql = "UNLISTEN *";
		inquiry_ask(s, sql, s->rare->inquiry->passes, INQUIRY_AGAIN);
		return false;
	}
	if (how == INQUIRY_FAILED && li->state != LISTENING_MARKS) {
		cannot_look(s);
		return false;
	}
	if (li->state == LISTENING_LOOKS && take_look(s))
		return false;
	set_state(s, LISTENING_QUIET);
	s->hold->lease.srv->progress.muted = false;
	session_set_state(s, SESSION_ACTIVE);
	inquiry_forget(s);
	session_wake(s);
	return true;
}

/* A transaction has ended, or something that may have listened. Is the server to be asked what it
 * listens to? */
static bool
must_look(const struct session *s)
{
	const struct listening *li = s->rare->listening;

	return s->hold->lease.srv->progress.status == 'I' && !script_waiting(s) &&
	       !(s->rare->stack && scopes_open(s)) &&
	       (li->ntx > 0 || (li->suspect && li->listener.listens > 0));
}

/* The server has answered a message that concerns what the session listens to. Returns true if it is
 * asked something now. */
static bool
passed_answered(struct session *s)
{
	struct listening *li = s->rare->listening;
	const struct progress *p = &s->hold->lease.srv->progress;
	bool good = p->error[0] == 0;

	switch (li->purpose) {
	case INSIDE:
		if (good && p->status == 'T' && !li->mixed) {
			mark(s);
			return true;
		}
		/* It is not known what has become of it. */
		if (p->status == 'I' || li->mixed) {
			s->hold->pinned |= SQLCLASS_LISTEN;
			s->hold->pins_doubtful = true;
		}
		break;
	case SINGLE:
		if (!good)
			drop_deeds(&li->deeds);
		look(s);
		return true;
	case COMMIT:
		if (p->status == 'I') {
			look(s);
			return true;
		}
		s->hold->lease.srv->progress.muted = false;
		break;
	default:
		if (good && p->status == 'I')
			do_deeds(li);
		drop_deeds(&li->deeds);
		if (must_look(s)) {
			look(s);
			return true;
		}
		break;
	}
	drop_deeds(&li->deeds);
	li->mixed = false;
	set_state(s, LISTENING_QUIET);
	stream_resume(&s->stream);
	session_wake(s);
	return false;
}

bool
listening_answered(struct session *s)
{
	struct listening *li = s->rare->listening;

	/* What has come meanwhile is given when this has been dealt with. */
	if (li->kept.len > 0)
		session_wake(s);
	if (li->state == LISTENING_PASSED)
		return passed_answered(s);
	if (li->state == LISTENING_QUIET && must_look(s)) {
		look(s);
		return true;
	}
	return false;
}

/* ---- judging ---- */

static enum verdict
hold(struct session *s)
{
	stream_pause(&s->stream);
	return HOLD;
}

/* Answers the text that the keeper has carried out. */
static enum verdict
answer_query(struct session *s)
{
	struct listening *li = s->rare->listening;
	struct buf out;

	/* What was told before comes before. */
	give(s);
	buf_init(&out, SQL_MAX);
	for (unsigned i = 0; i < li->deeds.count; i++)
		msg_complete(&out, li->deeds.list[i].what == LISTEN ? "LISTEN" : "UNLISTEN");
	do_deeds(li);
	/* A simple Query ends the unnamed statement. */
	unnamed_forget(s->context.unnamed,
		       s->hold->lease.srv ? &s->hold->lease.srv->prepared.tracked : NULL);
	s->activity.request_us = loop_now_us(s->site->loop);
	reply_ready(s, &out);
	reply_send_buf(s, &out);
	buf_clear(&out);
	return session_gone(s) ? OVER : DROP;
}

/* The keeper cannot be had. */
static enum verdict
refuse(struct session *s, char type)
{
	struct listening *li = s->rare->listening;
	struct err e = li->failed;

	li->failed = (struct err){.id = ERR_NONE};
	drop_deeds(&li->deeds);
	return reply_refuse_message(s, type, &e);
}

/* Asks the keeper for the LISTENs of `deeds` and of the transaction. */
static enum verdict
ask(struct session *s, enum purpose purpose, struct buf *sql)
{
	struct listening *li = s->rare->listening;
	struct buf names;

	buf_init(&names, NAMES_MAX);
	for (unsigned i = 0; i < li->deeds.count; i++)
		if (li->deeds.list[i].what == LISTEN)
			buf_add_str(&names, li->deeds.list[i].name);
	for (unsigned i = 0; i < li->ntx; i++)
		if (li->tx[i].deed.what == LISTEN) {
			buf_add_str(&names, li->tx[i].deed.name);
			buf_add_fmt(sql, sql->len > 0 ? ";LISTEN " : "LISTEN ");
			keeper_add_quoted(sql, li->tx[i].deed.name);
		}
	buf_add_u8(sql, 0);
	li->purpose = purpose;
	set_state(s, LISTENING_ASKED);
	keeper_ask(s->pool, &li->listener, (char *)buf_data(sql), (char *)buf_data(&names),
		   names.len, purpose != ALONE);
	buf_clear(&names);
	return hold(s);
}

/* The message goes to the server: listening_sent() is called then. */
static enum verdict
pass(struct session *s, enum purpose purpose)
{
	struct listening *li = s->rare->listening;

	li->purpose = purpose;
	li->goes = true;
	return FORWARD;
}

unsigned
listening_pins(const struct session *s, const struct message *m, unsigned set)
{
	const struct listening *li = s->rare->listening;

	/* What a prepared statement does is judged at its Bind: judge_text(). */
	if (m->type == 'P' ? s->context.listens && message_is_whole(m) && li &&
				 m->effects.set == SQLCLASS_LISTEN
			   : li && li->goes && li->purpose == INSIDE)
		set &= ~(unsigned)SQLCLASS_LISTEN;
	return set;
}

/* The message does nothing: an error came before it, or it is refused. */
static enum verdict
abandon(struct session *s)
{
	struct listening *li = s->rare->listening;

	li->goes = false;
	drop_deeds(&li->deeds);
	listener_drop_all(&li->listener, true);
	drop_kept(li);
	if (li->state == LISTENING_GRANTED)
		set_state(s, LISTENING_QUIET);
	return FORWARD;
}

void
listening_judged(struct session *s, enum verdict v)
{
	struct listening *li = s->rare->listening;

	if (!li->goes || v == HOLD)
		return;
	if (v != FORWARD && v != REPLACE) {
		abandon(s); /* it was refused */
		return;
	}
	li->goes = li->mixed = false;
	set_state(s, LISTENING_PASSED);
	if (li->purpose == SINGLE || li->purpose == COMMIT)
		s->hold->lease.srv->progress.muted = !(s->hold->pinned & SQLCLASS_LISTEN);
	progress_forget_error(&s->hold->lease.srv->progress);
}

unsigned
listening_takes(struct session *s, unsigned set)
{
	struct listening *li = s->rare->listening;

	if (set & (SQLCLASS_LISTEN | SQLCLASS_OPAQUE | SQLCLASS_UNSURE | SQLCLASS_EXECUTE))
		li->suspect = true;
	return li->goes && (li->purpose == INSIDE || li->purpose == SINGLE)
		   ? set & ~(unsigned)(SQLCLASS_LISTEN | SQLCLASS_UNLISTEN)
		   : set;
}

/* Does the server owe an answer, or is an exchange of the extended protocol open? */
static bool
is_under_way(const struct session *s)
{
	return s->state == SESSION_ACTIVE && !progress_at_rest(&s->hold->lease.srv->progress);
}

static bool
is_extended(const struct session *s)
{
	return s->state == SESSION_ACTIVE && s->hold->lease.srv->progress.extended;
}

/* Is the client in a transaction, as far as that is known? */
static bool
is_inside(const struct session *s)
{
	const struct progress *p;

	if (s->block.state != BLOCK_NONE)
		return true;
	if (s->state != SESSION_ACTIVE)
		return false;
	p = &s->hold->lease.srv->progress;
	return p->status != 'I' || (p->sending & PROGRESS_BEGINS);
}

/* Takes over deeds that were read. */
static void
set_deeds(struct session *s, struct deeds *d)
{
	struct listening *li = need_listening(s);

	drop_deeds(&li->deeds);
	li->deeds = *d;
	*d = (struct deeds){0};
}

/* A text goes the usual way. If it ends listening, it does so for the keeper's channels, too, when it
 * has succeeded. */
static enum verdict
pass_ends(struct session *s, struct deeds *d)
{
	if (listening_channels(s) == 0 || d->count == 0 || is_inside(s))
		return FORWARD;
	set_deeds(s, d);
	return pass(s, ENDS);
}

/* pin = off: the Bind of a LISTEN that would pin. */
static enum verdict
refuse_pin(struct session *s, struct message *m)
{
	struct err e;

	if (s->state == SESSION_ACTIVE) {
		begin_send(s);
		return raise_pin_off(s, m, SQLCLASS_LISTEN);
	}
	err_make(&e, ERR_PIN_OFF, s->pool->conf->name, sqlclass_name(SQLCLASS_LISTEN));
	return reply_refuse_message(s, m->type, &e);
}

/* A Query, or a Bind of a statement, with LISTEN or UNLISTEN. `after_refusal`: the keeper has been
 * asked, and PostgreSQL has refused it. */
static enum verdict
judge_text(struct session *s, struct message *m, unsigned set, const char *text, size_t bytes,
	   bool after_refusal)
{
	char type = m->type;
	bool inside = is_inside(s), takes;
	struct deeds d;
	struct buf sql;
	enum verdict v;

	buf_init(&sql, SQL_MAX);
	read_text(s, text, bytes, inside || type == 'B', &d, &sql);
	takes = d.only && !after_refusal && !sql.failed && !(s->hold->pinned & SQLCLASS_LISTEN);
	if (takes && inside) {
		set_deeds(s, &d);
		v = pass(s, INSIDE);
	} else if (takes && type == 'Q') {
		set_deeds(s, &d);
		v = ask(s, ALONE, &sql);
	} else if (takes && !(s->state == SESSION_ACTIVE &&
			      (s->hold->lease.srv->progress.sending & PROGRESS_WORKS))) {
		set_deeds(s, &d);
		v = ask(s, SINGLE, &sql);
	} else if (type == 'B' && !s->context.pin && (set & SQLCLASS_LISTEN)) {
		v = refuse_pin(s, m);
	} else {
		v = pass_ends(s, &d);
	}
	drop_deeds(&d);
	buf_clear(&sql);
	return v;
}

static enum verdict
judge_query(struct session *s, struct message *m, bool after_refusal)
{
	struct listening *li = s->rare->listening;
	bool commits = m->effects.set == SQLCLASS_COMMIT && li && li->ntx > 0 && !after_refusal;
	struct buf sql;
	enum verdict v;

	if ((!commits && !(m->effects.set & (SQLCLASS_LISTEN | SQLCLASS_UNLISTEN))) ||
	    !message_is_whole(m) || !message_is_well_formed(m) || m->effects.unsure)
		return FORWARD;
	if (is_extended(s))
		return FORWARD;
	if (is_under_way(s))
		return hold(s);
	if (!commits)
		return judge_text(s, m, m->effects.set, m->sql, m->sql_bytes, after_refusal);
	buf_init(&sql, SQL_MAX);
	v = ask(s, COMMIT, &sql);
	buf_clear(&sql);
	return v;
}

/* Does the server skip what comes, up to a Sync? */
static bool
is_in_error(const struct session *s)
{
	return s->state == SESSION_ACTIVE && s->hold->lease.srv->progress.skipping;
}

static enum verdict
judge_bind(struct session *s, struct message *m, bool after_refusal)
{
	struct listening *li = s->rare->listening;
	struct deeds d = {0};
	const char *text;
	size_t bytes;
	unsigned set;
	struct buf sql;
	enum verdict v;

	if (m->statement == NULL || is_in_error(s))
		return FORWARD;
	set = statement_bound(s, m->statement, &text, &bytes);
	if (set & (SQLCLASS_LISTEN | SQLCLASS_UNLISTEN))
		return judge_text(s, m, set, text, bytes, after_refusal);
	if ((set & SQLCLASS_DISCARD_ALL) && !is_inside(s)) {
		add_deed(&d, UNLISTEN_ALL);
		v = pass_ends(s, &d);
		drop_deeds(&d);
		return v;
	}
	if (set != SQLCLASS_COMMIT || li->ntx == 0 || after_refusal)
		return FORWARD;
	buf_init(&sql, SQL_MAX);
	v = ask(s, COMMIT, &sql);
	buf_clear(&sql);
	return v;
}

/* A message behind one that was passed: the rest of its exchange passes, too; all else waits. */
static enum verdict
judge_behind(struct session *s, const struct message *m)
{
	struct listening *li = s->rare->listening;

	if (!is_extended(s))
		return hold(s);
	if (m->type == 'P' || m->type == 'B' || m->type == 'Q' || m->type == 'F')
		li->mixed = true;
	return FORWARD;
}

enum verdict
listening_judge(struct session *s, struct message *m)
{
	struct listening *li = s->rare->listening;
	enum listening_state was = li ? li->state : LISTENING_QUIET;

	if (!s->context.listens || s->block.state == BLOCK_FAILED || script_pending(s) ||
	    (s->rare->stack && scopes_open(s)) || s->hold->apart)
		return FORWARD;
	switch (was) {
	case LISTENING_ASKED:
		return hold(s);
	case LISTENING_PASSED:
		return judge_behind(s, m);
	case LISTENING_GRANTED:
		if (li->purpose != ALONE && !is_in_error(s))
			return pass(s, li->purpose);
		if (li->purpose != ALONE)
			return abandon(s);
		set_state(s, LISTENING_QUIET);
		return answer_query(s);
	case LISTENING_FAILED:
		set_state(s, LISTENING_QUIET);
		if (li->purpose != COMMIT)
			return refuse(s, m->type);
		err_clear(&li->failed);
		return FORWARD;
	case LISTENING_REFUSED:
		set_state(s, LISTENING_QUIET);
		break;
	default:
		if (li)
			li->goes = false;
		break;
	}
	if (m->type == 'Q')
		return judge_query(s, m, was == LISTENING_REFUSED);
	if (m->type == 'P' && (m->effects.set & (SQLCLASS_LISTEN | SQLCLASS_UNLISTEN)))
		need_listening(s); /* its Bind is judged here */
	if (m->type == 'B' && li)
		return judge_bind(s, m, was == LISTENING_REFUSED);
	return FORWARD;
}

/* ---- the handover ---- */

static void
deeds_pack(struct pack *p, struct deeds *d)
{
	PACK(p, d->count);
	if (pack_reading(p) && d->count > DEEDS_MAX) {
		p->failed = true;
		d->count = 0;
	}
	if (pack_reading(p))
		d->list = mem_calloc(d->count + 1, sizeof *d->list);
	for (unsigned i = 0; i < d->count; i++)
		PACK(p, d->list[i]);
}

static void
transaction_pack(struct pack *p, struct listening *li)
{
	PACK(p, li->ntx);
	PACK(p, li->marks);
	PACK(p, li->random);
	if (pack_reading(p) && li->ntx > p->left) {
		p->failed = true;
		li->ntx = 0;
	}
	if (pack_reading(p))
		li->tx = mem_calloc(li->ntx + 1, sizeof *li->tx);
	for (unsigned i = 0; i < li->ntx; i++)
		PACK(p, li->tx[i]);
}

void
listening_pack(struct pack *p, struct session *s)
{
	bool there = s->rare->listening != NULL, passed;
	struct listening *li;

	PACK(p, there);
	if (!there)
		return;
	li = need_listening(s);
	/* What the keeper was asked for is asked again. */
	passed = li->state == LISTENING_PASSED;
	PACK(p, passed);
	if (passed)
		li->state = LISTENING_PASSED;
	PACK(p, li->purpose);
	PACK(p, li->mixed);
	PACK(p, li->suspect);
	deeds_pack(p, &li->deeds);
	transaction_pack(p, li);
	pack_buf(p, &li->kept);
	pack_buf(p, &li->converted);
	PACK(p, li->overflown);
	pack_str(p, &li->lost);
	if (!listener_pack(p, &li->listener, s->pool) && li->lost == NULL)
		li->lost = mem_strdup("it was not handed over");
}
