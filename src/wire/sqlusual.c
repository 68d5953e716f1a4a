#include "wire/sqlusual.h"

#include <stdint.h>
#include <string.h>

#include "wire/sqlpieces.h"

#define PIECES (SQLPIECES_CLASS | SQLPIECES_INTO | SQLPIECES_MENTIONS | SQLPIECES_SEMICOLON)

/* In any case of the letters. The text has seven bytes. */
static bool
begins_with_select(const char *text)
{
	uint64_t word = 0;

	memcpy(&word, text, 6);
	return (word | 0x202020202020) == 0x7463656c6573 && text[6] == ' ';
}

/* What stands anywhere in a text: bytes of its blocks together. */
struct seen {
	sqlblock dollar; /* 0xff: a dollar sign */
	sqlblock bar;    /* 0xff: a backslash, or '|', which is the same in a block */
	sqlblock high;   /* from 0x80 on: such a byte */
};

/* Does one of the pieces begin there? */
static inline __attribute__((always_inline)) bool
block_is_unusual(struct sqlblocks at, void *arg)
{
	struct seen *seen = arg;

	seen->dollar |= (sqlblock)(at.a == '$');
	seen->bar |= (sqlblock)(at.a == '|');
	seen->high |= at.a;
	return sqlpieces_begin(at, PIECES);
}

/* As sqltext_is_ambiguous(). */
static bool
is_ambiguous(const struct seen *seen, const char *text, size_t length)
{
	if (sqlblock_any(seen->bar) && memchr(text, '\\', length))
		return true;
	return sqlblock_any(seen->dollar) && sqlblock_any((sqlblock)(seen->high >= 0x80));
}

bool
sqlusual_select(const char *text, size_t length)
{
	struct seen seen = {0};

	if (length <= 7 || !begins_with_select(text))
		return false;
	/* It may end with a semicolon. */
	if (text[length - 1] == ';')
		length--;
	return !sqlblock_search(text + 6, length - 6, block_is_unusual, &seen) &&
	       !is_ambiguous(&seen, text, length);
}
