/* SHOW ERRORS, SHOW MEM and SHOW USERS: the errors that clients were told, what takes memory, and
 * who may do what. */
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_MALLINFO2
#include <malloc.h>
#endif

#include "admin/history.h"
#include "admin/level.h"
#include "admin/show.h"
#include "base/mem.h"
#include "executor/executor.h"
#include "session/script.h"

/* ---- errors ---- */

static const struct column errors_columns[] = {
    {"error", COLUMN_TEXT},
    {"sqlstate", COLUMN_TEXT},
    {"count", COLUMN_BIGINT},
    {"last_time", COLUMN_TEXT},
};

static void
fill_errors(const struct daemon *d, struct rows *r)
{
	for (int id = ERR_NONE + 1; id < ERR_N; id++) {
		const struct error_count *c = &d->site.errors[id];

		rows_begin(r);
		rows_text(r, err_kind(id)->name);
		rows_text(r, err_kind(id)->sqlstate);
		rows_number(r, (int64_t)c->count);
		if (c->count)
			show_time(r, show_wall(d, c->last_us));
		else
			rows_null(r);
		rows_end(r);
	}
}

const struct show show_errors = SHOW_TABLE(errors_columns, fill_errors);

/* ---- logins ---- */

static const struct column logins_columns[] = {
    {"uid", COLUMN_BIGINT},     {"role", COLUMN_TEXT}, {"wrong_passwords", COLUMN_BIGINT},
    {"last_time", COLUMN_TEXT}, {"pid", COLUMN_INT},   {"program", COLUMN_TEXT},
};

/* Those who have come with a wrong password, the last one first. */
static void
fill_logins(const struct daemon *d, struct rows *r)
{
	const struct list *all = &d->site.failures.rows;

	for (const struct list_node *n = all->head.prev; n != &all->head; n = n->prev) {
		const struct failure *f = LIST_OBJ(n, const struct failure, node);

		rows_begin(r);
		rows_number(r, f->uid);
		rows_text(r, f->role);
		rows_number(r, (int64_t)f->count);
		show_time(r, f->at);
		rows_number(r, f->pid);
		rows_text(r, f->program);
		rows_end(r);
	}
}

const struct show show_logins = SHOW_TABLE(logins_columns, fill_logins);

/* ---- memory ---- */

static const struct column mem_columns[] = {
    {"name", COLUMN_TEXT},
    {"size", COLUMN_INT},
    {"used", COLUMN_INT},
    {"free", COLUMN_INT},
    {"memtotal", COLUMN_INT},
    /* ours: as `memtotal`, but larger than an int4 can be */
    {"bytes", COLUMN_BIGINT},
};

/* `each`: the size of one, 0 if sizes differ. */
static void
mem_row(struct rows *r, const char *name, size_t each, uint64_t count, uint64_t bytes)
{
	rows_begin(r);
	rows_text(r, name);
	rows_number(r, (int64_t)each);
	rows_number(r, (int64_t)count);
	rows_number(r, 0); /* free ones: none are kept for later */
	rows_number(r, (int64_t)bytes);
	rows_number(r, (int64_t)bytes);
	rows_end(r);
}

/* Sums of what differs from session to session and from server to server. */
struct sums {
	uint64_t buffers, buffer_bytes;
	uint64_t scopes, frames;
	uint64_t names, name_bytes;
	uint64_t prepared;
	uint64_t notes, note_bytes;
};

static void
add_buf(struct sums *sum, const struct buf *b)
{
	if (b == NULL)
		return;
	sum->buffers += b->size > 0;
	sum->buffer_bytes += b->size;
}

static void
add_session(struct sums *sum, const struct session *s)
{
	add_buf(sum, s->in);
	add_buf(sum, stream_queue(&s->stream));
	if (s->rare->stack) {
		sum->scopes++;
		sum->frames += s->rare->stack->frames.count;
		if (s->rare->script)
			add_buf(sum, &s->rare->script->text);
		if (s->rare->work)
			add_buf(sum, &s->rare->work->failure);
	}
	if (s->context.names) {
		sum->names += s->context.names->names.count;
		sum->name_bytes += s->context.names->bytes;
	}
	if (s->context.parameters_sql) {
		sum->notes++;
		sum->note_bytes += strlen(s->context.parameters_sql) + 1;
	}
}

static void
add_servers(struct sums *sum, const struct pool *pool)
{
	const struct list_node *n;

	for (int i = 0; i < SERVER_CLOSED; i++)
		LIST_EACH (n, &pool->servers[i]) {
			const struct server *srv = LIST_OBJ(n, const struct server, node);

			add_buf(sum, stream_queue(&srv->stream));
			sum->prepared += srv->prepared.have.count;
			if (srv->context) {
				sum->notes++;
				sum->note_bytes += strlen(srv->context) + 1;
			}
		}
}

static void
mem_of_malloc(struct rows *r)
{
#ifdef HAVE_MALLINFO2
	struct mallinfo2 m = mallinfo2();

	mem_row(r, "malloc_used", 0, 0, m.uordblks + m.hblkhd);
	mem_row(r, "malloc_free", 0, m.ordblks, m.fordblks);
	mem_row(r, "malloc_total", 0, 0, m.arena + m.hblkhd);
#endif
}

static void
fill_mem(const struct daemon *d, struct rows *r)
{
	struct sums sum = {0};
	const struct list_node *n;
	uint64_t texts = d->site.pools.statements.texts.count;

	for (int i = 0; i < SESSION_CLOSED; i++)
		LIST_EACH (n, &d->site.in_state[i])
			add_session(&sum, LIST_OBJ(n, const struct session, node));
	LIST_EACH (n, &d->site.pools.list)
		add_servers(&sum, LIST_OBJ(n, const struct pool, node));
	mem_row(r, "sessions", sizeof(struct session), d->site.sessions.count,
		d->site.sessions.count * sizeof(struct session));
	mem_row(r, "servers", sizeof(struct server), d->site.pools.servers.count,
		d->site.pools.servers.count * sizeof(struct server));
	mem_row(r, "pools", sizeof(struct pool), d->site.pools.list.count,
		d->site.pools.list.count * sizeof(struct pool));
	mem_row(r, "buffers", 0, sum.buffers, sum.buffer_bytes);
	mem_row(r, "scope_stacks", sizeof(struct stack), sum.scopes,
		sum.scopes * sizeof(struct stack));
	mem_row(r, "scopes", sizeof(struct scope), sum.frames, sum.frames * sizeof(struct scope));
	mem_row(r, "locks", sizeof(struct lock), d->site.locks.list.count,
		d->site.locks.list.count * sizeof(struct lock));
	mem_row(r, "statement_texts", 0, texts, d->site.pools.statements.bytes);
	mem_row(r, "session_statements", 0, sum.names, sum.name_bytes);
	mem_row(r, "server_statements", 0, sum.prepared, 0);
	mem_row(r, "parameters", 0, sum.notes, sum.note_bytes);
	mem_row(r, "history", 0, history_pools(d), history_bytes(d));
	mem_of_malloc(r);
}

const struct show show_mem = SHOW_TABLE(mem_columns, fill_mem);

/* ---- users ---- */

static const struct column users_columns[] = {
    {"name", COLUMN_TEXT},
    {"pool_mode", COLUMN_TEXT},
    /* ours */
    {"level", COLUMN_TEXT},
    {"sessions", COLUMN_INT},
    {"waiting", COLUMN_INT},
    {"leased", COLUMN_INT},
};

/* First, one session of a role, or a listed role without a session; after sorting and adding up, a
 * role. */
struct user {
	const char *role;
	unsigned sessions, waiting, leased;
};

struct users {
	struct user *list;
	unsigned count;
	char *listed; /* the names in admin_users and stats_users, cut apart */
};

static int
by_role(const void *a, const void *b)
{
	return strcmp(((const struct user *)a)->role, ((const struct user *)b)->role);
}

static void
add_listed(struct users *u)
{
	char *at = u->listed, *name;

	while ((name = strsep(&at, ",")) != NULL) {
		name += strspn(name, " \t");
		name[strcspn(name, " \t")] = 0;
		if (*name)
			u->list[u->count++] = (struct user){.role = name};
	}
}

static void
collect_users(const struct daemon *d, struct users *u)
{
	const struct list_node *n;
	size_t names = 2;

	u->listed = mem_printf("%s,%s", d->site.conf->admin_users, d->site.conf->stats_users);
	for (const char *p = u->listed; *p; p++)
		names += *p == ',';
	u->list = mem_calloc(d->site.sessions.count + names, sizeof *u->list);
	add_listed(u);
	for (int i = 0; i < SESSION_CLOSED; i++)
		LIST_EACH (n, &d->site.in_state[i]) {
			const struct session *s = LIST_OBJ(n, const struct session, node);

			if (s->peer.role)
				u->list[u->count++] = (struct user){
				    s->peer.role, 1, s->hold->lease.state == LEASE_WAITING,
				    s->hold->lease.srv != NULL};
		}
	qsort(u->list, u->count, sizeof *u->list, by_role);
}

static void
user_row(const struct daemon *d, const struct user *u, struct rows *r)
{
	/* Only the system's root can come in as root, who may do everything. */
	enum level level =
	    strcmp(u->role, "root") == 0 || conf_listed(d->site.conf->admin_users, u->role)
		? LEVEL_ADMIN
	    : conf_listed(d->site.conf->stats_users, u->role) ? LEVEL_STATS
							      : LEVEL_ANY;

	rows_begin(r);
	rows_text(r, u->role);
	rows_null(r);
	rows_text(r, level == LEVEL_ANY ? "none" : level_name(level));
	rows_number(r, u->sessions);
	rows_number(r, u->waiting);
	rows_number(r, u->leased);
	rows_end(r);
}

static void
fill_users(const struct daemon *d, struct rows *r)
{
	struct users u = {0};

	collect_users(d, &u);
	for (unsigned i = 0, j; i < u.count; i = j) {
		struct user all = {.role = u.list[i].role};

		for (j = i; j < u.count && strcmp(u.list[j].role, all.role) == 0; j++) {
			all.sessions += u.list[j].sessions;
			all.waiting += u.list[j].waiting;
			all.leased += u.list[j].leased;
		}
		user_row(d, &all, r);
	}
	free(u.list);
	free(u.listed);
}

const struct show show_users = SHOW_TABLE(users_columns, fill_users);
