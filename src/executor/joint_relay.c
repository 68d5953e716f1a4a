#include "executor/joint_relay.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "executor/joint_cancel.h"
#include "executor/joint_limits.h"
#include "scope/unit_member.h"
#include "scope/unit_server.h"
#include "session/end.h"
#include "session/site.h"
#include "wire/frame.h"
#include "wire/msg.h"
#include "wire/sqltext.h"

#define PART_MAX  (128u * 1024)  /* bytes that are written at once: a stream queues more */
#define IN_MAX    (1024u * 1024) /* bytes of a member that wait, unless they are one message */
#define NAMES_MAX (64u * 1024)   /* bytes of the names in a long Bind */
#define ERROR_MAX (64u * 1024)   /* bytes of an error that are looked at */

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

void
joint_end_members_(struct joint *j, enum err_id id, const char *why)
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

void
joint_lose_(struct joint *j, const char *why)
{
	struct session *s = j->owner;
	struct err e;

	if (j->broken)
		return;
	j->broken = true;
	log_warnx("session", s->id, "joined scope lost", LOG_TEXT("name", j->frame->name),
		  LOG_QUOTED("why", why));
	joint_end_members_(j, ERR_JOINED_LOST, why);
	err_make(&e, ERR_JOINED_LOST, j->frame->name, why);
	session_fail(s, &e);
	err_clear(&e);
}

static void front_readable(struct stream *, void *arg);
static void front_drained(struct stream *, void *arg);
static bool front_hangup(struct stream *, void *arg);

static const struct stream_ops front_ops = {
    .readable = front_readable, .drained = front_drained, .hangup = front_hangup};

void
joint_set_front_(struct joint *j, int fd)
{
	stream_init(&j->front, j->site->loop, fd, FRONT_QUEUE_MAX, &front_ops, j);
}

int
joint_make_front_(struct joint *j)
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
		joint_send_unit_(j);
		return;
	}
	j->restarted = false;
	fd = joint_make_front_(j);
	if (fd < 0) {
		joint_lose_(j, strerror(errno));
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
		joint_lose_(j, "too much is queued for a member");
	buf_reset(reply);
}

bool
joint_send_unit_(struct joint *j)
{
	struct unit *u = &j->unit;

	if (u->broken) {
		joint_lose_(j, u->broken);
		return false;
	}
	if (u->out.failed || u->reply.failed) {
		joint_lose_(j, "too much has to be sent for it");
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
		joint_end_member_(j, sqlstate, why);
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
	if (!joint_send_unit_(j) || v == UNIT_HOLD)
		return false;
	if (v == UNIT_END) {
		joint_end_member_(
		    j, "08P01", "terminating connection because protocol synchronization was lost");
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
		joint_send_unit_(j);
		return false;
	}
	j->tidied = false;
	if (!unit_is_idle(&j->unit))
		j->pool->litterer = 0;
	return true;
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
	joint_keep_limits_(j);
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
	if (joint_send_unit_(j))
		joint_go_on_(j);
	if (j->closing)
		session_wake(j->owner);
}

void
joint_end_member_(struct joint *j, const char *sqlstate, const char *why)
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
		joint_lose_(j, "too much has come from a member");
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

static void
tell_member(struct joint *j, const uint8_t *data, size_t bytes)
{
	if (bytes > 0 && !j->broken && stream_open(&j->front) &&
	    stream_write(&j->front, data, bytes) < 0)
		joint_lose_(j, "too much is queued for a member");
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
		joint_lose_(j, "the server has sent a message of an impossible length");
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
		joint_send_unit_(j);
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
		joint_lose_(j, "the server has sent a message that is too long");
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
		joint_lose_(j, why);
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
describe(const struct lease *l, char *out, size_t out_size)
{
	const struct joint *j = joint_of_lease(l);

	session_describe(j->owner, out, out_size);
}

static void
ended(struct lease *l, struct todo *done, bool broken)
{
}

const struct lease_ops joint_lease_ops_ = {
    .readable = real_readable,
    .drained = real_drained,
    .lost = real_lost,
    .cancels_ended = cancels_ended,
    .ended = ended,
    .describe = describe,
};
