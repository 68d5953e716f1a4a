/* console_named: the prepared statements and portals of a session on the console, in a list of
 * each, by name. */
#ifndef PGWITH_ADMIN_CONSOLE_NAMED_H
#define PGWITH_ADMIN_CONSOLE_NAMED_H

#include <stdbool.h>
#include <stdint.h>

#include "admin/command.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"

/* Bytes of one answer: as many as may be queued for a session. */
#define CONSOLE_ANSWER_MAX (64 << 20)

#define CONSOLE_NAME_BYTES     63  /* bytes of the name of a prepared statement or portal */
#define CONSOLE_STATEMENTS_MAX 256 /* prepared statements of a session */
#define CONSOLE_PORTALS_MAX    64  /* open portals of a session */

/* A prepared statement, or a portal. */
struct console_named {
	struct list_node node;
	char name[CONSOLE_NAME_BYTES + 1];
	struct command_stmt stmt;
	/* of a portal only: */
	uint16_t *formats;
	unsigned nformats;
	bool executed;
	struct buf rows; /* DataRows that the limit of Execute has held back */
};

/* Returns the statement or portal of that name, or NULL. */
struct console_named *console_named_find(const struct list *, const char *name);

/* Adds a statement or portal of that name to a list that may have `max`; the one without a name is
 * replaced. `exists`: the error if there is one of that name. Returns NULL with the error in *e. */
struct console_named *console_named_add(struct list *, const char *name, unsigned max,
					enum err_id exists, struct err *e);

/* Takes it out of its list, and frees it. */
void console_named_free(struct list *, struct console_named *);
void console_named_free_all(struct list *);

/* Moves up to `limit` of the rows that the portal has kept to `out`. Returns true if there are
 * more. */
bool console_named_send_rows(struct console_named *, struct buf *out, uint32_t limit);

#endif
