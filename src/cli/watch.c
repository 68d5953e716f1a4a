#include "cli/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/units.h"
#include "cli/interrupt.h"

/* The other screen of the terminal, without a cursor; and back. */
#define SCREEN_ON  "\033[?1049h\033[?25l"
#define SCREEN_OFF "\033[?25h\033[?1049l"
#define HOME       "\033[H"
#define LINE_END   "\033[K" /* what was there behind it */
#define REST       "\033[J" /* what was there below */

struct watch {
	const struct commands_entry *entry;
	struct commands_how how;
	char **args;
	struct ask *ask;
	bool terminal;
	bool good; /* it has been answered once */
	enum ask_status status;
};

static int64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * UNIT_S + ts.tv_nsec / 1000;
}

/* One answer on stdout. */
static void
answer(struct watch *w)
{
	enum ask_status status = ASK_GOOD;

	if (w->ask == NULL)
		status = ask_open(&w->how.whom, &w->ask);
	if (status == ASK_GOOD)
		status = w->entry->run(w->entry, &w->how, w->ask, w->args);
	if (status == ASK_UNREACHABLE) {
		ask_close(w->ask);
		w->ask = NULL;
	}
	w->status = status;
	w->good |= status == ASK_GOOD || status == ASK_TROUBLE;
}

static struct winsize
size(void)
{
	struct winsize s = {0};

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &s) < 0 || s.ws_row == 0)
		s.ws_row = 24;
	return s;
}

/* The lines that the screen has room for. */
static void
draw_lines(const char *text, unsigned rows, FILE *to)
{
	while (*text && rows-- > 0) {
		size_t n = strcspn(text, "\n");

		fprintf(to, "%.*s" LINE_END, (int)n, text);
		text += n + (text[n] == '\n');
		if (*text && rows > 0)
			fputc('\n', to);
	}
}

/* What the command prints is caught and put on the screen in one piece, so that nothing flickers.
 */
static void
redraw(struct watch *w, const char *stamp)
{
	struct winsize s = size();
	FILE *screen = stdout;
	char *text = NULL, every[32];
	size_t bytes = 0;

	w->how.look.width = s.ws_col;
	fprintf(screen, HOME "Every %s: pgwith %s   %s" LINE_END "\n" LINE_END "\n",
		units_duration_str(w->how.watch_us, every, sizeof every), w->entry->name, stamp);
	fflush(screen);
	stdout = open_memstream(&text, &bytes);
	if (stdout == NULL) {
		stdout = screen;
		return;
	}
	answer(w);
	fclose(stdout);
	stdout = screen;
	draw_lines(text, s.ws_row > 3 ? s.ws_row - 2 : 1, screen);
	fputs(REST, screen);
	free(text);
}

static void
follow(struct watch *w, const char *stamp)
{
	if (w->how.look.format == TABLE_ALIGNED)
		printf("%s\n", stamp);
	answer(w);
	if (w->how.look.format == TABLE_ALIGNED)
		putchar('\n');
	else if (w->how.look.format == TABLE_CSV && w->good)
		w->how.look.header = false; /* once */
}

/* False at the end: of the time to wait for the next one, a signal or a closed pipe. */
static bool
wait_until(const struct watch *w, int64_t next)
{
	struct pollfd p[] = {{.fd = interrupt_fd(), .events = POLLIN},
			     {.fd = w->terminal ? -1 : STDOUT_FILENO}};

	for (;;) {
		int64_t left_ms = (next - now_us() + UNIT_MS - 1) / UNIT_MS;
		int r;

		if (left_ms <= 0)
			return true;
		r = poll(p, 2, left_ms > 60000 ? 60000 : (int)left_ms);
		if (r < 0 && errno != EINTR)
			return false;
		if (r > 0)
			return false;
	}
}

static void
stamp_now(char *out, size_t out_size)
{
	time_t now = time(NULL);
	struct tm tm;

	localtime_r(&now, &tm);
	strftime(out, out_size, "%Y-%m-%d %H:%M:%S%z", &tm);
}

/* Nobody reads any more: that is how a pipe ends. What is left goes nowhere, without a complaint.
 */
static void
forget_output(void)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (null >= 0) {
		dup2(null, STDOUT_FILENO);
		close(null);
	}
	clearerr(stdout);
}

enum ask_status
watch_run(const struct commands_entry *entry, const struct commands_how *how, char **args)
{
	struct watch w = {.entry = entry, .how = *how, .args = args, .terminal = false};
	int64_t next = now_us();
	char stamp[40];
	bool more;

	w.terminal = isatty(STDOUT_FILENO) && how->look.format == TABLE_ALIGNED;
	interrupt_fd();
	signal(SIGPIPE, SIG_IGN);
	w.how.stamp = stamp;
	if (w.terminal)
		fputs(SCREEN_ON, stdout);
	do {
		stamp_now(stamp, sizeof stamp);
		if (w.terminal)
			redraw(&w, stamp);
		else
			follow(&w, stamp);
		more = fflush(stdout) == 0 && !ferror(stdout);
		/* A first answer that fails is wrong words, or a daemon that does not run. */
		if (!w.good || w.status == ASK_USAGE || w.status == ASK_REFUSED)
			break;
		next += how->watch_us;
		if (next < now_us())
			next = now_us();
		more = more && wait_until(&w, next);
	} while (more);
	if (w.terminal)
		fputs(SCREEN_OFF, stdout);
	ask_close(w.ask);
	if (fflush(stdout) != 0 || ferror(stdout))
		forget_output();
	return more ? w.status : ASK_GOOD;
}
