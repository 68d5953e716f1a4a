/* unitkind: what a statement of a member of a joined scope is to its unit, by its words. No I/O. */
#ifndef PGWITH_SCOPE_UNITKIND_H
#define PGWITH_SCOPE_UNITKIND_H

#include <stdbool.h>
#include <stddef.h>

#include "wire/sqltext.h"

/* What a statement is to a unit. */
enum unitkind {
	UNITKIND_ORDINARY,
	UNITKIND_CONTROL, /* BEGIN, COMMIT, ROLLBACK */
	UNITKIND_OUTSIDE, /* what PostgreSQL refuses outside of a BEGIN */
	UNITKIND_SETS,    /* ordinary, but it sets parameters */
	UNITKIND_MODES,   /* SET TRANSACTION in a BEGIN */
	UNITKIND_DISCARD, /* DISCARD ALL */
	UNITKIND_EMPTIES, /* a temporary table ON COMMIT DELETE ROWS */
	UNITKIND_REFUSED  /* what would end the scope's transaction, or outlive the unit */
};

/* Where it stands. */
struct unitkind_place {
	unsigned flags; /* of sqltext_init() */
	bool block;     /* in a BEGIN of the member */
	bool failed;    /* in one that has failed */
	/* It is no part of a Query with other statements, which PostgreSQL would take for a
	 * transaction block in most respects. */
	bool alone;
	const char *ours; /* what names of savepoints of ours begin with, in lower case */
};

enum unitkind unitkind_of(const struct sqltext_stmt *, const struct unitkind_place *);

/* Could the statement be more than an ordinary one, in a block or outside of one? */
bool unitkind_may_differ(const struct sqltext_stmt *, unsigned flags);
/* The same of any statement in the text. */
bool unitkind_any(const char *text, size_t bytes, unsigned flags);

/* Is it a COPY? */
bool unitkind_copies(const struct sqltext_stmt *);
/* Must it be known of a prepared statement what it is? */
bool unitkind_is_noted(const char *text, size_t bytes, unsigned flags);

/* Must the server never get the text as a prepared statement? It begins or ends transactions, or is
 * refused; by EXECUTE or FETCH it could be executed unseen. */
bool unitkind_is_ours(const char *text, size_t bytes, unsigned flags, const char *ours);

/* Is the text one statement? */
bool unitkind_is_single(const char *text, size_t bytes, unsigned flags);

#endif
