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

#define TRIES_MAX 3 /* of a line that is not taken although it should be */

static struct {
	bool journal;
	bool can_block; /* a pipe, a socket or a terminal */
	bool socket;
	bool stuck; /* it has been waited for in vain */
	bool torn;  /* a line has been written in part */
} sink;

/* systemd.exec(5): JOURNAL_STREAM is device:inode of the stream. It is inherited by all that a
 * service starts, whose stderr may well be a terminal or a file. */
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

/* Does the kernel take a line without making us wait? For a pipe that is so if PIPE_BUF bytes are
 * free. */
static bool
takes(int wait_ms)
{
	struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};

	/* An error is for write() to find. */
	return poll(&p, 1, wait_ms) != 0;
}

bool
logsink_ready(void)
{
	return !sink.can_block || takes(0);
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
	if (takes(sink.stuck ? 0 : LOGSINK_WAIT_MS)) {
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

	if (sink.can_block && !wait_for_reader())
		return false;
	if (sink.torn && write_once("\n", 1) != 1)
		return false;
	sink.torn = false;
	while (done < bytes) {
		n = write_once(line + done, bytes - done);
		if (n > 0) {
			done += (size_t)n;
			continue;
		}
		if (n < 0 && errno == EAGAIN && tries++ < TRIES_MAX && wait_for_reader())
			continue;
		sink.torn = done > 0;
		return false;
	}
	return true;
}
