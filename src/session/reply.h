/* reply: what a client is sent that no server has said. */
#ifndef PGWITH_SESSION_REPLY_H
#define PGWITH_SESSION_REPLY_H

#include "base/buf.h"
#include "base/err.h"
#include "session/message.h"
#include "session/session.h"

/* Writes or queues bytes for the client. Too slow a client that asks for too much is closed. */
void reply_send(struct session *, const void *, size_t bytes);
void reply_send_buf(struct session *, const struct buf *);

/* Adds the ReadyForQuery that answers a request here, without a server, and counts it. */
void reply_ready(struct session *, struct buf *);

/* The client is told this error of ours: that is logged. */
void reply_log_error(const struct session *, const struct err *);

/* The client is told an error of ours, and goes on: ReadyForQuery behind it, or nothing up to Sync
 * if the message was of the extended protocol. */
void reply_refuse(struct session *, char type, const struct err *);

/* The same, and the error is cleared. Returns what becomes of the message. */
enum verdict reply_refuse_message(struct session *, char type, struct err *);

/* A NoticeResponse of that severity; the error is the caller's. */
void reply_notice(struct session *, const char *severity, const struct err *);

#endif
