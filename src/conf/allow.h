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

/* Checks the option users of a pool. */
char *allow_check_users(const char *list);

/* An answer to "may this user?". ACCESS_ASK: what is known of the user does not decide it; the
 * operating system must be asked for the user's name or groups. */
enum access { ACCESS_NO, ACCESS_YES, ACCESS_ASK };

/* Does an item of `list`, the option allow, let the user in as `role`? Without what always holds:
 * access_role(). `user`: the name; "": there is none; NULL: it is not known. Items that
 * allow_check() would refuse match nobody. */
enum access allow_role(const char *list, uid_t uid, const char *user, const char *role);

/* Does an item of `list`, the option users, name the user? `in_group(arg, group)` answers for the
 * groups: their names, or gids in digits. */
enum access allow_user(const char *list, uid_t uid, const char *user,
		       enum access (*in_group)(void *arg, const char *group), void *arg);

/* Calls fn(arg, group) for each group that `list`, the option users, names. */
void allow_groups(const char *list, void (*fn)(void *arg, const char *group), void *arg);

/* Has the list, allow or users, an item that everybody matches? */
bool allow_everybody(const char *list);
/* Is the list empty? */
bool allow_empty(const char *list);

/* A gid or uid that is written in digits; false if `text` is none. */
bool allow_number(const char *text, id_t *id);

/* Is `role` an item of the list? */
bool allow_listed(const char *list, const char *role);

#endif
