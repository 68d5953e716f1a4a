/* unit_control: the statements of a member that the server must not execute as they are: BEGIN,
 * COMMIT and ROLLBACK, which are done by savepoints, and what cannot be done in a joined scope. */
#ifndef PGWITH_SCOPE_UNIT_CONTROL_H
#define PGWITH_SCOPE_UNIT_CONTROL_H

#include "scope/unit.h"
#include "scope/unitkind.h"

#define UNIT_ABORTED \
	"current transaction is aborted, commands ignored until end of transaction block"

/* A statement is refused, as the member was told: its transaction fails, too. */
void unit_statement_refused_(struct unit *);

/* Does one statement that is not ordinary. The server is at rest. */
void unit_do_special_(struct unit *, enum unitkind kind, const char *text, size_t bytes);

/* A sequence that the BEGIN, COMMIT or ROLLBACK of u->control needed has succeeded. */
void unit_go_on_with_control_(struct unit *);

/* The control statement has ended, by success or by an error that the member was told. */
void unit_end_control_(struct unit *);

#endif
