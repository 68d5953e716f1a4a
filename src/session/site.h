/* site: what all sessions of the daemon share. */
#ifndef PGWITH_SESSION_SITE_H
#define PGWITH_SESSION_SITE_H

#include <stdint.h>
#include <sys/types.h>

#include "base/atom.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/idmap.h"
#include "base/list.h"
#include "base/siphash.h"
#include "conf/conf.h"
#include "loop/listen.h"
#include "loop/loop.h"
#include "pool/pool.h"
#include "scope/lock.h"
#include "scope/timing.h"
#include "scope/waits.h"
#include "session/batch.h"
#include "session/failures.h"
#include "session/greeting.h"
#include "session/session.h"

struct history_errors;
struct http;
struct logged_list;
struct passwords;
struct users;

#define CONSOLE_DATABASE "pgwith"

/* What admin/ does: sessions of the console, and the pages of metrics_listen. It is a folder above,
 * so it hands this down. */
struct console_ops {
	/* One whole message of a session in SESSION_CONSOLE. */
	void (*message)(struct session *, char type, const uint8_t *body, size_t bytes);
	/* May the session use the descriptors that are reserved for administrators? */
	bool (*reserved)(const struct session *);
	/* A session whose `console` is set is being closed. */
	void (*closed)(struct session *);
	/* The client has sent a CancelRequest: it waits no longer for a command that goes on. */
	void (*cancelled)(struct session *);
	/* Called by the daemon's sweep, and before it stops: what commands wait for may have
	 * happened. */
	void (*sweep)(struct site *);
	/* The daemon starts, or its configuration has changed: the listener of metrics_listen is
	 * opened, moved or closed. False, with a reason: it cannot be opened, which is tried
	 * again. */
	bool (*configured)(struct site *, char *why, size_t why_size);
	/* The daemon ends: that listener is closed. */
	void (*ended)(struct site *);
};

/* Descriptors that the listener of metrics_listen has at most. */
#define SITE_HTTP_FDS 18

/* How far the end of the daemon has come. */
enum site_phase {
	SITE_RUNNING,
	SITE_FINISHING, /* all goes on until there is no client any more */
	SITE_EMPTYING,  /* no new clients; those that are there may stay as long as they like */
	SITE_DRAINING,  /* no new clients; those in a transaction may finish it */
	SITE_STOPPING,  /* all leases end by cleanup */
	SITE_STOPPED
};

/* How often, and when last, clients were told one kind of error. */
struct error_count {
	uint64_t count;
	int64_t last_us;
};

/* What relay/ does for sessions. It is a folder above, so it hands this down. */
struct session_ops {
	const struct stream_ops *stream; /* of its client */
	const struct lease_ops *lease;   /* of each of its leases */
};

struct site {
	struct conf *conf;
	struct loop *loop;
	struct users *users; /* who clients are */
	struct passwords *passwords;
	struct failures failures; /* of logins by password */
	struct list delayed;      /* struct proof: wrong ones that are not answered yet */
	struct listen *listen;
	struct pools pools;
	struct idmap sessions; /* id -> struct session */
	struct list in_state[SESSION_NSTATES];
	struct list woken;  /* sessions: by session_wake() */
	struct list joints; /* scopes that sessions can join: executor/joint.h */
	struct list holds;  /* those that sessions have of their own: holds.h */
	struct locks locks;
	struct waits waits;
	struct timing timing; /* of scopes */
	struct batch batch;   /* bytes for the server of the session that is at work */
	struct buf reply;     /* of session/begin.c: an answer that is sent at once */
	int64_t kept_bytes;   /* of notifications that wait for clients: kept.h */
	const struct console_ops *console;
	struct http *http; /* the listener of metrics_listen: admin/http.h; NULL: none */
	const struct session_ops *ops;
	enum site_phase phase;
	struct atoms atoms;         /* texts that sessions have in common */
	struct greetings greetings; /* answers to startup packets */
	struct buf greeting;        /* one of them, for a client */
	/* A random number that all cancel keys are made of: session_cancel_key(). */
	uint8_t cancel_seed[SIPHASH_KEY];
	uint64_t refused; /* logins that were refused */
	uint64_t let_in;  /* clients that were let in to a pool */
	struct error_count errors[ERR_N];
	struct logged_list *overdue;    /* of admin/overdue.c; one block of memory, or NULL */
	struct history_errors *history; /* of admin/history.h; one block of memory, or NULL */
	uid_t self;                     /* the user that pgwithd runs as */
};

/* Counts an error that a client gets. */
static inline void
site_count_error(struct site *site, const struct err *e)
{
	if (e->id == ERR_NONE)
		return;
	site->errors[e->id].count++;
	site->errors[e->id].last_us = loop_now_us(site->loop);
}

/* How many sessions are not closed. */
static inline unsigned
site_sessions(const struct site *site)
{
	return (unsigned)site->sessions.count;
}

#endif
