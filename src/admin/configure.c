#include "admin/configure.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "conf/conf.h"
#include "daemon/reload.h"

/* ---- RELOAD ---- */

/* Adds to the warning an option that only a restart changes, one a line. */
static void
add_restart_needed(void *arg, const char *text)
{
	struct err *warning = arg;

	if (warning->id == ERR_NONE) {
		err_make(warning, ERR_CONSOLE_OPTION, text);
		/* The SQLSTATE of a warning: PostgreSQL 15 documentation, appendix A. */
		memcpy(warning->sqlstate, "01000", sizeof warning->sqlstate);
		err_hint(warning, "start pgwithd again when it suits");
		return;
	}
	if (warning->detail == NULL) {
		err_detail(warning, "%s", text);
	} else if (strlen(warning->detail) < 4000) {
		char *all = mem_printf("%s\n%s", warning->detail, text);

		err_detail(warning, "%s", all);
		free(all);
	}
}

int
configure_reload(const struct command_call *call, struct err *e)
{
	return reload(call->daemon, &(struct reload_listener){add_restart_needed, call->warning},
		      e);
}

/* ---- SET ---- */

/* The parts of a SET. Its strings point into one copy of the text. */
struct setting {
	char *copy;
	char *option, *value, *pool, *scope, *cluster, *of_role, *of_uid;
};

/* Ends the string at `end`, before the blanks there, and returns its beginning, after the blanks
 * there. */
static char *
trim(char *start, char *end)
{
	while (isspace((unsigned char)*start) && start < end)
		start++;
	while (end > start && isspace((unsigned char)end[-1]))
		end--;
	*end = 0;
	return start;
}

/* Removes the quotes of a text that is quoted as a whole. */
static char *
unquote(char *text)
{
	size_t length = strlen(text);
	char quote = *text, *to = text;

	if (length < 2 || (quote != '\'' && quote != '"') || text[length - 1] != quote)
		return text;
	text[length - 1] = 0;
	for (char *from = text + 1; *from; from++) {
		if (*from == quote && from[1] == quote)
			from++;
		*to++ = *from;
	}
	*to = 0;
	return text;
}

/* The section that a word behind FOR names; NULL: it names none. */
static char **
target_of(struct setting *s, const struct sqltext_token *word)
{
	return sqltext_is_word(word, "pool")      ? &s->pool
	       : sqltext_is_word(word, "scope")   ? &s->scope
	       : sqltext_is_word(word, "cluster") ? &s->cluster
	       : sqltext_is_word(word, "role")    ? &s->of_role
	       : sqltext_is_word(word, "uid")     ? &s->of_uid
						  : NULL;
}

/* Cuts off FOR POOL NAME, FOR SCOPE NAME or the like, if it is there. */
static void
cut_target(struct setting *s)
{
	struct sqltext_token t, before = {.kind = SQLTEXT_END};
	char *end = s->value + strlen(s->value);
	struct sqltext lex;

	sqltext_init(&lex, s->value, strlen(s->value), 0);
	while (sqltext_token(&lex, &t) != SQLTEXT_END) {
		char *name = s->value + (t.start + t.length - s->value);

		if (sqltext_is_word(&before, "for") && target_of(s, &t)) {
			*target_of(s, &t) = unquote(trim(name, end));
			s->value = trim(s->value, s->value + (before.start - s->value));
			return;
		}
		before = t;
	}
}

/* Reads OPTION = VALUE or OPTION TO VALUE. False if it is neither. */
static bool
read_set(struct setting *s, const char *text)
{
	struct sqltext_token name, by;
	struct sqltext lex;
	char *value;

	s->copy = mem_strdup(text);
	sqltext_init(&lex, s->copy, strlen(s->copy), 0);
	sqltext_token(&lex, &name);
	if (name.kind != SQLTEXT_NAME && name.kind != SQLTEXT_QUOTED)
		return false;
	sqltext_token(&lex, &by);
	if (!sqltext_is_word(&by, "to") && !sqltext_is_char(&by, '='))
		return false;
	value = s->copy + (by.start + by.length - s->copy);
	s->value = trim(value, value + strlen(value));
	s->option = s->copy + (name.start - s->copy);
	s->option[name.length] = 0;
	s->option = unquote(s->option);
	if (name.kind == SQLTEXT_NAME)
		for (char *c = s->option; *c; c++)
			*c = (char)tolower((unsigned char)*c);
	cut_target(s);
	s->value = unquote(s->value);
	return true;
}

int
configure_set(const struct command_call *call, struct err *e)
{
	struct setting s = {0};
	struct conf_change change;
	int r;

	if (!read_set(&s, call->stmt->text)) {
		err_make(e, ERR_CONSOLE_SYNTAX,
			 "expected SET OPTION = VALUE, and, for an option of "
			 "a pool or scope, FOR POOL NAME or FOR SCOPE NAME (or FOR CLUSTER NAME, "
			 "FOR ROLE NAME, FOR UID NUMBER)");
		free(s.copy);
		return -E_SYNTAX;
	}
	change = (struct conf_change){.option = s.option,
				      .value = s.value,
				      .pool = s.pool,
				      .scope = s.scope,
				      .cluster = s.cluster,
				      .of_role = s.of_role,
				      .of_uid = s.of_uid,
				      .role = call->session->peer.role};
	r = reload_set(call->daemon, &change, e);
	explicit_bzero(s.copy, strlen(call->stmt->text));
	free(s.copy);
	return r;
}
