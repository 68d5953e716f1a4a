/* fdstore: keeps descriptors open beyond the end of this process. The supervisor that started it
 * holds them, and hands them to the next pgwithd that it starts. The supervisor is systemd (file
 * descriptor store: sd_notify(3), sd_listen_fds(3)), or any other that speaks systemd's protocol
 * over NOTIFY_SOCKET. */
#ifndef PGWITH_LOOP_FDSTORE_H
#define PGWITH_LOOP_FDSTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Names of pgwithd's descriptors begin with this. The name of a unit cannot, so every other name in
 * LISTEN_FDNAMES belongs to a socket unit. */
#define FDSTORE_PREFIX   "pg/"
#define FDSTORE_BAG      FDSTORE_PREFIX "bag-" /* names for fdstore_keep_bag() begin with this */
#define FDSTORE_NAME_MAX 255
/* Bytes of all names together, with one separator each. The next process gets them in one variable
 * of its environment, whose size is limited (execve(2), MAX_ARG_STRLEN); names of socket units
 * need room in it, too. */
#define FDSTORE_NAMES_MAX (120 * 1024)

/* Is there a supervisor that may keep descriptors? */
bool fdstore_there(void);

/* How many descriptors the supervisor keeps at most: systemd 254 and later tells it in the variable
 * FDSTORE. SIZE_MAX: not told. */
size_t fdstore_max(void);

/* Sends the descriptor to the supervisor, which keeps it. It stays open here. Returns 0, or -E_IO
 * with errno. */
int fdstore_keep(const char *name, int fd);

/* Keeps many descriptors as one, because systemd compares each new descriptor with all that it has.
 * They are sent into a socket pair (unix(7), SCM_RIGHTS), and only its reading end, the bag, is
 * kept. `name` begins with FDSTORE_BAG. All stay open here. Returns 0, or -E_IO with errno:
 * ETOOMANYREFS if more than RLIMIT_NOFILE are on their way in sockets. */
int fdstore_keep_bag(const char *name, const int *fds, size_t count);

/* Tells the supervisor to close all that it keeps under the name. Returns as fdstore_keep(). */
int fdstore_forget(const char *name);

/* Waits until the supervisor has dealt with everything sent so far. Returns 0, or -E_IO if that
 * takes too long. */
int fdstore_wait(void);

/* A descriptor that the process before this one had kept. */
struct fdstore_fd {
	char *name;
	int fd;          /* -1: the caller has taken it */
	uint64_t cookie; /* fdstore_cookie() */
};

/* The kernel's number of a socket, the same in every process, and no other socket's; 0 if `fd` is
 * not a socket. */
uint64_t fdstore_cookie(int fd);

/* Fetches all descriptors that were kept, sorted by cookie, and sets close-on-exec. Each descriptor
 * out of a bag has the bag's name, the bag itself the name FDSTORE_BAG. Returns how many they are;
 * the caller frees the array and the names with fdstore_free(). */
size_t fdstore_take(struct fdstore_fd **);

/* Does a descriptor of that name belong to pgwithd? */
bool fdstore_has(const char *name);
/* How many descriptors with other names were handed down to this process? */
unsigned fdstore_others(void);

/* Closes the descriptors that were not taken, and frees. */
void fdstore_free(struct fdstore_fd *, size_t count);

#endif
