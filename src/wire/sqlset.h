/* sqlset: the parameter that a SET or RESET is about. PostgreSQL 15 documentation, VI.I SET, RESET,
 * SET ROLE, SET SESSION AUTHORIZATION; gram.y: VariableSetStmt, VariableResetStmt. No I/O, no
 * allocation. */
#ifndef PGWITH_WIRE_SQLSET_H
#define PGWITH_WIRE_SQLSET_H

#include <stdbool.h>

#include "wire/sqltext.h"

#define SQLSET_NAME 256 /* of a name with its NUL: its parts, with full stops between */

enum sqlset_does {
	SQLSET_NOTHING,   /* it is another SET, or none that can be understood */
	SQLSET_SETS,      /* gives the parameter a value */
	SQLSET_RESETS,    /* RESET, or a value DEFAULT */
	SQLSET_RESETS_ALL /* RESET ALL */
};

struct sqlset {
	enum sqlset_does does;
	bool local; /* SET LOCAL */
	/* -1: the name is not certain (sqlname_read()). 0: there is none */
	long length;
	/* As sqlname_read() has the parts of it: TIME ZONE is TimeZone, NAMES client_encoding,
	 * SCHEMA search_path, SESSION AUTHORIZATION session_authorization. Read from as much as
	 * looks like one, whatever stands behind. */
	char name[SQLSET_NAME];
};

/* Reads on behind `tok`, which is the word SET or RESET, up to the first token of the value or
 * less; `tok` is then the last token that was read. */
void sqlset_read(struct sqltext *, struct sqltext_token *tok, struct sqlset *);

#endif
