#include <stdio.h>
#include <sys/random.h>

#include "base/log.h"
#include "base/units.h"
#include "pool/keeper_inside.h"
#include "pool/pool.h"
#include "pool/server.h"
#include "wire/frame.h"

#define REPEAT_US (30 * UNIT_S) /* between two attempts to move */

void
keeper_move_no_more(struct keeper *k, const char *why)
{
	char sql[128];

	log_warnx("pool", k->pool->conf->name, "the connection that listens stays",
		  LOG_QUOTED("why", why));
	keeper_close_line(k, 1, why);
	buf_clear(&k->later);
	if (k->mark[0]) {
		snprintf(sql, sizeof sql, "UNLISTEN \"%s\"", k->mark);
		list_append(&k->waiting, &keeper_request(UNLISTEN, NULL, sql)->node);
		k->mark[0] = 0;
	}
	k->line[0].marked = false;
	k->repeat_us = keeper_now_us(k) + REPEAT_US;
	keeper_set_state(k, KEEPER_READY);
	keeper_send_waiting(k);
	keeper_send_sync(k);
}

void
keeper_move(struct pool *pool)
{
	struct keeper *k = pool->keeper;

	if (k == NULL || k->state == KEEPER_CLOSED)
		return;
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
	if (k->state == KEEPER_MOVING)
		keeper_close_line(k, 1, "the pool was moved");
	else
		keeper_set_state(k, KEEPER_MOVING);
	buf_clear(&k->later);
	k->mark[0] = 0;
	k->line[0].marked = false;
	keeper_open_line(k, 1);
}

void
keeper_begin_marks(struct keeper *k)
{
	uint64_t random[2];
	struct buf sql;

	if (k->state != KEEPER_MOVING || !k->line[1].ready || k->line[1].requests.count > 0 ||
	    k->line[0].requests.count > 0 || k->mark[0] != 0)
		return;
	if (getrandom(random, sizeof random, 0) != sizeof random)
		log_fatal("pool", k->pool->conf->name, "no random numbers");
	snprintf(k->mark, sizeof k->mark, "pgwith %016llx%016llx", (unsigned long long)random[0],
		 (unsigned long long)random[1]);
	k->since_us = keeper_now_us(k);
	buf_init(&sql, SERVER_KEEPER_QUEUE_MAX / 2);
	buf_add_fmt(&sql, "LISTEN \"%s\"", k->mark);
	buf_add_u8(&sql, 0);
	keeper_send(k, &k->line[0], keeper_request(MOVE_MARK, NULL, (char *)buf_data(&sql)));
	buf_drop(&sql, sql.len);
	buf_add_fmt(&sql, "LISTEN \"%s\"", k->mark);
	for (size_t i = 0; i < hash_chains(&k->channels); i++)
		for (struct hash_node *n = hash_chain(&k->channels, i); n; n = n->next) {
			buf_add_fmt(&sql, ";LISTEN ");
			keeper_add_quoted(&sql, HASH_OBJ(n, struct channel, node)->name);
		}
	buf_add_u8(&sql, 0);
	keeper_send(k, &k->line[1], keeper_request(MOVE_ALL, NULL, (char *)buf_data(&sql)));
	buf_clear(&sql);
}

void
keeper_notify_mark(struct keeper *k)
{
	char sql[128];

	if (k->mark[0] == 0 || k->line[0].requests.count > 0 || k->line[1].requests.count > 0)
		return;
	snprintf(sql, sizeof sql, "NOTIFY \"%s\"", k->mark);
	keeper_send(k, &k->line[1], keeper_request(MOVE_NOTIFY, NULL, sql));
}

void
keeper_finish_moving(struct keeper *k)
{
	struct keeper_line *now = &k->line[0], *next = &k->line[1];
	struct list_node *n;
	struct frame f;
	struct buf later;
	char sql[128];

	if (k->later.failed) {
		keeper_lose(k, "too much was told while another connection took over");
		return;
	}
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
	while (frame_read(buf_data(&later), later.len, &f) == 0) {
		keeper_dispatch(k, buf_data(&later), FRAME_HEADER + f.body);
		buf_drop(&later, FRAME_HEADER + f.body);
	}
	buf_clear(&later);
	keeper_send_waiting(k);
	keeper_send_sync(k);
}
