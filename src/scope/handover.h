/* handover: packs stacks, locks and timings of scopes for the next process, and unpacks them there:
 * each function does both (pack.h). */
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

/* *out may be NULL. */
void grammar_pack(struct pack *, struct grammar **);

/* Packs the frames. `own` is the session's lease, which is packed elsewhere. When reading, the
 * caller has to start the timers of deadlines again, and locks_pack() the holds of locks. Returns
 * false if a frame has lost its server or its pool. */
bool stack_pack(struct pack *, struct handed_pools *, struct stack *, struct lease *own,
		const struct lease_ops *, void *session, uint64_t id);

/* The frame at a place in the stack, from 0 for the outermost, or NULL; and the place of a frame,
 * or STACK_NOWHERE. */
struct scope *stack_at(const struct stack *, uint32_t place);
uint32_t stack_place(const struct stack *, const struct scope *);
#define STACK_NOWHERE UINT32_MAX

/* What locks_pack() must know about sessions, whose frames have the holds. */
struct locks_ties {
	/* Returns the stack of a session, or NULL. */
	struct stack *(*stack)(void *arg, uint64_t session);
	const struct lock_ops *ops;
	void *arg;
};
/* Packs all locks, with their holders and waiters in their orders. To be called after stack_pack()
 * for all sessions, as reading fills in the holds in their frames. */
void locks_pack(struct pack *, struct locks *, const struct locks_ties *);

void timing_pack(struct pack *, struct timing *);

#endif
