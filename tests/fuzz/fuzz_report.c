/* What comes from a server: a stream of messages, the fields of reports in it, and the reader that
 * takes bodies apart. The copies are exact, so that ASan sees any read past a body's end. */
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "fuzz.h"
#include "wire/frame.h"
#include "wire/msg.h"
#include "wire/reader.h"

/* A field that is found is a string inside the body, right after its letter. */
static void
report(const uint8_t *body, size_t bytes)
{
	for (int field = 1; field < 256; field++) {
		const char *value = msg_report_field(body, bytes, (char)field);
		const uint8_t *at = (const uint8_t *)value;

		if (value == NULL)
			continue;
		MUST(at > body && at < body + bytes);
		MUST(at[-1] == field);
		MUST(memchr(at, 0, (size_t)(body + bytes - at)) != NULL);
	}
}

/* The body itself says in which order its fields are taken. */
static void
take(const uint8_t *body, size_t bytes)
{
	struct reader r;

	reader_init(&r, body, bytes);
	while (!r.failed && r.left) {
		const uint8_t *before = r.at;
		size_t left = r.left;
		uint8_t order = reader_u8(&r);

		switch (order % 6) {
		case 0:
			reader_u16(&r);
			break;
		case 1:
			reader_u32(&r);
			break;
		case 2:
			reader_u64(&r);
			break;
		case 3:
			MUST(reader_str(&r) != NULL);
			break;
		case 4:
			MUST((reader_bytes(&r, order) == NULL) == r.failed);
			break;
		case 5:
			MUST((reader_bytes(&r, SIZE_MAX - order) == NULL) && r.failed);
			break;
		}
		MUST(r.left < left && r.at > before && r.at + r.left == body + bytes);
	}
	MUST(reader_done(&r) == !r.failed);
	if (r.failed) {
		MUST(reader_u64(&r) == 0 && reader_bytes(&r, 0) == NULL);
		MUST(*reader_str(&r) == 0);
	}
}

/* What msg_report() builds is read back; `text` has no NUL but its last byte. */
static void
there_and_back(const char *text)
{
	struct buf b;
	struct frame f;
	const uint8_t *body;
	const char *hint = *text ? NULL : text;

	buf_init(&b, 1 << 20);
	msg_report(&b, 'E', "ERROR", "57014", text, text, hint);
	if (!b.failed) {
		MUST(frame_read(buf_data(&b), b.len, &f) == 0 && f.type == 'E');
		MUST(f.body == b.len - FRAME_HEADER);
		body = buf_data(&b) + FRAME_HEADER;
		MUST(strcmp(msg_report_field(body, f.body, 'M'), text) == 0);
		MUST(strcmp(msg_report_field(body, f.body, 'D'), text) == 0);
		MUST(strcmp(msg_report_field(body, f.body, 'C'), "57014") == 0);
		MUST((msg_report_field(body, f.body, 'H') == NULL) == (hint == NULL));
	}
	buf_clear(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *at = data;
	size_t left = size;
	struct frame f;
	char *text;

	report(data, size);
	take(data, size);
	while (frame_read(at, left, &f) == 0) {
		MUST(f.body <= FRAME_LARGEST);
		if (f.body > left - FRAME_HEADER)
			break;
		uint8_t *body = malloc(f.body ? f.body : 1);

		MUST(body != NULL);
		memcpy(body, at + FRAME_HEADER, f.body);
		report(body, f.body);
		take(body, f.body);
		free(body);
		at += FRAME_HEADER + f.body;
		left -= FRAME_HEADER + f.body;
	}
	text = calloc(1, size + 1);
	MUST(text != NULL);
	if (size)
		memcpy(text, data, size);
	there_and_back(text);
	free(text);
	return 0;
}
