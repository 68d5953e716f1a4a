#include "conf/pwcommand.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/program.h"
#include "base/units.h"
#include "conf/conf.h"
#include "conf/quote.h"
#include "conf/secret.h"

#define PREFIX "command:"
#define HIDDEN "********"

bool
pwcommand_is(const char *value)
{
	return value && strncmp(value, PREFIX, strlen(PREFIX)) == 0;
}

/* ---- words ----------------------------------------------------------------------------------- */

/* Reads the word at *at, which begins with no blank, into `word`, and moves *at behind it. Returns
 * NULL, or what is wrong (static). */
static const char *
read_word(const char **at, char *word)
{
	char quote = 0;

	for (; **at && (quote || !isspace((unsigned char)**at)); ++*at) {
		char c = **at, next = (*at)[1];

		if (quote == 0 && (c == '\'' || c == '"')) {
			quote = c;
		} else if (c == quote) {
			quote = 0;
		} else if (c == '\\' && quote != '\'' && next &&
			   (quote == 0 || next == '"' || next == '\\')) {
			*word++ = next;
			++*at;
		} else if (c == '\\' && quote == 0) {
			return "a backslash at the end";
		} else {
			*word++ = c;
		}
	}
	*word = '\0';
	return quote ? "a quote does not end" : NULL;
}

char **
pwcommand_words(const char *value, char **why)
{
	const char *at = value + strlen(PREFIX), *wrong = NULL;
	size_t n = 0, room = strlen(value) + 1;
	char *word = mem_alloc(room), **words = mem_calloc(1, sizeof *words);

	for (;;) {
		while (isspace((unsigned char)*at))
			at++;
		if (*at == '\0' || (wrong = read_word(&at, word)) != NULL)
			break;
		words = mem_realloc(words, (n + 2) * sizeof *words);
		words[n++] = mem_strdup(word);
		words[n] = NULL;
	}
	if (wrong == NULL && (n == 0 || *words[0] != '/'))
		wrong = "no absolute path of a program";
	/* What a broken word has left in it need not have an end. */
	explicit_bzero(word, room);
	free(word);
	if (wrong == NULL)
		return words;
	*why = mem_printf(PREFIX " %s: expected " PREFIX "/PATH ARGUMENTS", wrong);
	pwcommand_free_words(words);
	return NULL;
}

void
pwcommand_free_words(char **words)
{
	for (char **at = words; at && *at; at++)
		secret_free(*at);
	free(words);
}

/* Why the program cannot be run: an errno. 0: nothing speaks against it. */
static int
why_not_run(const char *path)
{
	struct stat st;

	if (access(path, X_OK) < 0 || stat(path, &st) < 0)
		return errno;
	/* A directory may be executable, too. */
	return S_ISDIR(st.st_mode) ? EISDIR : S_ISREG(st.st_mode) ? 0 : EACCES;
}

char *
pwcommand_check(const char *value)
{
	char **words, *why = NULL;
	int e;

	if (!pwcommand_is(value))
		return NULL;
	words = pwcommand_words(value, &why);
	if (words && (e = why_not_run(*words)) != 0) {
		char *quoted = quote_text(*words);

		why = mem_printf(PREFIX " %s cannot be run: %s", quoted, strerror(e));
		free(quoted);
	}
	pwcommand_free_words(words);
	return why;
}

/* The path of the program. The caller frees. */
static char *
path_of(const char *value)
{
	char *why = NULL, **words = pwcommand_words(value, &why), *path;

	path = words ? mem_strdup(*words) : mem_strdup("");
	pwcommand_free_words(words);
	free(why);
	return path;
}

char *
pwcommand_shown(const char *value)
{
	char *path, *text;

	if (!pwcommand_is(value))
		return secret_shown(value);
	path = path_of(value);
	text = mem_printf(PREFIX "%s", path);
	free(path);
	return text;
}

struct program *
pwcommand_program(const char *value, char *const *more)
{
	char *why = NULL, **words = pwcommand_words(value, &why);
	char *const none[] = {"", NULL};
	struct program *p = program_new(words ? words : none, more);

	pwcommand_free_words(words);
	free(why);
	return p;
}

/* ---- the answer ------------------------------------------------------------------------------ */

/* The bytes of the first line, without its end. */
static size_t
first_line(const char *text, size_t bytes)
{
	const char *end = memchr(text, '\n', bytes);
	size_t n = end ? (size_t)(end - text) : bytes;

	return n > 0 && text[n - 1] == '\r' ? n - 1 : n;
}

/* Why a run has not told a password, behind the path of the program; NULL if it has. */
static char *
explain(const struct program_result *r, int64_t limit_us)
{
	size_t line = first_line(r->out, r->out_bytes);
	char text[32];

	switch (r->end) {
	case PROGRAM_NOT_STARTED:
		return mem_printf("cannot be started: %s", strerror(r->code));
	case PROGRAM_LATE:
		return mem_printf("told no password within %s",
				  units_duration_str(limit_us, text, sizeof text));
	case PROGRAM_TOO_MUCH:
		return mem_printf("printed more than %d bytes", CONF_VALUE_MAX);
	case PROGRAM_ABORTED:
		return mem_strdup("was ended");
	case PROGRAM_KILLED:
		return mem_printf("was killed by signal %d", r->code);
	case PROGRAM_EXITED:
		break;
	}
	if (r->code != 0)
		return mem_printf("ended with exit status %d", r->code);
	if (line == 0)
		return mem_strdup(r->out_bytes ? "printed an empty first line" : "printed nothing");
	if (memchr(r->out, '\0', line))
		return mem_strdup("printed a NUL byte in its first line");
	return NULL;
}

/* Marks every place of the text where `secret` stands. */
static void
mark(const char *text, size_t bytes, bool *marks, const char *secret, size_t length)
{
	const char *at = text;

	while (length > 0 &&
	       (at = memmem(at, bytes - (size_t)(at - text), secret, length)) != NULL) {
		memset(marks + (at - text), true, length);
		at++;
	}
}

/* The text with ******** in the place of what is marked. The caller frees. */
static char *
without_marked(const char *text, size_t bytes, const bool *marks)
{
	char *out = mem_alloc(bytes * strlen(HIDDEN) + 1), *to = out;

	for (size_t i = 0; i < bytes; i++) {
		if (!marks[i])
			*to++ = text[i];
		else if (i == 0 || !marks[i - 1])
			to = mempcpy(to, HIDDEN, strlen(HIDDEN));
	}
	*to = '\0';
	return out;
}

/* What the program has said on stderr, without any line that it has printed on stdout. */
static char *
without_secrets(const struct program_result *r, const char *before)
{
	const char *at = r->out, *end = r->out + r->out_bytes;
	size_t bytes = strlen(r->err);
	bool *marks = mem_calloc(bytes + 1, sizeof *marks);
	char *text;

	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));

		mark(r->err, bytes, marks, at, first_line(at, (size_t)(end - at)));
		at = newline ? newline + 1 : end;
	}
	if (before)
		mark(r->err, bytes, marks, before, strlen(before));
	/* A line that was cut may end in the beginning of a secret. */
	if (bytes == PROGRAM_ERR_MAX)
		while (bytes > 0 && r->err[bytes - 1] != '\n')
			bytes--;
	text = without_marked(r->err, bytes, marks);
	free(marks);
	return text;
}

void
pwcommand_ask(const char *value, struct program *program, int64_t limit_us, const char *before,
	      struct pwcommand_answer *answer)
{
	struct program_result r;
	char *why, *path;

	program_run(program, limit_us, CONF_VALUE_MAX, &r);
	*answer = (struct pwcommand_answer){.said = without_secrets(&r, before)};
	why = explain(&r, limit_us);
	if (why) {
		path = path_of(value);
		answer->why = mem_printf("its password command %s %s", path, why);
		free(path);
		free(why);
	} else {
		answer->password = mem_strndup(r.out, first_line(r.out, r.out_bytes));
	}
	program_result_clear(&r);
}

void
pwcommand_answer_clear(struct pwcommand_answer *answer)
{
	secret_free(answer->password);
	free(answer->why);
	free(answer->said);
	*answer = (struct pwcommand_answer){NULL};
}
