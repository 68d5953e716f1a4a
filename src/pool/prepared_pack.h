/* prepared_pack: prepared statements, and what is on its way to a server, from one process to the
 * next. In this order: texts, then servers and sessions, then what is on its way. */
#ifndef PGWITH_POOL_PREPARED_PACK_H
#define PGWITH_POOL_PREPARED_PACK_H

#include "base/pack.h"
#include "pool/prepared.h"
#include "pool/unnamed.h"

/* All texts and analyses, by number. */
struct packed_texts {
	struct statements *all;
	struct text **list;
	uint32_t count;
	struct analysis **analyses;
	uint32_t analyses_count;
};

void texts_pack(struct pack *, struct statements *, struct packed_texts *);
/* Those that nobody uses are gone. */
void texts_clear(struct packed_texts *, bool reading);

/* What a server has. */
void prepared_pack(struct pack *, struct prepared_set *, const struct packed_texts *);

/* What a session has prepared. */
void names_pack(struct pack *, struct names *, const struct packed_texts *);

/* What is on its way to the server, and its answers, for the session that holds it: its names
 * (NULL: it has had none) and its unnamed statement; or NULL, NULL. */
void tracked_pack(struct pack *, struct prepared_set *, struct names *, struct unnamed *,
		  const struct packed_texts *);

#endif
