/* overview: the first page of `pgwith top`: a part of each of the others. */
#ifndef PGWITH_CLI_TOP_OVERVIEW_H
#define PGWITH_CLI_TOP_OVERVIEW_H

#include "cli/top/lines.h"
#include "cli/top/model.h"

struct overview_how {
	unsigned width, height; /* 0: no limit */
	const char *filter;     /* only rows with this text; or NULL */
	int sorted; /* the column that the pools are sorted by; -1: as pgwithd has them */
	bool backwards;
	int64_t now_us;
};

/* Adds up to `height` lines: pools, who holds something longest, locks with queues, who is pinned,
 * errors of the last minute. What has no rows is named in one line at the end. */
void overview_lines(const struct model *, const struct overview_how *, struct lines *);

#endif
