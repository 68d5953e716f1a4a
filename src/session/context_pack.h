/* context_pack: hands over the context of a session to the next process. */
#ifndef PGWITH_SESSION_CONTEXT_PACK_H
#define PGWITH_SESSION_CONTEXT_PACK_H

struct pack;
struct packed_texts;
struct session;

/* `texts`: of the prepared statements of all sessions; the context refers to them by number. */
void context_pack(struct pack *, struct session *, struct packed_texts *);

#endif
