/* raise: puts a statement in place of a client's message that makes the server itself raise an
 * error. So a transaction fails on the server too. */
#ifndef PGWITH_SESSION_RAISE_H
#define PGWITH_SESSION_RAISE_H

#include "base/err.h"
#include "session/message.h"
#include "session/session.h"

/* Adds to the batch a statement that raises the error. Returns REPLACE. */
enum verdict raise_error(struct session *, struct message *, const struct err *);

/* The same with the error of pin = off; `why`: the bits that would pin (effects.h). */
enum verdict raise_pin_off(struct session *, struct message *, unsigned why);

#endif
