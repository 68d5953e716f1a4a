/* watch: the descriptors of streams, in an epoll(7) of the loop's own. In libevent each would take
 * 176 bytes, most of which a stream has no use for: a struct event, an entry of its table of
 * descriptors and what that points to. Here it takes 8, because the kernel gives back a pointer.
 * libevent watches the epoll descriptor, as one event among others. */
#ifndef PGWITH_LOOP_WATCH_H
#define PGWITH_LOOP_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct event_base;
struct watches;

/* One descriptor, a member of what it belongs to. All bytes 0: it is not watched. */
struct watch {
	uint32_t events; /* EPOLLIN, EPOLLOUT ...: what is waited for; 0: it is not watched */
	uint32_t due;    /* its place among the events that have been fetched, from 1 on; 0: none */
};

/* What is called for each watch that is due, with what the kernel has reported. It calls
 * watch_take() when it begins to handle that. */
typedef void (*watch_fn)(struct watch *, uint32_t events);

struct watches *watches_new(struct event_base *);
void watches_free(struct watches *);

/* Changes what is waited for; with 0 the descriptor is not watched any more, and what was reported
 * of it is dropped. That comes before the descriptor is closed. */
void watch_set(struct watches *, struct watch *, int fd, uint32_t events, watch_fn);

/* A turn of the loop begins. */
void watches_begin_turn(struct watches *);

/* Is there something other than room to write that is still to be handled in this turn of the loop?
 * At most once a turn, this asks the kernel: when it is called before the loop has, by a timer, for
 * instance. What comes behind the first thousand or so of a turn is not known. */
bool watch_has_news(struct watches *, const struct watch *);

/* Has anything been reported that is still to be handled? */
static inline bool
watch_is_due(const struct watch *w)
{
	return w->due != 0;
}

/* What was reported is handled now. */
void watch_take(struct watches *, struct watch *);

#endif
