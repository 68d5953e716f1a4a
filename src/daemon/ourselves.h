/* ourselves: tells libpq, before the loop begins, as which system user pgwithd runs. */
#ifndef PGWITH_DAEMON_OURSELVES_H
#define PGWITH_DAEMON_OURSELVES_H

/* Sets $PGUSER and $HOME, where they are missing, to the name and the home directory of the user
 * that pgwithd runs as. Otherwise libpq would ask the name service for them, for each connection
 * and in the loop. The name service is waited for at most OURSELVES_WAIT_MS: pools that name their
 * user do not need the answer. To be called before there is another thread, as the environment
 * changes. */
void ourselves_tell_libpq(void);

#define OURSELVES_WAIT_MS 1000

#endif
