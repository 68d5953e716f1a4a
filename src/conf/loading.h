/* loading: what has been read of the configuration's files, before it becomes a snapshot: sections,
 * options as written, and the problems found so far. load.c fills it in from the lines; build.c
 * makes the snapshot from it. */
#ifndef PGWITH_CONF_LOADING_H
#define PGWITH_CONF_LOADING_H

#include <stdbool.h>

#include "conf/conf.h"
#include "conf/option.h"

/* A line of one of the files. */
struct place {
	unsigned file; /* place in `files` of struct loading */
	unsigned line; /* from 1; 0 where no line can be named */
};

struct loading {
	char **files; /* those that are read or have been read, in that order */
	unsigned nfiles;
	struct conf_problems *problems;
	char *const *environment; /* as in struct conf_input */
	unsigned unsaid;          /* problems beyond CONF_PROBLEMS_MAX: only counted */
	struct section *sections;
	unsigned nsections;
	unsigned current; /* section that is being read; sections[0] is SECTION_LOST */
	bool begun;       /* this file has had a section, known or not */
	bool lost;        /* a section or file could not be understood: pools may be missing */
	struct setting *settings;
	unsigned nsettings;
	bool continuing; /* an indented line continues settings[nsettings - 1] */
	struct inclusion *inclusions;
	unsigned ninclusions;
};

enum section_kind {
	SECTION_LOST, /* options before any section, or in a section that is not known */
	SECTION_PGWITH,
	SECTION_POOL,
	SECTION_SCOPE,
	SECTION_CLUSTER,
	SECTION_ROLE,
	SECTION_UID,
};

struct section {
	enum section_kind kind;
	char *name; /* NULL for [pgwith] */
	struct place place;
};

/* A value of the option include. */
struct inclusion {
	char *pattern;
	struct place place;
};

/* An option as written. */
struct setting {
	const struct conf_option *option;
	unsigned section;
	char *value;
	struct place place;
	unsigned last_line;
	bool broken; /* the value is not known, which has been reported */
};

/* Adds a problem. If there are CONF_PROBLEMS_MAX already, it is only counted. */
void loading_problem(struct loading *, struct place, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Sorts the problems by their lines, and adds one that tells how many were only counted. */
void loading_sort_problems(struct loading *);

/* Adds a file, or what stands for one; it is the one that is read now. */
void loading_file(struct loading *, const char *name);

/* pool, scope ...; pgwith for the section that has no name. */
const char *loading_word(enum section_kind);
/* The options that may stand in such a section. */
enum option_where loading_options(enum section_kind);
/* Adds a section and returns its place. `name`: of a pool or scope; else NULL. */
unsigned loading_section(struct loading *, enum section_kind, const char *name, struct place);
/* Why a section of that kind cannot have that name; NULL if it can. */
const char *loading_name_problem(enum section_kind, const char *name);

/* Replaces the variables of the environment in a line of a value of the option. Returns the text,
 * which the caller frees with secret_free(); or NULL with what is wrong in *why. SQL statements and
 * commands stay as they are. */
char *loading_expand(const struct loading *, const struct conf_option *, const char *value,
		     char **why);
/* Adds a setting. Returns NULL; or what is wrong with the value, which the caller frees: then the
 * setting is broken. */
char *loading_add(struct loading *, const struct conf_option *, unsigned section, const char *value,
		  struct place);

/* Frees all but the problems, which are the caller's. */
void loading_clear(struct loading *);

#endif
