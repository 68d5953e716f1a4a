/* canonical: the spelling in which PostgreSQL reports the value of a parameter (ParameterStatus),
 * computed here where it is certain, so that no server has to be asked. */
#ifndef PGWITH_WIRE_CANONICAL_H
#define PGWITH_WIRE_CANONICAL_H

#include <stdbool.h>
#include <stddef.h>

/* Reads a boolean as PostgreSQL's parse_bool() does. Returns 1, 0, or -1 if `value` is none. */
int canonical_bool(const char *value);

/* The name of a client_encoding as PostgreSQL writes it ("utf-8": UTF8), or NULL if PostgreSQL
 * knows no encoding of that name. */
const char *canonical_encoding(const char *value);

/* The two parts of a DateStyle. A value may name only one of them, so canonical_datestyle() writes
 * those that `value` names over the old ones. Returns false, and changes nothing, if `value` is
 * wrong, or if only a server knows what it means (DEFAULT). */
struct datestyle {
	int style, order; /* -1: not named */
};
bool canonical_datestyle(const char *value, struct datestyle *);
/* Writes the parts as PostgreSQL reports them: "ISO, MDY". A part that is -1 is left out. */
void canonical_datestyle_text(const struct datestyle *, char *text, size_t size);

/* application_name. The first returns how many bytes of it PostgreSQL keeps: 63 at most, cut
 * between two characters if `utf8`. The second writes the name as a server of that major `version`
 * reports it: cut like that, and each byte that is not printable ASCII written as ? or, since
 * version 16, as \xNN. */
#define CANONICAL_NAME_MAX 63
size_t canonical_name_length(const char *value, bool utf8);
void canonical_application(const char *value, bool utf8, int version, char *text, size_t size);

/* Writes the value that a server of that major `version` and `server_encoding` reports once the
 * parameter is set to `value`; `before` is what it reported until then (NULL: unknown). Writes ""
 * for a parameter that is valid but that no server reports (extra_float_digits). Returns false if
 * only the server can tell, for one thing whether it takes the value at all. */
bool canonical_value(const char *name, const char *value, const char *before,
		     const char *server_encoding, int version, char *text, size_t size);

#endif
