/* prepared_pack: hands over prepared statements and messages under way to the next process. In this
 * order: texts, then servers and sessions, then messages under way. */
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
/* Call it at the end. Reading: frees the texts and analyses that nobody uses. */
void texts_clear(struct packed_texts *, bool reading);

/* The statements of a server. */
void prepared_pack(struct pack *, struct prepared_set *, const struct packed_texts *);

/* The names of a session. */
void names_pack(struct pack *, struct names *, const struct packed_texts *);

/* The messages under way to a server, for the session that holds it: its names (NULL: it has had
 * none) and its unnamed statement; or NULL, NULL. */
void tracked_pack(struct pack *, struct prepared_set *, struct names *, struct unnamed *,
		  const struct packed_texts *);

#endif
