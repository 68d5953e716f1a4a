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
#include "cli/clock.h"
#include "cli/interrupt.h"

/* To the terminal's alternate screen, without a cursor; and back. */
#define SCREEN_ON  "\033[?1049h\033[?25l"
#define SCREEN_OFF "\033[?25h\033[?1049l"
#define HOME       "\033[H"
#define LINE_END   "\033[K" /* clears the rest of the line */
#define REST       "\033[J" /* clears the rest of the screen */

struct watch {
	const struct commands_entry *entry;
	struct commands_how how;
	char **args;
	struct ask *ask;
	bool terminal;
	bool good; /* one answer has come */
	enum ask_status status;
};

/* Runs the command once; its output goes to stdout. */
static void
run_once(struct watch *w)
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
screen_size(void)
{
	struct winsize s = {0};

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &s) < 0 || s.ws_row == 0)
		s.ws_row = 24;
	return s;
}

/* Draws as many lines as the screen has room for. */
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

/* Runs the command, keeps its output, and draws it in one piece, so that the screen does not
 * flicker. */
static void
redraw(struct watch *w, const char *stamp)
{
	struct winsize s = screen_size();
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
	run_once(w);
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
	run_once(w);
	if (w->how.look.format == TABLE_ALIGNED)
		putchar('\n');
	else if (w->how.look.format == TABLE_CSV && w->good)
		w->how.look.header = false; /* print it once only */
}

/* Waits until `next`. False if the command is to end: by a signal, or because the pipe is
 * closed. */
static bool
wait_until(const struct watch *w, int64_t next)
{
	struct pollfd p[] = {{.fd = interrupt_fd(), .events = POLLIN},
			     {.fd = w->terminal ? -1 : STDOUT_FILENO}};

	for (;;) {
		int64_t left_ms = (next - clock_us() + UNIT_MS - 1) / UNIT_MS;
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

/* The reader of our output has gone, which is how a pipe ends. The rest of the output is dropped
 * without an error. */
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
	int64_t next = clock_us();
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
		/* If the first answer is an error, the command is wrong or pgwithd does not run:
		 * that ends it. */
		if (w.status == ASK_CANCELLED)
			more = false;
		else if (!w.good || w.status == ASK_USAGE || w.status == ASK_REFUSED)
			break;
		next += how->watch_us;
		if (next < clock_us())
			next = clock_us();
		more = more && wait_until(&w, next);
	} while (more);
	if (w.terminal)
		fputs(SCREEN_OFF, stdout);
	ask_close(w.ask);
	if (fflush(stdout) != 0 || ferror(stdout))
		forget_output();
	return more ? w.status : ASK_GOOD;
}
