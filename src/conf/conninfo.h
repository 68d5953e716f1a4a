/* conninfo: checks libpq's connection strings, and shows them. A password in one never gets into a
 * message. */
#ifndef PGWITH_CONF_CONNINFO_H
#define PGWITH_CONF_CONNINFO_H

/* Returns NULL, or what is wrong, which the caller frees: it is empty, libpq cannot parse it, or it
 * sets something that only pgwithd decides. */
char *conninfo_check(const char *);

/* The settings for people, each password replaced by ********. The caller frees. */
char *conninfo_shown(const char *);

#endif
