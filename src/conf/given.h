/* given: options that the command line of pgwithd sets, over those of the file. */
#ifndef PGWITH_CONF_GIVEN_H
#define PGWITH_CONF_GIVEN_H

#include "conf/loading.h"

/* Adds the arguments behind what has been read. What is wrong with them is reported. */
void given_add(struct loading *, const struct conf_input *);

#endif
