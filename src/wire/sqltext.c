#include "wire/sqltext.h"

#include <stdint.h>
#include <string.h>

/* ---- words ------------------------------------------------------------------------------------
 */

static const struct {
	const char *name;
	size_t length;
} words[SQLWORD_N] = {[SQLWORD_OTHER] = {"", 0},
#define ROW(l, letter, word, text) [SQLWORD_##word] = {text, sizeof text - 1},
		      SQLWORDS(ROW, )
#undef ROW
};

/* By first letter: which lengths there are (most words of a text fail here), and the first row. */
#define LENGTH(l, letter, word, text) | ((letter) == (l) ? UINT64_C(1) << (sizeof text - 1) : 0)
#define BEFORE(l, letter, word, text) +((letter) < (l))
#define LETTER(l)                                        \
	[(l) - 'a'] = {.lengths = 0 SQLWORDS(LENGTH, l), \
		       .row = SQLWORD_OTHER + 1 SQLWORDS(BEFORE, l)}

static const struct {
	uint64_t lengths; /* bits */
	uint16_t row;
} letters[32] = {
    LETTER('a'), LETTER('b'), LETTER('c'), LETTER('d'), LETTER('e'), LETTER('f'), LETTER('g'),
    LETTER('h'), LETTER('i'), LETTER('j'), LETTER('k'), LETTER('l'), LETTER('m'), LETTER('n'),
    LETTER('o'), LETTER('p'), LETTER('q'), LETTER('r'), LETTER('s'), LETTER('t'), LETTER('u'),
    LETTER('v'), LETTER('w'), LETTER('x'), LETTER('y'), LETTER('z'),
};

/* `lower` is of lower-case letters and underscores; an underscore has no other case. */
static bool
same(const char *s, const char *lower, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (s[i] != lower[i] && (s[i] | 0x20) != lower[i])
			return false;
	return true;
}

enum sqltext_word
sqltext_word(const char *s, size_t length)
{
	unsigned letter = length ? (uint8_t)((s[0] | 0x20) - 'a') : 26;

	if (letter >= 26 || length >= 64 || !(letters[letter].lengths >> length & 1))
		return SQLWORD_OTHER;
	for (unsigned w = letters[letter].row;
	     w < SQLWORD_N && words[w].name[0] == (char)('a' + letter); w++)
		if (words[w].length == length && same(s, words[w].name, length))
			return w;
	return SQLWORD_OTHER;
}

enum sqltext_word
sqltext_lone_word(const char *text, size_t length)
{
	if (length > 0 && text[length - 1] == ';')
		length--;
	return sqltext_word(text, length);
}

const char *
sqltext_word_name(enum sqltext_word w)
{
	return words[w].name;
}

/* ---- characters -------------------------------------------------------------------------------
 */

enum {
	SPACE = 1,
	START = 2,
	CONT = 4,
	DIGIT = 8,
	TAG = 16 /* of a dollar quote, after its first */
};

/* scan.l: ident_start, ident_cont, dolq_cont, space (with the \v of PostgreSQL 16). */
static const uint8_t classes[256] = {
    ['\t' ... '\r'] = SPACE,
    [' '] = SPACE,
    ['$'] = CONT,
    ['0' ... '9'] = DIGIT | CONT | TAG,
    ['A' ... 'Z'] = START | CONT | TAG,
    ['_'] = START | CONT | TAG,
    ['a' ... 'z'] = START | CONT | TAG,
    [0x80 ... 0xff] = START | CONT | TAG,
};

static inline bool
is(char c, unsigned class)
{
	return classes[(uint8_t)c] & class;
}

/* The first character from `p` on that is not of the class. */
static inline const char *
span(const char *p, const char *end, unsigned class)
{
	while (p < end && is(*p, class))
		p++;
	return p;
}

/* ---- encodings ---------------------------------------------------------------------------------
 */

unsigned
sqltext_encoding(const char *name)
{
	/* PostgreSQL 15, src/common/encnames.c: lower case, letters and digits only. A name that
	 * ends in * stands for all that begin so. */
	static const struct {
		const char *name;
		unsigned flag;
	} names[] = {
	    {"sjis", SQLTEXT_SJIS},       {"shiftjis*", SQLTEXT_SJIS},    {"mskanji", SQLTEXT_SJIS},
	    {"win932", SQLTEXT_SJIS},     {"windows932", SQLTEXT_SJIS},   {"big5", SQLTEXT_DOUBLE},
	    {"win950", SQLTEXT_DOUBLE},   {"windows950", SQLTEXT_DOUBLE}, {"gbk", SQLTEXT_DOUBLE},
	    {"win936", SQLTEXT_DOUBLE},   {"windows936", SQLTEXT_DOUBLE}, {"uhc", SQLTEXT_DOUBLE},
	    {"win949", SQLTEXT_DOUBLE},   {"windows949", SQLTEXT_DOUBLE}, {"johab", SQLTEXT_DOUBLE},
	    {"gb18030", SQLTEXT_GB18030}, {"euc*", SQLTEXT_EUC},          {"latin*", SQLTEXT_BYTES},
	    {"iso8859*", SQLTEXT_BYTES},  {"koi8*", SQLTEXT_BYTES},       {"win*", SQLTEXT_BYTES},
	    {"sqlascii", SQLTEXT_BYTES},  {"abc", SQLTEXT_BYTES},         {"alt", SQLTEXT_BYTES},
	    {"tcvn*", SQLTEXT_BYTES},     {"vscii", SQLTEXT_BYTES},
	};
	char plain[32];
	size_t n = 0;

	for (; *name && n < sizeof plain - 1; name++)
		if (is(*name, DIGIT | TAG) && *name != '_' && (uint8_t)*name < 0x80)
			plain[n++] = *name >= 'A' && *name <= 'Z' ? (char)(*name | 0x20) : *name;
	plain[n] = 0;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		size_t length = strcspn(names[i].name, "*");

		if (strncmp(plain, names[i].name, length) == 0 &&
		    (plain[length] == 0 || names[i].name[length] == '*'))
			return names[i].flag;
	}
	return 0;
}

/* PostgreSQL 15, src/common/wchar.c. */
static size_t
character(uint8_t first, uint8_t second, unsigned flags)
{
	if (first < 0x80 || (flags & SQLTEXT_BYTES))
		return 1;
	if (flags & SQLTEXT_SJIS)
		return first >= 0xa1 && first <= 0xdf ? 1 : 2;
	if (flags & SQLTEXT_DOUBLE)
		return 2;
	if (flags & SQLTEXT_GB18030)
		return second >= '0' && second <= '9' ? 4 : 2;
	if (flags & SQLTEXT_EUC)
		return first == 0x8f ? 3 : 2;
	return first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

size_t
sqltext_character(const char *at, const char *end, unsigned flags)
{
	size_t left = (size_t)(end - at);
	size_t n = character((uint8_t)at[0], left > 1 ? (uint8_t)at[1] : 0, flags);

	return n < left ? n : left;
}

unsigned
sqltext_characters(const char *text, size_t length, unsigned flags)
{
	const char *end = text + length;
	unsigned n = 0;

	if ((flags & ~(unsigned)SQLTEXT_BACKSLASH) == 0) {
		for (const char *p = text; p < end; p++)
			n += ((uint8_t)*p & 0xc0) != 0x80;
		return n;
	}
	for (const char *p = text; p < end; p += sqltext_character(p, end, flags))
		n++;
	return n;
}

typedef uint8_t block __attribute__((vector_size(16)));

bool
sqltext_is_ambiguous(const char *text, size_t length)
{
	block backslash = {0}, dollar = {0}, high = {0}, b;
	char tail[sizeof(block)] = {0};
	uint64_t halves[3][2];
	size_t i = 0;

	for (;; i += sizeof b) {
		size_t left = length - i;

		if (left < sizeof b)
			memcpy(tail, text + i, left);
		memcpy(&b, left < sizeof b ? tail : text + i, sizeof b);
		backslash |= (block)(b == '\\');
		dollar |= (block)(b == '$');
		high |= b;
		if (left <= sizeof b)
			break;
	}
	memcpy(halves[0], &backslash, sizeof b);
	memcpy(halves[1], &dollar, sizeof b);
	memcpy(halves[2], &high, sizeof b);
	/* The tag of a dollar quote may have half of a character in it. */
	return (halves[0][0] | halves[0][1]) ||
	       ((halves[1][0] | halves[1][1]) &&
		((halves[2][0] | halves[2][1]) & UINT64_C(0x8080808080808080)));
}

/* As span(), of the characters of a word: in steps of whole characters where that matters. */
static inline const char *
span_word(const struct sqltext *t, const char *p, unsigned class)
{
	if (!(t->flags & SQLTEXT_HALVES))
		return span(p, t->end, class);
	while (p < t->end && is(*p, class))
		p += sqltext_character(p, t->end, t->flags);
	return p;
}

/* ---- comments and white space -----------------------------------------------------------------
 */

static const char *
line_end(const char *p, const char *end)
{
	while (p < end && *p != '\n' && *p != '\r')
		p++;
	return p;
}

/* `p` is behind the first slash and asterisk. They nest. */
static const char *
comment(struct sqltext *t, const char *p)
{
	const char *end = t->end;
	size_t depth = 1;

	for (; end - p >= 2; p++) {
		if (p[0] == '*' && p[1] == '/') {
			p++;
			if (--depth == 0)
				return p + 1;
		} else if (p[0] == '/' && p[1] == '*') {
			p++;
			depth++;
		}
	}
	t->unterminated = true;
	return end;
}

static inline const char *
skip_blank(struct sqltext *t, const char *p)
{
	const char *end = t->end;

	for (;;) {
		p = span(p, end, SPACE);
		if (end - p < 2 || p[0] != p[1]) {
			if (end - p < 2 || p[0] != '/' || p[1] != '*')
				return p;
			p = comment(t, p + 2);
		} else {
			if (p[0] != '-')
				return p;
			p = line_end(p, end);
		}
	}
}

/* ---- quotes: each takes the place behind what opens it and returns the place behind what closes
 * it, or the end ---------------------------------------------------------------------------------
 */

/* '...' and "...", in which the quote doubled stands for itself. */
static const char *
quoted(struct sqltext *t, const char *p, char quote)
{
	while ((p = memchr(p, quote, (size_t)(t->end - p))) != NULL) {
		p++;
		if (p == t->end || *p != quote)
			return p;
		p++;
	}
	t->unterminated = true;
	return t->end;
}

/* A string goes on in another pair of quotes if at least one line end, and else only white space
 * and -- comments, are between them; a backslash keeps its meaning there. */
static const char *
continued(const char *p, const char *end)
{
	bool line = false;

	for (; p < end; p++) {
		if (*p == '\n' || *p == '\r')
			line = true;
		else if (end - p >= 2 && p[0] == '-' && p[1] == '-')
			p = line_end(p, end) - 1;
		else if (!is(*p, SPACE))
			break;
	}
	return line && p < end && *p == '\'' ? p + 1 : NULL;
}

static const char *
escaped(struct sqltext *t, const char *p)
{
	const char *end = t->end, *more;

	while (p < end) {
		if ((uint8_t)*p >= 0x80 && (t->flags & SQLTEXT_HALVES)) {
			p += sqltext_character(p, end, t->flags);
		} else if (*p == '\\') {
			p += end - p >= 2 ? 2 : 1;
		} else if (*p++ == '\'') {
			if (p < end && *p == '\'') {
				p++;
				continue;
			}
			more = continued(p, end);
			if (more == NULL)
				return p;
			p = more;
		}
	}
	t->unterminated = true;
	return end;
}

/* `p` is at a dollar sign that does not belong to a word. NULL if it opens no quote. */
static const char *
dollar_quoted(struct sqltext *t, const char *p)
{
	const char *end = t->end, *tag = p, *body;
	size_t length;

	p++;
	if (p < end && is(*p, START))
		p = span_word(t, p, TAG);
	if (p == end || *p != '$')
		return NULL;
	body = p + 1;
	length = (size_t)(body - tag);
	for (p = body; (p = memchr(p, '$', (size_t)(end - p))) != NULL; p++) {
		if ((size_t)(end - p) < length)
			break;
		if (memcmp(p, tag, length) == 0)
			return p + length;
	}
	t->unterminated = true;
	return end;
}

/* 12, 1.5, 1e-3. Letters that come at once behind it are the next token, as in PostgreSQL 14. */
static const char *
number(const char *p, const char *end)
{
	const char *e;

	p = span(p, end, DIGIT);
	if (p < end && *p == '.')
		p = span(p + 1, end, DIGIT);
	if (p < end && (*p | 0x20) == 'e') {
		e = p + 1;
		if (e < end && (*e == '-' || *e == '+'))
			e++;
		if (e < end && is(*e, DIGIT))
			p = span(e, end, DIGIT);
	}
	return p;
}

/* ---- tokens -----------------------------------------------------------------------------------
 */

/* `p` is behind U&"..." or U&'...': the place behind UESCAPE and its string, or `p` if those do not
 * follow. */
static const char *
uescape(const struct sqltext *t, const char *p)
{
	struct sqltext ahead = *t;
	const char *q = skip_blank(&ahead, p), *end = t->end;

	if (end - q < 7 || !same(q, "uescape", 7) || (q + 7 < end && is(q[7], CONT)))
		return p;
	q = skip_blank(&ahead, q + 7);
	if (end - q >= 2 && (*q | 0x20) == 'e' && q[1] == '\'')
		q = escaped(&ahead, q + 2);
	else if (q < end && *q == '\'')
		q = t->flags & SQLTEXT_BACKSLASH ? escaped(&ahead, q + 1)
						 : quoted(&ahead, q + 1, '\'');
	else if (q < end && *q == '$')
		q = dollar_quoted(&ahead, q);
	else
		return p;
	return q && !ahead.unterminated ? q : p;
}

/* A word, or what a quote that it introduces makes of it: E'' U&'' U&"" B'' X''. */
static inline const char *
name(struct sqltext *t, struct sqltext_token *tok)
{
	const char *end = t->end;
	const char *p = t->flags & SQLTEXT_HALVES ? span_word(t, tok->start, CONT)
						  : span(tok->start + 1, end, CONT);
	char c = tok->start[0] | 0x20;

	tok->kind = SQLTEXT_NAME;
	if (p - tok->start > 1 || p == end) {
		tok->word = sqltext_word(tok->start, (size_t)(p - tok->start));
		return p;
	}
	if (c == 'u' && *p == '&' && end - p >= 2 && (p[1] == '\'' || p[1] == '"')) {
		tok->kind = p[1] == '"' ? SQLTEXT_QUOTED : SQLTEXT_STRING;
		p = quoted(t, p + 2, p[1]);
		return t->unterminated ? p : uescape(t, p);
	}
	if (*p == '\'' && (c == 'e' || c == 'b' || c == 'x')) {
		tok->kind = SQLTEXT_STRING;
		return c == 'e' ? escaped(t, p + 1) : quoted(t, p + 1, '\'');
	}
	return p;
}

/* BEGIN ATOMIC opens a body, CASE an inner level, END closes either. The words are names where they
 * follow AS or a full stop. As in psql, what is in parentheses does not count. */
static void
routine_token(struct sqltext *t, const struct sqltext_token *tok)
{
	if (t->depth == 0 && !t->after_point && t->last != SQLWORD_AS) {
		if (tok->word == SQLWORD_ATOMIC && t->last == SQLWORD_BEGIN && t->atomic == 0)
			t->atomic = 1;
		else if (tok->word == SQLWORD_CASE && t->atomic > 0)
			t->atomic++;
		else if (tok->word == SQLWORD_END && t->atomic > 0)
			t->atomic--;
	}
	t->last = tok->word;
	t->after_point = tok->kind == SQLTEXT_PUNCT && *tok->start == '.';
}

static void
statement_begins(struct sqltext *t)
{
	t->routine = false;
	t->after_point = false;
	t->depth = 0;
	t->atomic = 0;
	t->tokens = 0;
	t->last = SQLWORD_OTHER;
	for (unsigned i = 0; i < SQLTEXT_FIRST; i++)
		t->first[i] = SQLWORD_OTHER;
}

void
sqltext_init(struct sqltext *t, const char *text, size_t length, unsigned flags)
{
	t->at = length ? text : "";
	t->end = t->at + length;
	t->flags = flags;
	t->unterminated = false;
	statement_begins(t);
}

static const char *
punctuation(struct sqltext *t, struct sqltext_token *tok)
{
	const char *p = tok->start + 1;

	tok->kind = SQLTEXT_PUNCT;
	switch (*tok->start) {
	case '(':
		t->depth++;
		break;
	case ')':
		if (t->depth > 0)
			t->depth--;
		break;
	case ';':
		if (t->depth == 0 && t->atomic == 0)
			tok->kind = SQLTEXT_SPLIT;
		break;
	case '"':
		tok->kind = SQLTEXT_QUOTED;
		return quoted(t, p, '"');
	case '\'':
		tok->kind = SQLTEXT_STRING;
		return t->flags & SQLTEXT_BACKSLASH ? escaped(t, p) : quoted(t, p, '\'');
	case '$':
		if (p < t->end && is(*p, DIGIT)) {
			tok->kind = SQLTEXT_NUMBER;
			return span(p, t->end, DIGIT);
		}
		p = dollar_quoted(t, tok->start);
		if (p == NULL)
			return tok->start + 1;
		tok->kind = SQLTEXT_STRING;
	}
	return p;
}

enum sqltext_kind
sqltext_token(struct sqltext *t, struct sqltext_token *tok)
{
	const char *p = skip_blank(t, t->at);

	tok->start = p;
	tok->word = SQLWORD_OTHER;
	if (p == t->end) {
		tok->kind = SQLTEXT_END;
		tok->length = 0;
		t->at = p;
		return SQLTEXT_END;
	}
	if (is(*p, START)) {
		p = name(t, tok);
	} else if (is(*p, DIGIT)) {
		tok->kind = SQLTEXT_NUMBER;
		p = number(p, t->end);
	} else {
		p = punctuation(t, tok);
	}
	t->at = p;
	tok->length = (size_t)(p - tok->start);
	if (tok->kind == SQLTEXT_SPLIT) {
		statement_begins(t);
		return SQLTEXT_SPLIT;
	}
	if (t->routine)
		routine_token(t, tok);
	if (t->tokens < SQLTEXT_FIRST) {
		t->first[t->tokens] = tok->word;
		if ((tok->word == SQLWORD_FUNCTION || tok->word == SQLWORD_PROCEDURE) &&
		    t->first[0] == SQLWORD_CREATE &&
		    (t->tokens == 1 || (t->tokens == 3 && t->first[1] == SQLWORD_OR &&
					t->first[2] == SQLWORD_REPLACE)))
			t->routine = true;
	}
	t->tokens++;
	return tok->kind;
}

/* ---- statements -------------------------------------------------------------------------------
 */

bool
sqltext_next(struct sqltext *t, struct sqltext_stmt *s)
{
	struct sqltext_token tok;
	const char *end;

	do {
		if (sqltext_token(t, &tok) == SQLTEXT_END)
			return false;
	} while (tok.kind == SQLTEXT_SPLIT);
	s->start = tok.start;
	do {
		end = tok.start + tok.length;
		/* Now, as the semicolon wipes them out. */
		if (t->tokens <= SQLTEXT_FIRST)
			memcpy(s->first, t->first, sizeof s->first);
		sqltext_token(t, &tok);
	} while (tok.kind != SQLTEXT_SPLIT && tok.kind != SQLTEXT_END);
	s->length = (size_t)(end - s->start);
	return true;
}

enum sqltext_word
sqltext_first(const char *text, size_t length)
{
	struct sqltext_token tok;
	struct sqltext t;

	sqltext_init(&t, text, length, 0);
	sqltext_token(&t, &tok);
	return tok.word;
}

bool
sqltext_single(const char *text, size_t length)
{
	const char *p = length ? memchr(text, ';', length) : NULL;

	return p == NULL || span(p + 1, text + length, SPACE) == text + length;
}
