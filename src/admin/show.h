/* show: the tables of SHOW. PgBouncer's columns come first, with names, order and types of
 * PgBouncer 1.18; ours follow. A column of PgBouncer's that means nothing here has the value that
 * PgBouncer has for nothing (0, or an empty text). */
#ifndef PGWITH_ADMIN_SHOW_H
#define PGWITH_ADMIN_SHOW_H

#include "admin/rows.h"
#include "daemon/daemon.h"

/* What is still to be shown: the ids of the sessions or servers that a table has rows of; or what
 * a command has made that goes on by itself, and frees by end(). */
struct show_ids {
	uint64_t *list;
	unsigned count, room;
	unsigned at; /* index of the next one to be shown */
	void *own;   /* the command's; NULL: there is none */
	void (*end)(void *own);
};
void show_ids_add(struct show_ids *, uint64_t id);

/* Is there more to be shown, in the next turn of the loop? */
static inline bool
show_ids_left(const struct show_ids *ids)
{
	return ids->count > 0 || ids->own;
}

/* Frees the list, which is then empty and usable again. */
void show_ids_clear(struct show_ids *);

/* A table: its columns, and either fill(), which adds all rows at once; or, for a table that may be
 * long, list() and each(), which add rows in portions, because the loop stands still meanwhile. */
struct show {
	const struct column *columns;
	unsigned ncolumns;
	void (*fill)(const struct daemon *, struct rows *);
	/* Collects all ids; unless `own` is NULL, only those that belong to sessions of the same
	 * user and role as `own`. */
	void (*list)(const struct daemon *, const struct session *own, struct show_ids *);
	/* Adds the rows of one id, whose session or server may have gone by now. */
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

/* Do both sessions have the same system user and the same role? `own` may be NULL: then every
 * session counts as one's own. */
bool show_is_own(const struct session *own, const struct session *);

/* list() of a table that has rows of every session. */
void show_list_sessions(const struct daemon *, const struct session *own, struct show_ids *);

/* The name of the program that the process runs; NULL if the process has gone, or we may not see
 * it. */
const char *show_program(pid_t, char *out, size_t out_size);

/* Adds a time as PgBouncer writes it; `at`: seconds of the wall clock. */
void show_time(struct rows *, int64_t at);
/* The wall clock's time of a time of the loop's clock. */
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
extern const struct show show_level;
extern const struct show show_state;

/* held.c */
extern const struct show show_held;

/* health.c */
extern const struct show show_health;

/* inside.c */
extern const struct show show_errors;
extern const struct show show_logins;
extern const struct show show_mem;
extern const struct show show_users;

/* limited.c */
extern const struct show show_clusters;
extern const struct show show_limits;

/* metrics.c */
extern const struct show show_metrics;

/* scopes.c */
extern const struct show show_scopes;
extern const struct show show_locks;
extern const struct show show_scope_stats;

/* times.c */
extern const struct show show_times;
/* The path of a session's scopes, outermost first, for people: a > b > lock x. It ends where `out`
 * is full. NULL if no scope is open. */
const char *scopes_path(const struct session *, char *out, size_t out_size);
#define SCOPES_PATH_MAX 256 /* bytes of a path in tables and in the log */

/* waiters.c */
extern const struct show show_waits;

/* stats.c: sums since the start, and averages of the last complete period. */
extern const struct show show_stats;
extern const struct show show_stats_totals;
extern const struct show show_stats_averages;
extern const struct show show_totals;

#endif
