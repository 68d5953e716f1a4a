/* literal: what a name or a string of SQL text stands for, without its quotes and escapes.
 * PostgreSQL 15 documentation, 4.1.1 Identifiers and Key Words, 4.1.2 Constants. */
#ifndef PGWITH_SCOPE_LITERAL_H
#define PGWITH_SCOPE_LITERAL_H

#include <stddef.h>

#include "wire/sqltext.h"

/* What is wrong with a literal. */
struct literal_fault {
	const char *at;  /* the place, in the token */
	const char *why; /* for people: "a string of at most 65536 bytes" was expected */
};

/* The text of a terminated SQLTEXT_STRING: '...', E'...' or $tag$...$tag$; with SQLTEXT_BACKSLASH
 * in the flags '...' is read as E'...'. \u and \U give UTF-8; other bytes are passed on as they are
 * written. A NUL is refused, and so are U&'', B'', X'' and a string that goes on in another pair of
 * quotes. On success *text is the caller's. Otherwise *fault is filled in; returns -E_SYNTAX, or
 * -E_TOOBIG if the text is longer than `max` bytes. */
int literal_string(const struct sqltext_token *, unsigned flags, size_t max, char **text,
		   struct literal_fault *fault);

/* The same for a SQLTEXT_NAME, which becomes lower case (of ASCII), or "..." but not U&"". A name
 * has at least one byte. */
int literal_name(const struct sqltext_token *, size_t max, char **name,
		 struct literal_fault *fault);

/* The beginning of a text, for an error: at most 40 bytes, fit to be shown. The caller frees it. */
char *literal_shown(const char *, size_t bytes);

#endif
