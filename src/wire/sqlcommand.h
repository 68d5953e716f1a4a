/* sqlcommand: which command of SQL a text has, by its first word, for people. No I/O. Nothing is
 * decided by it: what a text may do is said by sqlclass.h. */
#ifndef PGWITH_WIRE_SQLCOMMAND_H
#define PGWITH_WIRE_SQLCOMMAND_H

#include <stddef.h>

/* X(SQLCOMMAND_..., text) for each command of PostgreSQL 15 (documentation, VI.I SQL Commands) and
 * of pgwith. */
#define SQLCOMMANDS(X)              \
	X(SELECT, "SELECT")         \
	X(INSERT, "INSERT")         \
	X(UPDATE, "UPDATE")         \
	X(DELETE, "DELETE")         \
	X(WITH, "WITH")             \
	X(COMMIT, "COMMIT")         \
	X(BEGIN, "BEGIN")           \
	X(SET, "SET")               \
	X(ROLLBACK, "ROLLBACK")     \
	X(SHOW, "SHOW")             \
	X(FETCH, "FETCH")           \
	X(COPY, "COPY")             \
	X(SAVEPOINT, "SAVEPOINT")   \
	X(RELEASE, "RELEASE")       \
	X(EXECUTE, "EXECUTE")       \
	X(LOCK, "LOCK")             \
	X(CALL, "CALL")             \
	X(DO, "DO")                 \
	X(MERGE, "MERGE")           \
	X(VALUES, "VALUES")         \
	X(TABLE, "TABLE")           \
	X(START, "START")           \
	X(END, "END")               \
	X(ABORT, "ABORT")           \
	X(DECLARE, "DECLARE")       \
	X(CLOSE, "CLOSE")           \
	X(MOVE, "MOVE")             \
	X(PREPARE, "PREPARE")       \
	X(DEALLOCATE, "DEALLOCATE") \
	X(DISCARD, "DISCARD")       \
	X(RESET, "RESET")           \
	X(LISTEN, "LISTEN")         \
	X(UNLISTEN, "UNLISTEN")     \
	X(NOTIFY, "NOTIFY")         \
	X(EXPLAIN, "EXPLAIN")       \
	X(CREATE, "CREATE")         \
	X(ALTER, "ALTER")           \
	X(DROP, "DROP")             \
	X(TRUNCATE, "TRUNCATE")     \
	X(VACUUM, "VACUUM")         \
	X(ANALYZE, "ANALYZE")       \
	X(REINDEX, "REINDEX")       \
	X(REFRESH, "REFRESH")       \
	X(CLUSTER, "CLUSTER")       \
	X(GRANT, "GRANT")           \
	X(REVOKE, "REVOKE")         \
	X(COMMENT, "COMMENT")       \
	X(CHECKPOINT, "CHECKPOINT") \
	X(LOAD, "LOAD")             \
	X(IMPORT, "IMPORT")         \
	X(REASSIGN, "REASSIGN")     \
	X(SECURITY, "SECURITY")     \
	X(ENTER, "ENTER")           \
	X(LEAVE, "LEAVE")           \
	X(EXIT, "EXIT")             \
	X(DEFER, "DEFER")           \
	X(USE, "USE")

enum sqlcommand {
	SQLCOMMAND_NONE, /* there is no statement */
#define SQLCOMMAND_ENUM(name, text) SQLCOMMAND_##name,
	SQLCOMMANDS(SQLCOMMAND_ENUM)
#undef SQLCOMMAND_ENUM
	    SQLCOMMAND_OTHER, /* the first word is none of these */
	SQLCOMMAND_FUNCTION,  /* no text: a FunctionCall of the protocol */
	SQLCOMMAND_N
};

/* The command of the last statement of a text. `flags`: as for sqltext_init(). */
enum sqlcommand sqlcommand_of(const char *text, size_t length, unsigned flags);

/* The same for a text that is one statement, without a comment or blank ahead of its first word. */
enum sqlcommand sqlcommand_of_single(const char *text, size_t length);

/* SELECT, UPDATE ...; "other", "function call"; NULL for SQLCOMMAND_NONE. */
const char *sqlcommand_name(enum sqlcommand);

#endif
