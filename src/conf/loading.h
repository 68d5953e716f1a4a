/* loading: a file on its way to a snapshot: its lines, each put where it belongs, and what is wrong
 * with them. load.c reads the lines; build.c makes the snapshot of them. */
#ifndef PGWITH_CONF_LOADING_H
#define PGWITH_CONF_LOADING_H

#include <stdbool.h>

#include "conf/conf.h"
#include "conf/option.h"

/* A line of one of the files. */
struct place {
	unsigned file; /* from 0: the first one that was read */
	unsigned line; /* 0 where none can be named */
};

struct loading {
	char **files; /* that have been begun */
	unsigned nfiles;
	struct conf_problems *problems;
	unsigned unsaid; /* problems beyond CONF_PROBLEMS_MAX */
	struct section *sections;
	unsigned nsections;
	unsigned current; /* section that is being read; sections[0] is the place of lost options */
	bool begun;       /* a section of this file has been seen, known or not */
	bool lost;        /* one of them could not be understood: it may have been a pool */
	struct setting *settings;
	unsigned nsettings;
	bool continuing; /* settings[nsettings - 1] is what an indented line continues */
	struct inclusion *inclusions;
	unsigned ninclusions;
};

enum section_kind {
	SECTION_LOST, /* outside of any section, or in one that is not known */
	SECTION_PGWITH,
	SECTION_POOL,
	SECTION_SCOPE,
};

struct section {
	enum section_kind kind;
	char *name; /* of the pool or scope, or NULL */
	struct place place;
};

/* Files that are to be read too. */
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
};

/* Adds a problem, unless there are CONF_PROBLEMS_MAX already: then it is only counted. */
void loading_problem(struct loading *, struct place, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Puts the problems into the order of the lines, and says how many were only counted. */
void loading_sort_problems(struct loading *);

/* Frees all but the problems, which are the caller's. */
void loading_clear(struct loading *);

#endif
