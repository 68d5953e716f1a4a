/* sqltext: splits SQL text into tokens and statements. No I/O, no allocation, no copies: tokens and
 * statements point into the text. Every text is accepted; a token that the server would refuse,
 * such as an unterminated quote, runs to the end of the text.
 *
 * The tokens are those of PostgreSQL 15's own scanner (documentation, 4.1 Lexical Structure;
 * src/backend/parser/scan.l). Statements are split as psql splits them: not inside parentheses
 * (CREATE RULE ... DO (a; b)) nor inside the BEGIN ATOMIC ... END body of a function.
 *
 * How a text is read depends on two parameters of the session: standard_conforming_strings, and
 * client_encoding, because in some encodings a byte that looks like a backslash or a letter may be
 * half of a character. The flags of sqltext_init() give both. */
#ifndef PGWITH_WIRE_SQLTEXT_H
#define PGWITH_WIRE_SQLTEXT_H

#include <stdbool.h>
#include <stddef.h>

/* The words that some module asks for: X(l, first letter, SQLWORD_..., text), sorted by their first
 * letters, as sqltext.c needs them. `l` is passed through. */
#define SQLWORDS(X, l)                                                                        \
	X(l, 'a', ABORT, "abort")                                                             \
	X(l, 'a', ALL, "all")                                                                 \
	X(l, 'a', AND, "and")                                                                 \
	X(l, 'a', AS, "as")                                                                   \
	X(l, 'a', ATOMIC, "atomic")                                                           \
	X(l, 'b', BEGIN, "begin")                                                             \
	X(l, 'c', CALL, "call")                                                               \
	X(l, 'c', CASE, "case")                                                               \
	X(l, 'c', CHAIN, "chain")                                                             \
	X(l, 'c', CLOSE, "close")                                                             \
	X(l, 'c', COMMIT, "commit")                                                           \
	X(l, 'c', CONNECTBY, "connectby")                                                     \
	X(l, 'c', CONSTRAINTS, "constraints")                                                 \
	X(l, 'c', CREATE, "create")                                                           \
	X(l, 'c', CROSSTAB, "crosstab")                                                       \
	X(l, 'c', CROSSTAB2, "crosstab2")                                                     \
	X(l, 'c', CROSSTAB3, "crosstab3")                                                     \
	X(l, 'c', CROSSTAB4, "crosstab4")                                                     \
	X(l, 'c', CURSOR_TO_XML, "cursor_to_xml")                                             \
	X(l, 'd', DATABASE_TO_XML, "database_to_xml")                                         \
	X(l, 'd', DATABASE_TO_XML_AND_XMLSCHEMA, "database_to_xml_and_xmlschema")             \
	X(l, 'd', DBLINK_CONNECT, "dblink_connect")                                           \
	X(l, 'd', DBLINK_CONNECT_U, "dblink_connect_u")                                       \
	X(l, 'd', DEALLOCATE, "deallocate")                                                   \
	X(l, 'd', DECLARE, "declare")                                                         \
	X(l, 'd', DEFER, "defer")                                                             \
	X(l, 'd', DISCARD, "discard")                                                         \
	X(l, 'd', DO, "do")                                                                   \
	X(l, 'd', DROP, "drop")                                                               \
	X(l, 'e', END, "end")                                                                 \
	X(l, 'e', ENTER, "enter")                                                             \
	X(l, 'e', EXECUTE, "execute")                                                         \
	X(l, 'e', EXIT, "exit")                                                               \
	X(l, 'e', EXPLAIN, "explain")                                                         \
	X(l, 'f', FROM, "from")                                                               \
	X(l, 'f', FUNCTION, "function")                                                       \
	X(l, 'g', GLOBAL, "global")                                                           \
	X(l, 'h', HOLD, "hold")                                                               \
	X(l, 'i', IMPORT, "import")                                                           \
	X(l, 'i', INSERT, "insert")                                                           \
	X(l, 'i', INTO, "into")                                                               \
	X(l, 'i', ISN_WEAK, "isn_weak")                                                       \
	X(l, 'j', JOIN, "join")                                                               \
	X(l, 'l', LEAVE, "leave")                                                             \
	X(l, 'l', LISTEN, "listen")                                                           \
	X(l, 'l', LOAD, "load")                                                               \
	X(l, 'l', LOCAL, "local")                                                             \
	X(l, 'm', MERGE, "merge")                                                             \
	X(l, 'o', ONLY, "only")                                                               \
	X(l, 'o', OR, "or")                                                                   \
	X(l, 'p', PG_ADVISORY_LOCK, "pg_advisory_lock")                                       \
	X(l, 'p', PG_ADVISORY_LOCK_SHARED, "pg_advisory_lock_shared")                         \
	X(l, 'p', PG_ADVISORY_UNLOCK, "pg_advisory_unlock")                                   \
	X(l, 'p', PG_ADVISORY_UNLOCK_ALL, "pg_advisory_unlock_all")                           \
	X(l, 'p', PG_ADVISORY_UNLOCK_SHARED, "pg_advisory_unlock_shared")                     \
	X(l, 'p', PG_BACKUP_START, "pg_backup_start")                                         \
	X(l, 'p', PG_CATALOG, "pg_catalog")                                                   \
	X(l, 'p', PG_COPY_LOGICAL_REPLICATION_SLOT, "pg_copy_logical_replication_slot")       \
	X(l, 'p', PG_COPY_PHYSICAL_REPLICATION_SLOT, "pg_copy_physical_replication_slot")     \
	X(l, 'p', PG_CREATE_LOGICAL_REPLICATION_SLOT, "pg_create_logical_replication_slot")   \
	X(l, 'p', PG_CREATE_PHYSICAL_REPLICATION_SLOT, "pg_create_physical_replication_slot") \
	X(l, 'p', PG_REPLICATION_ORIGIN_SESSION_SETUP, "pg_replication_origin_session_setup") \
	X(l, 'p', PG_SETTINGS, "pg_settings")                                                 \
	X(l, 'p', PG_START_BACKUP, "pg_start_backup")                                         \
	X(l, 'p', PG_TEMP, "pg_temp")                                                         \
	X(l, 'p', PG_TRY_ADVISORY_LOCK, "pg_try_advisory_lock")                               \
	X(l, 'p', PG_TRY_ADVISORY_LOCK_SHARED, "pg_try_advisory_lock_shared")                 \
	X(l, 'p', PREPARE, "prepare")                                                         \
	X(l, 'p', PREPARED, "prepared")                                                       \
	X(l, 'p', PROCEDURE, "procedure")                                                     \
	X(l, 'q', QUERY_TO_XML, "query_to_xml")                                               \
	X(l, 'q', QUERY_TO_XML_AND_XMLSCHEMA, "query_to_xml_and_xmlschema")                   \
	X(l, 'q', QUERY_TO_XMLSCHEMA, "query_to_xmlschema")                                   \
	X(l, 'r', RELEASE, "release")                                                         \
	X(l, 'r', REPLACE, "replace")                                                         \
	X(l, 'r', RESET, "reset")                                                             \
	X(l, 'r', ROLLBACK, "rollback")                                                       \
	X(l, 's', SAVEPOINT, "savepoint")                                                     \
	X(l, 's', SCHEMA_TO_XML, "schema_to_xml")                                             \
	X(l, 's', SCHEMA_TO_XML_AND_XMLSCHEMA, "schema_to_xml_and_xmlschema")                 \
	X(l, 's', SEQUENCES, "sequences")                                                     \
	X(l, 's', SESSION, "session")                                                         \
	X(l, 's', SET, "set")                                                                 \
	X(l, 's', SET_CONFIG, "set_config")                                                   \
	X(l, 's', SET_LIMIT, "set_limit")                                                     \
	X(l, 's', SETTING, "setting")                                                         \
	X(l, 's', SHOW, "show")                                                               \
	X(l, 's', START, "start")                                                             \
	X(l, 't', TABLE_TO_XML, "table_to_xml")                                               \
	X(l, 't', TABLE_TO_XML_AND_XMLSCHEMA, "table_to_xml_and_xmlschema")                   \
	X(l, 't', TEMP, "temp")                                                               \
	X(l, 't', TEMPORARY, "temporary")                                                     \
	X(l, 't', TO, "to")                                                                   \
	X(l, 't', TRANSACTION, "transaction")                                                 \
	X(l, 't', TRUE, "true")                                                               \
	X(l, 't', TS_REWRITE, "ts_rewrite")                                                   \
	X(l, 't', TS_STAT, "ts_stat")                                                         \
	X(l, 'u', UNLISTEN, "unlisten")                                                       \
	X(l, 'u', UPDATE, "update")                                                           \
	X(l, 'u', USE, "use")                                                                 \
	X(l, 'w', WITH, "with")                                                               \
	X(l, 'w', WORK, "work")                                                               \
	X(l, 'x', XPATH_TABLE, "xpath_table")

enum sqltext_word {
	SQLWORD_OTHER, /* any other word, and everything that is not a word */
#define SQLWORD_ENUM(l, letter, name, text) SQLWORD_##name,
	SQLWORDS(SQLWORD_ENUM, )
#undef SQLWORD_ENUM
	    SQLWORD_N
};

/* The functions of PostgreSQL, dblink and isn that leave something in their backend which no query
 * shows and no DISCARD removes. A replication slot that they make may be a temporary one. */
#define SQLWORDS_OF_BINDERS                               \
	case SQLWORD_DBLINK_CONNECT:                      \
	case SQLWORD_DBLINK_CONNECT_U:                    \
	case SQLWORD_ISN_WEAK:                            \
	case SQLWORD_PG_BACKUP_START:                     \
	case SQLWORD_PG_COPY_LOGICAL_REPLICATION_SLOT:    \
	case SQLWORD_PG_COPY_PHYSICAL_REPLICATION_SLOT:   \
	case SQLWORD_PG_CREATE_LOGICAL_REPLICATION_SLOT:  \
	case SQLWORD_PG_CREATE_PHYSICAL_REPLICATION_SLOT: \
	case SQLWORD_PG_REPLICATION_ORIGIN_SESSION_SETUP: \
	case SQLWORD_PG_START_BACKUP

/* The functions of PostgreSQL, tablefunc and xml2 that execute a text which they get as argument,
 * or read a relation whose name they get (it may be a view, which calls functions). */
#define SQLWORDS_OF_RUNNERS                         \
	case SQLWORD_CONNECTBY:                     \
	case SQLWORD_CROSSTAB:                      \
	case SQLWORD_CROSSTAB2:                     \
	case SQLWORD_CROSSTAB3:                     \
	case SQLWORD_CROSSTAB4:                     \
	case SQLWORD_CURSOR_TO_XML:                 \
	case SQLWORD_DATABASE_TO_XML:               \
	case SQLWORD_DATABASE_TO_XML_AND_XMLSCHEMA: \
	case SQLWORD_QUERY_TO_XML:                  \
	case SQLWORD_QUERY_TO_XML_AND_XMLSCHEMA:    \
	case SQLWORD_QUERY_TO_XMLSCHEMA:            \
	case SQLWORD_SCHEMA_TO_XML:                 \
	case SQLWORD_SCHEMA_TO_XML_AND_XMLSCHEMA:   \
	case SQLWORD_TABLE_TO_XML:                  \
	case SQLWORD_TABLE_TO_XML_AND_XMLSCHEMA:    \
	case SQLWORD_TS_REWRITE:                    \
	case SQLWORD_TS_STAT:                       \
	case SQLWORD_XPATH_TABLE

/* Which word is the text, in any case of its letters? SQLWORD_OTHER if none of SQLWORDS. */
enum sqltext_word sqltext_word(const char *, size_t length);

/* The same, but one semicolon may stand right behind the word. */
enum sqltext_word sqltext_lone_word(const char *text, size_t length);
/* The word's text in lower case; "" for SQLWORD_OTHER. */
const char *sqltext_word_name(enum sqltext_word);

enum sqltext_kind {
	SQLTEXT_END,    /* of the text; returned by every further call */
	SQLTEXT_SPLIT,  /* the semicolon that ends a statement */
	SQLTEXT_NAME,   /* an identifier or keyword without quotes */
	SQLTEXT_QUOTED, /* "..." or U&"...", with the UESCAPE '...' behind that */
	SQLTEXT_STRING, /* '...', E'...', U&'...' with its UESCAPE, B'...', X'...', $tag$...$tag$ */
	SQLTEXT_NUMBER, /* unsigned number, or a parameter: $1 */
	SQLTEXT_PUNCT,  /* one character of anything else; a semicolon if it does not split */
};

struct sqltext_token {
	enum sqltext_kind kind;
	enum sqltext_word word; /* of SQLTEXT_NAME */
	const char *start;      /* with its quotes */
	size_t length;
};

/* Flags of sqltext_init(). */
enum {
	SQLTEXT_BACKSLASH = 1, /* standard_conforming_strings is off: '\' escapes in plain '...' */
	/* The encoding: one of these at most; none means UTF-8. In the first three, the second byte
	 * of a character may be under 0x80 and look like ASCII. */
	SQLTEXT_SJIS = 2,    /* SJIS, SHIFT_JIS_2004 */
	SQLTEXT_DOUBLE = 4,  /* BIG5, GBK, UHC, JOHAB */
	SQLTEXT_GB18030 = 8, /* GB18030 */
	SQLTEXT_EUC = 16,    /* EUC_... */
	SQLTEXT_BYTES = 32,  /* one byte a character: LATIN1, WIN1252, SQL_ASCII, ... */
	SQLTEXT_HALVES = SQLTEXT_SJIS | SQLTEXT_DOUBLE | SQLTEXT_GB18030,
};

/* The flag of an encoding, in any spelling that PostgreSQL takes; 0 if it is UTF-8 or unknown. */
unsigned sqltext_encoding(const char *name);

/* The length in bytes of the character at `at` (before `end`): at least 1, not beyond `end`. */
size_t sqltext_character(const char *at, const char *end, unsigned flags);

/* How many characters the text has, as PostgreSQL counts them for the position of an error. */
unsigned sqltext_characters(const char *text, size_t length, unsigned flags);

/* May the text have other tokens with other flags of sqltext_init()? False for most texts: they
 * have no backslash, and no dollar sign beside a byte from 0x80 on. */
bool sqltext_is_ambiguous(const char *text, size_t length);

#define SQLTEXT_FIRST 4 /* how many first words of a statement are kept */

/* A walk over a text. May be copied to look ahead: the copy walks on, the original stays. */
struct sqltext {
	const char *at, *end;
	unsigned flags;
	bool unterminated;                      /* a quote or comment ran to the end */
	bool routine;                           /* the statement is CREATE FUNCTION or PROCEDURE */
	bool after_point;                       /* in a routine: the last token was a full stop */
	size_t depth;                           /* how many parentheses are open */
	size_t atomic;                          /* in a routine: BEGIN ATOMIC and CASEs open */
	size_t tokens;                          /* of this statement, read so far */
	enum sqltext_word last;                 /* in a routine: of the last token */
	enum sqltext_word first[SQLTEXT_FIRST]; /* of this statement */
};

void sqltext_init(struct sqltext *, const char *text, size_t length, unsigned flags);

/* Reads the next token; comments and white space are skipped. Returns its kind. */
enum sqltext_kind sqltext_token(struct sqltext *, struct sqltext_token *);

/* Is the token this word, which SQLWORD_... may lack, in any case of letters and without quotes? */
bool sqltext_is_word(const struct sqltext_token *, const char *word);
/* Does the text have this word, which is in lower case and begins with a letter, anywhere, in any
 * case? It may be a part of another word. */
bool sqltext_mentions(const char *text, size_t length, const char *word);
/* The character in lower case, if it is a letter of ASCII. */
char sqltext_lower(char);
/* The value of a hexadecimal digit; 99 if it is none. */
unsigned sqltext_digit(char);

/* Is it this character of punctuation? */
bool sqltext_is_char(const struct sqltext_token *, char);

/* For readers of a grammar: reads the next token if it is this word, or this character. Otherwise
 * returns false, and the text stays where it is. */
bool sqltext_accept(struct sqltext *, const char *word);
bool sqltext_accept_char(struct sqltext *, char);
/* Is there nothing but semicolons, comments and white space from here to the end of the text, and
 * does every quote and comment end? */
bool sqltext_nothing_follows(const struct sqltext *);

struct sqltext_stmt {
	const char *start;                      /* its first token */
	size_t length;                          /* up to the end of its last token: never 0 */
	enum sqltext_word first[SQLTEXT_FIRST]; /* of its first tokens, SQLWORD_OTHER where none */
};

/* Reads the next statement that is not empty; false at the end. Must not be called in the middle of
 * a statement that sqltext_token() has begun to read. */
bool sqltext_next(struct sqltext *, struct sqltext_stmt *);

/* The word of the text's first token; SQLWORD_OTHER if that token is none of SQLWORDS. */
enum sqltext_word sqltext_first(const char *text, size_t length);

/* A quick test: true if the text has no semicolon before its end, and so is one statement at most.
 * False does not mean that it has several: a semicolon may stand in a string. */
bool sqltext_single(const char *text, size_t length);

#endif
