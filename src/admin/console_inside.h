/* console_inside: what console.c and console_extended.c share. Nobody else includes it. */
#ifndef PGWITH_ADMIN_CONSOLE_INSIDE_H
#define PGWITH_ADMIN_CONSOLE_INSIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "admin/command.h"
#include "admin/console.h"
#include "admin/console_named.h"
#include "wire/reader.h"

/* The command that is being run. While the session is busy (SESSION_CONSOLE_BUSY), it goes on
 * later. */
struct task {
	struct command_stmt stmt;
	struct rows rows;
	struct show_ids ids; /* what is still to be shown */
	/* of a simple query only: */
	char *text; /* NULL: it is no simple query */
	struct sqltext lex;
	unsigned statements; /* statements of the text so far */
	bool between;        /* the rest of the text goes on by the timer */
	/* of an Execute only: */
	struct console_named *portal;
	uint32_t limit;
};

struct console {
	struct session *session;
	struct task task;
	struct timer timer; /* for the next portion of rows */
	struct buf out;     /* answers that have not been sent */
	struct list statements;
	struct list portals;
	/* between BEGIN and COMMIT. Not a state: it changes no command, but drivers want to see it
	 * in ReadyForQuery */
	bool in_block;
};

/* ---- console.c ---- */

bool console_is_open(const struct console *);

/* Sends what has been collected. That may close the session. */
void console_flush(struct console *);
void console_send_ready(struct console *);
void console_add_err(struct console *, const struct err *);
void console_empty_message(struct console *, char type);
/* Ends the session with an error. */
void console_protocol_violation(struct console *, const char *what);
/* Answers with an error in the extended protocol, and skips everything up to Sync. */
void console_refuse_until_sync(struct console *, struct err *);

/* Runs the command. -E_AGAIN: it goes on later, and console_continue_later() is to be called. */
int console_run_command(struct console *, const struct command_stmt *, const struct rows *,
			struct err *);
/* The command goes on later. Until then nothing is read from the client, but the end of its
 * connection is noticed. */
void console_continue_later(struct console *);

/* ---- console_extended.c: prepared statements and portals ---- */

void console_on_parse(struct console *, struct reader *);
void console_on_bind(struct console *, struct reader *);
void console_on_describe(struct console *, struct reader *);
void console_on_execute(struct console *, struct reader *);
void console_on_close(struct console *, struct reader *);
void console_on_sync(struct console *);

/* The command of the portal that is executed has ended; `e`: the error, if the result is one. */
void console_execute_ended(struct console *, int result, struct err *e);

#endif
