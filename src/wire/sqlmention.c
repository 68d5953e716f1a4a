#include "wire/sqlmention.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "wire/sqlclass.h"
#include "wire/sqlname.h"
#include "wire/sqlpieces.h"
#include "wire/sqlset.h"
#include "wire/sqltext.h"

_Static_assert(SQLCLASS_N <= 26, "a bit of sqlclass() is a bit of sqlmention(), too");

/* ---- a quick look, as nearly all texts mention nothing ---- */

static bool
suspicious(const char *text, size_t length)
{
	return sqlpieces_in(text, length, SQLPIECES_MENTIONS);
}

/* ---- the words ---- */

/* Is there a statement SET [SESSION | LOCAL] seed? The word alone may be the name of a column. */
static bool
sets_seed(const char *text, size_t length)
{
	struct sqltext_token t;
	struct sqltext at;
	bool begins = true;
	struct sqlset set;

	sqltext_init(&at, text, length, 0);
	while (sqltext_token(&at, &t) != SQLTEXT_END) {
		if (begins && t.word == SQLWORD_SET) {
			sqlset_read(&at, &t, &set);
			if (strcasecmp(set.name, "seed") == 0)
				return true;
		}
		begins = t.kind == SQLTEXT_SPLIT || (t.kind == SQLTEXT_PUNCT && *t.start == ';');
	}
	return false;
}

/* The bits of what names and strings with Unicode escapes (U&"...", U&'...') say. */
static unsigned
mentions_in_escapes(const char *text, size_t length)
{
	struct sqltext_token t;
	struct sqltext at;
	char says[256];
	unsigned found = 0;
	long n;

	sqltext_init(&at, text, length, 0);
	while (sqltext_token(&at, &t) != SQLTEXT_END) {
		if ((t.kind != SQLTEXT_QUOTED && t.kind != SQLTEXT_STRING) || t.length < 2 ||
		    t.start[1] != '&')
			continue;
		n = sqlname_read(&t, 0, says, sizeof says);
		if (n > 0 && sqltext_mentions(says, (size_t)n, "seed"))
			found |= SQLMENTION_SEED;
		if (n > 0 && sqltext_mentions(says, (size_t)n, "temp_buffers"))
			found |= SQLMENTION_TEMP_BUFFERS;
	}
	return found;
}

unsigned
sqlmention(const char *text, size_t length)
{
	static const char *const sequences[] = {"lastval", "currval", "nextval",
						"setval",  "u&'",     "u&\""};
	unsigned found = 0;

	if (length == 0 || !suspicious(text, length))
		return 0;
	for (size_t i = 0; i < sizeof sequences / sizeof *sequences; i++)
		if (sqltext_mentions(text, length, sequences[i]))
			found |= SQLMENTION_SEQUENCE;
	if (sqltext_mentions(text, length, "u&"))
		found |= mentions_in_escapes(text, length);
	if (sqltext_mentions(text, length, "temp_buffers"))
		found |= SQLMENTION_TEMP_BUFFERS;
	if (sqltext_mentions(text, length, "setseed") ||
	    (sqltext_mentions(text, length, "seed") &&
	     (sqltext_mentions(text, length, "set_config") || sets_seed(text, length))))
		found |= SQLMENTION_SEED;
	return found;
}
