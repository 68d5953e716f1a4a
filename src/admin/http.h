/* http: the listener of metrics_listen: a few pages about the daemon, for Prometheus and for people
 * on this machine. libevent's evhttp reads requests and sends answers; what it has no limit for is
 * limited here:
 *
 *	- Of HTTP_CLIENTS connections, each may last HTTP_LIMIT_US. When there are so many, and
 *	  another one comes, the one that has asked for nothing for longest is closed. So clients
 *	  that hang cost no more descriptors than that, and keep no others out.
 *	- One connection is accepted in a turn of the loop.
 *	- A connection serves one request.
 *
 * A page is a row of pages[] in http.c. It is answered to GET and HEAD; other methods get 405,
 * other paths 404, and with TCP a Host that is neither localhost nor a loopback address gets 421.
 * A page shows no SQL text and no secret: if metrics_listen is a TCP address, everybody on this
 * machine can read it. */
#ifndef PGWITH_ADMIN_HTTP_H
#define PGWITH_ADMIN_HTTP_H

#include "base/buf.h"
#include "daemon/daemon.h"

#define HTTP_CLIENTS    16
#define HTTP_LIMIT_US   (10 * INT64_C(1000000)) /* from accept to the last byte of the answer */
#define HTTP_SILENCE_S  5          /* a client that does nothing for longer is closed */
#define HTTP_HEADERS    (8 << 10)  /* bytes of a request's head, at most */
#define HTTP_BODY       1024       /* bytes of its body, which nobody reads */
#define HTTP_ANSWER_MAX (64 << 20) /* bytes of a page; with 4,000 pools, /metrics has so many */

/* What a client asks for. */
struct http_request {
	const char *path;   /* as it was sent, without the query: "/metrics" */
	const char *query;  /* behind the "?"; NULL: there is none */
	const char *accept; /* its header Accept; "" if it has none */
};

/* The answer, which a page fills in. */
struct http_answer {
	struct buf body;
	const char *type;   /* Content-Type; must be set, and live on */
	unsigned refresh_s; /* a browser asks again after so many seconds; 0: it does not */
	const char *policy; /* Content-Security-Policy; NULL: nothing may be loaded */
};

/* A page is written whole, or in parts: one in each turn of the loop, so that a page that is long
 * keeps no client waiting. */
struct http_page {
	const char *path;
	void (*write)(const struct daemon *, const struct http_request *, struct http_answer *);
	/* NULL, or instead of write(): fills in the answer but for its body; the answer lives on
	 * until end(), the request does not. Returns what go_on() and end() are called with. */
	void *(*begin)(const struct daemon *, const struct http_request *, struct http_answer *);
	bool (*go_on)(void *work); /* adds a part to the body; true: it was the last one */
	void (*end)(void *work);   /* frees; also if the client has gone in between */
};

/* To be called when the daemon starts and when its configuration has changed: opens, moves or
 * closes the listener as metrics_listen and metrics_socket_mode say. If the listener cannot be
 * opened, that is logged and tried again every second, and false is returned with one line of
 * reason in `why`. The state hangs from site->http. */
bool http_configure(struct site *, char *why, size_t why_size);

/* Called by the daemon's sweep: accepts again after a failure, as for want of descriptors. */
void http_sweep(struct site *);

/* Closes the listener and all its connections, and frees. Without one, nothing happens. */
void http_free(struct site *);

#endif
