/* pgbouncer: what stands in the files of PgBouncer, by its own rules of syntax (its manual,
 * pgbouncer.ini(5): sections, key = value to the end of the line, # and ; at the front of a line
 * for comments, %include, connection strings with '' in quotes; the auth_file). */
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

/* A name with its value: of a connection string, or a user with their password. */
struct pgbouncer_pair {
	char *key, *value;
};
struct pgbouncer_pairs {
	struct pgbouncer_pair *list;
	unsigned count;
};

struct pgbouncer {
	struct pgbouncer_setting *list; /* in the order of the files; of two the last counts */
	unsigned count;
	char *problem; /* NULL, or the first thing that cannot be understood, with file and line */
};

/* Reads the file and what it includes. False if there is a problem; the caller clears in both
 * cases. */
bool pgbouncer_read(struct pgbouncer *, const char *path);
/* The same of a text; includes are looked for beside `path`. */
bool pgbouncer_parse(struct pgbouncer *, const char *path, const char *text);
void pgbouncer_clear(struct pgbouncer *);

/* The value that counts, or NULL. */
const char *pgbouncer_get(const struct pgbouncer *, const char *section, const char *key);

/* A connection string of [databases], or the settings of one of [users]. Returns NULL, or what is
 * wrong (static). The caller clears. */
const char *pgbouncer_connstr(const char *text, struct pgbouncer_pairs *);
/* An auth_file. Returns NULL, or what is wrong, which the caller frees. */
char *pgbouncer_users(const char *path, struct pgbouncer_pairs *);
void pgbouncer_pairs_clear(struct pgbouncer_pairs *);
const char *pgbouncer_pair(const struct pgbouncer_pairs *, const char *key);

#endif
