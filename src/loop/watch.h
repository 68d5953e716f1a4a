/* watch: the descriptors of streams, in an epoll(7) of the loop's own. In libevent each would take
 * 176 bytes, most of which a stream has no use for: a struct event, an entry of its table of
 * descriptors and what that points to. Here it takes 8, because the kernel gives back a pointer.
 * It also watches the epoll descriptor of libevent, which has the few others. */
#ifndef PGWITH_LOOP_WATCH_H
#define PGWITH_LOOP_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct watches;

/* One descriptor, a member of what it belongs to. All bytes 0: it is not watched. */
struct watch {
	uint32_t events; /* EPOLLIN, EPOLLOUT ...: what is waited for; 0: it is not watched */
	uint32_t due;    /* its place among the events that have been fetched, from 1 on; 0: none */
};

/* What is called for each watch that is due, with what the kernel has reported. It calls
 * watch_take() when it begins to handle that. */
typedef void (*watch_fn)(struct watch *, uint32_t events);

/* `base_fd`: libevent's epoll descriptor. */
struct watches *watches_new(int base_fd);
void watches_free(struct watches *);

/* The epoll descriptor: it can be read if something has come. */
int watches_fd(const struct watches *);

/* Fetches what has come, at least one with `wait`, and calls the functions. Returns true if
 * libevent has something to do. */
bool watches_turn(struct watches *, bool wait);

/* How many streams had something in the last turn. */
unsigned watches_called(const struct watches *);

/* Changes what is waited for; with 0 the descriptor is not watched any more, and what was reported
 * of it is dropped. That comes before the descriptor is closed. */
void watch_set(struct watches *, struct watch *, int fd, uint32_t events, watch_fn);

/* One that has a function of its own: all others share the one that was given last. */
struct watch_own {
	struct watch watch; /* must be the first member */
	watch_fn fn;
};
void watch_set_own(struct watches *, struct watch_own *, int fd, uint32_t events);

/* Is there something other than room to write that is still to be handled in this turn of the loop?
 * What comes behind the first thousand or so of a turn is not known. */
bool watch_has_news(const struct watches *, const struct watch *);

/* Has anything been reported that is still to be handled? */
static inline bool
watch_is_due(const struct watch *w)
{
	return w->due != 0;
}

/* What was reported is handled now. */
void watch_take(struct watches *, struct watch *);

#endif
