#include "executor/joint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <openssl/crypto.h>

#include "base/mem.h"
#include "executor/joint_cancel.h"
#include "executor/joint_context.h"
#include "executor/joint_inside.h"
#include "executor/joint_limits.h"
#include "executor/joint_relay.h"
#include "pool/pool.h"
#include "scope/stack.h"
#include "session/end.h"
#include "session/holds.h"
#include "session/site.h"

#define TOKENS_MAX 64 /* that one statement or login can give */

static void
member_idle(void *arg)
{
	struct joint *j = arg;

	if (j->closing)
		session_wake(j->owner);
}

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
	joint_start_limits_(j);
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
	j->frame->own.lease.ops = &joint_lease_ops_;
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

	if (!make_token(j, &random) || (fd = joint_make_front_(j)) < 0) {
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
	joint_send_unit_(j);
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

	joint_lose_(j, "its members could not be ended in time");
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
	joint_end_members_(j, ERR_JOINED_ENDED, outcome);
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
