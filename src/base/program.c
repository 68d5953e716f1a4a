#include "base/program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

#ifdef __GLIBC_PREREQ
#if __GLIBC_PREREQ(2, 34)
#define CAN_CLOSE_ALL
#endif
#endif

#define LOOK_MS 20 /* without a pidfd: so often it is looked whether the program has ended */

struct program {
	char **words, **environment;
	pthread_mutex_t lock; /* of the rest, which program_abort() needs in another thread */
	pid_t pid;            /* 0: it does not run. Not reaped yet, so nobody else has this id */
	bool aborted;
};

/* A run. */
struct run {
	struct program *program;
	struct program_result *result;
	size_t out_max;
	int64_t until_us;
	int out, err, end; /* the pipes and the pidfd; -1: closed, or there is none */
};

/* How many programs are being started: program_abort() cannot kill these. */
static pthread_mutex_t starting_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t started = PTHREAD_COND_INITIALIZER;
static unsigned starting;

static void
count_starting(int change)
{
	pthread_mutex_lock(&starting_lock);
	starting += (unsigned)change;
	pthread_cond_broadcast(&started);
	pthread_mutex_unlock(&starting_lock);
}

static int64_t
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---- words and environment ---- */

static char **
copy_list(char *const *list)
{
	size_t n = 0;
	char **copy;

	while (list[n])
		n++;
	copy = mem_calloc(n + 1, sizeof *copy);
	while (n-- > 0)
		copy[n] = mem_strdup(list[n]);
	return copy;
}

static void
free_list(char **list)
{
	for (char **at = list; *at; at++)
		free(*at);
	free(list);
}

/* Do both, NAME=VALUE, have the same name? */
static bool
same_name(const char *a, const char *b)
{
	size_t n = strcspn(a, "=");

	return strncmp(a, b, n) == 0 && b[n] == '=';
}

/* Is the variable a message of the service manager to us? sd_notify(3), sd_listen_fds(3),
 * sd_watchdog_enabled(3). */
static bool
is_ours_alone(const char *variable)
{
	static const char *const names[] = {
	    "NOTIFY_SOCKET=", "LISTEN_PID=",    "LISTEN_FDS=", "LISTEN_FDNAMES=",
	    "WATCHDOG_PID=",  "WATCHDOG_USEC=", "FDSTORE="};

	for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
		if (strncmp(variable, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

static char **
make_environment(char *const *more)
{
	size_t n = 0, have = 0, added = 0;
	char **list;

	while (environ[have])
		have++;
	while (more[added])
		added++;
	list = mem_calloc(have + added + 1, sizeof *list);
	for (size_t i = 0; i < have; i++) {
		bool replaced = is_ours_alone(environ[i]);

		for (size_t k = 0; k < added && !replaced; k++)
			replaced = same_name(more[k], environ[i]);
		if (!replaced)
			list[n++] = mem_strdup(environ[i]);
	}
	for (size_t i = 0; i < added; i++)
		list[n++] = mem_strdup(more[i]);
	return list;
}

struct program *
program_new(char *const *words, char *const *more)
{
	struct program *p = mem_calloc(1, sizeof *p);

	p->words = copy_list(words);
	p->environment = make_environment(more);
	pthread_mutex_init(&p->lock, NULL);
	return p;
}

void
program_free(struct program *p)
{
	if (p == NULL)
		return;
	free_list(p->words);
	free_list(p->environment);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

void
program_abort(struct program *p)
{
	pthread_mutex_lock(&p->lock);
	p->aborted = true;
	if (p->pid > 0)
		kill(-p->pid, SIGKILL);
	pthread_mutex_unlock(&p->lock);
}

void
program_settle(int64_t limit_us)
{
	struct timespec until;
	int r = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += limit_us % 1000000 * 1000;
	until.tv_sec += limit_us / 1000000 + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&starting_lock);
	while (starting > 0 && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&started, &starting_lock, &until);
	pthread_mutex_unlock(&starting_lock);
}

static bool
is_aborted(struct program *p)
{
	bool aborted;

	pthread_mutex_lock(&p->lock);
	aborted = p->aborted;
	pthread_mutex_unlock(&p->lock);
	return aborted;
}

/* ---- the beginning ---- */

/* Starts the program with these ends of pipes. Returns 0 or an errno. */
static int
spawn(struct program *p, int out, int err)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t how;
	sigset_t none, all;
	pid_t pid;
	int e;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&files, err, STDERR_FILENO);
#ifdef CAN_CLOSE_ALL
	/* All of ours are closed by exec; this is for those of a library that does not say so. */
	posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
#endif
	posix_spawnattr_init(&how);
	posix_spawnattr_setsigmask(&how, &none);
	posix_spawnattr_setsigdefault(&how, &all);
	posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
					   POSIX_SPAWN_SETSID);
	count_starting(1);
	/* Without the lock: this may wait for a file system. */
	e = is_aborted(p) ? ECANCELED
			  : posix_spawn(&pid, *p->words, &files, &how, p->words, p->environment);
	if (e == 0) {
		pthread_mutex_lock(&p->lock);
		p->pid = pid;
		if (p->aborted)
			kill(-pid, SIGKILL);
		pthread_mutex_unlock(&p->lock);
	}
	count_starting(-1);
	posix_spawnattr_destroy(&how);
	posix_spawn_file_actions_destroy(&files);
	return e;
}

static void
close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Makes the pipes and starts the program. Returns 0 or an errno. */
static int
start(struct run *r)
{
	int out[2] = {-1, -1}, err[2] = {-1, -1}, e;

	if (pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0)
		e = errno;
	else
		e = spawn(r->program, out[1], err[1]);
	close_one(&out[1]);
	close_one(&err[1]);
	r->out = out[0];
	r->err = err[0];
	if (e)
		return e;
	fcntl(r->out, F_SETFL, O_NONBLOCK);
	fcntl(r->err, F_SETFL, O_NONBLOCK);
#ifdef SYS_pidfd_open
	r->end = (int)syscall(SYS_pidfd_open, r->program->pid, 0);
#endif
	return 0;
}

/* ---- while it runs ---- */

/* Reads what is in the pipe now. Bytes beyond `most` are dropped. Returns false if there were any.
 * Closes the pipe at its end. */
static bool
read_pipe(int *fd, char *to, size_t *bytes, size_t most)
{
	char spare[1024];
	bool fits = true;

	while (*fd >= 0) {
		bool full = *bytes == most;
		ssize_t n =
		    full ? read(*fd, spare, sizeof spare) : read(*fd, to + *bytes, most - *bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0)
			close_one(fd);
		else if (full)
			fits = false;
		else
			*bytes += (size_t)n;
		/* Else a program that prints without end would keep us here. */
		if (!fits)
			break;
	}
	explicit_bzero(spare, sizeof spare);
	return fits;
}

/* Returns false if it has printed too much on stdout. */
static bool
read_pipes(struct run *r)
{
	struct program_result *to = r->result;

	read_pipe(&r->err, to->err, &to->err_bytes, PROGRAM_ERR_MAX);
	return read_pipe(&r->out, to->out, &to->out_bytes, r->out_max);
}

/* Waits until something happens, or the time limit. */
static void
wait_for_news(struct run *r)
{
	struct pollfd fds[] = {{r->out, POLLIN, 0}, {r->err, POLLIN, 0}, {r->end, POLLIN, 0}};
	int64_t left = (r->until_us - now_us()) / 1000 + 1;

	if (r->end < 0 && left > LOOK_MS)
		left = LOOK_MS;
	if (left > INT32_MAX)
		left = INT32_MAX;
	poll(fds, sizeof fds / sizeof *fds, left > 0 ? (int)left : 0);
}

/* Has the program ended? Then it is reaped, and nobody may send signals to its id any more. */
static bool
reap(struct run *r, int options, int *status)
{
	struct program *p = r->program;
	pid_t pid;

	pthread_mutex_lock(&p->lock);
	do
		pid = waitpid(p->pid, status, options);
	while (pid < 0 && errno == EINTR);
	/* If SIGCHLD was ignored when we were started, the kernel has thrown the status away. */
	if (pid < 0)
		*status = W_EXITCODE(255, 0);
	if (pid != 0)
		p->pid = 0;
	pthread_mutex_unlock(&p->lock);
	return pid != 0;
}

static void
kill_group(struct run *r, enum program_end why)
{
	int status;

	pthread_mutex_lock(&r->program->lock);
	kill(-r->program->pid, SIGKILL);
	pthread_mutex_unlock(&r->program->lock);
	/* This takes a moment only: SIGKILL cannot be caught. */
	while (!reap(r, WNOHANG, &status))
		poll(NULL, 0, 1);
	r->result->end = why;
}

static void
follow(struct run *r)
{
	struct program_result *to = r->result;
	int status;

	for (;;) {
		bool fits, ended;

		wait_for_news(r);
		/* First the end, then the pipes: all that it has printed is in them by then. */
		ended = reap(r, WNOHANG, &status);
		fits = read_pipes(r);
		if (ended) {
			to->end = WIFSIGNALED(status) ? PROGRAM_KILLED : PROGRAM_EXITED;
			to->code = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
			if (!fits)
				to->end = PROGRAM_TOO_MUCH;
			return;
		}
		if (!fits) {
			kill_group(r, PROGRAM_TOO_MUCH);
			return;
		}
		if (now_us() >= r->until_us) {
			kill_group(r, PROGRAM_LATE);
			return;
		}
	}
}

void
program_run(struct program *p, int64_t limit_us, size_t out_max, struct program_result *result)
{
	struct run r = {.program = p,
			.result = result,
			.out_max = out_max,
			.until_us = now_us() + limit_us,
			.out = -1,
			.err = -1,
			.end = -1};
	int e;

	*result = (struct program_result){.out = mem_calloc(1, out_max + 1),
					  .err = mem_calloc(1, PROGRAM_ERR_MAX + 1)};
	e = start(&r);
	if (e) {
		result->end = PROGRAM_NOT_STARTED;
		result->code = e;
	} else {
		follow(&r);
	}
	if (is_aborted(p))
		result->end = PROGRAM_ABORTED;
	close_one(&r.out);
	close_one(&r.err);
	close_one(&r.end);
}

void
program_result_clear(struct program_result *result)
{
	if (result->out)
		explicit_bzero(result->out, result->out_bytes);
	if (result->err)
		explicit_bzero(result->err, result->err_bytes);
	free(result->out);
	free(result->err);
	*result = (struct program_result){0};
}
