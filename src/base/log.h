/* log: one line per event on stderr, its subject and id first, key=value after:
 *	session 42: wait ended why=timeout pool=orders waited=5.0s
 * warn: an operator should act. info: life cycle. debug: each state change. Never a password; no
 * SQL text above debug. If stderr is the journal (JOURNAL_STREAM), a line starts with its priority
 * instead of the time, sd-daemon(3). */
#ifndef PGWITH_BASE_LOG_H
#define PGWITH_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Names the program and the lowest level that is written. `program` is kept, not copied. */
void log_init(const char *program, enum log_level lowest);
void log_set_level(enum log_level lowest);

/* Parses debug, info, warn, error. False if it is none of them. */
bool log_level_parse(const char *, enum log_level *);
const char *log_level_name(enum log_level);

/* log_warn() adds strerror(errno), as in OpenBSD; log_warnx() does not. */
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warnx(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Writes the line and ends the process with status 1. Only for our own bugs and for memory. */
void log_fatal(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* True if debug lines are written: asks before costly arguments are made. */
bool log_debugging(void);

/* For what repeats: true at most `per_s` times a second for this limiter; `*held` gets how many
 * were held back since the last line that was let through. */
struct log_limit {
	uint64_t window_s; /* monotonic second that `count` belongs to */
	unsigned count;
	unsigned held;
};
bool log_allowed(struct log_limit *, unsigned per_s, unsigned *held);

#endif
