/* clock: the time of deadlines and intervals. */
#ifndef PGWITH_CLI_CLOCK_H
#define PGWITH_CLI_CLOCK_H

#include <stdint.h>
#include <time.h>

#include "base/units.h"

/* Microseconds of the monotonic clock. */
static inline int64_t
clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * UNIT_S + ts.tv_nsec / 1000;
}

#endif
