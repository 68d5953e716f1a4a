/* script: the SQL statements that are the value of an option of a scope. */
#ifndef PGWITH_CONF_SCRIPT_H
#define PGWITH_CONF_SCRIPT_H

#include "conf/conf.h"

/* Splits `text` at its semicolons and checks each statement. Returns NULL, with *s filled in, which
 * the caller clears; or what is wrong, which the caller frees, and in *row the line of the text
 * where it is, from 0. */
char *script_parse(const char *text, struct conf_statements *s, unsigned *row);
/* Frees the statements; *s is empty then. */
void script_clear(struct conf_statements *);
/* Makes `to` a copy of `from`; its old statements are freed. */
void script_copy(struct conf_statements *to, const struct conf_statements *from);
/* The statements as they would be written. The caller frees. */
char *script_text(const struct conf_statements *);

#endif
