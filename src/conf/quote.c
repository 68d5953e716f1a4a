#include "conf/quote.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

char *
quote_text(const char *text)
{
	char out[60 * 4 + 8], *p = out;
	unsigned n = 0;

	*p++ = '"';
	for (; n < 60 && text[n]; n++) {
		unsigned char c = text[n];

		if (c < 0x20 || c >= 0x7f)
			p += sprintf(p, "\\x%02x", c);
		else
			*p++ = c;
	}
	strcpy(p, text[n] ? "...\"" : "\"");
	return mem_strdup(out);
}

bool
quote_has_control(const char *text)
{
	for (; *text; text++)
		if (((unsigned char)*text < 0x20 && *text != '\t') || *text == 0x7f)
			return true;
	return false;
}
