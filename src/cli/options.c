#include "cli/options.h"

#include <stdio.h>
#include <string.h>

#include "base/words.h"

static const struct option options[] = {
    {"socket", required_argument, NULL, 'S'},
    {"port", required_argument, NULL, 'p'},
    {"user", required_argument, NULL, 'U'},
    {"all", no_argument, NULL, 'a'},
    {"columns", required_argument, NULL, 'o'},
    {"watch", required_argument, NULL, 'W'},
    {"json", no_argument, NULL, OPTIONS_JSON},
    {"csv", no_argument, NULL, OPTIONS_CSV},
    {"no-header", no_argument, NULL, OPTIONS_NO_HEADER},
    {"color", required_argument, NULL, OPTIONS_COLOR},
    {"dot", no_argument, NULL, OPTIONS_DOT},
    {"with-server", no_argument, NULL, OPTIONS_WITH_SERVER},
    {"interval", required_argument, NULL, OPTIONS_INTERVAL},
    {"once", no_argument, NULL, OPTIONS_ONCE},
    {"max-wait", required_argument, NULL, OPTIONS_MAX_WAIT},
    {"pool", required_argument, NULL, OPTIONS_POOL},
    {"cluster", required_argument, NULL, OPTIONS_CLUSTER},
    {"role", required_argument, NULL, OPTIONS_ROLE},
    {"uid", required_argument, NULL, OPTIONS_UID},
    {"scope", required_argument, NULL, OPTIONS_SCOPE},
    {"config", required_argument, NULL, 'c'},
    {"passfile", required_argument, NULL, OPTIONS_PASSFILE},
    {"database", required_argument, NULL, OPTIONS_DATABASE},
    {"output", required_argument, NULL, OPTIONS_OUTPUT},
    {"seconds", required_argument, NULL, OPTIONS_SECONDS},
    {"report", required_argument, NULL, OPTIONS_REPORT},
    {"lock", required_argument, NULL, OPTIONS_LOCK},
    {"shared-lock", required_argument, NULL, OPTIONS_SHARED_LOCK},
    {"semaphore", required_argument, NULL, OPTIONS_SEMAPHORE},
    {"on", required_argument, NULL, OPTIONS_ON},
    {"wait", required_argument, NULL, OPTIONS_WAIT},
    {"wait-status", required_argument, NULL, OPTIONS_WAIT_STATUS},
    {"deadline", required_argument, NULL, OPTIONS_DEADLINE},
    {"kill-after", required_argument, NULL, OPTIONS_KILL_AFTER},
    {"read-only", no_argument, NULL, OPTIONS_READ_ONLY},
    {"isolation", required_argument, NULL, OPTIONS_ISOLATION},
    {"rollback", no_argument, NULL, OPTIONS_ROLLBACK},
    {"no-transaction", no_argument, NULL, OPTIONS_NO_TRANSACTION},
    {"url", required_argument, NULL, OPTIONS_URL},
    {"allow-outside", no_argument, NULL, OPTIONS_ALLOW_OUTSIDE},
    {"quiet", no_argument, NULL, OPTIONS_QUIET},
    {"timeout", required_argument, NULL, 'w'},
    {"version", no_argument, NULL, 'V'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};
#define OPTIONS (sizeof options / sizeof *options - 1)
_Static_assert(OPTIONS <= 64, "each has a bit in struct commands_how");

const struct option *
options_table(void)
{
	return options;
}

const char *
options_nearest(const char *word)
{
	static char names[OPTIONS][24];
	const char *list[OPTIONS];

	if (strncmp(word, "--", 2) != 0)
		return NULL;
	for (unsigned i = 0; i < OPTIONS; i++) {
		snprintf(names[i], sizeof names[i], "--%s", options[i].name);
		list[i] = names[i];
	}
	return words_nearest(word, list, OPTIONS);
}
