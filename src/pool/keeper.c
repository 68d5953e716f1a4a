#include "pool/keeper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/fnv.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "pool/pool.h"
#include "pool/server.h"
#include "wire/frame.h"
#include "wire/msg.h"

#define SENT_MAX 64 /* requests under way */
/* A NotificationResponse has less than 8200 bytes. */
#define IN_MAX    (LOOP_SCRATCH + 64 * 1024)
#define LATER_MAX (64 * 1024 * 1024) /* notifications that wait for the mark */
#define UNUSED_US (60 * UNIT_S)
#define MOVE_US   (10 * UNIT_S)
#define REPEAT_US (30 * UNIT_S) /* between two attempts to move */
#define LINE_LOST "the connection that listens was lost"

struct channel {
	struct hash_node node; /* in keeper->channels */
	struct list listeners; /* struct subscription */
	uint8_t bytes;
	char name[KEEPER_NAME + 1];
};

/* A listener's channel. */
struct subscription {
	struct list_node in_channel, in_listener;
	struct channel *channel;
	struct listener *listener;
	enum listener_has has;
	bool try; /* ASKED: it becomes TRIED */
};

/* What is sent to the server in one Query. */
struct request {
	struct list_node node;
	char *sql;
	struct listener *listener; /* NULL: nobody, or it is gone */
	enum { ASK, SYNC, CONVERT, SETUP, UNLISTEN, ALIVE, MOVE_ALL, MOVE_MARK, MOVE_NOTIFY } what;
	uint8_t *row; /* CONVERT: the body of the DataRow */
	size_t row_bytes;
	char *error; /* the server's words, if it has failed */
	char sqlstate[6];
};

#define TO(state) (1u << (state))

static const struct {
	const char *name;
	unsigned next;
} states[KEEPER_NSTATES] = {
    [KEEPER_CLOSED] = {"closed", TO(KEEPER_OPENING) | TO(KEEPER_READY)},
    [KEEPER_OPENING] = {"opening", TO(KEEPER_READY) | TO(KEEPER_CLOSED)},
    [KEEPER_READY] = {"ready", TO(KEEPER_MOVING) | TO(KEEPER_CLOSED)},
    [KEEPER_MOVING] = {"moving", TO(KEEPER_READY) | TO(KEEPER_CLOSED)},
};

static int64_t
now_us(const struct keeper *k)
{
	return loop_now_us(k->pool->all->loop);
}

const char *
keeper_state_name(const struct pool *pool)
{
	return states[pool->keeper ? pool->keeper->state : KEEPER_CLOSED].name;
}

static void
set_state(struct keeper *k, enum keeper_state to)
{
	if (!(states[k->state].next & TO(to)))
		log_fatal("pool", k->pool->conf->name, "illegal move of a keeper",
			  LOG_MOVE(states[k->state].name, states[to].name));
	log_debug("pool", k->pool->conf->name, "keeper",
		  LOG_MOVE(states[k->state].name, states[to].name));
	k->state = to;
	k->since_us = now_us(k);
}

/* ---- channels ---- */

static uint64_t
hash_of(const char *name, size_t bytes)
{
	return fnv_bytes(FNV_SEED, name, bytes);
}

static struct channel *
find_channel(const struct keeper *k, const char *name, size_t bytes)
{
	for (struct hash_node *n = hash_first(&k->channels, hash_of(name, bytes)); n;
	     n = hash_next(n)) {
		struct channel *c = HASH_OBJ(n, struct channel, node);

		if (c->bytes == bytes && memcmp(c->name, name, bytes) == 0)
			return c;
	}
	return NULL;
}

static struct channel *
need_channel(struct keeper *k, const char *name, size_t bytes)
{
	struct channel *c = find_channel(k, name, bytes);

	if (c)
		return c;
	c = mem_calloc(1, sizeof *c);
	list_init(&c->listeners);
	c->bytes = (uint8_t)bytes;
	memcpy(c->name, name, bytes);
	hash_add(&k->channels, &c->node, hash_of(name, bytes));
	return c;
}

void
keeper_add_quoted(struct buf *sql, const char *name)
{
	buf_add_u8(sql, '"');
	for (; *name; name++) {
		if (*name == '"')
			buf_add_u8(sql, '"');
		buf_add_u8(sql, (uint8_t)*name);
	}
	buf_add_u8(sql, '"');
}

static struct subscription *
find_subscription(const struct listener *l, const char *name, size_t bytes)
{
	struct list_node *n;

	LIST_EACH (n, &l->channels) {
		struct subscription *sub = LIST_OBJ(n, struct subscription, in_listener);

		if (sub->channel->bytes == bytes && memcmp(sub->channel->name, name, bytes) == 0)
			return sub;
	}
	return NULL;
}

/* ---- requests ---- */

static struct request *
new_request(int what, struct listener *l, const char *sql)
{
	struct request *r = mem_calloc(1, sizeof *r);

	r->what = what;
	r->listener = l;
	r->sql = mem_strdup(sql);
	return r;
}

static void
free_request(struct request *r)
{
	if (r->listener && r->listener->asked == r)
		r->listener->asked = NULL;
	if (r->listener && r->listener->converting == r)
		r->listener->converting = NULL;
	free(r->sql);
	free(r->row);
	free(r->error);
	free(r);
}

static void
send_request(struct keeper *k, struct keeper_line *line, struct request *r)
{
	struct buf out;

	if (line->requests.count == 0)
		line->asked_us = now_us(k);
	list_append(&line->requests, &r->node);
	buf_init(&out, SERVER_KEEPER_QUEUE_MAX);
	msg_query(&out, r->sql);
	progress_forget_error(&line->srv->progress);
	progress_sent(&line->srv->progress, 'Q');
	server_write(line->srv, buf_data(&out), out.len);
	buf_clear(&out);
}

/* May requests be sent? Not while the lines are marked: what waits goes to the next one, when that
 * is in use. */
static bool
may_send(const struct keeper *k)
{
	return k->state == KEEPER_READY || (k->state == KEEPER_MOVING && !k->line[1].ready);
}

static void
send_waiting(struct keeper *k)
{
	struct list_node *n;

	while (may_send(k) && k->line[0].requests.count < SENT_MAX && !k->pool->all->handing &&
	       (n = list_first(&k->waiting)) != NULL) {
		list_remove(&k->waiting, n);
		send_request(k, &k->line[0], LIST_OBJ(n, struct request, node));
	}
}

/* Nobody listens to the channel any more. */
static void
drop_channel(struct keeper *k, struct channel *c)
{
	struct buf sql;

	hash_remove(&k->channels, &c->node);
	if (k->state == KEEPER_READY || k->state == KEEPER_MOVING) {
		buf_init(&sql, 1024);
		buf_add_fmt(&sql, "UNLISTEN ");
		keeper_add_quoted(&sql, c->name);
		buf_add_u8(&sql, 0);
		list_append(&k->waiting,
			    &new_request(UNLISTEN, NULL, (char *)buf_data(&sql))->node);
		buf_clear(&sql);
		send_waiting(k);
	}
	free(c);
}

static void
drop_subscription(struct subscription *sub)
{
	struct listener *l = sub->listener;
	struct keeper *k = l->keeper;

	list_remove(&l->channels, &sub->in_listener);
	list_remove(&sub->channel->listeners, &sub->in_channel);
	l->listens -= sub->has == LISTENER_LISTENS;
	if (sub->channel->listeners.count == 0)
		drop_channel(k, sub->channel);
	free(sub);
}

/* ---- listeners ---- */

void
listener_init(struct listener *l, const struct listener_ops *ops, void *owner)
{
	*l = (struct listener){.ops = ops, .owner = owner};
	list_init(&l->channels);
}

static void
leave_if_idle(struct listener *l)
{
	if (l->keeper == NULL || l->channels.count > 0 || l->asked || l->converting || l->syncing)
		return;
	l->keeper->used_us = now_us(l->keeper);
	list_remove(&l->keeper->listeners, &l->node);
	l->keeper = NULL;
}

void
listener_give_up(struct listener *l)
{
	struct list_node *n, *after;

	if (l->asked == NULL)
		return;
	l->asked->listener = NULL;
	l->asked = NULL;
	LIST_EACH_SAFE (n, after, &l->channels) {
		struct subscription *sub = LIST_OBJ(n, struct subscription, in_listener);

		if (sub->has == LISTENER_ASKED)
			drop_subscription(sub);
	}
	leave_if_idle(l);
}

void
listener_drop_all(struct listener *l, bool only_tried)
{
	struct list_node *n, *after;

	LIST_EACH_SAFE (n, after, &l->channels) {
		struct subscription *sub = LIST_OBJ(n, struct subscription, in_listener);

		if (sub->has == LISTENER_TRIED || !only_tried)
			drop_subscription(sub);
	}
	leave_if_idle(l);
}

void
keeper_convert_no_more(struct listener *l)
{
	if (l->converting == NULL)
		return;
	l->converting->listener = NULL;
	l->converting = NULL;
	leave_if_idle(l);
}

static void
sync_no_more(struct listener *l)
{
	if (l->syncing == NULL)
		return;
	list_remove(l->syncing, &l->sync);
	l->syncing = NULL;
	leave_if_idle(l);
}

void
listener_clear(struct listener *l)
{
	sync_no_more(l);
	keeper_convert_no_more(l);
	listener_give_up(l);
	listener_drop_all(l, false);
}

enum listener_has
listener_has(const struct listener *l, const char *name, size_t bytes)
{
	const struct subscription *sub = find_subscription(l, name, bytes);

	return sub ? sub->has : LISTENER_NO;
}

void
listener_keep(struct listener *l, const char *name, size_t bytes)
{
	struct subscription *sub = find_subscription(l, name, bytes);

	if (sub == NULL || sub->has != LISTENER_TRIED)
		return;
	sub->has = LISTENER_LISTENS;
	l->listens++;
}

void
listener_drop(struct listener *l, const char *name, size_t bytes)
{
	struct subscription *sub = find_subscription(l, name, bytes);

	if (sub)
		drop_subscription(sub);
	leave_if_idle(l);
}

const char *
listener_next(const struct listener *l, struct list_node **at)
{
	*at = *at ? (*at)->next : l->channels.head.next;
	return *at == &l->channels.head
		   ? NULL
		   : LIST_OBJ(*at, struct subscription, in_listener)->channel->name;
}

/* ---- asking ---- */

static void logged_in(struct server *);
static void readable(struct server *);
static void line_lost(struct server *, const char *why);
static void line_failed(struct server *, const struct err *);
static void end_keeper(struct pool *);

static const struct server_keeps keeps = {logged_in, readable, line_lost, line_failed};

static struct keeper *
need_keeper(struct pool *pool)
{
	struct keeper *k = pool->keeper;

	if (k)
		return k;
	k = pool->keeper = mem_calloc(1, sizeof *k);
	pool->end_keeper = end_keeper;
	k->pool = pool;
	hash_init(&k->channels);
	list_init(&k->listeners);
	list_init(&k->waiting);
	list_init(&k->sync_next);
	list_init(&k->sync_now);
	buf_init(&k->later, LATER_MAX);
	for (int i = 0; i < 2; i++) {
		list_init(&k->line[i].requests);
		buf_init(&k->line[i].in, IN_MAX);
	}
	return k;
}

static void
join(struct keeper *k, struct listener *l)
{
	if (l->keeper)
		return;
	l->keeper = k;
	list_append(&k->listeners, &l->node);
}

static struct subscription *
subscribe(struct keeper *k, struct listener *l, const char *name, size_t bytes,
	  enum listener_has has)
{
	struct subscription *sub = mem_calloc(1, sizeof *sub);

	sub->channel = need_channel(k, name, bytes);
	sub->listener = l;
	sub->has = has;
	l->listens += has == LISTENER_LISTENS;
	list_append(&sub->channel->listeners, &sub->in_channel);
	list_append(&l->channels, &sub->in_listener);
	return sub;
}

static void
open_line(struct keeper *k, int which)
{
	k->line[which].srv = server_open_keeper(k->pool, k, &keeps);
	k->line[which].ready = k->line[which].marked = false;
}

void
keeper_ask(struct pool *pool, struct listener *l, const char *sql, const char *names,
	   size_t names_bytes, bool try)
{
	struct keeper *k = need_keeper(pool);

	join(k, l);
	for (const char *at = names; at < names + names_bytes; at += strlen(at) + 1) {
		struct subscription *sub = find_subscription(l, at, strlen(at));

		if (sub && sub->has == LISTENER_TRIED && !try) {
			sub->has = LISTENER_LISTENS;
			l->listens++;
		} else if (sub == NULL) {
			subscribe(k, l, at, strlen(at), LISTENER_ASKED)->try = try;
		}
	}
	l->asked = new_request(ASK, l, sql);
	list_append(&k->waiting, &l->asked->node);
	if (k->state == KEEPER_CLOSED) {
		set_state(k, KEEPER_OPENING);
		open_line(k, 0);
	}
	send_waiting(k);
}

/* Those who wait for the next sync wait for one statement. */
static void
send_sync(struct keeper *k)
{
	struct list_node *n;

	if (k->sync_now.count > 0 || k->sync_next.count == 0 || !may_send(k))
		return;
	while ((n = list_first(&k->sync_next)) != NULL) {
		list_remove(&k->sync_next, n);
		list_append(&k->sync_now, n);
		LIST_OBJ(n, struct listener, sync)->syncing = &k->sync_now;
	}
	list_append(&k->waiting, &new_request(SYNC, NULL, "")->node);
	send_waiting(k);
}

void
keeper_sync(struct listener *l)
{
	l->syncing = &l->keeper->sync_next;
	list_append(l->syncing, &l->sync);
	send_sync(l->keeper);
}

static void
synced(struct keeper *k)
{
	struct list_node *n;

	while ((n = list_first(&k->sync_now)) != NULL) {
		struct listener *l = LIST_OBJ(n, struct listener, sync);

		sync_no_more(l);
		l->ops->synced(l);
	}
}

void
keeper_convert(struct listener *l, const char *sql)
{
	l->converting = new_request(CONVERT, l, sql);
	list_append(&l->keeper->waiting, &l->converting->node);
	send_waiting(l->keeper);
}

/* ---- the end of a connection ---- */

static void
drop_requests(struct list *requests)
{
	struct list_node *n;

	while ((n = list_first(requests)) != NULL) {
		list_remove(requests, n);
		free_request(LIST_OBJ(n, struct request, node));
	}
}

static void
clear_line(struct keeper_line *line)
{
	drop_requests(&line->requests);
	buf_clear(&line->in);
	line->srv = NULL;
	line->ready = line->marked = false;
}

static void
close_line(struct keeper *k, int which, const char *why)
{
	struct server *srv = k->line[which].srv;

	clear_line(&k->line[which]);
	if (srv == NULL)
		return;
	srv->keeper = NULL;
	server_end_keeper(srv, why);
}

/* The connection is lost, or was never had. Those who only ask get the error; those who listen are
 * told that it was lost. */
static void
end_all(struct keeper *k, const struct err *e, const char *why)
{
	struct list_node *n;

	/* First of all: channels that are dropped now are no reason to send an UNLISTEN. */
	buf_clear(&k->later);
	k->mark[0] = 0;
	if (k->state != KEEPER_CLOSED)
		set_state(k, KEEPER_CLOSED);
	while ((n = list_first(&k->listeners)) != NULL) {
		struct listener *l = LIST_OBJ(n, struct listener, node);
		bool asked = l->asked != NULL;

		if (l->syncing) {
			sync_no_more(l);
			l->ops->synced(l);
		}
		keeper_convert_no_more(l);
		if (l->keeper == NULL)
			continue;
		listener_give_up(l);
		if (l->keeper) {
			listener_drop_all(l, false);
			l->ops->lost(l, why);
		} else if (asked) {
			l->ops->answered(l, e, false);
		}
	}
	close_line(k, 0, why);
	close_line(k, 1, why);
	drop_requests(&k->waiting);
}

static void
lose(struct keeper *k, const char *why)
{
	struct err e;

	if (k->listeners.count > 0)
		log_warnx("pool", k->pool->conf->name, LINE_LOST,
			  LOG_NUMBER("sessions", k->listeners.count), LOG_QUOTED("why", why));
	err_make(&e, ERR_LISTEN_FAILED, k->pool->conf->name, why);
	end_all(k, &e, why);
	err_clear(&e);
}

static void give_up_moving(struct keeper *, const char *why);

static void
line_failed(struct server *srv, const struct err *e)
{
	struct keeper *k = srv->keeper;

	if (srv == k->line[1].srv) {
		k->line[1].srv = NULL;
		give_up_moving(k, e->message);
		return;
	}
	k->line[0].srv = NULL;
	log_warnx("pool", k->pool->conf->name, "cannot open the connection that listens",
		  LOG_QUOTED("why", e->message));
	end_all(k, e, e->message);
}

static void
line_lost(struct server *srv, const char *why)
{
	struct keeper *k = srv->keeper;

	if (srv == k->line[1].srv) {
		k->line[1].srv = NULL;
		give_up_moving(k, why);
		return;
	}
	k->line[0].srv = NULL;
	lose(k, why);
}

static void
end_keeper(struct pool *pool)
{
	struct keeper *k = pool->keeper;

	if (k == NULL)
		return;
	lose(k, "the pool is closed");
	hash_clear(&k->channels);
	for (int i = 0; i < 2; i++)
		buf_clear(&k->line[i].in);
	free(k);
	pool->keeper = NULL;
	pool->end_keeper = NULL;
}

/* ---- moving ---- */

/* The next line cannot be had: the one in use stays, and it is tried again later. */
static void
give_up_moving(struct keeper *k, const char *why)
{
	char sql[128];

	log_warnx("pool", k->pool->conf->name, "the connection that listens stays",
		  LOG_QUOTED("why", why));
	close_line(k, 1, why);
	buf_clear(&k->later);
	if (k->mark[0]) {
		snprintf(sql, sizeof sql, "UNLISTEN \"%s\"", k->mark);
		list_append(&k->waiting, &new_request(UNLISTEN, NULL, sql)->node);
		k->mark[0] = 0;
	}
	k->line[0].marked = false;
	k->repeat_us = now_us(k) + REPEAT_US;
	set_state(k, KEEPER_READY);
	send_waiting(k);
	send_sync(k);
}

void
keeper_move(struct pool *pool)
{
	struct keeper *k = pool->keeper;

	if (k == NULL || k->state == KEEPER_CLOSED)
		return;
	if (k->state == KEEPER_READY && k->listeners.count == 0) {
		lose(k, "nobody listens");
		return;
	}
	if (k->state == KEEPER_OPENING) {
		/* Nobody listens yet: it begins again, at the place of now. */
		drop_requests(&k->line[0].requests);
		close_line(k, 0, "the pool was moved");
		open_line(k, 0);
		return;
	}
	if (k->state == KEEPER_MOVING)
		close_line(k, 1, "the pool was moved");
	else
		set_state(k, KEEPER_MOVING);
	buf_clear(&k->later);
	k->mark[0] = 0;
	k->line[0].marked = false;
	open_line(k, 1);
}

/* The next line is ready, and all that the line in use was asked is answered: sends the mark. */
static void
begin_marks(struct keeper *k)
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
	k->since_us = now_us(k);
	buf_init(&sql, SERVER_KEEPER_QUEUE_MAX / 2);
	buf_add_fmt(&sql, "LISTEN \"%s\"", k->mark);
	buf_add_u8(&sql, 0);
	send_request(k, &k->line[0], new_request(MOVE_MARK, NULL, (char *)buf_data(&sql)));
	buf_drop(&sql, sql.len);
	buf_add_fmt(&sql, "LISTEN \"%s\"", k->mark);
	for (size_t i = 0; i < hash_chains(&k->channels); i++)
		for (struct hash_node *n = hash_chain(&k->channels, i); n; n = n->next) {
			buf_add_fmt(&sql, ";LISTEN ");
			keeper_add_quoted(&sql, HASH_OBJ(n, struct channel, node)->name);
		}
	buf_add_u8(&sql, 0);
	send_request(k, &k->line[1], new_request(MOVE_ALL, NULL, (char *)buf_data(&sql)));
	buf_clear(&sql);
}

/* Both lines listen to the mark. */
static void
notify_mark(struct keeper *k)
{
	char sql[128];

	if (k->mark[0] == 0 || k->line[0].requests.count > 0 || k->line[1].requests.count > 0)
		return;
	snprintf(sql, sizeof sql, "NOTIFY \"%s\"", k->mark);
	send_request(k, &k->line[1], new_request(MOVE_NOTIFY, NULL, sql));
}

static void dispatch(struct keeper *, const uint8_t *message, size_t bytes);

/* The mark has come to both lines: the next one takes over. */
static void
finish_moving(struct keeper *k)
{
	struct keeper_line *now = &k->line[0], *next = &k->line[1];
	struct list_node *n;
	struct frame f;
	struct buf later;
	char sql[128];

	if (k->later.failed) {
		lose(k, "too much was told while another connection took over");
		return;
	}
	close_line(k, 0, "another connection listens now");
	now->srv = next->srv;
	now->ready = true;
	now->in = next->in;
	now->asked_us = next->asked_us;
	while ((n = list_first(&next->requests)) != NULL) {
		list_remove(&next->requests, n);
		list_append(&now->requests, n);
	}
	buf_init(&next->in, IN_MAX);
	clear_line(next);
	later = k->later;
	buf_init(&k->later, LATER_MAX);
	set_state(k, KEEPER_READY);
	snprintf(sql, sizeof sql, "UNLISTEN \"%s\"", k->mark);
	k->mark[0] = 0;
	list_prepend(&k->waiting, &new_request(UNLISTEN, NULL, sql)->node);
	log_info("pool", k->pool->conf->name, "another connection listens",
		 LOG_NUMBER("backend", k->line[0].srv->backend_pid),
		 LOG_NUMBER("sessions", k->listeners.count));
	while (frame_read(buf_data(&later), later.len, &f) == 0) {
		dispatch(k, buf_data(&later), FRAME_HEADER + f.body);
		buf_drop(&later, FRAME_HEADER + f.body);
	}
	buf_clear(&later);
	send_waiting(k);
	send_sync(k);
}

/* ---- what the server says ---- */

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

static void
dispatch(struct keeper *k, const uint8_t *message, size_t bytes)
{
	size_t name_bytes;
	const char *name = channel_of(message, bytes, &name_bytes);
	struct channel *c = name ? find_channel(k, name, name_bytes) : NULL;
	struct list_node *n, *after;

	k->notifications++;
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
			dispatch(k, message, bytes);
		return;
	}
	name = channel_of(message, bytes, &name_bytes);
	if (name && strcmp(name, k->mark) == 0) {
		line->marked = true;
	} else if (line == &k->line[0]) {
		if (!line->marked)
			dispatch(k, message, bytes);
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
	struct list_node *n;
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
	LIST_EACH (n, &l->channels) {
		struct subscription *sub = LIST_OBJ(n, struct subscription, in_listener);

		if (sub->has != LISTENER_ASKED)
			continue;
		sub->has = sub->try ? LISTENER_TRIED : LISTENER_LISTENS;
		l->listens += !sub->try;
	}
	l->ops->answered(l, NULL, false);
	leave_if_idle(l);
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
	leave_if_idle(l);
}

/* Returns false if the keeper has lost its connection by that. */
static bool
request_ended(struct keeper *k, struct keeper_line *line, struct request *r)
{
	if (r->error && r->what != ASK && r->what != UNLISTEN && r->what != CONVERT) {
		if (line == &k->line[1])
			give_up_moving(k, r->error);
		else
			lose(k, r->error);
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
			set_state(k, KEEPER_READY);
		}
		break;
	case MOVE_ALL:
	case MOVE_MARK:
		notify_mark(k);
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
	line->asked_us = now_us(k);
	goes_on = request_ended(k, line, r);
	free_request(r);
	if (!goes_on)
		return;
	send_waiting(k);
	send_sync(k);
	begin_marks(k);
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

static void
readable(struct server *srv)
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
		finish_moving(k);
}

static void
logged_in(struct server *srv)
{
	static const char setup[] =
	    "SELECT pg_catalog.set_config('client_encoding', "
	    "pg_catalog.current_setting('server_encoding'), false) UNION ALL "
	    "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings "
	    "WHERE name OPERATOR(pg_catalog.=) ANY (ARRAY['statement_timeout', "
	    "'idle_session_timeout', 'transaction_timeout']::pg_catalog.text[])";
	struct keeper *k = srv->keeper;

	send_request(k, &k->line[srv == k->line[1].srv], new_request(SETUP, NULL, setup));
}

/* ---- time ---- */

/* Does the line not answer? */
static bool
is_silent(const struct keeper *k, const struct keeper_line *line, int64_t now)
{
	return line->srv && line->requests.count > 0 &&
	       now - line->asked_us >= k->pool->conf->connect_timeout_us;
}

void
keepers_sweep(struct pool *pool, int64_t now)
{
	const struct conf_pool *conf = pool->conf;
	struct keeper *k = pool->keeper;

	if (k == NULL || k->state == KEEPER_CLOSED)
		return;
	for (int i = 0; i < 2; i++) {
		struct server *srv = k->line[i].srv;

		if (srv == NULL || srv->state != SERVER_CONNECTING || srv->asking ||
		    now - srv->since_us < conf->connect_timeout_us)
			continue;
		server_connect_late(srv);
		return;
	}
	if (is_silent(k, &k->line[0], now)) {
		server_close(k->line[0].srv, "it does not answer");
		return;
	}
	if (is_silent(k, &k->line[1], now)) {
		server_close(k->line[1].srv, "it does not answer");
		return;
	}
	if (k->state == KEEPER_MOVING) {
		if (k->mark[0] && now - k->since_us >= MOVE_US)
			lose(k, "another connection was to listen, and is not of the same "
				"database: notifications may be missing between the two");
		return;
	}
	if (k->state != KEEPER_READY)
		return;
	if (k->listeners.count == 0) {
		if (now - k->used_us >= UNUSED_US && k->waiting.count == 0)
			lose(k, "nobody listens");
		return;
	}
	k->used_us = now;
	if (k->line[0].requests.count == 0 && conf->check_interval_us > 0 &&
	    now - k->line[0].srv->used_us >= conf->check_interval_us && !pool->all->handing)
		send_request(k, &k->line[0], new_request(ALIVE, NULL, ""));
	if ((k->line[0].srv->retiring || pool_is_over_lifetime(pool, k->line[0].srv)) &&
	    now >= k->repeat_us && !pool->all->handing)
		keeper_move(pool);
}

bool
keeper_is_busy(const struct pool *pool)
{
	const struct keeper *k = pool->keeper;

	return k && k->state != KEEPER_CLOSED &&
	       (k->state != KEEPER_READY || k->listeners.count == 0 || k->waiting.count > 0 ||
		k->line[0].requests.count > 0);
}

/* ---- the handover ---- */

bool
keeper_can_move_now(const struct pool *pool)
{
	const struct keeper *k = pool->keeper;

	return k == NULL || k->state == KEEPER_CLOSED ||
	       (k->state == KEEPER_READY && k->line[0].requests.count == 0 &&
		server_can_move(k->line[0].srv));
}

void
keeper_force(struct pool *pool, const char *why)
{
	struct keeper *k = pool->keeper;

	if (k && k->state == KEEPER_MOVING)
		give_up_moving(k, why);
	if (!keeper_can_move_now(pool))
		lose(k, why);
}

void
keeper_hold(struct pool *pool)
{
	struct keeper *k = pool->keeper;

	/* A connection by TLS cannot be handed over, nor one that is only being opened. */
	if (k && (k->state == KEEPER_OPENING ||
		  (k->state != KEEPER_CLOSED && !server_can_move(k->line[0].srv))))
		lose(k, "it cannot be handed over");
}

void
keeper_release(struct pool *pool)
{
	if (pool->keeper)
		send_waiting(pool->keeper);
}

void
keeper_pack(struct pack *p, struct pool *pool)
{
	struct keeper none = {0}, *k = pool && pool->keeper ? pool->keeper : &none;
	uint32_t count = 0;
	struct list_node *n;
	struct buf in;

	buf_init(&in, IN_MAX);
	PACK(p, k->used_us);
	PACK(p, k->notifications);
	/* Channels that nobody listens to any more. Sessions ask again for what they asked. */
	if (!pack_reading(p) && k != &none)
		LIST_EACH (n, &k->waiting)
			count += LIST_OBJ(n, struct request, node)->what == UNLISTEN;
	PACK(p, count);
	if (pack_reading(p)) {
		for (; count > 0 && !p->failed; count--) {
			char *sql = NULL;

			pack_str(p, &sql);
			if (sql && k != &none)
				list_append(&k->waiting, &new_request(UNLISTEN, NULL, sql)->node);
			free(sql);
		}
		pack_buf(p, k != &none ? &k->line[0].in : &in);
	} else {
		if (count > 0)
			LIST_EACH (n, &k->waiting)
				if (LIST_OBJ(n, struct request, node)->what == UNLISTEN)
					pack_str(p, &LIST_OBJ(n, struct request, node)->sql);
		pack_buf(p, k != &none ? &k->line[0].in : &in);
	}
	buf_clear(&in);
}

void
keeper_adopt(struct pool *pool, struct server *srv)
{
	struct keeper *k = need_keeper(pool);

	srv->keeper = k;
	srv->keep = &keeps;
	k->line[0].srv = srv;
	k->line[0].ready = true;
	set_state(k, KEEPER_READY);
}

bool
listener_pack(struct pack *p, struct listener *l, struct pool *pool)
{
	uint32_t count = 0;
	struct list_node *n;
	bool good = true;

	if (!pack_reading(p))
		LIST_EACH (n, &l->channels)
			count +=
			    LIST_OBJ(n, struct subscription, in_listener)->has != LISTENER_ASKED;
	PACK(p, count);
	if (!pack_reading(p)) {
		LIST_EACH (n, &l->channels) {
			struct subscription *sub = LIST_OBJ(n, struct subscription, in_listener);
			char *name = sub->channel->name;

			if (sub->has == LISTENER_ASKED)
				continue;
			pack_str(p, &name);
			PACK(p, sub->has);
		}
		return true;
	}
	for (; count > 0 && !p->failed; count--) {
		enum listener_has has = LISTENER_NO;
		char *name = NULL;

		pack_str(p, &name);
		PACK(p, has);
		if (name == NULL || strlen(name) > KEEPER_NAME || pool == NULL ||
		    pool->keeper == NULL || pool->keeper->state != KEEPER_READY ||
		    (has != LISTENER_TRIED && has != LISTENER_LISTENS)) {
			good = false;
		} else {
			join(pool->keeper, l);
			subscribe(pool->keeper, l, name, strlen(name), has);
		}
		free(name);
	}
	return good;
}
