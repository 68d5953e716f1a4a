#include "conf/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/words.h"
#include "conf/allow.h"
#include "conf/build.h"
#include "conf/given.h"
#include "conf/inifile.h"
#include "conf/quote.h"
#include "conf/secret.h"

/* ---- places ---------------------------------------------------------------------------------- */

static struct place
here(const struct loading *l, unsigned line)
{
	return (struct place){l->nfiles - 1, line};
}

/* A place for people: "line 7", or FILE:7 if it is not in the file that is read now. The caller
 * frees. */
static char *
place_text(const struct loading *l, struct place p)
{
	return p.file == l->nfiles - 1 ? mem_printf("line %u", p.line)
				       : mem_printf("%s:%u", l->files[p.file], p.line);
}

/* ---- sections -------------------------------------------------------------------------------- */

/* The kinds of sections that have a name, so that there may be many of them. */
static const struct {
	enum section_kind kind;
	const char *word;
	unsigned max;
} kinds[] = {
    {SECTION_POOL, "pool", CONF_POOLS_MAX},          {SECTION_SCOPE, "scope", CONF_SCOPES_MAX},
    {SECTION_CLUSTER, "cluster", CONF_CLUSTERS_MAX}, {SECTION_ROLE, "role", CONF_LIMITS_MAX},
    {SECTION_UID, "uid", CONF_LIMITS_MAX},
};
#define KINDS (sizeof kinds / sizeof *kinds)

/* Makes a section the current one; adds it if it is new. [pgwith] may stand once in each file, all
 * others once at all. */
static void
enter_section(struct loading *l, enum section_kind kind, const char *name, unsigned line)
{
	for (unsigned i = 0; i < l->nsections; i++) {
		struct section *s = &l->sections[i];
		char *first;

		if (s->kind != kind || (name && strcmp(s->name, name) != 0))
			continue;
		l->current = i;
		if (kind == SECTION_PGWITH && s->place.file != l->nfiles - 1) {
			s->place = here(l, line);
			return;
		}
		first = place_text(l, s->place);
		loading_problem(l, here(l, line), "duplicate section [%s%s%s]: the first is on %s",
				loading_word(kind), name ? " " : "", name ? name : "", first);
		free(first);
		return;
	}
	l->current = loading_section(l, kind, name, here(l, line));
}

static void
report_unknown_section(struct loading *l, const char *text, unsigned line)
{
	static const char *const words[] = {"pgwith", "pool", "scope", "cluster", "role", "uid"};
	char *quoted = quote_text(text), *word = mem_strndup(text, strcspn(text, " \t:.\""));
	const char *nearest = words_nearest(word, words, sizeof words / sizeof *words);

	loading_problem(l, here(l, line), "unknown section %s: expected " INIFILE_SECTIONS "%s%s%s",
			quoted, nearest ? "; did you mean \"" : "", nearest ? nearest : "",
			nearest ? "\"?" : "");
	free(quoted);
	free(word);
}

/* The place in kinds[] of the text in a section's brackets; KINDS if it is of none. */
static unsigned
kind_of(const char *text)
{
	unsigned k = 0;

	for (; k < KINDS; k++) {
		size_t n = strlen(kinds[k].word);

		if (strncmp(text, kinds[k].word, n) == 0 && strchr(" \t", text[n]) != NULL)
			break;
	}
	return k;
}

/* Begins a section that has a name. False if it cannot be begun: its options will be ignored. */
static bool
begin_named_section(struct loading *l, unsigned k, const char *name, unsigned line)
{
	const char *word = kinds[k].word, *why;
	unsigned count = 0;

	if (*name == '\0') {
		loading_problem(l, here(l, line), "a %s without a name: expected [%s NAME]", word,
				word);
		return false;
	}
	if ((why = loading_name_problem(kinds[k].kind, name)) != NULL) {
		char *quoted = quote_text(name);

		loading_problem(l, here(l, line), "a %s cannot be named %s: %s", word, quoted, why);
		free(quoted);
		/* No return: the section's options are to be checked, too. */
	}
	for (unsigned i = 0; i < l->nsections; i++)
		count += l->sections[i].kind == kinds[k].kind;
	if (count >= kinds[k].max) {
		loading_problem(l, here(l, line), "too many %ss: the maximum is %u", word,
				kinds[k].max);
		return false;
	}
	enter_section(l, kinds[k].kind, name, line);
	return true;
}

static void
on_section(void *arg, const char *text, unsigned line)
{
	struct loading *l = arg;
	unsigned k;

	l->continuing = false;
	l->begun = true;
	l->current = 0;
	if (text == NULL) {
		l->lost = true; /* the problem has been reported */
	} else if (strcmp(text, "pgwith") == 0) {
		enter_section(l, SECTION_PGWITH, NULL, line);
	} else if ((k = kind_of(text)) == KINDS) {
		report_unknown_section(l, text, line);
		l->lost = true;
	} else {
		text += strlen(kinds[k].word);
		if (!begin_named_section(l, k, text + strspn(text, " \t"), line) &&
		    kinds[k].kind == SECTION_POOL)
			l->lost = true;
	}
}

/* ---- options --------------------------------------------------------------------------------- */

/* Which options may stand in a section of that kind? */
static void
report_unknown_option(struct loading *l, const char *name, unsigned line)
{
	const struct section *s = &l->sections[l->current];
	const char *nearest = option_nearest(name, loading_options(s->kind));
	const char *ours = option_of_pgbouncer(name);
	char *quoted = quote_text(name);

	if (ours)
		loading_problem(l, here(l, line), "unknown option %s: PgBouncer's is here %s",
				quoted, ours);
	else if (nearest)
		loading_problem(l, here(l, line), "unknown option %s; did you mean \"%s\"?", quoted,
				nearest);
	else
		loading_problem(l, here(l, line), "unknown option %s; see pgwith.conf(5)", quoted);
	free(quoted);
}

static void
report_misplaced_option(struct loading *l, const struct conf_option *o, unsigned line)
{
	static const char *const its[] = {
	    [SECTION_LOST] = "",         [SECTION_PGWITH] = "[pgwith]",   [SECTION_POOL] = "a pool",
	    [SECTION_SCOPE] = "a scope", [SECTION_CLUSTER] = "a cluster", [SECTION_ROLE] = "a role",
	    [SECTION_UID] = "a uid"};
	static const char *const there[] = {[OPTION_PGWITH] = "[pgwith]",
					    [OPTION_POOL] = "[pool NAME]",
					    [OPTION_SCOPE] = "[scope NAME]",
					    [OPTION_CLUSTER] = "[cluster NAME]",
					    [OPTION_LIMITS] = "[role NAME] or [uid NUMBER]"};

	loading_problem(l, here(l, line), "option %s is not one of %s: it belongs in %s", o->name,
			its[l->sections[l->current].kind], there[o->where]);
}

static void
add_setting(struct loading *l, const struct conf_option *o, const char *value, unsigned line)
{
	char *why;

	for (unsigned i = 0; i < l->nsettings; i++) {
		const struct setting *s = &l->settings[i];

		if (s->option == o && s->section == l->current) {
			char *first = place_text(l, s->place);

			loading_problem(l, here(l, line), "duplicate option %s: the first is on %s",
					o->name, first);
			free(first);
			return;
		}
	}
	why = loading_add(l, o, l->current, value, here(l, line));
	if (why)
		loading_problem(l, here(l, line), "%s: %s", o->name, why);
	free(why);
	l->continuing = true;
}

/* Notes files that are to be read after this one. */
static void
add_inclusion(struct loading *l, const struct conf_option *o, const char *value, unsigned line)
{
	char *pattern, *why;

	if (l->nfiles > 1) {
		loading_problem(
		    l, here(l, line),
		    "include cannot stand in a file that is itself included: move it to "
		    "%s",
		    l->files[0]);
		return;
	}
	pattern = loading_expand(l, o, value, &why);
	if (pattern == NULL) {
		loading_problem(l, here(l, line), "include: %s", why);
		free(why);
		return;
	}
	if (*pattern == '\0') {
		free(pattern);
		loading_problem(
		    l, here(l, line),
		    "include: expected the path of a file, or of several with wildcards, "
		    "like conf.d/*.conf");
		return;
	}
	l->inclusions = mem_realloc(l->inclusions, (l->ninclusions + 1) * sizeof *l->inclusions);
	l->inclusions[l->ninclusions++] =
	    (struct inclusion){.pattern = pattern, .place = here(l, line)};
}

static void
on_option(void *arg, const char *name, const char *value, unsigned line)
{
	struct loading *l = arg;
	const struct section *s = &l->sections[l->current];
	const struct conf_option *o = option_find_in(name, loading_options(s->kind));

	l->continuing = false;
	/* An unknown section is one problem, which has been reported, and not one for each line. */
	if (s->kind == SECTION_LOST) {
		if (!l->begun)
			loading_problem(
			    l, here(l, line),
			    "an option before any section: expected [pgwith] or [pool NAME] "
			    "first");
		return;
	}
	if (o == NULL)
		report_unknown_option(l, name, line);
	else if (!option_fits(o, loading_options(s->kind)))
		report_misplaced_option(l, o, line);
	else if (o->repeats)
		add_inclusion(l, o, value, line);
	else
		add_setting(l, o, value, line);
}

/* Adds an indented line to the value. In SQL, line ends are kept, because they end comments, and
 * empty lines too, so that a problem's line in the file follows from its line in the value. */
static void
append_line(struct setting *s, const char *value, unsigned line)
{
	bool sql = s->option->type == OPTION_STATEMENTS;
	size_t have = strlen(s->value), more = strlen(value);
	size_t gap = sql ? line - s->last_line : have > 0;

	s->value = mem_realloc(s->value, have + gap + more + 1);
	memset(s->value + have, sql ? '\n' : ' ', gap);
	memcpy(s->value + have + gap, value, more + 1);
	s->last_line = line;
}

static void
on_more(void *arg, const char *value, unsigned line)
{
	struct loading *l = arg;
	struct setting *s;
	char *text, *why;

	if (!l->continuing)
		return; /* the option that it continues has been reported */
	s = &l->settings[l->nsettings - 1];
	if (!s->option->many_lines) {
		loading_problem(
		    l, here(l, line),
		    "an indented line continues the one before it, and %s (line %u) takes "
		    "only one: remove the indentation",
		    s->option->name, s->place.line);
		return;
	}
	if (strlen(s->value) + (line - s->last_line) + strlen(value) > CONF_VALUE_MAX) {
		loading_problem(l, here(l, line),
				"%s (line %u) is too long: the maximum is %d bytes",
				s->option->name, s->place.line, CONF_VALUE_MAX);
		l->continuing = false;
		return;
	}
	text = loading_expand(l, s->option, value, &why);
	if (text) {
		append_line(s, text, line);
	} else {
		loading_problem(l, here(l, line), "%s: %s", s->option->name, why);
		s->broken = true;
	}
	secret_free(text);
	free(why);
}

static bool
is_verbatim(void *arg, const char *name)
{
	const struct loading *l = arg;
	const struct conf_option *o = NULL;

	if (name)
		o = option_find(name);
	else if (l->continuing)
		o = l->settings[l->nsettings - 1].option;
	return o && o->type == OPTION_STATEMENTS;
}

static void
on_problem(void *arg, const char *text, unsigned line)
{
	loading_problem(arg, here(arg, line), "%s", text);
}

/* ---- files ----------------------------------------------------------------------------------- */

/* Reads the whole file. False if that fails, which is reported here. */
static bool
read_into_buf(struct loading *l, int fd, struct buf *b)
{
	unsigned before = l->problems->count + l->unsaid;
	ssize_t n;

	for (;;) {
		uint8_t *room = buf_room(b, 64 << 10);

		if (room == NULL) {
			loading_problem(l, here(l, 0), "too long: the maximum is %d bytes",
					CONF_FILE_MAX);
			break;
		}
		n = read(fd, room, 64 << 10);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			loading_problem(l, here(l, 0), "cannot read: %s", strerror(errno));
		if (n <= 0)
			break;
		buf_grew(b, n);
	}
	return l->problems->count + l->unsaid == before;
}

/* Opens a file and adds it to l->files. `from` is the place that includes it, NULL for the main
 * file. Returns -1 if that fails; the problem is reported here, at `from` if there is one. */
static int
open_file(struct loading *l, const char *path, const struct place *from)
{
	/* O_NONBLOCK: a named pipe must not keep a running daemon waiting. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | (from ? O_NONBLOCK : 0)), e = errno;
	struct stat st;

	if (fd < 0 && from) {
		loading_problem(l, *from, "include: cannot open %s: %s", path, strerror(e));
		return -1;
	}
	if (from && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
		loading_problem(l, *from, "include: %s is not a regular file", path);
		close(fd);
		return -1;
	}
	loading_file(l, path);
	if (fd < 0 && e == ENOENT && strcmp(path, CONF_PATH) == 0)
		loading_problem(l, here(l, 0),
				"cannot open: %s; pgwithd -c FILE (or PGWITH_CONFIG) reads another "
				"file, and --pool NAME=CONNINFO needs none",
				strerror(e));
	else if (fd < 0)
		loading_problem(l, here(l, 0), "cannot open: %s", strerror(e));
	return fd;
}

static void
load_file(struct loading *l, const char *path, const struct place *from)
{
	static const struct inifile_calls calls = {.section = on_section,
						   .option = on_option,
						   .more = on_more,
						   .problem = on_problem,
						   .verbatim = is_verbatim};
	int fd = open_file(l, path, from);
	struct buf file;

	if (fd < 0) {
		l->lost = true;
		return;
	}
	buf_init(&file, CONF_FILE_MAX + (64 << 10));
	l->current = 0;
	l->begun = l->continuing = false;
	if (read_into_buf(l, fd, &file))
		inifile_read((char *)buf_data(&file), file.len, &calls, l);
	else
		l->lost = true;
	close(fd);
	/* The file may hold a password. */
	if (file.len > 0)
		explicit_bzero((void *)buf_data(&file), file.len);
	buf_clear(&file);
}

/* Called by glob(3). A folder that does not exist is no error: it has no files. */
static int
glob_failed(const char *path, int e)
{
	return e != ENOENT && e != ENOTDIR;
}

static bool
has_wildcards(const char *pattern)
{
	return strpbrk(pattern, "*?[") != NULL;
}

static void
load_matches(struct loading *l, const struct inclusion *in, const glob_t *found)
{
	for (size_t i = 0; i < found->gl_pathc; i++) {
		if (l->nfiles > CONF_FILES_MAX) {
			loading_problem(l, in->place, "include: too many files: the maximum is %d",
					CONF_FILES_MAX);
			return;
		}
		load_file(l, found->gl_pathv[i], &in->place);
	}
}

/* Loads the files that an include names. A relative path is relative to the folder of the main
 * file. A pattern that matches no file is no problem. */
static void
load_inclusion(struct loading *l, const struct inclusion *in)
{
	const char *slash = strrchr(l->files[0], '/');
	int folder = *in->pattern != '/' && slash ? (int)(slash + 1 - l->files[0]) : 0;
	char *path = mem_printf("%.*s%s", folder, l->files[0], in->pattern);
	glob_t found = {0};

	if (!has_wildcards(in->pattern)) {
		load_file(l, path, &in->place);
	} else {
		switch (glob(path, 0, glob_failed, &found)) {
		case 0:
			load_matches(l, in, &found);
			break;
		case GLOB_NOMATCH:
			break;
		default:
			loading_problem(l, in->place,
					"include: cannot read the folder of %s: is it permitted?",
					path);
		}
		globfree(&found);
	}
	free(path);
}

struct conf *
conf_read(const struct conf_input *in, struct conf_problems *p)
{
	struct loading l = {.problems = p, .environment = in->environment};
	struct conf *c = NULL;

	*p = (struct conf_problems){NULL, 0};
	loading_section(&l, SECTION_LOST, NULL, (struct place){0, 0});
	if (in->path)
		load_file(&l, in->path, NULL);
	if (p->count == 0 || p->list[0].line > 0) {
		for (unsigned i = 0; i < l.ninclusions; i++)
			load_inclusion(&l, &l.inclusions[i]);
		given_add(&l, in);
		c = build_snapshot(&l);
		if (in->path)
			c->path = mem_strdup(in->path);
	}
	loading_sort_problems(&l);
	loading_clear(&l);
	if (p->count > 0) {
		conf_free(c);
		c = NULL;
	}
	return c;
}

struct conf *
conf_load(const char *path, struct conf_problems *p)
{
	return conf_read(&(struct conf_input){.path = path}, p);
}

const char *
conf_path(const char *given)
{
	const char *named = getenv("PGWITH_CONFIG");

	return given ? given : named && *named ? named : CONF_PATH;
}
