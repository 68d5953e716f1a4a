/* listen: the listening Unix socket, and the lock file beside it. */
#ifndef PGWITH_LOOP_LISTEN_H
#define PGWITH_LOOP_LISTEN_H

#include <stdbool.h>
#include <sys/types.h>

#include "loop/loop.h"

struct listen;

/* Makes the socket DIR/.s.PGSQL.PORT and accepts connections: accepted(arg, fd) gets each of them,
 * non-blocking and close-on-exec. Permission bits, owner and group ((uid_t)-1, (gid_t)-1:
 * unchanged) are in force before the first client can connect. The lock file
 * DIR/.s.PGSQL.PORT.lock (flock(2)) tells whether a process serves the place already; a socket that
 * a dead process left there is replaced. If this process runs out of descriptors, accepting pauses
 * until listen_resume(), a second at most. Returns NULL with one line of reason in `why`. */
struct listen *listen_new(struct loop *, const char *dir, unsigned port, mode_t mode, uid_t owner,
			  gid_t group, void (*accepted)(void *arg, int fd), void *arg, char *why,
			  size_t why_size);

/* As listen_new(), with the socket `fd`, which listens at that place already and belongs to the
 * service manager, too: its permissions are not changed, and its file is not removed at the end.
 * The lock is taken if the directory permits to make one. `fd` is closed in the end, even if this
 * fails. */
struct listen *listen_adopt(struct loop *, int fd, const char *dir, unsigned port,
			    void (*accepted)(void *arg, int fd), void *arg, char *why,
			    size_t why_size);
bool listen_adopted(const struct listen *);

/* Goes on with a socket and a lock that listen_new() has made in the process before, at the place
 * where they are. Returns NULL if `fd` is no such socket; then both still belong to the caller. */
struct listen *listen_inherit(struct loop *, int fd, int lock_fd,
			      void (*accepted)(void *arg, int fd), void *arg);

/* Is this socket the one at DIR/.s.PGSQL.PORT, maybe by another path? */
bool listen_is_at(const struct listen *, const char *dir, unsigned port);
/* Does the socket's file still exist? */
bool listen_is_there(const struct listen *);

/* Gives the socket's file the permission bits, owner and group that listen_new() would have given
 * it. Returns 0, or -E_IO with a reason. */
int listen_permit(struct listen *, mode_t mode, uid_t owner, gid_t group, char *why,
		  size_t why_size);

/* Gives the place up: removes the file, so that nobody can connect any more, accepts every client
 * that has connected so far, and frees as listen_free(). */
void listen_leave(struct listen *);

/* Accepts nobody until listen_release(): new clients wait in the kernel's queue. */
void listen_hold(struct listen *);
void listen_release(struct listen *);

/* To be called when a descriptor was closed: ends a pause. Cheap if there is none. */
void listen_resume(struct listen *);

/* Stops accepting, removes the lock file, and the socket's file unless it was adopted. NULL is
 * allowed. */
void listen_free(struct listen *);

const char *listen_path(const struct listen *);
int listen_fd(const struct listen *);
int listen_lock_fd(const struct listen *);

#endif
