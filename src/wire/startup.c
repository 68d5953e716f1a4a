#include "wire/startup.h"

#include <string.h>

#include "base/err.h"
#include "wire/frame.h"

static bool
is_name(const char *name, size_t bytes, const char *wanted)
{
	return strlen(wanted) == bytes && memcmp(name, wanted, bytes) == 0;
}

/* Notes the value if every login needs it. `bytes`: of the name. */
static void
note_param(struct startup *s, const char *name, size_t bytes, const char *value)
{
	if (is_name(name, bytes, "user"))
		s->user = value;
	else if (is_name(name, bytes, "database"))
		s->database = value;
	else if (is_name(name, bytes, "replication"))
		s->replication = value;
	else if (bytes >= 5 && memcmp(name, "_pq_.", 5) == 0)
		s->asks_options = true;
}

/* Reads the parameter list. It must be pairs of strings and end with an empty name, exactly at the
 * packet's end. */
static int
read_params(struct startup *s, size_t bytes)
{
	const char *at = s->params, *end = at + bytes;

	while (at < end && *at) {
		const char *name_end = memchr(at, 0, (size_t)(end - at)), *value_end = NULL;

		if (name_end)
			value_end = memchr(name_end + 1, 0, (size_t)(end - name_end - 1));
		if (value_end == NULL)
			return -E_SYNTAX;
		note_param(s, at, (size_t)(name_end - at), name_end + 1);
		at = value_end + 1;
	}
	return at + 1 == end ? 0 : -E_SYNTAX;
}

int
startup_read(const uint8_t *data, size_t bytes, struct startup *s)
{
	uint32_t code;

	*s = (struct startup){0};
	if (bytes < 4)
		return -E_AGAIN;
	s->length = frame_u32(data);
	if (s->length < 8 || s->length > STARTUP_LARGEST)
		return -E_RANGE;
	if (bytes < s->length)
		return -E_AGAIN;
	code = frame_u32(data + 4);
	switch (code) {
	case 1234 << 16 | 5679:
		s->kind = STARTUP_SSL;
		return 0;
	case 1234 << 16 | 5680:
		s->kind = STARTUP_GSSENC;
		return 0;
	case 1234 << 16 | 5678:
		s->kind = STARTUP_CANCEL;
		/* Up to 256 bytes of key since protocol 3.2 (PostgreSQL 18, 54.2.1). */
		if (s->length < 16 || s->length > 12 + STARTUP_KEY_MAX)
			return -E_RANGE;
		s->pid = frame_u32(data + 8);
		s->secret = data + 12;
		s->secret_bytes = s->length - 12;
		return 0;
	}
	s->kind = STARTUP_PROTOCOL;
	s->major = code >> 16;
	s->minor = code & 0xffff;
	if (s->major != 3)
		return 0; /* other versions have other parameters; the caller refuses the version */
	s->params = (const char *)data + 8;
	return read_params(s, s->length - 8);
}

int
startup_next(const char **at, const char **name, const char **value)
{
	if (**at == 0)
		return 0;
	*name = *at;
	*value = *name + strlen(*name) + 1;
	*at = *value + strlen(*value) + 1;
	return 1;
}

const char *
startup_get(const struct startup *s, const char *wanted)
{
	const char *at = s->params, *name, *value, *found = NULL;

	while (at && startup_next(&at, &name, &value))
		if (strcmp(name, wanted) == 0)
			found = value;
	return found;
}
