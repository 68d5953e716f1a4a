/* logvalue: the parts of a line of the log. A call of log.h names the subject of the line, the
 * words of the message and then the values, each by a macro that says how the value is shown:
 *
 *	log_info("session", s->id, "scope granted", LOG_TEXT("name", f->name),
 *		 LOG_MS("waited", f->granted_us - f->asked_us));
 *
 *	session 42: scope granted name=audit waited=5.0ms
 *	"message":"scope granted","session":42,"name":"audit","waited_ms":5.0
 *
 * Subject, words and keys are string literals. A call does not compile if they are not, or if a
 * value does not have the type that its macro asks for. A key is a lower-case word of 47 bytes at
 * most: letters, digits and underscores, beginning with a letter. */
#ifndef PGWITH_BASE_LOGVALUE_H
#define PGWITH_BASE_LOGVALUE_H

#include <stddef.h>
#include <stdint.h>

/* ---- the subject ---- */

/* Behind the subject stands its id or its name: an integer (session 42) or a text (pool orders).
 * LOG_ALONE stands there if the subject has neither: log_info("pgwithd", LOG_ALONE, "ends").
 * The subject of a line about nothing in particular is "", with LOG_ALONE. */
#define LOG_ALONE ((void *)0)

/* ---- values: key=value, or a member of the JSON object ---- */

/* A text up to its NUL, or of so many bytes. It stands in double quotes if it contains blanks,
 * quotes, backslashes or bytes that must be escaped. NULL is shown as (null). */
#define LOG_TEXT(key, text)         log_text_(LOG_LITERAL_(key), LOG_CHARS_(text))
#define LOG_BYTES(key, data, bytes) log_bytes_(LOG_LITERAL_(key), (data), (bytes), LOG_IS_TEXT)

/* The same, always in quotes: for sentences, SQL and text from outside. */
#define LOG_QUOTED(key, text) log_quoted_(LOG_LITERAL_(key), LOG_CHARS_(text))
#define LOG_QUOTED_BYTES(key, data, bytes) \
	log_bytes_(LOG_LITERAL_(key), (data), (bytes), LOG_IS_QUOTED)

/* clang-format off */
/* An integer of any type but char and bool. */
#define LOG_NUMBER(key, number)                                              \
	_Generic((number), LOG_INTEGERS_(log_signed_, log_unsigned_))        \
		(LOG_LITERAL_(key), (number))

/* One more word of the message: a text or an integer. In the line, all words stand before all
 * values, in whatever order the call has them. */
#define LOG_WORD(word)                                                       \
	_Generic((word), char *: log_word_, const char *: log_word_,         \
		 LOG_INTEGERS_(log_word_signed_, log_word_unsigned_))(word)
/* clang-format on */

#define LOG_WORD_BYTES(data, bytes) log_bytes_(NULL, (data), (bytes), LOG_IS_TEXT)

/* A move of a state machine, as words of the message: from -> to. */
#define LOG_MOVE(from, to) log_move_(LOG_CHARS_(from), LOG_CHARS_(to))

/* Elapsed time, given in microseconds (int64_t): shown in milliseconds or in seconds, with one
 * digit behind the point. In JSON the unit is part of the name: "waited_ms":5.0. */
#define LOG_MS(key, us) log_elapsed_(LOG_LITERAL_(key), (us), LOG_IS_MS)
#define LOG_S(key, us)  log_elapsed_(LOG_LITERAL_(key), (us), LOG_IS_S)

/* A sentence, which is a literal, and an unsigned number at its end: why="invalid length: 7". Lines
 * that differ only in this number are of one kind, as with LOG_NUMBER(). */
#define LOG_PHRASE(key, words, number) log_phrase_(LOG_LITERAL_(key), LOG_LITERAL_(words), (number))

/* ---- what the macros are made of ---- */

enum log_is {
	LOG_IS_END, /* no value: ends the list */
	LOG_IS_NOTHING,
	LOG_IS_TEXT,
	LOG_IS_QUOTED,
	LOG_IS_SIGNED,
	LOG_IS_UNSIGNED,
	LOG_IS_MS,
	LOG_IS_S,
	LOG_IS_PHRASE,
	LOG_IS_MOVE
};

#define LOG_TO_NUL SIZE_MAX

/* A line is a list of these: the subject, the message, and then words and values. */
struct log_value {
	enum log_is is;
	const char *key;  /* or the subject; NULL: a word of the message */
	const char *text; /* of a text, a phrase and a move */
	size_t bytes;     /* of the text, or LOG_TO_NUL */
	const char *to;   /* of a move */
	uint64_t number;  /* two's complement if it is signed; us of elapsed time */
};

/* The list of a line, as the calls of log.h make it. */
#define LOG_VALUES_(subject, who, words, ...)                       \
	((const struct log_value[]){LOG_SUBJECT_(subject, who),     \
				    log_word_(LOG_LITERAL_(words)), \
				    ##__VA_ARGS__,                  \
				    {.is = LOG_IS_END}})

/* Only a string literal can stand between two others. */
#define LOG_LITERAL_(literal) "" literal ""

/* clang-format off */
#define LOG_CHARS_(text) _Generic((text), char *: (text), const char *: (text))

#define LOG_INTEGERS_(if_signed, if_unsigned)                                                  \
	signed char: if_signed, short: if_signed, int: if_signed, long: if_signed,             \
	long long: if_signed, unsigned char: if_unsigned, unsigned short: if_unsigned,         \
	unsigned: if_unsigned, unsigned long: if_unsigned, unsigned long long: if_unsigned

#define LOG_SUBJECT_(subject, who)                                                             \
	_Generic((who), void *: log_alone_, char *: log_text_, const char *: log_text_,        \
		 LOG_INTEGERS_(log_signed_, log_unsigned_))(LOG_LITERAL_(subject), (who))
/* clang-format on */

static inline struct log_value
log_alone_(const char *key, const void *nothing)
{
	return (struct log_value){.is = LOG_IS_NOTHING, .key = key};
}

static inline struct log_value
log_text_(const char *key, const char *text)
{
	return (struct log_value){.is = LOG_IS_TEXT, .key = key, .text = text, .bytes = LOG_TO_NUL};
}

static inline struct log_value
log_quoted_(const char *key, const char *text)
{
	return (struct log_value){
	    .is = LOG_IS_QUOTED, .key = key, .text = text, .bytes = LOG_TO_NUL};
}

static inline struct log_value
log_bytes_(const char *key, const void *data, size_t bytes, enum log_is is)
{
	return (struct log_value){.is = is, .key = key, .text = data, .bytes = bytes};
}

static inline struct log_value
log_signed_(const char *key, int64_t number)
{
	return (struct log_value){.is = LOG_IS_SIGNED, .key = key, .number = (uint64_t)number};
}

static inline struct log_value
log_unsigned_(const char *key, uint64_t number)
{
	return (struct log_value){.is = LOG_IS_UNSIGNED, .key = key, .number = number};
}

static inline struct log_value
log_elapsed_(const char *key, int64_t us, enum log_is is)
{
	return (struct log_value){.is = is, .key = key, .number = (uint64_t)us};
}

static inline struct log_value
log_phrase_(const char *key, const char *words, uint64_t number)
{
	return (struct log_value){
	    .is = LOG_IS_PHRASE, .key = key, .text = words, .bytes = LOG_TO_NUL, .number = number};
}

static inline struct log_value
log_word_(const char *word)
{
	return log_text_(NULL, word);
}

static inline struct log_value
log_word_signed_(int64_t number)
{
	return log_signed_(NULL, number);
}

static inline struct log_value
log_word_unsigned_(uint64_t number)
{
	return log_unsigned_(NULL, number);
}

static inline struct log_value
log_move_(const char *from, const char *to)
{
	return (struct log_value){.is = LOG_IS_MOVE, .text = from, .bytes = LOG_TO_NUL, .to = to};
}

#endif
