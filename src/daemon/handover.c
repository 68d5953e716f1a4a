#include "daemon/handover.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "daemon/daemon.h"
#include "daemon/holding.h"
#include "daemon/session_pack.h"
#include "daemon/statefile.h"
#include "executor/executor.h"
#include "executor/joint_pack.h"
#include "pool/handover.h"
#include "pool/renew.h"
#include "session/end.h"
#include "session/limited.h"
#include "session/named.h"
#include "wire/msg.h"

#define OTHER_FDS 5    /* kept beside those of servers: state, two of clients, socket, lock */
#define LOOK_US   5000 /* from one look whether all is ready to the next */
#define STATE     FDSTORE_PREFIX "state"
#define CLIENTS   FDSTORE_BAG "clients"
#define MIDDLE    FDSTORE_BAG "middle" /* clients that have got a part of a message */
#define SERVER    FDSTORE_PREFIX "server-"
#define STATE_MAX BUF_MAX

/* ---- holding ---- */

/* handover_timeout has passed. The first call ends sessions and servers that cannot be handed over;
 * the next ones close those that are still there. */
static void
force(struct daemon *d)
{
	log_warnx("pgwithd", LOG_ALONE, "handover_timeout: what cannot be handed over is ended",
		  LOG_NUMBER("sessions", site_sessions(&d->site)));
	holding_force(d);
	handover_pools_force(&d->site.pools, "it cannot be handed over");
	d->handover.forced = true;
}

static void
stop_holding(struct daemon *d)
{
	d->handover.state = HANDOVER_OFF;
	holding_read_again(d);
	handover_read_again(&d->site.pools);
	listen_release(d->site.listen);
	handover_release_pools(&d->site.pools);
	session_pack_resume(d);
}

/* ---- giving ---- */

static const char *
client_bag(const struct session *s)
{
	const struct server *srv = s->hold->lease.srv;
	/* No error can be put into the middle of a message. */
	bool between = stream_queued(&s->stream) == 0 && session_was_let_in(s) &&
		       (srv == NULL || srv->progress.from_have == 0 || srv->progress.from_drop);

	return between ? CLIENTS : MIDDLE;
}

/* Can the text stand in the name of a descriptor? systemd's rule is in its fdname_is_valid(). */
static bool
is_name(const char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text >= 127 || *text == ':')
			return false;
	return true;
}

/* Writes the name of a server's descriptor. The next process can cancel the server's query by it if
 * the state is lost. */
static void
server_name(char *out, size_t size, const struct server *srv)
{
	const char *path = cancel_path(&srv->place, srv->stream.fd);

	if (path == NULL || !is_name(path))
		path = "";
	snprintf(out, size, SERVER "%llu-%d-%u-%s", (unsigned long long)srv->id, srv->backend_pid,
		 srv->key.key, path);
}

typedef int fd_fn(void *arg, const char *name, int fd);

/* fn() for the socket and its lock. A socket that the supervisor has made needs neither: the
 * supervisor hands it down itself, and the lock is free when this process has ended. */
static int
listener_fds(const struct daemon *d, fd_fn *fn, void *arg)
{
	int r;

	if (d->site.listen == NULL || listen_adopted(d->site.listen))
		return 0;
	r = fn(arg, HANDOVER_LOCK, listen_lock_fd(d->site.listen));
	return r < 0 ? r : fn(arg, HANDOVER_LISTEN, listen_fd(d->site.listen));
}

static int
server_fds(const struct daemon *d, fd_fn *fn, void *arg)
{
	char name[FDSTORE_NAME_MAX];
	struct list_node *n, *l;
	int r = 0;

	LIST_EACH (n, &d->site.pools.list)
		for (int i = 0; i < 2 * SERVER_CLOSED; i++) {
			struct pool *pool = LIST_OBJ(n, struct pool, node);

			LIST_EACH (l, i < SERVER_CLOSED ? &pool->servers[i]
							: &pool->kept[i - SERVER_CLOSED]) {
				struct server *srv = LIST_OBJ(l, struct server, node);

				server_name(name, sizeof name, srv);
				if (r == 0)
					r = fn(arg, name, srv->stream.fd);
			}
		}
	return r;
}

static int
keep_clients(const struct daemon *d, const char *bag)
{
	int *fds = mem_calloc(site_sessions(&d->site) + d->site.joints.count + 1, sizeof *fds);
	int r = 0;
	struct list_node *n;
	size_t count = 0;

	for (int i = 0; i < SESSION_CLOSED; i++)
		LIST_EACH (n, &d->site.in_state[i]) {
			const struct session *s = LIST_OBJ(n, const struct session, node);

			if (strcmp(client_bag(s), bag) == 0)
				fds[count++] = s->stream.fd;
		}
	if (strcmp(bag, CLIENTS) == 0)
		count += joints_fds(&d->site, fds + count);
	if (count > 0)
		r = fdstore_keep_bag(bag, fds, count);
	free(fds);
	return r;
}

/* fn() for every descriptor that is kept by itself. Returns 0, or what fn() returned first. */
static int
each_fd(const struct daemon *d, fd_fn *fn, void *arg)
{
	int r = listener_fds(d, fn, arg);

	return r < 0 ? r : server_fds(d, fn, arg);
}

static int
count_name(void *arg, const char *name, int fd)
{
	size_t *bytes = arg;

	*bytes += strlen(name) + 1;
	return 0;
}

static int
keep_fd(void *arg, const char *name, int fd)
{
	return fdstore_keep(name, fd);
}

static int
forget_fd(void *arg, const char *name, int fd)
{
	fdstore_forget(name);
	return 0;
}

static void
forget_common(void)
{
	fdstore_forget(HANDOVER_LOCK);
	fdstore_forget(HANDOVER_LISTEN);
	fdstore_forget(CLIENTS);
	fdstore_forget(MIDDLE);
}

static int
give_to_supervisor(struct daemon *d, size_t *bytes)
{
	struct buf state;
	struct pack p;
	size_t names = sizeof STATE + sizeof CLIENTS + sizeof MIDDLE;
	int fd = -1, r = -E_IO;

	each_fd(d, count_name, &names);
	buf_init(&state, STATE_MAX);
	pack_writer(&p, &state);
	session_pack_all(&p, d);
	*bytes = state.len;
	if (state.failed || names > FDSTORE_NAMES_MAX)
		errno = E2BIG;
	else
		fd = statefile_write(&state);
	buf_clear(&state);
	if (fd < 0)
		return -E_IO;
	if (each_fd(d, keep_fd, NULL) == 0 && keep_clients(d, CLIENTS) == 0 &&
	    keep_clients(d, MIDDLE) == 0 && fdstore_keep(STATE, fd) == 0)
		r = fdstore_wait();
	close(fd);
	return r;
}

static unsigned
count_servers(const struct pools *all)
{
	struct list_node *n;
	unsigned count = 0;

	LIST_EACH (n, &all->list)
		count += LIST_OBJ(n, struct pool, node)->count;
	return count;
}

static void
hand_over(struct daemon *d)
{
	size_t bytes;
	int64_t took = loop_now_us(d->site.loop) - d->handover.since_us;

	handover_stop_reading(&d->site.pools);
	joints_hold(&d->site, true);
	loop_settle(d->site.loop);
	if (give_to_supervisor(d, &bytes) < 0) {
		log_warn("pgwithd", LOG_ALONE, "cannot hand over");
		fdstore_forget(STATE);
		forget_common();
		server_fds(d, forget_fd, NULL);
		stop_holding(d);
		if (d->handover.ends)
			daemon_drain(d);
		return;
	}
	log_info("pgwithd", LOG_ALONE, "handed over",
		 LOG_NUMBER("sessions", site_sessions(&d->site)),
		 LOG_NUMBER("servers", count_servers(&d->site.pools)), LOG_NUMBER("bytes", bytes),
		 LOG_MS("waited", took));
	log_info("pgwithd", LOG_ALONE, "ends");
	log_flush();
	program_settle(COMMANDS_US);
	/* Here and now: bytes that this turn of the loop still read would be lost, and a signal
	 * would drain what belongs to the next process. Nothing is closed, because clients and
	 * servers would notice. */
	_exit(EXIT_SUCCESS);
}

static void
hand_over_if_ready(void *arg)
{
	struct daemon *d = arg;
	struct handover *h = &d->handover;

	if (h->state != HANDOVER_HOLDING || d->site.phase != SITE_RUNNING)
		return;
	holding_stop_reading(d);
	if (loop_now_us(d->site.loop) - h->since_us >= d->site.conf->handover_timeout_us &&
	    !holding_is_ready(d))
		force(d);
	if (holding_is_ready(d))
		hand_over(d);
	else
		timer_start(&h->timer, LOOK_US);
}

/* Would the next process start? If not, all clients would be lost without a word. */
static bool
configuration_is_good(const struct daemon *d)
{
	struct conf_problems problems;
	struct conf *next = conf_read(d->input, &problems);
	bool good;

	if (next)
		renew_check(next, &problems);
	good = next && problems.count == 0;
	conf_free(next);
	conf_problems_clear(&problems);
	return good;
}

/* Returns why there can be no handover now, or NULL. */
static const char *
obstacle(const struct daemon *d)
{
	if (d->handover.state != HANDOVER_OFF || d->site.phase != SITE_RUNNING)
		return "it ends already";
	if (!fdstore_there())
		return "nobody keeps descriptors";
	if (count_servers(&d->site.pools) + OTHER_FDS > fdstore_max())
		return "FileDescriptorStoreMax is too small for the servers";
	if (!configuration_is_good(d))
		return "the configuration cannot be used, see pgwithd -t";
	return NULL;
}

bool
handover_begin(struct daemon *d, bool ends)
{
	struct handover *h = &d->handover;
	const char *why = obstacle(d);

	if (why) {
		log_warnx("pgwithd", LOG_ALONE, "no handover", LOG_QUOTED("why", why));
		return false;
	}
	log_info("pgwithd", LOG_ALONE, "hands over",
		 LOG_NUMBER("sessions", site_sessions(&d->site)),
		 LOG_NUMBER("leased_or_cleaning", pools_busy(&d->site.pools)));
	h->state = HANDOVER_HOLDING;
	h->since_us = loop_now_us(d->site.loop);
	h->forced = false;
	h->ends = ends;
	listen_hold(d->site.listen);
	handover_hold_pools(&d->site.pools);
	timer_init(&h->timer, d->site.loop, hand_over_if_ready, d);
	hand_over_if_ready(d);
	return true;
}

void
handover_abort(struct daemon *d)
{
	if (d->handover.state != HANDOVER_HOLDING)
		return;
	timer_stop(&d->handover.timer);
	stop_holding(d);
}

/* ---- taking ---- */

static struct fdstore_fd *
find_fd(struct daemon *d, const char *name)
{
	for (size_t i = 0; i < d->handover.nfds; i++)
		if (d->handover.fds[i].fd >= 0 && strcmp(d->handover.fds[i].name, name) == 0)
			return &d->handover.fds[i];
	return NULL;
}

static int
take_descriptor(struct fdstore_fd *f)
{
	int fd = f ? f->fd : -1;

	if (f)
		f->fd = -1;
	return fd;
}

int
handover_take_fd(struct daemon *d, const char *name)
{
	return take_descriptor(find_fd(d, name));
}

void
handover_take(struct daemon *d)
{
	d->handover.nfds = fdstore_take(&d->handover.fds);
}

void
handover_open(struct daemon *d)
{
	struct handover *h = &d->handover;
	const char *wrong = "there is none";
	int fd;

	if (h->nfds == 0)
		return;
	fd = handover_take_fd(d, STATE);
	/* If this process crashes over the state, the next one must not try it again. */
	fdstore_forget(STATE);
	if (fd >= 0) {
		wrong = statefile_map(&h->state_before, fd);
		close(fd);
	}
	if (wrong) {
		statefile_unmap(&h->state_before);
		log_warnx("pgwithd", LOG_ALONE, "state not taken over, starts afresh",
			  LOG_NUMBER("descriptors", h->nfds), LOG_QUOTED("why", wrong));
		return;
	}
	d->site.pools.handing = true;
}

/* A descriptor that no session or server has taken: cancels what runs on a server, tells a client
 * that its session is over. */
static void
end_descriptor(struct daemon *d, struct fdstore_fd *f)
{
	unsigned long long id;
	unsigned key;
	int pid, path = 0;
	struct cancel_place place;
	struct buf out;
	struct err e;

	if (sscanf(f->name, SERVER "%llu-%d-%u-%n", &id, &pid, &key, &path) == 3 && path > 0) {
		cancel_find(&place, f->fd, f->name + path);
		cancel_abandon(d->threads, id, take_descriptor(f), &place, pid, key);
		return;
	}
	if (strcmp(f->name, CLIENTS) == 0) {
		err_make(&e, ERR_SHUTDOWN);
		buf_init(&out, 4096);
		msg_report(&out, 'E', "FATAL", e.sqlstate, e.message, e.detail, e.hint);
		send(f->fd, buf_data(&out), out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
		buf_clear(&out);
		err_clear(&e);
	}
}

static void
forget_fds(struct daemon *d)
{
	struct handover *h = &d->handover;

	if (h->nfds > 0)
		forget_common();
	for (size_t i = 0; i < h->nfds; i++) {
		if (strncmp(h->fds[i].name, SERVER, sizeof SERVER - 1) == 0)
			fdstore_forget(h->fds[i].name);
		if (h->fds[i].fd >= 0)
			end_descriptor(d, &h->fds[i]);
	}
	fdstore_free(h->fds, h->nfds);
	h->fds = NULL;
	h->nfds = 0;
}

static int
compare_cookie(const void *key, const void *fd)
{
	const uint64_t cookie = *(const uint64_t *)key,
		       other = ((const struct fdstore_fd *)fd)->cookie;

	return cookie < other ? -1 : cookie > other;
}

static int
take_client(void *arg, uint64_t cookie)
{
	struct handover *h = &((struct daemon *)arg)->handover;

	return take_descriptor(
	    bsearch(&cookie, h->fds, h->nfds, sizeof(struct fdstore_fd), compare_cookie));
}

/* Finds the descriptor by "server-12-", the beginning of its name: the rest is not known. */
static int
take_server(void *arg, uint64_t id)
{
	struct daemon *d = arg;
	char begin[FDSTORE_NAME_MAX];
	int n = snprintf(begin, sizeof begin, SERVER "%llu-", (unsigned long long)id);

	for (size_t i = 0; i < d->handover.nfds; i++)
		if (d->handover.fds[i].fd >= 0 &&
		    strncmp(d->handover.fds[i].name, begin, (size_t)n) == 0)
			return take_descriptor(&d->handover.fds[i]);
	return -1;
}

int
handover_read(struct daemon *d)
{
	struct handover *h = &d->handover;
	struct pack p;
	bool failed;

	if (h->state_before.map == NULL) {
		forget_fds(d);
		return 0;
	}
	statefile_reader(&h->state_before, &p);
	session_pack_read(&p, d, take_client, take_server);
	failed = p.failed || p.left > 0;
	statefile_unmap(&h->state_before);
	if (failed) {
		log_error("pgwithd", LOG_ALONE,
			  "the state of the process before is not understood");
		return -E_SYNTAX;
	}
	forget_fds(d);
	limited_renew(&d->site);
	handover_release_pools(&d->site.pools);
	session_pack_resume(d);
	log_info("pgwithd", LOG_ALONE, "taken over",
		 LOG_NUMBER("sessions", site_sessions(&d->site)),
		 LOG_NUMBER("servers", count_servers(&d->site.pools)));
	return 0;
}
