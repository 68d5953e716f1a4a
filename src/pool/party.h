/* party: the sessions of one role, or of one system user, whose number and whose servers are
 * limited by a section [role NAME] or [uid NUMBER] of the configuration. A party exists while such
 * a section holds for it and it has a session. A session has at most one party of each kind.
 * Without such sections there are no parties, and nothing is counted. No I/O. */
#ifndef PGWITH_POOL_PARTY_H
#define PGWITH_POOL_PARTY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/list.h"
#include "conf/conf.h"

#define PARTY_KINDS 2 /* of enum conf_party */

struct lease;

struct party {
	struct hash_node hashed;
	enum conf_party kind;
	char *name;          /* a role, or a uid in digits */
	int64_t max_clients; /* 0: no limit */
	int64_t max_servers; /* 0: no limit */
	int64_t priority_us; /* its sessions are served as if they had come so much earlier */
	unsigned clients;    /* sessions in pools */
	unsigned servers;    /* that these have leased */
	struct list lanes;   /* of struct lane: queue.h */
};

/* All parties. */
struct parties {
	struct hash table;
	const struct conf *conf; /* whose sections hold; NULL: there is none */
	bool any;                /* it has a section of a role or uid */
};

void parties_init(struct parties *);
void parties_clear(struct parties *);

/* From now on the sections of that configuration hold; it must stay until the next call. All
 * parties are freed: nobody may point to one. The caller counts all sessions anew (queues_forget(),
 * party_add_client(), queues_again()). */
void parties_configure(struct parties *, const struct conf *);

/* The parties of a session: of[CONF_PARTY_ROLE] and of[CONF_PARTY_UID], each NULL if it has none.
 * They are made if there are none yet. */
void parties_find(struct parties *, const char *role, uid_t uid, struct party *of[PARTY_KINDS]);

/* May a session of these parties come in? If so, it is counted, and party_remove_client() is to be
 * called when it goes. Otherwise *e says which limit is reached, and is the caller's to clear. */
bool party_admit(struct parties *, const char *role, uid_t uid, struct err *e);
/* Counts a session without asking. */
void party_add_client(struct parties *, const char *role, uid_t uid);
void party_remove_client(struct parties *, const char *role, uid_t uid);

/* Has the party as many servers as it may have? `p` may be NULL. */
static inline bool
party_is_full(const struct party *p)
{
	return p && p->max_servers > 0 && p->servers >= p->max_servers;
}

/* Writes which limit of servers the party has reached, for people: role "app" has 5 of 5 servers
 * (max_servers). */
void party_say_full(const struct party *, char *out, size_t out_size);

/* Frees the party if it has no session, no server and nobody who waits. */
void party_drop_if_unused(struct parties *, struct party *);

#endif
