/* passwords: what proves the passwords of roles: from auth_file, or asked of a pool (auth_query).
 * A password that stands in clear there is made a verifier by a thread, since that takes some
 * milliseconds. A role that nobody knows has a verifier, too, which nothing satisfies: what a
 * client can see of it is the same. */
#ifndef PGWITH_SESSION_PASSWORDS_H
#define PGWITH_SESSION_PASSWORDS_H

#include <stdint.h>

#include "base/pack.h"
#include "conf/conf.h"
#include "conf/verifier.h"
#include "loop/threads.h"

#define PASSWORDS_KEPT  1000 /* answers of auth_query */
#define PASSWORDS_ASKED 1000 /* roles that are asked for at the same time; more are refused */

struct passwords;

/* What happens above. */
struct passwords_ops {
	/* Asks the pool auth_pool for the role's secret; passwords_answer() is called later, never
	 * within this call, with the number of the question. After a reload the same role may be
	 * asked for while an older question is under way. */
	void (*ask)(void *arg, const char *role, uint64_t number);
	/* passwords_find() had no answer for the role; here it is. NULL: there is none, since
	 * something went wrong, which has been logged. */
	void (*told)(void *arg, const char *role, const struct verifier *);
};

struct passwords *passwords_new(struct loop *, struct threads *, const struct passwords_ops *,
				void *arg);
/* Waits until no thread makes a verifier any more, some milliseconds, and frees. */
void passwords_free(struct passwords *);

/* Returns 0 with the role's verifier, or with one that nothing satisfies; -E_AGAIN if told() is
 * called later; -E_TOOBIG if too many roles are asked for. */
int passwords_find(struct passwords *, const struct conf *, const char *role, struct verifier *);

/* The answer to that question of ask(): the role's secret, as pg_authid has it. NULL, or "": it has
 * none. If `why` is not NULL, there is no answer. */
void passwords_answer(struct passwords *, uint64_t number, const char *secret, const char *why);

/* A client has failed with what auth_query answered: the password may be new, so the next one who
 * comes as that role is not judged by the same answer, if that is older than a second. */
void passwords_doubt(struct passwords *, const char *role);

/* The daemon begins, or has reloaded: forgets what was asked, and makes the verifiers of passwords
 * in clear that it has not made yet, one after the other. */
void passwords_configured(struct passwords *, const struct conf *);

/* For the handover: the number from which verifiers of unknown roles are made, so that these stay
 * the same. */
void passwords_pack(struct pack *, struct passwords *);

#endif
