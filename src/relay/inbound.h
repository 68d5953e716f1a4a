/* inbound: bytes of the client, message by message. They go on to the server in as few writes as
 * they came in reads. */
#ifndef PGWITH_RELAY_INBOUND_H
#define PGWITH_RELAY_INBOUND_H

#include "loop/stream.h"
#include "session/session.h"

/* Of the stream of every client. */
extern const struct stream_ops inbound_stream_ops;

/* IDLE, ACTIVE, CONSOLE: goes on with the messages that are kept: the parts of a text of several
 * statements, and what is in session->in. */
void inbound_go_on(struct session *);

/* Ends the program if a message is kept that could be judged now: only a session that waits, that
 * is not read from, or that has a text to do first may have one. */
void inbound_check(const struct session *);

#endif
