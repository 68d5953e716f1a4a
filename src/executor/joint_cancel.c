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
	while (srv && srv->cancels > (j->due ? 1 : 0) && srv->state != SERVER_CLOSED)
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

bool
joint_can_be_hit_(const struct joint *j)
{
	const struct unit *u = &j->unit;

	return u->state == UNIT_OWN ? u->own == UNIT_OWN_COMMIT && u->out.len == 0
				    : unit_is_busy(u);
}

/* Is something of the member still to come to PostgreSQL, or is a statement of ours under way that
 * may be ahead of it? */
static bool
is_on_its_way(const struct joint *j)
{
	return j->unit.state == UNIT_OWN ||
	       (stream_open(&j->front) && j->in.len > 0 && !j->incomplete);
}

static void
send_cancel(struct joint *j, uint64_t server, uint64_t requester)
{
	j->cancelled = server;
	lease_cancel(&j->frame->own.lease, requester);
}

void
joint_cancel_(void *arg, struct server *srv, uint64_t requester)
{
	struct joint *j = arg;
	bool lost = j->broken || joint_server_(j) == NULL;

	if (!lost && joint_can_be_hit_(j)) {
		send_cancel(j, srv->id, requester);
	} else if (!lost && !j->due && is_on_its_way(j)) {
		j->due = srv->id;
		j->due_requester = requester;
	} else {
		cancel_nothing(j, srv->id, requester);
	}
}

void
joint_cancel_kept_(struct joint *j)
{
	uint64_t server = j->due;

	if (server == 0 || (!joint_can_be_hit_(j) && is_on_its_way(j)))
		return;
	j->due = 0;
	if (joint_can_be_hit_(j))
		send_cancel(j, server, j->due_requester);
	else
		cancel_nothing(j, server, j->due_requester);
}

void
joint_cancel_forget_(struct joint *j)
{
	if (j->due)
		cancel_nothing(j, j->due, j->due_requester);
	j->due = j->cancelled = 0;
}
