#include "base/logsink.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRIES_MAX 3 /* for a line that is not taken although poll(2) said so */

static struct {
	bool journal;
	bool can_block; /* stderr is a pipe, a socket or a terminal */
	bool socket;
	bool stuck; /* the last wait for the reader was in vain */
	bool torn;  /* only a part of the last line was written */
} sink;

/* JOURNAL_STREAM is device:inode of the journal's stream: systemd.exec(5). They are compared,
 * because programs that a service starts inherit the variable, but may have another stderr. */
static bool
is_journal(const struct stat *st)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       st->st_dev == device && st->st_ino == inode;
}

void
logsink_open(void)
{
	struct stat st = {0};
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
	memset(&sink, 0, sizeof sink);
	if (fstat(STDERR_FILENO, &st) < 0)
		return;
	sink.journal = is_journal(&st);
	sink.socket = S_ISSOCK(st.st_mode);
	sink.can_block = S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) || isatty(STDERR_FILENO);
}

bool
logsink_is_journal(void)
{
	return sink.journal;
}

/* Can a line be written without waiting, within so many milliseconds? A pipe is ready if it has
 * PIPE_BUF bytes free. */
static bool
poll_stderr(int wait_ms)
{
	struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};

	/* An error counts as ready: write() will report it. */
	return poll(&p, 1, wait_ms) != 0;
}

bool
logsink_ready(void)
{
	return !sink.can_block || poll_stderr(0);
}

static ssize_t
write_once(const char *line, size_t bytes)
{
	ssize_t n;

	do
		n = sink.socket ? send(STDERR_FILENO, line, bytes, MSG_DONTWAIT | MSG_NOSIGNAL)
				: write(STDERR_FILENO, line, bytes);
	while (n < 0 && errno == EINTR);
	return n;
}

static bool
wait_for_reader(void)
{
	if (poll_stderr(sink.stuck ? 0 : LOGSINK_WAIT_MS)) {
		sink.stuck = false;
		return true;
	}
	sink.stuck = true;
	return false;
}

bool
logsink_write(const char *line, size_t bytes)
{
	unsigned tries = 0;
	size_t done = 0;
	ssize_t n;

	/* A socket, such as the journal's, is asked only when it has not taken a line: send() does
	 * not block there. */
	if (sink.can_block && !sink.socket && !wait_for_reader())
		return false;
	if (sink.torn && write_once("\n", 1) != 1)
		return false;
	sink.torn = false;
	while (done < bytes) {
		n = write_once(line + done, bytes - done);
		if (n > 0) {
			done += (size_t)n;
			sink.stuck = false;
			continue;
		}
		if (n < 0 && errno == EAGAIN && tries++ < TRIES_MAX && wait_for_reader())
			continue;
		sink.torn = done > 0;
		return false;
	}
	return true;
}
