#include "base/words.h"

#include <ctype.h>
#include <string.h>

#define WORD_MAX 40 /* bytes: for a longer word, none is near */

/* Levenshtein's distance; upper and lower case are the same. */
static unsigned
distance(const char *a, const char *b)
{
	unsigned row[WORD_MAX + 1], n = strlen(b);

	for (unsigned j = 0; j <= n; j++)
		row[j] = j;
	for (unsigned i = 1; a[i - 1]; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= n; j++) {
			unsigned best = diagonal + (tolower((unsigned char)a[i - 1]) !=
						    tolower((unsigned char)b[j - 1]));

			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			diagonal = row[j];
			row[j] = best;
		}
	}
	return row[n];
}

const char *
words_nearest(const char *word, const char *const *words, unsigned count)
{
	size_t length = strlen(word);
	unsigned best =
	    length / 3 > 2 ? length / 3 + 1 : 3; /* a word is near below this distance */
	const char *nearest = NULL;

	if (length == 0 || length > WORD_MAX)
		return NULL;
	for (unsigned i = 0; i < count; i++) {
		unsigned d = strlen(words[i]) <= WORD_MAX ? distance(word, words[i]) : best;

		if (d < best && d < length) {
			best = d;
			nearest = words[i];
		}
	}
	return nearest;
}
