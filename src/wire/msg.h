/* msg: builds protocol v3 messages in a buf, and reads the fields of reported errors.
 * PostgreSQL 15 documentation, 55.7 Message Formats. Each builder adds one whole message. If the
 * message does not fit into the buf, the buf's sticky error is set and no part of the message is
 * left in it. */
#ifndef PGWITH_WIRE_MSG_H
#define PGWITH_WIRE_MSG_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* For messages that have no builder: msg_begin() adds the type and room for the length, the caller
 * adds the fields, msg_end() fills the length in. `at` is what msg_begin() returned. */
size_t msg_begin(struct buf *, char type);
void msg_end(struct buf *, size_t at);

/* Backend messages. */
void msg_auth_ok(struct buf *);
/* AuthenticationSASL, AuthenticationSASLContinue, AuthenticationSASLFinal, with their data. */
enum msg_auth { MSG_AUTH_SASL = 10, MSG_AUTH_CONTINUE = 11, MSG_AUTH_FINAL = 12 };
void msg_auth(struct buf *, enum msg_auth, const void *data, size_t bytes);
void msg_parameter_status(struct buf *, const char *name, const char *value);
/* The key has 4 bytes; up to 256 since protocol 3.2. */
void msg_backend_key(struct buf *, uint32_t pid, const uint8_t *key, size_t bytes);
void msg_ready(struct buf *, char status /* I, T, E */);
void msg_complete(struct buf *, const char *tag);
/* NegotiateProtocolVersion. `version` is the one spoken from now on, 3 << 16 | minor: PostgreSQL
 * sends both numbers, although the documentation of 15 says only the minor one. `options` are the
 * `_pq_.` options of the client that are not known. */
void msg_negotiate(struct buf *, uint32_t version, const char *const *options, unsigned noptions);
/* ErrorResponse or NoticeResponse ('E', 'N'). detail and hint may be NULL. */
void msg_report(struct buf *, char type, const char *severity, const char *sqlstate,
		const char *message, const char *detail, const char *hint);
/* ErrorResponse of one of our own errors, its severity from the table. */
void msg_err(struct buf *, const struct err *);
/* NoticeResponse with the message, DETAIL and HINT of an error; severity NOTICE or WARNING. */
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
/* A row of text values; a NULL pointer is SQL's NULL. */
void msg_data_row(struct buf *, const char *const *values, unsigned n);

/* Frontend messages. */
void msg_query(struct buf *, const char *sql);
/* `types` are the oids of the first `ntypes` parameters; the server infers the others. */
void msg_parse(struct buf *, const char *statement, const char *sql, const uint32_t *types,
	       unsigned ntypes);
/* All values are texts; a NULL pointer is SQL's NULL. The results are asked for as texts. */
void msg_bind(struct buf *, const char *portal, const char *statement, const char *const *values,
	      unsigned n);
void msg_execute(struct buf *, const char *portal);        /* all rows */
void msg_close(struct buf *, char kind, const char *name); /* kind: 'S' statement, 'P' portal */
void msg_sync(struct buf *);
void msg_flush(struct buf *);
void msg_copy_fail(struct buf *, const char *reason);
void msg_terminate(struct buf *);
/* StartupMessage of protocol 3.0: name, value, name, value, ..., NULL. */
void msg_startup(struct buf *, const char *const *pairs);
void msg_cancel_request(struct buf *, uint32_t pid, uint32_t secret);

/* The value of one field in the body of an ErrorResponse or NoticeResponse (55.8: 'C' SQLSTATE, 'M'
 * message, 'S' severity ...). Returns a pointer into the body, or NULL if there is no such
 * field. */
const char *msg_report_field(const uint8_t *body, size_t bytes, char field);

#endif
