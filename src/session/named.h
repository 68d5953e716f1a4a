/* named: the prepared statements and portals of the extended protocol that are scope statements. */
#ifndef PGWITH_SESSION_NAMED_H
#define PGWITH_SESSION_NAMED_H

#include <stdint.h>

#include "base/list.h"
#include "scope/grammar.h"

#define SCOPES_COLUMNS 10 /* of SHOW SCOPES */

/* The formats of an answer's columns, as Bind gives them: count 0: all are text; 1: one for all;
 * otherwise one for each column. 0 is text, 1 binary. */
struct scopes_formats {
	unsigned count;
	uint16_t list[SCOPES_COLUMNS];
};

/* A prepared statement, or a portal, of the extended protocol that is a scope statement. */
struct scope_named {
	struct list_node node;
	char *name;
	struct grammar *statement; /* of a portal: with the values of its parameters */
	uint32_t *types;           /* of its parameters, as in Parse */
	unsigned ntypes;
	struct scopes_formats formats; /* of a portal only */
};

/* All of a session. */
struct named {
	struct list statements, portals; /* of struct scope_named */
	struct scopes_formats formats;   /* of the Execute that is being carried out */
};

void named_init(struct named *);
/* Frees them all. */
void named_clear(struct named *);

/* Returns the one of that name in the list, or NULL. */
struct scope_named *named_by_name(const struct list *, const char *name);

/* The same in the session's prepared statements, and in its portals. */
struct scope_named *named_statement(const struct named *, const char *name);
struct scope_named *named_portal(const struct named *, const char *name);

/* Adds one to the list. It owns the statement from then on. */
struct scope_named *named_add(struct list *, const char *name, struct grammar *);

/* Removes one from the list and frees it; by name: if there is one. */
void named_drop(struct list *, struct scope_named *);
void named_drop_name(struct list *, const char *name);

/* A Parse ('P') or Bind of a statement that is none of ours goes to the server: frees our unnamed
 * statement or portal. */
void named_replaced(struct named *, char type);

/* A Sync frees all portals. */
void named_synced(struct named *);

#endif
