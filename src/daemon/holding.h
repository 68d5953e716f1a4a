/* holding: before a handover, the sessions are brought to where the next process can go on with
 * them: clients are not read from, unless their transactions have to end first. */
#ifndef PGWITH_DAEMON_HOLDING_H
#define PGWITH_DAEMON_HOLDING_H

#include <stdbool.h>

#include "daemon/daemon.h"

/* Stops reading the clients, but for those whose transactions are on servers that cannot be handed
 * over. To be called again and again, as sessions come to that. */
void holding_stop_reading(struct daemon *);

/* Can everything be handed over as it is now? */
bool holding_is_ready(const struct daemon *);

/* Ends every session that cannot be handed over. */
void holding_force(struct daemon *);

/* There is no handover: all clients are read from again. */
void holding_read_again(struct daemon *);

#endif
