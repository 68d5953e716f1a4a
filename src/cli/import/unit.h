/* unit: what an imported configuration needs beyond the shipped systemd unit, pgwithd.service. */
#ifndef PGWITH_CLI_IMPORT_UNIT_H
#define PGWITH_CLI_IMPORT_UNIT_H

#include "cli/import/settings.h"

/* Writes a drop-in for the unit, as comments; nothing if the unit is good as it is. */
void unit_write(const struct import *);

#endif
