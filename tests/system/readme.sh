#!/bin/sh
# The configuration that README.md shows is one that pgwithd takes, and the lines to copy do what they are for.
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
echo 1..3

check()
{
	"$PGWITH_BUILDDIR/src/pgwithd" -t -c "$1" >"$dir/output" 2>&1
	status=$?
	sed 's/^/# /' "$dir/output"
	return $status
}

sed -n '/^## Configuration/,/^## Manuals/s/^    //p' "$PGWITH_SRCDIR/README.md" >"$dir/pgwith.conf"
if grep -q '^size = ' "$dir/pgwith.conf" && check "$dir/pgwith.conf"; then
	echo "ok 1 - the configuration in README.md is good"
else
	echo "not ok 1 - the configuration in README.md is good"
fi
sed 's/^size/sise/' "$dir/pgwith.conf" >"$dir/wrong.conf"
if check "$dir/wrong.conf"; then
	echo "not ok 2 - with a wrong word it is refused"
else
	echo "ok 2 - with a wrong word it is refused"
fi

# Into one shell, as they stand there; only the directory is another one.
sed -n '/^## Five lines/,/^## The parts/s/^    //p' "$PGWITH_SRCDIR/README.md" |
	sed "s,/tmp/try,$dir/try,g; s,^src/,$PGWITH_BUILDDIR/src/,; s,; src/,; $PGWITH_BUILDDIR/src/," >"$dir/lines"
echo "kill %1 %2; wait" >>"$dir/lines"
if ! command -v psql >/dev/null; then
	echo "ok 3 # SKIP psql is missing"
elif [ "$(wc -l <"$dir/lines")" -eq 6 ] && (unset PGHOST PGPORT PGUSER PGDATABASE && bash -m "$dir/lines") >"$dir/output" 2>&1 &&
	! grep -E 'ERROR|FATAL|rror:' "$dir/output" && grep -q '^(1 row)' "$dir/output" && grep -q ' shop  *idle' "$dir/output"; then
	echo "ok 3 - the lines to copy"
else
	sed 's/^/# /' "$dir/output"
	echo "not ok 3 - the lines to copy"
fi
