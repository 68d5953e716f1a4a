/* joint_inside: what executor/joint*.c share. */
#ifndef PGWITH_EXECUTOR_JOINT_INSIDE_H
#define PGWITH_EXECUTOR_JOINT_INSIDE_H

#include "base/list.h"
#include "executor/joint.h"
#include "loop/stream.h"
#include "loop/timer.h"
#include "pool/lease.h"
#include "pool/pool.h"
#include "scope/stack.h"
#include "scope/unit.h"
#include "session/session.h"

#define FRONT_QUEUE_MAX (4u * 1024 * 1024) /* bytes towards a member that may be queued */

/* A time that a member may take. */
struct joint_limit {
	struct timer timer;
	uint64_t since, ms; /* what it has been started for */
};

struct joint {
	struct list_node node; /* in site->joints */
	struct site *site;
	struct session *owner;
	struct scope *frame;
	struct pool *pool; /* of the members */
	struct pool_joined joined;
	char token[JOINT_TOKEN + 1];
	struct stream front; /* our end of the socket pair */
	struct unit unit;
	uint64_t joins;       /* sessions that have ever joined it */
	uint64_t outside;     /* joint_outside.h: those that should have, and work outside */
	char outsider[64];    /* the program of the first of them */
	struct buf in;        /* of the member: messages that are not whole, or have to wait */
	uint32_t passing;     /* bytes of a message of the member that are still to be passed on */
	bool passing_dropped; /* they are dropped instead */
	struct buf back;      /* of the server: a message that is not whole, or a part of it */
	uint32_t returning;   /* bytes of a message of the server, likewise */
	bool returning_dropped;
	bool incomplete;    /* `in` begins with a message of which more must come */
	uint32_t out_left;  /* bytes of the unit's message that are still to be sent, of its out */
	uint64_t cancelled; /* id of the members' server that a cancel is under way for; or 0 */
	/* The same, if the cancel is still to be sent, or 0; and who has asked for it. */
	uint64_t due, due_requester;
	struct joint_limit idle, whole; /* of the member: unit_idle_limit_ms() and its neighbour */
	struct timer limit;             /* closing: the time that it may take */
	bool tidied;        /* temporary objects of members that are gone have just been dropped */
	uint64_t littering; /* id of a session that was found to have some, or 0 */
	bool restarted;     /* a new server for the members may be made */
	bool closing;       /* members are being ended */
	bool broken;        /* the unit, or the member's end, has broken off */
};

/* PostgreSQL's, or NULL if it is lost. */
static inline struct server *
joint_server_(const struct joint *j)
{
	return j->frame->own.lease.srv;
}

/* The members', or NULL: they have none. */
struct server *joint_member_server_(const struct joint *);
/* Makes one without its front, token and pool. */
struct joint *joint_new_(struct session *, struct scope *);
/* Gives it its end of the socket pair. */
void joint_set_front_(struct joint *, int fd);
/* The pool is its members' from now on, and the lease of its frame and the unit, which has been
 * begun or read, have its callbacks. */
void joint_take_(struct joint *, struct pool *);
/* Handles what has come from the member, as far as that is possible now. */
void joint_go_on_(struct joint *);

#endif
