/* daemon: the whole of pgwithd. All state hangs from here. */
#ifndef PGWITH_DAEMON_DAEMON_H
#define PGWITH_DAEMON_DAEMON_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/idmap.h"
#include "base/list.h"
#include "conf/conf.h"
#include "daemon/handover.h"
#include "loop/listen.h"
#include "loop/loop.h"
#include "loop/sysd.h"
#include "loop/threads.h"
#include "pool/pool.h"
#include "scope/lock.h"
#include "scope/timing.h"
#include "scope/waits.h"
#include "session/session.h"
#include "session/site.h"

struct daemon {
	struct site site; /* what sessions know of it */
	struct threads *threads;
	struct sysd *sysd;
	struct listen *listen_before; /* at the start: of the process before, at another place */
	int64_t phase_us;             /* when site.phase began */
	int64_t drain_us;             /* DRAINING: for so long at most; -1: without limit */
	unsigned signals;             /* to end that have come */
	struct handover handover;
	int64_t started_at;   /* wall clock, seconds */
	int64_t roles_us;     /* when pools that nobody is in were looked for */
	int64_t max_sessions; /* descriptors allow no more than this; console sessions may use the
				 last ones */
	uint64_t sessions_ever;
	bool reload_refused; /* the last one was */
	bool verbose;        /* debug lines are logged, whatever log_level is */
};

/* The daemon of a session. */
static inline struct daemon *
daemon_of(const struct session *s)
{
	return LIST_OBJ(s->site, struct daemon, site);
}

/* Starts everything that `conf` says, which renew_check() has found to be good; takes it over.
 * Returns NULL with a reason in `why` (conf is freed then too). */
struct daemon *daemon_new(struct conf *conf, const struct console_ops *, char *why,
			  size_t why_size);

/* Runs until the end. Returns the exit status. */
int daemon_run(struct daemon *);

/* Ends whatever is left, at once, and frees. */
void daemon_free(struct daemon *);

/* The ways to end. drain (SIGTERM): idle sessions are told and closed; transactions may finish, and
 * the queue is served, within shutdown_timeout; then stop. stop (SIGINT): what runs is cancelled
 * and rolled back, and every session is told and closed. The next two keep the socket, for the
 * console and for cancels; other logins are refused. drain_scopes: drain, without the time limit.
 * drain_clients: all sessions may stay for as long as they like; stop when the last has left. Each
 * may follow upon a slower one. */
void daemon_drain(struct daemon *);
void daemon_stop(struct daemon *);
void daemon_drain_scopes(struct daemon *);
void daemon_drain_clients(struct daemon *);

/* Counts the descriptors that the configuration wants, and how many sessions are left by those that
 * there are. */
void daemon_count_descriptors(struct daemon *);

const char *daemon_phase_name(const struct daemon *);

#endif
