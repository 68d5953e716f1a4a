/* program: runs another program to its end, within a time limit, and keeps what it prints. */
#ifndef PGWITH_BASE_PROGRAM_H
#define PGWITH_BASE_PROGRAM_H

#include <stddef.h>
#include <stdint.h>

#define PROGRAM_ERR_MAX 4096 /* bytes of stderr that are kept; more is read and dropped */

#define PROGRAM_FDS 6 /* descriptors of ours that a run takes, at most */

/* How a run has ended. In parentheses: what `code` is. */
enum program_end {
	PROGRAM_EXITED,      /* by itself (its exit status) */
	PROGRAM_KILLED,      /* by a signal that was not ours (its number) */
	PROGRAM_LATE,        /* killed at the time limit */
	PROGRAM_TOO_MUCH,    /* killed, because it printed more than it may */
	PROGRAM_ABORTED,     /* killed by program_abort(), or not started any more */
	PROGRAM_NOT_STARTED, /* (errno) */
};

struct program_result {
	enum program_end end;
	int code;
	char *out, *err; /* what came on stdout and stderr; a NUL stands behind the last byte */
	size_t out_bytes, err_bytes;
};

struct program;

/* `words`: the absolute path and the arguments, ended by NULL. `more`: NAME=VALUE, ended by NULL,
 * which are added to our environment and replace variables of the same name. The variables by which
 * a service manager speaks with us (NOTIFY_SOCKET and the like) are left out. Both are copied. */
struct program *program_new(char *const *words, char *const *more);

/* Runs it once, and waits until it has ended or `limit_us` have passed. Its stdin is /dev/null; it
 * is the first of a session and process group of its own, and no descriptor of ours is open in it.
 * If it may not go on, the whole group is killed. What it leaves in the background goes on, unless
 * it is killed. The caller clears the result. May be called in any thread. */
void program_run(struct program *, int64_t limit_us, size_t out_max, struct program_result *);

/* Ends the run at once, whatever thread is in program_run(). A run that has not begun will not
 * begin. */
void program_abort(struct program *);

/* Waits until every program that was aborted has been killed, for `limit_us` at most. A program
 * that is just being started is killed by its thread, and not within program_abort(): a process
 * that ends calls this, or the program would go on. */
void program_settle(int64_t limit_us);

/* Not while program_run() is in it. */
void program_free(struct program *);

/* Overwrites what the program has printed, and frees it. */
void program_result_clear(struct program_result *);

#endif
