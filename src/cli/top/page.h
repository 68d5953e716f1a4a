/* page: what the user of `pgwith top` has chosen to see, and what keys do. No curses here.
 *
 *	            / a filter is typed           ? help
 *	filtering <-------------------> browsing <-------> helping
 *	                                   ^
 *	                                   | k, K: a question, to be answered by a word
 *	                                   v
 *	                                asking
 */
#ifndef PGWITH_CLI_TOP_PAGE_H
#define PGWITH_CLI_TOP_PAGE_H

#include "cli/table.h"
#include "cli/top/tabs.h"

#define PAGE_INTERVAL_MIN_US (100 * INT64_C(1000)) /* the least of --interval */

enum page_mode { PAGE_BROWSING, PAGE_FILTERING, PAGE_ASKING, PAGE_HELPING, PAGE_NMODES };

/* Keys that are no characters. A character is its code point. */
enum page_key {
	PAGE_KEY_UP = 0x110000,
	PAGE_KEY_DOWN,
	PAGE_KEY_LEFT,
	PAGE_KEY_RIGHT,
	PAGE_KEY_PAGE_UP,
	PAGE_KEY_PAGE_DOWN,
	PAGE_KEY_HOME,
	PAGE_KEY_END,
	PAGE_KEY_ERASE,
	PAGE_KEY_ENTER,
	PAGE_KEY_ESCAPE,
	PAGE_KEY_OTHER /* a key without a meaning */
};

/* What the caller has to do after a key, beside drawing the page. */
enum page_does {
	PAGE_NOTHING,
	PAGE_QUITS,
	PAGE_CHANGES, /* page->statement is to be sent */
	PAGE_TURNS,   /* another tab: other tables are needed */
	PAGE_PAUSES,  /* page->paused has changed */
	PAGE_HURRIES, /* ask now */
	PAGE_PACES    /* page->interval_us has changed */
};

#define PAGE_TYPED 128    /* bytes that can be typed */
#define PAGE_WORD  "kill" /* the answer to a question */

struct page {
	enum page_mode mode;
	enum tabs_tab tab;
	struct page_tab {
		int sorted; /* column; -1: in the order of pgwithd */
		bool backwards;
		unsigned first; /* the row at the top of the screen */
	} tabs[TABS_NTABS];
	char filter[PAGE_TYPED]; /* "": none */
	char typed[PAGE_TYPED];  /* in FILTERING and ASKING */
	char *question;          /* in ASKING */
	char *statement;         /* that is sent if the answer is the word; or was sent last */
	bool paused;
	int64_t interval_us;
	char *notice; /* one line at the bottom, until the next key; or NULL */
	enum table_mood notice_mood;
	/* The chosen row: its number on the page, and its session, which it follows. */
	bool chosen;
	unsigned chosen_line;
	uint64_t chosen_session;
	char *chosen_scope, *chosen_who;
};

void page_init(struct page *, int64_t interval_us);
void page_clear(struct page *);

bool page_may_move(enum page_mode from, enum page_mode to);

/* What a key does. */
enum page_does page_key(struct page *, uint32_t key);

/* Shows the text at the bottom until the next key. */
void page_notice(struct page *, enum table_mood, const char *text);

/* There is a new connection, maybe to another pgwithd, in which the number of a session may be that
 * of another one: no row is chosen any more, and a question about one is taken back. */
void page_withdraw(struct page *);

/* No row is chosen any more. */
void page_choose_nothing(struct page *);

#endif
