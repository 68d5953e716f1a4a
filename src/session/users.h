/* users: what the operating system says of the users of clients: their names, and which of the
 * groups that the configuration names they are in. NSS may ask a directory over the network, so it
 * is asked by threads, off the loop, and its answers are kept for a while: at most USERS_KEPT of
 * them, each for USERS_AGE_US. */
#ifndef PGWITH_SESSION_USERS_H
#define PGWITH_SESSION_USERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/units.h"
#include "conf/access.h"
#include "loop/threads.h"

#define USERS_KEPT     1000
#define USERS_ASKED    1000 /* look-ups that are under way; more are refused */
#define USERS_AGE_US   (60 * UNIT_S)
#define USERS_WAIT_MAX (5 * UNIT_S) /* ENTER waits for an answer this long at most */

struct users;

/* One answer. Kept by whoever has it until user_drop(). */
struct user {
	unsigned references;
	uid_t uid;
	char *name; /* "": the uid has none */
	struct access_group *groups;
	unsigned ngroups;
	char *problem; /* NULL; or why the system could not tell: nothing else is set then */
	int64_t looked_us;
};

/* told(arg, user): an answer is there; `user` is kept by whoever wants it for longer. */
struct users *users_new(struct loop *, struct threads *, void (*told)(void *arg, struct user *),
			void *arg);
void users_free(struct users *);

/* Returns 0 and *user, which is kept for the caller; -E_AGAIN: the system is being asked, and
 * told() is called later; -E_TOOBIG: it is asked for too many. `conf`: whose groups are asked for.
 */
int users_find(struct users *, uid_t uid, const struct conf *, struct user **user);

struct user *user_keep(struct user *);
void user_drop(struct user *);

/* A reload: what is known is asked for anew. */
void users_forget(struct users *);

#endif
