#include "wire/sqlcolumn.h"

#include <string.h>
#include <strings.h>

#include "wire/frame.h"
#include "wire/reader.h"
#include "wire/sqltext.h"

#define DEPTH_MAX 63 /* parentheses that are followed */

/* A part of the text: t.name, or one name. */
struct span {
	const char *start;
	size_t length;
};

/* A walk over the text. The first one collects what the second one compares with. */
struct walk {
	struct sqltext at;
	struct sqltext_token first, last; /* of the text; before the one that is looked at */
	bool collects;
	unsigned depth;   /* parentheses that are open */
	uint64_t queries; /* a bit for each of these, and for none: a statement is in it */
	uint64_t tables;  /* likewise: between its FROM and the next clause, where tables stand */
	bool table;       /* the name that comes next is that of a table */
	bool list;        /* in the list of result columns, of SELECT or behind RETURNING */
	bool begins;      /* a result column begins */
	unsigned column;  /* its number, from 0 */
	bool conflict;    /* behind ON CONFLICT */
	uint64_t told;
	bool opened; /* INSERT: in the list of its columns */
	bool closed; /* INSERT: that list cannot come any more */

	/* What the first walk has collected. */
	unsigned selects; /* how often SELECT stands in the text */
	bool unclear;     /* t.name may be of another query; or it is not sure what was listed */
	bool star;        /* the number of a result column is not known */
	unsigned count;
	/* SELECT: t.name by the number of the result column; INSERT: the columns that it lists */
	struct span known[SQLCOLUMN_MAX];
};

static bool
is_any(const struct sqltext_token *t, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (sqltext_is_word(t, words[i]))
			return true;
	return false;
}
#define IS_ANY(t, words) is_any((t), (words), sizeof(words) / sizeof *(words))

static bool
is_name(const struct sqltext_token *t)
{
	return t->kind == SQLTEXT_NAME || t->kind == SQLTEXT_QUOTED;
}

/* Are both surely the same name? */
static bool
is_same(struct span a, struct span b)
{
	if (a.length == 0 || a.length != b.length)
		return false;
	if (memchr(a.start, '"', a.length))
		return memcmp(a.start, b.start, a.length) == 0;
	return strncasecmp(a.start, b.start, a.length) == 0;
}

/* ---- t.name ---- */

/* Can t.name have one meaning only, wherever it stands in the statement? */
static bool
is_one_query(const struct walk *w)
{
	static const char *const words[] = {"insert", "update", "delete"};

	return !w->unclear && w->selects == sqltext_is_word(&w->first, "select") &&
	       (w->selects == 1 || IS_ANY(&w->first, words));
}

/* Is t.name, whose last part is `name`, known to be a column? */
static bool
is_known(struct walk *w, struct span whole, struct span name)
{
	bool inserts = sqltext_is_word(&w->first, "insert");

	if (!is_one_query(w) || (inserts && !w->conflict) || (!inserts && w->star))
		return false;
	for (unsigned i = 0; i < SQLCOLUMN_MAX; i++) {
		if (!is_same(w->known[i], inserts ? name : whole))
			continue;
		w->told |= inserts ? 0 : UINT64_C(1) << i;
		return true;
	}
	return false;
}

/* Reads on if a full stop follows the name *t: *t becomes the last name of all. Returns how many
 * names there are. */
static unsigned
read_parts(struct walk *w, struct sqltext_token *t)
{
	unsigned parts = 1;

	for (;; parts++) {
		struct sqltext ahead = w->at;
		struct sqltext_token next;

		if (sqltext_token(&ahead, &next) != SQLTEXT_PUNCT || *next.start != '.')
			return parts;
		sqltext_token(&ahead, &next);
		if (!is_name(&next))
			return parts;
		w->at = ahead;
		*t = next;
	}
}

/* Returns false if t.name may be a call. */
static bool
see_dotted(struct walk *w, const char *start, const struct sqltext_token *name)
{
	struct span whole = {start, (size_t)(name->start + name->length - start)};
	bool is_column = w->begins && w->column < SQLCOLUMN_MAX;

	if (w->table)
		return true;
	if (w->collects) {
		if (is_column && !sqltext_is_word(&w->first, "insert"))
			w->known[w->column] = whole;
		return true;
	}
	if (!is_column || w->star)
		return is_known(w, whole, (struct span){name->start, name->length});
	w->told |= UINT64_C(1) << w->column;
	return true;
}

/* ---- what stands where ---- */

static uint64_t
here(const struct walk *w)
{
	return UINT64_C(1) << w->depth;
}

/* Notes that a clause has begun in which names of tables stand. */
static void
tables_begin(struct walk *w)
{
	w->tables |= here(w);
	w->table = true;
	w->list &= w->depth > 0;
}

static void
list_begins(struct walk *w)
{
	w->list = true;
	w->column = 0;
}

/* A word that is no part of t.name, and does not stand behind AS. */
static void
see_word(struct walk *w, const struct sqltext_token *t)
{
	static const char *const clauses[] = {
	    "where",  "group", "having", "window", "order", "limit",  "fetch",    "returning",
	    "offset", "for",   "values", "set",    "union", "except", "intersect"};
	static const char *const nests[] = {"union", "except", "intersect", "values", "table"};
	static const char *const ahead[] = {"into", "only", "update", "table", "join"};
	static const char *const no_columns[] = {"values", "select", "default", "overriding"};
	bool uses = sqltext_is_word(&w->first, "delete") || sqltext_is_word(&w->first, "merge");

	if (!sqltext_is_word(&w->first, "insert"))
		w->unclear |= IS_ANY(t, nests) || (w->depth > 0 && sqltext_is_word(t, "join"));
	w->closed |= IS_ANY(t, no_columns);
	w->conflict |= sqltext_is_word(t, "conflict") && sqltext_is_word(&w->last, "on");
	if (sqltext_is_word(t, "select")) {
		if (w->last.kind == SQLTEXT_END)
			list_begins(w);
		w->selects += w->collects;
		w->queries |= here(w);
	} else if (sqltext_is_word(t, "from")) {
		/* Not the one of extract(a FROM b), nor that of IS DISTINCT FROM. */
		if ((w->queries & here(w)) && !sqltext_is_word(&w->last, "distinct"))
			tables_begin(w);
	} else if (sqltext_is_word(t, "using") && uses && w->depth == 0) {
		tables_begin(w);
	} else if (IS_ANY(t, ahead)) {
		w->table = true;
	} else if (IS_ANY(t, clauses)) {
		w->tables &= ~here(w);
		w->list &= w->depth > 0;
		if (w->depth == 0 && sqltext_is_word(t, "returning"))
			list_begins(w);
	}
}

/* Does another result column begin behind this token? */
static bool
column_begins_behind(const struct walk *w, const struct sqltext_token *t, bool began)
{
	static const char *const lists[] = {"select", "returning"};
	static const char *const ahead[] = {"distinct", "all"};

	return w->list && w->depth == 0 &&
	       (IS_ANY(t, lists) || sqltext_is_char(t, ',') || (began && IS_ANY(t, ahead)));
}

static bool
see_parenthesis(struct walk *w, bool opens)
{
	if (!opens) {
		w->opened &= w->depth != 1;
		w->depth -= w->depth > 0;
		return true;
	}
	/* The columns of an INSERT stand in its first parenthesis, with no other one inside. */
	w->unclear |= w->opened;
	w->opened = w->depth == 0 && !w->closed && sqltext_is_word(&w->first, "insert");
	w->closed |= w->opened;
	if (++w->depth == DEPTH_MAX)
		return false;
	w->queries &= ~here(w);
	w->tables &= ~here(w);
	return true;
}

/* Returns false if the text cannot be followed. */
static bool
see_punctuation(struct walk *w, const struct sqltext_token *t, bool began)
{
	switch (*t->start) {
	case '(':
	case ')':
		return see_parenthesis(w, *t->start == '(');
	case ',':
		w->table = (w->tables & here(w)) != 0;
		w->column += w->list && w->depth == 0;
		return true;
	case '*':
		/* It may be many columns. */
		w->star |= w->list && w->depth == 0 && (began || sqltext_is_char(&w->last, '.'));
		return true;
	}
	return true;
}

/* A name in the list of an INSERT's columns. */
static void
add_listed(struct walk *w, const struct sqltext_token *t)
{
	if (!sqltext_is_char(&w->last, '(') && !sqltext_is_char(&w->last, ','))
		w->unclear = true; /* (TABLE u) */
	else if (w->count < SQLCOLUMN_MAX)
		w->known[w->count++] = (struct span){t->start, t->length};
}

/* The next token, or all names of t.name. Returns false if that may be a call, or the text cannot
 * be followed. */
static bool
see(struct walk *w, struct sqltext_token t)
{
	const char *start = t.start;
	bool began = w->begins, label = sqltext_is_word(&w->last, "as");

	if (is_name(&t) && read_parts(w, &t) > 1) {
		bool good = see_dotted(w, start, &t);

		w->table = w->begins = false;
		w->last = t;
		/* The name behind the point is no word of the grammar. */
		w->last.kind = SQLTEXT_QUOTED;
		return good;
	}
	if (w->collects && w->opened && is_name(&t))
		add_listed(w, &t);
	w->table = false;
	if (t.kind == SQLTEXT_NAME && !label)
		see_word(w, &t);
	else if (t.kind == SQLTEXT_PUNCT && !see_punctuation(w, &t, began))
		return false;
	w->begins = column_begins_behind(w, &t, began);
	w->last = t;
	/* A name that is given, as in SELECT 1 AS distinct. */
	if (label && t.kind == SQLTEXT_NAME)
		w->last.kind = SQLTEXT_QUOTED;
	return true;
}

static bool
walk(struct walk *w, const char *sql, size_t bytes)
{
	struct sqltext_token t;

	sqltext_init(&w->at, sql, bytes, 0);
	w->last = (struct sqltext_token){.kind = SQLTEXT_END, .start = ""};
	w->queries = 1;
	w->depth = w->column = 0;
	w->tables = 0;
	w->table = w->list = w->begins = w->conflict = false;
	w->opened = w->closed = false;
	while (sqltext_token(&w->at, &t) != SQLTEXT_END) {
		if (w->last.kind == SQLTEXT_END)
			w->first = t;
		if (!see(w, t))
			return false;
	}
	return true;
}

bool
sqlcolumn(const char *sql, size_t bytes, uint64_t *told)
{
	struct walk w = {.collects = true};

	*told = 0;
	if (!walk(&w, sql, bytes))
		return false;
	w.collects = false;
	if (!walk(&w, sql, bytes))
		return false;
	*told = w.told;
	return true;
}

uint64_t
sqlcolumn_of_tables(const uint8_t *body, size_t bytes)
{
	uint64_t tables = 0;
	struct reader r;
	unsigned n;

	reader_init(&r, body, bytes);
	n = reader_u16(&r);
	for (unsigned i = 0; i < n && i < SQLCOLUMN_MAX && !r.failed; i++) {
		const uint8_t *rest;

		reader_str(&r);
		rest = reader_bytes(&r, 18);
		/* The number of the table, and that of its column; 0 is the whole row. */
		if (rest && frame_u32(rest) != 0 && (rest[4] | rest[5]) != 0)
			tables |= UINT64_C(1) << i;
	}
	return tables;
}
