#include "session/kept.h"

#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "pool/told.h"
#include "session/channels.h"
#include "session/site.h"
#include "wire/frame.h"
#include "wire/msg.h"
#include "wire/sqlname.h"
#include "wire/sqltext.h"

#define SQL_MAX  (1024 * 1024)
#define PORTION  (64 * 1024) /* bytes that are sent in one write */
#define PID_SIZE 4           /* bytes of the pid in a NotificationResponse */

/* ---- the bytes of all sessions ---- */

void
kept_count(struct session *s)
{
	struct listening *li = s->rare->listening;

	s->site->kept_bytes += (int64_t)li->kept.len - (int64_t)li->counted;
	li->counted = li->kept.len;
}

/* Returns the session that keeps the most. One that has to end keeps nothing. */
static struct session *
find_largest(struct site *site)
{
	struct session *largest = NULL;
	struct list_node *n;

	for (int i = 0; i < SESSION_CLOSED; i++)
		LIST_EACH (n, &site->in_state[i]) {
			struct session *s = LIST_OBJ(n, struct session, node);

			if (s->rare->listening &&
			    (largest == NULL ||
			     s->rare->listening->counted > largest->rare->listening->counted))
				largest = s;
		}
	return largest;
}

void
kept_added(struct session *s)
{
	struct site *site = s->site;

	kept_count(s);
	while (site->kept_bytes > site->conf->listen_memory) {
		struct session *largest = find_largest(site);
		struct listening *li = largest ? largest->rare->listening : NULL;

		if (li == NULL || li->counted == 0)
			return;
		log_warnx("session", largest->id, "keeps the most of too many notifications",
			  LOG_NUMBER("bytes", li->counted), LOG_NUMBER("all", site->kept_bytes));
		li->overflown = li->in_the_way = true;
		keeper_convert_no_more(&li->listener);
		buf_clear(&li->kept);
		buf_init(&li->kept, KEPT_MAX);
		kept_count(largest);
		session_wake(largest);
	}
}

/* ---- one session's ---- */

const char *
kept_other_encoding(const struct session *s)
{
	const char *server = told_get(s->context.told, "server_encoding");
	const char *client = told_get(s->context.told, "client_encoding");

	if (server == NULL || client == NULL || strcasecmp(server, client) == 0 ||
	    strcasecmp(server, "SQL_ASCII") == 0 || strcasecmp(client, "SQL_ASCII") == 0)
		return NULL;
	return client;
}

size_t
kept_portion(const struct buf *kept, bool ascii)
{
	size_t at = 0;
	struct frame f;

	while (frame_read(buf_data(kept) + at, kept->len - at, &f) == 0 &&
	       (at == 0 || at + FRAME_HEADER + f.body <= PORTION)) {
		if (ascii &&
		    !sqlname_is_ascii((const char *)buf_data(kept) + at + FRAME_HEADER + PID_SIZE,
				      f.body - PID_SIZE))
			break;
		at += FRAME_HEADER + f.body;
	}
	return at;
}

/* Adds a text as an expression: its bytes in another encoding, as hexadecimal digits. */
static void
add_conversion(struct buf *sql, const char *text, const char *from, const char *to)
{
	buf_add_fmt(sql, "pg_catalog.encode(pg_catalog.convert(pg_catalog.decode('");
	for (; *text; text++)
		buf_add_fmt(sql, "%02x", (unsigned)(uint8_t)*text);
	buf_add_fmt(sql, "', 'hex'), '%s', '%s'), 'hex')", from, to);
}

void
kept_convert(struct session *s, const char *to)
{
	struct listening *li = s->rare->listening;
	const char *from = told_get(s->context.told, "server_encoding");
	const char *channel = (const char *)buf_data(&li->kept) + FRAME_HEADER + PID_SIZE;
	struct buf sql;

	if (li->listener.keeper == NULL) {
		/* It listens to nothing any more, and nobody could convert it. */
		kept_drop_others(li);
		return;
	}
	if (li->listener.converting)
		return;
	buf_init(&sql, SQL_MAX);
	buf_add_fmt(&sql, "SELECT ");
	add_conversion(&sql, channel, from, to);
	buf_add_fmt(&sql, ", ");
	add_conversion(&sql, channel + strlen(channel) + 1, from, to);
	buf_add_u8(&sql, 0);
	keeper_convert(&li->listener, (char *)buf_data(&sql));
	buf_clear(&sql);
}

/* Adds a column of hexadecimal digits as bytes with a NUL. Returns where the next one begins. */
static const uint8_t *
add_column(struct buf *out, const uint8_t *at)
{
	uint32_t bytes = frame_u32(at);

	at += 4;
	for (uint32_t i = 0; i + 1 < bytes; i += 2)
		buf_add_u8(out, (uint8_t)(sqltext_digit((char)at[i]) << 4 |
					  sqltext_digit((char)at[i + 1])));
	buf_add_u8(out, 0);
	return at + bytes;
}

void
kept_converted(struct listener *l, const uint8_t *row, size_t bytes, const char *sqlstate,
	       const char *error)
{
	struct session *s = l->owner;
	struct listening *li = s->rare->listening;
	size_t at;
	struct frame f;

	if (frame_read(buf_data(&li->kept), li->kept.len, &f) < 0)
		return;
	if (row && bytes > 10) {
		at = msg_begin(&li->converted, 'A');
		buf_add(&li->converted, buf_data(&li->kept) + FRAME_HEADER, PID_SIZE);
		add_column(&li->converted, add_column(&li->converted, row + 2));
		msg_end(&li->converted, at);
	} else {
		msg_report(&li->converted, 'N', "WARNING", sqlstate, error,
			   "A notification was not given to the client: its encoding lacks a "
			   "character.",
			   NULL);
	}
	buf_drop(&li->kept, FRAME_HEADER + f.body);
	session_wake(s);
}

void
kept_drop_others(struct listening *li)
{
	struct buf kept = li->kept;
	const uint8_t *at = buf_data(&kept);
	size_t left = kept.len;
	struct frame f;

	if (left == 0)
		return;
	keeper_convert_no_more(&li->listener);
	buf_init(&li->kept, KEPT_MAX);
	while (frame_read(at, left, &f) == 0 && FRAME_HEADER + f.body <= left) {
		const char *name = (const char *)at + FRAME_HEADER + PID_SIZE;

		if (listener_has(&li->listener, name, strlen(name)) != LISTENER_NO)
			buf_add(&li->kept, at, FRAME_HEADER + f.body);
		at += FRAME_HEADER + f.body;
		left -= FRAME_HEADER + f.body;
	}
	buf_clear(&kept);
}
