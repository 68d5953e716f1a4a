#include "pool/ending.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define READS_MAX 16 /* reads for one event, so that a stream of rows starves nobody */

/* Drops what has come. Has the stream ended? */
static bool
has_ended(int fd)
{
	char bytes[4096];

	for (int i = 0; i < READS_MAX; i++) {
		ssize_t n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);

		if (n == 0)
			return true;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno != EAGAIN && errno != EWOULDBLOCK;
	}
	return false;
}

static void
end(struct ending *l)
{
	list_remove(l->all, &l->node);
	event_del(&l->event);
	close(l->fd);
	l->fd = -1;
	l->done(l);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct ending *l = arg;
	struct loop *loop = l->loop;

	if (has_ended(l->fd))
		end(l);
	loop_event_done(loop);
}

bool
ending_begin(struct ending *l, struct loop *loop, int fd, struct list *all,
	     void (*done)(struct ending *))
{
	if (has_ended(fd)) {
		close(fd);
		return false;
	}
	*l = (struct ending){
	    .all = all, .loop = loop, .fd = fd, .since_us = loop_now_us(loop), .done = done};
	list_append(all, &l->node);
	event_assign(&l->event, loop_base(loop), fd, EV_READ | EV_PERSIST, on_readable, l);
	event_add(&l->event, NULL);
	return true;
}

void
endings_sweep(struct list *all, int64_t now_us)
{
	struct list_node *n;

	/* The list is in the order of their beginning. */
	while ((n = list_first(all)) != NULL &&
	       now_us - LIST_OBJ(n, struct ending, node)->since_us >= ENDING_MAX_US)
		end(LIST_OBJ(n, struct ending, node));
}

void
endings_forget(struct list *all)
{
	struct list_node *n;

	while ((n = list_first(all)) != NULL)
		end(LIST_OBJ(n, struct ending, node));
}
