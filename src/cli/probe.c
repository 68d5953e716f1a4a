#include "cli/probe.h"

#include <string.h>

#include "base/units.h"
#include "cli/look.h"

#define TIMEOUT_US (2 * UNIT_S) /* without --timeout: a probe is repeated soon anyway */

static struct ask_whom
whom_of(const struct commands_how *how)
{
	struct ask_whom whom = how->whom;

	if (!how->timeout_given)
		whom.timeout_us = TIMEOUT_US;
	return whom;
}

enum ask_status
probe_ping(const struct commands_entry *entry, const struct commands_how *how, struct ask *ask,
	   char **args)
{
	struct ask_whom whom = whom_of(how);
	enum ask_status status = ask_ping(&whom);

	if (status == ASK_GOOD)
		printf("pgwithd is alive\n");
	return status;
}

/* Prints the line of each pool that is meant, or a table of these pools. */
static enum ask_status
judge(const struct table *health, const char *pool, const struct commands_how *how)
{
	bool as_table = how->look.format != TABLE_ALIGNED || how->all || how->columns;
	struct table *meant = table_empty(health);
	enum ask_status status = ASK_GOOD, printed;
	unsigned found = 0;

	for (unsigned row = 0; row < table_rows(health); row++) {
		const char *name = table_cell(health, row, "pool");
		const char *ready = table_cell(health, row, "ready");
		const char *verdict = table_cell(health, row, "verdict");

		if (pool && (name == NULL || strcmp(name, pool) != 0))
			continue;
		found++;
		if (as_table)
			table_copy_row(meant, health, row);
		else
			printf("%s\n", verdict ? verdict : "");
		if (ready == NULL || *ready != 't')
			status = ASK_TROUBLE;
	}
	if (pool && found == 0) {
		fprintf(stderr, "pgwith: there is no pool \"%s\"\n", pool);
		status = ASK_USAGE;
	} else if (as_table) {
		printed = look_print(meant, NULL, how);
		status = printed == ASK_GOOD ? status : printed;
	}
	table_free(meant);
	return status;
}

enum ask_status
probe_ready(const struct commands_entry *entry, const struct commands_how *how, struct ask *none,
	    char **args)
{
	struct ask_whom whom = whom_of(how);
	struct table *health = NULL;
	struct ask *ask = NULL;
	enum ask_status status = ask_open(&whom, &ask);

	if (status == ASK_GOOD)
		status = ask_for(ask, "SHOW HEALTH", &health);
	if (status == ASK_GOOD)
		status = judge(health, args[0], how);
	table_free(health);
	ask_close(ask);
	return status;
}
