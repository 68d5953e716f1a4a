/* secret: values that may hold a password and can stand in a file of their own: file:/path, or
 * file:NAME in the folder of systemd's credentials (systemd.exec(5), LoadCredential=). */
#ifndef PGWITH_CONF_SECRET_H
#define PGWITH_CONF_SECRET_H

#include <stdbool.h>

/* Does the value name a file? */
bool secret_is_file(const char *value);

/* What stands in the file that the value names, without blanks and line ends around it. Returns
 * NULL with what is wrong in *why, in which nothing of the contents is; the caller frees. It is
 * wrong too if everybody may read it. */
char *secret_read(const char *value, char **why);

/* Overwrites and frees. NULL is fine. */
void secret_free(char *);

/* For people: that there is one. The caller frees. */
char *secret_shown(const char *);

#endif
