#include "wire/formed.h"

#include <stdint.h>
#include <string.h>

#include "wire/reader.h"

static void
skip_formats(struct reader *r)
{
	reader_bytes(r, 2 * (size_t)reader_u16(r));
}

static void
skip_values(struct reader *r)
{
	for (unsigned n = reader_u16(r); n > 0 && !r->failed; n--) {
		uint32_t bytes = reader_u32(r);

		if (bytes != UINT32_MAX)
			reader_bytes(r, bytes);
	}
}

/* The fields of Describe and Close: S (statement) or P (portal), and a name. Returns false if the
 * first is neither. */
static bool
read_kind_and_name(struct reader *r)
{
	uint8_t kind = reader_u8(r);

	reader_str(r);
	return kind == 'S' || kind == 'P';
}

bool
formed_well(char type, const void *body, size_t bytes)
{
	struct reader r;

	reader_init(&r, body, bytes);
	switch (type) {
	case 'Q':
		reader_str(&r);
		break;
	case 'P':
		reader_str(&r);
		reader_str(&r);
		reader_bytes(&r, 4 * (size_t)reader_u16(&r));
		break;
	case 'B':
		reader_str(&r);
		reader_str(&r);
		skip_formats(&r);
		skip_values(&r);
		skip_formats(&r);
		break;
	case 'D':
	case 'C':
		if (!read_kind_and_name(&r))
			return false;
		break;
	case 'E':
		reader_str(&r);
		reader_u32(&r);
		break;
	case 'S':
	case 'H':
		break;
	default:
		return true;
	}
	return reader_done(&r);
}
