#include "pool/cancel.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"

#define PATIENCE_S     10
#define CANCEL_REQUEST 80877102 /* 1234.5678 */

void
cancel_key_watch(struct cancel_key *k, PGconn *conn)
{
	k->known = false;
	k->trace = open_memstream(&k->text, &k->bytes);
	if (k->trace == NULL)
		return;
	PQtrace(conn, k->trace);
	PQsetTraceFlags(conn, PQTRACE_SUPPRESS_TIMESTAMPS);
}

/* Reads the server's process id and key from the trace: the last line of that kind, which belongs
 * to the last login that was tried. */
static void
read_trace(struct cancel_key *k, int backend)
{
	static const char word[] = "BackendKeyData";
	const char *at = k->text;

	while ((at = strstr(at, word)) != NULL) {
		int pid, key;

		at += sizeof word - 1;
		if (sscanf(at, "%d %d", &pid, &key) == 2 && pid == backend) {
			k->key = (uint32_t)key;
			k->known = true;
		}
	}
}

void
cancel_key_take(struct cancel_key *k, PGconn *conn)
{
	if (k->trace == NULL)
		return;
	PQuntrace(conn);
	if (fflush(k->trace) == 0 && k->text)
		read_trace(k, PQbackendPID(conn));
	cancel_key_drop(k);
}

void
cancel_key_drop(struct cancel_key *k)
{
	if (k->trace == NULL)
		return;
	fclose(k->trace);
	k->trace = NULL;
	/* The trace has the exchange about passwords in it. */
	if (k->text)
		explicit_bzero(k->text, k->bytes);
	free(k->text);
	k->text = NULL;
	k->bytes = 0;
}

void
cancel_find(struct cancel_place *place, int fd, const char *path)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&place->addr;

	memset(place, 0, sizeof *place);
	place->bytes = sizeof place->addr;
	if (getpeername(fd, (struct sockaddr *)&place->addr, &place->bytes) < 0)
		place->bytes = 0;
	if (place->bytes == 0 || place->addr.ss_family != AF_UNIX || path == NULL || *path != '/' ||
	    strlen(path) >= sizeof un->sun_path)
		return;
	memset(un->sun_path, 0, sizeof un->sun_path);
	memcpy(un->sun_path, path, strlen(path));
	place->bytes = sizeof *un;
}

void
cancel_find_dialed(struct cancel_place *place, PGconn *conn)
{
	char path[sizeof((struct sockaddr_un *)0)->sun_path + 1];
	const char *dir = PQhost(conn), *port = PQport(conn);

	snprintf(path, sizeof path, "%s/.s.PGSQL.%s", dir ? dir : "", port ? port : "");
	cancel_find(place, PQsocket(conn), path);
}

const char *
cancel_path(const struct cancel_place *place, int fd)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)&place->addr;
	struct cancel_place own;

	if (place->bytes == 0 || un->sun_family != AF_UNIX || un->sun_path[0] != '/')
		return NULL;
	cancel_find(&own, fd, NULL);
	return strncmp(((struct sockaddr_un *)&own.addr)->sun_path, un->sun_path,
		       sizeof un->sun_path) == 0
		   ? NULL
		   : un->sun_path;
}

static bool
send_request(int fd, int pid, uint32_t key)
{
	struct buf out;
	ssize_t n;

	buf_init(&out, 16);
	buf_add_u32(&out, 16);
	buf_add_u32(&out, CANCEL_REQUEST);
	buf_add_u32(&out, (uint32_t)pid);
	buf_add_u32(&out, key);
	do
		n = send(fd, buf_data(&out), out.len, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	buf_clear(&out);
	return n == 16;
}

/* Waits until the server closes the connection, which it does without an answer, once the signal
 * has been sent. */
static bool
hear_end(int fd)
{
	char c;
	ssize_t n;

	do
		n = recv(fd, &c, 1, 0);
	while (n < 0 && errno == EINTR);
	return n == 0 || (n < 0 && errno == ECONNRESET);
}

bool
cancel_send(const struct cancel_place *place, int pid, uint32_t key, char *why, size_t why_size)
{
	static const struct timeval patience = {PATIENCE_S, 0};
	int fd = socket(place->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool done;

	if (fd >= 0) {
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	}
	done = fd >= 0 && connect(fd, (const struct sockaddr *)&place->addr, place->bytes) == 0 &&
	       send_request(fd, pid, key) && hear_end(fd);
	if (!done)
		snprintf(why, why_size, "%s", strerror(errno));
	if (fd >= 0)
		close(fd);
	return done;
}

struct abandoned {
	uint64_t id;
	struct cancel_place place;
	int fd, pid;
	uint32_t key;
	bool sent;
	char why[256];
};

static void
abandon_run(void *arg)
{
	struct abandoned *job = arg;

	job->sent = cancel_send(&job->place, job->pid, job->key, job->why, sizeof job->why);
	close(job->fd);
}

static void
abandon_done(void *arg)
{
	struct abandoned *job = arg;

	if (!job->sent)
		log_warnx("server", job->id, "cancel failed", LOG_QUOTED("why", job->why));
	free(job);
}

void
cancel_abandon(struct threads *threads, uint64_t id, int fd, const struct cancel_place *place,
	       int pid, uint32_t key)
{
	struct abandoned *job = mem_calloc(1, sizeof *job);

	*job = (struct abandoned){.id = id, .place = *place, .fd = fd, .pid = pid, .key = key};
	threads_submit(threads, NULL, abandon_run, abandon_done, job);
}
