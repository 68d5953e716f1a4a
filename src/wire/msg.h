/* msg: building protocol v3 messages into a buf, and reading those that need it.
 * PostgreSQL 15 documentation, 55.7 Message Formats. Builders add one whole message each; a message
 * that does not fit into the buf sets the buf's sticky error, and nothing of it is left there. */
#ifndef PGWITH_WIRE_MSG_H
#define PGWITH_WIRE_MSG_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* Any message by hand: msg_begin() adds the type and a length to be filled in, msg_end() fills it
 * in. `at` is what msg_begin() returned. */
size_t msg_begin(struct buf *, char type);
void msg_end(struct buf *, size_t at);

/* Backend messages. */
void msg_auth_ok(struct buf *);
void msg_parameter_status(struct buf *, const char *name, const char *value);
/* The key has 4 bytes; up to 256 since protocol 3.2. */
void msg_backend_key(struct buf *, uint32_t pid, const uint8_t *key, size_t bytes);
void msg_ready(struct buf *, char status /* I, T, E */);
void msg_complete(struct buf *, const char *tag);
/* NegotiateProtocolVersion: the version that is spoken (3 << 16 | minor: PostgreSQL sends the whole
 * of it, whatever the documentation of 15 says), and the `_pq_.` options that are not known. */
void msg_negotiate(struct buf *, uint32_t version, const char *const *options, unsigned noptions);
/* ErrorResponse or NoticeResponse ('E', 'N'). detail and hint may be NULL. */
void msg_report(struct buf *, char type, const char *severity, const char *sqlstate,
		const char *message, const char *detail, const char *hint);
/* ErrorResponse of one of our own errors, its severity from the table. */
void msg_err(struct buf *, const struct err *);
/* NoticeResponse with the words of an error; severity NOTICE or WARNING. */
void msg_notice(struct buf *, const char *severity, const struct err *);

/* One column of a RowDescription; oid, size and modifier as in pg_type and pg_attribute. */
struct msg_column {
	const char *name;
	uint32_t type_oid;
	int16_t type_size;
	int32_t modifier;
	uint16_t format; /* 0 text, 1 binary */
};
void msg_row_description(struct buf *, const struct msg_column *, unsigned n);
/* A row of text values; NULL is NULL. */
void msg_data_row(struct buf *, const char *const *values, unsigned n);

/* Frontend messages. */
void msg_query(struct buf *, const char *sql);
/* Types of parameters are left to the server; values are texts, NULL is NULL. */
void msg_parse(struct buf *, const char *statement, const char *sql, const uint32_t *types,
	       unsigned ntypes);
void msg_bind(struct buf *, const char *portal, const char *statement, const char *const *values,
	      unsigned n);
void msg_execute(struct buf *, const char *portal); /* all rows */
void msg_sync(struct buf *);
void msg_flush(struct buf *);
void msg_copy_fail(struct buf *, const char *reason);
void msg_terminate(struct buf *);
/* StartupMessage of protocol 3.0: name, value, name, value, ..., NULL. */
void msg_startup(struct buf *, const char *const *pairs);
void msg_cancel_request(struct buf *, uint32_t pid, uint32_t secret);

/* One field of an ErrorResponse's or NoticeResponse's body (55.8: 'C' SQLSTATE, 'M' message, 'S'
 * severity...), pointing into the body, or NULL. */
const char *msg_report_field(const uint8_t *body, size_t bytes, char field);

#endif
