#include "conf/expand.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "conf/quote.h"

/* A reference, between its braces. */
struct reference {
	const char *name, *otherwise; /* otherwise: behind :-, or NULL */
	size_t name_bytes, otherwise_bytes;
};

static const char *
look_up(const char *name, size_t bytes, char *const *environment)
{
	for (char *const *e = environment; e && *e; e++)
		if (strncmp(*e, name, bytes) == 0 && (*e)[bytes] == '=')
			return *e + bytes + 1;
	if (environment == NULL) {
		char *copy = mem_strndup(name, bytes);
		const char *value = getenv(copy);

		free(copy);
		return value;
	}
	return NULL;
}

/* Reads what stands behind ${, and moves *at behind the brace. False if it is no reference. */
static bool
read_reference(const char **at, struct reference *r)
{
	const char *c = *at, *end;

	*r = (struct reference){.name = c};
	while (*c == '_' || isalpha((unsigned char)*c) || (c > *at && isdigit((unsigned char)*c)))
		c++;
	r->name_bytes = (size_t)(c - *at);
	end = strchr(c, '}');
	if (r->name_bytes == 0 || end == NULL)
		return false;
	if (c[0] == ':' && c[1] == '-') {
		r->otherwise = c + 2;
		r->otherwise_bytes = (size_t)(end - r->otherwise);
		/* The first brace would end both. */
		if (memmem(r->otherwise, r->otherwise_bytes, "${", 2))
			return false;
	} else if (c != end) {
		return false;
	}
	*at = end + 1;
	return true;
}

/* Adds the value. Returns NULL, or what is wrong. */
static char *
add_value(struct buf *b, const struct reference *r, char *const *environment)
{
	const char *value = look_up(r->name, r->name_bytes, environment);
	int n = r->name_bytes < CONF_NAME ? (int)r->name_bytes : CONF_NAME;

	if ((value == NULL || *value == '\0') && r->otherwise) {
		buf_add(b, r->otherwise, r->otherwise_bytes);
		return NULL;
	}
	if (value == NULL)
		return mem_printf(
		    "the variable %.*s of the environment is not set: set it, or write "
		    "${%.*s:-DEFAULT}",
		    n, r->name, n, r->name);
	if (quote_has_control(value))
		return mem_printf("the variable %.*s of the environment has a line end or another "
				  "control character",
				  n, r->name);
	buf_add(b, value, strlen(value));
	return NULL;
}

/* What follows ${ is read, and *at is moved behind it. Returns NULL, or what is wrong. */
static char *
add_reference(struct buf *b, const char **at, char *const *environment)
{
	struct reference r;

	if (read_reference(at, &r))
		return add_value(b, &r, environment);
	return mem_strdup("${ begins no variable of the environment: expected ${NAME} or "
			  "${NAME:-DEFAULT}, or $${ for ${ itself");
}

/* `refused`: what is wrong with any variable; NULL: they are looked up. */
static char *
expand(const char *text, const char *refused, char *const *environment, char **why)
{
	struct buf b;
	char *out = NULL;

	*why = NULL;
	buf_init(&b, CONF_VALUE_MAX + 1);
	while (*text && *why == NULL) {
		if (strncmp(text, "$${", 3) == 0) {
			buf_add(&b, "${", 2);
			text += 3;
		} else if (strncmp(text, "${", 2) != 0) {
			buf_add_u8(&b, (uint8_t)*text++);
		} else {
			text += 2;
			*why =
			    refused ? mem_strdup(refused) : add_reference(&b, &text, environment);
		}
	}
	buf_add_u8(&b, 0);
	if (*why == NULL && b.failed)
		*why = mem_printf("too long: the maximum is %d bytes", CONF_VALUE_MAX);
	if (*why == NULL)
		out = mem_strdup((char *)buf_data(&b));
	if (b.len > 0)
		explicit_bzero(buf_data(&b), b.len);
	buf_clear(&b);
	return out;
}

char *
expand_text(const char *text, char *const *environment, char **why)
{
	return expand(text, NULL, environment, why);
}

char *
expand_nothing(const char *text, char **why)
{
	return expand(text,
		      "a variable of the environment can only stand in the file, and ${ itself is "
		      "written $${",
		      NULL, why);
}
