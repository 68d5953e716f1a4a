/* progress: how far one server connection is, in both directions. The few facts that let the daemon
 * stop anywhere: kept here, changed here, shown by SHOW SERVERS. No I/O.
 *
 * The rules are those of PostgreSQL 15 documentation, 55.2 Message Flow, and of its source where
 * that says nothing (tcop/postgres.c, commands/copyfromparse.c):
 * - a Query, a FunctionCall and a Sync are each answered by one ReadyForQuery;
 * - after an error in an extended-protocol message the server ignores everything up to the next
 * Sync, simple Queries too; an error in a simple Query makes it ignore nothing;
 * - in COPY IN the server swallows Sync and Flush, until CopyDone or CopyFail;
 * - CopyData, CopyDone and CopyFail outside COPY IN are ignored. */
#ifndef PGWITH_POOL_PROGRESS_H
#define PGWITH_POOL_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/pack.h"

/* How a tracked message, or several, ended. */
enum progress_end {
	PROGRESS_DONE,    /* it was carried out */
	PROGRESS_FAILED,  /* the first one failed, the others were skipped */
	PROGRESS_SKIPPED, /* all were skipped */
	/* the connection is lost, so nobody knows. The session that sent it may be gone, too */
	PROGRESS_LOST
};

enum progress_copy { COPY_NONE, COPY_IN, COPY_OUT, COPY_BOTH };

/* Messages that were sent and are not yet answered: in order, and equal ones that follow each other
 * as one run. */
struct progress_run {
	uint16_t kind;
	uint32_t count;
};

#define PROGRESS_RUNS_INLINE 8
#define PROGRESS_RUNS_MAX    65536
#define PROGRESS_PEEK        128 /* bytes that are kept of a body that comes in pieces */

struct progress {
	/* What each transaction looks at stands together, at the beginning. */
	struct progress_run *runs; /* a ring buffer: inline_runs, or allocated */
	uint32_t runs_size;        /* a power of two */
	uint32_t runs_first;

	/* From here to `error`, all is 0 when the conversation has left nothing: so one comparison
	 * tells that, see progress_remains(). */
	uint32_t runs_count;

	/* towards the server */
	uint32_t to_left; /* bytes of the message now passing that the client has not sent yet */
	/* Queries, function calls and Syncs not yet answered by ReadyForQuery */
	uint32_t ready_due;
	uint32_t swallowed; /* Syncs that the open COPY IN is taken to have swallowed */
	/* messages of our own that are unanswered: their answers are not the client's */
	uint32_t own;
	uint32_t own_syncs; /* Syncs among those */
	/* Queries of the client that the server skipped because a message of ours had failed */
	uint32_t rescue;
	uint32_t failed;      /* tracked messages that the error now being handled has hit */
	uint32_t from_left;   /* bytes of the server's message now passing still to come */
	uint32_t deallocated; /* while `watch`: statements that were deallocated one by one */
	bool extended;        /* extended-protocol messages have been sent since the last Sync */
	/* progress_finish() has sent a Flush, so that the server sends the answers that it holds */
	bool flushed;
	bool flush_sent; /* the client has sent a Flush. A COPY IN may swallow it */
	bool skipping;   /* the server ignores everything up to the next Sync */
	bool copy_ended; /* COPY IN: CopyDone or CopyFail has been sent */
	uint8_t copy;    /* enum progress_copy */
	/* A COPY IN has failed, and `unread` Syncs had been taken for swallowed by it. It is not
	 * known which of them the server had read, so up to `unread` ReadyForQuery may come besides
	 * those that are due. An answer to a later message shows that no more of them will come;
	 * progress_ask() makes the server give one. With `dirty`, other messages stood among these
	 * Syncs: they were skipped, or will be answered. Then only a question with an answer of its
	 * own (progress_mark()) shows where the server is. */
	bool unsure;
	bool dirty;
	/* An answer other than ReadyForQuery has come since the last ReadyForQuery. */
	bool heard;
	uint32_t unread;
	/* A Query was sent while `pipelining` was true. PostgreSQL 18 can then leave a transaction
	 * half begun: it reports I, and the next statement fails with XX000, whoever sends it.
	 * Cleanup's ROLLBACK ends that. */
	bool half_begun;
	bool marked;        /* progress_mark() has been sent and its answer has not come */
	bool failed_itself; /* the first of `failed` has failed, and not been skipped */
	/* messages of ours, up to a Sync of ours, have failed: the server has not the parameters
	 * that it should have, and it runs what was sent behind them */
	bool own_failed;
	/* A message with PROGRESS_REDO has failed so. The server skips to the Sync, whose
	 * ReadyForQuery the client does not get; if the client has not sent it yet (`skipping`),
	 * the owner sends one. Then the owner does the exchange again, and sets this to false. */
	bool redo;
	bool own_ends; /* own_ended() must be called */

	/* from the server */
	uint8_t from_have;   /* bytes of the message's header that have come; FRAME_HEADER: all */
	uint8_t from_passed; /* bytes of from_header that the client has got */
	bool from_drop;      /* the message now passing is not for the client */
	/* In notifications, the pid of the server's own process (own_pid) is replaced by the one
	 * that its client was told (given_pid; 0: not replaced). If a pid comes in pieces, the
	 * first ones are kept back: the last `pid_cut` of the bytes that came last are not for the
	 * client yet. */
	bool pid_due;
	uint8_t pid_have, pid_cut;
	/* an answer came that nothing was due for: we and the server are out of step */
	bool stray;
	bool fatal; /* the last error was FATAL or PANIC: the server closes the connection */
	bool dying; /* a notice said that the server will close the connection */
	bool texts; /* keep error_text */
	bool muted; /* no NotificationResponse goes to the client */
	bool watch; /* count the DEALLOCATEs: deallocated, deallocated_all */
	bool deallocated_all; /* a DEALLOCATE ALL or DISCARD ALL has been carried out */
	uint16_t peek_bytes;  /* bytes in peek */
	char *error_text;     /* message of the last error, until it is forgotten; NULL: not kept */
	char error[6]; /* SQLSTATE of the last ErrorResponse; "" since progress_forget_error() */

	char status;            /* transaction status of the last ReadyForQuery: I, T or E */
	uint8_t from_header[5]; /* header of the message now passing from the server */
	/* As `extended`, but not of a BEGIN of ours: PostgreSQL 18 may be in the implicit
	 * transaction of a pipeline, which a Query does not end. */
	bool pipelining;
	/* No ParameterStatus goes to the client as it comes: ahead of each ReadyForQuery
	 * own_ended() adds those that the client must be told. */
	bool statuses_kept;
	/* PROGRESS_BEGINS ... of the client's exchange that no Sync or Query has completed yet */
	uint8_t sending;
	uint8_t last_set; /* enum progress_set, while statuses_kept */
	uint8_t pid[4];
	uint32_t own_pid, given_pid;
	uint64_t syncs;   /* Syncs sent since login */
	uint64_t readies; /* ReadyForQuery since login */
	/* ReadyForQuery since login that answer the client, not exchanges of our own */
	uint64_t answers;
	uint64_t rests;     /* transactions of the client's that have ended since login */
	uint64_t completes; /* CommandComplete since login */
	uint64_t errors;    /* ErrorResponse since login */
	/* CommandComplete since login of an INSERT, UPDATE, DELETE or MERGE that wrote no row */
	uint64_t unwritten;
	uint64_t discards; /* DISCARD ALL that have been carried out: nothing undoes them */
	/* how many bytes at the end of the last ones are a FATAL error that no message asked for,
	 * and what follows it */
	size_t unasked;
	/* an ErrorResponse for the client, see progress_tell_instead(); NULL: none */
	struct buf *instead;
	/* A bit for each of the last errors that the client has got, the lowest for the latest: was
	 * it the answer to a Bind of the unnamed statement with a name of ours? */
	uint64_t unnamed_errors;
	struct buf status_body; /* body of a ParameterStatus that comes in pieces */
	struct buf look_body;   /* body of an answer for described() that comes in pieces */

	struct progress_run inline_runs[PROGRESS_RUNS_INLINE];

	/* Set by the owner. tracked(): how the first `n` of the tracked messages that are under way
	 * have ended. described(): an answer to a message with PROGRESS_LOOK that is the first of
	 * all: ParameterDescription ('t'), RowDescription ('T') or NoData ('n'), as a whole; `body`
	 * is NULL if it is too long. */
	void (*tracked)(void *arg, uint32_t n, enum progress_end);
	void (*described)(void *arg, char type, const uint8_t *body, size_t bytes);
	void *tracked_arg;
	/* Set by the owner, or NULL: a ParameterStatus has come; `value` is NULL if it is too
	 * long. */
	void (*told)(void *arg, const char *name, const char *value);
	/* Set by the owner, or NULL: all Syncs of our own have been answered. No ParameterStatus of
	 * the messages before them went to the client: what it must be told is added to `out`. */
	void (*own_ended)(void *arg, struct buf *out);
	/* Called for each ErrorResponse that is for the client, when `error` and `fatal` are set.
	 * May be NULL. */
	void (*erred)(void *arg);
	void *told_arg; /* argument of told(), own_ended() and erred() */

	char mark[17];                   /* text that is in the answer to the last mark only */
	uint8_t peek[PROGRESS_PEEK + 1]; /* the beginning of a body that comes in pieces */
};

/* The state of a server right after login: idle, nothing due. */
void progress_init(struct progress *);
void progress_clear(struct progress *);

/* A message of this type is sent to the server. If not all of it has been, the caller sets
 * to_left. */
void progress_sent(struct progress *, char type);

/* The same for `n` whole messages, each of them a Parse, Bind, Describe, Execute or Close. */
void progress_sent_extended(struct progress *, uint32_t n);

/* An extended-protocol message (Parse, Bind, Describe, Execute, Close) is sent that is ours, or
 * more than just the client's; `flags` says how. Returns false if the server will ignore it,
 * because it skips to Sync. If a message of ours fails, and the client has sent simple Queries
 * behind it, the server skips these; progress.rescue counts them. For each of them a Sync must be
 * sent, whose ReadyForQuery is the client's. */
enum {
	PROGRESS_OWN = 0x80, /* the client does not get its answer; but it gets its error */
	/* the client does not get its error either: it has been told already */
	PROGRESS_QUIET = 0x40,
	PROGRESS_TRACKED = 0x20, /* tracked() is called at its end */
	PROGRESS_PART = 0x10, /* a Query that is a part of the client's: see progress_sent_part() */
	PROGRESS_LOOK = 0x100, /* with PROGRESS_TRACKED, a Describe: described() gets its answers */
	/* The client's Parse before it was not sent: the client gets ParseComplete, too. It is a
	 * Bind; if it fails by an error of the text, that is the Parse's, and the client gets no
	 * ParseComplete. Or with PROGRESS_OWN it is a Describe of ours, and each error is the
	 * Parse's. */
	PROGRESS_STANDS_IN = 0x200,
	/* with PROGRESS_STANDS_IN, the first message of an exchange outside of a transaction: if it
	 * fails, the client is not told, and the exchange is to be done again, see
	 * progress.redo. An error that is not the statement's (SQLSTATE classes 40, 53 to 58: a
	 * lock, a resource, a cancel ...) is told as it comes. */
	PROGRESS_REDO = 0x400,
	PROGRESS_UNNAMED = 0x800 /* a Bind of the unnamed statement, which another stands in for */
};
bool progress_sent_as(struct progress *, unsigned flags);

/* A BEGIN of ours was sent, as Parse, Bind, Execute and Close, to be followed by a message of the
 * client's. BEGIN starts no implicit transaction of a pipeline (PostgreSQL 18 source,
 * exec_execute_message(): XACT_FLAGS_PIPELINING). */
void progress_sent_begin(struct progress *);

/* A Query is sent that is a part of the client's Query, and not the last: the client gets its
 * answers, but not its ReadyForQuery. Nothing else may be under way. */
void progress_sent_part(struct progress *);

/* A Sync of our own is sent: the client gets neither its ReadyForQuery nor an error of what is
 * before it, see progress.own_failed. No extended-protocol message of the client's may be under
 * way. */
void progress_sent_own_sync(struct progress *);

/* What a text of the client's does to its transaction. The caller notes it for each text before it
 * tells progress of the Query, or of the Sync that ends the exchange. */
enum {
	PROGRESS_BEGINS = 0x08, /* begins a transaction */
	/* ends a transaction, before it does anything else; with PROGRESS_BEGINS, the order is not
	 * known */
	PROGRESS_ENDS = 0x04,
	PROGRESS_WORKS = 0x01 /* does something else */
};
static inline void
progress_note(struct progress *p, unsigned does)
{
	if (p->skipping || (does == PROGRESS_ENDS && (p->sending & PROGRESS_WORKS)))
		return;
	p->sending |= (uint8_t)does;
}

/* PROGRESS_BEGINS and PROGRESS_ENDS of the exchange that the server is working at. */
unsigned progress_exchange(const struct progress *);

/* Was a text sent that ends a transaction, in an exchange that has not been answered yet? */
bool progress_ends(const struct progress *);

/* Is an exchange under way or begun, so that one more ReadyForQuery will come? */
static inline bool
progress_owes(const struct progress *p)
{
	return p->runs_count > 0 || p->extended || p->skipping;
}

/* Is so much unanswered that nothing more may be sent until answers have come? */
static inline bool
progress_full(const struct progress *p)
{
	return p->runs_count >= PROGRESS_RUNS_MAX;
}

/* Bytes came from the server. With given_pid, pids in them are replaced in place. Returns 0; or
 * -E_SYNTAX if the bytes cannot be protocol v3: the connection is useless then. */
int progress_received(struct progress *, const uint8_t *data, size_t bytes);

/* Must the bytes that come next go through progress_filter()? */
static inline bool
progress_filters(const struct progress *p)
{
	return p->own > 0 || p->statuses_kept || p->from_drop || p->from_passed != p->from_have ||
	       p->pid_have > 0 || p->instead || p->muted;
}

/* We send a cancel because of the error *err: the client gets that error instead of the 57014 of
 * the statement that runs now. A 57014 of PostgreSQL's own statement_timeout is passed on. */
void progress_tell_instead(struct progress *, const struct err *);
/* Ends that: the client has sent a cancel, too, or nothing runs any more. */
void progress_drop_instead_(struct progress *);
static inline void
progress_tell_as_said(struct progress *p)
{
	if (p->instead)
		progress_drop_instead_(p);
}

/* Would a ParameterStatus that comes now be kept from the client, because messages of ours cause
 * it? */
bool progress_hides_status(const struct progress *);

/* As progress_received(); adds to `out` the part of these bytes that is for the client. */
int progress_filter(struct progress *, const uint8_t *data, size_t bytes, struct buf *out);

/* As progress_received(), while nobody holds the server: nothing is for a client, nor is the rest
 * of a message of which a part has come. */
int progress_dropped(struct progress *, const uint8_t *data, size_t bytes);

/* Does the server wait for the data of a COPY, so that it takes no other message? */
static inline bool
progress_copies_in(const struct progress *p)
{
	return p->copy == COPY_IN && !p->copy_ended;
}

/* Will the open COPY IN read what is sent now, since nothing but its data is before that? A message
 * that is no data ends the connection, or is read after the COPY has failed. */
static inline bool
progress_copy_takes(const struct progress *p)
{
	return progress_copies_in(p) &&
	       (p->runs_count == 0 ||
		(p->runs_count == 1 && p->runs[p->runs_first & (p->runs_size - 1)].count == 1));
}

/* The last SET or RESET that was carried out while progress.statuses_kept is set:
 *
 *	none -> open -> stands                  COMMIT
 *	        open -> undone                  ROLLBACK, or ROLLBACK TO a savepoint from before
 *	        open -> saved -> back -> stands SAVEPOINT; ROLLBACK, mostly TO it; COMMIT
 *	                saved -> stands
 *	every state -> open                     another SET or RESET
 *
 * The tags of ROLLBACK and ROLLBACK TO are the same. In `back` it was ROLLBACK TO if a COMMIT
 * follows, or the transaction is still open. */
enum progress_set { SET_NONE, SET_OPEN, SET_SAVED, SET_BACK, SET_STANDS, SET_UNDONE };

/* Has a ROLLBACK undone the last SET or RESET? */
static inline bool
progress_set_undone(const struct progress *p)
{
	return p->last_set == SET_UNDONE || (p->last_set == SET_BACK && p->status == 'I');
}

/* Has everything that was sent been answered, is no message half way in either direction, and no
 * COPY open? The transaction status is progress.status. */
bool progress_at_rest(const struct progress *);

/* May something be running in the server, so that a cancel makes sense? */
bool progress_busy(const struct progress *);

/* What is left of the conversation so far that would mix with the next one: a static text; NULL if
 * every count, flag and list is zero and no transaction is open. */
const char *progress_remains(const struct progress *);

/* The conversation is over: forgets what was kept only for its session (errors, tags, texts). */
void progress_renew(struct progress *);

/* The client is gone: adds the messages that bring the server to its next ReadyForQuery, as far as
 * they are needed and safe now; adds nothing if waiting is enough. Called again after each answer.
 * Nothing of this commits: an exchange without a Sync, which PostgreSQL would roll back at the end
 * of the connection, first gets a Flush, because an answer may open a COPY IN or be an error; then
 * CopyFail, Sync or ROLLBACK ends it. */
void progress_finish(struct progress *, struct buf *out);

/* For `unsure` without `dirty`, while a session holds the server, which is at rest: adds an empty
 * Query of ours. The ReadyForQuery ahead of its answer are the client's; then `unsure` is over.
 * PostgreSQL answers it in any state of a transaction, and it changes nothing there. */
void progress_ask(struct progress *, struct buf *out);

/* For `unsure`: forgets what is due, ends a COPY IN, rolls back, and adds a question (the mark)
 * whose answer cannot be mistaken, nor made up by the client: a random number. Everything before
 * that answer is dropped; once the server is at rest again, `unsure` is over. If a cancel hit the
 * question, it can be asked again: only the last one counts. */
void progress_mark(struct progress *, struct buf *out);

/* Forgets the last error, before a statement of our own. */
void progress_forget_error(struct progress *);

/* Handover; the functions that the owner has set are not a part of it. */
void progress_pack(struct pack *, struct progress *);

const char *progress_copy_name(const struct progress *);

#endif
