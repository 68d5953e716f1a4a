/* settings: the table of PgBouncer's settings, with what each becomes in pgwith, and the lines that
 * are written for it. */
#ifndef PGWITH_CLI_IMPORT_SETTINGS_H
#define PGWITH_CLI_IMPORT_SETTINGS_H

#include <stdio.h>

#include "cli/commands.h"
#include "cli/import/pgbouncer.h"

#define SETTINGS_DIRECTORY "/tmp" /* PgBouncer's default of unix_socket_dir */

#define SETTINGS_NO_RESERVE                                                                     \
	"there is no reserve: if size is too small at times, raise size; for a role that must " \
	"not "                                                                                  \
	"wait behind others, priority in its section [role NAME], or a pool of its own with a " \
	"min_size"

/* A configuration that is being written. */
struct import {
	const struct pgbouncer *from;
	const struct commands_how *how;
	struct pgbouncer_pairs users; /* users and passwords of the auth_file */
	struct signin *signin;        /* how clients come in: import/signin.h */
	FILE *to;
	unsigned pools;    /* how many have been written */
	unsigned *unknown; /* how many settings are not known, or could not be taken over */
};

enum setting_kind {
	/* a number of seconds, which may have a fraction: an option of type duration */
	SETTING_SECONDS,
	SETTING_SAME,      /* the value is taken over as it is */
	SETTING_CONNINFO,  /* goes into the conninfo of each pool */
	SETTING_NONE,      /* no equivalent: `note` says why none is needed, or what to do */
	SETTING_SECRET,    /* the same, and the value is not shown */
	SETTING_ELSEWHERE, /* settings_special() does it, or it is read together with others */
};

struct setting {
	const char *name; /* a name that ends in _ stands for all that begin so */
	enum setting_kind kind;
	const char *option;   /* pgwith's option, or the keyword of a conninfo */
	const char *standard; /* PgBouncer's default, if pgwith's is another */
	const char *note;
};

const struct setting *settings_table(unsigned *count);
/* The entry of a setting; NULL if the name is not known. */
const struct setting *settings_find(const char *name);

/* The value in [pgbouncer], or NULL. */
const char *settings_get(const struct import *, const char *name);

/* Writes a line. */
void settings_out(const struct import *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* The value as it has to be written in a file of pgwith, where ${NAME} would stand for a variable.
 * The caller frees with secret_free(). */
char *settings_literal(const char *value);
/* Writes an option, if its value is right for pgwith; otherwise a comment that says why not. `why`:
 * which setting it comes from. */
void settings_option(const struct import *, const char *name, const char *value, const char *why);
/* The same with a number of seconds, which is brought into the range of the option. */
void settings_seconds(const struct import *, const char *name, const char *value, const char *why);
/* Writes the settings whose values mean something else in pgwith. */
void settings_special(const struct import *, const char *name, const char *value);

#endif
