#include "conf/loading.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "conf/allow.h"
#include "conf/expand.h"
#include "conf/pwcommand.h"
#include "conf/secret.h"

#define CONSOLE "pgwith" /* the database of the console: no pool can have this name */

void
loading_problem(struct loading *l, struct place place, const char *fmt, ...)
{
	struct conf_problems *p = l->problems;
	va_list ap;

	if (p->count == CONF_PROBLEMS_MAX) {
		l->unsaid++;
		return;
	}
	p->list = mem_realloc(p->list, (p->count + 1) * sizeof *p->list);
	va_start(ap, fmt);
	p->list[p->count++] = (struct conf_problem){.file = mem_strdup(l->files[place.file]),
						    .order = place.file,
						    .line = place.line,
						    .text = mem_vprintf(fmt, ap)};
	va_end(ap);
}

static int
by_place(const void *a, const void *b)
{
	const struct conf_problem *x = a, *y = b;

	if (x->order != y->order)
		return x->order < y->order ? -1 : 1;
	/* Problems without a line (0) come last: 0 - 1 is the largest unsigned number. */
	if (x->line != y->line)
		return x->line - 1 < y->line - 1 ? -1 : 1;
	return strcmp(x->text, y->text);
}

void
loading_sort_problems(struct loading *l)
{
	struct conf_problems *p = l->problems;
	unsigned unsaid = l->unsaid;

	if (p->count > 1)
		qsort(p->list, p->count, sizeof *p->list, by_place);
	if (unsaid == 0)
		return;
	p->list = mem_realloc(p->list, (p->count + 1) * sizeof *p->list);
	p->list[p->count++] =
	    (struct conf_problem){.file = mem_strdup(l->files[0]),
				  .order = l->nfiles,
				  .text = mem_printf("%u more problems are not shown", unsaid)};
}

void
loading_file(struct loading *l, const char *name)
{
	l->files = mem_realloc(l->files, (l->nfiles + 1) * sizeof *l->files);
	l->files[l->nfiles++] = mem_strdup(name);
}

/* ---- sections -------------------------------------------------------------------------------- */

const char *
loading_word(enum section_kind kind)
{
	static const char *const words[] = {
	    [SECTION_LOST] = "pgwith", [SECTION_PGWITH] = "pgwith",   [SECTION_POOL] = "pool",
	    [SECTION_SCOPE] = "scope", [SECTION_CLUSTER] = "cluster", [SECTION_ROLE] = "role",
	    [SECTION_UID] = "uid"};

	return words[kind];
}

enum option_where
loading_options(enum section_kind kind)
{
	switch (kind) {
	case SECTION_POOL:
		return OPTION_POOL;
	case SECTION_SCOPE:
		return OPTION_SCOPE;
	case SECTION_CLUSTER:
		return OPTION_CLUSTER;
	case SECTION_ROLE:
	case SECTION_UID:
		return OPTION_LIMITS;
	default:
		return OPTION_PGWITH;
	}
}

unsigned
loading_section(struct loading *l, enum section_kind kind, const char *name, struct place place)
{
	l->sections = mem_realloc(l->sections, (l->nsections + 1) * sizeof *l->sections);
	l->sections[l->nsections] =
	    (struct section){.kind = kind, .name = name ? mem_strdup(name) : NULL, .place = place};
	return l->nsections++;
}

/* Words of ENTER and LEAVE: a scope with such a name would always have to be quoted there. */
static bool
is_reserved(const char *name)
{
	static const char *const words[] = {"lock", "semaphore", "all", "rollback"};

	for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
		if (strcasecmp(name, words[i]) == 0)
			return true;
	return false;
}

const char *
loading_name_problem(enum section_kind kind, const char *name)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789_-.";
	id_t uid;

	if (kind == SECTION_UID)
		return strcmp(name, CONF_PARTY_EACH) == 0 || allow_number(name, &uid)
			   ? NULL
			   : "expected the number of a user, as id -u tells it, or *";
	/* Any name can be a role's. */
	if (kind == SECTION_ROLE)
		return strlen(name) > CONF_NAME ? "expected at most 63 characters" : NULL;
	if (kind == SECTION_POOL && strcmp(name, CONSOLE) == 0)
		return "this name is the console's";
	if (kind == SECTION_SCOPE && is_reserved(name))
		return "LOCK, SEMAPHORE, ALL and ROLLBACK are words of ENTER and LEAVE";
	if (strlen(name) > CONF_NAME)
		return "expected at most 63 characters";
	if (name[strspn(name, letters)])
		return "expected letters, digits, _, - and . only";
	return NULL;
}

/* ---- values ---------------------------------------------------------------------------------- */

char *
loading_expand(const struct loading *l, const struct conf_option *o, const char *value, char **why)
{
	char *text;

	*why = NULL;
	if (o->type == OPTION_STATEMENTS || (o->shown && pwcommand_is(value)))
		return mem_strdup(value);
	text = expand_text(value, l->environment, why);
	/* Who may write a variable need not be somebody who may run programs. */
	if (text && o->shown && pwcommand_is(text)) {
		secret_free(text);
		text = NULL;
		*why = mem_strdup("a command must stand in the configuration itself, and not in a "
				  "variable of the environment");
	}
	return text;
}

char *
loading_add(struct loading *l, const struct conf_option *o, unsigned section, const char *value,
	    struct place place)
{
	char *why, *text = loading_expand(l, o, value, &why);

	l->settings = mem_realloc(l->settings, (l->nsettings + 1) * sizeof *l->settings);
	l->settings[l->nsettings++] = (struct setting){.option = o,
						       .section = section,
						       .value = text ? text : mem_strdup(""),
						       .place = place,
						       .last_line = place.line,
						       .broken = text == NULL};
	return why;
}

void
loading_clear(struct loading *l)
{
	for (unsigned i = 0; i < l->nsections; i++)
		free(l->sections[i].name);
	for (unsigned i = 0; i < l->nsettings; i++) {
		/* It may hold a password. */
		explicit_bzero(l->settings[i].value, strlen(l->settings[i].value));
		free(l->settings[i].value);
	}
	for (unsigned i = 0; i < l->ninclusions; i++)
		free(l->inclusions[i].pattern);
	for (unsigned i = 0; i < l->nfiles; i++)
		free(l->files[i]);
	free(l->sections);
	free(l->settings);
	free(l->inclusions);
	free(l->files);
}
