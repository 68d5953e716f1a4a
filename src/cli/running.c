#include "cli/running.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/mem.h"
#include "cli/cure.h"
#include "cli/namespaces.h"
#include "conf/auth.h"

#define DRIFTS_SAID  5  /* options named in one message */
#define FDS_RESERVED 80 /* descriptors that pgwithd needs besides those of clients and servers */

static const char *
state_value(const struct table *state, const char *key)
{
	for (unsigned row = 0; row < table_rows(state); row++) {
		const char *name = table_cell(state, row, "key");

		if (name && strcmp(name, key) == 0)
			return table_cell(state, row, "value");
	}
	return NULL;
}

/* The process's limit of descriptors. -1 if we cannot read it. */
static long long
descriptors_of(const char *pid)
{
	char *path = mem_printf("/proc/%s/limits", pid), line[256];
	static const char front[] = "Max open files";
	FILE *f = fopen(path, "re");
	long long n = -1;

	while (f && fgets(line, sizeof line, f))
		if (strncmp(line, front, sizeof front - 1) == 0)
			n = strtoll(line + sizeof front - 1, NULL, 10);
	if (f)
		fclose(f);
	free(path);
	return n;
}

void
running_check_descriptors(struct running *r, const char *pid)
{
	long long have = pid ? descriptors_of(pid) : -1, wanted = FDS_RESERVED;
	bool own = have < 0;
	struct rlimit limit;
	char *cure;

	if (r->conf == NULL)
		return;
	if (own && getrlimit(RLIMIT_NOFILE, &limit) == 0)
		have = limit.rlim_max == RLIM_INFINITY ? 1LL << 40 : (long long)limit.rlim_max;
	wanted += r->conf->max_clients;
	for (unsigned i = 0; i < r->conf->npools; i++)
		wanted += r->conf->pools[i].size;
	cure = mem_printf(
	    "LimitNOFILE=%lld in the unit of pgwithd (ulimit -n), or a smaller max_clients",
	    wanted);
	if (have < wanted)
		findings_add(r->findings, own ? FINDING_NOTE : FINDING_WARNING, "descriptors", cure,
			     "%lld may be open%s; max_clients and the sizes of the pools want %lld",
			     have, own ? " in this shell" : "", wanted);
	else
		findings_add(r->findings, FINDING_OK, "descriptors", NULL,
			     "%lld are enough for max_clients and the pools (%lld)%s", have, wanted,
			     own ? ", if pgwithd gets the limits of this shell" : "");
	free(cure);
}

static void
check_versions(struct running *r, const struct table *state)
{
	const char *version = state_value(state, "version");

	if (version && strcmp(version, PACKAGE_VERSION) == 0)
		findings_add(r->findings, FINDING_OK, "pgwithd", NULL,
			     "answers; version %s, %s, pid %s", version,
			     state_value(state, "phase"), state_value(state, "pid"));
	else
		findings_add(
		    r->findings, FINDING_WARNING, "pgwithd",
		    "restart pgwithd, if it was updated; else see which pgwith is in $PATH",
		    "it is version %s, this command %s", version ? version : "?", PACKAGE_VERSION);
}

/* The cell of SHOW CONFIG in the row of the option, or NULL. */
static const char *
running_cell(const struct table *config, const struct conf_entry *e, const char *column)
{
	for (unsigned i = 0; i < table_rows(config); i++) {
		const char *section = table_cell(config, i, "section");
		const char *key = table_cell(config, i, "key");

		if (section && key && strcmp(section, e->section) == 0 && strcmp(key, e->name) == 0)
			return table_cell(config, i, column);
	}
	return NULL;
}

/* Checks that the daemon runs with the options that the file has now. */
static void
check_drift(struct running *r, struct ask *ask)
{
	char *list = mem_strdup("");
	struct table *config;
	unsigned n = 0;

	if (r->conf == NULL || ask_for(ask, "SHOW CONFIG", &config) != ASK_GOOD) {
		free(list);
		return;
	}
	for (unsigned i = 0; i < conf_entries(r->conf); i++) {
		struct conf_entry e;
		const char *now, *source;

		conf_entry(r->conf, i, &e);
		now = running_cell(config, &e, "value");
		source = running_cell(config, &e, "source");
		/* The file need not have what the command line sets. */
		if ((source == NULL || strcmp(source, CONF_COMMAND_LINE) != 0) &&
		    (now == NULL || strcmp(now, e.value ? e.value : "") != 0) &&
		    n++ < DRIFTS_SAID) {
			char *more = mem_printf(
			    "%s%s[%s] %s = %s (runs with %s)", list, *list ? "; " : "", e.section,
			    e.name, e.value ? e.value : "", now ? now : "nothing of that name");

			free(list);
			list = more;
		}
		conf_entry_clear(&e);
	}
	if (n > 0)
		findings_add(r->findings, FINDING_NOTE, "pgwithd",
			     "pgwith reload, or a restart; or this is not its file",
			     "it does not run with what the file says: %s%s", list,
			     n > DRIFTS_SAID ? "; and more" : "");
	free(list);
	table_free(config);
}

/* What to do if the console does not let this user in. */
static const char *
cure_of_refusal(const struct running *r)
{
	if (r->conf && !(auth_methods(r->conf->auth_console) & AUTH_PEER))
		return "--user ROLE, a role of admin_users, with its password in PGPASSWORD, or in "
		       "the file of PGPASSFILE";
	return "ask as root, as the user of pgwithd, or as a role of admin_users";
}

/* Opens the console. A failure becomes a finding, instead of a line on stderr. */
static struct ask *
open_console(struct running *r)
{
	FILE *terminal = stderr, *caught;
	enum ask_status status;
	char *text = NULL;
	struct ask *ask = NULL;
	size_t bytes;

	caught = open_memstream(&text, &bytes);
	if (caught)
		stderr = caught;
	status = ask_open(r->whom, &ask);
	stderr = terminal;
	if (caught)
		fclose(caught);
	if (status != ASK_GOOD)
		findings_add(r->findings, status == ASK_REFUSED ? FINDING_NOTE : FINDING_PROBLEM,
			     "pgwithd",
			     status == ASK_REFUSED ? cure_of_refusal(r) : "see the log of pgwithd",
			     "cannot look at what runs: %s",
			     text && strncmp(text, "pgwith: ", 8) == 0 ? text + 8
			     : text                                    ? text
								       : "");
	free(text);
	return ask;
}

/* Is this the row of one role of a pool with role = client? The row of the pool stands before those
 * of its roles, and has no user. */
static bool
is_of_role(const struct table *pools, unsigned row)
{
	const char *name = table_cell(pools, row, "database");

	for (unsigned i = row; name && i-- > 0;) {
		const char *before = table_cell(pools, i, "database");
		const char *user = table_cell(pools, i, "user");

		if (before == NULL || strcmp(before, name) != 0)
			return false;
		if (user && *user == 0)
			return true;
	}
	return false;
}

/* Reports the pool's last error, and what an administrator has done to it (PAUSE, DISABLE ...), or
 * the last error of one of its roles. */
static void
check_pool_row(struct running *r, const struct table *pools, unsigned row)
{
	const char *name = table_cell(pools, row, "database");
	const char *error = table_cell(pools, row, "last_error");
	const char *paused = table_cell(pools, row, "paused");
	const char *disabled = table_cell(pools, row, "disabled");
	char *subject = mem_printf("pool %s", name ? name : "?");
	bool of_role = is_of_role(pools, row);

	if (error && of_role)
		findings_add(r->findings, FINDING_PROBLEM, subject, cure_of("", error),
			     "pgwithd's own last attempt to connect as the role \"%s\" failed: %s",
			     table_cell(pools, row, "user"), error);
	else if (error)
		findings_add(r->findings, FINDING_PROBLEM, subject, cure_of("", error),
			     "pgwithd's own last attempt to connect failed: %s", error);
	if (of_role)
		goto out;
	if (paused && strcmp(paused, "0") != 0)
		findings_add(r->findings, FINDING_WARNING, subject, "pgwith resume",
			     "an administrator has paused it: its clients wait");
	if (disabled && strcmp(disabled, "0") != 0)
		findings_add(
		    r->findings, FINDING_WARNING, subject, "pgwith enable",
		    "an administrator has disabled or drained it: clients are turned away");
out:
	free(subject);
}

static void
check_running_pools(struct running *r, struct ask *ask)
{
	struct table *pools = NULL;

	if (ask_for(ask, "SHOW POOLS", &pools) == ASK_GOOD)
		for (unsigned i = 0; i < table_rows(pools); i++)
			check_pool_row(r, pools, i);
	table_free(pools);
}

void
running_check(struct running *r)
{
	struct ask *ask = open_console(r);
	struct table *state = NULL, *clients = NULL;

	if (ask && ask_for(ask, "SHOW STATE", &state) == ASK_GOOD) {
		check_versions(r, state);
		check_drift(r, ask);
		check_running_pools(r, ask);
		ask_for(ask, "SHOW SERVERS", &r->servers);
		if (ask_for(ask, "SHOW CLIENTS", &clients) == ASK_GOOD)
			namespaces_check_clients(r->findings, r->conf, clients);
	}
	running_check_descriptors(r, state ? state_value(state, "pid") : NULL);
	table_free(state);
	table_free(clients);
	ask_close(ask);
}
