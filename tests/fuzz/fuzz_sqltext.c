/* fuzz_sqltext: whatever the bytes, statements lie in the text, in order, and between them are only
 * blanks, comments and semicolons; a statement taken alone is itself again; and the class of the
 * text has the bits of each of its statements. */
#include "fuzz.h"
#include <string.h>

#include "wire/sqlclass.h"
#include "wire/sqlmention.h"
#include "wire/sqlname.h"
#include "wire/sqltext.h"
#include "wire/sqlusual.h"

static unsigned
statements(const char *text, size_t n, unsigned flags)
{
	struct sqltext_stmt s;
	struct sqltext t;
	unsigned count = 0;

	sqltext_init(&t, text, n, flags);
	while (sqltext_next(&t, &s))
		count++;
	return count;
}

static void
check(const char *text, size_t n, unsigned flags)
{
	const char *last = text, *end = text + n;
	unsigned whole = sqlclass_flags(text, n, flags), parts = 0, count = 0;
	struct sqltext_stmt s, again;
	struct sqltext t, alone;

	sqltext_init(&t, text, n, flags);
	while (sqltext_next(&t, &s)) {
		MUST(s.start >= last && s.length > 0 && s.length <= (size_t)(end - s.start));
		MUST(statements(last, (size_t)(s.start - last), flags) == 0);
		last = s.start + s.length;
		sqltext_init(&alone, s.start, s.length, flags);
		MUST(sqltext_next(&alone, &again));
		MUST(again.start == s.start && again.length == s.length);
		MUST(again.first[0] == s.first[0] && again.first[3] == s.first[3]);
		MUST(!sqltext_next(&alone, &again));
		parts |= sqlclass_flags(s.start, s.length, flags);
		count++;
	}
	MUST(n == 0 || t.at == end);
	MUST(statements(last, (size_t)(end - last), flags) == 0);
	MUST(whole == parts);
	MUST(whole >> SQLCLASS_N == 0);
	MUST(!sqltext_single(text, n) || count <= 1);
	if (sqlusual_select(text, n))
		MUST(sqlclass(text, n) == 0 && sqlmention(text, n) == 0 && count == 1 &&
		     !sqltext_is_ambiguous(text, n));
}

/* What a name or string says is no longer than it, and ends. */
static void
names(const char *text, size_t n)
{
	static const unsigned flags[] = {0, SQLTEXT_BACKSLASH, SQLTEXT_SJIS | SQLTEXT_BACKSLASH,
					 SQLTEXT_GB18030};
	struct sqltext_token tok;
	struct sqltext t;
	char out[100];

	for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++) {
		sqltext_init(&t, text, n, flags[i]);
		while (sqltext_token(&t, &tok) != SQLTEXT_END) {
			long said = sqlname_read(&tok, flags[i], out, sizeof out);

			MUST(said < (long)sizeof out && said <= (long)tok.length);
			MUST(said < 0 || strlen(out) == (size_t)said);
			sqlname_word(&tok, flags[i]);
		}
	}
	MUST(sqltext_characters(text, n, 0) <= n);
	MUST(sqltext_characters(text, n, SQLTEXT_EUC) <= n);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check((const char *)data, size, 0);
	check((const char *)data, size, SQLTEXT_BACKSLASH);
	check((const char *)data, size, SQLTEXT_SJIS);
	check((const char *)data, size, SQLTEXT_DOUBLE | SQLTEXT_BACKSLASH);
	check((const char *)data, size, SQLTEXT_GB18030);
	names((const char *)data, size);
	return 0;
}
