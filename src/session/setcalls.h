/* setcalls: the SQL that gives a server the parameters of a session, context.parameters_sql, as it
 * is read: SELECT pg_catalog.set_config('name','value',false), pg_catalog.set_config(... */
#ifndef PGWITH_SESSION_SETCALLS_H
#define PGWITH_SESSION_SETCALLS_H

#include <stdbool.h>
#include <stddef.h>

#define SETCALLS_MAX (256 * 1024) /* bytes of such a statement */

/* One call in the statement. */
struct setcall {
	const char *at, *end; /* where the call begins and ends */
	const char *name;     /* of the parameter, up to a quote */
};

/* Finds the next call behind *at, and moves *at behind it. Returns false if there is none. *at: the
 * statement at first, or NULL. */
bool setcalls_next(const char **at, struct setcall *);

/* Does the call set this parameter, or one of these? Names may be in any case. */
bool setcalls_is(const struct setcall *, const char *name);
bool setcalls_is_any(const struct setcall *, const char *const *names, size_t count);

/* Does the call give the parameter an empty value? */
bool setcalls_is_empty(const struct setcall *);

/* Has the statement (NULL: none) a call that sets one of these parameters? */
bool setcalls_have(const char *sql, const char *const *names, size_t count);

#endif
