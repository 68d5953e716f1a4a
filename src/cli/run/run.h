/* run: runs a program in a transaction of pgwithd, or with locks and semaphores. They end when the
 * program has ended. */
#ifndef PGWITH_CLI_RUN_H
#define PGWITH_CLI_RUN_H

#include "cli/commands.h"

/* Exit statuses of pgwith run beside those of the program: pgwith-run(1), EXIT STATUS. Those
 * from 125 on are env(1)'s. */
enum {
	RUN_REFUSED = 76,      /* PostgreSQL has refused the commit */
	RUN_LOST = 77,         /* what was entered was lost while the program ran */
	RUN_OUTSIDE = 78,      /* rolled back, but the program has worked outside as well */
	RUN_FAILED = 125,      /* the command line is wrong, or pgwithd cannot be asked */
	RUN_NO_PROGRAM = 126,  /* the program cannot be executed */
	RUN_NOT_FOUND = 127,   /* there is no such program */
	RUN_BY_A_SIGNAL = 128, /* and the number of the signal that has ended the program */
};

enum ask_status run_program(const struct commands_entry *, const struct commands_how *,
			    struct ask *, char **args);

#endif
