#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "pool/keeper_inside.h"
#include "pool/pool.h"
#include "pool/server.h"
#include "wire/frame.h"
#include "wire/msg.h"

/* A NotificationResponse: pid, channel, payload. Returns the channel, or NULL. */
static const char *
channel_of(const uint8_t *message, size_t bytes, size_t *name_bytes)
{
	const char *name = (const char *)message + FRAME_HEADER + 4;
	const char *end;

	if (bytes < FRAME_HEADER + 6 || (end = memchr(name, 0, bytes - FRAME_HEADER - 4)) == NULL)
		return NULL;
	*name_bytes = (size_t)(end - name);
	return name;
}

void
keeper_dispatch(struct keeper *k, const uint8_t *message, size_t bytes)
{
	size_t name_bytes;
	const char *name = channel_of(message, bytes, &name_bytes);
	struct channel *c = name ? keeper_channel(k, name, name_bytes) : NULL;
	struct list_node *n, *after;

	if (c == NULL)
		return;
	LIST_EACH_SAFE (n, after, &c->listeners) {
		struct subscription *sub = LIST_OBJ(n, struct subscription, in_channel);

		if (sub->has == LISTENER_TRIED || sub->has == LISTENER_LISTENS)
			sub->listener->ops->notified(sub->listener, name, name_bytes, message,
						     bytes);
	}
}

static void
take_notification(struct keeper *k, struct keeper_line *line, const uint8_t *message, size_t bytes)
{
	size_t name_bytes;
	const char *name;

	if (k->mark[0] == 0 || k->state != KEEPER_MOVING) {
		if (line == &k->line[0])
			keeper_dispatch(k, message, bytes);
		return;
	}
	name = channel_of(message, bytes, &name_bytes);
	if (name && strcmp(name, k->mark) == 0) {
		line->marked = true;
	} else if (line == &k->line[0]) {
		if (line->marked)
			buf_add(&k->behind, message, bytes);
		else
			keeper_dispatch(k, message, bytes);
	} else if (line->marked) {
		buf_add(&k->later, message, bytes);
	}
}

static void
note_error(struct request *r, const uint8_t *body, size_t bytes)
{
	const char *text = msg_report_field(body, bytes, 'M');
	const char *sqlstate = msg_report_field(body, bytes, 'C');

	if (r == NULL || r->error)
		return;
	r->error = mem_strdup(text ? text : "");
	snprintf(r->sqlstate, sizeof r->sqlstate, "%s", sqlstate ? sqlstate : "");
}

static void
note_row(struct request *r, const uint8_t *body, size_t bytes)
{
	if (r == NULL || r->what != CONVERT || r->row)
		return;
	r->row = mem_alloc(bytes + 1);
	memcpy(r->row, body, bytes);
	r->row_bytes = bytes;
}

/* What a listener has asked is answered: its channels are its own from here on. */
static void
answer(struct keeper *k, struct request *r)
{
	struct listener *l = r->listener;
	struct err e;

	if (l == NULL)
		return;
	if (r->error) {
		listener_give_up(l);
		err_make(&e, ERR_LISTEN_FAILED, k->pool->conf->name, r->error);
		l->ops->answered(l, &e, true);
		err_clear(&e);
		return;
	}
	r->listener = NULL;
	l->asked = NULL;
	listener_granted(l);
	l->ops->answered(l, NULL, false);
	listener_leave_if_idle(l);
}

static void
convert(struct request *r)
{
	struct listener *l = r->listener;

	if (l == NULL)
		return;
	r->listener = NULL;
	l->converting = NULL;
	l->ops->converted(l, r->error ? NULL : r->row, r->row_bytes, r->sqlstate,
			  r->error ? r->error : "");
	listener_leave_if_idle(l);
}

static void
synced(struct keeper *k)
{
	struct list_node *n;

	while ((n = list_first(&k->sync_now)) != NULL) {
		struct listener *l = LIST_OBJ(n, struct listener, sync);

		listener_sync_no_more(l);
		l->ops->synced(l);
	}
}

/* Somebody has cancelled the statement (57014): it is sent again. Not UNLISTEN, as a LISTEN to the
 * same channel may be behind it; and not the first one, as statement_timeout is off only then. */
static bool
is_sent_again(const struct request *r)
{
	if (r->error == NULL || strcmp(r->sqlstate, "57014") != 0)
		return false;
	if (r->what == ASK || r->what == CONVERT)
		return r->listener != NULL;
	return r->what != UNLISTEN && r->what != SETUP;
}

static void
send_again(struct keeper *k, struct keeper_line *line, struct request *r)
{
	free(r->error);
	r->error = NULL;
	free(r->row);
	r->row = NULL;
	keeper_send(k, line, r);
}

/* Returns false if the keeper has lost its connection by that. */
static bool
request_ended(struct keeper *k, struct keeper_line *line, struct request *r)
{
	if (r->error && r->what != ASK && r->what != UNLISTEN && r->what != CONVERT) {
		if (line == &k->line[1])
			keeper_move_no_more(k, r->error);
		else
			keeper_lose(k, r->error);
		return false;
	}
	switch (r->what) {
	case ASK:
		answer(k, r);
		return line->srv != NULL;
	case SYNC:
		synced(k);
		break;
	case CONVERT:
		convert(r);
		break;
	case SETUP:
		line->ready = true;
		if (line == &k->line[0]) {
			log_info("pool", k->pool->conf->name, "a connection listens",
				 LOG_NUMBER("backend", line->srv->backend_pid));
			k->attempts = 0;
			k->retry_us = 0;
			keeper_set_state(k, KEEPER_READY);
		}
		break;
	case MOVE_ALL:
	case MOVE_MARK:
		keeper_notify_mark(k);
		break;
	default:
		break;
	}
	return true;
}

static void
take_ready(struct keeper *k, struct keeper_line *line)
{
	struct list_node *n = list_first(&line->requests);
	struct request *r;
	bool goes_on;

	if (n == NULL)
		return;
	r = LIST_OBJ(n, struct request, node);
	list_remove(&line->requests, n);
	line->asked_us = keeper_now_us(k);
	if (is_sent_again(r)) {
		send_again(k, line, r);
		return;
	}
	goes_on = request_ended(k, line, r);
	keeper_free_request(r);
	if (!goes_on)
		return;
	keeper_send_waiting(k);
	keeper_send_sync(k);
	keeper_begin_marks(k);
}

static struct request *
first_request(const struct keeper_line *line)
{
	struct list_node *n = list_first(&line->requests);

	return n ? LIST_OBJ(n, struct request, node) : NULL;
}

/* Takes the whole messages. Returns how many bytes, or -1 if the connection is gone. */
static long
take_messages(struct server *srv, const uint8_t *data, size_t bytes)
{
	struct keeper *k = srv->keeper;
	size_t at = 0;
	struct frame f;

	while (frame_read(data + at, bytes - at, &f) == 0 && bytes - at - FRAME_HEADER >= f.body) {
		struct keeper_line *line = &k->line[srv == k->line[1].srv];

		switch (f.type) {
		case 'A':
			take_notification(k, line, data + at, FRAME_HEADER + f.body);
			break;
		case 'D':
			note_row(first_request(line), data + at + FRAME_HEADER, f.body);
			break;
		case 'E':
			note_error(first_request(line), data + at + FRAME_HEADER, f.body);
			break;
		case 'Z':
			take_ready(k, line);
			break;
		default:
			break;
		}
		if (srv->keeper == NULL || srv->state == SERVER_CLOSED)
			return -1;
		at += FRAME_HEADER + f.body;
	}
	return (long)at;
}

void
keeper_readable(struct server *srv)
{
	struct keeper *k = srv->keeper;
	const uint8_t *data;
	struct buf *in;
	size_t bytes;
	bool had;
	long taken;

	if (server_read(srv, &data, &bytes) < 0)
		return;
	in = &k->line[srv == k->line[1].srv].in;
	had = in->len > 0;
	if (had) {
		buf_add(in, data, bytes);
		data = buf_data(in);
		bytes = in->len;
	}
	taken = in->failed ? 0 : take_messages(srv, data, bytes);
	if (taken < 0)
		return;
	if (had)
		buf_drop(in, (size_t)taken);
	else
		buf_add(in, data + taken, bytes - (size_t)taken);
	if (in->failed)
		server_close(srv, "a message is too long");
	else if (k->state == KEEPER_MOVING && k->line[0].marked && k->line[1].marked)
		keeper_finish_moving(k);
}

void
keeper_logged_in(struct server *srv)
{
	static const char setup[] =
	    "SELECT pg_catalog.set_config('client_encoding', "
	    "pg_catalog.current_setting('server_encoding'), false) UNION ALL "
	    "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings "
	    "WHERE name OPERATOR(pg_catalog.=) ANY (ARRAY['statement_timeout', "
	    "'idle_session_timeout', 'transaction_timeout']::pg_catalog.text[])";
	struct keeper *k = srv->keeper;

	keeper_send(k, &k->line[srv == k->line[1].srv], keeper_request(SETUP, NULL, setup));
}
