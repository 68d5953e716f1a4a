#include "loop/threads.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"

#define IDLE_S 5 /* a thread that has been idle for so long ends */

struct job {
	struct list_node node; /* in todo, running or finished */
	const void *lane;      /* NULL: none */
	void (*run)(void *);
	void (*done)(void *);
	void *arg;
};

struct threads {
	/* used by the loop only */
	struct loop *loop;
	struct event event;
	int eventfd;
	unsigned pending;
	unsigned max_threads;
	unsigned max_lane; /* jobs of one lane that run at once */
	/* used under the lock */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_cond_t ended;
	struct list todo;
	struct list running;
	struct list finished;
	unsigned threads;
	unsigned idle;
	bool ending;
};

/* May the job run now? Not if jobs of its lane, or of its kind (see threads_submit()), have all the
 * threads that they may have. */
static bool
may_run(const struct threads *w, const struct job *j)
{
	const struct list_node *n;
	unsigned of_lane = 0, of_kind = 0;

	if (j->lane == NULL)
		return true;
	LIST_EACH (n, &w->running) {
		const struct job *r = LIST_OBJ(n, const struct job, node);

		of_lane += r->lane == j->lane;
		of_kind += r->lane != NULL && r->run == j->run;
	}
	return of_lane < w->max_lane && of_kind < w->max_threads - w->max_threads / 4;
}

/* The first job that may run now, or NULL. A job that may not run is found later, by the thread
 * that ends a job of its lane or kind. */
static struct list_node *
first_to_run(const struct threads *w)
{
	struct list_node *n;

	LIST_EACH (n, &w->todo)
		if (may_run(w, LIST_OBJ(n, struct job, node)))
			return n;
	return NULL;
}

static void *
thread_main(void *arg)
{
	struct threads *w = arg;
	struct timespec until;
	uint64_t one = 1;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		struct list_node *n = first_to_run(w);
		struct job *j;

		if (n == NULL) {
			int r = 0;

			if (w->ending)
				break;
			clock_gettime(CLOCK_REALTIME, &until);
			until.tv_sec += IDLE_S;
			w->idle++;
			while (first_to_run(w) == NULL && !w->ending && r != ETIMEDOUT)
				r = pthread_cond_timedwait(&w->wake, &w->lock, &until);
			w->idle--;
			if (first_to_run(w) == NULL)
				break;
			continue;
		}
		list_remove(&w->todo, n);
		list_append(&w->running, n);
		j = LIST_OBJ(n, struct job, node);
		pthread_mutex_unlock(&w->lock);
		j->run(j->arg);
		pthread_mutex_lock(&w->lock);
		list_remove(&w->running, n);
		list_append(&w->finished, n);
		if (write(w->eventfd, &one, sizeof one) < 0)
			log_warn("work", LOG_ALONE, "cannot wake the loop");
	}
	w->threads--;
	pthread_cond_signal(&w->ended);
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* Threads block all signals, which are for the loop. */
static bool
start_thread(struct threads *w)
{
	sigset_t all, before;
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	r = pthread_create(&thread, &attr, thread_main, w);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r != 0) {
		errno = r;
		log_warn("work", LOG_ALONE, "cannot start a thread",
			 LOG_NUMBER("threads", w->threads));
	}
	return r == 0;
}

static void
on_finished(evutil_socket_t fd, short what, void *arg)
{
	struct threads *w = arg;
	struct list_node *n;
	struct list mine;
	uint64_t count;

	if (read(w->eventfd, &count, sizeof count) < 0)
		return;
	list_init(&mine);
	pthread_mutex_lock(&w->lock);
	while ((n = list_first(&w->finished)) != NULL) {
		list_remove(&w->finished, n);
		list_append(&mine, n);
	}
	pthread_mutex_unlock(&w->lock);
	while ((n = list_first(&mine)) != NULL) {
		struct job *j = LIST_OBJ(n, struct job, node);

		list_remove(&mine, n);
		w->pending--;
		j->done(j->arg);
		free(j);
		loop_event_done(w->loop);
	}
}

struct threads *
threads_new(struct loop *loop, unsigned max_threads, unsigned max_lane)
{
	struct threads *w = mem_calloc(1, sizeof *w);

	w->max_threads = max_threads;
	w->max_lane = max_lane;
	w->eventfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (w->eventfd < 0)
		log_fatal("", LOG_ALONE, "cannot make an eventfd:", LOG_WORD(strerror(errno)));
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, NULL);
	pthread_cond_init(&w->ended, NULL);
	list_init(&w->todo);
	list_init(&w->running);
	list_init(&w->finished);
	w->loop = loop;
	event_assign(&w->event, loop_base(loop), w->eventfd, EV_READ | EV_PERSIST, on_finished, w);
	event_add(&w->event, NULL);
	return w;
}

void
threads_submit(struct threads *w, const void *lane, void (*run)(void *), void (*done)(void *),
	       void *arg)
{
	struct job *j = mem_calloc(1, sizeof *j);
	bool direct = false;

	j->lane = lane;
	j->run = run;
	j->done = done;
	j->arg = arg;
	w->pending++;
	pthread_mutex_lock(&w->lock);
	list_append(&w->todo, &j->node);
	if (w->todo.count > w->idle && w->threads < w->max_threads) {
		w->threads++;
		if (!start_thread(w)) {
			w->threads--;
			direct = w->threads == 0;
		}
	}
	if (direct)
		list_remove(&w->todo, &j->node);
	else
		pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
	if (direct) {
		/* No thread can be started, and none exists that would run the job later: so it
		 * runs here, although it may block the loop. */
		uint64_t one = 1;

		run(arg);
		pthread_mutex_lock(&w->lock);
		list_append(&w->finished, &j->node);
		pthread_mutex_unlock(&w->lock);
		if (write(w->eventfd, &one, sizeof one) < 0)
			log_warn("work", LOG_ALONE, "cannot wake the loop");
	}
}

unsigned
threads_pending(const struct threads *w)
{
	return w->pending;
}

void
threads_free(struct threads *w)
{
	if (w == NULL)
		return;
	event_del(&w->event);
	if (w->pending > 0)
		return;
	pthread_mutex_lock(&w->lock);
	w->ending = true;
	pthread_cond_broadcast(&w->wake);
	while (w->threads > 0)
		pthread_cond_wait(&w->ended, &w->lock);
	pthread_mutex_unlock(&w->lock);
	close(w->eventfd);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->wake);
	pthread_cond_destroy(&w->ended);
	free(w);
}
