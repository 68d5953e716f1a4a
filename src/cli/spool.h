/* spool: what TRACE has returned, in a file without a name, until it is made into a timeline. To
 * append is cheap: the making takes more processor time than the recording, and comes behind it. */
#ifndef PGWITH_CLI_SPOOL_H
#define PGWITH_CLI_SPOOL_H

#include <stddef.h>
#include <stdint.h>

struct spool;

enum spool_kind {
	SPOOL_PROGRAM = 1, /* the id of a process in 8 bytes, as this machine has them; its name */
	SPOOL_PORTION = 2  /* base/tracepack.h */
};

/* Makes an empty one, on the file system of the file `beside`. NULL: errno says why not. */
struct spool *spool_new(const char *beside);
void spool_free(struct spool *);

/* Appends a piece. Returns 0, or -E_IO: errno says why. */
int spool_add(struct spool *, enum spool_kind, const void *data, size_t bytes);
/* The same for the program of a process. */
int spool_add_program(struct spool *, int64_t pid, const char *program);

/* Begins to read. Returns 0, or -E_IO: errno says why. */
int spool_rewind(struct spool *);
/* The next piece: valid until the next call, with a NUL behind it. Returns 1; 0: there is no
 * further one; -E_IO: errno says why. A piece that was not written whole is none, nor is
 * a program without a portion behind it. */
int spool_next(struct spool *, enum spool_kind *, const void **data, size_t *bytes);

#endif
