/* rowlocks: asks the PostgreSQL of the pools, over a connection of its own, who waits there for the
 * lock of whom: for a row, a table, an advisory lock. pgwithd does not know of these. */
#ifndef PGWITH_CLI_ROWLOCKS_H
#define PGWITH_CLI_ROWLOCKS_H

#include "cli/ask.h"
#include "cli/commands.h"

/* Asks the pools that have leased servers in `servers`, which is SHOW SERVERS. The connections are
 * made as pgwith doctor makes them: with the conninfo of the configuration, as the user of pgwithd,
 * to whom `ask` leads. Returns a table, which the caller frees:
 *	pool     the pool, and
 *	server   a text that is the same for two pools if they lead to the same PostgreSQL. Both are
 *		 in each row; a row without a pid only tells this.
 *	pid, application, role, locktype, relation, wait_ms
 *		 a process that waits, for what (relation: the table, if that is known), how long
 *	holder, holder_application, holder_role, holder_state, held_ms
 *		 a process that holds it, and how old its transaction is. 0: a prepared transaction
 * A process that waits for several has several rows. *complete is false if a pool could not be
 * asked; stderr says which, and why. */
struct table *rowlocks_ask(const struct commands_how *, struct ask *ask,
			   const struct table *servers, bool *complete);

#endif
