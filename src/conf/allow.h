/* allow: reads the options that are lists of people: allow (who may log in as whom), users (of a
 * pool), admin_users and stats_users. Items are separated by commas. Blanks around an item are
 * ignored; blanks inside one, and empty items, are errors. A list of blanks alone is empty. */
#ifndef PGWITH_CONF_ALLOW_H
#define PGWITH_CONF_ALLOW_H

#include <stdbool.h>
#include <sys/types.h>

/* Check the option allow, a list of role names, the option users. Return NULL, or what is wrong,
 * which the caller frees. */
char *allow_check(const char *list);
char *allow_check_roles(const char *list);
char *allow_check_users(const char *list);

/* Whether a user may do something. ACCESS_ASK: what is known of the user is not enough to decide,
 * so the operating system must be asked for the user's name or groups. */
enum access { ACCESS_NO, ACCESS_YES, ACCESS_ASK };

/* Does an item of `list`, the option allow, let the user in as `role`? Rights that need no item are
 * added by access_role(). `user` is the user's name; "": the uid has none; NULL: it is not known.
 * Items that allow_check() would refuse match nobody. */
enum access allow_role(const char *list, uid_t uid, const char *user, const char *role);

/* Does an item of `list`, the option users, name the user? in_group(arg, group) is asked whether
 * the user is in a group, which is given by its name, or by its gid in digits. */
enum access allow_user(const char *list, uid_t uid, const char *user,
		       enum access (*in_group)(void *arg, const char *group), void *arg);

/* Does an item of `list`, the option users, name the role (role:NAME), or everybody? For clients
 * that have proved by a password that they are that role. */
bool allow_proved(const char *list, const char *role);

/* Does an item of the option users name a role? Returns that name, inside the item; or NULL. */
const char *allow_role_item(const char *item);

/* Calls fn(arg, group) for each group that `list`, the option users, names. */
void allow_groups(const char *list, void (*fn)(void *arg, const char *group), void *arg);

/* Does the list, allow or users, have the item "*", which everybody matches? */
bool allow_everybody(const char *list);
/* Is the list empty? */
bool allow_empty(const char *list);

/* Does the text, as an item of a list, mean the role or the user of that name, and nobody else? A
 * user called "33", "@staff" or "a,b" is named by uid. */
bool allow_is_role(const char *text);
bool allow_is_user(const char *text);

/* Reads a uid or gid in digits. False: `text` is none. */
bool allow_number(const char *text, id_t *id);

/* Is `role` an item of a list of role names? */
bool allow_listed(const char *list, const char *role);

#endif
