/* lookup: when the operating system has told who a user is, the sessions that wait for the answer
 * go on. */
#ifndef PGWITH_RELAY_LOOKUP_H
#define PGWITH_RELAY_LOOKUP_H

struct user;

/* The callback of site->users. */
void lookup_told(void *site, struct user *);

#endif
