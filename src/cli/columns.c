#define _XOPEN_SOURCE 700 /* wcwidth() */
#include "cli/columns.h"

#include <stdint.h>
#include <wchar.h>

#include "base/utf8.h"

/* Reads one character: its length in *bytes, its width is returned. */
static size_t
character(const char *text, size_t left, size_t *bytes)
{
	uint32_t c;
	unsigned n = utf8_read(text, left, &c);
	int w = n ? wcwidth((wchar_t)c) : -1;

	*bytes = n ? n : 1;
	return w < 0 ? 1 : (size_t)w;
}

size_t
columns_of(const char *text, size_t bytes)
{
	size_t sum = 0, n;

	for (size_t at = 0; at < bytes; at += n)
		sum += character(text + at, bytes - at, &n);
	return sum;
}

size_t
columns_fit(const char *text, size_t bytes, size_t columns)
{
	size_t at = 0, n;

	while (at < bytes) {
		size_t w = character(text + at, bytes - at, &n);

		if (w > columns)
			break;
		columns -= w;
		at += n;
	}
	return at;
}
