/* label: texts that are kept once each, so that equal ones are the same pointer: the names in a
 * recording. */
#ifndef PGWITH_CLI_LABEL_H
#define PGWITH_CLI_LABEL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/hash.h"

struct label {
	struct hash_node node;
	unsigned id;  /* 1 for the first one, and so on */
	bool written; /* for whoever writes labels to a file; false at first */
	char text[];
};

struct labels {
	struct hash all;
};

void labels_init(struct labels *);
void labels_clear(struct labels *);

/* The label with these bytes, which have no NUL among them. NULL for an empty text. */
struct label *label_of(struct labels *, const char *text, size_t bytes);

/* Its text; "" of NULL. */
static inline const char *
label_text(const struct label *l)
{
	return l ? l->text : "";
}

#endif
