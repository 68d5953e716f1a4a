/* words: what somebody may have meant who mistyped a name. */
#ifndef PGWITH_BASE_WORDS_H
#define PGWITH_BASE_WORDS_H

/* The one of `count` words that is nearest to `word`, letters of both cases the same, or NULL if
 * none is near. */
const char *words_nearest(const char *word, const char *const *words, unsigned count);

#endif
