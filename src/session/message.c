#include "session/message.h"

#include <string.h>

const char *
message_text(const struct message *m, size_t *bytes)
{
	const uint8_t *end;

	if (m->type == 'Q') {
		/* The NUL that ends it is mostly the last byte. */
		if (m->have > 0 && m->have == m->bytes && m->body[m->have - 1] == 0)
			*bytes = m->have - 1;
		else
			*bytes = strnlen((const char *)m->body, m->have);
		return (const char *)m->body;
	}
	end = m->type == 'P' && m->have > 0 ? memchr(m->body, 0, m->have) : NULL;
	if (end == NULL)
		return NULL;
	*bytes = strnlen((const char *)end + 1, m->have - (size_t)(end + 1 - m->body));
	return (const char *)end + 1;
}
