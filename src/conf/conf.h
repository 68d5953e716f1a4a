/* conf: the configuration as one immutable snapshot. Loading a file gives either a snapshot that
 * has been checked as a whole, or all problems of the file at once. A reload makes a new snapshot,
 * and so does SET. A pool or scope that is still needed after that keeps a reference to the old
 * one. */
#ifndef PGWITH_CONF_CONF_H
#define PGWITH_CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/log.h"

/* Who LISTENs for a session: the keeper of its pool, or its own server. */
enum conf_listen { CONF_LISTEN_SHARED, CONF_LISTEN_PIN };

/* For how long a session holds a server. */
enum conf_mode { CONF_TRANSACTION, CONF_SESSION, CONF_STATEMENT };
const char *conf_mode_name(enum conf_mode);

/* What SIGTERM does: see daemon_drain() and daemon_finish(). */
enum conf_term { CONF_TERM_DRAIN, CONF_TERM_AFTER_CLIENTS };

/* How the daemon waits, receives and sends. */
enum conf_io { CONF_IO_AUTO, CONF_IO_EPOLL, CONF_IO_URING };

/* As whom a pool's servers log in: as conninfo says, or each as the role of its client. */
enum conf_role { CONF_ROLE_FIXED, CONF_ROLE_CLIENT };

/* Which unnamed statements are parsed once for all sessions: see pool/once.h. */
enum conf_cache { CONF_CACHE_AUTO, CONF_CACHE_ON, CONF_CACHE_OFF };

/* Where the value of an option comes from. */
struct conf_source {
	unsigned file;  /* 0: it is the default; otherwise conf->files[file - 1] */
	unsigned line;  /* of that file; 0: that is no file, but "SET by ROLE" */
	bool inherited; /* a pool's option that [pgwith] sets for all pools */
};

struct conf;
struct userlist;

/* One section [pool NAME]. */
struct conf_pool {
	struct conf *snapshot; /* the snapshot that this is a part of; NULL in some tests */
	char *name;
	char *conninfo; /* a connection string or URI of libpq */
	char *password; /* that goes with conninfo, a command that tells it (pwcommand.h), or "" */
	int64_t password_ttl_us;     /* so long a command's password is used again; 0: never */
	int64_t password_timeout_us; /* for the command */
	enum conf_mode mode;
	enum conf_listen listen_mode;
	enum conf_role role;
	char *users;                /* as written; see access_pool() */
	char *cluster;              /* the name of a section [cluster NAME], or "" */
	int64_t size;               /* server connections at most, those in cleanup counted */
	int64_t min_size;           /* opened at start and kept */
	int64_t max_waiting;        /* sessions in the queue; 0: none may wait */
	int64_t max_opening;        /* connections being made at once */
	int64_t wait_timeout_us;    /* in the queue; 0: no limit */
	int64_t idle_timeout_us;    /* longer idle servers are closed, down to min_size; 0: never */
	int64_t max_lifetime_us;    /* older servers are closed once they are idle; 0: never */
	int64_t connect_timeout_us; /* for one server login at one host, name resolution included */
	int64_t check_interval_us;  /* servers idle for so long are checked; 0: never */
	int64_t cleanup_timeout_us; /* for all steps of one cleanup together */
	int64_t retry_delay_us;     /* between a failed connect and the next one */
	bool wait_while_down; /* clients wait while a server that was there cannot be reached */
	bool pin;             /* a session may keep its server for state that cannot be moved */
	bool discard_always;  /* DISCARD ALL after every lease */
	int64_t max_prepared_statements; /* kept on each server; 0: a session with one is pinned */
	int64_t max_session_statements;  /* a session with more named statements is pinned */
	enum conf_cache statement_cache;
	int64_t statement_cache_age_us; /* an older statement is parsed anew */
	bool lazy_begin;                /* a plain BEGIN is answered without a server */
	char *read_only;             /* the pool for transactions that only read, or "": this one */
	bool read_only_fallback;     /* they stay here while that one cannot be reached */
	int64_t read_your_writes_us; /* so long they stay after the session has written; 0: no */
	int64_t scope_deadline_us;   /* for scopes and transactions without their own; 0: none */
	int64_t idle_in_scope_timeout_us; /* silent clients' transactions are ended; 0: never */
	int64_t query_timeout_us;         /* a longer statement is cancelled; 0: never */
	int64_t log_scope_longer_than_us; /* longer scopes are logged; 0: none */
	bool log_scope_statements;        /* with their SQL */
	int64_t log_held_longer_than_us;  /* what is held for longer is logged; 0: nothing */
	char *application_name;           /* as written: see conf/naming.h */
	struct conf_source *sources;      /* indexed by option_index() */
};

/* How the transaction of a scope begins. */
enum conf_isolation {
	CONF_ISOLATION_DEFAULT, /* the server's */
	CONF_SERIALIZABLE,
	CONF_REPEATABLE_READ,
	CONF_READ_COMMITTED,
	CONF_READ_UNCOMMITTED,
};
enum conf_access { CONF_ACCESS_DEFAULT, CONF_READ_ONLY, CONF_READ_WRITE };

/* Statements of a scope, in the order in which they are run. Each is exactly one statement, without
 * its semicolon. It neither begins nor ends a transaction or scope, and transfers no data from or
 * to the client (COPY). */
struct conf_statement {
	char *sql;
	/* Bit n-1: the statement uses $n. If it does not use an argument below its highest, the
	 * server must be told a type for that one, as it cannot infer any. */
	uint64_t args;
};
struct conf_statements {
	struct conf_statement *list;
	unsigned count;
};

/* One section [scope NAME]. */
struct conf_scope {
	struct conf *snapshot; /* as in a pool */
	char *name;
	char *pool;          /* a pool's name; "": the session's own */
	int64_t wait_us;     /* 0: ENTER does not wait; CONF_UNSET: not given */
	int64_t deadline_us; /* 0: none of its own */
	enum conf_isolation isolation;
	enum conf_access access;
	bool suppress;
	struct conf_statements enter;       /* in the transaction, after BEGIN or SAVEPOINT */
	struct conf_statements on_commit;   /* in the transaction, before it is committed */
	struct conf_statements on_rollback; /* after it was rolled back */
	struct conf_statements cleanup;     /* after it has ended in either way */
	unsigned nargs;                     /* the highest $n; all below it are used */
	struct conf_source *sources;        /* as in a pool */
};

/* One section [cluster NAME]: the PostgreSQL server that several pools reach. */
struct conf_cluster {
	struct conf *snapshot; /* as in a pool */
	char *name;
	int64_t server_limit;        /* server connections of all its pools together */
	struct conf_source *sources; /* as in a pool */
};

/* Whose sessions a limit counts. */
enum conf_party { CONF_PARTY_ROLE, CONF_PARTY_UID };

#define CONF_PARTY_EACH "*" /* the name of a section for all that have none of their own */

/* One section [role NAME] or [uid NUMBER]. */
struct conf_limits {
	struct conf *snapshot; /* as in a pool */
	enum conf_party party;
	char *name;          /* a role, a uid in digits, or CONF_PARTY_EACH */
	int64_t max_clients; /* sessions; 0: no limit */
	int64_t max_servers; /* server connections that are lent to them at once; 0: no limit */
	int64_t priority;    /* seconds by which they are served before others */
	struct conf_source *sources; /* as in a pool */
};

struct conf {
	unsigned references;
	char *path;   /* the file, or NULL */
	char **files; /* sources of values: the file, those that it includes, and "SET by ROLE" */
	unsigned nfiles;
	/* section [pgwith] */
	char *include; /* the patterns of files to include, as written, separated by commas */
	char *listen;  /* directory of the socket */
	int64_t port;
	int64_t socket_mode; /* permission bits of the socket */
	char *socket_owner;  /* user name, or "" */
	char *socket_group;  /* group name, or "" */
	int64_t max_clients;
	int64_t listen_memory; /* bytes of notifications that wait for clients, all together */
	enum conf_io io;
	int64_t login_timeout_us;
	int64_t shutdown_timeout_us;
	enum conf_term on_term;
	int64_t exit_when_unused_us; /* without a client for so long, the daemon ends; 0: never */
	bool handover;               /* SIGTERM hands over, if a supervisor keeps descriptors */
	int64_t handover_timeout_us;
	char *admin_users; /* comma-separated role names */
	char *stats_users;
	char *allow; /* as written; see access_role() */
	char *auth;  /* as written; see auth_methods() */
	char *auth_console;
	char *auth_file;           /* a path, or "" */
	struct userlist *userlist; /* what is in that file; NULL: there is none */
	char *auth_pool;           /* a pool's name, or "": no pool is asked */
	char *auth_query;
	int64_t auth_cache_age_us; /* for how long its answers are used */
	int64_t auth_delay_us;     /* a wrong password is answered after so long */
	enum log_level log_level;
	enum log_format log_format;
	bool log_connections;
	bool log_disconnections;
	bool log_pooler_errors;
	bool log_scopes;
	char *metrics_listen;        /* as written, or "": see socket_metrics_address() */
	int64_t metrics_socket_mode; /* permission bits of that socket, if it is a Unix socket */
	struct conf_source *sources; /* indexed by option_index(); of the pools' defaults, too */

	struct conf_pool defaults; /* the options of pools in [pgwith]; it has no name */
	struct conf_pool *pools;   /* in the order of the file */
	unsigned npools;
	struct conf_scope *scopes; /* in the order of the file */
	unsigned nscopes;
	struct conf_cluster *clusters; /* likewise */
	unsigned nclusters;
	struct conf_limits *limits; /* of roles and of uids, likewise */
	unsigned nlimits;
};

/* One thing that is wrong in a file. */
struct conf_problem {
	char *file;
	unsigned order; /* place of the file among those that were read */
	unsigned line;  /* from 1; 0 where no line can be named */
	char *text;     /* what is wrong, what was expected, and maybe the nearest known name */
};
struct conf_problems {
	struct conf_problem *list;
	unsigned count;
};

#define CONF_FILE_MAX     (1 << 20)  /* bytes of a file */
#define CONF_FILES_MAX    1000       /* files that are included */
#define CONF_VALUE_MAX    (64 << 10) /* bytes of one value, all its lines together */
#define CONF_NAME         63 /* bytes of a pool's or scope's name, as of any name in PostgreSQL */
#define CONF_POOLS_MAX    1000
#define CONF_SCOPES_MAX   1000
#define CONF_CLUSTERS_MAX 1000
#define CONF_LIMITS_MAX   1000 /* sections of roles, and likewise of uids */
#define CONF_ARGS_MAX     64   /* arguments of a scope: $1 to $64 */
#define CONF_UNSET        (-1)
#define CONF_PROBLEMS_MAX 100 /* problems that are listed; one more tells how many are left out */

/* An argument of pgwithd that sets options. */
struct conf_argument {
	enum conf_argument_kind {
		/* OPTION=VALUE, pool.NAME.OPTION=VALUE or scope.NAME.OPTION=VALUE */
		CONF_ARGUMENT_OPTION,
		CONF_ARGUMENT_POOL,   /* NAME=CONNINFO: the pool is made if the file has none */
		CONF_ARGUMENT_LISTEN, /* the directory of the socket */
	} kind;
	const char *text;
};

/* What a configuration is made of. */
struct conf_input {
	const char *path; /* the file; NULL: there is none */
	/* over what the file says, the last of the same option over those before it */
	const struct conf_argument *arguments;
	unsigned narguments;
	/* NAME=VALUE, ended by NULL, for ${NAME} in values; NULL: our own environment */
	char *const *environment;
};

/* What stands for a file where the value comes from an argument. */
#define CONF_COMMAND_LINE "command line"
/* The file that is read if none is named. */
#define CONF_PATH SYSCONFDIR "/pgwith/pgwith.conf"

/* The file to read: the one that is given (NULL: none is), that of $PGWITH_CONFIG, or CONF_PATH. */
const char *conf_path(const char *given);

/* Loads and checks a configuration. Returns the snapshot and the problems as conf_load() does. */
struct conf *conf_read(const struct conf_input *, struct conf_problems *p);

/* Loads and checks a file. Returns the snapshot (the caller frees it with conf_free()), or NULL
 * with at least one problem in *p. This call initialises *p; the caller clears it in both cases. */
struct conf *conf_load(const char *path, struct conf_problems *p);
/* Checks names that only the system knows, socket_owner and socket_group, and adds what is wrong.
 * Called at a start and never in a running daemon, because the system may ask a name service over
 * the network; only a start uses these names. */
void conf_check_names(const struct conf *, struct conf_problems *);
/* Drops a reference; the last one frees. NULL is fine. */
void conf_free(struct conf *);
void conf_problems_clear(struct conf_problems *);
/* The problem as text for people, FILE:LINE: TEXT. The caller frees. */
char *conf_problem_text(const struct conf_problem *);
/* Adds a problem with the value of an option that only a module above conf can find. */
void conf_problem_add(struct conf_problems *, const struct conf *, const struct conf_source *,
		      const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Where the value of a pool's option comes from. `option` must be in the table. */
const struct conf_source *conf_pool_source(const struct conf_pool *, const char *option);

/* Take a reference to the snapshot that the pool or scope is a part of, and return the pool or
 * scope. NULL is fine. */
const struct conf_pool *conf_pool_keep(const struct conf_pool *);
const struct conf_scope *conf_scope_keep(const struct conf_scope *);
/* Drop that reference. */
void conf_pool_drop(const struct conf_pool *);
void conf_scope_drop(const struct conf_scope *);

/* ---- changes of a running configuration ---- */

/* What SET asks for. `pool`, `scope`, `cluster`, `of_role` or `of_uid` names the section; all are
 * NULL for [pgwith]. */
struct conf_change {
	const char *option, *value;
	const char *pool, *scope, *cluster, *of_role, *of_uid;
	const char *role; /* who asks */
};

/* Makes a snapshot with that change. The default of an option of pools also changes each pool that
 * does not set the option itself. Returns NULL if the change is refused, with the reason in *why
 * and a hint in *hint (NULL if there is none); the caller frees both. */
struct conf *conf_changed(const struct conf *, const struct conf_change *, char **why, char **hint);

/* An option that differs between two snapshots. Passwords are hidden. */
struct conf_difference {
	const char *section; /* "pgwith", "pool NAME", "scope NAME" ... */
	const char *option;
	const char *was, *is; /* NULL if the values are statements */
	bool refused;         /* only a restart can change it: `is` is what the file wants */
};
typedef void conf_tell(void *arg, const struct conf_difference *);

/* To be called before `next` replaces `running`: both functions call tell(arg, difference) for
 * every difference, and change `next` back to `running` in options that only a restart can change.
 * conf_take_over() does so for [pgwith] without its defaults for pools and for all other sections
 * but those of pools, conf_take_pool() for one pool that runs now. */
void conf_take_over(struct conf *next, const struct conf *running, conf_tell *tell, void *arg);
void conf_take_pool(struct conf *next, const struct conf_pool *running, conf_tell *tell, void *arg);

/* One option of a snapshot as text, for SHOW CONFIG. */
struct conf_entry {
	char *section;            /* "pgwith", "pool NAME", "scope NAME" ... */
	const char *name;         /* of the option; static */
	char *value;              /* without passwords */
	const char *default_text; /* static; NULL: there is none, it must be given */
	char *source;             /* "FILE:LINE", "default" or "SET by ROLE" */
	bool changeable;          /* without a restart */
	const char *help;         /* static */
};

/* How many entries there are: every option of [pgwith], the pools' defaults among them, then every
 * option of each pool, scope, cluster, and of each section of roles and uids. */
unsigned conf_entries(const struct conf *);
/* Fills in the `i`-th entry, from 0; the caller clears it. */
void conf_entry(const struct conf *, unsigned i, struct conf_entry *);
void conf_entry_clear(struct conf_entry *);

/* The path of the listening socket. The caller frees. */
char *conf_socket(const struct conf *);

/* The pool of that name, or NULL. */
const struct conf_pool *conf_pool(const struct conf *, const char *name);
/* Does another pool name this one in its option read_only? */
bool conf_pool_is_read_only_target(const struct conf *, const struct conf_pool *);
/* The scope that is defined by that name, or NULL. Names are compared exactly. */
const struct conf_scope *conf_scope(const struct conf *, const char *name);

/* The cluster of that name, or NULL. */
const struct conf_cluster *conf_cluster(const struct conf *, const char *name);
/* The limits of a role, or of a uid in digits: its own section, otherwise that of CONF_PARTY_EACH;
 * NULL if there is neither. */
const struct conf_limits *conf_limits(const struct conf *, enum conf_party, const char *name);
/* The word that begins the section: "role" or "uid". */
const char *conf_party_name(enum conf_party);

/* Is `role` in the comma-separated list? */
bool conf_listed(const char *list, const char *role);

#endif
