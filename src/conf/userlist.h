/* userlist: the option auth_file: roles and what proves their passwords, one a line, in the form of
 * PgBouncer's userlist.txt: "ROLE" "SECRET", quotes doubled inside. The secret is a verifier of
 * SCRAM-SHA-256 as in pg_authid, or the password itself. "" is no password: the role cannot come in
 * by one. A line that begins with ; or # is a comment. Immutable; each snapshot of the
 * configuration that has it keeps a reference. */
#ifndef PGWITH_CONF_USERLIST_H
#define PGWITH_CONF_USERLIST_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/verifier.h"

#define USERLIST_MAX (1 << 20) /* bytes of the file */

struct userlist;

/* One role. */
struct userlist_entry {
	const char *role;
	enum verifier_kind kind; /* NONE, SCRAM or PLAIN */
	const char *secret;      /* as written */
};

/* Checks the path, which must be absolute; "" is none. Returns NULL, or what is wrong; the caller
 * frees. */
char *userlist_check_path(const char *path);

/* Reads the file. NULL: it cannot be used; then `problem(arg, line, why)` was called for each line
 * that is wrong, line 0 meaning the file as a whole. `why` has no part of a secret. It is wrong if
 * everybody may read the file, or its group may write it. */
struct userlist *userlist_read(const char *path,
			       void (*problem)(void *arg, unsigned line, const char *why),
			       void *arg);

struct userlist *userlist_keep(struct userlist *);
/* Drops a reference; the last one overwrites the secrets and frees. NULL is fine. */
void userlist_drop(struct userlist *);

/* The entry of the role, or NULL; NULL is a list, too: an empty one. */
const struct userlist_entry *userlist_find(const struct userlist *, const char *role);

/* All entries, sorted by role. */
const struct userlist_entry *userlist_entries(const struct userlist *, unsigned *count);

#endif
