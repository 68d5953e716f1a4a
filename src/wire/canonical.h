/* canonical: what PostgreSQL makes of the values of parameters that it reports, where that can be
 * said without asking it. */
#ifndef PGWITH_WIRE_CANONICAL_H
#define PGWITH_WIRE_CANONICAL_H

#include <stdbool.h>
#include <stddef.h>

/* 1, 0, or -1 if it is no boolean: as PostgreSQL's parse_bool(). */
int canonical_bool(const char *value);

/* The name of a client_encoding as PostgreSQL writes it, or NULL if it has none of that name. */
const char *canonical_encoding(const char *value);

/* The parts of a DateStyle. Reads `value` over what there is already, as it says only what it
 * changes. Returns false if it is wrong, or if only a server can say what it means (DEFAULT). */
struct datestyle {
	int style, order; /* -1: not said */
};
bool canonical_datestyle(const char *value, struct datestyle *);
/* What PostgreSQL reports: "ISO, MDY"; of one part only, that part. */
void canonical_datestyle_text(const struct datestyle *, char *text, size_t size);

/* application_name: cut to 63 bytes, between two characters, and without what is not printable
 * ASCII: that becomes ? or, since version 16, \xNN. `utf8`: it is cut as UTF-8. */
#define CANONICAL_NAME_MAX 63
size_t canonical_name_length(const char *value, bool utf8);
void canonical_application(const char *value, bool utf8, int version, char *text, size_t size);

/* The value that a server of that version and encoding reports if the parameter is set to `value`,
 * having been `before`, or "" for one that it does not report, if it is sure to take it. False:
 * only a server can tell. */
bool canonical_value(const char *name, const char *value, const char *before,
		     const char *server_encoding, int version, char *text, size_t size);

#endif
