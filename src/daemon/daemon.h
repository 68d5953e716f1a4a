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
#include "loop/work.h"
#include "pool/pool.h"
#include "scope/lock.h"
#include "scope/timing.h"
#include "scope/waits.h"
#include "session/session.h"

#define CONSOLE_DATABASE "pgwith"

/* The console is a layer above: what it does for a session is handed down. */
struct console_ops {
	/* One whole message of a session in SESSION_CONSOLE. */
	void (*message)(struct session *, char type, const uint8_t *body, size_t bytes);
	/* May it use the descriptors that are kept back for whoever looks what is wrong? */
	bool (*reserved)(const struct session *);
	/* A session whose `console` is set goes, in whatever state it is. */
	void (*closed)(struct session *);
	/* Its client does not want to wait any longer for a command that goes on. */
	void (*cancelled)(struct session *);
	/* Once in a while, and when the phase changes: what is waited for may be there. */
	void (*sweep)(struct daemon *);
};

enum daemon_phase {
	DAEMON_RUNNING,
	DAEMON_EMPTYING, /* no new clients; those that are there may stay for as long as they like
			  */
	DAEMON_DRAINING, /* no new clients; those in a transaction may finish it */
	DAEMON_STOPPING, /* all leases end by cleanup */
	DAEMON_STOPPED
};

/* How often clients were told one kind of error. */
struct error_count {
	uint64_t count;
	int64_t last_us;
};

struct daemon {
	struct conf *conf;
	struct loop *loop;
	struct work *work;
	struct users *users; /* who clients are */
	struct sysd *sysd;
	struct listen *listen;
	struct listen *listen_before; /* at the start: of the process before, at another place */
	struct pools pools;
	struct idmap sessions; /* id -> struct session */
	struct list in_state[SESSION_NSTATES];
	struct locks locks;
	struct waits waits;
	struct timing timing; /* of scopes */
	struct buf
	    ahead; /* request: what goes to a server in one write; empty between two of them */
	struct buf reply; /* begin: an answer that is sent at once */
	const struct console_ops *console;
	enum daemon_phase phase;
	int64_t phase_us; /* when it began */
	int64_t drain_us; /* DRAINING: for so long at most; -1: without limit */
	unsigned signals; /* to end that have come */
	struct handover handover;
	int64_t started_at;   /* wall clock, seconds */
	int64_t roles_us;     /* when pools that nobody is in were looked for */
	int64_t max_sessions; /* descriptors allow no more than this; console sessions may use the
				 last ones */
	uint64_t sessions_ever;
	uint64_t refused; /* logins */
	struct error_count errors[ERR_N];
	uid_t self;
	bool reload_refused; /* the last one was */
	bool verbose;        /* debug lines are logged, whatever log_level is */
};

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

/* A client is told this error. */
static inline void
daemon_count_error(struct daemon *d, const struct err *e)
{
	if (e->id == ERR_NONE)
		return;
	d->errors[e->id].count++;
	d->errors[e->id].last_us = loop_now_us(d->loop);
}

/* Counts the descriptors that the configuration wants, and how many sessions are left by those that
 * there are. */
void daemon_count_descriptors(struct daemon *);

/* Sessions that are not closed. */
unsigned daemon_sessions(const struct daemon *);

const char *daemon_phase_name(const struct daemon *);

#endif
