#include "loop/fdstore.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"

#define FIRST_FD  3     /* handed-down descriptors have the numbers from this one on */
#define SETTLE_MS 20000 /* long, as PID 1 may be busy */
#define BAG_FDS   253   /* descriptors in one message at most: SCM_MAX_FD of Linux */
#define SEND_S    5     /* a supervisor that does not read must not stop pgwithd for ever */

/* The address of NOTIFY_SOCKET. False: there is none. */
static bool
supervisor_address(struct sockaddr_un *addr, socklen_t *bytes)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t n = path ? strlen(path) : 0;

	if (n < 2 || n >= sizeof addr->sun_path || (*path != '/' && *path != '@'))
		return false;
	memset(addr, 0, sizeof *addr);
	addr->sun_family = AF_UNIX;
	memcpy(addr->sun_path, path, n);
	if (*path == '@')
		addr->sun_path[0] = 0;
	*bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	return true;
}

bool
fdstore_there(void)
{
	struct sockaddr_un addr;
	socklen_t bytes;

	return supervisor_address(&addr, &bytes);
}

size_t
fdstore_max(void)
{
	const char *text = getenv("FDSTORE");
	char *end = NULL;
	unsigned long n = text ? strtoul(text, &end, 10) : 0;

	return end == NULL || end == text || *end ? SIZE_MAX : n;
}

/* Sends one datagram to the supervisor; `fd` goes with it unless it is -1. */
static int
send_to_supervisor(const char *text, int fd)
{
	static const struct timeval patience = {SEND_S, 0};
	struct sockaddr_un addr;
	socklen_t bytes;
	struct iovec iov = {.iov_base = (char *)text, .iov_len = strlen(text)};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr msg = {.msg_name = &addr, .msg_iov = &iov, .msg_iovlen = 1};
	int s, saved;
	ssize_t n;

	if (!supervisor_address(&addr, &bytes)) {
		errno = ENOTCONN;
		return -E_IO;
	}
	msg.msg_namelen = bytes;
	if (fd >= 0) {
		msg.msg_control = control.space;
		msg.msg_controllen = sizeof control.space;
		control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof fd),
						  .cmsg_level = SOL_SOCKET,
						  .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
	}
	s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s < 0)
		return -E_IO;
	setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	do
		n = sendmsg(s, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	saved = errno;
	close(s);
	errno = saved;
	return n < 0 ? -E_IO : 0;
}

int
fdstore_keep(const char *name, int fd)
{
	char text[FDSTORE_NAME_MAX + 64];

	/* FDPOLL=0: the supervisor keeps a connection even when its other end hangs up, because the
	 * next pgwithd must see that and close it. */
	snprintf(text, sizeof text, "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
	return send_to_supervisor(text, fd);
}

/* Sends up to BAG_FDS descriptors into the bag. */
static int
fill_bag(int bag, const int *fds, size_t count)
{
	struct iovec iov = {.iov_base = "", .iov_len = 1};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(BAG_FDS * sizeof *fds)];
	} control = {0};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.space,
			     .msg_controllen = CMSG_SPACE(count * sizeof *fds)};
	ssize_t n;

	control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(count * sizeof *fds),
					  .cmsg_level = SOL_SOCKET,
					  .cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(&control.header), fds, count * sizeof *fds);
	do
		n = sendmsg(bag, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n == 1 ? 0 : -E_IO;
}

int
fdstore_keep_bag(const char *name, const int *fds, size_t count)
{
	int ends[2], r = 0, saved;

	/* A stream socket bounds the bytes that wait in it; a datagram socket would bound the
	 * number of messages, and much lower. */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -E_IO;
	for (size_t i = 0; i < count && r == 0; i += BAG_FDS)
		r = fill_bag(ends[1], fds + i, count - i < BAG_FDS ? count - i : BAG_FDS);
	if (r == 0)
		r = fdstore_keep(name, ends[0]);
	saved = errno;
	close(ends[0]);
	close(ends[1]);
	errno = saved;
	return r;
}

int
fdstore_forget(const char *name)
{
	char text[FDSTORE_NAME_MAX + 64];

	snprintf(text, sizeof text, "FDSTOREREMOVE=1\nFDNAME=%s", name);
	return send_to_supervisor(text, -1);
}

/* sd_notify_barrier(3): the supervisor closes its end of the pipe once it gets to this message. */
int
fdstore_wait(void)
{
	struct pollfd wait;
	int ends[2], r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -E_IO;
	r = send_to_supervisor("BARRIER=1", ends[1]);
	close(ends[1]);
	wait = (struct pollfd){.fd = ends[0]};
	if (r == 0 && poll(&wait, 1, SETTLE_MS) != 1) {
		errno = ETIMEDOUT;
		r = -E_IO;
	}
	close(ends[0]);
	return r;
}

/* How many descriptors were handed down. False: none, or they were meant for another process. */
static bool
count_handed(unsigned *count)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");

	if (pid == NULL || fds == NULL || strtoul(pid, NULL, 10) != (unsigned long)getpid())
		return false;
	*count = (unsigned)strtoul(fds, NULL, 10);
	return *count > 0 && *count <= 1000000;
}

uint64_t
fdstore_cookie(int fd)
{
	uint64_t cookie = 0;
	socklen_t bytes = sizeof cookie;

	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &bytes) < 0 ? 0 : cookie;
}

bool
fdstore_has(const char *name)
{
	return strncmp(name, FDSTORE_PREFIX, sizeof FDSTORE_PREFIX - 1) == 0;
}

static int
by_cookie(const void *a, const void *b)
{
	const struct fdstore_fd *x = a, *y = b;

	return x->cookie < y->cookie ? -1 : x->cookie > y->cookie;
}

/* Calls fn() for each descriptor that was handed down to this process. `name` has `bytes` bytes and
 * no NUL behind them. */
static void
each_handed(void (*fn)(void *arg, int fd, const char *name, size_t bytes), void *arg)
{
	const char *names = getenv("LISTEN_FDNAMES");
	unsigned count;

	if (!count_handed(&count))
		return;
	if (names == NULL)
		names = "";
	for (unsigned i = 0; i < count; i++) {
		size_t bytes = strcspn(names, ":");

		fn(arg, FIRST_FD + (int)i, names, bytes);
		names += names[bytes] ? bytes + 1 : bytes;
	}
}

struct taken {
	struct fdstore_fd *list;
	size_t count, room;
};

static void
add_taken(struct taken *t, int fd, const char *name, size_t bytes)
{
	if (t->count == t->room) {
		t->room = t->room ? 2 * t->room : 64;
		t->list = mem_realloc(t->list, t->room * sizeof *t->list);
	}
	t->list[t->count++] = (struct fdstore_fd){
	    .name = mem_strndup(name, bytes), .fd = fd, .cookie = fdstore_cookie(fd)};
}

/* Takes one message out of the bag; false: there is no other. The kernel closes descriptors for
 * which this process has no room (RLIMIT_NOFILE). */
static bool
empty_bag(struct taken *t, int bag, const char *name, size_t bytes)
{
	char byte;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(BAG_FDS * sizeof(int))];
	} control;
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.space,
			     .msg_controllen = sizeof control.space};
	struct cmsghdr *c;
	ssize_t n;

	do
		n = recvmsg(bag, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return false;
	for (c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		const unsigned char *at = CMSG_DATA(c), *end = (unsigned char *)c + c->cmsg_len;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (int fd; at + sizeof fd <= end; at += sizeof fd) {
			memcpy(&fd, at, sizeof fd);
			add_taken(t, fd, name, bytes);
		}
	}
	return true;
}

static void
take_handed(void *arg, int fd, const char *name, size_t bytes)
{
	int flags = fcntl(fd, F_GETFD);

	if (!fdstore_has(name) || flags < 0)
		return;
	fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
	if (strncmp(name, FDSTORE_BAG, sizeof FDSTORE_BAG - 1) != 0) {
		add_taken(arg, fd, name, bytes);
		return;
	}
	while (empty_bag(arg, fd, name, bytes))
		;
	/* The bag stays open: sd_listen_fds(3) expects all handed-down descriptors to be open. */
	add_taken(arg, fd, FDSTORE_BAG, sizeof FDSTORE_BAG - 1);
}

size_t
fdstore_take(struct fdstore_fd **out)
{
	struct taken t = {0};

	*out = NULL;
	each_handed(take_handed, &t);
	if (t.count == 0)
		return 0;
	qsort(t.list, t.count, sizeof *t.list, by_cookie);
	*out = t.list;
	return t.count;
}

static void
count_other(void *arg, int fd, const char *name, size_t bytes)
{
	unsigned *count = arg;

	*count += !fdstore_has(name);
}

unsigned
fdstore_others(void)
{
	unsigned count = 0;

	each_handed(count_other, &count);
	return count;
}

void
fdstore_free(struct fdstore_fd *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (list[i].fd >= 0)
			close(list[i].fd);
		free(list[i].name);
	}
	free(list);
}
