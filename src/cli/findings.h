/* findings: what `pgwith doctor` has found, each with what to do about it. */
#ifndef PGWITH_CLI_FINDINGS_H
#define PGWITH_CLI_FINDINGS_H

#include <stdio.h>

#include "cli/table.h"

enum finding_level {
	FINDING_OK,
	FINDING_NOTE,    /* worth knowing, or could not be checked */
	FINDING_WARNING, /* works until something happens */
	FINDING_PROBLEM, /* does not work */
	FINDING_LEVELS
};

struct findings {
	struct table *table;
	unsigned count[FINDING_LEVELS];
};

/* The level of that name; FINDING_PROBLEM if there is none. */
enum finding_level findings_level(const char *name);

void findings_init(struct findings *);
void findings_clear(struct findings *);

/* `subject`: what it is about. `cure`: what to do, or NULL. */
void findings_add(struct findings *, enum finding_level, const char *subject, const char *cure,
		  const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* Makes one line of libpq's message, which has several, some of them indented. */
void findings_join_lines(char *text);

/* Prints them: as lines for people, with a count at the end, or as JSON or CSV. */
void findings_print(const struct findings *, const struct table_look *, FILE *);

#endif
