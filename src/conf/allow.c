#include "conf/allow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "conf/quote.h"

/* A part of the list; not ended by a NUL. */
struct span {
	const char *at;
	size_t bytes;
};

/* USER:ROLE; or ROLE alone, then user.at is NULL. */
struct item {
	struct span user;
	struct span role;
};

static const char blanks[] = " \t\r\n";

static bool
is_blank(char c)
{
	return c != '\0' && strchr(blanks, c) != NULL;
}

static bool
span_is(struct span s, const char *word)
{
	return strlen(word) == s.bytes && memcmp(s.at, word, s.bytes) == 0;
}

/* Reads the next item at *list, without the blanks around it, and moves *list behind its comma, or
 * sets it to NULL behind the last item. False if there is no item left. */
static bool
next_item(const char **list, struct span *s)
{
	const char *end;

	if (*list == NULL)
		return false;
	s->at = *list + strspn(*list, blanks);
	s->bytes = strcspn(s->at, ",");
	end = s->at + s->bytes;
	*list = *end == ',' ? end + 1 : NULL;
	while (s->bytes > 0 && is_blank(s->at[s->bytes - 1]))
		s->bytes--;
	return true;
}

static bool
is_empty(const char *list)
{
	return list[strspn(list, blanks)] == '\0';
}

/* A name in an item must not be empty, nor have blanks, a colon, or an asterisk beside other
 * characters. Returns NULL, or what is wrong; `missing` says that in words if the name is empty. */
static const char *
item_name_problem(struct span s, const char *missing)
{
	if (s.bytes == 0)
		return missing;
	for (size_t i = 0; i < s.bytes; i++) {
		if (is_blank(s.at[i]))
			return "a blank inside a name";
		if (s.at[i] == ':')
			return "more than one colon";
		if (s.at[i] == '*' && s.bytes > 1)
			return "an asterisk stands alone: it is no pattern";
	}
	return NULL;
}

/* Reads a uid or gid in digits. False: it is none. (uid_t)-1 is no uid: chown(2). */
static bool
span_uid(struct span s, uid_t *uid)
{
	unsigned long long value = 0;

	for (size_t i = 0; i < s.bytes; i++) {
		if (s.at[i] < '0' || s.at[i] > '9')
			return false;
		value = value * 10 + (s.at[i] - '0');
		if (value >= (uid_t)-1)
			return false;
	}
	*uid = value;
	return s.bytes > 0;
}

static bool
all_digits(struct span s)
{
	return s.bytes > 0 && strspn(s.at, "0123456789") >= s.bytes;
}

/* Splits an item of allow at its colon. Returns NULL, or what is wrong with the item. */
static const char *
split_item(struct span s, struct item *item)
{
	const char *colon = memchr(s.at, ':', s.bytes), *why;
	uid_t uid;

	item->user = (struct span){NULL, 0};
	item->role = s;
	if (s.bytes == 0)
		return "an empty item";
	if (colon) {
		item->user = (struct span){s.at, colon - s.at};
		item->role = (struct span){colon + 1, s.bytes - (colon + 1 - s.at)};
		why = item_name_problem(item->user, "no user before the colon");
		if (why)
			return why;
		if (span_is(item->user, "*"))
			return "everyone is written without a user: ROLE alone, or * alone";
		if (all_digits(item->user) && !span_uid(item->user, &uid))
			return "not a uid";
	}
	return item_name_problem(item->role, "no role behind the colon");
}

static char *
item_refused(struct span s, unsigned number, const char *why, const char *expected)
{
	char *text = mem_strndup(s.at, s.bytes), *quoted = quote_text(text);
	char *out = mem_printf("item %u, %s: %s; expected %s", number, quoted, why, expected);

	free(text);
	free(quoted);
	return out;
}

char *
allow_check(const char *list)
{
	struct span s;
	struct item item;
	const char *why;

	if (is_empty(list))
		return NULL;
	for (unsigned number = 1; next_item(&list, &s); number++)
		if ((why = split_item(s, &item)) != NULL)
			return item_refused(s, number, why,
					    "ROLE, USER:ROLE, USER:* or * between commas");
	return NULL;
}

char *
allow_check_roles(const char *list)
{
	struct span s;
	const char *why;

	if (is_empty(list))
		return NULL;
	for (unsigned number = 1; next_item(&list, &s); number++) {
		why = item_name_problem(s, "an empty item");
		if (why == NULL && span_is(s, "*"))
			why = "everyone cannot be meant here";
		if (why)
			return item_refused(s, number, why, "role names between commas");
	}
	return NULL;
}

bool
allow_empty(const char *list)
{
	return is_empty(list);
}

bool
allow_is_role(const char *text)
{
	return item_name_problem((struct span){text, strlen(text)}, "") == NULL && *text != '*' &&
	       strchr(text, ',') == NULL;
}

bool
allow_is_user(const char *text)
{
	return allow_is_role(text) && *text != '@' &&
	       !all_digits((struct span){text, strlen(text)});
}

bool
allow_number(const char *text, id_t *id)
{
	uid_t value;

	if (!span_uid((struct span){text, strlen(text)}, &value))
		return false;
	*id = value;
	return true;
}

/* ---- the option users ---- */

#define ROLE "role:" /* an item of users: who has proved that it is that role */

const char *
allow_role_item(const char *item)
{
	return strncmp(item, ROLE, strlen(ROLE)) == 0 ? item + strlen(ROLE) : NULL;
}

/* If the item names a role, *role is that name. */
static bool
names_role(struct span s, struct span *role)
{
	if (s.bytes < strlen(ROLE) || allow_role_item(s.at) == NULL)
		return false;
	*role = (struct span){s.at + strlen(ROLE), s.bytes - strlen(ROLE)};
	return true;
}

/* What is wrong with an item of users, or NULL. */
static const char *
user_problem(struct span s)
{
	struct span role;
	bool group = s.bytes > 0 && *s.at == '@';
	struct span name = group ? (struct span){s.at + 1, s.bytes - 1} : s;
	const char *why =
	    item_name_problem(name, group ? "no group behind the @" : "an empty item");
	uid_t id;

	if (names_role(s, &role))
		return span_is(role, "*") ? "everybody is written * alone"
					  : item_name_problem(role, "no role behind role:");
	if (why)
		return why;
	if (group && span_is(name, "*"))
		return "an asterisk stands alone: it is no pattern";
	if (all_digits(name) && !span_uid(name, &id))
		return group ? "not a gid" : "not a uid";
	return NULL;
}

char *
allow_check_users(const char *list)
{
	struct span s;
	const char *why;

	if (is_empty(list))
		return NULL;
	for (unsigned number = 1; next_item(&list, &s); number++)
		if ((why = user_problem(s)) != NULL)
			return item_refused(s, number, why,
					    "USER, UID, @GROUP, role:ROLE or * between commas");
	return NULL;
}

/* Does the name or uid in the list mean this user? One that is not there (s.at is NULL) means
 * everybody. */
static enum access
user_matches(struct span s, uid_t uid, const char *user)
{
	uid_t listed;

	if (s.at == NULL)
		return ACCESS_YES;
	/* Digits are always a uid. So a user whose name is "33" does not pass for uid 33. */
	if (all_digits(s))
		return span_uid(s, &listed) && listed == uid ? ACCESS_YES : ACCESS_NO;
	if (user == NULL)
		return ACCESS_ASK;
	return *user && span_is(s, user) ? ACCESS_YES : ACCESS_NO;
}

enum access
allow_user(const char *list, uid_t uid, const char *user,
	   enum access (*in_group)(void *arg, const char *group), void *arg)
{
	enum access all = ACCESS_NO, one;
	struct span s, role;

	while (next_item(&list, &s)) {
		if (user_problem(s) != NULL || names_role(s, &role))
			continue;
		if (span_is(s, "*")) {
			one = ACCESS_YES;
		} else if (*s.at == '@') {
			char *group = mem_strndup(s.at + 1, s.bytes - 1);

			one = in_group(arg, group);
			free(group);
		} else {
			one = user_matches(s, uid, user);
		}
		if (one == ACCESS_YES)
			return ACCESS_YES;
		if (one == ACCESS_ASK)
			all = ACCESS_ASK;
	}
	return all;
}

bool
allow_proved(const char *list, const char *role)
{
	struct span s, named;

	while (next_item(&list, &s))
		if (span_is(s, "*") ||
		    (user_problem(s) == NULL && names_role(s, &named) && span_is(named, role)))
			return true;
	return false;
}

void
allow_groups(const char *list, void (*fn)(void *arg, const char *group), void *arg)
{
	struct span s;
	char *group;

	while (next_item(&list, &s)) {
		if (user_problem(s) != NULL || *s.at != '@')
			continue;
		group = mem_strndup(s.at + 1, s.bytes - 1);
		fn(arg, group);
		free(group);
	}
}

/* ---- the option allow ---- */

enum access
allow_role(const char *list, uid_t uid, const char *user, const char *role)
{
	enum access all = ACCESS_NO, one;
	struct span s;
	struct item item;

	while (next_item(&list, &s)) {
		if (split_item(s, &item) != NULL ||
		    !(span_is(item.role, "*") || span_is(item.role, role)))
			continue;
		one = user_matches(item.user, uid, user);
		if (one == ACCESS_YES)
			return ACCESS_YES;
		if (one == ACCESS_ASK)
			all = ACCESS_ASK;
	}
	return all;
}

bool
allow_everybody(const char *list)
{
	struct span s;

	while (next_item(&list, &s))
		if (span_is(s, "*"))
			return true;
	return false;
}

bool
allow_listed(const char *list, const char *role)
{
	struct span s;

	while (next_item(&list, &s))
		if (s.bytes > 0 && span_is(s, role))
			return true;
	return false;
}
