/* kept: the notifications that are kept for a session until it may get them (notifying.h), and
 * their conversion to the encoding of its client, which is done by the keeper. */
#ifndef PGWITH_SESSION_KEPT_H
#define PGWITH_SESSION_KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "session/session.h"

struct listener;
struct listening;

#define KEPT_MAX      (8 * 1024 * 1024) /* bytes for one session */
#define CONVERTED_MAX (64 * 1024)

/* The encoding that notifications must be converted to; NULL: none, the client gets them as they
 * are. PostgreSQL converts neither from nor to SQL_ASCII. */
const char *kept_other_encoding(const struct session *);

/* How many bytes of whole messages are sent next: a portion, or one message. With `ascii`, it ends
 * ahead of the first message that is not all ASCII. */
size_t kept_portion(const struct buf *kept, bool ascii);

/* Has the keeper convert the first one that is kept. kept_converted() takes the answer, and wakes
 * the session. */
void kept_convert(struct session *, const char *to);
void kept_converted(struct listener *, const uint8_t *row, size_t bytes, const char *sqlstate,
		    const char *error);

/* Notifications have been added to what is kept for the session, or taken from it. If those of all
 * sessions are more than the option listen_memory, the session that keeps the most is ended in its
 * next turn. */
void kept_added(struct session *);
void kept_count(struct session *);

/* Drops what is kept of channels that the session does not listen to, as PostgreSQL does at the end
 * of a transaction. */
void kept_drop_others(struct listening *);

#endif
