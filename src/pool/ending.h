/* ending: a connection to PostgreSQL that pgwithd has closed, until PostgreSQL has let it go. A
 * backend counts among max_connections until its process ends, and leaves its socket open until
 * then (PostgreSQL's pqcomm.c, socket_close()): so the end of the stream says that its place is
 * free. */
#ifndef PGWITH_POOL_ENDING_H
#define PGWITH_POOL_ENDING_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "base/list.h"
#include "loop/loop.h"

/* After this long the place is taken for free, whatever PostgreSQL does. */
#define ENDING_MAX_US (30 * INT64_C(1000000))

struct ending {
	struct list_node node; /* in the list of ending_begin() */
	struct list *all;
	struct loop *loop;
	int fd;
	int64_t since_us;
	struct event event;
	void (*done)(struct ending *);
};

/* Takes over `fd`, a descriptor of the connection, on which nothing is sent any more, and drops
 * what comes. When the stream has ended, done() is called, once and never within this call; the
 * ending is its caller's again then. Returns false, and done() is not called, if the stream has
 * ended already. */
bool ending_begin(struct ending *, struct loop *, int fd, struct list *all,
		  void (*done)(struct ending *));

/* Ends those of the list that have waited for ENDING_MAX_US, as if their streams had ended. */
void endings_sweep(struct list *all, int64_t now_us);

/* Ends all, as if their streams had ended. */
void endings_forget(struct list *all);

#endif
