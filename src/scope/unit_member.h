/* unit_member: decides about one message of the member: scope/unit.h. */
#ifndef PGWITH_SCOPE_UNIT_MEMBER_H
#define PGWITH_SCOPE_UNIT_MEMBER_H

#include "scope/unit.h"

/* Does the header of a message of this type tell enough, so that its body need not be seen? */
bool unit_takes_header(char type);

/* A message of the member. `body` is NULL if the header tells enough. Look at out, reply and broken
 * after each call. */
enum unit_verdict unit_member(struct unit *, char type, const uint8_t *body, size_t bytes);

#endif
