/* unit_answer: what a member is told of its unit that is not the server's own message, and the end
 * of a request. */
#ifndef PGWITH_SCOPE_UNIT_ANSWER_H
#define PGWITH_SCOPE_UNIT_ANSWER_H

#include "scope/unit.h"

/* An error of our own: the request has failed by it. */
void unit_tell_error_(struct unit *, const char *sqlstate, const char *message, const char *hint);

/* A warning of our own. */
void unit_warn_(struct unit *, const char *sqlstate, const char *message);

/* The Query or exchange has been answered: ends its unit, unless that is the member's BEGIN, and
 * tells the member. */
void unit_end_request_(struct unit *);

/* Tells the kept CommandComplete and ReadyForQuery. */
void unit_tell_ready_(struct unit *);

/* Tells the CommandComplete that was kept back: that of a Query's last statement. */
void unit_tell_tag_(struct unit *);

#endif
