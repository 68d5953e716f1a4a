/* peer: the client of a session, as the operating system and its startup packet describe it. */
#ifndef PGWITH_SESSION_PEER_H
#define PGWITH_SESSION_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct atoms;
struct buf;
struct pack;
struct user;

/* Bits of peer->marks. */
enum {
	PEER_PROVED = 1, /* it has proved by a password that it is peer->role */
	PEER_INSIDE = 2, /* it is pgwithd itself: relay/authquery.h */
	PEER_PLACED = 4  /* joint_outside.h has looked at its process */
};

/* The session owns what the pointers point to, but for the atom, and frees it by peer_clear(). */
struct peer {
	uint8_t minor;  /* protocol 3.minor is spoken */
	bool asked_tls; /* it has sent an SSLRequest; a second one is no request */
	bool asked_gss; /* the same of GSSENCRequest */
	uint8_t marks;  /* PEER_... */
	uid_t uid;      /* of the process that has connected (SO_PEERCRED) */
	gid_t gid;
	pid_t pid;
	/* What the system says of the uid (users.h); counts as a reference. NULL: the system was
	 * not asked. */
	struct user *user;
	struct buf *packet;   /* LOOKUP, PASSWORD: its startup packet; NULL in other states */
	const char *role;     /* the user of its startup packet, an atom; NULL before that */
	int64_t connected_at; /* wall clock, seconds */
};

/* Do the limits of roles and uids ([role NAME], [uid NUMBER]) hold for it? Pgwithd's own sessions
 * are not limited: all logins by auth_query would be, together. */
static inline bool
peer_is_counted(const struct peer *peer)
{
	return !(peer->marks & PEER_INSIDE);
}

/* Copies the startup packet to peer->packet. */
void peer_keep_packet(struct peer *, const uint8_t *packet, size_t bytes);
/* Frees peer->packet. */
void peer_drop_packet(struct peer *);

/* Frees what the pointers point to. */
void peer_clear(struct peer *, struct atoms *);

/* Writes the name of the program that the process runs, and returns `out`; NULL: the process has
 * gone, or we may not see it. Reads a small file of /proc. */
const char *peer_program(pid_t, char *out, size_t out_size);

/* The process that has started it, or that it belongs to since; 0: the system does not tell. Reads
 * a small file of /proc. */
pid_t peer_parent(pid_t);

/* For the handover. */
void peer_pack(struct pack *, struct peer *, struct atoms *);

#endif
