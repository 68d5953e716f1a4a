#!/bin/sh
# What a program says of itself by --help, what its manual page says, and what it takes, are the same: options, short and
# long, with or without an argument, and of pgwith its commands with their arguments.
srcdir=${PGWITH_SRCDIR:-.}
builddir=${PGWITH_BUILDDIR:-.}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT

number=0
# same NAME: are $tmp/a and $tmp/b the same, and not empty?
same() {
	number=$((number + 1))
	sort "$tmp/a" >"$tmp/a.sorted"
	sort "$tmp/b" >"$tmp/b.sorted"
	if diff "$tmp/a.sorted" "$tmp/b.sorted" >"$tmp/out" && [ -s "$tmp/a" ]; then
		echo "ok $number - $1"
	else
		[ -s "$tmp/a" ] || echo "# nothing was found"
		sed 's/^/# /' "$tmp/out"
		echo "not ok $number - $1"
	fi
}

# ---- options, as lines `-c --config argument`; `-` for what is missing ----

# Of --help: `  -c, --config FILE  what it does`.
of_help() {
	sed -n 's/^  \(-[A-Za-z], *\|   *\)--\([a-z-]*\)\( [A-Z=]*\|\) .*$/\1 --\2 \3/p' |
		awk '{ short = "-"; argument = "none"
		for (i = 1; i <= NF; i++) {
			if ($i ~ /^--/) name = $i
			else if ($i ~ /^-[A-Za-z],$/) short = substr($i, 1, 2)
			else argument = "argument"
		}
		print short, name, argument }'
}

# Of the page: `.It Fl c Ar file , Fl -config Ar file`.
of_page() {
	sed -n 's/^\.It Fl //p' "$1" | awk '{
		short = "-"; name = "-"; argument = "none"; before = "Fl"
		for (i = 1; i <= NF; i++) {
			if (before == "Fl" && $i ~ /^-/) name = "-" $i
			else if (before == "Fl") short = "-" $i
			else if (before == "Ar") argument = "argument"
			before = $i
		}
		print short, name, argument }'
}

# Of the source: getopt_long()'s table, and its short options: `c:tvVh`.
of_source() {
	shorts=$(sed -n 's/.*getopt_long(argc, argv, "\([^"]*\)".*/\1/p; s/^#define OPTIONS_SHORT *"\([^"]*\)".*/\1/p' "$@" |
		sed 's/^+//')
	tr -d '\n' <"$1" | grep -o '{ *"[a-z-]*", *[a-z]*_argument, *NULL, *[^}]*}' |
		sed 's/[{}",]/ /g' | awk -v shorts="$shorts" '{
		short = $4 ~ /^.[A-Za-z].$/ ? "-" substr($4, 2, 1) : "-"
		argument = $2 == "required_argument" ? "argument" : "none"
		if (short != "-") {
			at = index(shorts, substr(short, 2))
			has = substr(shorts, at + 1, 1) == ":" ? "argument" : "none"
			if (at == 0 || has != argument) short = short "(not as such)"
			seen = seen substr(short, 2, 1)
		}
		print short, "--" $1, argument }
	END {
		for (i = 1; i <= length(shorts); i++) {
			c = substr(shorts, i, 1)
			if (c != ":" && index(seen, c) == 0) print "-" c, "-", "?"
		}
	}'
}

# Of the SYNOPSIS: `.Op Fl dv`, `.Op Fl c Ar file`.
of_synopsis() {
	sed -n '/^\.Sh SYNOPSIS/,/^\.Sh DESCRIPTION/s/^\.\(Op \|\)Fl \([A-Za-z]*\).*/\2/p' "$1" | grep -o . | sort -u | sed 's/^/-/'
}

echo 1..15
for program in pgwithd:8 pgwith:1 pgwith-fixture:1; do
	page=$srcdir/man/${program%:*}.${program#*:}
	program=${program%:*}
	"$builddir/src/$program" --help >"$tmp/help" 2>&1 || echo "Bail out! $program --help fails"

	of_help <"$tmp/help" >"$tmp/a"
	of_page "$page" >"$tmp/b"
	same "$program: its page has the options of --help, and no others"

	sources=$srcdir/src/$program.c
	[ "$program" = pgwithd ] && sources=$srcdir/src/conf/cmdline.c
	[ "$program" = pgwith ] && sources="$srcdir/src/cli/options.c $srcdir/src/cli/options.h"
	# shellcheck disable=SC2086 # two names
	of_source $sources >"$tmp/b"
	same "$program: --help has the options that are taken, and no others"

	"$builddir/src/$program" -h >"$tmp/short" 2>&1
	cp "$tmp/help" "$tmp/a"
	cp "$tmp/short" "$tmp/b"
	same "$program: -h is --help"
done

# pgwith's has [options].
for page in pgwithd.8 pgwith-fixture.1; do
	of_synopsis "$srcdir/man/$page" >"$tmp/a"
	of_page "$srcdir/man/$page" | sed -n 's/^\(-[A-Za-z]\) .*/\1/p' >"$tmp/b"
	same "$page: the SYNOPSIS has every option that has a letter"
done

# ---- the commands of pgwith ----

"$builddir/src/pgwith" --help | sed -n 's/^  \([a-z][a-z-]*\)  *[^ ].*/\1/p' >"$tmp/a"
sed -n 's/^\.It Cm \([a-z-]*\).*/\1/p' "$srcdir/man/pgwith.1" | sort -u >"$tmp/b"
cp "$tmp/a" "$tmp/commands"
same "pgwith(1) has the commands of --help, and no others"

# `set KEY VALUE`, `shutdown [now|after-scopes]`; of `kill session ID` and its like the first words.
while read -r command; do
	"$builddir/src/pgwith" help "$command" | sed -n 's/^usage: pgwith \[options\] //p'
done <"$tmp/commands" | sed 's/^\(kill [a-z|]*\) .*/\1/' >"$tmp/a"
sed -n 's/^\.It Cm //p' "$srcdir/man/pgwith.1" | sed 's/ | /|/g' | awk '
$1 == "kill" { kill = kill (kill ? "|" : "kill ") $3; next }
{
	line = $1; option = 0; upper = 0
	for (i = 2; i <= NF; i++) {
		if ($i == "Op") option = 1
		else if ($i == "Ar") upper = 1
		else if ($i == "Cm") upper = 0
		else {
			word = upper ? toupper($i) : $i
			line = line " " (option ? "[" word "]" : word)
		}
	}
	print line
}
END { print kill }' >"$tmp/b"
same "it has their arguments as pgwith help COMMAND has them"

# `  kill scope SESSION NAME  what it does` is, with its shorter form, `.It Cm kill Cm scope Ar session Op Ar name`.
"$builddir/src/pgwith" help kill | sed -n 's/^  \(kill [a-z]* [A-Z ]*[A-Z]\)  .*/\1/p' >"$tmp/a"
sed -n 's/^\.It Cm kill Cm //p' "$srcdir/man/pgwith.1" | awk '{
	line = "kill " $1 " " toupper($3); print line
	if ($4 == "Op") print line " " toupper($6)
}' >"$tmp/b"
same "so it is with kill"

# An option that the help of a command speaks of is one.
while read -r command; do
	"$builddir/src/pgwith" help "$command"
done <"$tmp/commands" | grep -o -e '--[a-z][a-z-]*' | sort -u >"$tmp/named"
of_page "$srcdir/man/pgwith.1" | cut -d' ' -f2 | sort >"$tmp/options"
comm -12 "$tmp/named" "$tmp/options" >"$tmp/a"
cp "$tmp/named" "$tmp/b"
same "the options that pgwith help COMMAND speaks of are there"
