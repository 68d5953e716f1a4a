/* auth: the options auth and auth_console: by what a client proves who it is. */
#ifndef PGWITH_CONF_AUTH_H
#define PGWITH_CONF_AUTH_H

/* Bits. */
enum {
	AUTH_PEER = 1, /* the operating system says who the client's user is */
	AUTH_SCRAM =
	    2 /* the client proves by SCRAM-SHA-256 that it knows the password of its role */
};

/* Returns NULL, or what is wrong with the list, which the caller frees. */
char *auth_check(const char *list);

/* The bits of a list that auth_check() takes. */
unsigned auth_methods(const char *list);

#endif
