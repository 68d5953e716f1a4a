#include "base/random.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/log.h"

/* A call of this size can be cut short by a signal, or if the kernel has not begun to give random
 * numbers yet: getrandom(2). */
static void
fetch(struct random_store *r)
{
	size_t done = 0;

	while (done < sizeof r->store) {
		ssize_t n = getrandom(r->store + done, sizeof r->store - done, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			log_fatal("", LOG_ALONE, "no random numbers");
		done += (size_t)n;
	}
	r->left = done;
}

void
random_fill(struct random_store *r, void *to, size_t bytes)
{
	if (bytes > r->left)
		fetch(r);
	r->left -= bytes;
	memcpy(to, r->store + r->left, bytes);
	explicit_bzero(r->store + r->left, bytes);
}
