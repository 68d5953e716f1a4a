#include "executor/joint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <openssl/crypto.h>

#include "base/log.h"
#include "base/mem.h"
#include "executor/joint_cancel.h"
#include "executor/joint_context.h"
#include "executor/joint_inside.h"
#include "pool/pool.h"
#include "scope/stack.h"
#include "scope/unit_member.h"
#include "scope/unit_server.h"
#include "session/end.h"
#include "session/holds.h"
#include "session/site.h"
#include "wire/frame.h"
#include "wire/msg.h"
#include "wire/sqltext.h"

#define PART_MAX  (128u * 1024)  /* bytes that are written at once: a stream queues more */
#define IN_MAX    (1024u * 1024) /* bytes of a member that wait, unless they are one message */
#define NAMES_MAX (64u * 1024)   /* bytes of the names in a long Bind */
#define ERROR_MAX (64u * 1024)   /* bytes of an error that are looked at */

#define TOKENS_MAX 64 /* that one statement or login can give */

/* The lease is that of the joint's frame. */
static struct joint *
joint_of_lease(const struct lease *l)
{
	return LIST_OBJ(hold_of((struct lease *)l), struct scope, own)->joint;
}

struct server *
joint_member_server_(const struct joint *j)
{
	for (int i = 0; i < SERVER_CLOSED; i++) {
		struct list_node *n = list_first(&j->pool->servers[i]);

		if (n)
			return LIST_OBJ(n, struct server, node);
	}
	return NULL;
}

/* ---- the end ---- */

/* Tells all members, and ends them. */
static void
end_members(struct joint *j, enum err_id id, const char *why)
{
	struct list_node *n, *after;
	struct err e;

	err_make(&e, id, j->frame->name, why);
	for (int i = 0; i < SESSION_CLOSING; i++)
		LIST_EACH_SAFE (n, after, &j->site->in_state[i]) {
			struct session *s = LIST_OBJ(n, struct session, node);

			if (s->pool == j->pool && !session_ends(s))
				session_fail(s, &e);
		}
	err_clear(&e);
}

/* The scope cannot go on: its owner is told, and ends; with it, the scope and its members. */
static void
lose(struct joint *j, const char *why)
{
	struct session *s = j->owner;
	struct err e;

	if (j->broken)
		return;
	j->broken = true;
	log_warnx("session", s->id, "joined scope lost", LOG_TEXT("name", j->frame->name),
		  LOG_QUOTED("why", why));
	end_members(j, ERR_JOINED_LOST, why);
	err_make(&e, ERR_JOINED_LOST, j->frame->name, why);
	session_fail(s, &e);
	err_clear(&e);
}

static bool send_unit(struct joint *);
static void end_member(struct joint *, const char *sqlstate, const char *why);
static void front_readable(struct stream *, void *arg);
static void front_drained(struct stream *, void *arg);
static bool front_hangup(struct stream *, void *arg);

static const struct stream_ops front_ops = {
    .readable = front_readable, .drained = front_drained, .hangup = front_hangup};

/* ---- the members' server ---- */

void
joint_set_front_(struct joint *j, int fd)
{
	stream_init(&j->front, j->site->loop, fd, FRONT_QUEUE_MAX, &front_ops, j);
}

/* Makes a socket pair; our end of it is the front. Returns the other end, or -1. */
static int
make_front(struct joint *j)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return -1;
	joint_set_front_(j, fds[1]);
	return fds[0];
}

/* The members' server was closed, and what its member had begun has been rolled back: the next
 * members get another one. */
static void
renew_server(struct joint *j)
{
	int fd;

	if (!j->restarted) {
		j->restarted = true;
		unit_start(&j->unit, true);
		send_unit(j);
		return;
	}
	j->restarted = false;
	fd = make_front(j);
	if (fd < 0) {
		lose(j, strerror(errno));
		return;
	}
	buf_reset(&j->in);
	j->incomplete = false;
	server_open_joined(j->pool, joint_server_(j), NULL, fd);
}

/* May the session, a member or not, have temporary objects or advisory locks in the server? */
static bool
litters(const struct joint *j, const struct session *s)
{
	/* What a new one is about to do is not in the server yet. */
	return s->context.litters && s->id != j->pool->litterer &&
	       (s->pool == j->pool || (s == j->owner && !session_ends(s)));
}

/* Is there a member that may? The one that was found last is mostly there still, so that not all
 * sessions are looked at. */
static bool
any_litters(struct joint *j)
{
	const struct session *found = idmap_get(&j->site->sessions, j->littering);
	const struct list_node *n;

	if (found && found->state < SESSION_CLOSING && litters(j, found))
		return true;

	for (int i = 0; i < SESSION_CLOSING; i++)
		LIST_EACH (n, &j->site->in_state[i]) {
			const struct session *s = LIST_OBJ(n, const struct session, node);

			if (litters(j, s)) {
				j->littering = s->id;
				return true;
			}
		}
	return false;
}

/* ---- bytes for the server ---- */

/* Are our own statements to wait, as a cancel that comes late would hit them? */
static bool
must_wait(const struct joint *j)
{
	return j->unit.state == UNIT_OWN && joint_server_(j)->cancels > 0;
}

/* Sends of the unit's messages for PostgreSQL what it takes now. Half a message of the member is
 * completed first. */
static void
send_out(struct joint *j)
{
	struct buf *out = &j->unit.out;
	struct frame f;

	while (!j->broken && out->len > 0 && (j->passing == 0 || j->passing_dropped)) {
		struct server *srv = joint_server_(j);
		size_t n = 0;

		if (stream_is_slow(&srv->stream) || (j->out_left == 0 && must_wait(j)))
			return;
		while (n < out->len && n < PART_MAX) {
			size_t part;

			if (j->out_left == 0) {
				frame_read(buf_data(out) + n, out->len - n, &f);
				progress_sent(&srv->progress, f.type);
				j->out_left = FRAME_HEADER + f.body;
			}
			part = j->out_left < out->len - n ? j->out_left : out->len - n;
			part = part < PART_MAX - n ? part : PART_MAX - n;
			j->out_left -= (uint32_t)part;
			n += part;
		}
		srv->progress.to_left = j->out_left;
		server_write(srv, buf_data(out), n);
		buf_drop(out, n);
	}
}

/* Sends what the unit has to say to the member. */
static void
send_reply(struct joint *j)
{
	struct buf *reply = &j->unit.reply;

	if (reply->len > 0 && !j->broken && stream_open(&j->front) &&
	    stream_write(&j->front, buf_data(reply), reply->len) < 0)
		lose(j, "too much is queued for a member");
	buf_reset(reply);
}

/* Sends what the unit has to say. Returns false if the scope is lost. */
static bool
send_unit(struct joint *j)
{
	struct unit *u = &j->unit;

	if (u->broken) {
		lose(j, u->broken);
		return false;
	}
	if (u->out.failed || u->reply.failed) {
		lose(j, "too much has to be sent for it");
		return false;
	}
	send_reply(j);
	if (!j->broken)
		send_out(j);
	return !j->broken;
}

/* Passes on the rest of the member's message, as far as it is there and PostgreSQL takes it. Of a
 * member that is gone, what has not come is zeros: it is the data of a COPY, which is made to fail,
 * or of a message whose effects are rolled back. Returns true if something was passed. */
static bool
pass_on(struct joint *j)
{
	static const uint8_t zeros[4096];
	bool gone = !stream_open(&j->front);
	bool fill = gone && j->in.len == 0;
	const uint8_t *data = fill ? zeros : buf_data(&j->in);
	size_t have = fill ? sizeof zeros : j->in.len, part = j->passing;
	struct server *srv = joint_server_(j);

	part = part < have ? part : have;
	part = part < PART_MAX ? part : PART_MAX;
	if (part == 0 || (!j->passing_dropped && stream_is_slow(&srv->stream)))
		return false;
	j->passing -= (uint32_t)part;
	if (!j->passing_dropped) {
		srv->progress.to_left = j->passing;
		server_write(srv, data, part);
	}
	if (!fill)
		buf_drop(&j->in, part);
	return !j->broken;
}

/* The flags for the texts of the member that is served now. */
static unsigned
lexing(const struct joint *j)
{
	const char *strings = server_told(joint_server_(j), "standard_conforming_strings");
	const char *encoding = server_told(joint_server_(j), "client_encoding");

	return (strings && strcmp(strings, "off") == 0 ? SQLTEXT_BACKSLASH : 0) |
	       (encoding ? sqltext_encoding(encoding) : 0);
}

/* How much of the body of a message is needed before it can be passed on. */
static size_t
needed(const struct frame *f)
{
	if (unit_takes_header(f->type))
		return 0;
	return f->type == 'B' && f->body > NAMES_MAX ? NAMES_MAX : f->body;
}

/* Does the beginning of a Bind have both of its names? */
static bool
names_fit(const uint8_t *body, size_t bytes)
{
	const uint8_t *end = bytes ? memchr(body, 0, bytes) : NULL;

	return end && memchr(end + 1, 0, (size_t)(body + bytes - end - 1));
}

/* Ends the member for its next message, when all that stands before that has been executed. */
static void
end_in_turn(struct joint *j, const char *sqlstate, const char *why)
{
	if (unit_reads_next(&j->unit))
		end_member(j, sqlstate, why);
}

/* Handles the message at the beginning of j->in, if it is there. Nothing else is half way to
 * PostgreSQL. Returns false if more must come, or it must wait. */
static bool
member_message(struct joint *j)
{
	const uint8_t *data = buf_data(&j->in);
	struct unit *u = &j->unit;
	enum unit_verdict v;
	struct frame f;
	size_t need;
	int r = frame_read(data, j->in.len, &f);

	j->incomplete = r == -E_AGAIN;
	if (r == -E_AGAIN)
		return false;
	/* PostgreSQL would close its connection, which is that of all members. */
	if (r < 0 || frame_is_too_long(&f)) {
		end_in_turn(j, "08P01", "invalid message length");
		return false;
	}
	need = needed(&f);
	if (need > UNIT_TEXT_MAX) {
		end_in_turn(j, "54000",
			    "a message with SQL text is longer than 16 MB, which is too "
			    "long for a joined scope");
		return false;
	}
	j->incomplete = j->in.len < FRAME_HEADER + need;
	if (j->incomplete)
		return false;
	if (need < f.body && f.type == 'B' && !names_fit(data + FRAME_HEADER, need)) {
		end_in_turn(j, "54000", "the names in a Bind message are too long");
		return false;
	}
	u->flags = lexing(j);
	u->parameters = joint_member_server_(j) ? joint_member_server_(j)->context : NULL;
	v = unit_member(u, f.type, unit_takes_header(f.type) ? NULL : data + FRAME_HEADER, need);
	u->parameters = NULL;
	if (!send_unit(j) || v == UNIT_HOLD)
		return false;
	if (v == UNIT_END) {
		end_member(j, "08P01",
			   "terminating connection because protocol synchronization was lost");
		return false;
	}
	j->passing = FRAME_HEADER + f.body;
	j->passing_dropped = v == UNIT_DROP;
	if (v == UNIT_PASS)
		progress_sent(&joint_server_(j)->progress, f.type);
	pass_on(j);
	return !j->broken;
}

/* May the next message of a member be looked at? */
static bool
may_begin(struct joint *j)
{
	const struct server *srv = joint_server_(j);

	if (j->unit.out.len > 0 || stream_is_slow(&srv->stream))
		return false;
	/* What is answered without PostgreSQL waits for the member to read. */
	if (stream_is_slow(&j->front))
		return false;
	/* A late cancel must not hit the next unit: its savepoint would fail, and with it the
	 * scope. */
	if (srv->cancels > 0 && !unit_is_busy(&j->unit) && !j->unit.block)
		return false;
	if (j->pool->littered && !j->tidied && j->in.len > 0 && unit_is_idle(&j->unit) &&
	    !any_litters(j)) {
		j->pool->littered = j->pool->litterer != 0;
		j->tidied = true;
		unit_tidy(&j->unit);
		send_unit(j);
		return false;
	}
	j->tidied = false;
	if (!unit_is_idle(&j->unit))
		j->pool->litterer = 0;
	return true;
}

/* ---- timeouts of the member, by which PostgreSQL would end the scope ---- */

static void
ended_by_timeout(struct joint *j, const char *sqlstate, const char *why)
{
	if (!j->broken && joint_server_(j) && stream_open(&j->front))
		end_member(j, sqlstate, why);
}

static void
idle_too_long(void *arg)
{
	ended_by_timeout(arg, "25P03", "terminating connection due to idle-in-transaction timeout");
}

static void
open_too_long(void *arg)
{
	ended_by_timeout(arg, "25P04", "terminating connection due to transaction timeout");
}

/* `since` counts what the limit begins with. */
static void
keep_limit(struct joint_limit *l, uint64_t ms, uint64_t since)
{
	if (ms == 0) {
		timer_stop(&l->timer);
	} else if (!timer_started(&l->timer) || l->since != since || l->ms != ms) {
		timer_start(&l->timer, (int64_t)ms * 1000);
		l->since = since;
		l->ms = ms;
	}
}

static void
keep_limits(struct joint *j)
{
	bool ended = j->broken || !stream_open(&j->front);

	keep_limit(&j->idle, ended ? 0 : unit_idle_limit_ms(&j->unit), j->unit.answers);
	keep_limit(&j->whole, ended ? 0 : unit_whole_limit_ms(&j->unit), j->unit.units);
}

static void
go_on(struct joint *j)
{
	bool more = true;

	if (j->broken || joint_server_(j) == NULL)
		return;
	while (more && !j->broken) {
		if (j->passing > 0) {
			more = pass_on(j);
			continue;
		}
		send_out(j);
		if (!j->broken && !stream_open(&j->front) && !j->closing &&
		    unit_is_idle(&j->unit) && joint_server_(j)->cancels == 0)
			renew_server(j);
		more = !j->broken && stream_open(&j->front) && may_begin(j) && member_message(j);
	}
	if (j->broken)
		return;
	joint_cancel_kept_(j);
	if (!stream_open(&j->front))
		return;
	/* What has to wait is not read without end. */
	if (j->in.len >= IN_MAX && !j->incomplete)
		stream_pause(&j->front);
	else
		stream_resume(&j->front);
}

void
joint_go_on_(struct joint *j)
{
	go_on(j);
	keep_limits(j);
}

/* The member's server was closed, in the middle of anything. */
static void
front_closed(struct joint *j)
{
	struct server *srv = joint_server_(j);

	stream_close(&j->front);
	joint_cancel_forget_(j);
	if (j->broken || srv == NULL)
		return;
	/* The member may have been too slow for it. */
	stream_resume(&srv->stream);
	if (!unit_is_idle(&j->unit) || !j->closing)
		log_info("session", j->owner->id, "a member of the joined scope has broken off",
			 LOG_TEXT("name", j->frame->name));
	if (j->passing_dropped)
		j->passing = 0;
	if (joint_can_be_hit_(j))
		lease_cancel(&j->frame->own.lease, 0);
	unit_abandon(&j->unit);
	if (send_unit(j))
		joint_go_on_(j);
	if (j->closing)
		session_wake(j->owner);
}

/* Ends the member that is served now, as PostgreSQL ends a session. */
static void
end_member(struct joint *j, const char *sqlstate, const char *why)
{
	struct buf out;

	log_info("session", j->owner->id, "a member of the joined scope was ended",
		 LOG_TEXT("name", j->frame->name), LOG_QUOTED("why", why));
	buf_init(&out, 4096);
	msg_report(&out, 'E', "FATAL", sqlstate, why, NULL, NULL);
	if (stream_write(&j->front, buf_data(&out), out.len) == 0)
		stream_flush(&j->front);
	buf_clear(&out);
	front_closed(j);
}

static void
front_readable(struct stream *st, void *arg)
{
	struct joint *j = arg;
	uint8_t *scratch = loop_scratch(j->site->loop);
	ssize_t n = stream_read(st, scratch, LOOP_SCRATCH);

	if (n == -E_AGAIN)
		return;
	if (n <= 0) {
		front_closed(j);
		return;
	}
	/* The owner ends, and with it the members: what they still send is for nobody. */
	if (j->broken || joint_server_(j) == NULL)
		return;
	buf_add(&j->in, scratch, (size_t)n);
	if (j->in.failed)
		lose(j, "too much has come from a member");
	joint_go_on_(j);
}

static void
front_drained(struct stream *st, void *arg)
{
	struct joint *j = arg;

	if (j->broken || joint_server_(j) == NULL)
		return;
	stream_resume(&joint_server_(j)->stream);
	joint_go_on_(j);
}

/* The member's server was closed while much of its member was waiting: that is for nobody. */
static bool
front_hangup(struct stream *st, void *arg)
{
	front_closed(arg);
	return true;
}

/* ---- bytes of the server ---- */

static void
tell_member(struct joint *j, const uint8_t *data, size_t bytes)
{
	if (bytes > 0 && !j->broken && stream_open(&j->front) &&
	    stream_write(&j->front, data, bytes) < 0)
		lose(j, "too much is queued for a member");
}

/* `bytes` of the body are there; an error that is longer is cut for the unit. */
static enum unit_verdict
server_verdict(struct joint *j, const struct frame *f, const uint8_t *body, size_t bytes)
{
	enum unit_verdict v;
	struct buf cut;

	if (bytes == f->body || bytes == 0)
		return unit_server(&j->unit, f->type, bytes ? body : NULL, bytes);
	buf_init(&cut, ERROR_MAX);
	buf_add(&cut, body, bytes / 2);
	if (body[bytes / 2 - 1] != 0)
		buf_add_u8(&cut, 0);
	buf_add_u8(&cut, 0);
	v = unit_server(&j->unit, f->type, buf_data(&cut), cut.len);
	buf_clear(&cut);
	return v;
}

/* A unit has been committed. Has its COMMIT reset what it may have set for its transaction? */
static void
note_committed(struct joint *j)
{
	struct server *srv = joint_member_server_(j);

	if (j->unit.committed && srv)
		srv->lingers = j->unit.lingers;
	j->unit.committed = false;
}

/* Handles the beginning of `data`. Returns the bytes that were used; 0: more must come. */
static size_t
server_message(struct joint *j, const uint8_t *data, size_t bytes)
{
	enum unit_verdict v;
	struct frame f;
	size_t part, need;
	int r;

	if (j->returning) {
		part = bytes < j->returning ? bytes : j->returning;
		j->returning -= (uint32_t)part;
		if (!j->returning_dropped)
			tell_member(j, data, part);
		return part;
	}
	r = frame_read(data, bytes, &f);
	if (r == -E_RANGE)
		lose(j, "the server has sent a message of an impossible length");
	if (r < 0)
		return 0;
	need = !unit_reads_body(&j->unit, f.type)    ? 0
	       : f.type == 'D' || f.body < ERROR_MAX ? f.body
						     : ERROR_MAX;
	if (bytes < FRAME_HEADER + need)
		return 0;
	v = server_verdict(j, &f, data + FRAME_HEADER, need);
	note_committed(j);
	part = bytes < FRAME_HEADER + f.body ? bytes : FRAME_HEADER + f.body;
	j->returning = (uint32_t)(FRAME_HEADER + f.body - part);
	j->returning_dropped = v == UNIT_DROP;
	if (v == UNIT_PASS) {
		if (j->unit.reply.len > 0 && !j->unit.reply.failed)
			send_reply(j);
		tell_member(j, data, part);
	}
	if (!j->broken)
		send_unit(j);
	return part;
}

static void
real_readable(struct lease *l)
{
	struct joint *j = joint_of_lease(l);
	const uint8_t *data;
	size_t bytes, used = 0, n;

	if (server_read(l->srv, &data, &bytes) < 0 || j->broken)
		return;
	buf_add(&j->back, data, bytes);
	if (j->back.failed) {
		lose(j, "the server has sent a message that is too long");
		return;
	}
	while (!j->broken && used < j->back.len &&
	       (n = server_message(j, buf_data(&j->back) + used, j->back.len - used)) > 0)
		used += n;
	if (j->broken)
		return;
	buf_drop(&j->back, used);
	if (stream_open(&j->front) && stream_is_slow(&j->front))
		stream_pause(&l->srv->stream);
	joint_go_on_(j);
	if (j->closing && !j->broken)
		session_wake(j->owner);
}

static void
real_drained(struct lease *l)
{
	struct joint *j = joint_of_lease(l);

	if (!j->broken)
		joint_go_on_(j);
}

static void
real_lost(struct lease *l, const struct server *srv, const char *why)
{
	struct joint *j = joint_of_lease(l);

	if (j->broken)
		session_wake(j->owner);
	else
		lose(j, why);
}

static void
cancels_ended(struct lease *l)
{
	struct joint *j = joint_of_lease(l);

	joint_cancel_over_(j);
	if (!j->broken)
		joint_go_on_(j);
	session_wake(j->owner);
}

static void
member_idle(void *arg)
{
	struct joint *j = arg;

	if (j->closing)
		session_wake(j->owner);
}

static void
describe(const struct lease *l, char *out, size_t out_size)
{
	const struct joint *j = joint_of_lease(l);

	session_describe(j->owner, out, out_size);
}

static void
ended(struct lease *l, struct todo *done, bool broken)
{
}

static const struct lease_ops joint_lease_ops = {
    .readable = real_readable,
    .drained = real_drained,
    .lost = real_lost,
    .cancels_ended = cancels_ended,
    .ended = ended,
    .describe = describe,
};

/* ---- opening and closing ---- */

static bool
make_token(struct joint *j, uint64_t *random)
{
	uint8_t bytes[JOINT_TOKEN / 2];

	if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes ||
	    getrandom(random, sizeof *random, 0) != (ssize_t)sizeof *random)
		return false;
	for (size_t i = 0; i < sizeof bytes; i++)
		snprintf(j->token + 2 * i, 3, "%02x", bytes[i]);
	return true;
}

struct joint *
joint_new_(struct session *s, struct scope *f)
{
	struct joint *j = mem_calloc(1, sizeof *j);

	j->site = s->site;
	j->owner = s;
	j->frame = f;
	j->front.fd = -1;
	timer_init(&j->idle.timer, j->site->loop, idle_too_long, j);
	timer_init(&j->whole.timer, j->site->loop, open_too_long, j);
	buf_init(&j->in, UNIT_TEXT_MAX + 2 * LOOP_SCRATCH);
	buf_init(&j->back, UNIT_TEXT_MAX);
	return j;
}

void
joint_take_(struct joint *j, struct pool *pool)
{
	j->joined = (struct pool_joined){joint_cancel_, member_idle, j, &j->frame->own.lease};
	j->pool = pool;
	pool->joined = &j->joined;
	j->unit.ask_parameters = joint_context_;
	j->unit.ask_arg = j;
	j->frame->own.lease.ops = &joint_lease_ops;
	j->frame->joint = j;
	j->frame->kind = SCOPE_JOINT;
	list_append(&j->site->joints, &j->node);
}

bool
joint_open(struct session *s, struct scope *f, struct err *e)
{
	struct server *real = f->own.lease.srv;
	struct joint *j = joint_new_(s, f);
	const char *only_read;
	uint64_t random;
	char *name;
	int fd;

	if (!make_token(j, &random) || (fd = make_front(j)) < 0) {
		err_make(e, ERR_SCOPE_UNSUPPORTED, strerror(errno));
		free(j);
		return false;
	}
	unit_init(&j->unit, random);
	name = mem_printf("%s/%s", real->pool->conf->name, f->name);
	joint_take_(j, pool_new_joined(&s->site->pools, real->pool, name));
	free(name);
	j->pool->of_scope = real->pool;
	server_open_joined(j->pool, real, real->context, fd);
	f->was_joined = true;
	real->progress.given_pid = 0;
	/* Its statements are those of other sessions. */
	prepared_forget(&real->prepared);
	only_read = server_told(real, "default_transaction_read_only");
	j->unit.default_reads = only_read == NULL || strcmp(only_read, "off") != 0;
	unit_start(&j->unit, false);
	send_unit(j);
	return true;
}

/* The owner's statements outside of scopes have gone to the members' server, too, and may have
 * pinned the owner there. */
static void
return_own_lease(struct joint *j)
{
	struct session *s = j->owner;

	if (s->own->lease.pool != j->pool)
		return;
	if (s->own->lease.state == LEASE_WAITING) {
		lease_leave(&s->own->lease);
	} else if (s->own->lease.state == LEASE_HELD) {
		hold_give_up_pins(s->own);
		lease_end(&s->own->lease, CLEANUP_SCOPE_END);
	}
}

/* The members have not ended in time, or what they have asked for has not. */
static void
closing_late(void *arg)
{
	struct joint *j = arg;

	lose(j, "its members could not be ended in time");
	session_wake(j->owner);
}

void
joint_close(struct scope *f, const char *outcome)
{
	struct joint *j = f->joint;

	if (j->closing)
		return;
	j->closing = true;
	j->pool->removed = true;
	/* The cleanup behind a member has this time; then its server is closed, and what
	 * PostgreSQL still does is cancelled. */
	timer_init(&j->limit, j->site->loop, closing_late, j);
	timer_start(&j->limit, 2 * j->pool->of_scope->conf->cleanup_timeout_us);
	return_own_lease(j);
	end_members(j, ERR_JOINED_ENDED, outcome);
}

bool
joint_is_closed(const struct scope *f)
{
	const struct joint *j = f->joint;
	const struct server *srv = joint_member_server_(j), *real = joint_server_(j);

	if (real == NULL || j->broken)
		return true;
	if (srv && srv->state != SERVER_IDLE)
		return false;
	return unit_is_idle(&j->unit) && real->cancels == 0 && progress_at_rest(&real->progress);
}

void
joint_close_lost(struct scope *f)
{
	const struct joint *j = f->joint;

	if (j->broken && joint_server_(j))
		server_close(joint_server_(j), "the joined scope is lost");
}

static void
free_joint(void *arg)
{
	struct joint *j = arg;

	unit_clear(&j->unit);
	buf_clear(&j->in);
	buf_clear(&j->back);
	free(j);
}

void
joint_give_back(struct scope *f)
{
	struct joint *j = f->joint;
	struct server *srv;

	joint_close(f, "its owner is gone, and it is rolled back");
	joint_cancel_over_(j);
	joint_cancel_forget_(j);
	timer_stop(&j->limit);
	timer_stop(&j->idle.timer);
	timer_stop(&j->whole.timer);
	j->broken = true;
	j->pool->joined = NULL;
	srv = joint_member_server_(j);
	if (srv && srv->spoiled && joint_server_(j))
		joint_server_(j)->spoiled = true;
	if (srv)
		server_close(srv, "the scope has ended");
	stream_close(&j->front);
	list_remove(&j->site->joints, &j->node);
	f->own.lease.ops = j->site->ops->lease;
	f->kind = SCOPE_TRANSACTION;
	f->joint = NULL;
	f->joinable = false;
	if (f->own.lease.state == LEASE_HELD)
		stream_resume(&f->own.lease.srv->stream);
	loop_defer(j->site->loop, free_joint, j);
}

/* ---- who is in ---- */

const struct joint *
joint_of(const struct pool *pool)
{
	return pool && pool->joined ? pool->joined->arg : NULL;
}

struct pool *
joint_pool(const struct session *s, struct pool *pool)
{
	const struct joint *j = joint_of(s->pool);
	const struct scope *f;

	if (s->rare->stack)
		for (f = stack_innermost(s->rare->stack); f; f = stack_outside(s->rare->stack, f))
			if (f->kind == SCOPE_JOINT && !f->joint->closing &&
			    (f->joint->pool->of_scope == pool || f->joint->pool == pool))
				return f->joint->pool;
	return j && j->pool->of_scope == pool ? j->pool : pool;
}

struct pool *
joint_current(const struct session *s, struct pool *pool)
{
	const struct scope *f;

	if (s->rare->stack)
		for (f = stack_innermost(s->rare->stack); f; f = stack_outside(s->rare->stack, f))
			if (f->kind == SCOPE_JOINT && !f->joint->closing)
				return f->joint->pool;
	return pool;
}

struct pool *
joint_real(struct pool *pool)
{
	while (joint_of(pool))
		pool = pool->of_scope;
	return pool;
}

static bool
is_token(const struct joint *j, const char *at)
{
	return CRYPTO_memcmp(j->token, at, JOINT_TOKEN) == 0;
}

static struct joint *
find_token(const struct site *site, const char *at, size_t bytes)
{
	struct list_node *n;

	if (bytes != JOINT_TOKEN)
		return NULL;
	LIST_EACH (n, &site->joints) {
		struct joint *j = LIST_OBJ(n, struct joint, node);

		if (!j->closing && !j->broken && is_token(j, at))
			return j;
	}
	return NULL;
}

bool
joint_join(struct session *s, const char *tokens, struct err *e)
{
	unsigned count = 0;

	for (const char *at = tokens; *at && count < TOKENS_MAX;) {
		size_t bytes = strcspn(at, ",");
		struct joint *j = find_token(s->site, at, bytes);

		count += bytes == JOINT_TOKEN;

		at += bytes + (at[bytes] == ',');
		if (j == NULL || joint_real(j->pool->of_scope) != s->pool)
			continue;
		if (s->peer.uid != 0 && s->peer.uid != j->owner->peer.uid)
			continue;
		s->pool = j->pool;
		j->joins++;
		s->context.mode = CONF_TRANSACTION;
		s->context.listens = false;
		log_info("session", s->id, "joined", LOG_TEXT("scope", j->frame->name),
			 LOG_NUMBER("owner", j->owner->id));
		return true;
	}
	err_make(e, ERR_JOIN_TOKEN, s->pool->conf->name);
	return false;
}

const char *
joint_token(const struct scope *f)
{
	return f->joint->token;
}

unsigned
joint_members(const struct scope *f)
{
	const struct joint *j = f->joint;
	const struct list_node *n;
	unsigned count = 0;

	for (int i = 0; i < SESSION_CLOSING; i++)
		LIST_EACH (n, &j->site->in_state[i])
			count += LIST_OBJ(n, const struct session, node)->pool == j->pool;
	return count;
}

uint64_t
joint_joins(const struct scope *f)
{
	return f->joint->joins;
}

uint64_t
joint_outside(const struct scope *f, const char **outsider)
{
	*outsider = f->joint->outside ? f->joint->outsider : NULL;
	return f->joint->outside;
}

const char *
joint_joined(const struct session *s, uint64_t *owner)
{
	const struct joint *j = joint_of(s->pool);

	if (j == NULL)
		return NULL;
	*owner = j->owner->id;
	return j->frame->name;
}
