#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/logline.h"
#include "base/logsink.h"

#define FOLDS_MAX 16 /* kinds of lines that are remembered */

/* A kind of line that has been written: what repeats it is held back for a while. */
struct fold {
	uint64_t kind; /* 0: none */
	int64_t since_us;
	unsigned held;
	enum log_level level;
	struct logline last;
};

static struct {
	const char *program;
	enum log_level lowest;
	enum log_format format;
	pthread_mutex_t lock; /* of what follows, and of the sink */
	struct fold folds[FOLDS_MAX];
	unsigned long long lost;
	time_t second; /* of the text in `seconds` */
	char seconds[32];
} logger = {.program = "pgwith", .lowest = LOG_INFO, .lock = PTHREAD_MUTEX_INITIALIZER};

static const struct {
	const char *name;
	int priority; /* syslog(3)'s */
} levels[] = {
    [LOG_DEBUG] = {"debug", 7},
    [LOG_INFO] = {"info", 6},
    [LOG_WARN] = {"warn", 4},
    [LOG_ERROR] = {"error", 3},
};

void
log_init(const char *program, enum log_level lowest)
{
	logger.program = program;
	logger.lowest = lowest;
	logger.format = LOG_TEXT;
	logger.seconds[0] = 0;
	logsink_open();
}

void
log_set_level(enum log_level lowest)
{
	logger.lowest = lowest;
}

bool
log_level_parse(const char *s, enum log_level *level)
{
	for (unsigned i = 0; i < sizeof levels / sizeof *levels; i++) {
		if (strcasecmp(s, levels[i].name) == 0) {
			*level = i;
			return true;
		}
	}
	return false;
}

const char *
log_level_name(enum log_level level)
{
	return levels[level].name;
}

bool
log_debugging(void)
{
	return logger.lowest <= LOG_DEBUG;
}

/* ---- one line ---- */

/* Local time in text, as the other programs of the system write it; UTC in JSON: RFC 3339. */
static void
stamp(char *out, size_t size, bool json)
{
	struct timespec now;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	if (now.tv_sec != logger.second || logger.seconds[0] == 0) {
		if (json)
			gmtime_r(&now.tv_sec, &tm);
		else
			localtime_r(&now.tv_sec, &tm);
		strftime(logger.seconds, sizeof logger.seconds,
			 json ? "%Y-%m-%dT%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &tm);
		logger.second = now.tv_sec;
	}
	snprintf(out, size, "%s.%03ld%s", logger.seconds, now.tv_nsec / 1000000, json ? "Z" : "");
}

/* What stands ahead of the line; its length. */
static size_t
begin_line(char *out, size_t size, enum log_level level)
{
	bool json = logger.format == LOG_JSON;
	char time[64], *at = out;

	if (logsink_is_journal())
		at += snprintf(at, size, "<%d>", levels[level].priority);
	if (logsink_is_journal() && !json)
		return (size_t)(at - out);
	stamp(time, sizeof time, json);
	size -= (size_t)(at - out);
	at += snprintf(
	    at, size,
	    json ? "{\"time\":\"%s\",\"program\":\"%.32s\",\"process\":%d,\"level\":\"%s\","
		 : "%s %.32s[%d] %s ",
	    time, logger.program, (int)getpid(), levels[level].name);
	return (size_t)(at - out);
}

static bool
write_line(enum log_level level, const struct logline *l, unsigned repeated)
{
	char line[LOGLINE_MAX + 300];
	size_t n = begin_line(line, sizeof line, level);
	bool json = logger.format == LOG_JSON;

	memcpy(line + n, l->body, l->len);
	n += l->len;
	if (repeated)
		n += (size_t)snprintf(line + n, sizeof line - n,
				      json ? ",\"repeated\":%u" : " repeated=%u", repeated);
	if (json)
		line[n++] = '}';
	line[n++] = '\n';
	return logsink_write(line, n);
}

static void
make(struct logline *l, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	logline_make(l, logger.format == LOG_JSON, fmt, ap, NULL);
	va_end(ap);
}

/* As soon as there is room for it. */
static void
tell_lost(void)
{
	struct logline l;

	if (logger.lost == 0 || !logsink_ready())
		return;
	make(&l, "log: lines are lost: stderr did not take them lines=%llu", logger.lost);
	if (write_line(LOG_WARN, &l, 0))
		logger.lost = 0;
}

static void
emit(enum log_level level, const struct logline *l, unsigned repeated)
{
	tell_lost();
	/* In order: behind a gap that has not been told of, nothing is written. */
	if (logger.lost > 0 || !write_line(level, l, repeated))
		logger.lost++;
}

/* ---- folding ---- */

static int64_t
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Writes what it holds; what comes next is held back again for a while, if anything had come. */
static void
unfold(struct fold *f, int64_t now)
{
	unsigned held = f->held;

	f->held = 0;
	f->since_us = now;
	if (held)
		emit(f->level, &f->last, held);
	else
		f->kind = 0;
}

static void
unfold_old(int64_t now)
{
	for (struct fold *f = logger.folds; f < logger.folds + FOLDS_MAX; f++)
		if (f->kind && now - f->since_us >= LOG_FOLD_US)
			unfold(f, now);
}

/* That of the kind; or one to be used for it: a free one, else the oldest. */
static struct fold *
find_fold(uint64_t kind)
{
	struct fold *best = logger.folds;

	for (struct fold *f = logger.folds; f < logger.folds + FOLDS_MAX; f++) {
		if (f->kind == kind)
			return f;
		if (best->kind && (f->kind == 0 || f->since_us < best->since_us))
			best = f;
	}
	return best;
}

static void
fold(enum log_level level, const struct logline *l)
{
	int64_t now = now_us();
	struct fold *f;

	unfold_old(now);
	f = find_fold(l->kind);
	if (f->kind == l->kind) {
		f->held++;
		f->level = level;
		f->last = *l;
		return;
	}
	if (f->kind)
		unfold(f, now);
	f->kind = l->kind;
	f->since_us = now;
	emit(level, l, 0);
}

void
log_sweep(void)
{
	pthread_mutex_lock(&logger.lock);
	unfold_old(now_us());
	tell_lost();
	pthread_mutex_unlock(&logger.lock);
}

void
log_flush(void)
{
	pthread_mutex_lock(&logger.lock);
	for (struct fold *f = logger.folds; f < logger.folds + FOLDS_MAX; f++) {
		if (f->held)
			unfold(f, 0);
		f->kind = 0;
	}
	tell_lost();
	pthread_mutex_unlock(&logger.lock);
}

void
log_set_format(enum log_format format)
{
	/* What is held has the format of before. */
	if (format != logger.format)
		log_flush();
	pthread_mutex_lock(&logger.lock);
	logger.format = format;
	logger.seconds[0] = 0;
	pthread_mutex_unlock(&logger.lock);
}

/* ---- levels ---- */

enum folding { EVENT, FOLDED };

static void
log_at(enum log_level level, enum folding folding, int err, const char *fmt, va_list ap)
{
	struct logline l;

	pthread_mutex_lock(&logger.lock);
	logline_make(&l, logger.format == LOG_JSON, fmt, ap, err ? strerror(err) : NULL);
	if (folding == FOLDED)
		fold(level, &l);
	else
		emit(level, &l, 0);
	pthread_mutex_unlock(&logger.lock);
}

#define LOG_AT(level, folding, err)                                  \
	do {                                                         \
		int saved_ = errno;                                  \
		if ((level) >= logger.lowest) {                      \
			va_list ap_;                                 \
			va_start(ap_, fmt);                          \
			log_at((level), (folding), (err), fmt, ap_); \
			va_end(ap_);                                 \
		}                                                    \
		errno = saved_;                                      \
	} while (0)

void
log_debug(const char *fmt, ...)
{
	LOG_AT(LOG_DEBUG, EVENT, 0);
}

void
log_info(const char *fmt, ...)
{
	LOG_AT(LOG_INFO, EVENT, 0);
}

void
log_info_often(const char *fmt, ...)
{
	LOG_AT(LOG_INFO, FOLDED, 0);
}

void
log_warn(const char *fmt, ...)
{
	LOG_AT(LOG_WARN, FOLDED, saved_);
}

void
log_warnx(const char *fmt, ...)
{
	LOG_AT(LOG_WARN, FOLDED, 0);
}

void
log_error(const char *fmt, ...)
{
	LOG_AT(LOG_ERROR, FOLDED, 0);
}

void
log_fatal(const char *fmt, ...)
{
	log_flush();
	LOG_AT(LOG_ERROR, EVENT, 0);
	_exit(1);
}
