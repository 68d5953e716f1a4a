/* inbound: reads the client, and handles its bytes message by message. All messages of one read go
 * to the server in one write. */
#ifndef PGWITH_RELAY_INBOUND_H
#define PGWITH_RELAY_INBOUND_H

#include "loop/stream.h"
#include "session/session.h"

/* The callbacks of every client's stream. */
extern const struct stream_ops inbound_stream_ops;

/* IDLE, ACTIVE, CONSOLE: goes on with the parts of a text of several statements, and with the
 * messages in session->in. */
void inbound_go_on(struct session *);

/* Ends the program if session->in has a message that could be judged now. It may have one only if
 * the session waits, is not read from, or has a text to do first. */
void inbound_check(const struct session *);

#endif
