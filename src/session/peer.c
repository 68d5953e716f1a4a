#include "session/peer.h"

#include <stdlib.h>

#include "session/users.h"

void
peer_clear(struct peer *peer)
{
	user_drop(peer->user);
	peer->user = NULL;
	free(peer->packet);
	peer->packet = NULL;
	free(peer->role);
	peer->role = NULL;
}
