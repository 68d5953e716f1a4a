/* sqlclass: what SQL text may do to the state of the session that runs it, judged by its words
 * alone. It errs on the safe side: what only looks like a change counts as one. Where the words are
 * not enough to be certain, SQLCLASS_UNSURE, SQLCLASS_CREATE or SQLCLASS_OPAQUE is set, and the
 * server must be asked. It cannot see into the user's own functions, triggers and views.
 *
 * PostgreSQL 15 documentation: VI.I SQL Commands, 9.27 System Administration Functions, 20.1. */
#ifndef PGWITH_WIRE_SQLCLASS_H
#define PGWITH_WIRE_SQLCLASS_H

#include <stdbool.h>
#include <stddef.h>

#include "wire/sqltext.h"

/* X(SQLCLASS_..., name for people), a bit each in this order. */
#define SQLCLASSES(X)                                                                              \
	/* Sets a parameter beyond the transaction: SET, SET SESSION, SET ROLE, RESET ... */       \
	X(SET, "SET")                                                                              \
	/* set_config() with anything but a plain true for is_local, UPDATE pg_settings */         \
	X(SETCONFIG, "set_config")                                                                 \
	/* Sets a parameter for the transaction: SET LOCAL, set_config() with true */              \
	X(SET_LOCAL, "SET LOCAL")                                                                  \
	/* CREATE, ALTER, DROP, IMPORT, GRANT, REVOKE, COMMIT PREPARED: a text parsed later may be \
	 * read in another way than before */                                                      \
	X(DEFINES, "CREATE, ALTER or DROP")                                                        \
	X(LISTEN, "LISTEN")                                                                        \
	X(UNLISTEN, "UNLISTEN")                                                                    \
	/* Makes a temporary table, view, sequence, or anything else in pg_temp */                 \
	X(TEMP, "temporary object")                                                                \
	X(PREPARE, "PREPARE")                                                                      \
	X(DEALLOCATE, "DEALLOCATE")                                                                \
	/* DECLARE ... WITH HOLD */                                                                \
	X(HOLD, "WITH HOLD cursor")                                                                \
	/* LOAD, or a call of a function that leaves something in the backend which no query       \
	 * shows and no DISCARD removes: dblink_connect(), pg_backup_start(), ... */               \
	X(LOAD, "LOAD or session function")                                                        \
	X(DISCARD_ALL, "DISCARD ALL")                                                              \
	X(DISCARD_TEMP, "DISCARD TEMP")                                                            \
	X(DISCARD_SEQUENCES, "DISCARD SEQUENCES")                                                  \
	/* A call of pg_[try_]advisory_lock[_shared], in any schema */                             \
	X(LOCK, "advisory lock")                                                                   \
	/* CLOSE, DROP, a call of pg_advisory_unlock[_shared|_all]: what pinned the session may    \
	 * be gone */                                                                              \
	X(UNDO, "CLOSE, DROP or unlock")                                                           \
	/* DO, CALL, a function that executes a text given to it in a string: may do anything */   \
	X(OPAQUE, "DO or CALL")                                                                    \
	/* EXECUTE: may do whatever the statement does that SQL's PREPARE stored */                \
	X(EXECUTE, "EXECUTE")                                                                      \
	/* CREATE, SELECT INTO: a temporary object, if search_path begins with pg_temp */          \
	X(CREATE, "CREATE")                                                                        \
	/* A statement that is not known, or an UPDATE of what may be a view of pg_settings */     \
	X(UNSURE, "unknown statement")                                                             \
	/* BEGIN, START TRANSACTION; also AND CHAIN, which begins the next transaction */          \
	X(BEGIN, "BEGIN")                                                                          \
	/* COMMIT, END; not COMMIT PREPARED */                                                     \
	X(COMMIT, "COMMIT")                                                                        \
	/* ROLLBACK, ABORT; not ROLLBACK PREPARED */                                               \
	X(ROLLBACK, "ROLLBACK")                                                                    \
	/* SAVEPOINT, RELEASE, ROLLBACK TO */                                                      \
	X(SAVEPOINT, "SAVEPOINT")                                                                  \
	/* PREPARE TRANSACTION, which ends the transaction */                                      \
	X(PREPARE_TRANSACTION, "PREPARE TRANSACTION")                                              \
	/* ENTER, JOIN, USE, DEFER, LEAVE, EXIT, SHOW SCOPES: pgwith's own, not PostgreSQL's */    \
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

/* The SQLCLASS_... bits of all statements of a text together. The text is read as UTF-8 with
 * standard_conforming_strings on. */
unsigned sqlclass(const char *text, size_t length);

/* The same, but the text is read with these flags of sqltext_init(). */
unsigned sqlclass_flags(const char *text, size_t length, unsigned flags);

/* The same. If the text is one statement without a comment or blank ahead of its first word,
 * *single is set to true; mostly, for that is not looked for where it takes longer. Otherwise
 * *single is left as it is. */
unsigned sqlclass_single(const char *text, size_t length, unsigned flags, bool *single);

/* The bit of a text that is BEGIN, COMMIT, END, ROLLBACK or ABORT and nothing else, maybe with a
 * semicolon behind it; 0 for all others. Such a text can be read in one way only. */
unsigned sqlclass_lone_word(const char *text, size_t length);

/* `behind` stands behind the name set_config. Do the arguments of a call follow, so that it sets a
 * parameter (for the transaction at least)? */
bool sqlclass_sets(struct sqltext behind);

/* The name for people of the lowest bit in the set; NULL if the set is empty. */
const char *sqlclass_name(unsigned set);

#endif
