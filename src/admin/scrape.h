/* scrape: the text of all metrics (metrics.h), made part by part: for the page /metrics of
 * metrics_listen, and for SHOW METRICS, which `pgwith metrics` prints. */
#ifndef PGWITH_ADMIN_SCRAPE_H
#define PGWITH_ADMIN_SCRAPE_H

#include "admin/command.h"
#include "admin/http.h"
#include "base/buf.h"
#include "base/err.h"

/* The text is made in parts of about so many bytes, so that no client waits for all of it. */
#define SCRAPE_PART (64 << 10)

/* Writes all metrics, in one of the two formats of exposition.h, in parts, one in each turn of the
 * loop. Each time of a histogram and each number is of the turn in which it is written. Pools may
 * come and go between two parts: one that has gone is not in what is written from then on, and one
 * that has come is. `out` lives on until scrape_end(). */
struct scrape;
struct scrape *scrape_begin(const struct daemon *, bool openmetrics, struct buf *out);
/* Writes the next part. True: it was the last one. */
bool scrape_go_on(struct scrape *);
/* Frees, also in between. */
void scrape_end(struct scrape *);

/* SHOW METRICS. From the first one on, the times of transactions and statements are counted, if
 * they are not for metrics_listen. */
int scrape_show(const struct command_call *, struct err *);
/* Its next portion, in a turn of the loop of its own. */
int scrape_show_go_on(const struct command_call *, struct err *);

/* The page /metrics: in OpenMetrics if the header Accept asks for that. As struct http_page wants
 * them. */
void *scrape_page_begin(const struct daemon *, const struct http_request *, struct http_answer *);
bool scrape_page_go_on(void *run);
void scrape_page_end(void *run);

#endif
