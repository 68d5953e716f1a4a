#include "cli/top/screen.h"

#include <stdio.h>

#ifdef HAVE_NCURSES

#include <curses.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termcap.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

#include "base/log.h"
#include "cli/top/page.h"

/* Milliseconds in which the rest of a key's sequence follows its Escape, also over a slow line. */
#define ESCAPE_MS 100

/* Numbers of colour pairs are moods. */
static const short colours[] = {
    [TABLE_GOOD] = COLOR_GREEN, [TABLE_WAITING] = COLOR_YELLOW, [TABLE_BAD] = COLOR_RED};

static SCREEN *screen;
static bool coloured;

/* ---- the end ---- */

/* For signals of a crash, whose handlers must not call curses: the terminal's settings before, and
 * what switches it back. */
static struct termios before;
static char back[256];
static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

static void
switch_back(void)
{
	if (write(STDOUT_FILENO, back, strlen(back)) < 0) {
		/* there is no terminal any more */
	}
	tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

static void
on_crash(int signal_number)
{
	switch_back();
	/* SA_RESETHAND: the signal has its default action again */
	raise(signal_number);
}

/* What the terminal is sent for a capability of terminfo(5); NULL if it has none. */
static const char *
capability(const char *name)
{
	const char *text = tigetstr(name);

	return text == (char *)-1 ? NULL : text;
}

static void
watch_crashes(void)
{
	struct sigaction action = {.sa_handler = on_crash, .sa_flags = SA_RESETHAND | SA_NODEFER};
	/* a cursor, no attributes, the ordinary screen */
	static const char *const names[] = {"cnorm", "sgr0", "rmcup"};
	size_t used = 0;

	for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
		const char *text = capability(names[i]);

		if (text && used + strlen(text) < sizeof back) {
			strcpy(back + used, text);
			used += strlen(text);
		}
	}
	for (unsigned i = 0; i < sizeof crashes / sizeof *crashes; i++)
		sigaction(crashes[i], &action, NULL);
	log_before_fatal(switch_back);
}

void
screen_end(void)
{
	if (screen == NULL)
		return;
	endwin();
	log_before_fatal(NULL);
	for (unsigned i = 0; i < sizeof crashes / sizeof *crashes; i++)
		signal(crashes[i], SIG_DFL);
	delscreen(screen);
	screen = NULL;
}

/* ---- the beginning ---- */

static void
begin_colours(bool colour)
{
	coloured = colour && has_colors() && start_color() == OK;
	if (!coloured)
		return;
	use_default_colors();
	for (short i = TABLE_GOOD; i <= TABLE_BAD; i++)
		init_pair(i, colours[i], -1);
}

/* newterm() finds out by itself, but loses memory if it does not know the type (ncurses 6.4). */
static bool
is_known(const char *term)
{
	return term && *term && tgetent(NULL, term) == 1;
}

bool
screen_begin(bool colour)
{
	const char *term = getenv("TERM");

	tcgetattr(STDIN_FILENO, &before);
	screen = is_known(term) ? newterm(NULL, stdout, stdin) : NULL;
	if (screen == NULL) {
		fprintf(stderr, "pgwith: the terminal type \"%s\" is not known; --once prints\n",
			term ? term : "");
		return false;
	}
	if (capability("cup") == NULL || capability("clear") == NULL) {
		screen_end();
		fprintf(stderr,
			"pgwith: a terminal of type \"%s\" cannot be drawn on; --once prints\n",
			term);
		return false;
	}
	set_escdelay(ESCAPE_MS);
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	curs_set(0);
	begin_colours(colour);
	watch_crashes();
	atexit(screen_end);
	return true;
}

unsigned
screen_width(void)
{
	return (unsigned)COLS;
}

unsigned
screen_height(void)
{
	return (unsigned)LINES;
}

void
screen_resize(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0 &&
	    (size.ws_row != LINES || size.ws_col != COLS))
		resizeterm(size.ws_row, size.ws_col);
	clearok(curscr, TRUE);
}

/* ---- drawing ---- */

static attr_t
attributes_of(const struct line *l)
{
	static const attr_t styles[] = {
	    [LINE_PLAIN] = A_NORMAL, [LINE_NAME] = A_BOLD,      [LINE_TITLE] = A_UNDERLINE,
	    [LINE_STRONG] = A_BOLD,  [LINE_BANNER] = A_REVERSE, [LINE_FAINT] = A_NORMAL,
	};
	attr_t a = styles[l->style];

	if (coloured && l->mood != TABLE_PLAIN)
		a |= COLOR_PAIR(l->mood);
	if (coloured && l->style == LINE_FAINT)
		a |= A_DIM;
	return a;
}

void
screen_draw(const struct lines *lines, int chosen)
{
	erase();
	for (int i = 0; i < (int)lines->count && i < LINES; i++) {
		const struct line *l = &lines->list[i];
		attr_t a = attributes_of(l) ^ (i == chosen ? A_REVERSE : 0);

		attrset((int)a);
		mvaddstr(i, 0, l->text);
		if (i == chosen || l->style == LINE_BANNER)
			mvchgat(i, 0, -1, a, coloured ? (short)l->mood : 0, NULL);
	}
	attrset(A_NORMAL);
	refresh();
}

/* ---- keys ---- */

static uint32_t
special_key(wint_t key)
{
	switch (key) {
	case KEY_UP:
		return PAGE_KEY_UP;
	case KEY_DOWN:
		return PAGE_KEY_DOWN;
	case KEY_LEFT:
		return PAGE_KEY_LEFT;
	case KEY_RIGHT:
		return PAGE_KEY_RIGHT;
	case KEY_PPAGE:
		return PAGE_KEY_PAGE_UP;
	case KEY_NPAGE:
		return PAGE_KEY_PAGE_DOWN;
	case KEY_HOME:
		return PAGE_KEY_HOME;
	case KEY_END:
		return PAGE_KEY_END;
	case KEY_BACKSPACE:
		return PAGE_KEY_ERASE;
	case KEY_ENTER:
		return PAGE_KEY_ENTER;
	default:
		return PAGE_KEY_OTHER;
	}
}

uint32_t
screen_key(void)
{
	wint_t key;
	int what;

	do
		what = get_wch(&key);
	while (what == KEY_CODE_YES && key == KEY_RESIZE); /* of resizeterm(), not of the user */
	if (what == KEY_CODE_YES)
		return special_key(key);
	if (what == OK)
		return (uint32_t)key ? (uint32_t)key : PAGE_KEY_OTHER;
	return 0;
}

#else /* built without ncurses */

bool
screen_begin(bool colour)
{
	fprintf(stderr, "pgwith: built without ncurses, top has no screen; --once prints\n");
	return false;
}

void
screen_end(void)
{
}

unsigned
screen_width(void)
{
	return 0;
}

unsigned
screen_height(void)
{
	return 0;
}

void
screen_resize(void)
{
}

void
screen_draw(const struct lines *lines, int chosen)
{
}

uint32_t
screen_key(void)
{
	return 0;
}

#endif
