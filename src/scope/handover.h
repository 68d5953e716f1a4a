/* handover: stacks, locks and times of scopes, from one process to the next. */
#ifndef PGWITH_SCOPE_HANDOVER_H
#define PGWITH_SCOPE_HANDOVER_H

#include "base/pack.h"
#include "pool/handover.h"
#include "scope/grammar.h"
#include "scope/lock.h"
#include "scope/stack.h"
#include "scope/timing.h"

/* A list of struct deferred. */
void deferred_list_pack(struct pack *, struct list *);

/* NULL too. */
void grammar_pack(struct pack *, struct grammar **);

/* The frames; `own` is the lease of the session, which is not a part of it. Reading: timers of
 * deadlines and holds of locks are the caller's to begin again. Returns false if a frame has lost
 * its server or its pool. */
bool stack_pack(struct pack *, struct handed_pools *, struct stack *, struct lease *own,
		const struct lease_ops *, void *session, uint64_t id);

/* The frame at a place of the stack, from 0; NULL if there is none. And the place of a frame. */
struct scope *stack_at(const struct stack *, uint32_t place);
uint32_t stack_place(const struct stack *, const struct scope *);
#define STACK_NOWHERE UINT32_MAX

/* All locks with who holds them and who waits, each in its order. */
struct locks_ties {
	/* The stack of a session, or NULL. */
	struct stack *(*stack)(void *arg, uint64_t session);
	const struct lock_ops *ops;
	void *arg;
};
void locks_pack(struct pack *, struct locks *, const struct locks_ties *);

void timing_pack(struct pack *, struct timing *);

#endif
