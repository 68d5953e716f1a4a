#include "conf/loading.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

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
