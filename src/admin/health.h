/* health: would a client of a pool be served now, and if not, why not? SHOW HEALTH has the answers,
 * and pgwith ready asks for them. */
#ifndef PGWITH_ADMIN_HEALTH_H
#define PGWITH_ADMIN_HEALTH_H

#include <stdbool.h>

#include "daemon/daemon.h"

/* Room for the texts of struct health, in bytes. A longer text is cut. */
#define HEALTH_TEXT    512
#define HEALTH_VERDICT 2048

struct health {
	bool ready;
	char reason[HEALTH_TEXT]; /* the error that a client would get; "" if ready */
	/* Bytes of the reason that the verdict ends with: not its detail if that tells how many
	 * servers are leased and who holds one, since the verdict tells that itself. */
	unsigned brief;
	char verdict[HEALTH_VERDICT]; /* one line for people, beginning with the pool's name */
};

/* Judges a pool together with all pools of its group, of which any may be given. A pool with role =
 * client is ready if it is for at least one role, or no role has come yet. Changes nothing. */
void health_of(const struct daemon *, const struct pool *, struct health *);

/* Writes for a verdict who holds something for how long, and what it does meanwhile: "; session 12
 * (psql, pid 4242, app) holds for 42 s, idle in transaction"; with `alike` others that are like it
 * "; session 12 (psql, pid 4242, app) and 4 more hold for up to 42 s, idle in transaction". Long
 * names are cut. */
void health_say_holder(const struct session *, unsigned alike, int64_t held_us, const char *state,
		       char *out, size_t out_size);

struct health_group {
	const struct pool *group;
	struct health health;
};

/* Judges all groups, in the order of their pools, and returns them in a list for free(3). It walks
 * the pools as often for all groups as health_of() does for one. */
struct health_group *health_all(const struct daemon *, unsigned *count);

#endif
