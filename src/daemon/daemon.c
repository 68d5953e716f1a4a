#include "daemon/daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "daemon/descriptors.h"
#include "daemon/drain.h"
#include "daemon/entrance.h"
#include "daemon/ourselves.h"
#include "daemon/reload.h"
#include "daemon/service.h"
#include "executor/executor.h"
#include "executor/expire.h"
#include "executor/leave.h"
#include "pool/sweep.h"
#include "relay/authquery.h"
#include "relay/limits.h"
#include "relay/login.h"
#include "relay/lookup.h"
#include "relay/prove.h"
#include "relay/turn.h"
#include "session/admit.h"
#include "session/end.h"
#include "session/holds.h"
#include "session/limited.h"
#include "session/passwords.h"
#include "session/users.h"

/* How many of them work at once for the cancels of one pool, for its look-ups, for users. */
#define POOL_WORKERS 4
const char *
daemon_phase_name(const struct daemon *d)
{
	static const char *const names[] = {"running",  "finishing", "emptying",
					    "draining", "stopping",  "stopped"};

	return names[d->site.phase];
}

/* ---- the end ---- */

static void
enter_phase(struct daemon *d, enum site_phase to)
{
	const char *was = daemon_phase_name(d);

	d->site.phase = to;
	d->phase_us = loop_now_us(d->site.loop);
	log_info("pgwithd", LOG_ALONE, "", LOG_WORD(daemon_phase_name(d)),
		 LOG_NUMBER("sessions", site_sessions(&d->site)),
		 LOG_NUMBER("leased_or_cleaning", pools_busy(&d->site.pools)),
		 LOG_TEXT("was", was));
	service_phase(d);
}

void
daemon_finish(struct daemon *d)
{
	if (d->site.phase == SITE_RUNNING)
		enter_phase(d, SITE_FINISHING);
}

void
daemon_drain_clients(struct daemon *d)
{
	if (d->site.phase < SITE_EMPTYING)
		enter_phase(d, SITE_EMPTYING);
}

void
daemon_drain_scopes(struct daemon *d)
{
	if (d->site.phase >= SITE_DRAINING)
		return;
	d->drain_us = -1;
	enter_phase(d, SITE_DRAINING);
	drain_resting(d);
}

void
daemon_drain(struct daemon *d)
{
	if (d->site.phase > SITE_DRAINING || (d->site.phase == SITE_DRAINING && d->drain_us >= 0))
		return;
	d->drain_us = d->site.conf->shutdown_timeout_us;
	enter_phase(d, SITE_DRAINING);
	entrance_close(d);
	drain_resting(d);
}

void
daemon_stop(struct daemon *d)
{
	if (d->site.phase >= SITE_STOPPING)
		return;
	enter_phase(d, SITE_STOPPING);
	entrance_close(d);
	d->site.pools.closing = true;
	drain_all(d);
	/* A console command that waits for the end is answered before its session is closed. */
	d->site.console->sweep(&d->site);
	drain_state(d, SESSION_CONSOLE);
	drain_state(d, SESSION_CONSOLE_BUSY);
}

static void
stop_now(struct daemon *d)
{
	enter_phase(d, SITE_STOPPED);
	loop_stop(d->site.loop);
}

/* Is there any connection that is not one of the console? */
static bool
has_clients(const struct daemon *d)
{
	return site_sessions(&d->site) != d->site.in_state[SESSION_CONSOLE].count +
					      d->site.in_state[SESSION_CONSOLE_BUSY].count;
}

/* Has no client been there for exit_when_unused? */
static bool
is_unused(struct daemon *d)
{
	int64_t now = loop_now_us(d->site.loop), limit = d->site.conf->exit_when_unused_us;

	/* A client may have come and left between two sweeps. */
	if (d->used_us == 0 || has_clients(d) || d->site.let_in != d->let_in_before) {
		d->used_us = now;
		d->let_in_before = d->site.let_in;
	}
	return now - d->used_us >= limit && !has_clients(d);
}

static void
sweep_phase(struct daemon *d)
{
	int64_t took = loop_now_us(d->site.loop) - d->phase_us;
	bool unused = is_unused(d);

	switch (d->site.phase) {
	case SITE_RUNNING:
		if (unused && d->site.conf->exit_when_unused_us > 0 && d->site.let_in > 0 &&
		    d->handover.state == HANDOVER_OFF) {
			log_info("pgwithd", LOG_ALONE, "unused: it ends",
				 LOG_MS("unused", loop_now_us(d->site.loop) - d->used_us));
			daemon_stop(d);
		}
		return;
	case SITE_STOPPED:
		return;
	case SITE_FINISHING:
		if (unused)
			daemon_stop(d);
		return;
	case SITE_EMPTYING:
		if (!has_clients(d))
			daemon_stop(d);
		return;
	case SITE_DRAINING:
		if (drain_at_work(d) == 0 || (d->drain_us >= 0 && took >= d->drain_us))
			daemon_stop(d);
		return;
	case SITE_STOPPING:
		/* This ends: cleanups and last words have time limits of their own. */
		if (pools_busy(&d->site.pools) == 0 &&
		    d->site.in_state[SESSION_CLOSING].count == 0 &&
		    d->site.in_state[SESSION_LEAVING].count == 0)
			stop_now(d);
		return;
	}
}

static void
sweep(void *arg)
{
	struct daemon *d = arg;

	sweep_pools(&d->site.pools);
	login_sweep(&d->site);
	end_sweep(&d->site);
	expire_sweep(&d->site);
	limits_sweep(&d->site);
	reload_sweep(d);
	drain_sweep(d);
	holds_sweep(&d->site);
	sweep_phase(d);
	d->site.console->sweep(&d->site);
	service_sweep(d);
	log_sweep();
}

/* Is any time-out running that must be noticed within LOOP_SWEEP_US? */
static bool
sweep_is_needed(void *arg)
{
	const struct daemon *d = arg;
	const struct list *in = d->site.in_state;

	return in[SESSION_IDLE].count + in[SESSION_CONSOLE].count != site_sessions(&d->site) ||
	       d->site.phase != SITE_RUNNING || d->handover.state != HANDOVER_OFF ||
	       sweep_is_due_soon(&d->site.pools) || service_is_impatient(d);
}

static void
on_signal(void *arg, int signo)
{
	struct daemon *d = arg;

	log_info("pgwithd", LOG_ALONE, "signal",
		 LOG_TEXT("name", signo == SIGTERM ? "SIGTERM" : "SIGINT"));
	/* ExecStop= has begun a handover, and then systemd sends SIGTERM. */
	if (signo == SIGTERM && d->handover.state == HANDOVER_HOLDING) {
		d->handover.ends = true;
		return;
	}
	if (signo == SIGTERM && d->site.conf->handover && handover_begin(d, true))
		return;
	handover_abort(d);
	if (signo == SIGTERM && d->site.conf->on_term == CONF_TERM_AFTER_CLIENTS &&
	    d->site.phase == SITE_RUNNING) {
		daemon_finish(d);
		sweep_phase(d);
		return;
	}
	if (d->signals++ > 0) {
		stop_now(d);
		return;
	}
	if (signo == SIGTERM)
		daemon_drain(d);
	else
		daemon_stop(d);
	sweep_phase(d);
}

static void
on_usr2(void *arg, int signo)
{
	log_info("pgwithd", LOG_ALONE, "signal", LOG_TEXT("name", "SIGUSR2"));
	handover_begin(arg, false);
}

static void
on_hup(void *arg, int signo)
{
	struct err e;

	log_info("pgwithd", LOG_ALONE, "signal", LOG_TEXT("name", "SIGHUP"));
	if (reload(arg, &(struct reload_listener){NULL, NULL}, &e) < 0)
		err_clear(&e); /* has been logged */
}

/* ---- the beginning ---- */

static void
on_cancelled(void *arg, uint64_t requester)
{
	struct daemon *d = arg;
	struct session *s = idmap_get(&d->site.sessions, requester);

	if (s)
		session_close(s, CLEANUP_CLIENT_LEFT, "cancel sent");
}

static int
start_serving(struct daemon *d, char *why, size_t why_size)
{
	const struct conf *conf = d->site.conf;

	if (entrance_open(d, why, why_size) < 0)
		return -E_IO;
	for (unsigned i = 0; i < conf->npools; i++) {
		char reason[256] = "";

		if (pool_new(&d->site.pools, &conf->pools[i], reason, sizeof reason) == NULL) {
			snprintf(why, why_size, "pool %s: conninfo: %s", conf->pools[i].name,
				 reason);
			return -E_SYNTAX;
		}
	}
	limited_renew(&d->site);
	if (handover_read(d) < 0) {
		snprintf(why, why_size, "the next start will be without it");
		return -E_SYNTAX;
	}
	entrance_close_old(d);
	return 0;
}

/* Waits by io_uring if the configuration and the kernel allow it. */
static int
choose_io(struct daemon *d, char *why, size_t why_size)
{
	char refused[200];

	if (d->site.conf->io == CONF_IO_EPOLL ||
	    loop_use_ring(d->site.loop, refused, sizeof refused))
		return 0;
	if (d->site.conf->io == CONF_IO_AUTO) {
		log_info("pgwithd", LOG_ALONE, "no io_uring: epoll is used",
			 LOG_QUOTED("why", refused));
		return 0;
	}
	/* Clients that were handed over would be lost if the daemon did not start. */
	if (d->handover.state_before.map) {
		log_warnx("pgwithd", LOG_ALONE, "no io_uring, which is configured: epoll is used",
			  LOG_QUOTED("why", refused));
		return 0;
	}
	snprintf(why, why_size, "io = uring, but io_uring cannot be used: %s", refused);
	return -E_IO;
}

static void
ask_password(void *arg, const char *role, uint64_t number)
{
	authquery_ask(((struct daemon *)arg)->authquery, role, number);
}

static void
told_password(void *arg, const char *role, const struct verifier *v)
{
	prove_told(&((struct daemon *)arg)->site, role, v);
}

static const struct passwords_ops passwords_ops = {ask_password, told_password};

struct daemon *
daemon_new(struct conf *conf, const struct conf_input *input, const struct console_ops *console,
	   char *why, size_t why_size)
{
	struct daemon *d = mem_calloc(1, sizeof *d);
	struct timespec wall;
	uint64_t seed;

	d->site.conf = conf;
	d->input = input;
	d->site.console = console;
	d->site.ops = &turn_session_ops;
	d->site.self = geteuid();
	ourselves_tell_libpq();
	clock_gettime(CLOCK_REALTIME, &wall);
	d->started_at = wall.tv_sec;
	handover_take(d);
	d->sysd = sysd_new();
	descriptors_count(d);
	d->site.loop = loop_new();
	d->threads = threads_new(d->site.loop, DAEMON_WORKERS, POOL_WORKERS);
	d->site.users = users_new(d->site.loop, d->threads, lookup_told, &d->site);
	d->authquery = authquery_new(&d->site);
	d->site.passwords = passwords_new(d->site.loop, d->threads, &passwords_ops, d);
	failures_init(&d->site.failures);
	list_init(&d->site.delayed);
	idmap_init(&d->site.sessions);
	for (int i = 0; i < SESSION_NSTATES; i++)
		list_init(&d->site.in_state[i]);
	list_init(&d->site.woken);
	list_init(&d->site.holds);
	list_init(&d->site.joints);
	loop_on_work(d->site.loop, turn_all, &d->site);
	locks_init(&d->site.locks, d->site.loop);
	waits_init(&d->site.waits);
	timing_init(&d->site.timing);
	pools_init(&d->site.pools, d->site.loop, d->threads);
	batch_init(&d->site.batch);
	buf_init(&d->site.reply, 64);
	buf_init(&d->site.greeting, GREETING_MAX);
	if (getrandom(&seed, sizeof seed, 0) != sizeof seed ||
	    getrandom(d->site.cancel_seed, sizeof d->site.cancel_seed, 0) !=
		sizeof d->site.cancel_seed)
		log_fatal("", LOG_ALONE, "no random numbers");
	atoms_init(&d->site.atoms, seed);
	d->site.pools.cancelled = on_cancelled;
	d->site.pools.cancelled_arg = d;
	handover_open(d);
	if (choose_io(d, why, why_size) < 0 || start_serving(d, why, why_size) < 0) {
		daemon_free(d);
		return NULL;
	}
	passwords_configured(d->site.passwords, d->site.conf);
	loop_on_signal(d->site.loop, SIGTERM, on_signal, d);
	loop_on_signal(d->site.loop, SIGINT, on_signal, d);
	loop_on_signal(d->site.loop, SIGHUP, on_hup, d);
	loop_on_signal(d->site.loop, SIGUSR2, on_usr2, d);
	loop_on_sweep(d->site.loop, sweep, sweep_is_needed, d);
	/* Clients of PostgreSQL are served even if nobody can ask for metrics; that is logged. */
	console->configured(&d->site, why, why_size);
	return d;
}

int
daemon_run(struct daemon *d)
{
	log_info("pgwithd", LOG_ALONE, "ready", LOG_TEXT("version", PACKAGE_VERSION),
		 LOG_TEXT("socket", listen_path(d->site.listen)),
		 LOG_TEXT("io", loop_ring(d->site.loop) ? "uring" : "epoll"),
		 LOG_NUMBER("pools", d->site.conf->npools),
		 LOG_NUMBER("max_clients", d->site.conf->max_clients));
	service_ready(d);
	if (loop_run(d->site.loop) < 0) {
		log_error("pgwithd", LOG_ALONE,
			  "the event loop failed:", LOG_WORD(strerror(errno)));
		return EXIT_FAILURE;
	}
	log_info("pgwithd", LOG_ALONE, "ends");
	return EXIT_SUCCESS;
}

void
daemon_free(struct daemon *d)
{
	struct list_node *n;

	d->site.pools.closing = true;
	d->site.phase = SITE_STOPPED;
	entrance_close(d);
	listen_free(d->listen_before);
	d->site.console->ended(&d->site);
	for (int i = 0; i < SESSION_CLOSED; i++)
		while ((n = list_first(&d->site.in_state[i])) != NULL) {
			struct session *s = LIST_OBJ(n, struct session, node);

			leave_abandon(s);
			session_close(s, CLEANUP_SHUTDOWN, "shutdown");
		}
	while ((n = list_first(&d->site.pools.list)) != NULL)
		pool_free(LIST_OBJ(n, struct pool, node));
	program_settle(COMMANDS_US);
	users_free(d->site.users);
	authquery_free(d->authquery);
	passwords_free(d->site.passwords);
	failures_clear(&d->site.failures);
	threads_free(d->threads);
	loop_free(d->site.loop);
	idmap_clear(&d->site.sessions);
	locks_clear(&d->site.locks);
	waits_clear(&d->site.waits);
	timing_clear(&d->site.timing);
	greetings_clear(&d->site.greetings, &d->site.pools.told, &d->site.atoms);
	pools_clear(&d->site.pools);
	batch_clear(&d->site.batch);
	buf_clear(&d->site.reply);
	buf_clear(&d->site.greeting);
	atoms_clear(&d->site.atoms);
	sysd_free(d->sysd);
	conf_free(d->site.conf);
	free(d->site.overdue);
	free(d->site.history);
	free(d);
}
