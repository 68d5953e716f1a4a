/* descriptors: how many the process may open, and how many clients that allows. Clients must not
 * take those that servers need. */
#ifndef PGWITH_DAEMON_DESCRIPTORS_H
#define PGWITH_DAEMON_DESCRIPTORS_H

struct daemon;

/* Raises the limit of descriptors, and computes max_sessions from it. */
void descriptors_count(struct daemon *);

#endif
