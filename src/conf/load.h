/* load: a file on its way to a snapshot. load.c reads it: every line is put where it belongs;
 * build.c parses the values then, so that a default for all pools may stand behind them. */
#ifndef PGWITH_CONF_LOAD_H
#define PGWITH_CONF_LOAD_H

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

void load_problem(struct loading *, struct place, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Parses and checks all that has been read. The caller frees, also where there were problems. */
struct conf *load_snapshot(struct loading *);

/* What only shows when a pool, or a scope, is complete. `place`: where it begins. */
void load_check_pool(struct loading *, const struct conf_pool *, struct place);
/* Counts the arguments of its statements, too. */
void load_check_scope(struct loading *, const struct conf *, struct conf_scope *);

#endif
