#include "daemon/descriptors.h"

#include <string.h>
#include <sys/resource.h>

#include "base/log.h"
#include "conf/pwcommand.h"
#include "daemon/daemon.h"

/* Descriptors for logins at servers, cancels, threads, the log, and the console. */
#define FDS_RESERVED 64
/* Sessions above max_clients, for administrators who look for what is wrong. */
#define FDS_CONSOLE 16

/* Descriptors that are no session's and no server's. */
static int64_t
fds_of_others(const struct conf *conf)
{
	int64_t commands = 0;

	for (unsigned i = 0; i < conf->npools; i++)
		commands += pwcommand_is(conf->pools[i].password);
	if (commands > DAEMON_WORKERS)
		commands = DAEMON_WORKERS;
	return FDS_RESERVED + (*conf->metrics_listen ? SITE_HTTP_FDS : 0) + commands * PROGRAM_FDS;
}

/* How many descriptors connections to PostgreSQL need. In a cluster those that are closed, and not
 * let go by PostgreSQL yet, have one, too. */
static int64_t
fds_of_servers(const struct conf *conf)
{
	int64_t all = 0;

	for (unsigned i = 0; i < conf->npools; i++)
		all += conf->pools[i].size;
	for (unsigned k = 0; k < conf->nclusters; k++) {
		int64_t sizes = 0, limit = conf->clusters[k].server_limit;

		for (unsigned i = 0; i < conf->npools; i++)
			if (strcmp(conf->pools[i].cluster, conf->clusters[k].name) == 0)
				sizes += conf->pools[i].size;
		all += (limit < 2 * sizes ? limit : 2 * sizes) - sizes;
	}
	return all;
}

void
descriptors_count(struct daemon *d)
{
	struct rlimit lim = {0};
	int64_t servers = fds_of_servers(d->site.conf), wanted;

	wanted = d->site.conf->max_clients + FDS_CONSOLE + servers + fds_of_others(d->site.conf);
	getrlimit(RLIMIT_NOFILE, &lim);
	if (lim.rlim_cur < lim.rlim_max) {
		rlim_t before = lim.rlim_cur;

		lim.rlim_cur = lim.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &lim) < 0)
			lim.rlim_cur = before;
	}
	d->max_sessions = d->site.conf->max_clients + FDS_CONSOLE;
	if (lim.rlim_cur != RLIM_INFINITY && (int64_t)lim.rlim_cur < wanted) {
		d->max_sessions = (int64_t)lim.rlim_cur - servers - fds_of_others(d->site.conf);
		if (d->max_sessions < FDS_CONSOLE)
			d->max_sessions = FDS_CONSOLE;
		log_warnx("pgwithd", LOG_ALONE,
			  "too few descriptors for max_clients: raise LimitNOFILE or ulimit -n, or "
			  "lower it",
			  LOG_NUMBER("descriptors", lim.rlim_cur), LOG_NUMBER("wanted", wanted),
			  LOG_NUMBER("sessions", d->max_sessions));
	}
}
