/* log: one line per event on stderr, its subject and id first, key=value after:
 *	session 42: wait ended why=timeout pool=orders waited=5.0s
 * warn: an operator should act. info: life cycle. debug: each state change. Never a password; no
 * SQL text above debug unless it was asked for. See logline.h for what the formats mean: a value
 * that comes from outside belongs behind a key of its own, at the end of the format.
 *
 * If stderr is the journal (JOURNAL_STREAM), a line starts with its priority, sd-daemon(3), and has
 * no time of its own in text.
 *
 * What repeats is folded: of lines of warn and error, and of log_info_often(), that differ in
 * numbers only (ids, process ids, times), the first one is written; those that follow within
 * LOG_FOLD_US are counted, and then the last of them is written with repeated=N, N being all that
 * were held back. Other lines of info, and those of debug, are events, and are all written.
 *
 * Lines that stderr does not take are counted, and a later one says how many were lost. Any thread
 * may log. */
#ifndef PGWITH_BASE_LOG_H
#define PGWITH_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_TEXT, LOG_JSON };

#define LOG_FOLD_US 1000000

/* Names the program and the lowest level that is written, in text. `program` is kept, not copied.
 * Opens descriptors 0 to 2 on /dev/null if they are closed. */
void log_init(const char *program, enum log_level lowest);
void log_set_level(enum log_level lowest);
void log_set_format(enum log_format);

/* Parses debug, info, warn, error. False if it is none of them. */
bool log_level_parse(const char *, enum log_level *);
const char *log_level_name(enum log_level);

/* log_warn() adds strerror(errno), as in OpenBSD; log_warnx() does not. */
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info_often(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warnx(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Writes the line and ends the process with status 1. Only for our own bugs and for memory. */
void log_fatal(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* True if debug lines are written: asks before costly arguments are made. */
bool log_debugging(void);

/* Writes what was held back for LOG_FOLD_US, and what is to be said of lines lost: several times a
 * second. */
void log_sweep(void);
/* Writes all that is held back: at the end. */
void log_flush(void);

#endif
