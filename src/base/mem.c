#include "base/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* Up to so many bytes, glibc keeps freed blocks for the next malloc(). Its calloc() does not look
 * there before glibc 2.41, and takes about 150 instructions more than malloc() and memset(). */
#define CACHED_MAX 1032

static void *
checked(void *p, size_t bytes)
{
	if (p == NULL)
		log_fatal("", LOG_ALONE, "out of memory", LOG_NUMBER("bytes", bytes));
	return p;
}

/* Not inline: GCC would make the malloc() and memset() of mem_calloc() a calloc(). */
__attribute__((noinline)) void *
mem_alloc(size_t bytes)
{
	return checked(malloc(bytes ? bytes : 1), bytes);
}

void *
mem_calloc(size_t count, size_t bytes)
{
	size_t all;

	if (!__builtin_mul_overflow(count, bytes, &all) && all > 0 && all <= CACHED_MAX)
		return memset(mem_alloc(all), 0, all);
	return checked(calloc(count ? count : 1, bytes ? bytes : 1), bytes);
}

void *
mem_realloc(void *p, size_t bytes)
{
	return checked(realloc(p, bytes ? bytes : 1), bytes);
}

char *
mem_strdup(const char *s)
{
	return checked(strdup(s), strlen(s) + 1);
}

char *
mem_strndup(const char *s, size_t max)
{
	return checked(strndup(s, max), max);
}

char *
mem_vprintf(const char *fmt, va_list ap)
{
	char *s;

	if (vasprintf(&s, fmt, ap) < 0)
		log_fatal("", LOG_ALONE, "out of memory in vasprintf");
	return s;
}

char *
mem_printf(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	s = mem_vprintf(fmt, ap);
	va_end(ap);
	return s;
}
