#include "wire/sqltext.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "wire/sqlblock.h"

/* ---- words ---- */

static const struct {
	const char *name;
	size_t length;
} words[SQLWORD_N] = {[SQLWORD_OTHER] = {"", 0},
#define ROW(l, letter, word, text) [SQLWORD_##word] = {text, sizeof text - 1},
		      SQLWORDS(ROW, )
#undef ROW
};

/* For each first letter: the lengths of its words (most words of a text are ruled out by that), and
 * the rows of `words` where they stand. */
#define LENGTH(l, letter, word, text) | ((letter) == (l) ? UINT64_C(1) << (sizeof text - 1) : 0)
#define BEFORE(l, letter, word, text) +((letter) < (l))
#define UP_TO(l, letter, word, text)  +((letter) <= (l))
#define LETTER(l)                                                    \
	[(l) - 'a'] = {.lengths = 0 SQLWORDS(LENGTH, l),             \
		       .row = SQLWORD_OTHER + 1 SQLWORDS(BEFORE, l), \
		       .end = SQLWORD_OTHER + 1 SQLWORDS(UP_TO, l)}

static const struct {
	uint64_t lengths;  /* bit n: there is a word of n bytes */
	uint16_t row, end; /* the first row, and the one behind the last */
} letters[32] = {
    LETTER('a'), LETTER('b'), LETTER('c'), LETTER('d'), LETTER('e'), LETTER('f'), LETTER('g'),
    LETTER('h'), LETTER('i'), LETTER('j'), LETTER('k'), LETTER('l'), LETTER('m'), LETTER('n'),
    LETTER('o'), LETTER('p'), LETTER('q'), LETTER('r'), LETTER('s'), LETTER('t'), LETTER('u'),
    LETTER('v'), LETTER('w'), LETTER('x'), LETTER('y'), LETTER('z'),
};

/* Are they the same word, in any case of `s`? `lower` has only lower-case letters, digits and
 * underscores. */
static bool
same_word(const char *s, const char *lower, size_t length)
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
	for (unsigned w = letters[letter].row; w < letters[letter].end; w++)
		if (words[w].length == length && same_word(s, words[w].name, length))
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

/* ---- characters ---- */

enum {
	SPACE = 1,
	START = 2,
	CONT = 4,
	DIGIT = 8,
	TAG = 16 /* may stand in the tag of a dollar quote, behind its first character */
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
in_class(char c, unsigned class)
{
	return classes[(uint8_t)c] & class;
}

/* Skips characters of the class. */
static inline const char *
skip_class(const char *p, const char *end, unsigned class)
{
	while (p < end && in_class(*p, class))
		p++;
	return p;
}

/* ---- encodings ---- */

unsigned
sqltext_encoding(const char *name)
{
	/* PostgreSQL 15, src/common/encnames.c: names as lower-case letters and digits only. A name
	 * that ends in * stands for all names that begin with it. */
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
		if (in_class(*name, DIGIT | TAG) && *name != '_' && (uint8_t)*name < 0x80)
			plain[n++] = sqltext_lower(*name);
	plain[n] = 0;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		size_t length = strcspn(names[i].name, "*");

		if (strncmp(plain, names[i].name, length) == 0 &&
		    (plain[length] == 0 || names[i].name[length] == '*'))
			return names[i].flag;
	}
	return 0;
}

/* The bytes of a character, by its first two. PostgreSQL 15, src/common/wchar.c. */
static size_t
character_bytes(uint8_t first, uint8_t second, unsigned flags)
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
	size_t n = character_bytes((uint8_t)at[0], left > 1 ? (uint8_t)at[1] : 0, flags);

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

bool
sqltext_is_ambiguous(const char *text, size_t length)
{
	sqlblock backslash = {0}, dollar = {0}, high = {0}, b;
	char small[sizeof b] = {0};

	if (length < sizeof b) {
		memcpy(small, text, length);
		text = small;
		length = sizeof b;
	}
	for (size_t i = 0, left = length; left > 0; i += sizeof b) {
		/* The last block begins in the one before. */
		if (left < sizeof b)
			i = length - sizeof b;
		memcpy(&b, text + i, sizeof b);
		backslash |= (sqlblock)(b == '\\');
		dollar |= (sqlblock)(b == '$');
		high |= b;
		left = length - i - sizeof b;
	}
	/* A dollar sign matters only beside bytes from 0x80 on: the tag of a dollar quote may have
	 * a character in it whose second byte looks like ASCII. */
	return sqlblock_any(backslash) ||
	       (sqlblock_any(dollar) && sqlblock_any((sqlblock)(high >= 0x80)));
}

/* As skip_class(), for the characters of a word: in encodings in which the second byte of a
 * character may look like ASCII, it goes by whole characters. */
static inline const char *
skip_word(const struct sqltext *t, const char *p, unsigned class)
{
	if (!(t->flags & SQLTEXT_HALVES))
		return skip_class(p, t->end, class);
	while (p < t->end && in_class(*p, class))
		p += sqltext_character(p, t->end, t->flags);
	return p;
}

/* ---- comments and white space ---- */

static const char *
line_end(const char *p, const char *end)
{
	while (p < end && *p != '\n' && *p != '\r')
		p++;
	return p;
}

/* `p` is behind the first slash and asterisk of a comment. Comments nest. */
static const char *
skip_comment(struct sqltext *t, const char *p)
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
		p = skip_class(p, end, SPACE);
		if (end - p < 2 || p[0] != p[1]) {
			if (end - p < 2 || p[0] != '/' || p[1] != '*')
				return p;
			p = skip_comment(t, p + 2);
		} else {
			if (p[0] != '-')
				return p;
			p = line_end(p, end);
		}
	}
}

/* ---- quotes ---- */

/* Each function takes the place behind an opening quote and returns the place behind the closing
 * one, or the end of the text. */

/* '...' and "...", in which a doubled quote stands for one. */
static const char *
skip_quoted(struct sqltext *t, const char *p, char quote)
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

/* `p` is behind a string with escapes. The string goes on in another pair of quotes if a line end,
 * and besides only white space and -- comments, stand between the two; in the second pair, too, a
 * backslash escapes. Returns the place behind that pair's opening quote, or NULL. */
static const char *
continuation(const char *p, const char *end)
{
	bool line = false;

	for (; p < end; p++) {
		if (*p == '\n' || *p == '\r')
			line = true;
		else if (end - p >= 2 && p[0] == '-' && p[1] == '-')
			p = line_end(p, end) - 1;
		else if (!in_class(*p, SPACE))
			break;
	}
	return line && p < end && *p == '\'' ? p + 1 : NULL;
}

/* E'...', and '...' with SQLTEXT_BACKSLASH. */
static const char *
skip_escaped(struct sqltext *t, const char *p)
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
			more = continuation(p, end);
			if (more == NULL)
				return p;
			p = more;
		}
	}
	t->unterminated = true;
	return end;
}

/* $tag$...$tag$. Unlike the others, `p` is at the first dollar sign (which is no part of a word).
 * Returns NULL if that opens no quote. */
static const char *
skip_dollar_quoted(struct sqltext *t, const char *p)
{
	const char *end = t->end, *tag = p, *body;
	size_t length;

	p++;
	if (p < end && in_class(*p, START))
		p = skip_word(t, p, TAG);
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

/* 12, 1.5, 1e-3. Letters right behind a number are the next token, as in PostgreSQL 14. */
static const char *
skip_number(const char *p, const char *end)
{
	const char *e;

	p = skip_class(p, end, DIGIT);
	if (p < end && *p == '.')
		p = skip_class(p + 1, end, DIGIT);
	if (p < end && (*p | 0x20) == 'e') {
		e = p + 1;
		if (e < end && (*e == '-' || *e == '+'))
			e++;
		if (e < end && in_class(*e, DIGIT))
			p = skip_class(e, end, DIGIT);
	}
	return p;
}

/* ---- tokens ---- */

/* `p` is behind U&"..." or U&'...'. Returns the place behind UESCAPE and its string if they follow,
 * else `p`. */
static const char *
skip_uescape(const struct sqltext *t, const char *p)
{
	struct sqltext ahead = *t;
	const char *q = skip_blank(&ahead, p), *end = t->end;

	if (end - q < 7 || !same_word(q, "uescape", 7) || (q + 7 < end && in_class(q[7], CONT)))
		return p;
	q = skip_blank(&ahead, q + 7);
	if (end - q >= 2 && (*q | 0x20) == 'e' && q[1] == '\'')
		q = skip_escaped(&ahead, q + 2);
	else if (q < end && *q == '\'')
		q = t->flags & SQLTEXT_BACKSLASH ? skip_escaped(&ahead, q + 1)
						 : skip_quoted(&ahead, q + 1, '\'');
	else if (q < end && *q == '$')
		q = skip_dollar_quoted(&ahead, q);
	else
		return p;
	return q && !ahead.unterminated ? q : p;
}

/* Reads a word; or a string or name whose prefix looks like one: E'' U&'' U&"" B'' X''. */
static inline const char *
read_word(struct sqltext *t, struct sqltext_token *tok)
{
	const char *end = t->end;
	const char *p = t->flags & SQLTEXT_HALVES ? skip_word(t, tok->start, CONT)
						  : skip_class(tok->start + 1, end, CONT);
	char c = tok->start[0] | 0x20;

	tok->kind = SQLTEXT_NAME;
	if (p - tok->start > 1 || p == end) {
		tok->word = sqltext_word(tok->start, (size_t)(p - tok->start));
		return p;
	}
	if (c == 'u' && *p == '&' && end - p >= 2 && (p[1] == '\'' || p[1] == '"')) {
		tok->kind = p[1] == '"' ? SQLTEXT_QUOTED : SQLTEXT_STRING;
		p = skip_quoted(t, p + 2, p[1]);
		return t->unterminated ? p : skip_uescape(t, p);
	}
	if (*p == '\'' && (c == 'e' || c == 'b' || c == 'x')) {
		tok->kind = SQLTEXT_STRING;
		return c == 'e' ? skip_escaped(t, p + 1) : skip_quoted(t, p + 1, '\'');
	}
	return p;
}

/* Follows the nesting in CREATE FUNCTION: BEGIN ATOMIC opens a body, CASE an inner level, END
 * closes either. Behind AS or a full stop, these words are names and do not count; neither does
 * anything in parentheses, as in psql. */
static void
follow_routine(struct sqltext *t, const struct sqltext_token *tok)
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

/* Reads a token that begins with neither a letter nor a digit: quotes, parameters, operators. */
static const char *
read_punctuation(struct sqltext *t, struct sqltext_token *tok)
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
		return skip_quoted(t, p, '"');
	case '\'':
		tok->kind = SQLTEXT_STRING;
		return t->flags & SQLTEXT_BACKSLASH ? skip_escaped(t, p) : skip_quoted(t, p, '\'');
	case '$':
		if (p < t->end && in_class(*p, DIGIT)) {
			tok->kind = SQLTEXT_NUMBER;
			return skip_class(p, t->end, DIGIT);
		}
		p = skip_dollar_quoted(t, tok->start);
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
	if (in_class(*p, START)) {
		p = read_word(t, tok);
	} else if (in_class(*p, DIGIT)) {
		tok->kind = SQLTEXT_NUMBER;
		p = skip_number(p, t->end);
	} else {
		p = read_punctuation(t, tok);
	}
	t->at = p;
	tok->length = (size_t)(p - tok->start);
	if (tok->kind == SQLTEXT_SPLIT) {
		statement_begins(t);
		return SQLTEXT_SPLIT;
	}
	if (t->routine)
		follow_routine(t, tok);
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

/* ---- statements ---- */

bool
sqltext_is_word(const struct sqltext_token *t, const char *word)
{
	return t->kind == SQLTEXT_NAME && t->length == strlen(word) &&
	       strncasecmp(t->start, word, t->length) == 0;
}

bool
sqltext_accept(struct sqltext *at, const char *word)
{
	struct sqltext ahead = *at;
	struct sqltext_token t;

	sqltext_token(&ahead, &t);
	if (!sqltext_is_word(&t, word))
		return false;
	*at = ahead;
	return true;
}

bool
sqltext_accept_char(struct sqltext *at, char c)
{
	struct sqltext ahead = *at;
	struct sqltext_token t;

	sqltext_token(&ahead, &t);
	if (!sqltext_is_char(&t, c))
		return false;
	*at = ahead;
	return true;
}

bool
sqltext_nothing_follows(const struct sqltext *at)
{
	struct sqltext ahead = *at;
	struct sqltext_token t;

	while (sqltext_token(&ahead, &t) == SQLTEXT_SPLIT)
		;
	return t.kind == SQLTEXT_END && !ahead.unterminated;
}

bool
sqltext_mentions(const char *text, size_t length, const char *word)
{
	size_t n = strlen(word);

	for (; length >= n; text++, length--)
		if ((*text | 0x20) == *word && strncasecmp(text, word, n) == 0)
			return true;
	return false;
}

char
sqltext_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

unsigned
sqltext_digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10) : 99;
}

bool
sqltext_is_char(const struct sqltext_token *t, char c)
{
	return t->kind == SQLTEXT_PUNCT && *t->start == c;
}

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
		/* Copied while they are there: the semicolon clears t->first. */
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

	return p == NULL || skip_class(p + 1, text + length, SPACE) == text + length;
}
