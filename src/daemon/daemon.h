/* daemon: the whole program. Everything that it knows is reached from struct daemon. */
#ifndef PGWITH_DAEMON_DAEMON_H
#define PGWITH_DAEMON_DAEMON_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/idmap.h"
#include "base/list.h"
#include "base/program.h"
#include "base/units.h"
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

/* Threads for cancels, and for look-ups of hosts and users. */
#define DAEMON_WORKERS 32

/* So long the end of the process waits for password commands that are just being started, so that
 * they end with it. */
#define COMMANDS_US (200 * UNIT_MS)

struct daemon {
	struct site site; /* the part that sessions see */
	struct threads *threads;
	struct sysd *sysd;
	const struct conf_input *input; /* what a reload reads */
	struct authquery *authquery;
	/* While the daemon starts: the socket of the process before, if the configuration has
	 * another path now; otherwise NULL. */
	struct listen *listen_before;
	int64_t phase_us; /* when site.phase began */
	/* When a client was last there, at a sweep; 0: no sweep has looked yet. And site.let_in at
	 * that sweep. */
	int64_t used_us;
	uint64_t let_in_before;
	int64_t drain_us; /* how long DRAINING lasts at most; -1: no limit */
	unsigned signals; /* how many SIGTERM and SIGINT have begun an end */
	struct handover handover;
	int64_t started_at; /* wall clock, seconds */
	int64_t roles_us;   /* when unused pools of single roles were last looked for */
	/* The descriptors allow no more sessions than this. The last of them are for the console:
	 * max_clients is smaller. */
	int64_t max_sessions;
	uint64_t sessions_ever;
	bool reload_refused; /* the last reload was refused */
	bool verbose;        /* debug lines are logged, whatever log_level is */
};

/* The daemon of a session. */
static inline struct daemon *
daemon_of(const struct session *s)
{
	return LIST_OBJ(s->site, struct daemon, site);
}

/* Starts everything that `conf` says, which was read from `input`. renew_check() must have found
 * `conf` good; the daemon owns it from now on. `input` outlives the daemon. Returns NULL with a
 * reason in `why`; then conf is freed. */
struct daemon *daemon_new(struct conf *conf, const struct conf_input *input,
			  const struct console_ops *, char *why, size_t why_size);

/* Runs until the end. Returns the exit status. */
int daemon_run(struct daemon *);

/* Ends whatever is left, at once, and frees. */
void daemon_free(struct daemon *);

/* The ways to end. A faster one may be called while a slower one goes on.
 *	finish		(SIGTERM with on_term = after-clients) all goes on, for new clients too; when
 *			no client is there, or has been there for exit_when_unused: stop
 *	drain_clients	sessions may stay as long as they like; when the last has left: stop
 *	drain_scopes	idle sessions are told and closed; transactions may finish, and the queue is
 *			served, without a time limit; then stop
 *	drain		(SIGTERM) the same within shutdown_timeout; then stop
 *	stop		(SIGINT) what runs is cancelled and rolled back; all are told and closed
 * drain_clients and drain_scopes keep the socket, for the console and for cancels, and refuse
 * other logins. */
void daemon_finish(struct daemon *);
void daemon_drain(struct daemon *);
void daemon_stop(struct daemon *);
void daemon_drain_scopes(struct daemon *);
void daemon_drain_clients(struct daemon *);

const char *daemon_phase_name(const struct daemon *);

#endif
