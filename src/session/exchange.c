#include "session/exchange.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "wire/frame.h"
#include "wire/msg.h"

#define TO(state) (1u << (state))

static const struct {
	const char *name;
	unsigned next;
} states[EXCHANGE_NSTATES] = {
    [EXCHANGE_ASKED] = {"asked", TO(EXCHANGE_CHOSEN) | TO(EXCHANGE_FETCHING) | TO(EXCHANGE_WRONG) |
				     TO(EXCHANGE_BROKEN)},
    [EXCHANGE_CHOSEN] = {"chosen",
			 TO(EXCHANGE_FETCHING) | TO(EXCHANGE_WRONG) | TO(EXCHANGE_BROKEN)},
    [EXCHANGE_FETCHING] = {"fetching", TO(EXCHANGE_CHALLENGED)},
    [EXCHANGE_CHALLENGED] = {"challenged",
			     TO(EXCHANGE_PROVED) | TO(EXCHANGE_WRONG) | TO(EXCHANGE_BROKEN)},
    [EXCHANGE_PROVED] = {"proved", 0},
    [EXCHANGE_WRONG] = {"wrong", 0},
    [EXCHANGE_BROKEN] = {"broken", 0},
};

const char *
exchange_state_name(enum exchange_state state)
{
	return states[state].name;
}

void
exchange_set_state(struct exchange *x, enum exchange_state to)
{
	if (!(states[x->state].next & TO(to)))
		log_fatal("exchange", LOG_ALONE, "illegal move",
			  LOG_MOVE(states[x->state].name, states[to].name),
			  LOG_NUMBER("session", x->session));
	log_debug("session", x->session, "exchange",
		  LOG_MOVE(states[x->state].name, states[to].name));
	x->state = (uint8_t)to;
}

void
exchange_begin(struct exchange *x, uint64_t session, struct buf *out)
{
	/* The list of mechanisms ends with an empty name. */
	static const char mechanisms[] = SCRAM_MECHANISM "\0";

	*x = (struct exchange){.state = EXCHANGE_ASKED, .session = session};
	msg_auth(out, MSG_AUTH_SASL, mechanisms, sizeof mechanisms);
}

/* ---- what is refused ---- */

static void
refuse(struct exchange *x, struct err *e, const char *message, const char *detail)
{
	err_make(e, ERR_SASL, message);
	if (detail)
		err_detail(e, "%s", detail);
	exchange_set_state(x, EXCHANGE_BROKEN);
}

static void
refuse_message(struct exchange *x, const struct scram_problem *p, struct err *e)
{
	if (p->unsupported) {
		err_make(e, ERR_SASL_UNSUPPORTED, p->message);
		exchange_set_state(x, EXCHANGE_BROKEN);
	} else {
		refuse(x, e, p->message, *p->detail ? p->detail : NULL);
	}
}

void
exchange_refuse_type(struct exchange *x, uint8_t type, struct err *e)
{
	char text[64];

	snprintf(text, sizeof text, "expected SASL response, got message type %u", type);
	refuse(x, e, text, NULL);
}

void
exchange_refuse_length(struct exchange *x)
{
	exchange_set_state(x, EXCHANGE_WRONG);
}

/* ---- the messages of SCRAM ---- */

static void
read_first(struct exchange *x, const char *text, struct err *e)
{
	struct scram_first first;
	struct scram_problem p;

	if (scram_read_first(text, &first, &p) < 0) {
		refuse_message(x, &p, e);
		return;
	}
	x->flag = first.flag;
	snprintf(x->bare, sizeof x->bare, "%s", first.bare);
	memcpy(x->nonce, first.nonce, first.nonce_bytes);
	x->nonce_bytes = first.nonce_bytes;
	exchange_set_state(x, EXCHANGE_FETCHING);
}

void
exchange_challenge(struct exchange *x, const struct verifier *v, struct buf *out)
{
	char salt[SCRAM_ENCODED(VERIFIER_SALT_MAX)];
	uint8_t nonce[SCRAM_NONCE];

	x->verifier = *v;
	verifier_random(nonce, sizeof nonce);
	scram_encode(nonce, sizeof nonce, x->nonce + x->nonce_bytes);
	x->nonce_bytes += SCRAM_ENCODED(sizeof nonce) - 1;
	scram_encode(v->salt, v->salt_bytes, salt);
	snprintf(x->challenge, sizeof x->challenge, "r=%s,s=%s,i=%u", x->nonce, salt,
		 (unsigned)v->iterations);
	msg_auth(out, MSG_AUTH_CONTINUE, x->challenge, strlen(x->challenge));
	exchange_set_state(x, EXCHANGE_CHALLENGED);
}

/* Our last message, by which the client knows that we know the verifier. */
static void
add_signature(const uint8_t signature[SCRAM_KEY], struct buf *out)
{
	char text[2 + SCRAM_ENCODED(SCRAM_KEY)] = "v=";

	scram_encode(signature, SCRAM_KEY, text + 2);
	msg_auth(out, MSG_AUTH_FINAL, text, strlen(text));
}

static void
read_final(struct exchange *x, const char *text, struct buf *out, struct err *e)
{
	uint8_t signature[SCRAM_KEY];
	struct scram_final final;
	struct scram_problem p;
	struct buf message;
	bool right;

	if (scram_read_final(text, x->flag, &final, &p) < 0) {
		refuse_message(x, &p, e);
		return;
	}
	if (final.nonce_bytes != x->nonce_bytes ||
	    memcmp(final.nonce, x->nonce, x->nonce_bytes) != 0) {
		refuse(x, e, "invalid SCRAM response", "Nonce does not match.");
		return;
	}
	buf_init(&message, EXCHANGE_OUT_MAX);
	buf_add_fmt(&message, "%s,%s,%.*s", x->bare, x->challenge, (int) final.without_proof, text);
	right =
	    verifier_prove(&x->verifier, buf_data(&message), message.len, final.proof, signature);
	buf_clear(&message);
	exchange_set_state(x, right ? EXCHANGE_PROVED : EXCHANGE_WRONG);
	if (right)
		add_signature(signature, out);
	explicit_bzero(&final, sizeof final);
}

/* ---- around them, those of SASL ---- */

static void
read_payload(struct exchange *x, const uint8_t *payload, size_t bytes, struct buf *out,
	     struct err *e)
{
	static const char malformed[] = "malformed SCRAM message";
	char text[SCRAM_MESSAGE_MAX + 1];

	if (bytes == 0) {
		refuse(x, e, malformed, "The message is empty.");
		return;
	}
	if (memchr(payload, 0, bytes)) {
		refuse(x, e, malformed, "Message length does not match input length.");
		return;
	}
	memcpy(text, payload, bytes);
	text[bytes] = 0;
	if (x->state == EXCHANGE_CHALLENGED)
		read_final(x, text, out, e);
	else
		read_first(x, text, e);
	explicit_bzero(text, sizeof text);
}

/* SASLInitialResponse: the name of a mechanism, and maybe its first message. */
static void
read_choice(struct exchange *x, const uint8_t *body, size_t bytes, struct buf *out, struct err *e)
{
	size_t name = strnlen((const char *)body, bytes), left;
	uint32_t length;

	if (name == bytes) {
		refuse(x, e, "invalid string in message", NULL);
		return;
	}
	if (strcmp((const char *)body, SCRAM_MECHANISM) != 0) {
		refuse(x, e, "client selected an invalid SASL authentication mechanism", NULL);
		return;
	}
	body += name + 1;
	left = bytes - name - 1;
	length = left < 4 ? 0 : frame_u32(body);
	if (left < 4 || (length != UINT32_MAX && length > left - 4)) {
		refuse(x, e, "insufficient data left in message", NULL);
		return;
	}
	if (left - 4 != (length == UINT32_MAX ? 0 : length)) {
		refuse(x, e, "invalid message format", NULL);
		return;
	}
	if (length == UINT32_MAX) {
		msg_auth(out, MSG_AUTH_CONTINUE, "", 0);
		exchange_set_state(x, EXCHANGE_CHOSEN);
	} else {
		read_payload(x, body + 4, length, out, e);
	}
}

void
exchange_read(struct exchange *x, const uint8_t *body, size_t bytes, struct buf *out, struct err *e)
{
	if (x->state == EXCHANGE_ASKED)
		read_choice(x, body, bytes, out, e);
	else
		read_payload(x, body, bytes, out, e);
}
