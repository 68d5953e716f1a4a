/* expand: variables of the environment in the values of options: ${NAME}, and ${NAME:-DEFAULT} for
 * one that is not set, or empty. $${ stands for ${ itself; every other $ for itself. */
#ifndef PGWITH_CONF_EXPAND_H
#define PGWITH_CONF_EXPAND_H

/* The text with the values in it, which the caller frees with secret_free(). NULL, with what is
 * wrong in *why, which the caller frees: a variable is not set, or its value has a control
 * character; or what stands behind ${ is not as above. No value of a variable gets into *why.
 * `environment`: NAME=VALUE, ended by NULL; NULL: our own. */
char *expand_text(const char *text, char *const *environment, char **why);

/* The same for a value from where no variable may be named: ${ is refused. */
char *expand_nothing(const char *text, char **why);

#endif
