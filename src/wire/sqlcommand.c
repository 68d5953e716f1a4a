#include "wire/sqlcommand.h"

#include <stdbool.h>
#include <stdint.h>
#include <strings.h>

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

/* The command of a text that begins with a word. */
static enum sqlcommand
command_at(const char *text, size_t length)
{
	size_t n = 0;

	while (n < length && is_letter(text[n]))
		n++;
	if (n < length && continues_word(text[n]))
		return SQLCOMMAND_OTHER;
	for (unsigned i = 0; i < COMMANDS; i++)
		if (commands[i].length == n && strncasecmp(text, commands[i].name, n) == 0)
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
		return command_at(text, length);
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
	return token.kind == SQLTEXT_NAME ? command_at(token.start, token.length)
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
