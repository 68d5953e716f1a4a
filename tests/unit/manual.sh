#!/bin/sh
# The manual and the sample file say what the tables say: every option with its type, range, default and
# help, every error with its SQLSTATE, every metric; and mandoc finds nothing to warn of.
# `make manual` (manual.sh --write) puts the lists of options and metrics and the sample file right.
srcdir=${PGWITH_SRCDIR:-.}
tables=${PGWITH_BUILDDIR:-.}/tests/unit/show_tables
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT

for what in options errors sample commands metrics; do
	"$tables" $what >"$tmp/$what" || { echo "Bail out! $tables $what fails"; exit 1; }
done
# make_anew PAGE WHAT: the page with the block between its two marks made anew, in $tmp.
make_anew() {
	awk -v list="$tmp/$2" '
/^\.\\" begin: made by / { print; while ((getline line <list) > 0) print line; made = 1; skip = 1 }
/^\.\\" end: made by / { skip = 0 }
!skip
END { exit !made || skip }' "$srcdir/man/$1" >"$tmp/$1" ||
		{ echo "Bail out! the marks of the list of $2 are not in $1"; exit 1; }
}
make_anew pgwith.conf.5 options
make_anew pgwith-metrics.7 metrics

if [ "${1:-}" = --write ]; then
	cp "$tmp/pgwith.conf.5" "$srcdir/man/pgwith.conf.5"
	cp "$tmp/pgwith-metrics.7" "$srcdir/man/pgwith-metrics.7"
	cp "$tmp/sample" "$srcdir/conf/pgwith.conf"
	exit 0
fi

number=0
# verdict STATUS NAME [FILE]: FILE holds what went wrong
verdict() {
	number=$((number + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $number - $2"
	else
		sed 's/^/# /' "$3"
		echo "not ok $number - $2"
	fi
}

echo 1..10
diff -u "$srcdir/man/pgwith.conf.5" "$tmp/pgwith.conf.5" >"$tmp/out" && [ -s "$tmp/options" ]
verdict $? "pgwith.conf(5) describes every option as the table has it (else: make manual)" "$tmp/out"

diff -u "$srcdir/conf/pgwith.conf" "$tmp/sample" >"$tmp/out"
verdict $? "the sample file is the table's (else: make manual)" "$tmp/out"

# Those of scopes and of the console have pages of their own.
sed -n 's/^\.It Sy \([a-z_]*\) Pq \(.....\)$/\1 \2/p' "$srcdir/man/pgwithd.8" "$srcdir/man/pgwith-scopes.7" \
	"$srcdir/man/pgwith-console.7" |
	sort -u >"$tmp/named"
sort "$tmp/errors" | comm -23 - "$tmp/named" | sed 's/^/missing: /' >"$tmp/out"
[ -s "$tmp/errors" ] && [ ! -s "$tmp/out" ]
verdict $? "pgwithd(8), pgwith-scopes(7) or pgwith-console(7) names every error of src/base/err.c with its SQLSTATE" "$tmp/out"

sort "$tmp/errors" | comm -13 - "$tmp/named" >"$tmp/out"
[ -s "$tmp/named" ] && [ ! -s "$tmp/out" ]
verdict $? "they name no error that there is not" "$tmp/out"

# The level and the counts stand before the words.
sed -n 's/^\([a-z]* \)\{2\}[0-9]* [-0-9]* listed //p' "$tmp/commands" | sort >"$tmp/listed"
sed -n 's/^\.It Ic \([A-Z_ ]*[A-Z_]\)\( Ar .*\| Op .*\|\)$/\1/p' "$srcdir/man/pgwith-console.7" | sort >"$tmp/shown"
comm -23 "$tmp/listed" "$tmp/shown" | sed 's/^/missing: /' >"$tmp/out"
[ -s "$tmp/listed" ] && [ ! -s "$tmp/out" ]
verdict $? "pgwith-console(7) describes every command of src/admin/command.c" "$tmp/out"

comm -13 "$tmp/listed" "$tmp/shown" >"$tmp/out"
[ -s "$tmp/shown" ] && [ ! -s "$tmp/out" ]
verdict $? "it describes no command that there is not" "$tmp/out"

if command -v mandoc >/dev/null; then
	mandoc -Tlint -Wwarning "$srcdir"/man/*.[1-9] >"$tmp/out" 2>&1 && [ ! -s "$tmp/out" ]
	verdict $? "mandoc has nothing to warn of" "$tmp/out"
	mandoc -Tascii "$srcdir/man/pgwith.conf.5" | sed "s/.$(printf '\010')//g" >"$tmp/text"
	sed -n 's/^\.It Ic //p' "$tmp/options" >"$tmp/names"
	while read -r name; do
		grep -Eq "^ *$name( {2,}.*)?\$" "$tmp/text" || echo "not in the formatted page: $name"
	done <"$tmp/names" >"$tmp/out"
	[ -s "$tmp/names" ] && [ ! -s "$tmp/out" ]
	verdict $? "the formatted page shows every option" "$tmp/out"
elif [ "${CI:-}" = true ]; then
	echo "mandoc is missing" >"$tmp/out"
	verdict 1 "mandoc has nothing to warn of" "$tmp/out"
	verdict 1 "the formatted page shows every option" "$tmp/out"
else
	echo "ok 7 # SKIP mandoc is missing"
	echo "ok 8 # SKIP mandoc is missing"
	number=8
fi

# psql takes such a line for a command of its own, and the work of the scope is lost.
psql_ends='^[[:space:]]*(exit|quit)[[:space:]]*;?[[:space:]]*(--.*)?$'
printf 'EXIT;\n' | grep -qiE "$psql_ends" &&
	! grep -niE "$psql_ends" "$srcdir"/man/*.[1-9] "$srcdir/README.md" "$srcdir/NEWS" "$srcdir/conf/pgwith.conf" >"$tmp/out" &&
	! grep -nE '"EXIT( it)?"' "$srcdir/src/base/err.c" >>"$tmp/out"
verdict $? "no page shows a bare EXIT as something to type, and no hint says it" "$tmp/out"

diff -u "$srcdir/man/pgwith-metrics.7" "$tmp/pgwith-metrics.7" >"$tmp/out" && [ -s "$tmp/metrics" ]
verdict $? "pgwith-metrics(7) describes every metric as the table has it (else: make manual)" "$tmp/out"
