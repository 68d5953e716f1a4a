/* control: the commands that change pools, sessions or the daemon. Each function is run() or wait()
 * of a row of the table in command.c; what the commands do stands there and in
 * pgwith-console(7). */
#ifndef PGWITH_ADMIN_CONTROL_H
#define PGWITH_ADMIN_CONTROL_H

#include "admin/command.h"

int control_pause(const struct command_call *, struct err *e);
int control_paused(const struct command_call *, struct err *e); /* wait */
int control_resume(const struct command_call *, struct err *e);
int control_disable(const struct command_call *, struct err *e);
int control_enable(const struct command_call *, struct err *e);
int control_drain(const struct command_call *, struct err *e);
int control_drained(const struct command_call *, struct err *e); /* wait */
int control_reconnect(const struct command_call *, struct err *e);
/* checks that there is such a pool */
int control_check(const struct command_call *, struct err *e);
int control_closed(const struct command_call *, struct err *e); /* wait */

int control_kill_session(const struct command_call *, struct err *e);
int control_kill_scope(const struct command_call *, struct err *e);
int control_kill_server(const struct command_call *, struct err *e);
int control_kill_pool(const struct command_call *, struct err *e);

int control_shutdown(const struct command_call *, struct err *e);
int control_shutdown_now(const struct command_call *, struct err *e);
int control_after_scopes(const struct command_call *, struct err *e);
int control_after_clients(const struct command_call *, struct err *e);
int control_stopped(const struct command_call *, struct err *e); /* wait */

#endif
