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

/* The end of a tracked message, or of several. */
enum progress_end {
	PROGRESS_DONE,    /* it was carried out */
	PROGRESS_FAILED,  /* the first of them failed, the others were skipped */
	PROGRESS_SKIPPED, /* they were skipped */
	PROGRESS_LOST     /* nobody will know: the connection is gone. Who sent it may be too */
};

enum progress_copy { COPY_NONE, COPY_IN, COPY_OUT, COPY_BOTH };

/* What was sent and is not yet answered, run-length coded in order. */
struct progress_run {
	uint16_t kind;
	uint32_t count;
};

#define PROGRESS_RUNS_INLINE 8
#define PROGRESS_RUNS_MAX    65536
#define PROGRESS_PEEK        128 /* bytes kept of a body that comes in pieces */

struct progress {
	/* towards the server */
	uint32_t to_left; /* bytes of the message now passing that the client has not sent yet */
	uint32_t
	    ready_due; /* Queries, function calls and Syncs not yet answered by ReadyForQuery */
	bool extended; /* extended-protocol messages have gone since the last Sync */
	/* from the server */
	uint32_t from_left;     /* bytes of the message now passing still to come */
	uint8_t from_have;      /* bytes of its header that are there; FRAME_HEADER: all */
	uint8_t from_header[5]; /* its header */
	char status;            /* of the last ReadyForQuery: I, T or E */
	bool skipping;          /* the server ignores everything up to the next Sync */
	bool copy_ended;        /* COPY IN: CopyDone or CopyFail has gone */
	uint8_t copy;           /* enum progress_copy */
	/* A COPY IN failed for which a Sync had been taken for swallowed: whether the server had
	 * come as far as that Sync cannot be told, so one more ReadyForQuery may come than is due.
	 * Only a question with an answer of its own (progress_mark()) shows where the server is. */
	bool unsure;
	/* A Query was sent behind extended-protocol messages that no Sync had ended. PostgreSQL 18
	 * can leave a transaction half begun then: it says I, and fails with XX000 in the next
	 * statement, whoever sends that. Cleanup's ROLLBACK ends it. */
	bool half_begun;
	bool marked;        /* progress_mark() was sent and its answer has not come */
	bool flushed;       /* progress_finish() has asked for the answers that the server holds */
	bool flush_sent;    /* so has the client. It may be swallowed by a COPY IN */
	char mark[17];      /* what the answer to the last mark holds */
	uint32_t swallowed; /* Syncs taken for swallowed by the COPY IN that is open */
	uint32_t failed;    /* tracked messages that the error now being handled has skipped */
	bool failed_itself; /* the first of them is the one that failed */
	uint64_t syncs;     /* Syncs sent, ever */
	uint32_t own;       /* messages of ours unanswered: their answers are not the client's */
	uint32_t own_syncs; /* Syncs among them */
	bool own_failed; /* messages of ours up to a Sync of ours have failed: the server is not as
			    it should be, and runs what came behind */
	uint32_t
	    rescue; /* Queries of the client that a failed message of ours made the server skip */
	uint8_t from_passed; /* bytes of from_header that the client has got */
	bool from_drop;      /* the message now passing is not for the client */
	uint64_t readies;    /* ReadyForQuery, ever */
	uint64_t answers;    /* of those, the ones that answer the client: not our own exchanges */
	uint64_t rests;      /* transactions of the client's that have ended, ever */
	uint8_t sending;     /* PROGRESS_BEGINS ...: the exchange of the client's that is not yet
				ended by a Sync or Query */
	uint64_t completes;  /* CommandComplete, ever */
	uint64_t errors;     /* ErrorResponse, ever */
	bool stray;     /* an answer has come to what nobody has asked: the two are out of step */
	char error[6];  /* SQLSTATE of the last ErrorResponse; "" since progress_forget_error() */
	bool fatal;     /* it was FATAL or PANIC: the server closes */
	bool dying;     /* a notice has said that the server closes */
	size_t unasked; /* so many bytes of the last ones are a FATAL that nothing was asked for,
			   and what is behind it */
	bool texts;     /* error_text is wanted */
	struct buf *instead; /* an ErrorResponse: see progress_tell_instead(). NULL: none */
	char *error_text;    /* what that error says, until it is forgotten; NULL: nothing */
	uint16_t peek_bytes; /* bytes in peek */
	uint8_t peek[PROGRESS_PEEK + 1];
	/* Notifications: the pid of the server's own process becomes the other one, which its
	 * client was given; 0: it stays. If a pid comes in pieces, the first ones are kept back:
	 * of the bytes that came last, the last `pid_cut` are not for the client yet. */
	uint32_t own_pid, given_pid;
	bool pid_due;
	uint8_t pid[4], pid_have, pid_cut;
	struct buf status_body; /* of a ParameterStatus that comes in pieces */
	struct buf look_body;   /* of an answer for described() that does */

	bool watch;           /* the next three are wanted */
	bool deallocated_all; /* a DEALLOCATE ALL or DISCARD ALL has been carried out */
	uint32_t deallocated; /* that many DEALLOCATE of single statements */

	/* Handed down: what became of the first `n` of the tracked messages that are under way;
	 * and, of a PROGRESS_LOOK that is first of all, an answer: ParameterDescription ('t'),
	 * RowDescription ('T') or NoData ('n'), as a whole. `body` is NULL if it is too long. */
	void (*tracked)(void *arg, uint32_t n, enum progress_end);
	void (*described)(void *arg, char type, const uint8_t *body, size_t bytes);
	void *tracked_arg;
	/* Handed down, or NULL: a ParameterStatus has come; `value` is NULL if it is too long. */
	void (*told)(void *arg, const char *name, const char *value);
	/* Handed down, or NULL: all Syncs of our own have been answered. The client has got no
	 * ParameterStatus of what was before them: what it has to hear is added to `out`. */
	void (*own_ended)(void *arg, struct buf *out);
	void *told_arg; /* of both */
	bool own_ends;  /* own_ended() is due */
	/* No ParameterStatus is for the client as it comes: own_ended() is asked ahead of each
	 * ReadyForQuery, and tells what the client is to be told. */
	bool statuses_kept;

	struct progress_run *runs; /* a ring: inline_runs, or allocated */
	uint32_t runs_size;        /* a power of two */
	uint32_t runs_first;
	uint32_t runs_count;
	struct progress_run inline_runs[PROGRESS_RUNS_INLINE];
};

/* A server right after login: idle, nothing due. */
void progress_init(struct progress *);
void progress_clear(struct progress *);

/* A message of this type goes to the server. If it is not complete yet, the caller sets to_left. */
void progress_sent(struct progress *, char type);

/* The same of `n` whole messages, each of them a Parse, Bind, Describe, Execute or Close. */
void progress_sent_extended(struct progress *, uint32_t n);

/* An extended-protocol message (Parse, Bind, Describe, Execute, Close) that is more than the
 * client's own goes to the server; `flags` says how. Returns false if the server will ignore it,
 * because it skips to Sync.
 *
 * If one of our own fails, and the client has sent simple Queries behind it, the server has skipped
 * them: progress.rescue says how many; for each a Sync is due, whose ReadyForQuery is the client's.
 */
enum {
	PROGRESS_OWN = 0x80,     /* the client does not get its answer, but an error */
	PROGRESS_QUIET = 0x40,   /* not even that: it has been told already */
	PROGRESS_TRACKED = 0x20, /* tracked() tells what became of it */
	PROGRESS_PART = 0x10, /* a Query that is part of the client's: see progress_sent_part() */
	PROGRESS_LOOK = 0x100 /* with TRACKED, a Describe: described() gets its answers */
};
bool progress_sent_as(struct progress *, unsigned flags);

/* A Query that is not the last part of the client's goes to the server: the client gets its
 * answers, but not its ReadyForQuery. Nothing may be under way. */
void progress_sent_part(struct progress *);

/* A Sync of our own: the client does not get its ReadyForQuery, nor an error of what is before it:
 * see progress.own_failed. Nothing of the client's may be under way in the extended protocol. */
void progress_sent_own_sync(struct progress *);

/* What the client's texts do to its transaction. Said of each text before progress is told of the
 * Query, or of the Sync that ends the exchange. */
enum {
	PROGRESS_BEGINS = 0x08, /* begins one */
	PROGRESS_ENDS = 0x04,   /* ends one, before anything else; with BEGINS: in whatever order */
	PROGRESS_WORKS = 0x01   /* anything else */
};
static inline void
progress_note(struct progress *p, unsigned does)
{
	if (p->skipping || (does == PROGRESS_ENDS && (p->sending & PROGRESS_WORKS)))
		return;
	p->sending |= (uint8_t)does;
}

/* PROGRESS_BEGINS and PROGRESS_ENDS of the exchange that the server works at now. */
unsigned progress_exchange(const struct progress *);

/* Is an exchange under way, or begun: will the server say ReadyForQuery once more? */
static inline bool
progress_owes(const struct progress *p)
{
	return p->runs_count > 0 || p->extended || p->skipping;
}

/* Too much is unanswered: nothing more may be sent until answers have come. */
static inline bool
progress_full(const struct progress *p)
{
	return p->runs_count >= PROGRESS_RUNS_MAX;
}

/* Bytes came from the server; with given_pid, pids in them are changed in place. Returns 0, or
 * -E_SYNTAX if they cannot be protocol v3: the connection is of no use any more. */
int progress_received(struct progress *, const uint8_t *data, size_t bytes);

/* Must the bytes that come next go through progress_filter()? */
static inline bool
progress_filters(const struct progress *p)
{
	return p->own > 0 || p->statuses_kept || p->from_drop || p->from_passed != p->from_have ||
	       p->pid_have > 0 || p->instead;
}

/* A cancel of ours goes to the server, because of the error: the client gets that in the place of
 * the 57014 that PostgreSQL answers what runs now with, but for its own statement_timeout. */
void progress_tell_instead(struct progress *, const struct err *);
/* It does not: the client cancels too, or nothing runs any more. */
void progress_tell_as_said(struct progress *);

/* Would a ParameterStatus that comes now be kept from the client, as it comes of what is ours? */
bool progress_hides_status(const struct progress *);

/* As progress_received(), and adds to `out` what of these bytes is for the client. */
int progress_filter(struct progress *, const uint8_t *data, size_t bytes, struct buf *out);

/* As progress_received(), while nobody holds the server: the rest of a message that is half here is
 * for no client either. */
int progress_dropped(struct progress *, const uint8_t *data, size_t bytes);

/* It waits for the data of a COPY, and takes no other message for what it is. */
static inline bool
progress_copies_in(const struct progress *p)
{
	return p->copy == COPY_IN && !p->copy_ended;
}

/* The COPY IN that is open gets what is sent now: nothing but its data is before that. Any other
 * message there ends the connection, or it has failed before it can read it. */
static inline bool
progress_copy_takes(const struct progress *p)
{
	return progress_copies_in(p) &&
	       (p->runs_count == 0 ||
		(p->runs_count == 1 && p->runs[p->runs_first & (p->runs_size - 1)].count == 1));
}

/* Everything sent has been answered, in both directions no message is half way, and no COPY is
 * open. The transaction status is progress.status. */
bool progress_at_rest(const struct progress *);

/* Something may be running in the server, so that a cancel makes sense. */
bool progress_busy(const struct progress *);

/* What is left of the conversation so far, that would mix with the next one: a static text, or NULL
 * if every count, flag and list is at its zero, outside of a transaction. */
const char *progress_remains(const struct progress *);

/* The conversation is over: forgets what was kept only for whoever had it (errors, tags, texts). */
void progress_renew(struct progress *);

/* The client is gone: adds what brings the server to its next ReadyForQuery, as far as that is
 * needed and sure now; nothing if the server only has to be waited for. Called again after each
 * answer. Nothing of it commits: of an exchange without Sync, which PostgreSQL would roll back at
 * the end of the connection, first the answers are asked for (Flush), since it could be opening a
 * COPY IN or fail; then CopyFail, Sync or ROLLBACK ends it. */
void progress_finish(struct progress *, struct buf *out);

/* For `unsure`: forgets what is due, ends a COPY IN, and adds a question whose answer
 * cannot be mistaken, nor made up by the client: a number that nobody can guess. Everything before
 * that answer is dropped. At rest again, `unsure` is over. It rolls back. If its answer does not
 * come, because a cancel hit it, it can be asked again: only the last one counts. */
void progress_mark(struct progress *, struct buf *out);

/* Forgets the last error, before a statement of our own. */
void progress_forget_error(struct progress *);

/* From one process to the next; tracked() and told() are not a part of it. */
void progress_pack(struct pack *, struct progress *);

const char *progress_copy_name(const struct progress *);

#endif
