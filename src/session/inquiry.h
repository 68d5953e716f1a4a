/* inquiry: a statement of ours on the server of session->hold, one at a time, while the
 * client waits. The client does not get the answer; what the session needs of it is kept.
 *
 *	quiet -> asked                       the statement has gone to the server
 *	asked -> answered                    the server is at rest, and has said no error
 *	asked -> failed                      it has said one
 *	asked -> cut_short                   it has said 57014, and may be asked again
 *	cut_short -> asked                   it is asked again
 *	answered, failed -> quiet            whoever asked has taken the result
 *	asked, cut_short -> quiet            the inquiry is given up
 *
 * What is kept of an answer stays until the next inquiry, or until inquiry_forget(). */
#ifndef PGWITH_SESSION_INQUIRY_H
#define PGWITH_SESSION_INQUIRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "scope/stack.h"

struct session;

enum inquiry_state {
	INQUIRY_QUIET,
	INQUIRY_ASKED,
	INQUIRY_ANSWERED,
	INQUIRY_FAILED,
	INQUIRY_CUT_SHORT,
	INQUIRY_NSTATES
};

/* Which messages beside the answer the client gets: notices, notifications and changed parameters
 * (N, A, S). While a server is given the session's parameters, telling.h sends the last ones. */
enum inquiry_passes {
	INQUIRY_PASSES_ALL,                  /* all of them, as they come */
	INQUIRY_PASSES_NO_PARAMETERS,        /* N and A, as they come */
	INQUIRY_PASSES_AT_END,               /* A and S, when the answer is complete */
	INQUIRY_PASSES_NOTIFICATIONS_AT_END, /* A, when the answer is complete */
	INQUIRY_PASSES_NOTHING,
	INQUIRY_NPASSES
};

enum {
	/* The rows of the answer are kept. */
	INQUIRY_ROWS = 0x01,
	/* A 57014 is no answer, and the statement may be sent again: a cancel for what was before
	 * it can come late, and the session may have set a short statement_timeout. */
	INQUIRY_AGAIN = 0x02
};

#define INQUIRY_ATTEMPTS 20            /* how often one statement is sent at most */
#define INQUIRY_KEPT_MAX (1024 * 1024) /* bytes of an answer, or of an error */

struct inquiry {
	enum inquiry_state state;
	enum inquiry_passes passes;
	unsigned options; /* INQUIRY_ROWS ... */
	unsigned attempts;
	/* It took too long, and a cancel was sent. Not a state: the answer is still due. */
	bool cancelled;
	int64_t since_us; /* when it was asked */
	size_t bytes;     /* of the answer, so far */

	/* The message that is being read: how much of its header is here, the header, bytes of the
	 * body still to come, and the whole message if it is kept or passed on. */
	uint8_t have;
	uint8_t header[5];
	uint32_t left;
	struct buf one;

	struct buf behind; /* messages that the client gets when the answer is complete */
	struct buf rows;   /* messages: the DataRows */
	struct buf error;  /* the first ErrorResponse, a whole message */
	char sqlstate[6];  /* of the error; "": the statement succeeded */

	/* The asker's own: texts that it may ask again, and how often it has asked them. */
	struct buf texts;
	unsigned tries;
};

/* Sends the statement. The server of session->hold must be at rest. After CUT_SHORT this is one
 * more attempt at the same question. */
void inquiry_ask(struct session *, const char *sql, enum inquiry_passes, unsigned options);

/* The same for a list of texts of one statement each, each with a NUL: as one exchange of the
 * extended protocol, with a statement and a portal of our own (todo_send_apart()), so that the
 * client keeps its unnamed ones. */
void inquiry_ask_apart(struct session *, const char *texts, size_t bytes, enum inquiry_passes);

/* The same for a statement that may have parameters, which are bound; INQUIRY_PASSES_ALL. */
void inquiry_run(struct session *, const struct deferred *, unsigned options);

/* Reads once from the server. Returns true if the statement has ended. Returns false if the answer
 * goes on, if nothing is asked, or if the session has lost the server or its client meanwhile.
 * What the server sends while nothing is asked is passed on as in the inquiry before. */
bool inquiry_readable(struct session *);

enum inquiry_state inquiry_state(const struct session *);
const char *inquiry_state_name(enum inquiry_state);

/* Is it ANSWERED, FAILED or CUT_SHORT? */
bool inquiry_has_ended(const struct session *);

/* Keeps texts in inquiry->texts, and begins to count inquiry->tries. */
void inquiry_keep_texts(struct session *, const struct buf *texts);

/* Returns how the statement has ended. ANSWERED and FAILED become QUIET then; CUT_SHORT stays until
 * the statement is sent again or given up. */
enum inquiry_state inquiry_take(struct session *);

/* Gives the inquiry up: its state is QUIET then. */
void inquiry_give_up(struct session *);

/* The client itself has cancelled the statement: 57014 is an answer now, and ends it. */
void inquiry_try_no_more(struct session *);

/* Has the server sent more than INQUIRY_KEPT_MAX bytes of answer? */
bool inquiry_is_too_long(const struct session *);

/* Does the client get the ParameterStatus messages that come now? */
bool inquiry_passes_parameters(const struct session *);

/* Of the statement that has ended last: did it fail, its SQLSTATE ("": it succeeded), its DataRows,
 * its ErrorResponse (a whole message; empty if it succeeded). */
bool inquiry_failed(const struct session *);
const char *inquiry_sqlstate(const struct session *);
const struct buf *inquiry_rows(const struct session *);
const struct buf *inquiry_error(const struct session *);
/* The words of its error, or "". */
const char *inquiry_message(const struct session *);
/* A field of its error (msg_report_field()), or NULL. */
const char *inquiry_error_field(const struct session *, char field);

/* Nothing is asked, and a part of a message that is the client's has come: passes the part on. */
void inquiry_pass_half(struct session *);

/* Frees what was kept. Nothing may be asked. */
void inquiry_forget(struct session *);

#endif
