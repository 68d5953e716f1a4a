/* reload: the daemon goes on with another configuration, wholly or not at all: by SIGHUP and RELOAD
 * with what is in the file now, by SET with one option that is different. */
#ifndef PGWITH_DAEMON_RELOAD_H
#define PGWITH_DAEMON_RELOAD_H

#include "base/err.h"
#include "conf/conf.h"

struct daemon;

/* Who wants to hear of what only a restart can change; `tell` may be NULL. All is logged anyway. */
struct reload_told {
	void (*tell)(void *arg, const char *text);
	void *arg;
};

/* Reads the file again. Returns 0; or -E_SYNTAX or -E_STATE with the reason in *e, which the caller
 * clears, and nothing has changed. */
int reload(struct daemon *, const struct reload_told *, struct err *e);

/* The same, but for one option. It lasts until the next reload. */
int reload_set(struct daemon *, const struct conf_change *, struct err *e);

/* Pools that were removed, and that nobody uses any more, go. */
void reload_sweep(struct daemon *);

#endif
