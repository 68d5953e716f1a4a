#include "base/units.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

struct unit {
	const char *name;
	int64_t factor;
};

/* Largest first, because print() takes the first unit that divides the value. */
static const struct unit durations[] = {
    {"d", 24 * UNIT_H}, {"h", UNIT_H}, {"min", UNIT_MIN}, {"s", UNIT_S},
    {"ms", UNIT_MS},    {"us", 1},     {NULL, 0},
};
static const struct unit sizes[] = {
    {"TB", INT64_C(1) << 40}, {"GB", 1 << 30}, {"MB", 1 << 20},
    {"kB", 1 << 10},          {"B", 1},        {NULL, 0},
};

#define LARGEST INT64_C(9200000000000000000) /* leaves room to add a time of day */

/* Reads a whole number exactly, which a double (53 bits) could not. False if it is out of range or
 * not whole. */
static bool
parse_whole(const char *s, const char *end, int64_t factor, int64_t *out)
{
	int64_t value = 0;

	for (; s < end; s++) {
		if (!isdigit((unsigned char)*s) || __builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, *s - '0', &value))
			return false;
	}
	if (__builtin_mul_overflow(value, factor, &value) || value > LARGEST)
		return false;
	*out = value;
	return true;
}

static int
parse(const char *s, const struct unit *units, int64_t bare, int64_t *out)
{
	int64_t factor = bare;
	const char *unit;
	double value;
	size_t n = 0;
	char *end;

	while (isspace((unsigned char)*s))
		s++;
	/* The characters are checked first, because strtod() takes "inf", "nan" and "0x10". */
	if (!isdigit((unsigned char)*s) && *s != '.')
		return *s == '-' && isdigit((unsigned char)s[1]) ? -E_RANGE : -E_SYNTAX;
	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X'))
		return -E_SYNTAX;
	value = strtod(s, &end);
	if (end == s)
		return -E_SYNTAX;
	unit = end;
	while (isspace((unsigned char)*unit))
		unit++;
	while (isalpha((unsigned char)unit[n]))
		n++;
	for (const char *p = unit + n; *p; p++)
		if (!isspace((unsigned char)*p))
			return -E_SYNTAX;
	if (n > 0) {
		while (units->name &&
		       (strlen(units->name) != n || strncmp(unit, units->name, n) != 0))
			units++;
		if (units->name == NULL)
			return -E_SYNTAX;
		factor = units->factor;
	}
	if (parse_whole(s, end, factor, out))
		return 0;
	value = round(value * (double)factor);
	if (!(value < (double)LARGEST))
		return -E_RANGE;
	*out = (int64_t)value;
	return 0;
}

int
units_duration(const char *s, int64_t bare_us, int64_t *us)
{
	return parse(s, durations, bare_us, us);
}

int
units_size(const char *s, int64_t bare, int64_t *bytes)
{
	return parse(s, sizes, bare, bytes);
}

static const char *
print(int64_t value, const struct unit *u, char *out, size_t out_size)
{
	if (value == 0) {
		snprintf(out, out_size, "0");
		return out;
	}
	while (u->factor > 1 && value % u->factor != 0)
		u++;
	snprintf(out, out_size, "%lld%s", (long long)(value / u->factor), u->name);
	return out;
}

const char *
units_duration_str(int64_t us, char *out, size_t out_size)
{
	return print(us, durations, out, out_size);
}

const char *
units_size_str(int64_t bytes, char *out, size_t out_size)
{
	return print(bytes, sizes, out, out_size);
}

const char *
units_elapsed_str(int64_t us, char *out, size_t out_size)
{
	if (us < UNIT_S)
		snprintf(out, out_size, "%.1f ms", (double)us / UNIT_MS);
	else if (us < 2 * UNIT_MIN)
		snprintf(out, out_size, "%.1f s", (double)us / UNIT_S);
	else if (us < 2 * UNIT_H)
		snprintf(out, out_size, "%.1f min", (double)us / UNIT_MIN);
	else
		snprintf(out, out_size, "%.1f h", (double)us / UNIT_H);
	return out;
}
