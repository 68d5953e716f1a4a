/* pwcommand: a password that a program tells: command:/PATH ARGUMENTS. Its first line on stdout is
 * the password. */
#ifndef PGWITH_CONF_PWCOMMAND_H
#define PGWITH_CONF_PWCOMMAND_H

#include <stdbool.h>
#include <stdint.h>

struct program;
struct program_result;

/* Does the value name a command? NULL does not. */
bool pwcommand_is(const char *value);

/* Splits a command into its words, by blanks, without a shell: nothing in it is replaced. 'In
 * single quotes' every character stands for itself; "in double quotes" and outside of quotes, a
 * backslash takes the next character as it is (in double quotes only " and \). Returns the words,
 * ended by NULL, which pwcommand_free_words() frees; or NULL, with what is wrong in *why, which the
 * caller frees: a quote that does not end, no word, or a program without an absolute path. */
char **pwcommand_words(const char *value, char **why);
void pwcommand_free_words(char **);

/* Can the value be a password, or a command that can be run? A value that names no command is
 * always good. Returns NULL, or what is wrong, which the caller frees; it has no word of the
 * command but the path. */
char *pwcommand_check(const char *value);

/* The value for people: of a command the path, as its arguments may tell a secret; of a password
 * ********. The caller frees. */
char *pwcommand_shown(const char *value);

/* The program of a command that pwcommand_check() has found good. `more`: variables of its
 * environment, see program_new(). */
struct program *pwcommand_program(const char *value, char *const *more);

/* What a command has told. */
struct pwcommand_answer {
	char *password; /* NULL: none */
	char *why;      /* why there is none, for clients, too; NULL if there is one */
	/* its stderr, maybe "", with ******** for every line that it has printed on stdout, and
	 * for the password of before */
	char *said;
};

/* Runs the program, for `limit_us` at most, and reads its answer, which the caller clears. It
 * blocks. Any thread may call it. `value`: the command. `before`: its last password, or NULL. */
void pwcommand_ask(const char *value, struct program *, int64_t limit_us, const char *before,
		   struct pwcommand_answer *);
void pwcommand_answer_clear(struct pwcommand_answer *);

#endif
