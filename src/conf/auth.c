#include "conf/auth.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "conf/quote.h"

static const struct {
	const char *word;
	unsigned bit;
} methods[] = {{"peer", AUTH_PEER}, {"scram-sha-256", AUTH_SCRAM}};

static const char blanks[] = " \t\r\n";

/* Returns the bit of the next item at *list, without the blanks around it, and moves *list behind
 * its comma, or sets it to NULL behind the last item. 0: the item is none, and is *item, which the
 * caller frees. */
static unsigned
next_method(const char **list, char **item)
{
	const char *at = *list + strspn(*list, blanks);
	size_t bytes = strcspn(at, ",");

	*list = at[bytes] ? at + bytes + 1 : NULL;
	while (bytes > 0 && strchr(blanks, at[bytes - 1]))
		bytes--;
	for (unsigned i = 0; i < sizeof methods / sizeof *methods; i++)
		if (strlen(methods[i].word) == bytes &&
		    strncasecmp(methods[i].word, at, bytes) == 0)
			return methods[i].bit;
	*item = mem_strndup(at, bytes);
	return 0;
}

char *
auth_check(const char *list)
{
	unsigned all = 0;

	while (list) {
		char *item = NULL, *quoted, *why;
		unsigned bit = next_method(&list, &item);

		if (bit == 0) {
			quoted = quote_text(item);
			why = mem_printf("%s: expected peer, scram-sha-256, or both", quoted);
			free(quoted);
			free(item);
			return why;
		}
		/* The order has a meaning: who comes in by the first method is not asked for the
		 * second. So a list says it as it is. */
		if (all & bit)
			return mem_strdup("a method stands there twice");
		if (all > bit)
			return mem_strdup("peer is always tried first: write peer, scram-sha-256");
		all |= bit;
	}
	return NULL;
}

unsigned
auth_methods(const char *list)
{
	unsigned all = 0;

	while (list) {
		char *item = NULL;

		all |= next_method(&list, &item);
		free(item);
	}
	return all;
}
