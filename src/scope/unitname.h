/* unitname: the prepared statements and portals of a member whose statement is more than an
 * ordinary one to its unit (unitkind.h). What is not in the list is ordinary. No I/O. */
#ifndef PGWITH_SCOPE_UNITNAME_H
#define PGWITH_SCOPE_UNITNAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/pack.h"

/* A prepared statement or portal that is more than an ordinary one. */
struct unit_name {
	struct list_node node;
	char type; /* 'S' or 'P' */
	char *name;
	char *text; /* shared with others; NULL, in what was sent only: an ordinary one */
	bool done;  /* of a portal: it has been executed */
};

/* The list begins empty. Frees all of it. */
void unitname_clear(struct list *);

struct unit_name *unitname_find(const struct list *, char type, const char *name);

/* What the server will know by the name when it has taken what was sent. NULL: an ordinary one. */
struct unit_name *unitname_coming(const struct list *names, const struct list *sent, char type,
				  const char *name);

/* A name is given anew. `text` is NULL: to an ordinary statement. */
void unitname_note(struct list *, char type, const char *name, const char *text);

/* Notes in `sent` what a Parse, Bind or Close is about to do; other messages do nothing. `flags` of
 * sqltext_init(). The server skips them behind an error, so they count when it has answered: then
 * the first one sent is taken. */
void unitname_send(const struct list *names, struct list *sent, char type, const uint8_t *body,
		   size_t bytes, unsigned flags);
void unitname_take(struct list *names, struct list *sent);

/* The unit has ended, and its portals with it. */
void unitname_forget_portals(struct list *);

/* For the handover. */
void unitname_pack(struct pack *, struct list *);

#endif
