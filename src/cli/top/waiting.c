#include "cli/top/waiting.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/tree.h"

/* The text of the tree, which the caller frees. */
static char *
tree_text(const struct table *waits, const struct table *clients)
{
	struct waitlist list;
	char *text = NULL;
	size_t bytes;
	FILE *to = open_memstream(&text, &bytes);

	if (to == NULL)
		return mem_strdup("");
	waitlist_make(&list, waits, clients, NULL, NULL);
	tree_print(&list, false, 0, to);
	waitlist_clear(&list);
	fclose(to);
	return text ? text : mem_strdup("");
}

/* The party of a line, as in "|  +- session 12 (psql, pid 4242) waits ...". */
static void
note_party(struct line *l, const char *text)
{
	const char *at = text + strspn(text, "*|+- "), *end;
	unsigned long long id;

	if (sscanf(at, "session %llu", &id) != 1)
		return;
	l->session = id;
	at = strchr(at, '(');
	end = at ? strchr(at, ')') : NULL;
	l->who = end ? mem_strndup(at + 1, (size_t)(end - at - 1)) : NULL;
}

bool
waiting_lines(const struct model *m, const char *filter, unsigned width, struct lines *to)
{
	const struct table *waits = m->tables[MODEL_WAITS], *clients = m->tables[MODEL_CLIENTS];
	char *text, *rest, *line;

	if (waits == NULL || clients == NULL)
		return false;
	rest = text = tree_text(waits, clients);
	while ((line = strsep(&rest, "\n"))) {
		bool root = *line == '*', about = *line == ' ';

		if (*line == 0 || (filter && strcasestr(line, filter) == NULL))
			continue;
		note_party(lines_add(to, about ? LINE_FAINT : LINE_PLAIN,
				     root ? TABLE_BAD : TABLE_PLAIN, width, line),
			   line);
	}
	free(text);
	return true;
}
