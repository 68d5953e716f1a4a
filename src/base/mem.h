/* mem: allocation that does not fail: if there is no memory, the process ends with a log line, and
 * systemd starts the daemon again. Sizes that come from outside must be checked before. */
#ifndef PGWITH_BASE_MEM_H
#define PGWITH_BASE_MEM_H

#include <stdarg.h>
#include <stddef.h>

/* Like malloc(3), calloc(3), realloc(3), strdup(3) and strndup(3), but never NULL: they end the
 * process instead. mem_calloc() checks the product for overflow. The caller frees with free(3). */
void *mem_alloc(size_t bytes) __attribute__((malloc, alloc_size(1), returns_nonnull));
void *mem_calloc(size_t count, size_t bytes) __attribute__((malloc, returns_nonnull));
void *mem_realloc(void *, size_t bytes) __attribute__((returns_nonnull));
char *mem_strdup(const char *) __attribute__((malloc, returns_nonnull));
char *mem_strndup(const char *, size_t max) __attribute__((malloc, returns_nonnull));

/* A new string by printf(3)'s rules, which the caller frees. */
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2), returns_nonnull));
char *mem_vprintf(const char *fmt, va_list) __attribute__((format(printf, 1, 0), returns_nonnull));

#endif
