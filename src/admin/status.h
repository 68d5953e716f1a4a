/* status: what the status page shows, looked up in one go: a plain picture of the daemon, which
 * page.h writes as HTML. Each list in it is bounded, and has the number of those that there
 * are. There is no SQL text and no secret in it.
 *
 * Texts are valid until the loop goes on. */
#ifndef PGWITH_ADMIN_STATUS_H
#define PGWITH_ADMIN_STATUS_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "admin/chart.h"
#include "admin/health.h"
#include "admin/process.h"
#include "daemon/daemon.h"
#include "pool/reason.h"

#define STATUS_POOLS   20     /* pools, and verdicts, at most */
#define STATUS_ROWS    12     /* rows of each table, at most */
#define STATUS_HELD_US 100000 /* what is held for less, and nobody waits for, is not shown */

/* A session. */
struct status_who {
	uint64_t session;
	int pid;
	char program[32];        /* "": the process has gone, or we may not see it */
	const char *application; /* application_name, or NULL */
	const char *role;        /* or NULL */
};

/* What a session holds. */
struct status_held {
	struct status_who who;
	const char *kind, *name; /* as in SHOW HELD */
	const char *pool;        /* of the server; NULL: of a lock or semaphore */
	const char *state;
	const char *class; /* command of its last statement, or NULL */
	char scopes[256];  /* the stack, "": none */
	int64_t held_us;
	unsigned waiting;
	unsigned alike;  /* of a culprit: other sessions like it that hold the same: held.h */
	int backend_pid; /* 0: of a lock or semaphore */
};

enum status_mood { STATUS_GOOD, STATUS_WAITS, STATUS_BAD };

/* A pool, lock or semaphore in one line, for people. */
struct status_verdict {
	enum status_mood mood;
	char text[HEALTH_VERDICT];
	/* All that is waited for has changed hands since the first in the queue began to wait:
	 * nobody in particular is behind it, there is only too much to do. */
	bool moves;
	/* Otherwise, who is behind it: the session that holds longest what is waited for; if it
	 * waits itself, the one that it waits for, and so on. */
	bool known;
	struct status_held culprit;
};

struct status_pool {
	const char *name;
	bool paused, disabled, removed;
	enum status_mood mood;
	int64_t size, max_waiting;
	unsigned leased, idle, cleaning, opening; /* servers; `idle` with those being checked */
	unsigned pinned, idle_sessions, waiting;
	int64_t oldest_wait_us;
	struct history_recent recent;
	int64_t wait_p50_us, wait_p99_us, hold_p50_us, hold_p99_us; /* -1: there was none */
	struct chart_minute hour[HISTORY_MINUTES];
};

/* One that waits, and who holds what it waits for. */
struct status_wait {
	struct status_who who;
	const char *kind, *name; /* server, lock, semaphore; of which pool, or its name */
	unsigned position;
	int64_t wait_us;
	uint64_t held_by; /* a session; 0: nobody holds it */
	struct status_who holder;
	char why[REASON_TEXT]; /* of one that waits for a server: why it gets none; else "" */
	int64_t held_us;
	bool root; /* the holder waits for nothing itself */
};

struct status_lock {
	const char *kind, *name, *mode;
	unsigned limit;            /* of a semaphore */
	unsigned holders, waiting; /* how many there are */
	struct status_who holder;  /* the one that holds it longest */
	int64_t held_us;
	struct status_who next; /* if anybody waits: the one that is next */
	int64_t wait_us;
};

struct status_pinned {
	struct status_who who;
	const char *pool, *why;
	int64_t held_us;
};

struct status_error {
	const char *name, *sqlstate;
	uint64_t minute, hour, ever;
	int64_t ago_us; /* since the last one */
};

struct status {
	time_t at;     /* now */
	char host[65]; /* of this machine */
	const char *phase;
	int64_t uptime_s;
	unsigned sessions, active, idle, waiting; /* clients: all, at work, idle, waiting */
	int64_t max_sessions;
	struct process process;
	unsigned known; /* minutes of the last hour in which pgwithd kept numbers */

	unsigned npools, pools_there, pools_bad;
	struct status_pool *pools;          /* those in trouble first, then by name */
	unsigned nverdicts, verdicts_there; /* of pools and locks, likewise */
	struct status_verdict *verdicts;
	/* What others wait for first, and of that what is held by a session that waits for nothing
	 * itself; then the longest. */
	unsigned nheld, held_there;
	struct status_held *held;
	unsigned nwaits, waits_there; /* the longest first */
	struct status_wait *waits;
	unsigned nlocks, locks_there; /* those with the longest queues first */
	struct status_lock *locks;
	unsigned npinned, pinned_there; /* the longest first */
	struct status_pinned *pinned;
	unsigned nerrors, errors_there; /* of the last hour, the most first */
	struct status_error *errors;
};

/* Looks at everything. Changes nothing. status_clear() frees what it allocates. */
void status_look(struct status *, const struct daemon *);
void status_clear(struct status *);

#endif
