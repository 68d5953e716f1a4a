#include "cli/interrupt.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

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
