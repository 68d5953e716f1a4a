/* gather: fills the model from the console, a round of statements each interval, over one
 * connection. Never waits. */
#ifndef PGWITH_CLI_TOP_GATHER_H
#define PGWITH_CLI_TOP_GATHER_H

#include "cli/top/feed.h"
#include "cli/top/model.h"

struct gather;

enum gather_news {
	GATHER_NOTHING,
	GATHER_ROUND,  /* a round has ended: the model is new */
	GATHER_DONE,   /* the statement of gather_do() was done */
	GATHER_FAILED, /* it was refused, or lost with the connection: gather_error() */
	GATHER_DENIED, /* this user may not see the pools: gather_error() */
	GATHER_LOST    /* no connection any more: gather_error(). It is tried again */
};

/* `whom` and the model must outlive it. */
struct gather *gather_new(const struct ask_whom *, struct model *, int64_t interval_us);
void gather_free(struct gather *);

/* From now on each round asks for these tables (1u << MODEL_...), and for those that every page
 * needs. If there are new ones among them, a round begins at once. */
void gather_want(struct gather *, unsigned sources);
void gather_set_interval(struct gather *, int64_t interval_us);
/* A paused one asks nothing. */
void gather_set_paused(struct gather *, bool paused);
/* The next round begins at once. */
void gather_hurry(struct gather *);
/* Sends this statement between two others, as soon as there is a connection. False if the last one
 * has not been answered yet. */
bool gather_do(struct gather *, const char *statement);

int gather_fd(const struct gather *, short *events);
/* When gather_go() must be called, though the descriptor is not ready. */
int64_t gather_due_us(const struct gather *, int64_t now_us);
/* To be called again until it returns GATHER_NOTHING. */
enum gather_news gather_go(struct gather *, int64_t now_us);

const char *gather_error(const struct gather *);
enum ask_status gather_status(const struct gather *);
/* Since when the answer to a statement, or a connection, is waited for; 0: for nothing. */
int64_t gather_waits_since_us(const struct gather *);
/* How long the round that goes on has taken so far, or, if that is more, how long the last one
 * took. 0: rounds are paused. */
int64_t gather_round_us(const struct gather *, int64_t now_us);
bool gather_is_down(const struct gather *);

#endif
