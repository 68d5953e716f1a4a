#include "session/setcalls.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

bool
setcalls_next(const char **at, struct setcall *c)
{
	static const char begin[] = "pg_catalog.set_config('", end[] = ",false)";
	bool quoted = true;
	const char *p;

	c->at = *at ? strstr(*at, begin) : NULL;
	if (c->at == NULL)
		return false;
	c->name = c->at + sizeof begin - 1;
	/* Quotes within a string are doubled, so `quoted` is right behind each pair. */
	for (p = c->name; *p && (quoted || strncmp(p, end, sizeof end - 1) != 0); p++)
		quoted ^= *p == '\'';
	*at = c->end = *p ? p + sizeof end - 1 : p;
	return true;
}

bool
setcalls_is(const struct setcall *c, const char *name)
{
	size_t length = strlen(name);

	return strncasecmp(c->name, name, length) == 0 && c->name[length] == '\'';
}

bool
setcalls_is_any(const struct setcall *c, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (setcalls_is(c, names[i]))
			return true;
	return false;
}

bool
setcalls_have(const char *sql, const char *const *names, size_t count)
{
	struct setcall c;

	while (setcalls_next(&sql, &c))
		if (setcalls_is_any(&c, names, count))
			return true;
	return false;
}

bool
setcalls_is_empty(const struct setcall *c)
{
	static const char empty[] = ",'',false)";
	size_t length = sizeof empty - 1;

	/* A quote within a value is doubled, so a comma and two quotes are an empty value. */
	return (size_t)(c->end - c->name) > length && memcmp(c->end - length, empty, length) == 0;
}
