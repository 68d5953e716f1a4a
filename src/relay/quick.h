/* quick: most messages change nothing that must be known of a session: Binds of its unnamed
 * statement, Executes, Syncs, and a Parse of the very text of before. They are followed here, many
 * at a time, in a session that has nothing else to be looked at; what becomes of them is what
 * request would have made of each. */
#ifndef PGWITH_RELAY_QUICK_H
#define PGWITH_RELAY_QUICK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "session/message.h"
#include "session/session.h"

/* Whole messages at the beginning of `data` that go to the server as they are: progress is told of
 * them. Returns their bytes, maybe 0: what is next is for others to judge. */
size_t quick_pass(struct session *, const uint8_t *data, size_t bytes);

/* Is there nothing to be said of the message but that a server is needed? The session is IDLE. */
bool quick_opens(const struct session *, const struct message *);

#endif
