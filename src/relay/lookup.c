#include "relay/lookup.h"

#include <stdlib.h>

#include "base/idmap.h"
#include "base/log.h"
#include "base/mem.h"
#include "executor/enter.h"
#include "relay/login.h"
#include "session/session.h"
#include "session/site.h"
#include "session/users.h"

static void
answer_session(struct session *s, struct user *user)
{
	struct err e;

	if (s->state != SESSION_LOOKUP && s->state != SESSION_SCOPE)
		return;
	if (user->problem) {
		err_make(&e, ERR_USER_LOOKUP, (unsigned)s->peer.uid, user->problem);
		if (s->state == SESSION_LOOKUP)
			login_not_looked_up(s, &e);
		else
			enter_not_looked_up(s, &e);
		err_clear(&e);
		return;
	}
	user_drop(s->peer.user);
	s->peer.user = user_keep(user);
	if (s->state == SESSION_LOOKUP)
		login_looked_up(s);
	else
		enter_looked_up(s);
}

static bool
waits_for_user(const struct session *s, uid_t uid)
{
	return s->peer.uid == uid && (s->state == SESSION_LOOKUP || enter_looks_up(s));
}

void
lookup_told(void *arg, struct user *user)
{
	struct site *site = arg;
	static const enum session_state states[] = {SESSION_LOOKUP, SESSION_SCOPE};
	uint64_t *ids = mem_calloc(site_sessions(site) + 1, sizeof *ids);
	struct list_node *n;
	size_t count = 0;

	if (user->problem)
		log_warnx("pgwithd", LOG_ALONE, "the system does not tell who a user is",
			  LOG_NUMBER("uid", user->uid), LOG_QUOTED("why", user->problem));
	/* Going on with one changes the lists and may end others: ids are collected first. */
	for (unsigned i = 0; i < sizeof states / sizeof *states; i++)
		LIST_EACH (n, &site->in_state[states[i]]) {
			const struct session *s = LIST_OBJ(n, const struct session, node);

			if (waits_for_user(s, user->uid))
				ids[count++] = s->id;
		}
	for (size_t i = 0; i < count; i++) {
		struct session *s = idmap_get(&site->sessions, ids[i]);

		if (s && waits_for_user(s, user->uid))
			answer_session(s, user);
	}
	free(ids);
}
