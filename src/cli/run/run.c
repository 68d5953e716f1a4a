#include "cli/run/run.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "base/mem.h"
#include "base/units.h"
#include "cli/clock.h"
#include "cli/run/child.h"
#include "cli/run/environment.h"
#include "cli/run/holder.h"
#include "cli/run/request.h"

/* How the program is ended when something is lost: it gets SIGTERM at once, and SIGKILL if it has
 * not ended some time later. */
struct ending {
	int64_t kill_us; /* when; 0: the program may end by itself */
	bool killed;
	int64_t give_up_us; /* when we do not wait any more for what cannot be killed */
	int status;         /* our exit status if the program had to be ended */
};

/* Ends the program. `what` went wrong, and `why`; `status` is our exit status. */
static void
end_program(struct ending *e, const struct child *c, const struct request *r, const char *what,
	    const char *why, int status)
{
	char *text = mem_printf("run: %s: %s: %s (pid %d) is ended", what, why, *r->how->program,
				(int)c->pid);

	ask_say(text);
	free(text);
	e->status = status;
	e->kill_us = clock_us() + r->how->kill_after_us;
	child_end(c, SIGTERM);
}

/* How long to wait for the end of what was killed. The program may have started processes of
 * another user, which we cannot kill. */
#define KILL_TAKES_US UNIT_S

/* Kills all that is left, again and again: a process may have been started meanwhile. */
static void
kill_late(struct ending *e, const struct child *c)
{
	int64_t now = clock_us();

	if (now < e->kill_us)
		return;
	child_end(c, SIGKILL);
	if (!e->killed)
		e->give_up_us = now + KILL_TAKES_US;
	e->killed = true;
}

/* Is there something still to wait for? If nothing is lost, that is the program alone. */
static bool
goes_on(const struct ending *e, const struct child *c)
{
	if (!c->ended || e->kill_us == 0)
		return !c->ended;
	return (!e->killed || clock_us() < e->give_up_us) && child_has_any(c);
}

/* How often to look what is left while the program is being ended: of a process that is not our
 * child no signal tells the end. */
#define LOOK_EACH_US (20 * UNIT_MS)

/* Milliseconds until `us`, rounded up; -1: never (0). */
static int
left_ms(int64_t us)
{
	int64_t left = us ? (us - clock_us() + UNIT_MS - 1) / UNIT_MS : -1;

	return left < 0 ? us ? 0 : -1 : left > 60000 ? 60000 : (int)left;
}

/* Waits for what comes. poll(2) fails if the kernel has no memory: then nobody looks after what is
 * held, so the program is ended, and only the clock tells when to look again. */
static void
wait_for(struct pollfd *p, nfds_t n, int ms, struct child *c, const struct request *r,
	 struct ending *e)
{
	static const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};

	if (poll(p, n, ms) >= 0)
		return;
	for (nfds_t i = 0; i < n; i++)
		p[i].revents = 0;
	if (errno == EINTR)
		return;
	if (e->kill_us == 0)
		end_program(e, c, r, "poll", strerror(errno), RUN_FAILED);
	p[0].revents = POLLIN; /* reading the signals does not block */
	nanosleep(&pause, NULL);
}

/* Waits for the end of the program, and looks after what is held. */
static void
watch(struct child *c, struct holder *h, const struct request *r, struct ending *e)
{
	while (goes_on(e, c)) {
		struct pollfd p[] = {{.fd = c->signals, .events = POLLIN},
				     {.fd = e->kill_us ? -1 : holder_fd(h), .events = POLLIN}};
		int64_t until = e->kill_us ? clock_us() + LOOK_EACH_US : holder_ask_us(h);

		wait_for(p, 2, left_ms(until), c, r, e);
		if (p[0].revents)
			child_signals(c);
		if (e->kill_us) {
			kill_late(e, c);
			continue;
		}
		if (c->ended)
			break;
		if (holder_ask_us(h) && clock_us() >= holder_ask_us(h))
			holder_ask(h);
		if (holder_fd(h) >= 0 && !holder_read(h))
			end_program(e, c, r, "lost", holder_why(h), RUN_LOST);
	}
}

static int
status_of(const struct child *c)
{
	return WIFSIGNALED(c->status) ? RUN_BY_A_SIGNAL + WTERMSIG(c->status)
				      : WEXITSTATUS(c->status);
}

/* The program could not be executed, or there can be no process for it. */
static int
not_run(const struct request *r, int e)
{
	char *text = mem_printf("%s: %s", *r->how->program, strerror(e < 0 ? -e : e));

	ask_say(text);
	free(text);
	return e < 0 ? RUN_FAILED : e == ENOENT ? RUN_NOT_FOUND : RUN_NO_PROGRAM;
}

/* Runs the program while `h` holds everything. Returns the exit status. */
static int
run_held(const struct request *r, struct holder *h, struct child *c, char **environment)
{
	struct ending e = {0};
	struct answer_cut cut = {.patience_us = r->how->kill_after_us};
	int status = child_start(c, r->how->program, environment);

	if (status)
		return not_run(r, status);
	watch(c, h, r, &e);
	if (e.kill_us) {
		holder_say_outside(h, r);
		return e.status;
	}
	status = status_of(c);
	if (status == 0 && !r->how->rolls_back) {
		cut.signals = child_end_signals(c);
		status = holder_leave_well(h, &cut);
		holder_say_outside(h, r);
		return status;
	}
	holder_leave(h);
	/* It was asked for that nothing stays. */
	return holder_say_outside(h, r) && status == 0 ? RUN_OUTSIDE : status;
}

enum ask_status
run_program(const struct commands_entry *entry, const struct commands_how *how, struct ask *ask,
	    char **args)
{
	const char *user = getenv("PGUSER"), *pool = getenv("PGDATABASE");
	char *role = user && *user ? mem_strdup(user) : NULL;
	char *preferred = pool && *pool ? mem_strdup(pool) : NULL;
	char **environment = environment_copy();
	struct child child = {.pid = -1};
	struct holder *holder = NULL;
	struct request request;
	int status = RUN_FAILED;

	child_keep_descriptors();
	if (request_read(&request, how))
		holder = holder_open(&request, role, preferred, &status);
	if (holder && request.npools) {
		struct environment_place place = holder_place(holder);

		place.url = how->url;
		environment = environment_lead(environment, &place);
	}
	if (holder)
		status = run_held(&request, holder, &child, environment);
	holder_close(holder);
	request_clear(&request);
	environment_free(environment);
	free(role);
	free(preferred);
	child_die_as(&child);
	child_clear(&child);
	return (enum ask_status)status;
}
