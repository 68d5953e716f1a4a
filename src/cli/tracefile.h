/* tracefile: the file that pgwith trace writes: SQLite (.db, .sqlite), or Chrome's trace format
 * (.json), which Perfetto opens. pgwith(1) describes both. What is wrong is said on stderr. */
#ifndef PGWITH_CLI_TRACEFILE_H
#define PGWITH_CLI_TRACEFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/timeline.h"

/* What stands in the file about the recording itself. */
struct tracefile_about {
	double began_at;          /* seconds of the wall clock */
	int64_t begin_us, end_us; /* of the events' clock; the file has times from begin_us on */
	uint64_t events, lost;
	unsigned restarts; /* how often pgwithd was restarted meanwhile */
	const char *pool;  /* of that pool only; or NULL */
};

struct tracefile;

/* Is this the name of a file of one of the two formats? If not, it says so. */
bool tracefile_name_is_good(const char *path);

/* A file that tracefile_begin() will make. There must be none of that name. NULL: there is one,
 * and it says so. `path` lives on. */
struct tracefile *tracefile_new(const char *path);

/* Begins to write, to a file of another name beside it, so that a file of the right name is whole
 * whatever ends the process. False: it cannot be made, and it says why. */
bool tracefile_begin(struct tracefile *, int64_t begin_us);
/* Writes a segment. An error is kept for tracefile_end(). */
void tracefile_add(struct tracefile *, const struct timeline_segment *);
/* Ends the file, and gives it its name. False: something could not be written, and it says why; the
 * file is removed. If there is another file of that name now, it says under which name the new one
 * is kept. */
bool tracefile_end(struct tracefile *, const struct tracefile_about *);
/* Has something failed? Then what follows is written in vain. */
bool tracefile_failed(const struct tracefile *);

/* Frees it. Unless tracefile_end() was called, the file is removed. NULL is nothing. */
void tracefile_free(struct tracefile *);

#endif
