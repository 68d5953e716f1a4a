/* show: the tables that SHOW gives. PgBouncer's columns come first, with the names, the order and
 * the types of PgBouncer 1.18; ours stand behind them. A column that means nothing here has
 * PgBouncer's value for nothing (0, or an empty text). */
#ifndef PGWITH_ADMIN_SHOW_H
#define PGWITH_ADMIN_SHOW_H

#include "admin/rows.h"
#include "session/daemon.h"

/* A table: what it looks like, and what fills it. */
struct show {
	const struct column *columns;
	unsigned ncolumns;
	void (*fill)(const struct daemon *, struct rows *);
};

#define SHOW_TABLE(array, function)                                              \
	{                                                                        \
		.columns = (array), .ncolumns = sizeof(array) / sizeof *(array), \
		.fill = (function)                                               \
	}

extern const struct show show_pools;
extern const struct show show_clients;
extern const struct show show_servers;
extern const struct show show_databases;
extern const struct show show_lists;
extern const struct show show_config;
extern const struct show show_version;
extern const struct show show_state;

/* scopes: the open scopes of every session, who has and who wants locks, how long scopes took. */
extern const struct show show_scopes;
extern const struct show show_locks;
extern const struct show show_scope_stats;
/* The scopes of a session, outermost first, for people: a > b > lock x. `out` is filled as far as
 * it goes; NULL if none is open. */
const char *scopes_path(const struct session *, char *out, size_t out_size);

/* stats: sums since the start, and averages over the last whole period. */
extern const struct show show_stats;
extern const struct show show_stats_totals;
extern const struct show show_stats_averages;
extern const struct show show_totals;

#endif
