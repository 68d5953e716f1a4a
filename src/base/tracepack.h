/* tracepack: the bytes that TRACE returns: the events of base/trace.h, packed, and read again by
 * pgwith. One answer is a portion:
 *
 *	version   1 byte: TRACEPACK_VERSION
 *	flags     1 byte: TRACEPACK_FIRST, TRACEPACK_ALL
 *	now       number: the clock of the events, in microseconds
 *	lost      number: events that were lost since the beginning of the recording
 *	records, up to the end of the portion:
 *	  an event: its kind in the low four bits, and which of the last three numbers follow
 *	            (16: other, 32: name, 64: name2; what does not follow is 0); 1 byte: its state;
 *	            its time, as the difference to the record before (to `now` for the first one), with
 *	            the sign in the lowest bit; its subject; other, name and name2
 *	  a name:   1 byte: TRACEPACK_NAME; its number; how many bytes; the bytes. From here on, the
 *	            number stands for this name, whatever it stood for before
 *
 * A number has seven bits in each byte, the lowest first; the highest bit says that more follow. An
 * event of an ordinary transaction takes six bytes or seven. */
#ifndef PGWITH_BASE_TRACEPACK_H
#define PGWITH_BASE_TRACEPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/trace.h"

#define TRACEPACK_VERSION 1
#define TRACEPACK_NAME    15 /* the kind of a name */

enum tracepack_flag {
	TRACEPACK_FIRST = 1, /* with this portion a recording begins */
	TRACEPACK_ALL = 2    /* all has been told, up to `now` */
};

/* ---- writing ---- */

struct tracepack_writer {
	struct buf *out; /* its error says whether something did not fit */
	int64_t at_us;   /* of the event before */
};

void tracepack_begin(struct tracepack_writer *, struct buf *out, unsigned flags, int64_t now_us,
		     uint64_t lost);
/* `name` has less than TRACE_NAME bytes. */
void tracepack_name(struct tracepack_writer *, unsigned number, const char *name);
void tracepack_event(struct tracepack_writer *, const struct trace_event *);

/* ---- reading ---- */

struct tracepack_reader {
	const uint8_t *at, *end;
	int64_t at_us;
	bool failed;
	/* of the portion: */
	unsigned flags;
	int64_t now_us;
	uint64_t lost;
};

struct tracepack_record {
	bool is_name;
	struct trace_event event; /* unless is_name */
	unsigned number;          /* of a name, from 1 to TRACE_NAMES */
	const char *text;         /* of a name: `bytes` bytes, in the portion, without a NUL */
	size_t bytes;
};

/* Begins to read a portion, which must stay where it is. Returns 0; -E_RANGE: it has another
 * version; -E_SYNTAX: it is no portion. */
int tracepack_read(struct tracepack_reader *, const void *portion, size_t bytes);

/* Reads the next record. Returns 1; 0: there is no further one; -E_SYNTAX: the portion is damaged.
 * The kind of an event, and the numbers of its names, are valid. Times are not negative. */
int tracepack_next(struct tracepack_reader *, struct tracepack_record *);

#endif
