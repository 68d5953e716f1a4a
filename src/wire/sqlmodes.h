/* sqlmodes: reads the modes of a transaction in a text that is one BEGIN, START TRANSACTION or SET
 * TRANSACTION. No I/O. PostgreSQL 15 documentation, VI.I: BEGIN, SET TRANSACTION. */
#ifndef PGWITH_WIRE_SQLMODES_H
#define PGWITH_WIRE_SQLMODES_H

#include <stdbool.h>
#include <stddef.h>

#include "wire/sqltext.h"

enum sqlmodes_access { SQLMODES_ACCESS_DEFAULT, SQLMODES_READ_ONLY, SQLMODES_READ_WRITE };

struct sqlmodes {
	bool begins; /* BEGIN or START TRANSACTION; otherwise SET TRANSACTION */
	bool level;  /* an isolation level is given */
	bool serializable;
	bool deferrable;
	bool writes;                 /* READ WRITE is given, which a standby refuses */
	enum sqlmodes_access access; /* the last one counts, as in PostgreSQL */
};

/* Reads the text. Returns false if it is not one such statement, or not understood for certain;
 * SET TRANSACTION SNAPSHOT is none. Comments, white space, and semicolons behind the statement may
 * be there. */
bool sqlmodes_read(const char *text, size_t bytes, struct sqlmodes *);

/* Reads modes up to the end of the text, which may have none, and adds what they say. Returns false
 * if something else stands there. */
bool sqlmodes_read_list(struct sqltext *, struct sqlmodes *);

#endif
