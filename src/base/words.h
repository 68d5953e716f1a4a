/* words: finds the name that a mistyped word may have meant. */
#ifndef PGWITH_BASE_WORDS_H
#define PGWITH_BASE_WORDS_H

/* The one of `count` words that is nearest to `word`, in any case of letters; NULL if none is
 * near. */
const char *words_nearest(const char *word, const char *const *words, unsigned count);

#endif
