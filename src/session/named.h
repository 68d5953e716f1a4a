/* named: the prepared statements and portals of the extended protocol that are scope statements. */
#ifndef PGWITH_SESSION_NAMED_H
#define PGWITH_SESSION_NAMED_H

#include <stdint.h>

#include "base/list.h"
#include "scope/grammar.h"

#define SCOPES_COLUMNS 10 /* of SHOW SCOPES */

/* How Bind wants the columns of an answer: none (all text), one for all, or one a column; 0 text, 1
 * binary. */
struct scopes_formats {
	unsigned count;
	uint16_t list[SCOPES_COLUMNS];
};

/* A prepared statement, or a portal, of the extended protocol that is a scope statement. */
struct scope_named {
	struct list_node node;
	char *name;
	struct grammar *statement; /* of a portal: bound */
	uint32_t *types;           /* of the parameters, as Parse said */
	unsigned ntypes;
	struct scopes_formats formats; /* of a portal */
};

/* Those of a session. */
struct named {
	struct list statements, portals; /* of struct scope_named */
	struct scopes_formats formats;   /* of the Execute that is being carried out */
};

void named_init(struct named *);
/* Frees them all. */
void named_clear(struct named *);

/* One of the list by its name, or NULL. */
struct scope_named *named_by_name(const struct list *, const char *name);

/* The same of a session; of its prepared statements, and of its portals. */
struct scope_named *named_statement(const struct named *, const char *name);
struct scope_named *named_portal(const struct named *, const char *name);

/* A new one of the list, which takes the statement over. */
struct scope_named *named_add(struct list *, const char *name, struct grammar *);

/* One of the list goes. By name: if it is there. */
void named_drop(struct list *, struct scope_named *);
void named_drop_name(struct list *, const char *name);

/* A Parse or Bind of another kind takes the place of the one without a name. */
void named_replaced(struct named *, char type);

/* A Sync ends the portals. */
void named_synced(struct named *);

#endif
