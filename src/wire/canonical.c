#include "wire/canonical.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"

int
canonical_bool(const char *value)
{
	/* The first letters are enough (t, fal), but "o" alone could be on or off. */
	static const struct {
		const char *word;
		size_t shortest;
		int means;
	} words[] = {{"true", 1, 1}, {"false", 1, 0}, {"yes", 1, 1}, {"no", 1, 0},
		     {"on", 2, 1},   {"off", 2, 0},   {"1", 1, 1},   {"0", 1, 0}};
	size_t length = strlen(value);

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (length >= words[i].shortest && strncasecmp(value, words[i].word, length) == 0)
			return words[i].means;
	return -1;
}

/* ---- client_encoding ---- */

/* PostgreSQL 15, common/encnames.c, pg_encname_tbl: names as lower-case letters and digits only. */
static const struct {
	const char *name, *canonical;
} encodings[] = {
    {"abc", "WIN1258"},
    {"alt", "WIN866"},
    {"big5", "BIG5"},
    {"euccn", "EUC_CN"},
    {"eucjis2004", "EUC_JIS_2004"},
    {"eucjp", "EUC_JP"},
    {"euckr", "EUC_KR"},
    {"euctw", "EUC_TW"},
    {"gb18030", "GB18030"},
    {"gbk", "GBK"},
    {"iso88591", "LATIN1"},
    {"iso885910", "LATIN6"},
    {"iso885913", "LATIN7"},
    {"iso885914", "LATIN8"},
    {"iso885915", "LATIN9"},
    {"iso885916", "LATIN10"},
    {"iso88592", "LATIN2"},
    {"iso88593", "LATIN3"},
    {"iso88594", "LATIN4"},
    {"iso88595", "ISO_8859_5"},
    {"iso88596", "ISO_8859_6"},
    {"iso88597", "ISO_8859_7"},
    {"iso88598", "ISO_8859_8"},
    {"iso88599", "LATIN5"},
    {"johab", "JOHAB"},
    {"koi8", "KOI8R"},
    {"koi8r", "KOI8R"},
    {"koi8u", "KOI8U"},
    {"latin1", "LATIN1"},
    {"latin10", "LATIN10"},
    {"latin2", "LATIN2"},
    {"latin3", "LATIN3"},
    {"latin4", "LATIN4"},
    {"latin5", "LATIN5"},
    {"latin6", "LATIN6"},
    {"latin7", "LATIN7"},
    {"latin8", "LATIN8"},
    {"latin9", "LATIN9"},
    {"mskanji", "SJIS"},
    {"muleinternal", "MULE_INTERNAL"},
    {"shiftjis", "SJIS"},
    {"shiftjis2004", "SHIFT_JIS_2004"},
    {"sjis", "SJIS"},
    {"sqlascii", "SQL_ASCII"},
    {"tcvn", "WIN1258"},
    {"tcvn5712", "WIN1258"},
    {"uhc", "UHC"},
    {"unicode", "UTF8"},
    {"utf8", "UTF8"},
    {"vscii", "WIN1258"},
    {"win", "WIN1251"},
    {"win1250", "WIN1250"},
    {"win1251", "WIN1251"},
    {"win1252", "WIN1252"},
    {"win1253", "WIN1253"},
    {"win1254", "WIN1254"},
    {"win1255", "WIN1255"},
    {"win1256", "WIN1256"},
    {"win1257", "WIN1257"},
    {"win1258", "WIN1258"},
    {"win866", "WIN866"},
    {"win874", "WIN874"},
    {"win932", "SJIS"},
    {"win936", "GBK"},
    {"win949", "UHC"},
    {"win950", "BIG5"},
    {"windows1250", "WIN1250"},
    {"windows1251", "WIN1251"},
    {"windows1252", "WIN1252"},
    {"windows1253", "WIN1253"},
    {"windows1254", "WIN1254"},
    {"windows1255", "WIN1255"},
    {"windows1256", "WIN1256"},
    {"windows1257", "WIN1257"},
    {"windows1258", "WIN1258"},
    {"windows866", "WIN866"},
    {"windows874", "WIN874"},
    {"windows932", "SJIS"},
    {"windows936", "GBK"},
    {"windows949", "UHC"},
    {"windows950", "BIG5"},
};

const char *
canonical_encoding(const char *value)
{
	char plain[64];
	size_t n = 0;

	if (strlen(value) > CANONICAL_NAME_MAX)
		return NULL;
	for (; *value; value++)
		if (isalnum((unsigned char)*value))
			plain[n++] = (char)tolower((unsigned char)*value);
	plain[n] = 0;
	for (size_t i = 0; i < sizeof encodings / sizeof *encodings; i++)
		if (strcmp(plain, encodings[i].name) == 0)
			return encodings[i].canonical;
	return NULL;
}

/* Is it certain that a server with the encoding `server` can convert to `client`? One with UTF8 can
 * convert to all but MULE_INTERNAL. */
static bool
converts(const char *server, const char *client)
{
	if (strcmp(client, "MULE_INTERNAL") == 0)
		return false;
	return strcmp(server, "UTF8") == 0 || strcmp(server, client) == 0 ||
	       strcmp(client, "SQL_ASCII") == 0;
}

/* ---- DateStyle ---- */

static const char *const styles[] = {"ISO", "SQL", "German", "Postgres"};
static const char *const orders[] = {"YMD", "DMY", "MDY"};
enum { GERMAN = 2, YMD = 0, DMY, MDY };

static bool
same_ignoring_case(const char *word, const char *wanted)
{
	return strcasecmp(word, wanted) == 0;
}

/* Reads one word of a DateStyle into `said`. Returns false if it is no such word, or contradicts an
 * earlier one. PostgreSQL 15, commands/variable.c, check_datestyle(). */
static bool
read_style(const char *word, struct datestyle *said)
{
	int style = -1, order = -1;

	if (same_ignoring_case(word, "ISO"))
		style = 0;
	else if (same_ignoring_case(word, "SQL"))
		style = 1;
	else if (same_ignoring_case(word, "German"))
		style = GERMAN;
	else if (strncasecmp(word, "POSTGRES", 8) == 0)
		style = 3;
	else if (same_ignoring_case(word, "YMD"))
		order = YMD;
	else if (same_ignoring_case(word, "DMY") || strncasecmp(word, "EURO", 4) == 0)
		order = DMY;
	else if (same_ignoring_case(word, "MDY") || same_ignoring_case(word, "US") ||
		 strncasecmp(word, "NONEURO", 7) == 0)
		order = MDY;
	else
		return false;
	if ((style >= 0 && said->style >= 0 && said->style != style) ||
	    (order >= 0 && said->order >= 0 && said->order != order))
		return false;
	if (style >= 0)
		said->style = style;
	if (order >= 0)
		said->order = order;
	return true;
}

bool
canonical_datestyle(const char *value, struct datestyle *d)
{
	struct datestyle said = {-1, -1};

	while (*value) {
		char word[32];
		size_t length;

		value += strspn(value, " \t\n\r\f\v");
		length = strcspn(value, ", \t\n\r\f\v");
		if (length == 0 || length >= sizeof word)
			return false;
		snprintf(word, sizeof word, "%.*s", (int)length, value);
		value += length;
		value += strspn(value, " \t\n\r\f\v");
		/* Behind a word stands the end, or a comma with something behind that. */
		if (*value && (*value != ',' || value[1] == 0))
			return false;
		value += *value == ',';
		if (!read_style(word, &said))
			return false;
	}
	if (said.style == GERMAN && said.order < 0)
		said.order = DMY;
	if (said.style >= 0)
		d->style = said.style;
	if (said.order >= 0)
		d->order = said.order;
	return true;
}

void
canonical_datestyle_text(const struct datestyle *d, char *text, size_t size)
{
	snprintf(text, size, "%s%s%s", d->style >= 0 ? styles[d->style] : "",
		 d->style >= 0 && d->order >= 0 ? ", " : "", d->order >= 0 ? orders[d->order] : "");
}

/* ---- application_name ---- */

size_t
canonical_name_length(const char *value, bool utf8)
{
	size_t length = strlen(value);

	if (length <= CANONICAL_NAME_MAX)
		return length;
	return utf8 ? utf8_fit(value, length, CANONICAL_NAME_MAX) : CANONICAL_NAME_MAX;
}

void
canonical_application(const char *value, bool utf8, int version, char *text, size_t size)
{
	size_t length = canonical_name_length(value, utf8), n = 0;

	text[0] = 0;
	for (size_t i = 0; i < length && n + 5 < size; i++) {
		unsigned char c = (unsigned char)value[i];

		if (c >= 32 && c <= 126)
			n += (size_t)snprintf(text + n, size - n, "%c", c);
		else if (version >= 16)
			n += (size_t)snprintf(text + n, size - n, "\\x%02x", c);
		else
			n += (size_t)snprintf(text + n, size - n, "?");
	}
}

/* ---- any parameter ---- */

/* Returns false if the value does not fit. */
static bool
write_value(const char *value, char *text, size_t size)
{
	return (size_t)snprintf(text, size, "%s", value) < size;
}

/* Is `value` a plain decimal number, without blanks and leading zeros, in that range? Other
 * spellings of a number (0x1, " 1") are left to the server. */
static bool
is_plain_number(const char *value, int least, int most)
{
	size_t digits = strspn(value + (*value == '-'), "0123456789");

	return digits > 0 && digits < 4 && value[(*value == '-') + digits] == 0 &&
	       (*value == '0' ? digits == 1 : true) && atoi(value) >= least && atoi(value) <= most;
}

bool
canonical_value(const char *name, const char *value, const char *before,
		const char *server_encoding, int version, char *text, size_t size)
{
	static const char *const interval[] = {"postgres", "postgres_verbose", "sql_standard",
					       "iso_8601"};
	struct datestyle d = {-1, -1};

	if (same_ignoring_case(name, "client_encoding")) {
		value = canonical_encoding(value);
		return value && server_encoding && converts(server_encoding, value) &&
		       write_value(value, text, size);
	}
	if (same_ignoring_case(name, "DateStyle")) {
		if (before == NULL || !canonical_datestyle(before, &d) ||
		    !canonical_datestyle(value, &d) || d.style < 0 || d.order < 0)
			return false;
		canonical_datestyle_text(&d, text, size);
		return true;
	}
	if (same_ignoring_case(name, "application_name")) {
		canonical_application(value, true, version, text, size);
		return true;
	}
	if (same_ignoring_case(name, "standard_conforming_strings") ||
	    same_ignoring_case(name, "default_transaction_read_only")) {
		int on = canonical_bool(value);

		return on >= 0 && write_value(on ? "on" : "off", text, size);
	}
	if (same_ignoring_case(name, "IntervalStyle")) {
		for (size_t i = 0; i < sizeof interval / sizeof *interval; i++)
			if (same_ignoring_case(value, interval[i]))
				return write_value(interval[i], text, size);
		return false;
	}
	if (same_ignoring_case(name, "extra_float_digits"))
		return is_plain_number(value, -15, 3) && write_value("", text, size);
	return false;
}
