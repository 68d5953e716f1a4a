/* sqlcommand: which command of SQL a text has, by its first word, for people. No I/O. Nothing is
 * decided by it: what a text may do is said by sqlclass.h. */
#ifndef PGWITH_WIRE_SQLCOMMAND_H
#define PGWITH_WIRE_SQLCOMMAND_H

#include <stddef.h>

/* X(name) for each command of PostgreSQL 15 (documentation, VI.I SQL Commands) and of pgwith. The
 * most frequent ones come first, where they are found fastest. */
#define SQLCOMMANDS(X)                                                                             \
	X(SELECT)                                                                                  \
	X(INSERT)                                                                                  \
	X(UPDATE) X(DELETE) X(WITH) X(COMMIT) X(BEGIN) X(SET) X(ROLLBACK) X(SHOW) X(FETCH) X(COPY) \
	    X(SAVEPOINT) X(RELEASE) X(EXECUTE) X(LOCK) X(CALL) X(DO) X(MERGE) X(VALUES) X(TABLE)   \
		X(START) X(END) X(ABORT) X(DECLARE) X(CLOSE) X(MOVE) X(PREPARE) X(DEALLOCATE)      \
		    X(DISCARD) X(RESET) X(LISTEN) X(UNLISTEN) X(NOTIFY) X(EXPLAIN) X(CREATE)       \
			X(ALTER) X(DROP) X(TRUNCATE) X(VACUUM) X(ANALYZE) X(REINDEX) X(REFRESH)    \
			    X(CLUSTER) X(GRANT) X(REVOKE) X(COMMENT) X(CHECKPOINT) X(LOAD)         \
				X(IMPORT) X(REASSIGN) X(SECURITY) X(ENTER) X(LEAVE) X(EXIT)        \
				    X(DEFER) X(USE)

enum sqlcommand {
	SQLCOMMAND_NONE, /* there is no statement */
#define SQLCOMMAND_ENUM(name) SQLCOMMAND_##name,
	SQLCOMMANDS(SQLCOMMAND_ENUM)
#undef SQLCOMMAND_ENUM
	    SQLCOMMAND_OTHER, /* the first word is none of these */
	SQLCOMMAND_FUNCTION,  /* no text: a FunctionCall of the protocol */
	SQLCOMMAND_N
};

/* The command of the last statement of a text. `flags`: as for sqltext_init(). */
enum sqlcommand sqlcommand_of(const char *text, size_t length, unsigned flags);

/* SELECT, UPDATE ...; "other", "function call"; NULL for SQLCOMMAND_NONE. */
const char *sqlcommand_name(enum sqlcommand);

#endif
