#include "cli/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"

#define PIECE_MAX (64 << 20) /* bytes; pgwithd sends no answer that is longer */

struct head {
	uint32_t kind, bytes;
};

struct spool {
	FILE *file;
	off_t added; /* bytes of the pieces, also of those that stdio has not written yet */
	off_t whole; /* bytes of the pieces that were written whole */
	off_t read;
	uint8_t *piece;
	size_t room;
};

/* The directory of the file. */
static char *
directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return mem_strdup(".");
	return slash == path ? mem_strdup("/") : mem_strndup(path, (size_t)(slash - path));
}

/* Not every file system has files without a name: there, the name is removed at once. */
static int
open_nameless(const char *directory)
{
	int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char *path;

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT))
		return fd;
	path = mem_printf("%s/.pgwith-trace-XXXXXX", directory);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	free(path);
	return fd;
}

struct spool *
spool_new(const char *beside)
{
	char *directory = directory_of(beside);
	int fd = open_nameless(directory), why;
	FILE *file = fd >= 0 ? fdopen(fd, "w+") : NULL;
	struct spool *s;

	why = errno;
	free(directory);
	if (file == NULL) {
		if (fd >= 0)
			close(fd);
		errno = why;
		return NULL;
	}
	s = mem_calloc(1, sizeof *s);
	s->file = file;
	return s;
}

void
spool_free(struct spool *s)
{
	if (s == NULL)
		return;
	fclose(s->file);
	free(s->piece);
	free(s);
}

static int
add_parts(struct spool *s, enum spool_kind kind, const void *front, size_t front_bytes,
	  const void *data, size_t bytes)
{
	const struct head head = {(uint32_t)kind, (uint32_t)(front_bytes + bytes)};

	if (front_bytes + bytes > PIECE_MAX) {
		errno = EMSGSIZE;
		return -E_IO;
	}
	if (fwrite(&head, sizeof head, 1, s->file) != 1 ||
	    fwrite(front, 1, front_bytes, s->file) != front_bytes ||
	    fwrite(data, 1, bytes, s->file) != bytes)
		return -E_IO;
	s->added += (off_t)(sizeof head + front_bytes + bytes);
	/* A portion is written at once, so that a full disk is noticed while it is recorded. The
	 * program of a process is written with the portion behind it. */
	if (kind != SPOOL_PORTION)
		return 0;
	if (fflush(s->file) != 0)
		return -E_IO;
	s->whole = s->added;
	return 0;
}

int
spool_add(struct spool *s, enum spool_kind kind, const void *data, size_t bytes)
{
	return add_parts(s, kind, "", 0, data, bytes);
}

int
spool_add_program(struct spool *s, int64_t pid, const char *program)
{
	return add_parts(s, SPOOL_PROGRAM, &pid, sizeof pid, program, strlen(program));
}

int
spool_rewind(struct spool *s)
{
	s->read = 0;
	clearerr(s->file);
	return fseeko(s->file, 0, SEEK_SET) == 0 ? 0 : -E_IO;
}

int
spool_next(struct spool *s, enum spool_kind *kind, const void **data, size_t *bytes)
{
	struct head head;

	if (s->read == s->whole)
		return 0;
	if (fread(&head, sizeof head, 1, s->file) != 1)
		return -E_IO;
	if (head.bytes + (size_t)1 > s->room) {
		free(s->piece);
		s->room = head.bytes + (size_t)1;
		s->piece = mem_alloc(s->room);
	}
	if (fread(s->piece, 1, head.bytes, s->file) != head.bytes)
		return -E_IO;
	s->piece[head.bytes] = 0;
	s->read += (off_t)(sizeof head + head.bytes);
	*kind = head.kind;
	*data = s->piece;
	*bytes = head.bytes;
	return 1;
}
