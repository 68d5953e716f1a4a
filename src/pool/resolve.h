/* resolve: looks up the names of a conninfo before libpq sees it, because libpq would block in DNS
 * or NSS: host names, and the user of requirepeer. The system's own resolver does that
 * (getaddrinfo(3), getpwnam(3), so nsswitch.conf holds), in a worker thread. */
#ifndef PGWITH_POOL_RESOLVE_H
#define PGWITH_POOL_RESOLVE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <libpq-fe.h>

/* A parsed conninfo, with its service file and environment applied. Immutable. */
struct conninfo;

/* NULL with libpq's reason in `why`, which never has a password in it. */
struct conninfo *conninfo_new(const char *text, char *why, size_t why_size);
void conninfo_free(struct conninfo *);

/* Sets the user to log in as, whatever the text says. To be called before anything else. */
void conninfo_set_user(struct conninfo *, const char *user);
/* Sets the password of one login. */
void conninfo_set_password(struct conninfo *, const char *password);

/* Do both lead to the same servers, in the same way? */
bool conninfo_same(const struct conninfo *, const struct conninfo *);

/* Has it names that must be looked up? */
bool conninfo_has_names(const struct conninfo *);

/* For a program that works for the pool of that name: where its servers are, as NAME=VALUE, ended
 * by NULL: PGWITH_POOL, and PGHOST, PGPORT, PGDATABASE, PGUSER as far as they are known. No
 * password. The caller frees with conninfo_free_environment(). */
char **conninfo_environment(const struct conninfo *, const char *pool);
void conninfo_free_environment(char **);

/* The value of one libpq keyword, or NULL. */
const char *conninfo_get(const struct conninfo *, const char *keyword);

/* Parameters for PQconnectStartParams(): keywords and values, ended by NULL. */
struct conninfo_params {
	char **keywords;
	char **values;
	unsigned count;
	char *peer;     /* user name of requirepeer, which libpq is not given; NULL: none */
	uid_t peer_uid; /* (uid_t)-1: there is no user of that name */
};

/* Looks all names up; blocks in getaddrinfo() and getpwnam(). Every address becomes a host of its
 * own (host=a,a hostaddr=1.2.3.4,1.2.3.5), in the order of the system. Returns 0, or -E_NOTFOUND
 * with a reason if no host has an address. May run in any thread. */
int conninfo_resolve(const struct conninfo *, struct conninfo_params *, char *why, size_t why_size);
/* Adds a parameter, in place of another one of that keyword. */
void conninfo_params_add(struct conninfo_params *, const char *keyword, const char *value);

/* Does the user of requirepeer listen at the other end of the socket? Only a Unix socket tells, as
 * in libpq. Returns 0, or -E_STATE with a reason. */
int conninfo_params_check_peer(const struct conninfo_params *, int fd, char *why, size_t why_size);
void conninfo_params_clear(struct conninfo_params *);

/* Removes the host that libpq has been waiting for in vain, as PQhost(), PQhostaddr() and PQport()
 * name it. The others stay in their order, beginning with the one behind it. Returns 0; or
 * -E_NOTFOUND if there is no other host, and nothing has changed. */
int conninfo_params_drop(struct conninfo_params *, const char *host, const char *hostaddr,
			 const char *port);

/* Cuts the SQLSTATE out of a message of libpq with PQERRORS_VERBOSE, where it stands between two
 * colons in the server's line. `sqlstate` gets it, or "" if the message is libpq's own. */
void conninfo_cut_sqlstate(char *line, char sqlstate[6]);

#endif
