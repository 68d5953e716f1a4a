/* environment: the environment variables of the program that pgwith run runs. */
#ifndef PGWITH_CLI_ENVIRONMENT_H
#define PGWITH_CLI_ENVIRONMENT_H

/* A copy of our own environment, to be made before ask_start() removes libpq's variables from that.
 * The caller frees it by environment_free(). */
char **environment_copy(void);
void environment_free(char **);

struct environment_place {
	const char *host; /* the directory of the socket, from the root on */
	const char *port;
	const char *database; /* the pool */
	const char *user;     /* the role */
	const char *tokens;   /* of the scopes that sessions of the program join, with commas */
	const char *url;      /* the variable that gets a connection URL, too; or NULL */
};

/* Makes libpq's programs in that environment connect there. What would lead them elsewhere, or asks
 * of a server what a Unix socket does not have, is removed. PGOPTIONS is extended: its own options
 * stay, and scopes that it joins already are joined still; if there are no tokens, none is joined.
 * Returns the environment. */
char **environment_lead(char **, const struct environment_place *);

#endif
