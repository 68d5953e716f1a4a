/* listen: the listening Unix socket. */
#ifndef PGWITH_LOOP_LISTEN_H
#define PGWITH_LOOP_LISTEN_H

#include <stdbool.h>
#include <sys/types.h>

#include "loop/loop.h"

struct listen;

/* Makes DIR/.s.PGSQL.PORT with the permission bits, owner and group ((uid_t)-1, (gid_t)-1:
 * unchanged) in force before the first client can come, and accepts: accepted(arg, fd) gets each
 * connection, non-blocking and close-on-exec. A socket that nobody serves any more is replaced; the
 * lock file DIR/.s.PGSQL.PORT.lock (flock(2)) says which. Out of descriptors it pauses until
 * listen_resume() or for a second. Returns NULL with one line of reason in `why`. */
struct listen *listen_new(struct loop *, const char *dir, unsigned port, mode_t mode, uid_t owner,
			  gid_t group, void (*accepted)(void *arg, int fd), void *arg, char *why,
			  size_t why_size);

/* The same with `fd`, which listens there already and is somebody else's too: its permissions are
 * left as they are, and so is the socket at the end. The lock is held where one can be made. Takes
 * `fd` over. */
struct listen *listen_adopt(struct loop *, int fd, const char *dir, unsigned port,
			    void (*accepted)(void *arg, int fd), void *arg, char *why,
			    size_t why_size);
bool listen_adopted(const struct listen *);

/* Goes on with the socket and the lock that another process had made by listen_new(), at whatever
 * place, and takes them over. Returns NULL, and both are still the caller's, if the socket is no
 * listening one of that kind. */
struct listen *listen_inherit(struct loop *, int fd, int lock_fd,
			      void (*accepted)(void *arg, int fd), void *arg);

/* Is the socket at DIR/.s.PGSQL.PORT, by that name or another? */
bool listen_is_at(const struct listen *, const char *dir, unsigned port);
/* Is its file there? */
bool listen_is_there(const struct listen *);

/* Gives the socket's file the permission bits, owner and group that listen_new() would have given
 * it. Returns 0, or -E_IO with a reason. */
int listen_permit(struct listen *, mode_t mode, uid_t owner, gid_t group, char *why,
		  size_t why_size);

/* Gives the place up: nobody finds it any more, and who has come so far is accepted, all at once.
 * Then as listen_free(). */
void listen_leave(struct listen *);

/* Accepts nobody until listen_release(): whoever comes waits in the kernel. */
void listen_hold(struct listen *);
void listen_release(struct listen *);

/* A descriptor was closed: accepting may go on. Cheap if it was not paused. */
void listen_resume(struct listen *);

/* Stops accepting, and removes the lock, and the socket unless it was adopted. NULL is allowed. */
void listen_free(struct listen *);

const char *listen_path(const struct listen *);
int listen_fd(const struct listen *);
int listen_lock_fd(const struct listen *);

#endif
