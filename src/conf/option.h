/* option: the one table of everything that can be configured. Parsing, range checks, defaults, SHOW
 * CONFIG, the sample file and the check of the manual are all made from it. */
#ifndef PGWITH_CONF_OPTION_H
#define PGWITH_CONF_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conf_statements;

/* The struct that `offset` is of, and the section that the option belongs to. */
enum option_where {
	OPTION_PGWITH, /* struct conf; section [pgwith] */
	OPTION_POOL,   /* struct conf_pool; section [pool NAME], or [pgwith] as the default for all
			  pools */
	OPTION_SCOPE,  /* struct conf_scope; section [scope NAME] */
};

/* The type of what stands at `offset` is in parentheses. */
enum option_type {
	OPTION_BOOL,       /* on, off, yes, no, true, false, 1, 0 (bool) */
	OPTION_INTEGER,    /* (int64_t) */
	OPTION_DURATION,   /* units_duration(), kept in microseconds (int64_t) */
	OPTION_SIZE,       /* units_size(), kept in bytes (int64_t) */
	OPTION_MODE,       /* octal permission bits (int64_t) */
	OPTION_ENUM,       /* one of `choices`; its index is kept (an enum) */
	OPTION_STRING,     /* (char *, owned by the struct) */
	OPTION_LIST,       /* separated by commas; kept as written (char *, owned by the struct) */
	OPTION_STATEMENTS, /* of SQL (struct conf_statements, whose contents the struct owns) */
};

struct conf_option {
	const char *name;
	enum option_where where;
	enum option_type type;
	size_t offset;
	int64_t min, max;         /* of numbers, in the unit that is kept */
	int64_t bare;             /* what a bare number of a duration or size is multiplied by */
	const char *default_text; /* as it would be written; NULL: there is none, it must be given;
				     "" of a duration: CONF_UNSET */
	const char *const *choices; /* of an enum, ending in NULL */
	/* More that a string or list must be. Returns NULL, or what is wrong (the caller frees). */
	char *(*check)(const char *);
	bool many_lines; /* indented lines below it continue it, of statements always */
	bool repeats;    /* may be given several times; read by load.c, and only from a file */
	/* Of what may hold a password, which is never quoted in a message and may be in a file of
	 * its own (secret.h): the value for people, which the caller frees. */
	char *(*shown)(const char *);
	bool reloadable; /* a running daemon takes a new value over */
	const char *help;
};

/* The table, in the order in which a person wants to read it. */
const struct conf_option *option_table(unsigned *count);
/* The place of an option in the table. */
unsigned option_index(const struct conf_option *);

/* NULL if there is none of that name. */
const struct conf_option *option_find(const char *name);
/* May it stand in the section of that place? Those of pools also may in [pgwith]. */
bool option_fits(const struct conf_option *, enum option_where section);
/* The name of the table that is nearest to a word which is none, or NULL if none is near, among
 * those that may stand in the section of that place. */
const char *option_nearest(const char *word, enum option_where section);
/* What PgBouncer's option of that name is called here, for people; NULL if it is none that is
 * known.
 */
const char *option_of_pgbouncer(const char *name);

/* Parses `text`, checks it and stores it in `base` (the struct that `where` says), which frees what
 * was there. Returns 0; or -E_SYNTAX or -E_RANGE, with *why, which the caller frees, and nothing
 * stored; *row, if not NULL, then is the line of the text that is wrong, from 0. */
int option_set(const struct conf_option *, void *base, const char *text, char **why, unsigned *row);
/* Stores the default, or nothing if there is none. */
void option_set_default(const struct conf_option *, void *base);
/* Do both have the same value? */
bool option_same(const struct conf_option *, const void *, const void *);
/* Gives `to` its own copy of what `from` has. */
void option_copy(const struct conf_option *, void *to, const void *from);
/* Frees what a string or statements option holds. */
void option_clear(const struct conf_option *, void *base);

/* What an OPTION_STATEMENTS holds; NULL of any other type. */
const struct conf_statements *option_statements(const struct conf_option *, const void *base);

/* The value as it would be written, without passwords. The caller frees. */
char *option_text(const struct conf_option *, const void *base);
/* What may be written, for people: "an integer from 1 to 10000". The caller frees. */
char *option_range(const struct conf_option *);
/* The unit of a bare number ("s", "ms", "kB", ...), or NULL where there is none. */
const char *option_bare_unit(const struct conf_option *);

#endif
