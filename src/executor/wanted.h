/* wanted: works out what an item of ENTER asks for, from its words and the configuration. */
#ifndef PGWITH_EXECUTOR_WANTED_H
#define PGWITH_EXECUTOR_WANTED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "conf/access.h"
#include "scope/grammar.h"

struct work;
struct pool;

struct wanted {
	const struct grammar_item *item;
	const struct conf_scope *def; /* or NULL */
	const char *name;
	struct pool *pool; /* NULL: a lock or semaphore of the daemon's */
	bool chosen;       /* the client names no pool */
	bool apart;        /* the option read_only has chosen that pool */
	int64_t deadline_us;
	unsigned limit;
};

/* Fills in the rest of *w by w->item, and sets work->def and work->wait_us. ACCESS_NO with the
 * reason in *e: the item cannot be entered. ACCESS_ASK: the operating system is being asked whether
 * the session's user may use the pool (admit.h). */
enum access wanted_find(struct wanted *w, struct work *, struct err *e);

#endif
