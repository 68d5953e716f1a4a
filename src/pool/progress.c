#include "pool/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "wire/frame.h"
#include "wire/msg.h"

enum run_kind {
	RUN_EXTENDED, /* Parse, Bind, Describe, Execute, Close: answered one by one */
	RUN_QUERY,    /* Query, FunctionCall: answered by a ReadyForQuery */
	RUN_SYNC,     /* Sync: answered by a ReadyForQuery */
	RUN_COPY_END  /* CopyDone or CopyFail sent ahead of a COPY IN: answered by nothing */
};
#define STATUS_MAX  (64 * 1024) /* bytes of a ParameterStatus that is kept, at most */
#define INSTEAD_MAX (16 * 1024)
/* enum run_kind; the other bits of progress_run.kind are flags, PROGRESS_OWN and so on */
#define RUN_KIND 0x03
#define RUN_DOES (PROGRESS_BEGINS | PROGRESS_ENDS)
/* Where the members of struct progress begin and end that are 0 when nothing remains. */
#define BLANK_BEGIN offsetof(struct progress, runs_count)
#define BLANK_END   offsetof(struct progress, status)
static const uint8_t parse_complete[] = {'1', 0, 0, 0, 4};
#define LOOK_MAX (1024 * 1024) /* bytes of an answer that is kept for described(), at most */
/* For what message_came() calls, and push_many() seldom: without it there, the common messages need
 * no registers saved. */
#define NOT_INLINE __attribute__((noinline))
/* For follow_bytes(): so there is one with `out`, and one without, which tests nothing for it. */
#define ALWAYS_INLINE __attribute__((always_inline))

void
progress_init(struct progress *p)
{
	memset(p, 0, sizeof *p);
	p->status = 'I';
	buf_init(&p->status_body, STATUS_MAX);
	buf_init(&p->look_body, LOOK_MAX);
	p->runs = p->inline_runs;
	p->runs_size = PROGRESS_RUNS_INLINE;
}

void
progress_drop_instead_(struct progress *p)
{
	buf_clear(p->instead);
	free(p->instead);
	p->instead = NULL;
}

void
progress_tell_instead(struct progress *p, const struct err *e)
{
	progress_tell_as_said(p);
	p->instead = mem_alloc(sizeof *p->instead);
	buf_init(p->instead, INSTEAD_MAX);
	msg_err(p->instead, e);
}

void
progress_clear(struct progress *p)
{
	if (p->runs != p->inline_runs)
		free(p->runs);
	free(p->error_text);
	buf_clear(&p->status_body);
	progress_tell_as_said(p);
	progress_init(p);
}

/* ---- the runs ---- */

static struct progress_run *
run_at(const struct progress *p, uint32_t i)
{
	return &p->runs[(p->runs_first + i) & (p->runs_size - 1)];
}

static struct progress_run *
first_run(const struct progress *p)
{
	return p->runs_count ? run_at(p, 0) : NULL;
}

static bool
first_is(const struct progress *p, enum run_kind kind)
{
	return p->runs_count && (run_at(p, 0)->kind & RUN_KIND) == kind;
}

/* Is it a run whose answers, or some of them, are kept from the client? */
static bool
is_own(const struct progress_run *r)
{
	return (r->kind & (PROGRESS_OWN | PROGRESS_PART)) != 0;
}

/* Is it a run that progress.own counts? */
static bool
is_counted(const struct progress_run *r)
{
	return (r->kind & (PROGRESS_OWN | PROGRESS_PART | PROGRESS_STANDS_IN)) != 0;
}

static NOT_INLINE void
more_room(struct progress *p)
{
	struct progress_run *more = mem_alloc(2 * p->runs_size * sizeof *more);

	for (uint32_t i = 0; i < p->runs_count; i++)
		more[i] = *run_at(p, i);
	if (p->runs != p->inline_runs)
		free(p->runs);
	p->runs = more;
	p->runs_size *= 2;
	p->runs_first = 0;
}

static void
push_many(struct progress *p, unsigned kind, uint32_t n)
{
	struct progress_run *last = p->runs_count ? run_at(p, p->runs_count - 1) : NULL;

	/* Each COPY end has a run of its own, because each has its own place in the order. */
	if (last && last->kind == kind && kind != RUN_COPY_END && last->count <= UINT32_MAX - n) {
		last->count += n;
		return;
	}
	/* There is always room for one run more. */
	*run_at(p, p->runs_count++) = (struct progress_run){(uint16_t)kind, n};
	if (p->runs_count == p->runs_size)
		more_room(p);
}

static void
push(struct progress *p, unsigned kind)
{
	push_many(p, kind, 1);
}

static void
remove_first_run(struct progress *p)
{
	p->runs_first = (p->runs_first + 1) & (p->runs_size - 1);
	p->runs_count--;
}

static bool
is_own_sync(const struct progress_run *r)
{
	return (r->kind & ~RUN_DOES) == (RUN_SYNC | PROGRESS_OWN);
}

/* Takes what the texts of the exchange do (PROGRESS_BEGINS ...) for the run that completes it. */
static unsigned
take_sending(struct progress *p)
{
	unsigned does = p->sending & RUN_DOES;

	p->sending = 0;
	return does;
}

/* Removes the first run without answers: it was skipped, or its answers will never come. */
static void
drop_first_run(struct progress *p)
{
	struct progress_run r = *run_at(p, 0);

	remove_first_run(p);
	if (is_counted(&r))
		p->own -= r.count;
	if (is_own_sync(&r))
		p->own_syncs -= r.count;
	if (r.kind & PROGRESS_TRACKED)
		p->failed += r.count;
}

/* Is the first message one that stands in for a Parse, with these flags? */
static inline bool
first_stands_in(const struct progress *p, unsigned flags)
{
	return p->runs_count && (run_at(p, 0)->kind & flags) == flags;
}

static void
tell_failed(struct progress *p)
{
	uint32_t n = p->failed;
	enum progress_end end = p->failed_itself ? PROGRESS_FAILED : PROGRESS_SKIPPED;

	p->failed = 0;
	p->failed_itself = false;
	if (n > 0)
		p->tracked(p->tracked_arg, n, end);
}

/* One message of the first run has been answered. */
static void
pop(struct progress *p)
{
	struct progress_run *r = run_at(p, 0);
	bool tracked = r->kind & PROGRESS_TRACKED;

	if (is_counted(r))
		p->own--;
	if (is_own_sync(r) && --p->own_syncs == 0)
		p->own_ends = p->own_ended != NULL;
	if (--r->count == 0)
		remove_first_run(p);
	if (tracked)
		p->tracked(p->tracked_arg, 1, PROGRESS_DONE);
}

/* Removes CopyDone and CopyFail from the front: they have no answer, so all that is known of them
 * is that what was before them has been answered. */
static inline void
pop_copy_ends(struct progress *p)
{
	while (first_is(p, RUN_COPY_END))
		drop_first_run(p);
}

static bool
any_run(const struct progress *p, enum run_kind kind)
{
	for (uint32_t i = 0; i < p->runs_count; i++)
		if ((run_at(p, i)->kind & RUN_KIND) == kind)
			return true;
	return false;
}

/* An answer other than ReadyForQuery has come, or an error that is not the first sign of a failed
 * COPY: the server has read all Syncs that stood in a COPY. */
static inline void
note_heard(struct progress *p)
{
	p->heard = true;
	if (p->unsure && !p->dirty) {
		p->unsure = false;
		p->unread = 0;
	}
}

static void
become_unsure(struct progress *p, uint32_t unread, bool dirty)
{
	p->unsure = true;
	p->unread += unread;
	p->dirty |= dirty;
}

/* ---- towards the server ---- */

/* A Sync was sent: what comes behind it begins anew. */
static void
exchange_ended(struct progress *p)
{
	p->extended = p->pipelining = p->flushed = p->flush_sent = p->skipping = false;
}

void
progress_sent(struct progress *p, char type)
{
	/* If the server answers one of the Syncs of a COPY that has failed, it skips nothing. */
	if (p->skipping && p->unsure && type != 'S' && strchr("QFPBDEC", type))
		p->dirty = true;
	switch (type) {
	case 'Q':
	case 'F':
		if (p->skipping)
			return;
		p->half_begun |= p->pipelining;
		push(p, RUN_QUERY | take_sending(p));
		p->ready_due++;
		return;
	case 'P':
	case 'B':
	case 'D':
	case 'E':
	case 'C':
		if (p->skipping)
			return;
		push(p, RUN_EXTENDED);
		p->extended = p->pipelining = true;
		p->flushed = p->flush_sent = false;
		return;
	case 'S':
		p->syncs++;
		if (progress_copy_takes(p)) {
			p->swallowed++;
			return;
		}
		push(p, RUN_SYNC | take_sending(p));
		p->ready_due++;
		exchange_ended(p);
		return;
	case 'c':
	case 'f':
		if (progress_copy_takes(p))
			p->copy_ended = true;
		else if (p->runs_count > 0 && !p->skipping)
			push(p, RUN_COPY_END);
		/* A Flush ahead of it does not bring the answer to the whole COPY; an error comes
		 * by itself. */
		if (type == 'c')
			p->flushed = p->flush_sent = false;
		return;
	case 'H':
		p->flush_sent |= p->extended && !p->skipping && p->copy == COPY_NONE;
		return;
	default:
		return; /* CopyData has no answer */
	}
}

void
progress_sent_extended(struct progress *p, uint32_t n)
{
	p->dirty |= p->skipping && p->unsure && n > 0;
	if (p->skipping || n == 0)
		return;
	push_many(p, RUN_EXTENDED, n);
	p->extended = p->pipelining = true;
	p->flushed = p->flush_sent = false;
}

bool
progress_sent_as(struct progress *p, unsigned flags)
{
	p->dirty |= p->skipping && p->unsure;
	if (p->skipping)
		return false;
	push(p, RUN_EXTENDED | flags);
	if (flags & (PROGRESS_OWN | PROGRESS_STANDS_IN))
		p->own++;
	p->extended = p->pipelining = true;
	p->flushed = p->flush_sent = false;
	return true;
}

void
progress_sent_begin(struct progress *p)
{
	bool pipelining = p->pipelining;

	for (int i = 0; i < 4; i++)
		progress_sent_as(p, PROGRESS_OWN);
	p->pipelining = pipelining;
}

void
progress_sent_part(struct progress *p)
{
	push(p, RUN_QUERY | PROGRESS_PART | take_sending(p));
	p->own++;
	p->ready_due++;
}

void
progress_sent_own_sync(struct progress *p)
{
	push(p, RUN_SYNC | PROGRESS_OWN | take_sending(p));
	p->syncs++;
	p->own++;
	p->own_syncs++;
	p->ready_due++;
	exchange_ended(p);
}

/* ---- from the server ---- */

/* CopyInResponse came. Syncs that were sent ahead of the data are swallowed: up to the end of the
 * data, if that was sent ahead too, or up to a message that makes the COPY fail. */
static NOT_INLINE void
copy_in_opened(struct progress *p)
{
	struct progress_run *first = first_run(p);
	bool in_extended = first_is(p, RUN_EXTENDED);
	uint32_t kept = first ? 1 : 0;
	bool over = first && first->count > 1;

	p->copy = COPY_IN;
	p->copy_ended = false;
	p->swallowed = 0;
	for (uint32_t i = 1; i < p->runs_count; i++) {
		struct progress_run r = *run_at(p, i);

		over |= (r.kind & RUN_KIND) == RUN_QUERY || (r.kind & RUN_KIND) == RUN_EXTENDED;
		if (over) {
			*run_at(p, kept++) = r;
		} else if ((r.kind & RUN_KIND) == RUN_SYNC) {
			p->swallowed += r.count;
			p->ready_due -= r.count;
			if (is_own_sync(&r)) {
				p->own -= r.count;
				p->own_syncs -= r.count;
			}
		} else {
			p->copy_ended = over = true;
		}
	}
	p->runs_count = kept;
	/* If a Sync was sent behind the end of the data, the server will read it; if not, the
	 * exchange has no Sync yet. */
	if (in_extended && p->swallowed > 0 && !any_run(p, RUN_SYNC))
		p->extended = p->pipelining = true;
}

static void
copy_closed(struct progress *p)
{
	p->copy = COPY_NONE;
	p->copy_ended = false;
	p->swallowed = 0;
}

/* Would an error that comes now belong to messages of ours that end with a Sync of ours? */
static bool
is_own_exchange(const struct progress *p)
{
	for (uint32_t i = 0; i < p->runs_count; i++)
		if (!(run_at(p, i)->kind & PROGRESS_OWN))
			return false;
		else if (is_own_sync(run_at(p, i)))
			return true;
	return false;
}

bool
progress_hides_status(const struct progress *p)
{
	return p->statuses_kept || (p->own_syncs > 0 && is_own(run_at(p, 0)) && is_own_exchange(p));
}

/* Is it an error after which an exchange whose Parse was not sent is done again? */
static bool
calls_for_redo(const uint8_t *body, size_t have)
{
	const char *code = msg_report_field(body, have, 'C');
	const char *severity = msg_report_field(body, have, 'V');

	if (code == NULL || (severity && strcmp(severity, "ERROR") != 0))
		return false;
	return strncmp(code, "40", 2) != 0 && (code[0] != '5' || code[1] < '3');
}

static void
keep_text(struct progress *p, const char *text)
{
	free(p->error_text);
	p->error_text = text ? mem_strdup(text) : NULL;
}

/* A Bind stands in for the Parse before it, and has failed. Is that an error of the text, which the
 * Parse would have given? PostgreSQL gives these with a position in the text (15 source,
 * parser_errposition()), but for those of its rewriter. What is wrong with values has none, and
 * mostly a context, which names the parameter; or a position in their own text. */
static bool
is_error_of_text(const uint8_t *body, size_t have)
{
	static const char *const files[] = {"parse_", "rewrite", "analyze.c", "plancache.c",
					    "rls.c"};
	const char *file = msg_report_field(body, have, 'F');
	const char *code = msg_report_field(body, have, 'C');

	if (code && code[0] == '4' && code[1] == '0')
		return true;
	/* lock_timeout, or a cancel: it is mostly the Parse that waits for the locks of tables. */
	if (code && (strcmp(code, "55P03") == 0 || strcmp(code, "57014") == 0))
		return true;
	if (msg_report_field(body, have, 'W'))
		return false;
	if (msg_report_field(body, have, 'P'))
		return true;
	for (size_t i = 0; file && i < sizeof files / sizeof *files; i++)
		if (strncmp(file, files[i], strlen(files[i])) == 0)
			return true;
	return false;
}

/* Is the first message a Bind that stands in for a Parse, which has succeeded all the same? */
static bool
fails_behind_parse(const struct progress *p, const uint8_t *body, size_t have)
{
	return first_stands_in(p, PROGRESS_STANDS_IN) && !(run_at(p, 0)->kind & PROGRESS_OWN) &&
	       !is_error_of_text(body, have);
}

/* The exchange of a message with PROGRESS_REDO has failed: its Sync, if that was sent, is one of
 * our own now. */
static void
begin_redo(struct progress *p)
{
	p->redo = true;
	if (!first_is(p, RUN_SYNC))
		return;
	first_run(p)->kind |= PROGRESS_OWN;
	p->own += first_run(p)->count;
	p->own_syncs += first_run(p)->count;
}

static bool for_client(const struct progress *, char type);

/* An error has come that is the answer to the first message. */
static void
note_unnamed(struct progress *p)
{
	unsigned flags = PROGRESS_STANDS_IN | PROGRESS_UNNAMED;

	/* The client does not get this one: see `unasked`. */
	if (!for_client(p, 'E') || (p->fatal && !progress_owes(p)))
		return;
	p->unnamed_errors <<= 1;
	p->unnamed_errors |= first_is(p, RUN_EXTENDED) && (first_run(p)->kind & flags);
}

/* The open COPY IN of an exchange has failed. Did other messages stand behind a Sync that it is
 * taken to have swallowed? */
static bool
is_dirty_copy(const struct progress *p)
{
	if (!first_is(p, RUN_EXTENDED))
		return false;
	if (first_run(p)->count > 1)
		return true;
	for (uint32_t i = 1; i < p->runs_count; i++) {
		unsigned kind = run_at(p, i)->kind & RUN_KIND;

		if (kind == RUN_SYNC)
			return false;
		if (kind != RUN_COPY_END)
			return true;
	}
	return false;
}

static void
take_error(struct progress *p, const uint8_t *body, size_t have)
{
	const char *code, *severity;
	bool ours, redo;

	p->errors++;
	note_heard(p);
	code = msg_report_field(body, have, 'C');
	if (code && strlen(code) == 5)
		memcpy(p->error, code, 6);
	else
		memcpy(p->error, "XX000", 6);
	if (p->texts)
		keep_text(p, msg_report_field(body, have, 'M'));
	severity = msg_report_field(body, have, 'V');
	p->fatal = severity && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0);
	if (p->erred && for_client(p, 'E'))
		p->erred(p->told_arg);
	if (p->copy == COPY_IN && p->swallowed > 0)
		become_unsure(p, p->swallowed, is_dirty_copy(p));
	copy_closed(p);
	if (p->own_syncs > 0 && is_own_exchange(p))
		p->own_failed = true;
	/* No answer was due: the error is of a message that we had taken to be ignored by the
	 * server. */
	if (p->runs_count == 0 && p->extended && !p->fatal) {
		p->skipping = true;
		become_unsure(p, 0, true);
	}
	redo = first_stands_in(p, PROGRESS_REDO) && calls_for_redo(body, have);
	if (!redo)
		note_unnamed(p);
	if (!first_is(p, RUN_EXTENDED))
		return;
	ours = (first_run(p)->kind & PROGRESS_OWN) && !first_stands_in(p, PROGRESS_STANDS_IN);
	p->failed_itself = first_run(p)->kind & PROGRESS_TRACKED;
	if (!redo && fails_behind_parse(p, body, have)) {
		p->failed_itself = false;
		pop(p);
	}
	/* The server skips everything up to the next Sync. Queries among it are never answered. */
	while (p->runs_count > 0 && !first_is(p, RUN_SYNC)) {
		if (first_is(p, RUN_QUERY)) {
			p->ready_due -= first_run(p)->count;
			if (ours)
				p->rescue += first_run(p)->count;
		}
		drop_first_run(p);
	}
	if (p->runs_count == 0) {
		p->skipping = true;
		p->sending = 0;
	}
	if (redo)
		begin_redo(p);
	tell_failed(p);
}

static NOT_INLINE void
error_came(struct progress *p, const uint8_t *body, size_t have)
{
	take_error(p, body, have);
	pop_copy_ends(p);
}

/* Counts a ReadyForQuery that answers a run of this kind; `was`: the status before it. */
static void
count_ready(struct progress *p, unsigned kind, char was)
{
	bool chained = was != 'I' && p->status != 'I' && (kind & RUN_DOES) == RUN_DOES;

	if (kind & PROGRESS_OWN)
		return;
	p->answers += (kind & PROGRESS_PART) == 0;
	p->rests += p->status == 'I' || chained;
}

/* Is the ReadyForQuery that comes now for a Sync of a COPY that has failed? That of a Query has
 * another answer ahead of it. Where the next message is a Sync, it does not matter for which it
 * is. */
static bool
is_for_unread(const struct progress *p)
{
	return p->unread > 0 && !first_is(p, RUN_SYNC) && !(first_is(p, RUN_QUERY) && p->heard);
}

static void
unread_answered(struct progress *p)
{
	if (--p->unread == 0 && !p->dirty)
		p->unsure = false;
}

static NOT_INLINE void
ready_came(struct progress *p, char status)
{
	char was = p->status;
	bool extra = is_for_unread(p);

	p->heard = false;
	p->status = status;
	p->readies++;
	if (p->instead && p->ready_due <= 1)
		progress_tell_as_said(p);
	copy_closed(p);
	/* As long as the mark has not been answered, this may be the ReadyForQuery that was not
	 * due. */
	if (p->marked)
		return;
	if (extra)
		unread_answered(p);
	if (extra && p->runs_count > 0) {
		count_ready(p, 0, was);
		return;
	}
	pop_copy_ends(p);
	/* A Sync or Query is first now, unless the server has sent something that we do not
	 * understand. */
	while (first_is(p, RUN_EXTENDED))
		drop_first_run(p);
	tell_failed(p);
	if (p->runs_count == 0) {
		/* A COPY IN had failed before it read the Sync that we had taken for swallowed: the
		 * Sync has ended the skipping. */
		if (p->skipping)
			exchange_ended(p);
		else
			p->stray |= !p->unsure && !extra;
		count_ready(p, 0, was);
		return;
	}
	count_ready(p, first_run(p)->kind, was);
	if (first_is(p, RUN_QUERY)) {
		/* A simple Query ends the extended-protocol messages before it, and their
		 * transaction. */
		pop(p);
		if (p->extended && !any_run(p, RUN_EXTENDED))
			p->extended = p->pipelining = p->flushed = p->flush_sent = false;
	} else {
		pop(p);
	}
	p->ready_due--;
	pop_copy_ends(p);
}

static bool
is_tag(const uint8_t *body, size_t have, const char *tag)
{
	return have == strlen(tag) + 1 && memcmp(body, tag, have) == 0;
}

/* See enum progress_set. */
static void
note_set_tag(struct progress *p, const uint8_t *body, size_t have)
{
	bool in_it = p->last_set == SET_OPEN || p->last_set == SET_SAVED || p->last_set == SET_BACK;

	if (is_tag(body, have, "SET") || is_tag(body, have, "RESET"))
		p->last_set = SET_OPEN;
	else if (in_it &&
		 (is_tag(body, have, "COMMIT") || is_tag(body, have, "PREPARE TRANSACTION")))
		p->last_set = SET_STANDS;
	else if (p->last_set == SET_OPEN && is_tag(body, have, "SAVEPOINT"))
		p->last_set = SET_SAVED;
	else if (in_it && is_tag(body, have, "ROLLBACK"))
		p->last_set = p->last_set == SET_SAVED ? SET_BACK : SET_UNDONE;
}

static NOT_INLINE void
note_tag(struct progress *p, const uint8_t *body, size_t have)
{
	bool discards = is_tag(body, have, "DISCARD ALL");

	p->discards += discards;
	if (p->statuses_kept)
		note_set_tag(p, body, have);
	if (!p->watch)
		return;
	if (is_tag(body, have, "DEALLOCATE"))
		p->deallocated++;
	else if (discards || is_tag(body, have, "DEALLOCATE ALL"))
		p->deallocated_all = true;
}

/* Is it the tag of a command that has written no row? MOVE 0 may be taken for one, too. */
static bool
is_unwritten(const uint8_t *body, size_t have)
{
	return have > 6 && memcmp(body + have - 3, " 0", 3) == 0 && memchr("DIMU", *body, 4);
}

/* A ParameterStatus came: two strings, name and value. If it was not kept `whole`, only its
 * beginning is there. */
static NOT_INLINE void
status_came(struct progress *p, const uint8_t *body, size_t have, bool whole)
{
	const uint8_t *end = have ? memchr(body, 0, have) : NULL;
	const char *value = end ? (const char *)end + 1 : NULL;

	if (p->told == NULL || end == NULL)
		return;
	if (!whole || have > STATUS_MAX)
		value = NULL;
	else if (memchr(value, 0, have - (size_t)(end + 1 - body)) == NULL)
		return;
	p->told(p->told_arg, (const char *)body, value);
}

/* The same, at the end of a message that came in pieces. */
static void
status_ended(struct progress *p)
{
	struct buf *b = &p->status_body;

	if (b->failed)
		status_came(p, p->peek, p->peek_bytes, false);
	else
		status_came(p, buf_data(b), b->len, true);
	buf_clear(b);
}

/* An answer came that may end the first run. */
static NOT_INLINE void
first_answered(struct progress *p)
{
	if (first_is(p, RUN_EXTENDED))
		pop(p);
	pop_copy_ends(p);
}

/* An answer came that ends one message of the extended protocol, or is part of a Query's answer. */
static inline void
answer_came(struct progress *p)
{
	struct progress_run *first = first_run(p);

	note_heard(p);
	if (first == NULL) {
		p->stray |= !p->unsure;
		return;
	}
	/* The usual case: the run has more messages, and nobody waits for the outcome of this
	 * one. */
	if (first->kind == RUN_EXTENDED && first->count > 1)
		first->count--;
	else if ((first->kind & RUN_KIND) != RUN_QUERY)
		first_answered(p);
}

/* Is a message of this type an answer that described() waits for? */
static inline bool
looked_at(const struct progress *p, char type)
{
	return (type == 't' || type == 'T' || type == 'n') && p->runs_count > 0 &&
	       (run_at(p, 0)->kind & PROGRESS_LOOK);
}

/* When PostgreSQL ends all backends at once, each sends a warning instead of an error
 * (quickdie()). */
static NOT_INLINE void
notice_came(struct progress *p, const uint8_t *body, size_t have)
{
	const char *code = msg_report_field(body, have, 'C');

	p->dying |= code && (strcmp(code, "57P01") == 0 || strcmp(code, "57P02") == 0);
}

static NOT_INLINE void
complete_came(struct progress *p, const uint8_t *body, size_t have)
{
	p->completes++;
	p->unwritten += is_unwritten(body, have);
	copy_closed(p);
	if (p->watch || p->statuses_kept)
		note_tag(p, body, have);
	answer_came(p);
}

/* A row came, while the answer to the mark is due. */
static NOT_INLINE void
row_came(struct progress *p, const uint8_t *body, size_t have)
{
	if (memmem(body, have, p->mark, sizeof p->mark - 1))
		p->marked = false;
}

/* A message came. `have` bytes of its body are at `body`; the others were not kept. */
static void
message_came(struct progress *p, char type, const uint8_t *body, size_t have)
{
	switch (type) {
	case 'T': /* RowDescription answers a Describe, or is part of a Query's answer */
	case '1':
	case '2':
	case '3':
	case 'n':
	case 's':
	case 'I':
		answer_came(p);
		return;
	case 'D':
		if (p->marked)
			row_came(p, body, have);
		return;
	case 'C':
		complete_came(p, body, have);
		return;
	case 'G':
		note_heard(p);
		copy_in_opened(p);
		return;
	case 'H':
		note_heard(p);
		p->copy = COPY_OUT;
		return;
	case 'W':
		note_heard(p);
		p->copy = COPY_BOTH;
		return;
	case 'V':
		note_heard(p);
		return;
	case 'E':
		error_came(p, body, have);
		return;
	case 'Z':
		ready_came(p, have ? (char)body[0] : 'E');
		return;
	case 'S':
		status_came(p, body, have, true);
		return;
	case 'N':
		notice_came(p, body, have);
		return;
	default:
		return;
	}
}

/* Is the body of such a message read here, so that its beginning must be kept? */
static bool
is_looked_into(const struct progress *p, char type)
{
	return type == 'Z' || type == 'E' || type == 'S' || type == 'N' || type == 'C' ||
	       (type == 'D' && p->marked);
}

/* Is the message that begins now for the client? */
static bool
for_client(const struct progress *p, char type)
{
	const struct progress_run *first = first_run(p);

	if ((type == 'S' && p->statuses_kept) || (type == 'A' && p->muted))
		return false;
	if (first == NULL || !is_own(first))
		return true;
	if (first->kind & PROGRESS_PART)
		return type != 'Z';
	if (type == 'Z' && is_for_unread(p))
		return true;
	switch (type) {
	/* An error makes the server skip what the client sent behind ours, too: it is the answer to
	 * that. */
	case 'E':
		return !(first->kind & PROGRESS_QUIET) &&
		       (p->own_syncs == 0 || !is_own_exchange(p));
	/* Messages of ours have changed a parameter: own_ended() tells the client at their end, if
	 * anything is new to it. */
	case 'S':
	/* A notice about them: the session before has set client_min_messages = debug1. */
	case 'N':
		return p->own_syncs == 0 || !is_own_exchange(p);
	case 'A':
		return true;
	default:
		return false;
	}
}

/* A message of this type is about to be passed on: ahead of a ReadyForQuery, parameters that were
 * kept back are told. */
static inline void
tell_statuses(const struct progress *p, char type, struct buf *out)
{
	if (type == 'Z' && p->statuses_kept && p->own_ended)
		p->own_ended(p->told_arg, out);
}

/* Is it an error of a message that stands in for a Parse? The client may not get it; or
 * ParseComplete goes ahead of it. If it comes in pieces, all of it is kept until that is known. */
static inline bool
is_weighed(const struct progress *p, char type)
{
	return type == 'E' && first_stands_in(p, PROGRESS_STANDS_IN);
}

/* The same: does the client get it? If so, adds the ParseComplete that goes ahead of it. */
static bool
weigh_error(const struct progress *p, const uint8_t *body, size_t bytes, struct buf *out)
{
	if (first_stands_in(p, PROGRESS_REDO) && calls_for_redo(body, bytes))
		return false;
	if (fails_behind_parse(p, body, bytes))
		buf_add(out, parse_complete, sizeof parse_complete);
	return true;
}

/* The last answer to a message that stands in for a Parse: ParseComplete goes ahead of it. */
static inline void
add_parse_complete(const struct progress *p, char type, struct buf *out)
{
	if ((type == '2' || type == 'T' || type == 'n') && first_stands_in(p, PROGRESS_STANDS_IN))
		buf_add(out, parse_complete, sizeof parse_complete);
}

/* An error that came in pieces, and is to be weighed, is complete. One that is too long to be kept
 * is cut. */
static void
weighed_error_ended(struct progress *p, struct buf *out)
{
	struct buf *b = &p->look_body;

	if (b->failed)
		memset(buf_data(b) + b->len - 2, 0, 2);
	if (out && weigh_error(p, buf_data(b), b->len, out)) {
		buf_add_u8(out, 'E');
		buf_add_u32(out, (uint32_t)(4 + b->len));
		buf_add(out, buf_data(b), b->len);
	}
	message_came(p, 'E', buf_data(b), b->len);
	buf_clear(b);
	buf_init(b, LOOK_MAX);
}

/* The header is complete: passes on the part of it that the client has not got. */
static void
pass_header(struct progress *p, struct buf *out)
{
	/* If its first bytes were passed on when nothing had to be filtered, the rest follows. */
	p->from_drop |= p->from_passed == 0 && (!for_client(p, (char)p->from_header[0]) ||
						is_weighed(p, (char)p->from_header[0]));
	if (p->from_passed == 0)
		add_parse_complete(p, (char)p->from_header[0], out);
	if (p->from_drop)
		return;
	if (p->from_passed == 0)
		tell_statuses(p, (char)p->from_header[0], out);
	buf_add(out, p->from_header + p->from_passed, FRAME_HEADER - p->from_passed);
}

/* Cuts a body that did not fit into `peek`, between two characters, so that its last text ends with
 * a NUL. */
static void
end_peek(struct progress *p)
{
	size_t n = PROGRESS_PEEK;

	while (n > 0 && (p->peek[n - 1] & 0xc0) == 0x80)
		n--;
	if (n > 0 && p->peek[n - 1] >= 0xc0)
		n--;
	p->peek[n] = 0;
	p->peek_bytes = (uint16_t)(n + 1);
}

/* Is the ErrorResponse the result of our own cancel? An error that comes in pieces, which is rare,
 * is passed on as it is. */
static bool
is_cancelled_by_us(const struct progress *p, const uint8_t *body, size_t bytes)
{
	const char *sqlstate, *text;

	if (p->instead == NULL || p->instead->failed)
		return false;
	sqlstate = msg_report_field(body, bytes, 'C');
	text = msg_report_field(body, bytes, 'M');
	return sqlstate && strcmp(sqlstate, "57014") == 0 &&
	       !(text && strstr(text, "statement timeout"));
}

/* Passes on a message that came in one piece. */
static void
pass_whole(const struct progress *p, const uint8_t *data, size_t bytes, struct buf *out)
{
	add_parse_complete(p, (char)data[0], out);
	if (!for_client(p, (char)data[0]))
		return;
	if (is_weighed(p, (char)data[0]) &&
	    !weigh_error(p, data + FRAME_HEADER, bytes - FRAME_HEADER, out))
		return;
	tell_statuses(p, (char)data[0], out);
	if (data[0] == 'E' && is_cancelled_by_us(p, data + FRAME_HEADER, bytes - FRAME_HEADER))
		buf_add(out, buf_data(p->instead), p->instead->len);
	else
		buf_add(out, data, bytes);
}

/* An answer for described() that came in pieces is complete. */
static void
look_ended(struct progress *p)
{
	struct buf *b = &p->look_body;

	p->described(p->tracked_arg, (char)p->from_header[0], b->failed ? NULL : buf_data(b),
		     b->len);
	buf_clear(b);
	buf_init(b, LOOK_MAX);
}

static inline void
end_own(struct progress *p, struct buf *out)
{
	if (!p->own_ends)
		return;
	p->own_ends = false;
	if (out)
		p->own_ended(p->told_arg, out);
}

static void
give_pid(const struct progress *p, uint8_t *pid)
{
	if (frame_u32(pid) != p->own_pid)
		return;
	for (int i = 0; i < 4; i++)
		pid[i] = (uint8_t)(p->given_pid >> (24 - 8 * i));
}

static inline bool
has_pid(const struct progress *p, const struct frame *f)
{
	return f->type == 'A' && p->given_pid != 0 && f->body >= 4;
}

/* Reads the pid of a message whose header has come, and replaces it. Returns how many bytes have
 * been dealt with: `bytes` if more of the pid is to come. */
static size_t
take_pid(struct progress *p, uint8_t *data, size_t bytes, struct buf *out)
{
	size_t had = p->pid_have, n = sizeof p->pid - had;

	if (n > bytes)
		n = bytes;
	memcpy(p->pid + had, data, n);
	if (had + n < sizeof p->pid) {
		p->pid_have += (uint8_t)n;
		p->pid_cut = (uint8_t)n;
	} else {
		give_pid(p, p->pid);
		p->pid_due = false;
		p->pid_have = 0;
		/* The pid came in one piece: it is replaced in place, and passed on with the
		 * rest. */
		if (had == 0) {
			memcpy(data, p->pid, sizeof p->pid);
			return 0;
		}
		if (out && !p->from_drop)
			buf_add(out, p->pid, sizeof p->pid);
	}
	p->from_left -= (uint32_t)n;
	return n;
}

/* Is it the type of a DataRow or of a CopyData? */
static inline bool
is_row(uint8_t type)
{
	return (type | 0x20) == 'd';
}

/* Returns how many bytes at the beginning are whole rows. */
static size_t
whole_rows(const uint8_t *data, size_t bytes)
{
	size_t at = 0;
	struct frame f;

	while (at < bytes && is_row(data[at]) && frame_read(data + at, bytes - at, &f) == 0 &&
	       bytes - at - FRAME_HEADER >= f.body)
		at += FRAME_HEADER + f.body;
	return at;
}

/* Follows the bytes from the server. What is for the client is added to `out`, unless that is NULL.
 * With `out`, it ends where nothing has to be filtered any more: *left are the bytes from there
 * on. */
static inline ALWAYS_INLINE int
follow_bytes(struct progress *p, const uint8_t *data, size_t bytes, struct buf *out, size_t *left)
{
	struct frame f;
	bool unasked;

	p->pid_cut = 0;
	while (bytes > 0) {
		size_t n;

		if (out && !progress_filters(p)) {
			*left = bytes;
			return 0;
		}
		/* Most bytes are rows, which change nothing here. */
		if (is_row(*data) && p->from_have == 0 && out == NULL && !p->marked &&
		    (n = whole_rows(data, bytes)) > 0) {
			data += n;
			bytes -= n;
			continue;
		}
		if (p->from_have == 0 && bytes >= FRAME_HEADER) {
			/* The usual case: the header, and mostly the body, came in one piece. */
			if (frame_read(data, bytes, &f) < 0)
				return -E_SYNTAX;
			if (bytes - FRAME_HEADER >= f.body) {
				if (has_pid(p, &f))
					give_pid(p, (uint8_t *)data + FRAME_HEADER);
				if (out)
					pass_whole(p, data, FRAME_HEADER + f.body, out);
				if (looked_at(p, f.type))
					p->described(p->tracked_arg, f.type, data + FRAME_HEADER,
						     f.body);
				unasked = f.type == 'E' && !progress_owes(p);
				message_came(p, f.type, data + FRAME_HEADER, f.body);
				if (unasked && p->fatal && p->unasked == 0)
					p->unasked = bytes;
				end_own(p, out);
				data += FRAME_HEADER + f.body;
				bytes -= FRAME_HEADER + f.body;
				continue;
			}
		}
		if (p->from_have < FRAME_HEADER) {
			n = FRAME_HEADER - p->from_have;
			if (n > bytes)
				n = bytes;
			memcpy(p->from_header + p->from_have, data, n);
			p->from_have += n;
			data += n;
			bytes -= n;
			if (p->from_have < FRAME_HEADER)
				return 0;
			if (frame_read(p->from_header, FRAME_HEADER, &f) < 0)
				return -E_SYNTAX;
			p->from_left = f.body;
			p->pid_due = has_pid(p, &f);
			p->peek_bytes = 0;
			if (out)
				pass_header(p, out);
			p->from_passed = FRAME_HEADER;
		}
		if (p->pid_due && bytes > 0) {
			n = take_pid(p, (uint8_t *)data, bytes, out);
			data += n;
			bytes -= n;
			if (p->pid_due)
				return 0;
		}
		n = p->from_left < bytes ? p->from_left : bytes;
		if (is_looked_into(p, (char)p->from_header[0]) && p->peek_bytes < PROGRESS_PEEK) {
			size_t keep = PROGRESS_PEEK - p->peek_bytes;

			if (keep > n)
				keep = n;
			memcpy(p->peek + p->peek_bytes, data, keep);
			p->peek_bytes += keep;
		}
		if (p->from_header[0] == 'S')
			buf_add(&p->status_body, data, n);
		else if (looked_at(p, (char)p->from_header[0]) ||
			 is_weighed(p, (char)p->from_header[0]))
			buf_add(&p->look_body, data, n);
		if (out && !p->from_drop)
			buf_add(out, data, n);
		p->from_left -= n;
		data += n;
		bytes -= n;
		if (p->from_left == 0) {
			p->from_have = p->from_passed = 0;
			p->from_drop = false;
			if (p->peek_bytes == PROGRESS_PEEK)
				end_peek(p);
			if (looked_at(p, (char)p->from_header[0]))
				look_ended(p);
			if (is_weighed(p, (char)p->from_header[0]))
				weighed_error_ended(p, out);
			else if (p->from_header[0] == 'S')
				status_ended(p);
			else
				message_came(p, (char)p->from_header[0], p->peek, p->peek_bytes);
			end_own(p, out);
		}
	}
	return 0;
}

/* Follows bytes of which nothing has to be filtered. */
static int
follow_unfiltered(struct progress *p, const uint8_t *data, size_t bytes)
{
	int r = follow_bytes(p, data, bytes, NULL, NULL);

	/* A half header has gone to the client as well. */
	p->from_passed = p->from_have;
	return r;
}

int
progress_received(struct progress *p, const uint8_t *data, size_t bytes)
{
	p->unasked = 0;
	return follow_unfiltered(p, data, bytes);
}

int
progress_filter(struct progress *p, const uint8_t *data, size_t bytes, struct buf *out)
{
	size_t left = 0;
	int r;

	p->unasked = 0;
	r = follow_bytes(p, data, bytes, out, &left);
	if (left == 0)
		return r;
	data += bytes - left;
	r = follow_unfiltered(p, data, left);
	buf_add(out, data, left - p->pid_cut);
	return r;
}

int
progress_dropped(struct progress *p, const uint8_t *data, size_t bytes)
{
	int r = progress_received(p, data, bytes);

	p->from_drop = p->from_have > 0;
	return r;
}

/* ---- questions ---- */

bool
progress_at_rest(const struct progress *p)
{
	return p->runs_count == 0 && !p->extended && !p->skipping && p->to_left == 0 &&
	       p->from_have == 0 && p->copy == COPY_NONE;
}

bool
progress_busy(const struct progress *p)
{
	return p->runs_count > 0 || p->copy != COPY_NONE;
}

/* Is all of it 0 that must be? See struct progress. */
static bool
is_blank(const struct progress *p)
{
	static const uint8_t none[BLANK_END - BLANK_BEGIN];

	return memcmp((const uint8_t *)p + BLANK_BEGIN, none, sizeof none) == 0;
}

const char *
progress_remains(const struct progress *p)
{
	/* The usual case. */
	if (is_blank(p) && p->status == 'I' && p->mark[0] == 0 && p->status_body.len == 0 &&
	    p->look_body.len == 0)
		return NULL;
	if (p->stray)
		return "it has answered what it was not asked";
	if (p->runs_count > 0 || p->ready_due > 0 || p->own > 0 || p->own_syncs > 0)
		return "answers are still to come";
	if (p->rescue > 0)
		return "statements that it has skipped are still to be answered";
	if (p->to_left > 0)
		return "half of a message has been sent";
	if (p->from_have > 0 || p->from_left > 0 || p->from_passed > 0 || p->from_drop ||
	    p->pid_due || p->pid_have > 0 || p->pid_cut > 0 || p->status_body.len > 0)
		return "half of a message has come";
	if (p->status != 'I')
		return "a transaction is open";
	if (p->extended || p->flushed || p->flush_sent || p->skipping)
		return "an exchange has no end";
	if (p->copy != COPY_NONE || p->copy_ended || p->swallowed > 0)
		return "a COPY is open";
	if (p->unsure || p->dirty || p->heard || p->unread > 0 || p->marked)
		return "it is not known what it will answer";
	if (p->half_begun)
		return "its next statement may fail";
	if (p->failed > 0 || p->failed_itself)
		return "it is not known what has become of a message";
	if (p->redo)
		return "an exchange is to be done again";
	if (p->own_failed || p->own_ends)
		return "it has refused the parameters of a session, or not answered them";
	if (p->fatal || p->dying)
		return "it has said its last words";
	if (p->muted || p->watch || p->deallocated_all || p->deallocated > 0 || p->texts ||
	    p->error_text || p->error[0] || p->mark[0] || p->peek_bytes > 0 || p->look_body.len > 0)
		return "what was kept for its last session is still there";
	return NULL;
}

void
progress_renew(struct progress *p)
{
	bool fatal = p->fatal;

	progress_forget_error(p);
	p->fatal = fatal;
	p->watch = p->texts = p->deallocated_all = p->statuses_kept = p->muted = false;
	p->deallocated = 0;
	p->redo = false;
	p->peek_bytes = 0;
	p->sending = 0;
	p->mark[0] = 0;
}

unsigned
progress_exchange(const struct progress *p)
{
	for (uint32_t i = 0; i < p->runs_count; i++) {
		const struct progress_run *r = run_at(p, i);

		if ((r->kind & RUN_KIND) == RUN_QUERY || (r->kind & RUN_KIND) == RUN_SYNC)
			return r->kind & RUN_DOES;
	}
	return p->sending & RUN_DOES;
}

bool
progress_ends(const struct progress *p)
{
	for (uint32_t i = 0; i < p->runs_count; i++)
		if (run_at(p, i)->kind & PROGRESS_ENDS)
			return true;
	return p->sending & PROGRESS_ENDS;
}

void
progress_finish(struct progress *p, struct buf *out)
{
	if (progress_copy_takes(p)) {
		msg_copy_fail(out, "the client has gone");
		progress_sent(p, 'f');
	}
	if (p->skipping) {
		msg_sync(out);
		progress_sent(p, 'S');
	} else if (p->extended && p->runs_count == 0) {
		msg_query(out, "ROLLBACK");
		progress_sent(p, 'Q');
	} else if (p->extended && !p->flushed) {
		msg_flush(out);
		p->flushed = true;
	}
}

void
progress_ask(struct progress *p, struct buf *out)
{
	msg_query(out, "");
	push(p, RUN_QUERY | PROGRESS_OWN | PROGRESS_QUIET);
	p->own++;
	p->ready_due++;
}

void
progress_mark(struct progress *p, struct buf *out)
{
	uint64_t number;
	char sql[64];

	if (getrandom(&number, sizeof number, 0) != sizeof number)
		log_fatal("", LOG_ALONE, "no random numbers are to be had");
	snprintf(p->mark, sizeof p->mark, "%016llx", (unsigned long long)number);
	snprintf(sql, sizeof sql, "SELECT 'pgwith %s'", p->mark);
	/* The server ignores a CopyFail if no COPY IN is open. */
	if (p->copy == COPY_IN && !p->copy_ended)
		msg_copy_fail(out, "the client has gone");
	/* If the server is skipping, the Sync ends that; if it is not, the ROLLBACK has left
	 * nothing that the Sync could commit. */
	msg_query(out, "ROLLBACK");
	msg_sync(out);
	msg_query(out, sql);
	while (p->runs_count > 0)
		drop_first_run(p);
	tell_failed(p);
	p->ready_due = 0;
	p->sending = 0;
	exchange_ended(p);
	p->unsure = p->dirty = p->heard = p->half_begun = false;
	p->unread = 0;
	copy_closed(p);
	progress_sent(p, 'Q');
	p->marked = true;
}

void
progress_forget_error(struct progress *p)
{
	memset(p->error, 0, sizeof p->error);
	p->fatal = false;
	if (p->error_text)
		keep_text(p, NULL);
}

static void
runs_pack(struct pack *pack, struct progress *p)
{
	uint32_t count = p->runs_count;

	PACK(pack, count);
	for (uint32_t i = 0; i < count && !pack->failed; i++) {
		struct progress_run r = {0};

		if (!pack_reading(pack))
			r = *run_at(p, i);
		PACK(pack, r.kind);
		PACK(pack, r.count);
		if (!pack_reading(pack))
			continue;
		push(p, r.kind);
		run_at(p, p->runs_count - 1)->count = r.count;
	}
}

static void
failed_pack(struct pack *p, struct buf *b)
{
	bool failed = b->failed;

	PACK(p, failed);
	b->failed = failed;
}

void
progress_pack(struct pack *p, struct progress *g)
{
	PACK(p, g->to_left);
	PACK(p, g->ready_due);
	PACK(p, g->extended);
	PACK(p, g->from_left);
	PACK(p, g->from_have);
	PACK(p, g->from_header);
	PACK(p, g->status);
	PACK(p, g->skipping);
	PACK(p, g->copy_ended);
	PACK(p, g->copy);
	PACK(p, g->unsure);
	PACK(p, g->dirty);
	PACK(p, g->heard);
	PACK(p, g->unread);
	PACK(p, g->pipelining);
	PACK(p, g->half_begun);
	PACK(p, g->marked);
	PACK(p, g->flushed);
	PACK(p, g->flush_sent);
	PACK(p, g->mark);
	PACK(p, g->swallowed);
	PACK(p, g->failed);
	PACK(p, g->failed_itself);
	PACK(p, g->syncs);
	PACK(p, g->own);
	PACK(p, g->own_syncs);
	PACK(p, g->own_failed);
	PACK(p, g->redo);
	PACK(p, g->rescue);
	PACK(p, g->from_passed);
	PACK(p, g->from_drop);
	PACK(p, g->muted);
	PACK(p, g->readies);
	PACK(p, g->answers);
	PACK(p, g->rests);
	PACK(p, g->sending);
	PACK(p, g->completes);
	PACK(p, g->errors);
	PACK(p, g->stray);
	PACK(p, g->error);
	PACK(p, g->fatal);
	PACK(p, g->dying);
	PACK(p, g->texts);
	pack_str(p, &g->error_text);
	PACK(p, g->peek_bytes);
	PACK(p, g->peek);
	PACK(p, g->own_pid);
	PACK(p, g->given_pid);
	PACK(p, g->pid_due);
	PACK(p, g->pid);
	PACK(p, g->pid_have);
	pack_buf(p, &g->status_body);
	failed_pack(p, &g->status_body);
	pack_buf(p, &g->look_body);
	failed_pack(p, &g->look_body);
	PACK(p, g->statuses_kept);
	PACK(p, g->watch);
	PACK(p, g->deallocated_all);
	PACK(p, g->discards);
	PACK(p, g->last_set);
	PACK(p, g->deallocated);
	runs_pack(p, g);
}

const char *
progress_copy_name(const struct progress *p)
{
	static const char *const names[] = {"", "in", "out", "both"};

	return names[p->copy];
}
