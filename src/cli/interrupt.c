#include "cli/interrupt.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/units.h"
#include "cli/clock.h"

static int fd = -1;

static void
signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
}

int
interrupt_fd(void)
{
	sigset_t set;

	if (fd >= 0)
		return fd;
	signals(&set);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd >= 0)
		sigprocmask(SIG_BLOCK, &set, NULL);
	return fd;
}

int
interrupt_watched(void)
{
	return fd;
}

int
interrupt_take(void)
{
	struct signalfd_siginfo info;

	if (read(interrupt_fd(), &info, sizeof info) != sizeof info)
		return 0;
	return (int)info.ssi_signo;
}

void
interrupt_release(void)
{
	sigset_t set;

	signals(&set);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

enum came
interrupt_wait(int socket, short events, int64_t deadline, int signals_fd)
{
	for (;;) {
		struct pollfd p[] = {{.fd = socket, .events = events},
				     {.fd = signals_fd, .events = POLLIN}};
		int64_t left_ms = deadline ? (deadline - clock_us() + UNIT_MS - 1) / UNIT_MS : -1;
		int r;

		if (deadline && left_ms <= 0)
			return CAME_TIME;
		r = poll(p, 2, left_ms > 60000 ? 60000 : (int)left_ms);
		if (r > 0)
			return p[0].revents ? CAME_ANSWER : CAME_SIGNAL;
		if (r < 0 && errno != EINTR)
			return CAME_TIME;
	}
}
