/* cmdline: the command line of pgwithd. The program itself reads it, and pgwith doctor that of one
 * that runs. */
#ifndef PGWITH_CONF_CMDLINE_H
#define PGWITH_CONF_CMDLINE_H

#include <stdbool.h>

#include "conf/conf.h"

struct cmdline {
	const char *config;         /* -c; NULL: not given */
	struct conf_argument *list; /* -o, --pool and --listen, in their order */
	unsigned count;
	bool pools; /* one of them is --pool */
	bool test, verbose, version, help;
	const char *unexpected; /* the first word that is no option; or NULL */
	bool wrong;             /* an option is not known, or lacks its argument */
};

/* Reads the words; the strings stay the caller's, and must outlive the struct. `speak`: getopt(3)
 * says on stderr what is wrong. The caller clears. */
void cmdline_read(struct cmdline *, int argc, char **argv, bool speak);
void cmdline_clear(struct cmdline *);

/* What the configuration is made of, then. `named`: the value of PGWITH_CONFIG, or NULL. Without
 * any file named, --pool does without one. The list stays the cmdline's. */
void cmdline_input(const struct cmdline *, const char *named, struct conf_input *);

#endif
