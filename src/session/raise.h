/* raise: the server itself is made to say an error in the place of a client's message, so that a
 * transaction fails as by any other. */
#ifndef PGWITH_SESSION_RAISE_H
#define PGWITH_SESSION_RAISE_H

#include "base/err.h"
#include "session/message.h"
#include "session/session.h"

/* Returns REPLACE. */
enum verdict raise_error(struct session *, struct message *, const struct err *);

/* The same for pin = off, because of `why` (bits of effects.h). */
enum verdict raise_pin_off(struct session *, struct message *, unsigned why);

#endif
