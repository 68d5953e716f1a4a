#include "cli/top/page.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cli/ask.h"

#define INTERVAL_MIN (UNIT_S / 4)
#define INTERVAL_MAX (UNIT_MIN)

#define TO(mode) (1u << (mode))

static const struct {
	const char *name;
	unsigned next;
} modes[PAGE_NMODES] = {
    [PAGE_BROWSING] = {"browsing", TO(PAGE_FILTERING) | TO(PAGE_ASKING) | TO(PAGE_HELPING)},
    [PAGE_FILTERING] = {"filtering", TO(PAGE_BROWSING)},
    [PAGE_ASKING] = {"asking", TO(PAGE_BROWSING)},
    [PAGE_HELPING] = {"helping", TO(PAGE_BROWSING)},
};

bool
page_may_move(enum page_mode from, enum page_mode to)
{
	return modes[from].next & TO(to);
}

static void
set_mode(struct page *p, enum page_mode mode)
{
	if (!page_may_move(p->mode, mode))
		log_fatal("page", LOG_ALONE, "illegal move",
			  LOG_MOVE(modes[p->mode].name, modes[mode].name));
	p->mode = mode;
	p->typed[0] = 0;
}

void
page_init(struct page *p, int64_t interval_us)
{
	*p = (struct page){.interval_us = interval_us};
	for (unsigned i = 0; i < TABS_NTABS; i++)
		p->tabs[i].sorted = -1;
}

void
page_choose_nothing(struct page *p)
{
	free(p->chosen_scope);
	free(p->chosen_who);
	p->chosen_scope = NULL;
	p->chosen_who = NULL;
	p->chosen = false;
	p->chosen_session = 0;
	p->chosen_line = 0;
}

void
page_clear(struct page *p)
{
	page_choose_nothing(p);
	free(p->question);
	free(p->statement);
	free(p->notice);
}

void
page_notice(struct page *p, enum table_mood mood, const char *text)
{
	char *copy = mem_strdup(text);

	free(p->notice);
	p->notice = copy;
	p->notice_mood = mood;
}

void
page_withdraw(struct page *p)
{
	page_choose_nothing(p);
	if (p->mode != PAGE_ASKING)
		return;
	set_mode(p, PAGE_BROWSING);
	page_notice(p, TABLE_BAD,
		    "nothing was killed: pgwithd was away, its sessions may be others");
}

/* ---- keys ---- */

static void
turn_to(struct page *p, enum tabs_tab tab)
{
	p->tab = tab;
	page_choose_nothing(p);
}

static void
sort_by(struct page *p, int step)
{
	struct page_tab *t = &p->tabs[p->tab];

	/* The number is taken modulo the number of columns by the sheet; -1 is no column. */
	t->sorted = t->sorted + step < -1 ? -1 : t->sorted + step;
}

static void
move(struct page *p, int rows)
{
	if (!p->chosen) {
		p->chosen = true;
		p->chosen_line = 0;
	} else if (rows < 0 && p->chosen_line < (unsigned)-rows) {
		p->chosen_line = 0;
	} else {
		p->chosen_line += (unsigned)rows;
	}
	p->chosen_session = 0; /* the row is found by its number */
}

/* Asks whether the chosen session, or its scope, is to be killed. */
static void
ask(struct page *p, bool scope)
{
	unsigned long long id = p->chosen_session;
	const char *who = p->chosen_who ? p->chosen_who : "?";
	bool named = p->chosen_scope && *p->chosen_scope;
	char *name;

	if (!p->chosen || id == 0) {
		page_notice(p, TABLE_WAITING, "choose a session first, with the arrow keys");
		return;
	}
	if (scope && p->chosen_scope == NULL) {
		page_notice(p, TABLE_WAITING, "this row has no scope; k kills the session");
		return;
	}
	free(p->question);
	free(p->statement);
	if (scope) {
		name = named ? ask_name(p->chosen_scope) : mem_strdup("");
		p->statement = mem_printf("KILL SCOPE %llu%s%s", id, named ? " " : "", name);
		p->question =
		    named ? mem_printf("Roll back %s of session %llu (%s)?", name, id, who)
			  : mem_printf("Roll back the innermost transaction of session %llu (%s)?",
				       id, who);
		free(name);
	} else {
		p->statement = mem_printf("KILL SESSION %llu", id);
		p->question = mem_printf("End session %llu (%s)?", id, who);
	}
	set_mode(p, PAGE_ASKING);
}

static enum page_does
pace(struct page *p, bool faster)
{
	int64_t us = faster ? p->interval_us / 2 : p->interval_us * 2;
	char text[32], *line;

	/* --interval may have given more, or less: the way back is open. */
	if (faster ? us >= INTERVAL_MIN : us <= INTERVAL_MAX)
		p->interval_us = us;
	line = mem_printf("asks every %s", units_duration_str(p->interval_us, text, sizeof text));
	page_notice(p, TABLE_PLAIN, line);
	free(line);
	return PAGE_PACES;
}

static enum page_does
turn_by(struct page *p, unsigned step)
{
	turn_to(p, (enum tabs_tab)((p->tab + step) % TABS_NTABS));
	return PAGE_TURNS;
}

/* Keys that move over the rows. */
static void
browse_rows(struct page *p, uint32_t key)
{
	switch (key) {
	case PAGE_KEY_UP:
		move(p, -1);
		break;
	case PAGE_KEY_DOWN:
		move(p, 1);
		break;
	case PAGE_KEY_PAGE_UP:
		move(p, -10);
		break;
	case PAGE_KEY_PAGE_DOWN:
		move(p, 10);
		break;
	case PAGE_KEY_HOME:
		page_choose_nothing(p);
		p->tabs[p->tab].first = 0;
		break;
	case PAGE_KEY_END:
		p->chosen = true;
		p->chosen_line = UINT32_MAX / 2;
		p->chosen_session = 0;
		break;
	default:
		break;
	}
}

static enum page_does
browse(struct page *p, uint32_t key)
{
	struct page_tab *t = &p->tabs[p->tab];

	if (key >= '1' && key < '1' + TABS_NTABS) {
		turn_to(p, (enum tabs_tab)(key - '1'));
		return PAGE_TURNS;
	}
	switch (key) {
	case 'q':
		return PAGE_QUITS;
	case '\t':
	case PAGE_KEY_RIGHT:
		return turn_by(p, 1);
	case PAGE_KEY_LEFT:
		return turn_by(p, TABS_NTABS - 1);
	case 's':
		sort_by(p, 1);
		break;
	case 'S':
		sort_by(p, -1);
		break;
	case 'r':
		t->backwards = !t->backwards;
		break;
	case '/':
		set_mode(p, PAGE_FILTERING);
		strcpy(p->typed, p->filter);
		break;
	case 'p':
		p->paused = !p->paused;
		return PAGE_PAUSES;
	case ' ':
		return PAGE_HURRIES;
	case '+':
		return pace(p, true);
	case '-':
		return pace(p, false);
	case 'k':
	case 'K':
		ask(p, key == 'K');
		break;
	case 'h':
	case '?':
		set_mode(p, PAGE_HELPING);
		break;
	case PAGE_KEY_ESCAPE:
		if (p->chosen)
			page_choose_nothing(p);
		else
			p->filter[0] = 0;
		break;
	default:
		browse_rows(p, key);
	}
	return PAGE_NOTHING;
}

/* Writes the character as UTF-8, and returns its length; 0: it is none that can be typed. */
static unsigned
encode(uint32_t c, char *out)
{
	if (c >= 0x110000 || utf8_is_control(c))
		return 0;
	if (c < 0x80)
		return *out = (char)c, 1;
	if (c < 0x800) {
		out[0] = (char)(0xC0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3F));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xE0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3F));
		out[2] = (char)(0x80 | (c & 0x3F));
		return 3;
	}
	out[0] = (char)(0xF0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3F));
	out[2] = (char)(0x80 | (c >> 6 & 0x3F));
	out[3] = (char)(0x80 | (c & 0x3F));
	return 4;
}

/* Adds the character to what is typed, or takes the last one away. */
static void
type(struct page *p, uint32_t key)
{
	size_t n = strlen(p->typed);
	char bytes[4];
	unsigned count;

	if (key == PAGE_KEY_ERASE) {
		while (n > 0 && (p->typed[n - 1] & 0xC0) == 0x80)
			n--;
		p->typed[n ? n - 1 : 0] = 0;
		return;
	}
	if (key == 'U' - 64) { /* Ctrl-U */
		p->typed[0] = 0;
		return;
	}
	count = encode(key, bytes);
	if (count == 0 || n + count >= sizeof p->typed)
		return;
	memcpy(p->typed + n, bytes, count);
	p->typed[n + count] = 0;
}

static enum page_does
filter(struct page *p, uint32_t key)
{
	if (key == PAGE_KEY_ENTER) {
		strcpy(p->filter, p->typed);
		set_mode(p, PAGE_BROWSING);
	} else if (key == PAGE_KEY_ESCAPE) {
		p->filter[0] = 0;
		set_mode(p, PAGE_BROWSING);
	} else {
		type(p, key);
		strcpy(p->filter, p->typed);
	}
	page_choose_nothing(p);
	return PAGE_NOTHING;
}

static enum page_does
answer(struct page *p, uint32_t key)
{
	bool yes = strcmp(p->typed, PAGE_WORD) == 0;

	if (key == PAGE_KEY_ENTER || key == PAGE_KEY_ESCAPE) {
		set_mode(p, PAGE_BROWSING);
		if (yes && key == PAGE_KEY_ENTER)
			return PAGE_CHANGES;
		page_notice(p, TABLE_PLAIN, "nothing was killed");
		return PAGE_NOTHING;
	}
	type(p, key);
	return PAGE_NOTHING;
}

enum page_does
page_key(struct page *p, uint32_t key)
{
	free(p->notice);
	p->notice = NULL;
	if (key == '\n' || key == '\r')
		key = PAGE_KEY_ENTER;
	if (key == 0x7f || key == '\b')
		key = PAGE_KEY_ERASE;
	if (key == 0x1b)
		key = PAGE_KEY_ESCAPE;
	switch (p->mode) {
	case PAGE_BROWSING:
		return browse(p, key);
	case PAGE_FILTERING:
		return filter(p, key);
	case PAGE_ASKING:
		return answer(p, key);
	case PAGE_HELPING:
		set_mode(p, PAGE_BROWSING);
		return PAGE_NOTHING;
	case PAGE_NMODES:
		break;
	}
	return PAGE_NOTHING;
}
