/* authquery: asks a pool for the password of a role (options auth_pool and auth_query). The
 * question is a session like any other, whose client is pgwithd itself, at the other end of a
 * socket pair: so it waits in the pool's queue and is bound by its limits. Those of roles and uids
 * are not for it. */
#ifndef PGWITH_RELAY_AUTHQUERY_H
#define PGWITH_RELAY_AUTHQUERY_H

#include <stdint.h>

struct authquery;
struct site;

#define AUTHQUERY_MAX 16 /* questions that are under way; others wait */

struct authquery *authquery_new(struct site *);
void authquery_free(struct authquery *);

/* Asks; calls passwords_answer() of site->passwords with that number later. `authquery` is void for
 * struct passwords_ops. */
void authquery_ask(void *authquery, const char *role, uint64_t number);

#endif
