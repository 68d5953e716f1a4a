#include "session/message.h"

#include <string.h>

#include "wire/formed.h"
#include "wire/frame.h"

/* Returns the text that begins at `at` in the body, with *end behind its NUL; NULL if the NUL is
 * not here. */
static const char *
text_at(const struct message *m, const uint8_t *at, const uint8_t **end)
{
	const uint8_t *nul = NULL;

	if (at < m->body + m->have)
		nul = memchr(at, 0, (size_t)(m->body + m->have - at));
	if (nul == NULL)
		return NULL;
	*end = nul + 1;
	return (const char *)at;
}

/* The same for the name of the statement, which it notes. */
static void
note_statement(struct message *m, const uint8_t *at, const uint8_t **end)
{
	m->statement = text_at(m, at, end);
	if (m->statement)
		m->statement_bytes = (size_t)(*end - at - 1);
}

static void
decode_query(struct message *m)
{
	m->sql = (const char *)m->body;
	/* Mostly the last byte is the NUL that ends the text, and need not be looked for. */
	if (m->have > 0 && message_is_whole(m) && m->body[m->have - 1] == 0)
		m->sql_bytes = m->have - 1;
	else
		m->sql_bytes = strnlen(m->sql, m->have);
}

static void
decode_parse(struct message *m)
{
	const uint8_t *end;

	note_statement(m, m->body, &end);
	if (m->statement == NULL)
		return;
	m->sql = (const char *)end;
	m->sql_bytes = strnlen(m->sql, (size_t)(m->body + m->have - end));
}

static void
decode_bind(struct message *m)
{
	const uint8_t *end;
	const char *portal = text_at(m, m->body, &end);

	if (portal == NULL)
		return;
	note_statement(m, end, &end);
	m->portal = m->statement ? portal : NULL;
}

static void
decode_describe(struct message *m)
{
	const uint8_t *end;

	if (m->have == 0)
		return;
	m->kind = (char)*m->body;
	if (m->kind == 'S')
		note_statement(m, m->body + 1, &end);
	else
		m->portal = text_at(m, m->body + 1, &end);
}

void
message_decode(struct message *m)
{
	const uint8_t *end;

	switch (m->type) {
	case 'Q':
		decode_query(m);
		break;
	case 'P':
		decode_parse(m);
		break;
	case 'B':
		decode_bind(m);
		break;
	case 'D':
	case 'C':
		decode_describe(m);
		break;
	case 'E':
		m->portal = text_at(m, m->body, &end);
		break;
	case 'F':
		m->function = m->have >= 4 ? frame_u32(m->body) : 0;
		break;
	}
}

bool
message_is_well_formed(const struct message *m)
{
	return message_is_whole(m) && formed_well(m->type, m->body, m->bytes);
}

void
message_read_rest(const struct message *m, struct reader *r)
{
	reader_init(r, m->body, m->bytes);
	reader_str(r);
	reader_str(r);
}

bool
message_has_no_null(const struct message *m)
{
	struct reader r;
	unsigned values;

	if (!message_is_well_formed(m))
		return false;
	message_read_rest(m, &r);
	reader_bytes(&r, 2 * (size_t)reader_u16(&r)); /* the formats of the values */
	for (values = reader_u16(&r); values > 0; values--) {
		uint32_t bytes = reader_u32(&r);

		if (bytes == UINT32_MAX)
			return false;
		reader_bytes(&r, bytes);
	}
	return true;
}
