/* allow: the lists that say who may come in as whom, and who may use the console. Items are
 * separated by commas; blanks around an item do not count, inside one they are an error, and so is
 * an empty item. A list of nothing but blanks is empty. */
#ifndef PGWITH_CONF_ALLOW_H
#define PGWITH_CONF_ALLOW_H

#include <stdbool.h>
#include <sys/types.h>

/* Checks the option allow. Returns NULL, or what is wrong, which the caller frees. */
char *allow_check(const char *list);
/* Checks a list of plain role names. */
char *allow_check_roles(const char *list);

/* Does an item of `list` let the user in as `role`? The rules of conf_allows(), without what always
 * holds. Items that allow_check() would refuse match nobody. */
bool allow_matches(const char *list, uid_t uid, const char *user, const char *role);

/* Is `role` an item of the list? */
bool allow_listed(const char *list, const char *role);

#endif
