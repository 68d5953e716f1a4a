#include "session/heard.h"

#include <string.h>

#include "session/channels.h"
#include "session/reply.h"
#include "wire/frame.h"

#define PID_SIZE 4 /* bytes of the pid in a NotificationResponse */

bool
heard_is_doubled(const struct session *s, const uint8_t *message, size_t bytes)
{
	const struct listening *li = s->rare->listening;
	const char *name = (const char *)message + FRAME_HEADER + PID_SIZE, *end;

	if (li == NULL || li->listener.listens == 0 || *message != 'A' ||
	    bytes <= FRAME_HEADER + PID_SIZE)
		return false;
	end = memchr(name, 0, bytes - FRAME_HEADER - PID_SIZE);
	return end && listener_has(&li->listener, name, (size_t)(end - name)) == LISTENER_LISTENS;
}

void
heard_flush(struct session *s)
{
	struct listening *li = s->rare->listening;

	if (li->part.len == 0)
		return;
	reply_send_buf(s, &li->part);
	buf_reset(&li->part);
}

static void
send_part(struct session *s, const uint8_t *data, size_t from, size_t to)
{
	if (to > from)
		reply_send(s, data + from, to - from);
}

/* Must the part of a message wait for the rest? */
static bool
must_wait(const uint8_t *data, size_t bytes)
{
	struct frame f;

	return bytes < FRAME_HEADER || (*data == 'A' && frame_read(data, bytes, &f) == 0 &&
					f.body <= HEARD_MAX - FRAME_HEADER);
}

/* Sends the messages that begin at `at`. */
static bool
send_messages(struct session *s, const uint8_t *data, size_t at, size_t bytes, bool keep_ready)
{
	size_t sent = 0, ready = SIZE_MAX;
	struct frame f;

	while (frame_read(data + at, bytes - at, &f) == 0 && FRAME_HEADER + f.body <= bytes - at) {
		size_t end = at + FRAME_HEADER + f.body;

		if (heard_is_doubled(s, data + at, end - at)) {
			send_part(s, data, sent, at);
			sent = end;
		} else if (f.type == 'Z' && keep_ready) {
			/* Behind the last one there are only messages that nobody asked for. */
			if (ready != SIZE_MAX)
				send_part(s, data, ready, ready + FRAME_HEADER + 1);
			send_part(s, data, sent, at);
			ready = at;
			sent = end;
		}
		at = end;
	}
	if (must_wait(data + at, bytes - at)) {
		buf_add(&s->rare->listening->part, data + at, bytes - at);
		bytes = at;
	}
	send_part(s, data, sent, bytes);
	return ready != SIZE_MAX;
}

bool
heard_send(struct session *s, const struct reword_from *from, const uint8_t *data, size_t bytes,
	   bool keep_ready)
{
	struct listening *li = s->rare->listening;
	struct buf whole = li->part;
	size_t at = 0;
	bool kept;

	if (whole.len > 0) {
		buf_init(&li->part, HEARD_MAX);
		whole.max = BUF_MAX;
		buf_add(&whole, data, bytes);
		kept = send_messages(s, buf_data(&whole), 0, whole.len, keep_ready);
		buf_clear(&whole);
		return kept;
	}
	/* The rest of a message of which the client has got a part. If only a part of its header
	 * has come, its length is not known here. */
	if (from->have > 0 && from->have < FRAME_HEADER) {
		send_part(s, data, 0, bytes);
		return false;
	}
	if (from->have == FRAME_HEADER && !from->dropped)
		at = from->left < bytes ? from->left : bytes;
	if (at == bytes && from->left > bytes && !from->dropped) {
		send_part(s, data, 0, bytes);
		return false;
	}
	return send_messages(s, data, at, bytes, keep_ready);
}
