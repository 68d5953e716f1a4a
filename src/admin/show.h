/* show: the tables that SHOW gives. PgBouncer's columns come first, with the names, the order and
 * the types of PgBouncer 1.18; ours stand behind them. A column that means nothing here has
 * PgBouncer's value for nothing (0, or an empty text). */
#ifndef PGWITH_ADMIN_SHOW_H
#define PGWITH_ADMIN_SHOW_H

#include "admin/rows.h"
#include "daemon/daemon.h"

/* Of what a table has rows, by their ids. */
struct show_ids {
	uint64_t *list;
	unsigned count, room;
	unsigned at; /* the next one to be shown */
};
void show_ids_add(struct show_ids *, uint64_t id);
/* Frees it; it is empty and usable again. */
void show_ids_clear(struct show_ids *);

/* A table: what it looks like, and what fills it: at once, or, if it may be long, in portions,
 * since the loop stands still meanwhile. */
struct show {
	const struct column *columns;
	unsigned ncolumns;
	void (*fill)(const struct daemon *, struct rows *);
	/* All ids; those that belong to sessions of the same user and role as `own` only, unless
	 * that is NULL. */
	void (*list)(const struct daemon *, const struct session *own, struct show_ids *);
	/* The rows of one, which may be gone by now. */
	void (*each)(const struct daemon *, uint64_t id, struct rows *);
};
#define SHOW_PORTION 200 /* ids in one turn of the loop */

#define SHOW_TABLE(array, function)                                              \
	{                                                                        \
		.columns = (array), .ncolumns = sizeof(array) / sizeof *(array), \
		.fill = (function)                                               \
	}
#define SHOW_LIST(array, list_function, each_function)                           \
	{                                                                        \
		.columns = (array), .ncolumns = sizeof(array) / sizeof *(array), \
		.list = (list_function), .each = (each_function)                 \
	}

/* Is it one's own: of the same user of the operating system, in the same role? `own` as in show. */
bool show_is_own(const struct session *own, const struct session *);

/* A list function: every session. */
void show_list_sessions(const struct daemon *, const struct session *own, struct show_ids *);

/* As PgBouncer writes it. `at` is seconds of the wall clock. */
void show_time(struct rows *, int64_t at);
/* When something of the loop's clock was, by the wall clock. */
int64_t show_wall(const struct daemon *, int64_t us);

extern const struct show show_pools;
extern const struct show show_clients;
extern const struct show show_servers;
extern const struct show show_sockets;
extern const struct show show_fds;
extern const struct show show_databases;
extern const struct show show_lists;
extern const struct show show_config;
extern const struct show show_version;
extern const struct show show_state;

/* inside: what the daemon has told, holds and knows. */
extern const struct show show_errors;
extern const struct show show_mem;
extern const struct show show_users;

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
