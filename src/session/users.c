#include "session/users.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/list.h"
#include "base/mem.h"

#define ENTRY_MAX  (1 << 20) /* bytes of one entry of passwd or group */
#define GROUPS_MAX 65536     /* of one user; a process has no more: limits.h, NGROUPS_MAX */

/* An answer that is kept. The list begins with the one that was used last. */
struct kept {
	struct list_node node;
	struct user *user;
};

/* A look-up. Only the thread touches `user` until it has answered, only the loop the rest. */
struct asking {
	struct list_node node;
	struct users *users;
	struct user *user; /* question and answer: uid and names of groups are set before */
	bool stale;        /* there was a reload meanwhile: the answer is not kept */
};

struct users {
	struct loop *loop;
	struct threads *threads;
	struct list kept;
	struct list asking;
	int64_t forgotten_us; /* the last users_forget(), or 0 */
	void (*told)(void *, struct user *);
	void *arg;
};

/* ---- one answer ---- */

struct user *
user_keep(struct user *u)
{
	if (u)
		u->references++;
	return u;
}

void
user_drop(struct user *u)
{
	if (u == NULL || --u->references > 0)
		return;
	for (unsigned i = 0; i < u->ngroups; i++)
		free(u->groups[i].name);
	free(u->groups);
	free(u->name);
	free(u->problem);
	free(u);
}

static bool
has_group(const struct user *u, const char *name)
{
	for (unsigned i = 0; i < u->ngroups; i++)
		if (strcmp(u->groups[i].name, name) == 0)
			return true;
	return false;
}

static void
add_user_group(void *arg, const char *name)
{
	struct user *u = arg;

	if (has_group(u, name))
		return;
	u->groups = mem_realloc(u->groups, (u->ngroups + 1) * sizeof *u->groups);
	u->groups[u->ngroups++] = (struct access_group){.name = mem_strdup(name), .gid = (gid_t)-1};
}

/* ---- asking: on a thread ---- */

/* Does this result of getpwuid_r() or getgrnam_r() mean that there is no such entry? POSIX does not
 * say; getpwnam(3) lists these. */
static bool
means_missing(int e)
{
	return e == 0 || e == ENOENT || e == ESRCH || e == EBADF || e == EPERM;
}

static void
note_problem(struct user *u, const char *what, int e)
{
	if (u->problem == NULL)
		u->problem = mem_printf("%s: %s", what, strerror(e));
}

/* Asks for the name of the uid, and the gid in its entry. Returns false if there is no entry, or
 * the system could not answer. */
static bool
ask_name(struct user *u, gid_t *gid)
{
	struct passwd pw, *found = NULL;
	size_t bytes = 4096;
	char *buf = NULL;
	int e;

	do {
		buf = mem_realloc(buf, bytes);
		e = getpwuid_r(u->uid, &pw, buf, bytes, &found);
		bytes *= 2;
	} while ((e == ERANGE && bytes <= ENTRY_MAX) || e == EINTR);
	if (e == 0 && found) {
		u->name = mem_strdup(pw.pw_name);
		*gid = pw.pw_gid;
	} else if (!means_missing(e)) {
		note_problem(u, "getpwuid", e);
	}
	free(buf);
	return u->name != NULL;
}

static void
ask_gid(struct user *u, struct access_group *g)
{
	struct group gr, *found = NULL;
	size_t bytes = 4096;
	char *buf = NULL;
	id_t number;
	int e;

	if (allow_number(g->name, &number)) {
		g->gid = number;
		return;
	}
	do {
		buf = mem_realloc(buf, bytes);
		e = getgrnam_r(g->name, &gr, buf, bytes, &found);
		bytes *= 2;
	} while ((e == ERANGE && bytes <= ENTRY_MAX) || e == EINTR);
	if (e == 0 && found)
		g->gid = gr.gr_gid;
	else if (!means_missing(e))
		note_problem(u, "getgrnam", e);
	free(buf);
}

/* Asks for the groups of the user, of which `gid` is the main one, and notes of which of u->groups
 * it is a member. */
static void
ask_membership(struct user *u, gid_t gid)
{
	int room = 64, count;
	gid_t *gids = NULL;

	for (;;) {
		gids = mem_realloc(gids, (size_t)room * sizeof *gids);
		count = room;
		if (getgrouplist(u->name, gid, gids, &count) >= 0)
			break;
		if (room >= GROUPS_MAX) {
			note_problem(u, "getgrouplist", E2BIG);
			count = 0;
			break;
		}
		room = count > room ? count : 2 * room;
	}
	for (unsigned i = 0; i < u->ngroups; i++)
		for (int k = 0; k < count; k++)
			u->groups[i].member |=
			    u->groups[i].gid != (gid_t)-1 && u->groups[i].gid == gids[k];
	free(gids);
}

static void
look_up_user(void *arg)
{
	struct user *u = ((struct asking *)arg)->user;
	gid_t gid = (gid_t)-1;
	bool named = ask_name(u, &gid);

	for (unsigned i = 0; i < u->ngroups && u->problem == NULL; i++)
		ask_gid(u, &u->groups[i]);
	if (named && u->ngroups > 0 && u->problem == NULL)
		ask_membership(u, gid);
	if (u->name == NULL)
		u->name = mem_strdup("");
}

/* ---- the answers that are kept ---- */

static void
drop_kept(struct users *us, struct kept *k)
{
	list_remove(&us->kept, &k->node);
	user_drop(k->user);
	free(k);
}

static void
keep_answer(struct users *us, struct user *u)
{
	struct list_node *n, *after;
	struct kept *k = mem_calloc(1, sizeof *k);

	LIST_EACH_SAFE (n, after, &us->kept)
		if (LIST_OBJ(n, struct kept, node)->user->uid == u->uid)
			drop_kept(us, LIST_OBJ(n, struct kept, node));
	while (us->kept.count >= USERS_KEPT)
		drop_kept(us, LIST_OBJ(list_last(&us->kept), struct kept, node));
	k->user = user_keep(u);
	list_prepend(&us->kept, &k->node);
}

static void
note_answer(void *arg)
{
	struct asking *a = arg;
	struct users *us = a->users;

	a->user->looked_us = a->stale ? 0 : loop_now_us(us->loop);
	list_remove(&us->asking, &a->node);
	/* A failure is not kept: the next question may be answered. */
	if (a->user->problem == NULL && !a->stale)
		keep_answer(us, a->user);
	us->told(us->arg, a->user);
	user_drop(a->user);
	free(a);
}

/* Are all groups of the configuration among those that were asked for? */
struct check {
	const struct user *user;
	bool all;
};

static void
check_group(void *arg, const char *name)
{
	struct check *c = arg;

	c->all = c->all && has_group(c->user, name);
}

static bool
has_all_groups(const struct user *u, const struct conf *conf)
{
	struct check c = {u, true};

	access_groups(conf, check_group, &c);
	return c.all;
}

bool
users_is_fresh(const struct users *us, const struct user *u)
{
	return u->looked_us > us->forgotten_us &&
	       loop_now_us(us->loop) - u->looked_us < USERS_AGE_US;
}

static struct user *
find_kept(struct users *us, uid_t uid, const struct conf *conf)
{
	struct list_node *n, *after;

	LIST_EACH_SAFE (n, after, &us->kept) {
		struct kept *k = LIST_OBJ(n, struct kept, node);

		if (k->user->uid != uid)
			continue;
		if (!users_is_fresh(us, k->user) || !has_all_groups(k->user, conf)) {
			drop_kept(us, k);
			return NULL;
		}
		list_remove(&us->kept, n);
		list_prepend(&us->kept, n);
		return user_keep(k->user);
	}
	return NULL;
}

static bool
is_asked(const struct users *us, uid_t uid, const struct conf *conf)
{
	const struct list_node *n;

	LIST_EACH (n, &us->asking) {
		const struct asking *a = LIST_OBJ(n, const struct asking, node);

		/* Reading is safe: the thread does not change the names of the groups. */
		if (a->user->uid == uid && !a->stale && has_all_groups(a->user, conf))
			return true;
	}
	return false;
}

int
users_find(struct users *us, uid_t uid, const struct conf *conf, struct user **user)
{
	struct asking *a;

	*user = find_kept(us, uid, conf);
	if (*user)
		return 0;
	if (is_asked(us, uid, conf))
		return -E_AGAIN;
	if (us->asking.count >= USERS_ASKED)
		return -E_TOOBIG;
	a = mem_calloc(1, sizeof *a);
	a->users = us;
	a->user = mem_calloc(1, sizeof *a->user);
	a->user->references = 1;
	a->user->uid = uid;
	access_groups(conf, add_user_group, a->user);
	list_append(&us->asking, &a->node);
	/* If the name service hangs, all look-ups do: they have a lane of their own, so that they
	 * take only some of the threads. */
	threads_submit(us->threads, us, look_up_user, note_answer, a);
	return -E_AGAIN;
}

void
users_forget(struct users *us)
{
	struct list_node *n;

	us->forgotten_us = loop_now_us(us->loop);
	while ((n = list_first(&us->kept)) != NULL)
		drop_kept(us, LIST_OBJ(n, struct kept, node));
	LIST_EACH (n, &us->asking)
		LIST_OBJ(n, struct asking, node)->stale = true;
}

struct users *
users_new(struct loop *loop, struct threads *threads, void (*told)(void *, struct user *),
	  void *arg)
{
	struct users *us = mem_calloc(1, sizeof *us);

	us->loop = loop;
	us->threads = threads;
	us->told = told;
	us->arg = arg;
	list_init(&us->kept);
	list_init(&us->asking);
	return us;
}

void
users_free(struct users *us)
{
	struct list_node *n;

	if (us == NULL)
		return;
	while ((n = list_first(&us->kept)) != NULL)
		drop_kept(us, LIST_OBJ(n, struct kept, node));
	/* Threads that are still asking use the memory, so it is left to the end of the process, as
	 * in threads_free(). */
	if (us->asking.count == 0)
		free(us);
}
