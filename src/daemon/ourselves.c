#include "daemon/ourselves.h"

#include <errno.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"

#define PASSWD_MAX (1 << 20) /* bytes of an entry of passwd */

/* The look-up, shared by a thread and the main program. The one that is done last frees it. */
struct asking {
	pthread_mutex_t lock;
	pthread_cond_t answered;
	bool done, abandoned;
	char *name, *home; /* NULL: the user has no entry */
};

static void
free_asking(struct asking *a)
{
	pthread_mutex_destroy(&a->lock);
	pthread_cond_destroy(&a->answered);
	free(a->name);
	free(a->home);
	free(a);
}

static void *
look_up(void *arg)
{
	struct asking *a = arg;
	struct passwd pw, *found = NULL;
	size_t bytes = 4096;
	char *buf = NULL;
	bool abandoned;
	int e;

	do {
		buf = mem_realloc(buf, bytes);
		e = getpwuid_r(geteuid(), &pw, buf, bytes, &found);
		bytes *= 2;
	} while (e == ERANGE && bytes <= PASSWD_MAX);
	pthread_mutex_lock(&a->lock);
	if (e == 0 && found) {
		a->name = mem_strdup(pw.pw_name);
		a->home = mem_strdup(pw.pw_dir);
	}
	a->done = true;
	abandoned = a->abandoned;
	pthread_cond_signal(&a->answered);
	pthread_mutex_unlock(&a->lock);
	free(buf);
	if (abandoned)
		free_asking(a);
	return NULL;
}

/* The thread blocks all signals, as every thread does: the loop handles them. */
static bool
start_asking(struct asking *a)
{
	sigset_t all, before;
	pthread_t thread;
	bool started;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	started = pthread_create(&thread, NULL, look_up, a) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (started)
		pthread_detach(thread);
	return started;
}

/* Returns false if there is no answer in time; then the thread frees the look-up. */
static bool
wait_for_answer(struct asking *a)
{
	struct timespec until;
	bool done;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += OURSELVES_WAIT_MS / 1000;
	pthread_mutex_lock(&a->lock);
	while (!a->done && pthread_cond_timedwait(&a->answered, &a->lock, &until) != ETIMEDOUT)
		;
	done = a->done;
	a->abandoned = !done;
	pthread_mutex_unlock(&a->lock);
	return done;
}

static bool
is_missing(const char *name)
{
	const char *value = getenv(name);

	return value == NULL || *value == 0;
}

static void
set_if_missing(const char *name, const char *value)
{
	if (value && is_missing(name))
		setenv(name, value, 1);
}

void
ourselves_tell_libpq(void)
{
	struct asking *a;

	if (!is_missing("PGUSER") && !is_missing("HOME"))
		return;
	a = mem_calloc(1, sizeof *a);
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->answered, NULL);
	if (!start_asking(a)) {
		free_asking(a);
		return;
	}
	if (!wait_for_answer(a)) {
		log_warnx("pgwithd", LOG_ALONE,
			  "the name service does not tell the name of our own user",
			  LOG_NUMBER("uid", geteuid()));
		return;
	}
	set_if_missing("PGUSER", a->name);
	set_if_missing("HOME", a->home);
	free_asking(a);
}
