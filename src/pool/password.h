/* password: the password of a pool that a program tells (conf/pwcommand.h). The program runs on a
 * thread. All servers that want to log in meanwhile share its answer, which is kept for
 * password_ttl.
 *
 *	      a server wants to log in
 *	none -------------------------> asking
 *	 ^                              |    |
 *	 |  it has told no password     |    | it has told one
 *	 +------------------------------+    v
 *	 +-------------------------------- known
 *	    password_ttl is over, PostgreSQL has refused it, or a reload
 *
 * What goes wrong is a failed attempt to connect: the pool's pauses between attempts hold for the
 * program, too. */
#ifndef PGWITH_POOL_PASSWORD_H
#define PGWITH_POOL_PASSWORD_H

#include <stdbool.h>
#include <stdint.h>

struct conf_pool;
struct pool;
struct server;

enum password_state { PASSWORD_NONE, PASSWORD_ASKING, PASSWORD_KNOWN, PASSWORD_NSTATES };

/* Called from the loop for a server that has asked: the password; or NULL and why there is none. */
typedef void password_told(struct server *, const char *password, const char *why);

struct password {
	uint64_t id; /* in pools->passwords */
	struct pool *pool;
	enum password_state state;
	char *command;       /* the value of the option */
	struct asking *run;  /* ASKING; its memory is the thread's until it has ended */
	char *value;         /* KNOWN: the password */
	char *before;        /* the last password, which must not get into the log; or NULL */
	char *said;          /* by the last run, on stderr, without secrets; or NULL */
	uint64_t number;     /* how many passwords it has told: that of `value` */
	int64_t received_us; /* KNOWN: since when */
	password_told *told; /* of the last password_ask() */
};

/* Makes, changes or frees pool->password so that it is what the pool's configuration says, and
 * forgets what is known. */
void password_renew(struct pool *);
/* Does the new configuration have another command, or one where there was none? */
bool password_changes(const struct pool *, const struct conf_pool *);
/* Frees pool->password; NULL is fine. A program that runs is killed. */
void password_free(struct pool *);

/* The server wants to log in. Its pool has a command. Returns the password, valid until the loop
 * goes on; or NULL: then told() is called later. */
const char *password_ask(struct server *, password_told *told);

/* The server could not log in. If PostgreSQL has refused a password that a command has told, that
 * password is forgotten, as it may have been changed meanwhile. Should the server ask once more?
 * Each does so once. */
bool password_refused(struct server *, const char *sqlstate);

/* For a handover: kills programs that run. */
void password_abandon(struct pool *);

/* The setter. An illegal move ends the daemon. */
void password_set_state(struct password *, enum password_state);
const char *password_state_name(enum password_state);

#endif
