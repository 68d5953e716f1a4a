/* log: writes one line for each event to stderr: its subject and id first, key=value after:
 *	session 42: wait ended why=timeout pool=orders waited=5.0s
 * warn: an operator should act. info: life cycle. debug: each state change. A password is never
 * logged, and SQL only at debug, unless an option asks for it. logvalue.h tells how a call is
 * written, logline.h how its line looks as text and as JSON.
 *
 * If stderr is the journal (JOURNAL_STREAM), a line starts with its priority, sd-daemon(3), and has
 * no time of its own in text.
 *
 * Repeated lines are folded. Lines are of one kind if they differ only in numbers (ids, process
 * ids, times). The first line of a kind is written; those that follow within LOG_FOLD_US are
 * counted, and then the last of them is written with repeated=N, the number of lines that were held
 * back. This holds for warn, error and log_info_often(). All other lines are always written.
 *
 * If stderr does not take a line, it is lost, and a later line tells how many were lost. Any thread
 * may log. */
#ifndef PGWITH_BASE_LOG_H
#define PGWITH_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/logvalue.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_TEXT, LOG_JSON };

#define LOG_FOLD_US 1000000

/* Sets the program's name and the lowest level that is written; the format is text. `program` must
 * stay valid: it is not copied. Opens descriptors 0 to 2 on /dev/null if they are closed. */
void log_init(const char *program, enum log_level lowest);
void log_set_level(enum log_level lowest);
void log_set_format(enum log_format);

/* Parses debug, info, warn, error. False if it is none of them. */
bool log_level_parse(const char *, enum log_level *);
const char *log_level_name(enum log_level);

/* The arguments of a call are the subject, its id or name, the words of the message, then values:
 * see logvalue.h. If the level is not written, the call costs one comparison, and its arguments are
 * not evaluated.
 *
 * log_warn() adds strerror(errno), as in OpenBSD; log_warnx() does not. All leave errno alone.
 *
 *	log_info("session", s->id, "in", LOG_TEXT("pool", pool), LOG_NUMBER("uid", uid));
 *	log_warnx("pool", name, "cannot connect", LOG_QUOTED("why", reason));
 *	log_warn("listen", LOG_ALONE, "cannot accept", LOG_TEXT("path", path));
 *	log_debug("session", s->id, "", LOG_MOVE("idle", "active")); */
#define log_debug(...)      LOG_AT_(LOG_DEBUG, log_event_, __VA_ARGS__)
#define log_info(...)       LOG_AT_(LOG_INFO, log_event_, __VA_ARGS__)
#define log_info_often(...) LOG_AT_(LOG_INFO, log_folded_, __VA_ARGS__)
#define log_warn(...)       LOG_AT_(LOG_WARN, log_errno_, __VA_ARGS__)
#define log_warnx(...)      LOG_AT_(LOG_WARN, log_folded_, __VA_ARGS__)
#define log_error(...)      LOG_AT_(LOG_ERROR, log_folded_, __VA_ARGS__)

/* Writes the line and ends the process with status 1. Only for bugs of pgwith itself, and when
 * there is no memory. */
#define log_fatal(...) log_fatal_(LOG_VALUES_(__VA_ARGS__))
/* log_fatal() calls `fn` first, with which a program puts a terminal right; NULL: nothing. It must
 * not allocate. */
void log_before_fatal(void (*fn)(void));

/* To be called several times a second: writes lines that have been held back for LOG_FOLD_US, and
 * how many lines were lost. */
void log_sweep(void);
/* To be called at the end: writes all lines that are held back. */
void log_flush(void);

/* ---- what the macros are made of ---- */

#define LOG_AT_(level, function, ...) \
	((level) < log_lowest_ ? (void)0 : function((level), LOG_VALUES_(__VA_ARGS__)))

extern enum log_level log_lowest_;

/* Is a line of this level written? To be asked by a function that every request comes by, which has
 * its call of log_debug() in a function of its own. */
static inline bool
log_writes(enum log_level level)
{
	return level >= log_lowest_;
}

void log_event_(enum log_level, const struct log_value *);
void log_folded_(enum log_level, const struct log_value *);
void log_errno_(enum log_level, const struct log_value *);
void log_fatal_(const struct log_value *) __attribute__((noreturn));

#endif
