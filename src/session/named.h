/* named: the prepared statements and portals of the extended protocol that are scope statements. */
#ifndef PGWITH_SESSION_NAMED_H
#define PGWITH_SESSION_NAMED_H

#include <stdint.h>

#include "base/list.h"
#include "scope/grammar.h"

#define SCOPES_COLUMNS 15 /* of SHOW SCOPES */

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

struct pack;

/* All of a session. */
struct named {
	struct list statements, portals; /* of struct scope_named */
	struct scopes_formats formats;   /* of the Execute that is being carried out */
};

/* A session that has none has no struct named: NULL means that here, too. */
void named_free(struct named *);

/* A prepared statement, or a portal, by its name; NULL if there is none. */
struct scope_named *named_statement(const struct named *, const char *name);
struct scope_named *named_portal(const struct named *, const char *name);

/* How many there are. */
unsigned named_statements(const struct named *);
unsigned named_portals(const struct named *);

/* A new prepared statement (`type` P) or portal (B), which takes the grammar over. Makes *all if
 * that is NULL. */
struct scope_named *named_add(struct named **all, char type, const char *name, struct grammar *);

/* Removes one from the list and frees it. */
void named_drop(struct list *, struct scope_named *);

/* A Parse ('P') or Bind of a statement that is none of ours goes to the server: frees our unnamed
 * statement or portal. */
void named_replaced(struct named *, char type);

/* A Sync frees all portals. */
void named_synced(struct named *);

/* For the handover. */
void named_pack(struct pack *, struct named **);

#endif
