#include "cli/import/pgbouncer.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define INCLUDES_MAX 10 /* depth of %include */

struct reading {
	struct pgbouncer *p;
	const char *path;
	const char *at; /* the rest of the text */
	unsigned line;
	char *section;
	unsigned depth;
};

/* ---- files ---- */

/* The contents of the file. NULL and a reason, which the caller frees. */
static char *
read_file(const char *path, char **why)
{
	FILE *f = fopen(path, "re");
	char *text = NULL;
	size_t bytes = 0;

	if (f == NULL) {
		*why = mem_printf("%s: cannot open: %s", path, strerror(errno));
		return NULL;
	}
	text = mem_alloc(PGBOUNCER_FILE_MAX + 1);
	errno = 0;
	bytes = fread(text, 1, PGBOUNCER_FILE_MAX + 1, f);
	if (ferror(f))
		*why = mem_printf("%s: cannot read: %s", path, strerror(errno));
	else if (bytes > PGBOUNCER_FILE_MAX)
		*why = mem_printf("%s: longer than %d bytes", path, PGBOUNCER_FILE_MAX);
	else if (memchr(text, 0, bytes))
		*why = mem_printf("%s: has a NUL in it: this is no text", path);
	fclose(f);
	if (*why) {
		free(text);
		return NULL;
	}
	text[bytes] = 0;
	return text;
}

/* ---- the syntax ---- */

static bool
set_problem(struct reading *r, const char *what)
{
	if (r->p->problem == NULL)
		r->p->problem = mem_printf("%s:%u: %s", r->path, r->line, what);
	return false;
}

static char *
trimmed(const char *start, const char *end)
{
	while (start < end && isspace((unsigned char)*start))
		start++;
	while (end > start && isspace((unsigned char)end[-1]))
		end--;
	return mem_strndup(start, end - start);
}

static bool read_text(struct pgbouncer *, const char *path, const char *text, char **section,
		      unsigned depth);

/* Reads an included file. PgBouncer looks in its working directory; since ours is hardly the same,
 * the directory of the including file is tried next. */
static bool
read_include(struct reading *r, const char *name)
{
	const char *slash = strrchr(r->path, '/');
	char *why = NULL, *path = mem_strdup(name), *text;
	bool good = false;

	if (r->depth == INCLUDES_MAX) {
		free(path);
		return set_problem(r, "more than 10 files within files");
	}
	text = read_file(path, &why);
	if (text == NULL && *name != '/' && slash) {
		free(path);
		path = mem_printf("%.*s/%s", (int)(slash - r->path), r->path, name);
		free(why);
		why = NULL;
		text = read_file(path, &why);
	}
	if (text)
		good = read_text(r->p, path, text, &r->section, r->depth + 1);
	else
		set_problem(r, why);
	free(why);
	free(text);
	free(path);
	return good;
}

/* Reads a key: bare, or in double quotes, which are doubled inside. NULL if there is none. */
static char *
read_key(const char **at, const char *end)
{
	const char *p = *at;
	char *key = mem_alloc((size_t)(end - p) + 1), *to = key;

	if (*p == '"') {
		for (p++; p < end && (*p != '"' || p[1] == '"'); p++) {
			p += *p == '"';
			*to++ = *p;
		}
		if (p == end) {
			free(key);
			return NULL;
		}
		p++;
	} else {
		while (p < end && (isalnum((unsigned char)*p) || strchr("_.-*", *p)))
			*to++ = *p++;
	}
	*to = 0;
	*at = p;
	return key;
}

static bool
read_setting(struct reading *r, const char *start, const char *end)
{
	struct pgbouncer *p = r->p;
	char *key = read_key(&start, end);

	while (start < end && (*start == ' ' || *start == '\t'))
		start++;
	if (key == NULL || *key == 0 || start == end || *start != '=') {
		free(key);
		return set_problem(r, "expected KEY = VALUE");
	}
	if (r->section == NULL) {
		free(key);
		return set_problem(r, "a setting before any section");
	}
	p->list = mem_realloc(p->list, (p->count + 1) * sizeof *p->list);
	p->list[p->count++] = (struct pgbouncer_setting){.section = mem_strdup(r->section),
							 .key = key,
							 .value = trimmed(start + 1, end),
							 .file = mem_strdup(r->path),
							 .line = r->line};
	return true;
}

static bool
read_line(struct reading *r, const char *start, const char *end)
{
	static const char word[] = "%include";
	const char *close;

	while (start < end && isspace((unsigned char)*start))
		start++;
	while (end > start && isspace((unsigned char)end[-1]))
		end--;
	for (const char *p = start; p < end; p++)
		if (iscntrl((unsigned char)*p) && *p != '\t')
			return set_problem(r, "a control character");
	if (start == end || *start == '#' || *start == ';')
		return true;
	if (*start == '[') {
		close = memchr(start, ']', end - start);
		if (close == NULL)
			return set_problem(r, "a section without ]");
		free(r->section);
		r->section = trimmed(start + 1, close);
		/* A setting may stand on the same line, behind the bracket. */
		return read_line(r, close + 1, end);
	}
	if ((size_t)(end - start) > sizeof word && strncmp(start, word, sizeof word - 1) == 0 &&
	    isspace((unsigned char)start[sizeof word - 1])) {
		char *name = trimmed(start + sizeof word, end);
		bool good = read_include(r, name);

		free(name);
		return good;
	}
	return read_setting(r, start, end);
}

/* *section: the section in which the text begins; at the end, the one in which it ends. */
static bool
read_text(struct pgbouncer *p, const char *path, const char *text, char **section, unsigned depth)
{
	struct reading r = {p, path, text, 0, *section, depth};
	bool good = true;

	while (good && *r.at) {
		size_t n = strcspn(r.at, "\n");
		const char *start = r.at;

		r.line++;
		r.at += n + (r.at[n] == '\n');
		good = read_line(&r, start, start + n);
	}
	*section = r.section;
	return good;
}

bool
pgbouncer_parse(struct pgbouncer *p, const char *path, const char *text)
{
	char *section = NULL;
	bool good;

	*p = (struct pgbouncer){0};
	good = read_text(p, path, text, &section, 0);
	free(section);
	return good;
}

bool
pgbouncer_read(struct pgbouncer *p, const char *path)
{
	char *why = NULL, *text = read_file(path, &why);
	bool good;

	*p = (struct pgbouncer){0};
	if (text == NULL) {
		p->problem = why;
		return false;
	}
	good = pgbouncer_parse(p, path, text);
	free(text);
	return good;
}

void
pgbouncer_clear(struct pgbouncer *p)
{
	for (unsigned i = 0; i < p->count; i++) {
		free(p->list[i].section);
		free(p->list[i].key);
		free(p->list[i].value);
		free(p->list[i].file);
	}
	free(p->list);
	free(p->problem);
	*p = (struct pgbouncer){0};
}

const char *
pgbouncer_get(const struct pgbouncer *p, const char *section, const char *key)
{
	const char *found = NULL;

	for (unsigned i = 0; i < p->count; i++)
		if (strcmp(p->list[i].section, section) == 0 && strcmp(p->list[i].key, key) == 0)
			found = p->list[i].value;
	return found;
}

/* ---- pairs ---- */

static void
add_pair(struct pgbouncer_pairs *pairs, char *key, char *value)
{
	pairs->list = mem_realloc(pairs->list, (pairs->count + 1) * sizeof *pairs->list);
	pairs->list[pairs->count++] = (struct pgbouncer_pair){key, value};
}

/* Reads a text in double quotes, which are doubled inside, and moves *at behind it. NULL if the
 * text does not end. */
static char *
read_quoted(const char **at)
{
	const char *p = *at;
	char quote = *p++, *out = mem_alloc(strlen(p) + 1), *to = out;

	while (*p && (*p != quote || p[1] == quote)) {
		p += *p == quote;
		*to++ = *p++;
	}
	if (*p == 0) {
		free(out);
		return NULL;
	}
	*to = 0;
	*at = p + 1;
	return out;
}

static const char *
skip_blanks(const char *p)
{
	while (isspace((unsigned char)*p))
		p++;
	return p;
}

const char *
pgbouncer_connstr(const char *text, struct pgbouncer_pairs *pairs)
{
	const char *p = skip_blanks(text);

	*pairs = (struct pgbouncer_pairs){0};
	while (*p) {
		const char *key = p;
		char *value;
		size_t n;

		while (isalnum((unsigned char)*p) || *p == '_')
			p++;
		n = p - key;
		p = skip_blanks(p);
		if (n == 0 || *p != '=')
			return "expected KEY=VALUE";
		p = skip_blanks(p + 1);
		if (*p == '\'') {
			value = read_quoted(&p);
			if (value == NULL)
				return "a quote that does not end";
			if (*p && !isspace((unsigned char)*p)) {
				free(value);
				return "something behind a closing quote";
			}
		} else {
			size_t length = strcspn(p, " \t\r\n\f\v");

			value = mem_strndup(p, length);
			p += length;
		}
		add_pair(pairs, mem_strndup(key, n), value);
		p = skip_blanks(p);
	}
	return NULL;
}

char *
pgbouncer_users(const char *path, struct pgbouncer_pairs *pairs)
{
	char *why = NULL, *text = read_file(path, &why);

	*pairs = (struct pgbouncer_pairs){0};
	for (const char *line = text; line && *line;) {
		size_t n = strcspn(line, "\n");
		char *copy = mem_strndup(line, n);
		const char *p = skip_blanks(copy);
		char *user = NULL, *password = NULL;

		if (*p == '"')
			user = read_quoted(&p);
		p = skip_blanks(p);
		if (user && *p == '"')
			password = read_quoted(&p);
		if (password)
			add_pair(pairs, user, password);
		else
			free(user); /* PgBouncer ignores such a line, too */
		free(copy);
		line += n + (line[n] == '\n');
	}
	free(text);
	return why;
}

void
pgbouncer_pairs_clear(struct pgbouncer_pairs *pairs)
{
	for (unsigned i = 0; i < pairs->count; i++) {
		free(pairs->list[i].key);
		explicit_bzero(pairs->list[i].value, strlen(pairs->list[i].value));
		free(pairs->list[i].value);
	}
	free(pairs->list);
	*pairs = (struct pgbouncer_pairs){0};
}

const char *
pgbouncer_pair(const struct pgbouncer_pairs *pairs, const char *key)
{
	const char *found = NULL;

	for (unsigned i = 0; i < pairs->count; i++)
		if (strcmp(pairs->list[i].key, key) == 0)
			found = pairs->list[i].value;
	return found;
}
