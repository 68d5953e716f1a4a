#include "executor/joint_outside.h"

#include <stdio.h>

#include "base/log.h"
#include "executor/joint_inside.h"
#include "scope/stack.h"

#define DEPTH_MAX 64 /* how many processes one behind the other are looked at */

/* The parent of a process, its parent, and so on, but for process 1. Returns how many. What the
 * system does not tell ends it. */
static unsigned
ancestors(pid_t pid, pid_t *out)
{
	unsigned n = 0;

	while (n < DEPTH_MAX && (pid = peer_parent(pid)) > 1)
		out[n++] = pid;
	return n;
}

/* Was the session's process started by that of the owner? */
static bool
is_below(const struct joint *j, const pid_t *pids, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (pids[i] == j->owner->peer.pid)
			return true;
	return false;
}

static void
count(struct joint *j, const struct session *s)
{
	char program[32];

	if (!peer_program(s->peer.pid, program, sizeof program))
		snprintf(program, sizeof program, "a program");
	if (j->outside++ == 0)
		snprintf(j->outsider, sizeof j->outsider, "%s (pid %d)", program, (int)s->peer.pid);
	log_info("session", s->id, "works outside of the joined scope",
		 LOG_TEXT("scope", j->frame->name), LOG_NUMBER("owner", j->owner->id),
		 LOG_NUMBER("pid", s->peer.pid), LOG_QUOTED("program", program));
}

void
joint_outside_note_(struct session *s)
{
	pid_t pids[DEPTH_MAX];
	struct list_node *n;
	unsigned depth;

	if (joint_of(s->pool))
		return;
	s->peer.marks |= PEER_PLACED;
	depth = ancestors(s->peer.pid, pids);
	LIST_EACH (n, &s->site->joints) {
		struct joint *j = LIST_OBJ(n, struct joint, node);

		if (!j->closing && !j->broken && is_below(j, pids, depth))
			count(j, s);
	}
}
