#include "cli/top/graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/top/lines.h"

#define SIGNS  4
#define LEVELS 8
#define BYTES  4 /* of a character */

const char *
graph_sign(unsigned which)
{
	static const char *const blocks[SIGNS] = {"\xe2\x96\x88", "\xe2\x96\x93", "\xe2\x96\x91",
						  "\xc2\xb7"};
	static const char *const ascii[SIGNS] = {"#", "~", "+", "-"};

	return lines_unicode() ? blocks[which] : ascii[which];
}

char *
graph_bar(const struct graph_servers *s, unsigned cells)
{
	unsigned counts[SIGNS] = {s->leased, s->cleaning, s->opening, s->idle};
	unsigned widths[SIGNS], size = s->size, sum = 0, there = 0;
	char *text = mem_alloc((size_t)cells * BYTES + 3), *p = text;

	for (unsigned i = 0; i < SIGNS; i++)
		there += counts[i];
	if (size < there)
		size = there; /* the size has been made smaller */
	for (unsigned i = 0; i < SIGNS; i++) {
		widths[i] = size ? (unsigned)((double)counts[i] * cells / size + 0.5) : 0;
		if (counts[i] && widths[i] == 0)
			widths[i] = 1;
		sum += widths[i];
	}
	/* What was rounded up is taken from the widest. */
	while (sum > cells) {
		unsigned widest = 0;

		for (unsigned i = 1; i < SIGNS; i++)
			if (widths[i] > widths[widest])
				widest = i;
		widths[widest]--;
		sum--;
	}
	*p++ = '[';
	for (unsigned i = 0; i < SIGNS; i++)
		for (unsigned k = 0; k < widths[i]; k++)
			p = stpcpy(p, graph_sign(i));
	for (; sum < cells; sum++)
		*p++ = ' ';
	strcpy(p, "]");
	return text;
}

char *
graph_spark(const unsigned *values, unsigned count, unsigned cells)
{
	static const char *const blocks[LEVELS] = {"\xe2\x96\x81", "\xe2\x96\x82", "\xe2\x96\x83",
						   "\xe2\x96\x84", "\xe2\x96\x85", "\xe2\x96\x86",
						   "\xe2\x96\x87", "\xe2\x96\x88"};
	static const char *const ascii[LEVELS] = {"_", ".", ":", "-", "=", "+", "*", "#"};
	const char *const *signs = lines_unicode() ? blocks : ascii;
	unsigned first = count > cells ? count - cells : 0, most = 1;
	char *text = mem_alloc((size_t)(count - first) * BYTES + 1), *p = text;

	*p = 0;
	for (unsigned i = first; i < count; i++)
		if (values[i] > most)
			most = values[i];
	for (unsigned i = first; i < count; i++) {
		/* Only nothing has the lowest level. */
		unsigned level = (unsigned)((double)values[i] * (LEVELS - 1) / most + 0.5);

		p = stpcpy(p, signs[values[i] && level == 0 ? 1 : level]);
	}
	return text;
}

const char *
graph_rate(double rate, char *out, size_t out_size)
{
	if (rate < 0)
		snprintf(out, out_size, "%s", "");
	else if (rate < 9.95)
		snprintf(out, out_size, "%.1f", rate);
	else if (rate < 9999.5)
		snprintf(out, out_size, "%.0f", rate);
	else if (rate < 99.95e3)
		snprintf(out, out_size, "%.1fk", rate / 1e3);
	else if (rate < 9999.5e3)
		snprintf(out, out_size, "%.0fk", rate / 1e3);
	else
		snprintf(out, out_size, "%.0fM", rate / 1e6);
	return out;
}
