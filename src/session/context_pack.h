/* context_pack: the context of a session goes from one process to the next. */
#ifndef PGWITH_SESSION_CONTEXT_PACK_H
#define PGWITH_SESSION_CONTEXT_PACK_H

struct pack;
struct packed_texts;
struct session;

/* The texts of prepared statements are those of all sessions, by number. */
void context_pack(struct pack *, struct session *, struct packed_texts *);

#endif
