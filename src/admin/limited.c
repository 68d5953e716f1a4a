/* SHOW CLUSTERS and SHOW LIMITS: what limits that cross pools come to. */
#include "admin/show.h"
#include "base/units.h"

/* ---- clusters ---- */

static const struct column clusters_columns[] = {
    {"cluster", COLUMN_TEXT},      {"pools", COLUMN_INT},    {"server_limit", COLUMN_INT},
    {"servers", COLUMN_INT},       {"leased", COLUMN_INT},   {"idle", COLUMN_INT},
    {"leaving", COLUMN_INT},       {"kept", COLUMN_INT},     {"waiting", COLUMN_INT},
    {"maxwait_ms", COLUMN_BIGINT}, {"moved", COLUMN_BIGINT},
};

/* The sums of a cluster's pools. */
struct cluster_sums {
	unsigned pools, leased, idle, waiting;
	int64_t since_us; /* since when the one waits that has waited longest; 0: nobody waits */
};

static struct cluster_sums
sum_up(const struct cluster *c)
{
	struct cluster_sums sums = {0};
	const struct list_node *n;

	LIST_EACH (n, &c->all->list) {
		const struct pool *pool = LIST_OBJ(n, const struct pool, node);
		int64_t since_us;

		if (pool->group->cluster != c)
			continue;
		since_us = lease_oldest_wait(pool);
		sums.pools += pool->group == pool;
		sums.leased += pool->servers[SERVER_LEASED].count;
		sums.idle += pool->servers[SERVER_IDLE].count;
		sums.waiting += pool->waiting.count;
		if (since_us && (sums.since_us == 0 || since_us < sums.since_us))
			sums.since_us = since_us;
	}
	return sums;
}

static void
cluster_row(const struct cluster *c, struct rows *r)
{
	struct cluster_sums sums = sum_up(c);

	/* The section is gone, and so are its pools. */
	if (sums.pools == 0 && c->held == 0)
		return;
	rows_begin(r);
	rows_text(r, c->name);
	rows_number(r, sums.pools);
	rows_number(r, c->limit);
	rows_number(r, c->held);
	rows_number(r, sums.leased);
	rows_number(r, sums.idle);
	rows_number(r, c->leaving);
	rows_number(r, c->claimed - c->held);
	rows_number(r, sums.waiting);
	rows_number(r, sums.since_us ? (loop_now_us(c->all->loop) - sums.since_us) / UNIT_MS : 0);
	rows_number(r, (int64_t)c->moved);
	rows_end(r);
}

static void
fill_clusters(const struct daemon *d, struct rows *r)
{
	const struct list_node *n;

	LIST_EACH (n, &d->site.pools.clusters)
		cluster_row(LIST_OBJ(n, const struct cluster, node), r);
}

const struct show show_clusters = SHOW_TABLE(clusters_columns, fill_clusters);

/* ---- roles and uids ---- */

static const struct column limits_columns[] = {
    {"kind", COLUMN_TEXT},        {"name", COLUMN_TEXT},    {"clients", COLUMN_INT},
    {"max_clients", COLUMN_INT},  {"servers", COLUMN_INT},  {"max_servers", COLUMN_INT},
    {"kept_waiting", COLUMN_INT}, {"priority", COLUMN_INT},
};

static void
limits_row(const struct party *p, struct rows *r)
{
	const struct list_node *n;
	unsigned kept_waiting = 0;

	LIST_EACH (n, &p->lanes)
		kept_waiting += LIST_OBJ(n, const struct lane, node)->blocked.count;
	rows_begin(r);
	rows_text(r, conf_party_name(p->kind));
	rows_text(r, p->name);
	rows_number(r, p->clients);
	rows_number(r, p->max_clients);
	rows_number(r, p->servers);
	rows_number(r, p->max_servers);
	rows_number(r, kept_waiting);
	rows_number(r, p->priority_us / UNIT_S);
	rows_end(r);
}

static void
fill_limits(const struct daemon *d, struct rows *r)
{
	const struct hash *table = &d->site.pools.parties.table;
	const struct hash_node *n;

	for (size_t i = 0; i < hash_chains(table); i++)
		for (n = hash_chain(table, i); n; n = n->next)
			limits_row(HASH_OBJ(n, const struct party, hashed), r);
}

const struct show show_limits = SHOW_TABLE(limits_columns, fill_limits);
