#include "daemon/service.h"

#include <stdio.h>

#include "daemon/daemon.h"

#define STATUS_MAX 160

static unsigned
count_waiting(const struct daemon *d)
{
	const struct list_node *n;
	unsigned count = 0;

	LIST_EACH (n, &d->site.pools.list)
		count += LIST_OBJ(n, const struct pool, node)->waiting.count;
	return count;
}

/* Writes the status into `text` of STATUS_MAX bytes, and returns it. */
static const char *
write_status(const struct daemon *d, char *text)
{
	unsigned sessions = site_sessions(&d->site);
	bool running = d->site.phase == SITE_RUNNING;

	snprintf(text, STATUS_MAX, "%s%s%u session%s, %u leased, %u waiting%s",
		 running ? "" : daemon_phase_name(d), running ? "" : ": ", sessions,
		 sessions == 1 ? "" : "s", pools_busy(&d->site.pools), count_waiting(d),
		 d->reload_refused ? "; the last reload was refused, see the log" : "");
	return text;
}

/* Does the daemon end within a time limit? */
static bool
ends_in_time(const struct daemon *d)
{
	return d->site.phase >= SITE_STOPPING ||
	       (d->site.phase == SITE_DRAINING && d->drain_us >= 0) ||
	       (d->handover.state == HANDOVER_HOLDING && d->handover.ends);
}

void
service_ready(struct daemon *d)
{
	char text[STATUS_MAX];

	sysd_ready(d->sysd, write_status(d, text));
}

void
service_reloading(struct daemon *d)
{
	sysd_reloading(d->sysd);
}

void
service_reloaded(struct daemon *d, bool taken)
{
	d->reload_refused = !taken;
	service_ready(d);
}

void
service_phase(struct daemon *d)
{
	char text[STATUS_MAX];

	if (ends_in_time(d))
		sysd_stopping(d->sysd, write_status(d, text));
}

void
service_sweep(struct daemon *d)
{
	int64_t now_us = loop_now_us(d->site.loop);
	char text[STATUS_MAX];

	sysd_sweep(d->sysd, now_us);
	if (ends_in_time(d))
		sysd_extend(d->sysd, now_us);
	sysd_status(d->sysd, now_us, write_status(d, text));
}

bool
service_is_impatient(const struct daemon *d)
{
	return sysd_is_impatient(d->sysd);
}
