/* sqlclass: what SQL text may do to the state of the session that runs it, seen from its words
 * alone. It is a guess on the safe side: what only looks like a change counts as one, and where the
 * words do not tell for certain, SQLCLASS_UNSURE, SQLCLASS_CREATE or SQLCLASS_OPAQUE says so: then
 * the server must be asked. It cannot see into functions, triggers and views of the user's.
 *
 * PostgreSQL 15 documentation: VI.I SQL Commands, 9.27 System Administration Functions, 20.1. */
#ifndef PGWITH_WIRE_SQLCLASS_H
#define PGWITH_WIRE_SQLCLASS_H

#include <stdbool.h>
#include <stddef.h>

#include "wire/sqltext.h"

/* X(SQLCLASS_..., name for people), a bit each in this order. */
#define SQLCLASSES(X)                                                                            \
	/* A parameter for longer than the transaction: SET, SET SESSION, SET ROLE, RESET ... */ \
	X(SET, "SET")                                                                            \
	/* set_config() with anything but a plain true for is_local, UPDATE pg_settings */       \
	X(SETCONFIG, "set_config")                                                               \
	/* A parameter for the transaction: SET LOCAL, set_config() with true */                 \
	X(SET_LOCAL, "SET LOCAL")                                                                \
	/* CREATE, ALTER, DROP, IMPORT: what is parsed from then on may mean something else */   \
	X(DEFINES, "CREATE, ALTER or DROP")                                                      \
	X(LISTEN, "LISTEN")                                                                      \
	X(UNLISTEN, "UNLISTEN")                                                                  \
	/* A temporary table, view, sequence, or anything else made in pg_temp */                \
	X(TEMP, "temporary object")                                                              \
	X(PREPARE, "PREPARE")                                                                    \
	X(DEALLOCATE, "DEALLOCATE")                                                              \
	/* DECLARE ... WITH HOLD */                                                              \
	X(HOLD, "WITH HOLD cursor")                                                              \
	/* LOAD, or a call of a function that binds something to the backend for which there is  \
	 * no question and no DISCARD: dblink_connect(), pg_backup_start(), ... */               \
	X(LOAD, "LOAD or session function")                                                      \
	X(DISCARD_ALL, "DISCARD ALL")                                                            \
	X(DISCARD_TEMP, "DISCARD TEMP")                                                          \
	X(DISCARD_SEQUENCES, "DISCARD SEQUENCES")                                                \
	/* A call of pg_[try_]advisory_lock[_shared], of whatever schema */                      \
	X(LOCK, "advisory lock")                                                                 \
	/* CLOSE, DROP, a call of pg_advisory_unlock[_shared|_all]: the session may have less to \
	 * hold */                                                                               \
	X(UNDO, "CLOSE, DROP or unlock")                                                         \
	/* DO, CALL, what executes a text that is in a string: may do anything */                \
	X(OPAQUE, "DO or CALL")                                                                  \
	/* EXECUTE: may do what the statement does that was prepared by SQL */                   \
	X(EXECUTE, "EXECUTE")                                                                    \
	/* CREATE, SELECT INTO: what search_path leads to may be temporary */                    \
	X(CREATE, "CREATE")                                                                      \
	/* A statement that is not known, an UPDATE of what may be a view of pg_settings */      \
	X(UNSURE, "unknown statement")                                                           \
	/* BEGIN, START TRANSACTION; also what AND CHAIN begins */                               \
	X(BEGIN, "BEGIN")                                                                        \
	/* COMMIT, END; not COMMIT PREPARED */                                                   \
	X(COMMIT, "COMMIT")                                                                      \
	/* ROLLBACK, ABORT; not ROLLBACK PREPARED */                                             \
	X(ROLLBACK, "ROLLBACK")                                                                  \
	/* SAVEPOINT, RELEASE, ROLLBACK TO */                                                    \
	X(SAVEPOINT, "SAVEPOINT")                                                                \
	/* PREPARE TRANSACTION, which ends the transaction */                                    \
	X(PREPARE_TRANSACTION, "PREPARE TRANSACTION")                                            \
	/* ENTER, USE, DEFER, LEAVE, EXIT, SHOW SCOPES: pgwith's own, not PostgreSQL's */        \
	X(SCOPE, "scope statement")

enum {
#define SQLCLASS_ENUM(name, text) SQLCLASS_NUMBER_##name,
	SQLCLASSES(SQLCLASS_ENUM)
#undef SQLCLASS_ENUM
	    SQLCLASS_N
};
enum {
#define SQLCLASS_ENUM(name, text) SQLCLASS_##name = 1u << SQLCLASS_NUMBER_##name,
	SQLCLASSES(SQLCLASS_ENUM)
#undef SQLCLASS_ENUM
};

/* Every SQLCLASS_... bit of all the statements of a text, with standard_conforming_strings on. */
unsigned sqlclass(const char *text, size_t length);

/* The same with the flags of sqltext_init(). */
unsigned sqlclass_flags(const char *text, size_t length, unsigned flags);

/* Is what stands at `behind`, behind the name set_config, the arguments of a call that sets for
 * longer than the transaction? */
bool sqlclass_sets(struct sqltext behind);

/* The name for people of the lowest bit of the set, NULL if the set is empty. */
const char *sqlclass_name(unsigned set);

#endif
