#include "wire/sqlmodes.h"

#include "wire/sqltext.h"

/* Reads the next token if it is this word, which is in lower case. Otherwise the text stays where
 * it is. */
static bool
accept_word(struct sqltext *at, const char *word)
{
	struct sqltext ahead = *at;
	struct sqltext_token t;

	sqltext_token(&ahead, &t);
	if (t.kind != SQLTEXT_NAME || !sqltext_is_word(&t, word))
		return false;
	*at = ahead;
	return true;
}

static bool
accept_comma(struct sqltext *at)
{
	struct sqltext ahead = *at;
	struct sqltext_token t;

	sqltext_token(&ahead, &t);
	if (!sqltext_is_char(&t, ','))
		return false;
	*at = ahead;
	return true;
}

static bool
nothing_follows(struct sqltext at)
{
	struct sqltext_token t;

	while (sqltext_token(&at, &t) == SQLTEXT_SPLIT)
		;
	return t.kind == SQLTEXT_END && !at.unterminated;
}

static bool
read_level(struct sqltext *at, struct sqlmodes *m)
{
	if (!accept_word(at, "level"))
		return false;
	m->level = true;
	m->serializable = accept_word(at, "serializable");
	if (m->serializable)
		return true;
	if (accept_word(at, "repeatable"))
		return accept_word(at, "read");
	return accept_word(at, "read") &&
	       (accept_word(at, "committed") || accept_word(at, "uncommitted"));
}

static bool
read_access(struct sqltext *at, struct sqlmodes *m)
{
	m->access = SQLMODES_READ_ONLY;
	if (accept_word(at, "only"))
		return true;
	m->access = SQLMODES_READ_WRITE;
	m->writes = true;
	return accept_word(at, "write");
}

static bool
read_mode(struct sqltext *at, struct sqlmodes *m)
{
	if (accept_word(at, "isolation"))
		return read_level(at, m);
	if (accept_word(at, "read"))
		return read_access(at, m);
	m->deferrable = !accept_word(at, "not");
	return accept_word(at, "deferrable");
}

/* Reads the modes up to the end of the text. */
static bool
read_modes(struct sqltext *at, struct sqlmodes *m)
{
	bool comma = false;

	while (comma || !nothing_follows(*at)) {
		if (!read_mode(at, m))
			return false;
		comma = accept_comma(at);
	}
	return true;
}

static bool
read_begin(struct sqltext *at)
{
	if (accept_word(at, "start"))
		return accept_word(at, "transaction");
	if (!accept_word(at, "begin"))
		return false;
	if (!accept_word(at, "work"))
		accept_word(at, "transaction");
	return true;
}

bool
sqlmodes_read(const char *text, size_t bytes, struct sqlmodes *m)
{
	struct sqltext at;

	*m = (struct sqlmodes){.begins = false};
	if (sqltext_is_ambiguous(text, bytes))
		return false;
	sqltext_init(&at, text, bytes, 0);
	m->begins = read_begin(&at);
	if (!m->begins && !(accept_word(&at, "set") && accept_word(&at, "transaction")))
		return false;
	/* SET TRANSACTION needs a mode. */
	if (!m->begins && nothing_follows(at))
		return false;
	return read_modes(&at, m);
}
