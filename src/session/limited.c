#include "session/limited.h"

#include "session/site.h"

void
limited_renew(struct site *site)
{
	struct parties *parties = &site->pools.parties;
	struct list_node *n;

	if (!parties->any && site->conf->nlimits == 0)
		return;
	queues_forget(&site->pools);
	parties_configure(parties, site->conf);
	for (int i = 0; i < SESSION_CLOSED; i++)
		LIST_EACH (n, &site->in_state[i]) {
			const struct session *s = LIST_OBJ(n, const struct session, node);

			if (s->pool && peer_is_counted(&s->peer))
				party_add_client(parties, s->peer.role, s->peer.uid);
		}
	queues_again(&site->pools);
}
