/* unit_server: decides about one message of the server: scope/unit.h. */
#ifndef PGWITH_SCOPE_UNIT_SERVER_H
#define PGWITH_SCOPE_UNIT_SERVER_H

#include "scope/unit.h"

/* Is the body of this message of the server needed? */
bool unit_reads_body(const struct unit *, char type);

/* A message of the server. Never HOLD. */
enum unit_verdict unit_server(struct unit *, char type, const uint8_t *body, size_t bytes);

#endif
