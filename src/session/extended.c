#include "session/extended.h"

#include "base/pack.h"
#include "session/named.h"

void
extended_pack(struct pack *p, struct extended *x)
{
	PACK(p, x->skip_sync);
	PACK(p, x->boundary);
	if (pack_reading(p) && x->boundary >= BOUNDARY_NSTATES)
		p->failed = true;
	named_pack(p, &x->named);
}
