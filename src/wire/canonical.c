#include "wire/canonical.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

int
canonical_bool(const char *value)
{
	/* Any beginning will do, but for that of `on` and `off`. */
	static const struct {
		const char *word;
		size_t shortest;
		int means;
	} words[] = {{"true", 1, 1}, {"false", 1, 0}, {"yes", 1, 1}, {"no", 1, 0},
		     {"on", 2, 1},   {"off", 2, 0},   {"1", 1, 1},   {"0", 1, 0}};
	size_t length = strlen(value);

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (length >= words[i].shortest && strncasecmp(value, words[i].word, length) == 0)
			return words[i].means;
	return -1;
}
