/* exposition: writes metrics as text, in one of the two formats that Prometheus reads:
 *
 *	text	"Prometheus text format, version 0.0.4": promtool, the textfile collector of
 *		node_exporter, and whatever asks for nothing else
 *	openmetrics	"OpenMetrics, version 1.0.0": Prometheus itself asks for it
 *
 * They differ in this: in OpenMetrics, the family of a counter has no "_total" in its name, and
 * there are lines UNIT, a type info, and a line EOF at the end.
 *
 * For each family call exposition_family(); then for each of its samples exposition_label() for
 * each label, one function that writes the sample, and exposition_no_labels(). */
#ifndef PGWITH_ADMIN_EXPOSITION_H
#define PGWITH_ADMIN_EXPOSITION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/histogram.h"

enum exposition_type {
	EXPOSITION_COUNTER,
	EXPOSITION_GAUGE,
	EXPOSITION_HISTOGRAM,
	EXPOSITION_INFO /* a gauge that is always 1: what it tells is in its labels */
};

/* The bounds of a histogram's buckets, in seconds. Each is the border of one of histogram.h's own
 * buckets, so that the counts are exact. */
enum exposition_bounds {
	EXPOSITION_FINE,  /* 128 us to 67 s, two for each power of two: 39 of them */
	EXPOSITION_COARSE /* 256 us to 1074 s, powers of four: 12 of them */
};

struct exposition {
	struct buf *out;
	bool openmetrics;
	const char *name;
	enum exposition_type type;
	struct buf labels; /* of the next sample: name="value",name="value" */
};

void exposition_init(struct exposition *, struct buf *out, bool openmetrics);
/* Writes the end of the text, and frees what is not the caller's. */
void exposition_end(struct exposition *);

/* `name`: without _total, _info or _bucket. `unit`: seconds, bytes or "", and the end of the
 * name. */
void exposition_family(struct exposition *, const char *name, enum exposition_type,
		       const char *unit, const char *help);

/* Whatever bytes the value has, the text stays correct, and two values that differ do so in the
 * text: bytes that are no UTF-8, control characters, and a backslash before an x become \xNN. */
void exposition_label(struct exposition *, const char *name, const char *value);
void exposition_no_labels(struct exposition *);

/* Write one sample: a whole number, or a time as seconds. */
void exposition_number(struct exposition *, uint64_t value);
void exposition_seconds(struct exposition *, int64_t us);
/* Writes the samples of a histogram: buckets, sum and count. */
void exposition_histogram(struct exposition *, const struct histogram *, enum exposition_bounds);

/* counter, gauge, histogram, info */
const char *exposition_type_name(enum exposition_type);

#endif
