#include "loop/watch.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

#define OWN        ((uint64_t)1) /* an address has 0 there */
#define EVENTS_MAX 1024          /* fetched at once; the others are fetched in the next turn */

struct watches {
	int fd; /* of epoll(7) */
	watch_fn fn;
	struct watch base; /* libevent's epoll descriptor */
	unsigned called;   /* streams, in the last turn */
	/* Those that were fetched last. data.u64 is the address of the struct watch, with OWN in it
	 * that of a struct watch_own; 0: it has been handled. */
	struct epoll_event due[EVENTS_MAX];
};

static struct watch *
watch_at(const struct watches *ws, int i)
{
	return (struct watch *)(uintptr_t)(ws->due[i].data.u64 & ~OWN);
}

void
watch_take(struct watches *ws, struct watch *w)
{
	if (w->due == 0)
		return;
	ws->due[w->due - 1].data.u64 = 0;
	w->due = 0;
}

bool
watch_has_news(const struct watches *ws, const struct watch *w)
{
	return w->due && ws->due[w->due - 1].events & ~(uint32_t)EPOLLOUT;
}

static void
set(struct watches *ws, struct watch *w, int fd, uint32_t events, uint64_t own)
{
	struct epoll_event e = {.events = events, .data.u64 = (uintptr_t)w | own};
	int op = w->events == 0 ? EPOLL_CTL_ADD : events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;

	if (events == 0)
		watch_take(ws, w);
	if (events == w->events)
		return;
	/* One that is closed already is not watched any more. */
	if (epoll_ctl(ws->fd, op, fd, &e) < 0 && events != 0)
		log_fatal("", LOG_ALONE, "cannot watch descriptor", LOG_WORD(fd));
	w->events = events;
}

/* There are no two calls of this on the stack: no callback runs the loop. */
bool
watches_turn(struct watches *ws, bool wait)
{
	int n = epoll_wait(ws->fd, ws->due, EVENTS_MAX, wait ? -1 : 0);
	bool base = false;

	ws->called = 0;
	/* All are marked before the first callback: one may ask whether another is due. */
	for (int i = 0; i < n; i++)
		watch_at(ws, i)->due = (uint32_t)i + 1;
	for (int i = 0; i < n; i++) {
		struct watch *w = watch_at(ws, i);

		if (w == &ws->base) {
			base = true;
		} else if (w && ws->due[i].data.u64 & OWN) {
			((struct watch_own *)w)->fn(w, ws->due[i].events);
		} else if (w) {
			ws->called++;
			ws->fn(w, ws->due[i].events);
		}
		if (watch_at(ws, i))
			watch_take(ws, w);
	}
	return base;
}

struct watches *
watches_new(int base_fd)
{
	struct watches *ws = mem_calloc(1, sizeof *ws);

	ws->fd = epoll_create1(EPOLL_CLOEXEC);
	if (ws->fd < 0)
		log_fatal("", LOG_ALONE, "cannot watch descriptors (epoll)");
	set(ws, &ws->base, base_fd, EPOLLIN, 0);
	return ws;
}

void
watches_free(struct watches *ws)
{
	if (ws == NULL)
		return;
	close(ws->fd);
	free(ws);
}

unsigned
watches_called(const struct watches *ws)
{
	return ws->called;
}

int
watches_fd(const struct watches *ws)
{
	return ws->fd;
}

void
watch_set(struct watches *ws, struct watch *w, int fd, uint32_t events, watch_fn fn)
{
	ws->fn = fn;
	set(ws, w, fd, events, 0);
}

void
watch_set_own(struct watches *ws, struct watch_own *w, int fd, uint32_t events)
{
	set(ws, &w->watch, fd, events, OWN);
}
