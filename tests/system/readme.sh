#!/bin/sh
# The configuration that README.md shows is one that pgwithd takes.
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
echo 1..2

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
