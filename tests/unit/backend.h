/* backend: a model of a PostgreSQL 15 backend for tests: it reads a client's messages strictly in
 * order and answers as tcop/postgres.c, access/transam/xact.c and commands/copyfromparse.c do
 * (checked against a real 15 by hand). The SQL is a handful of words, ';' between them:
 *	work rows empty fail slow begin commit rollback set
 *	*	copyin copyin_early (fails before it reads) copyin_bad (fails at data) copyout
 *	deaf (as slow, but no cancel ends it)
 *	refuse (what is done cannot be committed: a deferred constraint)
 * Everything of it is random or driven by hand; it never looks at the daemon's code. */
#ifndef TESTS_UNIT_BACKEND_H
#define TESTS_UNIT_BACKEND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct backend_statement {
	char name[64];
	char text[32];
	unsigned schema; /* as it was at its Parse */
};
#define BACKEND_STATEMENTS 64

struct backend {
	struct buf in;      /* sent by the client and not read yet */
	struct buf held;    /* answers that are not flushed */
	struct buf out;     /* answers that are on their way */
	bool dead;          /* it said FATAL */
	char block;         /* the transaction block: I, T, E */
	bool extended;      /* extended-protocol messages since the last Sync or Query */
	bool skip;          /* to the next Sync */
	bool in_query;      /* a simple Query is not over */
	bool in_extended;   /* the message being handled is an extended one */
	char script[128];   /* what is left of the simple Query */
	char statement[32]; /* the unnamed one; "" is none, "empty" the empty one */
	char portal[32];
	char running[32];   /* slow, or a COPY IN */
	bool suspended;     /* the portal has given a part of its rows */
	bool refuse;        /* the commit will be refused */
	bool dirty;         /* session state was changed */
	bool cancel;        /* a cancel has come and was not looked at */
	unsigned work;      /* done in this transaction */
	unsigned committed; /* work, ever */
	/* Extended-protocol messages have their real bodies, and statements have names; otherwise
	 * the body of a Parse is its text, but for those messages that do have a real one. */
	bool named;
	unsigned statements;
	struct backend_statement has[BACKEND_STATEMENTS];
	/* What "rows" returns: a type of its own for each number. A named statement that was
	 * prepared with another one cannot be used (0A000). NULL: 0. */
	const unsigned *schema;
	unsigned noise; /* in how many of 16 places N, A and S are put */
	uint32_t seed;
};

void backend_init(struct backend *, uint32_t seed);
void backend_clear(struct backend *);

/* Reads and answers until it needs the client, or a cancel. `messages`: at most so many, if it is
 * not negative. */
void backend_run(struct backend *, int messages);

/* A cancel's signal comes: hits what runs, is ignored when nothing does. */
void backend_cancel(struct backend *);

/* The same signal, but it is seen only when the next statement starts. */
void backend_cancel_late(struct backend *);

/* It waits for the data of a COPY IN; it runs what only a cancel ends. */
bool backend_copying(const struct backend *);
bool backend_slow(const struct backend *);

/* What `committed` becomes if the client sends nothing more. */
unsigned backend_would_commit(const struct backend *);

/* What is held goes on its way too, as when the output buffer is full. */
void backend_flush(struct backend *);

/* A small random number of the model's own, and one of any seed. */
uint32_t backend_random(uint32_t *seed, uint32_t below);

/* CHECK_ROUNDS=1 CHECK_TRACE=1 CHECK_SEED=n tells the story of one round: the messages in the
 * buffer from `at` on. */
extern bool backend_trace;
void backend_tell(const char *who, const struct buf *, size_t at);

/* Answers to a Describe: of a column of a type of that number, and of no parameters. */
void backend_row_description(struct buf *, unsigned type);
void backend_no_parameters(struct buf *);

/* Client messages. `body` is a text that gets its NUL. */
void backend_message(struct buf *, char type, const char *body);

#endif
