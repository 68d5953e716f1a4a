#include "wire/sqlonce.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "wire/frame.h"
#include "wire/sqlcolumn.h"
#include "wire/sqltext.h"

#define NAME_MAX_SAID 60  /* bytes of a name with its quotes that PostgreSQL surely does not cut */
#define UNKNOWN_OID   705 /* the type unknown: PostgreSQL infers the type all the same */
#define FIRST_USERS   16384 /* FirstNormalObjectId: types from here on can be dropped */
#define KEPT          4     /* tokens before the one that is looked at */
#define DEPTH_MAX     63    /* parentheses that are followed */

/* ---- words ---- */

static bool
is_one_of(const struct sqltext_token *t, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (sqltext_is_word(t, words[i]))
			return true;
	return false;
}
#define ONE_OF(t, words) is_one_of((t), (words), sizeof(words) / sizeof *(words))

/* Words behind which a parenthesis begins no call: no function has such a name without quotes. */
static const char *const grammar[] = {
    "all",    "and",       "any",     "array",    "as",       "between",   "case",
    "cast",   "coalesce",  "default", "distinct", "else",     "end",       "except",
    "exists", "extract",   "for",     "from",     "greatest", "group",     "having",
    "in",     "intersect", "into",    "lateral",  "least",    "limit",     "not",
    "nullif", "offset",    "on",      "only",     "or",       "returning", "select",
    "some",   "then",      "union",   "using",    "values",   "when",      "where"};

/* Words that may be names of columns, and ahead of which no operand ends all the same. */
static const char *const before_operand[] = {
    "by",    "escape", "first", "groups", "ilike",   "is",        "like",        "next", "overlaps",
    "range", "return", "rows",  "set",    "similar", "symmetric", "tablesample", "to",   "zone"};

/* Functions of pg_catalog without arguments. */
static const char *const calls[] = {"now",
				    "clock_timestamp",
				    "statement_timestamp",
				    "transaction_timestamp",
				    "gen_random_uuid",
				    "random",
				    "pi",
				    "pg_backend_pid",
				    "row_number",
				    "rank",
				    "dense_rank"};

/* Built-in types whose input depends on nothing but the text and the parameters that the caller
 * compares. Those of more than one word begin with one of these, too. */
static const char *const types_known[] = {
    "int",       "int2",        "int4",     "int8",   "integer", "bigint",    "smallint",
    "text",      "varchar",     "char",     "bpchar", "numeric", "character", "decimal",
    "real",      "float",       "float4",   "float8", "double",  "bool",      "boolean",
    "uuid",      "json",        "jsonb",    "bytea",  "date",    "time",      "timetz",
    "timestamp", "timestamptz", "interval", "inet",   "cidr",    "oid"};

/* Types that may stand ahead of a literal: date '2020-01-01'. `zone` ends one that does. */
static const char *const types_ahead[] = {"date",   "time", "timestamp", "timestamptz",
					  "timetz", "zone", "interval"};
/* Those of a point in time. */
static const char *const types_of_time[] = {"date",        "time",   "timestamp",
					    "timestamptz", "timetz", "zone"};

/* Words behind which `*` is no multiplication; and words ahead of which it is none. */
static const char *const before_star[] = {"select", "distinct", "all", "returning"};
static const char *const behind_star[] = {"from",  "where",  "group",  "having", "window",
					  "order", "limit",  "offset", "fetch",  "for",
					  "union", "except", "into",   "on",     "intersect"};

/* ---- the walk ---- */

struct walk {
	struct sqltext at;
	struct sqltext_token last[KEPT]; /* a ring: the tokens before this one */
	unsigned count;                  /* tokens so far */
	const uint8_t *types;
	unsigned ntypes;
	unsigned found;
	bool target;    /* between INSERT INTO and its columns */
	bool updates;   /* between UPDATE and its SET */
	bool joins;     /* a JOIN has come, whose ON may call a function `conflict` */
	bool alias;     /* behind AS and a name: columns may follow */
	bool ended;     /* its semicolon has come */
	bool dotted;    /* t.name has come, which may be a call */
	unsigned depth; /* parentheses that are open */
	uint64_t casts; /* a bit for each of these that belongs to CAST */
};

/* The token that stands `n` before this one; of the kind END if there is none. */
static const struct sqltext_token *
before(const struct walk *w, unsigned n)
{
	static const struct sqltext_token none = {.kind = SQLTEXT_END, .start = ""};

	return n > w->count || n > KEPT ? &none : &w->last[(w->count - n) % KEPT];
}

/* The token behind this one; and the one behind that. */
static struct sqltext_token
peek(const struct walk *w, struct sqltext_token *second)
{
	struct sqltext at = w->at;
	struct sqltext_token first, unused;

	sqltext_token(&at, &first);
	sqltext_token(&at, second ? second : &unused);
	return first;
}

/* Is a type that is known next? Then it is left in *type. */
static bool
type_follows(struct sqltext at, struct sqltext_token *type)
{
	struct sqltext_token next;

	sqltext_token(&at, type);
	sqltext_token(&at, &next);
	return ONE_OF(type, types_known) && !sqltext_is_char(&next, '.') &&
	       (!sqltext_is_word(type, "double") || sqltext_is_word(&next, "precision"));
}

/* Does `::` stand next, and then a type that is known? */
static bool
is_cast(const struct walk *w, struct sqltext_token *type)
{
	struct sqltext at = w->at;
	struct sqltext_token t;

	for (int i = 0; i < 2; i++) {
		sqltext_token(&at, &t);
		if (!sqltext_is_char(&t, ':'))
			return false;
	}
	return type_follows(at, type);
}

/* Is the token that stands behind `cast (` followed by AS and a type that is known? */
static bool
is_in_cast(const struct walk *w, struct sqltext_token *type)
{
	struct sqltext at = w->at;
	struct sqltext_token as;

	sqltext_token(&at, &as);
	return sqltext_is_char(before(w, 1), '(') && sqltext_is_word(before(w, 2), "cast") &&
	       sqltext_is_word(&as, "as") && type_follows(at, type);
}

/* Does a type stand ahead of the literal that is its own? x.date '...' and zone '...' are a
 * user's. */
static bool
is_behind_type(const struct walk *w, struct sqltext_token *type)
{
	*type = *before(w, 1);
	/* AT TIME ZONE '...': a text. */
	if (sqltext_is_word(type, "zone") && sqltext_is_word(before(w, 2), "time") &&
	    sqltext_is_word(before(w, 3), "at")) {
		*type = *before(w, 3);
		return true;
	}
	return ONE_OF(type, types_ahead) && !sqltext_is_char(before(w, 2), '.') &&
	       (!sqltext_is_word(type, "zone") || sqltext_is_word(before(w, 2), "time"));
}

static void
see_parameter(struct walk *w, const struct sqltext_token *t)
{
	struct sqltext_token cast;
	uint32_t type = 0;
	unsigned n = 0;

	/* Beyond the number of types it does not matter how large it is. */
	for (size_t i = 1; i < t->length && n <= w->ntypes; i++)
		n = 10 * n + (unsigned)(t->start[i] - '0');
	if (n > 0 && n <= w->ntypes)
		type = frame_u32(w->types + 4 * (n - 1));
	if (type >= FIRST_USERS)
		w->found |= SQLONCE_CHOOSES;
	else if ((type == 0 || type == UNKNOWN_OID) && !is_cast(w, &cast) && !is_in_cast(w, &cast))
		w->found |= SQLONCE_INFERS;
}

/* May the literal mean a point in time, or may the Parse warn of it? */
static bool
is_of_the_moment(const struct sqltext_token *t)
{
	static const char *const words[] = {"now", "today", "tomorrow", "yesterday"};

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (sqltext_mentions(t->start, t->length, words[i]))
			return true;
	/* E'no' and 'w' on the next line are one literal. */
	return memchr(t->start, '\\', t->length) != NULL || (*t->start | 0x20) == 'e' ||
	       (t->length > 1 && t->start[1] == '&');
}

/* How many characters behind the first one are of these? */
static size_t
count_of(const struct sqltext_token *t, const char *these)
{
	size_t n = 1;

	while (n < t->length && t->start[n] && strchr(these, t->start[n]))
		n++;
	return n - 1;
}

/* Does the value of the literal depend on DateStyle, IntervalStyle or TimeZone, which the server's
 * configuration may change? Not that of a date as in ISO 8601, nor, with a time zone, if that is
 * given as an offset to the east. */
static bool
is_read_by_settings(const struct walk *w, const struct sqltext_token *t,
		    const struct sqltext_token *type)
{
	bool zoned = sqltext_is_word(type, "timetz") || sqltext_is_word(type, "timestamptz") ||
		     sqltext_is_word(type, "zone");
	bool time = sqltext_is_word(type, "time") || sqltext_is_word(type, "timetz");
	size_t digits = count_of(t, "0123456789");
	const char *behind = type->start + type->length;

	if (sqltext_is_word(type, "interval"))
		return memchr(t->start, '-', t->length) != NULL;
	if (!ONE_OF(type, types_of_time))
		return false;
	/* `::time with time zone`, and what is between `::timestamp(3)` and that. */
	if (behind > t->start && !zoned && !sqltext_is_word(type, "date")) {
		struct sqltext at = w->at;
		struct sqltext_token next;

		at.at = behind;
		sqltext_token(&at, &next);
		zoned = sqltext_is_word(&next, "with") || sqltext_is_char(&next, '(');
	}
	return *t->start != '\'' ||
	       count_of(t, time ? "0123456789:.+" : "0123456789:.+- T") + 2 != t->length ||
	       (!time && (digits != 4 || t->start[5] != '-')) ||
	       (zoned && memchr(t->start, '+', t->length) == NULL);
}

/* May it be an array with NULL as an element, which depends on array_nulls? */
static bool
is_array_with_null(const struct sqltext_token *t)
{
	return memchr(t->start, '{', t->length) != NULL &&
	       sqltext_mentions(t->start, t->length, "null");
}

static void
see_literal(struct walk *w, const struct sqltext_token *t)
{
	struct sqltext_token type;

	if (is_of_the_moment(t) || before(w, 1)->kind == SQLTEXT_STRING)
		w->found |= SQLONCE_NEVER;
	else if (!(is_behind_type(w, &type) || is_cast(w, &type) || is_in_cast(w, &type)) ||
		 is_read_by_settings(w, t, &type) || is_array_with_null(t))
		w->found |= SQLONCE_CHOOSES;
}

/* Can an operand end with this token, or begin with it? */
static bool
may_end_operand(const struct sqltext_token *t)
{
	if (t->kind == SQLTEXT_NAME)
		return !ONE_OF(t, before_star);
	return t->kind == SQLTEXT_QUOTED || t->kind == SQLTEXT_NUMBER ||
	       t->kind == SQLTEXT_STRING || sqltext_is_char(t, ')') || sqltext_is_char(t, ']');
}

static bool
may_begin_operand(const struct sqltext_token *t)
{
	if (t->kind == SQLTEXT_NAME)
		return !ONE_OF(t, behind_star);
	return t->kind == SQLTEXT_QUOTED || t->kind == SQLTEXT_NUMBER ||
	       t->kind == SQLTEXT_STRING || sqltext_is_char(t, '(') || sqltext_is_char(t, '-') ||
	       sqltext_is_char(t, '+');
}

/* A star is a multiplication only between two operands; in f(*) it is neither that nor columns.
 * Behind DISTINCT ON (...) it would be taken for a multiplication, were it not for what follows. */
static void
see_star(struct walk *w)
{
	struct sqltext_token next = peek(w, NULL);

	if (sqltext_is_char(before(w, 1), '(') && sqltext_is_char(&next, ')'))
		return;
	if (!may_end_operand(before(w, 1)) || !may_begin_operand(&next))
		w->found |= SQLONCE_GROWS;
}

/* Does an operand end with the token, and with nothing else that it could be? */
static bool
surely_ends_operand(const struct sqltext_token *t)
{
	return may_end_operand(t) && !ONE_OF(t, grammar) && !ONE_OF(t, before_operand);
}

/* A parenthesis opens behind this word. Is it one of the grammar here, and names no function? */
static bool
is_grammar(const struct walk *w)
{
	const struct sqltext_token *word = before(w, 1), *last = before(w, 2);

	if (ONE_OF(word, grammar))
		return true;
	if (sqltext_is_word(word, "filter") || sqltext_is_word(word, "over"))
		return sqltext_is_char(last, ')');
	if (sqltext_is_word(word, "by"))
		return sqltext_is_word(last, "group") || sqltext_is_word(last, "order") ||
		       sqltext_is_word(last, "partition");
	if (sqltext_is_word(word, "materialized"))
		return sqltext_is_word(last, "as") ||
		       (sqltext_is_word(last, "not") && sqltext_is_word(before(w, 3), "as"));
	if (sqltext_is_word(word, "conflict"))
		return sqltext_is_word(last, "on") && !w->joins;
	if (sqltext_is_word(word, "set"))
		return w->updates;
	if (sqltext_is_word(word, "join"))
		return surely_ends_operand(last);
	return (sqltext_is_word(word, "like") || sqltext_is_word(word, "ilike")) &&
	       surely_ends_operand(last);
}

/* A parenthesis opens. Does a name stand before it that is called? */
static bool
is_call(const struct walk *w)
{
	const struct sqltext_token *name = before(w, 1), *last = before(w, 2);
	struct sqltext_token second, next = peek(w, &second);

	if (name->kind != SQLTEXT_NAME && name->kind != SQLTEXT_QUOTED)
		return false;
	if (w->target || w->alias)
		return false;
	if (sqltext_is_char(last, '.') || name->kind == SQLTEXT_QUOTED)
		return true;
	if (is_grammar(w))
		return false;
	/* numeric(10, 2). Behind a cast's AS it may be one that is not known, which is told. */
	if ((sqltext_is_char(last, ':') || sqltext_is_word(last, "as")) &&
	    ONE_OF(name, types_known))
		return false;
	if (sqltext_is_char(&next, ')') && ONE_OF(name, calls))
		return false;
	return !(sqltext_is_word(name, "count") && sqltext_is_char(&next, '*') &&
		 sqltext_is_char(&second, ')'));
}

/* CAST(x AS type) names a type; what else stands behind AS is a name that is given. */
static void
see_name_behind_as(struct walk *w, const struct sqltext_token *t)
{
	struct sqltext_token next = peek(w, NULL), type;

	if (w->casts >> w->depth & 1) {
		struct sqltext at = w->at;

		at.at = t->start;
		if (!type_follows(at, &type))
			w->found |= SQLONCE_CHOOSES;
	} else if (!ONE_OF(t, grammar)) {
		w->alias = sqltext_is_char(&next, '(');
	}
}

static void
open_parenthesis(struct walk *w)
{
	if (is_call(w))
		w->found |= SQLONCE_CHOOSES;
	w->updates = false;
	w->target = w->alias = false;
	if (++w->depth == DEPTH_MAX) {
		w->found |= SQLONCE_NEVER;
		return;
	}
	w->casts &= ~(UINT64_C(1) << w->depth);
	if (sqltext_is_word(before(w, 1), "cast"))
		w->casts |= UINT64_C(1) << w->depth;
}

static void
see_punctuation(struct walk *w, const struct sqltext_token *t)
{
	const struct sqltext_token *last = before(w, 1);

	switch (*t->start) {
	case '(':
		open_parenthesis(w);
		return;
	case ')':
		w->depth -= w->depth > 0;
		return;
	case '*':
		see_star(w);
		return;
	case '.':
		/* (x).field, x[1].field */
		if (sqltext_is_char(last, ')') || sqltext_is_char(last, ']'))
			w->found |= SQLONCE_CHOOSES;
		w->dotted = true;
		return;
	case ':':
		/* The second of `::`, which a type must follow. */
		if (sqltext_is_char(last, ':')) {
			struct sqltext_token type;

			if (!type_follows(w->at, &type))
				w->found |= SQLONCE_CHOOSES;
		}
		return;
	}
}

/* Follows UPDATE and the name of its table up to the SET. */
static void
follow_update(struct walk *w, const struct sqltext_token *t)
{
	const struct sqltext_token *last = before(w, 1);

	if (sqltext_is_word(t, "update"))
		w->updates = !sqltext_is_word(last, "for") && !sqltext_is_word(last, "key");
	else if (t->kind == SQLTEXT_NAME)
		w->updates &=
		    !ONE_OF(t, grammar) || sqltext_is_word(t, "only") || sqltext_is_word(t, "as");
	else if (t->kind != SQLTEXT_QUOTED && !sqltext_is_char(t, '('))
		w->updates &= sqltext_is_char(t, '.') || sqltext_is_char(t, '*');
}

/* a = NULL is a IS NULL with transform_null_equals. SET a = NULL is no such thing. */
static void
see_null(struct walk *w)
{
	struct sqltext at = w->at;
	struct sqltext_token next;
	unsigned opened = 1;

	while (opened <= KEPT && sqltext_is_char(before(w, opened), '('))
		opened++;
	do
		sqltext_token(&at, &next);
	while (sqltext_is_char(&next, ')'));
	if (opened == 1 && sqltext_is_char(before(w, 1), '=') &&
	    sqltext_is_word(before(w, 3), "set"))
		return;
	if (opened > KEPT || sqltext_is_char(before(w, opened), '=') || sqltext_is_char(&next, '='))
		w->found |= SQLONCE_CHOOSES;
}

static void
see_name(struct walk *w, const struct sqltext_token *t)
{
	const struct sqltext_token *last = before(w, 1);

	if (t->length > NAME_MAX_SAID)
		w->found |= SQLONCE_NEVER;
	if (t->kind == SQLTEXT_QUOTED) {
		if (t->length > 1 && t->start[1] == '&')
			w->found |= SQLONCE_NEVER;
		if (sqltext_is_word(last, "as") && (w->casts >> w->depth & 1))
			w->found |= SQLONCE_CHOOSES;
		return;
	}
	if (sqltext_is_word(t, "into")) {
		/* SELECT INTO makes a table. */
		if (!sqltext_is_word(last, "insert") && !sqltext_is_word(last, "merge"))
			w->found |= SQLONCE_NEVER;
		w->target = true;
	} else if (sqltext_is_word(t, "join")) {
		w->joins = true;
	} else if (sqltext_is_word(t, "null")) {
		see_null(w);
	} else if (sqltext_is_word(t, "returning")) {
		w->found |= SQLONCE_ROWS;
	} else if (sqltext_is_word(t, "table")) {
		w->found |= SQLONCE_GROWS | SQLONCE_ROWS;
	} else if (sqltext_is_word(t, "collate") || sqltext_is_word(t, "operator") ||
		   sqltext_is_word(t, "constraint")) {
		w->found |= SQLONCE_CHOOSES;
	} else if (w->target && (sqltext_is_word(t, "select") || sqltext_is_word(t, "values") ||
				 sqltext_is_word(t, "default") || sqltext_is_word(t, "using"))) {
		w->target = false;
	}
	if (sqltext_is_word(last, "as"))
		see_name_behind_as(w, t);
}

/* The first word says what the statement is. */
static void
see_first(struct walk *w, const struct sqltext_token *t)
{
	static const char *const writes[] = {"insert", "update", "delete", "merge"};
	static const char *const reads[] = {"select", "values", "with"};

	if (ONE_OF(t, reads))
		w->found |= SQLONCE_ROWS;
	else if (!ONE_OF(t, writes) && !sqltext_is_word(t, "table"))
		w->found |= SQLONCE_NEVER;
}

static void
see(struct walk *w, const struct sqltext_token *t)
{
	if (w->ended)
		w->found |= SQLONCE_NEVER;
	follow_update(w, t);
	switch (t->kind) {
	case SQLTEXT_SPLIT:
		w->ended = true;
		return;
	case SQLTEXT_NAME:
	case SQLTEXT_QUOTED:
		see_name(w, t);
		return;
	case SQLTEXT_STRING:
		see_literal(w, t);
		return;
	case SQLTEXT_NUMBER:
		if (*t->start == '$')
			see_parameter(w, t);
		return;
	default:
		see_punctuation(w, t);
	}
}

/* What t.name in the text may be: sqlcolumn.h. */
static unsigned
see_dotted_names(const char *sql, size_t bytes)
{
	uint64_t told;

	if (!sqlcolumn(sql, bytes, &told))
		return SQLONCE_CHOOSES;
	return told ? SQLONCE_COLUMNS : 0;
}

unsigned
sqlonce(const char *sql, size_t bytes, const uint8_t *types, unsigned ntypes)
{
	struct walk w = {.types = types, .ntypes = ntypes};
	struct sqltext_token t;
	bool begun = false;

	if (sqltext_is_ambiguous(sql, bytes))
		return SQLONCE_NEVER;
	sqltext_init(&w.at, sql, bytes, 0);
	while (sqltext_token(&w.at, &t) != SQLTEXT_END && !(w.found & SQLONCE_NEVER)) {
		if (!begun && !sqltext_is_char(&t, '(')) {
			begun = true;
			see_first(&w, &t);
		}
		see(&w, &t);
		w.last[w.count % KEPT] = t;
		w.count++;
	}
	if (!begun || w.at.unterminated)
		return SQLONCE_NEVER;
	if (w.dotted && !(w.found & (SQLONCE_NEVER | SQLONCE_CHOOSES)))
		w.found |= see_dotted_names(sql, bytes);
	return w.found;
}
