/* secret: values that may hold a password, and that can stand in a file of their own: file:/PATH,
 * or file:NAME for a credential of systemd (systemd.exec(5), LoadCredential=). */
#ifndef PGWITH_CONF_SECRET_H
#define PGWITH_CONF_SECRET_H

#include <stdbool.h>

/* Does the value name a file? */
bool secret_is_file(const char *value);

/* The contents of the file that the value names, without the blanks and line ends around them.
 * Returns NULL, with what is wrong in *why, if the file cannot be read, or if everybody may read it
 * or its group may write it. *why never contains a part of the contents. The caller frees both. */
char *secret_read(const char *value, char **why);

/* Overwrites the text, and frees it. NULL is fine. */
void secret_free(char *);

/* The value for people: ********, or nothing if it is empty. The caller frees. */
char *secret_shown(const char *);

#endif
