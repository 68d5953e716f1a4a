#include "base/histogram.h"

#define STEP_BITS 4

_Static_assert(HISTOGRAM_STEPS == 1 << STEP_BITS, "a power of two");

unsigned
histogram_bucket(int64_t us)
{
	unsigned power;

	if (us < HISTOGRAM_STEPS)
		return us < 0 ? 0 : (unsigned)us;
	if (us > HISTOGRAM_TOP_US)
		us = HISTOGRAM_TOP_US;
	/* The highest bit of `us` and the STEP_BITS bits behind it select the bucket. */
	power = 63 - (unsigned)__builtin_clzll((unsigned long long)us) - STEP_BITS;
	return power * HISTOGRAM_STEPS + (unsigned)(us >> power);
}

void
histogram_bounds(unsigned bucket, int64_t *low_us, int64_t *high_us)
{
	unsigned power = bucket < HISTOGRAM_STEPS ? 0 : bucket / HISTOGRAM_STEPS - 1;

	*low_us = (int64_t)(bucket - power * HISTOGRAM_STEPS) << power;
	*high_us = *low_us + (INT64_C(1) << power) - 1;
}

static void
add_sum(struct histogram *h, uint64_t us)
{
	h->sum_us = us > UINT64_MAX - h->sum_us ? UINT64_MAX : h->sum_us + us;
}

void
histogram_add(struct histogram *h, int64_t us)
{
	if (us < 0)
		us = 0;
	h->buckets[histogram_bucket(us)]++;
	h->count++;
	add_sum(h, (uint64_t)us);
	if (us > h->max_us)
		h->max_us = us;
}

void
histogram_merge(struct histogram *to, const struct histogram *from)
{
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		to->buckets[i] += from->buckets[i];
	to->count += from->count;
	add_sum(to, from->sum_us);
	if (from->max_us > to->max_us)
		to->max_us = from->max_us;
}

int64_t
histogram_percentile(const struct histogram *h, double percent)
{
	double wanted = percent / 100 * (double)h->count;
	uint64_t seen = 0;

	if (percent >= 100)
		return h->max_us;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += h->buckets[i];
		/* seen > 0: percent 0 means the first bucket that is not empty. */
		if (seen > 0 && (double)seen >= wanted) {
			int64_t low, high, middle;

			histogram_bounds(i, &low, &high);
			middle = low + (high - low) / 2;
			return middle < h->max_us ? middle : h->max_us;
		}
	}
	return h->max_us;
}
