/* naming: the value of the option application_name, which says what name PostgreSQL sees for the
 * sessions of a pool: client, pool, or a format such as '%a %p'. */
#ifndef PGWITH_CONF_NAMING_H
#define PGWITH_CONF_NAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum naming {
	NAMING_CLIENT, /* the client's own application_name */
	NAMING_POOL,   /* the one that the conninfo of the pool gives */
	NAMING_FORMAT  /* one that is made of a format */
};

/* Which of them it is. The value must be one that naming_check() accepts. */
enum naming naming_kind(const char *value);

/* Returns NULL if the value is good; otherwise what is wrong, which the caller frees. A format is
 * put in single quotes, which may be left out if it has a %. */
char *naming_check(const char *value);

/* Does the format use this letter, as in %c? False if the value is no format. */
bool naming_uses(const char *value, char letter);

/* What the letters of a format stand for. */
struct naming_values {
	const char *name;    /* %a: application_name of the client */
	const char *program; /* %e: the program that the client runs */
	const char *scope;   /* %c: the scope that the session is in, or "" */
	int64_t pid;         /* %p: the client's process */
	int64_t uid;         /* %u: its user */
	uint64_t session;    /* %s: the number of the session */
};

/* Writes what the format makes of the values, cut to `size` - 1 bytes, and a NUL. */
void naming_write(const char *format, const struct naming_values *, char *out, size_t size);

#endif
