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

/* stats: sums since the start, and averages over the last whole period. */
extern const struct show show_stats;
extern const struct show show_stats_totals;
extern const struct show show_stats_averages;
extern const struct show show_totals;

#endif
