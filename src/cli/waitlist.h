/* waitlist: who waits for whom: the rows of SHOW WAITS and, if PostgreSQL was asked (rowlocks.h),
 * the waits inside of it, as one graph. Its parties are sessions, and processes of PostgreSQL that
 * no session has. */
#ifndef PGWITH_CLI_WAITLIST_H
#define PGWITH_CLI_WAITLIST_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/table.h"

#define WAITLIST_NOBODY UINT32_MAX

/* A session, or a process of PostgreSQL. Texts are "" if they are not known. */
struct party {
	uint64_t key;   /* waitlist.c; no other party has it */
	bool backend;   /* a process of PostgreSQL */
	const char *id; /* of the session; or the process id: "0" is a prepared transaction */
	const char *program, *pid, *application, *state, *scopes; /* of a session */
	const char *role;
	const char *backend_pid; /* of the server that the session uses inside PostgreSQL */
	unsigned group;          /* private */
	/* index of its first wait, and of the first one in which it is the holder; or NOBODY */
	uint32_t waits, holds;
};

/* One party that waits, and one that holds what it waits for. */
struct wait {
	uint32_t waiter, holder;  /* indexes of parties; holder: NOBODY if no session holds it */
	int64_t wait_ms, held_ms; /* -1: not known */
	const char *kind, *name;  /* server, lock, semaphore, row ...; pool, lock or table */
	const char *why; /* what keeps it from a server, if that is not the size of its pool; "" */
	bool first;      /* the waiter is first in a queue: it has a wait for each holder */
	bool named;      /* private: `name` is a table */
	uint32_t row;    /* of SHOW WAITS; NOBODY: it is one inside PostgreSQL */
};

/* The texts are those of the tables, which must stay as long as the list. */
struct waitlist {
	struct party *parties; /* sorted by their keys */
	uint32_t nparties;
	struct wait *waits; /* those of one waiter stand one behind the other */
	uint32_t nwaits;
};

/* `waits`: SHOW WAITS. `clients`: SHOW CLIENTS. `servers`: SHOW SERVERS, and `locks`: the table of
 * rowlocks_ask(); both NULL if PostgreSQL was not asked. Of the waits inside PostgreSQL, those stay
 * that have to do with a session, if only by others. */
void waitlist_make(struct waitlist *, const struct table *waits, const struct table *clients,
		   const struct table *servers, const struct table *locks);
void waitlist_clear(struct waitlist *);

/* Is the holder of the wait a party that waits for nothing? */
bool waitlist_is_root(const struct waitlist *, const struct wait *);

/* The waits as a table with the columns of SHOW WAITS, the table that the list was made of, and
 * with what PostgreSQL was asked: backend_pid, held_by_backend, held_by_name. The caller frees. */
struct table *waitlist_table(const struct waitlist *, const struct table *waits);

#endif
