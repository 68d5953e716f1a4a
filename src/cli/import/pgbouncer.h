/* pgbouncer: reads the files of PgBouncer by its own syntax: pgbouncer.ini(5) with sections, `key =
 * value` to the end of the line, comments by # or ; at the front of a line, %include, and
 * connection strings with '' in quotes; and the auth_file. */
#ifndef PGWITH_CLI_IMPORT_PGBOUNCER_H
#define PGWITH_CLI_IMPORT_PGBOUNCER_H

#include <stdbool.h>
#include <stddef.h>

#define PGBOUNCER_FILE_MAX (4 << 20) /* bytes of one file */

struct pgbouncer_setting {
	char *section, *key, *value;
	char *file;
	unsigned line;
};

/* A name and its value, of a connection string; or a user and their password. */
struct pgbouncer_pair {
	char *key, *value;
};
struct pgbouncer_pairs {
	struct pgbouncer_pair *list;
	unsigned count;
};

struct pgbouncer {
	/* in the order of the files; if one is there twice, the last counts */
	struct pgbouncer_setting *list;
	unsigned count;
	char *problem; /* NULL, or the first thing that is wrong, with file and line */
};

/* Reads the file and those that it includes. False if there is a problem. In both cases
 * pgbouncer_clear() is due. */
bool pgbouncer_read(struct pgbouncer *, const char *path);
/* The same for a text; included files are looked for beside `path`. */
bool pgbouncer_parse(struct pgbouncer *, const char *path, const char *text);
void pgbouncer_clear(struct pgbouncer *);

/* The last value of the key in the section, or NULL. */
const char *pgbouncer_get(const struct pgbouncer *, const char *section, const char *key);

/* Reads a connection string of [databases], or the settings of a line of [users]. Returns NULL, or
 * what is wrong (static). In both cases pgbouncer_pairs_clear() is due. */
const char *pgbouncer_connstr(const char *text, struct pgbouncer_pairs *);
/* Reads an auth_file. Returns NULL, or what is wrong, which the caller frees. */
char *pgbouncer_users(const char *path, struct pgbouncer_pairs *);
void pgbouncer_pairs_clear(struct pgbouncer_pairs *);
const char *pgbouncer_pair(const struct pgbouncer_pairs *, const char *key);

#endif
