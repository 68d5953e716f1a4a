#include "cli/waits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/look.h"
#include "cli/rowlocks.h"
#include "cli/tree.h"
#include "cli/waitlist.h"

/* What is asked, and of whom. */
struct answers {
	struct table *waits, *clients, *servers, *locks;
	char *role; /* NULL: one may see all sessions */
};

static void
answers_clear(struct answers *a)
{
	table_free(a->waits);
	table_free(a->clients);
	table_free(a->servers);
	table_free(a->locks);
	free(a->role);
}

/* Is the row that of a wait which no session holds up, and for the same reason in the same pool as
 * this one? */
static bool
is_same_reason(const struct table *waits, unsigned row, const char *pool, const char *reason)
{
	const char *name = table_cell(waits, row, "name"), *why = table_cell(waits, row, "reason");

	return table_cell(waits, row, "held_by") == NULL && name && why &&
	       strcmp(name, pool) == 0 && strcmp(why, reason) == 0;
}

/* A line for each pool in which sessions wait that no session holds up, and for each reason. */
static void
print_reasons(const struct table *waits, FILE *to)
{
	for (unsigned i = 0; i < table_rows(waits); i++) {
		const char *pool = table_cell(waits, i, "name");
		const char *reason = table_cell(waits, i, "reason");
		unsigned first = 0;

		if (pool == NULL || reason == NULL || table_cell(waits, i, "held_by"))
			continue;
		while (!is_same_reason(waits, first, pool, reason))
			first++;
		if (first == i)
			fprintf(to, "pool %s: %s\n", pool, reason);
	}
}

/* ASK_TROUBLE: PostgreSQL could not be asked, and the rest is there. */
static enum ask_status
ask_all(const struct commands_entry *entry, const struct commands_how *how, struct ask *ask,
	struct answers *a)
{
	enum ask_status status = ask_for(ask, entry->statement, &a->waits);
	bool complete = true;

	if (status == ASK_GOOD && how->with_server)
		status = ask_for(ask, "SHOW SERVERS", &a->servers);
	if (status == ASK_GOOD && how->with_server)
		a->locks = rowlocks_ask(how, ask, a->servers, &complete);
	if (status == ASK_GOOD)
		status = ask_for(ask, "SHOW CLIENTS", &a->clients);
	if (status == ASK_GOOD)
		status = look_limit(ask, &a->role);
	return status == ASK_GOOD && !complete ? ASK_TROUBLE : status;
}

enum ask_status
waits_run(const struct commands_entry *entry, const struct commands_how *how, struct ask *ask,
	  char **args)
{
	struct answers a = {0};
	enum ask_status status = ask_all(entry, how, ask, &a), printed;
	struct waitlist list;
	struct table *table;

	if (status != ASK_GOOD && status != ASK_TROUBLE) {
		answers_clear(&a);
		return status;
	}
	waitlist_make(&list, a.waits, a.clients, a.servers, a.locks);
	if (how->dot) {
		tree_dot(&list, stdout);
	} else if (how->look.format != TABLE_ALIGNED || how->all || how->columns) {
		table = a.locks ? waitlist_table(&list, a.waits) : NULL;
		printed = look_print(table ? table : a.waits, NULL, how);
		if (printed != ASK_GOOD)
			status = printed;
		table_free(table);
	} else {
		tree_print(&list, a.role != NULL, how->look.width, stdout);
		print_reasons(a.waits, stdout);
		if (a.locks == NULL)
			tree_hint(&list, stdout);
	}
	look_say_limit(a.role, how);
	waitlist_clear(&list);
	answers_clear(&a);
	return status;
}
