#include <stdio.h>
#include <sys/random.h>

#include "base/log.h"
#include "base/units.h"
#include "pool/keeper_inside.h"
#include "pool/pool.h"
#include "pool/server.h"
#include "wire/frame.h"

#define TOO_MUCH "too much was told while another connection took over"

/* Between two attempts to move: at first, and at most. */
#define REPEAT_FIRST_US UNIT_S
#define REPEAT_US       (30 * UNIT_S)

/* Bytes of one text with LISTENs, about, and of all of them. */
#define TEXT_BYTES  (64 * 1024)
#define TEXTS_BYTES (SERVER_KEEPER_QUEUE_MAX / 2)

/* Adds what is in `sql` to the texts, and empties it. */
static void
add_text(struct list *texts, struct buf *sql)
{
	buf_add_u8(sql, 0);
	list_append(texts, &keeper_request(MOVE_ALL, NULL, (char *)buf_data(sql))->node);
	buf_drop(sql, sql->len);
}

/* Gives those who listen what is in the buffer. */
static void
dispatch_all(struct keeper *k, struct buf *messages)
{
	struct frame f;

	while (frame_read(buf_data(messages), messages->len, &f) == 0) {
		keeper_dispatch(k, buf_data(messages), FRAME_HEADER + f.body);
		buf_drop(messages, FRAME_HEADER + f.body);
	}
	buf_clear(messages);
}

/* The connection in use stays the one from which all comes, also what has come behind the mark.
 * Returns false if that was too much to be kept. */
static bool
forget_mark(struct keeper *k)
{
	char sql[128];

	buf_clear(&k->later);
	if (k->mark[0]) {
		snprintf(sql, sizeof sql, "UNLISTEN \"%s\"", k->mark);
		list_append(&k->waiting, &keeper_request(UNLISTEN, NULL, sql)->node);
		k->mark[0] = 0;
	}
	k->line[0].marked = false;
	if (k->behind.failed)
		return false;
	dispatch_all(k, &k->behind);
	return true;
}

void
keeper_move_no_more(struct keeper *k, const char *why)
{
	log_warnx("pool", k->pool->conf->name, "the connection that listens stays",
		  LOG_QUOTED("why", why));
	keeper_close_line(k, 1, why);
	if (!forget_mark(k)) {
		keeper_lose(k, TOO_MUCH);
		return;
	}
	k->repeat_us = keeper_now_us(k) + keeper_pause_us(k, REPEAT_FIRST_US, REPEAT_US);
	keeper_set_state(k, KEEPER_READY);
	keeper_send_waiting(k);
	keeper_send_sync(k);
}

void
keeper_move(struct pool *pool)
{
	struct keeper *k = pool->keeper;

	if (k == NULL)
		return;
	if (k->state == KEEPER_CLOSED) {
		k->retry_us = 0;
		keeper_open(k);
		return;
	}
	if (k->state == KEEPER_READY && k->listeners.count == 0) {
		keeper_lose(k, "nobody listens");
		return;
	}
	if (k->state == KEEPER_OPENING) {
		/* Nobody listens yet: it begins again, at the place of now. */
		keeper_close_line(k, 0, "the pool was moved");
		keeper_open_line(k, 0);
		return;
	}
	if (k->state == KEEPER_READY) {
		keeper_set_state(k, KEEPER_MOVING);
	} else {
		keeper_close_line(k, 1, "the pool was moved");
		if (!forget_mark(k)) {
			keeper_lose(k, TOO_MUCH);
			return;
		}
	}
	k->told = false;
	keeper_open_line(k, 1);
	keeper_send_waiting(k);
	keeper_send_sync(k);
}

/* Makes texts that LISTEN to all channels. Returns false if that is too much. */
static bool
make_texts(const struct keeper *k, struct list *texts)
{
	size_t total = 0;
	struct buf sql;

	buf_init(&sql, 2 * TEXT_BYTES);
	for (size_t i = 0; i < hash_chains(&k->channels); i++)
		for (struct hash_node *n = hash_chain(&k->channels, i); n; n = n->next) {
			buf_add_fmt(&sql, "%sLISTEN ", sql.len > 0 ? ";" : "");
			keeper_add_quoted(&sql, HASH_OBJ(n, struct channel, node)->name);
			if (sql.len < TEXT_BYTES)
				continue;
			total += sql.len;
			add_text(texts, &sql);
		}
	total += sql.len;
	if (sql.len > 0)
		add_text(texts, &sql);
	buf_clear(&sql);
	return total <= TEXTS_BYTES;
}

void
keeper_begin_marks(struct keeper *k)
{
	uint64_t random[2];
	struct list texts;
	struct list_node *n;
	char sql[128];

	if (k->state != KEEPER_MOVING || !k->line[1].ready || k->line[1].requests.count > 0 ||
	    k->line[0].requests.count > 0 || k->mark[0] != 0)
		return;
	if (getrandom(random, sizeof random, 0) != sizeof random)
		log_fatal("pool", k->pool->conf->name, "no random numbers");
	list_init(&texts);
	if (!make_texts(k, &texts)) {
		keeper_drop_requests(&texts);
		keeper_move_no_more(k, "there are too many channels");
		return;
	}
	snprintf(k->mark, sizeof k->mark, "pgwith %016llx%016llx", (unsigned long long)random[0],
		 (unsigned long long)random[1]);
	k->told = false;
	snprintf(sql, sizeof sql, "LISTEN \"%s\"", k->mark);
	keeper_send(k, &k->line[0], keeper_request(MOVE_MARK, NULL, sql));
	keeper_send(k, &k->line[1], keeper_request(MOVE_MARK, NULL, sql));
	while ((n = list_first(&texts)) != NULL) {
		list_remove(&texts, n);
		keeper_send(k, &k->line[1], LIST_OBJ(n, struct request, node));
	}
}

void
keeper_notify_mark(struct keeper *k)
{
	char sql[128];

	if (k->mark[0] == 0 || k->line[0].requests.count > 0 || k->line[1].requests.count > 0)
		return;
	k->told = true;
	k->since_us = keeper_now_us(k);
	snprintf(sql, sizeof sql, "NOTIFY \"%s\"", k->mark);
	keeper_send(k, &k->line[1], keeper_request(MOVE_NOTIFY, NULL, sql));
}

void
keeper_finish_moving(struct keeper *k)
{
	struct keeper_line *now = &k->line[0], *next = &k->line[1];
	struct list_node *n;
	struct buf later;
	char sql[128];

	if (k->later.failed) {
		keeper_lose(k, TOO_MUCH);
		return;
	}
	buf_clear(&k->behind); /* it comes from the next one, too */
	k->attempts = 0;
	keeper_close_line(k, 0, "another connection listens now");
	now->srv = next->srv;
	now->ready = true;
	now->in = next->in;
	now->asked_us = next->asked_us;
	while ((n = list_first(&next->requests)) != NULL) {
		list_remove(&next->requests, n);
		list_append(&now->requests, n);
	}
	buf_init(&next->in, KEEPER_IN_MAX);
	keeper_clear_line(next);
	later = k->later;
	buf_init(&k->later, KEEPER_LATER_MAX);
	keeper_set_state(k, KEEPER_READY);
	snprintf(sql, sizeof sql, "UNLISTEN \"%s\"", k->mark);
	k->mark[0] = 0;
	list_prepend(&k->waiting, &keeper_request(UNLISTEN, NULL, sql)->node);
	log_info("pool", k->pool->conf->name, "another connection listens",
		 LOG_NUMBER("backend", k->line[0].srv->backend_pid),
		 LOG_NUMBER("sessions", k->listeners.count));
	dispatch_all(k, &later);
	keeper_send_waiting(k);
	keeper_send_sync(k);
}
