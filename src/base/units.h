/* units: parses and prints durations and sizes as people write them. */
#ifndef PGWITH_BASE_UNITS_H
#define PGWITH_BASE_UNITS_H

#include <stddef.h>
#include <stdint.h>

/* Units of durations, for numbers that are written without one. */
#define UNIT_US  INT64_C(1)
#define UNIT_MS  INT64_C(1000)
#define UNIT_S   INT64_C(1000000)
#define UNIT_MIN (60 * UNIT_S)
#define UNIT_H   (60 * UNIT_MIN)

/* Parses 250ms, 5s, 2min, 1h, 1d, 10us, also with fractions ("1.5s"), into microseconds. A number
 * without a unit has the unit `bare_us` (one of UNIT_*). White space around number and unit is
 * allowed. Returns 0, -E_SYNTAX or -E_RANGE (negative, or over 9.2e18 us, which is 290,000
 * years). */
int units_duration(const char *, int64_t bare_us, int64_t *us);

/* Parses 512B, 64kB, 1MB, 2GB (powers of 1024, as in PostgreSQL) into bytes. A number without a
 * unit is multiplied by `bare`. Returns 0, -E_SYNTAX or -E_RANGE. */
int units_size(const char *, int64_t bare, int64_t *bytes);

/* Write the value exactly, with the largest unit that divides it, as the parsers above read it:
 * 250ms, 5s, 90s, 2min, 0. */
const char *units_duration_str(int64_t us, char *out, size_t out_size);
const char *units_size_str(int64_t bytes, char *out, size_t out_size);

/* Writes a duration for people, rounded to one decimal: 0.3 ms, 5.0 s, 2.5 min. */
const char *units_elapsed_str(int64_t us, char *out, size_t out_size);

#endif
