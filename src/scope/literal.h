/* literal: decodes names and strings in scope statements, and says what is wrong with one
 * (wire/sqlname.h does so without allocation or explanation, for statements of PostgreSQL).
 * PostgreSQL 15 documentation, 4.1.1 Identifiers and Key Words, 4.1.2 Constants. */
#ifndef PGWITH_SCOPE_LITERAL_H
#define PGWITH_SCOPE_LITERAL_H

#include <stddef.h>

#include "wire/sqltext.h"

/* What is wrong with a literal. */
struct literal_fault {
	const char *at;  /* the place, inside the token */
	const char *why; /* what was expected there, for people: "a string without NUL" */
};

/* Decodes a terminated SQLTEXT_STRING: '...', E'...' or $tag$...$tag$; with SQLTEXT_BACKSLASH in
 * the flags, '...' is read as E'...'. \u and \U become UTF-8; other bytes are copied as they are.
 * Refused are a NUL, U&'', B'', X'', and a string that goes on in another pair of quotes. Returns 0
 * with *text, which the caller frees; or, with *fault filled in, -E_SYNTAX, or -E_TOOBIG if the
 * text is longer than `max` bytes. */
int literal_string(const struct sqltext_token *, unsigned flags, size_t max, char **text,
		   struct literal_fault *fault);

/* The same for a SQLTEXT_NAME, whose ASCII letters become lower case, or a SQLTEXT_QUOTED. Refused
 * are U&"" and an empty name. A long one is not cut, as PostgreSQL does (sqlname_read()), but
 * refused: two locks with the same first 63 bytes are no one lock. */
int literal_name(const struct sqltext_token *, unsigned flags, size_t max, char **name,
		 struct literal_fault *fault);

/* The beginning of a text, for an error: 40 bytes at most, made clean UTF-8. The caller frees. */
char *literal_shown(const char *, size_t bytes);

#endif
