/* build: makes a snapshot from a file that has been read. All its lines are known by then, so
 * [pgwith] may set a default for all pools behind the pools' sections. */
#ifndef PGWITH_CONF_BUILD_H
#define PGWITH_CONF_BUILD_H

#include "conf/loading.h"

/* Parses and checks all values. Returns a snapshot even if there are problems (struct loading has
 * them); the caller frees it with conf_free(). */
struct conf *build_snapshot(struct loading *);

/* Checks options of a pool against each other. `place`: where its section begins. */
void build_check_pool(struct loading *, const struct conf_pool *, struct place);
/* Checks a cluster against its pools. `place`: where its section begins. */
void build_check_cluster(struct loading *, const struct conf *, const struct conf_cluster *,
			 struct place);
/* Is there the cluster that a pool names? `place`: where the pool's section begins. */
void build_check_member(struct loading *, const struct conf *, const struct conf_pool *,
			struct place);
/* Is there the pool that read_only names, and does the way from pool to pool never come back? */
void build_check_read_only(struct loading *, const struct conf *, const struct conf_pool *);
/* Checks options of a scope against each other, and counts the arguments of its statements. */
void build_check_scope(struct loading *, const struct conf *, struct conf_scope *);

/* Checks the options auth..., and reads the file of auth_file, unless c->userlist is there.
 * Problems are reported. */
void build_check_auth(struct loading *, struct conf *);

#endif
