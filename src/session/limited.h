/* limited: the sessions of roles and system users that have limits (pool/party.h). */
#ifndef PGWITH_SESSION_LIMITED_H
#define PGWITH_SESSION_LIMITED_H

struct site;

/* The sections of roles and uids in site->conf hold from now on. All sessions, their servers and
 * their places in queues are counted anew: at the start, in a reload, and when sessions have come
 * from the process before. */
void limited_renew(struct site *);

#endif
