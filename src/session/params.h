/* params: the startup parameters of a client that a server must be given. */
#ifndef PGWITH_SESSION_PARAMS_H
#define PGWITH_SESSION_PARAMS_H

#include <stddef.h>

#include "base/buf.h"
#include "pool/pool.h"
#include "wire/startup.h"

#define PARAMS_MAX (256 * 1024) /* bytes; a packet of `options` made of switches comes to this */

/* Reads the parameters of a startup packet: what `options` says (wire/switches.h), and behind that
 * those that are not for the login itself (user, database, application_name, replication, _pq_.*),
 * as name NUL value NUL ... into `out`. Of several values of one parameter the last one is there: a
 * parameter of its own wins over `options`, as in PostgreSQL; role stands last, and
 * session_authorization, which PostgreSQL only looks at, is not there. If PostgreSQL makes more of
 * the values that it looks at one by one than to set the last ones, all of them go into `repeated`
 * (params_check(), params_notices()). Returns 0, or -E_SYNTAX with the reason in *e if options
 * cannot be understood. */
int params_read(const struct startup *, struct buf *out, struct buf *repeated, struct err *e);

/* Adds to `sql` the one statement that sets those that the pool's servers do not have anyway;
 * nothing if they have them all. */
void params_setup(const char *params, size_t bytes, const struct pool *, struct buf *sql);

/* Adds the text as an SQL string, as quote_literal() does: right whatever
 * standard_conforming_strings is. */
void params_literal(struct buf *sql, const char *text);

/* The same of bytes in the server's encoding, whatever the client's is. */
void params_bytes_literal(struct buf *sql, const char *text);

/* Adds to `sql` what sets them one by one, as the role that the server has logged in as, and takes
 * all of it back: the server refuses what PostgreSQL would refuse at login. */
void params_check(const char *params, size_t bytes, const struct pool *, struct buf *sql);

/* Adds the NOTICEs that PostgreSQL has for them at login: names that are cut. */
void params_notices(const char *params, size_t bytes, const struct pool *, struct buf *out);

/* Is it reported, but nobody's to set? The server says so. */
bool params_fixed(const char *name);

/* Is this value what the server reports for the parameter, as far as spelling goes? */
bool params_same(const char *name, const char *wanted, const char *reported);

#endif
