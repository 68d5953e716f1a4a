/* What one line of the log costs: `make bench-log`. The sink of this program (base/logsink) either
 * takes the line and drops it, which is the cost of the line itself, or writes it to stderr, which
 * is opened on /dev/null: this adds one write(2), as in pgwithd.
 *
 * Each figure is the best of ROUNDS, in nanoseconds a line: what disturbs a round is not ours. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/logsink.h"

#define ROUNDS 500
#define LINES  1000 /* of a round: shorter than a turn of the scheduler */

static bool writes;
static int null = -1;

void
logsink_open(void)
{
}

bool
logsink_is_journal(void)
{
	return false;
}

bool
logsink_ready(void)
{
	return true;
}

bool
logsink_write(const char *line, size_t bytes)
{
	return !writes || write(null, line, bytes) == (ssize_t)bytes;
}

/* ---- lines ---- */

static const char *volatile name = "audit", *volatile pool = "orders", *volatile role = "app";
static const char *volatile why = "the client has \"left\"";

static void
enter(uint64_t id)
{
	log_info("session", id, "scope enter", LOG_TEXT("name", name), LOG_TEXT("pool", pool));
}

static void
in(uint64_t id)
{
	log_info("session", id, "in", LOG_TEXT("pool", pool), LOG_TEXT("role", role),
		 LOG_NUMBER("uid", 1000U), LOG_NUMBER("pid", (int)(id & 0xffff)));
}

static void
granted(uint64_t id)
{
	log_info("session", id, "scope granted", LOG_TEXT("name", name),
		 LOG_QUOTED("kind", "transaction"), LOG_TEXT("pool", pool),
		 LOG_MS("waited", (int64_t)id));
}

static void
released(uint64_t id)
{
	log_info("session", id, "scope released", LOG_TEXT("name", name),
		 LOG_QUOTED("outcome", why), LOG_MS("held", (int64_t)id * 3),
		 LOG_MS("cleanup", (int64_t)id));
}

static void
refused(uint64_t id)
{
	log_info_often("session", id, "refused", LOG_NUMBER("pid", (int)(id & 0xffff)),
		       LOG_TEXT("sqlstate", "53300"), LOG_QUOTED("why", why));
}

static void
move(uint64_t id)
{
	log_debug("session", id, "", LOG_MOVE("idle", "active"));
}

static const struct {
	const char *words;
	void (*line)(uint64_t);
} lines[] = {
    {"scope enter", enter},       {"in", in},          {"scope granted", granted},
    {"scope released", released}, {"folded", refused}, {"debug, not written", move},
};

/* ---- measuring ---- */

static double
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double
measure(void (*line)(uint64_t))
{
	double best = 1e9;

	for (unsigned round = 0; round < ROUNDS; round++) {
		double began = now_ns(), took;

		for (uint64_t i = 0; i < LINES; i++)
			line(100000 + i);
		took = (now_ns() - began) / LINES;
		if (took < best)
			best = took;
	}
	log_flush();
	return best;
}

int
main(void)
{
	null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (null < 0)
		return EXIT_FAILURE;
	printf("%-20s %9s %9s %9s %9s   (ns a line)\n", "", "text", "+write", "json", "+write");
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		printf("%-20s", lines[i].words);
		for (unsigned way = 0; way < 4; way++) {
			log_init("pgwithd", LOG_INFO);
			log_set_format(way / 2 ? LOG_JSON : LOG_TEXT);
			writes = way & 1;
			printf(" %9.0f", measure(lines[i].line));
		}
		printf("\n");
	}
	close(null);
	return EXIT_SUCCESS;
}
