#include "cli/run/answer.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/clock.h"
#include "cli/interrupt.h"

/* ---- cutting it short ---- */

/* In a process of its own: PQcancel() waits until pgwithd has read it, and a pgwithd that hangs
 * never does. The process must not keep our connection open. */
static pid_t
cancel(PGconn *conn)
{
	PGcancel *c = PQgetCancel(conn);
	pid_t parent = getpid(), pid = c ? fork() : -1;
	char text[256];

	if (pid == 0) {
		close(PQsocket(conn));
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent)
			PQcancel(c, text, sizeof text);
		_exit(0);
	}
	PQfreeCancel(c);
	return pid > 0 ? pid : 0;
}

static void
end_canceller(struct answer_cut *cut)
{
	if (cut->canceller == 0)
		return;
	kill(cut->canceller, SIGKILL);
	waitpid(cut->canceller, NULL, 0);
	cut->canceller = 0;
}

/* Reads the signals that have come. */
static void
read_signals(struct answer_cut *cut)
{
	struct signalfd_siginfo info;

	while (cut->signals >= 0 && read(cut->signals, &info, sizeof info) == sizeof info) {
		if (cut->until_us)
			cut->over = true;
		else
			cut->until_us = clock_us() + cut->patience_us;
	}
}

bool
answer_is_cut(struct answer_cut *cut)
{
	read_signals(cut);
	return cut->until_us != 0;
}

/* Waits until something can be read. False: the wait is over. */
static bool
wait_to_read(PGconn *conn, int64_t deadline, struct answer_cut *cut)
{
	for (;;) {
		int64_t until = deadline;

		if (cut && cut->over)
			return false;
		if (cut && cut->until_us && (until == 0 || cut->until_us < until))
			until = cut->until_us;
		switch (interrupt_wait(PQsocket(conn), POLLIN, until, cut ? cut->signals : -1)) {
		case CAME_ANSWER:
			return true;
		case CAME_TIME:
			return false;
		case CAME_SIGNAL:
			read_signals(cut);
			if (cut->canceller == 0 && !cut->keeps)
				cut->canceller = cancel(conn);
		}
	}
}

static PGresult *
take(PGconn *conn, int64_t deadline, struct answer_cut *cut)
{
	PGresult *first = NULL, *r;

	do {
		while (PQisBusy(conn)) {
			if (!wait_to_read(conn, deadline, cut)) {
				PQclear(first);
				return NULL;
			}
			if (!PQconsumeInput(conn))
				break; /* PQgetResult() has the reason */
		}
		r = PQgetResult(conn);
		if (first == NULL)
			first = r;
		else
			PQclear(r);
	} while (r);
	return first;
}

PGresult *
answer_take(PGconn *conn, int64_t deadline, struct answer_cut *cut)
{
	PGresult *r = take(conn, deadline, cut);

	if (cut)
		end_canceller(cut);
	return r;
}
