#include "wire/sqlcommand.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "wire/sqltext.h"

static const struct command {
	const char *name;
	uint8_t length;
} commands[] = {
#define COMMAND(name, text) {text, sizeof text - 1},
    SQLCOMMANDS(COMMAND)
#undef COMMAND
};
#define COMMANDS (sizeof commands / sizeof *commands)

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Does the byte continue a word that letters have begun? */
static bool
continues_word(char c)
{
	return is_letter(c) || c == '_' || c == '$' || (c >= '0' && c <= '9') || (c & 0x80);
}

/* The first six bytes of a text of at least eight, letters as capitals. */
static uint64_t
first_six(const char *text)
{
	uint64_t six, capitals;

	memcpy(&six, text, sizeof six);
	memcpy(&capitals, "\xdf\xdf\xdf\xdf\xdf\xdf\0", sizeof capitals);
	return six & capitals;
}

/* Most texts begin with one of four commands. Every Query is asked, so they are found without a
 * loop. */
static enum sqlcommand
usual_command(const char *text, size_t length)
{
	uint64_t six;

	if (length < sizeof six || continues_word(text[6]))
		return SQLCOMMAND_OTHER;
	six = first_six(text);
	return six == first_six("SELECT\0")   ? SQLCOMMAND_SELECT
	       : six == first_six("UPDATE\0") ? SQLCOMMAND_UPDATE
	       : six == first_six("INSERT\0") ? SQLCOMMAND_INSERT
	       : six == first_six("DELETE\0") ? SQLCOMMAND_DELETE
					      : SQLCOMMAND_OTHER;
}

static bool
begins_with(const char *text, size_t length, const struct command *c)
{
	const char upper = (char)~0x20;

	for (size_t i = 0; i < c->length; i++)
		if (i == length || (text[i] & upper) != c->name[i])
			return false;
	return c->length == length || !continues_word(text[c->length]);
}

enum sqlcommand
sqlcommand_of_single(const char *text, size_t length)
{
	enum sqlcommand usual = usual_command(text, length);

	if (usual != SQLCOMMAND_OTHER)
		return usual;
	for (unsigned i = 0; i < COMMANDS; i++)
		if (begins_with(text, length, &commands[i]))
			return (enum sqlcommand)(SQLCOMMAND_NONE + 1 + i);
	return SQLCOMMAND_OTHER;
}

enum sqlcommand
sqlcommand_of(const char *text, size_t length, unsigned flags)
{
	struct sqltext walk;
	struct sqltext_stmt stmt, last = {.start = NULL};
	struct sqltext_token token;

	/* The usual case: one statement, without a comment or blank ahead. */
	if (length > 0 && is_letter(*text) && sqltext_single(text, length))
		return sqlcommand_of_single(text, length);
	sqltext_init(&walk, text, length, flags);
	while (sqltext_next(&walk, &stmt))
		last = stmt;
	if (last.start == NULL)
		return SQLCOMMAND_NONE;
	/* (SELECT 1) UNION (SELECT 2) */
	sqltext_init(&walk, last.start, last.length, flags);
	do
		sqltext_token(&walk, &token);
	while (sqltext_is_char(&token, '('));
	return token.kind == SQLTEXT_NAME ? sqlcommand_of_single(token.start, token.length)
					  : SQLCOMMAND_OTHER;
}

const char *
sqlcommand_name(enum sqlcommand command)
{
	if (command == SQLCOMMAND_NONE)
		return NULL;
	if (command == SQLCOMMAND_FUNCTION)
		return "function call";
	return command >= SQLCOMMAND_OTHER ? "other" : commands[command - 1].name;
}
