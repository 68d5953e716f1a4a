/* feed: one connection to the console, which never makes its caller wait: the caller polls the
 * descriptor and calls feed_go().
 *
 *	       a second has passed        login               a statement
 *	down ---------------------> connecting ----> ready <-------------> asking
 *	 ^                              |              |      its answer     |
 *	 +------------------------------+--------------+---------------------+
 *	                refused, lost, or no answer within the time limit
 */
#ifndef PGWITH_CLI_TOP_FEED_H
#define PGWITH_CLI_TOP_FEED_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/ask.h"

enum feed_state {
	FEED_DOWN,
	FEED_CONNECTING,
	FEED_READY,
	FEED_ASKING, /* a statement is under way */
	FEED_NSTATES
};

/* What feed_go() has found. */
enum feed_news {
	FEED_NOTHING,
	FEED_IN,      /* the login has succeeded: a statement can be sent */
	FEED_ANSWER,  /* feed_take() has the rows */
	FEED_REFUSED, /* the statement has failed: feed_error() has the words */
	FEED_LOST /* there is no connection any more; feed_error() says why. It is tried again */
};

#define FEED_AGAIN_US UNIT_S /* from a failure to the next attempt */

struct feed;

/* `whom` must outlive the feed; its timeout_us is the limit of the login and of each answer. */
struct feed *feed_new(const struct ask_whom *);
void feed_free(struct feed *);

/* The move is legal. */
bool feed_may_move(enum feed_state from, enum feed_state to);
enum feed_state feed_state(const struct feed *);

/* The descriptor to poll and what for (POLLIN, POLLOUT); -1 if there is none now. */
int feed_fd(const struct feed *, short *events);
/* feed_go() must be called at that time of clock_us(), whatever the descriptor is; 0: never. */
int64_t feed_due_us(const struct feed *);

/* Does what can be done without waiting. To be called again until it returns FEED_NOTHING. */
enum feed_news feed_go(struct feed *, int64_t now_us);

/* In READY: sends a statement. The answer, or the loss of the connection, comes from feed_go(). */
void feed_ask(struct feed *, const char *statement, int64_t now_us);

/* After FEED_ANSWER: the rows, which the caller frees. */
struct table *feed_take(struct feed *);
/* After FEED_REFUSED and FEED_LOST: one line without control characters, valid until the next call
 * of feed_go(); and what it means. */
const char *feed_error(const struct feed *);
enum ask_status feed_status(const struct feed *);

#endif
