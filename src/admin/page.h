/* page: the status page, at / of metrics_listen: one HTML document without a script, which a
 * browser asks for again by itself. It shows what status.h has seen: the verdicts first, then pools
 * with their last hour, who holds, who waits, locks, pinned sessions, errors. */
#ifndef PGWITH_ADMIN_PAGE_H
#define PGWITH_ADMIN_PAGE_H

#include "admin/http.h"
#include "admin/status.h"

#define PAGE_REFRESH_S     5 /* if the query has no refresh=SECONDS */
#define PAGE_REFRESH_MAX_S 3600

/* Writes the document. `refresh_s`: what its foot says; 0: it is not refreshed. */
void page_write(const struct status *, unsigned refresh_s, struct buf *);

/* The seconds of refresh=SECONDS in a query (NULL: there is none), where 0 is "not at all"; if
 * there is none, or it is no number from 0 to PAGE_REFRESH_MAX_S, PAGE_REFRESH_S. */
unsigned page_refresh(const char *query);

/* The Content-Security-Policy: nothing may be loaded or run, and only the document's own style
 * counts. */
const char *page_policy(void);

/* The page /. */
void page_status(const struct daemon *, const struct http_request *, struct http_answer *);

#endif
