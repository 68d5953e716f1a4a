#include "session/expiry.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/pack.h"
#include "base/units.h"
#include "session/session.h"

const char *
expiry_option(enum err_id why)
{
	return why == ERR_SCOPE_IDLE     ? "idle_in_scope_timeout"
	       : why == ERR_SCOPE_QUERY  ? "query_timeout"
	       : why == ERR_SCOPE_KILLED ? "killed"
					 : "scope_deadline";
}

struct expiry *
expiry_of(struct session *s)
{
	if (s->rare->expiry == NULL)
		session_rare(s)->expiry = mem_calloc(1, sizeof *s->rare->expiry);
	return s->rare->expiry;
}

void
expiry_pack(struct pack *p, struct session *s)
{
	bool there = s->rare->expiry != NULL;
	struct expiry *x;

	PACK(p, there);
	if (!there)
		return;
	x = expiry_of(s);
	PACK(p, x->expire_us);
	PACK(p, x->cancel_us);
	PACK(p, x->forced);
	PACK(p, x->own_cancel);
}

void
expiry_error(const struct pool *pool, enum err_id why, struct err *e)
{
	const struct conf_pool *conf = pool->conf;
	char limit[32], text[128];

	switch (why) {
	case ERR_SCOPE_IDLE:
		snprintf(text, sizeof text,
			 "no statement came for longer than idle_in_scope_timeout, %s",
			 units_duration_str(conf->idle_in_scope_timeout_us, limit, sizeof limit));
		break;
	case ERR_SCOPE_QUERY:
		snprintf(text, sizeof text, "a statement took longer than query_timeout, %s",
			 units_duration_str(conf->query_timeout_us, limit, sizeof limit));
		break;
	case ERR_SCOPE_KILLED:
		snprintf(text, sizeof text, "an administrator has ended it");
		break;
	default:
		snprintf(text, sizeof text, "it lasted longer than scope_deadline, %s",
			 units_duration_str(conf->scope_deadline_us, limit, sizeof limit));
	}
	err_make(e, ERR_TRANSACTION_EXPIRED, text);
}
