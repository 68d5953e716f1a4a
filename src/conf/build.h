/* build: makes the snapshot of a file that has been read. All lines are known by then, so that a
 * default for all pools may stand behind them. */
#ifndef PGWITH_CONF_BUILD_H
#define PGWITH_CONF_BUILD_H

#include "conf/loading.h"

/* Parses and checks all that has been read. The caller frees, also where there were problems. */
struct conf *build_snapshot(struct loading *);

/* What only shows when a pool, or a scope, is complete. `place`: where it begins. */
void build_check_pool(struct loading *, const struct conf_pool *, struct place);
/* Counts the arguments of its statements, too. */
void build_check_scope(struct loading *, const struct conf *, struct conf_scope *);

#endif
