#include "wire/sqlclass.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "wire/sqlname.h"
#include "wire/sqlpieces.h"
#include "wire/sqltext.h"

/* So many tokens of a set_config() are read to find its third argument. Without a bound, calls
 * inside calls would make the work grow with the square of the text. */
#define ARGUMENTS 40

#define LONE_MAX 9 /* bytes of the longest text that sqlclass_lone_word() knows */

/* A token that has been read, and what the statement has had before it. */
struct place {
	struct sqltext text;
	struct sqltext_token tok;
	enum sqltext_word word;     /* of the token */
	enum sqltext_word first;    /* of the statement's first token */
	enum sqltext_word previous; /* of the token before this one */
	char previous_char;         /* that token's if it was SQLTEXT_PUNCT, else 0 */
	bool updates;               /* UPDATE was among the statement's tokens */
};

/* Reads one token of `ahead`, which is a copy of the walk over the text. */
static enum sqltext_word
read_ahead(struct sqltext *ahead, struct sqltext_token *tok)
{
	sqltext_token(ahead, tok);
	return tok->kind == SQLTEXT_QUOTED ? sqlname_word(tok, ahead->flags) : tok->word;
}

static bool
next_is(const struct sqltext *t, char c)
{
	struct sqltext ahead = *t;
	struct sqltext_token tok;

	read_ahead(&ahead, &tok);
	return sqltext_is_char(&tok, c);
}

/* ---- by a statement's first word: each function returns its SQLCLASS_... bits ---- */

static unsigned
classify_set(struct sqltext ahead)
{
	struct sqltext_token tok;
	enum sqltext_word word = read_ahead(&ahead, &tok);

	switch (word) {
	case SQLWORD_LOCAL:
	case SQLWORD_TRANSACTION:
	case SQLWORD_CONSTRAINTS:
		/* The word may also begin the name of a parameter: SET local.x = 1. */
		if (read_ahead(&ahead, &tok) == SQLWORD_TO || sqltext_is_char(&tok, '=') ||
		    sqltext_is_char(&tok, '.'))
			return SQLCLASS_SET;
		return word == SQLWORD_LOCAL ? SQLCLASS_SET_LOCAL : 0;
	default:
		return SQLCLASS_SET;
	}
}

static unsigned
classify_prepare(struct sqltext ahead)
{
	struct sqltext_token tok;

	if (read_ahead(&ahead, &tok) != SQLWORD_TRANSACTION)
		return SQLCLASS_PREPARE;
	/* A prepared statement may have that name. */
	if (read_ahead(&ahead, &tok) == SQLWORD_AS || sqltext_is_char(&tok, '('))
		return SQLCLASS_PREPARE;
	return SQLCLASS_PREPARE_TRANSACTION;
}

static unsigned
classify_discard(struct sqltext ahead)
{
	struct sqltext_token tok;

	switch (read_ahead(&ahead, &tok)) {
	case SQLWORD_ALL:
		return SQLCLASS_DISCARD_ALL;
	case SQLWORD_TEMP:
	case SQLWORD_TEMPORARY:
		return SQLCLASS_DISCARD_TEMP;
	case SQLWORD_SEQUENCES:
		return SQLCLASS_DISCARD_SEQUENCES;
	default:
		return 0;
	}
}

/* COMMIT and ROLLBACK: { PREPARED | [ WORK | TRANSACTION ] [ TO ... | AND CHAIN ] } */
static unsigned
classify_commit(struct sqltext ahead, unsigned outcome)
{
	struct sqltext_token tok;
	enum sqltext_word w = read_ahead(&ahead, &tok);

	/* What the transaction has defined is there for others now. */
	if (w == SQLWORD_PREPARED)
		return outcome == SQLCLASS_COMMIT ? SQLCLASS_DEFINES : 0;
	if (w == SQLWORD_WORK || w == SQLWORD_TRANSACTION)
		w = read_ahead(&ahead, &tok);
	if (w == SQLWORD_TO && outcome == SQLCLASS_ROLLBACK)
		return SQLCLASS_SAVEPOINT;
	if (w == SQLWORD_AND && read_ahead(&ahead, &tok) == SQLWORD_CHAIN)
		return outcome | SQLCLASS_BEGIN;
	return outcome;
}

static unsigned
classify_show(struct sqltext ahead)
{
	struct sqltext_token tok;

	read_ahead(&ahead, &tok);
	return sqltext_is_word(&tok, "scopes") ? SQLCLASS_SCOPE : 0;
}

/* Transaction commands and scope statements. Must not be asked in the body of a function or rule,
 * whose END ends the body. */
static unsigned
classify_transaction(const struct place *at)
{
	switch (at->word) {
	case SQLWORD_BEGIN:
	case SQLWORD_START:
		return SQLCLASS_BEGIN;
	case SQLWORD_COMMIT:
	case SQLWORD_END:
		return classify_commit(at->text, SQLCLASS_COMMIT);
	case SQLWORD_ROLLBACK:
	case SQLWORD_ABORT:
		return classify_commit(at->text, SQLCLASS_ROLLBACK);
	case SQLWORD_SAVEPOINT:
	case SQLWORD_RELEASE:
		return SQLCLASS_SAVEPOINT;
	case SQLWORD_ENTER:
	case SQLWORD_USE:
	case SQLWORD_DEFER:
	case SQLWORD_EXIT:
	case SQLWORD_JOIN:
	case SQLWORD_LEAVE:
		return SQLCLASS_SCOPE;
	case SQLWORD_SHOW:
		return classify_show(at->text);
	default:
		return 0;
	}
}

/* SELECT is the most frequent word, so it is compared in one step. The text has six bytes. */
static inline bool
begins_with_select(const char *text)
{
	uint64_t word = 0;

	memcpy(&word, text, 6);
	return (word | 0x202020202020) == 0x7463656c6573;
}

static inline bool
is_select(const struct sqltext_token *tok)
{
	return tok->length == 6 && begins_with_select(tok->start);
}

/* Does a statement that begins so change no session state by itself? First words that stand neither
 * here nor in SQLWORDS are syntax errors, or statements of a newer PostgreSQL. */
static bool
is_harmless(const struct sqltext_token *tok)
{
	static const struct {
		const char *word;
		size_t length;
	} words[] = {
#define WORD(word) {word, sizeof word - 1}
	    WORD("delete"),     WORD("values"),   WORD("copy"),     WORD("table"),
	    WORD("fetch"),      WORD("move"),     WORD("lock"),     WORD("notify"),
	    WORD("truncate"),   WORD("alter"),    WORD("grant"),    WORD("revoke"),
	    WORD("comment"),    WORD("vacuum"),   WORD("analyze"),  WORD("analyse"),
	    WORD("cluster"),    WORD("reindex"),  WORD("refresh"),  WORD("repack"),
	    WORD("checkpoint"), WORD("security"), WORD("reassign"),
#undef WORD
	};

	if (tok->kind == SQLTEXT_PUNCT)
		return *tok->start == '(';
	if (tok->kind != SQLTEXT_NAME)
		return false;
	if (is_select(tok))
		return true;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (tok->length == words[i].length &&
		    strncasecmp(tok->start, words[i].word, tok->length) == 0)
			return true;
	return false;
}

/* SQLCLASS_DEFINES, if a statement that begins so defines something, or says who may see it. */
static unsigned
classify_definition(const struct sqltext_token *tok)
{
	static const char *const words[] = {"alter", "create", "drop", "grant", "import", "revoke"};

	if (tok->kind != SQLTEXT_NAME || tok->length < 4 || tok->length > 6 || is_select(tok))
		return 0;
	/* Most texts begin with another letter: they need no comparison. */
	if (memchr("acdgir", *tok->start | 0x20, 6) == NULL)
		return 0;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strlen(words[i]) == tok->length &&
		    strncasecmp(words[i], tok->start, tok->length) == 0)
			return SQLCLASS_DEFINES;
	return 0;
}

static unsigned
classify_first_word(const struct place *at)
{
	switch (at->word) {
	case SQLWORD_SET:
		return classify_set(at->text);
	case SQLWORD_RESET:
		return SQLCLASS_SET;
	case SQLWORD_LISTEN:
		return SQLCLASS_LISTEN;
	case SQLWORD_UNLISTEN:
		return SQLCLASS_UNLISTEN;
	case SQLWORD_PREPARE:
		return classify_prepare(at->text);
	case SQLWORD_DEALLOCATE:
		return SQLCLASS_DEALLOCATE;
	case SQLWORD_LOAD:
		return SQLCLASS_LOAD;
	case SQLWORD_DISCARD:
		return classify_discard(at->text);
	case SQLWORD_CLOSE:
	case SQLWORD_DROP:
		return SQLCLASS_UNDO;
	case SQLWORD_DO:
	case SQLWORD_CALL:
		return SQLCLASS_OPAQUE;
	case SQLWORD_EXECUTE:
		return SQLCLASS_EXECUTE;
	case SQLWORD_CREATE:
	case SQLWORD_IMPORT:
		return SQLCLASS_CREATE;
	case SQLWORD_OTHER:
		return is_harmless(&at->tok) ? 0 : SQLCLASS_UNSURE;
	default:
		return 0;
	}
}

/* ---- by words anywhere in a statement ---- */

/* CREATE [ OR REPLACE ] [ LOCAL | GLOBAL ] TEMP */
static unsigned
classify_create(struct sqltext ahead)
{
	struct sqltext_token tok;

	for (;;) {
		switch (read_ahead(&ahead, &tok)) {
		case SQLWORD_OR:
		case SQLWORD_REPLACE:
		case SQLWORD_LOCAL:
		case SQLWORD_GLOBAL:
			break;
		case SQLWORD_TEMP:
		case SQLWORD_TEMPORARY:
			return SQLCLASS_TEMP;
		default:
			return 0;
		}
	}
}

/* SELECT ... INTO { [ LOCAL | GLOBAL ] TEMP | pg_temp . }. In INSERT INTO temp and MERGE INTO temp,
 * temp is the name of a table. */
static unsigned
classify_into(const struct place *at)
{
	struct sqltext ahead = at->text;
	struct sqltext_token tok;
	enum sqltext_word w;

	if (at->previous == SQLWORD_INSERT || at->previous == SQLWORD_MERGE)
		return 0;
	w = read_ahead(&ahead, &tok);
	if (w == SQLWORD_LOCAL || w == SQLWORD_GLOBAL)
		w = read_ahead(&ahead, &tok);
	if (w == SQLWORD_PG_TEMP ||
	    ((w == SQLWORD_TEMP || w == SQLWORD_TEMPORARY) && !next_is(&ahead, '.')))
		return SQLCLASS_TEMP | SQLCLASS_CREATE;
	return SQLCLASS_CREATE;
}

/* CREATE ... pg_temp.name, or SET search_path TO pg_temp, which makes all that is created from then
 * on temporary. */
static unsigned
classify_pg_temp(const struct place *at)
{
	if (at->first == SQLWORD_CREATE || at->first == SQLWORD_EXPLAIN)
		return next_is(&at->text, '.') ? SQLCLASS_TEMP : 0;
	if (at->first == SQLWORD_SET && (at->previous_char == '=' || at->previous == SQLWORD_TO))
		return SQLCLASS_TEMP;
	return 0;
}

/* UPDATE [ ONLY ] [ ( ] [ [ DATABASE . ] SCHEMA . ] pg_settings does what set_config() does:
 * 54.24 pg_settings. */
static unsigned
classify_update(struct sqltext ahead)
{
	struct sqltext_token tok;
	enum sqltext_word w = read_ahead(&ahead, &tok);

	if (w == SQLWORD_ONLY)
		w = read_ahead(&ahead, &tok);
	while (sqltext_is_char(&tok, '('))
		w = read_ahead(&ahead, &tok);
	/* Names joined by full stops. A blank and a letter behind one mean that it was the last. */
	while (!(ahead.end - ahead.at > 1 && ahead.at[0] == ' ' && ahead.at[1] > '9') &&
	       next_is(&ahead, '.')) {
		read_ahead(&ahead, &tok);
		w = read_ahead(&ahead, &tok);
	}
	return w == SQLWORD_PG_SETTINGS ? SQLCLASS_SETCONFIG : 0;
}

/* set_config(name, value, is_local): `ahead` stands behind the function's name. */
static unsigned
classify_set_config(struct sqltext ahead)
{
	unsigned depth = 1, commas = 0, tokens = 0;
	enum sqltext_word last = SQLWORD_OTHER;
	struct sqltext_token tok;

	read_ahead(&ahead, &tok);
	if (!sqltext_is_char(&tok, '('))
		return 0;
	for (unsigned i = 0; i < ARGUMENTS; i++) {
		enum sqltext_word w = read_ahead(&ahead, &tok);

		if (tok.kind == SQLTEXT_END)
			break;
		tokens++;
		if (sqltext_is_char(&tok, '(') || sqltext_is_char(&tok, '[')) {
			depth++;
		} else if (sqltext_is_char(&tok, ')') || sqltext_is_char(&tok, ']')) {
			if (--depth > 0)
				continue;
			if (commas == 2 && tokens == 2 && last == SQLWORD_TRUE)
				return SQLCLASS_SET_LOCAL;
			break;
		} else if (depth == 1 && sqltext_is_char(&tok, ',')) {
			commas++;
			tokens = 0;
		}
		last = w;
	}
	return SQLCLASS_SETCONFIG;
}

/* Is the name a function that is called? Behind a full stop, arguments need not follow: (1).name
 * calls name(1). */
static bool
is_called(const struct place *at)
{
	return at->previous_char == '.' || next_is(&at->text, '(');
}

static unsigned
classify_word(const struct place *at)
{
	switch (at->word) {
	case SQLWORD_CREATE:
		if (at->first == SQLWORD_CREATE || at->first == SQLWORD_EXPLAIN)
			return SQLCLASS_CREATE | classify_create(at->text);
		return 0;
	case SQLWORD_INTO:
		return classify_into(at);
	case SQLWORD_PG_TEMP:
		return classify_pg_temp(at);
	case SQLWORD_HOLD:
		if (at->first == SQLWORD_DECLARE && at->previous == SQLWORD_WITH)
			return SQLCLASS_HOLD;
		return 0;
	case SQLWORD_UPDATE:
		return classify_update(at->text);
	case SQLWORD_SETTING:
		/* A column of pg_settings, or of a view of it. */
		return at->updates ? SQLCLASS_UNSURE : 0;
	case SQLWORD_EXECUTE:
		/* EXPLAIN ANALYZE EXECUTE, CREATE TABLE ... AS EXECUTE; but not CREATE TRIGGER ...
		 * EXECUTE FUNCTION. */
		return at->first == SQLWORD_EXPLAIN || at->previous == SQLWORD_AS ? SQLCLASS_EXECUTE
										  : 0;
	case SQLWORD_SET_CONFIG:
		return classify_set_config(at->text);
	case SQLWORD_PG_ADVISORY_LOCK:
	case SQLWORD_PG_ADVISORY_LOCK_SHARED:
	case SQLWORD_PG_TRY_ADVISORY_LOCK:
	case SQLWORD_PG_TRY_ADVISORY_LOCK_SHARED:
		return is_called(at) ? SQLCLASS_LOCK : 0;
	case SQLWORD_PG_ADVISORY_UNLOCK:
	case SQLWORD_PG_ADVISORY_UNLOCK_ALL:
	case SQLWORD_PG_ADVISORY_UNLOCK_SHARED:
		return is_called(at) ? SQLCLASS_UNDO : 0;
	SQLWORDS_OF_BINDERS:
		return is_called(at) ? SQLCLASS_LOAD : 0;
	case SQLWORD_SET_LIMIT:
		return is_called(at) ? SQLCLASS_SETCONFIG : 0;
	SQLWORDS_OF_RUNNERS:
		return is_called(at) ? SQLCLASS_OPAQUE : 0;
	default:
		return 0;
	}
}

/* Is one of those functions named in the text? */
static bool
names_binder(const char *text, size_t length)
{
	static const enum sqltext_word binders[] = {
	    SQLWORD_DBLINK_CONNECT,
	    SQLWORD_ISN_WEAK,
	    SQLWORD_PG_BACKUP_START,
	    SQLWORD_PG_COPY_LOGICAL_REPLICATION_SLOT,
	    SQLWORD_PG_COPY_PHYSICAL_REPLICATION_SLOT,
	    SQLWORD_PG_CREATE_LOGICAL_REPLICATION_SLOT,
	    SQLWORD_PG_CREATE_PHYSICAL_REPLICATION_SLOT,
	    SQLWORD_PG_REPLICATION_ORIGIN_SESSION_SETUP,
	    SQLWORD_PG_START_BACKUP,
	};

	for (size_t i = 0; i < sizeof binders / sizeof *binders; i++)
		if (sqltext_mentions(text, length, sqltext_word_name(binders[i])))
			return true;
	return false;
}

/* SET search_path = 'pg_temp, ...'. Any other string may be a text that a function executes. */
static unsigned
classify_string(const struct place *at)
{
	const struct sqltext_token *tok = &at->tok;

	if (at->first == SQLWORD_SET && (at->previous_char == '=' || at->previous == SQLWORD_TO) &&
	    tok->length > 8 && strncasecmp(tok->start, "'pg_temp", 8) == 0)
		return SQLCLASS_TEMP;
	/* The body of a function is not executed now; the text of a scope statement is judged when
	 * it is. */
	if (at->text.routine || at->first == SQLWORD_DEFER || at->first == SQLWORD_ENTER)
		return 0;
	if (names_binder(tok->start, tok->length))
		return SQLCLASS_OPAQUE | SQLCLASS_LOAD;
	if (sqltext_mentions(tok->start, tok->length, "set_config") ||
	    sqltext_mentions(tok->start, tok->length, "set_limit") ||
	    sqltext_mentions(tok->start, tok->length, "pg_advisory") ||
	    sqltext_mentions(tok->start, tok->length, "pg_try_advisory"))
		return SQLCLASS_OPAQUE;
	return 0;
}

bool
sqlclass_sets(struct sqltext behind)
{
	return classify_set_config(behind) != 0;
}

/* ---- the whole text ---- */

/* Must the text be split into tokens, which is expensive? Each word that classify_word() and
 * classify_string() look for contains one of those pieces, but for words of
 * statements that needs_tokens() splits anyway. Most texts contain none. */
static inline __attribute__((always_inline)) bool
suspicious(const char *text, size_t length, unsigned beside)
{
	return sqlpieces_in(text, length, SQLPIECES_CLASS | beside);
}

/* As suspicious(), behind INSERT: the INTO that comes next is harmless. */
static bool
insert_is_suspicious(const char *text, size_t length)
{
	while (length > 0 && *text == ' ') {
		text++;
		length--;
	}
	if (length < 5 || strncasecmp(text, "into ", 5) != 0)
		return true;
	return suspicious(text + 5, length - 5, SQLPIECES_INTO);
}

/* Must the one statement of a text be split into tokens? `first` is its first word, `selects` says
 * that this is SELECT, `behind` is the rest of the text. */
static bool
needs_tokens(enum sqltext_word first, bool selects, const char *behind, size_t length)
{
	switch (first) {
	case SQLWORD_DECLARE:
	case SQLWORD_EXPLAIN:
	case SQLWORD_CREATE:
		return true;
	case SQLWORD_INSERT:
		return insert_is_suspicious(behind, length);
	case SQLWORD_UPDATE:
		return suspicious(behind, length, SQLPIECES_SETTING);
	default:
		/* In a SELECT there can be no UPDATE; in a COPY there can. */
		return selects ? suspicious(behind, length, SQLPIECES_INTO)
			       : suspicious(behind, length, SQLPIECES_INTO | SQLPIECES_SETTING);
	}
}

unsigned
sqlclass_lone_word(const char *text, size_t length)
{
	if (length > LONE_MAX)
		return 0;
	switch (sqltext_lone_word(text, length)) {
	case SQLWORD_BEGIN:
		return SQLCLASS_BEGIN;
	case SQLWORD_COMMIT:
	case SQLWORD_END:
		return SQLCLASS_COMMIT;
	case SQLWORD_ROLLBACK:
	case SQLWORD_ABORT:
		return SQLCLASS_ROLLBACK;
	default:
		return 0;
	}
}

unsigned
sqlclass_single(const char *text, size_t length, unsigned flags, bool *single)
{
	bool begins = true, inner = false;
	unsigned found = 0;
	struct place at;

	if (length == 0)
		return 0;
	if ((found = sqlclass_lone_word(text, length)) != 0)
		return found;
	sqltext_init(&at.text, text, length, flags);
	at.first = at.previous = SQLWORD_OTHER;
	at.previous_char = 0;
	at.updates = false;
	for (;;) {
		enum sqltext_kind kind = sqltext_token(&at.text, &at.tok);

		if (kind == SQLTEXT_END)
			return found;
		at.word = kind == SQLTEXT_QUOTED ? sqlname_word(&at.tok, flags) : at.tok.word;
		/* A statement begins behind each semicolon, even where the text is not split (in
		 * parentheses or in a body). A true body has no statement that can change the
		 * session, but a crafted text may look as if its body had not ended. */
		if (kind == SQLTEXT_SPLIT || (kind == SQLTEXT_PUNCT && *at.tok.start == ';')) {
			begins = true;
			inner = kind == SQLTEXT_PUNCT;
		} else if (begins) {
			begins = false;
			at.first = at.word;
			at.updates = at.word == SQLWORD_UPDATE;
			found |= classify_first_word(&at);
			found |= classify_definition(&at.tok);
			if (at.word != SQLWORD_OTHER) {
				found |= classify_word(&at);
				if (!inner)
					found |= classify_transaction(&at);
			}
			if (sqltext_single(at.text.at, (size_t)(at.text.end - at.text.at)) &&
			    !needs_tokens(at.first, is_select(&at.tok), at.text.at,
					  (size_t)(at.text.end - at.text.at))) {
				if (at.tok.start == text)
					*single = true;
				return found;
			}
		} else if (at.word != SQLWORD_OTHER) {
			found |= classify_word(&at);
			at.updates |= at.word == SQLWORD_UPDATE;
		} else if (kind == SQLTEXT_STRING) {
			found |= classify_string(&at);
		}
		at.previous = at.word;
		at.previous_char = kind == SQLTEXT_PUNCT ? *at.tok.start : 0;
	}
}

unsigned
sqlclass_flags(const char *text, size_t length, unsigned flags)
{
	bool single;

	return sqlclass_single(text, length, flags, &single);
}

unsigned
sqlclass(const char *text, size_t length)
{
	return sqlclass_flags(text, length, 0);
}

const char *
sqlclass_name(unsigned set_of)
{
	static const char *const names[] = {
#define NAME(name, text) text,
	    SQLCLASSES(NAME)
#undef NAME
	};

	for (unsigned i = 0; i < SQLCLASS_N; i++)
		if (set_of & 1u << i)
			return names[i];
	return NULL;
}
