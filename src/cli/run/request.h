/* request: what the command line of pgwith run asks for. */
#ifndef PGWITH_CLI_REQUEST_H
#define PGWITH_CLI_REQUEST_H

#include <stdbool.h>

#include "cli/commands.h"

enum request_kind { REQUEST_LOCK, REQUEST_SHARED_LOCK, REQUEST_SEMAPHORE };

/* One lock or semaphore. */
struct request_item {
	enum request_kind kind;
	char *name;     /* owned */
	unsigned limit; /* of a semaphore */
};

struct request {
	const struct commands_how *how;
	struct request_item items[COMMANDS_WANTED_MAX]; /* in the order of the command line */
	unsigned nitems;
	const char *pools[COMMANDS_WANTED_MAX]; /* of --pool, likewise */
	unsigned npools;
	unsigned ntransactions; /* npools; 0 with --no-transaction */
	const char *isolation;  /* as ENTER takes it; or NULL */
};

/* Reads the command line. False: stderr says what is wrong with it. The caller clears the request
 * in either case. */
bool request_read(struct request *, const struct commands_how *);
void request_clear(struct request *);

#endif
