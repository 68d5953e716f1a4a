/* reply: sends to the client, above all what does not come from a server. */
#ifndef PGWITH_SESSION_REPLY_H
#define PGWITH_SESSION_REPLY_H

#include "base/buf.h"
#include "base/err.h"
#include "session/message.h"
#include "session/session.h"

/* Bytes of an error for the client, at most. It may have the words of an error that a server has
 * answered to a statement of ours: those are at most INQUIRY_KEPT_MAX bytes. */
#define REPLY_ERROR_MAX (2 * 1024 * 1024)

/* Sends bytes to the client, or queues them. If the queue is full, because the client does not
 * read, the session is closed. */
void reply_send(struct session *, const void *, size_t bytes);
void reply_send_buf(struct session *, const struct buf *);

/* Adds the ReadyForQuery of a request that is answered without a server, and counts the request. */
void reply_ready(struct session *, struct buf *);

/* Logs that the client gets this error of ours, if log_pooler_errors is on. */
void reply_log_error(const struct session *, const struct err *);

/* Answers a message with an error of ours; the session goes on. ReadyForQuery follows; behind a
 * message of the extended protocol, everything up to Sync is skipped instead. */
void reply_refuse(struct session *, char type, const struct err *);

/* The same, and clears the error. Returns the verdict on the message. */
enum verdict reply_refuse_message(struct session *, char type, struct err *);

/* Sends the error as a NoticeResponse of that severity. The caller clears the error. */
void reply_notice(struct session *, const char *severity, const struct err *);

#endif
