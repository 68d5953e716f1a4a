/* running: the part of doctor that asks the daemon which runs: its version, whether it runs with
 * the options of the file, what its pools say, and whether enough descriptors may be open. */
#ifndef PGWITH_CLI_RUNNING_H
#define PGWITH_CLI_RUNNING_H

#include "cli/ask.h"
#include "cli/findings.h"
#include "conf/conf.h"

struct running {
	struct findings *findings;
	const struct conf *conf; /* NULL: the file is wrong */
	const struct ask_whom *whom;
	struct table *servers; /* SHOW SERVERS, which the caller frees; or NULL */
};

/* Asks the daemon at `whom`, which has to be there. What is found is added to the findings. */
void running_check(struct running *);

/* Compares the limit of descriptors with what clients and servers may need. `pid`: the daemon's;
 * NULL if it does not run. */
void running_check_descriptors(struct running *, const char *pid);

#endif
