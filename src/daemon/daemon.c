#include "daemon/daemon.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/pwcommand.h"
#include "conf/socket.h"
#include "daemon/drain.h"
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

/* Threads for cancels, and for look-ups of hosts and users. */
#define WORKERS 32
/* How many of them work at once for the cancels of one pool, for its look-ups, for users. */
#define POOL_WORKERS 4
/* Descriptors for logins at servers, cancels, threads, the log, and the console. */
#define FDS_RESERVED 64
/* Sessions above max_clients, for administrators who look for what is wrong. */
#define FDS_CONSOLE 16

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

/* Without the socket, new clients are refused by the kernel. If the service manager has made it, it
 * stays, and they wait for the next daemon. */
static void
stop_listening(struct daemon *d)
{
	listen_free(d->site.listen);
	d->site.listen = NULL;
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
	stop_listening(d);
	drain_resting(d);
}

void
daemon_stop(struct daemon *d)
{
	if (d->site.phase >= SITE_STOPPING)
		return;
	enter_phase(d, SITE_STOPPING);
	stop_listening(d);
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

/* Is there room for another connection? If not, the one that has said nothing, or has not proved
 * who it is, for the longest time is closed: nobody, not even a user who may use nothing here, can
 * keep others out by silence. */
static bool
make_room(struct daemon *d)
{
	struct list_node *n = list_first(&d->site.in_state[SESSION_STARTUP]);
	struct session *silent;

	if (site_sessions(&d->site) < d->max_sessions)
		return true;
	if (n == NULL)
		n = list_first(&d->site.in_state[SESSION_PASSWORD]);
	if (n == NULL) {
		log_warnx("pgwithd", LOG_ALONE, "a connection is refused: there are too many",
			  LOG_NUMBER("sessions", d->max_sessions));
		return false;
	}
	silent = LIST_OBJ(n, struct session, node);
	log_warnx("pgwithd", LOG_ALONE,
		  "too many connections: the one that has said nothing for longest is closed",
		  LOG_NUMBER("sessions", d->max_sessions), LOG_NUMBER("uid", silent->peer.uid),
		  LOG_NUMBER("pid", silent->peer.pid));
	session_close(silent, CLEANUP_CLIENT_REFUSED, "it has said nothing, and others come");
	return site_sessions(&d->site) < d->max_sessions;
}

static void
on_accept(void *arg, int fd)
{
	struct daemon *d = arg;
	struct ucred peer = {0};
	socklen_t len = sizeof peer;

	if (d->site.phase > SITE_DRAINING || !make_room(d) ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0) {
		close(fd);
		return;
	}
	d->sessions_ever++;
	stream_look(&session_new(&d->site, fd, &peer)->stream);
}

static void
on_cancelled(void *arg, uint64_t requester)
{
	struct daemon *d = arg;
	struct session *s = idmap_get(&d->site.sessions, requester);

	if (s)
		session_close(s, CLEANUP_CLIENT_LEFT, "cancel sent");
}

/* Descriptors that are no session's and no server's. */
static int64_t
fds_of_others(const struct conf *conf)
{
	int64_t commands = 0;

	for (unsigned i = 0; i < conf->npools; i++)
		commands += pwcommand_is(conf->pools[i].password);
	if (commands > WORKERS)
		commands = WORKERS;
	return FDS_RESERVED + (*conf->metrics_listen ? SITE_HTTP_FDS : 0) + commands * PROGRAM_FDS;
}

/* How many descriptors connections to PostgreSQL need. In a cluster those that are closed, and not
 * let go by PostgreSQL yet, have one, too. */
static int64_t
fds_of_servers(const struct conf *conf)
{
	int64_t all = 0;

	for (unsigned i = 0; i < conf->npools; i++)
		all += conf->pools[i].size;
	for (unsigned k = 0; k < conf->nclusters; k++) {
		int64_t sizes = 0, limit = conf->clusters[k].server_limit;

		for (unsigned i = 0; i < conf->npools; i++)
			if (strcmp(conf->pools[i].cluster, conf->clusters[k].name) == 0)
				sizes += conf->pools[i].size;
		all += (limit < 2 * sizes ? limit : 2 * sizes) - sizes;
	}
	return all;
}

/* Clients must not take the descriptors that servers need. */
void
daemon_count_descriptors(struct daemon *d)
{
	struct rlimit lim = {0};
	int64_t servers = fds_of_servers(d->site.conf), wanted;

	wanted = d->site.conf->max_clients + FDS_CONSOLE + servers + fds_of_others(d->site.conf);
	getrlimit(RLIMIT_NOFILE, &lim);
	if (lim.rlim_cur < lim.rlim_max) {
		rlim_t before = lim.rlim_cur;

		lim.rlim_cur = lim.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &lim) < 0)
			lim.rlim_cur = before;
	}
	d->max_sessions = d->site.conf->max_clients + FDS_CONSOLE;
	if (lim.rlim_cur != RLIM_INFINITY && (int64_t)lim.rlim_cur < wanted) {
		d->max_sessions = (int64_t)lim.rlim_cur - servers - fds_of_others(d->site.conf);
		if (d->max_sessions < FDS_CONSOLE)
			d->max_sessions = FDS_CONSOLE;
		log_warnx("pgwithd", LOG_ALONE,
			  "too few descriptors for max_clients: raise LimitNOFILE or ulimit -n, or "
			  "lower it",
			  LOG_NUMBER("descriptors", lim.rlim_cur), LOG_NUMBER("wanted", wanted),
			  LOG_NUMBER("sessions", d->max_sessions));
	}
}

static int
find_owner(const struct conf *conf, uid_t *owner, gid_t *group, char *why, size_t why_size)
{
	struct passwd *pw;
	struct group *gr;

	*owner = (uid_t)-1;
	*group = (gid_t)-1;
	if (*conf->socket_owner) {
		pw = getpwnam(conf->socket_owner);
		if (pw == NULL) {
			snprintf(why, why_size, "socket_owner: there is no user \"%s\"",
				 conf->socket_owner);
			return -E_NOTFOUND;
		}
		*owner = pw->pw_uid;
	}
	if (*conf->socket_group) {
		gr = getgrnam(conf->socket_group);
		if (gr == NULL) {
			snprintf(why, why_size, "socket_group: there is no group \"%s\"",
				 conf->socket_group);
			return -E_NOTFOUND;
		}
		*group = gr->gr_gid;
	}
	return 0;
}

/* Returns the socket of the process before, or NULL. */
static struct listen *
inherit_listener(struct daemon *d)
{
	int fd = handover_take_fd(d, HANDOVER_LISTEN), lock_fd = handover_take_fd(d, HANDOVER_LOCK);
	struct listen *l = NULL;

	if (fd >= 0 && lock_fd >= 0)
		l = listen_inherit(d->site.loop, fd, lock_fd, on_accept, d);
	/* If somebody has removed its file, no client can find it any more. */
	if (l && !listen_is_there(l)) {
		listen_free(l);
		return NULL;
	}
	if (l)
		return l;
	if (fd >= 0)
		close(fd);
	if (lock_fd >= 0)
		close(lock_fd);
	return NULL;
}

static struct listen *
new_listener(struct daemon *d, char *why, size_t why_size)
{
	const struct conf *conf = d->site.conf;
	uid_t owner;
	gid_t group;

	if (find_owner(conf, &owner, &group, why, why_size) < 0)
		return NULL;
	return listen_new(d->site.loop, conf->listen, (unsigned)conf->port,
			  (mode_t)conf->socket_mode, owner, group, on_accept, d, why, why_size);
}

/* Gives the socket of the process before the path and the permissions that the configuration has
 * now. What cannot be done is logged and no error: clients that were handed over would be lost if
 * the daemon did not start. */
static struct listen *
follow_conf(struct daemon *d, struct listen *inherited)
{
	const struct conf *conf = d->site.conf;
	struct listen *l;
	char why[512];
	uid_t owner;
	gid_t group;

	if (!listen_is_at(inherited, conf->listen, (unsigned)conf->port)) {
		l = new_listener(d, why, sizeof why);
		if (l) {
			log_info("listen", LOG_ALONE, "moved",
				 LOG_TEXT("was", listen_path(inherited)),
				 LOG_TEXT("is", listen_path(l)));
			listen_hold(inherited);
			d->listen_before = inherited;
			return l;
		}
		log_warnx("listen", LOG_ALONE, "stays where it was",
			  LOG_TEXT("path", listen_path(inherited)), LOG_QUOTED("why", why));
	}
	if (find_owner(conf, &owner, &group, why, sizeof why) < 0 ||
	    listen_permit(inherited, (mode_t)conf->socket_mode, owner, group, why, sizeof why) < 0)
		log_warnx("listen", LOG_ALONE,
			  "socket_mode, socket_owner and socket_group are not in force",
			  LOG_TEXT("path", listen_path(inherited)), LOG_QUOTED("why", why));
	return inherited;
}

/* Returns the first that there is: the socket of the service manager, that of the process before, a
 * new one. NULL with a reason in `why`: none can be had. */
static struct listen *
start_listening(struct daemon *d, char *why, size_t why_size)
{
	const struct conf *conf = d->site.conf;
	char *path = socket_path(conf->listen, conf->port);
	int fd = sysd_take_listener(d->sysd, path, why, why_size);
	struct listen *inherited;

	free(path);
	if (fd >= 0)
		return listen_adopt(d->site.loop, fd, conf->listen, (unsigned)conf->port, on_accept,
				    d, why, why_size);
	if (fd != -E_NOTFOUND)
		return NULL;
	inherited = inherit_listener(d);
	return inherited ? follow_conf(d, inherited) : new_listener(d, why, why_size);
}

/* Removes the socket of the process before. Clients that have connected to it are accepted. */
static void
remove_socket_of_before(struct daemon *d)
{
	if (d->listen_before)
		listen_leave(d->listen_before);
	d->listen_before = NULL;
}

static int
start_serving(struct daemon *d, char *why, size_t why_size)
{
	const struct conf *conf = d->site.conf;

	d->site.listen = start_listening(d, why, why_size);
	if (d->site.listen == NULL)
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
	remove_socket_of_before(d);
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
	if (d->handover.map) {
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
	daemon_count_descriptors(d);
	d->site.loop = loop_new();
	d->threads = threads_new(d->site.loop, WORKERS, POOL_WORKERS);
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
	stop_listening(d);
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
