#include "admin/console_named.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "wire/frame.h"

void
console_named_free(struct list *l, struct console_named *n)
{
	list_remove(l, &n->node);
	buf_clear(&n->rows);
	free(n->formats);
	free(n);
}

void
console_named_free_all(struct list *l)
{
	struct list_node *n;

	while ((n = list_first(l)) != NULL)
		console_named_free(l, LIST_OBJ(n, struct console_named, node));
}

struct console_named *
console_named_find(const struct list *l, const char *name)
{
	struct list_node *n;

	LIST_EACH (n, l)
		if (strcmp(LIST_OBJ(n, struct console_named, node)->name, name) == 0)
			return LIST_OBJ(n, struct console_named, node);
	return NULL;
}

struct console_named *
console_named_add(struct list *l, const char *name, unsigned max, enum err_id exists, struct err *e)
{
	struct console_named *n = console_named_find(l, name);

	if (n && *name) {
		err_make(e, exists, name);
		return NULL;
	}
	if (n)
		console_named_free(l, n);
	if (strlen(name) > CONSOLE_NAME_BYTES) {
		err_make(e, ERR_CONSOLE_UNSUPPORTED, "names of more than 63 bytes");
		return NULL;
	}
	if (l->count >= max) {
		err_make(e, ERR_CONSOLE_UNSUPPORTED, "so many prepared statements or portals");
		return NULL;
	}
	n = mem_calloc(1, sizeof *n);
	strcpy(n->name, name);
	buf_init(&n->rows, CONSOLE_ANSWER_MAX);
	list_append(l, &n->node);
	return n;
}

bool
console_named_send_rows(struct console_named *n, struct buf *out, uint32_t limit)
{
	size_t at = 0;

	for (uint32_t i = 0; i < limit && at < n->rows.len; i++) {
		struct frame f;

		frame_read(buf_data(&n->rows) + at, n->rows.len - at, &f);
		at += FRAME_HEADER + f.body;
	}
	buf_add(out, buf_data(&n->rows), at);
	buf_drop(&n->rows, at);
	return n->rows.len > 0;
}
