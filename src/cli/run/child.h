/* child: the program that pgwith run runs. It stays in our process group, so that it has the
 * terminal and the shell's job control as it would have them without us. */
#ifndef PGWITH_CLI_CHILD_H
#define PGWITH_CLI_CHILD_H

#include <signal.h>
#include <stdbool.h>
#include <sys/signalfd.h>
#include <sys/types.h>

#include "cli/run/descendants.h"

struct child {
	pid_t pid;
	bool ended;      /* `status` is there */
	int status;      /* of waitpid(2) */
	int interrupted; /* SIGINT or SIGQUIT of the terminal that has come last; or 0 */
	int signals;     /* descriptor from which signals are read */
	/* children that pgwith had before, as a shell has that executes it: no business of ours */
	struct descendants others;
	/* as they were when pgwith began: the program gets them so */
	sigset_t mask;
	struct sigaction on_child;
};

/* To be called before anything is opened: a standard descriptor that is closed becomes /dev/null.
 * Without that our socket would take its number. (Libraries that libpq uses do the same.) */
void child_keep_descriptors(void);

/* Starts the program with that environment. From then on every signal is read from `signals`.
 * Returns 0, or the errno for which the program cannot be executed; or a negative errno: there can
 * be no process. */
int child_start(struct child *, char **words, char **environment);

/* Takes the signals that have come: passes those on that the program has not got itself, and takes
 * note of what has become of it. If it is stopped on a terminal, we stop, too, for the shell to see
 * that. */
void child_signals(struct child *);

/* A descriptor that is readable if a signal has come that means the end: INT, QUIT, TERM or HUP,
 * but for those that were ignored or blocked when pgwith began. To be called when the program has
 * ended: from then on Ctrl-Z stops pgwith. */
int child_end_signals(const struct child *);

/* Ends the program and all that it has started by that signal, also what is stopped. */
void child_end(const struct child *, int number);

/* Is anything left of what the program has started, or the program itself? */
bool child_has_any(const struct child *);

/* Frees what the structure has. */
void child_clear(struct child *);

/* Ends pgwith by the signal of the terminal that has ended the program, because a script then ends
 * as well: bash(1) goes on behind a program that ends by an exit status. Returns if there was no
 * such signal. */
void child_die_as(const struct child *);

#endif
