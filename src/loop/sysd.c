#include "loop/sysd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#ifdef HAVE_LIBSYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/fdstore.h"
#include "loop/loop.h"

/* A descriptor that was handed down; -1 once it has been taken. */
struct handed {
	int fd;
	char *name; /* FileDescriptorName= of its unit */
};

struct sysd {
	struct handed *handed;
	unsigned nhanded;
	const char *unusable; /* why the handed-down descriptors cannot be used; or NULL */
	bool listened_to;     /* there is a NOTIFY_SOCKET */
	uint64_t watchdog_us; /* the manager waits so long for a sign of life; 0: for none */
	int64_t sign_us;      /* when the last sign of life was sent; 0: none yet */
	int64_t extended_us;  /* when the last extension was asked for; 0: none yet */
	int64_t status_us;    /* when sysd_status() last sent the status */
	char *status;         /* the status that was sent last */
};

/* Is the variable of the environment set, and not empty? */
static bool
is_set(const char *variable)
{
	const char *value = getenv(variable);

	return value && *value;
}

#ifdef HAVE_LIBSYSTEMD
static void
take_descriptors(struct sysd *s)
{
	char **names = NULL;
	int count = sd_listen_fds_with_names(1, &names);

	if (count < 0) {
		s->unusable = "LISTEN_FDS or LISTEN_FDNAMES cannot be understood";
		return;
	}
	if (count == 0)
		return;
	s->handed = mem_calloc((size_t)count, sizeof *s->handed);
	for (int i = 0; i < count; i++) {
		if (!fdstore_has(names[i]))
			s->handed[s->nhanded++] =
			    (struct handed){SD_LISTEN_FDS_START + i, mem_strdup(names[i])};
		free(names[i]);
	}
	free(names);
}

static void
take_watchdog(struct sysd *s)
{
	int r = sd_watchdog_enabled(1, &s->watchdog_us);

	if (r < 0)
		log_warnx("sysd", LOG_ALONE, "WATCHDOG_USEC or WATCHDOG_PID cannot be understood");
	if (r <= 0)
		s->watchdog_us = 0;
	else
		log_info("sysd", LOG_ALONE, "watched", LOG_S("signs", (int64_t)s->watchdog_us / 2));
}

static void
read_environment(struct sysd *s)
{
	take_descriptors(s);
	s->listened_to = is_set("NOTIFY_SOCKET");
	take_watchdog(s);
}

static int
notify(const char *text)
{
	return sd_notify(0, text);
}
#else
static void
read_environment(struct sysd *s)
{
	if (fdstore_others() > 0)
		s->unusable = "pgwithd is built without libsystemd";
	if (is_set("NOTIFY_SOCKET"))
		log_warnx("sysd", LOG_ALONE,
			  "the service manager is not told anything: pgwithd is built without "
			  "libsystemd");
}

static int
notify(const char *text)
{
	return 0;
}
#endif

struct sysd *
sysd_new(void)
{
	struct sysd *s = mem_calloc(1, sizeof *s);

	s->status = mem_strdup("");
	read_environment(s);
	return s;
}

void
sysd_free(struct sysd *s)
{
	if (s == NULL)
		return;
	for (unsigned i = 0; i < s->nhanded; i++) {
		if (s->handed[i].fd >= 0)
			close(s->handed[i].fd);
		free(s->handed[i].name);
	}
	free(s->handed);
	free(s->status);
	free(s);
}

/* ---- socket activation ---- */

/* Fills `path` with the place where the descriptor listens. Returns false if it is not a listening
 * Unix socket that has a file. */
static bool
listens_at(int fd, char *path, size_t size)
{
	struct sockaddr_un addr = {0};
	socklen_t bytes = sizeof addr, of_int = sizeof(int);
	int type = 0, listening = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &of_int) < 0 || type != SOCK_STREAM ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &of_int) < 0 || !listening ||
	    getsockname(fd, (struct sockaddr *)&addr, &bytes) < 0 || addr.sun_family != AF_UNIX ||
	    addr.sun_path[0] == 0)
		return false;
	snprintf(path, size, "%.*s", (int)sizeof addr.sun_path, addr.sun_path);
	return true;
}

/* The same file may have two paths: /run and /var/run. */
static bool
same_file(const char *a, const char *b)
{
	struct stat x, y;

	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static int
check_listener(const struct handed *h, const char *path, char *why, size_t why_size)
{
	char at[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];

	if (!listens_at(h->fd, at, sizeof at)) {
		snprintf(why, why_size,
			 "the service manager has handed down \"%s\", which is no listening Unix "
			 "socket",
			 h->name);
		return -E_STATE;
	}
	if (access(at, F_OK) < 0) {
		snprintf(why, why_size,
			 "the service manager has handed down the socket \"%s\", whose path %s is "
			 "gone; stop its unit and start it again",
			 h->name, at);
		return -E_STATE;
	}
	if (!same_file(at, path)) {
		snprintf(why, why_size,
			 "the service manager has handed down the socket \"%s\" at %s; the "
			 "configuration's listen and port make it %s",
			 h->name, at, path);
		return -E_STATE;
	}
	return 0;
}

int
sysd_take_listener(struct sysd *s, const char *path, char *why, size_t why_size)
{
	int fd;

	if (s->unusable) {
		snprintf(why, why_size, "the service manager has handed down sockets: %s",
			 s->unusable);
		return -E_STATE;
	}
	if (s->nhanded == 0)
		return -E_NOTFOUND;
	for (unsigned i = 0; i < s->nhanded; i++)
		if (check_listener(&s->handed[i], path, why, why_size) < 0)
			return -E_STATE;
	if (s->nhanded > 1) {
		snprintf(why, why_size, "the service manager has handed down %u sockets at %s",
			 s->nhanded, path);
		return -E_STATE;
	}
	fd = s->handed[0].fd;
	s->handed[0].fd = -1;
	return fd;
}

/* ---- the state of the service ---- */

static void __attribute__((format(printf, 2, 3))) tell_manager(struct sysd *s, const char *fmt, ...)
{
	va_list ap;
	char *text;
	int r;

	if (!s->listened_to)
		return;
	va_start(ap, fmt);
	text = mem_vprintf(fmt, ap);
	va_end(ap);
	r = notify(text);
	if (r < 0) {
		errno = -r;
		log_warn("sysd", LOG_ALONE, "cannot tell the service manager");
	}
	free(text);
}

static void
keep_status(struct sysd *s, const char *status)
{
	free(s->status);
	s->status = mem_strdup(status);
}

void
sysd_ready(struct sysd *s, const char *status)
{
	keep_status(s, status);
	tell_manager(s, "READY=1\nSTATUS=%s", status);
}

void
sysd_reloading(struct sysd *s)
{
	struct timespec now;

	/* Not the time of the loop's turn, because systemd takes only a time later than that at
	 * which it asked for the reload. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	tell_manager(s, "RELOADING=1\nMONOTONIC_USEC=%" PRId64,
		     (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

void
sysd_stopping(struct sysd *s, const char *status)
{
	keep_status(s, status);
	tell_manager(s, "STOPPING=1\nSTATUS=%s", status);
}

void
sysd_status(struct sysd *s, int64_t now_us, const char *status)
{
	if (!s->listened_to || now_us - s->status_us < SYSD_STATUS_US ||
	    strcmp(s->status, status) == 0)
		return;
	s->status_us = now_us;
	keep_status(s, status);
	tell_manager(s, "STATUS=%s", status);
}

void
sysd_extend(struct sysd *s, int64_t now_us)
{
	if (s->extended_us != 0 && now_us - s->extended_us < SYSD_EXTEND_US / 4)
		return;
	s->extended_us = now_us;
	tell_manager(s, "EXTEND_TIMEOUT_USEC=%d", SYSD_EXTEND_US);
}

bool
sysd_is_impatient(const struct sysd *s)
{
	return s->watchdog_us > 0 && s->watchdog_us < 4 * LOOP_REST_US;
}

void
sysd_sweep(struct sysd *s, int64_t now_us)
{
	if (s->watchdog_us == 0 ||
	    (s->sign_us != 0 && now_us - s->sign_us < (int64_t)(s->watchdog_us / 2)))
		return;
	s->sign_us = now_us;
	tell_manager(s, "WATCHDOG=1");
}
