/* histogram: counts durations, in microseconds, in fixed memory. Up to 16 us, each value has a
 * bucket of its own; above, each power of two is divided into 16 buckets, so that a percentile is
 * at most 3.2 % away from the true one. A duration of more than an hour is counted as an hour; but
 * sum and maximum are exact. */
#ifndef PGWITH_BASE_HISTOGRAM_H
#define PGWITH_BASE_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEP_BITS 4
#define HISTOGRAM_STEPS     (1 << HISTOGRAM_STEP_BITS) /* buckets for each power of two */
#define HISTOGRAM_TOP_US    (INT64_C(3600) * 1000000)
#define HISTOGRAM_BUCKETS   459 /* histogram_bucket(HISTOGRAM_TOP_US) is the last */

/* An empty one is all zero. */
struct histogram {
	uint64_t count;
	uint64_t sum_us; /* stays at UINT64_MAX instead of wrapping */
	int64_t max_us;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* Adds all durations of `from`. */
void histogram_merge(struct histogram *to, const struct histogram *from);

/* The duration that `percent` (0 to 100) of all durations do not exceed; 0 if the histogram is
 * empty. 100 gives the exact maximum. */
int64_t histogram_percentile(const struct histogram *, double percent);

/* The shortest and longest duration of a bucket. */
void histogram_bounds(unsigned bucket, int64_t *low_us, int64_t *high_us);

/* The bucket that a duration is counted in. */
static inline unsigned
histogram_bucket(int64_t us)
{
	unsigned power;

	if (us < HISTOGRAM_STEPS)
		return us < 0 ? 0 : (unsigned)us;
	if (us > HISTOGRAM_TOP_US)
		us = HISTOGRAM_TOP_US;
	/* The highest bit of `us` and the HISTOGRAM_STEP_BITS bits behind it select the bucket. */
	power = 63 - (unsigned)__builtin_clzll((unsigned long long)us) - HISTOGRAM_STEP_BITS;
	return power * HISTOGRAM_STEPS + (unsigned)(us >> power);
}

/* A negative duration counts as 0. Inline, because each request of a client ends here. */
static inline void
histogram_add(struct histogram *h, int64_t us)
{
	us = us < 0 ? 0 : us;
	h->buckets[histogram_bucket(us)]++;
	h->count++;
	if (__builtin_add_overflow(h->sum_us, (uint64_t)us, &h->sum_us))
		h->sum_us = UINT64_MAX;
	h->max_us = us > h->max_us ? us : h->max_us;
}

#endif
