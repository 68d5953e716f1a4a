/* options: the table of pgwith's options. The command line is read by it, and the shells'
 * completions are made from it. */
#ifndef PGWITH_CLI_OPTIONS_H
#define PGWITH_CLI_OPTIONS_H

#include <getopt.h>

/* What getopt_long() returns for a long option that has no letter. */
enum {
	OPTIONS_JSON = 256,
	OPTIONS_CSV,
	OPTIONS_NO_HEADER,
	OPTIONS_MAX_WAIT,
	OPTIONS_COLOR,
	OPTIONS_DOT,
	OPTIONS_WITH_SERVER,
	OPTIONS_INTERVAL,
	OPTIONS_ONCE,
	OPTIONS_POOL,
	OPTIONS_CLUSTER,
	OPTIONS_ROLE,
	OPTIONS_UID,
	OPTIONS_SCOPE,
	OPTIONS_PASSFILE,
	OPTIONS_DATABASE,
	OPTIONS_OUTPUT,
	OPTIONS_SECONDS,
	OPTIONS_REPORT,
	OPTIONS_LOCK,
	OPTIONS_SHARED_LOCK,
	OPTIONS_SEMAPHORE,
	OPTIONS_ON,
	OPTIONS_WAIT,
	OPTIONS_WAIT_STATUS,
	OPTIONS_DEADLINE,
	OPTIONS_KILL_AFTER,
	OPTIONS_READ_ONLY,
	OPTIONS_ISOLATION,
	OPTIONS_ROLLBACK,
	OPTIONS_NO_TRANSACTION,
	OPTIONS_URL,
	OPTIONS_ALLOW_OUTSIDE,
	OPTIONS_QUIET
};

/* The letters, for getopt_long(). With the + it stops at each word, so that options may stand
 * before and behind the command; with the : it tells a missing argument from an unknown option. */
#define OPTIONS_SHORT "+:S:p:U:ao:W:c:w:Vh"

/* The long options, for getopt_long(); the last entry has no name. */
const struct option *options_table(void);

/* The long option, with its dashes, that is nearest to a mistyped one, or NULL. Lasts until the
 * next call. */
const char *options_nearest(const char *word);

#endif
