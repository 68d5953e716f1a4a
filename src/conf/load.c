#include "conf/load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "conf/inifile.h"

#define CONSOLE "pgwith" /* the name that no pool can have */

/* ---- problems -------------------------------------------------------------------------------- */

void
load_problem(struct loading *l, unsigned line, const char *fmt, ...)
{
	struct conf_problems *p = l->problems;
	va_list ap;

	if (p->count == CONF_PROBLEMS_MAX) {
		l->unsaid++;
		return;
	}
	p->list = mem_realloc(p->list, (p->count + 1) * sizeof *p->list);
	va_start(ap, fmt);
	p->list[p->count++] = (struct conf_problem){
	    .file = mem_strdup(l->path), .line = line, .text = mem_vprintf(fmt, ap)};
	va_end(ap);
}

static int
by_line(const void *a, const void *b)
{
	const struct conf_problem *x = a, *y = b;

	/* What has no line comes last: 0 - 1 is the largest. */
	if (x->line != y->line)
		return x->line - 1 < y->line - 1 ? -1 : 1;
	return strcmp(x->text, y->text);
}

static void
finish_problems(struct loading *l)
{
	struct conf_problems *p = l->problems;
	unsigned unsaid = l->unsaid;

	if (p->count > 1)
		qsort(p->list, p->count, sizeof *p->list, by_line);
	if (unsaid == 0)
		return;
	p->list = mem_realloc(p->list, (p->count + 1) * sizeof *p->list);
	p->list[p->count++] =
	    (struct conf_problem){.file = mem_strdup(l->path),
				  .text = mem_printf("%u more problems are not shown", unsaid)};
}

/* ---- sections -------------------------------------------------------------------------------- */

static unsigned
add_section(struct loading *l, enum section_kind kind, const char *pool, unsigned line)
{
	l->sections = mem_realloc(l->sections, (l->nsections + 1) * sizeof *l->sections);
	l->sections[l->nsections] =
	    (struct section){.kind = kind, .pool = pool ? mem_strdup(pool) : NULL, .line = line};
	return l->nsections++;
}

/* Goes on with the section that there is already, or begins it. */
static void
enter_section(struct loading *l, enum section_kind kind, const char *pool, unsigned line)
{
	for (unsigned i = 0; i < l->nsections; i++) {
		const struct section *s = &l->sections[i];

		if (s->kind != kind || (pool && strcmp(s->pool, pool) != 0))
			continue;
		load_problem(l, line, "duplicate section [%s%s]: the first is on line %u",
			     pool ? "pool " : "pgwith", pool ? pool : "", s->line);
		l->current = i;
		return;
	}
	l->current = add_section(l, kind, pool, line);
}

static const char *
pool_name_problem(const char *name)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789_-.";

	if (strcmp(name, CONSOLE) == 0)
		return "this name is the console's";
	if (strlen(name) > CONF_POOL_NAME)
		return "expected at most 63 characters";
	if (name[strspn(name, letters)])
		return "expected letters, digits, _, - and . only";
	return NULL;
}

static void
unknown_section(struct loading *l, const char *text, unsigned line)
{
	static const char *const words[] = {"pgwith", "pool"};
	char *quoted = option_quote(text), *word = mem_strndup(text, strcspn(text, " \t:.\""));
	const char *nearest = option_nearest_of(word, words, 2);

	load_problem(l, line, "unknown section %s: expected [pgwith] or [pool NAME]%s%s%s", quoted,
		     nearest ? "; did you mean \"" : "", nearest ? nearest : "",
		     nearest ? "\"?" : "");
	free(quoted);
	free(word);
}

static void
on_section(void *arg, const char *text, unsigned line)
{
	struct loading *l = arg;
	const char *name, *why;

	l->continuing = false;
	l->begun = true;
	l->current = 0;
	if (text && strcmp(text, "pgwith") == 0) {
		enter_section(l, SECTION_PGWITH, NULL, line);
		return;
	}
	l->lost = true;
	if (text == NULL)
		return; /* has been reported */
	if (strncmp(text, "pool", 4) != 0 || strchr(" \t", text[4]) == NULL) {
		unknown_section(l, text, line);
		return;
	}
	name = text + 4 + strspn(text + 4, " \t");
	if (*name == '\0') {
		load_problem(l, line, "a pool without a name: expected [pool NAME]");
		return;
	}
	if ((why = pool_name_problem(name)) != NULL) {
		char *quoted = option_quote(name);

		load_problem(l, line, "a pool cannot be named %s: %s", quoted, why);
		free(quoted);
		/* Its options are checked all the same. */
	}
	if (l->nsections > CONF_POOLS_MAX) {
		load_problem(l, line, "too many pools: the maximum is %d", CONF_POOLS_MAX);
		return;
	}
	l->lost = false;
	enter_section(l, SECTION_POOL, name, line);
}

/* ---- options --------------------------------------------------------------------------------- */

static void
unknown_option(struct loading *l, const char *name, unsigned line)
{
	const struct section *s = &l->sections[l->current];
	const char *nearest = option_nearest(name, s->kind == SECTION_POOL);
	char *quoted = option_quote(name);

	load_problem(l, line, "unknown option %s%s%s%s", quoted, nearest ? "; did you mean \"" : "",
		     nearest ? nearest : "", nearest ? "\"?" : "; see pgwith.conf(5)");
	free(quoted);
}

static void
add_setting(struct loading *l, const struct conf_option *o, const char *value, unsigned line)
{
	for (unsigned i = 0; i < l->nsettings; i++) {
		const struct setting *s = &l->settings[i];

		if (s->option == o && s->section == l->current) {
			load_problem(l, line, "duplicate option %s: the first is on line %u",
				     o->name, s->line);
			return;
		}
	}
	l->settings = mem_realloc(l->settings, (l->nsettings + 1) * sizeof *l->settings);
	l->settings[l->nsettings++] = (struct setting){.option = o,
						       .section = l->current,
						       .value = mem_strdup(value),
						       .line = line,
						       .last_line = line};
	l->continuing = true;
}

static void
on_option(void *arg, const char *name, const char *value, unsigned line)
{
	struct loading *l = arg;
	const struct section *s = &l->sections[l->current];
	const struct conf_option *o = option_find(name);

	l->continuing = false;
	/* One problem for a section that is not known, not one for each line of it. */
	if (s->kind == SECTION_LOST) {
		if (!l->begun)
			load_problem(
			    l, line,
			    "an option before any section: expected [pgwith] or [pool NAME] "
			    "first");
		return;
	}
	if (o == NULL)
		unknown_option(l, name, line);
	else if (s->kind == SECTION_POOL && o->where != OPTION_POOL)
		load_problem(l, line, "option %s is not one of a pool: it belongs in [pgwith]",
			     o->name);
	else
		add_setting(l, o, value, line);
}

static void
on_more(void *arg, const char *value, unsigned line)
{
	struct loading *l = arg;
	struct setting *s;
	char *joined;

	if (!l->continuing)
		return; /* what it continues has been reported */
	s = &l->settings[l->nsettings - 1];
	if (!s->option->many_lines) {
		load_problem(l, line,
			     "an indented line continues the one before it, and %s (line %u) takes "
			     "only one: remove the indentation",
			     s->option->name, s->line);
		return;
	}
	if (strlen(s->value) + strlen(value) + 1 > CONF_VALUE_MAX) {
		load_problem(l, line, "%s (line %u) is too long: the maximum is %d bytes",
			     s->option->name, s->line, CONF_VALUE_MAX);
		l->continuing = false;
		return;
	}
	joined = mem_printf("%s%s%s", s->value, *s->value ? " " : "", value);
	free(s->value);
	s->value = joined;
	s->last_line = line;
}

static void
on_problem(void *arg, const char *text, unsigned line)
{
	load_problem(arg, line, "%s", text);
}

/* ---- the file -------------------------------------------------------------------------------- */

/* The whole file. False if it cannot be read, which has been reported. */
static bool
read_file(struct loading *l, struct buf *b)
{
	int fd = open(l->path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0) {
		load_problem(l, 0, "cannot open: %s", strerror(errno));
		return false;
	}
	for (;;) {
		uint8_t *room = buf_room(b, 64 << 10);

		if (room == NULL) {
			load_problem(l, 0, "too long: the maximum is %d bytes", CONF_FILE_MAX);
			break;
		}
		n = read(fd, room, 64 << 10);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			load_problem(l, 0, "cannot read: %s", strerror(errno));
		if (n <= 0)
			break;
		buf_grew(b, n);
	}
	close(fd);
	return l->problems->count == 0;
}

static void
loading_clear(struct loading *l)
{
	for (unsigned i = 0; i < l->nsections; i++)
		free(l->sections[i].pool);
	for (unsigned i = 0; i < l->nsettings; i++) {
		/* It may hold a password. */
		explicit_bzero(l->settings[i].value, strlen(l->settings[i].value));
		free(l->settings[i].value);
	}
	free(l->sections);
	free(l->settings);
}

struct conf *
conf_load(const char *path, struct conf_problems *p)
{
	static const struct inifile_calls calls = {
	    .section = on_section, .option = on_option, .more = on_more, .problem = on_problem};
	struct loading l = {.path = path, .problems = p};
	struct conf *c = NULL;
	struct buf file;

	*p = (struct conf_problems){NULL, 0};
	buf_init(&file, CONF_FILE_MAX + (64 << 10));
	if (read_file(&l, &file)) {
		add_section(&l, SECTION_LOST, NULL, 0);
		inifile_read((char *)buf_data(&file), file.len, &calls, &l);
		c = load_snapshot(&l);
		finish_problems(&l);
	}
	loading_clear(&l);
	buf_clear(&file);
	if (p->count > 0) {
		conf_free(c);
		c = NULL;
	}
	return c;
}
