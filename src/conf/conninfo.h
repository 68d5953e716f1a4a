/* conninfo: libpq's connection strings, as far as the configuration must understand them. Passwords
 * that stand in one never get into a message. */
#ifndef PGWITH_CONF_CONNINFO_H
#define PGWITH_CONF_CONNINFO_H

/* NULL, or what is wrong, which the caller frees: empty, libpq cannot parse it, or it sets what the
 * daemon must have for itself. */
char *conninfo_check(const char *);

/* The settings with every password replaced by ********, for people. The caller frees. */
char *conninfo_shown(const char *);

#endif
