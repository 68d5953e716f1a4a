/* settings: what becomes of each setting of PgBouncer, and the lines that say it. */
#ifndef PGWITH_CLI_IMPORT_SETTINGS_H
#define PGWITH_CLI_IMPORT_SETTINGS_H

#include <stdio.h>

#include "cli/commands.h"
#include "cli/import/pgbouncer.h"

#define SETTINGS_DIRECTORY "/tmp" /* PgBouncer's default of unix_socket_dir */

/* A configuration on its way out. */
struct import {
	const struct pgbouncer *from;
	const struct commands_how *how;
	struct pgbouncer_pairs users; /* of the auth_file */
	FILE *to;
	unsigned pools;    /* so far */
	unsigned *unknown; /* counts what is not known, or could not be taken over */
};

enum setting_kind {
	SETTING_SECONDS,   /* a duration, which may have a fraction */
	SETTING_SAME,      /* the value as it is */
	SETTING_CONNINFO,  /* into the conninfo of each pool */
	SETTING_NONE,      /* no equivalent: `note` says why none is needed, or what to do */
	SETTING_ELSEWHERE, /* settings_special(), or together with others */
};

struct setting {
	const char *name; /* one that ends in _ stands for all that begin so */
	enum setting_kind kind;
	const char *option;   /* of pgwith, or the keyword of a conninfo */
	const char *standard; /* PgBouncer's default, if that of pgwith is another */
	const char *note;
};

const struct setting *settings_table(unsigned *count);
/* NULL if it is not known. */
const struct setting *settings_find(const char *name);

/* What [pgbouncer] says, or NULL. */
const char *settings_get(const struct import *, const char *name);

/* A line. */
void settings_out(const struct import *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* An option, if pgwith takes the value; else a comment that says why not. `why`: where it comes
 * from. */
void settings_option(const struct import *, const char *name, const char *value, const char *why);
/* The same with PgBouncer's number of seconds, brought into the range of the option. */
void settings_seconds(const struct import *, const char *name, const char *value, const char *why);
/* Those whose values mean another thing here. */
void settings_special(const struct import *, const char *name, const char *value);

#endif
