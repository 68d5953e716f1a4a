#include "cli/run/answer.h"

#include <errno.h>
#include <poll.h>

#include "base/units.h"
#include "cli/clock.h"

enum answer
answer_wait(PGconn *conn, short events, int64_t deadline, int signals)
{
	for (;;) {
		struct pollfd p[] = {{.fd = PQsocket(conn), .events = events},
				     {.fd = signals, .events = POLLIN}};
		int64_t left_ms = deadline ? (deadline - clock_us() + UNIT_MS - 1) / UNIT_MS : -1;
		int r;

		if (deadline && left_ms <= 0)
			return ANSWER_TIME;
		r = poll(p, 2, left_ms > 60000 ? 60000 : (int)left_ms);
		if (r > 0)
			return p[0].revents ? ANSWER_CAME : ANSWER_SIGNAL;
		if (r < 0 && errno != EINTR)
			return ANSWER_TIME;
	}
}

/* Cancels the statement that runs. */
static void
cancel(PGconn *conn)
{
	PGcancel *c = PQgetCancel(conn);
	char text[256];

	if (c)
		PQcancel(c, text, sizeof text);
	PQfreeCancel(c);
}

PGresult *
answer_take(PGconn *conn, int64_t deadline, int signals)
{
	PGresult *first = NULL, *r;

	do {
		while (PQisBusy(conn)) {
			enum answer came = answer_wait(conn, POLLIN, deadline, signals);

			if (came == ANSWER_TIME) {
				PQclear(first);
				return NULL;
			}
			if (came == ANSWER_SIGNAL) {
				cancel(conn);
				signals = -1;
				continue;
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
