#include "loop/watch.h"

#include <stdlib.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "base/log.h"
#include "base/mem.h"

#define EVENTS_MAX 1024 /* fetched at once; the others are fetched in the next turn */

struct watches {
	int fd; /* of epoll(7) */
	watch_fn fn;
	struct event event; /* libevent's, for `fd` */
	uint64_t turn;      /* of the loop */
	uint64_t fetched;   /* `turn` when `due` was fetched last */
	int count;          /* in `due`, until all have been handled */
	/* Those that were fetched last. data.ptr is the struct watch; NULL: it has been handled. */
	struct epoll_event due[EVENTS_MAX];
};

/* All are marked before the first callback: one may ask whether another is due. */
static void
fetch(struct watches *ws)
{
	ws->fetched = ws->turn;
	ws->count = epoll_wait(ws->fd, ws->due, EVENTS_MAX, 0);
	for (int i = 0; i < ws->count; i++)
		((struct watch *)ws->due[i].data.ptr)->due = (uint32_t)i + 1;
}

/* There are no two calls of this on the stack: no callback runs the loop. */
static void
on_due(evutil_socket_t fd, short what, void *arg)
{
	struct watches *ws = arg;

	if (ws->count <= 0)
		fetch(ws);
	ws->fetched = ws->turn; /* what is left of an earlier turn counts as this one's */
	for (int i = 0; i < ws->count; i++) {
		struct watch *w = ws->due[i].data.ptr;

		if (w == NULL)
			continue;
		ws->fn(w, ws->due[i].events);
		if (ws->due[i].data.ptr)
			watch_take(ws, w);
	}
	ws->count = 0;
}

void
watches_begin_turn(struct watches *ws)
{
	ws->turn++;
}

bool
watch_has_news(struct watches *ws, const struct watch *w)
{
	if (w->due == 0 && ws->count <= 0 && ws->fetched != ws->turn) {
		fetch(ws);
		/* on_due() may not be called by itself: what is reported once only is not reported
		 * again. */
		if (ws->count > 0)
			event_active(&ws->event, EV_READ, 0);
	}
	return w->due && ws->due[w->due - 1].events & ~(uint32_t)EPOLLOUT;
}

struct watches *
watches_new(struct event_base *base)
{
	struct watches *ws = mem_calloc(1, sizeof *ws);

	ws->fd = epoll_create1(EPOLL_CLOEXEC);
	if (ws->fd < 0)
		log_fatal("", LOG_ALONE, "cannot watch descriptors (epoll)");
	event_assign(&ws->event, base, ws->fd, EV_READ | EV_PERSIST, on_due, ws);
	if (event_add(&ws->event, NULL) < 0)
		log_fatal("", LOG_ALONE, "cannot watch descriptor", LOG_WORD(ws->fd));
	return ws;
}

void
watches_free(struct watches *ws)
{
	if (ws == NULL)
		return;
	event_del(&ws->event);
	close(ws->fd);
	free(ws);
}

void
watch_take(struct watches *ws, struct watch *w)
{
	if (w->due == 0)
		return;
	ws->due[w->due - 1].data.ptr = NULL;
	w->due = 0;
}

void
watch_set(struct watches *ws, struct watch *w, int fd, uint32_t events, watch_fn fn)
{
	struct epoll_event e = {.events = events, .data.ptr = w};
	int op = w->events == 0 ? EPOLL_CTL_ADD : events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;

	ws->fn = fn;
	if (events == 0)
		watch_take(ws, w);
	if (events == w->events)
		return;
	/* One that is closed already is not watched any more. */
	if (epoll_ctl(ws->fd, op, fd, &e) < 0 && events != 0)
		log_fatal("", LOG_ALONE, "cannot watch descriptor", LOG_WORD(fd));
	w->events = events;
}
