/* cure: what may help against a failed connect to PostgreSQL. */
#ifndef PGWITH_CLI_CURE_H
#define PGWITH_CLI_CURE_H

/* Returns a static text for the failure's SQLSTATE ("": none) and message. */
const char *cure_of(const char *sqlstate, const char *message);

#endif
