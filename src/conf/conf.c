#include "conf/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "conf/allow.h"
#include "conf/inifile.h"
#include "conf/option.h"
#include "conf/socket.h"

#define CONSOLE "pgwith" /* the name that no pool can have */

/* What is to become a snapshot, while the file is read. First every line is put where it belongs,
 * then values are parsed: so a default for all pools may stand behind them. */
struct loading {
	const char *path;
	struct conf_problems *problems;
	unsigned unsaid; /* problems beyond CONF_PROBLEMS_MAX */
	struct section *sections;
	unsigned nsections;
	unsigned current; /* section that is being read; sections[0] is the place of lost options */
	bool begun;       /* a section has been seen, known or not */
	bool lost;        /* one of them could not be understood: it may have been a pool */
	struct setting *settings;
	unsigned nsettings;
	bool continuing; /* settings[nsettings - 1] is what an indented line continues */
};

enum section_kind {
	SECTION_LOST, /* outside of any section, or in one that is not known */
	SECTION_PGWITH,
	SECTION_POOL,
};

struct section {
	enum section_kind kind;
	char *pool; /* its name, or NULL */
	unsigned line;
};

/* An option as written. */
struct setting {
	const struct conf_option *option;
	unsigned section;
	char *value;
	unsigned line, last_line;
};

/* ---- problems -------------------------------------------------------------------------------- */

static void add_problem(struct loading *, unsigned line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void
add_problem(struct loading *l, unsigned line, const char *fmt, ...)
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

void
conf_problems_clear(struct conf_problems *p)
{
	for (unsigned i = 0; i < p->count; i++) {
		free(p->list[i].file);
		free(p->list[i].text);
	}
	free(p->list);
	*p = (struct conf_problems){NULL, 0};
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
		add_problem(l, line, "duplicate section [%s%s]: the first is on line %u",
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

	add_problem(l, line, "unknown section %s: expected [pgwith] or [pool NAME]%s%s%s", quoted,
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
		add_problem(l, line, "a pool without a name: expected [pool NAME]");
		return;
	}
	if ((why = pool_name_problem(name)) != NULL) {
		char *quoted = option_quote(name);

		add_problem(l, line, "a pool cannot be named %s: %s", quoted, why);
		free(quoted);
		/* Its options are checked all the same. */
	}
	if (l->nsections > CONF_POOLS_MAX) {
		add_problem(l, line, "too many pools: the maximum is %d", CONF_POOLS_MAX);
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

	add_problem(l, line, "unknown option %s%s%s%s", quoted, nearest ? "; did you mean \"" : "",
		    nearest ? nearest : "", nearest ? "\"?" : "; see pgwith.conf(5)");
	free(quoted);
}

static void
add_setting(struct loading *l, const struct conf_option *o, const char *value, unsigned line)
{
	for (unsigned i = 0; i < l->nsettings; i++) {
		const struct setting *s = &l->settings[i];

		if (s->option == o && s->section == l->current) {
			add_problem(l, line, "duplicate option %s: the first is on line %u",
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
			add_problem(
			    l, line,
			    "an option before any section: expected [pgwith] or [pool NAME] "
			    "first");
		return;
	}
	if (o == NULL)
		unknown_option(l, name, line);
	else if (s->kind == SECTION_POOL && o->where != OPTION_POOL)
		add_problem(l, line, "option %s is not one of a pool: it belongs in [pgwith]",
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
		add_problem(l, line,
			    "an indented line continues the one before it, and %s (line %u) takes "
			    "only one: remove the indentation",
			    s->option->name, s->line);
		return;
	}
	if (strlen(s->value) + strlen(value) + 1 > CONF_VALUE_MAX) {
		add_problem(l, line, "%s (line %u) is too long: the maximum is %d bytes",
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
	add_problem(arg, line, "%s", text);
}

/* ---- the snapshot ---------------------------------------------------------------------------- */

static void
set(struct loading *l, const struct setting *s, void *base, unsigned *lines)
{
	char *why;

	/* Also when it is refused: an option that is wrong is not missing. */
	lines[option_index(s->option)] = s->line;
	if (option_set(s->option, base, s->value, &why) == 0)
		return;
	if (s->last_line > s->line)
		add_problem(l, s->line, "%s: %s (its indented lines, to line %u, continue it)",
			    s->option->name, why, s->last_line);
	else
		add_problem(l, s->line, "%s: %s", s->option->name, why);
	free(why);
}

static void
set_all(struct loading *l, enum section_kind kind, unsigned section, struct conf *c,
	struct conf_pool *pool)
{
	for (unsigned i = 0; i < l->nsettings; i++) {
		const struct setting *s = &l->settings[i];

		if (kind == SECTION_PGWITH && l->sections[s->section].kind == kind)
			set(l, s, s->option->where == OPTION_POOL ? (void *)pool : c, c->lines);
		else if (kind == SECTION_POOL && s->section == section)
			set(l, s, pool, pool->lines);
	}
}

/* Has a problem of that line been reported? */
static bool
is_reported(const struct loading *l, unsigned line)
{
	for (unsigned i = 0; i < l->problems->count; i++)
		if (l->problems->list[i].line == line)
			return true;
	return false;
}

/* What only shows when a pool is complete. */
static void
check_pool(struct loading *l, const struct conf *c, const struct conf_pool *pool, unsigned line)
{
	unsigned min_line = pool->lines[option_index(option_find("min_size"))];
	unsigned size_line = pool->lines[option_index(option_find("size"))];
	unsigned last = min_line > size_line ? min_line : size_line;

	if (pool->conninfo == NULL && !pool->lines[option_index(option_find("conninfo"))])
		add_problem(l, line, "pool \"%s\" has no conninfo", pool->name);
	/* Where a number was refused, the default that stands in for it proves nothing. */
	if (pool->min_size <= pool->size || (min_line && is_reported(l, min_line)) ||
	    (size_line && is_reported(l, size_line)))
		return;
	/* At the line of the pool itself if there is one, else where the pool begins. */
	add_problem(l, last > line ? last : line,
		    "pool \"%s\": min_size (%lld) is larger than size (%lld)", pool->name,
		    (long long)pool->min_size, (long long)pool->size);
}

static void
add_pool(struct loading *l, struct conf *c, unsigned section)
{
	const struct conf_option *table;
	struct conf_pool *pool = &c->pools[c->npools++];
	unsigned count;

	table = option_table(&count);
	pool->name = mem_strdup(l->sections[section].pool);
	pool->lines = mem_calloc(count, sizeof *pool->lines);
	for (unsigned i = 0; i < count; i++) {
		if (table[i].where != OPTION_POOL)
			continue;
		option_copy(&table[i], pool, &c->defaults);
		pool->lines[i] = c->lines[i];
	}
	set_all(l, SECTION_POOL, section, c, pool);
	check_pool(l, c, pool, l->sections[section].line);
}

static void
check_socket(struct loading *l, const struct conf *c)
{
	unsigned line = c->lines[option_index(option_find("listen"))];
	char *path = conf_socket(c), *why = socket_check_directory(c->listen);

	/* A directory that is wrong with any port has been reported. */
	if (why == NULL && strlen(path) > SOCKET_PATH_MAX)
		add_problem(l, line,
			    "listen: too long: the path of the socket has %zu bytes; the system's "
			    "maximum is %d",
			    strlen(path), SOCKET_PATH_MAX);
	free(why);
	free(path);
}

static struct conf *
build(struct loading *l)
{
	const struct conf_option *table;
	struct conf *c = mem_calloc(1, sizeof *c);
	unsigned count;

	table = option_table(&count);
	c->path = mem_strdup(l->path);
	c->lines = mem_calloc(count, sizeof *c->lines);
	for (unsigned i = 0; i < count; i++)
		option_set_default(&table[i],
				   table[i].where == OPTION_POOL ? (void *)&c->defaults : c);
	set_all(l, SECTION_PGWITH, 0, c, &c->defaults);
	check_socket(l, c);
	c->pools = mem_calloc(l->nsections, sizeof *c->pools);
	for (unsigned i = 0; i < l->nsections; i++)
		if (l->sections[i].kind == SECTION_POOL)
			add_pool(l, c, i);
	if (c->npools == 0 && !l->lost)
		add_problem(l, 0, "no pool: expected at least one section [pool NAME]");
	return c;
}

/* ---- the file -------------------------------------------------------------------------------- */

/* The whole file. False if it cannot be read, which has been reported. */
static bool
read_file(struct loading *l, struct buf *b)
{
	int fd = open(l->path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0) {
		add_problem(l, 0, "cannot open: %s", strerror(errno));
		return false;
	}
	for (;;) {
		uint8_t *room = buf_room(b, 64 << 10);

		if (room == NULL) {
			add_problem(l, 0, "too long: the maximum is %d bytes", CONF_FILE_MAX);
			break;
		}
		n = read(fd, room, 64 << 10);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			add_problem(l, 0, "cannot read: %s", strerror(errno));
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
		c = build(&l);
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

static void
pool_clear(struct conf_pool *pool)
{
	const struct conf_option *table;
	unsigned count;

	table = option_table(&count);
	for (unsigned i = 0; i < count; i++)
		if (table[i].where == OPTION_POOL)
			option_clear(&table[i], pool);
	free(pool->name);
	free(pool->lines);
}

void
conf_free(struct conf *c)
{
	const struct conf_option *table;
	unsigned count;

	if (c == NULL)
		return;
	table = option_table(&count);
	for (unsigned i = 0; i < count; i++)
		if (table[i].where == OPTION_PGWITH)
			option_clear(&table[i], c);
	for (unsigned i = 0; i < c->npools; i++)
		pool_clear(&c->pools[i]);
	pool_clear(&c->defaults);
	free(c->pools);
	free(c->lines);
	free(c->path);
	free(c);
}

/* ---- questions ------------------------------------------------------------------------------- */

const struct conf_pool *
conf_pool(const struct conf *c, const char *name)
{
	for (unsigned i = 0; i < c->npools; i++)
		if (strcmp(c->pools[i].name, name) == 0)
			return &c->pools[i];
	return NULL;
}

bool
conf_allows(const struct conf *c, uid_t uid, const char *user, uid_t self, const char *role)
{
	if (uid == 0 || uid == self)
		return true;
	if (*user && strcmp(user, role) == 0)
		return true;
	return allow_matches(c->allow, uid, user, role);
}

bool
conf_listed(const char *list, const char *role)
{
	return allow_listed(list, role);
}

char *
conf_socket(const struct conf *c)
{
	return socket_path(c->listen, c->port);
}

/* Options of the table that are a pool's. */
static unsigned
pool_options(void)
{
	const struct conf_option *table;
	unsigned count, n = 0;

	table = option_table(&count);
	for (unsigned i = 0; i < count; i++)
		n += table[i].where == OPTION_POOL;
	return n;
}

unsigned
conf_entries(const struct conf *c)
{
	unsigned count;

	option_table(&count);
	return count + c->npools * pool_options();
}

void
conf_entry(const struct conf *c, unsigned i, struct conf_entry *e)
{
	const struct conf_option *table, *o;
	const struct conf_pool *pool = &c->defaults;
	const unsigned *lines = c->lines;
	unsigned count, line;

	table = option_table(&count);
	if (i < count) {
		o = &table[i];
		e->section = mem_strdup("pgwith");
	} else {
		pool = &c->pools[(i - count) / pool_options()];
		lines = pool->lines;
		i = (i - count) % pool_options();
		for (o = table; o->where != OPTION_POOL || i-- > 0;)
			o++;
		e->section = mem_printf("pool %s", pool->name);
	}
	line = lines[option_index(o)];
	e->name = o->name;
	e->value = option_text(o, o->where == OPTION_POOL ? (const void *)pool : c);
	e->default_text = o->default_text;
	e->source = line ? mem_printf("%s:%u", c->path, line) : mem_strdup("default");
	e->changeable = false;
	e->help = o->help;
}

void
conf_entry_clear(struct conf_entry *e)
{
	free(e->section);
	free(e->value);
	free(e->source);
	*e = (struct conf_entry){NULL};
}

const char *
conf_mode_name(enum conf_mode mode)
{
	static const char *const names[] = {"transaction", "session", "statement"};

	return names[mode];
}
