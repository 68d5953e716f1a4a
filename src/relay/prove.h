/* prove: the login of a client that has to prove a password: moves the messages of its exchange
 * (session/exchange.h), fetches what the password is judged by (session/passwords.h), and keeps
 * back the answer to a wrong one. */
#ifndef PGWITH_RELAY_PROVE_H
#define PGWITH_RELAY_PROVE_H

#include "conf/verifier.h"
#include "session/session.h"

#define PROVE_DELAYED_MAX 1000 /* wrong passwords that are not answered yet; then the oldest is */

/* STARTUP or LOOKUP -> PASSWORD: asks the client for its password. session->peer.packet is there.
 * login_proved() is called once it is right. */
void prove_begin(struct session *);

/* PASSWORD: reads from the client. */
void prove_readable(struct session *);

/* PASSWORD: the login has taken too long. */
void prove_too_late(struct session *);

/* Answers all wrong passwords now, because the daemon ends or hands over. */
void prove_hurry(struct site *);

/* The callback of site->passwords. */
void prove_told(void *site, const char *role, const struct verifier *);

#endif
