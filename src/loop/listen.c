#include "loop/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/ring.h"
#include "loop/timer.h"
#include "loop/watch.h"

#define RETRY_US         1000000
#define ACCEPTS_PER_WAKE 64 /* a storm of new clients must not starve the sessions */
#define FULL_WAKES       4  /* in a row, until more are tried at the next wake-up; at first */
#define FULL_WAKES_MAX   64 /* the same, if more were tried several times in vain */

struct listen {
	struct loop *loop;
	int fd;
	int lock_fd;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char lock_path[sizeof(((struct sockaddr_un *)0)->sun_path) + 8];
	struct watch_own watched; /* without a ring */
	/* With a ring, which tells that somebody waits. The ring does not accept: it would take all
	 * who wait at once, and with them the descriptors that servers need. */
	ring_id request;
	struct loop_ready ready; /* somebody waits */
	struct timer retry;
	unsigned tries; /* calls of accept4(2) at a wake-up; see accept_some() */
	unsigned full;  /* how often in a row all of them have given a client */
	unsigned wakes; /* FULL_WAKES to FULL_WAKES_MAX: if `full` is so many, more are tried */
	bool adopted;   /* by listen_adopt() */
	bool paused;    /* out of descriptors: `retry` or listen_resume() ends it */
	bool held;      /* by listen_hold() */
	void (*accepted)(void *, int);
	void *arg;
};

static void on_waiting(void *arg, const struct ring_result *);

/* ---- watching ---- */

static void
watch(struct listen *l)
{
	if (loop_ring(l->loop) == NULL)
		watch_set_own(loop_watches(l->loop), &l->watched, l->fd, EPOLLIN);
	else if (l->request == RING_NONE)
		l->request = ring_poll(loop_ring(l->loop), l->fd, on_waiting, l);
}

static void
watch_no_more(struct listen *l)
{
	if (loop_ring(l->loop) == NULL) {
		watch_set_own(loop_watches(l->loop), &l->watched, l->fd, 0);
		return;
	}
	ring_forget(loop_ring(l->loop), l->request);
	l->request = RING_NONE;
	loop_not_ready(l->loop, &l->ready);
}

static void
pause_accepting(struct listen *l)
{
	log_warn("listen", LOG_ALONE, "cannot accept", LOG_TEXT("path", l->path));
	watch_no_more(l);
	timer_start(&l->retry, RETRY_US);
	l->paused = true;
}

/* All tries of a wake-up have given a client: there may be more. */
static void
note_full(struct listen *l)
{
	if (l->tries > 1)
		l->wakes = FULL_WAKES;
	if (++l->full < l->wakes)
		return;
	l->full = 0;
	if (l->tries < ACCEPTS_PER_WAKE)
		l->tries *= 2;
	if (l->tries > ACCEPTS_PER_WAKE)
		l->tries = ACCEPTS_PER_WAKE;
}

/* Fewer clients were there than tries. If there was only one, it takes longer until a second try
 * is made again. */
static void
note_vain(struct listen *l, unsigned came)
{
	l->tries = came > 0 ? came : 1;
	l->full = 0;
	if (came > 1)
		l->wakes = FULL_WAKES;
	else if (l->wakes < FULL_WAKES_MAX)
		l->wakes *= 2;
}

/* Clients mostly come one by one, and then a second accept4(2) would find nobody each time. It
 * costs as much as one that finds somebody: the kernel makes a socket first. So no more is tried
 * than there were clients the last time; if the tries were too few for several wake-ups, twice as
 * many. Whoever is left raises the event again. */
static void
accept_some(struct listen *l)
{
	unsigned came = 0;

	for (unsigned i = 0; i < l->tries; i++) {
		int client = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (client >= 0) {
			l->accepted(l->arg, client);
			came++;
			continue;
		}
		if (errno == EINTR || errno == ECONNABORTED)
			continue;
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			note_vain(l, came);
		else
			pause_accepting(l);
		return;
	}
	if (came == l->tries)
		note_full(l);
}

static void
on_connection(struct watch *w, uint32_t events)
{
	struct listen *l = LIST_OBJ(w, struct listen, watched);

	accept_some(l);
	loop_event_done(l->loop);
}

static void
on_waiting(void *arg, const struct ring_result *got)
{
	struct listen *l = arg;

	l->request = RING_NONE;
	loop_ready(l->loop, &l->ready);
}

static void
on_ready(struct loop_ready *ready)
{
	struct listen *l = LIST_OBJ(ready, struct listen, ready);

	accept_some(l);
	if (!l->paused && !l->held)
		watch(l);
}

static void
end_accepting(struct listen *l)
{
	watch_no_more(l);
	timer_stop(&l->retry);
}

static void
on_retry(void *arg)
{
	listen_resume(arg);
}

void
listen_resume(struct listen *l)
{
	if (l == NULL || !l->paused || l->held)
		return;
	l->paused = false;
	timer_stop(&l->retry);
	watch(l);
}

/* The kernel drops the lock when its process dies. So a socket whose lock can be taken is a dead
 * daemon's. */
static int
take_lock(struct listen *l, char *why, size_t why_size)
{
	l->lock_fd = open(l->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (l->lock_fd < 0 && errno == ENOENT) {
		snprintf(why, why_size,
			 "cannot listen in the directory %.*s: %s (make it, or name another by the "
			 "option listen, or --listen)",
			 (int)(strrchr(l->path, '/') - l->path), l->path, strerror(errno));
		return -1;
	}
	if (l->lock_fd < 0) {
		snprintf(why, why_size, "cannot open %s: %s", l->lock_path, strerror(errno));
		return -1;
	}
	if (flock(l->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		snprintf(why, why_size, "%s is in use by another process", l->path);
		return -1;
	}
	return 0;
}

/* Owner and mode are set between bind() and listen(), when nobody can connect yet: so they are in
 * force before the first client. */
static int
make_socket(struct listen *l, mode_t mode, uid_t owner, gid_t group, char *why, size_t why_size)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	const char *call = "socket";

	memcpy(addr.sun_path, l->path, sizeof addr.sun_path);
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd < 0)
		goto fail;
	if (unlink(l->path) < 0 && errno != ENOENT) {
		call = "remove";
		goto fail;
	}
	call = "bind";
	if (bind(l->fd, (struct sockaddr *)&addr, sizeof addr) < 0)
		goto fail;
	call = "change the owner of";
	if ((owner != (uid_t)-1 || group != (gid_t)-1) && chown(l->path, owner, group) < 0)
		goto fail;
	call = "change the mode of";
	if (chmod(l->path, mode) < 0)
		goto fail;
	call = "listen on";
	if (listen(l->fd, SOMAXCONN) < 0)
		goto fail;
	return 0;
fail:
	snprintf(why, why_size, "cannot %s %s: %s", call, l->path, strerror(errno));
	return -1;
}

/* Makes the struct, without a socket yet. */
static struct listen *
alloc_listen(struct loop *loop, const char *dir, unsigned port, void (*accepted)(void *, int),
	     void *arg, char *why, size_t why_size)
{
	struct listen *l = mem_calloc(1, sizeof *l);
	int n = snprintf(l->path, sizeof l->path, "%s/.s.PGSQL.%u", dir, port);

	l->loop = loop;
	l->fd = l->lock_fd = -1;
	l->accepted = accepted;
	l->arg = arg;
	if (n >= (int)sizeof l->path) {
		snprintf(why, why_size, "the socket's path %s/.s.PGSQL.%u is longer than %zu bytes",
			 dir, port, sizeof l->path - 1);
		free(l);
		return NULL;
	}
	snprintf(l->lock_path, sizeof l->lock_path, "%s.lock", l->path);
	return l;
}

static void
start_accepting(struct listen *l)
{
	l->tries = ACCEPTS_PER_WAKE;
	l->wakes = FULL_WAKES;
	l->watched.fn = on_connection;
	timer_init(&l->retry, l->loop, on_retry, l);
	l->ready.fn = on_ready;
	watch(l);
}

static void
close_and_free(struct listen *l)
{
	if (l->fd >= 0)
		close(l->fd);
	if (l->lock_fd >= 0)
		close(l->lock_fd);
	free(l);
}

struct listen *
listen_new(struct loop *loop, const char *dir, unsigned port, mode_t mode, uid_t owner, gid_t group,
	   void (*accepted)(void *, int), void *arg, char *why, size_t why_size)
{
	struct listen *l = alloc_listen(loop, dir, port, accepted, arg, why, why_size);

	if (l == NULL)
		return NULL;
	if (take_lock(l, why, why_size) < 0 ||
	    make_socket(l, mode, owner, group, why, why_size) < 0) {
		close_and_free(l);
		return NULL;
	}
	start_accepting(l);
	return l;
}

struct listen *
listen_adopt(struct loop *loop, int fd, const char *dir, unsigned port,
	     void (*accepted)(void *, int), void *arg, char *why, size_t why_size)
{
	struct listen *l = alloc_listen(loop, dir, port, accepted, arg, why, why_size);
	int flags = fcntl(fd, F_GETFL);

	if (l == NULL) {
		close(fd);
		return NULL;
	}
	l->fd = fd;
	l->adopted = true;
	/* The lock may be missing: the directory may belong to the user who made the socket, and
	 * not be writable for this process. But it must not be another process's. */
	if (take_lock(l, why, why_size) < 0 && l->lock_fd >= 0) {
		close_and_free(l);
		return NULL;
	}
	/* The kernel tells clients the credentials of the process that called listen() last, and
	 * libpq's requirepeer checks them. */
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || listen(fd, SOMAXCONN) < 0) {
		snprintf(why, why_size, "cannot listen on %s: %s", l->path, strerror(errno));
		close_and_free(l);
		return NULL;
	}
	start_accepting(l);
	return l;
}

struct listen *
listen_inherit(struct loop *loop, int fd, int lock_fd, void (*accepted)(void *, int), void *arg)
{
	struct sockaddr_un addr = {0};
	socklen_t bytes = sizeof addr;
	struct listen *l = mem_calloc(1, sizeof *l);

	/* listen() again: the kernel tells clients the credentials of the process that called it
	 * last, and libpq's requirepeer checks them. */
	if (getsockname(fd, (struct sockaddr *)&addr, &bytes) < 0 || addr.sun_family != AF_UNIX ||
	    addr.sun_path[0] != '/' || listen(fd, SOMAXCONN) < 0) {
		free(l);
		return NULL;
	}
	l->loop = loop;
	l->accepted = accepted;
	l->arg = arg;
	snprintf(l->path, sizeof l->path, "%.*s", (int)sizeof addr.sun_path, addr.sun_path);
	snprintf(l->lock_path, sizeof l->lock_path, "%s.lock", l->path);
	l->fd = fd;
	l->lock_fd = lock_fd;
	start_accepting(l);
	return l;
}

bool
listen_is_at(const struct listen *l, const char *dir, unsigned port)
{
	char path[sizeof l->path];
	struct stat a, b;
	int n = snprintf(path, sizeof path, "%s/.s.PGSQL.%u", dir, port);

	if (n < (int)sizeof path && strcmp(path, l->path) == 0)
		return true;
	/* The same file may have two paths: /run and /var/run. */
	return n < (int)sizeof path && stat(path, &a) == 0 && stat(l->path, &b) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

bool
listen_is_there(const struct listen *l)
{
	struct stat st;

	return stat(l->path, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* The group that a new file in the socket's directory gets: unix(7), inode(7). */
static gid_t
new_group(const struct listen *l)
{
	char dir[sizeof l->path];
	struct stat st;

	snprintf(dir, sizeof dir, "%.*s", (int)(strrchr(l->path, '/') - l->path), l->path);
	return stat(*dir ? dir : "/", &st) == 0 && st.st_mode & S_ISGID ? st.st_gid : getegid();
}

int
listen_permit(struct listen *l, mode_t mode, uid_t owner, gid_t group, char *why, size_t why_size)
{
	struct stat st;
	const char *call = "look at";

	if (stat(l->path, &st) < 0)
		goto fail;
	if (owner == (uid_t)-1)
		owner = geteuid();
	if (group == (gid_t)-1)
		group = new_group(l);
	call = "change the owner of";
	if ((st.st_uid != owner || st.st_gid != group) && chown(l->path, owner, group) < 0)
		goto fail;
	call = "change the mode of";
	if ((st.st_mode & 07777) != mode && chmod(l->path, mode) < 0)
		goto fail;
	return 0;
fail:
	snprintf(why, why_size, "cannot %s %s: %s", call, l->path, strerror(errno));
	return -E_IO;
}

void
listen_leave(struct listen *l)
{
	int client;

	unlink(l->path);
	while ((client = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0 ||
	       errno == EINTR || errno == ECONNABORTED)
		if (client >= 0)
			l->accepted(l->arg, client);
	listen_free(l);
}

bool
listen_adopted(const struct listen *l)
{
	return l->adopted;
}

void
listen_hold(struct listen *l)
{
	if (l == NULL || l->held)
		return;
	l->held = true;
	end_accepting(l);
}

void
listen_release(struct listen *l)
{
	if (l == NULL || !l->held)
		return;
	l->held = l->paused = false;
	watch(l);
}

void
listen_free(struct listen *l)
{
	if (l == NULL)
		return;
	end_accepting(l);
	if (!l->adopted)
		unlink(l->path);
	if (l->lock_fd >= 0)
		unlink(l->lock_path);
	close_and_free(l);
}

int
listen_fd(const struct listen *l)
{
	return l->fd;
}

int
listen_lock_fd(const struct listen *l)
{
	return l->lock_fd;
}

const char *
listen_path(const struct listen *l)
{
	return l->path;
}
