#include "executor/joint_cancel.h"

#include <stdlib.h>

#include "base/mem.h"
#include "executor/joint_inside.h"
#include "session/site.h"

void
joint_cancel_over_(struct joint *j)
{
	struct server *srv = idmap_get(&j->site->pools.servers, j->cancelled);

	j->cancelled = 0;
	while (srv && srv->cancels > 0 && srv->state != SERVER_CLOSED)
		server_cancelled(srv);
}

/* There was nothing to be cancelled. */
struct no_cancel {
	struct pools *all;
	uint64_t server, requester;
};

static void
no_cancel(void *arg)
{
	struct no_cancel *job = arg;
	struct server *srv = idmap_get(&job->all->servers, job->server);

	if (srv && srv->cancels > 0)
		server_cancelled(srv);
	if (job->requester && job->all->cancelled)
		job->all->cancelled(job->all->cancelled_arg, job->requester);
	free(job);
}

static void
cancel_nothing(struct joint *j, uint64_t server, uint64_t requester)
{
	struct no_cancel *job = mem_calloc(1, sizeof *job);

	job->all = &j->site->pools;
	job->server = server;
	job->requester = requester;
	loop_defer(j->site->loop, no_cancel, job);
}

void
joint_cancel_(void *arg, struct server *srv, uint64_t requester)
{
	struct joint *j = arg;

	if (!j->broken && unit_is_busy(&j->unit) && joint_server_(j)) {
		j->cancelled = srv->id;
		lease_cancel(&j->frame->own.lease, requester);
		return;
	}
	cancel_nothing(j, srv->id, requester);
}
