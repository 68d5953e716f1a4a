/* unit_sequence: the sequences of our own statements (unitown.h): begins each, and decides what
 * comes behind it. */
#ifndef PGWITH_SCOPE_UNIT_SEQUENCE_H
#define PGWITH_SCOPE_UNIT_SEQUENCE_H

#include "scope/unit.h"

/* Begins a sequence, whose messages go to `out`. */
void unit_begin_own_(struct unit *, enum unit_own what);

/* The server is at rest, and the member is gone: rolls back what it has begun. */
void unit_abandon_next_(struct unit *);

/* The member begins something: its unit is open. Returns false if the server has to be asked to set
 * its timeouts first, or to let it only read. */
bool unit_open_(struct unit *);

/* In a BEGIN: the member's request may look at its timeouts. Returns false if they have to be set
 * first. */
bool unit_expose_(struct unit *);

/* The ReadyForQuery of a sequence has come. */
void unit_own_ended_(struct unit *);

/* Is it the error of a cancel, or of a statement_timeout? */
bool unit_is_cancel_(const uint8_t *error, size_t bytes);

/* A row of a statement of ours: the number of its columns says of which. */
void unit_read_row_(struct unit *, const uint8_t *body, size_t bytes);

/* Keeps what fits of the body of an error of the server: maybe only its message, or the beginning
 * of that. */
void unit_keep_error_(struct unit *, const uint8_t *body, size_t bytes);

#endif
