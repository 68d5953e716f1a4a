#include "base/histogram.h"

void
histogram_bounds(unsigned bucket, int64_t *low_us, int64_t *high_us)
{
	unsigned power = bucket < HISTOGRAM_STEPS ? 0 : bucket / HISTOGRAM_STEPS - 1;

	*low_us = (int64_t)(bucket - power * HISTOGRAM_STEPS) << power;
	*high_us = *low_us + (INT64_C(1) << power) - 1;
}

void
histogram_merge(struct histogram *to, const struct histogram *from)
{
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		to->buckets[i] += from->buckets[i];
	to->count += from->count;
	if (__builtin_add_overflow(to->sum_us, from->sum_us, &to->sum_us))
		to->sum_us = UINT64_MAX;
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
