/* script: the SQL statements that an option of a scope is made of. */
#ifndef PGWITH_CONF_SCRIPT_H
#define PGWITH_CONF_SCRIPT_H

#include "conf/conf.h"

/* Splits `text` at its semicolons and checks each statement. Returns NULL, with *s filled in, which
 * the caller clears; or what is wrong, which the caller frees, with *row as the line of the text in
 * which it is, from 0. */
char *script_parse(const char *text, struct conf_statements *s, unsigned *row);
/* Frees all; there are none, then. */
void script_clear(struct conf_statements *);
/* Makes `to` a copy of `from`; what it had is freed. */
void script_copy(struct conf_statements *to, const struct conf_statements *from);
/* As they would be written. The caller frees. */
char *script_text(const struct conf_statements *);

#endif
