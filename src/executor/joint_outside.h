/* joint_outside: sessions that were expected to join a scope, and work outside of it: their
 * processes were started by the process of the scope's owner, or by those that it has started. */
#ifndef PGWITH_EXECUTOR_JOINT_OUTSIDE_H
#define PGWITH_EXECUTOR_JOINT_OUTSIDE_H

#include "base/list.h"
#include "session/session.h"
#include "session/site.h"

/* For joint_outside_note() alone. */
void joint_outside_note_(struct session *);

/* The session asks for a server. If it has joined no scope, it is counted by all scopes that it
 * should have joined, once. Reads a few small files of /proc the first time, if there is any scope
 * that can be joined. */
static inline void
joint_outside_note(struct session *s)
{
	if (__builtin_expect(s->site->joints.count > 0, false) &&
	    !(s->peer.marks & (PEER_PLACED | PEER_INSIDE)))
		joint_outside_note_(s);
}

#endif
