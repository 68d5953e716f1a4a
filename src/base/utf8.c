#include "base/utf8.h"

unsigned
utf8_read(const char *text, size_t bytes, uint32_t *character)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	const uint8_t *p = (const uint8_t *)text;
	unsigned length;
	uint32_t c;

	if (p[0] < 0x80) {
		*character = p[0];
		return 1;
	}
	length = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (p[0] < 0xc2 || p[0] > 0xf4 || length > bytes)
		return 0;
	c = p[0] & (0x7fu >> length);
	for (unsigned i = 1; i < length; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < smallest[length] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*character = c;
	return length;
}

size_t
utf8_fit(const char *text, size_t bytes, size_t max)
{
	size_t fit = max;

	if (bytes <= max)
		return bytes;
	/* Move the cut back while the byte behind it belongs to a character that begins before
	 * it. */
	while (fit > 0 && max - fit < 3 && ((uint8_t)text[fit] & 0xc0) == 0x80)
		fit--;
	return fit;
}

bool
utf8_is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x061c ||
	       (c >= 0x200e && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069);
}
