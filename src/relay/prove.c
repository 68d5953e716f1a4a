#include "relay/prove.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/idmap.h"
#include "base/log.h"
#include "base/mem.h"
#include "relay/login.h"
#include "session/end.h"
#include "session/failures.h"
#include "session/passwords.h"
#include "session/proof.h"
#include "session/reply.h"
#include "session/site.h"

static bool
is_proving(const struct session *s, enum exchange_state state)
{
	return s->state == SESSION_PASSWORD && s->rare->proof->exchange.state == state;
}

/* Is a message of the client awaited? */
static bool
awaits_client(const struct session *s)
{
	return is_proving(s, EXCHANGE_ASKED) || is_proving(s, EXCHANGE_CHOSEN) ||
	       is_proving(s, EXCHANGE_CHALLENGED);
}

static void
fail(struct session *s, struct err *e)
{
	proof_stop(s);
	s->site->refused++;
	session_fail(s, e);
	err_clear(e);
}

/* ---- a wrong password ---- */

static void
refuse(void *session)
{
	struct session *s = session;
	struct err e;

	if (s->state != SESSION_PASSWORD)
		return;
	err_make(&e, ERR_PASSWORD, s->peer.role);
	fail(s, &e);
}

static void
refuse_later(struct session *s)
{
	struct site *site = s->site;
	char room[FAILURES_PROGRAM];
	const char *program = peer_program(s->peer.pid, room, sizeof room);

	log_info_often("session", s->id, "wrong password", LOG_TEXT("role", s->peer.role),
		       LOG_NUMBER("uid", s->peer.uid), LOG_NUMBER("pid", s->peer.pid),
		       LOG_TEXT("program", program ? program : ""));
	failures_add(&site->failures, s->peer.uid, s->peer.role, s->peer.pid, program, time(NULL));
	passwords_doubt(site->passwords, s->peer.role);
	if (site->delayed.count >= PROVE_DELAYED_MAX)
		refuse(LIST_OBJ(list_first(&site->delayed), struct proof, delayed)->session);
	session_begins_to_wait(s);
	list_append(&site->delayed, &s->rare->proof->delayed);
	timer_start(&s->rare->proof->delay, site->conf->auth_delay_us);
}

void
prove_hurry(struct site *site)
{
	struct list_node *n;

	while ((n = list_first(&site->delayed)) != NULL)
		refuse(LIST_OBJ(n, struct proof, delayed)->session);
}

void
prove_too_late(struct session *s)
{
	struct err e;

	if (is_proving(s, EXCHANGE_WRONG))
		err_make(&e, ERR_PASSWORD, s->peer.role);
	else
		err_make(&e, ERR_PASSWORD_TIMEOUT);
	fail(s, &e);
}

/* ---- the exchange ---- */

static void
challenge(struct session *s, const struct verifier *v)
{
	struct buf out;

	buf_init(&out, EXCHANGE_OUT_MAX);
	exchange_challenge(&s->rare->proof->exchange, v, &out);
	reply_send_buf(s, &out);
	buf_clear(&out);
}

static void
fetch(struct session *s)
{
	struct verifier v;
	struct err e;
	int r = passwords_find(s->site->passwords, s->site->conf, s->peer.role, &v);

	if (r == 0) {
		challenge(s, &v);
		explicit_bzero(&v, sizeof v);
	} else if (r == -E_AGAIN) {
		session_begins_to_wait(s);
	} else {
		log_info_often("session", s->id, "the passwords of too many roles are asked for",
			       LOG_TEXT("role", s->peer.role));
		err_make(&e, ERR_PASSWORD_UNKNOWN, s->peer.role);
		fail(s, &e);
	}
}

/* What the client has sent behind its last message is kept for when it is in. */
static void
keep_rest(struct session *s)
{
	struct proof *p = s->rare->proof;
	struct buf behind;

	if (p->have == 0)
		return;
	buf_init(&behind, s->in->len);
	buf_add(&behind, buf_data(s->in), s->in->len);
	session_drop_kept(s, s->in->len);
	buf_add(session_keep(s), p->in, p->have);
	buf_add(session_keep(s), buf_data(&behind), behind.len);
	buf_clear(&behind);
}

/* Does what the new state of the exchange asks for. `e` is its error, if it is BROKEN. */
static void
go_on(struct session *s, struct err *e)
{
	switch ((enum exchange_state)s->rare->proof->exchange.state) {
	case EXCHANGE_FETCHING:
		fetch(s);
		return;
	case EXCHANGE_PROVED:
		s->site->failures.proved++;
		keep_rest(s);
		proof_free(s);
		login_proved(s);
		return;
	case EXCHANGE_WRONG:
		refuse_later(s);
		return;
	case EXCHANGE_BROKEN:
		fail(s, e);
		return;
	default:
		return;
	}
}

/* Handles the message that p->in begins with, if enough of it is here. Returns false if not. */
static bool
handle_message(struct session *s)
{
	struct proof *p = s->rare->proof;
	uint32_t length = p->have < FRAME_HEADER ? 0 : frame_u32(p->in + 1);
	struct buf out;
	struct err e;

	if (p->have == 0)
		return false;
	buf_init(&out, EXCHANGE_OUT_MAX);
	if (p->in[0] != 'p') {
		exchange_refuse_type(&p->exchange, p->in[0], &e);
	} else if (p->have < FRAME_HEADER) {
		return false;
	} else if (length < 4 || length > SCRAM_MESSAGE_MAX) {
		exchange_refuse_length(&p->exchange);
	} else if (p->have < 1 + length) {
		return false;
	} else {
		exchange_read(&p->exchange, p->in + FRAME_HEADER, length - 4, &out, &e);
		p->have -= 1 + length;
		memmove(p->in, p->in + 1 + length, p->have);
		reply_send_buf(s, &out);
	}
	buf_clear(&out);
	if (s->state == SESSION_PASSWORD)
		go_on(s, &e);
	return true;
}

/* Handles what the client has sent already, as far as it can be handled now. */
static void
handle_kept(struct session *s)
{
	do {
		struct proof *p = s->rare->proof;
		size_t n = sizeof p->in - p->have;

		if (n > s->in->len)
			n = s->in->len;
		if (n > 0) {
			memcpy(p->in + p->have, buf_data(s->in), n);
			p->have += n;
			session_drop_kept(s, n);
		}
	} while (handle_message(s) && awaits_client(s));
}

void
prove_readable(struct session *s)
{
	struct proof *p = s->rare->proof;
	ssize_t r;

	if (!awaits_client(s))
		return;
	r = stream_read(&s->stream, p->in + p->have, sizeof p->in - p->have);
	if (r == -E_AGAIN)
		return;
	if (r <= 0) {
		session_close(s, CLEANUP_CLIENT_GONE, "client gone");
		return;
	}
	p->have += (size_t)r;
	handle_kept(s);
}

void
prove_begin(struct session *s)
{
	struct buf out;

	session_set_state(s, SESSION_PASSWORD);
	stream_resume(&s->stream);
	buf_init(&out, EXCHANGE_OUT_MAX);
	exchange_begin(&proof_new(s, refuse)->exchange, s->id, &out);
	reply_send_buf(s, &out);
	buf_clear(&out);
	if (awaits_client(s))
		handle_kept(s);
}

static bool
waits_for_role(const struct session *s, const char *role)
{
	return is_proving(s, EXCHANGE_FETCHING) && strcmp(s->peer.role, role) == 0;
}

void
prove_told(void *arg, const char *role, const struct verifier *v)
{
	struct site *site = arg;
	uint64_t *ids = mem_calloc(site->in_state[SESSION_PASSWORD].count + 1, sizeof *ids);
	struct list_node *n;
	size_t count = 0;

	/* Going on with one changes the list: ids are collected first. */
	LIST_EACH (n, &site->in_state[SESSION_PASSWORD])
		if (waits_for_role(LIST_OBJ(n, const struct session, node), role))
			ids[count++] = LIST_OBJ(n, const struct session, node)->id;
	for (size_t i = 0; i < count; i++) {
		struct session *s = idmap_get(&site->sessions, ids[i]);
		struct err e;

		if (s == NULL || !waits_for_role(s, role))
			continue;
		if (v == NULL) {
			err_make(&e, ERR_PASSWORD_UNKNOWN, role);
			fail(s, &e);
			continue;
		}
		challenge(s, v);
		if (s->state != SESSION_PASSWORD)
			continue;
		stream_resume(&s->stream);
		handle_kept(s);
	}
	free(ids);
}
