/* cards: the pools of the status page: for each one a card with its servers as a bar, its numbers
 * and its last hour. */
#ifndef PGWITH_ADMIN_CARDS_H
#define PGWITH_ADMIN_CARDS_H

#include "admin/status.h"
#include "base/buf.h"

void cards_write(struct buf *, const struct status *);

/* The class that the style has for a mood. */
const char *cards_class(enum status_mood);

/* Adds the word of a mood, with a sign: its colour is not alone. */
void cards_tag(struct buf *, enum status_mood);

#endif
