#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct {
	const char *program;
	enum log_level lowest;
	bool journal;
} logger = {.program = "pgwith", .lowest = LOG_INFO};

static const struct {
	const char *name;
	int priority; /* syslog(3)'s */
} levels[] = {
    [LOG_DEBUG] = {"debug", 7},
    [LOG_INFO] = {"info", 6},
    [LOG_WARN] = {"warn", 4},
    [LOG_ERROR] = {"error", 3},
};

/* systemd.exec(5): JOURNAL_STREAM is device:inode of the stream. It is inherited by all that a
 * service starts, whose stderr may well be a terminal or a file. */
static bool
stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void
log_init(const char *program, enum log_level lowest)
{
	logger.program = program;
	logger.lowest = lowest;
	logger.journal = stderr_is_journal();
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

/* One write(2) a line, so that lines of threads and processes do not mix. Control characters from
 * outside must not forge a second line. */
static void
put(enum log_level level, int err, const char *fmt, va_list ap)
{
	char line[2048], text[1600];
	int n;

	if (vsnprintf(text, sizeof text, fmt, ap) < 0)
		return;
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	if (logger.journal) {
		n = snprintf(line, sizeof line, "<%d>%s%s%s\n", levels[level].priority, text,
			     err ? ": " : "", err ? strerror(err) : "");
	} else {
		struct timespec now;
		struct tm tm;
		char stamp[32];

		clock_gettime(CLOCK_REALTIME, &now);
		localtime_r(&now.tv_sec, &tm);
		strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", &tm);
		n = snprintf(line, sizeof line, "%s.%03ld %s[%d] %s %s%s%s\n", stamp,
			     now.tv_nsec / 1000000, logger.program, (int)getpid(),
			     levels[level].name, text, err ? ": " : "", err ? strerror(err) : "");
	}
	if (n >= (int)sizeof line) {
		n = sizeof line - 1;
		line[n - 1] = '\n';
	}
	/* A log that cannot be written must not stop the work: there is nowhere left to say so. */
	if (n > 0 && write(STDERR_FILENO, line, n) < 0)
		return;
}

#define PUT(level, err)                                \
	do {                                           \
		int saved_ = errno;                    \
		if ((level) >= logger.lowest) {        \
			va_list ap_;                   \
			va_start(ap_, fmt);            \
			put((level), (err), fmt, ap_); \
			va_end(ap_);                   \
		}                                      \
		errno = saved_;                        \
	} while (0)

void
log_debug(const char *fmt, ...)
{
	PUT(LOG_DEBUG, 0);
}

void
log_info(const char *fmt, ...)
{
	PUT(LOG_INFO, 0);
}

void
log_warn(const char *fmt, ...)
{
	PUT(LOG_WARN, saved_);
}

void
log_warnx(const char *fmt, ...)
{
	PUT(LOG_WARN, 0);
}

void
log_error(const char *fmt, ...)
{
	PUT(LOG_ERROR, 0);
}

void
log_fatal(const char *fmt, ...)
{
	PUT(LOG_ERROR, 0);
	_exit(1);
}

bool
log_allowed(struct log_limit *limit, unsigned per_s, unsigned *held)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (limit->window_s != (uint64_t)now.tv_sec) {
		limit->window_s = now.tv_sec;
		limit->count = 0;
	}
	if (limit->count >= per_s) {
		limit->held++;
		return false;
	}
	limit->count++;
	*held = limit->held;
	limit->held = 0;
	return true;
}
