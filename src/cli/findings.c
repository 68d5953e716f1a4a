#include "cli/findings.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const char *const levels[] = {"ok", "note", "warning", "problem"};

enum finding_level
findings_level(const char *name)
{
	for (int i = 0; i < FINDING_LEVELS; i++)
		if (strcmp(name, levels[i]) == 0)
			return i;
	return FINDING_PROBLEM;
}

void
findings_init(struct findings *f)
{
	*f = (struct findings){.table = table_new()};
	table_column(f->table, "level", TABLE_TEXT);
	table_column(f->table, "subject", TABLE_TEXT);
	table_column(f->table, "finding", TABLE_TEXT);
	table_column(f->table, "what_to_do", TABLE_TEXT);
}

void
findings_clear(struct findings *f)
{
	table_free(f->table);
	f->table = NULL;
}

void
findings_join_lines(char *text)
{
	char *to = text;

	for (const char *p = text; *p; p++) {
		bool blank = *p == '\n' || *p == '\t' || *p == ' ';

		if (!blank)
			*to++ = *p;
		else if (to > text && to[-1] != ' ')
			*to++ = ' ';
	}
	while (to > text && to[-1] == ' ')
		to--;
	*to = 0;
}

void
findings_add(struct findings *f, enum finding_level level, const char *subject, const char *cure,
	     const char *fmt, ...)
{
	va_list ap;
	char *what;

	va_start(ap, fmt);
	what = mem_vprintf(fmt, ap);
	va_end(ap);
	findings_join_lines(what);
	table_row(f->table, (const char *const[]){levels[level], subject, what, cure});
	f->count[level]++;
	free(what);
}

static void
print_lines(const struct findings *f, const struct table_look *look, FILE *to)
{
	int widest = 0;

	for (unsigned i = 0; i < table_rows(f->table); i++) {
		int n = (int)strlen(table_cell(f->table, i, "subject"));

		widest = n > widest ? n : widest;
	}
	for (unsigned i = 0; i < table_rows(f->table); i++) {
		const char *level = table_cell(f->table, i, "level");
		const char *cure = table_cell(f->table, i, "what_to_do");
		const char *colour = look->colour ? table_colour(table_mood("level", level)) : "";

		fprintf(to, "%s%-7s%s  %-*s  %s\n", colour, level, *colour ? TABLE_COLOUR_OFF : "",
			widest, table_cell(f->table, i, "subject"),
			table_cell(f->table, i, "finding"));
		if (cure)
			fprintf(to, "         %*s  -> %s\n", widest, "", cure);
	}
	fprintf(to, "%u problem%s, %u warning%s, %u note%s\n", f->count[FINDING_PROBLEM],
		f->count[FINDING_PROBLEM] == 1 ? "" : "s", f->count[FINDING_WARNING],
		f->count[FINDING_WARNING] == 1 ? "" : "s", f->count[FINDING_NOTE],
		f->count[FINDING_NOTE] == 1 ? "" : "s");
}

void
findings_print(const struct findings *f, const struct table_look *look, FILE *to)
{
	if (look->format == TABLE_ALIGNED)
		print_lines(f, look, to);
	else
		table_print(f->table, look, to);
}
