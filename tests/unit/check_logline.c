#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/logline.h"
#include "base/utf8.h"

/* ---- a table of lines ---- */

struct row {
	const struct log_value *values;
	const char *error;
	const char *text, *json; /* with ' for " */
};

static const char *
with_quotes(const char *s)
{
	static char out[4000];
	size_t n = strlen(s);

	ck_assert_uint_lt(n, sizeof out);
	for (size_t i = 0; i <= n; i++)
		out[i] = (char)(s[i] == '\'' ? '"' : s[i]);
	return out;
}

static void
check_row(const struct row *r)
{
	struct logline l;

	logline_make(&l, false, r->values, r->error);
	l.body[l.len] = 0;
	ck_assert_str_eq(l.body, with_quotes(r->text));
	logline_make(&l, true, r->values, r->error);
	l.body[l.len] = 0;
	ck_assert_str_eq(l.body, with_quotes(r->json));
}

#define LINE LOG_VALUES_

START_TEST(subjects_are_shown)
{
	const char *constant = "orders";
	char array[] = "billing";
	const struct row rows[] = {
	    {LINE("pgwithd", LOG_ALONE, "ends"), NULL, "pgwithd: ends",
	     "'message':'ends','subject':'pgwithd'"},
	    {LINE("", LOG_ALONE, "no random numbers"), NULL, "no random numbers",
	     "'message':'no random numbers'"},
	    {LINE("session", UINT64_MAX, "gone"), NULL, "session 18446744073709551615: gone",
	     "'message':'gone','session':18446744073709551615"},
	    {LINE("session", -1, "gone"), NULL, "session -1: gone",
	     "'message':'gone','session':-1"},
	    {LINE("session", (unsigned short)3, "gone"), NULL, "session 3: gone",
	     "'message':'gone','session':3"},
	    {LINE("pool", constant, "gone"), NULL, "pool orders: gone",
	     "'message':'gone','pool':'orders'"},
	    {LINE("pool", array, "is back"), NULL, "pool billing: is back",
	     "'message':'is back','pool':'billing'"},
	    {LINE("pool", "a: b=c\n", "gone"), NULL, "pool a: b=c\\x0a: gone",
	     "'message':'gone','pool':'a: b=c\\n'"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		check_row(&rows[i]);
}
END_TEST

/* Lines that operators know, byte by byte. */
START_TEST(lines_of_the_daemon_are_as_they_were)
{
	unsigned char state = 'T';
	const struct row rows[] = {
	    {LINE("session", 7, "in", LOG_TEXT("pool", "db"), LOG_TEXT("role", "app"),
		  LOG_NUMBER("uid", 1000U), LOG_NUMBER("pid", 4242)),
	     NULL, "session 7: in pool=db role=app uid=1000 pid=4242",
	     "'message':'in','session':7,'pool':'db','role':'app','uid':1000,'pid':4242"},
	    {LINE("session", 7, "left", LOG_TEXT("role", "app"), LOG_NUMBER("pid", 4242),
		  LOG_QUOTED("why", "client left"), LOG_NUMBER("queries", (uint64_t)12)),
	     NULL, "session 7: left role=app pid=4242 why='client left' queries=12",
	     "'message':'left','session':7,'role':'app','pid':4242,'why':'client "
	     "left','queries':12"},
	    {LINE("session", 7, "", LOG_MOVE("idle", "active")), NULL, "session 7: idle -> active",
	     "'message':'idle -> active','session':7"},
	    {LINE("session", 7, "illegal move", LOG_MOVE("closed", "idle")), NULL,
	     "session 7: illegal move closed -> idle",
	     "'message':'illegal move closed -> idle','session':7"},
	    {LINE("session", 7, "", LOG_WORD("exclusive"), LOG_MOVE("waiting", "held")), NULL,
	     "session 7: exclusive waiting -> held",
	     "'message':'exclusive waiting -> held','session':7"},
	    {LINE("session", 7, "scope granted", LOG_TEXT("name", "a b"),
		  LOG_QUOTED("kind", "transaction"), LOG_TEXT("pool", ""), LOG_MS("waited", 5040)),
	     NULL, "session 7: scope granted name='a b' kind='transaction' pool= waited=5.0ms",
	     "'message':'scope granted','session':7,'name':'a "
	     "b','kind':'transaction','pool':'','waited_ms':5.0"},
	    {LINE("session", 7, "refused", LOG_NUMBER("uid", 0U),
		  LOG_PHRASE("why", "invalid length of startup packet:", 5U)),
	     NULL, "session 7: refused uid=0 why='invalid length of startup packet: 5'",
	     "'message':'refused','session':7,'uid':0,'why':'invalid length of startup packet: "
	     "5'"},
	    {LINE("server", 3, "cleanup", LOG_WORD("done"), LOG_TEXT("pool", "db"),
		  LOG_NUMBER("cancels", 1U), LOG_MS("took", 1234567)),
	     NULL, "server 3: cleanup done pool=db cancels=1 took=1234.6ms",
	     "'message':'cleanup done','server':3,'pool':'db','cancels':1,'took_ms':1234.6"},
	    {LINE("server", 3, "cleanup begins", LOG_BYTES("status", &state, 1),
		  LOG_NUMBER("due", 0U)),
	     NULL, "server 3: cleanup begins status=T due=0",
	     "'message':'cleanup begins','server':3,'status':'T','due':0"},
	    {LINE("server", 3, "notice", LOG_WORD_BYTES("NOTICE: a\nb", 9)), NULL,
	     "server 3: notice NOTICE: a", "'message':'notice NOTICE: a','server':3"},
	    {LINE("pool", "db", "can connect again", LOG_S("after", 61250000),
		  LOG_NUMBER("attempts", 4U)),
	     NULL, "pool db: can connect again after=61.2s attempts=4",
	     "'message':'can connect again','pool':'db','after_s':61.2,'attempts':4"},
	    {LINE("pgwithd", LOG_ALONE, "", LOG_WORD("draining"), LOG_NUMBER("sessions", 2U),
		  LOG_TEXT("was", "serving")),
	     NULL, "pgwithd: draining sessions=2 was=serving",
	     "'message':'draining','subject':'pgwithd','sessions':2,'was':'serving'"},
	    {LINE("pgwithd", LOG_ALONE, "cannot start:", LOG_WORD("no \"pools\"")), NULL,
	     "pgwithd: cannot start: no 'pools'",
	     "'message':'cannot start: no \\'pools\\'','subject':'pgwithd'"},
	    {LINE("lease", LOG_ALONE, "illegal move of what is", LOG_WORD("held"),
		  LOG_WORD("to what is"), LOG_WORD("ended")),
	     NULL, "lease: illegal move of what is held to what is ended",
	     "'message':'illegal move of what is held to what is ended','subject':'lease'"},
	    {LINE("", LOG_ALONE, "cannot watch descriptor", LOG_WORD(9)), NULL,
	     "cannot watch descriptor 9", "'message':'cannot watch descriptor 9'"},
	    {LINE("listen", LOG_ALONE, "cannot accept", LOG_TEXT("path", "/run/x y")),
	     "Too many open files", "listen: cannot accept path='/run/x y': Too many open files",
	     "'message':'cannot accept','subject':'listen','path':'/run/x y','error':'Too many "
	     "open files'"},
	    {LINE("sysd", LOG_ALONE, "cannot tell the service manager"), "a\nb\"",
	     "sysd: cannot tell the service manager: a\\x0ab'",
	     "'message':'cannot tell the service manager','subject':'sysd','error':'a\\nb\\''"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		check_row(&rows[i]);
}
END_TEST

START_TEST(values_are_shown_by_their_type)
{
	char array[8] = "in array";
	const struct row rows[] = {
	    {LINE("", LOG_ALONE, "x", LOG_NUMBER("a", INT64_MIN), LOG_NUMBER("b", UINT64_MAX),
		  LOG_NUMBER("c", (signed char)-1), LOG_NUMBER("d", (short)-2),
		  LOG_NUMBER("e", -3L), LOG_NUMBER("f", (size_t)0)),
	     NULL, "x a=-9223372036854775808 b=18446744073709551615 c=-1 d=-2 e=-3 f=0",
	     "'message':'x','a':-9223372036854775808,'b':18446744073709551615,'c':-1,'d':-2,'e':"
	     "-3,'f':0"},
	    {LINE("", LOG_ALONE, "x", LOG_TEXT("a", (const char *)NULL),
		  LOG_QUOTED("b", (char *)NULL), LOG_BYTES("c", NULL, 0),
		  LOG_QUOTED_BYTES("d", NULL, 0), LOG_QUOTED_BYTES("e", array, sizeof array),
		  LOG_BYTES("f", "a\0b", 3)),
	     NULL, "x a=(null) b='(null)' c= d='' e='in array' f='a\\x00b'",
	     "'message':'x','a':'(null)','b':'(null)','c':'','d':'','e':'in "
	     "array','f':'a\\u0000b'"},
	    {LINE("", LOG_ALONE, "x", LOG_TEXT("a", "q\"b\\"), LOG_TEXT("b", "tab\t\x01\x7f"),
		  LOG_TEXT("c", "\xff\xc2\x85\xe2\x80\xae\xc3\xa9"), LOG_TEXT("d", "\xe2\x82"),
		  LOG_TEXT("e", "a=b"), LOG_QUOTED("f", "\n")),
	     NULL,
	     "x a='q\\'b\\\\' b='tab\\x09\\x01\\x7f' c='\\xff\\xc2\\x85\\xe2\\x80\\xae\xc3\xa9' "
	     "d='\\xe2\\x82' e=a=b f='\\x0a'",
	     "'message':'x','a':'q\\'b\\\\','b':'tab\\t\\u0001\\u007f',"
	     "'c':'\xef\xbf\xbd\\u0085\\u202e\xc3\xa9','d':'\xef\xbf\xbd\xef\xbf\xbd','e':'a=b',"
	     "'f':'\\n'"},
	    /* The names of log's own members are log's; a word is one wherever it stands. */
	    {LINE("", LOG_ALONE, "x", LOG_TEXT("error", "a"), LOG_MS("time", 50), LOG_WORD("word"),
		  LOG_NUMBER("process", 1)),
	     NULL, "x word error=a time=0.1ms process=1",
	     "'message':'x word','error_':'a','time__ms':0.1,'process_':1"},
	    {LINE("", LOG_ALONE, "", LOG_WORD(""), LOG_WORD("session 3: x=1")), NULL,
	     "session 3: x=1", "'message':'session 3: x=1'"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		check_row(&rows[i]);
}
END_TEST

/* ---- elapsed time ---- */

static void
check_elapsed(int64_t us)
{
	struct logline l;
	char expected[200];

	logline_make(&l, false, LINE("", LOG_ALONE, "x", LOG_MS("a", us), LOG_S("b", us)), NULL);
	l.body[l.len] = 0;
	snprintf(expected, sizeof expected, "x a=%.1fms b=%.1fs", (double)us / 1000,
		 (double)us / 1e6);
	if (strcmp(l.body, expected) != 0)
		ck_abort_msg("%s, not %s", l.body, expected);
}

START_TEST(elapsed_time_is_rounded_as_printf_does_it)
{
	for (int64_t us = -3000; us <= 3000; us++)
		check_elapsed(us);
	for (int64_t us = -5000000; us <= 5000000; us += 50000)
		for (int64_t by = -1; by <= 1; by++)
			check_elapsed(us + by);
	for (unsigned bit = 10; bit < 63; bit++)
		for (int64_t by = -60; by <= 60; by++)
			check_elapsed((INT64_C(1) << bit) + by);
	check_elapsed(INT64_MAX);
	check_elapsed(INT64_MIN);
}
END_TEST

/* ---- random values ---- */

static uint64_t random_state;

static unsigned
below(unsigned n)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(random_state >> 33) % n;
}

#define TEXT_MAX 6000 /* bytes */

static void
random_text(char *out, size_t *bytes)
{
	static const char *const pieces[] = {"a",
					     "orders",
					     " ",
					     "\"",
					     "\\",
					     "\n",
					     "\t",
					     "\x01",
					     "\x7f",
					     "\xff",
					     "\xc2\x85",
					     "\xc3\xa9",
					     "\xe2\x82",
					     "\xe2\x82\xac",
					     "=",
					     "x=1",
					     ": ",
					     "...",
					     "\\x41",
					     "\\u0041",
					     "\xf0\x9f\x98\x80",
					     "\",",
					     "\":1",
					     "\xed\xa0\x80",
					     "\xe2\x80\xae",
					     "}\n"};
	static const unsigned sizes[] = {1, 8, 40, 300, 1190, 1210, 3500, TEXT_MAX - 20};
	unsigned most = sizes[below(8)], size = below(most + 1), only = below(3);
	size_t n = 0;

	while (n < size) {
		const char *p = pieces[only == 0 ? 1 : below(sizeof pieces / sizeof *pieces)];

		memcpy(out + n, p, strlen(p) + 1);
		n += strlen(p);
	}
	out[n] = 0;
	*bytes = n;
}

/* What a reader makes of the line: the values, unescaped, by their names. */
struct reading {
	const char *at, *end;
	bool json;
	char name[60];
	char value[2 * TEXT_MAX];
	size_t bytes;
	bool string; /* JSON: in quotes */
};

static unsigned
hex(struct reading *r, unsigned digits)
{
	char text[8] = "";

	memcpy(text, r->at, digits);
	if (r->end - r->at < digits || strspn(text, "0123456789abcdef") != digits)
		ck_abort_msg("digits %s", text);
	r->at += digits;
	return (unsigned)strtoul(text, NULL, 16);
}

static void
add(struct reading *r, unsigned byte)
{
	if (r->bytes >= sizeof r->value - 1)
		ck_abort_msg("too long");
	r->value[r->bytes++] = (char)byte;
}

static void
add_character(struct reading *r, unsigned c)
{
	if (c < 0x80) {
		add(r, c);
	} else if (c < 0x800) {
		add(r, 0xc0 | c >> 6);
		add(r, 0x80 | (c & 0x3f));
	} else {
		add(r, 0xe0 | c >> 12);
		add(r, 0x80 | (c >> 6 & 0x3f));
		add(r, 0x80 | (c & 0x3f));
	}
}

static void
read_escape(struct reading *r)
{
	char c = *r->at++;

	if (c == 'x' && !r->json)
		add(r, hex(r, 2));
	else if (c == 'u' && r->json)
		add_character(r, hex(r, 4));
	else if (c == 'n' && r->json)
		add(r, '\n');
	else if (c == 't' && r->json)
		add(r, '\t');
	else if (c == '"' || c == '\\')
		add(r, (unsigned char)c);
	else
		ck_abort_msg("escape \\%c", c);
}

/* Reads up to the quote that ends it, or, without quotes, up to a blank or comma. */
static void
read_value(struct reading *r)
{
	r->bytes = 0;
	r->string = r->at < r->end && *r->at == '"';
	r->at += r->string;
	for (; r->at < r->end; r->at++) {
		if (*r->at == '"' || (!r->string && *r->at == (r->json ? ',' : ' ')))
			break;
		if (*r->at == '\\') {
			if (!r->string)
				ck_abort_msg("a backslash without quotes");
			r->at++;
			read_escape(r);
			r->at--;
		} else {
			add(r, (unsigned char)*r->at);
		}
	}
	ck_assert(!r->string || (r->at < r->end && *r->at == '"'));
	r->at += r->string;
	r->value[r->bytes] = 0;
}

static bool
read_field(struct reading *r)
{
	const char *name;
	size_t n;

	if (r->at == r->end)
		return false;
	if (r->at[0] == (r->json ? ',' : ' '))
		r->at++;
	if (r->json)
		ck_assert_int_eq(*r->at++, '"');
	name = r->at;
	while (r->at < r->end && *r->at != (r->json ? '"' : '='))
		r->at++;
	n = (size_t)(r->at - name);
	/* Behind a cut there is nothing more. */
	if (r->at == r->end) {
		ck_assert(!r->json && n > 0);
		ck_assert(memcmp(r->end - 3, "...", 3) == 0 || memcmp(r->end - 4, "...\"", 4) == 0);
		return false;
	}
	ck_assert_uint_lt(n, sizeof r->name);
	memcpy(r->name, name, n);
	r->name[n] = 0;
	r->at++;
	if (r->json)
		ck_assert_int_eq(*r->at++, ':');
	read_value(r);
	return true;
}

static void
is_clean(const struct logline *l)
{
	ck_assert_uint_le(l->len, LOGLINE_MAX);
	for (size_t at = 0; at < l->len;) {
		uint32_t c;
		unsigned n = utf8_read(l->body + at, l->len - at, &c);

		if (n == 0 || utf8_is_control(c))
			ck_abort_msg("byte %zu", at);
		at += n;
	}
}

/* As JSON can show it: U+FFFD for each byte that is no UTF-8. */
static void
replace_bad(const char *text, size_t bytes, struct reading *out)
{
	out->bytes = 0;
	for (size_t at = 0; at < bytes;) {
		uint32_t c;
		unsigned n = utf8_read(text + at, bytes - at, &c);

		for (unsigned i = 0; i < n; i++)
			add(out, (unsigned char)text[at + i]);
		if (n == 0)
			add_character(out, 0xfffd);
		at += n ? n : 1;
	}
}

/* Is the field what the text says, or, if it may be cut, the beginning of it and "..."? */
static void
is_value(const struct reading *r, const char *text, size_t bytes, bool may_be_cut)
{
	static struct reading expected;
	size_t same = 0;

	expected.bytes = bytes;
	if (r->json)
		replace_bad(text, bytes, &expected);
	else
		memcpy(expected.value, text, bytes);
	if (r->bytes == expected.bytes && memcmp(r->value, expected.value, r->bytes) == 0)
		return;
	ck_assert(may_be_cut);
	ck_assert_uint_ge(r->bytes, 3);
	ck_assert_int_eq(memcmp(r->value + r->bytes - 3, "...", 3), 0);
	while (same < r->bytes - 3 && same < expected.bytes &&
	       r->value[same] == expected.value[same])
		same++;
	/* A character that the cut has split is as good as missing. */
	ck_assert_uint_ge(same + 3 * 3, r->bytes - 3);
}

static void
check_random_line(bool json, bool small)
{
	static char a[TEXT_MAX + 30], b[TEXT_MAX + 30], c[TEXT_MAX + 30];
	static struct reading r;
	uint64_t number = (uint64_t)below(UINT32_MAX) << below(33);
	static const char *const names[] = {"text", "number", "sentence", "waited", "rest"};
	size_t na, nb, nc, fields = 0;
	struct logline l;
	char digits[30];

	random_text(a, &na);
	random_text(b, &nb);
	random_text(c, &nc);
	if (small)
		na = nb = nc = below(60);
	a[na] = b[nb] = c[nc] = 0;
	na = strlen(a), nb = strlen(b), nc = strlen(c);
	logline_make(&l, json,
		     LINE("session", number, "in", LOG_TEXT("text", a),
			  LOG_NUMBER("number", number), LOG_QUOTED_BYTES("sentence", b, nb),
			  LOG_MS("waited", (int64_t)5040), LOG_BYTES("rest", c, nc)),
		     NULL);
	is_clean(&l);
	snprintf(digits, sizeof digits, "%" PRIu64, number);
	r = (struct reading){.at = l.body, .end = l.body + l.len, .json = json};
	if (json) {
		ck_assert(read_field(&r) && strcmp(r.name, "message") == 0);
		ck_assert_str_eq(r.value, "in");
		ck_assert(read_field(&r) && strcmp(r.name, "session") == 0 && !r.string);
		ck_assert_str_eq(r.value, digits);
	} else {
		int n = 0;

		/* The line has no end of its own. */
		if (l.len < sizeof l.body)
			l.body[l.len] = 0;
		else
			l.body[sizeof l.body - 1] = 0;
		ck_assert_int_eq(sscanf(l.body, "session %29[0-9]: in%n", r.value, &n), 1);
		ck_assert_str_eq(r.value, digits);
		r.at += n;
	}
	while (read_field(&r)) {
		ck_assert_uint_lt(fields, 5);
		/* The line is full: "..." stands in this value, or behind it. */
		if (!small && r.end - r.at <= 1 && r.bytes >= 3 &&
		    strcmp(r.value + r.bytes - 3, "...") == 0)
			break;
		ck_assert_str_eq(r.name, fields == 3 && json ? "waited_ms" : names[fields]);
		if (fields == 0)
			is_value(&r, a, na, !small);
		else if (fields == 1)
			ck_assert_str_eq(r.value, digits);
		else if (fields == 2)
			is_value(&r, b, nb, !small);
		else if (fields == 3)
			ck_assert_str_eq(r.value, json ? "5.0" : "5.0ms");
		else
			is_value(&r, c, nc, !small);
		ck_assert(!json || r.string == (fields % 2 == 0));
		fields++;
	}
	ck_assert(!small || fields == 5);
}

START_TEST(no_value_makes_up_anything)
{
	const char *given = getenv("CHECK_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);

	fprintf(stderr, "check_logline: CHECK_SEED=%" PRIu64 "\n", seed);
	random_state = seed;
	for (unsigned i = 0; i < 3000; i++)
		check_random_line(i & 1, i & 2);
}
END_TEST

START_TEST(what_is_too_long_is_cut_in_its_place)
{
	char value[9000];
	struct logline l;
	size_t n;

	memset(value, 'a', sizeof value - 1);
	value[sizeof value - 1] = 0;
	/* A value has a limit of its own: what follows is there. */
	logline_make(&l, false, LINE("x", value, "y", LOG_TEXT("a", value), LOG_NUMBER("b", 1)),
		     NULL);
	l.body[l.len] = 0;
	n = strlen("x ") + 1200;
	ck_assert_int_eq(memcmp(l.body + n - 3, "...: y a=aaa", 12), 0);
	ck_assert_ptr_nonnull(strstr(l.body, "aaa... b=1"));
	/* So has the line: the quote is closed, and nothing follows. */
	memset(value, '"', sizeof value - 1);
	logline_make(&l, false,
		     LINE("x", LOG_ALONE, "y", LOG_TEXT("a", value), LOG_TEXT("b", value),
			  LOG_NUMBER("c", 1)),
		     "late");
	ck_assert_uint_le(l.len, LOGLINE_MAX);
	ck_assert_int_eq(memcmp(l.body + l.len - 6, "\\\"...\"", 6), 0);
	/* In JSON the message and the error have room of their own. */
	logline_make(&l, true,
		     LINE("x", LOG_ALONE, "y", LOG_WORD(value), LOG_TEXT("a", value),
			  LOG_TEXT("b", value), LOG_NUMBER("c", 1)),
		     "late");
	l.body[l.len] = 0;
	ck_assert_ptr_nonnull(strstr(l.body, "\\\"...\",\"subject\":\"x\",\"a\":\"\\\""));
	ck_assert_ptr_nonnull(strstr(l.body, "\\\"...\",\"error\":\"late\""));
	ck_assert_ptr_null(strstr(l.body, "\"c\":"));
}
END_TEST

/* ---- kinds ---- */

#define KIND(...) logline_kind(LINE(__VA_ARGS__), NULL)

START_TEST(lines_that_differ_in_numbers_are_of_one_kind)
{
	uint64_t kind = KIND("session", 1, "refused", LOG_NUMBER("uid", 1), LOG_MS("took", 5),
			     LOG_PHRASE("why", "length", 5U), LOG_TEXT("role", "app"));

	ck_assert_uint_eq(kind,
			  KIND("session", 2, "refused", LOG_NUMBER("uid", 2U), LOG_MS("took", 6),
			       LOG_PHRASE("why", "length", 6U), LOG_TEXT("role", "app")));
	ck_assert_uint_ne(kind,
			  KIND("server", 1, "refused", LOG_NUMBER("uid", 1), LOG_MS("took", 5),
			       LOG_PHRASE("why", "length", 5U), LOG_TEXT("role", "app")));
	ck_assert_uint_ne(kind,
			  KIND("session", 1, "refused", LOG_NUMBER("uid", 1), LOG_MS("took", 5),
			       LOG_PHRASE("why", "size", 5U), LOG_TEXT("role", "app")));
	ck_assert_uint_ne(kind,
			  KIND("session", 1, "refused", LOG_NUMBER("uid", 1), LOG_MS("took", 5),
			       LOG_PHRASE("why", "length", 5U), LOG_TEXT("role", "root")));
	ck_assert_uint_ne(KIND("pool", "a", "x"), KIND("pool", "b", "x"));
	ck_assert_uint_ne(KIND("x", LOG_ALONE, "y", LOG_TEXT("a", "b")),
			  KIND("x", LOG_ALONE, "y", LOG_TEXT("b", "b")));
	/* Where one text ends and the next begins counts. */
	ck_assert_uint_ne(KIND("x", LOG_ALONE, "y", LOG_TEXT("a", "bc"), LOG_TEXT("a", "d")),
			  KIND("x", LOG_ALONE, "y", LOG_TEXT("a", "b"), LOG_TEXT("a", "cd")));
	ck_assert_uint_ne(KIND("x", LOG_ALONE, "", LOG_MOVE("a", "b")),
			  KIND("x", LOG_ALONE, "", LOG_MOVE("b", "a")));
	ck_assert_uint_ne(logline_kind(LINE("x", LOG_ALONE, "y"), "EIO"),
			  logline_kind(LINE("x", LOG_ALONE, "y"), "ENOENT"));
	ck_assert_uint_ne(logline_kind(LINE("x", LOG_ALONE, "y"), NULL),
			  logline_kind(LINE("x", LOG_ALONE, "y"), "ENOENT"));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("logline");
	TCase *t = tcase_create("logline");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, subjects_are_shown);
	tcase_add_test(t, lines_of_the_daemon_are_as_they_were);
	tcase_add_test(t, values_are_shown_by_their_type);
	tcase_add_test(t, elapsed_time_is_rounded_as_printf_does_it);
	tcase_add_test(t, no_value_makes_up_anything);
	tcase_add_test(t, what_is_too_long_is_cut_in_its_place);
	tcase_add_test(t, lines_that_differ_in_numbers_are_of_one_kind);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
