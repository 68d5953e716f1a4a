/* resolve: a conninfo whose names are looked up before libpq sees them, since libpq would block in
 * DNS or NSS: host names, and the user of requirepeer. The system's own resolver (getaddrinfo(3),
 * getpwnam(3), so nsswitch.conf holds) runs on a worker thread. */
#ifndef PGWITH_POOL_RESOLVE_H
#define PGWITH_POOL_RESOLVE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <libpq-fe.h>

/* A parsed conninfo, service file and environment included. Immutable. */
struct conninfo;

/* Returns NULL with libpq's reason in `why`. No password gets into `why`. */
struct conninfo *conninfo_new(const char *text, char *why, size_t why_size);
void conninfo_free(struct conninfo *);

/* Log in as this user, whatever the text says. Before anything else is done with it. */
void conninfo_set_user(struct conninfo *, const char *user);
/* Log in with this password, once. */
void conninfo_set_password(struct conninfo *, const char *password);

/* Do both lead to the same servers in the same way? */
bool conninfo_same(const struct conninfo *, const struct conninfo *);

/* Has it names that must be looked up? */
bool conninfo_has_names(const struct conninfo *);

/* The value of one libpq keyword, or NULL. */
const char *conninfo_get(const struct conninfo *, const char *keyword);

/* Parameters for PQconnectStartParams(): NULL-ended keywords and values. */
struct conninfo_params {
	char **keywords;
	char **values;
	unsigned count;
	char *peer;     /* requirepeer, which libpq is not given; NULL: none */
	uid_t peer_uid; /* (uid_t)-1: there is no user of that name */
};

/* Blocks in getaddrinfo() and getpwnam() for each name. Every address becomes a host of its own
 * (host=a,a hostaddr=1.2.3.4,1.2.3.5), in the order of the system. Returns 0, or -E_NOTFOUND with a
 * reason if no host at all has an address. Thread-safe. */
int conninfo_resolve(const struct conninfo *, struct conninfo_params *, char *why, size_t why_size);
/* One more, which takes the place of another of that keyword. */
void conninfo_params_add(struct conninfo_params *, const char *keyword, const char *value);

/* Is whoever listens at the other end of the socket the user of requirepeer? As for libpq, only a
 * Unix socket tells. Returns 0, or -E_STATE with a reason. */
int conninfo_params_check_peer(const struct conninfo_params *, int fd, char *why, size_t why_size);
void conninfo_params_clear(struct conninfo_params *);

/* Leaves a host out that libpq has been waiting for in vain, as PQhost(), PQhostaddr() and PQport()
 * name it; the others stay in their order, beginning with the one behind it. Returns 0, or
 * -E_NOTFOUND (nothing has changed) if there is no other host. */
int conninfo_params_drop(struct conninfo_params *, const char *host, const char *hostaddr,
			 const char *port);

/* Takes the SQLSTATE out of libpq's words of PQERRORS_VERBOSE, which stands between two colons in
 * the server's line. `sqlstate` gets it, or "" if the words are libpq's own. */
void conninfo_cut_sqlstate(char *line, char sqlstate[6]);

#endif
