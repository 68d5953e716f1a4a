#include "pool/pool_stats.h"

#include "pool/pool.h"

void
pool_stats_add(struct pool_stats *to, const struct pool_stats *s)
{
	to->xacts += s->xacts;
	to->queries += s->queries;
	to->received += s->received;
	to->sent += s->sent;
	to->xact_us += s->xact_us;
	to->query_us += s->query_us;
	to->wait_us += s->wait_us;
	to->waits += s->waits;
	to->wait_fails += s->wait_fails;
	to->opened += s->opened;
	to->open_fails += s->open_fails;
	to->closed += s->closed;
	to->broken += s->broken;
	to->cleanups += s->cleanups;
	to->cleanup_us += s->cleanup_us;
	to->cancels += s->cancels;
	to->parses_seen += s->parses_seen;
	to->parses_served += s->parses_served;
	to->parses_redone += s->parses_redone;
	to->statements += s->statements;
	to->statement_fails += s->statement_fails;
	to->reads_apart += s->reads_apart;
	to->reads_kept += s->reads_kept;
	to->vanished += s->vanished;
}

void
pool_stats_move(struct pool *to, struct pool *from)
{
	pool_stats_add(&to->stats, &from->stats);
	pool_stats_add(&to->period_start, &from->period_start);
	pool_stats_add(&to->period, &from->period);
	from->stats = from->period_start = from->period = (struct pool_stats){0};
}

void
pool_stats_go_on(struct pool *pool)
{
	struct pool_stats before = {0};

	past_restore(&pool->all->past, pool->conf->name, &before, &pool->tally);
	pool_stats_add(&pool->stats, &before);
	/* What was before is no part of the period. */
	pool_stats_add(&pool->period_start, &before);
}

void
pool_stats_sweep(struct pool *pool, int64_t now)
{
	const struct pool_stats *a = &pool->stats, *b = &pool->period_start;

	if (now - pool->period_us < POOL_PERIOD_US)
		return;
	pool->period = (struct pool_stats){
	    .xacts = a->xacts - b->xacts,
	    .queries = a->queries - b->queries,
	    .received = a->received - b->received,
	    .sent = a->sent - b->sent,
	    .xact_us = a->xact_us - b->xact_us,
	    .query_us = a->query_us - b->query_us,
	    .wait_us = a->wait_us - b->wait_us,
	};
	pool->period_start = *a;
	pool->period_us = now;
}
