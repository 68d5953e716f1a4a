#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/logline.h"
#include "base/logsink.h"

#define FOLDS_MAX 16  /* kinds of lines that are remembered */
#define HEAD_MAX  100 /* bytes */

/* A kind of line that has been written: further lines of that kind are held back for a while. */
struct fold {
	uint64_t kind; /* 0: none */
	int64_t since_us;
	unsigned held;
	enum log_level level;
	struct logline last;
};

enum log_level log_lowest_ = LOG_INFO;

static struct {
	const char *program;
	enum log_format format;
	pthread_once_t at_fork;
	pthread_mutex_t lock; /* protects all below, and the sink */
	struct fold folds[FOLDS_MAX];
	unsigned long long lost;
	time_t second; /* that `seconds` is the text of */
	char seconds[32];
	char head[HEAD_MAX]; /* the part between time and level: program and process id */
	size_t head_bytes;   /* 0: `head` is still to be made */
} logger = {.program = "pgwith", .at_fork = PTHREAD_ONCE_INIT, .lock = PTHREAD_MUTEX_INITIALIZER};

static const struct {
	const char *name;
	int priority; /* syslog(3)'s */
} levels[] = {
    [LOG_DEBUG] = {"debug", 7},
    [LOG_INFO] = {"info", 6},
    [LOG_WARN] = {"warn", 4},
    [LOG_ERROR] = {"error", 3},
};

/* Called in a child after fork(2), which has another process id. */
static void
forget_head(void)
{
	logger.head_bytes = 0;
}

static void
watch_forks(void)
{
	pthread_atfork(NULL, NULL, forget_head);
}

void
log_init(const char *program, enum log_level lowest)
{
	logger.program = program;
	log_lowest_ = lowest;
	logger.format = LOG_TEXT;
	logger.seconds[0] = 0;
	logger.head_bytes = 0;
	pthread_once(&logger.at_fork, watch_forks);
	logsink_open();
}

void
log_set_level(enum log_level lowest)
{
	log_lowest_ = lowest;
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

/* ---- one line ---- */

static size_t
append_text(char *out, const char *text)
{
	size_t n = strlen(text);

	memcpy(out, text, n);
	return n;
}

/* Local time in text, as the other programs of the system write it; UTC in JSON: RFC 3339. */
static size_t
append_time(char *out, bool json)
{
	struct timespec now;
	unsigned ms;
	struct tm tm;
	size_t n;

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
	ms = (unsigned)(now.tv_nsec / 1000000);
	n = append_text(out, logger.seconds);
	out[n++] = '.';
	out[n++] = (char)('0' + ms / 100);
	out[n++] = (char)('0' + ms / 10 % 10);
	out[n++] = (char)('0' + ms % 10);
	return n;
}

/* The head is made once, because getpid(2) is a system call. */
static size_t
append_head(char *out, bool json)
{
	if (logger.head_bytes == 0)
		logger.head_bytes = (size_t)snprintf(
		    logger.head, sizeof logger.head,
		    json ? "Z\",\"program\":\"%.32s\",\"process\":%d,\"level\":\"" : " %.32s[%d] ",
		    logger.program, (int)getpid());
	memcpy(out, logger.head, logger.head_bytes);
	return logger.head_bytes;
}

/* Writes all that stands before the caller's part of a line. Returns its length, under 300
 * bytes. */
static size_t
begin_line(char *out, enum log_level level)
{
	bool json = logger.format == LOG_JSON;
	char *at = out;

	if (logsink_is_journal()) {
		*at++ = '<';
		*at++ = (char)('0' + levels[level].priority);
		*at++ = '>';
		if (!json)
			return (size_t)(at - out);
	}
	if (json)
		at += append_text(at, "{\"time\":\"");
	at += append_time(at, json);
	at += append_head(at, json);
	at += append_text(at, levels[level].name);
	at += append_text(at, json ? "\"," : " ");
	return (size_t)(at - out);
}

static bool
write_line(enum log_level level, const struct logline *l, unsigned repeated)
{
	char line[LOGLINE_MAX + 300];
	size_t n = begin_line(line, level);
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

/* Writes how many lines were lost, as soon as stderr takes that. */
static void
tell_lost(void)
{
	struct logline l;

	if (logger.lost == 0 || !logsink_ready())
		return;
	logline_make(&l, logger.format == LOG_JSON,
		     LOG_VALUES_("log", LOG_ALONE, "lines are lost: stderr did not take them",
				 LOG_NUMBER("lines", logger.lost)),
		     NULL);
	if (write_line(LOG_WARN, &l, 0))
		logger.lost = 0;
}

static void
emit(enum log_level level, const struct logline *l, unsigned repeated)
{
	tell_lost();
	/* The number of lost lines is written where they are missing: before it, no other line. */
	if (logger.lost > 0 || !write_line(level, l, repeated))
		logger.lost++;
}

/* ---- folding ---- */

static int64_t
monotonic_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Writes the last line that was held back, if there is one; then the kind is remembered for another
 * period, else it is forgotten. */
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

/* The fold of that kind; if there is none, one that can be used for it: a free one, or the
 * oldest. */
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
fold(enum log_level level, uint64_t kind, const struct logline *l)
{
	int64_t now = monotonic_us();
	struct fold *f;

	unfold_old(now);
	f = find_fold(kind);
	if (f->kind == kind) {
		f->held++;
		f->level = level;
		f->last = *l;
		return;
	}
	if (f->kind)
		unfold(f, now);
	f->kind = kind;
	f->since_us = now;
	emit(level, l, 0);
}

void
log_sweep(void)
{
	pthread_mutex_lock(&logger.lock);
	unfold_old(monotonic_us());
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
	/* Lines that are held back have the old format. */
	if (format != logger.format)
		log_flush();
	pthread_mutex_lock(&logger.lock);
	logger.format = format;
	logger.seconds[0] = 0;
	logger.head_bytes = 0;
	pthread_mutex_unlock(&logger.lock);
}

/* ---- calls ---- */

enum folding { EVENT, FOLDED };

static void
log_at(enum log_level level, enum folding folding, const struct log_value *values,
       const char *error)
{
	struct logline l;

	pthread_mutex_lock(&logger.lock);
	logline_make(&l, logger.format == LOG_JSON, values, error);
	if (folding == FOLDED)
		fold(level, logline_kind(values, error), &l);
	else
		emit(level, &l, 0);
	pthread_mutex_unlock(&logger.lock);
}

void
log_event_(enum log_level level, const struct log_value *values)
{
	int saved = errno;

	log_at(level, EVENT, values, NULL);
	errno = saved;
}

void
log_folded_(enum log_level level, const struct log_value *values)
{
	int saved = errno;

	log_at(level, FOLDED, values, NULL);
	errno = saved;
}

void
log_errno_(enum log_level level, const struct log_value *values)
{
	int saved = errno;

	log_at(level, FOLDED, values, saved ? strerror(saved) : NULL);
	errno = saved;
}

static void (*before_fatal)(void);

void
log_before_fatal(void (*fn)(void))
{
	before_fatal = fn;
}

void
log_fatal_(const struct log_value *values)
{
	if (before_fatal)
		before_fatal();
	log_flush();
	log_at(LOG_ERROR, EVENT, values, NULL);
	_exit(1);
}
