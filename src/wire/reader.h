/* reader: reads the fields of one message's body, one after the other. A read past the end returns
 * 0 or an empty string and sets `failed`, so that a parser reads all fields and tests once. */
#ifndef PGWITH_WIRE_READER_H
#define PGWITH_WIRE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct reader {
	const uint8_t *at;
	size_t left;
	bool failed;
};

void reader_init(struct reader *, const void *data, size_t bytes);
uint8_t reader_u8(struct reader *);
uint16_t reader_u16(struct reader *);
uint32_t reader_u32(struct reader *);
uint64_t reader_u64(struct reader *);
/* A NUL-ended string inside the body; never NULL. */
const char *reader_str(struct reader *);
/* The next `bytes` bytes, inside the body; NULL if there are fewer. */
const uint8_t *reader_bytes(struct reader *, size_t bytes);
/* True if no read failed and no byte is left. */
bool reader_done(const struct reader *);

#endif
