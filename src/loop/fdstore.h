/* fdstore: descriptors that outlive this process, kept by whoever started it and given to the one
 * that comes after it: systemd's file descriptor store (sd_notify(3), sd_listen_fds(3)), or any
 * supervisor that speaks its protocol over NOTIFY_SOCKET. */
#ifndef PGWITH_LOOP_FDSTORE_H
#define PGWITH_LOOP_FDSTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All names of ours begin with this, as the name of no unit can: the others in LISTEN_FDNAMES are
 * somebody else's business. */
#define FDSTORE_PREFIX   "pg/"
#define FDSTORE_BAG      FDSTORE_PREFIX "bag-" /* what is kept by fdstore_keep_bag() */
#define FDSTORE_NAME_MAX 255
/* Bytes of all names, with a separator each: they go to the next process in one variable of its
 * environment (execve(2), MAX_ARG_STRLEN), in which there may be the names of others. */
#define FDSTORE_NAMES_MAX (120 * 1024)

/* Is there somebody who could keep them? */
bool fdstore_there(void);

/* How many it keeps, as systemd 254 and later tells by FDSTORE; SIZE_MAX: it does not say. */
size_t fdstore_max(void);

/* Gives the descriptor to be kept; it stays open here. Returns 0, or -E_IO with errno. */
int fdstore_keep(const char *name, int fd);

/* Keeps many as one, for systemd compares each that it takes with all the others that it has: they
 * are on their way in a socket (unix(7), SCM_RIGHTS) whose reading end is kept. The name begins
 * with FDSTORE_BAG. All stay open here. Returns 0, or -E_IO with errno: ETOOMANYREFS if there are
 * more than RLIMIT_NOFILE. */
int fdstore_keep_bag(const char *name, const int *fds, size_t count);

/* Forgets all that was kept under the name. Returns as fdstore_keep(). */
int fdstore_forget(const char *name);

/* Waits until all that was said has been heard. Returns 0, or -E_IO if that takes too long. */
int fdstore_settle(void);

/* One that was kept by the process before. */
struct fdstore_fd {
	char *name;
	int fd;          /* -1: taken */
	uint64_t cookie; /* fdstore_cookie() */
};

/* A number that only this socket has, in every process; 0: it is none. */
uint64_t fdstore_cookie(int fd);

/* All that were kept, close-on-exec now, by their cookies; of a bag what is in it, each by the
 * bag's name, and the bag by FDSTORE_BAG. Returns how many; the array, and the names, are the
 * caller's to be freed by fdstore_free(). */
size_t fdstore_take(struct fdstore_fd **);

/* Is this the name of one of ours? How many of others were handed down to this process? */
bool fdstore_has(const char *name);
unsigned fdstore_others(void);

/* Closes those that were not taken. */
void fdstore_free(struct fdstore_fd *, size_t count);

#endif
