#include "scope/grammar.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "scope/literal.h"

/* A walk over a statement. `tok` is the current token. A read_...() or clause_...() function reads
 * from the current token on, makes the first one behind what it has read the current one, and
 * returns 0; or the error that grammar_parse() returns, with p->error filled in. */
struct parse {
	struct sqltext text;
	struct sqltext_token tok;
	const char *start; /* of the statement */
	unsigned flags;    /* of sqltext_init() */
	struct grammar *grammar;
	struct grammar_error *error;
};

/* ---- errors: each function fills p->error in, and returns `rc` or -E_SYNTAX ---- */

/* `wanted` should stand at `at`, instead of these `bytes` bytes; 0 at the end of the statement. */
static int
fail_at(struct parse *p, int rc, const char *at, size_t bytes, const char *wanted)
{
	char *near = literal_shown(at, bytes);

	p->error->at = (size_t)(at - p->start);
	if (bytes == 0)
		p->error->expected = mem_printf("expected %s at the end of the statement", wanted);
	else
		p->error->expected = mem_printf("expected %s at or near \"%s\"", wanted, near);
	free(near);
	return rc;
}

/* `wanted` should stand instead of the current token. */
static int
fail_token(struct parse *p, const char *wanted)
{
	return fail_at(p, -E_SYNTAX, p->tok.start, p->tok.length, wanted);
}

static int fail_fmt(struct parse *, int rc, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int
fail_fmt(struct parse *p, int rc, const char *fmt, ...)
{
	char *wanted;
	va_list ap;

	va_start(ap, fmt);
	wanted = mem_vprintf(fmt, ap);
	va_end(ap);
	rc = fail_at(p, rc, p->tok.start, p->tok.length, wanted);
	free(wanted);
	return rc;
}

static int
fail_literal(struct parse *p, int rc, const struct literal_fault *fault)
{
	const char *end = p->tok.start + p->tok.length;

	return fail_at(p, rc, fault->at, (size_t)(end - fault->at), fault->why);
}

/* ---- tokens ---- */

/* Makes the next token the current one. */
static int
next_token(struct parse *p)
{
	sqltext_token(&p->text, &p->tok);
	if (!p->text.unterminated)
		return 0;
	if (p->tok.kind == SQLTEXT_END)
		return fail_token(p, "*/ behind the comment");
	return fail_token(p, "a quote that ends");
}

/* Is the current token this word, which is given in lower case? */
static bool
at_word(const struct parse *p, const char *word)
{
	return sqltext_is_word(&p->tok, word);
}

static bool
at_punct(const struct parse *p, char c)
{
	return sqltext_is_char(&p->tok, c);
}

static bool
at_name(const struct parse *p)
{
	return p->tok.kind == SQLTEXT_NAME || p->tok.kind == SQLTEXT_QUOTED;
}

/* Is the current token the end of the statement? */
static bool
at_statement_end(const struct parse *p)
{
	return p->tok.kind == SQLTEXT_END || p->tok.kind == SQLTEXT_SPLIT;
}

/* Reads the end of the statement: one semicolon may stand there, and nothing behind it. */
static int
read_end(struct parse *p, const char *wanted)
{
	int rc;

	if (!at_statement_end(p))
		return fail_token(p, wanted);
	if (p->tok.kind == SQLTEXT_END)
		return 0;
	rc = next_token(p);
	if (rc == 0 && p->tok.kind != SQLTEXT_END)
		rc = fail_token(p, "nothing more");
	return rc;
}

/* Reads this word, which is given in lower case. */
static int
read_word(struct parse *p, const char *word, const char *wanted)
{
	return at_word(p, word) ? next_token(p) : fail_token(p, wanted);
}

/* ---- names and values ---- */

static int
read_name(struct parse *p, char **name, const char *wanted)
{
	struct literal_fault fault;
	int rc;

	if (!at_name(p))
		return fail_token(p, wanted);
	rc = literal_name(&p->tok, p->flags, GRAMMAR_NAME, name, &fault);
	if (rc == -E_TOOBIG)
		return fail_fmt(p, rc, "a name of at most %d bytes", GRAMMAR_NAME);
	if (rc != 0)
		return fail_literal(p, rc, &fault);
	return next_token(p);
}

static int
read_string(struct parse *p, char **text)
{
	struct literal_fault fault;
	int rc = literal_string(&p->tok, p->flags, GRAMMAR_TEXT, text, &fault);

	if (rc == -E_TOOBIG)
		return fail_fmt(p, rc, "a string of at most %d bytes", GRAMMAR_TEXT);
	if (rc != 0)
		return fail_literal(p, rc, &fault);
	return next_token(p);
}

/* $n */
static int
read_param(struct parse *p, struct grammar_value *v)
{
	unsigned n = 0;

	for (size_t i = 1; i < p->tok.length && n <= GRAMMAR_PARAMS; i++)
		n = n * 10 + (unsigned)(p->tok.start[i] - '0');
	if (n == 0 || n > GRAMMAR_PARAMS)
		return fail_fmt(p, -E_SYNTAX, "a parameter from $1 to $%d", GRAMMAR_PARAMS);
	v->param = n;
	if (p->grammar->nparams < n)
		p->grammar->nparams = n;
	return next_token(p);
}

/* A number or $n. Letters right behind it are an error here: 2s, which sqltext reads as two tokens,
 * must be quoted. */
static int
read_number(struct parse *p, struct grammar_value *v, bool negative)
{
	const struct sqltext_token number = p->tok;
	size_t bytes = number.length + negative;
	int rc;

	if (number.start[0] == '$' && negative)
		return fail_token(p, "a number");
	if (number.start[0] != '$') {
		if (bytes > GRAMMAR_TEXT)
			return fail_fmt(p, -E_TOOBIG, "a number of at most %d bytes", GRAMMAR_TEXT);
		v->text = mem_alloc(bytes + 1);
		v->text[0] = '-';
		memcpy(v->text + negative, number.start, number.length);
		v->text[bytes] = 0;
		rc = next_token(p);
	} else {
		rc = read_param(p, v);
	}
	if (rc == 0 && at_name(p) && p->tok.start == number.start + number.length)
		return fail_at(p, -E_SYNTAX, number.start, number.length + p->tok.length,
			       "a value in quotes, as '2s' is,");
	return rc;
}

static int
read_value(struct parse *p, struct grammar_value *v, const char *wanted)
{
	v->at = (size_t)(p->tok.start - p->start);
	v->given = true;
	switch (p->tok.kind) {
	case SQLTEXT_STRING:
		return read_string(p, &v->text);
	case SQLTEXT_NUMBER:
		return read_number(p, v, false);
	default:
		return fail_token(p, wanted);
	}
}

static int
read_arg(struct parse *p, struct grammar_value *v)
{
	int rc;

	v->at = (size_t)(p->tok.start - p->start);
	v->given = true;
	if (at_word(p, "null"))
		return next_token(p);
	if (at_word(p, "true") || at_word(p, "false")) {
		v->text = mem_strdup(at_word(p, "true") ? "true" : "false");
		return next_token(p);
	}
	if (!at_punct(p, '-'))
		return read_value(p, v, "a string, number, parameter, TRUE, FALSE or NULL");
	rc = next_token(p);
	if (rc != 0)
		return rc;
	return p->tok.kind == SQLTEXT_NUMBER ? read_number(p, v, true) : fail_token(p, "a number");
}

/* '(' [arg {, arg}] ')' */
static int
read_args(struct parse *p, struct grammar_item *item)
{
	int rc = next_token(p);

	if (rc == 0 && at_punct(p, ')'))
		return next_token(p);
	while (rc == 0) {
		if (item->nargs == GRAMMAR_ARGS)
			return fail_fmt(p, -E_TOOBIG, "at most %d arguments", GRAMMAR_ARGS);
		item->args = mem_realloc(item->args, (item->nargs + 1) * sizeof *item->args);
		memset(&item->args[item->nargs], 0, sizeof *item->args);
		rc = read_arg(p, &item->args[item->nargs++]);
		if (rc != 0)
			break;
		if (at_punct(p, ')'))
			return next_token(p);
		rc = at_punct(p, ',') ? next_token(p) : fail_token(p, "',' or ')'");
	}
	return rc;
}

/* The name of an open scope; or a string, as the text of a lock may serve as its name. */
static int
read_which(struct parse *p, char **name, const char *wanted)
{
	if (p->tok.kind == SQLTEXT_STRING)
		return read_string(p, name);
	return read_name(p, name, wanted);
}

/* ---- clauses: each function reads what stands behind the clause's word ---- */

static int
clause_on(struct parse *p, struct grammar_item *item)
{
	return read_name(p, &item->pool, "the name of a pool");
}

static int
clause_new(struct parse *p, struct grammar_item *item)
{
	(void)p;
	item->fresh = true;
	return 0;
}

static int
clause_joinable(struct parse *p, struct grammar_item *item)
{
	(void)p;
	item->joinable = true;
	return 0;
}

static int
clause_shared(struct parse *p, struct grammar_item *item)
{
	(void)p;
	item->shared = true;
	return 0;
}

static int
clause_suppress(struct parse *p, struct grammar_item *item)
{
	(void)p;
	item->suppress = true;
	return 0;
}

static int
clause_limit(struct parse *p, struct grammar_item *item)
{
	return read_value(p, &item->limit, "how many may be inside, as 4 or $1,");
}

static int
clause_as(struct parse *p, struct grammar_item *item)
{
	return read_name(p, &item->as, "a name for the scope");
}

static int
clause_wait(struct parse *p, struct grammar_item *item)
{
	return read_value(p, &item->wait, "a duration, as '2s' or $1,");
}

static int
clause_deadline(struct parse *p, struct grammar_item *item)
{
	return read_value(p, &item->deadline, "a duration, as '30s' or $1,");
}

static int
clause_read(struct parse *p, struct grammar_item *item)
{
	if (at_word(p, "only"))
		item->access = GRAMMAR_READ_ONLY;
	else if (at_word(p, "write"))
		item->access = GRAMMAR_READ_WRITE;
	else
		return fail_token(p, "ONLY or WRITE");
	return next_token(p);
}

static int
clause_isolation(struct parse *p, struct grammar_item *item)
{
	int rc = read_word(p, "level", "LEVEL");

	if (rc != 0)
		return rc;
	if (at_word(p, "serializable")) {
		item->isolation = GRAMMAR_SERIALIZABLE;
		return next_token(p);
	}
	if (at_word(p, "repeatable")) {
		item->isolation = GRAMMAR_REPEATABLE_READ;
		rc = next_token(p);
		return rc == 0 ? read_word(p, "read", "READ") : rc;
	}
	rc = read_word(p, "read",
		       "SERIALIZABLE, REPEATABLE READ, READ COMMITTED or READ UNCOMMITTED");
	if (rc != 0)
		return rc;
	item->isolation =
	    at_word(p, "committed") ? GRAMMAR_READ_COMMITTED : GRAMMAR_READ_UNCOMMITTED;
	if (at_word(p, "committed"))
		return next_token(p);
	return read_word(p, "uncommitted", "COMMITTED or UNCOMMITTED");
}

/* ---- items ---- */

#define KIND(k)   (1u << GRAMMAR_##k)
#define ALL_KINDS (KIND(TRANSACTION) | KIND(LOCK) | KIND(SEMAPHORE) | KIND(DEFINED))

static const struct clause {
	const char *word, *shown;
	unsigned kinds;   /* KIND() of the items that may have the clause */
	const char *only; /* these kinds for people; NULL: all */
	int (*read)(struct parse *, struct grammar_item *);
} clauses[] = {
    {"as", "AS", ALL_KINDS, NULL, clause_as},
    {"on", "ON", ALL_KINDS & ~KIND(SEMAPHORE), "a transaction or LOCK", clause_on},
    {"new", "NEW", KIND(TRANSACTION), "a transaction", clause_new},
    {"read", "READ", KIND(TRANSACTION), "a transaction", clause_read},
    {"isolation", "ISOLATION", KIND(TRANSACTION), "a transaction", clause_isolation},
    {"joinable", "JOINABLE", KIND(TRANSACTION) | KIND(DEFINED), "a transaction", clause_joinable},
    {"shared", "SHARED", KIND(LOCK), "LOCK", clause_shared},
    {"limit", "LIMIT", KIND(SEMAPHORE), "SEMAPHORE", clause_limit},
    {"wait", "WAIT", ALL_KINDS, NULL, clause_wait},
    {"deadline", "DEADLINE", ALL_KINDS, NULL, clause_deadline},
    {"suppress", "SUPPRESS", ALL_KINDS, NULL, clause_suppress},
};

#define NCLAUSES  (sizeof clauses / sizeof *clauses)
#define CLAUSE_AS 0

/* Fails with the list of all that may stand here: the clauses that the item may have and has not
 * (`seen`), and, if `args`, arguments in parentheses. */
static int
fail_clause(struct parse *p, const struct grammar_item *item, unsigned seen, bool args)
{
	char wanted[240] = "";
	size_t n = 0;

	for (unsigned i = 0; i < NCLAUSES; i++)
		if ((clauses[i].kinds & 1u << item->kind) && !(seen & 1u << i))
			n += (size_t)snprintf(wanted + n, sizeof wanted - n, "%s, ",
					      clauses[i].shown);
	snprintf(wanted + n, sizeof wanted - n, "%s',' or the end of the statement",
		 args ? "'(', " : "");
	return fail_token(p, wanted);
}

/* The place in clauses[] of the clause whose word is the current token; NCLAUSES if it is none. */
static unsigned
clause_here(const struct parse *p)
{
	unsigned i = 0;

	while (i < NCLAUSES && !at_word(p, clauses[i].word))
		i++;
	return i;
}

/* Called for AS or a parenthesis, which make a transaction a defined scope. Fails if the item has a
 * clause that a defined scope cannot have. */
static int
make_defined(struct parse *p, struct grammar_item *item, unsigned seen)
{
	if (item->kind != GRAMMAR_TRANSACTION)
		return 0;
	for (unsigned i = 0; i < NCLAUSES; i++)
		if ((seen & 1u << i) && !(clauses[i].kinds & KIND(DEFINED)))
			return fail_fmt(p, -E_SYNTAX, "no AS, as %s goes with %s only,",
					clauses[i].shown, clauses[i].only);
	item->kind = GRAMMAR_DEFINED;
	return 0;
}

static int
read_clause(struct parse *p, struct grammar_item *item, unsigned i, unsigned seen)
{
	const struct clause *c = &clauses[i];
	int rc = 0;

	if (seen & 1u << i)
		return fail_fmt(p, -E_SYNTAX, "%s once only", c->shown);
	if (i == CLAUSE_AS)
		rc = make_defined(p, item, seen);
	else if (!(c->kinds & 1u << item->kind))
		rc = fail_fmt(p, -E_SYNTAX, "no %s, which goes with %s only,", c->shown, c->only);
	if (rc == 0)
		rc = next_token(p);
	return rc == 0 ? c->read(p, item) : rc;
}

/* Reads arguments and clauses, up to the end of the item. */
static int
read_clauses(struct parse *p, struct grammar_item *item)
{
	bool named = item->kind == GRAMMAR_TRANSACTION, args = named;
	unsigned seen = 0;
	int rc = 0;

	while (rc == 0 && !at_statement_end(p) && !at_punct(p, ',')) {
		unsigned i = clause_here(p);

		if (args && at_punct(p, '(')) {
			rc = make_defined(p, item, seen);
			if (rc == 0)
				rc = read_args(p, item);
			args = false;
		} else if (i == NCLAUSES) {
			return fail_clause(p, item, seen, args);
		} else {
			rc = read_clause(p, item, i, seen);
			seen |= 1u << i;
			/* Arguments must stand before all clauses but AS. */
			args = args && i == CLAUSE_AS;
		}
	}
	if (rc == 0 && item->kind == GRAMMAR_SEMAPHORE && !item->limit.given)
		return fail_token(p, "LIMIT");
	return rc;
}

static int
read_item(struct parse *p, struct grammar_item *item)
{
	int rc;

	item->at = (size_t)(p->tok.start - p->start);
	if (at_word(p, "lock") || at_word(p, "semaphore")) {
		item->kind = at_word(p, "lock") ? GRAMMAR_LOCK : GRAMMAR_SEMAPHORE;
		rc = next_token(p);
		if (rc == 0)
			rc = read_value(p, &item->key,
					item->kind == GRAMMAR_LOCK
					    ? "the lock's text, as 'nightly' or $1,"
					    : "the semaphore's text, as 'export' or $1,");
	} else {
		rc = read_name(p, &item->name, "a name, LOCK or SEMAPHORE");
	}
	return rc == 0 ? read_clauses(p, item) : rc;
}

/* ---- statements: each function reads what stands behind the first word ---- */

static struct grammar_item *
add_item(struct grammar *g)
{
	g->items = mem_realloc(g->items, (g->nitems + 1) * sizeof *g->items);
	return memset(&g->items[g->nitems++], 0, sizeof *g->items);
}

static int
read_enter(struct parse *p, struct grammar *g)
{
	int rc;

	if (at_statement_end(p)) {
		add_item(g)->at = (size_t)(p->tok.start - p->start);
		return read_end(p, "");
	}
	for (;;) {
		if (g->nitems == GRAMMAR_ITEMS)
			return fail_fmt(p, -E_TOOBIG, "at most %d scopes", GRAMMAR_ITEMS);
		rc = read_item(p, add_item(g));
		if (rc != 0)
			return rc;
		if (!at_punct(p, ','))
			return read_end(p, "',' or the end of the statement");
		rc = next_token(p);
		if (rc != 0)
			return rc;
	}
}

static int
read_use(struct parse *p, struct grammar *g)
{
	int rc = read_which(p, &g->name, "the name of an open scope");

	return rc == 0 ? read_end(p, "the end of the statement") : rc;
}

static int
read_join(struct parse *p, struct grammar *g)
{
	int rc = read_value(p, &g->sql, "the token of a joinable scope as a string or $1");

	return rc == 0 ? read_end(p, "the end of the statement") : rc;
}

static int
read_defer(struct parse *p, struct grammar *g)
{
	int rc = 0;

	if (at_word(p, "on")) {
		rc = next_token(p);
		if (rc == 0 && at_word(p, "commit"))
			g->when = GRAMMAR_ON_COMMIT;
		else if (rc == 0 && at_word(p, "rollback"))
			g->when = GRAMMAR_ON_ROLLBACK;
		else
			return rc == 0 ? fail_token(p, "COMMIT or ROLLBACK") : rc;
		rc = next_token(p);
	}
	if (rc == 0)
		rc = read_value(p, &g->sql,
				g->when == GRAMMAR_ALWAYS ? "ON or a statement as a string or $1"
							  : "a statement as a string or $1");
	return rc == 0 ? read_end(p, "the end of the statement") : rc;
}

static int
read_exit(struct parse *p, struct grammar *g)
{
	const char *wanted = "a name, ALL, ROLLBACK or the end of the statement";
	int rc = 0;

	if (at_word(p, "all")) {
		g->all = true;
		rc = next_token(p);
	} else if (!at_word(p, "rollback") && !at_statement_end(p)) {
		rc = read_which(p, &g->name, wanted);
	}
	if (g->all || g->name)
		wanted = "ROLLBACK or the end of the statement";
	if (rc == 0 && at_word(p, "rollback")) {
		g->rollback = true;
		wanted = "the end of the statement";
		rc = next_token(p);
	}
	return rc == 0 ? read_end(p, wanted) : rc;
}

static int
read_leave(struct parse *p, struct grammar *g)
{
	g->leave = true;
	return read_exit(p, g);
}

static int
read_show(struct parse *p, struct grammar *g)
{
	int rc = read_word(p, "scopes", "SCOPES");

	(void)g;
	return rc == 0 ? read_end(p, "the end of the statement") : rc;
}

static const struct verb {
	const char *word, *tag;
	enum grammar_verb verb;
	int (*read)(struct parse *, struct grammar *);
} verbs[] = {
    {"enter", "ENTER", GRAMMAR_ENTER, read_enter},
    {"join", "JOIN", GRAMMAR_JOIN, read_join},
    {"use", "USE", GRAMMAR_USE, read_use},
    {"defer", "DEFER", GRAMMAR_DEFER, read_defer},
    {"leave", "LEAVE", GRAMMAR_EXIT, read_leave},
    {"exit", "EXIT", GRAMMAR_EXIT, read_exit},
    {"show", "SHOW", GRAMMAR_SHOW_SCOPES, read_show},
};

#define NVERBS (sizeof verbs / sizeof *verbs)

static int
read_statement(struct parse *p, struct grammar *g)
{
	int rc = next_token(p);

	for (unsigned i = 0; rc == 0 && i < NVERBS; i++) {
		if (!at_word(p, verbs[i].word))
			continue;
		g->verb = verbs[i].verb;
		rc = next_token(p);
		return rc == 0 ? verbs[i].read(p, g) : rc;
	}
	return rc == 0 ? fail_token(p, "ENTER, JOIN, USE, DEFER, LEAVE, EXIT or SHOW SCOPES") : rc;
}

int
grammar_parse(const char *text, size_t bytes, unsigned flags, struct grammar **out,
	      struct grammar_error *error)
{
	struct grammar *g = mem_calloc(1, sizeof *g);
	struct parse p = {.flags = flags, .grammar = g, .error = error};
	const char *nul = bytes ? memchr(text, 0, bytes) : NULL;
	int rc;

	sqltext_init(&p.text, text, bytes, flags);
	p.start = p.text.at;
	if (nul)
		rc = fail_at(&p, -E_SYNTAX, nul, 1, "text without NUL");
	else
		rc = read_statement(&p, g);
	if (rc != 0) {
		grammar_free(g);
		g = NULL;
	}
	*out = g;
	return rc;
}

bool
grammar_is(const struct sqltext_stmt *s)
{
	struct parse p;

	switch (s->first[0]) {
	case SQLWORD_ENTER:
	case SQLWORD_USE:
	case SQLWORD_DEFER:
	case SQLWORD_EXIT:
	case SQLWORD_JOIN:
	case SQLWORD_LEAVE:
		return true;
	case SQLWORD_SHOW:
		/* SCOPES is compared here. In the table of words, it would cost time for each other
		 * word of that length and first letter. */
		sqltext_init(&p.text, s->start, s->length, 0);
		sqltext_token(&p.text, &p.tok);
		sqltext_token(&p.text, &p.tok);
		return at_word(&p, "scopes");
	default:
		return false;
	}
}

const char *
grammar_tag(const struct grammar *g)
{
	const struct verb *v = verbs;

	switch (g->verb) {
	case GRAMMAR_BEGIN:
		return g->start ? "START TRANSACTION" : "BEGIN";
	case GRAMMAR_COMMIT:
		return "COMMIT";
	case GRAMMAR_ROLLBACK:
		return "ROLLBACK";
	default:
		break;
	}
	while (v->verb != g->verb || (v->read == read_leave) != g->leave)
		v++;
	return v->tag;
}
