#include "admin/http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>

#include "admin/page.h"
#include "admin/scrape.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "conf/socket.h"
#include "loop/timer.h"

#define HTTP_MISDIRECTED 421 /* RFC 9110, 15.5.20 */

#define BACKLOG  1024
#define RETRY_US UNIT_S
/* One place more than clients, which listens. */
#define PLACES (HTTP_CLIENTS + 1)

_Static_assert(PLACES + 1 <= SITE_HTTP_FDS, "the descriptors of clients, and of the socket");

static const struct http_page pages[] = {
    {.path = "/", .write = page_status},
    {.path = "/metrics",
     .begin = scrape_page_begin,
     .go_on = scrape_page_go_on,
     .end = scrape_page_end},
};
#define PAGES (sizeof pages / sizeof *pages)

/* The place of one connection. evhttp tells nobody of a connection that ends before its first
 * request, and cannot be made to close one. So each place has an evhttp of its own: evhttp_free()
 * closes its connection, if that is still there. The listener of one place is enabled; when it has
 * accepted a connection, it is disabled, and that of another place is enabled instead. */
struct place {
	struct http *http;
	struct evhttp *server;           /* NULL: the place was not used yet */
	struct evconnlistener *listener; /* belongs to `server`; its descriptor is http->fd */
	int64_t since_us;                /* when the connection was accepted; 0: none is known */
	bool asked;                      /* a whole request has come */
	/* An answer that is written in parts; `work` is NULL: there is none. */
	void *work;
	const struct http_page *page;
	struct evhttp_request *req;
	struct http_answer answer;
	struct timer more; /* the next part, in the next turn */
};

struct http {
	struct site *site;
	char *listen; /* metrics_listen and metrics_socket_mode, as they are in force */
	int64_t mode;
	int fd; /* the socket; -1: it could not be opened, and `retry` will try again */
	/* Of a Unix socket: its file, which is removed at the end if it is still the same. */
	char *path;
	dev_t dev;
	ino_t ino;
	struct place places[PLACES];
	struct place *listening; /* the place whose listener is enabled; NULL: none */
	struct timer deadline;   /* of the connection that is there for longest */
	struct timer retry;      /* opens the socket, or makes a place */
};

/* ---- answers ---- */

static void
add_headers(struct evhttp_request *req, const char *type)
{
	struct evkeyvalq *out = evhttp_request_get_output_headers(req);

	evhttp_add_header(out, "Content-Type", type);
	evhttp_add_header(out, "Cache-Control", "no-store");
	evhttp_add_header(out, "X-Content-Type-Options", "nosniff");
	evhttp_add_header(out, "Connection", "close");
}

static void
free_body(const void *data, size_t bytes, void *mem)
{
	free(mem);
}

/* Sends an answer with that body, whose memory becomes the answer's. */
static void
send_answer(struct evhttp_request *req, int code, const char *reason, struct buf *body)
{
	char length[24];
	bool head = evhttp_request_get_command(req) == EVHTTP_REQ_HEAD;
	struct evbuffer *out = head ? NULL : evbuffer_new();

	snprintf(length, sizeof length, "%u", body->len);
	evhttp_add_header(evhttp_request_get_output_headers(req), "Content-Length", length);
	if (out && body->mem &&
	    evbuffer_add_reference(out, buf_data(body), body->len, free_body, body->mem) == 0)
		*body = (struct buf){.max = body->max}; /* free_body() frees it */
	buf_clear(body);
	evhttp_send_reply(req, code, reason, out);
	if (out)
		evbuffer_free(out);
}

static void
refuse(struct evhttp_request *req, int code, const char *reason)
{
	struct buf body;

	buf_init(&body, 200);
	buf_add_fmt(&body, "%d %s\n", code, reason);
	add_headers(req, "text/plain; charset=utf-8");
	send_answer(req, code, reason, &body);
}

/* Does the name that the client has for this listener lead to this machine whatever a name service
 * says? Otherwise a page of a web site whose name leads here, too, could have the browser read this
 * one for it (DNS rebinding). A Unix socket is out of a browser's reach. */
static bool
is_asked_for_here(const struct http *h, struct evhttp_request *req)
{
	const char *host = evhttp_request_get_host(req);

	return h->path || host == NULL || socket_is_loopback_host(host);
}

static const struct http_page *
find_page(const char *path)
{
	for (unsigned i = 0; i < PAGES; i++)
		if (strcmp(pages[i].path, path) == 0)
			return &pages[i];
	return NULL;
}

/* Sends the page, which is whole; its body becomes the answer's. */
static void
send_page(struct evhttp_request *req, struct http_answer *answer)
{
	struct evkeyvalq *out = evhttp_request_get_output_headers(req);
	char seconds[16];

	if (answer->body.failed) {
		buf_clear(&answer->body);
		refuse(req, HTTP_INTERNAL, "The page is too large");
		return;
	}
	add_headers(req, answer->type);
	evhttp_add_header(out, "Content-Security-Policy",
			  answer->policy ? answer->policy : "default-src 'none'");
	if (answer->refresh_s) {
		snprintf(seconds, sizeof seconds, "%u", answer->refresh_s);
		evhttp_add_header(out, "Refresh", seconds);
	}
	send_answer(req, HTTP_OK, "OK", &answer->body);
}

/* Ends the work of an answer that is written in parts. */
static void
end_work(struct place *p)
{
	timer_stop(&p->more);
	if (p->work)
		p->page->end(p->work);
	p->work = NULL;
}

/* The client has gone, or is closed. */
static void
drop_answer(struct place *p)
{
	if (p->work)
		buf_clear(&p->answer.body);
	end_work(p);
}

/* Writes the next part; sends the answer if it was the last one. */
static void
on_more(void *arg)
{
	struct place *p = arg;

	if (!p->page->go_on(p->work)) {
		timer_start(&p->more, 0);
		return;
	}
	end_work(p);
	send_page(p->req, &p->answer);
}

static void
answer_page(struct place *p, struct evhttp_request *req, const struct http_page *page,
	    const struct evhttp_uri *uri)
{
	const struct daemon *d = LIST_OBJ(p->http->site, struct daemon, site);
	const char *accept = evhttp_find_header(evhttp_request_get_input_headers(req), "Accept");
	const struct http_request asked = {page->path, evhttp_uri_get_query(uri),
					   accept ? accept : ""};

	drop_answer(p);
	p->answer = (struct http_answer){.type = NULL};
	buf_init(&p->answer.body, HTTP_ANSWER_MAX);
	if (page->write) {
		page->write(d, &asked, &p->answer);
		send_page(req, &p->answer);
		return;
	}
	p->page = page;
	p->req = req;
	p->work = page->begin(d, &asked, &p->answer);
	timer_start(&p->more, 0);
}

/* The connection of a place that has asked has ended. */
static void
on_closed(struct evhttp_connection *connection, void *arg)
{
	struct place *p = arg;

	drop_answer(p);
	p->since_us = 0;
}

static void
on_request(struct evhttp_request *req, void *arg)
{
	struct place *p = arg;
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
	const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
	const struct http_page *page = path ? find_page(path) : NULL;

	p->asked = true;
	evhttp_connection_set_closecb(evhttp_request_get_connection(req), on_closed, p);
	if (!is_asked_for_here(p->http, req)) {
		refuse(req, HTTP_MISDIRECTED, "Host must be localhost or a loopback address");
	} else if (page == NULL) {
		refuse(req, HTTP_NOTFOUND, "Not Found");
	} else if (evhttp_request_get_command(req) & (EVHTTP_REQ_GET | EVHTTP_REQ_HEAD)) {
		answer_page(p, req, page, uri);
	} else {
		evhttp_add_header(evhttp_request_get_output_headers(req), "Allow", "GET, HEAD");
		refuse(req, HTTP_BADMETHOD, "Method Not Allowed");
	}
}

/* ---- connections ---- */

static struct bufferevent *on_accepted(struct event_base *, void *arg);
static void on_accept_failed(struct evconnlistener *, void *arg);

static void
clear_place(struct place *p)
{
	drop_answer(p);
	if (p->server)
		evhttp_free(p->server);
	p->server = NULL;
	p->listener = NULL;
	p->since_us = 0;
}

/* Gives the place an evhttp, if it has none. False: there is no memory. */
static bool
prepare_place(struct place *p)
{
	struct event_base *base = loop_base(p->http->site->loop);

	if (p->server)
		return true;
	p->server = evhttp_new(base);
	if (p->server == NULL)
		return false;
	evhttp_set_gencb(p->server, on_request, p);
	evhttp_set_bevcb(p->server, on_accepted, p);
	evhttp_set_timeout(p->server, HTTP_SILENCE_S);
	evhttp_set_max_headers_size(p->server, HTTP_HEADERS);
	evhttp_set_max_body_size(p->server, HTTP_BODY);
	/* All methods that there are: on_request() refuses. */
	evhttp_set_allowed_methods(p->server, UINT16_MAX);
	p->listener = evconnlistener_new(base, NULL, NULL, LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_DISABLED,
					 0, p->http->fd);
	if (p->listener == NULL || evhttp_bind_listener(p->server, p->listener) == NULL) {
		if (p->listener)
			evconnlistener_free(p->listener);
		clear_place(p);
		return false;
	}
	evconnlistener_set_error_cb(p->listener, on_accept_failed);
	return true;
}

/* Is it better to close the connection of `a` than that of `b`? */
static bool
goes_first(const struct place *a, const struct place *b)
{
	if ((a->since_us == 0) != (b->since_us == 0))
		return a->since_us == 0;
	if (a->asked != b->asked)
		return !a->asked;
	return a->since_us < b->since_us;
}

/* Listens by a place other than `except` (NULL: by any). If each has a connection, one of these is
 * closed. */
static void
listen_by_another(struct http *h, const struct place *except)
{
	struct place *best = NULL;

	for (unsigned i = 0; i < PLACES; i++) {
		struct place *p = &h->places[i];

		if (p != except && (best == NULL || goes_first(p, best)))
			best = p;
	}
	if (best->since_us)
		clear_place(best);
	h->listening = NULL;
	if (prepare_place(best) && evconnlistener_enable(best->listener) == 0)
		h->listening = best;
	else
		timer_start(&h->retry, RETRY_US);
}

static void
set_deadline(struct http *h)
{
	int64_t first = 0;

	for (unsigned i = 0; i < PLACES; i++) {
		int64_t since = h->places[i].since_us;

		if (since && (first == 0 || since < first))
			first = since;
	}
	if (first)
		timer_start(&h->deadline, first + HTTP_LIMIT_US - loop_now_us(h->site->loop));
}

/* evhttp asks for a bufferevent when it has accepted a connection. NULL: it makes one itself. */
static struct bufferevent *
on_accepted(struct event_base *base, void *arg)
{
	struct place *p = arg;
	struct http *h = p->http;

	p->since_us = loop_now_us(h->site->loop);
	p->asked = false;
	evconnlistener_disable(p->listener);
	listen_by_another(h, p);
	if (!timer_started(&h->deadline))
		set_deadline(h);
	return NULL;
}

/* Closes all connections that have lasted too long. */
static void
on_deadline(void *arg)
{
	struct http *h = arg;
	int64_t before = loop_now_us(h->site->loop) - HTTP_LIMIT_US;

	for (unsigned i = 0; i < PLACES; i++)
		if (h->places[i].since_us && h->places[i].since_us <= before)
			clear_place(&h->places[i]);
	set_deadline(h);
}

/* The argument is evhttp's own, so the listener cannot be found by it: http_sweep() goes on. */
static void
on_accept_failed(struct evconnlistener *listener, void *arg)
{
	log_warn("metrics", LOG_ALONE, "cannot accept");
	evconnlistener_disable(listener);
}

void
http_sweep(struct site *site)
{
	if (site->http && site->http->listening)
		evconnlistener_enable(site->http->listening->listener);
}

/* ---- the socket ---- */

/* If there is a socket file that nobody listens at, removes it. Returns 0, or -1 with errno: there
 * is something else, or somebody listens. */
static int
remove_dead(const struct sockaddr_un *at)
{
	struct stat st;
	int fd, r;

	if (lstat(at->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -1;
	errno = EEXIST;
	if (!S_ISSOCK(st.st_mode))
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	r = connect(fd, (const struct sockaddr *)at, sizeof *at);
	if (r < 0 && errno == ECONNREFUSED) {
		close(fd);
		return unlink(at->sun_path);
	}
	close(fd);
	errno = EADDRINUSE;
	return -1;
}

/* What can be done before others can connect. Returns 0, or -1 with errno. */
static int
prepare_path(struct http *h, const struct sockaddr_un *at)
{
	struct stat st;

	if (lstat(at->sun_path, &st) < 0)
		return -1;
	h->path = mem_strdup(at->sun_path);
	h->dev = st.st_dev;
	h->ino = st.st_ino;
	return chmod(at->sun_path, (mode_t)h->mode);
}

static void
remove_path(struct http *h)
{
	struct stat st;

	if (h->path && lstat(h->path, &st) == 0 && st.st_dev == h->dev && st.st_ino == h->ino)
		unlink(h->path);
	free(h->path);
	h->path = NULL;
}

static int
make_socket(struct http *h)
{
	struct sockaddr_storage at;
	socklen_t bytes = socket_metrics_address(h->listen, &at);
	const struct sockaddr_un *path = (const struct sockaddr_un *)&at;
	bool local = at.ss_family == AF_UNIX;
	int fd, one = 1, error;

	if (local && remove_dead(path) < 0)
		return -1;
	fd = socket(at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	/* Connections of the process before may still be in TIME_WAIT. */
	if (!local)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, (const struct sockaddr *)&at, bytes) == 0 &&
	    (!local || prepare_path(h, path) == 0) && listen(fd, BACKLOG) == 0)
		return fd;
	error = errno;
	close(fd);
	remove_path(h);
	errno = error;
	return -1;
}

/* Returns false with one line of reason, if it cannot be opened; then it is tried again. */
static bool
open_socket(struct http *h, char *why, size_t why_size)
{
	h->fd = make_socket(h);
	if (h->fd < 0) {
		snprintf(why, why_size, "metrics_listen: cannot listen at %s: %s", h->listen,
			 strerror(errno));
		timer_start(&h->retry, RETRY_US);
		return false;
	}
	log_info("metrics", LOG_ALONE, "listens", LOG_TEXT("at", h->listen));
	listen_by_another(h, NULL);
	return true;
}

static void
on_retry(void *arg)
{
	struct http *h = arg;
	char why[256];

	if (h->fd < 0)
		open_socket(h, why, sizeof why);
	else if (h->listening == NULL)
		listen_by_another(h, NULL);
}

static void
close_socket(struct http *h)
{
	timer_stop(&h->deadline);
	timer_stop(&h->retry);
	for (unsigned i = 0; i < PLACES; i++)
		clear_place(&h->places[i]);
	h->listening = NULL;
	if (h->fd >= 0)
		close(h->fd);
	h->fd = -1;
	remove_path(h);
	free(h->listen);
	h->listen = NULL;
}

/* ---- life ---- */

static struct http *
http_new(struct site *site)
{
	struct http *h = mem_calloc(1, sizeof *h);

	h->site = site;
	h->fd = -1;
	for (unsigned i = 0; i < PLACES; i++) {
		h->places[i].http = h;
		timer_init(&h->places[i].more, site->loop, on_more, &h->places[i]);
	}
	timer_init(&h->deadline, site->loop, on_deadline, h);
	timer_init(&h->retry, site->loop, on_retry, h);
	return h;
}

bool
http_configure(struct site *site, char *why, size_t why_size)
{
	const struct conf *conf = site->conf;
	struct http *h = site->http;

	if (h && strcmp(h->listen, conf->metrics_listen) == 0 &&
	    h->mode == conf->metrics_socket_mode)
		return true;
	http_free(site);
	site->pools.timed &= ~(unsigned)POOLS_TIMED_LISTEN;
	if (*conf->metrics_listen == '\0')
		return true;
	site->pools.timed |= POOLS_TIMED_LISTEN;
	h = site->http = http_new(site);
	h->listen = mem_strdup(conf->metrics_listen);
	h->mode = conf->metrics_socket_mode;
	if (open_socket(h, why, why_size))
		return true;
	log_warnx("metrics", LOG_ALONE, "does not listen, and will try again",
		  LOG_QUOTED("why", why));
	return false;
}

void
http_free(struct site *site)
{
	struct http *h = site->http;

	if (h == NULL)
		return;
	if (h->fd >= 0)
		log_info("metrics", LOG_ALONE, "listens no more", LOG_TEXT("at", h->listen));
	close_socket(h);
	free(h);
	site->http = NULL;
}
