/* frame: the lines of the screen: the daemon, the verdict, the page, and a line at the bottom. No
 * curses here. */
#ifndef PGWITH_CLI_TOP_FRAME_H
#define PGWITH_CLI_TOP_FRAME_H

#include "cli/top/lines.h"
#include "cli/top/model.h"
#include "cli/top/page.h"

/* What changes from one drawing to the next. */
struct frame_look {
	unsigned width, height;
	int64_t now_us;
	const char *clock;  /* the time of the numbers, 14:03:22; or "" */
	const char *banner; /* why the numbers are old; or NULL */
};

/* The lines of the screen, at most `height`. Returns the number of the chosen one, or -1; the page
 * notes whose row that is. */
int frame_lines(struct page *, const struct model *, const struct frame_look *, struct lines *);

/* Everything of one tab, without a screen around it; for --once. */
void frame_once(const struct page *, const struct model *, const struct frame_look *,
		struct lines *);

#endif
