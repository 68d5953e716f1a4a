/* sqlusual: the texts that nearly all are: one SELECT, and nothing in it that pgwithd would have to
 * know. One look at the text tells that, where each of the modules that would say so looks at all
 * of it. No I/O. */
#ifndef PGWITH_WIRE_SQLUSUAL_H
#define PGWITH_WIRE_SQLUSUAL_H

#include <stdbool.h>
#include <stddef.h>

/* Is it such a text? Then sqltext_is_ambiguous() says no, sqlclass_single() 0 and that the text is
 * single, and sqlmention() 0. If not, it is not known what they say. */
bool sqlusual_select(const char *text, size_t length);

#endif
