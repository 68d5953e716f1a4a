/* screen: the terminal, by ncurses: draws lines, reads keys. Whatever ends the process (but
 * SIGKILL), the terminal is as before afterwards. */
#ifndef PGWITH_CLI_TOP_SCREEN_H
#define PGWITH_CLI_TOP_SCREEN_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/top/lines.h"

/* Takes the terminal. Returns false if it cannot be drawn on, with the reason on stderr. */
bool screen_begin(bool colour);
void screen_end(void);

unsigned screen_width(void);
unsigned screen_height(void);
/* The window may have another size now: asks the terminal. */
void screen_resize(void);

/* Draws the lines from the top, and nothing below them. `chosen`: the number of the line that is
 * marked; -1: none. */
void screen_draw(const struct lines *, int chosen);

/* The next key, as page_key() takes it; 0 if none was pressed. */
uint32_t screen_key(void);

#endif
