/* shop: a daemon for unit tests of admin/: one pool, "orders", whose servers and sessions the test
 * sets by hand. Nothing is connected. */
#ifndef PGWITH_TESTS_SHOP_H
#define PGWITH_TESTS_SHOP_H

#include "daemon/daemon.h"

#define SHOP_SESSIONS 8

/* A session with a server that it may have leased, or may wait for. */
struct buyer {
	struct session session;
	struct hold hold;
	struct server server;
};

struct shop {
	struct daemon d;
	struct conf whole;     /* max_clients 100 */
	struct conf_pool conf; /* size 2, max_waiting 2, wait_timeout 5s */
	struct pool pool;
	struct buyer buyers[SHOP_SESSIONS];
};

void shop_open(struct shop *);
void shop_close(struct shop *);

/* A pool without servers, which is added to the daemon. */
void shop_pool(struct shop *, struct pool *, struct pool *group, struct conf_pool *);

/* Session `i` has leased a server of the pool for that long; `status` is that of ReadyForQuery. The
 * one that has it longest must come first. */
struct buyer *shop_lend(struct shop *, struct pool *, unsigned i, int64_t age_us, char status);
/* Session `i` waits in the queue of the pool. */
struct buyer *shop_wait(struct shop *, struct pool *, unsigned i, int64_t age_us);
/* A server of the pool in another state, in the place of session `i`. */
void shop_server(struct shop *, struct pool *, unsigned i, enum server_state);

#endif
