/* tabs: the pages of `pgwith top`, each a sheet that is made from the model. */
#ifndef PGWITH_CLI_TOP_TABS_H
#define PGWITH_CLI_TOP_TABS_H

#include "cli/top/model.h"
#include "cli/top/sheet.h"

enum tabs_tab {
	TABS_ALL, /* a part of each of the others, see overview.h */
	TABS_POOLS,
	TABS_HELD,
	TABS_LOCKS,
	TABS_WAITS,
	TABS_PINNED,
	TABS_SCOPES,
	TABS_ERRORS,
	TABS_SESSIONS,
	TABS_NTABS
};

const char *tabs_name(enum tabs_tab);
const char *tabs_short_name(enum tabs_tab);
/* What the page is, in words; and what it says if it has no rows. */
const char *tabs_title(enum tabs_tab);
const char *tabs_nothing(enum tabs_tab);

/* The tables that the page is made from, beside those that every page has: 1u << MODEL_... */
unsigned tabs_sources(const struct model *, enum tabs_tab);

/* The rows of a page, which the caller frees by sheet_free(). Not for TABS_ALL and TABS_WAITS.
 * `width`: of the terminal, 0: unknown. NULL: this pgwithd, or this user, has no such table. */
struct sheet *tabs_sheet(const struct model *, enum tabs_tab, unsigned width);

/* The locks that somebody waits for, one row each with its holder; for the overview. */
struct sheet *tabs_queues(const struct model *);
/* The errors of the last minute; for the overview. */
struct sheet *tabs_recent_errors(const struct model *);

#endif
