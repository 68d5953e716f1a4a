/* users: what the operating system says of the users of clients: their names, and in which of the
 * groups that the configuration names they are. The answer may come from a directory in the
 * network, so threads ask. Answers are kept: at most USERS_KEPT, each for USERS_AGE_US. */
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
#define USERS_AGE_US   (1 * UNIT_S)
#define USERS_WAIT_MAX (5 * UNIT_S) /* ENTER waits for an answer this long at most */

struct users;

/* One answer, with a count of references: user_keep() adds one, user_drop() gives one up. */
struct user {
	unsigned references;
	uid_t uid;
	char *name;                  /* "": the uid has none */
	struct access_group *groups; /* those that the configuration named, member of them or not */
	unsigned ngroups;
	char *problem;     /* why the system could not answer: then nothing else is set; or NULL */
	int64_t looked_us; /* when it answered; 0: all answers were forgotten meanwhile */
};

/* told(arg, user) is called with each answer. It calls user_keep() to have `user` for longer. */
struct users *users_new(struct loop *, struct threads *, void (*told)(void *arg, struct user *),
			void *arg);
void users_free(struct users *);

/* Returns 0 with the answer in *user, a reference for the caller; -E_AGAIN if the system is being
 * asked: told() is called later; -E_TOOBIG if too many look-ups are under way. The groups asked for
 * are those that `conf` names. */
int users_find(struct users *, uid_t uid, const struct conf *, struct user **user);

struct user *user_keep(struct user *);
void user_drop(struct user *);

/* Forgets all answers, because of a reload. */
void users_forget(struct users *);

/* May the answer still be used? Not if it is older than USERS_AGE_US, or the system was asked
 * before the last users_forget(). */
bool users_is_fresh(const struct users *, const struct user *);

#endif
