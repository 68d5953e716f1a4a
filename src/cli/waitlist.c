#include "cli/waitlist.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* A key is the id of a session; or with this bit a process id, and above it the number of the
 * PostgreSQL, because two of them can have processes with the same id. */
#define OF_BACKEND   (UINT64_C(1) << 63)
#define SERVER_SHIFT 32

static const char *
word(const struct table *t, unsigned row, const char *column)
{
	const char *text = table_cell(t, row, column);

	return text ? text : "";
}

static uint64_t
number(const struct table *t, unsigned row, const char *column)
{
	return strtoull(word(t, row, column), NULL, 10);
}

/* -1 if there is none. */
static int64_t
milliseconds(const struct table *t, unsigned row, const char *column)
{
	const char *text = table_cell(t, row, column);

	return text ? strtoll(text, NULL, 10) : -1;
}

/* ---- which process is whose ---- */

/* A process of PostgreSQL and the session that has it; sorted by `key`. */
struct owner {
	uint64_t key; /* with OF_BACKEND */
	uint64_t session;
	const char *id, *pid; /* of the session, of the process */
};

/* The servers that PostgreSQL was asked on. */
struct places {
	const char **servers; /* their texts; the number is the index */
	unsigned count;
	struct owner *owners;
	unsigned nowners;
};

/* The number of a text that tells one PostgreSQL from another. They are few. */
static unsigned
place_of(struct places *p, const char *server)
{
	for (unsigned i = 0; i < p->count; i++)
		if (strcmp(p->servers[i], server) == 0)
			return i;
	p->servers = mem_realloc(p->servers, (p->count + 1) * sizeof *p->servers);
	p->servers[p->count] = server;
	return p->count++;
}

static uint64_t
backend_key(struct places *p, const char *server, uint64_t pid)
{
	return OF_BACKEND | (uint64_t)place_of(p, server) << SERVER_SHIFT | (uint32_t)pid;
}

/* The text of the PostgreSQL to which the pool leads, or NULL: it was not asked. */
static const char *
server_of_pool(const struct table *locks, const char *pool)
{
	for (unsigned i = 0; i < table_rows(locks); i++)
		if (table_cell(locks, i, "pid") == NULL &&
		    strcmp(word(locks, i, "pool"), pool) == 0)
			return table_cell(locks, i, "server");
	return NULL;
}

static int
compare_owners(const void *a, const void *b)
{
	const struct owner *x = a, *y = b;

	return (x->key > y->key) - (x->key < y->key);
}

static void
read_owners(struct places *p, const struct table *servers, const struct table *locks)
{
	const char *pool = NULL, *server = NULL;

	p->owners = mem_calloc(table_rows(servers) + 1, sizeof *p->owners);
	for (unsigned i = 0; i < table_rows(servers); i++) {
		const char *name = word(servers, i, "database");

		/* The servers of a pool mostly stand together. */
		if (pool == NULL || strcmp(pool, name) != 0) {
			pool = name;
			server = server_of_pool(locks, pool);
		}
		if (server && table_cell(servers, i, "session"))
			p->owners[p->nowners++] = (struct owner){
			    backend_key(p, server, number(servers, i, "remote_pid")),
			    number(servers, i, "session"), word(servers, i, "session"),
			    word(servers, i, "remote_pid")};
	}
	qsort(p->owners, p->nowners, sizeof *p->owners, compare_owners);
}

static const struct owner *
find_owner(const struct places *p, uint64_t key)
{
	struct owner wanted = {.key = key};

	return bsearch(&wanted, p->owners, p->nowners, sizeof wanted, compare_owners);
}

/* The party of a process: its session, or itself. */
static uint64_t
key_of_process(struct places *p, const char *server, uint64_t pid)
{
	uint64_t key = backend_key(p, server, pid);
	const struct owner *o = find_owner(p, key);

	return o ? o->session : key;
}

/* ---- parties ---- */

static int
compare_parties(const void *a, const void *b)
{
	const struct party *x = a, *y = b;

	return (x->key > y->key) - (x->key < y->key);
}

static struct party *
find_party(const struct waitlist *w, uint64_t key)
{
	struct party wanted = {.key = key};

	return w->nparties
		   ? bsearch(&wanted, w->parties, w->nparties, sizeof wanted, compare_parties)
		   : NULL;
}

static uint32_t
index_of(const struct waitlist *w, uint64_t key)
{
	return (uint32_t)(find_party(w, key) - w->parties);
}

static void
add_party(struct waitlist *w, uint64_t key, const char *id, const char *application,
	  const char *role, const char *state)
{
	w->parties[w->nparties++] = (struct party){.key = key,
						   .backend = (key & OF_BACKEND) != 0,
						   .id = id,
						   .program = "",
						   .pid = "",
						   .application = application,
						   .state = state,
						   .scopes = "",
						   .role = role,
						   .backend_pid = "",
						   .waits = WAITLIST_NOBODY,
						   .holds = WAITLIST_NOBODY};
}

/* Sorts them, and makes one of those with the same key. */
static void
unite_parties(struct waitlist *w)
{
	uint32_t n = 0;

	qsort(w->parties, w->nparties, sizeof *w->parties, compare_parties);
	for (uint32_t i = 0; i < w->nparties; i++)
		if (n == 0 || w->parties[n - 1].key != w->parties[i].key)
			w->parties[n++] = w->parties[i];
		else if (*w->parties[n - 1].state == 0)
			w->parties[n - 1].state = w->parties[i].state;
	w->nparties = n;
}

/* Adds the process that waits, or with `holds` the other one. */
static void
add_process(struct waitlist *w, struct places *p, const struct table *locks, unsigned i, bool holds)
{
	const char *pid = word(locks, i, holds ? "holder" : "pid");
	uint64_t key = backend_key(p, word(locks, i, "server"), strtoull(pid, NULL, 10));
	const struct owner *o = find_owner(p, key);

	if (o)
		add_party(w, o->session, o->id, "", "", "");
	else
		add_party(w, key, pid, word(locks, i, holds ? "holder_application" : "application"),
			  word(locks, i, holds ? "holder_role" : "role"),
			  holds ? word(locks, i, "holder_state") : "");
}

static void
add_parties(struct waitlist *w, struct places *p, const struct table *waits,
	    const struct table *locks)
{
	unsigned nlocks = locks ? table_rows(locks) : 0;

	w->parties = mem_calloc(2 * (size_t)(table_rows(waits) + nlocks) + 1, sizeof *w->parties);
	for (unsigned i = 0; i < table_rows(waits); i++) {
		add_party(w, number(waits, i, "session"), word(waits, i, "session"), "", "", "");
		if (table_cell(waits, i, "held_by"))
			add_party(w, number(waits, i, "held_by"), word(waits, i, "held_by"), "", "",
				  "");
	}
	for (unsigned i = 0; i < nlocks; i++) {
		if (table_cell(locks, i, "pid") == NULL)
			continue;
		add_process(w, p, locks, i, false);
		add_process(w, p, locks, i, true);
	}
	unite_parties(w);
}

/* Fills in what SHOW WAITS and SHOW CLIENTS say of the sessions. */
static void
describe_sessions(struct waitlist *w, const struct table *waits, const struct table *clients)
{
	for (unsigned i = 0; i < table_rows(waits); i++) {
		struct party *p = find_party(w, number(waits, i, "session"));

		p->program = word(waits, i, "program");
		p->pid = word(waits, i, "pid");
		p->application = word(waits, i, "application_name");
		p->role = word(waits, i, "role");
	}
	for (unsigned i = 0; i < table_rows(clients); i++) {
		struct party *p = find_party(w, number(clients, i, "id"));

		if (p == NULL)
			continue;
		p->id = word(clients, i, "id");
		p->program = word(clients, i, "program");
		p->pid = word(clients, i, "remote_pid");
		p->application = word(clients, i, "application_name");
		p->state = word(clients, i, "state");
		/* PgBouncer's word; SHOW HELD, the log and the status page say it so: */
		if (strcmp(p->state, "active") == 0)
			p->state = "running";
		p->scopes = word(clients, i, "scopes");
		p->role = word(clients, i, "user");
	}
}

/* ---- waits ---- */

static const char *
kind_of(const char *locktype)
{
	/* Who waits for a row waits for the transaction that has it, or for its turn to do so. */
	return strcmp(locktype, "transactionid") == 0 || strcmp(locktype, "tuple") == 0 ? "row"
											: locktype;
}

/* The reason for which a session waits, if it is worth a word: a limit that crosses pools. */
static const char *
why_of(const char *reason)
{
	static const char *const limits[] = {"cluster ", "role ", "uid "};

	for (unsigned i = 0; i < sizeof limits / sizeof *limits; i++)
		if (strncmp(reason, limits[i], strlen(limits[i])) == 0)
			return reason;
	return "";
}

/* Those of SHOW WAITS. */
static void
add_waits(struct waitlist *w, const struct table *waits)
{
	for (unsigned i = 0; i < table_rows(waits); i++)
		w->waits[w->nwaits++] =
		    (struct wait){.waiter = index_of(w, number(waits, i, "session")),
				  .holder = table_cell(waits, i, "held_by")
						? index_of(w, number(waits, i, "held_by"))
						: WAITLIST_NOBODY,
				  .wait_ms = milliseconds(waits, i, "wait_ms"),
				  .held_ms = milliseconds(waits, i, "held_ms"),
				  .kind = word(waits, i, "kind"),
				  .name = word(waits, i, "name"),
				  .why = why_of(word(waits, i, "reason")),
				  .first = strcmp(word(waits, i, "position"), "1") == 0,
				  .row = i};
}

/* Notes by which server a session waits, or is waited for. */
static void
note_backend(struct party *party, const struct places *p, uint64_t key)
{
	const struct owner *o = find_owner(p, key);

	if (o && *party->backend_pid == 0)
		party->backend_pid = o->pid;
}

static int
compare_pairs(const void *a, const void *b)
{
	const struct wait *x = a, *y = b;

	if (x->waiter != y->waiter)
		return x->waiter < y->waiter ? -1 : 1;
	if (x->holder != y->holder)
		return x->holder < y->holder ? -1 : 1;
	return (int)y->named - (int)x->named;
}

/* Two pools that lead to the same PostgreSQL have told the same waits, and mostly one of them only
 * the name of the table: keeps one of each, if possible with the name. */
static void
unite_locks(struct waitlist *w, uint32_t from)
{
	uint32_t n = from;

	if (w->nwaits > from)
		qsort(w->waits + from, w->nwaits - from, sizeof *w->waits, compare_pairs);
	for (uint32_t i = from; i < w->nwaits; i++)
		if (n == from || w->waits[n - 1].waiter != w->waits[i].waiter ||
		    w->waits[n - 1].holder != w->waits[i].holder)
			w->waits[n++] = w->waits[i];
	w->nwaits = n;
}

/* Those inside PostgreSQL. */
static void
add_locks(struct waitlist *w, struct places *p, const struct table *locks)
{
	uint32_t from = w->nwaits;

	for (unsigned i = 0; i < table_rows(locks); i++) {
		const char *server = word(locks, i, "server");
		const char *table = table_cell(locks, i, "relation");
		uint64_t pid = number(locks, i, "pid"), holder = number(locks, i, "holder");
		struct wait wait;

		if (table_cell(locks, i, "pid") == NULL)
			continue;
		wait = (struct wait){.waiter = index_of(w, key_of_process(p, server, pid)),
				     .holder = index_of(w, key_of_process(p, server, holder)),
				     .wait_ms = milliseconds(locks, i, "wait_ms"),
				     .held_ms = milliseconds(locks, i, "held_ms"),
				     .kind = kind_of(word(locks, i, "locktype")),
				     .name = table ? table : word(locks, i, "pool"),
				     .named = table != NULL,
				     .row = WAITLIST_NOBODY};
		w->waits[w->nwaits++] = wait;
		note_backend(&w->parties[wait.waiter], p, backend_key(p, server, pid));
		note_backend(&w->parties[wait.holder], p, backend_key(p, server, holder));
	}
	unite_locks(w, from);
}

/* ---- which of them have to do with a session ---- */

static uint32_t
group_of(struct waitlist *w, uint32_t i)
{
	while (w->parties[i].group != i) {
		w->parties[i].group = w->parties[w->parties[i].group].group;
		i = w->parties[i].group;
	}
	return i;
}

/* Puts parties that wait for each other into one group, and removes the waits of groups that have
 * no session: they are others' business. */
static void
leave_out_strangers(struct waitlist *w)
{
	bool *ours = mem_calloc(w->nparties + 1, sizeof *ours);
	uint32_t n = 0;

	for (uint32_t i = 0; i < w->nparties; i++)
		w->parties[i].group = i;
	for (uint32_t i = 0; i < w->nwaits; i++)
		if (w->waits[i].holder != WAITLIST_NOBODY)
			w->parties[group_of(w, w->waits[i].holder)].group =
			    group_of(w, w->waits[i].waiter);
	for (uint32_t i = 0; i < w->nparties; i++)
		if (!w->parties[i].backend)
			ours[group_of(w, i)] = true;
	for (uint32_t i = 0; i < w->nwaits; i++)
		if (ours[group_of(w, w->waits[i].waiter)])
			w->waits[n++] = w->waits[i];
	w->nwaits = n;
	free(ours);
}

/* ---- order ---- */

/* SHOW WAITS as it came, then what is inside PostgreSQL, there the longest held first. */
static int
compare_waits(const void *a, const void *b)
{
	const struct wait *x = a, *y = b;

	if (x->row != y->row)
		return x->row < y->row ? -1 : 1;
	if (x->waiter != y->waiter)
		return x->waiter < y->waiter ? -1 : 1;
	if (x->held_ms != y->held_ms)
		return x->held_ms > y->held_ms ? -1 : 1;
	return (x->holder > y->holder) - (x->holder < y->holder);
}

static void
sort_waits(struct waitlist *w)
{
	if (w->nwaits > 0)
		qsort(w->waits, w->nwaits, sizeof *w->waits, compare_waits);
	for (uint32_t i = 0; i < w->nwaits; i++) {
		const struct wait *wait = &w->waits[i];
		struct party *waiter = &w->parties[wait->waiter];

		if (waiter->waits == WAITLIST_NOBODY)
			waiter->waits = i;
		if (wait->holder != WAITLIST_NOBODY &&
		    w->parties[wait->holder].holds == WAITLIST_NOBODY)
			w->parties[wait->holder].holds = i;
	}
}

void
waitlist_make(struct waitlist *w, const struct table *waits, const struct table *clients,
	      const struct table *servers, const struct table *locks)
{
	struct places p = {0};

	*w = (struct waitlist){0};
	if (locks)
		read_owners(&p, servers, locks);
	add_parties(w, &p, waits, locks);
	describe_sessions(w, waits, clients);
	w->waits = mem_calloc((size_t)table_rows(waits) + (locks ? table_rows(locks) : 0) + 1,
			      sizeof *w->waits);
	add_waits(w, waits);
	if (locks) {
		add_locks(w, &p, locks);
		leave_out_strangers(w);
	}
	sort_waits(w);
	free(p.owners);
	free(p.servers);
}

void
waitlist_clear(struct waitlist *w)
{
	free(w->parties);
	free(w->waits);
	*w = (struct waitlist){0};
}

bool
waitlist_is_root(const struct waitlist *w, const struct wait *wait)
{
	return wait->holder != WAITLIST_NOBODY && w->parties[wait->holder].waits == WAITLIST_NOBODY;
}

/* ---- as a table ---- */

static const char *
or_null(const char *text)
{
	return *text ? text : NULL;
}

/* The process of PostgreSQL by which the party waits, or is waited for; NULL: none. */
static const char *
backend_of(const struct party *p)
{
	return or_null(p->backend ? p->id : p->backend_pid);
}

/* The cell of a wait inside PostgreSQL. The numbers are texts in wait_ms and held_ms. */
static const char *
cell_of(const struct waitlist *w, const struct wait *wait, const char *column, const char *wait_ms,
	const char *held_ms)
{
	const struct party *p = &w->parties[wait->waiter], *h = &w->parties[wait->holder];

	if (strcmp(column, "session") == 0)
		return p->backend ? NULL : p->id;
	if (strcmp(column, "pid") == 0)
		return or_null(p->pid);
	if (strcmp(column, "program") == 0)
		return or_null(p->program);
	if (strcmp(column, "application_name") == 0)
		return p->application;
	if (strcmp(column, "role") == 0)
		return or_null(p->role);
	if (strcmp(column, "kind") == 0)
		return wait->kind;
	if (strcmp(column, "name") == 0)
		return wait->name;
	if (strcmp(column, "wait_ms") == 0)
		return or_null(wait_ms);
	if (strcmp(column, "held_by") == 0)
		return h->backend ? NULL : h->id;
	if (strcmp(column, "held_ms") == 0)
		return or_null(held_ms);
	return NULL;
}

static void
say_ms(int64_t ms, char *out, size_t out_size)
{
	*out = 0;
	if (ms >= 0)
		snprintf(out, out_size, "%lld", (long long)ms);
}

struct table *
waitlist_table(const struct waitlist *w, const struct table *waits)
{
	struct table *t = table_empty(waits);
	unsigned n = table_columns(waits);
	const char **cells = mem_calloc(n + 3, sizeof *cells);
	char wait_ms[24], held_ms[24];

	table_column(t, "backend_pid", TABLE_NUMBER);
	table_column(t, "held_by_backend", TABLE_NUMBER);
	table_column(t, "held_by_name", TABLE_TEXT);
	for (uint32_t i = 0; i < w->nwaits; i++) {
		const struct wait *wait = &w->waits[i];
		const struct party *h =
		    wait->holder == WAITLIST_NOBODY ? NULL : &w->parties[wait->holder];

		say_ms(wait->wait_ms, wait_ms, sizeof wait_ms);
		say_ms(wait->held_ms, held_ms, sizeof held_ms);
		for (unsigned c = 0; c < n; c++) {
			const char *name = table_name(waits, c);

			if (strcmp(name, "root") == 0)
				cells[c] = waitlist_is_root(w, wait) ? "t" : "f";
			else if (wait->row != WAITLIST_NOBODY)
				cells[c] = table_at(waits, wait->row, c);
			else
				cells[c] = cell_of(w, wait, name, wait_ms, held_ms);
		}
		cells[n] = backend_of(&w->parties[wait->waiter]);
		cells[n + 1] = h ? backend_of(h) : NULL;
		cells[n + 2] = h ? or_null(h->application) : NULL;
		table_row(t, cells);
	}
	free(cells);
	return t;
}
