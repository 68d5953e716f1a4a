/* keeper_inside: what keeper.c, keeper_read.c, keeper_move.c and listener.c share. Nobody else
 * includes it. */
#ifndef PGWITH_POOL_KEEPER_INSIDE_H
#define PGWITH_POOL_KEEPER_INSIDE_H

#include "loop/loop.h"
#include "pool/keeper.h"

/* Bytes of a part of a message: a NotificationResponse has less than 8200. */
#define KEEPER_IN_MAX    (LOOP_SCRATCH + 64 * 1024)
#define KEEPER_LATER_MAX (64 * 1024 * 1024) /* notifications that wait for the mark */

struct channel {
	struct hash_node node; /* in keeper->channels */
	struct list listeners; /* struct subscription */
	uint8_t bytes;
	char name[KEEPER_NAME + 1];
};

/* A listener's channel. */
struct subscription {
	struct list_node in_channel, in_listener;
	struct channel *channel;
	struct listener *listener;
	enum listener_has has;
	bool try;   /* ASKED: it becomes TRIED */
	bool keeps; /* TRIED: it becomes LISTENS when what was asked for is granted */
};

/* What is sent to the server in one Query. */
struct request {
	struct list_node node;
	char *sql;
	struct listener *listener; /* NULL: nobody, or it is gone */
	enum { ASK, SYNC, CONVERT, SETUP, UNLISTEN, ALIVE, MOVE_ALL, MOVE_MARK, MOVE_NOTIFY } what;
	uint8_t *row; /* CONVERT: the body of the DataRow */
	size_t row_bytes;
	char *error; /* the server's words, if it has failed */
	char sqlstate[6];
	int64_t since_us;
	bool sent; /* it is in the list of its line; otherwise in keeper->waiting */
};

/* ---- keeper.c ---- */

/* The setter. An illegal move ends the program. */
void keeper_set_state(struct keeper *, enum keeper_state);
int64_t keeper_now_us(const struct keeper *);

/* A new one, which is in no list. `listener`: whom the answer is for, or NULL. */
struct request *keeper_request(int what, struct listener *, const char *sql);
void keeper_free_request(struct request *);
/* Those of a list. */
void keeper_drop_requests(struct list *);
/* Sends it now. If there is no room for it, the line is broken, and the sweep closes it: so this
 * may be called within walks over listeners. */
void keeper_send(struct keeper *, struct keeper_line *, struct request *);
/* Sends what waits, as far as that may be sent: not while the lines are marked, as the next line is
 * to be used for it. */
void keeper_send_waiting(struct keeper *);
/* Those who wait for the next sync wait for one statement. */
void keeper_send_sync(struct keeper *);

/* The pause before the next attempt to open a connection: doubled each time, up to the most. */
int64_t keeper_pause_us(struct keeper *, int64_t first_us, int64_t most_us);
/* CLOSED: opens it if somebody waits for it, and it may be opened now. */
void keeper_open(struct keeper *);
/* OPENING: closes it again; those who wait for it go on waiting. */
void keeper_shelve(struct keeper *, const char *why);
void keeper_open_line(struct keeper *, int which);
void keeper_close_line(struct keeper *, int which, const char *why);
void keeper_clear_line(struct keeper_line *);
/* Ends all: the sessions that listen are told. */
void keeper_lose(struct keeper *, const char *why);

/* ---- keeper_read.c: what the server says, and what becomes of the requests by that ---- */

/* Of `struct server_keeps`: the connection is there, and is given its parameters; it can be
 * read. */
void keeper_logged_in(struct server *);
void keeper_readable(struct server *);
/* Gives a notification to those who listen. */
void keeper_dispatch(struct keeper *, const uint8_t *message, size_t bytes);

/* ---- keeper_move.c ---- */

/* The next line cannot be had: the one in use stays, and it is tried again later. */
void keeper_move_no_more(struct keeper *, const char *why);
/* If the next line is ready, and the one in use has answered all: both get the mark. */
void keeper_begin_marks(struct keeper *);
/* If both lines listen to the mark: NOTIFY. */
void keeper_notify_mark(struct keeper *);
/* The mark has come to both lines: the next one takes over. */
void keeper_finish_moving(struct keeper *);

/* ---- listener.c ---- */

/* The channel of that name, or NULL. */
struct channel *keeper_channel(const struct keeper *, const char *name, size_t bytes);
/* It asks for these channels; the keeper has granted what it asked for. */
void listener_want(struct keeper *, struct listener *, const char *names, size_t names_bytes,
		   bool try);
void listener_granted(struct listener *);
/* It is the keeper's as long as it has or wants something. */
void listener_leave_if_idle(struct listener *);
void listener_sync_no_more(struct listener *);

#endif
