/* ourselves: who pgwithd runs as, told to libpq before the loop begins. */
#ifndef PGWITH_DAEMON_OURSELVES_H
#define PGWITH_DAEMON_OURSELVES_H

/* Sets $PGUSER and $HOME to what libpq would find, where they are missing: otherwise it asks the
 * name service for the name and the home directory of our user, for each connection and in the
 * loop. A name service that says nothing is not waited for longer than OURSELVES_WAIT_MS: the pools
 * that name their user do not need it. Before any other thread is there, as it changes the
 * environment. */
void ourselves_tell_libpq(void);

#define OURSELVES_WAIT_MS 1000

#endif
