#include "session/activity.h"

#include "base/pack.h"

void
activity_pack(struct pack *p, struct activity *a)
{
	PACK(p, a->request_us);
	PACK(p, a->queries);
	PACK(p, a->answer_us);
	PACK(p, a->limited_us);
	PACK(p, a->exempt_us);
	PACK(p, a->alone_us);
	PACK(p, a->alone_answers);
	PACK(p, a->alone_why);
	PACK(p, a->received_us);
	PACK(p, a->received_seen);
}
