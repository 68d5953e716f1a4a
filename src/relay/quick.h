/* quick: a fast way for the common messages of the extended protocol: Bind of the unnamed
 * statement, Execute, Sync, and a Parse of the same text as before. They change nothing that must
 * be known of a session, so many of them are passed at a time, if the session has nothing else to
 * be looked at. judge.c would come to the same verdict on each. */
#ifndef PGWITH_RELAY_QUICK_H
#define PGWITH_RELAY_QUICK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/judge.h"
#include "session/message.h"
#include "session/session.h"

/* Is there nothing in the session's state for which ordinary messages must be looked at? */
bool quick_is_plain(const struct session *);

/* Tells progress of the whole messages at the beginning of `data` that can go to the server as they
 * are. Returns their bytes, maybe 0; the message behind them must be judged. */
size_t quick_pass(struct session *, const uint8_t *data, size_t bytes);

/* SESSION_IDLE: is it a Parse that repeats the session's unnamed statement? Then only a server is
 * missing. */
bool quick_opens(const struct session *, const struct message *);

/* Judges a Parse of the unnamed statement whose text is known to do nothing (standin_knows()), and
 * asks for a server for it. Returns false if judge_message() must judge it. */
bool quick_judge_parse_(struct session *, struct message *, enum verdict *);
static inline bool
quick_judge(struct session *s, struct message *m, enum verdict *v)
{
	return m->type == 'P' && quick_judge_parse_(s, m, v);
}

#endif
