#include "cli/run/child.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/run/run.h"

void
child_keep_descriptors(void)
{
	/* open(2) takes the lowest number that is free. */
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/* ---- the start ---- */

/* All signals that can be passed on, and SIGCHLD. Those of a fault stay: they are of the process in
 * which the fault is. */
static void
passed_on(sigset_t *set)
{
	static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};

	sigfillset(set);
	for (unsigned i = 0; i < sizeof faults / sizeof *faults; i++)
		sigdelset(set, faults[i]);
}

/* In the new process: executes the program. Returns the errno if that fails. */
static int
execute(const struct child *c, pid_t parent, char **words, char **environment)
{
	/* The kernel tells the program to end if pgwith is killed. If pgwith was killed before this
	 * line, the parent is another process already. */
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
		return errno;
	if (getppid() != parent)
		_exit(RUN_FAILED);
	sigaction(SIGCHLD, &c->on_child, NULL);
	sigprocmask(SIG_SETMASK, &c->mask, NULL);
	execvpe(*words, words, environment);
	return errno;
}

int
child_start(struct child *c, char **words, char **environment)
{
	struct sigaction by_default = {.sa_handler = SIG_DFL};
	pid_t parent = getpid();
	int told[2], e = 0;
	sigset_t all;

	*c = (struct child){.signals = -1, .others = descendants_direct()};
	/* A process that the program has started becomes our child if its parent ends: so
	 * child_end() finds it. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (pipe2(told, O_CLOEXEC) < 0)
		return -errno;
	passed_on(&all);
	/* If SIGCHLD is ignored, the kernel keeps no exit status for waitpid(2). */
	sigaction(SIGCHLD, &by_default, &c->on_child);
	sigprocmask(SIG_BLOCK, &all, &c->mask);
	c->signals = signalfd(-1, &all, SFD_NONBLOCK | SFD_CLOEXEC);
	c->pid = c->signals < 0 ? -1 : fork();
	if (c->pid < 0)
		e = -errno;
	if (c->pid == 0) {
		e = execute(c, parent, words, environment);
		_exit(write(told[1], &e, sizeof e) == sizeof e ? RUN_NO_PROGRAM : RUN_FAILED);
	}
	close(told[1]);
	/* The end of the pipe is closed by the execution, or by the end of the process. */
	if (c->pid > 0 && read(told[0], &e, sizeof e) == sizeof e) {
		waitpid(c->pid, &c->status, 0);
		c->ended = true;
	}
	close(told[0]);
	return e;
}

/* ---- signals ---- */

static bool
is_of_terminals(int number)
{
	switch (number) {
	case SIGINT:
	case SIGQUIT:
	case SIGHUP:
	case SIGTSTP:
	case SIGTTIN:
	case SIGTTOU:
	case SIGWINCH:
		return true;
	default:
		return false;
	}
}

/* Has the program got the signal itself, so that it is not passed on? A signal of the terminal goes
 * to the whole process group. A signal that the program sends to its own group comes from the
 * program. A SIGPIPE that pgwith gets by writing is pgwith's own. */
static bool
has_it(const struct child *c, const struct signalfd_siginfo *info)
{
	pid_t sender = (pid_t)info->ssi_pid;

	if (info->ssi_code == SI_KERNEL)
		return is_of_terminals((int)info->ssi_signo) && getpgid(c->pid) == getpgrp();
	return (info->ssi_code == SI_USER || info->ssi_code == SI_TKILL) &&
	       (sender == c->pid || sender == getpid());
}

static bool
on_terminal(void)
{
	int fd = open("/dev/tty", O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* Stops pgwith by the signal that has stopped the program, as that is what the shell prints.
 * Returns when it is continued. */
static void
stop(int number)
{
	sigset_t one;

	/* Nobody continues a process group where no shell looks after it. */
	if (!on_terminal())
		return;
	sigemptyset(&one);
	sigaddset(&one, number);
	kill(getpid(), number);
	sigprocmask(SIG_UNBLOCK, &one, NULL);
	sigprocmask(SIG_BLOCK, &one, NULL);
}

/* What has happened to the program since the last look. */
struct news {
	int stopped; /* by that signal; 0: it is not stopped, or was before */
	bool continued;
};

static struct news
look(struct child *c)
{
	struct news n = {0};
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0) {
		if (pid != c->pid)
			continue; /* not the program: a process whose parent has ended */
		n.stopped = WIFSTOPPED(status) ? WSTOPSIG(status) : 0;
		n.continued |= WIFCONTINUED(status);
		if (!WIFSTOPPED(status) && !WIFCONTINUED(status)) {
			c->ended = true;
			c->status = status;
		}
	}
	return n;
}

void
child_signals(struct child *c)
{
	struct signalfd_siginfo info;
	bool continued = false;
	struct news n;

	while (read(c->signals, &info, sizeof info) == sizeof info) {
		int number = (int)info.ssi_signo;

		if (info.ssi_code == SI_KERNEL && (number == SIGINT || number == SIGQUIT))
			c->interrupted = number;
		if (number == SIGCHLD || c->ended || has_it(c, &info))
			continue;
		if (number == SIGCONT)
			continued = true;
		else
			kill(c->pid, number);
	}
	n = look(c);
	/* A shell continues the whole process group. */
	if (continued && !n.continued && !c->ended)
		kill(c->pid, SIGCONT);
	else if (n.stopped)
		stop(n.stopped);
}

/* Would the signal have ended pgwith when it began? Not one that was ignored, as nohup(1) does and
 * a shell without job control in the background, nor one that was blocked. */
static bool
would_end(const struct child *c, int number)
{
	struct sigaction now;

	return sigismember(&c->mask, number) == 0 && sigaction(number, NULL, &now) == 0 &&
	       now.sa_handler != SIG_IGN;
}

int
child_end_signals(const struct child *c)
{
	static const int all[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP};
	sigset_t ends, stops;

	sigemptyset(&ends);
	for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
		if (would_end(c, all[i]))
			sigaddset(&ends, all[i]);
	/* Ctrl-Z stops us by ourselves now. */
	sigemptyset(&stops);
	sigaddset(&stops, SIGTSTP);
	if (sigismember(&c->mask, SIGTSTP) == 0)
		sigprocmask(SIG_UNBLOCK, &stops, NULL);
	/* The same descriptor, for other signals: signalfd(2). */
	return signalfd(c->signals, &ends, 0);
}

static void
end_process(pid_t pid, int number)
{
	kill(pid, number);
	kill(pid, SIGCONT);
}

void
child_end(const struct child *c, int number)
{
	struct descendants all = descendants_all(&c->others);

	if (!c->ended)
		end_process(c->pid, number);
	for (unsigned i = 0; i < all.count; i++)
		if (all.pids[i] != c->pid)
			end_process(all.pids[i], number);
	descendants_clear(&all);
}

bool
child_has_any(const struct child *c)
{
	struct descendants all;
	bool any;

	if (!c->ended)
		return true;
	all = descendants_all(&c->others);
	any = all.count > 0;
	descendants_clear(&all);
	return any;
}

void
child_clear(struct child *c)
{
	descendants_clear(&c->others);
}

void
child_die_as(const struct child *c)
{
	struct sigaction by_default = {.sa_handler = SIG_DFL};
	struct rlimit no_core = {0, 0};
	sigset_t one;

	if (!c->ended || !WIFSIGNALED(c->status) || c->interrupted == 0 ||
	    WTERMSIG(c->status) != c->interrupted)
		return;
	setrlimit(RLIMIT_CORE, &no_core);
	sigaction(c->interrupted, &by_default, NULL);
	sigemptyset(&one);
	sigaddset(&one, c->interrupted);
	kill(getpid(), c->interrupted);
	sigprocmask(SIG_UNBLOCK, &one, NULL);
}
