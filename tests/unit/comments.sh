#!/bin/sh
# Comments that clang-format has broken: it wraps what is longer than a line, and nobody looks. What is found is mended by
# hand: a long comment goes above its line. .clang-format says what is left alone.
srcdir=${PGWITH_SRCDIR:-.}
echo 1..2

# broken FILE...: says FILE:LINE: what is wrong.
broken()
{
	awk '
	function wrong(line, what) { print FILENAME ":" line ": " what }
	FNR == 1 { inside = 0; before = "" }
	{
		code = $0
		gsub(/"([^"\\]|\\.)*"/, "\"\"", code)
		was = inside
		# behind the last comment that ends on this line
		rest = code
		while (match(rest, /\*\//)) { rest = substr(rest, RSTART + 2); inside = 0 }
		if (!inside && match(rest, /\/\*/)) inside = 1
		if (was && code ~ /^[ \t]*\*\/[ \t]*$/ && before !~ /^[ \t]*\*\t/) wrong(FNR, "the end of a comment stands alone")
		if (was && code ~ /^[ \t]*\*[^ \t\/]/) wrong(FNR, "no blank behind the asterisk")
		if (!was && inside && code !~ /^[ \t]*\/\*/) wrong(FNR, "a comment begins behind code and has more than one line")
		if (!was && code ~ /\/\*/ && before ~ /^\t+[a-z][a-z_0-9 ]*$/ && before !~ /^\t+(else|do|default)$/)
			wrong(FNR, "a type and its name are on two lines because of a comment")
		before = code
	}' "$@"
}

# shellcheck disable=SC2046 # names without blanks
bad=$(cd "$srcdir" && broken $(find src tests -name '*.[ch]' | sort))
if [ -z "$bad" ]; then echo "ok 1 - no comment is broken"; else echo "$bad" | sed 's/^/# /'; echo "not ok 1 - no comment is broken"; fi

# ---- the check itself ----

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cat >"$dir/a.c" <<'END'
/* good: one line and
 * another.
 *
 *	a -> b
 */
/* bad: its end would not fit
 */
/* bad: in
 *here */
int a; /* good */
int b; /* bad: over
	* two lines */
struct s {
	unsigned
	    /* bad */
	    c;
	const char
	    *h; /* bad */
	const char *d; /* good: "/*" */
	const char *e = "/* no comment";
	int f;
	/* good */
	int g;
};
END
said=$(broken "$dir/a.c" | cut -d: -f2 | tr '\n' ' ')
if [ "$said" = "7 9 11 15 18 " ]; then
	echo "ok 2 - broken comments are found"
else
	echo "# said: $said"
	echo "not ok 2 - broken comments are found"
fi
