#include "cli/top/top.h"

#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/units.h"
#include "cli/clock.h"
#include "cli/top/frame.h"
#include "cli/top/gather.h"
#include "cli/top/screen.h"

#define INTERVAL_US UNIT_S
#define ANSWER_US   (3 * UNIT_S) /* time limit of an answer, without --timeout */
#define STALE_US    UNIT_S       /* an answer, or a round, that takes longer is told */
#define SCREEN_MIN  1            /* lines and columns */
#define ONCE_ROUNDS 2            /* of --once: rates need two */

struct top {
	struct ask_whom whom;
	struct model *model;
	struct gather *gather;
	struct page page;
	unsigned rounds;
	unsigned connection; /* that of the last round: model->connections */
	char clock[16];      /* of the last round */
	char *lost;          /* why there is no connection; or NULL */
	bool screen;         /* it has begun */
	bool dirty;          /* what is drawn is old */
	bool ended;
	enum ask_status status;
};

static int
signal_fd(void)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGCONT};
	sigset_t set;
	int fd;

	sigemptyset(&set);
	for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++)
		sigaddset(&set, numbers[i]);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd >= 0)
		sigprocmask(SIG_BLOCK, &set, NULL);
	return fd;
}

/* ---- drawing ---- */

/* Why the numbers are old; NULL if they are not. The caller frees. */
static char *
make_banner(const struct top *t, int64_t now_us)
{
	int64_t since_us = gather_waits_since_us(t->gather);
	int64_t old_us = t->model->at_us ? now_us - t->model->at_us : 0;
	char text[32], took[32];

	if (t->page.paused && t->lost == NULL)
		return NULL;
	units_elapsed_str(old_us, text, sizeof text);
	if (t->lost && gather_is_down(t->gather))
		return mem_printf("pgwithd cannot be reached, trying again; these numbers are %s "
				  "old: %s",
				  text, t->lost);
	if (since_us && now_us - since_us >= STALE_US)
		return mem_printf("pgwithd does not answer; these numbers are %s old", text);
	if (gather_round_us(t->gather, now_us) >= STALE_US) {
		units_elapsed_str(gather_round_us(t->gather, now_us), took, sizeof took);
		return mem_printf("pgwithd answers slowly: to ask for all takes %s; these numbers "
				  "are %s old",
				  took, text);
	}
	return NULL;
}

static void
draw(struct top *t)
{
	struct lines lines = {0};
	int64_t now_us = clock_us();
	char *banner = make_banner(t, now_us);
	struct frame_look look = {.width = screen_width(),
				  .height = screen_height(),
				  .now_us = now_us,
				  .clock = t->clock,
				  .banner = banner};
	int chosen = frame_lines(&t->page, t->model, &look, &lines);

	screen_draw(&lines, chosen);
	lines_clear(&lines);
	free(banner);
	t->dirty = false;
}

static void
print_once(const struct top *t, unsigned width)
{
	struct lines lines = {0};
	struct frame_look look = {.width = width, .now_us = clock_us(), .clock = t->clock};

	frame_once(&t->page, t->model, &look, &lines);
	for (unsigned i = 0; i < lines.count; i++)
		puts(lines.list[i].text);
	lines_clear(&lines);
}

/* ---- what comes from the daemon ---- */

static void
note_round(struct top *t)
{
	time_t now = time(NULL);
	struct tm tm;

	localtime_r(&now, &tm);
	strftime(t->clock, sizeof t->clock, "%H:%M:%S", &tm);
	t->rounds++;
	if (t->connection != t->model->connections)
		page_withdraw(&t->page);
	t->connection = t->model->connections;
	free(t->lost);
	t->lost = NULL;
	gather_want(t->gather, tabs_sources(t->model, t->page.tab));
}

static void
note_lost(struct top *t)
{
	free(t->lost);
	t->lost = mem_strdup(gather_error(t->gather));
}

/* Before the screen has begun, an error is the end. */
static void
fail_early(struct top *t)
{
	if (t->rounds)
		return;
	fprintf(stderr, "pgwith: %s\n", gather_error(t->gather));
	t->status = gather_status(t->gather);
	t->ended = true;
}

static void
go(struct top *t)
{
	enum gather_news news;

	while (!t->ended && (news = gather_go(t->gather, clock_us())) != GATHER_NOTHING) {
		t->dirty = true;
		switch (news) {
		case GATHER_ROUND:
			note_round(t);
			break;
		case GATHER_DONE:
			page_notice(&t->page, TABLE_GOOD, "pgwithd has begun to do that");
			break;
		case GATHER_FAILED:
			page_notice(&t->page, TABLE_BAD, gather_error(t->gather));
			if (gather_is_down(t->gather))
				note_lost(t);
			break;
		case GATHER_DENIED:
		case GATHER_LOST:
			note_lost(t);
			fail_early(t);
			break;
		case GATHER_NOTHING:
			break;
		}
	}
}

/* ---- what comes from the user ---- */

static void
change(struct top *t)
{
	if (gather_is_down(t->gather))
		page_notice(&t->page, TABLE_BAD, "not done: pgwithd cannot be reached");
	else if (t->connection != t->model->connections)
		page_notice(&t->page, TABLE_BAD, "not done: pgwithd was away");
	else if (!gather_do(t->gather, t->page.statement))
		page_notice(&t->page, TABLE_BAD, "not done: the last command is still under way");
}

static void
take_keys(struct top *t)
{
	uint32_t key;

	while (!t->ended && (key = screen_key()) != 0) {
		t->dirty = true;
		switch (page_key(&t->page, key)) {
		case PAGE_NOTHING:
			break;
		case PAGE_QUITS:
			t->ended = true;
			break;
		case PAGE_CHANGES:
			change(t);
			break;
		case PAGE_TURNS:
			gather_want(t->gather, tabs_sources(t->model, t->page.tab));
			break;
		case PAGE_PAUSES:
			gather_set_paused(t->gather, t->page.paused);
			break;
		case PAGE_HURRIES:
			gather_hurry(t->gather);
			break;
		case PAGE_PACES:
			gather_set_interval(t->gather, t->page.interval_us);
			break;
		}
		/* The choice that the next key is about is that of the page that is drawn. */
		if (!t->ended)
			draw(t);
	}
}

static void
take_signals(struct top *t, int fd)
{
	struct signalfd_siginfo info;

	while (read(fd, &info, sizeof info) == sizeof info)
		if (info.ssi_signo == SIGWINCH || info.ssi_signo == SIGCONT) {
			if (t->screen)
				screen_resize();
			t->dirty = true;
		} else {
			t->ended = true;
		}
}

/* ---- the loop ---- */

/* Milliseconds until something has to be done, though nobody says anything. */
static int
patience(const struct top *t)
{
	int64_t now = clock_us(), due = gather_due_us(t->gather, now);
	/* A banner tells the age of the numbers. */
	int64_t left = due > now + UNIT_S ? UNIT_S : due - now;

	return left <= 0 ? 0 : (int)((left + UNIT_MS - 1) / UNIT_MS);
}

/* Waits for keys, signals and answers, and takes them. */
static void
turn(struct top *t, int signals)
{
	short events = 0;
	int fd = gather_fd(t->gather, &events);
	struct pollfd p[] = {{.fd = signals, .events = POLLIN},
			     {.fd = t->screen ? STDIN_FILENO : -1, .events = POLLIN},
			     {.fd = fd, .events = events}};
	int r = poll(p, 3, patience(t));

	if (r < 0 && errno != EINTR) {
		t->ended = true;
		return;
	}
	if (r == 0)
		t->dirty = t->lost || gather_waits_since_us(t->gather);
	take_signals(t, signals);
	if (t->screen && p[1].revents & POLLIN)
		take_keys(t);
	/* The terminal has gone. */
	if (t->screen && p[1].revents & (POLLHUP | POLLERR | POLLNVAL))
		t->ended = true;
	go(t);
	if (t->screen && t->dirty && !t->ended)
		draw(t);
}

static void
show(struct top *t, bool colour, int signals)
{
	while (!t->ended && t->rounds == 0)
		turn(t, signals);
	if (t->ended)
		return;
	t->screen = screen_begin(colour);
	if (!t->screen) {
		t->status = ASK_USAGE;
		return;
	}
	draw(t);
	while (!t->ended)
		turn(t, signals);
	screen_end();
}

static void
once(struct top *t, unsigned width, int signals)
{
	while (!t->ended && t->rounds < ONCE_ROUNDS) {
		turn(t, signals);
		if (t->lost && !t->ended) {
			fprintf(stderr, "pgwith: %s\n", t->lost);
			t->status = ASK_UNREACHABLE;
			return;
		}
	}
	if (t->rounds == ONCE_ROUNDS)
		print_once(t, width);
	else if (t->status == ASK_GOOD)
		t->status = ASK_CANCELLED; /* by a signal: there is nothing to print */
}

enum ask_status
top_run(const struct commands_entry *entry, const struct commands_how *how, struct ask *ask,
	char **args)
{
	int64_t interval_us = how->interval_us ? how->interval_us : INTERVAL_US;
	struct top t = {.whom = how->whom};
	int signals;

	if (interval_us < PAGE_INTERVAL_MIN_US) {
		fprintf(stderr, "pgwith: --interval: the least is %d ms\n",
			(int)(PAGE_INTERVAL_MIN_US / UNIT_MS));
		return ASK_USAGE;
	}
	if (!how->once && (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))) {
		fprintf(stderr, "pgwith: top needs a terminal; pgwith top --once prints\n");
		return ASK_USAGE;
	}
	t.model = model_new();
	if (!how->timeout_given)
		t.whom.timeout_us = ANSWER_US;
	/* Blocks are drawn only where the terminal's locale has them. */
	setlocale(LC_CTYPE, "");
	signal(SIGPIPE, SIG_IGN);
	signals = signal_fd();
	page_init(&t.page, interval_us);
	t.gather = gather_new(&t.whom, t.model, interval_us);
	if (how->once)
		once(&t, how->look.width, signals);
	else
		show(&t, how->look.colour, signals);
	gather_free(t.gather);
	page_clear(&t.page);
	model_free(t.model);
	free(t.lost);
	if (signals >= 0)
		close(signals);
	return t.status;
}
