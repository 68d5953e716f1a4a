/* option: the one table of all options. Parsing, range checks, defaults, SHOW CONFIG, the sample
 * file and the check of the manual are all made from it. */
#ifndef PGWITH_CONF_OPTION_H
#define PGWITH_CONF_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conf_statements;

/* The section that an option belongs to, and the struct that `offset` is an offset in. */
enum option_where {
	OPTION_PGWITH,  /* [pgwith]; struct conf */
	OPTION_POOL,    /* [pool NAME], or [pgwith] for all pools; struct conf_pool */
	OPTION_SCOPE,   /* [scope NAME]; struct conf_scope */
	OPTION_CLUSTER, /* [cluster NAME]; struct conf_cluster */
	OPTION_LIMITS,  /* [role NAME] and [uid NUMBER]; struct conf_limits */
};

/* In parentheses: the C type of the value at `offset`. */
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
	int64_t min, max; /* bounds of a number, in the unit in which it is kept */
	int64_t bare;     /* a duration or size without a unit is multiplied by this */
	/* The default as it would be written. NULL: there is none, the option must be given; "" of
	 * a duration: CONF_UNSET. */
	const char *default_text;
	const char *const *choices; /* of an enum, ending in NULL */
	/* Checks a string or list further. Returns NULL, or what is wrong (the caller frees). */
	char *(*check)(const char *);
	bool many_lines; /* indented lines below may continue the value; true for statements */
	bool repeats;    /* may be given several times; only in a file, where load.c reads it */
	/* Not NULL if the value may hold a password: then it is never quoted in a message, and may
	 * be in a file of its own (secret.h). Returns the value for people; the caller frees. */
	char *(*shown)(const char *);
	bool reloadable; /* a running daemon takes a new value over */
	const char *help;
};

/* The table, in the order in which a person wants to read it. */
const struct conf_option *option_table(unsigned *count);
/* The place of an option in the table. */
unsigned option_index(const struct conf_option *);

/* The option of that name, or NULL. Of two options of one name (max_clients), the first. */
const struct conf_option *option_find(const char *name);
/* The option of that name that may stand in a section of that kind; if there is none, an option of
 * that name for another section, or NULL. */
const struct conf_option *option_find_in(const char *name, enum option_where section);
/* May the option stand in a section of that kind? A pool's option also may stand in [pgwith]. */
bool option_fits(const struct conf_option *, enum option_where section);
/* For a word that is no option: the nearest name among the options that may stand in a section of
 * that kind, or NULL if none is near. */
const char *option_nearest(const char *word, enum option_where section);
/* What replaces PgBouncer's option of that name, in words for people; NULL if it is not known. */
const char *option_of_pgbouncer(const char *name);

/* In all of these, `base` is the struct that `where` of the option names. */

/* Parses and checks `text` and stores the value; the old one is freed. Returns 0; or -E_SYNTAX or
 * -E_RANGE, with what is wrong in *why, which the caller frees, and nothing stored. Then *row, if
 * `row` is not NULL, is the line of the text that is wrong, from 0. */
int option_set(const struct conf_option *, void *base, const char *text, char **why, unsigned *row);
/* Stores the default. Stores nothing if there is none. */
void option_set_default(const struct conf_option *, void *base);
/* Is the option's value the same in both? */
bool option_same(const struct conf_option *, const void *, const void *);
/* Copies the option's value; the old one is freed. */
void option_copy(const struct conf_option *, void *to, const void *from);
/* Frees the value of an option of strings or statements. */
void option_clear(const struct conf_option *, void *base);

/* The value of an OPTION_STATEMENTS; NULL for other types. */
const struct conf_statements *option_statements(const struct conf_option *, const void *base);

/* The value as it would be written, passwords hidden. The caller frees. */
char *option_text(const struct conf_option *, const void *base);
/* Which values are allowed, for people: "an integer from 1 to 10000". The caller frees. */
char *option_range(const struct conf_option *);
/* The unit of a number without one ("s", "ms", "kB" ...); NULL if the type has no units. */
const char *option_bare_unit(const struct conf_option *);

#endif
