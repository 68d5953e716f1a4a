/* lookup: the operating system has told who a user is: those that wait for it go on. */
#ifndef PGWITH_RELAY_LOOKUP_H
#define PGWITH_RELAY_LOOKUP_H

struct user;

/* Of site->users. */
void lookup_told(void *site, struct user *);

#endif
