/* params: the startup parameters of a client that are set on its servers. */
#ifndef PGWITH_SESSION_PARAMS_H
#define PGWITH_SESSION_PARAMS_H

#include <stddef.h>

#include "base/buf.h"
#include "pool/pool.h"
#include "wire/startup.h"

#define PARAMS_MAX (256 * 1024) /* bytes; a packet of `options` made of switches comes to this */

/* Reads the parameters of a startup packet into `out`, as name NUL value NUL ...: first those in
 * `options` (wire/switches.h), then the others, without those of the login itself (user, database,
 * replication, _pq_.*). If a parameter has several values, `out` has the last one: as in
 * PostgreSQL, a parameter wins over `options`. role stands last. session_authorization is left out,
 * because PostgreSQL only checks it.
 *
 * PostgreSQL looks at each value, one by one. Where that can give another result than setting the
 * last ones (an error, a NOTICE), all values go into `repeated`, for params_check() and
 * params_notices(). Returns 0, or -E_SYNTAX with the reason in *e if `options` cannot be read. */
int params_read(const struct startup *, struct buf *out, struct buf *repeated, struct err *e);

/* Returns the value of a parameter, whose name may be in any case, in what params_read() has made;
 * NULL: it is not there. */
const char *params_value(const char *params, size_t bytes, const char *name);

/* Adds to `sql` one statement that sets the parameters whose values the pool's servers do not have
 * by default. If they have all, nothing is added. */
void params_setup(const char *params, size_t bytes, const struct pool *, struct buf *sql);

/* Adds the text as an SQL string, as quote_literal() does. It is right with
 * standard_conforming_strings on and off. */
void params_literal(struct buf *sql, const char *text);

/* The same, for bytes that are in the server's encoding while client_encoding may be another. */
void params_bytes_literal(struct buf *sql, const char *text);

/* Adds statements to `sql` that set the parameters one by one, as the role that the server has
 * logged in as, and reset all. The server refuses there what PostgreSQL would refuse at login. */
void params_check(const char *params, size_t bytes, const struct pool *, struct buf *sql);

/* Adds the NOTICEs that PostgreSQL gives at login: names that it cuts. */
void params_notices(const char *params, size_t bytes, const struct pool *, struct buf *out);

/* Is the parameter reported, but cannot be set? If a client tries, the server refuses it. */
bool params_fixed(const char *name);

/* Do both values of the parameter mean the same? Only spellings are compared: false if in doubt. */
bool params_same(const char *name, const char *wanted, const char *reported);

#endif
