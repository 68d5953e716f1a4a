#include "conf/script.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "conf/quote.h"
#include "wire/sqlclass.h"
#include "wire/sqltext.h"

#define TRANSACTION                                                                  \
	(SQLCLASS_BEGIN | SQLCLASS_COMMIT | SQLCLASS_ROLLBACK | SQLCLASS_SAVEPOINT | \
	 SQLCLASS_PREPARE_TRANSACTION)

static bool
token_is(const struct sqltext_token *t, const char *word)
{
	return t->kind == SQLTEXT_NAME && t->length == strlen(word) &&
	       strncasecmp(t->start, word, t->length) == 0;
}

/* Is it COPY ... FROM STDIN or COPY ... TO STDOUT? Words in parentheses belong to a query. */
static bool
is_copy(const char *sql)
{
	struct sqltext text;
	struct sqltext_token t;

	sqltext_init(&text, sql, strlen(sql), 0);
	sqltext_token(&text, &t);
	if (!token_is(&t, "copy"))
		return false;
	while (sqltext_token(&text, &t) != SQLTEXT_END) {
		bool way = text.depth == 0 && (token_is(&t, "from") || token_is(&t, "to"));

		if (!way)
			continue;
		sqltext_token(&text, &t);
		if (token_is(&t, "stdin") || token_is(&t, "stdout"))
			return true;
	}
	return false;
}

/* The number n of an argument $n; 0 if it is too large or not a number. */
static unsigned
arg_number(const struct sqltext_token *t)
{
	unsigned n = 0;

	for (size_t i = 1; i < t->length && n <= CONF_ARGS_MAX; i++)
		n = n * 10 + (t->start[i] - '0');
	return n <= CONF_ARGS_MAX ? n : 0;
}

/* Finds the arguments that a statement uses. Returns NULL, or what is wrong. */
static char *
find_args(struct conf_statement *s)
{
	struct sqltext text;
	struct sqltext_token t;
	bool set = false;

	sqltext_init(&text, s->sql, strlen(s->sql), 0);
	while (sqltext_token(&text, &t) != SQLTEXT_END) {
		unsigned n;

		set |= text.tokens == 1 && t.word == SQLWORD_SET;
		/* In the body of a function, $n is an argument of that function. */
		if (t.kind != SQLTEXT_NUMBER || *t.start != '$' || text.atomic > 0)
			continue;
		n = arg_number(&t);
		if (n == 0)
			return mem_printf("%.*s: expected $1 to $%d",
					  t.length < 20 ? (int)t.length : 20, t.start,
					  CONF_ARGS_MAX);
		if (set)
			return mem_printf("SET takes no arguments: use SELECT set_config('NAME', "
					  "$%u, true)",
					  n);
		s->args |= UINT64_C(1) << (n - 1);
	}
	return NULL;
}

/* Checks a statement and finds its arguments. Returns NULL, or what is wrong. */
static char *
check_statement(struct conf_statement *s)
{
	unsigned class = sqlclass(s->sql, strlen(s->sql));

	if (class & TRANSACTION)
		return mem_strdup("pgwith itself begins and ends the transactions and savepoints "
				  "of a scope");
	if (class & SQLCLASS_SCOPE)
		return mem_strdup("the server does not know the statements of scopes");
	if (is_copy(s->sql))
		return mem_strdup("there is no client that could send or take the data");
	return find_args(s);
}

/* Why a statement is refused, for people, with its first line. Frees `why`. */
static char *
explain_statement(const char *sql, char *why)
{
	char *line = mem_strndup(sql, strcspn(sql, "\n")), *quoted = quote_text(line);
	char *words = mem_printf("%s cannot stand here: %s", quoted, why);

	free(why);
	free(quoted);
	free(line);
	return words;
}

static unsigned
lines_between(const char *from, const char *to)
{
	unsigned n = 0;

	for (; from < to; from++)
		n += *from == '\n';
	return n;
}

char *
script_parse(const char *text, struct conf_statements *out, unsigned *row)
{
	struct conf_statements all = {NULL, 0};
	struct sqltext walk;
	struct sqltext_stmt s = {.start = text};
	char *why = NULL;

	sqltext_init(&walk, text, strlen(text), 0);
	while (why == NULL && sqltext_next(&walk, &s)) {
		struct conf_statement *new;

		all.list = mem_realloc(all.list, (all.count + 1) * sizeof *all.list);
		new = &all.list[all.count++];
		*new = (struct conf_statement){.sql = mem_strndup(s.start, s.length)};
		if (!walk.unterminated && (why = check_statement(new)) != NULL)
			why = explain_statement(new->sql, why);
	}
	if (why == NULL && walk.unterminated)
		why = explain_statement(s.start, mem_strdup("a quote or comment does not end"));
	if (why == NULL) {
		*out = all;
		return NULL;
	}
	*row = lines_between(text, s.start);
	script_clear(&all);
	return why;
}

void
script_clear(struct conf_statements *s)
{
	for (unsigned i = 0; i < s->count; i++)
		free(s->list[i].sql);
	free(s->list);
	*s = (struct conf_statements){NULL, 0};
}

void
script_copy(struct conf_statements *to, const struct conf_statements *from)
{
	script_clear(to);
	if (from->count == 0)
		return;
	to->list = mem_calloc(from->count, sizeof *to->list);
	for (; to->count < from->count; to->count++) {
		to->list[to->count] = from->list[to->count];
		to->list[to->count].sql = mem_strdup(from->list[to->count].sql);
	}
}

char *
script_text(const struct conf_statements *s)
{
	char *text = mem_strdup("");

	for (unsigned i = 0; i < s->count; i++) {
		char *more = mem_printf("%s%s%s", text, i ? "; " : "", s->list[i].sql);

		free(text);
		text = more;
	}
	return text;
}
