/* model: what `pgwith top` knows: the newest rows of the console's tables, and what takes several
 * of them to know: rates, how many waited in the last rounds, errors of the last minute. */
#ifndef PGWITH_CLI_TOP_MODEL_H
#define PGWITH_CLI_TOP_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/units.h"
#include "cli/table.h"
#include "cli/top/times.h"

/* The tables, in the order in which they are asked for. */
enum model_source {
	MODEL_STATE,
	MODEL_HEALTH,
	MODEL_POOLS,
	MODEL_STATS,
	MODEL_TIMES,
	MODEL_HELD,
	MODEL_SCOPES,
	MODEL_LOCKS,
	MODEL_WAITS,
	MODEL_CLIENTS,
	MODEL_SCOPE_STATS,
	MODEL_ERRORS,
	MODEL_NSOURCES
};

#define MODEL_WINDOW_US (60 * UNIT_S) /* errors are counted for so long */
#define MODEL_SAMPLES   64            /* waiting sessions are remembered for so many rounds */

/* What is remembered of a pool from round to round. */
struct model_pool {
	char *name;     /* of SHOW POOLS */
	unsigned which; /* a pool with role = client has a row for each role: 0 is the first */
	bool seen;      /* in the last round */
	unsigned waiting[MODEL_SAMPLES]; /* oldest first */
	unsigned nwaiting;
	double transactions, queries;        /* sums of the round before */
	bool counted;                        /* there are such sums */
	double transaction_rate, query_rate; /* a second; under 0: not known yet */
};

/* How often an error had happened, at one time. */
struct model_sample {
	int64_t at_us, count;
};

struct model_error {
	char *name;
	struct model_sample samples[MODEL_SAMPLES]; /* oldest first */
	unsigned nsamples;
	int64_t minute; /* times in the last minute */
};

struct model {
	struct table *tables[MODEL_NSOURCES]; /* NULL: not known */
	bool refused[MODEL_NSOURCES];         /* it is not asked for any more */
	int64_t at_us;                        /* time of the last round; 0: none yet */
	int64_t since_us;                     /* errors are counted since then */
	struct model_pool *pools;
	unsigned npools;
	struct times *times; /* of statements */
	struct model_error *errors;
	unsigned nerrors;
	int64_t pid;          /* of the daemon; 0: not known */
	unsigned connections; /* calls of model_connected() */
};

struct model *model_new(void);
void model_free(struct model *);

/* The statement that asks for a table. */
const char *model_statement(enum model_source);

/* Should it be asked for? Not what was refused. */
bool model_wants(const struct model *, enum model_source);

/* Takes the rows, and the ownership of them. */
void model_take(struct model *, enum model_source, struct table *);
/* The user may not see that table, or an older pgwithd does not have it. */
void model_refuse(struct model *, enum model_source);

/* Forgets the tables that are not among these (1u << MODEL_...): nobody asks for them any more. */
void model_keep(struct model *, unsigned sources);

/* A new connection: what it may see is not known yet, and sums may begin anew. The rows stay
 * until there are new ones. */
void model_connected(struct model *);

/* All tables of a round have come, at `now_us` of a monotonic clock: computes rates and the like.
 * Returns true if it is another process than in the round before: it was restarted. */
bool model_round(struct model *, int64_t now_us);

/* The value of SHOW STATE; NULL if it is not known. */
const char *model_state(const struct model *, const char *key);

/* A number of a row; 0 if it is NULL or no number. */
int64_t model_number(const struct table *, unsigned row, const char *column);
/* A text of a row; never NULL. */
const char *model_text(const struct table *, unsigned row, const char *column);

/* The row of a table whose column `column` has this number; -1 if there is none. */
int model_find(const struct table *, const char *column, int64_t number);

/* What is remembered of the pool in this row of SHOW POOLS; NULL if nothing is. */
const struct model_pool *model_pool(const struct model *, unsigned row);

/* What is remembered of that error; NULL if it has never been seen. */
const struct model_error *model_error(const struct model *, const char *name);

#endif
