/* reload: the daemon goes on with another configuration, wholly or not at all. SIGHUP and RELOAD
 * take what is in the file now, SET changes one option. */
#ifndef PGWITH_DAEMON_RELOAD_H
#define PGWITH_DAEMON_RELOAD_H

#include "base/err.h"
#include "conf/conf.h"

struct daemon;

/* tell(arg, text) is called for each option that only a restart can change. `tell` may be NULL: all
 * of it is logged as well. */
struct reload_listener {
	void (*tell)(void *arg, const char *text);
	void *arg;
};

/* Reads the file again and takes it over. Returns 0; or -E_SYNTAX or -E_STATE with the reason in
 * *e, which the caller clears. Then nothing has changed. */
int reload(struct daemon *, const struct reload_listener *, struct err *e);

/* Changes one option, until the next reload. Returns as reload(). */
int reload_set(struct daemon *, const struct conf_change *, struct err *e);

/* Frees pools that nobody uses any more: those that were removed, and those of single roles. */
void reload_sweep(struct daemon *);

#endif
