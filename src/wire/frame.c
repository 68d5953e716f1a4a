#include "wire/frame.h"

#include "base/err.h"

int
frame_read(const uint8_t *data, size_t bytes, struct frame *f)
{
	uint32_t length;

	if (bytes < FRAME_HEADER)
		return -E_AGAIN;
	length = frame_u32(data + 1);
	f->type = (char)data[0];
	f->body = length - 4;
	if (length < 4 || length - 4 > FRAME_LARGEST)
		return -E_RANGE;
	return 0;
}
